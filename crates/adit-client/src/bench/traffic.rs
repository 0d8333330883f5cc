//! A spell of traffic of one session: echo requests at a rate, and what came back of them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use adit_wire::PacketBuf;
use adit_wire::ip::Family;

use super::latency::Latency;
use super::stream::Stream;

/// How long an answer may take that counts.
const LINGER: Duration = Duration::from_secs(1);

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Inside which family.
    pub family: Family,
    /// Where to; `None`: to the far end of the tunnel.
    pub target: Option<IpAddr>,
    /// Bytes of IP of each packet.
    pub size: usize,
    /// Packets a second of this session; `None`: as many as are asked for.
    pub rate: Option<f64>,
    /// When the first packet may leave.
    pub begin: Instant,
    /// When the last one may.
    pub end: Instant,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Requests that left.
    pub sent: u64,
    /// Answers in time.
    pub received: u64,
    /// How long they took.
    pub latency: Latency,
    /// Whether there was nothing to send: the session does not have the family, or no packet of that
    /// size.
    pub impossible: bool,
}

/// A spell under way.
pub(super) struct Spell {
    traffic: Traffic,
    stream: Stream,
    /// Moves the packets of many sessions apart.
    offset: Duration,
    measured: Measured,
}

impl Spell {
    pub(super) fn new(traffic: Traffic, stream: Stream, phase: f64) -> Self {
        let interval = traffic.rate.map_or(0.0, |rate| 1.0 / rate.max(1e-6));
        let spell = traffic.end.saturating_duration_since(traffic.begin);
        Self {
            traffic,
            stream,
            offset: Duration::from_secs_f64((interval * phase).min(spell.as_secs_f64())),
            measured: Measured::default(),
        }
    }

    /// When the next packet is due, if there is another.
    fn next_at(&self) -> Option<Instant> {
        let at = match self.traffic.rate {
            // cast: a number of packets
            Some(rate) => {
                let after = self.measured.sent as f64 / rate.max(1e-6);
                let after = Duration::try_from_secs_f64(after).ok()?;
                self.traffic.begin + self.offset + after
            }
            None => self.traffic.begin,
        };
        (at < self.traffic.end).then_some(at)
    }

    /// Puts the next request into `buf`, if one is due.
    pub(super) fn poll_request(&mut self, buf: &mut PacketBuf, now: Instant) -> Option<()> {
        self.next_at()
            .filter(|at| *at <= now && now < self.traffic.end)?;
        // cast: nanoseconds of a few centuries
        let stamp = now.saturating_duration_since(self.traffic.begin).as_nanos() as u64;
        self.stream.write([self.measured.sent, stamp], buf)?;
        self.measured.sent += 1;
        Some(())
    }

    /// Takes a packet out of the tunnel.
    pub(super) fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        let Some([number, stamp]) = self.stream.answered(packet) else {
            return;
        };
        let sent = Duration::from_nanos(stamp);
        let passed = now.saturating_duration_since(self.traffic.begin);
        if number < self.measured.sent
            && let Some(took) = passed.checked_sub(sent)
        {
            self.measured.received += 1;
            self.measured.latency.note(took);
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.next_at().unwrap_or(self.traffic.end + LINGER)
    }

    /// What came of it, once it is over.
    pub(super) fn result(&mut self, now: Instant) -> Option<Measured> {
        let over = now >= self.traffic.end + LINGER;
        over.then(|| std::mem::take(&mut self.measured))
    }
}
