//! ISAKMP messages as bytes: RFC 2408 section 3, the IPsec DOI of RFC 2407 section 4, and the
//! payloads that RFC 3947 adds. Parsers borrow from the message, check every length once and bound
//! every count. Nothing here knows keys or state; reserved bytes are ignored, as peers fill them.

mod attribute;
mod certificate;
mod fragment;
mod header;
mod id;
mod nat;
mod notification;
mod payload;
mod sa;

#[cfg(test)]
mod tests;

use adit_wire::Truncated;

pub use attribute::{Attribute, Attributes, Value, put_tlv, put_tv};
pub use certificate::{certificates, write_certificate, write_certificate_request};
pub use fragment::{FRAGMENT_HEADER_LEN, Fragment, FragmentError};
pub use header::{HEADER_LEN, Header, exchange, parse_header};
pub use id::{IdValue, Selector};
pub use nat::{parse_nat_oa, write_nat_oa};
pub(crate) use notification::notify_name;
pub use notification::{Delete, Notify, notify};
pub use payload::{Builder, MAX_PAYLOADS, Payload, Payloads, kind};
pub use sa::{MAX_PROPOSALS, MAX_TRANSFORMS, Proposal, SecurityAssociation, Transform, protocol};

/// Shortest and longest body of a nonce payload (RFC 2409 section 5).
const NONCE_LEN: std::ops::RangeInclusive<usize> = 8..=256;

/// Why bytes are not a message of this protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A field reaches past the end.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The major version is not 1.
    #[error("ISAKMP version {0:#04x}")]
    Version(u8),
    /// A length field contradicts what is there.
    #[error("a length field of {field} in {actual} bytes")]
    Length {
        /// What the field says.
        field: usize,
        /// What there is.
        actual: usize,
    },
    /// The initiator cookie is zero.
    #[error("the initiator cookie is zero")]
    ZeroCookie,
    /// More of something than any real peer sends.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most that is taken.
        limit: usize,
    },
    /// A payload that IKEv1 does not have, such as one of IKEv2.
    #[error("payload type {0} is not of IKEv1")]
    PayloadKind(u8),
    /// A payload that may stand once stands twice.
    #[error("payload type {0} stands twice")]
    Duplicate(u8),
    /// A payload that must be there is not.
    #[error("payload type {0} is missing")]
    Missing(u8),
    /// A payload stands where another one must.
    #[error("payload type {found} where {wanted} must stand")]
    Order {
        /// What stands there.
        found: u8,
        /// What must.
        wanted: u8,
    },
    /// Not the IPsec DOI.
    #[error("domain of interpretation {0}")]
    Doi(u32),
    /// Not SIT_IDENTITY_ONLY.
    #[error("situation {0:#x}")]
    Situation(u32),
    /// A count field contradicts what is there.
    #[error("a count of {field} where {actual} follow")]
    Count {
        /// What the field says.
        field: usize,
        /// What there is.
        actual: usize,
    },
    /// An identification whose data does not fit its type.
    #[error("an identification of type {kind} with {length} bytes")]
    Id {
        /// The ID type (RFC 2407 4.6.2.1).
        kind: u8,
        /// Length of its data.
        length: usize,
    },
    /// An SPI whose length does not fit its protocol.
    #[error("an SPI of {length} bytes for protocol {protocol}")]
    Spi {
        /// The protocol (RFC 2407 4.4.1).
        protocol: u8,
        /// Length of the SPI.
        length: usize,
    },
    /// A nonce outside of 8 to 256 bytes (RFC 2409 section 5).
    #[error("a nonce of {0} bytes")]
    Nonce(usize),
    /// A key exchange value whose length is not that of its group.
    #[error("a key exchange value of {found} bytes, the group has {wanted}")]
    KeyExchange {
        /// Bytes that arrived.
        found: usize,
        /// Bytes that the group has.
        wanted: usize,
    },
    /// A certificate that is empty, or longer than any in use.
    #[error("a certificate of {0} bytes")]
    Certificate(usize),
    /// A signature where a hash must stand, or the other way round.
    #[error("payload type {0} does not belong to this authentication method")]
    Misplaced(u8),
    /// An encrypted body that is empty or no whole number of cipher blocks.
    #[error("an encrypted body of {0} bytes")]
    Blocks(usize),
}

/// Checks the length of a nonce.
pub(crate) fn check_nonce(nonce: &[u8]) -> Result<&[u8], DecodeError> {
    if NONCE_LEN.contains(&nonce.len()) {
        Ok(nonce)
    } else {
        Err(DecodeError::Nonce(nonce.len()))
    }
}
