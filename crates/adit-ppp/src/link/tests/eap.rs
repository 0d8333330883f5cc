//! EAP: both ends against each other, and a server against bytes.

use super::pair::{Line, Pair, To};
use super::script::Script;
use super::*;
use crate::protocol::{CHAP, EAP, IPCP, LCP};

const EAP_METHODS: [AuthMethod; 2] = [AuthMethod::EapMsChapV2, AuthMethod::EapMd5];

pub(super) fn server(auth: &[AuthMethod]) -> ServerConfig {
    ServerConfig {
        auth: auth.to_vec(),
        ..server_config()
    }
}

pub(super) fn client(allowed: &[AuthMethod]) -> ClientConfig {
    ClientConfig {
        allowed: allowed.to_vec(),
        ..client_config()
    }
}

pub(super) fn attempts(events: &[Event]) -> Vec<&Attempt> {
    let attempts = events.iter().filter_map(|event| match event {
        Event::Authenticate(attempt) => Some(attempt),
        _ => None,
    });
    attempts.collect()
}

#[test]
fn each_method_lets_the_right_password_in() {
    for method in EAP_METHODS {
        let mut pair = Pair::good(server(&[method]), client(&[method]));
        pair.seconds(1);
        assert!(pair.both_open(), "{method}: {:?}", pair.server_events);
        let attempts = attempts(&pair.server_events);
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].method(), method);
        assert_eq!(attempts[0].user(), "Alice");
        assert_eq!(pair.sent(To::Client, EAP, 3), 1, "Success");
        assert_eq!(pair.server.stats().unmatched, 0);
        assert_eq!(pair.client.stats().unmatched, 0);
    }
}

#[test]
fn each_method_keeps_the_wrong_password_out() {
    for method in EAP_METHODS {
        let mut wrong = client(&[method]);
        wrong.password = Secret::from("battery staple");
        let mut pair = Pair::good(server(&[method]), wrong);
        pair.seconds(10);
        let rejected = AuthFailure::Rejected(RejectReason::BadCredentials);
        let (server, client) = pair.down();
        assert_eq!(server, Some(DownReason::AuthFailed(rejected)), "{method}");
        let Some(DownReason::AuthFailed(AuthFailure::RejectedByPeer { code, .. })) = client else {
            panic!("{method}: {client:?}");
        };
        assert_eq!(code, (method == AuthMethod::EapMsChapV2).then_some(691));
        assert_eq!(pair.sent(To::Client, EAP, 4), 1, "Failure");
        assert!(!pair.client.is_authenticated());
    }
}

#[test]
fn a_nak_leads_to_what_both_allow() {
    let both = [AuthMethod::EapMd5, AuthMethod::EapMsChapV2];
    let mut pair = Pair::good(server(&both), client(&[AuthMethod::EapMsChapV2]));
    pair.seconds(1);
    assert!(pair.both_open());
    let used = attempts(&pair.server_events)[0].method();
    assert_eq!(used, AuthMethod::EapMsChapV2);
    // LCP moves between EAP and the others in the same way.
    let server_side = [AuthMethod::MsChapV2, AuthMethod::EapMsChapV2];
    let mut pair = Pair::good(server(&server_side), client(&[AuthMethod::EapMsChapV2]));
    pair.seconds(1);
    assert!(pair.both_open());
    assert_eq!(pair.sent(To::Client, CHAP, 1), 0);
    let server_side = [AuthMethod::EapMsChapV2, AuthMethod::MsChapV2];
    let mut pair = Pair::good(server(&server_side), client(&[AuthMethod::MsChapV2]));
    pair.seconds(1);
    assert!(pair.both_open());
    assert_eq!(pair.sent(To::Client, EAP, 1), 0);
}

#[test]
fn no_common_method_is_said_in_words() {
    let allowed = [AuthMethod::EapMsChapV2];
    let mut pair = Pair::good(server(&allowed), client(&[AuthMethod::EapMd5]));
    pair.seconds(20);
    let (server, client) = pair.down();
    assert_eq!(
        server.unwrap().to_string(),
        "authentication failed: client wants EAP type 4; allowed: EAP-MSCHAPv2; see ppp.auth"
    );
    assert!(client.is_some());
    assert_eq!(pair.sent(To::Client, EAP, 4), 1, "Failure");
}

