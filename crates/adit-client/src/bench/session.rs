//! One session under load: when it reached which step, and its traffic.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_link::address;
use adit_wire::ip::Family;
use adit_wire::{PacketBuf, Path, Transmit};

use super::traffic::{Measured, Spell, Traffic};
use crate::event::Event;
use crate::{Client, Config, Job, JobDone};

/// The steps of a set-up, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// ISAKMP SA.
    Phase1,
    /// ESP SAs.
    QuickMode,
    /// L2TP tunnel.
    Tunnel,
    /// L2TP session.
    Session,
    /// LCP.
    Lcp,
    /// The user is in.
    Authentication,
    /// IPCP.
    Ipv4,
    /// IPv6CP, and an address of an announced prefix.
    Ipv6,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Phase1,
        Self::QuickMode,
        Self::Tunnel,
        Self::Session,
        Self::Lcp,
        Self::Authentication,
        Self::Ipv4,
        Self::Ipv6,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phase1 => "phase-1",
            Self::QuickMode => "quick-mode",
            Self::Tunnel => "l2tp",
            Self::Session => "session",
            Self::Lcp => "lcp",
            Self::Authentication => "authentication",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// What a set-up has to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// An IPv4 address.
    pub ipv4: bool,
    /// An IPv6 address.
    pub ipv6: bool,
    /// How long that may take.
    pub within: Duration,
}

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is being set up.
    Dialling,
    /// It is up, and took so long.
    Up(Duration),
    /// The set-up failed at a step, or the session was lost; it is being ended.
    Failed(Step, String),
}

/// One session.
///
/// Drive it as a [`Client`]; besides, take packets from [`poll_packet`](Self::poll_packet).
pub struct Session {
    client: Client,
    wants: Wants,
    began: Instant,
    reached: Vec<(Step, Duration)>,
    stage: Stage,
    closing: bool,
    down: bool,
    /// Own and far address inside, by family; those of IPv6 are of the link until there is another.
    ipv4: Option<(IpAddr, IpAddr)>,
    link6: Option<(IpAddr, IpAddr)>,
    own6: Option<IpAddr>,
    mtu: u16,
    spell: Option<Spell>,
    measured: Option<Measured>,
    rng: Rng,
}

impl Session {
    /// Dials the server at `path.remote`. All randomness comes from `seed`.
    pub fn new(mut config: Config, path: Path, wants: Wants, seed: [u8; 32], now: Instant) -> Self {
        let mut rng = Rng::from_seed(seed);
        config.ppp.ipv4 = wants.ipv4;
        config.ppp.ipv6 = wants.ipv6;
        let mut session = Self {
            client: Client::new(config, path, rng.array(), now),
            wants,
            began: now,
            reached: Vec::new(),
            stage: Stage::Dialling,
            closing: false,
            down: false,
            ipv4: None,
            link6: None,
            own6: None,
            mtu: u16::MAX,
            spell: None,
            measured: None,
            rng,
        };
        session.drain(now);
        session
    }

    /// Where it stands.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The steps that were reached, and how long after the beginning.
    pub fn reached(&self) -> &[(Step, Duration)] {
        &self.reached
    }

    /// Whether everything is over, and what is left to send has only to be sent.
    pub fn is_down(&self) -> bool {
        self.down
    }

    /// Takes a datagram, which is changed in place.
    pub fn handle_datagram(&mut self, path: Path, datagram: &mut [u8], now: Instant) {
        let range = self.client.handle_datagram(path, datagram, now);
        if let (Some(spell), Some(range)) = (&mut self.spell, range)
            && let Some(packet) = datagram.get(range)
        {
            spell.handle_packet(packet, now);
        }
        self.drain(now);
    }

