//! Machines against each other in memory: a client and a server on a virtual clock, joined by a
//! link that may lose, repeat, delay and translate.

mod aggressive;
mod aggressive_hostile;
mod answer;
mod candidates;
mod certificates;
mod dead_peer;
mod degenerate;
mod forged;
mod formulas;
mod fragments;
mod hostile;
mod link;
mod main_mode;
mod nat;
mod pki;
mod proofs;
mod proofs_of_servers;
mod quick;
mod replaced;
mod seeds;
mod windows;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_wire::{Channel, Path, Transmit};

use crate::*;

/// Where the two hosts are, seen from themselves and from the other end.
#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) client: &'static str,
    pub(crate) client_outside: &'static str,
    pub(crate) server: &'static str,
    pub(crate) server_outside: &'static str,
}

pub(crate) const DIRECT: Addresses = Addresses {
    client: "192.0.2.10",
    client_outside: "192.0.2.10",
    server: "198.51.100.1",
    server_outside: "198.51.100.1",
};

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The wall clock of every test.
pub(crate) const UNIX: Duration = Duration::from_secs(1_800_000_000);

pub(crate) fn credentials(psk: &str) -> Arc<Credentials> {
    Arc::new(Credentials::psk(Arc::new(Psk::new(psk))))
}

/// Shares of datagrams in percent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) lost: u32,
    pub(crate) repeated: u32,
    pub(crate) delayed: u32,
}

pub(crate) struct Host {
    pub(crate) sa: Option<IkeSa>,
    pub(crate) config: Arc<Config>,
    pub(crate) credentials: Arc<Credentials>,
    /// How a client opens; `None`: main mode by its address.
    pub(crate) opening: Option<Opening>,
    pub(crate) rng: Rng,
    pub(crate) events: Vec<Event>,
    /// What is answered to a request for a child.
    pub(crate) reject: Option<u16>,
    next_spi: u32,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) errors: Vec<Error>,
}

impl Host {
    fn new(config: Config, seed: u8) -> Self {
        Self {
            sa: None,
            config: Arc::new(config),
            credentials: credentials("a shared secret"),
            opening: None,
            rng: Rng::from_seed([seed; 32]),
            events: Vec::new(),
            reject: None,
            next_spi: 0x1000_0000 * u32::from(seed),
            refusal: None,
            errors: Vec::new(),
        }
    }

    pub(crate) fn sa(&mut self) -> &mut IkeSa {
        self.sa.as_mut().unwrap()
    }

    pub(crate) fn spi(&mut self) -> u32 {
        self.next_spi += 1;
        self.next_spi
    }

    pub(crate) fn children(&self) -> Vec<Child> {
        let child = |event: &Event| match event {
            Event::ChildEstablished(child) => Some((**child).clone()),
            _ => None,
        };
        self.events.iter().filter_map(child).collect()
    }

    pub(crate) fn phase1(&self) -> Option<&Phase1> {
        self.events.iter().find_map(|event| match event {
            Event::Established(phase1) => Some(&**phase1),
            _ => None,
        })
    }

    pub(crate) fn closed(&self) -> Option<&CloseReason> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(reason) => Some(reason),
            _ => None,
        })
    }

    pub(crate) fn failures(&self) -> Vec<&ChildFailure> {
        let mut failures = Vec::new();
        for event in &self.events {
            if let Event::ChildFailed { reason, .. } = event {
                failures.push(reason);
            }
        }
        failures
    }

    pub(crate) fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) client: Host,
    pub(crate) server: Host,
    pub(crate) addresses: Addresses,
    pub(crate) weather: Weather,
    /// Cuts the line.
    pub(crate) cut: bool,
    /// Everything that was sent, with whether it goes to the server.
    pub(crate) log: Vec<(bool, Transmit)>,
    flying: VecDeque<(Instant, bool, Transmit)>,
    rng: Rng,
}

impl Pair {
    pub(crate) fn new(client: Config, server: Config) -> Self {
        Self::seeded(client, server, 1)
    }

