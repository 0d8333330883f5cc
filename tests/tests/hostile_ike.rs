//! What other IKE daemons were broken by, from strangers, against a whole server that holds the
//! sessions of others: each input gets the answer that it should, moves a counter, gives no
//! amplifier, and changes nobody's session.

use std::time::Duration;

use adit_server::Stats;
use adit_tests::scene::{
    AGGRESSIVE, Answer, INFORMATIONAL, MAIN, QUICK, Scene, from_stranger, message, refusals,
    stranger,
};
use adit_tests::{Datagram, is_server};

const MINUTE: Duration = Duration::from_secs(60);

/// Payloads by their types.
type Chain = Vec<(u8, Vec<u8>)>;

/// The prime of MODP-2048 (RFC 3526 section 3).
const PRIME: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a0879\
8e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23\
dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e8603\
9b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffff\
ffffffff";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    bytes
        .map(|byte| u8::from_str_radix(&byte, 16).unwrap())
        .collect()
}

#[test]
fn messages_that_belong_to_nothing() {
    let mut scene = Scene::new(800);
    let cookies = ([1; 8], [2; 8]);
    let unknown: fn(&Stats) -> u64 = |stats| stats.ike_unknown_cookie;
    // R-U-THERE: DOI, protocol, SPI size, type 36136, cookies, sequence number.
    let alive = hex("00000001 01 10 8d28 0101010101010101 0202020202020202 00000001");
    let delete = hex("00000001 01 10 0001 0101010101010101 0202020202020202");
    for (name, exchange, flags, payloads) in [
        ("main mode", MAIN, 0, vec![(4, &[7; 64][..])]),
        ("encrypted main mode", MAIN, 1, vec![(5, &[7; 64][..])]),
        ("Quick Mode", QUICK, 1, vec![(8, &[7; 128][..])]),
        ("R-U-THERE", INFORMATIONAL, 0, vec![(11, &alive[..])]),
        ("Delete", INFORMATIONAL, 0, vec![(12, &delete[..])]),
        ("encrypted", INFORMATIONAL, 1, vec![(8, &[7; 64][..])]),
        ("aggressive mode", AGGRESSIVE, 0, vec![(8, &[7; 20][..])]),
    ] {
        let message = message(cookies, exchange, flags, &payloads);
        scene.trial(name, from_stranger(message), Answer::Silence, unknown);
    }
    scene.all_answer();
}

#[test]
fn first_messages_that_are_none() {
    let mut scene = Scene::new(801);
    let first = scene.first(1);
    let zero = ([9; 8], [0; 8]);
    let mut version2 = first.clone();
    version2[17] = 0x20;
    let mut long = first.clone();
    long[27] = long[27].wrapping_add(1);
    let cases = [
        ("IKEv2", version2),
        ("longer than it is", long),
        ("half", first[..first.len() / 2].to_vec()),
        ("no header", vec![1; 27]),
        ("no payload", message(zero, MAIN, 0, &[])),
        (
            "an SA payload of IKEv2",
            message(zero, MAIN, 0, &[(33, &[7; 40])]),
        ),
        (
            "an SA payload with nothing",
            message(zero, MAIN, 0, &[(1, &[])]),
        ),
        (
            "a DOI that is none",
            message(zero, MAIN, 0, &[(1, &[7; 40])]),
        ),
        (
            "a vendor ID first",
            message(zero, MAIN, 0, &[(13, &[7; 16])]),
        ),
        (
            "an encrypted one",
            message(zero, MAIN, 1, &[(1, &first[32..])]),
        ),
        ("Quick Mode", message(zero, QUICK, 1, &[(8, &[7; 64])])),
    ];
    for (name, payload) in cases {
        let sent = from_stranger(payload);
        scene.trial(name, sent, Answer::Silence, refusals);
    }
    scene.all_answer();
}

/// A rejected aggressive mode leaves a cookie that nobody knows.
#[test]
fn a_rejected_exchange_leaves_nothing() {
    let mut scene = Scene::new(802);
    let first = scene.first(1);
    let sa = &first[32..];
    let aggressive = message(
        ([9; 8], [0; 8]),
        AGGRESSIVE,
        0,
        &[
            (1, &sa[..48]),
            (4, &[7; 256]),
            (10, &[7; 32]),
            (5, &hex("0b000000 78")),
        ],
    );
    let back = scene.send(&[from_stranger(aggressive.clone())]);
    let bytes: usize = back.iter().map(|back| back.payload.len()).sum();
    assert!(bytes <= aggressive.len());
    let cookie = back.first().and_then(Datagram::ike);
    let cookie = cookie.map_or([3; 8], |header| header.responder_cookie);
    for (name, exchange, flags) in [
        ("aggressive mode", AGGRESSIVE, 0),
        ("main mode", MAIN, 0),
        ("Quick Mode", QUICK, 1),
    ] {
        let message = message(([9; 8], cookie), exchange, flags, &[(8, &[7; 32])]);
        scene.trial(name, from_stranger(message), Answer::Silence, |stats| {
            stats.ike_unknown_cookie
        });
    }
    assert_eq!(scene.world.server.gauges().half_open, 0);
    scene.all_answer();
}

