//! What can be wrong with what a peer sends, sorted by what it costs: a datagram, a session or the
//! tunnel.

use crate::avp::{Attribute, AvpError};
use crate::header::DecodeError;
use crate::message::MessageType;
use crate::result::{CallDisconnect, CallResult, GeneralError, Stop, StopResult};
use crate::state::{SessionState, TunnelState};

/// Why [`Tunnel::handle_datagram`](crate::Tunnel::handle_datagram) did not accept a datagram.
/// Unless it says so, the tunnel goes on as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not an L2TP message; dropped.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A data message, which a tunnel has no use for.
    #[error("a data message where a control message was expected")]
    NotControl,
    /// The message is not addressed to this tunnel; dropped.
    #[error("a control message for tunnel {tunnel} reached tunnel {local}")]
    WrongTunnel {
        /// The tunnel ID in the header.
        tunnel: u16,
        /// Our own.
        local: u16,
    },
    /// A tunnel that nobody has opened yet got something else than an SCCRQ with Ns and Nr 0;
    /// dropped, and no state is kept.
    #[error("a control connection that begins with something else than an SCCRQ")]
    NotOpen,
    /// The peer opens a new control connection under the number of one that is being cleaned up, or
    /// that it must have forgotten: the old one is closed at once, without a word, and the new one
    /// takes its place when the SCCRQ is repeated.
    #[error("the peer has started anew")]
    StartedAnew,
    /// The peer opens a control connection while ours is on its way, and its SCCRQ loses by the
    /// tie breaker, or by both having the same value; dropped without a word (RFC 2661 4.4.3).
    #[error("the peer opened a control connection at the same time, and lost by the tie breaker")]
    Tie,
    /// The control connection is over; dropped.
    #[error("the control connection is closed")]
    Closed,
    /// Nr acknowledges what was never sent; dropped.
    #[error("Nr {nr} acknowledges messages that were never sent (the next is {next})")]
    BadNr {
        /// The field.
        nr: u16,
        /// The highest possible value.
        next: u16,
    },
    /// Beyond the receive window that we announced; dropped, and the peer is told what is expected.
    #[error("message {ns} is beyond the receive window, which begins with {expected}")]
    OutsideWindow {
        /// Number of the message.
        ns: u16,
        /// Number expected next.
        expected: u16,
    },
    /// Ahead of the message expected next, and too long to be held until that arrives; dropped
    /// likewise.
    #[error("message {ns} of {len} bytes is too long to be held until {expected} arrives")]
    TooLong {
        /// Number of the message.
        ns: u16,
        /// Number expected next.
        expected: u16,
        /// Length of the datagram.
        len: usize,
    },
    /// The peer asks on and on without acknowledging any answer; dropped without acknowledgement.
    #[error("{0} messages wait for the peer's acknowledgement")]
    Backlog(usize),
    /// A message for a session that does not exist (any more); ignored.
    #[error("{message} for unknown session {session}")]
    UnknownSession {
        /// The message.
        message: MessageType,
        /// The session ID in the header.
        session: u16,
    },
    /// ICRQ under a number that another session of the peer has; ignored, since a CDN would hit
    /// that session.
    #[error("the peer's session ID {0} is in use")]
    SessionInUse(u16),
    /// The peer cannot have the session: it was answered with CDN.
    #[error("session refused: {0}")]
    Session(Fault),
    /// The peer cannot have the tunnel: it was answered with StopCCN, or, where the message does
    /// not even say to whom, not at all.
    #[error("tunnel refused: {0}")]
    Tunnel(Fault),
}

