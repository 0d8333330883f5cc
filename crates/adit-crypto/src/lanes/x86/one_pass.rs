//! Sealing ESP packets with cipher and hash in one pass, 8 or 16 at a time, see the kernels. What the
//! shortest of them does not have is done behind it.

mod kernels;

use self::kernels::{Kernels, Sha1, Sha256};
use super::aes::CbcLanes;
use super::hmac::{self, MacJob, set_column};
use super::midstates::Midstates;
use super::rows::Rows;
use super::sha::States;
use super::{LaneKeys, Lanes};
use crate::Hash;
use crate::lanes::Block;

/// SPI and sequence number, which an ESP packet starts with.
const HEADER: usize = 8;

/// What idle lanes work on; as long as packets of usual links, for it limits all lanes.
type Spare = [u8; 1536];

/// A packet to seal, with what its IV is made of in the place of that: it is what becomes of a first
/// block of text.
pub(crate) struct PacketJob<'a> {
    keys: &'a LaneKeys,
    mac_key: &'a Midstates,
    /// SPI, sequence number, IV and text of whole blocks.
    packet: &'a mut [u8],
    /// What the MAC is over besides.
    suffix: Option<[u8; 4]>,
    /// Takes the MAC, cut to its length.
    mac: &'a mut [u8],
}

/// The packets of L lanes, in the first of them.
struct Round<'a, const L: usize> {
    jobs: [Option<PacketJob<'a>>; L],
}

impl<'a, const L: usize> Round<'a, L> {
    /// Takes the next ones.
    fn new(from: &mut impl Iterator<Item = PacketJob<'a>>) -> Self {
        let mut jobs = [const { None }; L];
        for (to, job) in jobs.iter_mut().zip(from) {
            *to = Some(job);
        }
        Self { jobs }
    }

    /// Bytes that all lanes have.
    fn len(&self) -> usize {
        let lens = self.jobs.iter().map(|job| match job {
            Some(job) => job.packet.len(),
            None => size_of::<Spare>(),
        });
        lens.min().unwrap_or(0)
    }

    /// IV and text of every lane after so many blocks.
    fn texts(&mut self, blocks: usize) -> [&mut [Block]; L] {
        let mut texts: [&mut [Block]; L] = std::array::from_fn(|_| Default::default());
        for (to, job) in texts.iter_mut().zip(self.jobs.iter_mut().flatten()) {
            let text = job.packet.get_mut(HEADER + 16 * blocks..);
            *to = text.unwrap_or_default().as_chunks_mut().0;
        }
        texts
    }

    /// What is left to hash after so many blocks.
    fn mac_jobs(&mut self, blocks: usize) -> impl Iterator<Item = MacJob<'_>> {
        self.jobs.iter_mut().flatten().map(move |job| MacJob {
            key: job.mac_key,
            done: 64 * blocks,
            data: job.packet.get(64 * blocks..).unwrap_or_default(),
            suffix: job.suffix,
            mac: job.mac,
        })
    }

    /// Encrypts, and computes the MACs of what that gives.
    ///
    /// # Safety
    ///
    /// The kernels need AES-NI, AVX2, AVX-512F, AVX-512BW, AVX-512VL and VAES.
    unsafe fn seal<K: Kernels<L, W>, const W: usize, const ROUNDS: usize>(&mut self) {
        let mut states = States([[0; L]; W]);
        let mut cipher = CbcLanes::new();
        for (lane, job) in self.jobs.iter().enumerate() {
            if let Some(job) = job {
                set_column(&mut states, lane, &job.mac_key.inner);
                cipher.refill(lane, &job.keys.encrypt, &[0; 16]);
            }
        }
        // The hash is one of its blocks behind the cipher.
        let ahead = self.len().saturating_sub(HEADER) / 64;
        let blocks = ahead.saturating_sub(1);
        // SAFETY: so the caller says.
        unsafe {
            if ahead > 0 {
                K::encrypt::<ROUNDS>(&mut cipher, &mut self.texts(0), 4);
                let mut spare: Spare = [0; _];
                let packets = self.jobs.iter_mut().flatten();
                let packets = packets.map(|job| &mut *job.packet);
                let mut rows = Rows::new(packets, &mut spare, 0, HEADER + 64, blocks);
                K::seal::<ROUNDS>(&mut states, &mut cipher, &mut rows);
            }
            let mut rest = self.texts(4 * ahead);
            let most = rest.iter().map(|text| text.len()).max().unwrap_or(0);
            K::encrypt::<ROUNDS>(&mut cipher, &mut rest, most);
        }
        // SAFETY: so the caller says.
        unsafe { hmac::run::<K::Hash, L, W>(Some(states), self.mac_jobs(blocks)) };
    }
}

impl Lanes {
    /// How many of `count` long packets are sealed faster in one pass; the others would make a last
    /// round with too few.
    pub(crate) fn worth_one_pass(self, count: usize) -> usize {
        // Measured: a round of 8 takes about as long as 4 packets do in two passes.
        match self {
            Self::Vaes if count % 16 < 5 => count - count % 16,
            Self::Vaes => count,
            _ => 0,
        }
    }

    /// Seals `count` packets, whose keys all have so many rounds and this hash: SHA-1, else SHA2-256.
    pub(crate) fn seal<'a>(
        self,
        rounds: usize,
        hash: Hash,
        count: usize,
        mut jobs: impl Iterator<Item = PacketJob<'a>>,
    ) {
        if self != Self::Vaes {
            return;
        }
        // SAFETY: `found` makes this value only with AES-NI, VAES, AVX2, AVX-512F, BW and VL.
        unsafe {
            match (hash, rounds) {
                (Hash::Sha1, 10) => seal::<Sha1, 5, 10>(count, &mut jobs),
                (Hash::Sha1, 12) => seal::<Sha1, 5, 12>(count, &mut jobs),
                (Hash::Sha1, _) => seal::<Sha1, 5, 14>(count, &mut jobs),
                (_, 10) => seal::<Sha256, 8, 10>(count, &mut jobs),
                (_, 12) => seal::<Sha256, 8, 12>(count, &mut jobs),
                _ => seal::<Sha256, 8, 14>(count, &mut jobs),
            }
        }
    }
}

/// In rounds of 16, and the last of 8 if it has no more.
///
/// # Safety
///
/// As for [`Round::seal`].
unsafe fn seal<'a, K: Kernels<16, W> + Kernels<8, W>, const W: usize, const ROUNDS: usize>(
    count: usize,
    jobs: &mut impl Iterator<Item = PacketJob<'a>>,
) {
    for start in (0..count).step_by(16) {
        // SAFETY: so the caller says.
        unsafe {
            if count - start > 8 {
                Round::<16>::new(jobs).seal::<K, W, ROUNDS>();
            } else {
                Round::<8>::new(jobs).seal::<K, W, ROUNDS>();
            }
        }
    }
}

impl LaneKeys {
    /// A packet of an ESP suite, without its ICV; `None` if lanes do not have the hash. It must have
    /// whole blocks behind its IV.
    pub(crate) fn packet_job<'a>(
        &'a self,
        packet: &'a mut [u8],
        suffix: Option<[u8; 4]>,
        mac: &'a mut [u8],
    ) -> Option<PacketJob<'a>> {
        Some(PacketJob {
            keys: self,
            mac_key: self.mac.as_ref()?,
            packet,
            suffix,
            mac,
        })
    }
}
