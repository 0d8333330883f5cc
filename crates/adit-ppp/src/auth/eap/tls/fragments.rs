//! EAP-TLS packets behind their type (RFC 5216 3.1, 2.1.5): flags, the length of what is cut, fragments.

use adit_wire::{Reader, Writer};

use super::MOST;
use crate::error::Error;
use crate::tls::TlsFailure;

const LENGTH: u8 = 0x80;
const MORE: u8 = 0x40;
const START: u8 = 0x20;

/// Code, identifier and length of EAP, its type, our flags and length.
const OVERHEAD: usize = 4 + 1 + 1 + 4;

/// An acknowledgement, and an answer that has nothing to say: no flags, no data.
pub(super) const NOTHING: &[u8] = &[0];

/// The request that begins it.
pub(super) const BEGIN: &[u8] = &[START];

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) start: bool,
    more: bool,
    /// Length of the whole.
    length: Option<u32>,
    data: &'a [u8],
}

impl<'a> Fragment<'a> {
    pub(super) fn read(data: &'a [u8]) -> Result<Self, Error> {
        let wrong = |_| Error::Malformed("EAP-TLS flags");
        let mut reader = Reader::new(data);
        let flags = reader.u8().map_err(wrong)?;
        let length = match flags & LENGTH {
            0 => None,
            _ => Some(reader.u32().map_err(wrong)?),
        };
        Ok(Self {
            start: flags & START != 0,
            more: flags & MORE != 0,
            length,
            data: reader.rest(),
        })
    }

    /// Whether it only acknowledges.
    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && !self.more
    }
}

/// What is being put together.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    whole: Option<u32>,
    bytes: Vec<u8>,
}

impl Incoming {
    /// Takes a fragment; gives the records when they are whole. Nothing is reserved for what a length
    /// claims.
    pub(super) fn take(&mut self, fragment: &Fragment<'_>) -> Result<Option<Vec<u8>>, TlsFailure> {
        if self.bytes.is_empty() {
            self.whole = fragment.length;
        }
        // Later fragments may repeat the length, but not another one.
        let same = fragment.length.is_none() || fragment.length == self.whole;
        let whole = self.whole.map_or(MOST, |whole| whole as usize);
        let length = self.bytes.len() + fragment.data.len();
        // More to come of something that is complete, or of nothing.
        let stuck = fragment.more && (fragment.data.is_empty() || Some(length) == self.whole_len());
        if !same || whole > MOST || length > whole || stuck {
            let claimed = self.whole.map_or(length as u64, u64::from);
            return Err(TlsFailure::Length(claimed));
        }
        self.bytes.extend_from_slice(fragment.data);
        if fragment.more {
            return Ok(None);
        }
        if self.whole_len().is_some_and(|whole| whole != length) {
            return Err(TlsFailure::Length(whole as u64));
        }
        Ok(Some(std::mem::take(&mut self.bytes)))
    }

    fn whole_len(&self) -> Option<usize> {
        self.whole.map(|whole| whole as usize)
    }
}

/// What is being sent.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    at: usize,
}

impl Outgoing {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Type data of the next packet, for a peer that takes packets of `room` bytes.
    pub(super) fn next(&mut self, room: usize) -> Vec<u8> {
        let room = room.saturating_sub(OVERHEAD).max(64);
        let end = self.bytes.len().min(self.at + room);
        let (first, more) = (self.at == 0, end < self.bytes.len());
        let mut flags = 0;
        if more {
            flags |= MORE;
        }
        let mut data = Writer::new();
        if first && more {
            // cast: a flight is far below 4 GiB
            data.u8(flags | LENGTH).u32(self.bytes.len() as u32);
        } else {
            data.u8(flags);
        }
        data.bytes(self.bytes.get(self.at..end).unwrap_or_default());
        self.at = end;
        data.into_vec()
    }
}
