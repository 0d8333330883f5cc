//! The receiving side of a security association (RFC 4303 3.4): window, integrity, window again,
//! then padding, in this order.

mod icv;

use std::ops::Range;
use std::time::Instant;

use adit_crypto::{EspKeys, EspSuite, KeyLength, PacketMac, Rng, VerifyError, prefetch};

use self::icv::InboundKeys;
use crate::lifetime::{Expiry, Lifetime, Meter};
use crate::window::{Replay, ReplayWindow};
use crate::{TRAILER_LEN, header_of};

/// Why a received packet is dropped. Only `Padding` is said of a packet that the peer sent for
/// certain; all others may be anyone's, and must cost the SA nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too short for the suite, or its encrypted part is not whole blocks.
    #[error("{len} bytes are no ESP packet of this SA")]
    Truncated {
        /// Length of the packet.
        len: usize,
    },
    /// The packet is another SA's: the caller looked up the wrong one.
    #[error("a packet of SPI {spi:#010x} for another SA")]
    Spi {
        /// The packet's SPI.
        spi: u32,
    },
    /// The sequence number is zero, which no sender may use (RFC 4303 3.3.3).
    #[error("sequence number zero")]
    SequenceZero,
    /// The sequence number came before.
    #[error("sequence number {sequence} came before")]
    Replayed {
        /// The sequence number.
        sequence: u64,
    },
    /// The sequence number is left of the window: replayed, or very late.
    #[error("sequence number {sequence} is older than the replay window")]
    TooOld {
        /// The sequence number.
        sequence: u64,
    },
    /// The integrity check failed: altered, forged, or under other keys.
    #[error("the integrity check value does not match")]
    BadIcv,
    /// The padding is longer than what it pads, or is not 1, 2, 3, ... (RFC 4303 2.4).
    #[error("the padding of an authentic packet is malformed")]
    Padding,
    /// The SA's bytes are used up.
    #[error("the SA's lifetime in bytes has ended")]
    Expired,
}

/// A packet that was verified and decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where the payload is in the packet. It may end in traffic flow confidentiality padding
    /// (RFC 4303 2.7), which only the length field of the inner header tells from data.
    pub payload: Range<usize>,
    /// The payload's protocol; [`DUMMY`](crate::DUMMY) asks for it to be dropped.
    pub next_header: u8,
    /// The sequence number, both halves of an extended one.
    pub sequence: u64,
    /// Whether this is the newest packet so far. Only then may the caller take the outer source
    /// for where the peer is now.
    pub newest: bool,
}

/// Plain counters of what arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboundStats {
    /// Packets opened.
    pub packets: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Sequence numbers that came before, or are older than the window.
    pub replayed: u64,
    /// Failed integrity checks.
    pub bad_icv: u64,
    /// Impossible lengths, sequence number zero, malformed padding.
    pub malformed: u64,
    /// Packets after the SA's bytes were used up.
    pub expired: u64,
}

/// A security association that this side receives on. The caller finds it by
/// [`spi_of`](crate::spi_of), and asks [`expiry`](Self::expiry) when its clock moves.
#[derive(Debug)]
pub struct InboundSa {
    spi: u32,
    keys: InboundKeys,
    window: ReplayWindow,
    meter: Meter,
    stats: InboundStats,
}

