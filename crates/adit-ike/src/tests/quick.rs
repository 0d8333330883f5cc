//! Quick Modes: from either end, at once, with and without perfect forward secrecy, and refused.

use super::*;
use adit_crypto::{EspCipher, EspMac, EspSuite, Group};

fn suites() -> Vec<EspSuite> {
    let mut all = vec![
        EspSuite::new(EspCipher::AesGcm128, None).unwrap(),
        EspSuite::new(EspCipher::AesGcm256, None).unwrap(),
    ];
    for cipher in [
        EspCipher::AesCbc128,
        EspCipher::AesCbc192,
        EspCipher::AesCbc256,
        EspCipher::TripleDes,
    ] {
        for mac in [
            EspMac::HmacMd5_96,
            EspMac::HmacSha1_96,
            EspMac::HmacSha2_256_128,
            EspMac::HmacSha2_384_192,
            EspMac::HmacSha2_512_256,
        ] {
            all.push(EspSuite::new(cipher, Some(mac)).unwrap());
        }
    }
    all
}

#[test]
fn every_suite() {
    for suite in suites() {
        let config = Config {
            esp: vec![suite],
            ..Config::default()
        };
        let mut pair = Pair::established(config.clone(), config);
        pair.start_quick(true, false);
        pair.seconds(1);
        let child = &pair.client.children()[0];
        assert_eq!(child.suite, suite);
        assert_fit(child, &pair.server.children()[0]);
    }
}

#[test]
fn either_end_may_start_and_several_run_at_once() {
    let mut pair = Pair::established(Config::default(), Config::default());
    for from_client in [true, false, true, false, true] {
        pair.start_quick(from_client, false);
    }
    pair.seconds(1);
    let (clients, servers) = (pair.client.children(), pair.server.children());
    assert_eq!((clients.len(), servers.len()), (5, 5));
    for child in &clients {
        let twin = servers
            .iter()
            .find(|twin| twin.inbound_spi == child.outbound_spi);
        assert_fit(child, twin.unwrap());
    }
    let confirmed = |host: &Host| {
        let is = |event: &&Event| matches!(event, Event::ChildConfirmed { .. });
        host.events.iter().filter(is).count()
    };
    assert_eq!((confirmed(&pair.client), confirmed(&pair.server)), (2, 3));
}

#[test]
fn perfect_forward_secrecy_of_either_end() {
    for group in [Group::Modp2048, Group::Ecp384] {
        let config = Config {
            pfs: Some(group),
            ..Config::default()
        };
        let mut pair = Pair::established(config.clone(), config);
        pair.start_quick(true, false);
        pair.start_quick(false, false);
        pair.seconds(1);
        assert_eq!(pair.client.children().len(), 2);
        for child in &pair.client.children() {
            let twins = pair.server.children();
            let twin = twins
                .iter()
                .find(|twin| twin.inbound_spi == child.outbound_spi);
            assert_fit(child, twin.unwrap());
        }
        assert!(pair.server.has(|event| matches!(
            event,
            Event::ChildRequested { offer, .. } if offer.pfs == Some(group)
        )));
    }
}

#[test]
fn a_group_that_is_not_allowed_is_refused() {
    let client = Config {
        pfs: Some(Group::Modp1024),
        ..Config::default()
    };
    let mut pair = Pair::established(client, Config::default());
    pair.start_quick(true, false);
    pair.seconds(1);
    assert!(matches!(
        pair.server.failures()[..],
        [ChildFailure::NoProposalChosen { .. }]
    ));
    assert_eq!(
        pair.client.failures(),
        [&ChildFailure::Refused { notify: 14 }]
    );
}

#[test]
fn no_common_suite_is_told_in_words() {
    let with = |suite| Config {
        esp: vec![suite],
        ..Config::default()
    };
    let weak = EspSuite::new(EspCipher::TripleDes, Some(EspMac::HmacMd5_96)).unwrap();
    let strong = EspSuite::new(EspCipher::AesGcm256, None).unwrap();
    let mut pair = Pair::established(with(weak), with(strong));
    pair.start_quick(true, false);
    pair.seconds(1);
    assert_eq!(
        pair.server.failures(),
        [&ChildFailure::NoProposalChosen {
            offered: vec![weak.name()],
            allowed: vec![strong.name()],
            usable: Some(weak),
        }]
    );
    assert_eq!(
        pair.client.failures(),
        [&ChildFailure::Refused { notify: 14 }]
    );
    assert!(pair.client.sa().is_established());
}

