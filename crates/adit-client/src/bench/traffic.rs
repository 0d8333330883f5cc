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

/// A spell under way, without the session that carries its packets. Every answer is what the far end
/// makes of it.
pub struct Spell {
    traffic: Traffic,
    stream: Stream,
    /// Moves the packets of many sessions apart.
    offset: Duration,
    measured: Measured,
    /// A bit for each request, set when it was answered: an answer counts once.
    answered: Vec<u64>,
}

impl Spell {
    /// Echo requests between two addresses, whose answers are known by `token`. Of the time between
    /// two of them, `phase` (0 to 1) passes before the first. `None` if no packet has that size and these
    /// addresses.
    pub fn new(
        traffic: Traffic,
        (from, to): (IpAddr, IpAddr),
        token: u64,
        phase: f64,
    ) -> Option<Self> {
        let stream = Stream::new(from, to, token, traffic.size)?;
        let interval = traffic.rate.map_or(0.0, |rate| 1.0 / rate.max(1e-6));
        let spell = traffic.end.saturating_duration_since(traffic.begin);
        Some(Self {
            traffic,
            stream,
            offset: Duration::from_secs_f64((interval * phase).min(spell.as_secs_f64())),
            measured: Measured::default(),
            answered: Vec::new(),
        })
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
    pub fn poll_request(&mut self, buf: &mut PacketBuf, now: Instant) -> Option<()> {
        self.next_at()
            .filter(|at| *at <= now && now < self.traffic.end)?;
        // cast: nanoseconds of a few centuries
        let stamp = now.saturating_duration_since(self.traffic.begin).as_nanos() as u64;
        self.stream.write([self.measured.sent, stamp], buf)?;
        if self.measured.sent.is_multiple_of(64) {
            self.answered.push(0);
        }
        self.measured.sent += 1;
        Some(())
    }

    /// Takes a packet out of the tunnel.
    pub fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        let Some([number, stamp]) = self.stream.answered(packet) else {
            return;
        };
        let sent = Duration::from_nanos(stamp);
        let passed = now.saturating_duration_since(self.traffic.begin);
        if let Some(took) = passed.checked_sub(sent)
            && self.is_new(number)
        {
            self.measured.received += 1;
            self.measured.latency.note(took);
        }
    }

    /// Whether this request was sent and had no answer so far.
    fn is_new(&mut self, number: u64) -> bool {
        let word = usize::try_from(number / 64).ok();
        let Some(word) = word.and_then(|word| self.answered.get_mut(word)) else {
            return false;
        };
        let bit = 1 << (number % 64);
        let new = number < self.measured.sent && *word & bit == 0;
        if new {
            *word |= bit;
        }
        new
    }

    /// When the next request is due, or what came of the spell is known.
    pub fn poll_timeout(&self) -> Instant {
        self.next_at().unwrap_or(self.traffic.end + LINGER)
    }

    /// What came of it, once it is over.
    pub fn result(&mut self, now: Instant) -> Option<Measured> {
        let over = now >= self.traffic.end + LINGER;
        over.then(|| std::mem::take(&mut self.measured))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs one real instant to start from"
)]
mod tests {
    use super::*;

    /// What the far end makes of a request over IPv4.
    fn answer(request: &[u8]) -> Vec<u8> {
        let mut answer = request.to_vec();
        answer[12..16].copy_from_slice(&request[16..20]);
        answer[16..20].copy_from_slice(&request[12..16]);
        answer[20] = 0;
        answer
    }

    #[test]
    fn an_answer_counts_once_and_only_to_what_was_sent() {
        let now = Instant::now();
        let traffic = Traffic {
            family: Family::V4,
            target: None,
            size: 100,
            rate: None,
            begin: now,
            end: now + Duration::from_secs(1),
        };
        let ends = ([10, 0, 0, 2].into(), [10, 0, 0, 1].into());
        let mut spell = Spell::new(traffic, ends, 7, 0.0).unwrap();
        let mut buf = PacketBuf::with_capacity(0, 1500);
        let mut answers = Vec::new();
        for _ in 0..70 {
            buf.reset(0);
            spell.poll_request(&mut buf, now).unwrap();
            answers.push(answer(buf.as_slice()));
        }
        let later = now + Duration::from_millis(3);
        for answer in answers.iter().chain(&answers).rev() {
            spell.handle_packet(answer, later);
        }
        // One to a request that is still to come
        let mut early = answers[0].clone();
        early[36..44].copy_from_slice(&70_u64.to_be_bytes());
        spell.handle_packet(&early, later);
        early[36..44].copy_from_slice(&u64::MAX.to_be_bytes());
        spell.handle_packet(&early, later);
        assert!(spell.result(later).is_none(), "it is not over");
        let measured = spell.result(traffic.end + LINGER).unwrap();
        assert_eq!((measured.sent, measured.received), (70, 70));
        assert_eq!(measured.latency.count(), 70);
        assert_eq!(measured.latency.longest(), Duration::from_millis(3));
    }
}
