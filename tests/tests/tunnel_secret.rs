//! Tunnel authentication (RFC 2661 5.1.1) between a whole server and its peers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_l2tp::Secret;
use adit_server::LacSecret;
use adit_tests::{ClientId, World, setup};

const MINUTE: Duration = Duration::from_secs(60);

fn secret(text: &str) -> Option<Secret> {
    Secret::new(text)
}

/// A server with a secret for all, and others for some.
fn world(seed: u64, everybody: Option<&str>, lacs: &[(&[&str], Option<&str>, &str)]) -> World {
    let mut config = setup::world(seed, 3);
    let mut plain = setup::plain(&["10.9.0.0/16"]).unwrap();
    plain.l2tp = Arc::new(adit_l2tp::Config {
        secret: everybody.and_then(secret),
        ..adit_l2tp::Config::default()
    });
    plain.lacs = lacs
        .iter()
        .map(|(from, host_name, text)| LacSecret {
            from: from.iter().map(|range| range.parse().unwrap()).collect(),
            host_name: host_name.map(str::to_owned),
            secret: secret(text).unwrap(),
        })
        .collect();
    config.server.plain = Some(plain);
    World::new(config)
}

/// A client of that name with that secret, which may hide its AVPs and ask for a proof.
fn config(host_name: &str, own: Option<&str>, ask: bool) -> adit_client::Config {
    let mut config = setup::client("user0");
    config.l2tp = Arc::new(adit_l2tp::Config {
        host_name: host_name.to_owned(),
        secret: own.and_then(secret),
        challenge: ask,
        hide: own.is_some(),
        ..adit_l2tp::Config::default()
    });
    config
}

fn dial(world: &mut World, from: &str, config: adit_client::Config) -> ClientId {
    let from: SocketAddr = from.parse().unwrap();
    let id = world.dial_plain(config, from, false);
    world.run_until(MINUTE, |world| {
        let state = world.state(id);
        state.down.is_some() || (state.ipv4.is_some() && state.ipv6.is_some())
    });
    // What was said last is to arrive.
    world.run_for(Duration::from_secs(1));
    id
}

fn is_up(world: &World, id: ClientId) -> bool {
    world.state(id).down.is_none() && world.state(id).ipv4.is_some()
}

#[test]
fn who_knows_the_secret_gets_in_and_nobody_else() {
    let mut world = world(51, Some("common secret"), &[]);
    for (last, own, ask, expected) in [
        (2, Some("common secret"), true, true),
        (3, Some("common secret"), false, true),
        (4, None, false, false),
    ] {
        let from = format!("10.9.0.{last}:1701");
        let id = dial(&mut world, &from, config("lac", own, ask));
        assert_eq!(is_up(&world, id), expected, "{own:?} {:?}", world.state(id));
    }
    let before = world.server.stats();
    assert_eq!(
        (before.plain_established, before.l2tp_unauthenticated),
        (2, 1)
    );
    // Another secret, without hidden AVPs: it is the proof that fails.
    for (last, ask) in [(5, true), (6, false)] {
        let mut other = config("lac", Some("another secret"), ask);
        other.l2tp = World::changed(&other.l2tp, |l2tp| l2tp.hide = false);
        let id = dial(&mut world, &format!("10.9.0.{last}:1701"), other);
        assert!(!is_up(&world, id), "{:?}", world.state(id));
    }
    let after = world.server.stats();
    assert_eq!(after.plain_established, 2);
    assert_eq!(after.l2tp_unauthenticated, 3, "{after:?}");
    // Hidden under another secret, not even its number can be read.
    let id = dial(
        &mut world,
        "10.9.0.7:1701",
        config("lac", Some("another secret"), true),
    );
    assert!(!is_up(&world, id));
    world.run_for(5 * MINUTE);
    assert_eq!(world.server.gauges().plain_peers, 2);
}

#[test]
fn each_access_concentrator_has_its_own() {
    let lacs: &[(&[&str], Option<&str>, &str)] = &[
        (&["10.9.1.0/24"], Some("lac1"), "secret of lac1"),
        (&[], Some("lac2"), "secret of lac2"),
        (&["10.9.3.3/32"], None, "secret of a place"),
    ];
    for everybody in [None, Some("common secret")] {
        let mut world = world(52, everybody, lacs);
        for (from, name, own, expected) in [
            ("10.9.1.1:1701", "lac1", Some("secret of lac1"), true),
            // Elsewhere it is nobody in particular.
            ("10.9.2.1:1701", "lac1", Some("secret of lac1"), false),
            ("10.9.2.2:1701", "lac2", Some("secret of lac2"), true),
            ("10.9.2.3:1701", "lac2", Some("secret of lac1"), false),
            ("10.9.3.3:1701", "lac9", Some("secret of a place"), true),
            (
                "10.9.2.4:1701",
                "lac9",
                Some("common secret"),
                everybody.is_some(),
            ),
            // Where some have secrets, nobody goes without.
            ("10.9.2.5:1701", "lac9", None, false),
        ] {
            let id = dial(&mut world, from, config(name, own, true));
            assert_eq!(is_up(&world, id), expected, "{from} {name} {own:?}");
        }
        assert!(world.server.stats().l2tp_unauthenticated > 0);
    }
}

/// Inside IPsec nobody is asked, and whoever asks is answered.
#[test]
fn clients_inside_ipsec_are_not_asked() {
    let mut setting = setup::world(53, 2);
    setting.server.l2tp = Arc::new(adit_l2tp::Config {
        secret: secret("common secret"),
        challenge: false,
        ..adit_l2tp::Config::default()
    });
    let mut world = World::new(setting);
    for (index, own) in [(0, None), (1, Some("common secret")), (2, Some("another"))] {
        let mut asks = config("laptop", own, true);
        asks.l2tp = World::changed(&asks.l2tp, |l2tp| l2tp.hide = false);
        let id = world.dial(asks, setup::address(index), None, false);
        world.run_for(MINUTE);
        assert_eq!(is_up(&world, id), index < 2, "{own:?}");
    }
    // Its StopCCN says that our proof was wrong.
    assert_eq!(world.server.stats().l2tp_unauthenticated, 1);
}
