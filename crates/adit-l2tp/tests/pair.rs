//! LAC and LNS in memory, joined by a link that loses, repeats and reorders, on a virtual clock.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of a test may fail as the test may"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_l2tp::{
    CallDisconnect, CallResult, Config, Event, GeneralError, Role, SessionDownCause, Stop,
    StopResult, Tunnel, TunnelDownCause, decode,
};
use common::{seconds, secret, start};

const LAC: usize = 0;
const LNS: usize = 1;

struct Pair {
    now: Instant,
    rng: Rng,
    /// Of 100 datagrams: how many are lost, how many come twice, how many are late.
    trouble: u32,
    /// Datagrams under way: when they arrive, where, what.
    link: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    ends: [Tunnel; 2],
    events: [Vec<Event>; 2],
}

impl Pair {
    fn new(seed: u8, trouble: u32, config: Config) -> Self {
        let now = start();
        let mut rng = Rng::from_seed([seed; 32]);
        let config = Arc::new(config);
        let lac = Tunnel::initiate(&config, Role::Lac, 11, now, &mut rng);
        let lns = Tunnel::accept(&config, 22, now);
        Self {
            now,
            rng,
            trouble,
            link: BTreeMap::new(),
            sent: 0,
            ends: [lac, lns],
            events: [Vec::new(), Vec::new()],
        }
    }

    fn chance(&mut self) -> bool {
        self.rng.below(100) < self.trouble
    }

    /// Puts everything that both ends say on the link.
    fn drive(&mut self) {
        for end in [LAC, LNS] {
            while let Some(datagram) = self.ends[end].poll_transmit() {
                assert!(decode(&datagram).is_ok());
                let copies = if self.chance() { 2 } else { 1 };
                for _ in 0..copies {
                    if self.chance() {
                        continue;
                    }
                    let mut delay = 20 + self.rng.below(20);
                    if self.chance() {
                        delay += self.rng.below(1500);
                    }
                    self.sent += 1;
                    let at = self.now + Duration::from_millis(delay.into());
                    self.link
                        .insert((at, self.sent), (1 - end, datagram.clone()));
                }
            }
            while let Some(event) = self.ends[end].poll_event() {
                self.events[end].push(event);
            }
        }
    }

    /// Goes on to the next datagram or deadline. False: nothing will ever happen again.
    fn step(&mut self) -> bool {
        self.drive();
        let arrival = self.link.first_key_value().map(|((at, _), _)| *at);
        let deadlines = self.ends.iter().filter_map(Tunnel::poll_timeout);
        let Some(next) = deadlines.chain(arrival).min() else {
            return false;
        };
        self.now = self.now.max(next);
        let later = self.link.split_off(&(self.now, u64::MAX));
        for (_, (to, datagram)) in std::mem::replace(&mut self.link, later) {
            // Late and repeated datagrams may be refused; the events show what was believed.
            let _ = self.ends[to].handle_datagram(&datagram, self.now, &mut self.rng);
        }
        for end in &mut self.ends {
            end.handle_timeout(self.now, &mut self.rng);
        }
        true
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let limit = self.now + seconds(1200);
        while !done(self) {
            assert!(self.step(), "nothing goes on any more: {what}");
            assert!(self.now < limit, "too long: {what}: {:?}", self.ends);
        }
        self.drive();
    }

    fn count(&self, end: usize, what: impl Fn(&Event) -> bool) -> usize {
        self.events[end].iter().filter(|event| what(event)).count()
    }

    fn ups(&self, end: usize) -> Vec<(u16, u16)> {
        let mut ups: Vec<_> = self.events[end]
            .iter()
            .filter_map(|event| match event {
                Event::SessionUp { local, remote } if end == LAC => Some((*local, *remote)),
                Event::SessionUp { local, remote } => Some((*remote, *local)),
                _ => None,
            })
            .collect();
        ups.sort_unstable();
        ups
    }
}

fn config() -> Config {
    Config {
        host_name: "pair".into(),
        retransmit_tries: 20,
        hello_tries: 20,
        setup_timeout: seconds(600),
        max_sessions: 8,
        ..Config::default()
    }
}

