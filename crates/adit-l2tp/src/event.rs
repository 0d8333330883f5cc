//! What a tunnel tells its owner.

use crate::call::{Accm, CallErrors};
use crate::error::Fault;
use crate::result::{CallDisconnect, Stop};

/// Something that the owner of a tunnel acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The control connection is established.
    TunnelUp {
        /// The peer's host name: lossy, without trailing NULs, at most 255 characters.
        host_name: String,
        /// Its vendor name, treated likewise.
        vendor: Option<String>,
        /// Its firmware revision.
        firmware: Option<u16>,
    },
    /// A session is established: PPP may start.
    SessionUp {
        /// Our session ID, in data messages from the peer.
        local: u16,
        /// The peer's, in data messages to it.
        remote: u16,
    },
    /// The LNS told what PPP's ends escape (Set-Link-Info). It means nothing over IP.
    LinkInfo {
        /// Our session ID.
        local: u16,
        /// The maps.
        accm: Accm,
    },
    /// The LAC told what went wrong on its line (WAN-Error-Notify).
    WanErrors {
        /// Our session ID.
        local: u16,
        /// The counters since the call began.
        errors: CallErrors,
    },
    /// A session is over, or never came to be.
    SessionDown {
        /// Our session ID.
        local: u16,
        /// Why.
        cause: SessionDownCause,
    },
    /// The control connection is over, after the same was told of each of its sessions. The tunnel
    /// must be kept until [`is_closed`](crate::Tunnel::is_closed), to tell the peer.
    TunnelDown {
        /// Why.
        cause: TunnelDownCause,
    },
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionDownCause {
    /// The peer sent a CDN.
    #[error("closed by the peer: {0}")]
    ByPeer(CallDisconnect),
    /// [`close_session`](crate::Tunnel::close_session) was called.
    #[error("closed by us")]
    ByUs,
    /// It was not established within the setup timeout.
    #[error("not established in time")]
    SetupTimeout,
    /// The peer did something that costs it the session.
    #[error("{0}")]
    Fault(Fault),
    /// There is no room for another session, or the tunnel is closed.
    #[error("no session can be opened on this tunnel")]
    NotOpened,
    /// The tunnel went down, and the session with it.
    #[error("the tunnel went down")]
    TunnelDown,
}

/// Why a control connection is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TunnelDownCause {
    /// The peer sent a StopCCN.
    #[error("closed by the peer: {0}")]
    ByPeer(Stop),
    /// [`close`](crate::Tunnel::close) was called.
    #[error("closed by us")]
    ByUs,
    /// The peer did not acknowledge a message, HELLO included.
    #[error("the peer does not answer")]
    Timeout,
    /// The peer has forgotten it and opens a new one under the same number.
    #[error("the peer has started anew")]
    StartedAnew,
    /// Both ends opened a tunnel at the same time with the same Tie Breaker, and both give up.
    #[error("both ends opened a tunnel with the same tie breaker")]
    Tie,
    /// It was not established within the setup timeout.
    #[error("not established in time")]
    SetupTimeout,
    /// The peer did something that costs it the tunnel.
    #[error("{0}")]
    Fault(Fault),
}
