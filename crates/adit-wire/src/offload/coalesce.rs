//! TCP segments of a flow, put together.
//!
//! What comes out, cut up again, is what went in: only then are segments put together. So those of a
//! run differ in nothing but sequence number, IPv4 identification, payload, and what the last may
//! say. The kernel believes the checksums of what is written so, therefore each segment of a run
//! is verified first. The order within a flow is kept.

use std::io::IoSlice;

use crate::checksum::{Sum, internet};
use crate::ip::{Family, protocol};
use crate::tcp;

use super::{
    ACK, DATA_OFFSET, ECE, FIN, FLAGS, GSO_TCPV4, GSO_TCPV6, NEEDS_CSUM, PSH, SEQUENCE,
    TCP_CHECKSUM, VirtioHeader, put, take,
};

/// Most segments of a run.
const SEGMENTS: usize = 64;

/// Most parts of a packet: one with all headers, and the payloads.
const PARTS: usize = SEGMENTS + 1;

/// Most bytes of a run, an IP packet.
const BYTES: usize = 65_535;

/// The longest IP and TCP headers of a run.
const HEADERS: usize = 40 + 60;

/// Flows that may have a run that is not at its end.
const OPEN: usize = 16;

/// IPv4's DF, beside which are MF and the offset of a fragment.
const DONT_FRAGMENT: u8 = 0x40;

/// Puts packets together. To be used again and again, since it keeps its allocations.
#[derive(Debug, Default)]
pub struct Coalescer {
    runs: Vec<Run>,
    /// For each packet the one after it in its run.
    after: Vec<Option<usize>>,
    /// Runs that may grow, by their place in `runs`.
    open: [Option<usize>; OPEN],
    /// The next place of `open` that is used.
    turn: usize,
}

/// Packets that leave as one.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: usize,
    last: usize,
    count: usize,
    segment: Option<Segment>,
    /// Bytes of payload.
    payload: usize,
    /// The first has proved its checksums.
    verified: bool,
    /// What the last says.
    end: u8,
}

/// A TCP segment whose headers are those that a run can have.
#[derive(Clone, Copy, Debug)]
struct Segment {
    flow: Flow,
    /// Length of the headers of IP and TCP.
    headers: usize,
    sequence: u32,
    identification: u16,
    payload: usize,
    flags: u8,
}

/// Addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow(Family, [u8; 36]);

/// What a packet is to the runs.
enum Class {
    /// No TCP.
    Other,
    /// Perhaps of a flow that has a run.
    Unknown,
    /// TCP that stands alone.
    Alone(Flow),
    Segment(Segment),
}

