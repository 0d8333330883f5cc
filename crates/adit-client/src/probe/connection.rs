//! One whole connection, from phase 1 (or from L2TP) to the clean end, step by step.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_wire::Path;
use adit_wire::ip::Family;

use super::advice;
use super::dial::Dial;
use super::network::Network;
use super::step::{Door, Step};
use crate::client::NON_ESP_MARKER;
use crate::event::{DownReason, Event};
use crate::{Client, Config, Job, JobDone, PlainClient};

/// How long past the timeout of a step the layer is given to notice it itself.
const SLACK: Duration = Duration::from_secs(3);

/// How long the server may take to acknowledge the end; some clients pause in it.
const FAREWELL: Duration = Duration::from_secs(10);

/// What is waited for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    MainMode,
    QuickMode,
    Tunnel,
    Session,
    Lcp,
    Authentication,
    Network,
    End,
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MainMode => "main-mode",
            Self::QuickMode => "quick-mode",
            Self::Tunnel => "l2tp",
            Self::Session => "session",
            Self::Lcp => "lcp",
            Self::Authentication => "authentication",
            Self::Network => "network",
            Self::End => "end",
        }
    }
}

pub(super) struct Connection {
    dial: Dial,
    stage: Stage,
    since: Instant,
    /// Whether there is a user to log in.
    login: bool,
    ipv6: bool,
    timeout: Duration,
    /// Answers of main mode that came in the clear: it is known which message was not answered.
    answers: u32,
    network: Network,
    rng: Rng,
    transmits: VecDeque<(Door, Vec<u8>)>,
    steps: VecDeque<Step>,
    /// Whether phase 1 was done.
    phase1: bool,
    done: bool,
}

impl Connection {
    /// Dials with IPsec.
    pub(super) fn ipsec(
        config: Config,
        path: Path,
        timeout: Duration,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let (login, ipv6) = (!config.ppp.user.is_empty(), config.ppp.ipv6);
        let client = Client::new(config, path, rng.array(), now);
        let dial = Dial::Ipsec(Box::new(client));
        Self::new(dial, Stage::MainMode, (login, ipv6), timeout, now, rng)
    }

    /// Dials with L2TP in the clear.
    pub(super) fn plain(
        config: &Config,
        outer: Family,
        timeout: Duration,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let wants = (!config.ppp.user.is_empty(), config.ppp.ipv6);
        let client = PlainClient::new(config, outer, rng.array(), now);
        let dial = Dial::Plain(Box::new(client));
        Self::new(dial, Stage::Tunnel, wants, timeout, now, rng)
    }