#[test]
fn selectors_other_than_l2tp_are_refused() {
    let name = || IdValue::Fqdn("vpn.example\n".into());
    let address = || IdValue::from(ip("10.0.0.1"));
    for (id, protocol, port) in [
        (address(), 6, 1701),
        (address(), 17, 1702),
        (address(), 0, 0),
    ] {
        let mut pair = Pair::established(Config::default(), Config::default());
        let end = Selector { id, protocol, port };
        let Host { sa, rng, .. } = &mut pair.client;
        let sa = sa.as_mut().unwrap();
        sa.start_quick_mode(end.clone(), end, 0x1234, false, pair.now, rng);
        pair.seconds(1);
        assert_eq!(
            pair.client.failures(),
            [&ChildFailure::Refused { notify: 18 }]
        );
        assert!(matches!(
            pair.server.failures()[..],
            [ChildFailure::Selectors { .. }]
        ));
    }
    for id in [
        name(),
        IdValue::UserFqdn("a@b".into()),
        IdValue::KeyId(vec![]),
        IdValue::Other {
            kind: 4,
            data: vec![10, 0, 0, 0, 255, 0, 0, 0],
        },
        IdValue::DistinguishedName(vec![0xff; 600]),
    ] {
        let mut pair = Pair::established(Config::default(), Config::default());
        let end = Selector {
            id,
            protocol: 17,
            port: 0,
        };
        let Host { sa, rng, .. } = &mut pair.client;
        let sa = sa.as_mut().unwrap();
        sa.start_quick_mode(end.clone(), end.clone(), 0x1234, false, pair.now, rng);
        pair.seconds(1);
        assert_eq!(pair.server.children()[0].local, end);
        assert!(!end.to_string().contains('\n'));
    }
}

#[test]
fn the_owner_may_reject() {
    let mut pair = Pair::established(Config::default(), Config::default());
    pair.server.reject = Some(14);
    pair.start_quick(true, false);
    pair.seconds(1);
    assert_eq!(
        pair.client.failures(),
        [&ChildFailure::Refused { notify: 14 }]
    );
    assert!(pair.server.children().is_empty());
}

#[test]
fn the_shorter_lifetime_holds_on_both_ends() {
    let with = |seconds, kilobytes| Config {
        esp_lifetime: SaLifetime {
            seconds: Duration::from_secs(seconds),
            kilobytes,
        },
        ..Config::default()
    };
    for (client, server, seconds, kilobytes) in [
        (
            with(3600, Some(250_000)),
            with(1800, None),
            1800,
            Some(250_000),
        ),
        (with(900, None), with(1800, Some(7)), 900, Some(7)),
        (
            with(100_000, Some(9)),
            with(100_000, Some(8)),
            100_000,
            Some(8),
        ),
    ] {
        let mut pair = Pair::established(client, server);
        pair.start_quick(true, false);
        pair.seconds(1);
        let child = &pair.client.children()[0];
        assert_eq!(child.lifetime_seconds, Duration::from_secs(seconds));
        assert_eq!(child.lifetime_kilobytes, kilobytes);
        assert_fit(child, &pair.server.children()[0]);
    }
}

#[test]
fn deletions_reach_the_peer() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let spi = pair.start_quick(true, false);
    pair.seconds(1);
    let Host { sa, rng, .. } = &mut pair.client;
    sa.as_mut().unwrap().delete_child(spi, pair.now, rng);
    pair.seconds(1);
    assert!(pair.server.has(
        |event| matches!(event, Event::ChildDeleted { outbound_spi } if *outbound_spi == spi)
    ));
    assert!(pair.server.sa().is_established());
}