#[test]
fn bad_lines_only_take_longer() {
    // After that the client's patience has no say any more.
    const LATER: u64 = 60;
    for seed in 0..30 {
        let line = Line {
            loss_percent: 20,
            duplicate_percent: 10,
            jitter: Duration::from_millis(200),
        };
        let method = EAP_METHODS[usize::from(seed % 2)];
        let server = ServerConfig {
            auth_timeout: Duration::from_secs(300),
            ..server(&[method])
        };
        let mut pair = Pair::new(server, client(&[method]), line, seed);
        let mut waited = 0;
        while !pair.both_open() {
            pair.seconds(1);
            waited += 1;
            let (server, client) = (&pair.server_events, &pair.client_events);
            assert!(waited < 300, "seed {seed}: {server:?} {client:?}");
        }
        pair.line = Line::default();
        pair.seconds(LATER);
        assert!(pair.both_open(), "seed {seed}: {:?}", pair.down());
        assert_eq!(pair.down(), (None, None), "seed {seed}");
    }
}

#[test]
fn another_password_may_be_tried() {
    for method in [AuthMethod::MsChapV2, AuthMethod::EapMsChapV2] {
        let wrong = ClientConfig {
            password: Secret::from("battery staple"),
            retry: true,
            ..client(&[method])
        };
        let mut pair = Pair::good(server(&[method]), wrong);
        pair.seconds(20);
        let rejected = Event::PasswordRejected {
            code: Some(691),
            message: "wrong user name or password".to_owned(),
        };
        assert_eq!(pair.client_events.last(), Some(&rejected), "{method}");
        assert_eq!(pair.down(), (None, None), "the server waits for the user");
        let now = pair.now;
        pair.client
            .handle_password(Secret::from("correct horse"), now, &mut pair.rng);
        pair.drain();
        pair.seconds(1);
        assert!(pair.both_open(), "{method}: {:?}", pair.server_events);
        assert_eq!(pair.server.stats().auth_rejected, 1);
        let failed = |event: &Event| matches!(event, Event::AuthFailed { .. });
        assert!(!pair.server_events.iter().any(failed));
    }
}

#[test]
fn the_number_of_tries_is_bounded() {
    for method in [AuthMethod::MsChapV2, AuthMethod::EapMsChapV2] {
        let wrong = ClientConfig {
            password: Secret::from("0"),
            retry: true,
            ..client(&[method])
        };
        let mut pair = Pair::good(server(&[method]), wrong);
        for guess in 1..10 {
            pair.seconds(2);
            let now = pair.now;
            let guess = Secret::from(guess.to_string().as_str());
            pair.client.handle_password(guess, now, &mut pair.rng);
            pair.drain();
        }
        assert_eq!(attempts(&pair.server_events).len(), 3, "{method}");
        let rejected = AuthFailure::Rejected(RejectReason::BadCredentials);
        assert_eq!(pair.down().0, Some(DownReason::AuthFailed(rejected)));
    }
}

#[test]
fn a_lost_success_is_made_up_for_by_the_network_phase() {
    let method = AuthMethod::EapMsChapV2;
    let mut pair = Pair::good(server(&[method]), client(&[method]));
    // Until the server has let the client in, and its Success flies.
    while pair.sent(To::Client, EAP, 3) == 0 {
        pair.run(Duration::from_millis(1));
    }
    assert!(!pair.client.is_authenticated());
    let first = [0xff, 3, 0x80, 0x21, 1];
    let request = pair
        .sent
        .iter()
        .find(|(_, frame)| frame.starts_with(&first));
    let request = request.unwrap().1.clone();
    let now = pair.now;
    pair.client
        .handle_frame(&request, now, &mut pair.rng)
        .unwrap();
    assert!(pair.client.is_authenticated());
    pair.drain();
    pair.seconds(1);
    assert!(pair.both_open());
}

