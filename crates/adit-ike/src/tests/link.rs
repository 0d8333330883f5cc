//! Links that lose, repeat and reorder.

use super::*;
use adit_crypto::Group;

/// Runs a whole life of an SA over bad weather: phase 1, Quick Modes of both ends, deletion.
fn survives(seed: u8, pfs: Option<Group>, weather: Weather) {
    let config = Config {
        pfs,
        negotiation_timeout: Duration::from_secs(120),
        retransmit: Retransmit {
            tries: 20,
            cap: Duration::from_secs(4),
            ..Config::default().retransmit
        },
        dpd: Some(Dpd {
            idle: Duration::from_secs(20),
            retry: Duration::from_secs(3),
            tries: 20,
        }),
        ..Config::default()
    };
    let mut pair = Pair::seeded(config.clone(), config, seed);
    pair.weather = weather;
    pair.connect();
    pair.seconds(110);
    assert!(
        pair.client.sa().is_established(),
        "seed {seed}: {:?}",
        pair.client.errors
    );
    assert!(
        pair.server.sa().is_established(),
        "seed {seed}: {:?}",
        pair.server.errors
    );
    pair.start_quick(true, false);
    pair.start_quick(false, false);
    pair.seconds(110);
    let (clients, servers) = (pair.client.children(), pair.server.children());
    assert_eq!((clients.len(), servers.len()), (2, 2), "seed {seed}");
    for child in &clients {
        let twin = servers
            .iter()
            .find(|twin| twin.inbound_spi == child.outbound_spi);
        assert_fit(child, twin.unwrap());
    }
    for host in [&pair.client, &pair.server] {
        assert!(
            host.has(|event| matches!(event, Event::ChildConfirmed { .. })),
            "seed {seed}"
        );
        assert!(host.failures().is_empty());
        assert_eq!(host.closed(), None);
    }
    // Each request needs an answer that it gets at most ten times more often than it was asked.
    let sent = pair.log.iter().filter(|(to_server, _)| !to_server).count();
    let received = pair.log.iter().filter(|(to_server, _)| *to_server).count();
    assert!(
        sent <= received * 4 + 40,
        "seed {seed}: {sent} for {received}"
    );
}

#[test]
fn loss_repetition_and_reordering() {
    for seed in 0..40 {
        let weather = Weather {
            lost: 25,
            repeated: 25,
            delayed: 40,
        };
        survives(seed, None, weather);
    }
}

#[test]
fn the_same_with_perfect_forward_secrecy() {
    for seed in 100..110 {
        let weather = Weather {
            lost: 30,
            repeated: 20,
            delayed: 20,
        };
        survives(seed, Some(Group::Ecp256), weather);
    }
}

#[test]
fn everything_twice() {
    let weather = Weather {
        repeated: 100,
        ..Weather::default()
    };
    survives(7, None, weather);
}

#[test]
fn a_quick_mode_before_the_end_of_phase_1_is_dropped_and_counted() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.connect();
    while pair.log.len() < 5 {
        pair.run(Duration::from_millis(5));
    }
    let template = parse_header(&pair.log[4].1.payload).unwrap();
    let early = Header {
        exchange: 32,
        message_id: 9,
        ..template
    }
    .write(&[7; 64]);
    let path = pair.server.sa().path();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    let sa = sa.as_mut().unwrap();
    assert_eq!(
        sa.handle_message(path, &early, now, rng),
        Err(Error::Premature)
    );
    assert_eq!(sa.stats().premature, 1);
    pair.seconds(1);
    assert!(pair.server.sa().is_established());
}

#[test]
fn answers_to_repetitions_are_bounded() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.connect();
    pair.seconds(1);
    let path = pair.server.sa().path();
    let fifth = pair.log[4].1.payload.clone();
    let now = pair.now;
    let Host { sa, rng, .. } = &mut pair.server;
    let sa = sa.as_mut().unwrap();
    for _ in 0..50 {
        sa.handle_message(path, &fifth, now, rng).unwrap();
    }
    let answers = std::iter::from_fn(|| sa.poll_transmit()).count();
    assert_eq!(answers, 10);
    assert_eq!(sa.stats().duplicates, 50);
}
