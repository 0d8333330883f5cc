//! Apple's clients that ask for routes and domains.

use super::script::Script;
use super::*;
use crate::acscp::{Acscp, AcspDomain, AcspRoute};
use crate::protocol::{ACSCP, LCP};

const ASKS: &str = "8235 01 01 0010 0106 00000001 0206 00000001";

fn logged_in(acscp: Option<Acscp>) -> Script {
    let mut script = Script::new(server_config());
    script.network.acscp = acscp;
    script.log_in();
    script
}

fn route(third: u8) -> AcspRoute {
    AcspRoute {
        address: [10, 20, third, 0].into(),
        mask: [255, 255, 255, 0].into(),
        private: third.is_multiple_of(2),
    }
}

fn offer() -> Acscp {
    Acscp {
        routes: vec![route(0), route(1)],
        domains: vec![AcspDomain {
            server: [10, 9, 0, 53].into(),
            name: "corp.example".to_owned(),
        }],
    }
}

fn data(script: &Script) -> Vec<String> {
    let start = [0xff, 3, 2, 0x35];
    let frames = script.sent.iter().filter(|frame| frame.starts_with(&start));
    frames.map(|frame| hex::encode(&frame[4..])).collect()
}

#[test]
fn it_is_refused_unless_it_is_offered() {
    let mut script = logged_in(None);
    script.feed(ASKS).0.unwrap();
    let reject = script.find(LCP, 8);
    assert_eq!(hex::encode(&reject[8..10]), "8235");
    script.feed("0235 01 00 0008 0004 0000").0.unwrap();
    assert_eq!(hex::encode(&script.find(LCP, 8)[8..10]), "0235");
}

#[test]
fn nobody_is_told_of_it_unasked() {
    let script = logged_in(Some(offer()));
    let starts = |frame: &Vec<u8>| frame.starts_with(&[0xff, 3, 0x82, 0x35]);
    assert!(!script.sent.iter().any(starts));
}

#[test]
fn routes_and_domains_are_sent_until_they_are_acknowledged() {
    let mut script = logged_in(Some(offer()));
    script.acknowledge(protocol::IPCP);
    script.feed("8021 01 03 000a 0306 0a090011").0.unwrap();
    let (result, said) = script.feed(ASKS);
    result.unwrap();
    assert!(said[0].starts_with("ff03823501"));
    assert_eq!(said[0].len(), 16, "we ask for nothing");
    assert_eq!(said[1], "ff03823502010010010600000001020600000001");
    assert!(data(&script).is_empty());
    script.acknowledge(ACSCP);
    let routes = "010000 20 000b 0000 0a140000 ffffff00 00010000 0a140100 ffffff00 00020000";
    let domains = "020000 1a 000b 0000 0a090035 000c 636f72702e6578616d706c65";
    let both = [routes, domains].map(|text| text.replace(' ', ""));
    assert_eq!(data(&script), both);
    // Routes arrive, domains get lost.
    script.expect("0235 01 00 0008 0004 0000", &[]);
    script.wait(Duration::from_secs(3));
    assert_eq!(data(&script)[2..], both[1..]);
    script.expect("0235 02 00 0008 0004 0000", &[]);
    let before = script.sent.len();
    for _ in 0..20 {
        script.wait(Duration::from_secs(3));
    }
    assert!(
        script.sent[before..]
            .iter()
            .all(|frame| frame[2..4] != [2, 0x35])
    );
    // What answers nothing, or is cut, or is no acknowledgement.
    for (frame, malformed) in [
        ("0235 01 00 0008 0004 0000", false),
        ("0235 03 00 0008 0004 0000", false),
        ("0235 01 00 0007 0004 0000", true),
        ("0235 01 00 0009 0004 0000", true),
        ("0235 01 00 0008 0008 0000", true),
        ("0235 01 00 00", true),
        ("0235", true),
    ] {
        let result = script.feed(frame).0;
        assert_eq!(
            matches!(result, Err(Error::Malformed(_))),
            malformed,
            "{frame}"
        );
        assert!(result.is_err());
    }
}

#[test]
fn long_lists_are_cut_to_what_the_peer_takes() {
    let many = Acscp {
        routes: (0..=255).map(route).collect(),
        domains: Vec::new(),
    };
    let mut script = logged_in(Some(many));
    // There are no domains.
    let (_, said) = script.feed(ASKS);
    assert_eq!(said[1], "ff0382350401000a020600000001");
    script.feed("8235 01 02 000a 0106 00000001").0.unwrap();
    script.acknowledge(ACSCP);
    let mut count = 0;
    for (seq, flags) in [(0, "000a"), (1, "0008"), (2, "0009")] {
        let sent = data(&script).pop().unwrap();
        assert_eq!(sent[..4], format!("01{seq:02x}"));
        assert_eq!(sent[8..12], *flags, "start, middle, end");
        assert!(sent.len() / 2 <= 1496);
        assert_eq!(usize::from_str_radix(&sent[4..8], 16), Ok(sent.len() / 2));
        count += (sent.len() / 2 - 8) / 12;
        script
            .feed(&format!("0235 01 {seq:02x} 0008 0004 0000"))
            .0
            .unwrap();
    }
    assert_eq!(count, 256);
    assert_eq!(data(&script).len(), 3);
}

