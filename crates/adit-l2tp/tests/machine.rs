//! Closing, timers, and the role of the LAC, with one end under test.

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
    Accm, CallDisconnect, CallErrors, CallResult, Config, Error, Event, Fault, GeneralError, Order,
    SessionDownCause, Stop, Timer, TunnelDownCause, TunnelState,
};
use common::*;

#[test]
fn closing_says_so_to_the_peer_and_waits_for_it() {
    let (mut lns, local) = End::with_session(config());
    let cause = CallDisconnect::administrative();
    lns.tunnel.close_session(local, cause.clone(), lns.now);
    lns.tunnel.close_session(local, cause, lns.now);
    let sent = lns.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(seen(&sent[0]), (Some(T::Cdn), 7, 2, 4));
    let cdn = body(&sent[0]);
    assert_eq!(cdn.session_id, Some(local));
    assert_eq!(
        cdn.result.map(|code| (code.result, code.error)),
        Some((3, 0))
    );
    let cause = SessionDownCause::ByUs;
    assert_eq!(lns.events(), [Event::SessionDown { local, cause }]);
    assert_eq!(lns.tunnel.sessions().count(), 0);

    lns.tunnel.close(Stop::shutting_down(), lns.now);
    lns.tunnel.close(Stop::clear(), lns.now);
    let sent = lns.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(seen(&sent[0]), (Some(T::StopCcn), 0, 3, 4));
    assert_eq!(body(&sent[0]).result.map(|code| code.result), Some(6));
    let cause = TunnelDownCause::ByUs;
    assert_eq!(lns.events(), [Event::TunnelDown { cause }]);
    assert!(!lns.tunnel.is_closed());

    // Messages that crossed it are acknowledged and have no effect.
    lns.take(&control(LOCAL, 0, 4, 2, &[kind(T::Icrq), session_id(8)]))
        .unwrap();
    assert_eq!(lns.seen(), [(None, 0, 4, 5)]);
    lns.take(&control(LOCAL, 0, 5, 4, &[])).unwrap();
    assert!(lns.tunnel.is_closed());
    assert_eq!(lns.tunnel.poll_timeout(), None);
    assert_eq!(lns.events(), []);
}

#[test]
fn the_sessions_go_with_the_tunnel() {
    let (mut lns, local) = End::with_session(config());
    lns.tunnel.close(Stop::clear(), lns.now);
    let gone = SessionDownCause::TunnelDown;
    assert_eq!(
        lns.events(),
        [
            Event::SessionDown { local, cause: gone },
            Event::TunnelDown {
                cause: TunnelDownCause::ByUs
            }
        ]
    );
}

#[test]
fn hello_asks_only_after_an_idle_peer() {
    let (mut lns, _) = End::with_session(config());
    lns.now += seconds(50);
    lns.tunnel.note_data(lns.now);
    assert_eq!(
        lns.tunnel.next_timer(),
        Some((Timer::Hello, lns.now + seconds(60)))
    );
    // Old news do not bring it forward.
    lns.tunnel.note_data(lns.now - seconds(20));
    assert_eq!(lns.elapse(), seconds(60));
    assert_eq!(lns.seen(), [(Some(T::Hello), 0, 2, 4)]);
    // Answered: the next one is an idle time away.
    lns.now += seconds(1);
    lns.take(&control(LOCAL, 0, 4, 3, &[])).unwrap();
    assert_eq!(lns.elapse(), seconds(60));
    assert_eq!(lns.seen(), [(Some(T::Hello), 0, 3, 4)]);

    // Not answered: 7 repetitions, then the peer is gone.
    let waits: Vec<_> = (0..8).map(|_| lns.elapse().as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 8, 8, 8, 8]);
    assert_eq!(lns.sent().len(), 0);
    assert!(matches!(
        lns.events()[..],
        [
            Event::SessionDown { .. },
            Event::TunnelDown {
                cause: TunnelDownCause::Timeout
            }
        ]
    ));
    assert!(lns.tunnel.is_closed());
    assert_eq!(lns.tunnel.stats().hello_sent, 2);

    let mut quiet = End::established(Config {
        hello_idle: seconds(0),
        ..config()
    });
    assert_eq!(quiet.tunnel.poll_timeout(), None);
    quiet
        .take(&control(LOCAL, 0, 2, 1, &[kind(T::Hello)]))
        .unwrap();
    assert_eq!(quiet.seen(), [(None, 0, 1, 3)]);
    assert_eq!(quiet.tunnel.stats().hello_received, 1);
}

