//! Malformed frames, answers to nothing, and peers that never agree. Whatever they send, the link
//! goes on or ends in words.

use proptest::prelude::*;

use super::script::Script;
use super::*;

fn opened() -> Script {
    let mut script = Script::new(server_config());
    script.log_in();
    script
}

#[test]
fn lengths_that_lie_are_refused_and_counted() {
    let mut script = opened();
    for frame in [
        "",
        "ff",
        "ff03",
        "ff03c0",
        "ff13c021 09 01 0008 00000000",
        "ff03c021",
        "ff03c021 09 01 00",
        "ff03c021 09 01 0003",
        "ff03c021 09 01 0000",
        "ff03c021 09 01 0009 00000000",
        // Echo-Request and Protocol-Reject without their fixed part.
        "ff03c021 09 01 0007 000000",
        "ff03c021 08 01 0005 80",
        "ff03c021 07 01 0004",
        // Options of length 0, 1, past the end, and one byte short of a header.
        "ff038021 01 01 0008 03000000",
        "ff038021 01 01 0006 0301",
        "ff038021 01 01 000a 0307 00000000",
        "ff038021 01 01 000b 0306 00000000 81",
        "ff038057 01 01 000e 01ff 0000000000000001",
    ] {
        let (result, said) = script.feed(frame);
        assert!(result.is_err(), "{frame}");
        assert_eq!(said, Vec::<String>::new(), "{frame}");
    }
    let stats = script.link.stats();
    assert_eq!(stats.bad_frame, 5);
    assert_eq!(stats.malformed, 8);
    assert_eq!(stats.bad_options, 5);
    assert_eq!(script.link.lcp_state(), State::Opened);
    script.acknowledge(protocol::IPCP);
    script.feed("8021 01 03 000a 0306 0a090011").0.unwrap();
    assert!(script.link.ipv4_open());
}

#[test]
fn data_does_not_belong_here() {
    let mut script = opened();
    assert_eq!(script.feed("ff030021 45").0, Err(Error::Data(0x21)));
    assert_eq!(script.feed("57 60").0, Err(Error::Data(0x57)));
}

#[test]
fn duplicate_options_are_rejected() {
    let mut script = opened();
    script.expect(
        "8021 01 03 0010 0306 0a090011 0306 0a090012",
        &["ff038021 04 03 000a 0306 0a090012"],
    );
    let mut script = Script::new(server_config());
    script.expect(
        "ff03c021 01 03 0010 0506 11111111 0506 22222222",
        &["ff03c021 04 03 000a 0506 22222222"],
    );
    // Lengths that the option does not have.
    script.expect(
        "ff03c021 01 04 0007 0703 00",
        &["ff03c021 04 04 0007 0703 00"],
    );
    script.expect(
        "ff03c021 01 05 0007 0103 ff",
        &["ff03c021 04 05 0007 0103 ff"],
    );
}

#[test]
fn multilink_callback_and_authentication_of_the_server_are_rejected() {
    let mut script = Script::new(server_config());
    script.expect(
        "ff03c021 01 03 0019 1104064e 1307 0101020304 0d0306 0305c22381 1202",
        &["ff03c021 04 03 0019 1104064e 1307 0101020304 0d0306 0305c22381 1202"],
    );
}

#[test]
fn an_mru_above_1500_is_of_no_use_and_a_tiny_one_of_none_either() {
    let mut script = Script::new(server_config());
    script.expect(
        "ff03c021 01 03 0008 0104 ffff",
        &["ff03c021 02 03 0008 0104 ffff"],
    );
    script.acknowledge(protocol::LCP);
    assert_eq!(script.link.peer_mru(), 1500);
    let mut script = Script::new(server_config());
    for round in 0..5 {
        let id = hex::encode([round]);
        let nak = format!("ff03c021 03 {id} 0008 0104 0578");
        script.expect(&format!("ff03c021 01 {id} 0008 0104 0044"), &[&nak]);
    }
    // RFC 1661 4.6: after max-failure it is rejected.
    script.expect(
        "ff03c021 01 08 0008 0104 0044",
        &["ff03c021 04 08 0008 0104 0044"],
    );
}

