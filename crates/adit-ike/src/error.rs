//! Why a received message was not taken.

use adit_wire::{LengthTooLarge, Transmit};

use crate::authentication::Authentication;
use crate::codec::{DecodeError, FragmentError, IdValue};
use crate::config::Phase1Proposal;

/// Why [`IkeSa::handle_message`](crate::IkeSa::handle_message) did not take a message. None of
/// these ends the SA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Malformed, whoever sent it.
    #[error("malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// A fragment that was not taken, or that contradicts those before it.
    #[error(transparent)]
    Fragment(#[from] FragmentError),
    /// The cookies are of another SA.
    #[error("the cookies are of another SA")]
    Cookies,
    /// Not authentic: a hash does not hold, or what must be encrypted is not.
    #[error("not authentic: {0}")]
    NotAuthentic(&'static str),
    /// A message of phase 2 before phase 1 is done.
    #[error("phase 2 before phase 1 is done")]
    Premature,
    /// An exchange type that is not supported, or not that of this SA's phase 1.
    #[error("exchange type {0} is not supported here")]
    Exchange(u8),
    /// Out of place in its exchange.
    #[error("out of place: {0}")]
    Unexpected(&'static str),
    /// A message ID that was used before.
    #[error("message ID {0:#010x} was used before")]
    Replayed(u32),
    /// Too many exchanges at once.
    #[error("too many exchanges at once")]
    TooManyExchanges,
    /// The SA has ended.
    #[error("the SA has ended")]
    Closed,
    /// Our own answer does not fit its length fields.
    #[error("the answer cannot be built: {0}")]
    Encode(#[from] LengthTooLarge),
}

/// Why a first message created no SA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// A notification for the sender, if it deserves one; never longer than what it sent.
    pub notify: Option<Transmit>,
    /// Why.
    pub reason: RefusalReason,
}

/// See [`Refusal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// Malformed.
    #[error("malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// Not the first message of an exchange.
    #[error("not the first message of an exchange")]
    NotFirst,
    /// An exchange type that is not supported, or aggressive mode where no key is for it.
    #[error("exchange type {0} is not supported")]
    Exchange(u8),
    /// A fragment: nothing is kept for cookies that nobody holds.
    #[error("a fragment of a first message")]
    Fragment,
    /// None of the peer's proposals is allowed here.
    #[error("no proposal chosen; offered: {}; allowed: {}", offered.join(", "), allowed.join(", "))]
    NoProposalChosen {
        /// What the peer offered.
        offered: Vec<String>,
        /// What the configuration and the credentials allow.
        allowed: Vec<String>,
        /// What is offered and could be allowed, the first that is not weak if there is one.
        usable: Option<Phase1Proposal>,
        /// The method that is missing, if nothing else is.
        missing: Option<Authentication>,
    },
    /// Aggressive mode in the name of somebody who has no key for it.
    #[error("aggressive mode in the name of {0}, who has no pre-shared key for it")]
    UnknownIdentity(IdValue),
    /// The answer cannot be built.
    #[error("the answer cannot be built: {0}")]
    Encode(#[from] LengthTooLarge),
}
