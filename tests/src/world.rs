//! The world: server, clients, network, host and clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_client::{Client, DownReason, Event as ClientEvent};
use adit_crypto::Rng;
use adit_ppp::{Credential, RejectReason, Secret, Verified};
use adit_server::{Decision, Event as ServerEvent, Server};
use adit_wire::ip::Family;
use adit_wire::{Channel, PacketBuf, Path};

use crate::host;
use crate::nat::Nat;
use crate::network::{Datagram, Link, Network};

/// Names a client of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub usize);

/// A user that the server knows.
#[derive(Clone, Debug)]
pub struct User {
    /// Name.
    pub name: String,
    /// Clear password.
    pub password: String,
}

/// What a world starts with.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Everything random follows from this.
    pub seed: u64,
    /// The network between clients and server.
    pub link: Link,
    /// The server.
    pub server: adit_server::Config,
    /// Whom it lets in.
    pub users: Vec<User>,
}

/// What a client has come to.
#[derive(Clone, Debug, Default)]
pub struct Dialled {
    /// Times it dialled.
    pub dials: u32,
    /// Its IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its global IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Its default router.
    pub router: Option<Ipv6Addr>,
    /// IPv4 resolvers.
    pub dns4: Vec<Ipv4Addr>,
    /// IPv6 resolvers.
    pub dns6: Vec<Ipv6Addr>,
    /// MTU announced on the link.
    pub mtu: Option<u32>,
    /// IPv4 packets that came back from the host.
    pub echoes4: u32,
    /// IPv6 packets that came back from the host.
    pub echoes6: u32,
    /// All events since the last dialling.
    pub events: Vec<ClientEvent>,
    /// Why the last connection ended, if it did.
    pub down: Option<DownReason>,
}

struct End {
    client: Client,
    config: adit_client::Config,
    address: IpAddr,
    nat: Option<Nat>,
    state: Dialled,
    redial: bool,
    redial_at: Option<Instant>,
    alive: bool,
    /// When to send the next packet to the host, while answers are awaited.
    ping_at: Option<Instant>,
    timer: Option<Instant>,
}

/// The world. Make it, [`dial`](Self::dial) clients, then [`run_until`](Self::run_until).
pub struct World {
    /// The server, for its statistics.
    pub server: Server,
    users: BTreeMap<String, Credential>,
    clients: Vec<End>,
    by_address: BTreeMap<IpAddr, Vec<ClientId>>,
    network: Network,
    timers: BinaryHeap<Reverse<(Instant, ClientId)>>,
    rng: Rng,
    start: Instant,
    now: Instant,
    server4: IpAddr,
    server6: IpAddr,
    /// Every datagram seen on the wire, when recording.
    pub capture: Option<Vec<Datagram>>,
    /// What clients send leaves from and goes to this port while it is set: 0 makes native ESP of
    /// ESP in UDP, 4500 the other way round.
    pub redirect: Option<u16>,
}

impl World {
    /// The wall clock, which does not move with the other one.
    pub const UNIX: Duration = Duration::from_secs(1_800_000_000);
    /// The server's outer IPv4 address.
    pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    /// The server's outer IPv6 address.
    pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

