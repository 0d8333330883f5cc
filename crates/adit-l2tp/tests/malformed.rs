//! What a hostile or broken peer sends, and what it costs: a datagram, a session or the tunnel.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of a test may fail as the test may"
)]

mod common;

use adit_l2tp::MessageType as T;
use adit_l2tp::{
    AvpError, Config, DecodeError, Error, Event, Fault, GeneralError, SessionDownCause, Stats,
    Stop, StopResult, TunnelDownCause, TunnelState, Unrecognized,
};
use common::*;

fn sccrq_with(extra: &[Vec<u8>]) -> Vec<u8> {
    control(0, 0, 0, 0, &[sccrq_avps(), extra.to_vec()].concat())
}

/// The result and error code of the only message that was sent, which must be of this type.
fn refusal(end: &mut End, kind: T) -> (u16, u16, String) {
    let sent = end.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(seen(&sent[0]).0, Some(kind));
    let result = body(&sent[0]).result.unwrap();
    (result.result, result.error, result.message)
}

#[test]
fn no_state_and_no_answer_without_a_readable_sccrq() {
    let cut = |datagram: Vec<u8>, tail: &[u8]| {
        // Its last AVP replaced by `tail`.
        let mut bytes = datagram[..datagram.len() - 8].to_vec();
        bytes.extend(tail);
        let length = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let mut no_id = sccrq_avps();
    no_id.pop();
    let mut zero_id = no_id.clone();
    zero_id.push(u16_avp(9, 0));
    let mut hidden_id = no_id.clone();
    hidden_id.push(avp(M | 0x4000, 0, 9, &[0, 15]));
    let inputs = [
        vec![],
        vec![0xc8],
        b"\xc8\x02\x00\x0c\0\0\0\0\0\0\0\0".to_vec(), // ZLB
        b"\xc8\x02\xff\xff\0\0\0\0\0\0\0\0".to_vec(),
        b"\xc8\x03\x00\x0c\0\0\0\0\0\0\0\0".to_vec(),
        b"\x40\x02\x00\x0c\0\0\0\0\xff\x03\xc0\x21".to_vec(), // data
        control(0, 0, 0, 0, &[kind(T::Scccn)]),
        control(0, 0, 0, 0, &[kind(T::StopCcn), u16_avp(9, REMOTE)]),
        control(0, 0, 0, 0, &[kind(T::Hello)]),
        control(0, 0, 1, 0, &sccrq_avps()),
        control(0, 0, 0, 1, &sccrq_avps()),
        control(LOCAL, 0, 0, 0, &sccrq_avps()),
        control(0, 0, 0, 0, &no_id),
        control(0, 0, 0, 0, &zero_id),
        control(0, 0, 0, 0, &hidden_id),
        control(0, 0, 0, 0, &[avp(M, 311, 0, &[0, 1]), u16_avp(9, REMOTE)]),
        // CVE-2020-15173: an AVP length below 6, or past the message.
        cut(sccrq(), &[0x80, 0, 0, 0, 0, 9, 0, 15]),
        cut(sccrq(), &[0x80, 5, 0, 0, 0, 9, 0, 15]),
        cut(sccrq(), &[0x83, 0xff, 0, 0, 0, 9, 0, 15]),
        cut(sccrq(), &[0x80, 9, 0, 0, 0, 9, 0, 15]),
        sccrq_with(&[vec![0x80]]),
        sccrq_with(&[vec![0x00, 5, 0, 0, 0, 9]]),
    ];
    let count = inputs.len();
    let mut lns = End::lns(config());
    for input in inputs {
        assert!(lns.take(&input).is_err(), "{input:02x?}");
        assert_eq!(lns.tunnel.state(), TunnelState::Idle);
        assert!(lns.tunnel.is_closed());
        assert_eq!(lns.sent().len(), 0);
        assert_eq!(lns.events(), []);
        assert_eq!(lns.tunnel.poll_timeout(), None);
    }
    assert_eq!(lns.tunnel.stats().bad_header, count as u64);
    lns.take(&sccrq()).unwrap();
    assert_eq!(lns.seen(), [(Some(T::Sccrp), 0, 0, 1)]);
}

#[test]
fn an_sccrq_that_cannot_be_accepted_is_told_why() {
    let mut version = sccrq_avps();
    version[1] = avp(M, 0, 2, &[2, 1]);
    let mut no_version = sccrq_avps();
    no_version.remove(1);
    let mut no_host = sccrq_avps();
    no_host.remove(2);
    let mut no_framing = sccrq_avps();
    no_framing.remove(3);
    let cases = [
        (control(0, 0, 0, 0, &version), (5, 0x0100), "version 2.1"),
        (
            sccrq_with(&[avp(M, 0, 11, &[9; 32])]),
            (4, 0),
            "switch off tunnel authentication",
        ),
        (
            sccrq_with(&[avp(M, 0, 40, &[])]),
            (2, 8),
            "AVP 40 of vendor 0",
        ),
        (
            sccrq_with(&[avp(M, 311, 1, &[])]),
            (2, 8),
            "AVP 1 of vendor 311",
        ),
        (
            sccrq_with(&[avp(M | 0x4000, 0, 8, &[0; 40])]),
            (2, 8),
            "hidden",
        ),
        (
            sccrq_with(&[avp(M | 0x0400, 0, 8, b"x")]),
            (2, 8),
            "reserved",
        ),
        (
            control(0, 0, 0, 0, &no_version),
            (2, 3),
            "SCCRQ without Protocol Version",
        ),
        (control(0, 0, 0, 0, &no_host), (2, 3), "without Host Name"),
        (
            control(0, 0, 0, 0, &no_framing),
            (2, 3),
            "without Framing Capabilities",
        ),
    ];
    for (sccrq, codes, text) in cases {
        let mut lns = End::lns(config());
        let Err(Error::Tunnel(fault)) = lns.take(&sccrq) else {
            panic!("{text}");
        };
        let cause = TunnelDownCause::Fault(fault);
        assert_eq!(lns.events(), [Event::TunnelDown { cause }]);
        assert_eq!(lns.tunnel.remote_id(), Some(REMOTE));
        let (result, error, message) = refusal(&mut lns, T::StopCcn);
        assert_eq!((result, error), codes, "{text}");
        assert!(message.contains(text), "{message}");
        assert_eq!(lns.tunnel.stats().faults, 1);

        // The StopCCN is delivered: a repeated SCCRQ brings it again, its acknowledgement ends it.
        assert!(!lns.tunnel.is_closed());
        lns.take(&sccrq).unwrap();
        assert_eq!(lns.seen(), [(Some(T::StopCcn), 0, 0, 1)]);
        lns.take(&control(LOCAL, 0, 1, 1, &[])).unwrap();
        assert!(lns.tunnel.is_closed());
    }
    // A later revision of the same version is fine.
    let mut lns = End::lns(config());
    version[1] = avp(M, 0, 2, &[1, 1]);
    lns.take(&control(0, 0, 0, 0, &version)).unwrap();
}

#[test]
fn optional_attributes_cost_nothing() {
    let mut lns = End::lns(config());
    lns.take(&sccrq_with(&[
        avp(0, 311, 1, &[1; 16]),
        avp(0, 0, 99, b"?"),
        avp(0x4000, 0, 8, &[0; 16]),
        avp(0x3c00, 0, 8, b"x"),
        avp(0, 0, 6, b"too long"),
        avp(M, 0, 36, &[0; 16]), // Random Vector
    ]))
    .unwrap();
    assert_eq!(lns.tunnel.stats().ignored_avps, 5);
    assert_eq!(lns.seen(), [(Some(T::Sccrp), 0, 0, 1)]);
}

#[test]
fn faults_in_messages_about_the_tunnel_cost_the_tunnel() {
    let unknown = Fault::Unrecognized {
        vendor: 0,
        attribute: 77,
        why: Unrecognized::Attribute,
    };
    let malformed = Fault::Avp(AvpError::LengthBelowHeader(2));
    let cases = [
        (vec![kind(T::Hello), avp(M, 0, 77, b"")], unknown, (2, 8)),
        (
            vec![kind(T::Hello), vec![0x80, 2, 0, 0, 0, 7]],
            malformed,
            (2, 2),
        ),
        (
            vec![avp(M, 0, 0, &[0, 99])],
            Fault::UnknownMessage(99),
            (2, 8),
        ),
        (vec![avp(M, 0, 7, b"host")], Fault::NoMessageType, (2, 3)),
        (
            vec![kind(T::Scccn)],
            Fault::UnexpectedOnTunnel {
                message: T::Scccn,
                state: TunnelState::Established,
            },
            (7, 0),
        ),
    ];
    for (avps, fault, codes) in cases {
        let (mut lns, local) = End::with_session(config());
        assert_eq!(
            lns.take(&control(LOCAL, 0, 4, 2, &avps)),
            Err(Error::Tunnel(fault.clone()))
        );
        let (result, error, _) = refusal(&mut lns, T::StopCcn);
        assert_eq!((result, error), codes);
        assert_eq!(
            lns.events(),
            [
                Event::SessionDown {
                    local,
                    cause: SessionDownCause::TunnelDown
                },
                Event::TunnelDown {
                    cause: TunnelDownCause::Fault(fault)
                },
            ]
        );
    }
    // A call before the control connection is established.
    let mut lns = End::lns(config());
    lns.take(&sccrq()).unwrap();
    lns.take(&control(LOCAL, 0, 1, 1, &[])).unwrap();
    lns.sent();
    let icrq = control(LOCAL, 0, 1, 1, &[kind(T::Icrq), session_id(7)]);
    assert!(matches!(lns.take(&icrq), Err(Error::Tunnel(_))));
    assert_eq!(refusal(&mut lns, T::StopCcn).0, 7);
}

#[test]
fn an_unknown_message_that_does_not_insist_is_ignored() {
    let (mut lns, _) = End::with_session(config());
    lns.take(&control(LOCAL, 0, 4, 2, &[avp(0, 0, 0, &[0, 99])]))
        .unwrap();
    assert_eq!(lns.seen(), [(None, 0, 2, 5)]);
    assert_eq!(lns.tunnel.stats().unknown_messages, 1);
}

#[test]
fn faults_in_messages_about_a_session_cost_only_that() {
    let state = adit_l2tp::SessionState::Established;
    let unknown = Fault::Unrecognized {
        vendor: 0,
        attribute: 77,
        why: Unrecognized::Attribute,
    };
    let unexpected = |message| Fault::UnexpectedOnSession { message, state };
    let cases = [
        (vec![kind(T::Sli), avp(M, 0, 77, b"")], unknown, (2, 8)),
        (
            vec![kind(T::Wen), vec![0x80, 7, 0, 0, 0, 34]],
            Fault::Avp(AvpError::LengthPastMessage { length: 7, left: 6 }),
            (2, 2),
        ),
        (
            vec![kind(T::Icrq), session_id(8)],
            unexpected(T::Icrq),
            (2, 5),
        ),
        (
            vec![kind(T::Icrp), session_id(8)],
            unexpected(T::Icrp),
            (2, 5),
        ),
        (vec![kind(T::Iccn)], unexpected(T::Iccn), (2, 5)),
        (vec![kind(T::Occn)], unexpected(T::Occn), (2, 5)),
    ];
    for (avps, fault, codes) in cases {
        let (mut lns, local) = End::with_session(config());
        assert_eq!(
            lns.take(&control(LOCAL, local, 4, 2, &avps)),
            Err(Error::Session(fault.clone()))
        );
        let sent = lns.sent();
        assert_eq!(seen(&sent[0]), (Some(T::Cdn), 7, 2, 5));
        let result = body(&sent[0]).result.unwrap();
        assert_eq!((result.result, result.error), codes);
        let cause = SessionDownCause::Fault(fault);
        assert_eq!(lns.events(), [Event::SessionDown { local, cause }]);
        assert_eq!(lns.tunnel.state(), TunnelState::Established);
    }
}

#[test]
fn calls_that_cannot_be_taken_are_refused_one_by_one() {
    let mut lns = End::established(config());
    let mut ns = 1;
    let mut call = |lns: &mut End, avps: &[Vec<u8>]| {
        ns += 1;
        let sent_so_far = u16::try_from(lns.tunnel.stats().sent).unwrap();
        lns.take(&control(LOCAL, 0, ns, sent_so_far, avps))
    };
    // OCRQ: nothing here can dial.
    assert_eq!(
        call(
            &mut lns,
            &[kind(T::Ocrq), session_id(5), avp(M, 0, 16, &[0; 4])]
        ),
        Err(Error::Session(Fault::OutgoingCall))
    );
    let sent = lns.sent();
    assert_eq!(seen(&sent[0]).1, 5);
    let cdn = body(&sent[0]);
    assert_eq!(
        cdn.result.map(|code| (code.result, code.error)),
        Some((5, 0))
    );
    assert!(cdn.session_id.is_some());

    // A mandatory AVP that is unknown.
    assert!(matches!(
        call(&mut lns, &[kind(T::Icrq), session_id(6), avp(M, 9, 1, b"")]),
        Err(Error::Session(Fault::Unrecognized { vendor: 9, .. }))
    ));
    let (result, error, message) = refusal(&mut lns, T::Cdn);
    assert_eq!((result, error), (2, 8));
    assert!(message.contains("AVP 1 of vendor 9"));

    // Without a session ID there is nobody to answer.
    assert!(matches!(
        call(&mut lns, &[kind(T::Icrq)]),
        Err(Error::Session(Fault::Missing { .. }))
    ));
    assert!(matches!(
        call(&mut lns, &[kind(T::Icrq), session_id(0)]),
        Err(Error::Session(Fault::Avp(AvpError::Value { .. })))
    ));
    let acks = lns.seen();
    assert_eq!(acks.iter().filter(|seen| seen.0.is_some()).count(), 0);

    // The third session of two.
    call(&mut lns, &[kind(T::Icrq), session_id(7)]).unwrap();
    call(&mut lns, &[kind(T::Icrq), session_id(8)]).unwrap();
    lns.sent();
    assert_eq!(
        call(&mut lns, &[kind(T::Icrq), session_id(7)]),
        Err(Error::SessionInUse(7))
    );
    lns.sent();
    assert_eq!(
        call(&mut lns, &[kind(T::Icrq), session_id(9)]),
        Err(Error::Session(Fault::TooManySessions(2)))
    );
    let (result, error, _) = refusal(&mut lns, T::Cdn);
    assert_eq!((result, error), (4, 4));
    assert_eq!(lns.tunnel.sessions().count(), 2);
    assert_eq!(lns.tunnel.stats().refused_sessions, 3);
    assert_eq!(lns.tunnel.state(), TunnelState::Established);
    assert_eq!(lns.events(), []);
}

#[test]
fn messages_for_sessions_that_are_gone_are_acknowledged_and_ignored() {
    let (mut lns, local) = End::with_session(config());
    let other = local.wrapping_add(1);
    for (ns, message) in (4..).zip([T::Icrp, T::Iccn, T::Cdn, T::Ocrp]) {
        let datagram = control(LOCAL, other, ns, 2, &[kind(message)]);
        let session = other;
        assert_eq!(
            lns.take(&datagram),
            Err(Error::UnknownSession { message, session })
        );
        assert_eq!(lns.seen(), [(None, 0, 2, ns + 1)]);
    }
    for (ns, message) in (8..).zip([T::Wen, T::Sli]) {
        let session = other;
        assert_eq!(
            lns.take(&control(LOCAL, other, ns, 2, &[kind(message)])),
            Err(Error::UnknownSession { message, session })
        );
    }
    assert_eq!(lns.tunnel.stats().unknown_sessions, 6);
    // One that says nothing is no event.
    lns.take(&control(LOCAL, local, 10, 2, &[kind(T::Sli)]))
        .unwrap();
    assert_eq!(lns.events(), []);
    assert_eq!(lns.tunnel.sessions().count(), 1);

    // A CDN that names its session only by the sender's own ID.
    lns.take(&control(LOCAL, 0, 11, 2, &[kind(T::Cdn), session_id(7)]))
        .unwrap();
    assert_eq!(lns.tunnel.sessions().count(), 0);
}

#[test]
fn stop_and_cdn_close_whatever_else_is_in_them() {
    let broken = || vec![avp(M, 0, 77, b""), vec![0x80, 1, 0, 0, 0, 1]];
    let (mut lns, local) = End::with_session(config());
    let cdn = [vec![kind(T::Cdn)], broken()].concat();
    lns.take(&control(LOCAL, local, 4, 2, &cdn)).unwrap();
    assert_eq!(lns.events().len(), 1);
    let stop = [vec![kind(T::StopCcn)], broken()].concat();
    lns.take(&control(LOCAL, 0, 5, 2, &stop)).unwrap();
    let cause = TunnelDownCause::ByPeer(Stop {
        result: StopResult(0),
        error: GeneralError(0),
        message: String::new(),
    });
    assert_eq!(lns.events(), [Event::TunnelDown { cause }]);
    assert_eq!(lns.seen(), [(None, 0, 2, 6)]);
}

#[test]
fn headers_that_cannot_be_are_dropped() {
    let (mut lns, local) = End::with_session(config());
    let hello = kind(T::Hello);
    assert_eq!(
        lns.take(&control(LOCAL + 1, 0, 4, 2, std::slice::from_ref(&hello))),
        Err(Error::WrongTunnel {
            tunnel: LOCAL + 1,
            local: LOCAL
        })
    );
    assert_eq!(
        lns.take(&control(LOCAL, 0, 4, 3, std::slice::from_ref(&hello))),
        Err(Error::BadNr { nr: 3, next: 2 })
    );
    let data = [0, 2, 0x11, 0x22, (local >> 8) as u8, local as u8, 0xff, 3];
    assert_eq!(lns.take(&data), Err(Error::NotControl));
    assert_eq!(
        lns.take(&[0xc8, 1, 0, 0]),
        Err(Error::Decode(DecodeError::Version(1)))
    );
    assert_eq!(lns.sent().len(), 0);
    assert_eq!(lns.tunnel.stats().bad_header, 4);
    // Too far ahead: dropped, but the peer hears what is expected.
    assert!(matches!(
        lns.take(&control(LOCAL, 0, 8, 2, std::slice::from_ref(&hello))),
        Err(Error::OutsideWindow {
            ns: 8,
            expected: 4,
            ..
        })
    ));
    assert_eq!(lns.seen(), [(None, 0, 2, 4)]);
}

#[test]
fn a_peer_that_asks_without_listening_is_held_up() {
    let mut lns = End::established(Config {
        max_sessions: 1,
        ..config()
    });
    let mut accepted = 0_u16;
    let mut held_up = 0;
    for ns in 2..1000 {
        let icrq = control(LOCAL, 0, 2 + accepted, 1, &[kind(T::Icrq), session_id(ns)]);
        match lns.take(&icrq) {
            Err(Error::Backlog(_)) => held_up += 1,
            _ => accepted += 1,
        }
    }
    assert_eq!(accepted, 64);
    assert_eq!(held_up, 998 - 64);
    lns.sent();
    // It listens again: it can go on.
    lns.take(&control(LOCAL, 0, 66, 2, &[])).unwrap();
    assert!(matches!(
        lns.take(&control(LOCAL, 0, 66, 2, &[kind(T::Icrq), session_id(2)])),
        Err(Error::SessionInUse(2))
    ));
    // It may say good-bye at any time.
    for ns in 67..80 {
        let _ = lns.take(&control(LOCAL, 0, ns, 2, &[kind(T::Icrq), session_id(ns)]));
    }
    let next = lns.sent().last().map(|datagram| seen(datagram).3).unwrap();
    lns.take(&control(LOCAL, 0, next, 2, &[kind(T::StopCcn)]))
        .unwrap();
    assert_eq!(lns.tunnel.state(), TunnelState::Stopped);
}

#[test]
fn junk_changes_nothing() {
    let (mut lns, _) = End::with_session(config());
    let before = lns.tunnel.stats();
    for len in 0..40 {
        let junk = lns.rng.array::<40>();
        let _ = lns.take(&junk[..len]);
    }
    assert_eq!(lns.sent().len(), 0);
    assert_eq!(lns.events(), []);
    let after = lns.tunnel.stats();
    assert_eq!(after.bad_header, before.bad_header + 40);
    assert_eq!(
        Stats {
            bad_header: 0,
            ..after
        },
        Stats {
            bad_header: 0,
            ..before
        }
    );
}
