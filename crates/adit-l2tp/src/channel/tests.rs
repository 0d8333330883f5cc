use super::*;
use crate::header::{Packet, decode};

fn start() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "where a test's virtual time begins does not matter"
    )]
    Instant::now()
}

fn channel() -> Channel {
    Channel::new(&Config {
        receive_window: 4,
        retransmit_tries: 6,
        ..Config::default()
    })
}

fn fill(channel: &mut Channel, bodies: std::ops::Range<u8>, now: Instant) {
    for body in bodies {
        channel.queue(0, vec![body], now);
    }
}

/// Ns of every message, and then of the acknowledgement, that is to be sent now; a ZLB counts as
/// None.
fn sent(channel: &mut Channel) -> Vec<(u16, Option<u8>)> {
    std::iter::from_fn(|| channel.poll_transmit())
        .map(|datagram| match decode(&datagram) {
            Ok(Packet::Control(control)) => (control.ns, control.avps.first().copied()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn take(channel: &mut Channel, ns: u16, body: &[u8]) -> Result<Received, Error> {
    let datagram = encode_control(1, 0, ns, 0, body);
    let Ok(Packet::Control(control)) = decode(&datagram) else {
        panic!();
    };
    channel.receive(&control, &datagram)
}

#[test]
fn the_window_opens_slowly_and_never_past_the_peers() {
    let now = start();
    let mut channel = channel();
    channel.set_peer_window(3);
    fill(&mut channel, 0..20, now);
    let mut acknowledged = 0;
    let mut flights = Vec::new();
    while !channel.is_drained() {
        let flight = sent(&mut channel);
        flights.push(flight.len());
        acknowledged += u16::try_from(flight.len()).unwrap();
        assert_eq!(flight.last().map(|(ns, _)| *ns), Some(acknowledged - 1));
        channel.acknowledge(acknowledged, now).unwrap();
    }
    assert_eq!(flights, [1, 2, 3, 3, 3, 3, 3, 2]);
    assert_eq!(channel.stats.sent, 20);
    assert_eq!(channel.stats.retransmitted, 0);
    assert_eq!(channel.poll_timeout(), None);
}

/// Appendix A: doubling up to the threshold, then one more for each window that was acknowledged;
/// a loss halves the threshold and begins again with one.
#[test]
fn congestion_halves_the_threshold_and_the_window_grows_slowly_above_it() {
    let mut now = start();
    let mut channel = channel();
    channel.set_peer_window(32);
    fill(&mut channel, 0..250, now);
    let mut acknowledged = 0;
    let mut flights = |channel: &mut Channel, count: usize, now: Instant| -> Vec<usize> {
        let flight = |_| {
            let flight = sent(channel);
            acknowledged = flight.last().unwrap().0 + 1;
            channel.acknowledge(acknowledged, now).unwrap();
            flight.len()
        };
        (0..count).map(flight).collect()
    };
    assert_eq!(flights(&mut channel, 6, now), [1, 2, 4, 8, 16, 32]);

    // The whole flight of 32 is lost.
    assert_eq!(sent(&mut channel).len(), 32);
    now = channel.poll_timeout().unwrap();
    assert!(channel.handle_timeout(now));
    assert_eq!((channel.congestion_window, channel.threshold), (1, 16));
    assert_eq!(flights(&mut channel, 7, now), [1, 2, 4, 8, 16, 17, 18]);
    assert_eq!(channel.stats.retransmitted, 32);

    // Another loss halves what had been reached.
    sent(&mut channel);
    now = channel.poll_timeout().unwrap();
    assert!(channel.handle_timeout(now));
    assert_eq!((channel.congestion_window, channel.threshold), (1, 9));
}

#[test]
fn retransmissions_back_off_to_the_cap_and_end() {
    let begin = start();
    let mut now = begin;
    let mut channel = channel();
    channel.queue(0, vec![1], now);
    assert_eq!(sent(&mut channel), [(0, Some(1))]);
    let mut waits = Vec::new();
    loop {
        let due = channel.poll_timeout().unwrap();
        assert!(channel.handle_timeout(due - Duration::from_millis(1)));
        assert_eq!(sent(&mut channel), []);
        waits.push((due - now).as_secs());
        now = due;
        if !channel.handle_timeout(now) {
            break;
        }
        assert_eq!(sent(&mut channel), [(0, Some(1))]);
    }
    assert_eq!(waits, [1, 2, 4, 8, 8, 8, 8]);
    assert_eq!(channel.stats.retransmitted, 6);
    assert!(channel.is_drained());
    assert_eq!(channel.poll_timeout(), None);
}

#[test]
fn after_a_timeout_the_whole_flight_goes_again_from_its_front() {
    let now = start();
    let mut channel = channel();
    channel.set_peer_window(8);
    fill(&mut channel, 0..3, now);
    sent(&mut channel);
    channel.acknowledge(1, now).unwrap();
    assert_eq!(sent(&mut channel), [(1, Some(1)), (2, Some(2))]);
    channel.handle_timeout(now + Duration::from_secs(1));
    assert_eq!(sent(&mut channel), [(1, Some(1))]);
    // An acknowledgement of both covers the one that is not in flight again.
    channel.acknowledge(3, now).unwrap();
    assert!(channel.is_drained());

    // Progress makes waits short again.
    channel.queue(0, vec![9], now);
    assert_eq!(channel.poll_timeout(), Some(now + Duration::from_secs(1)));
}

#[test]
fn only_what_was_sent_can_be_acknowledged() {
    let now = start();
    let mut channel = channel();
    fill(&mut channel, 0..3, now);
    for nr in [2, 3, 0x7fff] {
        assert_eq!(
            channel.acknowledge(nr, now),
            Err(Error::BadNr { nr, next: 1 })
        );
    }
    assert_eq!(channel.stats.bad_header, 3);
    // Overtaken ones are nothing new.
    for nr in [0, 0xffff, 0x8000] {
        assert_eq!(channel.acknowledge(nr, now), Ok(()));
    }
    assert_eq!(channel.backlog(), 3);
    channel.acknowledge(1, now).unwrap();
    assert_eq!(channel.backlog(), 2);
}

#[test]
fn both_numberings_wrap() {
    let now = start();
    let mut channel = channel();
    for message in 0..70_000_u32 {
        let ns = u16::try_from(message % 65_536).unwrap();
        channel.queue(0, vec![7], now);
        assert_eq!(sent(&mut channel).first(), Some(&(ns, Some(7))));
        channel.acknowledge(ns.wrapping_add(1), now).unwrap();
        assert_eq!(take(&mut channel, ns, b"x"), Ok(Received::Next));
        assert_eq!(take(&mut channel, ns, b"x"), Ok(Received::Duplicate));
    }
    assert_eq!(channel.stats.sent, 70_000);
    assert_eq!(channel.stats.received, 70_000);
    assert_eq!(channel.next(), 70_000_u32 as u16);
}

#[test]
fn messages_out_of_order_are_held_up_to_the_window() {
    let mut channel = channel();
    assert_eq!(take(&mut channel, 2, b"c"), Ok(Received::Held));
    assert_eq!(take(&mut channel, 2, b"c"), Ok(Received::Held));
    assert_eq!(take(&mut channel, 3, b"d"), Ok(Received::Held));
    let outside = Error::OutsideWindow { ns: 4, expected: 0 };
    assert_eq!(take(&mut channel, 4, b"e"), Err(outside));
    // Dropped or not, the peer hears what is missing.
    assert_eq!(sent(&mut channel), [(0, None)]);
    assert_eq!(channel.next_held(), None);

    assert_eq!(take(&mut channel, 0, b"a"), Ok(Received::Next));
    assert_eq!(channel.next_held(), None);
    assert_eq!(take(&mut channel, 1, b"b"), Ok(Received::Next));
    let held: Vec<_> = std::iter::from_fn(|| channel.next_held())
        .map(|datagram| datagram[12])
        .collect();
    assert_eq!(held, b"cd");
    assert_eq!(channel.stats.out_of_order, 2);
    assert_eq!(channel.stats.duplicates, 1);
    assert_eq!(channel.stats.received, 4);
    assert_eq!(channel.stats.outside_window, 1);
    let long = vec![0; MAX_HELD_LEN];
    assert!(matches!(
        take(&mut channel, 6, &long),
        Err(Error::TooLong { expected: 4, .. })
    ));
    assert_eq!(channel.stats.too_long, 1);
    assert!(channel.held.is_empty());
}

#[test]
fn the_largest_window_leaves_duplicates_recognizable() {
    let mut channel = Channel::new(&Config {
        receive_window: u16::MAX,
        ..Config::default()
    });
    assert_eq!(take(&mut channel, 0x7ffe, b"x"), Ok(Received::Held));
    assert!(take(&mut channel, 0x7fff, b"x").is_err());
    assert_eq!(take(&mut channel, 0x8000, b"x"), Ok(Received::Duplicate));
}

#[test]
fn an_acknowledgement_is_sent_alone_only_if_nothing_carries_it() {
    let now = start();
    let mut channel = channel();
    channel.remote_tunnel = 0x0809;
    take(&mut channel, 0, b"x").unwrap();
    channel.queue(0x0a0b, vec![1], now);
    take(&mut channel, 1, b"x").unwrap();
    let expected = encode_control(0x0809, 0x0a0b, 0, 2, &[1]);
    assert_eq!(channel.poll_transmit(), Some(expected));
    assert_eq!(channel.poll_transmit(), None);

    take(&mut channel, 1, b"x").unwrap();
    let zlb = encode_control(0x0809, 0, 1, 2, &[]);
    assert_eq!(channel.poll_transmit(), Some(zlb));
    assert_eq!(channel.poll_transmit(), None);
    assert_eq!(channel.stats.zlb_sent, 1);
}

#[test]
fn an_acknowledgement_needs_none_itself() {
    let mut channel = channel();
    assert_eq!(take(&mut channel, 9, b""), Ok(Received::Zlb));
    assert_eq!(channel.poll_transmit(), None);
    assert_eq!(channel.next(), 0);
}

#[test]
fn what_was_never_sent_can_be_taken_back() {
    let now = start();
    let mut channel = channel();
    fill(&mut channel, 0..9, now);
    channel.drop_unsent();
    channel.queue(0, vec![99], now);
    assert_eq!(sent(&mut channel), [(0, Some(0))]);
    channel.acknowledge(1, now).unwrap();
    assert_eq!(sent(&mut channel), [(1, Some(99))]);
}

#[test]
fn the_first_message_can_be_repeated_at_once() {
    let now = start();
    let mut channel = channel();
    channel.repeat_first();
    assert_eq!(sent(&mut channel), []);
    channel.queue(0, vec![5], now);
    channel.repeat_first();
    assert_eq!(sent(&mut channel), [(0, Some(5))]);
    channel.repeat_first();
    channel.repeat_first();
    assert_eq!(sent(&mut channel), [(0, Some(5))]);
    assert_eq!(channel.poll_timeout(), Some(now + Duration::from_secs(1)));
}

#[test]
fn a_held_message_is_forgotten_when_it_comes_in_its_turn() {
    let mut channel = channel();
    take(&mut channel, 1, b"b").unwrap();
    take(&mut channel, 0, b"a").unwrap();
    // The tunnel did not ask for the held one, as when the peer is held up.
    assert_eq!(take(&mut channel, 1, b"b"), Ok(Received::Next));
    assert!(channel.held.is_empty());
}

#[test]
fn a_timeout_halves_the_window_that_was_really_used() {
    let now = start();
    let mut channel = channel();
    channel.set_peer_window(4);
    fill(&mut channel, 0..60, now);
    while channel.backlog() > 20 {
        let flight = sent(&mut channel);
        let (last, _) = flight.last().unwrap();
        channel.acknowledge(last + 1, now).unwrap();
    }
    assert_eq!(sent(&mut channel).len(), 4);
    channel.handle_timeout(now + Duration::from_secs(1));
    let mut flights = Vec::new();
    while !channel.is_drained() {
        let flight = sent(&mut channel);
        flights.push(flight.len());
        let (last, _) = flight.last().unwrap();
        channel.acknowledge(last + 1, now).unwrap();
    }
    // Slow start to half of 4, then one more for each whole window.
    assert_eq!(flights, [1, 2, 3, 4, 4, 3]);
}
