//! ESP that should not be, from strangers and from a client that is in, against a whole server that
//! holds the sessions of others.

use std::net::SocketAddr;
use std::time::Duration;

use adit_server::Stats;
use adit_tests::scene::{Answer, Scene, stranger};
use adit_tests::{Datagram, is_server, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// What has to count an input.
type Counter = fn(&Stats) -> u64;

#[test]
fn esp_of_strangers() {
    let mut scene = Scene::new(806);
    let recorded = scene.recorded.clone();
    let is_esp = |datagram: &&Datagram| {
        !is_server(datagram.from) && datagram.ike().is_none() && datagram.payload.len() > 20
    };
    let esp: Vec<_> = recorded.iter().filter(is_esp).cloned().collect();
    for victim in 0..scene.victims.len() {
        let peer = scene.world.server.sessions(scene.world.now())[victim].peer;
        let last = esp.iter().rfind(|datagram| datagram.from == peer);
        let last = last.expect("a packet of each").clone();
        let elsewhere = SocketAddr::new(stranger().ip(), last.from.port());
        for from in [last.from, elsewhere] {
            let mut replayed = last.clone();
            replayed.from = from;
            let mut forged = replayed.clone();
            forged.payload[6] = 1;
            let mut unknown = replayed.clone();
            unknown.payload[..4].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
            let mut reserved = replayed.clone();
            reserved.payload[..4].copy_from_slice(&[0, 0, 0, 77]);
            let mut cut = forged.clone();
            cut.payload.truncate(20);
            let cases: [(&str, Datagram, Counter); 5] = [
                ("replayed", replayed, |stats| stats.esp_replayed),
                ("forged", forged, |stats| stats.esp_bad_icv),
                ("unknown SPI", unknown, |stats| stats.esp_unknown_spi),
                ("reserved SPI", reserved, |stats| stats.esp_unknown_spi),
                ("cut", cut, |stats| stats.esp_malformed + stats.esp_bad_icv),
            ];
            for (name, input, counter) in cases {
                scene.trial(name, input, Answer::Silence, counter);
            }
        }
    }
    scene.all_answer();
}

/// A client that is in, and seals whatever it likes.
#[test]
fn esp_of_an_insider() {
    let mut scene = Scene::new(807);
    let insider = setup::client("user3");
    let id = scene.world.dial(insider, setup::address(3), None, false);
    assert!(scene.world.run_until_echoes(&[id], MINUTE));
    scene.world.run_for(Duration::from_secs(2));
    // UDP from 1701 to a port, of a stated length and with a checksum, around an L2TP message.
    let udp = |port: u16, length: u16, checksum: u16, l2tp: &[u8]| {
        let fields = [1701, port, length, checksum];
        let mut bytes: Vec<u8> = fields
            .iter()
            .flat_map(|field| field.to_be_bytes())
            .collect();
        bytes.extend(l2tp);
        bytes
    };
    let junk = [0xc8, 0x02, 0, 6, 0, 0];
    let foreign: Counter = |stats| stats.esp_foreign;
    let malformed: Counter = |stats| stats.l2tp_malformed;
    let taken: Counter = |stats| stats.l2tp_unknown + stats.l2tp_refused;
    // A ZLB for a tunnel that is not there.
    let zlb = [0xc8, 0x02, 0, 12, 0xab, 0xcd, 0, 0, 0, 0, 0, 0];
    for (name, payload, next_header, counter) in [
        ("no next header", vec![7; 40], 59, foreign),
        ("TCP", vec![7; 40], 6, foreign),
        ("IPv4", vec![0x45; 40], 4, foreign),
        ("nothing", vec![], 17, foreign),
        ("half a UDP header", vec![7; 4], 17, foreign),
        ("another port", udp(1702, 14, 0, &junk), 17, foreign),
        (
            "UDP past the payload",
            udp(1701, 200, 0, &junk),
            17,
            foreign,
        ),
        (
            "UDP shorter than its header",
            udp(1701, 7, 0, &junk),
            17,
            foreign,
        ),
        ("junk, no checksum", udp(1701, 14, 0, &junk), 17, malformed),
        (
            "junk, a wrong checksum",
            udp(1701, 14, 0xdead, &junk),
            17,
            malformed,
        ),
        ("L2TP, no checksum", udp(1701, 20, 0, &zlb), 17, taken),
        (
            "L2TP, a wrong checksum",
            udp(1701, 20, 0xdead, &zlb),
            17,
            taken,
        ),
    ] {
        let digest = scene.digest();
        let before = scene.world.server.stats();
        scene.world.send_esp(id, &payload, next_header);
        scene.world.run_for(Duration::from_secs(1));
        let after = scene.world.server.stats();
        assert!(counter(&after) > counter(&before), "{name}: {after:?}");
        assert_eq!(scene.digest(), digest, "{name}");
        assert_eq!(scene.world.state(id).down, None, "{name}");
    }
    scene.all_answer();
}