#[test]
fn replies_are_no_longer_than_the_peer_takes() {
    let mut script = Script::new(server_config());
    script.expect(
        "ff03c021 01 03 0008 0104 0240",
        &["ff03c021 02 03 0008 0104 0240"],
    );
    script.acknowledge(protocol::LCP);
    let response = script.response("Alice", "correct horse");
    script.feed_bytes(&response).0.unwrap();
    script.verdict();
    assert_eq!(script.link.peer_mru(), 576);
    let mut echo = hex::decode("ff03c021090105dc00000000").unwrap();
    echo.resize(4 + 1500, 0x55);
    let (_, said) = script.feed_bytes(&echo);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].len() / 2, 4 + 576);
    assert!(said[0].starts_with("ff03c0210a010240"));
    // Protocol-Reject and Code-Reject are cut too.
    for head in ["ff038235010105dc", "ff03c0216f0105dc"] {
        let mut frame = hex::decode(head).unwrap();
        frame.resize(4 + 1500, 0x55);
        let (_, said) = script.feed_bytes(&frame);
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].len() / 2, 4 + 576, "{head}");
    }
    assert_eq!(script.link.stats().code_rejects_sent, 1);
    assert_eq!(script.link.stats().protocol_rejects_sent, 1);
    assert_eq!(script.link.ipv6cp_state(), NcpState::NotServed);
}

#[test]
fn answers_to_nothing_change_nothing() {
    let mut script = opened();
    let request = script.find(protocol::IPCP, 1);
    let id = hex::encode([request[5]]);
    let other = hex::encode([request[5].wrapping_add(1)]);
    for frame in [
        // Another identifier; other contents; rejects of what was never asked; an empty Nak.
        format!("8021 02 {other} 000a 0306 0a090001"),
        format!("8021 02 {id} 000a 0306 0a090002"),
        format!("8021 02 {id} 0004"),
        format!("8021 04 {id} 000a 8106 00000000"),
        format!("8021 04 {id} 0004"),
        format!("8021 03 {id} 0004"),
    ] {
        let (result, said) = script.feed(&frame);
        assert!(
            matches!(result, Err(Error::Unmatched { .. })),
            "{frame}: {result:?}"
        );
        assert!(said.is_empty());
    }
    assert_eq!(script.link.stats().unmatched, 6);
    script
        .feed(&format!("8021 02 {id} 000a 0306 0a090001"))
        .0
        .unwrap();
    // The same once more is a duplicate.
    let (result, _) = script.feed(&format!("8021 02 {id} 000a 0306 0a090001"));
    assert!(matches!(result, Err(Error::Unmatched { .. })));
    script.feed("8021 01 03 000a 0306 0a090011").0.unwrap();
    assert!(script.link.ipv4_open());
}

#[test]
fn a_nak_may_append_what_it_likes() {
    let config = ClientConfig {
        allowed: vec![AuthMethod::Pap],
        ..client_config()
    };
    let (now, mut rng) = (epoch(), rng(4));
    let mut link = Link::client(config, now, &mut rng);
    let mut feed = |link: &mut Link, frame: &str| {
        let frame = hex::decode(frame.replace(' ', "")).unwrap();
        let result = link.handle_frame(&frame, now, &mut rng);
        let said: Vec<_> = std::iter::from_fn(|| link.poll_transmit()).collect();
        (result, said)
    };
    let mut ack = link.poll_transmit().unwrap();
    ack[4] = 2;
    let ack = hex::encode(ack);
    feed(&mut link, &ack).0.unwrap();
    // A server that wants no authentication.
    let (_, said) = feed(&mut link, "c021 01 01 0004");
    let ipcp = said
        .iter()
        .find(|frame| frame.starts_with(&[0xff, 3, 0x80, 0x21]))
        .unwrap();
    let id = hex::encode([ipcp[5]]);
    let many = (0..60)
        .map(|kind| format!("{kind:02x}06ffffffff"))
        .collect::<String>();
    let length = hex::encode(364_u16.to_be_bytes());
    let (result, said) = feed(&mut link, &format!("8021 03 {id} {length} {many}"));
    result.unwrap();
    assert_eq!(
        hex::encode(&said[0][8..]),
        "0306ffffffff810600000000830600000000"
    );
}

#[test]
fn a_peer_that_never_takes_its_address_loses_ipv4_only() {
    let mut script = opened();
    for round in 0..5 {
        let id = hex::encode([round]);
        let nak = format!("ff038021 03 {id} 000a 0306 0a090011");
        script.expect(&format!("8021 01 {id} 000a 0306 c0a80001"), &[&nak]);
    }
    let (result, _) = script.feed("8021 01 07 000a 0306 c0a80001");
    let failure = Failure::NoConvergence(5);
    let protocol = "IPCP";
    assert_eq!(result, Err(Error::Failed { protocol, failure }));
    assert!(script.events.contains(&Event::Ipv4Refused));
    assert_eq!(
        script.link.ipcp_state().to_string(),
        "failed: no agreement after 5 rounds"
    );
    script.acknowledge(protocol::IPV6CP);
    script
        .feed("8057 01 01 000e 010a 0000000000000001")
        .0
        .unwrap();
    assert!(script.link.ipv6_open());
    for _ in 0..5 {
        script.wait(Duration::from_secs(3));
    }
    assert!(script.link.ipv6_open());
}

