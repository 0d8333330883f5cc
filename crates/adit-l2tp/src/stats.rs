//! What a tunnel counts.

/// Counters of one tunnel's control channel; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Control messages received, without acknowledgements and without what was dropped.
    pub received: u64,
    /// Control messages sent for the first time, without acknowledgements.
    pub sent: u64,
    /// Control messages sent again.
    pub retransmitted: u64,
    /// Acknowledgements (ZLB) received.
    pub zlb_received: u64,
    /// Acknowledgements (ZLB) sent.
    pub zlb_sent: u64,
    /// Messages that had been received before; acknowledged again.
    pub duplicates: u64,
    /// Messages that came ahead of a missing one and were held.
    pub out_of_order: u64,
    /// Messages dropped because they were beyond our receive window: a peer that overruns it.
    pub outside_window: u64,
    /// Messages dropped because they came ahead of a missing one and were too long to be held.
    pub too_long: u64,
    /// Datagrams dropped for their header: not decodable, another tunnel's, or an impossible Nr.
    pub bad_header: u64,
    /// Messages dropped because the peer does not acknowledge ours.
    pub backlog: u64,
    /// Messages that cost the peer a session or the tunnel.
    pub faults: u64,
    /// AVPs ignored because they are unknown, hidden or malformed and not mandatory.
    pub ignored_avps: u64,
    /// Messages ignored because their type is unknown and not mandatory.
    pub unknown_messages: u64,
    /// Messages ignored because their session does not exist (any more).
    pub unknown_sessions: u64,
    /// Sessions that the peer asked for and did not get.
    pub refused_sessions: u64,
    /// WAN-Error-Notify messages of sessions that exist.
    pub wen_received: u64,
    /// Set-Link-Info messages of sessions that exist.
    pub sli_received: u64,
    /// AVPs that were hidden, and read.
    pub hidden_avps: u64,
    /// Failed tunnel authentications, the peer's or ours.
    pub auth_failures: u64,
    /// SCCRQs of the peer that came while ours was on its way.
    pub ties: u64,
    /// HELLO messages received.
    pub hello_received: u64,
    /// HELLO messages sent.
    pub hello_sent: u64,
}
