//! One packet that stands for several, taken apart.

use std::ops::Range;

use crate::buffer::{NoRoom, PacketBuf};
use crate::checksum::{Sum, internet};
use crate::ip::{Family, IpError, IpHeader, protocol};
use crate::reader::Truncated;
use crate::{tcp, udp};

use super::{
    CWR, DATA_OFFSET, ECN, FIN, FLAGS, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, PSH,
    SEQUENCE, TCP_CHECKSUM, VirtioHeader, put, take,
};

/// Why a packet cannot be what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffloadError {
    /// Its [`VirtioHeader`] is not whole.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Its IP header is malformed.
    #[error(transparent)]
    Ip(#[from] IpError),
    /// A kind that nobody asked the kernel for.
    #[error("segmentation of kind {kind}, size {size}")]
    Kind {
        /// The kind of segmentation.
        kind: u8,
        /// The payload of each segment.
        size: u16,
    },
    /// The upper-layer header is not where it is said to be, or not that of the kind.
    #[error("no header of kind {kind} at {at}")]
    Transport {
        /// The kind of segmentation.
        kind: u8,
        /// Where the header ought to be.
        at: u16,
    },
    /// The checksum is past the end.
    #[error("a checksum at {at} in {actual} bytes")]
    Checksum {
        /// Where it ought to be.
        at: usize,
        /// Length of the packet.
        actual: usize,
    },
    /// A buffer does not take the segment.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

/// The packets that one packet with its [`VirtioHeader`] stands for, with all checksums complete.
/// To be asked for one after the other, each time with the same packet.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    kind: Kind,
    progress: Progress,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Where the next one's payload starts.
    next: usize,
    /// How many there were.
    index: u16,
    done: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// One packet, and where its checksum starts and is, if it is to be completed.
    Whole(Option<(usize, usize)>),
    Tcp(Layout),
    Udp(Layout),
}

#[derive(Clone, Copy, Debug)]
struct Layout {
    ip: IpHeader,
    /// Length of all headers.
    headers: usize,
    /// Payload of each but the last.
    size: usize,
    /// What all have in common of the checksum of an IPv4 header, and of that of the upper layer.
    network: Sum,
    upper: Sum,
}

impl Segments {
    /// Of `packet`, by what `header` says of it.
    pub fn new(header: &VirtioHeader, packet: &[u8]) -> Result<Self, OffloadError> {
        let kind = match header.gso_type & !ECN {
            GSO_NONE if header.flags & NEEDS_CSUM == 0 => Kind::Whole(None),
            GSO_NONE => Kind::Whole(Some(partial(header, packet)?)),
            GSO_TCPV4 => Kind::Tcp(layout(header, packet, protocol::TCP, Some(Family::V4))?),
            GSO_TCPV6 => Kind::Tcp(layout(header, packet, protocol::TCP, Some(Family::V6))?),
            GSO_UDP_L4 => Kind::Udp(layout(header, packet, protocol::UDP, None)?),
            _ => return Err(unknown(header)),
        };
        let next = match kind {
            Kind::Whole(_) => 0,
            Kind::Tcp(layout) | Kind::Udp(layout) => layout.headers,
        };
        let progress = Progress {
            next,
            index: 0,
            done: false,
        };
        Ok(Self { kind, progress })
    }

    /// What the IP header of a segment of so many bytes says, which is that of the packet but for the
    /// length; `None` if the packet stands for itself only.
    pub fn ip_header(&self, length: usize) -> Option<IpHeader> {
        match &self.kind {
            Kind::Whole(_) => None,
            Kind::Tcp(layout) | Kind::Udp(layout) => Some(IpHeader {
                end: length,
                ..layout.ip
            }),
        }
    }

    /// Length of the next one; 0 when there is none left.
    pub fn next_len(&self, packet: &[u8]) -> usize {
        match &self.kind {
            _ if self.progress.done => 0,
            Kind::Whole(_) => packet.len(),
            Kind::Tcp(layout) | Kind::Udp(layout) => {
                let left = packet.len().saturating_sub(self.progress.next);
                layout.headers + left.min(layout.size)
            }
        }
    }

