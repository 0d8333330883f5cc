//! The sending side of a security association (RFC 4303 3.3).

use std::time::Instant;

use adit_crypto::{EspKeys, EspSuite, KeyLength, MalformedPacket, Rng, prefetch};
use adit_wire::{NoRoom, PacketBuf};

use crate::lifetime::{Expiry, Lifetime, Meter};
use crate::{HEADER_LEN, MAX_PACKET, TRAILER_LEN};

/// When half of the sequence numbers are used, the SA is to be replaced: the other half lasts for
/// minutes at the highest rates, and for the many tries that a peer that answers late may need.
/// Extended ones last for longer than any SA lives.
const SOFT_SEQUENCE: u64 = 1 << 31;

/// Why a packet was not sealed. The buffer is as it was, but for `Malformed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// All sequence numbers have been used, 2^32-1 of them or, extended, 2^64-1; they never start
    /// again (RFC 4303 3.3.3).
    #[error("the sequence numbers of the SA are used up")]
    SequenceExhausted,
    /// The SA's bytes are used up.
    #[error("the SA's lifetime in bytes has ended")]
    Expired,
    /// Not [`HEADROOM`](crate::HEADROOM) before or [`TAILROOM`](crate::TAILROOM) after the payload.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The packet would be longer than [`MAX_PACKET`].
    #[error("a sealed packet of {len} bytes is longer than any IP packet")]
    TooLong {
        /// Length that the packet would have.
        len: usize,
    },
    /// The packet that was built does not fit its own suite; not reachable.
    #[error(transparent)]
    Malformed(#[from] MalformedPacket),
}

/// Plain counters of what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaStats {
    /// Packets sealed.
    pub packets: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Packets that were not sealed.
    pub refused: u64,
}

/// The sequence number of a packet that is to be sealed. It is used once under its keys, which is all
/// that IVs need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) sequence: u64,
    /// The upper half of an extended one.
    pub(crate) high: Option<u32>,
}

/// A security association that this side sends on. Before each use, or each time its clock moves,
/// the caller asks [`expiry`](Self::expiry); `Hard` means to send nothing more.
#[derive(Debug)]
pub struct OutboundSa {
    spi: u32,
    keys: EspKeys,
    /// The last sequence number used; zero before the first packet, whose number is 1.
    sequence: u64,
    /// Whether the sequence numbers are extended ones.
    extended: bool,
    meter: Meter,
    stats: SaStats,
}

