//! The chain of payloads behind the header, RFC 2408 section 3.2.

use adit_wire::{LengthTooLarge, Reader, Writer};

use super::DecodeError;

/// More payloads than this in one message is an attack, not a peer: Apple's first message, the
/// longest in use, has fifteen.
pub const MAX_PAYLOADS: usize = 48;

/// Payload types (RFC 2408 3.1, RFC 3947 section 8).
pub mod kind {
    /// No further payload.
    pub const NONE: u8 = 0;
    /// Security Association.
    pub const SA: u8 = 1;
    /// Key Exchange.
    pub const KE: u8 = 4;
    /// Identification.
    pub const ID: u8 = 5;
    /// Certificate.
    pub const CERT: u8 = 6;
    /// Certificate Request.
    pub const CERTREQ: u8 = 7;
    /// Hash.
    pub const HASH: u8 = 8;
    /// Signature.
    pub const SIG: u8 = 9;
    /// Nonce.
    pub const NONCE: u8 = 10;
    /// Notification.
    pub const NOTIFY: u8 = 11;
    /// Delete.
    pub const DELETE: u8 = 12;
    /// Vendor ID.
    pub const VENDOR: u8 = 13;
    /// Attributes (mode configuration), the last number that RFC 2408 era peers use.
    pub const ATTRIBUTES: u8 = 14;
    /// NAT discovery.
    pub const NAT_D: u8 = 20;
    /// NAT original address.
    pub const NAT_OA: u8 = 21;
    /// NAT discovery, as the drafts number it.
    pub const NAT_D_DRAFT: u8 = 130;
    /// NAT original address, as the drafts number it.
    pub const NAT_OA_DRAFT: u8 = 131;
    /// A fragment of a message, see [`Fragment`](super::super::Fragment).
    pub const FRAGMENT: u8 = 132;
}

/// One payload without its generic header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// Its type, see [`kind`].
    pub kind: u8,
    /// What follows the generic header.
    pub body: &'a [u8],
}

/// The payloads of one message, in order.
#[derive(Clone, Debug)]
pub struct Payloads<'a> {
    list: Vec<Payload<'a>>,
    after_first: &'a [u8],
}

impl<'a> Payloads<'a> {
    /// Reads the chain that starts with type `first` at the front of `body`. What follows the last
    /// payload is padding. Types that IKEv1 does not know are refused (RFC 2408 5.3), those of the
    /// private range passed over by whoever looks for payloads.
    pub fn parse(first: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut list = Vec::new();
        let mut reader = Reader::new(body);
        let mut next = first;
        let mut first_len = 0;
        while next != kind::NONE {
            let known = next <= kind::ATTRIBUTES || next == kind::NAT_D || next == kind::NAT_OA;
            if !known && next < 128 {
                return Err(DecodeError::PayloadKind(next));
            }
            if list.len() == MAX_PAYLOADS {
                return Err(DecodeError::TooMany {
                    what: "payloads",
                    limit: MAX_PAYLOADS,
                });
            }
            let following = reader.u8()?;
            let _reserved = reader.u8()?;
            let length = usize::from(reader.u16()?);
            let body_len = length.checked_sub(4).ok_or(DecodeError::Length {
                field: length,
                actual: reader.left().saturating_add(4),
            })?;
            list.push(Payload {
                kind: next,
                body: reader.bytes(body_len)?,
            });
            if list.len() == 1 {
                first_len = length;
            }
            next = following;
        }
        let end = body.len().saturating_sub(reader.left());
        Ok(Self {
            list,
            after_first: body.get(first_len..end).unwrap_or_default(),
        })
    }

    /// All payloads.
    pub fn iter(&self) -> impl Iterator<Item = Payload<'a>> + '_ {
        self.list.iter().copied()
    }

    /// The bodies of every payload of type `kind`.
    pub fn all(&self, kind: u8) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.list
            .iter()
            .filter(move |payload| payload.kind == kind)
            .map(|payload| payload.body)
    }

    /// The body of the only payload of type `kind`, if there is one.
    pub fn optional(&self, kind: u8) -> Result<Option<&'a [u8]>, DecodeError> {
        let mut all = self.all(kind);
        let first = all.next();
        match all.next() {
            None => Ok(first),
            Some(_) => Err(DecodeError::Duplicate(kind)),
        }
    }

    /// The body of the only payload of type `kind`.
    pub fn required(&self, kind: u8) -> Result<&'a [u8], DecodeError> {
        self.optional(kind)?.ok_or(DecodeError::Missing(kind))
    }

    /// The body of the first payload, which must be of type `kind`.
    pub fn leading(&self, kind: u8) -> Result<&'a [u8], DecodeError> {
        match self.list.first() {
            Some(payload) if payload.kind == kind => Ok(payload.body),
            Some(payload) => Err(DecodeError::Order {
                found: payload.kind,
                wanted: kind,
            }),
            None => Err(DecodeError::Missing(kind)),
        }
    }

    /// The bytes of all payloads but the first, generic headers included and padding excluded:
    /// what the hashes of phase 2 cover (RFC 2409 5.5).
    pub fn after_first(&self) -> &'a [u8] {
        self.after_first
    }
}

/// Builds a chain of payloads.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    first: u8,
    last: Option<usize>,
    writer: Writer,
}

impl Builder {
    /// An empty chain.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a payload.
    pub fn push(&mut self, kind: u8, body: &[u8]) -> Result<&mut Self, LengthTooLarge> {
        let length = body.len().saturating_add(4);
        let field = u16::try_from(length).map_err(|_| LengthTooLarge(length))?;
        match self.last {
            None => self.first = kind,
            Some(at) => self.writer.patch(at, &[kind]),
        }
        self.last = Some(self.writer.len());
        self.writer.u8(kind::NONE).u8(0).u16(field).bytes(body);
        Ok(self)
    }

    /// The chain of one payload followed by `rest`.
    pub fn before(kind: u8, body: &[u8], rest: &Self) -> Result<Self, LengthTooLarge> {
        let mut chain = Self::new();
        chain.push(kind, body)?;
        if let Some(last) = rest.last {
            chain.writer.patch(0, &[rest.first]);
            chain.last = Some(chain.writer.len().saturating_add(last));
            chain.writer.bytes(rest.bytes());
        }
        Ok(chain)
    }

    /// Type of the first payload, for the header.
    pub fn first(&self) -> u8 {
        self.first
    }

    /// The chain's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.writer.as_slice()
    }
}