/// What costs a peer a session or the tunnel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An AVP is malformed.
    #[error("malformed: {0}")]
    Avp(#[from] AvpError),
    /// The first AVP is not a readable Message Type.
    #[error("no Message Type at the front of the message")]
    NoMessageType,
    /// The type is unknown and the message insists (RFC 2661 4.4.1).
    #[error("unknown message type {0}")]
    UnknownMessage(u16),
    /// An AVP that the message must have is missing.
    #[error("{message} without {}", attribute.name())]
    Missing {
        /// The message.
        message: MessageType,
        /// What it lacks.
        attribute: Attribute,
    },
    /// An AVP is not recognized and has its M bit set (RFC 2661 4.1).
    #[error("mandatory AVP {attribute} of vendor {vendor}: {why}")]
    Unrecognized {
        /// Its vendor ID.
        vendor: u16,
        /// Its attribute type.
        attribute: u16,
        /// Why it is not recognized.
        why: Unrecognized,
    },
    /// The peer speaks another version of the protocol.
    #[error("protocol version {version}.{revision}; only 1.0 is supported")]
    ProtocolVersion {
        /// Version.
        version: u8,
        /// Revision.
        revision: u8,
    },
    /// The peer wants us to prove knowledge of a tunnel secret, and there is none.
    #[error(
        "the peer sent a Challenge, but no tunnel secret is configured: switch off tunnel authentication at the peer"
    )]
    Challenge,
    /// The peer does not answer our Challenge: it has no tunnel secret.
    #[error(
        "{0} without a Challenge Response: set the tunnel secret at the peer, or challenge nobody"
    )]
    NoChallengeResponse(MessageType),
    /// The peer's answer to our Challenge is wrong: it has another tunnel secret.
    #[error("{0} with a wrong Challenge Response: the tunnel secrets differ")]
    WrongChallengeResponse(MessageType),
    /// The message does not fit the state of the control connection (RFC 2661 7.2).
    #[error("{message} in state {state}")]
    UnexpectedOnTunnel {
        /// The message.
        message: MessageType,
        /// The state.
        state: TunnelState,
    },
    /// The message does not fit the state of the session (RFC 2661 7.4).
    #[error("{message} in state {state}")]
    UnexpectedOnSession {
        /// The message.
        message: MessageType,
        /// The state.
        state: SessionState,
    },
    /// The tunnel has as many sessions as it may have.
    #[error("all {0} sessions of the tunnel are in use")]
    TooManySessions(u16),
    /// OCRQ: nothing here can dial.
    #[error("outgoing calls are not supported")]
    OutgoingCall,
    /// ICRQ to the side that opened the tunnel as a LAC.
    #[error("incoming calls are not accepted here")]
    IncomingCall,
}

/// Why an AVP is not recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrecognized {
    /// The attribute type is not in RFC 2661.
    #[error("unknown attribute")]
    Attribute,
    /// It is some vendor's.
    #[error("unknown vendor")]
    Vendor,
    /// It is hidden, and there is no secret to read it with.
    #[error("hidden, but no tunnel secret is configured")]
    Hidden,
    /// It is hidden, and must not be.
    #[error("hidden, which it must not be")]
    MustNotBeHidden,
    /// A reserved bit is set.
    #[error("reserved bits are set")]
    ReservedBits,
}

impl Fault {
    /// The StopCCN that answers this fault (result and error codes of RFC 2661 4.4.2).
    pub fn stop(&self) -> Stop {
        let (result, error) = match self {
            // The error code is the highest version supported.
            Self::ProtocolVersion { .. } => (StopResult::PROTOCOL_VERSION, GeneralError(0x0100)),
            fault if fault.is_of_authentication() => {
                (StopResult::NOT_AUTHORIZED, GeneralError::NONE)
            }
            Self::UnexpectedOnTunnel { .. } | Self::UnexpectedOnSession { .. } => {
                (StopResult::STATE_MACHINE, GeneralError::NONE)
            }
            other => (StopResult::GENERAL, other.general_error()),
        };
        Stop {
            result,
            error,
            message: self.to_string(),
        }
    }

    /// The CDN that answers this fault (result and error codes of RFC 2661 4.4.2).
    pub fn disconnect(&self) -> CallDisconnect {
        let (result, error) = match self {
            Self::TooManySessions(_) => (CallResult::NO_FACILITIES_NOW, GeneralError::NO_RESOURCES),
            Self::OutgoingCall | Self::IncomingCall => {
                (CallResult::NO_FACILITIES, GeneralError::NONE)
            }
            other => (CallResult::GENERAL, other.general_error()),
        };
        CallDisconnect {
            result,
            error,
            message: self.to_string(),
            q931: None,
        }
    }

    /// Whether the peer failed tunnel authentication, or we did.
    pub const fn is_of_authentication(&self) -> bool {
        matches!(
            self,
            Self::Challenge | Self::NoChallengeResponse(_) | Self::WrongChallengeResponse(_)
        )
    }

    fn general_error(&self) -> GeneralError {
        match self {
            Self::Avp(AvpError::Value { .. } | AvpError::NoRandomVector(_))
            | Self::NoMessageType
            | Self::Missing { .. }
            | Self::ProtocolVersion { .. } => GeneralError::OUT_OF_RANGE,
            Self::Avp(_) => GeneralError::WRONG_LENGTH,
            Self::UnknownMessage(_) | Self::Unrecognized { .. } => GeneralError::UNKNOWN_MANDATORY,
            Self::UnexpectedOnTunnel { .. } | Self::UnexpectedOnSession { .. } => {
                GeneralError::INVALID_SESSION
            }
            Self::TooManySessions(_) => GeneralError::NO_RESOURCES,
            Self::Challenge
            | Self::NoChallengeResponse(_)
            | Self::WrongChallengeResponse(_)
            | Self::OutgoingCall
            | Self::IncomingCall => GeneralError::NONE,
        }
    }
}
