//! What the server takes in phase 1, asked by first messages only. One message waits for its answer
//! before the next goes out, each has a cookie of its own, and what the server began is taken
//! back at once.

mod answers;
mod questions;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use adit_crypto::Rng;

use super::choice::Choice;
use super::offer::{self, Reply};
use super::step::{Door, Step};
use questions::{Kind, Question};

pub(super) use questions::Plan;

/// Pause between two first messages.
const PACE: Duration = Duration::from_millis(100);

/// When a message goes out again, counted from the last time.
const REPEAT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// How long the last repetition is waited for.
const LAST: Duration = Duration::from_secs(2);

/// A message that waits for its answer.
struct Asked {
    question: Question,
    since: Instant,
    due: Instant,
    sent: usize,
    /// The port is closed.
    closed: bool,
}

/// The questions about one address.
pub(super) struct Survey {
    plan: Plan,
    waiting: VecDeque<Kind>,
    asked: Option<Asked>,
    /// Not before this.
    next: Instant,
    /// A server that never refuses aloud is not waited for so long.
    silent: bool,
    /// What was taken with a pre-shared key.
    taken: Vec<Choice>,
    /// Whether the client that will connect can expect to.
    promising: bool,
    transmits: VecDeque<(Door, Vec<u8>)>,
    steps: VecDeque<Step>,
}

impl Survey {
    pub(super) fn new(plan: Plan, now: Instant, rng: &mut Rng) -> Self {
        let waiting = plan.first();
        let mut survey = Self {
            plan,
            waiting,
            asked: None,
            next: now,
            silent: false,
            taken: Vec::new(),
            promising: false,
            transmits: VecDeque::new(),
            steps: VecDeque::new(),
        };
        survey.handle_timeout(now, rng);
        survey
    }

    /// Whether IKE answers where clients ask first, and takes what the client offers.
    pub(super) fn is_promising(&self) -> bool {
        self.promising
    }

    pub(super) fn is_done(&self) -> bool {
        self.asked.is_none() && self.waiting.is_empty()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<(Door, Vec<u8>)> {
        self.transmits.pop_front()
    }

    pub(super) fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.asked {
            Some(asked) => Some(asked.due),
            None => (!self.waiting.is_empty()).then_some(self.next),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) {
        if let Some(asked) = self.asked.as_mut().filter(|asked| now >= asked.due) {
            let in_time = now < asked.since + self.plan.timeout;
            let loud = !self.silent || asked.question.kind.is_reach();
            let patient = in_time && loud && !asked.closed;
            match REPEAT.get(asked.sent).filter(|_| patient) {
                Some(_) => {
                    asked.sent += 1;
                    asked.due = now + REPEAT.get(asked.sent).copied().unwrap_or(LAST);
                    let message = asked.question.framed();
                    self.transmits.push_back((asked.question.door, message));
                }
                None => self.conclude(None, now, rng),
            }
        }
        if self.asked.is_none() && now >= self.next {
            self.ask(now, rng);
        }
    }

    fn ask(&mut self, now: Instant, rng: &mut Rng) {
        while let Some(kind) = self.waiting.pop_front() {
            // A message that cannot be built is longer than any that is planned.
            let Ok(question) = self.plan.question(kind, &self.taken, now, rng) else {
                continue;
            };
            self.transmits.push_back((question.door, question.framed()));
            self.asked = Some(Asked {
                question,
                since: now,
                due: now + REPEAT[0],
                sent: 0,
                closed: false,
            });
            return;
        }
    }

    /// Takes an IKE message without its marker.
    pub(super) fn handle_message(&mut self, message: &[u8], now: Instant, rng: &mut Rng) {
        let asked = self.asked.as_ref();
        let reply = asked.and_then(|asked| offer::read(message, asked.question.cookie));
        if reply.is_some() {
            self.conclude(reply, now, rng);
        }
    }

    /// The server's host says that nobody listens at `door`.
    pub(super) fn handle_closed(&mut self, door: Door) {
        if let Some(asked) = &mut self.asked
            && asked.question.door == door
        {
            asked.closed = true;
        }
    }

    /// The question is answered, or will not be.
    fn conclude(&mut self, reply: Option<Reply>, now: Instant, rng: &mut Rng) {
        let Some(Asked {
            question,
            since,
            closed,
            ..
        }) = self.asked.take()
        else {
            return;
        };
        self.next = now + PACE;
        let took = now.saturating_duration_since(since);
        if let Some(Reply::Chosen { cookies, .. }) = &reply
            && let Ok(farewell) = offer::farewell(*cookies, rng)
        {
            let farewell = question.door_framed(farewell);
            self.transmits.push_back((question.door, farewell));
        }
        match question.kind {
            Kind::Reach(door) => self.reached(door, &question.offers, reply, closed, took),
            Kind::Profile(name) => {
                let step = answers::profile(name, &question.offers, &reply, took, false);
                self.steps.push_back(step);
                self.take(&reply);
            }
            Kind::Aggressive => self.steps.push_back(answers::aggressive(&reply, took)),
            Kind::Batch(mut batch) => {
                self.silent |= reply.is_none();
                match &reply {
                    Some(Reply::Chosen { choice, .. }) if batch.take(*choice) => {
                        self.take(&reply);
                        self.waiting.push_front(Kind::Batch(batch));
                    }
                    _ => self.steps.push_back(batch.step(&reply, now)),
                }
            }
        }
        if self.asked.is_none() && self.waiting.is_empty() {
            self.waiting = self.plan.more(&self.taken);
        }
    }

    fn take(&mut self, reply: &Option<Reply>) {
        if let Some(Reply::Chosen { choice, .. }) = reply
            && !self.taken.contains(choice)
        {
            self.taken.push(*choice);
        }
    }

    fn reached(
        &mut self,
        door: Door,
        offers: &[Choice],
        reply: Option<Reply>,
        closed: bool,
        took: Duration,
    ) {
        self.steps
            .push_back(answers::reached(door, &reply, closed, took));
        if door != Door::Ike {
            return;
        }
        self.promising = matches!(reply, Some(Reply::Chosen { .. }));
        if reply.is_none() {
            // Nothing else is worth asking, but for the other port.
            self.waiting.retain(|kind| kind.is_reach());
            self.plan.nothing_more();
            return;
        }
        let name = self.plan.profile;
        let step = answers::profile(name, offers, &reply, took, true);
        self.steps.push_back(step);
        self.steps.extend(answers::vendors(&reply));
        self.take(&reply);
    }
}
