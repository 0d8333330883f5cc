//! The world: server, clients, network, host and clock.

mod caller;
mod dialled;
mod hands;
mod probe;
mod run;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_client::{Client, PlainClient};
use adit_crypto::Rng;
use adit_ppp::{Credential, RejectReason, Secret};
use adit_server::{Device, Gauges, Grant, Lease, Note, Server, Worker};
use adit_wire::ip::Family;
use adit_wire::{Channel, PacketBuf, Path};

use crate::host;
use crate::nat::Nat;
use crate::network::{Datagram, Link, Network, Router};

use caller::Caller;

pub use dialled::Dialled;
pub use run::is_server;

/// Says of a datagram that leaves whether it vanishes.
pub type Filter = Box<dyn FnMut(&Datagram) -> bool>;

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
    /// Whether there is a NAT before the server, which forwards its ports.
    pub server_nat: bool,
}

struct End {
    client: Caller,
    config: adit_client::Config,
    address: IpAddr,
    nat: Option<Nat>,
    state: Dialled,
    /// Passwords that its user tries when the configured one is wrong.
    passwords: VecDeque<Secret>,
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
    /// The threads of its packet path, if it has any; then the server itself gets what they leave.
    workers: Vec<Worker>,
    notes: VecDeque<Note>,
    /// How many there were.
    pub noted: u64,
    /// How often the server had something due.
    pub timeouts: u64,
    /// Datagrams, and packets from TUN, that one worker had for another.
    pub handed: (usize, usize),
    users: BTreeMap<String, Credential>,
    /// What users are let in with, if it is more than their name.
    pub grants: BTreeMap<String, Grant>,
    /// Users who are refused for this reason though they know the password.
    pub refused: BTreeMap<String, RejectReason>,
    /// What the server said that devices are remembered with, in that order.
    pub remembered: Vec<(Device, Option<Lease>)>,
    /// Addresses that hosts of the uplink have, if clients share its prefix.
    pub uplink: BTreeSet<Ipv6Addr>,
    /// Addresses of that prefix that the server answers for.
    pub neighbors: BTreeSet<Ipv6Addr>,
    clients: Vec<End>,
    by_address: BTreeMap<IpAddr, Vec<ClientId>>,
    network: Network,
    timers: BinaryHeap<Reverse<(Instant, ClientId)>>,
    rng: Rng,
    start: Instant,
    now: Instant,
    server_nat: bool,
    /// Every datagram seen on the wire, when recording.
    pub capture: Option<Vec<Datagram>>,
    /// A router between the server and all clients whose link to them is narrow, if there is one.
    pub router: Option<Router>,
    /// Datagrams that it had no room for.
    pub no_room: u64,
    /// The ICMP errors that the server made for senders behind it.
    pub errors: Vec<Vec<u8>>,
    /// What clients send leaves from and goes to this port while it is set: 0 makes native ESP of
    /// ESP in UDP, 4500 the other way round.
    pub redirect: Option<u16>,
    /// The port that clients dial from and to: 500, or 4500 for those that start there.
    pub first_port: u16,
    /// Datagrams for which this is true vanish.
    pub drop_if: Option<Filter>,
}

impl World {
    /// The wall clock, which does not move with the other one.
    pub const UNIX: Duration = Duration::from_secs(1_800_000_000);
    /// The server's outer IPv4 address.
    pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    /// The server's outer IPv6 address.
    pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

