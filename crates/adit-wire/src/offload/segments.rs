//! One packet that stands for several, taken apart.

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
        Ok(Self {
            kind,
            next,
            index: 0,
            done: false,
        })
    }

    /// Length of the next one; 0 when there is none left.
    pub fn next_len(&self, packet: &[u8]) -> usize {
        match self.kind {
            _ if self.done => 0,
            Kind::Whole(_) => packet.len(),
            Kind::Tcp(layout) | Kind::Udp(layout) => {
                let left = packet.len().saturating_sub(self.next);
                layout.headers + left.min(layout.size)
            }
        }
    }

    /// Writes the next one into `buf` from its start on. False when there is none left; an error
    /// says that it does not fit, and skips it.
    pub fn next(&mut self, packet: &[u8], buf: &mut PacketBuf) -> Result<bool, OffloadError> {
        if self.done {
            return Ok(false);
        }
        match self.kind {
            Kind::Whole(checksum) => {
                self.done = true;
                room(buf, packet.len())?.copy_from_slice(packet);
                buf.set_len(packet.len());
                if let Some(partial) = checksum {
                    finish(buf.as_mut_slice(), partial);
                }
            }
            Kind::Tcp(layout) => {
                let (offset, is_first) = (self.next - layout.headers, self.index == 0);
                self.cut(&layout, packet, buf)?;
                let segment = layout.transport(buf);
                let flags = match segment.get_mut(FLAGS) {
                    Some(flags) => flags,
                    None => return Ok(false),
                };
                if !self.done {
                    *flags &= !(FIN | PSH);
                }
                if !is_first {
                    *flags &= !CWR;
                }
                // cast: an offset in a packet of at most 64 KiB
                let sequence = u32::from_be_bytes(take(segment, SEQUENCE));
                let sequence = sequence.wrapping_add(offset as u32);
                put(segment, SEQUENCE, sequence.to_be_bytes());
                put(segment, TCP_CHECKSUM, [0; 2]);
                let sum = layout.checksum(segment, protocol::TCP);
                put(segment, TCP_CHECKSUM, sum.to_be_bytes());
            }
            Kind::Udp(layout) => {
                self.cut(&layout, packet, buf)?;
                let datagram = layout.transport(buf);
                // cast: at most the size of a packet
                let length = datagram.len() as u16;
                put(datagram, 4, length.to_be_bytes());
                put(datagram, 6, [0; 2]);
                let sum = not_none(layout.checksum(datagram, protocol::UDP));
                put(datagram, 6, sum.to_be_bytes());
            }
        }
        Ok(true)
    }

    /// Copies headers and the next piece of payload, and makes the IP header fit.
    fn cut(
        &mut self,
        layout: &Layout,
        packet: &[u8],
        buf: &mut PacketBuf,
    ) -> Result<(), OffloadError> {
        let left = packet.get(self.next..).unwrap_or_default();
        let payload = left.get(..layout.size).unwrap_or(left);
        let index = self.index;
        self.next += payload.len();
        self.index = index.wrapping_add(1);
        self.done = payload.len() == left.len();

        let headers = packet.get(..layout.headers).unwrap_or_default();
        let length = headers.len() + payload.len();
        let to = room(buf, length)?;
        if let Some((front, back)) = to.split_at_mut_checked(headers.len()) {
            front.copy_from_slice(headers);
            back.copy_from_slice(payload);
        }
        buf.set_len(length);
        let start = layout.ip.payload_start;
        let ip = buf.as_mut_slice().get_mut(..start).unwrap_or_default();
        match layout.ip.family() {
            Family::V4 => {
                // cast: at most the packet's own total length
                put(ip, 2, (length as u16).to_be_bytes());
                let identification = u16::from_be_bytes(take(ip, 4)).wrapping_add(index);
                put(ip, 4, identification.to_be_bytes());
                put(ip, 10, [0; 2]);
                let sum = internet(ip);
                put(ip, 10, sum.to_be_bytes());
            }
            Family::V6 => {
                let length = length - Family::V6.header_len();
                // cast: at most the packet's own payload length
                put(ip, 4, (length as u16).to_be_bytes());
            }
        }
        Ok(())
    }
}

impl Layout {
    /// The upper-layer header and its data.
    fn transport<'b>(&self, buf: &'b mut PacketBuf) -> &'b mut [u8] {
        let start = self.ip.payload_start;
        buf.as_mut_slice().get_mut(start..).unwrap_or_default()
    }

    /// The checksum over `bytes`, whose own field is zero.
    fn checksum(&self, bytes: &[u8], protocol: u8) -> u16 {
        // cast: at most the size of a packet
        let length = bytes.len() as u32;
        let (from, to) = (self.ip.source, self.ip.destination);
        let sum = Sum::new().pseudo_header(from, to, protocol, length);
        sum.bytes(bytes).finish()
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
    Ok(Layout {
        ip,
        headers: start + length,
        size: usize::from(header.gso_size),
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
