//! Entries of one shard under keys that are never used again: a note about an entry may arrive when
//! another one has its slot, and must not be taken for a note about that.

use slab::Slab;

/// Where an entry is: its shard, its slot there, and a serial that no other entry of the shard has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(super) shard: u16,
    slot: u32,
    serial: u32,
}

/// The entries.
pub(super) struct Table<T> {
    shard: u16,
    serial: u32,
    slots: Slab<(u32, T)>,
}

impl<T> Table<T> {
    pub(super) fn new(shard: u16) -> Self {
        Self {
            shard,
            serial: 0,
            slots: Slab::new(),
        }
    }

    pub(super) fn insert(&mut self, value: T) -> Key {
        // Comes round after four thousand million entries, when no note of the first is left.
        self.serial = self.serial.wrapping_add(1);
        Key {
            shard: self.shard,
            // cast: there are far fewer entries
            slot: self.slots.insert((self.serial, value)) as u32,
            serial: self.serial,
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        let (serial, value) = self.slots.get(key.slot as usize)?;
        (*serial == key.serial && self.shard == key.shard).then_some(value)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (serial, value) = self.slots.get_mut(key.slot as usize)?;
        (*serial == key.serial && self.shard == key.shard).then_some(value)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.slots
            .try_remove(key.slot as usize)
            .map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().map(|(slot, (serial, value))| {
            let key = Key {
                shard: self.shard,
                // cast: as it was given out
                slot: slot as u32,
                serial: *serial,
            };
            (key, value)
        })
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|(_, (_, value))| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_finds_its_own_entry_only() {
        let mut table = Table::new(3);
        let (one, two) = (table.insert("one"), table.insert("two"));
        assert_eq!(table.remove(one), Some("one"));
        let three = table.insert("three");
        assert_eq!(three.slot, one.slot);
        assert_eq!(table.get(one), None);
        assert_eq!(table.remove(one), None);
        assert_eq!(
            (table.get(two), table.get(three)),
            (Some(&"two"), Some(&"three"))
        );
        let elsewhere = Key { shard: 4, ..two };
        assert_eq!(table.get(elsewhere), None);
        assert_eq!(table.remove(elsewhere), None);
        assert_eq!(table.values().count(), 2);
        let all: Vec<_> = table.iter().collect();
        assert_eq!(all, [(three, &"three"), (two, &"two")]);
    }
}
