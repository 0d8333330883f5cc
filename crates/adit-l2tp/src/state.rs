//! The states of a control connection and of a session, and every transition between them (RFC 2661
//! 7.2 and 7.4). Both tables are plain functions without side effects: the tunnel asks what to do,
//! and does it.

/// States of a control connection, with the names of RFC 2661 7.2.1. The RFC's way back to idle
/// ("clean up") takes time here, because the last messages must still be delivered (sections 5.7
/// and 7.1): that is `Stopping`, `Stopped` and in the end `Closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelState {
    /// Waits for the peer's SCCRQ; nothing is kept yet.
    Idle,
    /// LAC: SCCRQ sent.
    WaitCtlReply,
    /// LNS: SCCRP sent.
    WaitCtlConn,
    /// Sessions may be opened.
    Established,
    /// StopCCN sent and not acknowledged.
    Stopping,
    /// StopCCN received; stays to acknowledge it again.
    Stopped,
    /// Nothing is left to be done.
    Closed,
}

impl TunnelState {
    /// Whether the control connection is established or on the way there.
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::WaitCtlReply | Self::WaitCtlConn | Self::Established
        )
    }
}

impl std::fmt::Display for TunnelState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::WaitCtlReply => "wait-ctl-reply",
            Self::WaitCtlConn => "wait-ctl-conn",
            Self::Established => "established",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Closed => "closed",
        })
    }
}

/// What happens to a control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TunnelInput {
    /// An acceptable SCCRQ.
    Sccrq,
    /// The peer's SCCRQ wins against ours by the tie breaker.
    LoseTie,
    /// The peer's SCCRQ has the same tie breaker as ours.
    DrawTie,
    /// An acceptable SCCRP.
    Sccrp,
    /// An acceptable SCCCN.
    Scccn,
    Hello,
    StopCcn,
    /// Any message about a session.
    SessionMessage,
    /// A message that must not be accepted.
    Fault,
    /// Our side wants it closed.
    Close,
    SetupTimeout,
    /// A message was retransmitted in vain.
    GaveUp,
    /// Everything we sent is acknowledged.
    AllAcknowledged,
    /// The peer has had the time to hear our last acknowledgement.
    LingerTimeout,
}

/// What to do about it. Acknowledging is no action: the channel does that for every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TunnelAction {
    Nothing,
    SendSccrp,
    /// Forget our SCCRQ as if it had never been sent; the peer's is taken next.
    StartOver,
    /// Send SCCCN, report the tunnel, start the waiting sessions.
    SendScccn,
    /// Report the tunnel, start the waiting sessions.
    Open,
    /// Hand the message to its session.
    Deliver,
    /// Send StopCCN with the reason at hand, report, drop the sessions.
    SendStopCcn,
    /// Send StopCCN because of the message itself, report, drop the sessions.
    SendStateError,
    /// Report and drop the sessions.
    CleanUp,
}

/// RFC 2661 7.2.1. A local open request is not in it: [`Tunnel::initiate`](crate::Tunnel::initiate)
/// starts in `WaitCtlReply`. Nor is an SCCRQ that loses by the tie breaker, which is dropped.
#[rustfmt::skip]
pub(crate) const fn tunnel(state: TunnelState, input: TunnelInput) -> (TunnelAction, TunnelState) {
    use TunnelAction as A;
    use TunnelInput as I;
    use TunnelState as S;
    match (state, input) {
        (S::Idle, I::Sccrq)                 => (A::SendSccrp, S::WaitCtlConn),
        (S::Idle, I::Fault)                 => (A::SendStopCcn, S::Stopping),
        (S::Idle, I::Close)                 => (A::Nothing, S::Closed),
        (S::Idle, _)                        => (A::Nothing, S::Idle),

        (S::WaitCtlReply, I::Sccrp)         => (A::SendScccn, S::Established),
        (S::WaitCtlReply, I::LoseTie)       => (A::StartOver, S::Idle),
        (S::WaitCtlReply, I::DrawTie)       => (A::CleanUp, S::Closed),
        (S::WaitCtlConn, I::Scccn)          => (A::Open, S::Established),
        (S::Established, I::SessionMessage) => (A::Deliver, S::Established),

        (S::Stopping, I::StopCcn)           => (A::Nothing, S::Stopped),
        (S::Stopping, I::AllAcknowledged
                    | I::GaveUp)            => (A::Nothing, S::Closed),
        (S::Stopped, I::LingerTimeout)      => (A::Nothing, S::Closed),
        (S::Stopping | S::Stopped
                     | S::Closed, _)        => (A::Nothing, state),

        // wait-ctl-reply, wait-ctl-conn and established
        (_, I::Hello | I::AllAcknowledged
                     | I::LingerTimeout
                     | I::LoseTie
                     | I::DrawTie)          => (A::Nothing, state),
        (_, I::StopCcn)                     => (A::CleanUp, S::Stopped),
        (_, I::GaveUp)                      => (A::CleanUp, S::Closed),
        (_, I::Fault | I::Close
                     | I::SetupTimeout)     => (A::SendStopCcn, S::Stopping),
        (_, I::Sccrq | I::Sccrp | I::Scccn
                     | I::SessionMessage)   => (A::SendStateError, S::Stopping),
    }
}

