//! Both ends open a tunnel at the same time (RFC 2661 4.4.3, Tie Breaker), and the role that each
//! keeps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of a test may fail as the test may"
)]

mod common;

use adit_l2tp::MessageType as T;
use adit_l2tp::{Config, Error, Event, Role, SessionState, Tunnel, TunnelDownCause, TunnelState};
use common::*;

fn end(role: Role, id: u16, seed: u8, tie_breaker: bool) -> End {
    let config = Config {
        tie_breaker,
        secret: secret(),
        ..config()
    };
    let now = start();
    let mut rng = adit_crypto::Rng::from_seed([seed; 32]);
    let tunnel = Tunnel::initiate(&std::sync::Arc::new(config), role, id, now, &mut rng);
    End { tunnel, now, rng }
}

/// Lets everything through, both ways at once, until nothing is said any more.
fn settle(a: &mut End, b: &mut End) -> Vec<Result<(), Error>> {
    let mut results = Vec::new();
    loop {
        let from_a = a.sent();
        let from_b = b.sent();
        if from_a.is_empty() && from_b.is_empty() {
            return results;
        }
        results.extend(from_b.iter().map(|datagram| a.take(datagram)));
        results.extend(from_a.iter().map(|datagram| b.take(datagram)));
    }
}

#[test]
fn one_of_two_tunnels_is_left_and_the_calls_go_through_it() {
    let mut won = [0, 0];
    for seed in 0..20 {
        let mut lac = end(Role::Lac, 11, seed, true);
        let mut lns = end(Role::Lns, 22, seed + 100, true);
        let call = lac.tunnel.open_session(lac.now, &mut lac.rng);
        let results = settle(&mut lac, &mut lns);
        assert_eq!(
            results
                .iter()
                .filter(|result| **result == Err(Error::Tie))
                .count(),
            1
        );
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
        for end in [&lac, &lns] {
            assert_eq!(end.tunnel.state(), TunnelState::Established);
            assert!(end.tunnel.is_authenticated());
            let stats = end.tunnel.stats();
            assert_eq!((stats.ties, stats.retransmitted), (1, 0));
        }
        assert_eq!(lac.tunnel.remote_id(), Some(22));
        assert_eq!(lns.tunnel.remote_id(), Some(11));
        let (local, _, state) = lac.tunnel.sessions().next().unwrap();
        assert_eq!((local, state), (call, SessionState::Established));
        assert!(matches!(
            lns.events()[..],
            [Event::TunnelUp { .. }, Event::SessionUp { remote, .. }] if remote == call
        ));
        // The first datagram is the SCCRQ to the LAC, which says so if it won.
        won[usize::from(results[0].is_err())] += 1;
    }
    assert!(won.iter().all(|won| *won > 0), "{won:?}");
}

#[test]
fn a_tie_breaker_wins_over_none() {
    for with in [true, false] {
        let mut lac = end(Role::Lac, 11, 1, with);
        let mut lns = end(Role::Lns, 22, 2, !with);
        let results = settle(&mut lac, &mut lns);
        // The one with the tie breaker is told that it won; the other's SCCRQ is never answered.
        assert_eq!(results[usize::from(!with)], Err(Error::Tie));
        assert_eq!(lac.tunnel.state(), TunnelState::Established);
        assert_eq!(lns.tunnel.state(), TunnelState::Established);
    }
}

#[test]
fn equal_tie_breakers_end_both() {
    let mut lac = end(Role::Lac, 11, 7, true);
    let mut lns = end(Role::Lns, 22, 7, true);
    // The same generator with another draw before would differ: the LAC draws a serial number.
    let own = body(&lns.sent()[0]).tie_breaker.unwrap();
    let mut sccrq = sccrq_avps();
    sccrq.push(avp(0, 0, 5, &own));
    assert_eq!(lns.take(&control(0, 0, 0, 0, &sccrq)), Err(Error::Tie));
    let cause = TunnelDownCause::Tie;
    assert_eq!(lns.events(), [Event::TunnelDown { cause }]);
    assert!(lns.tunnel.is_closed());
    assert_eq!(lns.sent().len(), 0);
    assert_eq!(lns.tunnel.poll_timeout(), None);

    // What merely looks like an SCCRQ breaks no tie.
    let ours = lac.sent();
    let mut lower = sccrq_avps();
    lower.push(avp(0, 0, 5, &[0; 8]));
    for junk in [
        control(0, 0, 1, 0, &lower),
        control(0, 0, 0, 0, &lower[..3]),
        control(0, 0, 0, 0, &[lower.clone(), vec![vec![0x80]]].concat()),
        control(0, 0, 0, 0, &[kind(T::Hello)]),
    ] {
        assert!(lac.take(&junk).is_err());
        assert_eq!(lac.tunnel.state(), TunnelState::WaitCtlReply);
    }
    assert_eq!(lac.sent().len(), 0);
    assert_eq!(lac.tunnel.stats().ties, 0);
    // A tie breaker of another length is malformed, and so none: ours wins.
    let mut short = sccrq_avps();
    short.push(avp(0, 0, 5, &[0; 7]));
    assert_eq!(lac.take(&control(0, 0, 0, 0, &short)), Err(Error::Tie));
    assert_eq!(ours.len(), 1);
}

#[test]
fn without_tie_breakers_the_peers_sccrq_is_another_tunnels() {
    let mut lac = end(Role::Lac, 11, 1, false);
    let mut lns = end(Role::Lns, 22, 2, false);
    let wrong = |local| Error::WrongTunnel { tunnel: 0, local };
    assert_eq!(settle(&mut lac, &mut lns), [Err(wrong(11)), Err(wrong(22))]);
    for end in [&lac, &lns] {
        assert_eq!(end.tunnel.state(), TunnelState::WaitCtlReply);
    }
}

#[test]
fn a_lac_that_lost_its_tie_still_refuses_calls() {
    let mut lac = end(Role::Lac, LOCAL, 3, false);
    lac.sent();
    let mut sccrq = sccrq_avps();
    sccrq.push(avp(0, 0, 5, &[0; 8]));
    lac.tunnel = lac.tunnel.with_secret(None);
    lac.take(&control(0, 0, 0, 0, &sccrq)).unwrap();
    assert_eq!(lac.seen(), [(Some(T::Sccrp), 0, 0, 1)]);
    lac.take(&control(LOCAL, 0, 1, 1, &[kind(T::Scccn)]))
        .unwrap();
    let icrq = control(LOCAL, 0, 2, 1, &[kind(T::Icrq), session_id(7)]);
    assert!(matches!(lac.take(&icrq), Err(Error::Session(_))));
    let sent = lac.sent();
    assert_eq!(seen(&sent[0]).0, Some(T::Cdn));
    // What an LNS wants dialled is refused as politely.
    let ocrq = control(LOCAL, 0, 3, 2, &[kind(T::Ocrq), session_id(8)]);
    assert!(matches!(lac.take(&ocrq), Err(Error::Session(_))));
    let result = body(&lac.sent()[0]).result.unwrap();
    assert_eq!((result.result, result.error), (5, 0));
    assert_eq!(result.message, "outgoing calls are not supported");
}
