//! What the load came to: for people a table, for programs JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use adit_client::bench::{Latency, Measured, Step};
use adit_wire::ip::Family;
use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;

use crate::Failure;

/// Different reasons of failure that are told apart.
const MOST_REASONS: usize = 20;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    server: IpAddr,
    sessions: u64,
    pub(super) setups: Setups,
    pub(super) traffic: Vec<Spell>,
    /// Sessions that were up and ended by themselves, by reason.
    lost: BTreeMap<String, u64>,
    pub(super) ended: Ended,
    pub(super) interrupted: bool,
}

/// The set-ups.
#[derive(Debug, Default, Serialize)]
pub(super) struct Setups {
    up: u64,
    failed: u64,
    /// Until the last one was up or had failed.
    pub(super) seconds: f64,
    #[serde(rename = "milliseconds", serialize_with = "percentiles")]
    took: Latency,
    /// When each step was reached, counted from the first message.
    #[serde(serialize_with = "steps")]
    steps: BTreeMap<Step, Latency>,
    /// By step and reason.
    failures: BTreeMap<String, u64>,
}

/// How sessions ended that were told to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ended {
    pub(super) clean: u64,
    unanswered: u64,
}

impl Report {
    pub(super) fn new(server: IpAddr, sessions: u64) -> Self {
        Self {
            server,
            sessions,
            setups: Setups::default(),
            traffic: Vec::new(),
            lost: BTreeMap::new(),
            ended: Ended::default(),
            interrupted: false,
        }
    }

    pub(super) fn lost(&mut self, why: String) {
        count(&mut self.lost, why);
    }

    pub(super) fn ended(&mut self, clean: bool) {
        match clean {
            true => self.ended.clean += 1,
            false => self.ended.unanswered += 1,
        }
    }

    /// Whether it did what it was told to.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let lost: u64 = self.lost.values().sum();
        let up = self.setups.up;
        if self.interrupted {
            return Err(Failure::failed("interrupted"));
        }
        if up < self.sessions {
            let missing = self.sessions - up;
            return Err(Failure::failed(format_args!(
                "{missing} of {} sessions did not come up. `adit probe` says more",
                self.sessions
            )));
        }
        if lost > 0 {
            return Err(Failure::failed(format_args!("{lost} sessions were lost")));
        }
        Ok(())
    }
}

impl Setups {
    pub(super) fn up(&mut self, took: Duration, reached: &[(Step, Duration)]) {
        self.up += 1;
        self.took.note(took);
        for (step, took) in reached {
            self.steps.entry(*step).or_default().note(*took);
        }
    }

    pub(super) fn failed(&mut self, step: Step, why: String) {
        self.failed += 1;
        count(&mut self.failures, format!("{}: {why}", step.name()));
    }
}

/// Counts a reason; past some, those that are new are "other".
fn count(reasons: &mut BTreeMap<String, u64>, why: String) {
    let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
    let full = reasons.len() >= MOST_REASONS && !reasons.contains_key(&why);
    let why = if full { "other".to_owned() } else { why };
    *reasons.entry(why).or_default() += 1;
}

/// A spell of traffic that is being counted.
pub(super) struct Row {
    family: Family,
    target: Option<IpAddr>,
    size: usize,
    spell: Duration,
    sessions: u64,
    all: Measured,
}

/// A spell of traffic.
#[derive(Debug, Serialize)]
pub(super) struct Spell {
    family: &'static str,
    /// Where it went; null: to the far end of each tunnel.
    target: Option<IpAddr>,
    size: usize,
    seconds: f64,
    /// Sessions that sent; others do not have the family, or no room for the size.
    sessions: u64,
    sent: u64,
    received: u64,
    /// Of the packets that were sent, 0 to 1.
    lost: f64,
    /// Packets that came back, a second.
    packets_per_second: f64,
    /// Of IP, in each direction.
    mbit_per_second: f64,
    /// From one end to the other and back.
    #[serde(rename = "milliseconds", serialize_with = "percentiles")]
    latency: Latency,
    /// Of this program, to tell whether it was the bottleneck.
    own_cpu_seconds: f64,
}

impl Row {
    pub(super) fn new(
        family: Family,
        target: Option<IpAddr>,
        size: usize,
        spell: Duration,
    ) -> Self {
        Self {
            family,
            target,
            size,
            spell,
            sessions: 0,
            all: Measured::default(),
        }
    }