fn is_down(event: &Event) -> bool {
    matches!(event, Event::SessionDown { .. })
}

/// Three sessions up, one closed by each side, and the tunnel with the third.
fn live_and_die(seed: u8, trouble: u32, config: Config) -> [Tunnel; 2] {
    let mut pair = Pair::new(seed, trouble, config);
    let calls: Vec<_> = (0..3)
        .map(|_| pair.ends[LAC].open_session(pair.now, &mut pair.rng))
        .collect();
    pair.run_until("three sessions on both sides", |pair| {
        pair.ups(LAC).len() == 3 && pair.ups(LNS).len() == 3
    });
    let ups = pair.ups(LAC);
    assert_eq!(ups, pair.ups(LNS), "both sides know the same pairs of IDs");
    assert!(calls.iter().all(|call| ups.iter().any(|up| up.0 == *call)));
    for end in [LAC, LNS] {
        let first = &pair.events[end][0];
        assert!(
            matches!(first, Event::TunnelUp { host_name, .. } if host_name == "pair"),
            "{first:?}"
        );
        assert_eq!(
            pair.count(end, |event| !matches!(event, Event::SessionUp { .. })),
            1
        );
    }

    let by_lac = CallDisconnect::administrative();
    let by_lns = CallDisconnect {
        result: CallResult(2),
        error: GeneralError(6),
        message: "enough".into(),
        q931: None,
    };
    pair.ends[LAC].close_session(ups[0].0, by_lac, pair.now);
    pair.ends[LNS].close_session(ups[1].1, by_lns, pair.now);
    pair.run_until("two sessions closed", |pair| {
        pair.count(LAC, is_down) == 2 && pair.count(LNS, is_down) == 2
    });
    assert!(pair.events[LNS].contains(&Event::SessionDown {
        local: ups[0].1,
        cause: SessionDownCause::ByPeer(CallDisconnect {
            message: "closed for administrative reasons".into(),
            result: CallResult(3),
            error: GeneralError(0),
            q931: None
        })
    }));
    assert!(pair.events[LAC].contains(&Event::SessionDown {
        local: ups[1].0,
        cause: SessionDownCause::ByPeer(CallDisconnect {
            result: CallResult(2),
            error: GeneralError(6),
            message: "enough".into(),
            q931: None
        })
    }));

    pair.ends[LAC].close(Stop::clear(), pair.now);
    pair.run_until("both closed", |pair| {
        pair.ends.iter().all(Tunnel::is_closed)
    });
    let cause = TunnelDownCause::ByPeer(Stop {
        message: "control connection closed".into(),
        result: StopResult(1),
        error: GeneralError(0),
    });
    assert_eq!(pair.events[LNS].last(), Some(&Event::TunnelDown { cause }));
    let cause = TunnelDownCause::ByUs;
    assert_eq!(pair.events[LAC].last(), Some(&Event::TunnelDown { cause }));
    for end in [LAC, LNS] {
        assert_eq!(pair.count(end, is_down), 3);
        assert_eq!(
            pair.count(end, |event| matches!(event, Event::TunnelDown { .. })),
            1
        );
        assert_eq!(pair.ends[end].poll_timeout(), None);
        assert_eq!(pair.ends[end].sessions().count(), 0);
    }
    pair.ends
}

#[test]
fn without_trouble_nothing_is_sent_twice() {
    for end in live_and_die(0, 0, config()) {
        let stats = end.stats();
        assert_eq!(stats.retransmitted, 0);
        assert_eq!(stats.duplicates, 0);
        assert_eq!(stats.bad_header, 0);
        assert_eq!(stats.faults, 0);
    }
}

