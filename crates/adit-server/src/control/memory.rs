//! Which addresses each device had last, so that it gets them again: a table that is bounded as a
//! whole and for each user, since a client may call itself what it likes. The longest unused entries go
//! first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::Ipv6Net;

use crate::grant::{Device, Lease};

/// The most devices of one user that are remembered.
pub(super) const DEVICES_OF_USER: usize = 32;

/// What changed of a device, and what it has now.
pub(super) type Change = (Arc<Device>, Option<Lease>);

/// The table.
#[derive(Debug)]
pub(super) struct Memory {
    entries: HashMap<Arc<Device>, Entry>,
    /// Those without a session, longest unused first.
    unused: BTreeMap<u64, Arc<Device>>,
    next_age: u64,
    by_user: HashMap<String, OfUser>,
    by_ipv4: HashMap<Ipv4Addr, Arc<Device>>,
    by_prefix: HashMap<Ipv6Net, Arc<Device>>,
    limit: usize,
    changes: VecDeque<Change>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    lease: Lease,
    /// `None` while a session of the device has it.
    age: Option<u64>,
}

/// The devices of one user.
#[derive(Debug, Default)]
struct OfUser {
    count: usize,
    /// Ages of those without a session.
    unused: BTreeSet<u64>,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            unused: BTreeMap::new(),
            next_age: 0,
            by_user: HashMap::new(),
            by_ipv4: HashMap::new(),
            by_prefix: HashMap::new(),
            limit,
            changes: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What a device had; `None` if that is unknown.
    pub(super) fn get(&self, device: &Device) -> Option<Lease> {
        self.entries.get(device).map(|entry| entry.lease)
    }

    /// Whether a session of the device has its addresses.
    pub(super) fn is_in_use(&self, device: &Device) -> bool {
        self.entries
            .get(device)
            .is_some_and(|entry| entry.age.is_none())
    }

    pub(super) fn is_ipv4_of(&self, address: Ipv4Addr, device: &Device) -> bool {
        self.by_ipv4.get(&address).map(Arc::as_ref) == Some(device)
    }

    pub(super) fn is_prefix_of(&self, prefix: Ipv6Net, device: &Device) -> bool {
        self.by_prefix.get(&prefix).map(Arc::as_ref) == Some(device)
    }

    /// A session of a device has this from now on. Gives what the device had and has no longer.
    pub(super) fn put(&mut self, device: &Arc<Device>, lease: Lease) -> Lease {
        self.changes.push_back((Arc::clone(device), Some(lease)));
        self.set(device, lease)
    }

    /// What a device had that has no session and is not in the table; `is_changed` if a copy says
    /// otherwise. An empty lease is only told.
    pub(super) fn restore(&mut self, device: &Arc<Device>, lease: Lease, is_changed: bool) {
        let left = (!lease.is_empty()).then_some(lease);
        if is_changed {
            self.changes.push_back((Arc::clone(device), left));
        }
        if left.is_some() {
            self.set(device, lease);
            self.set_unused(device);
        }
    }

    fn set(&mut self, device: &Arc<Device>, lease: Lease) -> Lease {
        if !self.entries.contains_key(device) {
            let of_user = self.by_user.entry_ref(device.user.as_str()).or_default();
            of_user.count += 1;
        }
        let entry = self.entries.entry(Arc::clone(device)).or_default();
        if let Some(age) = entry.age.take() {
            self.unused.remove(&age);
            if let Some(of_user) = self.by_user.get_mut(&device.user) {
                of_user.unused.remove(&age);
            }
        }
        let before = std::mem::replace(&mut entry.lease, lease);
        let mut gone = Lease::default();
        if before.ipv4 != lease.ipv4
            && let Some(address) = before.ipv4
        {
            gone.ipv4 = Some(address);
            self.by_ipv4.remove(&address);
        }
        for (field, before, now) in [
            (&mut gone.ipv6, before.ipv6, lease.ipv6),
            (&mut gone.delegated, before.delegated, lease.delegated),
        ] {
            if before != now
                && let Some(prefix) = before
            {
                *field = Some(prefix);
                self.by_prefix.remove(&prefix);
            }
        }
        if let Some(address) = lease.ipv4 {
            self.by_ipv4.insert(address, Arc::clone(device));
        }
        for prefix in [lease.ipv6, lease.delegated].into_iter().flatten() {
            self.by_prefix.insert(prefix, Arc::clone(device));
        }
        gone
    }