impl InboundSa {
    /// An SA with the SPI that this side chose. `keymat` has [`EspSuite::keymat_len`] bytes. The
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
            keys: InboundKeys::new(EspKeys::new(suite, keymat)?),
            window: ReplayWindow::new(),
            meter: Meter::new(lifetime, now, rng),
            stats: InboundStats::default(),
        })
    }

    /// The same SA with extended sequence numbers (RFC 4303 2.2.1), if they were negotiated.
    #[must_use]
    pub fn extended(mut self, extended: bool) -> Self {
        self.keys.extended = extended;
        self
    }

    /// Our SPI.
    pub fn spi(&self) -> u32 {
        self.spi
    }

    /// The suite that the peer uses: what was negotiated, unless its packets show that it cuts
    /// HMAC-SHA2-256 at 96 bits.
    pub fn suite(&self) -> EspSuite {
        self.keys.suite()
    }

    /// Opens a whole ESP packet, SPI to ICV, in place. After an error the packet's bytes mean
    /// nothing.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<Opened, OpenError> {
        self.open_with(packet, None)
    }

    /// Has loaded what a packet of this SA will need, but for the keys, without waiting for it.
    pub fn prefetch(&self, packet: &[u8]) {
        prefetch(&self.spi);
        prefetch(&self.keys);
        prefetch(&self.meter);
        prefetch(&self.stats);
        if let Some((_, low)) = header_of(packet) {
            self.window.prefetch(low);
        }
    }

    /// The same for the keys, which can be found only once the SA itself is loaded.
    pub fn prefetch_keys(&self) {
        self.keys.prefetch();
    }

    /// As [`open`](Self::open), of a packet whose MAC may have been computed under the keys of
    /// [`expects`](Self::expects).
    pub(crate) fn open_with(
        &mut self,
        packet: &mut [u8],
        computed: Option<&PacketMac>,
    ) -> Result<Opened, OpenError> {
        let opened = self.try_open(packet, computed);
        match &opened {
            Ok(opened) => {
                self.stats.packets += 1;
                self.stats.bytes += opened.payload.len() as u64;
            }
            Err(OpenError::Replayed { .. } | OpenError::TooOld { .. }) => self.stats.replayed += 1,
            Err(OpenError::BadIcv) => self.stats.bad_icv += 1,
            Err(OpenError::Expired) => self.stats.expired += 1,
            Err(
                OpenError::Truncated { .. }
                | OpenError::Spi { .. }
                | OpenError::SequenceZero
                | OpenError::Padding,
            ) => self.stats.malformed += 1,
        }
        opened
    }

    /// What a packet would be verified with, were it to come now; `None` if it would be refused
    /// before, or if these keys make no MAC together with others.
    pub(crate) fn expects(&self, packet: &[u8]) -> Option<(EspKeys, Option<u32>)> {
        let (spi, low) = header_of(packet)?;
        if spi != self.spi || !self.keys.has_lanes() || self.meter.is_used_up() {
            return None;
        }
        let sequence = self.number(low).ok()?;
        Some((self.keys.expected(packet.len()), self.keys.high(sequence)))
    }

    fn try_open(
        &mut self,
        packet: &mut [u8],
        computed: Option<&PacketMac>,
    ) -> Result<Opened, OpenError> {
        let len = packet.len();
        let (spi, low) = header_of(packet).ok_or(OpenError::Truncated { len })?;
        if spi != self.spi {
            return Err(OpenError::Spi { spi });
        }
        if self.meter.is_used_up() {
            return Err(OpenError::Expired);
        }
        // First without moving the window, so that replays cost no cryptography ...
        let sequence = match self.number(low) {
            Ok(sequence) => sequence,
            Err((sequence, error)) => {
                self.keys.reconsider(packet, sequence);
                return Err(error);
            }
        };
        let clear = self
            .keys
            .verify(packet, sequence, computed)
            .map_err(|error| match error {
                VerifyError::Malformed(_) => OpenError::Truncated { len },
                VerifyError::IcvMismatch => OpenError::BadIcv,
            })?;
        // ... and moved only now, so that forged numbers cannot push real ones out of it.
        let newest = refused(self.window.mark(sequence), sequence)?;
        self.meter.count(clear.len());
        let (payload, next_header) =
            strip(packet.get(clear.clone()).unwrap_or_default()).ok_or(OpenError::Padding)?;
        Ok(Opened {
            payload: clear.start..clear.start + payload,
            next_header,
            sequence,
            newest,
        })
    }

    /// The sequence number of which `low` was sent, and whether it is worth verifying.
    fn number(&self, low: u32) -> Result<u64, (u64, OpenError)> {
        let sequence = if self.keys.extended {
            self.window.infer(low)
        } else {
            Some(low.into())
        };
        let Some(sequence) = sequence else {
            let sequence = low.into();
            return Err((sequence, OpenError::TooOld { sequence }));
        };
        match refused(self.window.check(sequence), sequence) {
            Ok(_) => Ok(sequence),
            Err(error) => Err((sequence, error)),
        }
    }

    /// Where the SA is in its life: time and bytes.
    pub fn expiry(&self, now: Instant) -> Expiry {
        self.meter.expiry(now)
    }

    /// When time alone makes it [`Expiry::Soft`] and [`Expiry::Hard`].
    pub fn expires_at(&self) -> (Option<Instant>, Option<Instant>) {
        self.meter.expires_at()
    }

    /// The highest sequence number that was authentic; zero before the first.
    pub fn sequence(&self) -> u64 {
        self.window.highest()
    }

    /// What arrived.
    pub fn stats(&self) -> InboundStats {
        self.stats
    }
}

fn refused(verdict: Result<bool, Replay>, sequence: u64) -> Result<bool, OpenError> {
    verdict.map_err(|replay| match replay {
        Replay::Zero => OpenError::SequenceZero,
        Replay::Duplicate => OpenError::Replayed { sequence },
        Replay::TooOld => OpenError::TooOld { sequence },
    })
}

/// Length of the payload and the next header of a decrypted packet; `None` if the padding is not
/// what RFC 4303 2.4 says.
fn strip(clear: &[u8]) -> Option<(usize, u8)> {
    let (padded, [pad_len, next_header]) = clear.split_last_chunk::<TRAILER_LEN>()?;
    let payload = padded.len().checked_sub(usize::from(*pad_len))?;
    let padding = padded.get(payload..)?;
    let expected = (1..=*pad_len).eq(padding.iter().copied());
    expected.then_some((payload, *next_header))
}

#[cfg(test)]
mod tests;
