//! LCP beside the happy path: every option that clients send, packets that want no answer, and
//! requests that came before somebody listened.

use super::pair::{Pair, To};
use super::script::Script;
use super::*;
use crate::manner::{Identification, Identifiers, IpcpOption, LcpOption, Manner};
use crate::protocol::{CCP, IPCP, IPV6CP, LCP};

#[test]
fn a_request_that_nobody_heard_goes_out_again_with_the_peers_first() {
    let mut script = Script::new(server_config());
    let first = script.sent[0].clone();
    script.now += Duration::from_millis(700);
    script.feed("ff03c021 01 01 0008 0104 0578").0.unwrap();
    let said: Vec<_> = script.sent[1..].iter().map(hex::encode).collect();
    assert_eq!(
        said,
        [
            hex::encode(&first),
            "ff03c02102010008010405 78".replace(' ', "")
        ],
        "unchanged, and before the answer"
    );
    // A second request does not bring it out again, nor is the restart timer moved.
    script.expect(
        "ff03c021 01 01 0008 0104 0578",
        &["ff03c021 02 01 0008 0104 0578"],
    );
    script.wait(Duration::from_millis(2299));
    assert_eq!(
        script.sent.iter().filter(|frame| **frame == first).count(),
        2
    );
    script.wait(Duration::from_millis(1));
    assert_eq!(
        script.sent.iter().filter(|frame| **frame == first).count(),
        3
    );
    // Both copies may be answered; the second answer means nothing.
    script.acknowledge(LCP);
    script.acknowledge(LCP);
    assert_eq!(script.link.lcp_state(), State::Opened);
    assert_eq!(script.link.stats().unmatched, 0);
    let mut third = script.find(LCP, 1);
    third[4] = 2;
    assert!(matches!(
        script.feed_bytes(&third).0,
        Err(Error::Unmatched { .. })
    ));
}

#[test]
fn an_answer_on_its_way_is_waited_for() {
    let mut script = Script::new(server_config());
    script.now += Duration::from_millis(80);
    script.expect("ff03c021 01 01 0004", &["ff03c021 02 01 0004"]);
    let before = script.sent.len();
    script.wait(Duration::from_millis(219));
    assert_eq!(script.sent.len(), before);
    script.wait(Duration::from_millis(1));
    assert_eq!(script.sent[before..], script.sent[..1]);
    script.acknowledge(LCP);
    assert_eq!(script.link.lcp_state(), State::Opened);

    let mut script = Script::new(server_config());
    script.expect("ff03c021 01 01 0004", &["ff03c021 02 01 0004"]);
    script.acknowledge(LCP);
    script.wait(Duration::from_secs(1));
    assert_eq!(script.link.stats().retransmitted, 0);
}

#[test]
fn a_request_that_was_answered_is_not_repeated() {
    let mut script = Script::new(server_config());
    script.acknowledge(LCP);
    script.feed("ff03c021 01 01 0004").0.unwrap();
    assert_eq!(script.link.stats().retransmitted, 0);
    assert_eq!(script.link.lcp_state(), State::Opened);
}

#[test]
fn options_that_are_not_served_are_rejected_together() {
    let mut script = Script::new(server_config());
    // Quality protocol, FCS alternatives, self-describing padding, numbered mode, multilink
    // procedure, compound frames, nominal data encapsulation, MRRU, short sequence numbers,
    // endpoint discriminator, proprietary, DCE identifier, and one that nobody has defined.
    let strange = "0408c02500000064 090301 0a0304 0b04 0708 0c04 0000 0f02 1002 1104 064e 1202 \
                   130901 c0a80001 0000 0006 00000c01 1603 01 fe02"
        .replace(' ', "");
    let length = hex::encode(
        u16::try_from(strange.len() / 2 + 4 + 6)
            .unwrap()
            .to_be_bytes(),
    );
    let rejected = hex::encode(u16::try_from(strange.len() / 2 + 4).unwrap().to_be_bytes());
    script.expect(
        &format!("ff03c021 01 01 {length} 0506 11223344 {strange}"),
        &[&format!("ff03c021 04 01 {rejected} {strange}")],
    );
    // The same identifier with other contents is another request.
    script.expect(
        "ff03c021 01 01 000a 0506 11223344",
        &["ff03c021 02 01 000a 0506 11223344"],
    );
}

