//! What clients do differently: NAT-T of the drafts, addresses that make no sense, first messages
//! on the other port.

use std::net::IpAddr;
use std::time::Duration;

use adit_client::profile::{ANDROID, APPLE, RACOON};
use adit_client::{DownReason, Event};
use adit_ike::{IdValue, NatTVersion};
use adit_server::Gauges;
use adit_tests::{ClientId, Nat, World, setup};

const MINUTE: Duration = Duration::from_secs(60);

const DRAFT_03: [u8; 16] = 0x7d9419a6_5310ca6f_2c179d92_15529d56_u128.to_be_bytes();
const DRAFT_02_LF: [u8; 16] = 0x90cb8091_3ebb696e_086381b5_ec427b1f_u128.to_be_bytes();
const DRAFT_02: [u8; 16] = 0xcd604643_35df21f8_7cfdb2fc_68b6a448_u128.to_be_bytes();

/// Both families inside, and a good-bye that leaves nothing.
fn whole(world: &mut World, id: ClientId) {
    assert!(
        world.run_until_echoes(&[id], MINUTE),
        "{:?} {:?}",
        world.state(id),
        world.server.stats()
    );
}

fn leaves_nothing(world: &mut World, id: ClientId) {
    world.hang_up(id);
    world.run_for(20 * Duration::from_secs(1));
    assert_eq!(world.held(), Gauges::default());
}

fn behind_nat() -> (IpAddr, Option<Nat>) {
    let nat = Nat::new("198.51.100.9".parse().unwrap());
    ("192.168.7.5".parse().unwrap(), Some(nat))
}

#[test]
fn sessions_over_nat_t_of_the_drafts() {
    let dialects: [(&'static [&'static [u8]], NatTVersion); 3] = [
        (&[&DRAFT_03], NatTVersion::Draft03),
        (&[&DRAFT_02_LF], NatTVersion::Draft02LineFeed),
        (&[&DRAFT_02], NatTVersion::Draft02),
    ];
    for (ids, version) in dialects {
        for natted in [false, true] {
            let mut client = setup::client("user0");
            client.ike = World::changed(&client.ike, |ike| {
                ike.manner.vendor_ids = Some(ids);
                ike.esp_lifetime.seconds = 10 * MINUTE;
                ike.phase1_lifetime = 15 * MINUTE;
            });
            let mut world = World::new(setup::world(600, 1));
            let (address, nat) = if natted {
                behind_nat()
            } else {
                (setup::address(0), None)
            };
            let id = world.dial(client, address, nat, false);
            whole(&mut world, id);
            let spoken = world.state(id).events.iter().find_map(|event| match event {
                Event::Phase1(phase1) => phase1.nat_t,
                _ => None,
            });
            assert_eq!(spoken, Some(version));
            world.run_for(60 * MINUTE);
            let stats = world.server.stats();
            assert!(
                stats.child_established >= 6 && stats.ike_established >= 4,
                "{stats:?}"
            );
            let info = world.server.sessions(world.now())[0].clone();
            assert_eq!((info.id.0, info.encapsulation), (1, "udp"));
            assert_eq!(info.nat, if natted { "client" } else { "none" });
            leaves_nothing(&mut world, id);
        }
    }
}

/// 61443, 3 and 1 are tunnel mode, which carries no L2TP (RFC 3193).
#[test]
fn tunnel_mode_is_refused_in_every_dialect() {
    let dialects: [Option<&'static [&'static [u8]]>; 4] =
        [None, Some(&[&DRAFT_03]), Some(&[&DRAFT_02]), Some(&[])];
    for ids in dialects {
        let mut client = setup::client("user0");
        client.ike = World::changed(&client.ike, |ike| {
            ike.manner.vendor_ids = ids;
            ike.manner.tunnel = true;
        });
        let mut world = World::new(setup::world(601, 1));
        let id = world.dial(client, setup::address(0), None, false);
        assert!(world.run_until(MINUTE, |world| world.state(id).down.is_some()));
        let refused = adit_ike::ChildFailure::Refused { notify: 14 };
        assert_eq!(world.state(id).down, Some(DownReason::QuickMode(refused)));
        let stats = world.server.stats();
        assert_eq!((stats.child_failed, stats.child_established), (1, 0));
    }
}

