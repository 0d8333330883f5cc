//! What clients trip over in MS-CHAPv2: error numbers, retries, Change-Password.

use super::script::Script;
use super::*;
use crate::protocol::{CHAP, LCP};

fn challenged() -> Script {
    let mut script = Script::new(server_config());
    script.feed("ff03c021 01 01 0004").0.unwrap();
    script.acknowledge(LCP);
    script
}

/// The text of the latest Failure.
fn failure(script: &Script) -> String {
    String::from_utf8(script.find(CHAP, 4)[8..].to_vec()).unwrap()
}

fn reject(script: &mut Script, reason: RejectReason) {
    let (now, rng) = (script.now, &mut script.rng);
    script
        .link
        .handle_verdict(Verdict::Reject { reason }, now, rng);
    script.drain();
}

/// A Response to the challenge in the latest Failure.
fn another(script: &Script, password: &str, id: u8) -> Vec<u8> {
    use adit_crypto::ppp::{NtHash, challenge_hash, nt_response};
    let text = failure(script);
    let digits = &text.split(" C=").nth(1).unwrap()[..32];
    let theirs: [u8; 16] = hex::decode(digits).unwrap().try_into().unwrap();
    let sum = challenge_hash(&[0x17; 16], &theirs, b"Alice");
    let mut frame = vec![0xff, 3, 0xc2, 0x23, 2, id, 0, 59, 49];
    frame.extend([0x17; 16]);
    frame.extend([0; 8]);
    frame.extend(nt_response(&NtHash::of_password(password), &sum));
    frame.extend(b"\0Alice");
    frame
}

#[test]
fn each_reason_has_its_number() {
    for (reason, code) in [
        (RejectReason::RestrictedHours, 646),
        (RejectReason::Disabled, 647),
        (RejectReason::NoDialIn, 649),
    ] {
        let mut script = challenged();
        let response = script.response("Alice", "correct horse");
        script.feed_bytes(&response).0.unwrap();
        reject(&mut script, reason);
        let text = failure(&script);
        let (start, rest) = text.split_once(" C=").unwrap();
        assert_eq!(start, format!("E={code} R=0"));
        assert_eq!(rest[32..], format!(" V=3 M={reason}"));
        let reason = DownReason::AuthFailed(AuthFailure::Rejected(reason));
        script.wait(Duration::from_secs(3));
        script.wait(Duration::from_secs(3));
        script.wait(Duration::from_secs(3));
        assert_eq!(script.events.last(), Some(&Event::Down { reason }));
    }
}

#[test]
fn a_wrong_password_may_be_mended_with_the_new_challenge() {
    for step in [1, 0] {
        let mut script = challenged();
        let first = script.response("Alice", "wrong");
        script.feed_bytes(&first).0.unwrap();
        script.verdict();
        let sent = script.find(CHAP, 4);
        assert_eq!(sent[5], first[5], "the identifier of the response");
        let text = failure(&script);
        let (start, rest) = text.split_once(" C=").unwrap();
        assert_eq!(start, "E=691 R=1");
        assert_eq!(rest[32..], *" V=3 M=wrong user name or password");
        let upper = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
        assert!(rest[..32].bytes().all(upper));
        // The first response again hears the same again.
        assert_eq!(
            script.feed_bytes(&first),
            (Ok(()), vec![hex::encode(&sent)])
        );
        // No challenge goes out meanwhile, and the user has time.
        let before = script.sent.len();
        script.wait(Duration::from_secs(29));
        assert_eq!(script.sent.len(), before);
        let id = first[5].wrapping_add(step);
        let second = another(&script, "correct horse", id);
        script.feed_bytes(&second).0.unwrap();
        script.verdict();
        assert!(script.link.is_authenticated());
        assert_eq!(script.find(CHAP, 3)[5], id);
        // Later identifiers are not taken.
        let late = another(&script, "correct horse", id.wrapping_add(2));
        assert!(script.feed_bytes(&late).0.is_err());
    }
}

#[test]
fn tries_run_out() {
    let mut script = challenged();
    let mut id = script.find(CHAP, 1)[5];
    let first = script.response("Alice", "wrong");
    script.feed_bytes(&first).0.unwrap();
    script.verdict();
    for left in [1, 0] {
        id = id.wrapping_add(1);
        let next = another(&script, "still wrong", id);
        script.feed_bytes(&next).0.unwrap();
        script.verdict();
        assert!(failure(&script).starts_with(&format!("E=691 R={left} ")));
    }
    assert_eq!(script.link.stats().auth_rejected, 3);
    assert_eq!(script.find(LCP, 5)[4], 5, "Terminate-Request");
    let failed = Event::AuthFailed {
        user: "Alice".to_owned(),
        reason: AuthFailure::Rejected(RejectReason::BadCredentials),
    };
    assert!(script.events.contains(&failed));
}