#[test]
fn packets_without_answers_are_counted_where_they_may_come() {
    let mut script = Script::new(server_config());
    script.expect("c021 0c 03 000c 1c2d3e4f 4d535241", &[]);
    script.expect("c021 0d 03 000c 1c2d3e4f 00000e10", &[]);
    script.expect("c021 0b 03 0008 1c2d3e4f", &[]);
    let stats = script.link.stats();
    assert_eq!(
        (stats.identifications, stats.time_remaining, stats.discards),
        (1, 0, 0)
    );
    assert_eq!(stats.early, 2);
    script.log_in();
    script.expect("c021 0c 03 0008 1c2d3e4f", &[]);
    script.expect("c021 0d 03 0010 1c2d3e4f 00000e10 736f6f6e", &[]);
    script.expect("c021 0b 03 000a 1c2d3e4f ffff", &[]);
    let stats = script.link.stats();
    assert_eq!(
        (stats.identifications, stats.time_remaining, stats.discards),
        (2, 1, 1)
    );
    for short in [
        "c021 0c 03 0007 1c2d3e",
        "c021 0d 03 000b 1c2d3e4f 00000e",
        "c021 0b 03 0004",
    ] {
        let (result, said) = script.feed(short);
        assert!(
            matches!(result, Err(Error::Malformed(_))) && said.is_empty(),
            "{short}"
        );
    }
    assert_eq!(script.link.stats().malformed, 3);
}

#[test]
fn a_peer_that_acknowledges_and_never_asks_is_given_up() {
    // LCP of a client, which has no other limit.
    let (mut now, mut rng) = (epoch(), rng(4));
    let mut link = Link::client(client_config(), now, &mut rng);
    let mut requests = 0;
    let mut events = Vec::new();
    while link.poll_timeout().is_some() && requests < 100 {
        while let Some(mut frame) = link.poll_transmit() {
            if frame[4] == 1 {
                requests += 1;
                frame[4] = 2;
                let _ = link.handle_frame(&frame, now, &mut rng);
            }
        }
        now = link.poll_timeout().unwrap_or(now);
        link.handle_timeout(now, &mut rng);
        events.extend(std::iter::from_fn(|| link.poll_event()));
    }
    let reason = DownReason::NegotiationFailed(Failure::NoRequest);
    assert_eq!(events, [Event::Down { reason }]);
    assert_eq!(requests, 11);

    // IPCP of a server: only that family is given up.
    let mut script = Script::new(server_config());
    script.log_in();
    script.acknowledge(IPV6CP);
    script
        .feed("8057 01 01 000e 010a 0000000000000001")
        .0
        .unwrap();
    for _ in 0..60 {
        if script.link.ipcp_state() == NcpState::Running(State::ReqSent) {
            let mut ack = script.find(IPCP, 1);
            ack[4] = 2;
            let _ = script.feed_bytes(&ack);
        }
        script.wait(Duration::from_secs(3));
    }
    assert_eq!(
        script.link.ipcp_state(),
        NcpState::Failed(Failure::NoRequest)
    );
    assert!(script.events.contains(&Event::Ipv4Refused));
    assert!(script.link.ipv6_open());
}