/// A server with EAP whose LCP is open, its Identity request out.
fn asked(auth: &[AuthMethod]) -> Script {
    let mut script = Script::new(server(auth));
    script.feed("ff03c021 01 01 0004").0.unwrap();
    script.acknowledge(LCP);
    script
}

/// A response to the latest request.
pub(super) fn response(script: &Script, kind: u8, data: &[u8]) -> Vec<u8> {
    let id = script.find(EAP, 1)[5];
    let length = u16::try_from(5 + data.len()).unwrap().to_be_bytes();
    let mut frame = vec![0xff, 3, 0xc2, 0x27, 2, id, length[0], length[1], kind];
    frame.extend(data);
    frame
}

pub(super) fn identify(script: &mut Script) {
    let identity = response(script, 1, b"Alice");
    script.feed_bytes(&identity).0.unwrap();
}

#[test]
fn an_md5_value_longer_than_the_packet_is_refused() {
    let mut script = asked(&[AuthMethod::EapMd5]);
    identify(&mut script);
    let good = [&[16][..], &[0x55; 16], b"Alice"].concat();
    let too_long = [&[255][..], &[0x55; 16], b"Alice"].concat();
    let short = [&[15][..], &[0x55; 16]].concat();
    for bad in [&too_long[..], &short, &[17], &[0], &[], &[16; 17 - 1]] {
        let frame = response(&script, 4, bad);
        let (result, said) = script.feed_bytes(&frame);
        assert!(matches!(result, Err(Error::Malformed(_))), "{bad:?}");
        assert!(said.is_empty());
    }
    let name = [&[16][..], &[0x55; 16], &[b'x'; 257]].concat();
    let frame = response(&script, 4, &name);
    assert_eq!(
        script.feed_bytes(&frame).0,
        Err(Error::Malformed("CHAP name"))
    );
    assert_eq!(script.link.stats().malformed, 7);
    assert!(attempts(&script.events).is_empty());
    let frame = response(&script, 4, &good);
    script.feed_bytes(&frame).0.unwrap();
    assert_eq!(attempts(&script.events).len(), 1);
    // The same again before the verdict is a duplicate.
    script.feed_bytes(&frame).0.unwrap();
    assert_eq!(attempts(&script.events).len(), 1);
    assert_eq!(script.link.stats().auth_duplicates, 1);
}

#[test]
fn an_md5_response_without_a_name_is_of_who_was_announced() {
    let mut script = asked(&[AuthMethod::EapMd5]);
    identify(&mut script);
    let challenge = script.find(EAP, 1);
    assert_eq!(challenge[8..10], [4, 16]);
    let sum = adit_crypto::ppp::chap_md5(challenge[5], b"correct horse", &challenge[10..26]);
    let frame = response(&script, 4, &[&[16][..], &sum].concat());
    script.feed_bytes(&frame).0.unwrap();
    assert_eq!(attempts(&script.events)[0].user(), "Alice");
    script.verdict();
    let success = script.find(EAP, 3);
    assert_eq!(success[4..], [3, challenge[5], 0, 4]);
    assert_eq!(script.find(IPCP, 1)[4], 1);
}

#[test]
fn responses_to_nothing_change_nothing() {
    let mut script = asked(&EAP_METHODS);
    let identity = response(&script, 1, b"Alice");
    for (at, byte) in [
        (5, identity[5] ^ 0x40),
        (4, 1),
        (4, 3),
        (4, 9),
        (8, 3),
        (8, 26),
        (8, 254),
    ] {
        let mut bad = identity.clone();
        bad[at] = byte;
        let (result, said) = script.feed_bytes(&bad);
        assert!(
            matches!(result, Err(Error::Unmatched { .. })),
            "{at}: {byte}"
        );
        assert!(said.is_empty());
    }
    // No type at all; a name without an end; PAP and CHAP, which were not asked for.
    let id = hex::encode([identity[5]]);
    let (result, _) = script.feed(&format!("c227 02 {id} 0004"));
    assert_eq!(result, Err(Error::Malformed("EAP without a type")));
    let long = response(&script, 1, &[b'x'; 257]);
    assert_eq!(
        script.feed_bytes(&long).0,
        Err(Error::Malformed("EAP identity"))
    );
    for frame in ["c023 01 01 0008 0161 0162", "c223 02 01 0005 00"] {
        assert!(matches!(script.feed(frame).0, Err(Error::Unmatched { .. })));
    }
    script.feed_bytes(&identity).0.unwrap();
    let request = script.find(EAP, 1);
    assert_eq!(request[8..10], [26, 1]);
    // The identity again is a duplicate and repeats nothing.
    script.expect(&hex::encode(&identity), &[]);
    assert_eq!(script.link.stats().auth_duplicates, 1);
    // Only time repeats a request, and unchanged.
    script.wait(Duration::from_secs(3));
    let sent = script.sent.iter().filter(|frame| **frame == request);
    assert_eq!(sent.count(), 2);
}

