//! The state transition table of RFC 1661 section 4.1, in one place.

/// States of the automaton (RFC 1661 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The lower layer is down and nobody has asked for more.
    Initial,
    /// Waiting for the lower layer.
    Starting,
    /// The lower layer is up and nobody has asked for more.
    Closed,
    /// Nothing came of it; the peer may begin again.
    Stopped,
    /// We have asked to terminate, and shall be closed.
    Closing,
    /// One end has asked to terminate, and we shall be stopped.
    Stopping,
    /// Our Configure-Request is out.
    ReqSent,
    /// The peer has acknowledged ours.
    AckRcvd,
    /// We have acknowledged the peer's.
    AckSent,
    /// Both are acknowledged.
    Opened,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Initial => "initial",
            Self::Starting => "starting",
            Self::Closed => "closed",
            Self::Stopped => "stopped",
            Self::Closing => "closing",
            Self::Stopping => "stopping",
            Self::ReqSent => "req-sent",
            Self::AckRcvd => "ack-rcvd",
            Self::AckSent => "ack-sent",
            Self::Opened => "opened",
        })
    }
}

/// Events (RFC 1661 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// The lower layer is up.
    Up,
    /// The lower layer is down.
    Down,
    /// Administrative open.
    Open,
    /// Administrative close.
    Close,
    /// The restart timer has expired with tries left.
    TimeoutMore,
    /// The restart timer has expired for the last time.
    TimeoutLast,
    /// Receive-Configure-Request, good.
    RcrGood,
    /// Receive-Configure-Request, bad.
    RcrBad,
    /// Receive-Configure-Ack.
    Rca,
    /// Receive-Configure-Nak or -Reject.
    Rcn,
    /// Receive-Terminate-Request.
    Rtr,
    /// Receive-Terminate-Ack.
    Rta,
    /// Receive-Unknown-Code.
    Ruc,
    /// Receive-Code-Reject or -Protocol-Reject that can be lived with.
    RxjGood,
    /// Receive-Code-Reject or -Protocol-Reject that ends everything.
    RxjBad,
    /// Receive-Echo-Request, -Echo-Reply or -Discard-Request.
    Rxr,
}

/// Actions (RFC 1661 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// This-Layer-Up.
    Tlu,
    /// This-Layer-Down.
    Tld,
    /// This-Layer-Started.
    Tls,
    /// This-Layer-Finished.
    Tlf,
    /// Initialize-Restart-Count; for max-terminate where Str follows.
    Irc,
    /// Zero-Restart-Count.
    Zrc,
    /// Send-Configure-Request.
    Scr,
    /// Send-Configure-Ack.
    Sca,
    /// Send-Configure-Nak or -Reject.
    Scn,
    /// Send-Terminate-Request.
    Str,
    /// Send-Terminate-Ack.
    Sta,
    /// Send-Code-Reject.
    Scj,
    /// Send-Echo-Reply.
    Ser,
}

