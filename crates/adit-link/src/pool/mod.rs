//! What clients are given out of: IPv4 addresses and IPv6 prefixes.
//!
//! A pool's memory grows with its leases, not with its size, and allocation does not search. What
//! was released comes back as late as possible, first released first, so that stale traffic for
//! the client before does not reach the next one.

mod ipv4;
mod prefix;
#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};

pub use ipv4::Ipv4Pool;
pub use prefix::{PrefixLength, PrefixPool};

/// The most released indices that are held back while there are fresh ones. It bounds the memory
/// of a large pool that has run for a year.
const HELD_BACK: usize = 65_536;

/// Every address or prefix is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool is exhausted: all {capacity} are in use")]
pub struct Exhausted {
    /// How many there are for clients.
    pub capacity: u64,
}

/// Allocation of numbers out of `first..end` without some reserved ones.
#[derive(Clone, Debug)]
struct Indices {
    /// Never used so far: `fresh..end`.
    fresh: u64,
    end: u64,
    reserved: HashSet<u64>,
    leased: HashSet<u64>,
    /// Oldest first.
    released: VecDeque<u64>,
    capacity: u64,
}

impl Indices {
    fn new(first: u64, end: u64, reserved: impl IntoIterator<Item = u64>) -> Self {
        let reserved: HashSet<u64> = reserved
            .into_iter()
            .filter(|index| (first..end).contains(index))
            .collect();
        Self {
            fresh: first,
            end,
            capacity: end
                .saturating_sub(first)
                .saturating_sub(reserved.len() as u64),
            reserved,
            leased: HashSet::new(),
            released: VecDeque::new(),
        }
    }

    fn allocate(&mut self) -> Result<u64, Exhausted> {
        let index = if self.released.len() >= HELD_BACK {
            self.released.pop_front()
        } else {
            self.take_fresh().or_else(|| self.released.pop_front())
        };
        let index = index.ok_or(Exhausted {
            capacity: self.capacity,
        })?;
        self.leased.insert(index);
        Ok(index)
    }

    fn take_fresh(&mut self) -> Option<u64> {
        while self.fresh < self.end {
            let index = self.fresh;
            self.fresh += 1;
            if !self.reserved.contains(&index) {
                return Some(index);
            }
        }
        None
    }

    fn release(&mut self, index: u64) -> bool {
        let was_leased = self.leased.remove(&index);
        if was_leased {
            self.released.push_back(index);
        }
        was_leased
    }
}