    fn new(
        dial: Dial,
        stage: Stage,
        (login, ipv6): (bool, bool),
        timeout: Duration,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let mut connection = Self {
            dial,
            stage,
            since: now,
            login,
            ipv6,
            timeout,
            answers: 0,
            network: Network::new(timeout),
            rng: Rng::from_seed(rng.array()),
            transmits: VecDeque::new(),
            steps: VecDeque::new(),
            phase1: false,
            done: false,
        };
        connection.drain(now);
        connection
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether phase 1 came to its end.
    pub(super) fn had_phase1(&self) -> bool {
        self.phase1
    }

    pub(super) fn handle_datagram(
        &mut self,
        door: Door,
        path: Path,
        datagram: &mut [u8],
        now: Instant,
    ) {
        self.count_answer(door, datagram);
        if let Some(packet) = self.dial.handle_datagram(path, datagram, now) {
            self.network.handle_packet(packet, now);
        }
        self.drain(now);
    }

    fn count_answer(&mut self, door: Door, datagram: &[u8]) {
        let message = match door {
            Door::NatT => datagram.strip_prefix(&NON_ESP_MARKER),
            Door::Ike => Some(datagram),
            Door::L2tp => None,
        };
        let header = message.and_then(|message| adit_ike::parse_header(message).ok());
        let main = adit_ike::codec::exchange::MAIN;
        if header.is_some_and(|header| header.exchange == main && !header.encrypted) {
            self.answers = self.answers.saturating_add(1);
        }
    }

    /// The server's host says that nobody listens at `door`.
    pub(super) fn handle_closed(&mut self, door: Door, now: Instant) {
        if door == Door::L2tp && self.stage == Stage::Tunnel {
            self.fail("closed: nothing listens there", advice::CLOSED_L2TP, now);
            self.done = true;
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.dial.handle_timeout(now);
        self.network.handle_timeout(now);
        self.drain(now);
        if self.done || now < self.deadline() {
            return;
        }
        if self.stage == Stage::End {
            let step = Step::ok(Stage::End.name(), now - self.since, Vec::new());
            self.steps.push_back(step.warn(advice::NO_FAREWELL));
            self.done = true;
            // Once more: it stops waiting, and takes leave of IPsec.
            self.dial.close(now);
        } else {
            self.fail("nothing came", advice::of_silence(self.stage), now);
            self.end(now);
        }
        self.drain(now);
    }

    fn deadline(&self) -> Instant {
        match self.stage {
            // Its checks have deadlines of their own.
            Stage::Network => self.since + self.timeout * 4 + SLACK,
            Stage::End => self.since + FAREWELL,
            _ => self.since + self.timeout + SLACK,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [
            self.dial.poll_timeout(),
            self.network.poll_timeout(),
            Some(self.deadline()),
        ];
        deadlines.into_iter().flatten().min().filter(|_| !self.done)
    }

    pub(super) fn poll_transmit(&mut self) -> Option<(Door, Vec<u8>)> {
        self.transmits.pop_front()
    }

    pub(super) fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    pub(super) fn poll_job(&mut self) -> Option<Job> {
        self.dial.poll_job()
    }

    pub(super) fn handle_job(&mut self, done: JobDone, now: Instant) {
        self.dial.handle_job(done, now);
        self.drain(now);
    }

    /// Takes all that the client and the checks have to say.
    fn drain(&mut self, now: Instant) {
        loop {
            self.transmits
                .extend(std::iter::from_fn(|| self.dial.poll_transmit()));
            if let Some(event) = self.dial.poll_event() {
                self.handle_event(&event, now);
            } else if let Some(step) = self.network.poll_step() {
                self.steps.push_back(step);
            } else if let Some(packet) = self.network.poll_packet() {
                self.transmits.extend(self.dial.wrap(&packet));
            } else if self.stage == Stage::Network && self.network.is_done() {
                self.end(now);
            } else {
                return;
            }
        }
    }

    fn handle_event(&mut self, event: &Event, now: Instant) {
        self.network.handle_event(event, now, &mut self.rng);
        match event {
            Event::Phase1(phase1) if self.stage == Stage::MainMode => {
                self.phase1 = true;
                self.reached(Stage::QuickMode, now, |step| advice::phase1(step, phase1));
            }
            Event::Sa { encapsulated, .. } if self.stage == Stage::QuickMode => {
                self.reached(Stage::Tunnel, now, |step| advice::sa(step, event));
                if !encapsulated {
                    self.end(now);
                }
            }
            Event::Tunnel { .. } => {
                self.reached(Stage::Session, now, |step| advice::tunnel(step, event));
            }
            Event::Session { local, remote } => self.reached(Stage::Lcp, now, |mut step| {
                step.seen
                    .push(format!("session {local} here, {remote} there"));
                step
            }),
            Event::Lcp(lcp) if self.stage == Stage::Lcp => {
                self.reached(Stage::Authentication, now, |step| advice::lcp(step, lcp));
                if !self.login {
                    self.end(now);
                }
            }
            Event::Authenticated if self.stage == Stage::Authentication => {
                self.reached(Stage::Network, now, |mut step| {
                    step.seen.push("accepted".to_owned());
                    step
                });
                self.network.start(self.ipv6, now);
            }
            Event::AuthFailed(why) if self.stage == Stage::Authentication => {
                self.fail(&why.to_string(), advice::authentication(why), now);
                self.stage = Stage::End;
                self.since = now;
            }
            Event::Down(reason) => self.down(reason, now),
            _ => {}
        }
    }

    fn reached(&mut self, next: Stage, now: Instant, judge: impl FnOnce(Step) -> Step) {
        let took = now.saturating_duration_since(self.since);
        let step = Step::ok(self.stage.name(), took, Vec::new());
        self.steps.push_back(judge(step));
        self.stage = next;
        self.since = now;
    }

    fn fail(&mut self, seen: &str, advice: impl Into<String>, now: Instant) {
        let took = now.saturating_duration_since(self.since);
        let step = Step::ok(self.stage.name(), took, vec![seen.to_owned()]);
        self.steps.push_back(step.fail(advice));
    }

    /// Begins the clean end.
    fn end(&mut self, now: Instant) {
        self.stage = Stage::End;
        self.since = now;
        self.dial.close(now);
    }

    fn down(&mut self, reason: &DownReason, now: Instant) {
        self.done = true;
        if self.stage == Stage::End {
            let took = now.saturating_duration_since(self.since);
            let seen = self.dial.farewell();
            let step = Step::ok(Stage::End.name(), took, vec![seen.to_owned()]);
            self.steps.push_back(step);
        } else {
            let advice = advice::of_down(self.stage, reason, self.answers);
            self.fail(&reason.to_string(), advice, now);
        }
    }
}
