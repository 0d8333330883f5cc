//! Many packets as one: what a TUN interface with IFF_VNET_HDR gives and takes. A `virtio_net_hdr`
//! (virtio 1.2, 5.1.6) before a packet says that its checksum is to be completed, or that it stands for
//! several TCP segments or UDP datagrams of one flow.
//!
//! [`Segments`] takes such a packet apart; [`Coalescer`] puts TCP segments together. Clients send
//! what is coalesced, so nothing that does not prove its checksums may become part of another packet.

mod coalesce;
mod segments;

pub use coalesce::Coalescer;
pub use segments::{OffloadError, Segments, complete};

use crate::reader::Truncated;

/// The checksum at the given place is that of a pseudo-header only, and is to be completed.
const NEEDS_CSUM: u8 = 1;

/// What a packet stands for; with [`ECN`] the first of its segments has CWR.
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const ECN: u8 = 0x80;

/// Where things are in a TCP header.
const SEQUENCE: usize = 4;
const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
const TCP_CHECKSUM: usize = 16;

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;

/// A `virtio_net_hdr`, whose numbers have the byte order of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioHeader {
    flags: u8,
    gso_type: u8,
    /// Length of all headers of the packet. A hint that is not always true.
    header_len: u16,
    /// Payload of each segment but the last.
    gso_size: u16,
    checksum_start: u16,
    /// From there.
    checksum_offset: u16,
}

impl VirtioHeader {
    /// Its length.
    pub const LEN: usize = 10;

    /// Reads it from the start of `bytes`, and returns what is behind it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Truncated> {
        let ([flags, gso_type, a, b, c, d, e, f, g, h], rest) =
            bytes.split_first_chunk().ok_or(Truncated {
                needed: Self::LEN,
                left: bytes.len(),
            })?;
        let header = Self {
            flags: *flags,
            gso_type: *gso_type,
            header_len: u16::from_ne_bytes([*a, *b]),
            gso_size: u16::from_ne_bytes([*c, *d]),
            checksum_start: u16::from_ne_bytes([*e, *f]),
            checksum_offset: u16::from_ne_bytes([*g, *h]),
        };
        Ok((header, rest))
    }

    /// Whether the packet stands for itself only: [`complete`] makes it what is sent.
    pub fn is_single(&self) -> bool {
        self.gso_type & !ECN == GSO_NONE
    }

    /// About how many packets one of so many bytes stands for, at least one.
    pub fn count(&self, length: usize) -> usize {
        let count = length.checked_div(self.gso_size.into());
        count.unwrap_or_default().max(1)
    }

    /// As it is written.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b] = self.header_len.to_ne_bytes();
        let [c, d] = self.gso_size.to_ne_bytes();
        let [e, f] = self.checksum_start.to_ne_bytes();
        let [g, h] = self.checksum_offset.to_ne_bytes();
        [self.flags, self.gso_type, a, b, c, d, e, f, g, h]
    }
}

/// Puts `value` at `at`, if there is such a place.
fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(field) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *field = value;
    }
}

/// The bytes at `at`; zeros past the end.
fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests;