    /// A world without clients.
    pub fn new(config: WorldConfig) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&config.seed.to_be_bytes());
        let mut rng = Rng::from_seed(seed);
        let start = epoch();
        let users = config
            .users
            .iter()
            .map(|user| {
                let credential = Credential {
                    password: Some(Secret::new(user.password.as_bytes())),
                    nt_hash: Some(adit_crypto::ppp::NtHash::of_password(&user.password)),
                };
                (user.name.clone(), credential)
            })
            .collect();
        Self {
            server: Server::new(config.server, rng.array(), start)
                .expect("a prefix that can be divided"),
            users,
            clients: Vec::new(),
            by_address: BTreeMap::new(),
            network: Network::new(config.link),
            timers: BinaryHeap::new(),
            rng,
            start,
            now: start,
            server4: Self::SERVER_V4.into(),
            server6: Self::SERVER_V6.into(),
            capture: None,
            redirect: None,
        }
    }

    /// Virtual time since the start.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// The virtual clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Changes the network from now on.
    pub fn set_link(&mut self, link: Link) {
        self.network.set_link(link);
    }

    /// Adds a client at `address`, behind `nat` if given, and dials. With `redial` it dials again
    /// whenever the connection ends, as an always-on client does.
    pub fn dial(
        &mut self,
        mut config: adit_client::Config,
        address: IpAddr,
        nat: Option<Nat>,
        redial: bool,
    ) -> ClientId {
        config.nat_t_local = SocketAddr::new(address, 4500);
        let id = ClientId(self.clients.len());
        let client = self.new_client(&config, address);
        let public = nat.clone().map_or(address, |mut nat| {
            nat.outward(SocketAddr::new(address, 500)).ip()
        });
        self.by_address.entry(public).or_default().push(id);
        self.clients.push(End {
            client,
            config,
            address,
            nat,
            state: Dialled {
                dials: 1,
                ..Dialled::default()
            },
            redial,
            redial_at: None,
            alive: true,
            ping_at: None,
            timer: None,
        });
        self.drain_client(id);
        id
    }

    fn new_client(&mut self, config: &adit_client::Config, address: IpAddr) -> Client {
        let server = match Family::of(address) {
            Family::V4 => self.server4,
            Family::V6 => self.server6,
        };
        let path = Path {
            channel: Channel::Ike,
            local: SocketAddr::new(address, 500),
            remote: SocketAddr::new(server, 500),
        };
        Client::new(config.clone(), path, self.rng.array(), self.now)
    }

    /// What a client has come to.
    pub fn state(&self, id: ClientId) -> &Dialled {
        &self.clients[id.0].state
    }

    /// Cuts a client's power: it says nothing more and forgets everything.
    pub fn kill(&mut self, id: ClientId) {
        self.clients[id.0].alive = false;
    }

    /// Boots a client anew and dials, from the same address and ports.
    pub fn boot(&mut self, id: ClientId) {
        let now = self.now;
        let (config, address) = (
            self.clients[id.0].config.clone(),
            self.clients[id.0].address,
        );
        let client = self.new_client(&config, address);
        let end = &mut self.clients[id.0];
        end.client = client;
        end.alive = true;
        end.redial_at = None;
        // What still waits for an echo goes on asking.
        end.ping_at = end.ping_at.map(|_| now);
        end.state = Dialled {
            dials: end.state.dials + 1,
            ..Dialled::default()
        };
        self.drain_client(id);
    }

    /// Ends a client's connection cleanly.
    pub fn hang_up(&mut self, id: ClientId) {
        self.clients[id.0].redial = false;
        self.clients[id.0].client.close(self.now);
        self.drain_client(id);
    }

    /// The NAT before a client forgets its mappings.
    pub fn rebind(&mut self, id: ClientId) {
        if let Some(nat) = &mut self.clients[id.0].nat {
            nat.forget();
        }
    }

    /// Sends one UDP packet of each family that is up from a client to the host.
    pub fn ping(&mut self, id: ClientId) {
        let state = &self.clients[id.0].state;
        let (v4, v6) = (state.ipv4, state.ipv6);
        if let Some(from) = v4 {
            self.send_ip(
                id,
                &host::udp_packet(from.into(), host::HOST_V4.into(), b"four"),
            );
        }
        if let Some(from) = v6 {
            self.send_ip(
                id,
                &host::udp_packet(from.into(), host::HOST_V6.into(), b"six"),
            );
        }
    }

    /// Sends an IP packet from a client into its tunnel.
    pub fn send_ip(&mut self, id: ClientId, packet: &[u8]) {
        let mut buf = PacketBuf::from_slice(adit_client::HEADROOM, packet, adit_client::TAILROOM);
        if let Some(path) = self.clients[id.0].client.handle_tun(&mut buf) {
            let payload = buf.as_slice().to_vec();
            self.send_from_client(id, path, payload);
        }
    }

    /// The server's numbers of a client's tunnel and session.
    pub fn l2tp_ids(&self, id: ClientId) -> Option<(u16, u16)> {
        self.clients[id.0].client.l2tp_ids()
    }

    /// Sends any bytes from a client as an L2TP message inside its SA.
    pub fn send_l2tp(&mut self, id: ClientId, message: &[u8]) {
        self.clients[id.0].client.inject_l2tp(message);
        self.drain_client(id);
    }

    /// Sends any bytes from a client as a PPP frame of its session.
    pub fn send_frame(&mut self, id: ClientId, frame: &[u8]) {
        self.clients[id.0].client.inject_frame(frame);
        self.drain_client(id);
    }

    /// Puts any datagram on the wire, as an attacker would.
    pub fn inject(&mut self, datagram: Datagram) {
        self.network.send(datagram, self.now, &mut self.rng);
    }

    /// Ends the server cleanly.
    pub fn shut_down(&mut self) {
        self.server.shutdown(self.now);
        self.drain_server();
    }

    /// Lets time pass until `done` holds; `false` if `limit` of virtual time passes first.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let deadline = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            let next = [
                self.network.next(),
                self.server.poll_timeout(),
                self.timers.peek().map(|Reverse((at, _))| *at),
            ]
            .into_iter()
            .flatten()
            .min();
            let Some(next) = next.filter(|next| *next <= deadline) else {
                self.now = deadline;
                return done(self);
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until a client has echoes of both families, pinging once a second.
    pub fn run_until_echoes(&mut self, ids: &[ClientId], limit: Duration) -> bool {
        for id in ids {
            self.clients[id.0].ping_at = Some(self.now);
            self.schedule(*id);
        }
        let ids = ids.to_vec();
        self.run_until(limit, |world| {
            ids.iter()
                .all(|id| world.state(*id).echoes4 > 0 && world.state(*id).echoes6 > 0)
        })
    }

    fn step(&mut self) {
        while let Some(datagram) = self.network.pop(self.now) {
            self.deliver(datagram);
        }
        if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            self.server.handle_timeout(self.now);
            self.drain_server();
        }
        while let Some(Reverse((at, id))) = self.timers.peek().copied() {
            if at > self.now {
                break;
            }
            self.timers.pop();
            if self.clients[id.0].timer == Some(at) {
                self.clients[id.0].timer = None;
                self.client_timeout(id);
            }
        }
    }

    fn client_timeout(&mut self, id: ClientId) {
        let now = self.now;
        let end = &mut self.clients[id.0];
        if !end.alive {
            return;
        }
        if end.redial_at.is_some_and(|at| at <= now) {
            self.boot(id);
            return;
        }
        if end.client.poll_timeout().is_some_and(|at| at <= now) {
            end.client.handle_timeout(now);
        }
        if end.ping_at.is_some_and(|at| at <= now) {
            let answered = end.state.echoes4 > 0 && end.state.echoes6 > 0;
            end.ping_at = (!answered).then_some(now + Duration::from_secs(1));
            self.ping(id);
        }
        self.drain_client(id);
    }

    fn deliver(&mut self, datagram: Datagram) {
        let to_server = [self.server4, self.server6].contains(&datagram.to.ip());
        if let Some(capture) = &mut self.capture {
            capture.push(datagram.clone());
        }
        let Some(channel) = channel_of(if to_server {
            datagram.to
        } else {
            datagram.from
        }) else {
            return;
        };
        let mut payload = datagram.payload;
        if to_server {
            let path = Path {
                channel,
                local: datagram.to,
                remote: datagram.from,
            };
            let inner = self.server.handle_datagram(path, &mut payload, self.now);
            if let Some(packet) = inner.and_then(|range| host::echo(&payload[range])) {
                self.to_tun(&packet);
            }
            self.drain_server();
            return;
        }
        let candidates = self
            .by_address
            .get(&datagram.to.ip())
            .cloned()
            .unwrap_or_default();
        for id in candidates {
            let end = &mut self.clients[id.0];
            let local = match &end.nat {
                Some(nat) => nat.inward(datagram.to),
                None => Some(datagram.to),
            };
            let Some(local) = local.filter(|_| end.alive) else {
                continue;
            };
            let path = Path {
                channel,
                local,
                remote: datagram.from,
            };
            if let Some(range) = end.client.handle_datagram(path, &mut payload, self.now) {
                match payload[range].first().map(|byte| byte >> 4) {
                    Some(4) => end.state.echoes4 += 1,
                    _ => end.state.echoes6 += 1,
                }
            }
            self.drain_client(id);
            return;
        }
    }

    /// An IP packet that reaches the server's TUN device from behind.
    pub fn to_tun(&mut self, packet: &[u8]) {
        let mut buf = PacketBuf::from_slice(adit_server::HEADROOM, packet, adit_server::TAILROOM);
        if let Some(path) = self.server.handle_tun(&mut buf, self.now) {
            self.send_from_server(path, buf.as_slice().to_vec());
        }
        self.drain_server();
    }

    fn send_from_server(&mut self, path: Path, payload: Vec<u8>) {
        let datagram = Datagram {
            from: path.local,
            to: path.remote,
            payload,
        };
        self.network.send(datagram, self.now, &mut self.rng);
    }

    fn send_from_client(&mut self, id: ClientId, path: Path, payload: Vec<u8>) {
        let from = match &mut self.clients[id.0].nat {
            Some(nat) => nat.outward(path.local),
            None => path.local,
        };
        let mut datagram = Datagram {
            from,
            to: path.remote,
            payload,
        };
        if let Some(port) = self.redirect {
            datagram.from.set_port(port);
            datagram.to.set_port(port);
        }
        self.network.send(datagram, self.now, &mut self.rng);
    }

    fn drain_server(&mut self) {
        loop {
            if let Some(transmit) = self.server.poll_transmit() {
                self.send_from_server(transmit.path, transmit.payload);
            } else if let Some(job) = self.server.poll_job() {
                self.server.handle_job(job.run(Self::UNIX), self.now);
            } else if let Some(ServerEvent::Authenticate {
                session, attempt, ..
            }) = self.server.poll_event()
            {
                let verified = self
                    .users
                    .get(attempt.user())
                    .map(|credential| attempt.verify(credential));
                let decision = match verified {
                    Some(Verified::Accepted { success_message }) => {
                        Decision::Accept { success_message }
                    }
                    _ => Decision::Reject(RejectReason::BadCredentials),
                };
                self.server.handle_verdict(session, decision, self.now);
            } else if self.server.poll_tun().is_none() {
                return;
            }
        }
    }

    fn drain_client(&mut self, id: ClientId) {
        loop {
            let end = &mut self.clients[id.0];
            if let Some(transmit) = end.client.poll_transmit() {
                self.send_from_client(id, transmit.path, transmit.payload);
            } else if let Some(job) = end.client.poll_job() {
                end.client.handle_job(job.run(Self::UNIX), self.now);
            } else if let Some(event) = end.client.poll_event() {
                end.state.note(event);
                if end.state.down.is_some() && end.redial {
                    end.redial_at = Some(self.now + Duration::from_secs(1));
                }
            } else {
                break;
            }
        }
        self.schedule(id);
    }

    fn schedule(&mut self, id: ClientId) {
        let end = &mut self.clients[id.0];
        let next = [end.client.poll_timeout(), end.ping_at, end.redial_at]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| end.alive);
        if let Some(at) = next
            && end.timer != Some(at)
        {
            end.timer = Some(at);
            self.timers.push(Reverse((at, id)));
        }
    }

    /// Datagrams sent and lost so far.
    pub fn traffic(&self) -> (u64, u64) {
        (self.network.sent, self.network.lost)
    }

    /// A copy of a configuration shared by tests, with `change` applied.
    pub fn changed<T: Clone>(shared: &Arc<T>, change: impl FnOnce(&mut T)) -> Arc<T> {
        let mut value = T::clone(shared);
        change(&mut value);
        Arc::new(value)
    }
}