#[test]
fn a_client_that_never_acknowledges_keeps_its_link() {
    let mut script = logged_in(Some(offer()));
    script.feed(ASKS).0.unwrap();
    script.acknowledge(ACSCP);
    script.acknowledge(protocol::IPCP);
    script.feed("8021 01 03 000a 0306 0a090011").0.unwrap();
    for _ in 0..40 {
        script.wait(Duration::from_secs(3));
    }
    assert_eq!(data(&script).len(), 20, "ten times each");
    assert!(script.link.ipv4_open());
    // A Protocol-Reject ends it, and nothing else.
    script.expect("c021 08 01 0006 8235", &[]);
    assert!(script.link.ipv4_open());
    script.feed(ASKS).0.unwrap();
    assert_eq!(hex::encode(&script.find(LCP, 8)[8..10]), "8235");
}

#[test]
fn other_versions_and_options_are_turned_down() {
    let mut script = logged_in(Some(offer()));
    let answer = |said: Vec<String>| said.last().unwrap().clone();
    let (_, said) = script.feed("8235 01 01 000a 0106 00000002");
    assert_eq!(answer(said), "ff0382350301000a010600000001");
    let (_, said) = script.feed("8235 01 02 0007 0703 00");
    assert_eq!(answer(said), "ff03823504020007070300");
    let (result, said) = script.feed("8235 01 02 0008 0100 0000");
    assert!(matches!(result, Err(Error::Options(_))) && said.is_empty());
}

/// Both ends, over lines that lose and reorder: the client ends with what the server has.
#[test]
fn a_client_learns_what_the_server_offers() {
    use super::pair::{Line, Pair, To};
    for seed in 0..20 {
        let line = Line {
            loss_percent: if seed == 0 { 0 } else { 20 },
            duplicate_percent: 10,
            jitter: Duration::from_millis(100),
        };
        let client = ClientConfig {
            acscp: true,
            ..client_config()
        };
        let server = ServerConfig {
            auth_timeout: Duration::from_secs(120),
            ..server_config()
        };
        let mut pair = Pair::new(server, client, line, seed);
        let offer = Acscp {
            routes: (0..=255).map(route).collect(),
            ..offer()
        };
        pair.network.acscp = Some(offer.clone());
        pair.seconds(240);
        let known = pair
            .client_events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Acscp(known) => Some(known.clone()),
                _ => None,
            });
        assert!(known.as_ref() == Some(&offer), "seed {seed}: {known:?}");
        assert!(pair.both_open());
        if seed == 0 {
            let asks: String = ASKS.replace(' ', "");
            let first = pair
                .sent
                .iter()
                .find(|(to, frame)| *to == To::Server && hex::encode(frame).contains("8235"));
            let first = hex::encode(&first.unwrap().1);
            // But for the identifier, which is drawn here.
            assert_eq!(first[first.len() - 28..], asks[asks.len() - 28..]);
            assert_eq!(pair.sent(To::Client, LCP, 8), 0, "no Protocol-Reject");
        }
    }
}

/// A server that has none of it: both families live on.
#[test]
fn a_client_takes_a_protocol_reject_of_it() {
    use super::pair::{Pair, To};
    let client = ClientConfig {
        acscp: true,
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    pair.seconds(60);
    assert!(pair.both_open());
    assert_eq!(pair.sent(To::Client, LCP, 8), 1);
    assert_eq!(pair.sent(To::Server, ACSCP, 1), 1, "asked once");
    let told = |event: &Event| matches!(event, Event::Acscp(_));
    assert!(!pair.client_events.iter().any(told));
}

/// What a server may send a client that asked for nothing or gets nonsense.
#[test]
fn a_client_refuses_lists_that_are_not_right() {
    use super::pair::Pair;
    let client = ClientConfig {
        acscp: true,
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    pair.network.acscp = Some(offer());
    pair.seconds(5);
    let before = pair.client_events.len();
    for (frame, malformed) in [
        ("0235 01 00 0008 0004 0000", true),
        ("0235 01 00 0009 0003 0000", true),
        ("0235 01 00 0007 0003 0000", true),
        ("0235 01 00 0009 0003 0000 00", true),
        ("0235 02 00 000d 0003 0000 0a00000100", true),
        ("0235 02 00 000e 0003 0000 0a0000010001", true),
        ("0235 03 00 0008 0003 0000", false),
        ("0235 01", true),
    ] {
        let frame = hex::decode(frame.replace(' ', "")).unwrap();
        let result = pair.client.handle_frame(&frame, pair.now, &mut pair.rng);
        assert_eq!(matches!(result, Err(Error::Malformed(_))), malformed);
        assert!(result.is_err());
    }
    pair.drain();
    assert_eq!(pair.client_events.len(), before);
    // The middle of a list whose start never came is not a list.
    let frame = hex::decode("0235011400080009 0000".replace(' ', "")).unwrap();
    pair.client
        .handle_frame(&frame, pair.now, &mut pair.rng)
        .unwrap();
    pair.drain();
    assert_eq!(pair.client_events.len(), before);
}
