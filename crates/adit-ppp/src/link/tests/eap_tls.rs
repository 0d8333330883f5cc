//! EAP-TLS on a whole link: both versions, over bad lines, and what is refused before anybody is known.

use super::eap::{attempts, client, identify, response, server};
use super::pair::{Line, Pair};
use super::script::Script;
use super::*;
use crate::protocol::{EAP, LCP};

/// Both ends with certificates; the verdict is `accept`.
fn certified(line: Line, seed: u8, old: bool, accept: bool) -> Pair {
    use crate::tls::testing;
    let server = ServerConfig {
        tls: Some(Arc::new(testing::server())),
        auth_timeout: Duration::from_secs(600),
        ..server(&[AuthMethod::EapTls])
    };
    let client = ClientConfig {
        tls: Some(Arc::new(testing::client(old))),
        ..client(&[AuthMethod::EapTls])
    };
    let mut pair = Pair::new(server, client, line, seed);
    pair.certificates = accept;
    pair.seconds(if seed == 0 { 5 } else { 300 });
    pair
}

#[test]
fn certificates_let_both_versions_in_over_any_line() {
    for old in [false, true] {
        for seed in 0..20 {
            let line = Line {
                loss_percent: if seed == 0 { 0 } else { 15 },
                duplicate_percent: 10,
                jitter: Duration::from_millis(50),
            };
            let pair = certified(line, seed, old, true);
            assert!(pair.both_open(), "{seed}: {:?}", pair.down());
            let [attempt] = attempts(&pair.server_events)[..] else {
                panic!("one attempt");
            };
            assert_eq!(attempt.method(), AuthMethod::EapTls);
            assert_eq!(attempt.user(), "Alice");
            let stats = (
                pair.server.stats().tls_failed,
                pair.client.stats().tls_failed,
            );
            assert_eq!(stats, (0, 0));
        }
    }
}

#[test]
fn a_certificate_of_somebody_else_is_refused_by_the_owner() {
    let pair = certified(Line::default(), 0, false, false);
    let reason = AuthFailure::Rejected(RejectReason::BadCredentials);
    assert_eq!(pair.down().0, Some(DownReason::AuthFailed(reason)));
    assert!(matches!(
        pair.down().1,
        Some(DownReason::AuthFailed(AuthFailure::RejectedByPeer { .. }))
    ));
}

#[test]
fn what_tls_refuses_is_said_in_words() {
    use crate::tls::testing::{self, Authority};
    let stranger = Authority::new("a stranger");
    for old in [false, true] {
        let server = ServerConfig {
            tls: Some(Arc::new(testing::server())),
            ..server(&[AuthMethod::EapTls, AuthMethod::EapMsChapV2])
        };
        let tls = testing::client_of(&stranger, testing::VALID, "vpn.example", old);
        let client = ClientConfig {
            tls: Some(Arc::new(tls)),
            ..client(&[AuthMethod::EapTls])
        };
        let mut pair = Pair::good(server, client);
        pair.seconds(10);
        let (server, client) = pair.down();
        assert_eq!(
            server.unwrap().to_string(),
            "authentication failed: TLS: no authority here has issued the peer's certificate"
        );
        let client = client.unwrap().to_string();
        assert!(client.contains("TLS: the peer says: "), "{client}");
        assert_eq!(pair.server.stats().tls_failed, 1);
        assert!(attempts(&pair.server_events).is_empty());
    }
}

/// Without certificates it is as if the method were not known, at either end.
#[test]
fn no_certificates_no_eap_tls() {
    let both = [AuthMethod::EapTls, AuthMethod::EapMsChapV2];
    let mut pair = Pair::good(server(&both), client(&both));
    pair.seconds(5);
    assert!(pair.both_open());
    assert_eq!(pair.client.auth_protocol(), Some(AuthProtocol::Eap));
    let attempt = attempts(&pair.server_events)[0].method();
    assert_eq!(attempt, AuthMethod::EapMsChapV2);
    // A client that is asked all the same names what it has.
    let tls = ServerConfig {
        tls: Some(Arc::new(crate::tls::testing::server())),
        ..server(&both)
    };
    let mut pair = Pair::good(tls, client(&both));
    pair.seconds(5);
    assert!(pair.both_open());
}

/// Lengths that lie, before anybody is known (CVE-2018-11574), and fragments out of order.
#[test]
fn eap_tls_before_authentication_costs_nothing() {
    let frames: [&[u8]; 5] = [
        &[0x80, 0xff, 0xff, 0xff, 0xff, 22],
        &[0xc0, 0xff, 0xff, 0xff, 0xff, 22],
        &[0x80, 0, 0, 0, 9, 22, 3, 1],
        &[0x40],
        &[0],
    ];
    for data in frames {
        let mut script = Script::new(ServerConfig {
            tls: Some(Arc::new(crate::tls::testing::server())),
            ..server(&[AuthMethod::EapTls])
        });
        script.feed("ff03c021 01 01 0004").0.unwrap();
        script.acknowledge(LCP);
        identify(&mut script);
        let start = script.find(EAP, 1);
        assert_eq!(start[8..], [13, 0x20]);
        // No flags at all are malformed, and a start is not the peer's to say.
        let (result, _) = script.feed_bytes(&response(&script, 13, &[]));
        assert_eq!(result, Err(Error::Malformed("EAP-TLS flags")));
        let (result, _) = script.feed_bytes(&response(&script, 13, &[0x20]));
        assert!(matches!(result, Err(Error::Unmatched { .. })));
        script.feed_bytes(&response(&script, 13, data)).0.unwrap();
        assert_eq!(script.link.stats().tls_failed, 1, "{data:?}");
        script.find(EAP, 4);
        assert!(matches!(
            script
                .events
                .iter()
                .rfind(|event| matches!(event, Event::AuthFailed { .. })),
            Some(Event::AuthFailed {
                reason: AuthFailure::Tls(_),
                ..
            })
        ));
    }
}
