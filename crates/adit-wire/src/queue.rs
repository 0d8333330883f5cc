//! A queue for what a machine has to say. Most machines are silent most of the time, and there are many:
//! an empty queue holds no memory.

use std::collections::VecDeque;

/// First in, first out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue<T>(VecDeque<T>);

impl<T> Queue<T> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Puts an item at the end.
    pub fn push_back(&mut self, item: T) {
        self.0.push_back(item);
    }

    /// Takes the first item. With the last one the memory goes.
    pub fn pop_front(&mut self) -> Option<T> {
        let item = self.0.pop_front();
        if self.0.is_empty() {
            self.clear();
        }
        item
    }

    /// Drops all items and the memory.
    pub fn clear(&mut self) {
        self.0 = VecDeque::new();
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Extend<T> for Queue<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.0.extend(items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_holds_nothing() {
        let mut queue = Queue::new();
        queue.push_back(1);
        queue.extend([2, 3]);
        assert_eq!((queue.len(), queue.is_empty()), (3, false));
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(queue.pop_front(), Some(1));
        assert!(queue.0.capacity() >= 2);
        assert_eq!((queue.pop_front(), queue.pop_front()), (Some(2), Some(3)));
        assert_eq!((queue.0.capacity(), queue.pop_front()), (0, None));
        queue.push_back(4);
        queue.clear();
        assert_eq!((queue.0.capacity(), queue.len()), (0, 0));
    }
}