    /// Writes the next one into `buf` from its start on. False when there is none left; an error
    /// says that it does not fit, and skips it.
    pub fn next(&mut self, packet: &[u8], buf: &mut PacketBuf) -> Result<bool, OffloadError> {
        let Self { kind, progress } = self;
        if progress.done {
            return Ok(false);
        }
        match kind {
            Kind::Whole(checksum) => {
                progress.done = true;
                room(buf, packet.len())?.copy_from_slice(packet);
                buf.set_len(packet.len());
                if let Some(partial) = checksum {
                    finish(buf.as_mut_slice(), *partial);
                }
            }
            Kind::Tcp(layout) => {
                let (offset, is_first) = (progress.next - layout.headers, progress.index == 0);
                let (index, payload) = progress.piece(layout, packet);
                let header = layout.upper_header(packet);
                // cast: an offset in a packet of at most 64 KiB
                let sequence = u32::from_be_bytes(take(header, SEQUENCE));
                let sequence = sequence.wrapping_add(offset as u32).to_be_bytes();
                let [words, mut flags] = take(header, DATA_OFFSET);
                if !progress.done {
                    flags &= !(FIN | PSH);
                }
                if !is_first {
                    flags &= !CWR;
                }
                let sum = layout.upper.bytes(&sequence).bytes(&[words, flags]);
                let sum = layout.checksum(sum, payload);
                let segment = layout.write(packet, index, payload, buf)?;
                put(segment, SEQUENCE, sequence);
                put(segment, FLAGS, [flags]);
                put(segment, TCP_CHECKSUM, sum.to_be_bytes());
            }
            Kind::Udp(layout) => {
                let (index, payload) = progress.piece(layout, packet);
                // cast: at most the size of a packet
                let length = ((udp::HEADER_LEN + payload.len()) as u16).to_be_bytes();
                let sum = layout.checksum(layout.upper.bytes(&length), payload);
                let datagram = layout.write(packet, index, payload, buf)?;
                put(datagram, 4, length);
                put(datagram, 6, not_none(sum).to_be_bytes());
            }
        }
        Ok(true)
    }
}

impl Progress {
    /// The next piece of payload and which one it is.
    fn piece<'p>(&mut self, layout: &Layout, packet: &'p [u8]) -> (u16, &'p [u8]) {
        let left = packet.get(self.next..).unwrap_or_default();
        let payload = left.get(..layout.size).unwrap_or(left);
        let index = self.index;
        self.next += payload.len();
        self.index = index.wrapping_add(1);
        self.done = payload.len() == left.len();
        (index, payload)
    }
}

impl Layout {
    fn upper_header<'p>(&self, packet: &'p [u8]) -> &'p [u8] {
        let header = packet.get(self.ip.payload_start..self.headers);
        header.unwrap_or_default()
    }

    /// The upper-layer checksum over what `sum` has and a payload.
    fn checksum(&self, sum: Sum, payload: &[u8]) -> u16 {
        let length = self.headers - self.ip.payload_start + payload.len();
        // cast: at most the size of a packet
        sum.bytes(&(length as u32).to_be_bytes())
            .bytes(payload)
            .finish()
    }

    /// Copies headers and a payload, and makes the IP header fit. Returns the upper-layer header and
    /// what follows it.
    ///
    /// Nothing that is written here is read again: what was just written in parts, a processor gives
    /// back as a whole only once all that was written before it is in the cache.
    fn write<'b>(
        &self,
        packet: &[u8],
        index: u16,
        payload: &[u8],
        buf: &'b mut PacketBuf,
    ) -> Result<&'b mut [u8], OffloadError> {
        let headers = packet.get(..self.headers).unwrap_or_default();
        let length = headers.len() + payload.len();
        let to = room(buf, length)?;
        if let Some((front, back)) = to.split_at_mut_checked(headers.len()) {
            front.copy_from_slice(headers);
            back.copy_from_slice(payload);
        }
        buf.set_len(length);
        let start = self.ip.payload_start;
        let (ip, upper) = buf
            .as_mut_slice()
            .split_at_mut_checked(start)
            .unwrap_or_default();
        match self.ip.family() {
            Family::V4 => {
                // cast: at most the packet's own total length
                let length = (length as u16).to_be_bytes();
                let identification = u16::from_be_bytes(take(headers, 4)).wrapping_add(index);
                let sum = self.network.bytes(&length).u16(identification).finish();
                put(ip, 2, length);
                put(ip, 4, identification.to_be_bytes());
                put(ip, 10, sum.to_be_bytes());
            }
            Family::V6 => {
                let length = length - Family::V6.header_len();
                // cast: at most the packet's own payload length
                put(ip, 4, (length as u16).to_be_bytes());
            }
        }
        Ok(upper)
    }
}