impl OutboundSa {
    /// An SA with the SPI that the peer chose. `keymat` has [`EspSuite::keymat_len`] bytes. The
    /// generator spreads the soft limits.
    pub fn new(
        spi: u32,
        suite: EspSuite,
        keymat: &[u8],
        lifetime: Lifetime,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<Self, KeyLength> {
        Ok(Self {
            spi,
            keys: EspKeys::new(suite, keymat)?,
            sequence: 0,
            extended: false,
            meter: Meter::new(lifetime, now, rng),
            stats: SaStats::default(),
        })
    }

    /// The same SA with extended sequence numbers (RFC 4303 2.2.1), if they were negotiated.
    #[must_use]
    pub fn extended(mut self, extended: bool) -> Self {
        self.extended = extended;
        self
    }

    /// Cuts HMAC-SHA2-256 as the peer does, going by what it is received with: the
    /// [`InboundSa::suite`](crate::InboundSa::suite) of the other direction. Any other suite changes
    /// nothing.
    pub fn follow(&mut self, suite: EspSuite) {
        self.keys.set_suite(suite);
    }

    /// The peer's SPI.
    pub fn spi(&self) -> u32 {
        self.spi
    }

    /// Whether a packet with this number in its header has been sent. Of extended numbers it is the
    /// lower half (RFC 4303 2.2.1), which after the first 2^32 packets may be any.
    pub fn has_sent(&self, number: u32) -> bool {
        let number = u64::from(number);
        self.sequence > u64::from(u32::MAX) || (1..=self.sequence).contains(&number)
    }

    /// The suite that is sent with, see [`follow`](Self::follow).
    pub fn suite(&self) -> EspSuite {
        self.keys.suite()
    }

    /// Has loaded what the next packet will need, but for the keys, without waiting for it.
    pub fn prefetch(&self) {
        prefetch(self);
    }

    /// The same for the keys, which can be found only once the SA itself is loaded.
    pub fn prefetch_keys(&self) {
        self.keys.prefetch();
    }

    /// Whether it gains anything to seal packets together with others.
    pub(crate) fn has_lanes(&self) -> bool {
        self.keys.has_lanes()
    }

    /// Makes an ESP packet of the payload in `buf`, in place: SPI, sequence number and IV in
    /// front, padding 1, 2, 3, ... (RFC 4303 2.4), trailer and ICV behind. The buffer must have
    /// [`HEADROOM`](crate::HEADROOM) and [`TAILROOM`](crate::TAILROOM); the length will be
    /// [`EspSuite::sealed_len`].
    pub fn seal(&mut self, buf: &mut PacketBuf, next_header: u8) -> Result<(), SealError> {
        let payload = buf.len();
        let sealed = self.prepare(buf, next_header).and_then(|numbers| {
            let packet = buf.as_mut_slice();
            Ok(self.keys.seal(packet, numbers.sequence, numbers.high)?)
        });
        self.count(payload, sealed)
    }

    /// As [`seal`](Self::seal), but leaves the cryptography to a batch, which takes the
    /// [`keys`](Self::keys).
    pub(crate) fn seal_later(
        &mut self,
        buf: &mut PacketBuf,
        next_header: u8,
    ) -> Result<Numbers, SealError> {
        let payload = buf.len();
        let prepared = self.prepare(buf, next_header);
        self.count(payload, prepared)
    }

    pub(crate) fn keys(&self) -> &EspKeys {
        &self.keys
    }

    fn count<T>(&mut self, payload: usize, sealed: Result<T, SealError>) -> Result<T, SealError> {
        if sealed.is_ok() {
            self.stats.packets += 1;
            self.stats.bytes += payload as u64;
        } else {
            self.stats.refused += 1;
        }
        sealed
    }

    /// Takes the next sequence number, and puts everything into the packet but IV and ICV.
    fn prepare(&mut self, buf: &mut PacketBuf, next_header: u8) -> Result<Numbers, SealError> {
        if self.meter.is_used_up() {
            return Err(SealError::Expired);
        }
        let sequence = self
            .sequence
            .checked_add(1)
            .filter(|next| *next <= self.last_sequence())
            .ok_or(SealError::SequenceExhausted)?;
        // cast: the two halves
        let (high, low) = ((sequence >> 32) as u32, sequence as u32);
        let suite = self.suite();
        let payload = buf.len();
        let len = suite.sealed_len(payload);
        if len > MAX_PACKET {
            return Err(SealError::TooLong { len });
        }
        let padding = suite.padding_len(payload);
        let front = HEADER_LEN + suite.iv_len();
        let trailer = padding + TRAILER_LEN;
        // Asked first, so that a failed append leaves no header behind.
        if buf.headroom() < front {
            return Err(NoRoom {
                needed: front,
                left: buf.headroom(),
            }
            .into());
        }

        let tail = buf.append(trailer + suite.icv_len())?;
        let (pad, rest) = tail.split_at_mut_checked(padding).unwrap_or_default();
        // casts: padding is below the block length
        for (to, number) in pad.iter_mut().zip(1..=padding as u8) {
            *to = number;
        }
        if let Some(fields) = rest.first_chunk_mut() {
            *fields = [padding as u8, next_header];
        }
        let head = buf.prepend(front)?;
        if let Some(fields) = head.first_chunk_mut() {
            *fields = ((u64::from(self.spi) << 32) | u64::from(low)).to_be_bytes();
        }

        self.sequence = sequence;
        self.meter.count(payload + trailer);
        Ok(Numbers {
            sequence,
            high: self.extended.then_some(high),
        })
    }

    /// The same SA after it has used this sequence number.
    #[cfg(test)]
    pub(crate) fn after(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    /// Where the SA is in its life: time, bytes and sequence numbers.
    pub fn expiry(&self, now: Instant) -> Expiry {
        let by_sequence = if self.sequence >= self.last_sequence() {
            Expiry::Hard
        } else if !self.extended && self.sequence >= SOFT_SEQUENCE {
            Expiry::Soft
        } else {
            Expiry::Alive
        };
        self.meter.expiry(now).max(by_sequence)
    }

    /// When time alone makes it [`Expiry::Soft`] and [`Expiry::Hard`].
    pub fn expires_at(&self) -> (Option<Instant>, Option<Instant>) {
        self.meter.expires_at()
    }

    /// The last sequence number used, both halves of an extended one; zero before the first packet.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The last sequence number that there is.
    fn last_sequence(&self) -> u64 {
        if self.extended {
            u64::MAX
        } else {
            u32::MAX.into()
        }
    }

    /// What was sent.
    pub fn stats(&self) -> SaStats {
        self.stats
    }
}

#[cfg(test)]
mod tests;
