//! Packets of several SAs at once: what is costly, the MACs of all and the encryption of all, is done
//! together; what has an order, numbers and windows, is done for each in its turn, by the code for
//! one packet. So a batch gives what its packets would give one after the other. It must never let
//! a packet out that was prepared and not sealed, nor take a MAC for another packet than its own.

use std::ops::Range;

use adit_crypto::{
    EspKeys, Kernel, MacParts, MalformedPacket, PacketMac, SealParts, ToAuthenticate, ToSeal,
    authenticate_batch, seal_batch,
};
use adit_wire::PacketBuf;

use crate::outbound::Numbers;
use crate::{InboundSa, OpenError, Opened, OutboundSa, SealError};

/// As many packets as the widest lanes take side by side.
const ROUND: usize = 16;

/// Packets that are to be sealed together, in their order; `T` is what the caller wants to know of
/// each. To be used again and again, since it keeps its allocations.
///
/// [`push`](Self::push) packets as they are made, one or several
/// [one behind the other](PacketBuf::go_behind) in a buffer, then [`keep`](Self::keep) the buffer.
#[derive(Debug)]
pub struct SealBatch<T> {
    buffers: Vec<PacketBuf>,
    packets: Vec<Sealing>,
    /// What the caller wants to know of them: once for those that were added as
    /// [followers](Self::push_next).
    tags: Vec<T>,
    /// Those of the packets: once for all that follow each other under the same ones, since to count who
    /// has them is an atomic operation.
    keys: Vec<EspKeys>,
}

#[derive(Debug)]
struct Sealing {
    /// Which buffer it is in, and where there.
    buffer: usize,
    place: Range<usize>,
    /// None for one that only passes, or is sealed already.
    seal: Option<(KeysOf, Numbers)>,
    malformed: bool,
    /// Which of the tags is its own.
    tag: usize,
}

/// Which of the keys of a batch.
#[derive(Clone, Copy, Debug)]
struct KeysOf(usize);

impl<T> SealBatch<T> {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            buffers: Vec::new(),
            packets: Vec::new(),
            tags: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Packets in it.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Adds a packet of an SA, which counts it and gives it its sequence number now. The packet gets
    /// its full length, and everything but what the batch is for. The errors are those of
    /// [`OutboundSa::seal`].
    pub fn push(
        &mut self,
        sa: &mut OutboundSa,
        buf: &mut PacketBuf,
        next_header: u8,
        tag: T,
    ) -> Result<(), SealError> {
        let seal = self.prepare(sa, buf, next_header)?;
        self.add(buf, seal, Some(tag));
        Ok(())
    }

    /// The same for a packet of which the caller wants to know what it does of the one before, without
    /// which it is never given out.
    pub fn push_next(
        &mut self,
        sa: &mut OutboundSa,
        buf: &mut PacketBuf,
        next_header: u8,
    ) -> Result<(), SealError> {
        let seal = self.prepare(sa, buf, next_header)?;
        self.add(buf, seal, None);
        Ok(())
    }

    fn prepare(
        &mut self,
        sa: &mut OutboundSa,
        buf: &mut PacketBuf,
        next_header: u8,
    ) -> Result<Option<(KeysOf, Numbers)>, SealError> {
        // What gains nothing by waiting is sealed while it is at hand.
        if !sa.has_lanes() {
            sa.seal(buf, next_header)?;
            return Ok(None);
        }
        let numbers = sa.seal_later(buf, next_header)?;
        let keys = sa.keys();
        if self.keys.last().is_none_or(|last| !last.are(keys)) {
            self.keys.push(keys.clone());
        }
        Ok(Some((KeysOf(self.keys.len() - 1), numbers)))
    }

    /// Adds a packet that is no SA's: it comes out as it is.
    pub fn pass(&mut self, buf: &PacketBuf, tag: T) {
        self.add(buf, None, Some(tag));
    }

    fn add(&mut self, buf: &PacketBuf, seal: Option<(KeysOf, Numbers)>, tag: Option<T>) {
        self.tags.extend(tag);
        self.packets.push(Sealing {
            buffer: self.buffers.len(),
            place: buf.place(),
            seal,
            malformed: false,
            tag: self.tags.len().wrapping_sub(1),
        });
    }

    /// Takes the buffer of all packets that were added since the last one.
    pub fn keep(&mut self, buf: PacketBuf) {
        self.buffers.push(buf);
    }

