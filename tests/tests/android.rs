//! Old Android kernels, which cut HMAC-SHA2-256 at 96 bits whatever was negotiated.

use std::time::Duration;

use adit_client::profile::ANDROID7;
use adit_crypto::{BlockCipher, EspMac, Group, Hash};
use adit_ike::Phase1Proposal;
use adit_tests::{ClientId, Nat, World, WorldConfig, setup};

const MINUTE: Duration = Duration::from_secs(60);
const CUT: &str = "AES-CBC-256/HMAC-SHA2-256-96";
const FULL: &str = "AES-CBC-256/HMAC-SHA2-256-128";

/// A server that allows the only group of these clients and, perhaps, nothing for ESP but SHA2-256.
fn world(seed: u64, sha2_only: bool, minutes: u32) -> WorldConfig {
    let mut config = setup::world(seed, 1);
    config.server.ike = World::changed(&config.server.ike, |ike| {
        ike.phase1.push(Phase1Proposal {
            cipher: BlockCipher::Aes256,
            hash: Hash::Sha2_256,
            group: Group::Modp1024,
        });
        ike.esp_lifetime.seconds = minutes * MINUTE;
        if sha2_only {
            ike.esp
                .retain(|suite| suite.mac == Some(EspMac::HmacSha2_256_128));
        }
    });
    config
}

fn suite(world: &World) -> String {
    let info = &world.server.sessions(world.now())[0];
    info.esp.clone().unwrap()
}

/// Pings once a second, and asserts that every ping comes back.
fn pings(world: &mut World, id: ClientId, count: u32) {
    world.run_for(Duration::from_secs(1));
    let before = world.state(id).echoes4;
    for _ in 0..count {
        world.ping(id);
        world.run_for(Duration::from_secs(1));
    }
    assert_eq!(world.state(id).echoes4 - before, count);
}

fn dial(world: &mut World) -> ClientId {
    let config = setup::client_of(&ANDROID7, "user0");
    assert!(config.cut_icv);
    let nat = Nat::new("198.51.100.9".parse().unwrap());
    let id = world.dial(config, "192.168.7.5".parse().unwrap(), Some(nat), false);
    assert!(
        world.run_until(MINUTE, |world| world.state(id).ipv4.is_some()),
        "{:?} {:?}",
        world.state(id),
        world.server.stats()
    );
    id
}

#[test]
fn sha_1_is_chosen_where_it_can_be() {
    let mut world = World::new(world(80, false, 60));
    let id = dial(&mut world);
    assert_eq!(suite(&world), "AES-CBC-256/HMAC-SHA1-96");
    pings(&mut world, id, 10);
    assert_eq!(world.server.stats().esp_icv_cut, 0);
}

#[test]
fn a_whole_session_with_the_cut_icv() {
    let mut world = World::new(world(81, true, 10));
    let id = dial(&mut world);
    assert_eq!(suite(&world), CUT);
    let stats = world.server.stats();
    assert_eq!(stats.esp_icv_cut, 1);
    // Not one packet was lost to the finding out.
    assert_eq!((stats.esp_malformed, stats.esp_bad_icv), (0, 0));
    pings(&mut world, id, 60);

    // The SAs that replace it are sent on at 96 bits from their first packet.
    pings(&mut world, id, 30 * 60);
    let stats = world.server.stats();
    assert!(stats.child_established >= 3, "{stats:?}");
    assert!(stats.esp_icv_cut >= 3, "{stats:?}");
    assert_eq!((stats.esp_malformed, stats.esp_bad_icv), (0, 0));
    assert_eq!(suite(&world), CUT);
    assert_eq!(world.state(id).dials, 1);
}

#[test]
fn whoever_cuts_an_icv_on_the_way_gains_nothing() {
    let mut config = world(82, true, 60);
    config.users = setup::users(1);
    let mut world = World::new(config);
    world.capture = Some(Vec::new());
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    // Each ESP packet of the client is followed, one step later, by a copy with its ICV cut.
    let mut copied = 0;
    for _ in 0..200 {
        world.run_for(Duration::from_millis(20));
        let fresh: Vec<_> = world.capture.as_ref().unwrap()[copied..].to_vec();
        for mut datagram in fresh {
            let esp = datagram.payload.len() > 60 && !datagram.payload.starts_with(&[0; 4]);
            if esp && datagram.from.ip() == setup::address(0) && datagram.to.port() == 4500 {
                let length = datagram.payload.len() - 4;
                datagram.payload.truncate(length);
                world.inject(datagram);
            }
        }
        copied = world.capture.as_ref().unwrap().len();
    }
    assert!(
        world.run_until_echoes(&[id], MINUTE),
        "{:?}",
        world.state(id)
    );
    assert_eq!(suite(&world), FULL);
    pings(&mut world, id, 20);
    assert_eq!(world.server.stats().esp_icv_cut, 0);
}
