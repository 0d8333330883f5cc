//! From TUN to UDP: what one read gave is cut up, each packet into its place behind the one before, and
//! sealed there; so a run of equal packets is one piece of memory, which the kernel cuts up again.

use adit_crypto::{EspKeys, Kernel, MalformedPacket, SealParts, ToSeal, seal_batch};
use adit_wire::offload::{OffloadError, Segments, VirtioHeader};
use adit_wire::{NoRoom, PacketBuf};

/// A batch of so many packets is full; the last read may have brought more.
const BATCH: usize = 64;

/// Bytes of a batch: what one read can bring in packets as small as TCP has them, and more.
const ROOM: usize = 512 << 10;

/// What one read of TUN gives at most.
const READ_ROOM: usize = VirtioHeader::LEN + 40 + 65_535;

/// The most packets and bytes that leave as one.
const RUN: usize = 64;
const RUN_BYTES: usize = 65_000;

/// SPI and sequence number. The SPI is any that says neither IKE nor keepalive.
const HEADER: usize = 8;
const SPI: u32 = 0xba5e_1009;

/// Packets on their way out.
pub(crate) struct Outward {
    keys: EspKeys,
    sequence: u64,
    read: Box<[u8]>,
    packets: PacketBuf,
    used: usize,
    lengths: Vec<usize>,
}

/// One of them, in its place.
struct Sealing<'a>(&'a EspKeys, u64, &'a mut [u8]);

impl Outward {
    pub(crate) fn new(keys: EspKeys) -> Self {
        Self {
            keys,
            sequence: 0,
            read: vec![0; READ_ROOM].into_boxed_slice(),
            packets: PacketBuf::with_capacity(0, ROOM),
            used: 0,
            lengths: Vec::new(),
        }
    }

    /// Where to read to.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.read
    }

    /// Whether what is there should leave before more is read.
    pub(crate) fn is_full(&self) -> bool {
        self.lengths.len() >= BATCH
    }

    /// Cuts up what was read, so many bytes. After an error, what came before it stays.
    pub(crate) fn add(&mut self, length: usize) -> Result<(), OffloadError> {
        let read = self.read.get(..length).unwrap_or_default();
        let (header, packet) = VirtioHeader::parse(read)?;
        let mut segments = Segments::new(&header, packet)?;
        loop {
            self.packets
                .reset(self.used + HEADER + self.keys.suite().iv_len());
            if !segments.next(packet, &mut self.packets)? {
                return Ok(());
            }
            self.sequence += 1;
            let length = close(&mut self.packets, &self.keys, self.sequence)?;
            self.used += length;
            self.lengths.push(length);
        }
    }

    /// Seals what is there and gives it to `send` in runs: their bytes, the length of each packet but
    /// the last, which may be shorter, and their number.
    pub(crate) fn seal(&mut self, mut send: impl FnMut(&[u8], usize, usize)) {
        self.packets.reset(0);
        self.packets.set_len(self.used);
        let mut rest = self.packets.as_mut_slice();
        let first = self.sequence + 1 - self.lengths.len() as u64;
        let numbered = self.lengths.iter().zip(first..);
        let cut = numbered.map_while(|(length, number)| {
            Some(Sealing(&self.keys, number, rest.split_off_mut(..*length)?))
        });
        seal_batch(Kernel::best(), &mut cut.collect::<Vec<_>>());
        let (mut bytes, mut lengths) = (self.packets.as_slice(), self.lengths.as_slice());
        while let Some(size) = lengths.first() {
            let (count, length) = run(*size, lengths);
            send(bytes.split_off(..length).unwrap_or_default(), *size, count);
            lengths = lengths.get(count..).unwrap_or_default();
        }
        self.used = 0;
        self.lengths.clear();
    }
}

/// Makes all of a packet but IV and ICV, for which there is room (RFC 4303 2). Returns its length.
fn close(packet: &mut PacketBuf, keys: &EspKeys, number: u64) -> Result<usize, NoRoom> {
    let suite = keys.suite();
    // IPv4 or IPv6 inside.
    let version = packet.as_slice().first().map(|byte| byte >> 4);
    let next_header = if version == Some(4) { 4 } else { 41 };
    let padding = suite.padding_len(packet.len());
    let tail = packet.append(padding + 2 + suite.icv_len())?;
    // cast: padding is below the block length
    let trailer = (1..=padding as u8).chain([padding as u8, next_header]);
    tail.iter_mut()
        .zip(trailer)
        .for_each(|(to, from)| *to = from);
    let head = packet.prepend(HEADER + suite.iv_len())?;
    // cast: the lower half is what is sent
    let fields = [SPI, number as u32].map(u32::to_be_bytes);
    let fields = fields.as_flattened();
    head.iter_mut()
        .zip(fields)
        .for_each(|(to, from)| *to = *from);
    Ok(packet.len())
}

/// How many of the first packets leave as one, with how many bytes: those of `size`, the first's, and
/// perhaps a shorter one at the end.
fn run(size: usize, lengths: &[usize]) -> (usize, usize) {
    let most = RUN.min(RUN_BYTES / size.max(1)).max(1);
    let of_size = lengths
        .iter()
        .take(most)
        .take_while(|length| **length == size);
    let count = of_size.count();
    match lengths.get(count) {
        Some(shorter) if count < most && *shorter < size => (count + 1, count * size + shorter),
        _ => (count, count * size),
    }
}

impl ToSeal for Sealing<'_> {
    fn parts(&mut self) -> Option<SealParts<'_>> {
        Some(SealParts {
            keys: self.0,
            packet: self.2,
            iv_counter: self.1,
            high: None,
        })
    }

    // Not reachable: `close` made a packet of the suite. The other end would refuse it.
    fn refuse(&mut self, _error: MalformedPacket) {}
}