    /// Takes the result of a [`Job`].
    pub fn handle_job(&mut self, done: JobDone, now: Instant) {
        self.client.handle_job(done, now);
        self.drain(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.client.poll_timeout().is_some_and(|at| at <= now) {
            self.client.handle_timeout(now);
        }
        if self.stage == Stage::Dialling && now >= self.began + self.wants.within {
            self.fail("no answer in time".to_owned());
            self.close(now);
        }
        let over = self.spell.as_mut().and_then(|spell| spell.result(now));
        if let Some(measured) = over {
            self.spell = None;
            self.measured = Some(measured);
        }
        self.drain(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called, or packets be taken, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.down {
            return None;
        }
        let patience = (self.stage == Stage::Dialling).then(|| self.began + self.wants.within);
        let spell = self.spell.as_ref().map(Spell::poll_timeout);
        let all = [self.client.poll_timeout(), patience, spell];
        all.into_iter().flatten().min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.client.poll_transmit()
    }

    /// The next computation to run elsewhere.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.client.poll_job()
    }

    /// Begins a spell of traffic. [`poll_measured`](Self::poll_measured) tells what came of it.
    pub fn start(&mut self, traffic: Traffic) {
        self.spell = self.spell_of(traffic);
        if self.spell.is_none() {
            self.measured = Some(Measured {
                impossible: true,
                ..Measured::default()
            });
        }
    }

    fn spell_of(&mut self, traffic: Traffic) -> Option<Spell> {
        let (from, to) = match (traffic.family, traffic.target) {
            (Family::V4, target) => {
                let (own, far) = self.ipv4?;
                (own, target.unwrap_or(far))
            }
            (Family::V6, Some(target)) => (self.own6?, target),
            (Family::V6, None) => self.link6?,
        };
        let mtu = usize::from(self.mtu.min(self.client.link_mtu()));
        let token = u64::from(self.rng.u32()) << 32 | u64::from(self.rng.u32());
        let is_up = matches!(self.stage, Stage::Up(_)) && !to.is_unspecified();
        // cast: a share of 16 bits
        let phase = f64::from(self.rng.u16()) / 65_536.0;
        let spell = Spell::new(traffic, (from, to), token, phase);
        spell.filter(|_| is_up && traffic.size <= mtu)
    }

    /// Makes `buf`, with [`HEADROOM`](crate::HEADROOM) and [`TAILROOM`](crate::TAILROOM), the next
    /// datagram of traffic that is due, and says where it goes.
    pub fn poll_packet(&mut self, buf: &mut PacketBuf, now: Instant) -> Option<Path> {
        self.spell.as_mut()?.poll_request(buf, now)?;
        self.client.handle_tun(buf)
    }

    /// What came of a spell of traffic, once.
    pub fn poll_measured(&mut self) -> Option<Measured> {
        self.measured.take()
    }

    /// Ends it as a client does; the second time without waiting.
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
        self.client.close(now);
        self.drain(now);
    }

    fn fail(&mut self, why: String) {
        let reached = |step: &Step| self.reached.iter().any(|(had, _)| had == step);
        let wanted = |step: &Step| match step {
            Step::Ipv4 => self.wants.ipv4,
            Step::Ipv6 => self.wants.ipv6,
            _ => true,
        };
        let mut missing = Step::ALL.into_iter().filter(|s| wanted(s) && !reached(s));
        let step = missing.next().unwrap_or(Step::Ipv6);
        self.stage = Stage::Failed(step, why);
        if self.spell.take().is_some() {
            self.measured = Some(Measured {
                impossible: true,
                ..Measured::default()
            });
        }
    }

    fn reach(&mut self, step: Step, now: Instant) {
        let took = now.saturating_duration_since(self.began);
        if self.reached.iter().all(|(had, _)| *had != step) {
            self.reached.push((step, took));
        }
        let has = |step| self.reached.iter().any(|(had, _)| *had == step);
        let all = (has(Step::Ipv4) || !self.wants.ipv4) && (has(Step::Ipv6) || !self.wants.ipv6);
        if self.stage == Stage::Dialling && has(Step::Authentication) && all {
            self.stage = Stage::Up(took);
        }
    }

    fn drain(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Phase1(_) => self.reach(Step::Phase1, now),
                Event::Sa { .. } => self.reach(Step::QuickMode, now),
                Event::Tunnel { .. } => self.reach(Step::Tunnel, now),
                Event::Session { .. } => self.reach(Step::Session, now),
                Event::Lcp(lcp) => {
                    self.mtu = self.mtu.min(lcp.mru);
                    self.reach(Step::Lcp, now);
                }
                Event::Authenticated => self.reach(Step::Authentication, now),
                Event::Ipv4 {
                    address, server, ..
                } => {
                    self.ipv4 = Some((address.into(), server.into()));
                    self.reach(Step::Ipv4, now);
                }
                Event::Ipv6Link {
                    interface_id,
                    server_interface_id,
                } => {
                    let link = |id| IpAddr::from(address::link_local(id));
                    self.link6 = Some((link(interface_id), link(server_interface_id)));
                }
                Event::Ipv6Address { address, .. } => {
                    self.own6 = Some(address.into());
                    self.reach(Step::Ipv6, now);
                }
                Event::NoIpv4(state) if self.wants.ipv4 && !self.closing => {
                    self.fail(format!("no IPv4: {state}"));
                }
                Event::NoIpv6(state) if self.wants.ipv6 && !self.closing => {
                    self.fail(format!("no IPv6: {state}"));
                }
                Event::Mtu(mtu) => {
                    self.mtu = self.mtu.min(u16::try_from(mtu).unwrap_or(u16::MAX));
                }
                Event::Down(reason) => {
                    self.down = true;
                    if !self.closing && !matches!(self.stage, Stage::Failed(..)) {
                        self.fail(reason.to_string());
                    }
                }
                _ => {}
            }
        }
    }
}