#[test]
fn a_quick_mode_without_an_answer_fails_and_leaves_the_sa() {
    let config = Config {
        dpd: None,
        ..Config::default()
    };
    let mut pair = Pair::established(config.clone(), config);
    pair.cut = true;
    let spi = pair.start_quick(true, false);
    pair.seconds(31);
    assert!(pair.client.has(|event| matches!(
        event,
        Event::ChildFailed { inbound_spi: Some(failed), reason: ChildFailure::Timeout }
            if *failed == spi
    )));
    assert!(pair.client.sa().is_established());
    pair.start_quick(true, false);
    let Host { sa, rng, .. } = &mut pair.client;
    sa.as_mut().unwrap().close(pair.now, rng);
    pair.seconds(0);
    assert_eq!(
        pair.client.failures(),
        [&ChildFailure::Timeout, &ChildFailure::NotEstablished]
    );
}

#[test]
fn quick_modes_at_once_are_limited() {
    let mut pair = Pair::established(Config::default(), Config::default());
    pair.cut = true;
    for _ in 0..9 {
        pair.start_quick(true, false);
    }
    pair.seconds(0);
    assert_eq!(pair.client.failures(), [&ChildFailure::Limit]);
}

#[test]
fn valid_esp_confirms_as_message_3_does() {
    let mut pair = Pair::established(Config::default(), Config::default());
    pair.start_quick(true, false);
    // Messages 1 and 2 pass, message 3 is lost.
    let before = pair.log.len();
    pair.run(Duration::from_millis(15));
    pair.cut = true;
    pair.run(Duration::from_millis(100));
    let spi = pair.server.children()[0].inbound_spi;
    let confirmed = |event: &Event| matches!(event, Event::ChildConfirmed { inbound_spi } if *inbound_spi == spi);
    assert!(!pair.server.has(confirmed));
    let now = pair.now;
    pair.server.sa().confirm_child(spi, now);
    // A late repetition of message 1 is still answered.
    let (_, first) = pair.log[before].clone();
    pair.deliver(true, first);
    assert_eq!(pair.server.sa().stats().answers_resent, 1);
    pair.seconds(60);
    assert!(pair.server.has(confirmed));
    assert!(pair.server.failures().is_empty());
}

#[test]
fn a_refusal_of_message_2_ends_the_quick_mode() {
    let mut pair = Pair::established(Config::default(), Config::default());
    pair.start_quick(true, false);
    pair.run(Duration::from_millis(15));
    let child = pair.server.children()[0].clone();
    pair.cut = true;
    pair.run(Duration::from_millis(20));
    pair.cut = false;
    let Host { sa, rng, .. } = &mut pair.client;
    let spi = child.outbound_spi.to_be_bytes();
    sa.as_mut().unwrap().inform_notify(3, &spi, 14, &[], rng);
    pair.seconds(1);
    assert!(pair.server.has(|event| matches!(
        event,
        Event::ChildFailed { inbound_spi: Some(spi), reason: ChildFailure::Refused { notify: 14 } }
            if *spi == child.inbound_spi
    )));
    assert_eq!(pair.server.sa().stats().retransmitted, 0);
}

#[test]
fn extended_sequence_numbers_are_negotiated_where_both_ends_want_them() {
    use ExtendedSequence::{Accept, Offer, Refuse};
    for (client, server, expected) in [
        (Accept, Accept, false),
        (Offer, Accept, true),
        (Offer, Offer, true),
        (Offer, Refuse, false),
        (Refuse, Offer, false),
    ] {
        let config = |extended_sequence| Config {
            extended_sequence,
            ..Config::default()
        };
        let mut pair = Pair::established(config(client), config(server));
        pair.start_quick(true, false);
        pair.seconds(2);
        let (clients, servers) = (pair.client.children(), pair.server.children());
        assert_fit(&clients[0], &servers[0]);
        assert_eq!(clients[0].extended_sequence, expected);
        // The responder replaces them by the same kind.
        pair.start_quick(false, false);
        pair.seconds(2);
        let servers = pair.server.children();
        assert_eq!(servers[1].extended_sequence, expected);
    }
}