#[test]
fn what_follows_an_unanswered_hello_has_tries_of_its_own() {
    let (mut lns, local) = End::with_session(config());
    lns.elapse();
    let waits: Vec<_> = (0..6).map(|_| lns.elapse().as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    lns.tunnel
        .close_session(local, CallDisconnect::administrative(), lns.now);
    let waits: Vec<_> = (0..6).map(|_| lns.elapse().as_secs()).collect();
    assert_eq!(waits, [8, 8, 8, 8, 8, 8]);
    assert!(lns.tunnel.is_closed());

    // One that is answered at last is answered.
    let (mut lns, _) = End::with_session(config());
    for _ in 0..8 {
        lns.elapse();
    }
    lns.take(&control(LOCAL, 0, 4, 3, &[])).unwrap();
    assert_eq!(lns.tunnel.next_timer().unwrap().0, Timer::Hello);
    assert_eq!(lns.elapse(), seconds(60));
}

#[test]
fn what_is_not_established_in_time_is_closed() {
    let patient = Config {
        retransmit_tries: 100,
        ..config()
    };
    let mut lns = End::lns(patient);
    lns.take(&sccrq()).unwrap();
    let begin = lns.now;
    while lns.tunnel.state() == TunnelState::WaitCtlConn {
        lns.elapse();
    }
    assert_eq!(lns.now - begin, seconds(30));
    let cause = TunnelDownCause::SetupTimeout;
    assert_eq!(lns.events(), [Event::TunnelDown { cause }]);

    let mut lns = End::established(config());
    lns.take(&control(LOCAL, 0, 2, 1, &[kind(T::Icrq), session_id(7)]))
        .unwrap();
    lns.take(&control(LOCAL, 0, 3, 2, &[])).unwrap();
    let icrp = body(&lns.sent()[0]);
    assert_eq!(
        lns.tunnel.next_timer().map(|(timer, _)| timer),
        Some(Timer::SessionSetup)
    );
    assert_eq!(lns.elapse(), seconds(30));
    let sent = lns.sent();
    assert_eq!(seen(&sent[0]), (Some(T::Cdn), 7, 2, 3));
    let cdn = body(&sent[0]);
    assert_eq!(cdn.session_id, icrp.session_id);
    assert_eq!(cdn.result.map(|code| code.result), Some(10));
    assert!(matches!(
        lns.events()[..],
        [Event::SessionDown {
            cause: SessionDownCause::SetupTimeout,
            ..
        }]
    ));
    assert_eq!(lns.tunnel.state(), TunnelState::Established);
}

#[test]
fn a_client_that_starts_over_gets_a_new_tunnel() {
    // The peer's StopCCN is still being lingered over.
    let mut lns = End::established(config());
    lns.take(&control(LOCAL, 0, 2, 1, &[kind(T::StopCcn)]))
        .unwrap();
    assert_eq!(lns.tunnel.state(), TunnelState::Stopped);
    assert_eq!(lns.take(&sccrq()), Err(Error::StartedAnew));
    assert!(lns.tunnel.is_closed());

    // Our own StopCCN is not acknowledged by a client that has forgotten all.
    let mut lns = End::established(config());
    lns.tunnel.close(Stop::clear(), lns.now);
    lns.sent();
    assert_eq!(lns.take(&sccrq()), Err(Error::StartedAnew));
    assert!(lns.tunnel.is_closed());
    assert_eq!(lns.sent().len(), 0);
}

#[test]
fn a_client_that_lost_power_gets_a_new_tunnel_under_its_old_number() {
    let (mut lns, local) = End::with_session(config());
    // One that was under way for long is a repetition.
    lns.now += seconds(7);
    lns.take(&sccrq()).unwrap();
    assert_eq!(lns.seen(), [(None, 0, 2, 4)]);
    assert_eq!(lns.events(), []);

    lns.now += seconds(1);
    assert_eq!(lns.take(&sccrq()), Err(Error::StartedAnew));
    assert!(lns.tunnel.is_closed());
    // The new tunnel of the client has the old number: nothing may reach it.
    assert_eq!(lns.sent(), [[]; 0]);
    assert_eq!(
        lns.events(),
        [
            Event::SessionDown {
                local,
                cause: SessionDownCause::TunnelDown
            },
            Event::TunnelDown {
                cause: TunnelDownCause::StartedAnew
            }
        ]
    );
    assert_eq!(lns.tunnel.poll_timeout(), None);
}

#[test]
fn a_lac_may_stop_before_it_knows_our_tunnel_id() {
    let mut lns = End::lns(config());
    lns.take(&sccrq()).unwrap();
    lns.sent();
    let stop = |id| control(0, 0, 1, 0, &[kind(T::StopCcn), u16_avp(9, id)]);
    assert!(matches!(
        lns.take(&stop(REMOTE + 1)),
        Err(Error::WrongTunnel { tunnel: 0, .. })
    ));
    lns.take(&stop(REMOTE)).unwrap();
    assert_eq!(lns.tunnel.state(), TunnelState::Stopped);
    assert_eq!(lns.seen(), [(None, 0, 1, 2)]);
}

#[test]
fn a_lac_calls_as_soon_as_the_tunnel_is_up() {
    let mut lac = End::lac(config());
    let local = lac.tunnel.open_session(lac.now, &mut lac.rng);
    assert_ne!(local, 0);
    let sent = lac.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(seen(&sent[0]), (Some(T::Sccrq), 0, 0, 0));
    assert_eq!(header(&sent[0]).tunnel, 0);
    assert_eq!(header(&sent[0]).assigned_tunnel_id(None), Some(LOCAL));

    let mut sccrp = sccrq_avps();
    sccrp[0] = kind(T::Sccrp);
    lac.take(&control(LOCAL, 0, 0, 1, &sccrp)).unwrap();
    let sent = lac.sent();
    assert_eq!(seen(&sent[0]), (Some(T::Scccn), 0, 1, 1));
    assert_eq!(seen(&sent[1]), (Some(T::Icrq), 0, 2, 1));
    assert_eq!(header(&sent[1]).tunnel, REMOTE);
    assert_eq!(body(&sent[1]).session_id, Some(local));
    assert_eq!(lac.tunnel.remote_id(), Some(REMOTE));

    lac.take(&control(
        LOCAL,
        local,
        1,
        3,
        &[kind(T::Icrp), session_id(9)],
    ))
    .unwrap();
    assert_eq!(lac.seen(), [(Some(T::Iccn), 9, 3, 2)]);
    assert!(matches!(
        lac.events()[..],
        [
            Event::TunnelUp { .. },
            Event::SessionUp { local: up, remote: 9 }
        ] if up == local
    ));

    // A second one at once; a third has no room.
    let second = lac.tunnel.open_session(lac.now, &mut lac.rng);
    let third = lac.tunnel.open_session(lac.now, &mut lac.rng);
    assert_eq!(lac.seen(), [(Some(T::Icrq), 0, 4, 2)]);
    let cause = SessionDownCause::NotOpened;
    assert_eq!(
        lac.events(),
        [Event::SessionDown {
            local: third,
            cause
        }]
    );

    // Refused by the LNS, which says which session by our ID in the header.
    let result = avp(M, 0, 1, b"\0\x04\0\x04full");
    lac.take(&control(
        LOCAL,
        second,
        2,
        5,
        &[kind(T::Cdn), result, session_id(99)],
    ))
    .unwrap();
    let cause = SessionDownCause::ByPeer(CallDisconnect {
        result: CallResult(4),
        error: GeneralError(4),
        message: "full".into(),
        q931: None,
    });
    assert_eq!(
        lac.events(),
        [Event::SessionDown {
            local: second,
            cause
        }]
    );
}

#[test]
fn a_lac_closes_a_session_that_never_waited_for_anything() {
    let mut lac = End::lac(config());
    let local = lac.tunnel.open_session(lac.now, &mut lac.rng);
    lac.sent();
    lac.tunnel
        .close_session(local, CallDisconnect::administrative(), lac.now);
    assert_eq!(lac.sent().len(), 0);
    let cause = SessionDownCause::ByUs;
    assert_eq!(lac.events(), [Event::SessionDown { local, cause }]);

    // An SCCRQ into the void is given up.
    while !lac.tunnel.is_closed() {
        lac.elapse();
    }
    let cause = TunnelDownCause::SetupTimeout;
    assert_eq!(lac.events(), [Event::TunnelDown { cause }]);
}

#[test]
fn an_lns_that_wants_a_secret_or_calls_the_lac_is_refused() {
    let mut lac = End::lac(config());
    let mut sccrp = sccrq_avps();
    sccrp[0] = kind(T::Sccrp);
    sccrp.push(avp(M, 0, 11, &[7; 16]));
    assert_eq!(
        lac.take(&control(LOCAL, 0, 0, 1, &sccrp)),
        Err(Error::Tunnel(Fault::Challenge))
    );
    let sent = lac.sent();
    let stop = sent.last().unwrap();
    assert_eq!(header(stop).tunnel, REMOTE);
    let result = body(stop).result.unwrap();
    assert_eq!((result.result, result.error), (4, 0));
    assert!(result.message.contains("no tunnel secret is configured"));

    let mut lac = End::lac(config());
    sccrp.pop();
    lac.take(&control(LOCAL, 0, 0, 1, &sccrp)).unwrap();
    lac.sent();
    assert_eq!(
        lac.take(&control(LOCAL, 0, 1, 2, &[kind(T::Icrq), session_id(7)])),
        Err(Error::Session(Fault::IncomingCall))
    );
    let sent = lac.sent();
    assert_eq!(seen(&sent[0]), (Some(T::Cdn), 7, 2, 2));
    assert_eq!(body(&sent[0]).result.map(|code| code.result), Some(5));
}

#[test]
fn a_session_can_ask_for_sequence_numbers() {
    let mut lns = End::established(config());
    lns.take(&control(LOCAL, 0, 2, 1, &[kind(T::Icrq), session_id(7)]))
        .unwrap();
    let local = body(&lns.sent()[0]).session_id.unwrap();
    assert!(!lns.tunnel.sequencing(local).is_sending());
    let iccn = control(LOCAL, local, 3, 2, &[kind(T::Iccn), avp(M, 0, 39, &[])]);
    lns.take(&iccn).unwrap();
    let mut sequencing = lns.tunnel.sequencing(local);
    assert_eq!(
        (sequencing.next_ns(), sequencing.next_ns()),
        (Some(0), Some(1))
    );
    assert!(!lns.tunnel.sequencing(local.wrapping_add(1)).is_sending());
}

#[test]
fn a_stop_does_not_wait_behind_what_was_never_sent() {
    let mut lns = End::lns(config());
    let mut avps = sccrq_avps();
    avps.push(u16_avp(10, 1));
    lns.take(&control(0, 0, 0, 0, &avps)).unwrap();
    lns.take(&control(LOCAL, 0, 1, 1, &[kind(T::Scccn)]))
        .unwrap();
    for ns in 2..4 {
        lns.take(&control(LOCAL, 0, ns, 1, &[kind(T::Icrq), session_id(ns)]))
            .unwrap();
    }
    lns.sent();
    // One ICRP is on its way, the other waits for the peer's window of 1.
    lns.tunnel.close(Stop::clear(), lns.now);
    assert_eq!(lns.seen(), []);
    lns.take(&control(LOCAL, 0, 4, 2, &[])).unwrap();
    assert_eq!(lns.seen(), [(Some(T::StopCcn), 0, 2, 4)]);
}

#[test]
fn a_tunnel_cannot_be_moved_to_another_id() {
    let mut lns = End::established(config());
    let mut avps = sccrq_avps();
    avps[4] = u16_avp(9, REMOTE + 1);
    let again = control(LOCAL, 0, 2, 1, &avps);
    assert!(matches!(lns.take(&again), Err(Error::Tunnel(_))));
    let sent = lns.sent();
    assert_eq!(header(&sent[0]).tunnel, REMOTE);
    assert_eq!(body(&sent[0]).result.map(|code| code.result), Some(7));
}

#[test]
fn what_is_said_about_a_line_is_told() {
    let (mut lns, local) = End::with_session(config());
    let accm = avp(M, 0, 35, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    lns.take(&control(LOCAL, local, 4, 2, &[kind(T::Sli), accm]))
        .unwrap();
    let mut counters = vec![0; 25];
    counters.push(7);
    let errors = avp(M, 0, 34, &counters);
    lns.take(&control(LOCAL, local, 5, 2, &[kind(T::Wen), errors]))
        .unwrap();
    assert_eq!(
        lns.events(),
        [
            Event::LinkInfo {
                local,
                accm: Accm {
                    send: u32::MAX,
                    receive: 0
                }
            },
            Event::WanErrors {
                local,
                errors: CallErrors {
                    alignment: 7,
                    ..CallErrors::default()
                }
            },
        ]
    );
    let stats = lns.tunnel.stats();
    assert_eq!((stats.sli_received, stats.wen_received), (1, 1));

    // Before the session is established there is no line to speak of.
    lns.take(&control(LOCAL, 0, 6, 2, &[kind(T::Icrq), session_id(8)]))
        .unwrap();
    let icrp = body(&lns.sent()[0]);
    let second = icrp.session_id.unwrap();
    let accm = avp(M, 0, 35, &[0; 10]);
    lns.take(&control(LOCAL, second, 7, 3, &[kind(T::Sli), accm]))
        .unwrap();
    assert_eq!(lns.events(), []);
}

#[test]
fn a_lac_can_demand_sequence_numbers() {
    let mut lac = End::lac(Config {
        sequencing: true,
        ..config()
    });
    let local = lac.tunnel.open_session(lac.now, &mut lac.rng);
    let mut sccrp = sccrq_avps();
    sccrp[0] = kind(T::Sccrp);
    lac.take(&control(LOCAL, 0, 0, 1, &sccrp)).unwrap();
    lac.sent();
    lac.take(&control(
        LOCAL,
        local,
        1,
        3,
        &[kind(T::Icrp), session_id(9)],
    ))
    .unwrap();
    assert!(body(&lac.sent()[0]).sequencing_required);
    assert!(lac.tunnel.sequencing(local).is_sending());

    // One that does not follows its LNS.
    let mut plain = End::lac(config());
    let local = plain.tunnel.open_session(plain.now, &mut plain.rng);
    let mut sequencing = plain.tunnel.sequencing(local);
    assert!(!sequencing.is_sending());
    assert_eq!(sequencing.receive(Some(0)), Order::Next);
    assert!(sequencing.is_sending());
}

#[test]
fn a_peer_that_overruns_the_window_is_counted_and_loses_nothing() {
    let mut lns = End::established(config());
    let hello = |ns| control(LOCAL, 0, ns, 1, &[kind(T::Hello)]);
    // Our window is 4: of 2 to 9, with 2 missing, 3 to 5 are held.
    for ns in 3..10 {
        assert_eq!(lns.take(&hello(ns)).is_err(), ns > 5, "{ns}");
    }
    assert_eq!(lns.tunnel.stats().outside_window, 4);
    lns.take(&hello(2)).unwrap();
    assert_eq!(lns.seen(), [(None, 0, 1, 6)]);
    for ns in 6..10 {
        lns.take(&hello(ns)).unwrap();
    }
    assert_eq!(lns.tunnel.stats().hello_received, 8);
}