impl Coalescer {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts together what of `packets` can be, and calls `write` with the parts of each packet that
    /// results, a [`VirtioHeader`] first, and the number of packets that are in it.
    pub fn coalesce(&mut self, packets: &[&[u8]], mut write: impl FnMut(&[IoSlice<'_>], usize)) {
        self.runs.clear();
        self.after.clear();
        self.after.resize(packets.len(), None);
        self.open = [None; OPEN];
        for (index, packet) in packets.iter().enumerate() {
            self.add(packets, index, packet);
        }
        for run in &self.runs {
            let first = packets.get(run.first).copied().unwrap_or_default();
            match run.segment {
                Some(segment) if run.count > 1 => {
                    let mut storage = [0; VirtioHeader::LEN + HEADERS];
                    run.write_headers(&segment, first, &mut storage);
                    let before = storage.get(..VirtioHeader::LEN + segment.headers);
                    let mut parts = [IoSlice::new(&[]); PARTS];
                    let mut places = parts.iter_mut();
                    let mut put = |part| {
                        if let Some(place) = places.next() {
                            *place = IoSlice::new(part);
                        }
                    };
                    put(before.unwrap_or_default());
                    let mut next = Some(run.first);
                    while let Some(index) = next {
                        let packet = packets.get(index).copied().unwrap_or_default();
                        put(packet.get(segment.headers..).unwrap_or_default());
                        next = self.after.get(index).copied().flatten();
                    }
                    let parts = parts.get(..1 + run.count);
                    write(parts.unwrap_or_default(), run.count);
                }
                _ => {
                    let nothing = VirtioHeader::default().to_bytes();
                    write(&[IoSlice::new(&nothing), IoSlice::new(first)], 1);
                }
            }
        }
    }

    fn add(&mut self, packets: &[&[u8]], index: usize, packet: &[u8]) {
        match classify(packet) {
            Class::Other => self.begin(index, None),
            Class::Unknown => {
                self.open = [None; OPEN];
                self.begin(index, None);
            }
            Class::Alone(flow) => {
                if let Some(place) = self.place_of(&flow) {
                    self.close(place);
                }
                self.begin(index, None);
            }
            Class::Segment(segment) => {
                let place = self.place_of(&segment.flow);
                if place.is_some_and(|place| self.append(place, packets, index, packet, &segment)) {
                    return;
                }
                if segment.flags & (PSH | FIN) == 0 {
                    self.open(place);
                }
                self.begin(index, Some(segment));
            }
        }
    }

    fn begin(&mut self, index: usize, segment: Option<Segment>) {
        self.runs.push(Run {
            first: index,
            last: index,
            count: 1,
            segment,
            payload: segment.map_or(0, |segment| segment.payload),
            verified: false,
            end: 0,
        });
    }

    /// Appends a segment to the run of its flow. If it cannot be, that run is at its end.
    fn append(
        &mut self,
        place: usize,
        packets: &[&[u8]],
        index: usize,
        packet: &[u8],
        segment: &Segment,
    ) -> bool {
        let open = self.open.get(place).copied().flatten();
        let Some(run) = open.and_then(|run| self.runs.get_mut(run)) else {
            return false;
        };
        let first = packets.get(run.first).copied().unwrap_or_default();
        if !run.takes(first, packet, segment) {
            self.close(place);
            return false;
        }
        if let Some(after) = self.after.get_mut(run.last) {
            *after = Some(index);
        }
        run.last = index;
        run.count += 1;
        run.payload += segment.payload;
        run.end = segment.flags & (PSH | FIN);
        let shorter = run.segment.is_some_and(|of| segment.payload < of.payload);
        if shorter || run.end != 0 {
            self.close(place);
        }
        true
    }

    /// The place in `open` of the run of a flow.
    fn place_of(&self, flow: &Flow) -> Option<usize> {
        let of = |run: &usize| self.runs.get(*run)?.segment.as_ref();
        let is = |run: &Option<usize>| run.as_ref().and_then(of).is_some_and(|of| of.flow == *flow);
        self.open.iter().position(is)
    }

    /// Lets the next run grow, in the place that its flow had or in another.
    fn open(&mut self, place: Option<usize>) {
        let free = || self.open.iter().position(Option::is_none);
        let place = place.or_else(free).unwrap_or_else(|| {
            self.turn = (self.turn + 1) % OPEN;
            self.turn
        });
        if let Some(open) = self.open.get_mut(place) {
            *open = Some(self.runs.len());
        }
    }

    fn close(&mut self, place: usize) {
        if let Some(open) = self.open.get_mut(place) {
            *open = None;
        }
    }
}

impl Run {
    /// Whether the run, whose first packet is `first`, can end with this segment.
    fn takes(&mut self, first: &[u8], packet: &[u8], segment: &Segment) -> bool {
        let Some(of) = self.segment else {
            return false;
        };
        // cast: below SEGMENTS and BYTES
        let (count, before) = (self.count as u16, self.payload as u32);
        if self.count >= SEGMENTS
            || of.headers != segment.headers
            || segment.payload > of.payload
            || of.headers + self.payload + segment.payload > BYTES
            || segment.sequence != of.sequence.wrapping_add(before)
            || segment.flags & ECE != of.flags & ECE
            || !is_alike(&of, first, packet)
        {
            return false;
        }
        // Of a packet that is never fragmented it means nothing (RFC 6864 4.1).
        if of.flow.0 == Family::V4
            && take::<1>(first, 6) == [0]
            && segment.identification != of.identification.wrapping_add(count)
        {
            return false;
        }
        self.verified |= verifies(&of, first);
        self.verified && verifies(segment, packet)
    }

    /// Writes the virtio header and those of the whole run.
    fn write_headers(&self, segment: &Segment, first: &[u8], to: &mut [u8]) {
        let start = segment.flow.0.header_len();
        let transport = segment.headers - start + self.payload;
        let virtio = VirtioHeader {
            flags: NEEDS_CSUM,
            gso_type: match segment.flow.0 {
                Family::V4 => GSO_TCPV4,
                Family::V6 => GSO_TCPV6,
            },
            // cast: all of them are below BYTES
            header_len: segment.headers as u16,
            gso_size: segment.payload as u16,
            checksum_start: start as u16,
            checksum_offset: TCP_CHECKSUM as u16,
        };
        put(to, 0, virtio.to_bytes());
        let to = to.get_mut(VirtioHeader::LEN..).unwrap_or_default();
        for (to, from) in to.iter_mut().zip(first.iter().take(segment.headers)) {
            *to = *from;
        }
        let Some((ip, tcp)) = to.split_at_mut_checked(start) else {
            return;
        };
        match segment.flow.0 {
            Family::V4 => {
                // cast: below BYTES
                put(ip, 2, ((start + transport) as u16).to_be_bytes());
                put(ip, 10, [0; 2]);
                let sum = internet(ip);
                put(ip, 10, sum.to_be_bytes());
            }
            // cast: below BYTES
            Family::V6 => put(ip, 4, (transport as u16).to_be_bytes()),
        }
        if let Some(flags) = tcp.get_mut(FLAGS) {
            *flags |= self.end;
        }
        // That of the pseudo-header is what the kernel adds the rest to, without a complement.
        let sum = pseudo_header(segment.flow.0, ip, transport).finish();
        put(tcp, TCP_CHECKSUM, (!sum).to_be_bytes());
    }
}

fn classify(packet: &[u8]) -> Class {
    let [version] = take(packet, 0);
    let (family, protocol) = match version {
        // Without options.
        0x45 => (Family::V4, take::<1>(packet, 9)),
        0x46..=0x4f => (Family::V4, take::<1>(packet, 9)),
        _ if version >> 4 == 6 => (Family::V6, take::<1>(packet, 6)),
        _ => return Class::Other,
    };
    match protocol {
        [protocol::TCP] if version & 0x0f == 5 || family == Family::V6 => {}
        [protocol::UDP | protocol::ICMP | protocol::ESP | protocol::ICMPV6] => return Class::Other,
        _ => return Class::Unknown,
    }
    let (start, length, flow) = match family {
        Family::V4 => {
            let [fragment, offset] = take(packet, 6);
            if fragment & !DONT_FRAGMENT != 0 || offset != 0 {
                return Class::Unknown;
            }
            let mut flow = [0; 36];
            put::<12>(&mut flow, 0, take(packet, 12));
            (20, usize::from(u16::from_be_bytes(take(packet, 2))), flow)
        }
        Family::V6 => {
            let length = usize::from(u16::from_be_bytes(take(packet, 4)));
            (40, 40 + length, take(packet, 8))
        }
    };
    let tcp = packet.get(start..).unwrap_or_default();
    let [words] = take(tcp, DATA_OFFSET);
    let [flags] = take(tcp, FLAGS);
    let headers = start + usize::from(words >> 4) * 4;
    if length != packet.len() || headers < start + tcp::HEADER_LEN || headers > length {
        return Class::Unknown;
    }
    let flow = Flow(family, flow);
    // Neither a start nor an end in disorder, nothing urgent, and no CWR, which would be said once.
    if headers == length || flags & ACK == 0 || flags & !(ACK | PSH | FIN | ECE) != 0 {
        return Class::Alone(flow);
    }
    Class::Segment(Segment {
        flow,
        headers,
        sequence: u32::from_be_bytes(take(tcp, SEQUENCE)),
        identification: u16::from_be_bytes(take(packet, 4)),
        payload: length - headers,
        flags,
    })
}

/// Whether the headers of two packets of one flow say the same where a run cannot say two things.
fn is_alike(of: &Segment, one: &[u8], other: &[u8]) -> bool {
    let same = |from: usize, to: usize| one.get(from..to) == other.get(from..to);
    let start = of.flow.0.header_len();
    let ip = match of.flow.0 {
        // Class of service; DF and TTL.
        Family::V4 => same(1, 2) && same(6, 9),
        // Class and label; hop limit.
        Family::V6 => same(0, 4) && same(7, 8),
    };
    ip
        // Acknowledgement and data offset.
        && same(start + 8, start + FLAGS)
        // Window.
        && same(start + 14, start + TCP_CHECKSUM)
        // Urgent pointer and options.
        && same(start + 18, of.headers)
}

/// Whether the checksums of IP and TCP are right.
fn verifies(segment: &Segment, packet: &[u8]) -> bool {
    let start = segment.flow.0.header_len();
    let Some((ip, transport)) = packet.split_at_checked(start) else {
        return false;
    };
    if segment.flow.0 == Family::V4 && internet(ip) != 0 {
        return false;
    }
    let sum = pseudo_header(segment.flow.0, ip, transport.len());
    sum.bytes(transport).finish() == 0
}

/// The sum over the pseudo-header of TCP (RFC 9293 3.1, RFC 8200 8.1).
fn pseudo_header(family: Family, ip: &[u8], length: usize) -> Sum {
    let addresses = match family {
        Family::V4 => ip.get(12..20),
        Family::V6 => ip.get(8..40),
    };
    let sum = Sum::new().bytes(addresses.unwrap_or_default());
    // cast: below BYTES
    sum.bytes(&(length as u32).to_be_bytes())
        .u16(u16::from(protocol::TCP))
}
