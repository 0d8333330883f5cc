//! A probe: what a server offers and negotiates, step by step, told and not judged by luck. First
//! messages of phase 1 say what it would take; one whole connection says what comes of it.
//!
//! It is sans-IO as everything here. It must never leave more behind on the server than the protocol
//! makes it, and never sends a password in the clear outside of IPsec.

mod advice;
mod ask;
mod choice;
mod connection;
mod dial;
pub(crate) mod echo;
mod names;
mod network;
mod offer;
mod step;
mod suites;
mod survey;

use std::collections::VecDeque;
use std::time::Instant;

use adit_crypto::Rng;
use adit_wire::ip::Family;

use crate::{Job, JobDone};
use ask::{config, path};
use connection::Connection;
use suites::Suites;
use survey::{Plan, Survey};

pub use ask::{Ask, Depth, Ends, OWN};
pub use step::{Door, Outcome, Step};

enum Phase {
    Survey(Box<Survey>),
    Connection(Box<Connection>),
    Suites(Box<Suites>),
    Done,
}

/// The probe of one address.
///
/// Feed it with [`handle_datagram`](Self::handle_datagram), [`handle_closed`](Self::handle_closed),
/// [`handle_timeout`](Self::handle_timeout) and [`handle_job`](Self::handle_job); after each call,
/// and after making it, take everything from [`poll_transmit`](Self::poll_transmit),
/// [`poll_step`](Self::poll_step) and [`poll_job`](Self::poll_job), then wait no longer than
/// [`poll_timeout`](Self::poll_timeout) says, until it [`is_done`](Self::is_done).
pub struct Probe {
    ask: Ask,
    ends: Ends,
    rng: Rng,
    phase: Phase,
    transmits: VecDeque<(Door, Vec<u8>)>,
    steps: VecDeque<Step>,
}

impl Probe {
    /// Begins. All randomness comes from `seed`.
    pub fn new(ask: Ask, ends: Ends, seed: [u8; 32], now: Instant) -> Self {
        let mut rng = Rng::from_seed(seed);
        let config = config(&ask, &ends);
        let phase = if ask.ipsec {
            let plan = Plan {
                config: config.ike,
                path: path(&ends, Door::Ike),
                profile: ask.profile.map_or(OWN, |profile| profile.name),
                depth: ask.depth,
                timeout: ask.timeout,
                round: 0,
            };
            Phase::Survey(Box::new(Survey::new(plan, now, &mut rng)))
        } else {
            let outer = Family::of(ends.remote);
            let connection = Connection::plain(&config, outer, ask.timeout, now, &mut rng);
            Phase::Connection(Box::new(connection))
        };
        let mut probe = Self {
            ask,
            ends,
            rng,
            phase,
            transmits: VecDeque::new(),
            steps: VecDeque::new(),
        };
        probe.drain(now);
        probe
    }

    /// Takes a datagram that came from `door`.
    pub fn handle_datagram(&mut self, door: Door, datagram: &mut [u8], now: Instant) {
        let path = path(&self.ends, door);
        match &mut self.phase {
            Phase::Survey(survey) => {
                let message = match door {
                    Door::NatT => datagram.strip_prefix(&crate::client::NON_ESP_MARKER),
                    Door::Ike | Door::L2tp => Some(&*datagram),
                };
                if let Some(message) = message {
                    survey.handle_message(message, now, &mut self.rng);
                }
            }
            Phase::Connection(connection) => connection.handle_datagram(door, path, datagram, now),
            Phase::Suites(suites) => suites.handle_datagram(path, datagram, now),
            Phase::Done => {}
        }
        self.drain(now);
    }

    /// The server's host says that nobody listens at `door` (ICMP port unreachable).
    pub fn handle_closed(&mut self, door: Door, now: Instant) {
        match &mut self.phase {
            Phase::Survey(survey) => survey.handle_closed(door),
            Phase::Connection(connection) => connection.handle_closed(door, now),
            Phase::Suites(_) | Phase::Done => {}
        }
        self.drain(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Survey(survey) => survey.handle_timeout(now, &mut self.rng),
            Phase::Connection(connection) => connection.handle_timeout(now),
            Phase::Suites(suites) => suites.handle_timeout(now),
            Phase::Done => {}
        }
        self.drain(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Survey(survey) => survey.poll_timeout(),
            Phase::Connection(connection) => connection.poll_timeout(),
            Phase::Suites(suites) => suites.poll_timeout(),
            Phase::Done => None,
        }
    }

    /// The next datagram to send, and the door it goes to.
    pub fn poll_transmit(&mut self) -> Option<(Door, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next step that is over.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// The next computation to run away from the packet path.
    pub fn poll_job(&mut self) -> Option<Job> {
        match &mut self.phase {
            Phase::Connection(connection) => connection.poll_job(),
            Phase::Suites(suites) => suites.poll_job(),
            Phase::Survey(_) | Phase::Done => None,
        }
    }

    /// Takes the result of a [`Job`].
    pub fn handle_job(&mut self, done: JobDone, now: Instant) {
        match &mut self.phase {
            Phase::Connection(connection) => connection.handle_job(done, now),
            Phase::Suites(suites) => suites.handle_job(done, now),
            Phase::Survey(_) | Phase::Done => {}
        }
        self.drain(now);
    }

    /// Whether all has been asked; what is left to send should still be sent.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    fn drain(&mut self, now: Instant) {
        loop {
            let next = match &mut self.phase {
                Phase::Survey(survey) => {
                    self.transmits
                        .extend(std::iter::from_fn(|| survey.poll_transmit()));
                    self.steps.extend(std::iter::from_fn(|| survey.poll_step()));
                    survey.is_done().then(|| survey.is_promising())
                }
                Phase::Connection(connection) => {
                    self.transmits
                        .extend(std::iter::from_fn(|| connection.poll_transmit()));
                    self.steps
                        .extend(std::iter::from_fn(|| connection.poll_step()));
                    connection.is_done().then(|| connection.had_phase1())
                }
                Phase::Suites(suites) => {
                    self.transmits
                        .extend(std::iter::from_fn(|| suites.poll_transmit()));
                    let step = suites.take_step();
                    let done = step.is_some();
                    self.steps.extend(step);
                    done.then_some(true)
                }
                Phase::Done => None,
            };
            let Some(went_well) = next else {
                return;
            };
            self.phase = self.next(went_well, now);
        }
    }

    /// What comes behind a phase that is over.
    fn next(&mut self, went_well: bool, now: Instant) -> Phase {
        let config = || config(&self.ask, &self.ends);
        let path = path(&self.ends, Door::Ike);
        match &self.phase {
            Phase::Survey(_) if went_well && self.ask.psk.is_some() => {
                let timeout = self.ask.timeout;
                let connection = Connection::ipsec(config(), path, timeout, now, &mut self.rng);
                Phase::Connection(Box::new(connection))
            }
            Phase::Connection(_) if went_well && self.ask.depth == Depth::Full => {
                Phase::Suites(Box::new(Suites::new(config(), path, now, &mut self.rng)))
            }
            _ => Phase::Done,
        }
    }
}
