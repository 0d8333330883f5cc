//! Dead peer detection, RFC 3706.

use super::*;

fn config() -> Config {
    Config {
        dpd: Some(Dpd {
            idle: Duration::from_secs(20),
            retry: Duration::from_secs(5),
            tries: 3,
        }),
        ..Config::default()
    }
}

#[test]
fn living_peers_answer() {
    let mut pair = Pair::established(
        config(),
        Config {
            dpd: None,
            ..config()
        },
    );
    pair.seconds(300);
    assert!(pair.client.sa().is_established() && pair.server.sa().is_established());
    let (client, server) = (pair.client.sa().stats(), pair.server.sa().stats());
    assert!((14..=15).contains(&client.dpd_sent), "{client:?}");
    assert_eq!(server.dpd_answered, client.dpd_sent);
    assert_eq!(server.dpd_sent, 0);
    assert_eq!(client.unexpected, 0);
}

#[test]
fn traffic_makes_questions_needless() {
    let mut pair = Pair::established(
        config(),
        Config {
            dpd: None,
            ..config()
        },
    );
    for _ in 0..10 {
        pair.seconds(15);
        let now = pair.now;
        pair.client.sa().note_peer_alive(now);
    }
    assert_eq!(pair.client.sa().stats().dpd_sent, 0);
}

#[test]
fn a_dead_peer_is_noticed() {
    let mut pair = Pair::established(config(), config());
    pair.cut = true;
    pair.seconds(32);
    assert_eq!(pair.client.closed(), None);
    pair.seconds(2);
    let dead = CloseReason::PeerDead { tries: 3 };
    assert_eq!(pair.client.closed(), Some(&dead));
    assert_eq!(pair.server.closed(), Some(&dead));
}

#[test]
fn a_question_that_comes_again_gets_the_same_answer() {
    let mut pair = Pair::established(config(), config());
    let now = pair.now;
    let question = {
        let Host { sa, rng, .. } = &mut pair.client;
        let sa = sa.as_mut().unwrap();
        sa.ask_alive(5, rng);
        sa.poll_transmit().unwrap()
    };
    let path = pair.server.sa().path();
    let Host { sa, rng, .. } = &mut pair.server;
    let sa = sa.as_mut().unwrap();
    sa.handle_message(path, &question.payload, now, rng)
        .unwrap();
    let first = sa.poll_transmit().unwrap();
    let mut again = 0;
    for _ in 0..100 {
        sa.handle_message(path, &question.payload, now, rng)
            .unwrap();
        while let Some(transmit) = sa.poll_transmit() {
            assert_eq!(transmit, first);
            again += 1;
        }
    }
    assert_eq!(again, 10);
    assert_eq!(sa.stats().dpd_answered, 1);
}

#[test]
fn an_older_question_is_not_answered() {
    let mut pair = Pair::established(config(), config());
    let now = pair.now;
    let path = pair.server.sa().path();
    let mut ask = |sequence| {
        let Host { sa, rng, .. } = &mut pair.client;
        let sa = sa.as_mut().unwrap();
        sa.ask_alive(sequence, rng);
        let question = sa.poll_transmit().unwrap().payload;
        let Host { sa, rng, .. } = &mut pair.server;
        let sa = sa.as_mut().unwrap();
        let result = sa.handle_message(path, &question, now, rng);
        (result, sa.poll_transmit().is_some())
    };
    assert_eq!(ask(7), (Ok(()), true));
    assert!(matches!(ask(6), (Err(Error::Replayed(_)), false)));
    assert_eq!(ask(8), (Ok(()), true));
}

#[test]
fn an_answer_to_no_question_proves_nothing() {
    let mut pair = Pair::established(config(), config());
    pair.seconds(10);
    let now = pair.now;
    let path = pair.client.sa().path();
    let due = pair.client.sa().poll_timeout();
    let answer = {
        let Host { sa, rng, .. } = &mut pair.server;
        let sa = sa.as_mut().unwrap();
        let cookies = sa.both_cookies();
        sa.inform_notify(1, &cookies, 36137, &[0; 4], rng);
        sa.poll_transmit().unwrap().payload
    };
    let Host { sa, rng, .. } = &mut pair.client;
    let sa = sa.as_mut().unwrap();
    assert!(sa.handle_message(path, &answer, now, rng).is_err());
    assert_eq!(sa.poll_timeout(), due);
}
