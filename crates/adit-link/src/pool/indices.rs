//! Which numbers of a range are in use, and which come next.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Exhausted;

/// The most released indices that are held back while there are fresh ones. It bounds the memory
/// of a large pool that has run for a year.
pub(super) const HELD_BACK: usize = 65_536;

/// Allocation of numbers out of `first..end` without some reserved ones: fresh ones first, then
/// released ones, then those that are kept for somebody; of both the longest unused first.
#[derive(Clone, Debug)]
pub(super) struct Indices {
    first: u64,
    /// Those from here to `end` were never handed out by [`allocate`](Self::allocate).
    fresh: u64,
    pub(super) end: u64,
    reserved: HashSet<u64>,
    leased: HashSet<u64>,
    pub(super) released: Returned,
    kept: Returned,
}

impl Indices {
    pub(super) fn new(first: u64, end: u64, reserved: impl IntoIterator<Item = u64>) -> Self {
        let reserved = reserved
            .into_iter()
            .filter(|index| (first..end).contains(index))
            .collect();
        Self {
            first,
            fresh: first,
            end,
            reserved,
            leased: HashSet::new(),
            released: Returned::default(),
            kept: Returned::default(),
        }
    }

    /// How many there are to hand out, leased or not.
    pub(super) fn capacity(&self) -> u64 {
        self.end
            .saturating_sub(self.first)
            .saturating_sub(self.reserved.len() as u64)
    }

    pub(super) fn leased(&self) -> usize {
        self.leased.len()
    }

    pub(super) fn allocate(&mut self) -> Result<u64, Exhausted> {
        let index = if self.released.len() >= HELD_BACK {
            self.released.pop()
        } else {
            self.take_fresh().or_else(|| self.released.pop())
        };
        let index = index.or_else(|| self.kept.pop()).ok_or(Exhausted {
            capacity: self.capacity(),
        })?;
        self.leased.insert(index);
        Ok(index)
    }

    fn take_fresh(&mut self) -> Option<u64> {
        while self.fresh < self.end {
            let index = self.fresh;
            self.fresh += 1;
            let is_fresh = !self.reserved.contains(&index)
                && !self.leased.contains(&index)
                && !self.released.contains(index)
                && !self.kept.contains(index);
            if is_fresh {
                return Some(index);
            }
        }
        None
    }

    /// Leases this one, unless it is leased or reserved.
    pub(super) fn take(&mut self, index: u64) -> bool {
        let free = self.is_free(index);
        if free {
            self.released.remove(index);
            self.kept.remove(index);
            self.leased.insert(index);
        }
        free
    }

    /// Leases this one of the reserved, unless it is leased.
    pub(super) fn take_reserved(&mut self, index: u64) -> bool {
        self.reserved.contains(&index) && self.leased.insert(index)
    }

    /// Keeps this one for somebody, unless it is leased, reserved or kept already.
    pub(super) fn keep(&mut self, index: u64) -> bool {
        let free = self.is_free(index) && !self.kept.contains(index);
        if free {
            self.released.remove(index);
            self.kept.push(index);
        }
        free
    }

    fn is_free(&self, index: u64) -> bool {
        (self.first..self.end).contains(&index)
            && !self.reserved.contains(&index)
            && !self.leased.contains(&index)
    }

    /// Takes back, for anybody.
    pub(super) fn release(&mut self, index: u64) -> bool {
        let was_leased = self.leased.remove(&index);
        if was_leased && !self.reserved.contains(&index) {
            self.released.push(index);
        }
        was_leased
    }

    /// Takes back what is kept for nobody any more.
    pub(super) fn unkeep(&mut self, index: u64) {
        if self.kept.remove(index) {
            self.released.push(index);
        }
    }

    /// Reserves these and no others. What is leased stays so until it is released.
    pub(super) fn reserve(&mut self, reserved: impl IntoIterator<Item = u64>) {
        let reserved: HashSet<u64> = reserved
            .into_iter()
            .filter(|index| (self.first..self.end).contains(index))
            .collect();
        for index in reserved.difference(&self.reserved) {
            self.released.remove(*index);
            self.kept.remove(*index);
        }
        for index in self.reserved.difference(&reserved) {
            // Those that are still fresh come in their turn.
            if *index < self.fresh && !self.leased.contains(index) {
                self.released.push(*index);
            }
        }
        self.reserved = reserved;
    }
}

/// Numbers in the order in which they were given back, any of which can be taken out.
#[derive(Clone, Debug, Default)]
pub(super) struct Returned {
    by_age: BTreeMap<u64, u64>,
    ages: HashMap<u64, u64>,
    next: u64,
}

impl Returned {
    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    fn contains(&self, index: u64) -> bool {
        self.ages.contains_key(&index)
    }

    fn push(&mut self, index: u64) {
        self.remove(index);
        self.by_age.insert(self.next, index);
        self.ages.insert(index, self.next);
        self.next += 1;
    }

    fn pop(&mut self) -> Option<u64> {
        let (_, index) = self.by_age.pop_first()?;
        self.ages.remove(&index);
        Some(index)
    }

    fn remove(&mut self, index: u64) -> bool {
        let age = self.ages.remove(&index);
        age.is_some_and(|age| self.by_age.remove(&age).is_some())
    }
}
