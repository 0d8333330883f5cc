use std::collections::{HashSet, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::indices::HELD_BACK;
use super::*;

fn pool(net: &str) -> Ipv4Pool {
    Ipv4Pool::new(net.parse().unwrap(), &[])
}

fn all(pool: &mut Ipv4Pool) -> Vec<String> {
    std::iter::from_fn(|| pool.allocate().ok())
        .map(|address| address.to_string())
        .collect()
}

#[test]
fn network_broadcast_and_server_are_never_leased() {
    let mut pool = pool("10.77.0.5/29");
    assert_eq!(pool.server_address().to_string(), "10.77.0.1");
    assert_eq!(pool.capacity(), 5);
    assert_eq!(
        all(&mut pool),
        [
            "10.77.0.2",
            "10.77.0.3",
            "10.77.0.4",
            "10.77.0.5",
            "10.77.0.6"
        ]
    );
    assert_eq!(pool.allocate(), Err(Exhausted { capacity: 5 }));
    assert_eq!(pool.leased(), 5);
}

#[test]
fn the_smallest_networks() {
    let mut two = pool("10.0.0.4/31");
    assert_eq!(two.server_address().to_string(), "10.0.0.4");
    assert_eq!(all(&mut two), ["10.0.0.5"]);
    let mut one = pool("10.0.0.4/32");
    assert_eq!(one.server_address().to_string(), "10.0.0.4");
    assert_eq!(all(&mut one), [""; 0]);
    assert_eq!(one.capacity(), 0);
    assert_eq!(all(&mut pool("10.0.0.4/30")), ["10.0.0.6"]);
}

#[test]
fn a_large_pool_costs_nothing_before_it_is_used() {
    let mut pool = pool("0.0.0.0/0");
    assert_eq!(pool.capacity(), (1 << 32) - 3);
    assert_eq!(pool.allocate().unwrap().to_string(), "0.0.0.2");
    let mut pool = Ipv4Pool::new("10.0.0.0/8".parse().unwrap(), &[]);
    for _ in 0..100_000 {
        let address = pool.allocate().unwrap();
        assert!(pool.release(address));
    }
    assert!(pool.indices.released.len() <= HELD_BACK);
}

#[test]
fn reserved_addresses_are_skipped() {
    let reserved = ["10.0.0.3", "10.0.0.1", "10.9.9.9"].map(|text| text.parse().unwrap());
    let mut pool = Ipv4Pool::new("10.0.0.0/29".parse().unwrap(), &reserved);
    assert_eq!(pool.capacity(), 4);
    assert_eq!(
        all(&mut pool),
        ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    );
}

#[test]
fn what_is_not_leased_is_not_taken_back() {
    let mut pool = pool("10.0.0.0/29");
    let leased = pool.allocate().unwrap();
    for other in ["10.0.0.1", "10.0.0.0", "10.0.0.3", "10.0.0.7", "192.0.2.1"] {
        assert!(!pool.release(other.parse().unwrap()), "{other}");
    }
    assert!(pool.release(leased));
    assert!(!pool.release(leased));
    assert_eq!(all(&mut pool).len(), 5);
}

#[test]
fn prefixes_start_behind_the_servers_own() {
    let mut pool = PrefixPool::new("2001:db8:77::/48".parse().unwrap(), 64).unwrap();
    assert_eq!(pool.server_address().to_string(), "2001:db8:77::1");
    assert_eq!(pool.server_prefix().to_string(), "2001:db8:77::/64");
    assert_eq!(pool.capacity(), 65_535);
    let first = pool.allocate().unwrap();
    assert_eq!(first.to_string(), "2001:db8:77:1::/64");
    assert_eq!(pool.allocate().unwrap().to_string(), "2001:db8:77:2::/64");
    assert!(!pool.release("2001:db8:77:1::/65".parse().unwrap()));
    assert!(!pool.release("2001:db8:78:1::/64".parse().unwrap()));
    assert!(!pool.release(pool.server_prefix()));
    assert!(pool.release(first));
    assert_eq!(pool.leased(), 1);
    let last = std::iter::from_fn(|| pool.allocate().ok()).last().unwrap();
    assert_eq!(last, first, "the released one comes last");
    assert_eq!(pool.leased(), 65_535);
}

#[test]
fn other_prefix_lengths() {
    let mut pool = PrefixPool::new("2001:db8::/32".parse().unwrap(), 56).unwrap();
    assert_eq!(pool.allocate().unwrap().to_string(), "2001:db8:0:100::/56");
    assert_eq!(pool.capacity(), (1 << 24) - 1);
    let mut none = PrefixPool::new("2001:db8::/64".parse().unwrap(), 64).unwrap();
    assert_eq!(none.allocate(), Err(Exhausted { capacity: 0 }));
    assert_eq!(none.server_address().to_string(), "2001:db8::1");
    let whole = PrefixPool::new("::/0".parse().unwrap(), 64).unwrap();
    assert_eq!(whole.capacity(), (1 << 63) - 1);
    for (pool, client) in [(64, 48), (64, 128), (64, 255), (128, 128)] {
        let net = Ipv6Net::new("2001:db8::".parse().unwrap(), pool).unwrap();
        let wrong = PrefixLength { pool, client };
        assert_eq!(PrefixPool::new(net, client).err(), Some(wrong));
    }
}

/// What any pool must do: lease each number once, and released ones in their order after all
/// fresh ones.
#[derive(Default)]
struct Model {
    leased: Vec<u128>,
    ever: HashSet<u128>,
    released: VecDeque<u128>,
}

impl Model {
    fn leased(&mut self, got: Option<u128>, usable: &HashSet<u128>) {
        let fresh = usable.difference(&self.ever).count();
        match got {
            None => {
                assert_eq!(fresh, 0);
                assert_eq!(self.leased.len(), usable.len());
            }
            Some(address) => {
                assert!(usable.contains(&address));
                assert!(!self.leased.contains(&address));
                if !self.ever.insert(address) {
                    assert_eq!(fresh, 0, "reused while others were fresh");
                    assert_eq!(self.released.pop_front(), Some(address));
                }
                self.leased.push(address);
            }
        }
    }

    fn release(&mut self, pick: usize) -> Option<u128> {
        let at = pick.checked_rem(self.leased.len())?;
        let address = self.leased.remove(at);
        self.released.push_back(address);
        Some(address)
    }
}

proptest! {
    #[test]
    fn ipv4_pool_against_a_model(
        length in 26_u8..=32,
        reserved in proptest::collection::vec(0_u32..70, 0..4),
        steps in proptest::collection::vec(any::<(bool, usize)>(), 0..200),
    ) {
        let net = Ipv4Net::new(Ipv4Addr::new(10, 1, 2, 64), length).unwrap().trunc();
        let reserved: Vec<Ipv4Addr> = reserved
            .into_iter()
            .map(|at| Ipv4Addr::from(u32::from(net.network()) + at))
            .collect();
        let mut pool = Ipv4Pool::new(net, &reserved);
        // ipnet's own idea of hosts is the model of which addresses may be used.
        let server = net.hosts().next().unwrap();
        prop_assert_eq!(pool.server_address(), server);
        let usable: HashSet<u128> = net
            .hosts()
            .skip(1)
            .filter(|address| !reserved.contains(address))
            .map(|address| u128::from(u32::from(address)))
            .collect();
        prop_assert_eq!(pool.capacity(), usable.len() as u64);
        let mut model = Model::default();
        for (allocate, pick) in steps {
            if allocate {
                let got = pool.allocate().ok().map(|address| u128::from(u32::from(address)));
                model.leased(got, &usable);
            } else if let Some(address) = model.release(pick) {
                prop_assert!(pool.release(Ipv4Addr::from(address as u32)));
            }
            prop_assert_eq!(pool.leased(), model.leased.len());
        }
    }

    #[test]
    fn prefix_pool_against_a_model(
        extra in 0_u8..6,
        length in 44_u8..=64,
        steps in proptest::collection::vec(any::<(bool, usize)>(), 0..200),
    ) {
        let base = Ipv6Addr::new(0x2001, 0xdb8, 0xfff0, 0xabcd, 0, 0, 0, 0);
        let net = Ipv6Net::new(base, length).unwrap().trunc();
        let client = length + extra;
        let mut pool = PrefixPool::new(net, client).unwrap();
        let subnets: Vec<Ipv6Net> = net.subnets(client).unwrap().collect();
        prop_assert_eq!(pool.server_prefix(), subnets[0]);
        let usable: HashSet<u128> =
            subnets[1..].iter().map(|net| u128::from(net.network())).collect();
        let mut model = Model::default();
        for (allocate, pick) in steps {
            if allocate {
                let got = pool.allocate().ok();
                prop_assert!(got.is_none_or(|net| net.prefix_len() == client));
                model.leased(got.map(|net| u128::from(net.network())), &usable);
            } else if let Some(address) = model.release(pick) {
                prop_assert!(pool.release(Ipv6Net::new(address.into(), client).unwrap()));
            }
            prop_assert_eq!(pool.leased(), model.leased.len());
        }
    }
}

#[test]
fn what_is_kept_goes_to_others_last_of_all() {
    let mut pool = pool("10.0.0.0/29");
    let address = |last: u8| Ipv4Addr::new(10, 0, 0, last);
    assert!(pool.take(address(2)));
    assert!(!pool.take(address(2)), "leased twice");
    assert!(pool.release(address(2)));
    assert!(pool.keep(address(2)));
    assert!(!pool.keep(address(2)), "kept twice");
    assert!(pool.keep(address(4)), "never leased, as after a restart");
    for outside in [address(0), address(1), address(7), Ipv4Addr::LOCALHOST] {
        assert!(!pool.keep(outside) && !pool.take(outside), "{outside}");
    }
    // Fresh ones, then the longest kept.
    let order = all(&mut pool);
    assert_eq!(
        order,
        ["10.0.0.3", "10.0.0.5", "10.0.0.6", "10.0.0.2", "10.0.0.4"]
    );
    assert!(!pool.keep(address(4)), "it is leased");
    for last in [2, 3, 4] {
        pool.release(address(last));
    }
    pool.keep(address(2));
    pool.keep(address(3));
    pool.unkeep(address(3));
    assert!(pool.take(address(2)), "its owner is back");
    assert_eq!(all(&mut pool), ["10.0.0.4", "10.0.0.3"]);
}

#[test]
fn reserved_ones_go_only_to_who_names_them() {
    let dns: Ipv4Addr = "10.0.0.3".parse().unwrap();
    let mut pool = Ipv4Pool::new("10.0.0.0/29".parse().unwrap(), &[dns]);
    let (bob, carol) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 5));
    let leased = pool.allocate().unwrap();
    assert_eq!(leased, bob);
    pool.reserve([bob, carol, Ipv4Addr::new(192, 0, 2, 1)]);
    assert_eq!(pool.capacity(), 2);
    assert!(!pool.take_reserved(bob), "somebody still has it");
    assert!(!pool.take(carol) && !pool.keep(carol));
    assert!(pool.take_reserved(carol));
    assert!(pool.release(bob) && pool.take_reserved(bob));
    assert_eq!(all(&mut pool), ["10.0.0.4", "10.0.0.6"]);
    assert!(pool.release(bob) && pool.release(carol));
    assert_eq!(all(&mut pool), [""; 0]);
    // Another edit: bob's is free again, the resolver's never.
    pool.reserve([carol]);
    assert_eq!(all(&mut pool), ["10.0.0.2"]);
    pool.reserve([]);
    assert_eq!(all(&mut pool), ["10.0.0.5"]);
}

#[test]
fn prefixes_are_kept_and_reserved_alike() {
    let net = |text: &str| text.parse::<Ipv6Net>().unwrap();
    let mut pool = PrefixPool::new(net("2001:db8:77::/62"), 64).unwrap();
    pool.reserve([net("2001:db8:77:1::/64"), net("2001:db8:77::/64")]);
    assert_eq!(pool.capacity(), 2);
    assert!(!pool.take_reserved(net("2001:db8:77::/64")), "the server's");
    assert!(!pool.take_reserved(net("2001:db8:77:1::/65")));
    assert!(pool.take_reserved(net("2001:db8:77:1::/64")));
    assert!(pool.keep(net("2001:db8:77:2::/64")));
    assert!(!pool.keep(net("2001:db8:77:4::/64")), "outside");
    assert_eq!(pool.allocate().unwrap(), net("2001:db8:77:3::/64"));
    assert!(pool.take(net("2001:db8:77:2::/64")));
    assert_eq!(pool.allocate(), Err(Exhausted { capacity: 2 }));
}