    /// Seals all packets, each as [`OutboundSa::seal`] would have. The batch is empty when what this
    /// gives is gone.
    pub fn seal(&mut self, kernel: Kernel) -> Sealed<'_, T> {
        self.seal_first(self.packets.len(), kernel)
    }

    /// The same for as many as leave no lane idle; the others stay, fewer than 16, and are the first
    /// of the next batch. None stays twice: of 16 packets or less all are sealed. Nor do those that have
    /// nothing to wait for.
    pub fn seal_rounds(&mut self, kernel: Kernel) -> Sealed<'_, T> {
        let count = self.packets.len();
        let full = count - count % ROUND;
        let mut rest = self.packets.iter().skip(full);
        let stays = full > 0 && rest.any(|packet| packet.seal.is_some());
        self.seal_first(if stays { full } else { count }, kernel)
    }

    fn seal_first(&mut self, count: usize, kernel: Kernel) -> Sealed<'_, T> {
        let mut cut = Vec::with_capacity(count);
        let mut packets = self.packets.iter_mut().take(count).peekable();
        for (index, buffer) in self.buffers.iter_mut().enumerate() {
            let (mut rest, mut start) = (buffer.storage_mut(), 0);
            while let Some(packet) = packets.next_if(|packet| packet.buffer == index) {
                let skipped = packet.place.start.checked_sub(start);
                let piece = skipped.and_then(|skipped| {
                    rest.split_off_mut(..skipped)?;
                    rest.split_off_mut(..packet.place.len())
                });
                start = packet.place.end;
                match piece {
                    Some(bytes) => {
                        let keys = packet
                            .seal
                            .as_ref()
                            .map(|(KeysOf(at), _)| self.keys.get(*at));
                        let keys = keys.flatten();
                        // Not reachable: keys go when their packets do. Unsealed nothing may leave.
                        packet.malformed |= packet.seal.is_some() && keys.is_none();
                        cut.push(Piece {
                            packet,
                            bytes,
                            keys,
                        });
                    }
                    // Not reachable: they are added as they lie. Nothing behind it can be trusted.
                    None => (packet.malformed, rest) = (true, &mut []),
                }
            }
        }
        // Of these nobody kept the buffer.
        packets.for_each(|packet| packet.malformed = true);
        seal_batch(kernel, &mut cut);
        drop(cut);
        Sealed { batch: self, count }
    }

    /// Gives up the first so many packets, and what only they needed.
    fn drop_first(&mut self, count: usize, to: impl FnMut(PacketBuf)) {
        self.packets.drain(..count);
        let first = self.packets.first();
        let buffers = first.map_or(usize::MAX, |packet| packet.buffer);
        let tags = first.map_or(usize::MAX, |packet| packet.tag);
        let mut seals = self
            .packets
            .iter()
            .filter_map(|packet| packet.seal.as_ref());
        let keys = seals.next().map_or(usize::MAX, |(KeysOf(at), _)| *at);
        drain_first(&mut self.buffers, buffers).for_each(to);
        drain_first(&mut self.tags, tags);
        drain_first(&mut self.keys, keys);
        for packet in &mut self.packets {
            packet.buffer = packet.buffer.saturating_sub(buffers);
            packet.tag = packet.tag.saturating_sub(tags);
            if let Some((KeysOf(at), _)) = &mut packet.seal {
                *at = at.saturating_sub(keys);
            }
        }
    }
}

/// Takes out so many, or all if there are fewer.
fn drain_first<T>(from: &mut Vec<T>, count: usize) -> std::vec::Drain<'_, T> {
    from.drain(..count.min(from.len()))
}

impl<T> Default for SealBatch<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A packet of a batch and its bytes.
struct Piece<'a> {
    packet: &'a mut Sealing,
    bytes: &'a mut [u8],
    keys: Option<&'a EspKeys>,
}

impl ToSeal for Piece<'_> {
    fn parts(&mut self) -> Option<SealParts<'_>> {
        let (_, numbers) = self.packet.seal.as_ref()?;
        Some(SealParts {
            keys: self.keys?,
            packet: self.bytes,
            iv_counter: numbers.sequence,
            high: numbers.high,
        })
    }

    // Not reachable, as `SealError::Malformed` is not.
    fn refuse(&mut self, _error: MalformedPacket) {
        self.packet.malformed = true;
    }
}

/// Packets that were sealed together.
#[derive(Debug)]
pub struct Sealed<'a, T> {
    batch: &'a mut SealBatch<T>,
    /// So many, the first of the batch.
    count: usize,
}

impl<T> Sealed<'_, T> {
    /// The packets, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        let sealed = self.batch.packets.iter().take(self.count);
        let sealed = sealed.filter(|packet| !packet.malformed);
        sealed.filter_map(|packet| {
            let buffer = self.batch.buffers.get(packet.buffer)?;
            let bytes = buffer.storage().get(packet.place.clone())?;
            Some((bytes, self.batch.tags.get(packet.tag)?))
        })
    }

    /// Gives the buffers back that hold no others, to be used again. The packets are gone then.
    pub fn give_back(mut self, to: impl FnMut(PacketBuf)) {
        self.batch.drop_first(std::mem::take(&mut self.count), to);
    }
}