/// Android 4.0 leaves what it finds in a reserved byte of NAT-OA.
#[test]
fn reserved_bytes_of_nat_oa_are_ignored() {
    for ids in [None, Some::<&'static [&'static [u8]]>(&[&DRAFT_02])] {
        let mut client = setup::client_of(&RACOON, "user0");
        client.ike = World::changed(&client.ike, |ike| {
            ike.manner.nat_oa_reserved = 0x5a;
            ike.manner.vendor_ids = ids.or(ike.manner.vendor_ids);
        });
        let mut world = World::new(setup::world(602, 1));
        let (address, nat) = behind_nat();
        let id = world.dial(client, address, nat, false);
        whole(&mut world, id);
        leaves_nothing(&mut world, id);
    }
}

/// Behind NAT64 Apple's clients have IPv4 addresses of their own making.
#[test]
fn apple_behind_nat64() {
    let mut client = setup::client_of(&APPLE, "user0");
    client.identity = Some(IdValue::Ipv4([0, 0, 0, 0].into()));
    client.selector_address = Some("192.168.2.2".parse().unwrap());
    let mut world = World::new(setup::world(603, 1));
    let nat = Nat::nat64("198.51.100.64".parse().unwrap());
    let id = world.dial(client, "2001:db8:64::7".parse().unwrap(), Some(nat), false);
    whole(&mut world, id);
    let info = world.server.sessions(world.now())[0].clone();
    assert_eq!((info.nat, info.encapsulation), ("both", "udp"));
    assert!(info.peer.is_ipv4() && info.client == "apple");
    world.run_for(120 * MINUTE);
    assert!(world.server.stats().ike_established >= 3);
    assert!(world.server.stats().child_established >= 3);
    assert_eq!(world.server.sessions(world.now())[0].id, info.id);
    leaves_nothing(&mut world, id);
}

#[test]
fn initial_contact_alone_before_quick_mode_starts_anew() {
    for profile in [&RACOON, &ANDROID] {
        let mut config = setup::world(604, 1);
        config.server.ike = World::changed(&config.server.ike, |ike| {
            ike.phase1 = profile.manner.phase1_proposals();
        });
        let mut world = World::new(config);
        let (address, nat) = behind_nat();
        let id = world.dial(setup::client_of(profile, "user0"), address, nat, false);
        let up = |world: &World| world.state(id).ipv4.is_some();
        assert!(world.run_until(MINUTE, up));
        for lives in 2..5 {
            world.kill(id);
            world.run_for(Duration::from_secs(3));
            world.boot(id);
            assert!(world.run_until(MINUTE, up), "{:?}", world.state(id));
            world.run_for(Duration::from_secs(2));
            let gauges = world.server.gauges();
            assert_eq!((gauges.peers, gauges.ike_sas, gauges.esp_sas), (1, 1, 2));
            assert_eq!((gauges.tunnels, gauges.sessions), (1, 1));
            assert_eq!(world.server.sessions(world.now())[0].id.0, lives);
        }
    }
}

#[test]
fn a_first_main_mode_may_arrive_on_4500() {
    for (address, nat) in [(setup::address(0), None), behind_nat()] {
        for forced in [true, false] {
            let mut config = setup::world(605, 1);
            config.server.ike =
                World::changed(&config.server.ike, |ike| ike.force_encapsulation = forced);
            let mut world = World::new(config);
            world.first_port = 4500;
            world.capture = Some(Vec::new());
            let id = world.dial(setup::client("user0"), address, nat.clone(), false);
            whole(&mut world, id);
            let capture = world.capture.take().unwrap();
            let to_500 = capture.iter().filter(|datagram| datagram.to.port() == 500);
            assert_eq!(to_500.count(), 0);
            let info = world.server.sessions(world.now())[0].clone();
            let udp = forced || nat.is_some();
            assert_eq!(info.encapsulation, if udp { "udp" } else { "esp" });
            leaves_nothing(&mut world, id);
        }
    }
}