#[test]
fn key_exchange_values_that_are_none() {
    let mut scene = Scene::new(803);
    let prime = hex(PRIME);
    assert_eq!(prime.len(), 256);
    let number = |last: u8| [vec![0; 255], vec![last]].concat();
    let mut less = prime.clone();
    less[255] -= 1;
    let invalid = Answer::Notify(17);
    let nonce = [7; 32];
    let cases: [(&str, Chain, Answer); 9] = [
        ("0", vec![(4, number(0))], invalid),
        ("1", vec![(4, number(1))], invalid),
        ("p - 1", vec![(4, less)], invalid),
        ("p", vec![(4, prime)], invalid),
        ("empty", vec![(4, vec![])], Answer::Silence),
        ("short", vec![(4, vec![7; 255])], Answer::Silence),
        ("long", vec![(4, vec![7; 257])], Answer::Silence),
        ("absent", vec![], Answer::Silence),
        (
            "two",
            vec![(4, vec![7; 256]), (4, vec![7; 256])],
            Answer::Silence,
        ),
    ];
    for (seed, (name, mut payloads, answer)) in (1..).zip(cases) {
        let first = scene.first(seed);
        let back = scene.send(&[from_stranger(first)]);
        let header = back[0].ike().unwrap();
        payloads.push((10, nonce.to_vec()));
        let payloads: Vec<_> = payloads
            .iter()
            .map(|(kind, body)| (*kind, &body[..]))
            .collect();
        let cookies = (header.initiator_cookie, header.responder_cookie);
        let third = message(cookies, MAIN, 0, &payloads);
        scene.trial(name, from_stranger(third), answer, refusals);
    }
    scene.all_answer();
}

#[test]
fn fragments_of_every_small_size() {
    let mut scene = Scene::new(804);
    for length in 0..12 {
        let fragment = vec![1; length];
        let input = message(([9; 8], [0; 8]), MAIN, 0, &[(132, &fragment)]);
        let bytes = input.len();
        let before = scene.world.server.stats();
        let digest = scene.digest();
        let back = scene.send(&[from_stranger(input)]);
        let after = scene.world.server.stats();
        let answered: usize = back.iter().map(|back| back.payload.len()).sum();
        assert!(answered <= 3 * bytes);
        assert!(after.ike_messages > before.ike_messages);
        assert!(
            length > 4 || refusals(&after) > refusals(&before),
            "{length}"
        );
        assert_eq!(scene.digest(), digest);
    }
    scene.all_answer();
}

/// Everything that a victim ever said, said again: by itself, by others, and changed.
#[test]
fn recorded_messages_do_nothing() {
    let mut scene = Scene::new(805);
    let recorded = scene.recorded.clone();
    let ike = recorded
        .iter()
        .filter(|datagram| !is_server(datagram.from) && datagram.ike().is_some());
    let ike: Vec<_> = ike.cloned().collect();
    assert!(ike.len() >= 3 * 4);
    let digest = scene.digest();
    let gauges = scene.world.server.gauges();
    for datagram in &ike {
        let marker = if datagram.to.port() == 4500 { 4 } else { 0 };
        for mine in [false, true] {
            for flip in [
                None,
                Some(20),
                Some(29),
                Some(40),
                Some(datagram.payload.len() - marker - 1),
            ] {
                let mut copy = datagram.clone();
                if mine {
                    copy.from = stranger();
                }
                if let Some(byte) = flip.and_then(|at| copy.payload.get_mut(at + marker)) {
                    *byte ^= 0x40;
                }
                let sent = copy.payload.len();
                let before = scene.world.server.stats();
                let back = scene.send(&[copy]);
                let after = scene.world.server.stats();
                assert!(after.ike_messages > before.ike_messages);
                assert_eq!(after.ike_established, before.ike_established);
                assert_eq!(after.child_established, before.child_established);
                assert_eq!(after.endpoint_moved, 0);
                let to_stranger = back.iter().filter(|back| back.to == stranger());
                let bytes: usize = to_stranger.map(|back| back.payload.len()).sum();
                assert!(bytes <= 3 * sent, "{bytes} for {sent}");
                assert_eq!(scene.digest(), digest);
            }
        }
    }
    scene.world.run_for(2 * MINUTE);
    let now = scene.world.server.gauges();
    assert_eq!(
        (now.peers, now.ike_sas, now.esp_sas),
        (gauges.peers, gauges.ike_sas, gauges.esp_sas)
    );
    scene.all_answer();
}
