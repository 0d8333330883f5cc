//! The fragment payload of IKEv1, as Microsoft and Cisco define it: a piece of a whole ISAKMP
//! message, header included, alone behind a header of its own that is never encrypted.

use adit_wire::{Reader, Writer};

use super::{HEADER_LEN, Header, kind};

/// Bytes of a fragment's message in front of its data: ISAKMP header, generic header, fragment ID,
/// number and flags.
pub const FRAGMENT_HEADER_LEN: usize = HEADER_LEN + 8;

const FLAG_LAST: u8 = 1;

/// Why a fragment was not taken, or what was there before it is forgotten. None of these harms the
/// SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// The header says that the fragment is encrypted; only whole messages are.
    #[error("an encrypted fragment")]
    Encrypted,
    /// Another payload follows.
    #[error("payload type {0} behind a fragment")]
    Followed(u8),
    /// The payload's length is not that of what arrived.
    #[error("a fragment payload of {field} bytes in {actual}")]
    Length {
        /// What the length field says.
        field: usize,
        /// What there is.
        actual: usize,
    },
    /// No data.
    #[error("a fragment without data")]
    Empty,
    /// Fragments count from 1.
    #[error("a fragment of number 0")]
    NumberZero,
    /// More fragments than any real message has.
    #[error("a fragment of number {0}")]
    TooMany(u8),
    /// Another fragment of this number came before under the same ID.
    #[error("fragment {0} contradicts one that came before")]
    Conflict(u8),
    /// A fragment behind the last one, or a last one in front of others.
    #[error("fragment {0} contradicts the number of fragments")]
    PastLast(u8),
    /// Longer in total than any real message.
    #[error("fragments of {0} bytes in total")]
    TooLong(usize),
    /// Fragments that contain a fragment.
    #[error("a fragment made of fragments")]
    Nested,
}

/// A fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The same in all fragments of one message.
    pub id: u16,
    /// Its place, from 1.
    pub number: u8,
    /// Whether it is the last one.
    pub last: bool,
    /// Its piece of the message.
    pub data: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads the fragment of `message`, whose header says that there is one.
    pub fn parse(header: &Header, message: &'a [u8]) -> Result<Self, FragmentError> {
        if header.encrypted {
            return Err(FragmentError::Encrypted);
        }
        let body = header.body(message);
        let mut reader = Reader::new(body);
        let truncated = |_| FragmentError::Length {
            field: FRAGMENT_HEADER_LEN - HEADER_LEN,
            actual: body.len(),
        };
        let next = reader.u8().map_err(truncated)?;
        let _reserved = reader.u8().map_err(truncated)?;
        let field = usize::from(reader.u16().map_err(truncated)?);
        let id = reader.u16().map_err(truncated)?;
        let number = reader.u8().map_err(truncated)?;
        let flags = reader.u8().map_err(truncated)?;
        if next != kind::NONE {
            return Err(FragmentError::Followed(next));
        }
        if field != body.len() {
            return Err(FragmentError::Length {
                field,
                actual: body.len(),
            });
        }
        if number == 0 {
            return Err(FragmentError::NumberZero);
        }
        let data = reader.rest();
        if data.is_empty() {
            return Err(FragmentError::Empty);
        }
        Ok(Self {
            id,
            number,
            last: flags & FLAG_LAST != 0,
            data,
        })
    }

    /// The message that carries this fragment of a message with `header`. Data longer than a
    /// payload can be is cut.
    pub fn write(&self, header: &Header) -> Vec<u8> {
        let most = usize::from(u16::MAX) - (FRAGMENT_HEADER_LEN - HEADER_LEN);
        let data = self.data.get(..most).unwrap_or(self.data);
        let length = data.len().saturating_add(FRAGMENT_HEADER_LEN - HEADER_LEN);
        let mut writer = Writer::new();
        writer
            .u8(kind::NONE)
            .u8(0)
            .u16(u16::try_from(length).unwrap_or(u16::MAX))
            .u16(self.id)
            .u8(self.number)
            .u8(if self.last { FLAG_LAST } else { 0 })
            .bytes(data);
        Header {
            next_payload: kind::FRAGMENT,
            encrypted: false,
            commit: false,
            ..*header
        }
        .write(writer.as_slice())
    }
}
