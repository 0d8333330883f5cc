//! Many ESP packets at once, of any keys and lengths, in lanes where the machine has them: AES-CBC
//! and HMACs of SHA-1 and SHA2-256. Everything else goes one at a time, as do batches too small to
//! gain. The results are those of the one-packet code.

mod one_pass;

use self::one_pass::OnePass;
use super::HEADER_LEN;
use super::keys::{CbcTransform, EspKeys, MalformedPacket, icv, set_counter};
use crate::Hash;
use crate::lanes::{Kernel, LaneKeys, Lanes, PacketJob};

/// What [`EspKeys::seal`] takes, of one packet of a batch.
pub struct SealParts<'a> {
    /// The keys of its SA.
    pub keys: &'a EspKeys,
    /// The whole packet, as [`EspKeys::seal`] wants it.
    pub packet: &'a mut [u8],
    /// The counter that its IV is made of.
    pub iv_counter: u64,
    /// The upper half of an extended sequence number.
    pub high: Option<u32>,
}

/// A packet of a batch that is to be sealed.
pub trait ToSeal {
    /// The packet and its keys, the same at each call; `None` for one that is to be left alone.
    fn parts(&mut self) -> Option<SealParts<'_>>;

    /// The packet is not one of its suite, and is as it was.
    fn refuse(&mut self, error: MalformedPacket);
}

/// What [`EspKeys::verify_and_decrypt`] verifies, of one packet of a batch.
pub struct MacParts<'a> {
    /// The keys of its SA, with the suite that its length fits.
    pub keys: &'a EspKeys,
    /// The whole packet.
    pub packet: &'a [u8],
    /// The upper half of an extended sequence number.
    pub high: Option<u32>,
    /// Takes the MAC.
    pub mac: &'a mut Option<PacketMac>,
}

/// A packet of a batch that is to be verified.
pub trait ToAuthenticate {
    /// The packet and its keys, the same at each call; `None` for one that is to be left alone.
    fn parts(&mut self) -> Option<MacParts<'_>>;
}

/// The MAC that a received packet should have, for
/// [`EspKeys::verify_and_decrypt_with`].
pub struct PacketMac {
    bytes: [u8; 32],
    /// Bytes from the packet's start on that it is over.
    covered: usize,
    high: Option<u32>,
    /// Which keys made it.
    keys: usize,
    /// What decrypts the packet.
    lanes: Lanes,
}

impl PacketMac {
    /// The MAC, if it is the one that is asked for.
    pub(super) fn over(&self, covered: usize, high: Option<u32>, keys: &EspKeys) -> Option<&[u8]> {
        let asked = (covered, high, keys.identity());
        ((self.covered, self.high, self.keys) == asked).then_some(&self.bytes[..])
    }

    pub(super) fn lanes(&self) -> Lanes {
        self.lanes
    }
}

impl std::fmt::Debug for PacketMac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketMac")
            .field("covered", &self.covered)
            .finish_non_exhaustive()
    }
}

/// How many packets of a batch want the same work.
#[derive(Default)]
struct Counts {
    laned: usize,
    rounds: [usize; ROUNDS.len()],
    hashes: [usize; HASHES.len()],
}

/// The rounds of AES by length of key.
const ROUNDS: [usize; 3] = [10, 12, 14];

/// The hashes that there are lanes for.
const HASHES: [Hash; 2] = [Hash::Sha1, Hash::Sha2_256];

impl Counts {
    fn count(&mut self, cbc: &CbcTransform, keys: &LaneKeys) {
        for count in self.of(keys.rounds(), cbc.mac.hash()) {
            *count += 1;
        }
    }

    /// So many of one kind are done.
    fn done(&mut self, rounds: usize, hash: Hash, done: usize) {
        for count in self.of(rounds, hash) {
            *count -= done;
        }
    }

    /// The counts that a packet of so many rounds with that hash is in.
    fn of(&mut self, rounds: usize, hash: Hash) -> impl Iterator<Item = &mut usize> {
        let rounds = position(&ROUNDS, rounds).and_then(|at| self.rounds.get_mut(at));
        let hashes = position(&HASHES, hash).and_then(|at| self.hashes.get_mut(at));
        [Some(&mut self.laned), rounds, hashes]
            .into_iter()
            .flatten()
    }

    fn worth_hmac(&self, lanes: Lanes, hash: Hash) -> Option<usize> {
        let count = *self.hashes.get(position(&HASHES, hash)?)?;
        lanes.worth_hmac(hash, count).then_some(count)
    }
}

/// Where a kind is counted, if lanes have it.
fn position<K: PartialEq>(kinds: &[K], kind: K) -> Option<usize> {
    kinds.iter().position(|of| *of == kind)
}

/// Seals all packets in place, each as [`EspKeys::seal`] would.
pub fn seal_batch<P: ToSeal>(kernel: Kernel, packets: &mut [P]) {
    let lanes = kernel.lanes();
    let mut counts = Counts::default();
    let mut one_pass = OnePass::default();
    for packet in packets.iter_mut() {
        let Some(parts) = packet.parts() else {
            continue;
        };
        let sealed = match with_lanes(parts.keys) {
            Some((cbc, keys)) if lanes.is_some() => {
                counts.count(cbc, keys);
                one_pass.count(parts.keys, parts.packet);
                parts.keys.check(parts.packet)
            }
            _ => {
                let (counter, high) = (parts.iv_counter, parts.high);
                parts.keys.seal(parts.packet, counter, high)
            }
        };
        if let Err(error) = sealed {
            packet.refuse(error);
        }
    }
    let Some(lanes) = lanes else { return };
    one_pass.settle(lanes);
    for (rounds, hash, count) in one_pass.kinds() {
        let mut turns = one_pass.clone();
        let jobs = packets.iter_mut().filter_map(|packet| {
            let parts = packet.parts()?;
            let taken = turns.takes(parts.keys, parts.packet);
            taken.then(|| packet_job(parts, rounds, hash)).flatten()
        });
        lanes.seal(rounds, hash, count, jobs);
        counts.done(rounds, hash, count);
    }
    // As a rule there are none: all packets of a train are long.
    if counts.laned > 0 {
        encrypt(lanes, &counts, &one_pass, packets);
        authenticate(lanes, &counts, &one_pass, packets);
    }
}

