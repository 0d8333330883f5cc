//! Each method right and wrong, and what client and server do when they do not fit.

use super::pair::{Pair, To};
use super::*;
use crate::protocol::{CHAP, LCP, PAP};

const METHODS: [AuthMethod; 3] = [AuthMethod::Pap, AuthMethod::ChapMd5, AuthMethod::MsChapV2];

fn with(method: AuthMethod) -> (ServerConfig, ClientConfig) {
    let server = ServerConfig {
        auth: vec![method],
        ..server_config()
    };
    let client = ClientConfig {
        allowed: METHODS.to_vec(),
        ..client_config()
    };
    (server, client)
}

#[test]
fn each_method_lets_the_right_password_in() {
    for method in METHODS {
        let (server, client) = with(method);
        let mut pair = Pair::good(server, client);
        pair.seconds(1);
        assert!(pair.both_open(), "{method}");
        let attempt = pair.server_events.iter().find_map(|event| match event {
            Event::Authenticate(attempt) => Some(attempt),
            _ => None,
        });
        let attempt = attempt.unwrap();
        assert_eq!(attempt.method(), method);
        assert_eq!(
            (attempt.user(), attempt.full_name()),
            ("Alice", "LAB\\Alice")
        );
        assert!(!format!("{attempt:?}").contains("horse"));
    }
}

#[test]
fn each_method_keeps_the_wrong_password_out() {
    for method in METHODS {
        let (server, mut client) = with(method);
        client.password = Secret::from("battery staple");
        let mut pair = Pair::good(server, client);
        pair.seconds(10);
        let rejected = AuthFailure::Rejected(RejectReason::BadCredentials);
        let user = "Alice".to_owned();
        let reason = rejected.clone();
        assert!(
            pair.server_events
                .contains(&Event::AuthFailed { user, reason })
        );
        let (server, client) = pair.down();
        assert_eq!(server, Some(DownReason::AuthFailed(rejected)), "{method}");
        let Some(DownReason::AuthFailed(AuthFailure::RejectedByPeer { code, message })) = client
        else {
            panic!("{method}: {client:?}");
        };
        assert_eq!(code, (method == AuthMethod::MsChapV2).then_some(691));
        assert_eq!(message, "wrong user name or password");
        let admitted = |event: &Event| matches!(event, Event::Authenticated { .. });
        assert!(!pair.server_events.iter().any(admitted));
        assert!(!pair.client_events.iter().any(admitted));
    }
}

#[test]
fn a_client_does_not_believe_a_server_without_the_password() {
    let (server, client) = with(AuthMethod::MsChapV2);
    let mut pair = Pair::good(server, client);
    pair.seconds(1);
    // The same again with a server that accepts everything.
    let (server, client) = with(AuthMethod::MsChapV2);
    let now = epoch();
    let mut rng = rng(3);
    let mut server = Link::server(&Arc::new(server), now, &mut rng);
    let mut client = Link::client(client, now, &mut rng);
    let mut failed = None;
    for _ in 0..20 {
        while let Some(frame) = server.poll_transmit() {
            let _ = client.handle_frame(&frame, now, &mut rng);
        }
        while let Some(frame) = client.poll_transmit() {
            let _ = server.handle_frame(&frame, now, &mut rng);
        }
        while let Some(event) = server.poll_event() {
            if matches!(event, Event::Authenticate(_)) {
                let verdict = Verdict::Accept {
                    success_message: format!("S={} M=Welcome", "0".repeat(40)).into_bytes(),
                    network: both_families(),
                };
                server.handle_verdict(verdict, now, &mut rng);
            }
        }
        while let Some(event) = client.poll_event() {
            if let Event::AuthFailed { reason, .. } = event {
                failed = Some(reason);
            }
        }
    }
    assert_eq!(failed, Some(AuthFailure::ServerNotAuthentic));
    assert!(!client.is_authenticated());
}

#[test]
fn the_client_may_choose_another_allowed_method() {
    let server = ServerConfig {
        auth: vec![AuthMethod::MsChapV2, AuthMethod::ChapMd5, AuthMethod::Pap],
        ..server_config()
    };
    let client = ClientConfig {
        allowed: vec![AuthMethod::Pap],
        ..client_config()
    };
    let mut pair = Pair::good(server, client);
    pair.seconds(1);
    assert!(pair.both_open());
    assert_eq!(pair.sent(To::Server, PAP, 1), 1);
    assert_eq!(pair.sent(To::Client, CHAP, 1), 0);
}