#[test]
fn a_peer_that_disputes_or_rejects_our_address_loses_ipv4_only() {
    let mut script = opened();
    let mut result = Ok(());
    for _ in 0..6 {
        let id = hex::encode([script.find(protocol::IPCP, 1)[5]]);
        result = script.feed(&format!("8021 03 {id} 000a 0306 c0a80001")).0;
    }
    let failure = Failure::NoConvergence(5);
    assert_eq!(
        result,
        Err(Error::Failed {
            protocol: "IPCP",
            failure
        })
    );
    assert_eq!(script.link.ipv6cp_state().to_string(), "req-sent");

    let mut script = opened();
    let id = hex::encode([script.find(protocol::IPCP, 1)[5]]);
    let (result, said) = script.feed(&format!("8021 04 {id} 000a 0306 0a090001"));
    let failure = Failure::AddressRejected;
    assert_eq!(
        result,
        Err(Error::Failed {
            protocol: "IPCP",
            failure
        })
    );
    assert!(
        said[0].starts_with("ff03802105"),
        "Terminate-Request: {said:?}"
    );
    assert!(script.events.contains(&Event::Ipv4Refused));
    assert_eq!(script.link.ipv6cp_state().to_string(), "req-sent");
}

#[test]
fn zero_and_missing_interface_identifiers_are_suggested() {
    let mut script = opened();
    let suggestion = "ff038057 03 01 000e 010a 5555666677778888";
    script.expect("8057 01 01 000e 010a 0000000000000000", &[suggestion]);
    script.expect("8057 01 01 000e 010a 1111222233334444", &[suggestion]);
    script.expect("8057 01 01 0004", &[suggestion]);
    script.expect(
        "8057 01 02 0008 0204 004f",
        &["ff038057 04 02 0008 0204 004f"],
    );
}

#[test]
fn a_looped_line_is_found_out() {
    let config = Arc::new(server_config());
    let (now, mut rng) = (epoch(), rng(6));
    let mut link = Link::server(&config, now, &mut rng);
    let mut result = Ok(());
    for _ in 0..100 {
        let Some(frame) = link.poll_transmit() else {
            break;
        };
        result = result.and(link.handle_frame(&frame, now, &mut rng));
    }
    let mut events = Vec::new();
    let mut later = now;
    for _ in 0..5 {
        later += Duration::from_secs(3);
        link.handle_timeout(later, &mut rng);
        events.extend(std::iter::from_fn(|| link.poll_event()));
    }
    let reason = DownReason::LoopedBack;
    assert_eq!(events, [Event::Down { reason }]);
    assert!(link.stats().looped > 0);
    assert!(result.is_err());
}

#[test]
fn our_own_echo_is_not_answered() {
    let mut script = opened();
    let own = hex::encode(&script.find(protocol::LCP, 1)[19..23]);
    let (result, said) = script.feed(&format!("c021 09 01 0008 {own}"));
    assert_eq!((result, said.len()), (Err(Error::Looped), 0));
}

#[test]
fn a_chap_value_past_the_packet_is_refused() {
    let mut script = Script::new(server_config());
    script.expect("ff03c021 01 01 0004", &["ff03c021 02 01 0004"]);
    script.acknowledge(protocol::LCP);
    let good = script.response("Alice", "correct horse");
    // Value sizes of 255, 48, 50 and 0; an empty packet; another identifier; another code.
    for (at, byte) in [
        (8, 255),
        (8, 48),
        (8, 50),
        (8, 0),
        (7, 4),
        (5, good[5] ^ 1),
        (4, 9),
    ] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(script.feed_bytes(&bad).0.is_err(), "{at}: {byte}");
    }
    let mut long = good.clone();
    long.resize(4 + 4 + 1 + 49 + 257, b'x');
    long[6..8].copy_from_slice(&311_u16.to_be_bytes());
    assert_eq!(
        script.feed_bytes(&long).0,
        Err(Error::Malformed("CHAP name"))
    );
    // PAP was not asked for.
    let unmatched = Err(Error::Unmatched { code: 1, id: 1 });
    assert_eq!(script.feed("c023 01 01 0008 0161 0162").0, unmatched);
    assert!(
        !script
            .events
            .iter()
            .any(|event| matches!(event, Event::Authenticate(_)))
    );
    script.feed_bytes(&good).0.unwrap();
    assert!(
        script
            .events
            .iter()
            .any(|event| matches!(event, Event::Authenticate(_)))
    );
}

