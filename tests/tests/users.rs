//! What users are let in with: addresses of their own, routes, how many sessions and until when.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use adit_ppp::RejectReason;
use adit_server::{Delegate, Device, Grant, Lease, Routes, SessionInfo, Standing};
use adit_tests::{ClientId, Nat, World, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// A client of `user` on a computer of this name.
fn computer(user: &str, name: &str) -> adit_client::Config {
    let mut client = setup::client(user);
    client.l2tp = World::changed(&client.l2tp, |l2tp| l2tp.host_name = name.to_owned());
    client
}

fn grant(user: &str) -> Grant {
    Grant {
        user: user.to_owned(),
        ..Grant::default()
    }
}

fn fixed() -> Lease {
    Lease {
        ipv4: Some("10.77.0.100".parse().unwrap()),
        ipv6: Some("2001:db8:77:100::/64".parse().unwrap()),
        delegated: Some("2001:db8:78:a00::/56".parse().unwrap()),
    }
}

fn infos(world: &World, user: &str) -> Vec<SessionInfo> {
    let mut infos = world.server.sessions(world.now());
    infos.retain(|info| info.user.as_deref() == Some(user));
    infos
}

fn up(world: &mut World, id: ClientId) {
    let both = |world: &World| {
        let state = world.state(id);
        state.ipv4.is_some() && state.ipv6.is_some()
    };
    assert!(
        world.run_until(MINUTE, both),
        "{:?} {:?}",
        world.state(id).events,
        world.server.stats()
    );
}

fn refused(world: &mut World, id: ClientId) {
    let down = |world: &World| world.state(id).down.is_some();
    assert!(
        world.run_until(MINUTE, down),
        "{:?}",
        world.state(id).events
    );
    let events = format!("{:?}", world.state(id).events);
    assert!(
        events.contains("AuthFailed") || events.contains("Rejected"),
        "{events}"
    );
    assert_eq!(world.state(id).ipv4, None);
}

/// The address and prefix that a client has.
fn has(world: &World, id: ClientId) -> (Option<Ipv4Addr>, Option<String>) {
    let state = world.state(id);
    let prefix = state.ipv6.map(|address| {
        let net = ipnet::Ipv6Net::new(address, 64).unwrap();
        net.trunc().to_string()
    });
    (state.ipv4, prefix)
}

#[test]
fn fixed_addresses_are_the_users_alone() {
    let mut config = setup::world(301, 3);
    if let Some(ipv6) = &mut config.server.ipv6 {
        ipv6.prefix = "2001:db8:77::/48".parse().unwrap();
        ipv6.delegate = Some(Delegate {
            prefix: "2001:db8:78::/48".parse().unwrap(),
            length: 56,
        });
    }
    if let Some(ipv4) = &mut config.server.ipv4 {
        ipv4.pool = "10.77.0.96/29".parse().unwrap();
        ipv4.dns = vec!["192.0.2.53".parse().unwrap()];
    }
    let mut world = World::new(config);
    world.server.reserve(&[fixed()]);
    let granted = Grant {
        fixed: fixed(),
        group: Some("staff".into()),
        ..grant("user1")
    };
    world.grants.insert("user1".into(), granted);

    let other = world.dial(computer("user0", "a"), setup::address(0), None, false);
    up(&mut world, other);
    let first = world.dial(computer("user1", "b"), setup::address(1), None, false);
    up(&mut world, first);
    let own = (fixed().ipv4, fixed().ipv6.map(|prefix| prefix.to_string()));
    assert_eq!(has(&world, first), own);
    assert_eq!(infos(&world, "user1")[0].group.as_deref(), Some("staff"));
    assert!(world.run_until_echoes(&[first, other], MINUTE));

    // A second device of the same user gets others, of the pools.
    let second = world.dial(computer("user1", "c"), setup::address(2), None, false);
    up(&mut world, second);
    let (ipv4, prefix) = has(&world, second);
    assert_ne!(ipv4, own.0);
    assert_ne!(prefix, own.1);
    // Everybody else goes without them, even when nothing else is left: six hosts, one the
    // server's, one fixed, two in use.
    let more: Vec<ClientId> = (3..6)
        .map(|index| {
            let client = computer("user2", &format!("pc{index}"));
            world.dial(client, setup::address(index), None, false)
        })
        .collect();
    world.run_for(MINUTE);
    let addresses: Vec<_> = more.iter().map(|id| has(&world, *id).0).collect();
    assert_eq!(addresses.iter().flatten().count(), 2, "{addresses:?}");
    assert!(!addresses.contains(&own.0));
    assert_eq!(world.server.stats().pool_exhausted, 1);
    // The one without IPv4 has IPv6.
    assert!(more.iter().all(|id| has(&world, *id).1.is_some()));

    // Back again, it is the same.
    world.hang_up(first);
    world.run_for(MINUTE);
    let again = world.dial(computer("user1", "new"), setup::address(7), None, false);
    up(&mut world, again);
    assert_eq!(has(&world, again), own);
}

#[test]
fn a_group_leads_elsewhere() {
    let mut world = World::new(setup::world(302, 2));
    let routes = Arc::new(Routes {
        ipv4: vec!["10.0.0.0/8".parse().unwrap()],
        ipv6: vec!["2001:db8:b::/48".parse().unwrap()],
    });
    let granted = Grant {
        routes: Some(routes),
        ..grant("user0")
    };
    world.grants.insert("user0".into(), granted);
    let split = world.dial(setup::client("user0"), setup::address(0), None, false);
    let full = world.dial(setup::client("user1"), setup::address(1), None, false);
    up(&mut world, split);
    up(&mut world, full);
    world.run_for(Duration::from_secs(5));
    // With routes the server is no default router of this client, and stays it of the other.
    assert_eq!(world.state(split).router, None);
    assert!(world.state(full).router.is_some());
    let events = format!("{:?}", world.state(split).events);
    assert!(events.contains("2001:db8:b::/48"), "{events}");
}

#[test]
fn other_devices_are_counted_and_the_same_one_makes_way() {
    let mut world = World::new(setup::world(303, 1));
    let granted = Grant {
        sessions: Some(2),
        ..grant("user0")
    };
    world.grants.insert("user0".into(), granted);
    let laptop = world.dial(computer("user0", "laptop"), setup::address(0), None, false);
    up(&mut world, laptop);
    let phone = world.dial(computer("user0", "phone"), setup::address(1), None, false);
    up(&mut world, phone);
    let before = has(&world, laptop);
    let tablet = world.dial(computer("user0", "tablet"), setup::address(2), None, false);
    refused(&mut world, tablet);
    assert_eq!(world.server.stats().users_full, 1);
    assert_eq!(infos(&world, "user0").len(), 2);

    // The laptop loses power and comes back elsewhere at once: it is let in though its old session
    // is still there, which ends.
    world.kill(laptop);
    let moved = world.dial(computer("user0", "laptop"), setup::address(9), None, false);
    up(&mut world, moved);
    assert_eq!(infos(&world, "user0").len(), 2);
    assert_eq!(world.server.stats().sessions_superseded, 1);
    assert_eq!(has(&world, moved), before, "with the addresses it had");
    assert!(world.run_until_echoes(&[moved, phone], MINUTE));
}

#[test]
fn a_silent_session_of_a_device_ends_when_the_device_is_back() {
    let mut world = World::new(setup::world(304, 1));
    let old = world.dial(computer("user0", "laptop"), setup::address(0), None, false);
    up(&mut world, old);
    let before = has(&world, old);
    world.kill(old);
    world.run_for(MINUTE);
    assert_eq!(infos(&world, "user0").len(), 1, "nobody knows yet");
    let back = world.dial(computer("user0", "laptop"), setup::address(1), None, false);
    up(&mut world, back);
    assert_eq!(infos(&world, "user0").len(), 1);
    assert_eq!(has(&world, back), before);
    assert!(world.run_until_echoes(&[back], MINUTE));
}

#[test]
fn living_devices_of_one_name_leave_each_other_alone() {
    let mut world = World::new(setup::world(305, 1));
    let nat = Nat::new("198.51.100.9".parse().unwrap());
    let inside = |last: u8| IpAddr::from([192, 168, 1, last]);
    let one = world.dial(
        computer("user0", "localhost"),
        inside(2),
        Some(nat.clone()),
        false,
    );
    up(&mut world, one);
    let two = world.dial(
        computer("user0", "localhost"),
        setup::address(1),
        None,
        false,
    );
    up(&mut world, two);
    assert_ne!(has(&world, one).0, has(&world, two).0);
    world.run_for(10 * MINUTE);
    assert_eq!(infos(&world, "user0").len(), 2);
    assert_eq!(world.server.stats().sessions_superseded, 0);
    assert!(world.run_until_echoes(&[one, two], MINUTE));
    // The same computer from behind the same NAT, and through another port of it.
    let before = has(&world, one);
    world.kill(one);
    world.rebind(one);
    world.run_for(Duration::from_secs(3));
    world.boot(one);
    up(&mut world, one);
    assert_eq!(infos(&world, "user0").len(), 2);
    assert_eq!(has(&world, one), before);
}

#[test]
fn access_ends_when_it_is_due_and_when_it_is_taken_away() {
    let mut world = World::new(setup::world(306, 4));
    let ends = world.now() + 10 * MINUTE;
    let granted = Grant {
        expires: Some(ends),
        ..grant("user0")
    };
    world.grants.insert("user0".into(), granted);
    world.refused.insert("user3".into(), RejectReason::Disabled);
    let ids: Vec<ClientId> = (0..3)
        .map(|index| {
            let client = setup::client(&format!("user{index}"));
            world.dial(client, setup::address(index), None, false)
        })
        .collect();
    for id in &ids {
        up(&mut world, *id);
    }
    let disabled = world.dial(setup::client("user3"), setup::address(3), None, false);
    refused(&mut world, disabled);
    let events = format!("{:?}", world.state(disabled).events);
    assert!(
        events.contains("Disabled") || events.contains("647"),
        "{events}"
    );

    let left = ends - world.now();
    world.run_for(left - Duration::from_secs(1));
    assert!(world.state(ids[0]).down.is_none());
    world.run_for(Duration::from_secs(6));
    assert!(world.state(ids[0]).down.is_some(), "its time is over");
    assert!(infos(&world, "user0").is_empty());

    // One is removed, one gets a date, and nobody else notices.
    let soon = world.now() + MINUTE;
    world.server.review(
        |user| match user {
            "user1" => Standing::Ends { why: "removed" },
            _ => Standing::Stays {
                expires: Some(soon),
                rate: None,
            },
        },
        world.now(),
    );
    world.run_for(Duration::from_secs(5));
    assert!(world.state(ids[1]).down.is_some());
    assert!(world.state(ids[2]).down.is_none());
    // The date is taken back.
    let stays = Standing::Stays {
        expires: None,
        rate: None,
    };
    world.server.review(|_| stays, world.now());
    world.run_for(10 * MINUTE);
    assert!(world.state(ids[2]).down.is_none());
    assert!(world.run_until_echoes(&[ids[2]], MINUTE));
    assert_eq!(world.server.stats().sessions_revoked, 2);
}

#[test]
fn devices_get_their_addresses_again_after_a_restart() {
    let mut config = setup::world(307, 2);
    if let Some(ipv4) = &mut config.server.ipv4 {
        // Room for four.
        ipv4.pool = "10.77.0.0/29".parse().unwrap();
    }
    let mut world = World::new(config.clone());
    let names = ["a", "b", "c"];
    let mut before = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let id = world.dial(computer("user0", name), setup::address(index), None, false);
        up(&mut world, id);
        before.push(has(&world, id));
        world.hang_up(id);
        world.run_for(MINUTE);
    }
    assert_eq!(world.server.gauges().remembered, 3);
    assert_eq!(world.server.gauges().leases_ipv4, 0);
    // What a store would hold: the last word of each, in order of those.
    let mut stored: Vec<(Device, Lease)> = Vec::new();
    for (device, lease) in &world.remembered {
        stored.retain(|(other, _)| other != device);
        stored.extend(lease.map(|lease| (device.clone(), lease)));
    }
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[2].0.name, "c");

    let mut restarted = World::new(config.clone());
    assert_eq!(restarted.server.restore(stored.clone()), 0);
    assert_eq!(restarted.server.gauges().remembered, 3);
    // In another order than before, and a new one meanwhile.
    let new = restarted.dial(computer("user1", "new"), setup::address(9), None, false);
    up(&mut restarted, new);
    assert!(
        before
            .iter()
            .all(|(ipv4, _)| *ipv4 != has(&restarted, new).0)
    );
    for index in [2, 0, 1] {
        let client = computer("user0", names[index]);
        let id = restarted.dial(client, setup::address(index), None, false);
        up(&mut restarted, id);
        assert_eq!(has(&restarted, id), before[index], "{}", names[index]);
    }

    // More than fit come: the new ones take what the longest unused had.
    let mut full = World::new(config.clone());
    full.server.restore(stored.clone());
    let strangers: Vec<ClientId> = (0..3)
        .map(|index| {
            let client = computer("user1", &format!("new{index}"));
            let id = full.dial(client, setup::address(10 + index), None, false);
            up(&mut full, id);
            id
        })
        .collect();
    let got: Vec<_> = strangers.iter().map(|id| has(&full, *id).0).collect();
    assert_eq!(got[2], before[0].0, "{got:?} {before:?}");
    assert!(!got.contains(&before[1].0) && !got.contains(&before[2].0));
    let device = |name: &str| Device {
        user: "user0".into(),
        name: name.into(),
    };
    let told = full.remembered.iter().rev();
    let last = told.clone().find(|(other, _)| *other == device("a"));
    assert_eq!(
        last.unwrap().1.unwrap().ipv4,
        None,
        "its prefix is still its own"
    );
    let c = full.dial(computer("user0", "c"), setup::address(2), None, false);
    up(&mut full, c);
    assert_eq!(has(&full, c), before[2]);

    // The pool has moved, and two claim one prefix: what does not fit goes, with a word.
    if let Some(ipv4) = &mut config.server.ipv4 {
        ipv4.pool = "10.78.0.0/24".parse().unwrap();
    }
    let mut moved = World::new(config);
    let twin = Lease {
        ipv4: None,
        ..stored[2].1
    };
    stored.insert(0, (device("twin"), twin));
    assert_eq!(moved.server.restore(stored), 4);
    assert_eq!(moved.server.gauges().remembered, 3);
    let b = moved.dial(computer("user0", "b"), setup::address(1), None, false);
    up(&mut moved, b);
    assert_eq!(has(&moved, b).1, before[1].1);
    let gone = moved
        .remembered
        .iter()
        .find(|(other, _)| *other == device("twin"));
    assert_eq!(gone.unwrap().1, None);
}