    pub(super) fn add(&mut self, measured: &Measured) {
        self.sessions += u64::from(!measured.impossible);
        self.all.sent += measured.sent;
        self.all.received += measured.received;
        self.all.latency.merge(&measured.latency);
    }

    pub(super) fn finish(self, own_cpu_seconds: f64) -> Spell {
        let Measured { sent, received, .. } = self.all;
        let seconds = self.spell.as_secs_f64();
        // casts: measured figures
        let rate = received as f64 / seconds;
        Spell {
            family: name(self.family),
            target: self.target,
            size: self.size,
            seconds,
            sessions: self.sessions,
            sent,
            received,
            lost: sent.saturating_sub(received) as f64 / sent.max(1) as f64,
            packets_per_second: rate,
            mbit_per_second: rate * self.size as f64 * 8.0 / 1e6,
            latency: self.all.latency,
            own_cpu_seconds,
        }
    }
}

/// "ipv4" or "ipv6".
pub(super) fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// Processor time that this program has had.
pub(super) fn cpu_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return 0.0;
    };
    // casts: measured figures
    [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .iter()
        .sum()
}

/// In the order of tables.
const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

fn milliseconds(time: Option<Duration>) -> f64 {
    time.map_or(0.0, |time| time.as_micros() as f64 / 1000.0)
}

fn of(latency: &Latency) -> BTreeMap<&'static str, f64> {
    let shares = SHARES.map(|(name, share)| (name, milliseconds(latency.percentile(share))));
    let longest = ("max", milliseconds(Some(latency.longest())));
    shares.into_iter().chain([longest]).collect()
}

fn percentiles<S: serde::Serializer>(latency: &Latency, to: S) -> Result<S::Ok, S::Error> {
    of(latency).serialize(to)
}

fn steps<S: serde::Serializer>(steps: &BTreeMap<Step, Latency>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(steps.iter().map(|(step, it)| (step.name(), of(it))))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setups { up, seconds, .. } = self.setups;
        // cast: a measured figure
        let rate = up as f64 / seconds.max(1e-3);
        writeln!(
            f,
            "{}: {up} of {} sessions up in {seconds:.2} s, {rate:.1} a second",
            self.server, self.sessions
        )?;
        writeln!(
            f,
            "\n{:<16}{:>10}{:>10}{:>10}{:>10}   milliseconds",
            "reached", "p50", "p90", "p99", "max"
        )?;
        for (step, latency) in &self.setups.steps {
            writeln!(f, "{:<16}{}", step.name(), columns(latency))?;
        }
        writeln!(f, "{:<16}{}", "all", columns(&self.setups.took))?;
        for (what, reasons) in [("failed", &self.setups.failures), ("lost", &self.lost)] {
            for (why, count) in reasons {
                writeln!(f, "{what}: {count} at {why}")?;
            }
        }
        if !self.traffic.is_empty() {
            writeln!(
                f,
                "\n{:<6}{:>6}{:>10}{:>10}{:>8}{:>11}{:>9}{:>10}{:>10}{:>10}{:>10}{:>9}",
                "echo",
                "bytes",
                "sent",
                "back",
                "lost",
                "packets/s",
                "Mbit/s",
                "p50 ms",
                "p90 ms",
                "p99 ms",
                "max ms",
                "own CPU"
            )?;
        }
        for row in &self.traffic {
            writeln!(
                f,
                "{:<6}{:>6}{:>10}{:>10}{:>7.2}%{:>11.0}{:>9.1}{}{:>8.2}s",
                row.family,
                row.size,
                row.sent,
                row.received,
                row.lost * 100.0,
                row.packets_per_second,
                row.mbit_per_second,
                columns(&row.latency),
                row.own_cpu_seconds,
            )?;
        }
        let Ended { clean, unanswered } = self.ended;
        writeln!(
            f,
            "\n{clean} sessions ended cleanly, {unanswered} without an answer"
        )
    }
}

fn columns(latency: &Latency) -> String {
    let shares = SHARES.map(|(_, share)| latency.percentile(share));
    let all = shares.into_iter().chain([Some(latency.longest())]);
    all.map(|time| format!("{:>10.2}", milliseconds(time)))
        .collect()
}