#[test]
fn a_client_that_leaves_after_a_refusal_was_refused() {
    let mut script = challenged();
    let first = script.response("Alice", "wrong");
    script.feed_bytes(&first).0.unwrap();
    script.verdict();
    script.expect("c021 05 09 0004", &["ff03c021 06 09 0004"]);
    script.wait(Duration::from_secs(3));
    let reason = AuthFailure::Rejected(RejectReason::BadCredentials);
    let failed = Event::AuthFailed {
        user: "Alice".to_owned(),
        reason: reason.clone(),
    };
    let reason = DownReason::AuthFailed(reason);
    assert_eq!(script.events[2..], [failed, Event::Down { reason }]);

    // And so was one that says nothing more.
    let mut script = challenged();
    let first = script.response("Alice", "wrong");
    script.feed_bytes(&first).0.unwrap();
    script.verdict();
    for _ in 0..14 {
        script.wait(Duration::from_secs(3));
    }
    let reason = DownReason::AuthFailed(AuthFailure::Rejected(RejectReason::BadCredentials));
    assert_eq!(script.events.last(), Some(&Event::Down { reason }));
}

#[test]
fn a_password_is_not_changed_and_the_client_hears_so() {
    let change = |id: u8, len: usize| {
        let length = u16::try_from(len + 4).unwrap().to_be_bytes();
        let mut frame = vec![0xff, 3, 0xc2, 0x23, 7, id, length[0], length[1]];
        frame.resize(8 + len, 0x5a);
        frame
    };
    let mut script = challenged();
    let first = script.response("Alice", "correct horse");
    let next = first[5].wrapping_add(1);
    // Nobody has said that it has expired.
    assert!(matches!(
        script.feed_bytes(&change(next, 582)).0,
        Err(Error::Unmatched { .. })
    ));
    script.feed_bytes(&first).0.unwrap();
    reject(&mut script, RejectReason::Expired);
    assert!(failure(&script).starts_with("E=648 R=0 C="));
    assert_eq!(script.link.lcp_state(), State::Opened, "it may ask");
    for wrong in [0, 581, 583] {
        let (result, said) = script.feed_bytes(&change(next, wrong));
        assert_eq!(result, Err(Error::Malformed("Change-Password")));
        assert!(said.is_empty());
    }
    script.feed_bytes(&change(next, 582)).0.unwrap();
    let text = failure(&script);
    assert!(
        text.starts_with("E=709 R=0 C=") && text.contains(" V=3 M="),
        "{text}"
    );
    assert_eq!(script.find(CHAP, 4)[5], next);
    assert_eq!(script.find(LCP, 5)[4], 5, "Terminate-Request");
    assert!(!script.link.is_authenticated());
}

#[test]
fn a_client_reads_failures_in_any_order_and_shape() {
    use crate::event::AuthFailure::RejectedByPeer;
    for (text, code, message) in [
        ("E=691 R=0 C=00 V=3 M=no", Some(691), "no"),
        (
            "E=691 R=1 C=0011 V=3 M=cut challenge",
            Some(691),
            "cut challenge",
        ),
        ("E=691 R=1 V=3", Some(691), "E=691 R=1 V=3"),
        ("R=0 E=647 M=", Some(647), ""),
        ("go away", None, "go away"),
        ("E=x M=y", None, "E=x M=y"),
    ] {
        let config = ClientConfig {
            retry: true,
            ..client_config()
        };
        let (now, mut rng) = (epoch(), rng(4));
        let mut link = Link::client(config, now, &mut rng);
        let mut ack = link.poll_transmit().unwrap();
        ack[4] = 2;
        link.handle_frame(&ack, now, &mut rng).unwrap();
        let request = hex::decode("c02101010009".to_owned() + "0305c22381").unwrap();
        link.handle_frame(&request, now, &mut rng).unwrap();
        let challenge = hex::decode("c22301070015".to_owned() + "10" + &"ab".repeat(16)).unwrap();
        link.handle_frame(&challenge, now, &mut rng).unwrap();
        let mut failure = vec![0xc2, 0x23, 4, 7, 0, u8::try_from(4 + text.len()).unwrap()];
        failure.extend(text.as_bytes());
        link.handle_frame(&failure, now, &mut rng).unwrap();
        let failed = std::iter::from_fn(|| link.poll_event()).find_map(|event| match event {
            Event::AuthFailed { reason, .. } => Some(reason),
            _ => None,
        });
        let message = message.to_owned();
        assert_eq!(failed, Some(RejectedByPeer { code, message }), "{text}");
    }
}
