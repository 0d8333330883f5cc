use adit_crypto::Rng;
use adit_link::nd::Preference;
use hashbrown::HashMap;

use super::super::memory::DEVICES_OF_USER;
use super::*;
use crate::{Delegate, Ipv4Config, Ipv6Config, Limits};

fn pools(ipv4: &str, leases: usize) -> Pools {
    let ipv4 = Ipv4Config {
        pool: ipv4.parse().unwrap(),
        dns: Vec::new(),
        wins: Vec::new(),
        domain: None,
        routes: Vec::new(),
    };
    let ipv6 = Ipv6Config {
        prefix: "2001:db8:77::/56".parse().unwrap(),
        client_prefix_length: 64,
        dns: Vec::new(),
        search: Vec::new(),
        routes: Vec::new(),
        preference: Preference::High,
        delegate: Some(Delegate {
            prefix: "2001:db8:78::/52".parse().unwrap(),
            length: 56,
        }),
        shared: None,
        blocked: false,
    };
    let limits = Limits {
        leases,
        ..Limits::default()
    };
    Pools::new(Some(&ipv4), Some(&ipv6), &limits).unwrap()
}

fn device(name: impl ToString) -> Arc<Device> {
    Arc::new(Device {
        user: "alice".into(),
        name: name.to_string(),
    })
}

fn nothing() -> Lease {
    Lease::default()
}

/// What a store would have after everything that was told so far.
fn follow(pools: &mut Pools, store: &mut Vec<(Device, Lease)>) {
    while let Some((device, lease)) = pools.poll_change() {
        store.retain(|(other, _)| *other != *device);
        store.extend(lease.map(|lease| (Device::clone(&device), lease)));
    }
}

#[test]
fn a_device_gets_all_three_again() {
    let mut pools = pools("10.77.0.0/24", 10);
    let laptop = device("laptop");
    let first = pools.lease(Some(&laptop), &nothing());
    assert!(first.is_devices && first.exhausted.is_empty());
    let delegated = pools.delegate(Some(&laptop), None).unwrap().unwrap();
    let whole = Lease {
        delegated: Some(delegated),
        ..first.lease
    };
    // Another session of the same name meanwhile is not the device's.
    let twin = pools.lease(Some(&laptop), &nothing());
    assert!(!twin.is_devices);
    assert_ne!(twin.lease.ipv4, first.lease.ipv4);
    pools.release(whole, Some(&laptop));
    pools.release(twin.lease, None);

    for name in 0..5 {
        let other = device(name);
        let lease = pools.lease(Some(&other), &nothing()).lease;
        assert_ne!(lease.ipv4, whole.ipv4);
        assert_ne!(lease.ipv6, whole.ipv6);
        let prefix = pools.delegate(Some(&other), None).unwrap().unwrap();
        assert_ne!(Some(prefix), whole.delegated);
    }
    assert_eq!(pools.lease(Some(&laptop), &nothing()).lease, first.lease);
    assert_eq!(pools.delegate(Some(&laptop), None), Some(Ok(delegated)));
}

#[test]
fn the_longest_unused_device_is_forgotten_first() {
    let mut pools = pools("10.77.0.0/24", 2);
    let mut store = Vec::new();
    let mut leases = Vec::new();
    for name in ["a", "b", "c"] {
        let lease = pools.lease(Some(&device(name)), &nothing()).lease;
        pools.release(lease, Some(&device(name)));
        leases.push(lease);
        follow(&mut pools, &mut store);
    }
    assert_eq!(pools.remembered(), 2);
    let names: Vec<_> = store
        .iter()
        .map(|(device, _)| device.name.as_str())
        .collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(pools.lease(Some(&device("b")), &nothing()).lease, leases[1]);
    assert_ne!(pools.lease(Some(&device("a")), &nothing()).lease, leases[0]);
}

#[test]
fn one_user_with_many_names_forgets_only_names_of_that_user() {
    let mut pools = pools("10.77.0.0/20", 1_000);
    let bob = Arc::new(Device {
        user: "bob".into(),
        name: "pc".into(),
    });
    let lease = pools.lease(Some(&bob), &nothing()).lease;
    pools.release(lease, Some(&bob));
    for name in 0..500 {
        let own = device(name);
        let lease = pools.lease(Some(&own), &nothing()).lease;
        pools.release(lease, Some(&own));
    }
    assert_eq!(pools.remembered(), DEVICES_OF_USER + 1);
    assert_eq!(pools.lease(Some(&bob), &nothing()).lease, lease);
    let last = device(499);
    let newest = pools.memory.get(&last).unwrap();
    assert_eq!(pools.lease(Some(&last), &nothing()).lease, newest);
    assert_eq!(pools.memory.get(&device(400)), None);
}

#[test]
fn what_becomes_fixed_is_remembered_for_nobody_else() {
    let mut pools = pools("10.77.0.0/24", 10);
    let (one, two) = (device("one"), device("two"));
    let lease = pools.lease(Some(&one), &nothing()).lease;
    let fixed = Lease {
        ipv4: lease.ipv4,
        ..nothing()
    };
    pools.reserve(&[fixed]);
    // Whoever has it keeps it; its user gets another so long.
    let other = pools.lease(Some(&two), &fixed);
    assert_eq!(other.busy.len(), 1);
    assert_ne!(other.lease.ipv4, lease.ipv4);
    pools.release(other.lease, Some(&two));
    pools.release(lease, Some(&one));
    let again = pools.lease(Some(&one), &nothing()).lease;
    assert_ne!(again.ipv4, lease.ipv4);
    assert_eq!(again.ipv6, lease.ipv6, "the prefix is still its own");
    let fixed = pools.lease(Some(&two), &fixed);
    assert_eq!(fixed.lease.ipv4, lease.ipv4);
    assert!(fixed.busy.is_empty());
}

