//! How much may pass, for everybody who shares one allowance: the generic cell rate algorithm
//! (ITU-T I.371 annex A), asked without a lock from any thread.
//!
//! What is over the rate is refused and never queued: TCP finds the rate by its losses, and what
//! somebody else sends does not wait behind it. The burst that passes at once is what makes TCP
//! reach the rate: it has to bear the losses of a whole round trip without falling below.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::policy::Direction;

/// A quarter of a second bears round trips up to 200 ms.
const BURST: Duration = Duration::from_millis(250);

/// Where that is less than two packets of the largest size, small rates would pass none of them.
const LEAST_BURST: u64 = 128 << 10;

/// Bits of IP packets a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    /// The least there can be.
    pub const MIN: Self = Self(8_000);
    /// The most there can be: a packet takes whole nanoseconds.
    pub const MAX: Self = Self(100_000_000_000);

    /// A rate in bits a second, from [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub fn new(bits: u64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0)
            .contains(&bits)
            .then_some(Self(bits))
    }

    /// In bits a second.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// How long so many bytes take, in nanoseconds.
    fn takes(self, bytes: u64) -> u64 {
        bytes
            .saturating_mul(8 * 1_000_000_000)
            .div_ceil(self.0.max(1))
    }
}

/// What passes one way.
#[derive(Debug)]
pub struct Meter {
    rate: Rate,
    /// How far it may be ahead of the rate, in nanoseconds.
    burst: u64,
    /// The first time that it was asked at.
    start: OnceLock<Instant>,
    /// When all that has passed would have passed at exactly the rate, in nanoseconds from there.
    due: AtomicU64,
}

impl Meter {
    /// One that nothing has passed.
    pub fn new(rate: Rate) -> Self {
        // cast: a quarter of a second
        let burst = rate.takes(LEAST_BURST).max(BURST.as_nanos() as u64);
        Self {
            rate,
            burst,
            start: OnceLock::new(),
            due: AtomicU64::new(0),
        }
    }

    /// Whether a packet of so many bytes may pass now, which it then has.
    pub fn passes(&self, bytes: usize, now: Instant) -> bool {
        let start = *self.start.get_or_init(|| now);
        let now = now.saturating_duration_since(start).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let latest = now.saturating_add(self.burst);
        let takes = self.rate.takes(bytes as u64);
        self.due
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
                let due = due.max(now).saturating_add(takes);
                (due <= latest).then_some(due)
            })
            .is_ok()
    }
}

/// The same allowance for each way.
#[derive(Debug)]
pub struct Meters {
    from_client: Meter,
    to_client: Meter,
}

impl Meters {
    /// Two that nothing has passed.
    pub fn new(rate: Rate) -> Self {
        Self {
            from_client: Meter::new(rate),
            to_client: Meter::new(rate),
        }
    }

    /// The rate of each.
    pub fn rate(&self) -> Rate {
        self.from_client.rate
    }

    /// Whether a packet of so many bytes may pass this way now, which it then has.
    pub fn passes(&self, direction: Direction, bytes: usize, now: Instant) -> bool {
        match direction {
            Direction::FromClient => self.from_client.passes(bytes, now),
            Direction::ToClient => self.to_client.passes(bytes, now),
        }
    }
}

#[cfg(test)]
mod tests;
