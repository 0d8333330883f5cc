//! Rests in a flood: what comes while the control side rests waits in its socket and is read together.
//! Read one by one, each datagram would wake a thread, which costs the processor that brings it more
//! than all that the server does with it, and takes that from everybody's traffic.

use std::time::{Duration, Instant};

/// Datagrams within one [`REST`] that are a flood: many times what all the set-ups are that a machine can
/// do at once.
const MANY: usize = 32;

/// How long a rest is. Nobody who sets up a session sees it.
const REST: Duration = Duration::from_millis(1);

/// How many datagrams one socket has brought lately.
pub(super) struct Pace {
    since: Instant,
    count: usize,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            count: 0,
        }
    }

    /// Counts what was read; gives how long to rest if that makes it a flood.
    pub(super) fn read(&mut self, count: usize, now: Instant) -> Option<Duration> {
        if now.saturating_duration_since(self.since) >= REST {
            *self = Self::new(now);
        }
        self.count += count;
        (self.count >= MANY).then_some(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_at_once_are_a_flood() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            now += REST;
            assert_eq!(pace.read(MANY - 1, now), None);
        }
        assert_eq!(pace.read(1, now + REST / 2), Some(REST));
        // After the rest, what waited is read at once.
        assert_eq!(pace.read(MANY, now + 2 * REST), Some(REST));
        assert_eq!(pace.read(1, now + 3 * REST), None);
    }

    #[test]
    fn what_comes_one_by_one_is_counted_together() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let rests = (0..MANY).map(|_| pace.read(1, now).is_some());
        assert_eq!(rests.filter(|rest| *rest).count(), 1);
    }
}
