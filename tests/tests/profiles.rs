//! The clients that people have: each profile from its first packet to traffic.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_client::DownReason;
use adit_client::profile::{
    ANDROID, APPLE, CHROMEOS, NETWORK_MANAGER, Profile, RACOON, WINDOWS7, WINDOWS10,
};
use adit_crypto::{BlockCipher, Group, Hash};
use adit_ike::{CloseReason, Phase1Proposal};
use adit_tests::{Nat, World, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// What a server must end with: its name for the client, cipher, hash, group, ESP.
type Choice = [&'static str; 5];

const WINDOWS: Choice = [
    "windows",
    "AES-CBC-256",
    "SHA1",
    "ECP-384",
    "AES-CBC-256/HMAC-SHA1-96",
];

/// Whether the outer packets are IPv6, and whether there is a NAT before the client.
#[derive(Clone, Copy, Debug)]
enum Way {
    Direct,
    Nat,
    Ipv6,
}

fn world(legacy: bool) -> World {
    let mut config = setup::world(11, 1);
    if legacy {
        config.server.ike = World::changed(&config.server.ike, |ike| {
            for hash in [Hash::Sha2_256, Hash::Sha1] {
                ike.phase1.push(Phase1Proposal {
                    cipher: BlockCipher::Aes256,
                    hash,
                    group: Group::Modp1024,
                });
            }
        });
    }
    let mut world = World::new(config);
    world.capture = Some(Vec::new());
    world
}

fn connects(profile: &Profile, choice: Choice, legacy: bool) {
    for way in [Way::Direct, Way::Nat, Way::Ipv6] {
        let mut world = world(legacy);
        let (address, nat): (IpAddr, _) = match way {
            Way::Direct => (setup::address(0), None),
            Way::Nat => {
                let public = "198.51.100.9".parse().unwrap();
                ("192.168.7.5".parse().unwrap(), Some(Nat::new(public)))
            }
            Way::Ipv6 => ("2001:db8:1::7".parse().unwrap(), None),
        };
        let config = setup::client_of(profile, "user0");
        assert_eq!(config.ppp.ipv6, profile.ipv6);
        let id = world.dial(config, address, nat, false);
        if profile.ipv6 {
            assert!(
                world.run_until_echoes(&[id], MINUTE),
                "{} {way:?}: {:?} {:?}",
                profile.name,
                world.state(id),
                world.server.stats()
            );
        } else {
            assert!(
                world.run_until(MINUTE, |world| world.state(id).ipv4.is_some()),
                "{} {way:?}: {:?}",
                profile.name,
                world.state(id)
            );
            world.ping(id);
            assert!(world.run_until(MINUTE, |world| world.state(id).echoes4 > 0));
            assert_eq!(world.state(id).ipv6, None);
        }
        let sessions = world.server.sessions(world.now());
        let [info] = sessions.as_slice() else {
            panic!("one session: {sessions:?}");
        };
        let (ike, esp) = info.ike.as_ref().zip(info.esp.as_ref()).expect("IPsec");
        let found = [
            info.client.as_str(),
            &ike.encryption,
            &ike.hash,
            &ike.group,
            esp,
        ];
        assert_eq!(found, choice, "{} {way:?}", profile.name);
        assert_eq!(info.encapsulation, "udp");
        assert_eq!(info.peer.is_ipv6(), matches!(way, Way::Ipv6));
        assert_eq!(info.peer.port() >= 20_000, matches!(way, Way::Nat));
    }
}

/// An IKE message's exchange, message ID and length.
type Outline = (u8, u32, usize);

/// The client's IKE messages in order, without markers.
fn messages(profile: &Profile) -> (Vec<Vec<u8>>, Vec<Outline>) {
    let mut world = world(false);
    let id = world.dial(
        setup::client_of(profile, "user0"),
        setup::address(0),
        None,
        false,
    );
    assert!(world.run_until(MINUTE, |world| world.state(id).ipv4.is_some()));
    let capture = world.capture.take().unwrap();
    let ike: Vec<Vec<u8>> = capture
        .iter()
        .filter(|datagram| datagram.from.ip() == setup::address(0))
        .filter_map(|datagram| match datagram.to.port() {
            500 => Some(datagram.payload.clone()),
            _ => datagram.payload.strip_prefix(&[0; 4]).map(<[u8]>::to_vec),
        })
        .collect();
    let list = ike
        .iter()
        .map(|message| {
            let header = adit_ike::parse_header(message).unwrap();
            (header.exchange, header.message_id, header.length)
        })
        .collect();
    (ike, list)
}

#[test]
fn windows_10() {
    connects(&WINDOWS10, WINDOWS, false);
}

#[test]
fn windows_7() {
    connects(&WINDOWS7, WINDOWS, false);
}

#[test]
fn apple() {
    let choice = [
        "apple",
        "AES-CBC-256",
        "SHA2-256",
        "MODP-2048",
        "AES-CBC-256/HMAC-SHA2-256-128",
    ];
    connects(&APPLE, choice, false);
}

#[test]
fn network_manager() {
    let choice = [
        "linux",
        "AES-CBC-256",
        "SHA1",
        "ECP-384",
        "AES-CBC-256/HMAC-SHA1-96",
    ];
    connects(&NETWORK_MANAGER, choice, false);
}

#[test]
fn chromeos() {
    let choice = [
        "linux",
        "AES-CBC-128",
        "SHA2-256",
        "MODP-3072",
        "AES-GCM-128",
    ];
    connects(&CHROMEOS, choice, false);
}

#[test]
fn racoon() {
    let choice = [
        "unknown",
        "AES-CBC-256",
        "SHA1",
        "MODP-2048",
        "AES-CBC-256/HMAC-SHA2-256-128",
    ];
    connects(&RACOON, choice, false);
}

/// Old kernels cut HMAC-SHA2-256 short, so SHA1 is what Android gets.
#[test]
fn android_where_the_operator_allows_its_group() {
    let choice = [
        "android",
        "AES-CBC-256",
        "SHA2-256",
        "MODP-1024",
        "AES-CBC-256/HMAC-SHA1-96",
    ];
    connects(&ANDROID, choice, true);
}

#[test]
fn android_is_refused_by_default() {
    let mut world = world(false);
    let config = setup::client_of(&ANDROID, "user0");
    let id = world.dial(config, setup::address(0), None, false);
    assert!(world.run_until(MINUTE, |world| world.state(id).down.is_some()));
    let refused = CloseReason::Refused { notify: 14 };
    assert_eq!(world.state(id).down, Some(DownReason::Ike(refused)));
    assert!(world.server.sessions(world.now()).is_empty());
}

#[test]
fn windows_first_messages_are_golden() {
    let golden = include_str!("../../crates/adit-ike/tests/windows10-mm1.hex");
    let golden = hex(golden.trim());
    let (sent, list) = messages(&WINDOWS10);
    assert_eq!(golden.len(), 408);
    // All but the cookie.
    assert_eq!(sent[0][8..], golden[8..]);
    // KE of ECP-384 in message 3: 160 bytes less than the 388 of MODP-2048. Message 5 has ID and
    // HASH only, and Quick Mode two NAT-OA.
    let sizes: Vec<_> = list.iter().map(|message| message.2).collect();
    assert_eq!(sizes[..4], [408, 228, 76, 444]);
    assert_eq!((list[3].0, list[3].1), (32, 1), "message IDs count");
    let (_, list) = messages(&WINDOWS7);
    assert_eq!(list[0].2, 384);
}

/// Attributes as Apple's racoon orders them, with lifetimes of two bytes, in the first transform.
#[test]
fn the_first_message_of_apple() {
    let (sent, _) = messages(&APPLE);
    let attributes = "800b0001 800c0e10 80010007 800e0100 80030001 80020004 8004000e";
    let attributes = hex(&attributes.replace(' ', ""));
    // ISAKMP header, SA, proposal and transform headers.
    let start = 28 + 12 + 8 + 8;
    assert_eq!(sent[0][start..start + attributes.len()], attributes);
    assert_eq!(sent[0][28 + 12 + 7], 14, "transforms");
}

#[test]
fn profiles_are_found_by_name() {
    for profile in Profile::all() {
        let found = Profile::named(profile.name).unwrap();
        assert_eq!(found.name, profile.name);
        let mut config = setup::client("user0");
        profile.apply(&mut config);
        assert_eq!(config.ike.pfs, profile.pfs);
        assert_eq!(Arc::strong_count(&config.ike), 1);
        assert!(!config.ike.phase1.is_empty() && !config.ike.esp.is_empty());
    }
    assert!(Profile::named("beos").is_none());
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
