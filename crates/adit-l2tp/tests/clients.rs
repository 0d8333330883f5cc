//! The control messages of real clients, message by message, against an LNS.

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
    CallDisconnect, CallResult, Error, Event, GeneralError, SessionDownCause, SessionState, Stop,
    StopResult, Timer, TunnelDownCause,
};
use common::*;

fn windows_sccrq() -> Vec<u8> {
    hex::decode(include_str!("vectors/windows10-l2tp-sccrq.hex").trim()).unwrap()
}

fn windows_icrq(ns: u16) -> Vec<u8> {
    let icrq = control(
        LOCAL,
        0,
        ns,
        1,
        &[
            kind(T::Icrq),
            session_id(7),
            avp(M, 0, 15, &[0; 4]),
            avp(0, 0, 18, &[0, 0, 0, 2]),
            avp(0, 311, 1, &[0xc0; 16]),
        ],
    );
    assert_eq!(icrq.len(), 70);
    icrq
}

fn windows_iccn(local: u16) -> Vec<u8> {
    control(
        LOCAL,
        local,
        3,
        2,
        &[
            kind(T::Iccn),
            avp(M, 0, 24, &100_000_000_u32.to_be_bytes()),
            avp(M, 0, 19, &[0, 0, 0, 1]),
            avp(0, 0, 29, &[0, 4]),
        ],
    )
}

#[test]
fn windows_connects_and_disconnects() {
    let mut lns = End::lns(config());
    assert!(lns.tunnel.is_closed());
    lns.take(&windows_sccrq()).unwrap();
    assert!(!lns.tunnel.is_closed());
    assert_eq!(
        lns.sent(),
        [hex::decode(
            "c8020049000f000000000001\
             80080000000000028008000000020100800a0000000300000003\
             8009000000076c6e73000a0000000861646974\
             80080000000911228008 00000 00a0004"
                .replace(' ', "")
        )
        .unwrap()]
    );

    // SCCCN and ICRQ follow at once, both with Nr 1.
    lns.take(&control(LOCAL, 0, 1, 1, &[kind(T::Scccn)]))
        .unwrap();
    lns.take(&windows_icrq(2)).unwrap();
    assert_eq!(
        lns.events(),
        [Event::TunnelUp {
            host_name: "WIN10-CLIENT-01".into(),
            vendor: Some("Microsoft".into()),
            firmware: Some(0x0a00),
        }]
    );
    let sent = lns.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(seen(&sent[0]), (Some(T::Icrp), 7, 1, 3));
    let local = body(&sent[0]).session_id.unwrap();

    lns.take(&windows_iccn(local)).unwrap();
    assert_eq!(lns.seen(), [(None, 0, 2, 4)]);
    assert_eq!(lns.events(), [Event::SessionUp { local, remote: 7 }]);
    let sessions: Vec<_> = lns.tunnel.sessions().collect();
    assert_eq!(sessions, [(local, Some(7), SessionState::Established)]);
    assert_eq!(lns.tunnel.stats().ignored_avps, 1);

    let result = |code: u16| avp(M, 0, 1, &[code.to_be_bytes(), [0, 0]].concat());
    lns.take(&control(
        LOCAL,
        local,
        4,
        2,
        &[kind(T::Cdn), result(3), session_id(7)],
    ))
    .unwrap();
    lns.take(&control(
        LOCAL,
        0,
        5,
        2,
        &[kind(T::StopCcn), u16_avp(9, REMOTE), result(1)],
    ))
    .unwrap();
    assert_eq!(
        lns.events(),
        [
            Event::SessionDown {
                local,
                cause: SessionDownCause::ByPeer(CallDisconnect {
                    result: CallResult(3),
                    error: GeneralError(0),
                    message: String::new(),
                    q931: None
                })
            },
            Event::TunnelDown {
                cause: TunnelDownCause::ByPeer(Stop {
                    result: StopResult(1),
                    error: GeneralError(0),
                    message: String::new()
                })
            },
        ]
    );
    assert_eq!(lns.seen(), [(None, 0, 2, 6)]);

    // Its StopCCN again, since our acknowledgement was lost.
    assert!(!lns.tunnel.is_closed());
    lns.take(&control(LOCAL, 0, 5, 2, &[kind(T::StopCcn)]))
        .unwrap();
    assert_eq!(lns.seen(), [(None, 0, 2, 6)]);
    assert_eq!(
        lns.tunnel.next_timer().map(|(timer, _)| timer),
        Some(Timer::Linger)
    );
    assert_eq!(lns.elapse(), config().retransmission_cycle());
    assert!(lns.tunnel.is_closed());
    assert_eq!(lns.events(), []);
    assert_eq!(lns.tunnel.poll_timeout(), None);
    assert_eq!(lns.take(&windows_icrq(6)), Err(Error::Closed));
}

#[test]
fn windows_icrq_overtakes_its_scccn() {
    let mut lns = End::lns(config());
    lns.take(&windows_sccrq()).unwrap();
    lns.sent();
    lns.take(&windows_icrq(2)).unwrap();
    // Nothing is acted on yet, and the SCCCN is asked for.
    assert_eq!(lns.seen(), [(None, 0, 1, 1)]);
    assert_eq!(lns.events(), []);
    lns.take(&control(LOCAL, 0, 1, 1, &[kind(T::Scccn)]))
        .unwrap();
    assert!(matches!(lns.events()[..], [Event::TunnelUp { .. }]));
    assert_eq!(lns.seen(), [(Some(T::Icrp), 7, 1, 3)]);
    assert_eq!(lns.tunnel.stats().out_of_order, 1);
}