    /// The session of a device is over.
    pub(super) fn rest(&mut self, device: &Arc<Device>) {
        let Some(entry) = self.entries.get(device) else {
            return;
        };
        if entry.lease.is_empty() {
            self.remove(device);
            self.changes.push_back((Arc::clone(device), None));
            return;
        }
        let lease = entry.lease;
        if self.set_unused(device) {
            self.changes.push_back((Arc::clone(device), Some(lease)));
        }
    }

    fn set_unused(&mut self, device: &Arc<Device>) -> bool {
        let in_use = self
            .entries
            .get_mut(device)
            .filter(|entry| entry.age.is_none());
        let Some(entry) = in_use else {
            return false;
        };
        entry.age = Some(self.next_age);
        self.unused.insert(self.next_age, Arc::clone(device));
        if let Some(of_user) = self.by_user.get_mut(&device.user) {
            of_user.unused.insert(self.next_age);
        }
        self.next_age += 1;
        true
    }

    /// Forgets the longest unused device if there are too many, or too many of this user, and gives
    /// what it had.
    pub(super) fn trim(&mut self, user: &str) -> Option<Lease> {
        let of_user = self
            .by_user
            .get(user)
            .filter(|of_user| of_user.count > DEVICES_OF_USER);
        let device = match of_user {
            Some(of_user) => self.unused.get(of_user.unused.first()?)?,
            None if self.entries.len() > self.limit => self.unused.values().next()?,
            None => return None,
        };
        let device = Arc::clone(device);
        let lease = self.remove(&device)?;
        if let Some(address) = lease.ipv4 {
            self.by_ipv4.remove(&address);
        }
        for prefix in [lease.ipv6, lease.delegated].into_iter().flatten() {
            self.by_prefix.remove(&prefix);
        }
        self.changes.push_back((device, None));
        Some(lease)
    }

    fn remove(&mut self, device: &Arc<Device>) -> Option<Lease> {
        let entry = self.entries.remove(device)?;
        if let Some(age) = entry.age {
            self.unused.remove(&age);
        }
        if let Some(of_user) = self.by_user.get_mut(&device.user) {
            of_user.count -= 1;
            if let Some(age) = entry.age {
                of_user.unused.remove(&age);
            }
            if of_user.count == 0 {
                self.by_user.remove(&device.user);
            }
        }
        Some(entry.lease)
    }

    /// An address goes to somebody else.
    pub(super) fn lose_ipv4(&mut self, address: Ipv4Addr) {
        if let Some(device) = self.by_ipv4.remove(&address) {
            self.lose(&device, |lease| lease.ipv4 = None);
        }
    }

    /// A prefix goes to somebody else.
    pub(super) fn lose_prefix(&mut self, prefix: Ipv6Net) {
        if let Some(device) = self.by_prefix.remove(&prefix) {
            self.lose(&device, |lease| {
                if lease.ipv6 == Some(prefix) {
                    lease.ipv6 = None;
                }
                if lease.delegated == Some(prefix) {
                    lease.delegated = None;
                }
            });
        }
    }

    fn lose(&mut self, device: &Arc<Device>, change: impl FnOnce(&mut Lease)) {
        let Some(entry) = self.entries.get_mut(device) else {
            return;
        };
        change(&mut entry.lease);
        let mut left = Some(entry.lease);
        if entry.lease.is_empty() && entry.age.is_some() {
            self.remove(device);
            left = None;
        }
        self.changes.push_back((Arc::clone(device), left));
    }

    /// The next change, for whoever keeps a copy.
    pub(super) fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }
}
