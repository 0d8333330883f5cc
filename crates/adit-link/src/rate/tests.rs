use std::collections::VecDeque;

use super::*;

const PACKET: usize = 1400;

#[expect(
    clippy::disallowed_methods,
    reason = "tests make up their own time from here"
)]
fn start() -> Instant {
    Instant::now()
}

fn rate(bits: u64) -> Rate {
    Rate::new(bits).unwrap()
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let start = start();
    let meter = Meter::new(rate(8_000_000));
    let passed = |millis: u64| {
        let now = start + Duration::from_millis(millis);
        (0..10_000).filter(|_| meter.passes(1000, now)).count()
    };
    // A megabyte a second, and a quarter of a second at once.
    assert_eq!(passed(0), 250);
    assert_eq!(passed(0), 0);
    assert_eq!(passed(100), 100);
    assert_eq!(passed(10_100), 250);
    // A clock of another thread may be behind.
    assert_eq!(passed(10_000), 0);
    assert_eq!(passed(10_200), 100);
}

#[test]
fn the_slowest_rate_lets_the_largest_packet_pass() {
    let start = start();
    let meter = Meter::new(Rate::MIN);
    assert!(meter.passes(65_535, start) && meter.passes(65_535, start));
    assert!(!meter.passes(65_535, start));
    assert!(meter.passes(65_535, start + Duration::from_secs(66)));
    assert_eq!(Rate::new(Rate::MIN.bits() - 1), None);
    assert_eq!(Rate::new(Rate::MAX.bits() + 1), None);
    // The fastest is not slower for its small packets than a fifth.
    let meter = Meter::new(Rate::MAX);
    let passed = (0..1_000_000).filter(|_| meter.passes(4000, start)).count();
    assert_eq!(passed, 250_000_000 / 320);
}

#[test]
fn threads_that_share_it_get_no_more_together() {
    let start = start();
    let meter = Meter::new(rate(800_000_000));
    let passed: usize = std::thread::scope(|scope| {
        let ask = || (0..50_000).filter(|_| meter.passes(1000, start)).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(passed, 25_000);
}

#[test]
fn each_way_has_its_own() {
    let start = start();
    let meters = Meters::new(rate(8_000_000));
    let passed = |direction| {
        (0..10_000)
            .filter(|_| meters.passes(direction, 1000, start))
            .count()
    };
    assert_eq!(passed(Direction::FromClient), 250);
    assert_eq!(passed(Direction::ToClient), 250);
    assert_eq!(passed(Direction::FromClient), 0);
}

/// A TCP sender with endless data whose path has no limit but the meter: CUBIC (RFC 9438) with
/// selective acknowledgments, so that it knows each loss a round trip later and sends that again.
/// All times are seconds, windows are packets.
struct Sender {
    rtt: f64,
    window: f64,
    threshold: f64,
    /// Since when the window grows by the cubic function, to what it had, and what Reno would have.
    epoch: f64,
    most: f64,
    reno: f64,
    /// Losses of what was sent before are part of the last one.
    reduced: f64,
    /// When each packet on its way was sent, and whether it passed.
    flight: VecDeque<(f64, bool)>,
}

impl Sender {
    const BETA: f64 = 0.7;
    const C: f64 = 0.4;

    fn new(rtt: f64) -> Self {
        Self {
            rtt,
            window: 10.0,
            threshold: f64::INFINITY,
            epoch: 0.0,
            most: 0.0,
            reno: 0.0,
            reduced: -1.0,
            flight: VecDeque::new(),
        }
    }

    fn acknowledged(&mut self, now: f64) {
        if self.window < self.threshold {
            self.window += 1.0;
            return;
        }
        let reach = (self.most * (1.0 - Self::BETA) / Self::C).cbrt();
        let cubic = Self::C * (now + self.rtt - self.epoch - reach).powi(3) + self.most;
        self.reno += 3.0 * (1.0 - Self::BETA) / (1.0 + Self::BETA) / self.window;
        let target = cubic.max(self.reno).clamp(self.window, 1.5 * self.window);
        self.window += (target - self.window) / self.window;
    }

    fn lost(&mut self, sent: f64, now: f64) {
        if sent <= self.reduced {
            return;
        }
        // Who lost before getting back leaves room for others.
        let ever = if self.window < self.most {
            (1.0 + Self::BETA) / 2.0
        } else {
            1.0
        };
        self.most = self.window * ever;
        self.window = (self.window * Self::BETA).max(2.0);
        (self.threshold, self.reno) = (self.window, self.window);
        (self.epoch, self.reduced) = (now, now);
    }

    /// Nothing came back that would tell what was lost (RFC 6298).
    fn timed_out(&mut self, now: f64) {
        self.lost(f64::INFINITY, now);
        self.window = 1.0;
        self.flight.clear();
    }
}

/// What part of its rate a flow gets in a minute, start included. The line before the meter is ten
/// times as fast.
fn share(bits: u64, rtt: f64) -> f64 {
    const SECONDS: f64 = 60.0;
    let start = start();
    let meter = Meter::new(rate(bits));
    let gap = PACKET as f64 * 8.0 / (10.0 * bits as f64);
    let (mut sender, mut now, mut passed) = (Sender::new(rtt), 0.0, 0_u64);
    while now < SECONDS {
        while let Some((sent, passes)) = sender.flight.front().copied()
            && sent + rtt <= now
        {
            sender.flight.pop_front();
            match passes {
                true => sender.acknowledged(now),
                false if sender.flight.iter().any(|(_, passes)| *passes) => sender.lost(sent, now),
                false => {
                    now += 0.2;
                    sender.timed_out(now);
                }
            }
        }
        if (sender.flight.len() as f64) < sender.window {
            let passes = meter.passes(PACKET, start + Duration::from_secs_f64(now));
            passed += u64::from(passes);
            sender.flight.push_back((now, passes));
            now += gap;
        } else if let Some((sent, _)) = sender.flight.front() {
            now = now.max(sent + rtt);
        }
    }
    passed as f64 * PACKET as f64 * 8.0 / (SECONDS * bits as f64)
}

#[test]
fn tcp_reaches_the_rate() {
    for bits in [1_000_000, 10_000_000, 100_000_000] {
        for millis in [10, 50, 100, 200] {
            let share = share(bits, f64::from(millis) / 1000.0);
            assert!(
                (0.85..1.03).contains(&share),
                "{bits} bit/s, {millis} ms: {share}"
            );
        }
    }
}
