//! How long things took, in buckets whose width grows with the time: percentiles of any number of times
//! in a fixed amount of memory, to about 3 %.

use std::time::Duration;

/// Buckets between two powers of two.
const PARTS: u64 = 32;

/// Powers of two of microseconds: the last bucket begins past an hour.
const POWERS: u64 = 32;

/// A distribution of times.
#[derive(Clone, Debug)]
pub struct Latency {
    counts: Vec<u32>,
    count: u64,
    longest: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            // cast: a small constant
            counts: vec![0; (PARTS * POWERS) as usize],
            count: 0,
            longest: Duration::ZERO,
        }
    }
}

impl Latency {
    /// Takes one time.
    pub fn note(&mut self, took: Duration) {
        if let Some(bucket) = self.counts.get_mut(bucket(took)) {
            *bucket = bucket.saturating_add(1);
        }
        self.count += 1;
        self.longest = self.longest.max(took);
    }

    /// Adds the times of another.
    pub fn merge(&mut self, other: &Self) {
        for (to, from) in self.counts.iter_mut().zip(&other.counts) {
            *to = to.saturating_add(*from);
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest; zero of none.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The time that `share` of them (0 to 1) did not exceed; `None` of none.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        // cast: a share of a count
        let wanted = ((self.count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        // The last bucket has no end.
        let bounded = at.filter(|at| at + 1 < self.counts.len());
        // cast: an index
        let end = bounded.map(|at| Duration::from_micros(end_of(at as u64)));
        Some(end.map_or(self.longest, |end| end.min(self.longest)))
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let index = if micros < PARTS {
        micros
    } else {
        let shift = u64::from(micros.ilog2() - PARTS.ilog2());
        shift * PARTS + (micros >> shift)
    };
    // cast: bounded by the line before
    index.min(PARTS * POWERS - 1) as usize
}

/// The last microsecond of a bucket.
fn end_of(index: u64) -> u64 {
    match index / PARTS {
        0 | 1 => index,
        power => ((index % PARTS + PARTS + 1) << (power - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_the_bucket_that_names_it() {
        for micros in (0..10_000).chain((1..30).map(|power| (1 << power) + 17)) {
            let index = bucket(Duration::from_micros(micros)) as u64;
            let end = end_of(index);
            assert!(
                micros <= end && end - micros <= micros / 32,
                "{micros} {end}"
            );
            assert!(index == 0 || micros > end_of(index - 1), "{micros}");
        }
    }

    #[test]
    fn percentiles_are_of_all_that_was_noted() {
        let (mut low, mut high) = (Latency::default(), Latency::default());
        for millis in 1..=50 {
            low.note(Duration::from_millis(millis));
            high.note(Duration::from_millis(50 + millis));
        }
        low.merge(&high);
        assert_eq!(low.count(), 100);
        assert_eq!(low.longest(), Duration::from_millis(100));
        for (share, millis) in [(0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = low.percentile(share).unwrap().as_secs_f64() * 1000.0;
            assert!(found >= millis && found < millis * 1.04, "{share}: {found}");
        }
        assert_eq!(Latency::default().percentile(0.5), None);
        low.note(Duration::from_secs(u64::MAX / 2));
        assert_eq!(low.percentile(1.0), Some(low.longest()));
    }
}