impl<T> Drop for Sealed<'_, T> {
    fn drop(&mut self) {
        self.batch.drop_first(self.count, drop);
    }
}

/// Packets that were received together, in their order; `T` is what the caller knows of each.
#[derive(Debug)]
pub struct OpenBatch<'a, T> {
    packets: Vec<Opening<'a, T>>,
}

#[derive(Debug)]
struct Opening<'a, T> {
    packet: Received<'a>,
    /// Until it is opened.
    tag: Option<T>,
    /// What of it is to be given on.
    range: Option<Range<usize>>,
}

/// Packets that one read of a socket brings at most, as a rule: a batch takes room for them once.
const ONE_READ: usize = 64;

impl<'a, T> OpenBatch<'a, T> {
    /// Whole packets, SPI to ICV. Others may be among them, as long as they are not
    /// [expected](Received::expect).
    pub fn new(packets: impl IntoIterator<Item = (T, &'a mut [u8])>) -> Self {
        let mut received = Vec::with_capacity(ONE_READ);
        received.extend(packets.into_iter().map(|(tag, packet)| Opening {
            packet: Received::new(packet),
            tag: Some(tag),
            range: None,
        }));
        Self { packets: received }
    }

    /// The packets, in their order.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        self.packets.iter().map(|opening| opening.packet.packet())
    }

    /// Computes the MACs of those for which `expect` calls [`Received::expect`], as far as it is
    /// faster to do so together. It says nothing about them: [`Received::open`] does.
    pub fn authenticate(&mut self, kernel: Kernel, mut expect: impl FnMut(&T, &mut Received<'_>)) {
        if self.packets.len() > 1 {
            for Opening { packet, tag, .. } in &mut self.packets {
                if let Some(tag) = tag {
                    expect(tag, packet);
                }
            }
            authenticate_batch(kernel, &mut self.packets);
        }
    }

    /// Shows each packet to `open`, which says what part of it is to be given on, and all of those
    /// parts to `give`, unless there is none.
    pub fn open(
        mut self,
        mut open: impl FnMut(T, &mut Received<'a>) -> Option<Range<usize>>,
        give: impl FnOnce(&[&[u8]]),
    ) {
        for Opening { packet, tag, range } in &mut self.packets {
            *range = tag.take().and_then(|tag| open(tag, packet));
        }
        let mut found: Vec<&[u8]> = Vec::with_capacity(self.packets.len());
        found.extend(self.packets.iter_mut().filter_map(|opening| {
            let range = opening.range.take()?;
            opening.packet.packet().get(range)
        }));
        if !found.is_empty() {
            give(&found);
        }
    }
}

/// A received ESP packet: [`expect`](Self::expect) with its SA, if it is one of an [`OpenBatch`], and
/// [`open`](Self::open). Whatever happens to the SA in between, `open` decides by what is so then.
#[derive(Debug)]
pub struct Received<'a> {
    packet: &'a mut [u8],
    expected: Option<(EspKeys, Option<u32>)>,
    mac: Option<PacketMac>,
}

impl<'a> Received<'a> {
    /// A whole packet, SPI to ICV.
    pub fn new(packet: &'a mut [u8]) -> Self {
        Self {
            packet,
            expected: None,
            mac: None,
        }
    }

    /// The packet; decrypted once it was opened.
    pub fn packet(&self) -> &[u8] {
        self.packet
    }

    /// The packet, to be altered: a MAC that was computed is forgotten.
    pub fn packet_mut(&mut self) -> &mut [u8] {
        self.expected = None;
        self.mac = None;
        self.packet
    }

    /// Notes the keys that the SA would verify it with; none if it would refuse it unverified.
    pub fn expect(&mut self, sa: &InboundSa) {
        self.expected = sa.expects(self.packet);
    }

    /// What [`InboundSa::open`] does, with the MAC that may have been computed.
    pub fn open(&mut self, sa: &mut InboundSa) -> Result<Opened, OpenError> {
        // Of no use a second time: the packet is altered.
        let mac = self.mac.take();
        self.expected = None;
        sa.open_with(self.packet, mac.as_ref())
    }
}

impl<T> ToAuthenticate for Opening<'_, T> {
    fn parts(&mut self) -> Option<MacParts<'_>> {
        let packet = &mut self.packet;
        let (keys, high) = packet.expected.as_ref()?;
        Some(MacParts {
            keys,
            packet: packet.packet,
            high: *high,
            mac: &mut packet.mac,
        })
    }
}

#[cfg(test)]
mod tests;