/// The type data of an MS-CHAPv2 response to the latest challenge.
fn ms_chap_response(script: &Script, password: &str) -> Vec<u8> {
    use adit_crypto::ppp::{NtHash, challenge_hash, nt_response};
    let request = script.find(EAP, 1);
    let id = request[10];
    let theirs: [u8; 16] = match request[9] {
        1 => request[14..30].try_into().unwrap(),
        _ => {
            let text = String::from_utf8(request[13..].to_vec()).unwrap();
            let digits = text.split(" C=").nth(1).unwrap();
            hex::decode(&digits[..32]).unwrap().try_into().unwrap()
        }
    };
    let sum = challenge_hash(&[0x42; 16], &theirs, b"Alice");
    let response = nt_response(&NtHash::of_password(password), &sum);
    let mut data = vec![2, id, 0, 59, 49];
    data.extend([0x42; 16]);
    data.extend([0; 8]);
    data.extend(response);
    data.extend(b"\0Alice");
    data
}

#[test]
fn ms_chap_lengths_identifiers_and_operations_are_checked() {
    let mut script = asked(&[AuthMethod::EapMsChapV2]);
    identify(&mut script);
    let good = ms_chap_response(&script, "correct horse");
    for (at, byte) in [(3, 60), (3, 3), (3, 52), (4, 48), (4, 50), (4, 255)] {
        let mut bad = good.clone();
        bad[at] = byte;
        let frame = response(&script, 26, &bad);
        let result = script.feed_bytes(&frame).0;
        assert!(matches!(result, Err(Error::Malformed(_))), "{at}: {byte}");
    }
    for (at, byte) in [(0, 1), (0, 3), (0, 4), (0, 7), (1, good[1] ^ 1)] {
        let mut bad = good.clone();
        bad[at] = byte;
        let frame = response(&script, 26, &bad);
        let result = script.feed_bytes(&frame).0;
        assert!(
            matches!(result, Err(Error::Unmatched { .. })),
            "{at}: {byte}"
        );
    }
    // A Success of its own making lets nobody in.
    let frame = response(&script, 26, &[3]);
    assert!(script.feed_bytes(&frame).0.is_err());
    assert!(attempts(&script.events).is_empty());
    let frame = response(&script, 26, &good);
    script.feed_bytes(&frame).0.unwrap();
    script.verdict();
    let success = script.find(EAP, 1);
    assert_eq!(success[8..10], [26, 3]);
    assert_eq!(success[10], good[1], "the MS-CHAPv2-ID stays");
    assert!(success[13..].starts_with(b"S="));
    assert!(
        !script.link.is_authenticated(),
        "not before the client has taken it"
    );
    // In mid-method there is nothing to Nak.
    let frame = response(&script, 3, &[4]);
    assert!(matches!(
        script.feed_bytes(&frame).0,
        Err(Error::Unmatched { .. })
    ));
    let frame = response(&script, 26, &[3]);
    script.feed_bytes(&frame).0.unwrap();
    assert!(script.link.is_authenticated());
}

