//! Aggressive mode with pre-shared keys (RFC 2409 section 5.4, RFC 3947 section 4), for peers that
//! name the key by their identity in the clear. Message 2 gives whoever asks in that name a hash of
//! the key to guess at, so a name without a key for this mode gets no answer at all.

mod initiator;
mod responder;

use super::identity::read_id;
use crate::codec::{DecodeError, IdValue, Payloads, check_nonce, kind};

/// What message 1 says beside its offer.
pub(super) struct Introduction<'a> {
    pub(super) public: &'a [u8],
    nonce: &'a [u8],
    body: &'a [u8],
    pub(super) id: IdValue,
}

impl<'a> Introduction<'a> {
    pub(super) fn read(payloads: &Payloads<'a>) -> Result<Self, DecodeError> {
        let public = payloads.required(kind::KE)?;
        let nonce = check_nonce(payloads.required(kind::NONCE)?)?;
        let (body, id) = read_id(payloads)?;
        Ok(Self {
            public,
            nonce,
            body,
            id,
        })
    }
}

/// The peer's half of an aggressive mode that is under way.
pub(crate) struct Half {
    id: IdValue,
    /// The body of its ID payload.
    body: Vec<u8>,
    /// A responder's HASH_R.
    hash: Vec<u8>,
    /// The body of the SA payload that answers an initiator.
    chosen: Vec<u8>,
}