    /// Its own IPv4 address, if there is a NAT before it.
    pub const INSIDE_V4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
    /// Its own IPv6 address likewise.
    pub const INSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 1);

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
        let count = config.server.workers;
        let server =
            Server::new(config.server, rng.array(), start).expect("a prefix that can be divided");
        Self {
            workers: hands::hired(&server, count),
            notes: VecDeque::new(),
            noted: 0,
            timeouts: 0,
            handed: (0, 0),
            server,
            users,
            grants: BTreeMap::new(),
            refused: BTreeMap::new(),
            remembered: Vec::new(),
            uplink: BTreeSet::new(),
            neighbors: BTreeSet::new(),
            clients: Vec::new(),
            by_address: BTreeMap::new(),
            network: Network::new(config.link),
            timers: BinaryHeap::new(),
            rng,
            start,
            now: start,
            server_nat: config.server_nat,
            capture: None,
            router: None,
            no_room: 0,
            errors: Vec::new(),
            redirect: None,
            first_port: 500,
            drop_if: None,
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
        let nat64 = nat.as_ref().is_some_and(Nat::translates);
        let client = Caller::Ipsec(Box::new(self.new_client(&config, address, nat64)));
        let public = nat.clone().map_or(address, |mut nat| {
            nat.outward(SocketAddr::new(address, 500)).ip()
        });
        self.by_address.entry(public).or_default().push(id);
        self.add_end(client, config, address, nat, redial)
    }

    /// Adds a client without IPsec that dials from this address and port.
    pub fn dial_plain(
        &mut self,
        config: adit_client::Config,
        from: SocketAddr,
        redial: bool,
    ) -> ClientId {
        let id = ClientId(self.clients.len());
        let client = self.new_plain(&config, from);
        self.by_address.entry(from.ip()).or_default().push(id);
        self.add_end(client, config, from.ip(), None, redial)
    }

    fn add_end(
        &mut self,
        client: Caller,
        config: adit_client::Config,
        address: IpAddr,
        nat: Option<Nat>,
        redial: bool,
    ) -> ClientId {
        let id = ClientId(self.clients.len());
        self.clients.push(End {
            client,
            config,
            address,
            nat,
            state: Dialled {
                dials: 1,
                ..Dialled::default()
            },
            passwords: VecDeque::new(),
            redial,
            redial_at: None,
            alive: true,
            ping_at: None,
            timer: None,
        });
        self.drain_client(id);
        id
    }

    fn new_client(&mut self, config: &adit_client::Config, address: IpAddr, nat64: bool) -> Client {
        let server = match (nat64, Family::of(address)) {
            (true, _) => Nat::embed(Self::SERVER_V4),
            (false, Family::V4) => Self::SERVER_V4.into(),
            (false, Family::V6) => Self::SERVER_V6.into(),
        };
        let path = Path {
            channel: match self.first_port {
                4500 => Channel::NatT,
                _ => Channel::Ike,
            },
            local: SocketAddr::new(address, self.first_port),
            remote: SocketAddr::new(server, self.first_port),
        };
        Client::new(config.clone(), path, self.rng.array(), self.now)
    }

    fn new_plain(&mut self, config: &adit_client::Config, from: SocketAddr) -> Caller {
        let family = Family::of(from.ip());
        let server = match family {
            Family::V4 => Self::SERVER_V4.into(),
            Family::V6 => Self::SERVER_V6.into(),
        };
        let path = Path {
            channel: Channel::L2tp,
            local: from,
            remote: SocketAddr::new(server, 1701),
        };
        let client = PlainClient::new(config, family, self.rng.array(), self.now);
        Caller::Plain(Box::new(client), path)
    }

    /// What a client has come to.
    pub fn state(&self, id: ClientId) -> &Dialled {
        &self.clients[id.0].state
    }

    /// Gives a client's user another password to try.
    pub fn remember(&mut self, id: ClientId, password: &str) {
        let password = Secret::new(password.as_bytes());
        self.clients[id.0].passwords.push_back(password);
    }

    /// Cuts a client's power: it says nothing more and forgets everything.
    pub fn kill(&mut self, id: ClientId) {
        self.clients[id.0].alive = false;
    }

    /// Boots a client anew and dials, from the same address and ports.
    pub fn boot(&mut self, id: ClientId) {
        let now = self.now;
        let End {
            config,
            address,
            nat,
            ..
        } = &self.clients[id.0];
        let (config, address) = (config.clone(), *address);
        let nat64 = nat.as_ref().is_some_and(Nat::translates);
        let client = match self.clients[id.0].client.plain_from() {
            Some(from) => self.new_plain(&config, from),
            None => Caller::Ipsec(Box::new(self.new_client(&config, address, nat64))),
        };
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

    /// The NAT before a client gets another public address.
    pub fn move_nat(&mut self, id: ClientId, public: IpAddr) {
        if let Some(nat) = &mut self.clients[id.0].nat {
            nat.move_to(public);
            self.by_address.entry(public).or_default().push(id);
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

    /// A client with IPsec, for tests that speak for the network.
    pub fn client(&mut self, id: ClientId) -> &mut Client {
        self.clients[id.0].client.ipsec()
    }

    /// The server's numbers of a client's tunnel and session.
    pub fn l2tp_ids(&self, id: ClientId) -> Option<(u16, u16)> {
        self.clients[id.0].client.l2tp_ids()
    }

    /// Sends any bytes from a client as an L2TP message inside its SA.
    pub fn send_l2tp(&mut self, id: ClientId, message: &[u8]) {
        self.clients[id.0].client.ipsec().inject_l2tp(message);
        self.drain_client(id);
    }

    /// Sends any bytes from a client as the payload of ESP.
    pub fn send_esp(&mut self, id: ClientId, payload: &[u8], next_header: u8) {
        self.clients[id.0]
            .client
            .ipsec()
            .inject_esp(payload, next_header);
        self.drain_client(id);
    }

    /// Sends any bytes from a client as a PPP frame of its session.
    pub fn send_frame(&mut self, id: ClientId, frame: &[u8]) {
        self.clients[id.0].client.ipsec().inject_frame(frame);
        self.drain_client(id);
    }

    /// Changes the IKE policy of a client that is connected.
    pub fn set_ike_policy(&mut self, id: ClientId, ike: Arc<adit_ike::Config>) {
        self.clients[id.0].client.ipsec().set_ike_policy(ike);
    }

    /// Puts any datagram on the wire, as an attacker would.
    pub fn inject(&mut self, datagram: Datagram) {
        self.put(datagram);
    }

    /// Ends the server cleanly.
    pub fn shut_down(&mut self) {
        self.server.shutdown(self.now);
        self.drain_server();
    }

    /// What the server holds for clients that are there, so not the addresses that devices get again.
    pub fn held(&self) -> Gauges {
        Gauges {
            remembered: 0,
            ..self.server.gauges()
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

/// An instant to count from; only differences matter.
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs one real instant to start from"
)]
fn epoch() -> Instant {
    Instant::now()
}
