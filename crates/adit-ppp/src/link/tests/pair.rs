//! A server and a client joined by a line with a virtual clock.

use super::*;

/// What the line does to frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    pub(super) loss_percent: u32,
    pub(super) duplicate_percent: u32,
    /// Frames take up to this much longer, so that they overtake each other.
    pub(super) jitter: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Server,
    Client,
}

pub(super) struct Pair {
    pub(super) server: Link,
    pub(super) client: Link,
    pub(super) network: Network,
    pub(super) server_events: Vec<Event>,
    pub(super) client_events: Vec<Event>,
    pub(super) line: Line,
    /// Frames of this protocol with this code never come to that end.
    pub(super) swallows: Option<(To, u16, u8)>,
    /// The verdict on certificates.
    pub(super) certificates: bool,
    /// Everything that was sent, lost or not.
    pub(super) sent: Vec<(To, Vec<u8>)>,
    pub(super) now: Instant,
    pub(super) rng: Rng,
    flying: Vec<(Instant, u64, To, Vec<u8>)>,
    count: u64,
}

impl Pair {
    pub(super) fn new(server: ServerConfig, client: ClientConfig, line: Line, seed: u8) -> Self {
        let mut rng = rng(seed);
        let now = epoch();
        let mut pair = Self {
            server: Link::server(&Arc::new(server), now, &mut rng),
            client: Link::client(client, now, &mut rng),
            network: both_families(),
            server_events: Vec::new(),
            client_events: Vec::new(),
            line,
            swallows: None,
            certificates: true,
            sent: Vec::new(),
            now,
            rng,
            flying: Vec::new(),
            count: 0,
        };
        pair.drain();
        pair
    }

    /// Over a good line.
    pub(super) fn good(server: ServerConfig, client: ClientConfig) -> Self {
        Self::new(server, client, Line::default(), 1)
    }

    pub(super) fn drain(&mut self) {
        loop {
            if let Some(frame) = self.server.poll_transmit() {
                self.fly(To::Client, frame);
            } else if let Some(frame) = self.client.poll_transmit() {
                self.fly(To::Server, frame);
            } else if let Some(event) = self.client.poll_event() {
                self.client_events.push(event);
            } else if let Some(event) = self.server.poll_event() {
                if let Event::Authenticate(attempt) = &event {
                    let verdict = match attempt {
                        Attempt::Certificate { .. } if self.certificates => Verdict::Accept {
                            success_message: Vec::new(),
                            network: self.network.clone(),
                        },
                        attempt => judge(attempt, &self.network),
                    };
                    self.server.handle_verdict(verdict, self.now, &mut self.rng);
                }
                self.server_events.push(event);
            } else {
                return;
            }
        }
    }

    fn fly(&mut self, to: To, frame: Vec<u8>) {
        self.sent.push((to, frame.clone()));
        let swallowed = |(end, number, code)| end == to && is(&frame, number, code);
        if self.swallows.is_some_and(swallowed) {
            return;
        }
        let copies = 1 + u32::from(self.rng.below(100) < self.line.duplicate_percent);
        for _ in 0..copies {
            if self.rng.below(100) < self.line.loss_percent {
                continue;
            }
            let jitter = u32::try_from(self.line.jitter.as_millis()).unwrap();
            let delay = Duration::from_millis(10 + u64::from(self.rng.below(jitter)));
            self.count += 1;
            self.flying
                .push((self.now + delay, self.count, to, frame.clone()));
        }
    }

    /// Lets `time` pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 100_000, "the machines spin");
            let frame = self.flying.iter().map(|(at, ..)| *at).min();
            let timers = [
                self.server.poll_timeout(),
                self.client.poll_timeout(),
                frame,
            ];
            let Some(next) = timers.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.flying.sort_by_key(|(at, count, ..)| (*at, *count));
            while self.flying.first().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, _, to, frame) = self.flying.remove(0);
                let link = match to {
                    To::Server => &mut self.server,
                    To::Client => &mut self.client,
                };
                let _ = link.handle_frame(&frame, self.now, &mut self.rng);
                self.drain();
            }
            self.server.handle_timeout(self.now, &mut self.rng);
            self.client.handle_timeout(self.now, &mut self.rng);
            self.drain();
        }
    }

    pub(super) fn seconds(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    pub(super) fn both_open(&self) -> bool {
        let open = |link: &Link| link.ipv4_open() && link.ipv6_open();
        open(&self.server) && open(&self.client)
    }

    /// Why each end went down, if it did.
    pub(super) fn down(&self) -> (Option<DownReason>, Option<DownReason>) {
        let reason = |events: &[Event]| {
            events.iter().find_map(|event| match event {
                Event::Down { reason } => Some(reason.clone()),
                _ => None,
            })
        };
        (reason(&self.server_events), reason(&self.client_events))
    }

    /// How many frames of a protocol with a code went to one end.
    pub(super) fn sent(&self, to: To, number: u16, code: u8) -> usize {
        self.sent
            .iter()
            .filter(|(other, frame)| *other == to && is(frame, number, code))
            .count()
    }
}

/// Whether a frame is of that protocol with that code.
fn is(frame: &[u8], number: u16, code: u8) -> bool {
    let [high, low] = number.to_be_bytes();
    frame.starts_with(&[0xff, 3, high, low, code])
}