#[test]
fn no_common_method_is_said_in_words() {
    let client = ClientConfig {
        allowed: vec![AuthMethod::Pap],
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    pair.seconds(40);
    let (server, client) = pair.down();
    let theirs = DownReason::PeerTerminated { ras_error: None };
    assert_eq!(client, Some(theirs));
    assert_eq!(
        server.unwrap().to_string(),
        "LCP failed: client wants PAP; allowed: MS-CHAPv2; see ppp.auth"
    );
    assert!(client.is_some());
    assert_eq!(
        pair.sent(To::Client, LCP, 5),
        1,
        "the client is told to stop"
    );
}

#[test]
fn a_server_that_allows_nothing_lets_nobody_in() {
    let server = ServerConfig {
        auth: Vec::new(),
        ..server_config()
    };
    let mut pair = Pair::good(server, client_config());
    pair.seconds(10);
    assert!(pair.down().0.is_some());
    let admitted = |event: &Event| matches!(event, Event::Authenticated { .. });
    assert!(!pair.server_events.iter().any(admitted));
}

#[test]
fn a_client_that_stays_silent_is_sent_away_in_time() {
    let config = Arc::new(server_config());
    let (mut now, mut rng) = (epoch(), rng(5));
    let end = now + Duration::from_secs(31);
    let mut server = Link::server(&config, now, &mut rng);
    let request = server.poll_transmit().unwrap();
    // The client acknowledges and asks for nothing.
    let mut ack = request;
    ack[4] = 2;
    server.handle_frame(&ack, now, &mut rng).unwrap();
    server
        .handle_frame(&[0xff, 3, 0xc0, 0x21, 1, 1, 0, 4], now, &mut rng)
        .unwrap();
    let mut challenges = Vec::new();
    let mut failed = None;
    while now < end {
        while let Some(frame) = server.poll_transmit() {
            if frame.starts_with(&[0xff, 3, 0xc2, 0x23, 1]) {
                challenges.push(frame);
            }
        }
        while let Some(event) = server.poll_event() {
            if let Event::AuthFailed { reason, .. } = event {
                failed = Some(reason);
            }
        }
        now = server.poll_timeout().unwrap();
        server.handle_timeout(now, &mut rng);
    }
    assert_eq!(failed, Some(AuthFailure::Timeout));
    assert_eq!(challenges.len(), 10, "the challenge is repeated");
    challenges.dedup();
    assert_eq!(challenges.len(), 1, "and is the same every time");
}

/// A PAP Authenticate-Request.
fn pap(user: &str, password: &str) -> Vec<u8> {
    let length = u8::try_from(6 + user.len() + password.len()).unwrap();
    let mut frame = vec![0xff, 3, 0xc0, 0x23, 1, 1, 0, length];
    for text in [user, password] {
        frame.push(u8::try_from(text.len()).unwrap());
        frame.extend(text.as_bytes());
    }
    frame
}

#[test]
fn the_verdict_on_one_attempt_never_lets_another_in() {
    let config = ServerConfig {
        auth: vec![AuthMethod::Pap],
        ..server_config()
    };
    let mut script = script::Script::new(config);
    let mut attempts = Vec::new();
    for (user, password) in [("Alice", "correct horse"), ("Bob", "stolen name")] {
        // The second time this renegotiates, before the first verdict is there.
        script.feed("ff03c021 01 01 0004").0.unwrap();
        script.acknowledge(LCP);
        script.feed_bytes(&pap(user, password)).0.unwrap();
        for event in script.events.drain(..) {
            if let Event::Authenticate(attempt) = event {
                attempts.push(attempt);
            }
        }
    }
    let users: Vec<_> = attempts.iter().map(Attempt::user).collect();
    assert_eq!(users, ["Alice", "Bob"]);

    let mut verdict = |attempt: &Attempt| {
        let verdict = judge(attempt, &script.network);
        let (now, rng) = (script.now, &mut script.rng);
        script.link.handle_verdict(verdict, now, rng);
        script.link.is_authenticated()
    };
    assert!(!verdict(&attempts[0]), "Bob came in with Alice's verdict");
    assert!(!verdict(&attempts[1]));
    script.drain();
    let rejected = Event::AuthFailed {
        user: "Bob".to_owned(),
        reason: AuthFailure::Rejected(RejectReason::BadCredentials),
    };
    assert!(script.events.contains(&rejected), "{:?}", script.events);
}