#[test]
fn a_manner_words_the_requests() {
    let manner = Manner {
        lcp: &[
            LcpOption::Mru,
            LcpOption::Magic,
            LcpOption::Pfc,
            LcpOption::Acfc,
            LcpOption::Callback(6),
        ],
        identifications: &[
            Identification::Text("MSRASV5.20"),
            Identification::Text("MSRAS-0-DESKTOP"),
            Identification::Random16,
        ],
        ipcp: &[
            IpcpOption::Address,
            IpcpOption::Dns1,
            IpcpOption::Nbns1,
            IpcpOption::Dns2,
            IpcpOption::Nbns2,
        ],
        ipv6cp_first: true,
        ccp: Some(&[0x12, 6, 1, 0, 0, 0]),
        identifiers: Identifiers::Shared(0),
    };
    let client = ClientConfig {
        manner,
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    let network = pair.network.ipv4.as_mut().unwrap();
    network.wins = vec![[10, 9, 0, 60].into()];
    pair.seconds(2);
    assert!(pair.both_open());
    let from_client: Vec<_> = pair
        .sent
        .iter()
        .filter(|(to, frame)| *to == To::Server && frame[4] != 2)
        .map(|(_, frame)| hex::encode(&frame[2..]))
        .collect();
    let magic = from_client[0][24..32].to_owned();
    assert_eq!(
        from_client[0],
        format!("c02101000015010405780506{magic}070208020d0306")
    );
    let at = |prefix: &str| {
        let found = from_client
            .iter()
            .position(|frame| frame.starts_with(prefix));
        found.unwrap_or_else(|| panic!("{prefix}: {from_client:#?}"))
    };
    let text = |text: &str| hex::encode(text);
    let second = at(&format!("c02101010012010405780506{magic}07020802"));
    let version = at(&format!("c0210c020012{magic}{}", text("MSRASV5.20")));
    let name = at(&format!("c0210c030017{magic}{}", text("MSRAS-0-DESKTOP")));
    let correlation = at(&format!("c0210c040018{magic}"));
    assert!(second < version && version < name && name < correlation);
    let ipv6cp = at("80570105000e010a");
    let ccp = at("80fd0106000a120601000000");
    let ipcp = at("8021010700220306000000008106000000008206000000008306000000008406");
    assert!(ipv6cp < ccp && ccp < ipcp);
    let wins = pair.client_events.iter().find_map(|event| match event {
        Event::Ipv4Up { wins, .. } => Some(wins.clone()),
        _ => None,
    });
    assert_eq!(wins, Some(vec![[10, 9, 0, 60].into()]));
    // CCP was refused once and for all.
    assert_eq!(pair.sent(To::Server, CCP, 1), 1);
    pair.seconds(60);
    assert_eq!(pair.sent(To::Server, CCP, 1), 1);
    assert!(pair.both_open());
}

#[test]
fn ccp_comes_to_nothing_whatever_the_server_says() {
    let manner = Manner {
        ccp: Some(&[0x12, 6, 1, 0, 0, 0]),
        ..Manner::OWN
    };
    let client = ClientConfig {
        manner,
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    // The Protocol-Reject is lost and somebody else answers.
    for _ in 0..200 {
        pair.run(Duration::from_millis(1));
        if pair.sent(To::Server, CCP, 1) > 0 {
            break;
        }
    }
    let request = pair
        .sent
        .iter()
        .rfind(|(to, frame)| *to == To::Server && frame.starts_with(&[0xff, 3, 0x80, 0xfd]));
    let id = request.unwrap().1[5];
    for frame in [
        vec![0xff, 3, 0x80, 0xfd, 2, id, 0, 10, 0x12, 6, 1, 0, 0, 0],
        vec![0x80, 0xfd, 1, 9, 0, 10, 0x12, 6, 1, 0, 0, 0x40],
        vec![0x80, 0xfd, 1, 10, 0, 4],
    ] {
        let now = pair.now;
        let _ = pair.client.handle_frame(&frame, now, &mut pair.rng);
        pair.drain();
    }
    assert_eq!(pair.sent(To::Server, CCP, 4), 1, "its wishes are rejected");
    let terminate = pair
        .sent
        .iter()
        .find(|(to, frame)| *to == To::Server && frame.starts_with(&[0xff, 3, 0x80, 0xfd, 5]));
    let terminate = hex::encode(&terminate.unwrap().1[12..]);
    assert_eq!(terminate, "003ccd74000002dc");
    pair.seconds(30);
    assert!(pair.both_open());
}

#[test]
fn an_address_option_is_never_rejected() {
    let mut script = Script::new(server_config());
    script.log_in();
    // Its own address, none, and one of the wrong length.
    for data in ["0306c0a80001", "030600000000", "0302", "0303aa"] {
        let length = hex::encode(u16::try_from(data.len() / 2 + 4).unwrap().to_be_bytes());
        script.expect(
            &format!("8021 01 01 {length} {data}"),
            &["ff038021 03 01 000a 0306 0a090011"],
        );
    }
    // The old option is refused until the new one is named, and taken then.
    script.expect("8021 01 03 0004", &["ff038021 03 03 000a 0306 0a090011"]);
    script.expect(
        "8021 01 02 000e 010a 00000000 00000000",
        &["ff038021 04 02 000e 010a 00000000 00000000"],
    );
    script.expect(
        "8021 01 04 000a 0306 0a090011",
        &["ff038021 02 04 000a 0306 0a090011"],
    );
}

#[test]
fn name_servers_are_told_or_rejected() {
    let mut script = Script::new(server_config());
    let network = script.network.ipv4.as_mut().unwrap();
    network.wins = vec![[10, 9, 0, 60].into()];
    script.log_in();
    script.expect(
        "8021 01 01 0022 0306 00000000 8106 00000000 8206 00000000 8306 00000000 8406 00000000",
        &["ff038021 04 01 000a 8406 00000000"],
    );
    script.expect(
        "8021 01 02 001c 0306 0a090011 8106 00000000 8206 00000000 8306 0a090036",
        &["ff038021 03 02 0010 8106 0a090035 8206 0a09003c"],
    );
}

#[test]
fn a_request_whose_answer_gets_lost_is_no_new_round() {
    let mut script = Script::new(server_config());
    script.log_in();
    let nak = "ff038021 03 01 000a 0306 0a090011";
    for _ in 0..11 {
        script.expect("8021 01 01 000a 0306 00000000", &[nak]);
    }
    script.expect(
        "8021 01 02 000a 0306 0a090011",
        &["ff038021 02 02 000a 0306 0a090011"],
    );
    script.acknowledge(IPCP);
    assert!(script.link.ipv4_open());

    // But not for ever.
    let mut script = Script::new(server_config());
    script.log_in();
    let request = "8021 01 01 000a 0306 00000000";
    let failed = (0..100).find(|_| script.feed(request).0.is_err());
    assert_eq!(failed, Some(55));
}
