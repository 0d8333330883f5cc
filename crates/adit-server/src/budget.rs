//! What keeps a flood of bad input from becoming a flood of log lines or of ICMP errors: counters
//! see everything, the rest only so much a second.

use std::time::{Duration, Instant};

/// Lines about unauthenticated peers per second.
pub(crate) const LINES_PER_SECOND: u32 = 20;

/// A budget that is refilled in equal times.
#[derive(Debug)]
pub(crate) struct Budget {
    period: Duration,
    most: u32,
    left: u32,
    since: Instant,
}

impl Budget {
    /// One that is refilled every second.
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        Self::every(Duration::from_secs(1), per_second, now)
    }

    pub(crate) fn every(period: Duration, most: u32, now: Instant) -> Self {
        Self {
            period,
            most,
            left: most,
            since: now,
        }
    }

    /// Whether one more is within the budget.
    pub(crate) fn spend(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= self.period {
            self.since = now;
            self.left = self.most;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}