#[test]
fn with_every_degree_of_trouble_the_same_comes_about() {
    let mut retransmitted = 0;
    let mut out_of_order = 0;
    let mut duplicates = 0;
    for trouble in [5, 10, 20, 30] {
        for seed in 0..60 {
            for end in live_and_die(seed, trouble, config()) {
                let stats = end.stats();
                assert_eq!(stats.faults, 0, "seed {seed}, trouble {trouble}");
                retransmitted += stats.retransmitted;
                out_of_order += stats.out_of_order;
                duplicates += stats.duplicates;
            }
        }
    }
    let counts = (retransmitted, out_of_order, duplicates);
    assert!(
        retransmitted > 500 && out_of_order > 300 && duplicates > 500,
        "{counts:?}"
    );
}

#[test]
fn a_window_of_one_is_enough() {
    for seed in 0..20 {
        let narrow = Config {
            receive_window: 1,
            ..config()
        };
        for end in live_and_die(seed, 20, narrow) {
            assert_eq!(end.stats().out_of_order, 0);
        }
    }
}

#[test]
fn secrets_and_hidden_attributes_survive_every_trouble() {
    for seed in 0..20 {
        let secretive = Config {
            secret: secret(),
            hide: true,
            ..config()
        };
        for end in live_and_die(seed, 20, secretive) {
            assert!(end.is_authenticated());
            assert_eq!(end.stats().auth_failures, 0);
            assert!(end.stats().hidden_avps > 0);
        }
    }
}

#[test]
fn forty_sessions_come_up_through_small_windows_and_loss() {
    for (window, trouble) in [(1, 20), (2, 30), (4, 10), (32, 30)] {
        for seed in 0..8 {
            let crowded = Config {
                receive_window: window,
                max_sessions: 40,
                retransmit_tries: 40,
                ..config()
            };
            let mut pair = Pair::new(seed, trouble, crowded);
            for _ in 0..40 {
                pair.ends[LAC].open_session(pair.now, &mut pair.rng);
            }
            pair.run_until("forty sessions", |pair| {
                pair.ups(LAC).len() == 40 && pair.ups(LNS).len() == 40
            });
            assert_eq!(pair.ups(LAC), pair.ups(LNS));
            for end in &pair.ends {
                let stats = end.stats();
                // Neither end ever overruns the other's window, however much waits.
                assert_eq!(stats.outside_window, 0);
                assert_eq!((stats.faults, stats.too_long), (0, 0));
                assert!(stats.retransmitted > 0);
            }
            pair.ends[LNS].close(Stop::shutting_down(), pair.now);
            pair.run_until("both closed", |pair| {
                pair.ends.iter().all(Tunnel::is_closed)
            });
            assert_eq!(pair.count(LAC, is_down), 40);
            assert_eq!(pair.count(LNS, is_down), 40);
        }
    }
}

#[test]
fn hours_of_hello_keep_a_tunnel_alive_and_its_numbering_wraps() {
    let busy = Config {
        hello_idle: Duration::from_millis(1),
        ..config()
    };
    let mut pair = Pair::new(3, 0, busy);
    pair.ends[LAC].open_session(pair.now, &mut pair.rng);
    while pair.ends[LAC].stats().sent < 66_000 {
        assert!(pair.step());
    }
    for end in [LAC, LNS] {
        assert_eq!(pair.events[end].len(), 2, "{:?}", pair.events[end]);
        assert_eq!(pair.ends[end].stats().retransmitted, 0);
        assert_eq!(pair.ends[end].sessions().count(), 1);
    }
}

#[test]
fn a_silent_peer_is_noticed() {
    let mut pair = Pair::new(4, 0, config());
    pair.ends[LAC].open_session(pair.now, &mut pair.rng);
    pair.run_until("a session", |pair| pair.ups(LNS).len() == 1);
    let silent = pair.now;
    pair.trouble = 100;
    pair.run_until("both gave up", |pair| {
        pair.ends.iter().all(Tunnel::is_closed)
    });
    let cycle = config().hello_idle + config().retransmission_cycle();
    assert!(pair.now - silent <= cycle + seconds(1));
    for end in [LAC, LNS] {
        let cause = TunnelDownCause::Timeout;
        assert_eq!(pair.events[end].last(), Some(&Event::TunnelDown { cause }));
        assert_eq!(pair.count(end, is_down), 1);
    }
}
