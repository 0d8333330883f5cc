//! How long a security association may be used (RFC 4301 4.4.2.1): seconds and bytes, each with a
//! soft limit at which it is to be replaced and a hard one at which it ends.

use std::time::{Duration, Instant};

use adit_crypto::Rng;

/// The lifetime that was negotiated (RFC 2407 4.5); `None` sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Time from the creation of the SA on.
    pub seconds: Option<Duration>,
    /// Bytes that go through the cipher: payload, padding and trailer.
    pub bytes: Option<u64>,
}

/// Where a security association is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiry {
    /// To be used.
    Alive,
    /// To be used, and to be replaced.
    Soft,
    /// Must not be used.
    Hard,
}

/// The soft limits lie between these shares of the hard ones. Each SA draws its own, so that many
/// that were set up together are not replaced together.
const SOFT_PER_MILLE: u32 = 800;
const SOFT_SPREAD_PER_MILLE: u32 = 100;

/// The limits of one security association and what it has used of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    soft_at: Option<Instant>,
    hard_at: Option<Instant>,
    soft_bytes: Option<u64>,
    hard_bytes: Option<u64>,
    used: u64,
}

impl Meter {
    pub(crate) fn new(lifetime: Lifetime, now: Instant, rng: &mut Rng) -> Self {
        let share = SOFT_PER_MILLE + rng.below(SOFT_SPREAD_PER_MILLE + 1);
        // A time past what the clock can hold is no limit.
        let after = |time: Duration| now.checked_add(time);
        Self {
            soft_at: lifetime
                .seconds
                .and_then(|time| after((time / 1000).saturating_mul(share))),
            hard_at: lifetime.seconds.and_then(after),
            soft_bytes: lifetime.bytes.map(|bytes| scaled(bytes, share)),
            hard_bytes: lifetime.bytes,
            used: 0,
        }
    }

    /// Counts bytes that went through the cipher.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes as u64);
    }

    /// Whether the bytes are used up; what the clock says is left out, since the packet path does
    /// not read it.
    pub(crate) fn is_used_up(&self) -> bool {
        reached(self.used, self.hard_bytes)
    }

    pub(crate) fn expiry(&self, now: Instant) -> Expiry {
        if reached(now, self.hard_at) || self.is_used_up() {
            Expiry::Hard
        } else if reached(now, self.soft_at) || reached(self.used, self.soft_bytes) {
            Expiry::Soft
        } else {
            Expiry::Alive
        }
    }

    /// The soft and the hard limit of time.
    pub(crate) fn expires_at(&self) -> (Option<Instant>, Option<Instant>) {
        (self.soft_at, self.hard_at)
    }
}

fn reached<T: PartialOrd>(value: T, limit: Option<T>) -> bool {
    limit.is_some_and(|limit| value >= limit)
}

fn scaled(bytes: u64, per_mille: u32) -> u64 {
    let scaled = u128::from(bytes) * u128::from(per_mille) / 1000;
    // cast: per_mille is at most 1000
    scaled as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn meter(seconds: Option<Duration>, bytes: Option<u64>, seed: u8) -> (Meter, Instant) {
        #[expect(clippy::disallowed_methods, reason = "a test needs some start of time")]
        let now = Instant::now();
        let lifetime = Lifetime { seconds, bytes };
        (
            Meter::new(lifetime, now, &mut Rng::from_seed([seed; 32])),
            now,
        )
    }

    #[test]
    fn time_passes_both_limits() {
        let (meter, start) = meter(Some(HOUR), None, 1);
        let (Some(soft), Some(hard)) = meter.expires_at() else {
            panic!("both limits are set");
        };
        assert_eq!(hard, start + HOUR);
        assert!((start + HOUR * 8 / 10..=start + HOUR * 9 / 10).contains(&soft));
        let moment = Duration::from_nanos(1);
        assert_eq!(meter.expiry(start), Expiry::Alive);
        assert_eq!(meter.expiry(soft - moment), Expiry::Alive);
        assert_eq!(meter.expiry(soft), Expiry::Soft);
        assert_eq!(meter.expiry(hard - moment), Expiry::Soft);
        assert_eq!(meter.expiry(hard), Expiry::Hard);
    }

    #[test]
    fn bytes_pass_both_limits() {
        let (mut meter, now) = meter(None, Some(1000), 2);
        assert_eq!(meter.expires_at(), (None, None));
        meter.count(799);
        assert_eq!(meter.expiry(now + 1000 * HOUR), Expiry::Alive);
        meter.count(101);
        assert_eq!(meter.expiry(now), Expiry::Soft);
        assert!(!meter.is_used_up());
        meter.count(100);
        assert_eq!(meter.expiry(now), Expiry::Hard);
        assert!(meter.is_used_up());
    }

    #[test]
    fn soft_limits_are_spread() {
        let mut softs: Vec<_> = (0..60)
            .map(|seed| {
                let (meter, start) = meter(Some(HOUR), None, seed);
                meter.expires_at().0.unwrap() - start
            })
            .collect();
        softs.sort_unstable();
        softs.dedup();
        assert!(softs.len() > 25, "{} different limits", softs.len());
    }

    #[test]
    fn no_limits_and_limits_past_the_clock() {
        for seconds in [None, Some(Duration::MAX)] {
            let (mut meter, now) = meter(seconds, None, 3);
            meter.count(usize::MAX);
            meter.count(usize::MAX);
            assert_eq!(meter.expiry(now + 10_000 * HOUR), Expiry::Alive);
        }
        let (meter, now) = meter(None, Some(u64::MAX), 3);
        assert_eq!(meter.expiry(now), Expiry::Alive);
    }
}