#[test]
fn apple_connects_and_closes_with_swapped_result_codes() {
    let mut lns = End::lns(config());
    let mut avps = sccrq_avps();
    avps[2] = avp(M, 0, 7, b"iPhone\0");
    avps.push(u16_avp(10, 4));
    lns.take(&control(0, 0, 0, 0, &avps)).unwrap();
    lns.take(&control(LOCAL, 0, 1, 1, &[kind(T::Scccn)]))
        .unwrap();
    assert_eq!(
        lns.events(),
        [Event::TunnelUp {
            host_name: "iPhone".into(),
            vendor: None,
            firmware: None
        }]
    );
    lns.take(&control(
        LOCAL,
        0,
        2,
        1,
        &[kind(T::Icrq), session_id(312), avp(M, 0, 15, &[0, 0, 0, 1])],
    ))
    .unwrap();
    let local = body(lns.sent().last().unwrap()).session_id.unwrap();
    lns.take(&control(
        LOCAL,
        local,
        3,
        2,
        &[
            kind(T::Iccn),
            avp(M, 0, 24, &1_000_000_u32.to_be_bytes()),
            avp(M, 0, 19, &[0, 0, 0, 3]),
        ],
    ))
    .unwrap();
    let remote = 312;
    assert_eq!(lns.events(), [Event::SessionUp { local, remote }]);

    let swapped = |code: u8| avp(M, 0, 1, &[code, 0, 0xde, 0xad, 0xbe, 0xef, 1, 2]);
    lns.take(&control(
        LOCAL,
        local,
        4,
        2,
        &[kind(T::Cdn), swapped(3), session_id(312)],
    ))
    .unwrap();
    lns.take(&control(
        LOCAL,
        0,
        5,
        2,
        &[kind(T::StopCcn), u16_avp(9, REMOTE), swapped(1)],
    ))
    .unwrap();
    let results: Vec<_> = lns
        .events()
        .into_iter()
        .map(|event| match event {
            Event::SessionDown {
                cause: SessionDownCause::ByPeer(reason),
                ..
            } => (reason.result.0, reason.error.0),
            Event::TunnelDown {
                cause: TunnelDownCause::ByPeer(reason),
            } => (reason.result.0, reason.error.0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(results, [(3, 0), (1, 0)]);
}

#[test]
fn android_waits_for_an_acknowledgement_of_its_scccn() {
    let mut lns = End::lns(config());
    let mut avps = sccrq_avps();
    avps[2] = avp(M, 0, 7, b"anonymous");
    avps.push(u16_avp(10, 1));
    let sccrq = control(0, 0, 0, 0, &avps);
    lns.take(&sccrq).unwrap();
    let first = lns.sent();
    assert_eq!(seen(&first[0]), (Some(T::Sccrp), 0, 0, 1));

    // Repeated after 2 s with the same tunnel ID: the same answer at once, no second tunnel.
    lns.now += seconds(2);
    lns.take(&sccrq).unwrap();
    assert_eq!(lns.sent(), first);
    assert_eq!(lns.tunnel.stats().duplicates, 1);

    lns.take(&control(LOCAL, 0, 1, 1, &[kind(T::Scccn)]))
        .unwrap();
    assert_eq!(lns.seen(), [(None, 0, 1, 2)]);
    // Repeated although it was acknowledged: acknowledged again, established once.
    lns.take(&control(LOCAL, 0, 1, 1, &[kind(T::Scccn)]))
        .unwrap();
    assert_eq!(lns.seen(), [(None, 0, 1, 2)]);
    assert_eq!(lns.events().len(), 1);

    // It ends with StopCCN 6 and no CDN.
    let result = avp(M, 0, 1, &[0, 6]);
    lns.take(&control(LOCAL, 0, 2, 1, &[kind(T::StopCcn), result]))
        .unwrap();
    let cause = TunnelDownCause::ByPeer(Stop {
        result: StopResult(6),
        error: GeneralError(0),
        message: String::new(),
    });
    assert_eq!(lns.events(), [Event::TunnelDown { cause }]);
}

#[test]
fn a_peer_with_window_one_gets_one_message_at_a_time() {
    let mut lns = End::lns(config());
    let mut avps = sccrq_avps();
    avps.push(u16_avp(10, 1));
    lns.take(&control(0, 0, 0, 0, &avps)).unwrap();
    lns.take(&control(LOCAL, 0, 1, 1, &[kind(T::Scccn)]))
        .unwrap();
    lns.sent();
    for ns in 2..4 {
        lns.take(&control(LOCAL, 0, ns, 1, &[kind(T::Icrq), session_id(ns)]))
            .unwrap();
    }
    assert_eq!(lns.seen(), [(Some(T::Icrp), 2, 1, 4)]);
    lns.take(&control(LOCAL, 0, 4, 2, &[])).unwrap();
    assert_eq!(lns.seen(), [(Some(T::Icrp), 3, 2, 4)]);
}