/// The keys for lanes, where there are.
fn with_lanes(keys: &EspKeys) -> Option<(&CbcTransform, &LaneKeys)> {
    let cbc = keys.cbc()?;
    Some((cbc, cbc.lanes.as_ref()?))
}

/// The same, of a cipher with so many rounds and of this hash.
fn with_kind(keys: &EspKeys, rounds: usize, hash: Hash) -> Option<&LaneKeys> {
    let (cbc, lane_keys) = with_lanes(keys)?;
    (lane_keys.rounds() == rounds && cbc.mac.hash() == hash).then_some(lane_keys)
}

/// The packet for cipher and hash in one pass.
fn packet_job(seal: SealParts<'_>, rounds: usize, hash: Hash) -> Option<PacketJob<'_>> {
    let lane_keys = with_kind(seal.keys, rounds, hash)?;
    let covered = seal.keys.covered(seal.packet)?;
    set_counter(seal.keys.split(seal.packet)?.iv, seal.iv_counter);
    let (packet, icv) = seal.packet.split_at_mut_checked(covered)?;
    lane_keys.packet_job(packet, seal.high.map(u32::to_be_bytes), icv)
}

/// Encrypts those that have a pass for that.
fn encrypt<P: ToSeal>(lanes: Lanes, counts: &Counts, one_pass: &OnePass, packets: &mut [P]) {
    for (rounds, count) in ROUNDS.into_iter().zip(counts.rounds) {
        let mut turns = one_pass.clone();
        let jobs = packets.iter_mut().filter_map(|packet| {
            let parts = packet.parts()?;
            let taken = turns.takes(parts.keys, parts.packet);
            let (_, keys) = with_lanes(parts.keys).filter(|_| !taken)?;
            if keys.rounds() != rounds {
                return None;
            }
            let covered = parts.keys.covered(parts.packet)?;
            set_counter(parts.keys.split(parts.packet)?.iv, parts.iv_counter);
            let text = parts.packet.get_mut(HEADER_LEN..covered)?;
            // The IV is what becomes of a first block of text.
            Some(keys.cbc_job([0; 16], text.as_chunks_mut().0))
        });
        if count > 0 {
            lanes.cbc_encrypt(rounds, count, jobs);
        }
    }
}

/// Computes the MACs of the same.
fn authenticate<P: ToSeal>(lanes: Lanes, counts: &Counts, one_pass: &OnePass, packets: &mut [P]) {
    for hash in HASHES {
        let Some(count) = counts.worth_hmac(lanes, hash) else {
            continue;
        };
        let mut turns = one_pass.clone();
        let jobs = packets.iter_mut().filter_map(|packet| {
            let parts = packet.parts()?;
            if turns.takes(parts.keys, parts.packet) {
                return None;
            }
            let (_, lane_keys) = with_lanes(parts.keys)?;
            let covered = parts.keys.covered(parts.packet)?;
            let (data, icv) = parts.packet.split_at_mut_checked(covered)?;
            lane_keys.mac_job(data, parts.high.map(u32::to_be_bytes), icv)
        });
        lanes.hmac(hash, count, jobs);
    }
    let mut turns = one_pass.clone();
    for packet in packets {
        let Some(seal) = packet.parts() else { continue };
        if !turns.takes(seal.keys, seal.packet)
            && let Some((cbc, _)) = with_lanes(seal.keys)
            && let Some(parts) = seal.keys.split(seal.packet)
            && counts.worth_hmac(lanes, cbc.mac.hash()).is_none()
        {
            let mac = icv(&cbc.mac, &parts, seal.high);
            for (to, from) in parts.icv.iter_mut().zip(mac.iter()) {
                *to = *from;
            }
        }
    }
}

/// Computes the MACs of received packets ahead of
/// [`EspKeys::verify_and_decrypt_with`], where that is faster together than one by one. Nothing is
/// compared here, and packets stay as they are.
pub fn authenticate_batch<P: ToAuthenticate>(kernel: Kernel, packets: &mut [P]) {
    let Some(lanes) = kernel.lanes() else { return };
    let mut counts = Counts::default();
    for packet in packets.iter_mut() {
        if let Some(parts) = packet.parts()
            && let Some((cbc, keys)) = with_lanes(parts.keys)
        {
            counts.count(cbc, keys);
        }
    }
    for hash in HASHES {
        let Some(count) = counts.worth_hmac(lanes, hash) else {
            continue;
        };
        let jobs = packets.iter_mut().filter_map(|packet| {
            let MacParts {
                keys,
                packet,
                high,
                mac,
            } = packet.parts()?;
            let (cbc, lane_keys) = with_lanes(keys)?;
            if cbc.mac.hash() != hash {
                return None;
            }
            let covered = keys.covered(packet)?;
            let data = packet.get(..covered)?;
            let mac = mac.insert(PacketMac {
                bytes: [0; 32],
                covered,
                high,
                keys: keys.identity(),
                lanes,
            });
            lane_keys.mac_job(data, high.map(u32::to_be_bytes), &mut mac.bytes)
        });
        lanes.hmac(hash, count, jobs);
    }
}

#[cfg(test)]
mod tests;