/// States of a session, with the names of RFC 2661 7.4.1 (LAC) and 7.4.2 (LNS). A session that is
/// idle does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Not there, or over.
    Idle,
    /// LAC: waits for the tunnel.
    WaitTunnel,
    /// LAC: ICRQ sent.
    WaitReply,
    /// LNS: ICRP sent.
    WaitConnect,
    /// PPP frames may flow.
    Established,
}

impl std::fmt::Display for SessionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::WaitTunnel => "wait-tunnel",
            Self::WaitReply => "wait-reply",
            Self::WaitConnect => "wait-connect",
            Self::Established => "established",
        })
    }
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionInput {
    /// Our side wants a session.
    Call,
    TunnelOpen,
    /// An acceptable ICRQ.
    Icrq,
    /// An acceptable ICRP.
    Icrp,
    Iccn,
    Cdn,
    /// A message that must not be accepted.
    Fault,
    /// Our side wants it closed.
    Close,
    SetupTimeout,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionAction {
    Nothing,
    SendIcrq,
    SendIcrp,
    /// Send ICCN and report the session.
    SendIccn,
    /// Report the session.
    Open,
    /// Send CDN with the reason at hand and report.
    SendCdn,
    /// Send CDN because of the message itself and report.
    SendStateError,
    /// Report.
    CleanUp,
}

/// RFC 2661 7.4.1 and 7.4.2 in one table: the LAC waits for replies, the LNS for connects.
#[rustfmt::skip]
pub(crate) const fn session(
    state: SessionState,
    input: SessionInput,
) -> (SessionAction, SessionState) {
    use SessionAction as A;
    use SessionInput as I;
    use SessionState as S;
    match (state, input) {
        (S::Idle, I::Call)                     => (A::Nothing, S::WaitTunnel),
        (S::Idle, I::Icrq)                     => (A::SendIcrp, S::WaitConnect),
        (S::Idle, I::Fault)                    => (A::SendCdn, S::Idle),
        (S::Idle, _)                           => (A::Nothing, S::Idle),

        (S::WaitTunnel, I::TunnelOpen)         => (A::SendIcrq, S::WaitReply),
        (S::WaitTunnel, I::Close
                      | I::SetupTimeout)       => (A::CleanUp, S::Idle),
        // Nothing of it has been told to the peer yet, so nothing can come for it.
        (S::WaitTunnel, _)                     => (A::Nothing, S::WaitTunnel),

        (S::WaitReply, I::Icrp)                => (A::SendIccn, S::Established),
        (S::WaitConnect, I::Iccn)              => (A::Open, S::Established),

        // wait-reply, wait-connect and established
        (_, I::Call | I::TunnelOpen)           => (A::Nothing, state),
        (_, I::Cdn)                            => (A::CleanUp, S::Idle),
        (_, I::Fault | I::Close
                     | I::SetupTimeout)        => (A::SendCdn, S::Idle),
        (_, I::Icrq | I::Icrp | I::Iccn)       => (A::SendStateError, S::Idle),
    }
}

#[cfg(test)]
mod tests;
