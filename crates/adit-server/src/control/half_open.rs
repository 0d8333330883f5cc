//! What strangers have begun and not ended: phase 1 exchanges that are not authenticated yet, and
//! tunnels without IPsec that are not established. Bounded in total and per source network, the oldest
//! first to go.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

/// What counts as one source: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(u128);

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            // Mapped, so that no IPv6 network equals an IPv4 one.
            IpAddr::V4(address) => Self(u128::from(address.to_ipv6_mapped()) >> 8),
            IpAddr::V6(address) => Self(u128::from(address) >> 80),
        }
    }

    /// In half as many bits.
    pub(super) fn folded(self) -> u64 {
        // casts: the two halves
        (self.0 >> 64) as u64 ^ self.0 as u64
    }
}

/// Half-open exchanges or tunnels with their keys, by a serial number.
#[derive(Debug)]
pub(super) struct HalfOpen<K> {
    by_age: BTreeMap<u64, (K, Network)>,
    per_network: HashMap<Network, usize>,
    /// Those that we started ourselves, to known peers: no stranger pushes them out.
    ours: HashSet<u64>,
}

impl<K> Default for HalfOpen<K> {
    fn default() -> Self {
        Self {
            by_age: BTreeMap::new(),
            per_network: HashMap::new(),
            ours: HashSet::new(),
        }
    }
}

impl<K: Copy> HalfOpen<K> {
    /// How many strangers have started.
    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// How many there are, our own included.
    pub(super) fn total(&self) -> usize {
        self.by_age.len() + self.ours.len()
    }

    /// How many come from the network of `source`.
    pub(super) fn count_near(&self, source: IpAddr) -> usize {
        let count = self.per_network.get(&Network::of(source));
        count.copied().unwrap_or_default()
    }

    pub(super) fn insert(&mut self, serial: u64, key: K, source: IpAddr) {
        let network = Network::of(source);
        self.by_age.insert(serial, (key, network));
        *self.per_network.entry(network).or_default() += 1;
    }

    pub(super) fn insert_ours(&mut self, serial: u64) {
        self.ours.insert(serial);
    }

    pub(super) fn remove(&mut self, serial: u64) {
        self.ours.remove(&serial);
        if let Some((_, network)) = self.by_age.remove(&serial)
            && let Some(count) = self.per_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.per_network.remove(&network);
            }
        }
    }

    pub(super) fn oldest(&self) -> Option<K> {
        self.by_age.first_key_value().map(|(_, (key, _))| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_counted_apart_and_forgotten() {
        let mut half_open = HalfOpen::default();
        let near: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.254".parse().unwrap()];
        let far: IpAddr = "192.0.3.1".parse().unwrap();
        let v6: IpAddr = "2001:db8:1:2::3".parse().unwrap();
        let v6_near: IpAddr = "2001:db8:1:ffff::4".parse().unwrap();
        for (serial, address) in (1..).zip([near[0], near[1], far, v6]) {
            half_open.insert(serial, serial, address);
        }
        assert_eq!(half_open.count_near(near[0]), 2);
        assert_eq!(half_open.count_near(far), 1);
        assert_eq!(half_open.count_near(v6_near), 1);
        assert_eq!(half_open.oldest(), Some(1));
        half_open.insert_ours(5);
        assert_eq!((half_open.len(), half_open.total()), (4, 5));
        for serial in 1..=5 {
            half_open.remove(serial);
            half_open.remove(serial);
        }
        assert_eq!((half_open.len(), half_open.total()), (0, 0));
        assert!(half_open.per_network.is_empty());
    }
}