/// What an event does in a state: actions, then the next state. `None`: cannot happen.
pub(crate) type Cell = Option<(&'static [Action], State)>;

/// Columns of the table.
const STATES: [State; 10] = {
    use State::*;
    [
        Initial, Starting, Closed, Stopped, Closing, Stopping, ReqSent, AckRcvd, AckSent, Opened,
    ]
};

/// One row of the table, its columns in the order of the states.
#[rustfmt::skip]
fn row(input: Input) -> [Cell; 10] {
    use Action::*;
    use State::*;
    const fn to(actions: &'static [Action], state: State) -> Cell { Some((actions, state)) }
    const NO: Cell = None;
    match input {
        Input::Up => [
            to(&[], Closed), to(&[Irc, Scr], ReqSent), NO, NO, NO, NO,
            NO, NO, NO, NO,
        ],
        Input::Down => [
            NO, NO, to(&[], Initial), to(&[Tls], Starting), to(&[], Initial), to(&[], Starting),
            to(&[], Starting), to(&[], Starting), to(&[], Starting), to(&[Tld], Starting),
        ],
        Input::Open => [
            to(&[Tls], Starting), to(&[], Starting), to(&[Irc, Scr], ReqSent), to(&[], Stopped),
            to(&[], Stopping), to(&[], Stopping),
            to(&[], ReqSent), to(&[], AckRcvd), to(&[], AckSent), to(&[], Opened),
        ],
        Input::Close => [
            to(&[], Initial), to(&[Tlf], Initial), to(&[], Closed), to(&[], Closed),
            to(&[], Closing), to(&[], Closing),
            to(&[Irc, Str], Closing), to(&[Irc, Str], Closing), to(&[Irc, Str], Closing),
            to(&[Tld, Irc, Str], Closing),
        ],
        Input::TimeoutMore => [
            NO, NO, NO, NO, to(&[Str], Closing), to(&[Str], Stopping),
            to(&[Scr], ReqSent), to(&[Scr], ReqSent), to(&[Scr], AckSent), NO,
        ],
        Input::TimeoutLast => [
            NO, NO, NO, NO, to(&[Tlf], Closed), to(&[Tlf], Stopped),
            to(&[Tlf], Stopped), to(&[Tlf], Stopped), to(&[Tlf], Stopped), NO,
        ],
        Input::RcrGood => [
            NO, NO, to(&[Sta], Closed), to(&[Irc, Scr, Sca], AckSent), to(&[], Closing), to(&[], Stopping),
            to(&[Sca], AckSent), to(&[Sca, Tlu], Opened), to(&[Sca], AckSent), to(&[Tld, Scr, Sca], AckSent),
        ],
        Input::RcrBad => [
            NO, NO, to(&[Sta], Closed), to(&[Irc, Scr, Scn], ReqSent), to(&[], Closing), to(&[], Stopping),
            to(&[Scn], ReqSent), to(&[Scn], AckRcvd), to(&[Scn], ReqSent), to(&[Tld, Scr, Scn], ReqSent),
        ],
        Input::Rca => [
            NO, NO, to(&[Sta], Closed), to(&[Sta], Stopped), to(&[], Closing), to(&[], Stopping),
            to(&[Irc], AckRcvd), to(&[Scr], ReqSent), to(&[Irc, Tlu], Opened), to(&[Tld, Scr], ReqSent),
        ],
        Input::Rcn => [
            NO, NO, to(&[Sta], Closed), to(&[Sta], Stopped), to(&[], Closing), to(&[], Stopping),
            to(&[Irc, Scr], ReqSent), to(&[Scr], ReqSent), to(&[Irc, Scr], AckSent), to(&[Tld, Scr], ReqSent),
        ],
        Input::Rtr => [
            NO, NO, to(&[Sta], Closed), to(&[Sta], Stopped), to(&[Sta], Closing), to(&[Sta], Stopping),
            to(&[Sta], ReqSent), to(&[Sta], ReqSent), to(&[Sta], ReqSent), to(&[Tld, Zrc, Sta], Stopping),
        ],
        Input::Rta => [
            NO, NO, to(&[], Closed), to(&[], Stopped), to(&[Tlf], Closed), to(&[Tlf], Stopped),
            to(&[], ReqSent), to(&[], ReqSent), to(&[], AckSent), to(&[Tld, Scr], ReqSent),
        ],
        Input::Ruc => [
            NO, NO, to(&[Scj], Closed), to(&[Scj], Stopped), to(&[Scj], Closing), to(&[Scj], Stopping),
            to(&[Scj], ReqSent), to(&[Scj], AckRcvd), to(&[Scj], AckSent), to(&[Scj], Opened),
        ],
        Input::RxjGood => [
            NO, NO, to(&[], Closed), to(&[], Stopped), to(&[], Closing), to(&[], Stopping),
            to(&[], ReqSent), to(&[], ReqSent), to(&[], AckSent), to(&[], Opened),
        ],
        Input::RxjBad => [
            NO, NO, to(&[Tlf], Closed), to(&[Tlf], Stopped), to(&[Tlf], Closed), to(&[Tlf], Stopped),
            to(&[Tlf], Stopped), to(&[Tlf], Stopped), to(&[Tlf], Stopped), to(&[Tld, Irc, Str], Stopping),
        ],
        Input::Rxr => [
            NO, NO, to(&[], Closed), to(&[], Stopped), to(&[], Closing), to(&[], Stopping),
            to(&[], ReqSent), to(&[], AckRcvd), to(&[], AckSent), to(&[Ser], Opened),
        ],
    }
}

/// The cell of the table for an event in a state.
pub(crate) fn transition(state: State, input: Input) -> Cell {
    STATES
        .into_iter()
        .zip(row(input))
        .find_map(|(column, cell)| (column == state).then_some(cell))
        .flatten()
}

#[cfg(test)]
mod tests;