impl Dialled {
    fn note(&mut self, event: ClientEvent) {
        match &event {
            ClientEvent::Ipv4 { address, dns, .. } => {
                self.ipv4 = Some(*address);
                self.dns4.clone_from(dns);
            }
            ClientEvent::NoIpv4 => self.ipv4 = None,
            ClientEvent::Ipv6Address { address, .. } => self.ipv6 = Some(*address),
            ClientEvent::NoIpv6 => self.ipv6 = None,
            ClientEvent::Ipv6Router { address } => self.router = Some(*address),
            ClientEvent::Mtu(mtu) => self.mtu = Some(*mtu),
            ClientEvent::Ipv6Dns(dns) => self.dns6.clone_from(dns),
            ClientEvent::Down(reason) => {
                self.down = Some(reason.clone());
                self.ipv4 = None;
                self.ipv6 = None;
            }
            _ => {}
        }
        self.events.push(event);
    }
}

fn channel_of(server: SocketAddr) -> Option<Channel> {
    match server.port() {
        500 => Some(Channel::Ike),
        4500 => Some(Channel::NatT),
        0 => Some(Channel::Esp),
        _ => None,
    }
}

/// An instant to count from; only differences matter.
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs one real instant to start from"
)]
fn epoch() -> Instant {
    Instant::now()
}
