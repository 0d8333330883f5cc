//! What a link counts.

/// Counters of one link; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Control frames received.
    pub received: u64,
    /// Control frames sent.
    pub sent: u64,
    /// Requests sent again because no answer came.
    pub retransmitted: u64,
    /// Frames without a readable header.
    pub bad_frame: u64,
    /// Packets whose code, identifier and length do not describe them, or whose body is cut.
    pub malformed: u64,
    /// Configure packets whose option list cannot be read.
    pub bad_options: u64,
    /// Answers that no outstanding request of ours has, or that change it.
    pub unmatched: u64,
    /// Packets that came when their protocol may not be spoken yet: authentication before LCP is
    /// open, NCPs before authentication (RFC 1661 3.5).
    pub early: u64,
    /// Configure-Naks sent.
    pub naks_sent: u64,
    /// Configure-Rejects sent.
    pub rejects_sent: u64,
    /// Code-Rejects sent.
    pub code_rejects_sent: u64,
    /// Protocol-Rejects sent.
    pub protocol_rejects_sent: u64,
    /// Code-Rejects and Protocol-Rejects received.
    pub rejects_received: u64,
    /// Our own packets that came back.
    pub looped: u64,
    /// Echo-Requests sent.
    pub echoes_sent: u64,
    /// Echo-Requests answered.
    pub echoes_answered: u64,
    /// Identification packets, which are taken and not answered (RFC 1570 2.1).
    pub identifications: u64,
    /// Time-Remaining packets, which are taken and not answered (RFC 1570 2.2).
    pub time_remaining: u64,
    /// Discard-Requests (RFC 1661 5.9).
    pub discards: u64,
    /// Authentication packets that had been received before.
    pub auth_duplicates: u64,
    /// EAP-TLS that came to nothing in TLS: certificates, versions, lengths.
    pub tls_failed: u64,
    /// Attempts to authenticate that were refused.
    pub auth_rejected: u64,
}