#[test]
fn pap_lengths_past_the_packet_are_refused() {
    let mut script = Script::new(ServerConfig {
        auth: vec![AuthMethod::Pap],
        ..server_config()
    });
    script.expect("ff03c021 01 01 0004", &["ff03c021 02 01 0004"]);
    script.acknowledge(protocol::LCP);
    for frame in [
        "c023 01 01 0004",
        "c023 01 01 0007 0561 62",
        "c023 01 01 0008 0161 0262",
    ] {
        assert!(
            matches!(script.feed(frame).0, Err(Error::Malformed(_))),
            "{frame}"
        );
    }
    // "Alice" with a wrong password: a Nak; the same under another identifier hears it again.
    script
        .feed("c023 01 01 000c 05 416c696365 01 78")
        .0
        .unwrap();
    script
        .feed("c023 01 02 000c 05 416c696365 01 78")
        .0
        .unwrap();
    assert_eq!(script.link.stats().auth_duplicates, 1);
    script.verdict();
    assert_eq!(script.find(protocol::PAP, 3)[5], 2);
}

#[test]
fn rejects_of_what_a_link_needs_end_it() {
    // Code-Reject of Configure-Request; Protocol-Reject of LCP.
    for frame in ["c021 07 01 0008 01010004", "c021 08 01 0006 c021"] {
        let mut script = opened();
        assert!(
            matches!(script.feed(frame).0, Err(Error::Failed { .. })),
            "{frame}"
        );
        for _ in 0..3 {
            script.wait(Duration::from_secs(3));
        }
        let down = |event: &Event| {
            matches!(
                event,
                Event::Down {
                    reason: DownReason::NegotiationFailed(_)
                }
            )
        };
        assert!(
            script.events.last().is_some_and(down),
            "{:?}",
            script.events
        );
    }
    // Code-Rejects of anything else, and Protocol-Rejects of strangers, do no harm.
    let mut script = opened();
    script.expect("c021 07 01 0008 0c010004", &[]);
    script.expect("c021 08 01 0006 80fd", &[]);
    assert_eq!(script.link.lcp_state(), State::Opened);
}

#[test]
fn a_late_or_second_verdict_is_ignored() {
    let mut script = opened();
    let before = (script.sent.len(), script.events.len());
    script.verdict();
    assert_eq!((script.sent.len(), script.events.len()), before);
    let mut fresh = Script::new(server_config());
    let verdict = Verdict::Accept {
        success_message: Vec::new(),
        network: both_families(),
    };
    fresh
        .link
        .handle_verdict(verdict, fresh.now, &mut fresh.rng);
    assert!(!fresh.link.is_authenticated());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any frames at all, in any phase: no panic, no endless answers, and nobody comes in.
    #[test]
    fn anything_may_arrive(
        frames in prop::collection::vec(
            (
                prop::sample::select(vec![0xc021_u16, 0xc023, 0xc223, 0x8021, 0x8057, 0x80fd, 0x0021]),
                0_u8..16,
                any::<u8>(),
                prop::collection::vec(any::<u8>(), 0..40),
                -2_i32..3,
            ),
            0..30,
        ),
        logged_in: bool,
    ) {
        let mut script = if logged_in { opened() } else { Script::new(server_config()) };
        for (number, code, id, data, lie) in frames {
            let mut frame = vec![0xff, 3];
            frame.extend(number.to_be_bytes());
            let length = i32::try_from(data.len()).unwrap() + 4 + lie;
            frame.extend([code, id]);
            frame.extend(u16::try_from(length.max(0)).unwrap().to_be_bytes());
            frame.extend(data);
            let (_, said) = script.feed_bytes(&frame);
            prop_assert!(said.len() <= 4);
        }
        for _ in 0..100 {
            let Some(at) = script.link.poll_timeout() else {
                break;
            };
            script.wait(at.saturating_duration_since(script.now));
        }
        let admitted = script.events.iter().any(|event| matches!(event, Event::Authenticated { .. }));
        prop_assert_eq!(admitted, logged_in);
    }
}