#[test]
fn a_nameless_client_is_served_and_not_remembered() {
    let mut pools = pools("10.77.0.0/30", 10);
    let lease = pools.lease(None, &nothing());
    assert!(!lease.is_devices && lease.lease.ipv4.is_some());
    let none = pools.lease(None, &nothing());
    assert_eq!(none.exhausted, [Exhausted { capacity: 1 }]);
    assert!(none.lease.ipv4.is_none() && none.lease.ipv6.is_some());
    pools.release(lease.lease, None);
    assert_eq!(pools.remembered(), 0);
    assert!(pools.poll_change().is_none());
}

/// Random logins, ends, restarts and edits: nothing is ever leased twice, what a store was told is
/// what the pools remember, and who comes back gets what is remembered.
#[test]
fn anything_may_happen_in_any_order() {
    for seed in 0..40 {
        let mut rng = Rng::from_seed([seed; 32]);
        let mut pick = move |below: u64| rng.u64() % below;
        // Six addresses for ten devices.
        let mut pools = pools("10.77.0.0/29", 8);
        let mut live: HashMap<u64, (Lease, Option<Arc<Device>>)> = HashMap::new();
        let mut store: Vec<(Device, Lease)> = Vec::new();
        let mut fixed = nothing();
        for step in 0..300 {
            match pick(10) {
                0..=4 => {
                    let device = device(pick(10));
                    let remembered = store.iter().find(|(other, _)| *other == *device);
                    let last = remembered.map(|(_, lease)| *lease).unwrap_or_default();
                    let wanted = if device.name == "3" { fixed } else { nothing() };
                    let leased = pools.lease(Some(&device), &wanted);
                    let device = leased.is_devices.then_some(device);
                    if device.is_some() && wanted.ipv4.is_none() && last.ipv4.is_some() {
                        assert_eq!(leased.lease.ipv4, last.ipv4, "seed {seed} step {step}");
                        assert_eq!(leased.lease.ipv6, last.ipv6);
                    }
                    let mut lease = leased.lease;
                    if pick(3) == 0
                        && let Some(Ok(prefix)) = pools.delegate(device.as_ref(), wanted.delegated)
                    {
                        lease.delegated = Some(prefix);
                    }
                    live.insert(step, (lease, device));
                }
                5..=7 => {
                    let keys: Vec<u64> = live.keys().copied().collect();
                    if let Some(key) = keys.get(pick(keys.len() as u64 + 1) as usize)
                        && let Some((lease, device)) = live.remove(key)
                    {
                        pools.release(lease, device.as_ref());
                    }
                }
                8 => {
                    fixed.ipv4 = Some(Ipv4Addr::new(10, 77, 0, pick(10) as u8));
                    pools.reserve(&[fixed]);
                }
                _ => {
                    // The power goes: what is not in the store is lost.
                    follow(&mut pools, &mut store);
                    pools = self::pools("10.77.0.0/29", 8);
                    pools.reserve(&[fixed]);
                    live.clear();
                    pools.restore(store.clone());
                }
            }
            follow(&mut pools, &mut store);
            assert_eq!(store.len(), pools.remembered(), "seed {seed} step {step}");
            for (device, lease) in &store {
                assert_eq!(pools.memory.get(device), Some(*lease), "seed {seed}");
            }
            let mut addresses = HashSet::new();
            let mut prefixes = HashSet::new();
            for (lease, _) in live.values() {
                assert!(lease.ipv4.is_none_or(|address| addresses.insert(address)));
                for prefix in [lease.ipv6, lease.delegated].into_iter().flatten() {
                    assert!(prefixes.insert(prefix), "{prefix} twice, seed {seed}");
                }
            }
            assert_eq!(addresses.len(), pools.leased_ipv4());
        }
    }
}

#[test]
fn a_shared_prefix_is_not_the_clients_own() {
    let prefix: Ipv6Net = "2001:db8:1:2::/64".parse().unwrap();
    let mut ipv6 = Ipv6Config {
        prefix,
        client_prefix_length: 64,
        dns: Vec::new(),
        search: Vec::new(),
        routes: Vec::new(),
        preference: Preference::High,
        delegate: None,
        shared: Some("2001:db8:1:2::10".parse().unwrap()),
        blocked: false,
    };
    let neighbour = "2001:db8:1:2::99".parse().unwrap();
    for (net, shared, is_theirs) in [
        (prefix, ipv6.shared, false),
        ("2001:db8:1::/60".parse().unwrap(), None, true),
    ] {
        (ipv6.prefix, ipv6.shared) = (net, shared);
        let pools = Pools::new(None, Some(&ipv6), &Limits::default()).unwrap();
        let clients = pools.clients(None, Some(&ipv6));
        assert_eq!(clients.contains(neighbour), is_theirs);
        assert_eq!(clients.holds(&prefix.into()), is_theirs);
    }
}
