//! Rates on the packet path of a whole server: of users, whose sessions share them, and of rules.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_link::policy::{Action, Rule};
use adit_link::rate::{Meters, Rate};
use adit_server::{Grant, PolicyRule, Standing};
use adit_tests::{ClientId, World, host, setup, udp_packet};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A megabyte a second, a quarter of it at once.
const RATE: u64 = 8_000_000;
const BURST: u64 = 250;

type End = (ClientId, [IpAddr; 2]);

/// Two sessions of the first user and one of another.
fn world(seed: u64, rate: Option<Rate>, policy: Vec<PolicyRule>) -> (World, [End; 3]) {
    let mut config = setup::world(seed, 2);
    config.server.policy = policy;
    let limited = Grant {
        user: "user0".to_owned(),
        rate,
        ..Grant::default()
    };
    let mut world = World::new(config);
    world.grants.insert("user0".to_owned(), limited);
    let ids = [("user0", 0), ("user0", 1), ("user1", 2)].map(|(user, index)| {
        let client = setup::client(user);
        world.dial(client, setup::address(index), None, false)
    });
    let up = |world: &World, id: &ClientId| {
        let state = world.state(*id);
        state.ipv4.is_some() && state.ipv6.is_some()
    };
    assert!(world.run_until(MINUTE, |world| ids.iter().all(|id| up(world, id))));
    world.run_for(MINUTE);
    let ends = ids.map(|id| {
        let state = world.state(id);
        (id, [state.ipv4.unwrap().into(), state.ipv6.unwrap().into()])
    });
    (world, ends)
}

/// A packet of a thousand bytes.
fn packet(from: IpAddr, to: IpAddr) -> Vec<u8> {
    let headers = if from.is_ipv4() { 28 } else { 48 };
    udp_packet(from, to, &vec![0; 1000 - headers])
}

fn host(family: usize) -> IpAddr {
    [host::HOST_V4.into(), host::HOST_V6.into()][family]
}

/// How many of these many packets pass that a client sends at once.
fn sends(world: &mut World, end: &End, family: usize, count: u64) -> u64 {
    let before = world.server.stats();
    for _ in 0..count {
        world.send_ip(end.0, &packet(end.1[family], host(family)));
    }
    world.run_for(SECOND);
    let stats = world.server.stats();
    let passed = stats.ip_in - before.ip_in;
    assert_eq!(passed + stats.rate_exceeded - before.rate_exceeded, count);
    passed
}

/// The same for packets to a client.
fn gets(world: &mut World, end: &End, family: usize, count: u64) -> u64 {
    let before = world.server.stats();
    for _ in 0..count {
        world.to_tun(&packet(host(family), end.1[family]));
    }
    let stats = world.server.stats();
    let passed = stats.ip_out - before.ip_out;
    assert_eq!(passed + stats.rate_exceeded - before.rate_exceeded, count);
    passed
}

#[test]
fn the_sessions_of_a_user_share_a_rate_in_both_families() {
    let (mut world, [first, second, other]) = world(910, Rate::new(RATE), Vec::new());
    // What one session takes of either family, the other one does not get.
    let had = world.server.stats().ip_in;
    for (end, family) in [(&first, 0), (&second, 1), (&first, 1), (&second, 0)] {
        for _ in 0..100 {
            world.send_ip(end.0, &packet(end.1[family], host(family)));
        }
    }
    world.run_for(SECOND);
    assert_eq!(world.server.stats().ip_in - had, BURST);
    assert_eq!(sends(&mut world, &first, 1, 2000), BURST);
    // The other way has as much, and other users have no limit.
    assert_eq!(gets(&mut world, &second, 0, 150), 150);
    assert_eq!(gets(&mut world, &first, 1, 150), BURST - 150);
    assert_eq!(gets(&mut world, &first, 0, 150), 0);
    assert_eq!(gets(&mut world, &other, 1, 1000), 1000);
    assert_eq!(sends(&mut world, &other, 0, 1000), 1000);
    // A hundred milliseconds after all of it.
    assert_eq!(gets(&mut world, &first, 0, 1000), BURST);
    world.run_for(SECOND / 10);
    assert_eq!(gets(&mut world, &first, 0, 150), 100);
}

#[test]
fn a_rate_changes_while_sessions_run() {
    let (mut world, [first, second, _]) = world(911, Rate::new(RATE), Vec::new());
    assert_eq!(gets(&mut world, &first, 0, 1000), BURST);
    let review = |world: &mut World, rate| {
        let stays = Standing::Stays {
            expires: None,
            rate,
        };
        world.server.review(|_| stays, world.now());
    };
    // The same rate is no new allowance.
    review(&mut world, Rate::new(RATE));
    assert_eq!(gets(&mut world, &first, 0, 1000), 0);
    review(&mut world, Rate::new(2 * RATE));
    assert_eq!(gets(&mut world, &first, 0, 400), 400);
    assert_eq!(gets(&mut world, &second, 1, 1000), 2 * BURST - 400);
    review(&mut world, None);
    assert_eq!(gets(&mut world, &second, 0, 1000), 1000);
}

#[test]
fn a_rule_lets_so_much_pass_of_all_that_it_is_about() {
    let mut rule = Rule::new(Action::Accept);
    rule.rate = Rate::new(RATE).map(Meters::new);
    let rule = Arc::new(rule);
    let policy = vec![PolicyRule {
        users: Vec::new(),
        groups: Vec::new(),
        rule: Arc::clone(&rule),
    }];
    let (mut world, [first, _, other]) = world(912, None, policy);
    assert_eq!(sends(&mut world, &first, 0, 150), 150);
    assert_eq!(sends(&mut world, &other, 1, 1000), BURST);
    assert_eq!(gets(&mut world, &first, 1, 1000), BURST);
    assert_eq!(gets(&mut world, &other, 0, 10), 0);
    // The host answers what reaches it.
    assert_eq!(rule.hits(), 2160 + 150 + BURST);
    assert_eq!(rule.over(), 2160 - 2 * BURST - 150);
}