/// Completes, in place, a packet that [stands for itself only](VirtioHeader::is_single).
pub fn complete(header: &VirtioHeader, packet: &mut [u8]) -> Result<(), OffloadError> {
    if !header.is_single() {
        return Err(unknown(header));
    }
    if header.flags & NEEDS_CSUM != 0 {
        let partial = partial(header, packet)?;
        finish(packet, partial);
    }
    Ok(())
}

/// Makes a partial checksum whole.
fn finish(packet: &mut [u8], (start, at): (usize, usize)) {
    let sum = internet(packet.get(start..).unwrap_or_default());
    put(packet, at, not_none(sum).to_be_bytes());
}

/// Where the partial checksum of a packet starts and is.
fn partial(header: &VirtioHeader, packet: &[u8]) -> Result<(usize, usize), OffloadError> {
    let start = usize::from(header.checksum_start);
    let at = start + usize::from(header.checksum_offset);
    if at + 2 > packet.len() {
        return Err(OffloadError::Checksum {
            at,
            actual: packet.len(),
        });
    }
    Ok((start, at))
}

fn layout(
    header: &VirtioHeader,
    packet: &[u8],
    of: u8,
    family: Option<Family>,
) -> Result<Layout, OffloadError> {
    if header.gso_size == 0 {
        return Err(unknown(header));
    }
    let elsewhere = OffloadError::Transport {
        kind: header.gso_type,
        at: header.checksum_start,
    };
    let ip = IpHeader::parse(packet)?;
    let start = ip.payload_start;
    if family.is_some_and(|family| family != ip.family())
        || ip.protocol != of
        || ip.later_fragment
        || ip.end != packet.len()
        || start != usize::from(header.checksum_start)
    {
        return Err(elsewhere);
    }
    let transport = packet.get(start..).unwrap_or_default();
    let (least, length) = if of == protocol::TCP {
        let [words] = take(transport, DATA_OFFSET);
        (tcp::HEADER_LEN, usize::from(words >> 4) * 4)
    } else {
        (udp::HEADER_LEN, udp::HEADER_LEN)
    };
    if length < least || transport.len() < length {
        return Err(elsewhere);
    }
    // All but what differs, the checksums themselves, and what may be odd.
    let part = |bytes: &[u8], range: Range<usize>| {
        let part = bytes.get(range).unwrap_or_default();
        Sum::new().bytes(part)
    };
    let network = part(packet, 0..2) + part(packet, 6..10) + part(packet, 12..start);
    let pseudo = Sum::new().pseudo_header(ip.source, ip.destination, of, 0);
    let upper = pseudo
        + if of == protocol::TCP {
            part(transport, 0..4)
                + part(transport, 8..12)
                + part(transport, 14..16)
                + part(transport, 18..length)
        } else {
            part(transport, 0..4)
        };
    Ok(Layout {
        ip,
        headers: start + length,
        size: usize::from(header.gso_size),
        network,
        upper,
    })
}

fn unknown(header: &VirtioHeader) -> OffloadError {
    OffloadError::Kind {
        kind: header.gso_type,
        size: header.gso_size,
    }
}

/// A checksum in the form that does not say "none" (RFC 768).
fn not_none(sum: u16) -> u16 {
    if sum == 0 { 0xffff } else { sum }
}

/// So many bytes of `buf` from its start on.
fn room(buf: &mut PacketBuf, length: usize) -> Result<&mut [u8], NoRoom> {
    let spare = buf.spare_mut();
    let left = spare.len();
    spare.get_mut(..length).ok_or(NoRoom {
        needed: length,
        left,
    })
}
