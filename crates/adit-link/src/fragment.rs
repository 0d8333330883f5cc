//! IPv4 fragments (RFC 791 2.3, 3.2) of packets that are too long for a link and may be cut.
//! A packet that says Don't Fragment is never cut, nor is IPv6 (RFC 8200 4.5).

use adit_wire::checksum;
use adit_wire::ip::{Family, IpHeader};

const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;
/// What an option must have in its type to stand in every fragment (RFC 791 3.1).
const COPIED: u8 = 0x80;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const FIXED_LEN: usize = 20;

/// Cuts `packet`, whose header is `header`, into packets of at most `mtu` bytes, in their order. A
/// fragment may be cut again. `None` where it must not be cut (IPv6, Don't Fragment), has a
/// malformed option, or `mtu` leaves no room for 8 bytes behind the header.
pub fn fragments(packet: &[u8], header: &IpHeader, mtu: u16) -> Option<Vec<Vec<u8>>> {
    if header.family() != Family::V4 || header.dont_fragment {
        return None;
    }
    let first_header = packet.get(..header.payload_start)?;
    let later_header = without_options_of_the_first(first_header)?;
    let field = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]);
    let last_is_last = field & MORE_FRAGMENTS == 0;
    let mut offset = field & OFFSET_MASK;
    let mut rest = packet.get(header.payload())?;
    let mut fragments = Vec::new();
    let mut header = first_header;
    loop {
        let room = usize::from(mtu).checked_sub(header.len())?;
        let more = rest.len() > room;
        // All but the last are multiples of 8 bytes long (RFC 791 3.2).
        let length = if more { room & !7 } else { rest.len() };
        if more && length == 0 {
            return None;
        }
        let (data, left) = rest.split_at_checked(length)?;
        let flags = if more || !last_is_last {
            MORE_FRAGMENTS
        } else {
            0
        };
        fragments.push(fragment(header, data, flags | offset)?);
        if !more {
            return Some(fragments);
        }
        offset = offset.checked_add(u16::try_from(length / 8).ok()?)?;
        if offset > OFFSET_MASK {
            return None;
        }
        rest = left;
        header = &later_header;
    }
}

/// `header` around `data`, with its lengths, this flags and offset field, and a new checksum.
fn fragment(header: &[u8], data: &[u8], field: u16) -> Option<Vec<u8>> {
    let length = u16::try_from(header.len() + data.len()).ok()?;
    let mut packet = [header, data].concat();
    let units = u8::try_from(header.len() / 4).ok()?;
    *packet.first_mut()? = 0x40 | units;
    packet.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
    packet.get_mut(6..8)?.copy_from_slice(&field.to_be_bytes());
    packet.get_mut(10..12)?.fill(0);
    let sum = checksum::internet(packet.get(..header.len())?);
    packet.get_mut(10..12)?.copy_from_slice(&sum.to_be_bytes());
    Some(packet)
}

/// The header of the fragments after the first: only options that are to be copied stay.
fn without_options_of_the_first(header: &[u8]) -> Option<Vec<u8>> {
    let (fixed, mut options) = header.split_at_checked(FIXED_LEN)?;
    let mut later = fixed.to_vec();
    while let [kind, rest @ ..] = options {
        let length = match *kind {
            END_OF_OPTIONS => break,
            NO_OPERATION => 1,
            _ => usize::from(*rest.first()?).max(1),
        };
        if length < 2 && *kind != NO_OPERATION {
            return None;
        }
        let (option, left) = options.split_at_checked(length)?;
        if kind & COPIED != 0 {
            later.extend(option);
        }
        options = left;
    }
    later.resize(later.len().next_multiple_of(4), END_OF_OPTIONS);
    Some(later)
}

#[cfg(test)]
mod tests;
