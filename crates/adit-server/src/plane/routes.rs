//! Which session an address belongs to: that of the longest prefix that holds it. Clients have prefixes
//! of few lengths, so there is a hash table for each length, and one look at memory mostly says.

use std::hash::Hash;
use std::net::IpAddr;
use std::ops::BitAnd;

use hashbrown::HashMap;
use ipnet::{Ipv4Net, Ipv6Net};

use super::SessionKey;

/// The prefixes of all sessions.
#[derive(Default)]
pub(super) struct Routes {
    v4: ByLength<u32>,
    v6: ByLength<u128>,
}

impl Routes {
    pub(super) fn set4(&mut self, to: Ipv4Net, key: Option<SessionKey>) {
        self.v4.set(to.addr().into(), to.netmask().into(), key);
    }

    pub(super) fn set6(&mut self, to: Ipv6Net, key: Option<SessionKey>) {
        self.v6.set(to.addr().into(), to.netmask().into(), key);
    }

    pub(super) fn find(&self, address: IpAddr) -> Option<SessionKey> {
        match address {
            IpAddr::V4(address) => self.v4.find(address.into()),
            IpAddr::V6(address) => self.v6.find(address.into()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// The prefixes of one family, by their masks: the longest first, and none without prefixes.
struct ByLength<A> {
    tables: Vec<(A, HashMap<A, SessionKey>)>,
}

impl<A: Copy + Ord + Hash + BitAnd<Output = A>> ByLength<A> {
    fn set(&mut self, address: A, mask: A, key: Option<SessionKey>) {
        let prefix = address & mask;
        let place = self.tables.binary_search_by(|(other, _)| mask.cmp(other));
        match (place, key) {
            (Ok(index), Some(key)) => {
                if let Some((_, table)) = self.tables.get_mut(index) {
                    table.insert(prefix, key);
                }
            }
            (Err(index), Some(key)) => {
                let table = HashMap::from_iter([(prefix, key)]);
                self.tables.insert(index, (mask, table));
            }
            (Ok(_), None) => {
                self.tables.retain_mut(|(other, table)| {
                    if *other == mask {
                        table.remove(&prefix);
                    }
                    !table.is_empty()
                });
            }
            (Err(_), None) => {}
        }
    }

    fn find(&self, address: A) -> Option<SessionKey> {
        let mut tables = self.tables.iter();
        tables.find_map(|(mask, table)| table.get(&(address & *mask)).copied())
    }

    fn len(&self) -> usize {
        self.tables.iter().map(|(_, table)| table.len()).sum()
    }
}

impl<A> Default for ByLength<A> {
    fn default() -> Self {
        Self { tables: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use adit_crypto::Rng;
    use prefix_trie::PrefixMap;

    use super::super::table::Table;
    use super::*;

    /// An address that is often inside the prefixes of others, and a length.
    fn near(rng: &mut Rng) -> (u32, u8) {
        let base = [0, 0x0a00_0000, 0xffff_fff0][rng.below(3) as usize];
        // cast: at most 32
        let length = [32, rng.below(33) as u8][rng.below(2) as usize];
        (base + rng.below(16), length)
    }

    fn wide(address: u32) -> Ipv6Addr {
        (u128::from(address) << 60).into()
    }

    #[test]
    fn the_longest_prefix_is_found() {
        let mut rng = Rng::from_seed([5; 32]);
        let (mut hits, mut misses) = (0, 0);
        for _ in 0..200 {
            let mut keys = Table::new(0);
            let mut routes = Routes::default();
            let (mut trie4, mut trie6) = (PrefixMap::new(), PrefixMap::new());
            for _ in 0..rng.below(40) {
                let (address, length) = near(&mut rng);
                let net4 = Ipv4Net::new(address.into(), length).unwrap();
                let net6 = Ipv6Net::new(wide(address), length * 4).unwrap();
                if rng.below(3) == 0 {
                    routes.set4(net4, None);
                    routes.set6(net6, None);
                    trie4.remove(&net4);
                    trie6.remove(&net6);
                } else {
                    let key = SessionKey(keys.insert(()));
                    routes.set4(net4, Some(key));
                    routes.set6(net6, Some(key));
                    trie4.insert(net4, key);
                    trie6.insert(net6, key);
                }
                assert_eq!(routes.len(), trie4.len() + trie6.len());
            }
            for _ in 0..50 {
                let (address, _) = near(&mut rng);
                let address4 = Ipv4Addr::from(address);
                let found = trie4.get_lpm(&address4.into()).map(|(_, key)| *key);
                assert_eq!(routes.find(address4.into()), found);
                hits += usize::from(found.is_some());
                misses += usize::from(found.is_none());
                let found = trie6.get_lpm(&wide(address).into()).map(|(_, key)| *key);
                assert_eq!(routes.find(wide(address).into()), found);
            }
        }
        assert!(hits > 1000 && misses > 1000, "{hits} hits, {misses} misses");
    }

    #[test]
    fn a_length_without_prefixes_is_not_asked() {
        let mut keys = Table::new(0);
        let mut routes = Routes::default();
        let nets: [Ipv4Net; 3] =
            ["10.0.0.0/8", "10.1.2.3/32", "10.1.0.0/16"].map(|net| net.parse().unwrap());
        for net in nets {
            routes.set4(net, Some(SessionKey(keys.insert(()))));
        }
        let lengths = |routes: &Routes| {
            let masks = routes.v4.tables.iter().map(|(mask, _)| mask.count_ones());
            masks.collect::<Vec<_>>()
        };
        assert_eq!(lengths(&routes), [32, 16, 8]);
        routes.set4(nets[2], None);
        assert_eq!(lengths(&routes), [32, 8]);
        routes.set4(nets[2], None);
        assert_eq!(routes.len(), 2);
    }
}
