//! Which ESP suites a server takes: one connection after another, each offering what is left, until
//! a Quick Mode is refused. Each ends with its Deletes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_crypto::{EspCipher, EspMac, EspSuite, Rng};
use adit_ike::{ChildFailure, Manner};
use adit_wire::Path;

use super::dial::door;
use super::step::{Door, Step};
use crate::event::{DownReason, Event};
use crate::{Client, Config, Job, JobDone};

/// How long one connection may take past the timeout of its exchanges.
const SLACK: Duration = Duration::from_secs(3);

pub(super) struct Suites {
    config: Config,
    path: Path,
    rng: Rng,
    client: Box<Client>,
    taken: Vec<EspSuite>,
    since: Instant,
    deadline: Instant,
    step: Option<Step>,
    transmits: VecDeque<(Door, Vec<u8>)>,
}

impl Suites {
    pub(super) fn new(mut config: Config, path: Path, now: Instant, rng: &mut Rng) -> Self {
        let ike = Arc::make_mut(&mut config.ike);
        ike.esp = all();
        ike.manner.esp = Manner::OWN.esp;

        let mut rng = Rng::from_seed(rng.array());
        let client = Box::new(Client::new(config.clone(), path, rng.array(), now).ipsec_only());
        let deadline = now + config.ike.negotiation_timeout * 2 + SLACK;
        let mut suites = Self {
            config,
            path,
            rng,
            client,
            taken: Vec::new(),
            since: now,
            deadline,
            step: None,
            transmits: VecDeque::new(),
        };
        suites.drain(now);
        suites
    }

    pub(super) fn handle_datagram(&mut self, path: Path, datagram: &mut [u8], now: Instant) {
        self.client.handle_datagram(path, datagram, now);
        self.drain(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        self.drain(now);
        if now >= self.deadline && self.step.is_none() {
            self.finish(now, Some("the server stopped answering".to_owned()));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let client = self.client.poll_timeout();
        Some(client.map_or(self.deadline, |at| at.min(self.deadline)))
    }

    pub(super) fn poll_transmit(&mut self) -> Option<(Door, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The step, when all is known; nothing follows.
    pub(super) fn take_step(&mut self) -> Option<Step> {
        self.step.take()
    }

    pub(super) fn poll_job(&mut self) -> Option<Job> {
        self.client.poll_job()
    }

    pub(super) fn handle_job(&mut self, done: JobDone, now: Instant) {
        self.client.handle_job(done, now);
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        loop {
            while let Some(transmit) = self.client.poll_transmit() {
                let door = door(transmit.path);
                self.transmits
                    .extend(door.map(|door| (door, transmit.payload)));
            }
            match self.client.poll_event() {
                Some(Event::Sa { suite, .. }) => {
                    self.taken.push(suite);
                    self.client.close(now);
                }
                Some(Event::Down(reason)) => self.down(&reason, now),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn down(&mut self, reason: &DownReason, now: Instant) {
        match reason {
            DownReason::Closed => {
                let ike = Arc::make_mut(&mut self.config.ike);
                ike.esp.retain(|suite| !self.taken.contains(suite));
                if ike.esp.is_empty() {
                    return self.finish(now, None);
                }
                let (config, seed) = (self.config.clone(), self.rng.array());
                *self.client = Client::new(config, self.path, seed, now).ipsec_only();
                self.deadline = now + self.config.ike.negotiation_timeout * 2 + SLACK;
            }
            DownReason::QuickMode(ChildFailure::Refused { .. } | ChildFailure::Timeout) => {
                self.finish(now, None);
            }
            reason => self.finish(now, Some(reason.to_string())),
        }
    }

    fn finish(&mut self, now: Instant, ended: Option<String>) {
        let took = now.saturating_duration_since(self.since);
        let mut seen: Vec<_> = self.taken.iter().map(ToString::to_string).collect();
        if seen.is_empty() {
            seen.push("none".to_owned());
        }
        let step = Step::ok("esp-suites", took, seen);
        let weak: Vec<_> = self
            .taken
            .iter()
            .copied()
            .filter(|suite| suite.weakness().is_some())
            .collect();
        self.step = Some(match ended {
            Some(why) => step.warn(format!("there may be more: {why}")),
            None if !weak.is_empty() => {
                let weak: Vec<_> = weak.iter().map(ToString::to_string).collect();
                step.warn(format!(
                    "the server takes what is weak: {}",
                    weak.join(", ")
                ))
            }
            None => step,
        });
    }
}

/// Everything that can be spoken here, the strongest first.
fn all() -> Vec<EspSuite> {
    let aead = [EspCipher::AesGcm256, EspCipher::AesGcm128];
    let macs = [
        EspMac::HmacSha2_512_256,
        EspMac::HmacSha2_384_192,
        EspMac::HmacSha2_256_128,
        EspMac::HmacSha1_96,
        EspMac::HmacMd5_96,
    ];
    let ciphers = [
        EspCipher::AesCbc256,
        EspCipher::AesCbc192,
        EspCipher::AesCbc128,
        EspCipher::TripleDes,
    ];
    let separate = ciphers.iter().flat_map(|cipher| {
        macs.map(|mac| EspSuite {
            cipher: *cipher,
            mac: Some(mac),
        })
    });
    let aead = aead.map(|cipher| EspSuite { cipher, mac: None });
    aead.into_iter().chain(separate).collect()
}
