//! What a tunnel tells its owner, and what its owner tells it when closing.

use crate::error::Fault;

/// Why a session is closed: the Result Code AVP of a CDN (RFC 2661 4.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallDisconnect {
    /// 1 carrier lost, 2 see `error`, 3 administrative, 4 no facilities for now, 5 no facilities,
    /// 10 not established in time.
    pub result: u16,
    /// The general error code; 0 for none.
    pub error: u16,
    /// A text for the peer's log; may be empty, 200 bytes of it are sent.
    pub message: String,
}

impl CallDisconnect {
    /// Result 3: for administrative reasons.
    pub fn administrative() -> Self {
        Self {
            result: 3,
            error: 0,
            message: String::new(),
        }
    }

    /// Result 10: not established in the time allotted.
    pub(crate) fn not_in_time() -> Self {
        Self {
            result: 10,
            error: 0,
            message: "the session was not established in time".into(),
        }
    }
}

/// Why a tunnel is closed: the Result Code AVP of a StopCCN (RFC 2661 4.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// 1 request to clear, 2 see `error`, 3 channel already exists, 4 not authorized, 5 protocol
    /// version, 6 shutting down, 7 state machine error.
    pub result: u16,
    /// The general error code; 0 for none.
    pub error: u16,
    /// A text for the peer's log; may be empty, 200 bytes of it are sent.
    pub message: String,
}

impl Stop {
    /// Result 1: the general request to clear the control connection.
    pub fn clear() -> Self {
        Self {
            result: 1,
            error: 0,
            message: String::new(),
        }
    }

    /// Result 6: the sender is being shut down.
    pub fn shutting_down() -> Self {
        Self {
            result: 6,
            error: 0,
            message: String::new(),
        }
    }

    /// Result 1, since RFC 2661 has no code for a control connection that took too long.
    pub(crate) fn not_in_time() -> Self {
        Self {
            result: 1,
            error: 0,
            message: "the control connection was not established in time".into(),
        }
    }
}

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
    #[error("closed by the peer (result {result}, error {error}) {message}")]
    ByPeer {
        /// Result code; 0 if it could not be read.
        result: u16,
        /// General error code.
        error: u16,
        /// The peer's text; may be empty.
        message: String,
    },
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
    #[error("closed by the peer (result {result}, error {error}) {message}")]
    ByPeer {
        /// Result code; 0 if it could not be read.
        result: u16,
        /// General error code.
        error: u16,
        /// The peer's text; may be empty.
        message: String,
    },
    /// [`close`](crate::Tunnel::close) was called.
    #[error("closed by us")]
    ByUs,
    /// The peer did not acknowledge a message, HELLO included.
    #[error("the peer does not answer")]
    Timeout,
    /// The peer has forgotten it and opens a new one under the same number.
    #[error("the peer has started anew")]
    StartedAnew,
    /// It was not established within the setup timeout.
    #[error("not established in time")]
    SetupTimeout,
    /// The peer did something that costs it the tunnel.
    #[error("{0}")]
    Fault(Fault),
}
