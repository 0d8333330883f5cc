//! One deadline queue over every machine that the server owns.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;
use std::time::Instant;

use hashbrown::HashMap;

/// Deadlines by owner, at most one each. Changing one leaves the old entry in the heap; it is
/// skipped when it comes up, and the heap is rebuilt when most of it is stale.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    deadlines: HashMap<K, Instant>,
}

impl<K: Copy + Ord + Hash> Timers<K> {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            deadlines: HashMap::new(),
        }
    }

    /// Sets, moves or (with `None`) clears the deadline of `key`.
    pub(crate) fn set(&mut self, key: K, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            self.deadlines.remove(&key);
            return;
        };
        if self.deadlines.insert(key, deadline) != Some(deadline) {
            self.heap.push(Reverse((deadline, key)));
            if self.heap.len() > 2 * self.deadlines.len() + 64 {
                self.heap = self
                    .deadlines
                    .iter()
                    .map(|(key, deadline)| Reverse((*deadline, *key)))
                    .collect();
            }
        }
    }

    /// The next deadline, at the latest; it may be an early one that has been moved.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Takes one owner whose deadline has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        loop {
            let Reverse((deadline, _)) = self.heap.peek()?;
            if *deadline > now {
                return None;
            }
            let Reverse((deadline, key)) = self.heap.pop()?;
            if self.deadlines.get(&key) == Some(&deadline) {
                self.deadlines.remove(&key);
                return Some(key);
            }
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_deadline_set_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::new();
        timers.set(1, Some(at(5)));
        timers.set(2, Some(at(3)));
        timers.set(1, Some(at(7)));
        timers.set(3, Some(at(1)));
        timers.set(3, None);
        assert_eq!(timers.pop(at(2)), None);
        assert_eq!(timers.pop(at(6)), Some(2));
        assert_eq!(timers.pop(at(6)), None);
        assert_eq!(timers.pop(at(7)), Some(1));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn moving_a_deadline_forever_does_not_grow_the_heap() {
        let start = Instant::now();
        let mut timers = Timers::new();
        for step in 0..10_000 {
            timers.set(1, Some(start + Duration::from_millis(step)));
        }
        assert!(timers.heap.len() < 100);
    }
}
