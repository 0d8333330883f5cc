//! What a link tells its owner.

use std::net::Ipv4Addr;

use crate::acscp::Acscp;
use crate::auth::{Attempt, RejectReason};
use crate::automaton::State;
use crate::error::Failure;
use crate::method::AuthMethod;
use crate::tls::TlsFailure;

/// Something that happened on a link.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// LCP is open; framing and MRU are known. Comes again after a renegotiation.
    LcpUp {
        /// Largest information field that the peer takes, at most 1500.
        peer_mru: u16,
    },
    /// Server: a peer says who it is; answer with [`Link::handle_verdict`](crate::Link::handle_verdict).
    Authenticate(Attempt),
    /// The client is authenticated (client: and the server, where the method proves it).
    Authenticated {
        /// User name without domain on the server, as configured on the client.
        user: String,
    },
    /// Client: the password is wrong, and another one would be taken: answer with
    /// [`Link::handle_password`](crate::Link::handle_password), or close. Only where the
    /// configuration says `retry`.
    PasswordRejected {
        /// The error number of MS-CHAPv2 (RFC 2759 6).
        code: Option<u32>,
        /// The server's message, lossy.
        message: String,
    },
    /// Authentication failed; `Down` follows.
    AuthFailed {
        /// User name, as far as it is known.
        user: String,
        /// Why.
        reason: AuthFailure,
    },
    /// IPCP is open: IPv4 packets may pass.
    Ipv4Up {
        /// Our address.
        local: Ipv4Addr,
        /// The peer's address; 0.0.0.0 if a server does not tell the client.
        peer: Ipv4Addr,
        /// Resolvers: offered by a server, learnt by a client.
        dns: Vec<Ipv4Addr>,
        /// NetBIOS name servers, likewise.
        wins: Vec<Ipv4Addr>,
    },
    /// IPCP is open no longer.
    Ipv4Down,
    /// IPv6CP is open: IPv6 packets may pass.
    Ipv6Up {
        /// Our interface identifier.
        local_interface_id: u64,
        /// The peer's interface identifier.
        peer_interface_id: u64,
    },
    /// IPv6CP is open no longer.
    Ipv6Down,
    /// IPv4 will not come up: the peer does not know IPCP, does not answer it or does not agree;
    /// [`Link::ipcp_state`](crate::Link::ipcp_state) says which.
    Ipv4Refused,
    /// IPv6 will not come up; [`Link::ipv6cp_state`](crate::Link::ipv6cp_state) says why.
    Ipv6Refused,
    /// Client: ACSCP has opened, with nothing in it yet, or a list has come whole; all that is known
    /// each time.
    Acscp(Acscp),
    /// The link has ended; the last event. Everything that had been up is down.
    Down {
        /// Why.
        reason: DownReason,
    },
}

/// Why authentication failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// Server: the verdict.
    #[error("{0}")]
    Rejected(RejectReason),
    /// It took too long.
    #[error("no authentication in time")]
    Timeout,
    /// Server: no EAP method is left that both ends have.
    #[error("{}", eap_text(wanted, allowed))]
    EapMethod {
        /// The EAP types that the client names instead (RFC 3748 5.3.1).
        wanted: Vec<u8>,
        /// What is allowed here.
        allowed: Vec<AuthMethod>,
    },
    /// EAP-TLS came to nothing in TLS.
    #[error("TLS: {0}")]
    Tls(TlsFailure),
    /// Client: the server says no.
    #[error("the server rejects the login{}: {message}", code_text(*code))]
    RejectedByPeer {
        /// The error number of MS-CHAPv2 (RFC 2759 6).
        code: Option<u32>,
        /// The server's message, lossy.
        message: String,
    },
    /// Client: the server does not know the password either (RFC 2759 5).
    #[error("the server could not prove that it knows the password")]
    ServerNotAuthentic,
}

fn eap_text(wanted: &[u8], allowed: &[AuthMethod]) -> String {
    let list = |texts: Vec<String>| match texts.is_empty() {
        true => "nothing else".to_owned(),
        false => texts.join(", "),
    };
    let wanted = wanted.iter().filter(|kind| **kind != 0);
    let wanted = list(wanted.map(|kind| format!("EAP type {kind}")).collect());
    let allowed = list(allowed.iter().map(AuthMethod::to_string).collect());
    format!("client wants {wanted}; allowed: {allowed}; see ppp.auth")
}

fn code_text(code: Option<u32>) -> String {
    code.map(|code| format!(" (error {code})"))
        .unwrap_or_default()
}

/// Why the owner ends a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CloseReason {
    /// Somebody wants it so.
    #[error("administrative")]
    Administrative,
    /// No traffic for too long.
    #[error("idle")]
    Idle,
    /// The longest time that a session may last is over.
    #[error("session time limit")]
    SessionLimit,
}

/// Why a link has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// The peer sent a Terminate-Request.
    #[error("terminated by the peer{}", ras_text(*ras_error))]
    PeerTerminated {
        /// The error number that Windows writes into it.
        ras_error: Option<u32>,
    },
    /// The peer does not answer Echo-Requests and sends nothing else.
    #[error("the peer does not answer echo requests")]
    EchoTimeout,
    /// Authentication failed.
    #[error("authentication failed: {0}")]
    AuthFailed(AuthFailure),
    /// LCP came to no agreement.
    #[error("LCP failed: {0}")]
    NegotiationFailed(Failure),
    /// Neither IPv4 nor IPv6 is possible.
    #[error("neither IPv4 nor IPv6 can be agreed on")]
    NoNetwork,
    /// [`Link::close`](crate::Link::close) was called.
    #[error("closed by us ({0})")]
    ClosedByUs(CloseReason),
    /// The link is connected to itself.
    #[error("the link is looped back")]
    LoopedBack,
}

fn ras_text(error: Option<u32>) -> String {
    error
        .map(|error| format!(" (RAS error {error})"))
        .unwrap_or_default()
}

/// How far an NCP has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NcpState {
    /// It has not begun: LCP or authentication is not done.
    Waiting,
    /// It is not served on this link.
    NotServed,
    /// It runs; this is the state of its automaton.
    Running(State),
    /// The peer does not know it (Protocol-Reject).
    Rejected,
    /// The two ends did not agree.
    Failed(Failure),
}

impl std::fmt::Display for NcpState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Waiting => f.write_str("waiting"),
            Self::NotServed => f.write_str("not served"),
            Self::Running(state) => state.fmt(f),
            Self::Rejected => f.write_str("rejected"),
            Self::Failed(failure) => write!(f, "failed: {failure}"),
        }
    }
}