#[test]
fn a_retry_inside_eap_needs_the_new_challenge() {
    let mut script = asked(&[AuthMethod::EapMsChapV2]);
    identify(&mut script);
    let old = ms_chap_response(&script, "correct horse");
    let wrong = ms_chap_response(&script, "wrong");
    let frame = response(&script, 26, &wrong);
    script.feed_bytes(&frame).0.unwrap();
    script.verdict();
    let failure = script.find(EAP, 1);
    assert_eq!(failure[8..10], [26, 4]);
    let text = String::from_utf8(failure[13..].to_vec()).unwrap();
    assert!(text.starts_with("E=691 R=1 C="), "{text}");
    // What would have been right before is not any more.
    let frame = response(&script, 26, &old);
    script.feed_bytes(&frame).0.unwrap();
    script.verdict();
    assert!(!script.link.is_authenticated());
    let mut new = ms_chap_response(&script, "correct horse");
    new[1] = new[1].wrapping_add(1);
    let frame = response(&script, 26, &new);
    script.feed_bytes(&frame).0.unwrap();
    script.verdict();
    let frame = response(&script, 26, &[3]);
    script.feed_bytes(&frame).0.unwrap();
    assert!(script.link.is_authenticated());
}

#[test]
fn a_client_believes_no_success_without_a_method() {
    let (now, mut rng) = (epoch(), rng(4));
    let mut link = Link::client(client(&[AuthMethod::EapMsChapV2]), now, &mut rng);
    let mut feed = |link: &mut Link, frame: &str| {
        let frame = hex::decode(frame.replace(' ', "")).unwrap();
        let result = link.handle_frame(&frame, now, &mut rng);
        let said: Vec<_> = std::iter::from_fn(|| link.poll_transmit())
            .map(hex::encode)
            .collect();
        (result, said)
    };
    let mut ack = link.poll_transmit().unwrap();
    ack[4] = 2;
    feed(&mut link, &hex::encode(ack)).0.unwrap();
    feed(&mut link, "c021 01 01 0008 0304 c227").0.unwrap();
    assert_eq!(link.lcp_state(), State::Opened);
    assert!(feed(&mut link, "c227 03 00 0004").0.is_err());
    let (_, said) = feed(&mut link, "c227 01 07 0005 01");
    let identity = format!("ff03c227 02 07 000e 01 {}", hex::encode("LAB\\Alice"));
    assert_eq!(said, [identity.replace(' ', "")]);
    // Right after Identity.
    assert!(feed(&mut link, "c227 03 07 0004").0.is_err());
    // A notification is taken, MD5 is not wanted, an expanded type is not known.
    let (_, said) = feed(&mut link, "c227 01 08 0007 02 6869");
    assert_eq!(said, ["ff03c227 02080005 02".replace(' ', "")]);
    let (_, said) = feed(
        &mut link,
        "c227 01 09 0016 04 10 00112233445566778899aabbccddeeff",
    );
    assert_eq!(said, ["ff03c227 02090006 031a".replace(' ', "")]);
    let (_, said) = feed(&mut link, "c227 01 0a 000c fe 00013700000001");
    assert_eq!(said, ["ff03c227 020a0006 031a".replace(' ', "")]);
    // The same request again: the same answer, not a new one.
    let challenge = "c227 01 0b 001a 1a 010b0015 10 00112233445566778899aabbccddeeff";
    let (_, first) = feed(&mut link, challenge);
    let (_, second) = feed(&mut link, challenge);
    assert_eq!(first, second);
    assert_eq!(link.stats().auth_duplicates, 1);
    // A challenge response is no proof of the server; nor are these.
    assert!(feed(&mut link, "c227 03 0b 0004").0.is_err());
    for bad in [
        "c227 01 0c 0005 03",
        "c227 01 0c 0004",
        "c227 01 0c 0006 1a 03",
        "c227 01 0c 0009 1a 030b0003",
        "c227 01 0c 0009 1a 030b0005",
        "c227 01 0c 001a 1a 010b0015 11 00112233445566778899aabbccddeeff",
        "c227 01 0c 0016 04 10 00112233445566778899aabbccddeeff",
    ] {
        assert!(
            feed(&mut link, bad).0.is_err() || !link.is_authenticated(),
            "{bad}"
        );
    }
    let (_, _) = feed(&mut link, "8021 01 01 000a 0306 0a090001");
    assert!(!link.is_authenticated());
    let events: Vec<_> = std::iter::from_fn(|| link.poll_event()).collect();
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::Authenticated { .. }))
    );
}