    pub(crate) fn seeded(client: Config, server: Config, seed: u8) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
        let now = Instant::now();
        Self {
            now,
            client: Host::new(client, 1),
            server: Host::new(server, 2),
            addresses: DIRECT,
            weather: Weather::default(),
            cut: false,
            log: Vec::new(),
            flying: VecDeque::new(),
            rng: Rng::from_seed([seed; 32]),
        }
    }

    pub(crate) fn connect(&mut self) {
        self.connect_on(Channel::Ike);
    }

    pub(crate) fn connect_on(&mut self, channel: Channel) {
        let port = if channel == Channel::Ike { 500 } else { 4500 };
        let local = SocketAddr::new(ip(self.addresses.client), port);
        let path = Path {
            channel,
            local,
            remote: SocketAddr::new(ip(self.addresses.server_outside), port),
        };
        let host = &mut self.client;
        let opening = host.opening.clone();
        let opening = opening.unwrap_or_else(|| Opening::main(local.ip().into()));
        host.sa = Some(IkeSa::initiate(
            &host.config,
            &host.credentials,
            path,
            SocketAddr::new(local.ip(), 4500),
            opening,
            self.now,
            &mut host.rng,
        ));
    }

    /// Runs until nothing more happens within `time`.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let timers = [&self.client, &self.server]
                .into_iter()
                .filter_map(|host| host.sa.as_ref()?.poll_timeout());
            let flights = self.flying.iter().map(|(due, ..)| *due);
            match timers.chain(flights).min() {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break self.now = end,
            }
            for host in [&mut self.client, &mut self.server] {
                if let Some(sa) = &mut host.sa {
                    sa.handle_timeout(self.now, &mut host.rng);
                }
            }
        }
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    fn settle(&mut self) {
        loop {
            self.drain(true);
            self.drain(false);
            let now = self.now;
            let Some(at) = self.flying.iter().position(|(due, ..)| *due <= now) else {
                return;
            };
            let (_, to_server, transmit) = self.flying.remove(at).unwrap();
            self.deliver(to_server, transmit);
        }
    }

    fn drain(&mut self, client: bool) {
        let host = if client {
            &mut self.client
        } else {
            &mut self.server
        };
        let Some(sa) = &mut host.sa else { return };
        loop {
            if let Some(job) = sa.poll_job() {
                sa.handle_job(job.run(UNIX), self.now, &mut host.rng);
            } else if let Some(event) = sa.poll_event() {
                if let Event::ChildRequested { id, .. } = &event {
                    match host.reject {
                        Some(notify) => sa.reject_child(*id, notify, self.now, &mut host.rng),
                        None => {
                            host.next_spi += 1;
                            sa.accept_child(*id, host.next_spi, self.now, &mut host.rng);
                        }
                    }
                }
                host.events.push(event);
            } else if let Some(transmit) = sa.poll_transmit() {
                self.log.push((client, transmit.clone()));
                let fate = self.rng.below(100);
                if self.cut || fate < self.weather.lost {
                    continue;
                }
                let copies = 1 + u32::from(self.rng.below(100) < self.weather.repeated);
                for _ in 0..copies {
                    let mut due = self.now + Duration::from_millis(10);
                    if self.rng.below(100) < self.weather.delayed {
                        due += Duration::from_millis(u64::from(self.rng.below(3000)));
                    }
                    self.flying.push_back((due, client, transmit.clone()));
                }
            } else {
                return;
            }
        }
    }

    /// The path of a datagram as its receiver sees it. The client's NAT moves ports by 60,000.
    pub(crate) fn translate(&self, to_server: bool, path: Path) -> Path {
        let Addresses {
            client,
            client_outside,
            server,
            server_outside,
        } = self.addresses;
        let offset = if client == client_outside { 0 } else { 60_000 };
        if to_server {
            assert_eq!(path.remote.ip(), ip(server_outside));
            let remote = SocketAddr::new(ip(client_outside), path.local.port() + offset);
            Path {
                channel: path.channel,
                local: SocketAddr::new(ip(server), path.remote.port()),
                remote,
            }
        } else {
            assert_eq!(path.remote.ip(), ip(client_outside));
            Path {
                channel: path.channel,
                local: SocketAddr::new(ip(client), path.remote.port() - offset),
                remote: SocketAddr::new(ip(server_outside), path.local.port()),
            }
        }
    }

    pub(crate) fn deliver(&mut self, to_server: bool, transmit: Transmit) {
        let path = self.translate(to_server, transmit.path);
        let host = if to_server {
            &mut self.server
        } else {
            &mut self.client
        };
        let message = &transmit.payload;
        let Some(sa) = &mut host.sa else {
            let credentials = &host.credentials;
            match IkeSa::accept(
                &host.config,
                credentials,
                path,
                message,
                self.now,
                &mut host.rng,
            ) {
                Ok(sa) => host.sa = Some(sa),
                Err(refusal) => {
                    if let Some(transmit) = &refusal.notify {
                        let due = self.now + Duration::from_millis(10);
                        self.flying.push_back((due, false, transmit.clone()));
                    }
                    host.refusal = Some(refusal);
                }
            }
            return;
        };
        if let Err(error) = sa.handle_message(path, message, self.now, &mut host.rng) {
            host.errors.push(error);
        }
    }

    /// Starts a Quick Mode from the client or the server, as they would for L2TP.
    pub(crate) fn start_quick(&mut self, from_client: bool, encapsulated: bool) -> u32 {
        let (client, server) = (ip(self.addresses.client), ip(self.addresses.server_outside));
        let end = |id: IpAddr| Selector {
            id: id.into(),
            protocol: 17,
            port: 1701,
        };
        let (local, remote, host) = if from_client {
            (end(client), end(server), &mut self.client)
        } else {
            (end(server), end(client), &mut self.server)
        };
        let spi = host.spi();
        let sa = host.sa.as_mut().unwrap();
        sa.start_quick_mode(local, remote, spi, encapsulated, self.now, &mut host.rng);
        spi
    }

    /// Connects and asserts that phase 1 is done on both ends.
    pub(crate) fn established(client: Config, server: Config) -> Self {
        let mut pair = Self::new(client, server);
        pair.connect();
        pair.seconds(2);
        assert!(
            pair.client.sa().is_established(),
            "{:?}",
            pair.client.events
        );
        assert!(
            pair.server.sa().is_established(),
            "{:?}",
            pair.server.events
        );
        pair
    }
}

/// Asserts that two ends of a pair of SAs fit together.
pub(crate) fn assert_fit(a: &Child, b: &Child) {
    assert_eq!(a.inbound_spi, b.outbound_spi);
    assert_eq!(a.outbound_spi, b.inbound_spi);
    assert_eq!(a.suite, b.suite);
    assert_eq!(a.inbound_keymat[..], b.outbound_keymat[..]);
    assert_eq!(a.outbound_keymat[..], b.inbound_keymat[..]);
    assert_ne!(a.inbound_keymat[..], a.outbound_keymat[..]);
    assert_eq!(a.inbound_keymat.len(), a.suite.keymat_len());
    assert_eq!(a.encapsulated, b.encapsulated);
    assert_eq!(a.extended_sequence, b.extended_sequence);
    assert_eq!(a.lifetime_seconds, b.lifetime_seconds);
    assert_eq!(a.lifetime_kilobytes, b.lifetime_kilobytes);
    assert_eq!((&a.local, &a.remote), (&b.remote, &b.local));
    assert_ne!(a.initiated, b.initiated);
}
