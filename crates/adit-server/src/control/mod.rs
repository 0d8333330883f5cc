//! The control side: who owns what, and the verbs of the server.
//!
//! The server owns half-open exchanges, cookies, pools and peers; a peer owns its IKE SAs, SA
//! groups and tunnels; a tunnel its sessions; a session its PPP link, addresses and IPv6 router.
//! What the packet path needs of them is published to the [`Plane`].

mod admission;
mod batch;
mod claims;
mod group;
mod half_open;
mod ike;
mod link;
mod memory;
mod native;
mod notes;
mod path_mtu;
mod peer;
mod plain;
mod pools;
mod refusal;
mod refused;
mod rekey;
mod rekey_ike;
mod roster;
mod session;
mod shutdown;
mod sizes;
mod throttle;
mod tunnel;
mod unkept;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_esp::Received;
use adit_link::pool::{Claims, PrefixLength};
use adit_wire::{Channel, PacketBuf, Path, Transmit};
use hashbrown::HashMap;
use slab::Slab;

use crate::budget::{self, Budget};
use crate::config::Config;
use crate::event::{Decision, Event, SessionId};
use crate::info::SessionInfo;
use crate::plane::{
    Common, GroupKey, Inbound, Learnt, NON_ESP_MARKER, Outbound, Plane, SessionKey,
};
use crate::stats::{Gauges, Stats};
use crate::timers::Timers;

use group::GroupState;
use half_open::HalfOpen;
use ike::{IkeEntry, IkeKey};
use native::Blocked;
use path_mtu::Paths;
use peer::{Peer, PeerKey};
use plain::PlainPeers;
use pools::Pools;
use roster::Roster;
use session::Session;
use shutdown::Stopping;
use throttle::Throttle;
use tunnel::TunnelState;
use unkept::Unkept;

pub use path_mtu::{Teller, TooBig};

/// Errors towards clients that may be made per second: an answer per packet would double a flood.
const ICMP_ERRORS_PER_SECOND: u32 = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum TimerKey {
    Ike(IkeKey),
    Peer(PeerKey),
    /// Replacing a peer's IKE SA.
    Replacing(PeerKey),
    Group(GroupKey),
    /// What is known of a group's path is to be forgotten.
    Path(GroupKey),
    Tunnel(u16),
    Session(SessionKey),
    Stopping,
}

/// A Diffie-Hellman computation for an IKE SA, to be run away from the packet path.
#[derive(Debug)]
pub struct Job {
    ike: IkeKey,
    serial: u64,
    job: adit_ike::Job,
}

/// A finished [`Job`].
#[derive(Debug)]
pub struct JobDone {
    ike: IkeKey,
    serial: u64,
    done: adit_ike::JobDone,
}

impl Job {
    /// Computes; takes up to some milliseconds. `unix` is the wall clock since the Unix epoch.
    pub fn run(self, unix: Duration) -> JobDone {
        JobDone {
            ike: self.ike,
            serial: self.serial,
            done: self.job.run(unix),
        }
    }
}

/// The server, without its sockets.
///
/// Feed it with [`handle_datagram`](Self::handle_datagram) or, several at once,
/// [`handle_datagrams`](Self::handle_datagrams), [`handle_tun`](Self::handle_tun),
/// [`handle_timeout`](Self::handle_timeout), [`handle_job`](Self::handle_job) and
/// [`handle_verdict`](Self::handle_verdict); after each call (or batch of calls) take everything from
/// [`poll_transmit`](Self::poll_transmit), [`poll_oversize`](Self::poll_oversize), [`poll_tun`](Self::poll_tun),
/// [`poll_event`](Self::poll_event) and [`poll_job`](Self::poll_job) until they give `None`, then
/// wait no longer than [`poll_timeout`](Self::poll_timeout) says.
///
/// For several threads there is a second face to the packet path: [`workers`](Self::workers), whose
/// notes come back by [`handle_note`](Self::handle_note), and which seals packets together.
pub struct Server {
    config: Config,
    rng: Rng,
    plane: Plane,
    /// Who holds which addresses of a prefix that all clients share, if they do.
    claims: Option<Claims<SessionKey>>,
    timers: Timers<TimerKey>,
    /// Boxed, like what else there is many of: tables have room for twice as many.
    ikes: Slab<Box<IkeEntry>>,
    ike_serial: u64,
    /// By the cookie that we chose as responder.
    by_cookie: HashMap<[u8; 8], IkeKey>,
    /// By the cookie that we chose as initiator.
    by_started: HashMap<[u8; 8], IkeKey>,
    /// By the peer's cookie and address, for repeated first messages.
    by_first: HashMap<([u8; 8], SocketAddr), IkeKey>,
    half_open: HalfOpen<IkeKey>,
    /// Since there were too many half-open exchanges for the first time.
    unkept: Option<Unkept>,
    /// The phase 1 policy with ESP in UDP for all, and where it is needed.
    forced_ike: Arc<adit_ike::Config>,
    blocked: Blocked,
    /// Computations handed out and not yet returned.
    pending_jobs: usize,
    peers: Slab<Peer>,
    by_identity: HashMap<(String, SocketAddr), PeerKey>,
    groups: HashMap<GroupKey, Box<GroupState>>,
    plain: PlainPeers,
    paths: Paths,
    tunnels: HashMap<u16, Box<TunnelState>>,
    sessions: HashMap<SessionKey, Box<Session>>,
    by_id: HashMap<SessionId, SessionKey>,
    /// Those that were let in.
    roster: Roster,
    next_session: u64,
    pools: Pools,
    throttle: Throttle,
    ppp_configs: HashMap<u16, Arc<adit_ppp::ServerConfig>>,
    /// Packets from TUN that are to be sealed together.
    transmits: VecDeque<Transmit>,
    oversize: VecDeque<Transmit>,
    to_tun: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    jobs: VecDeque<Job>,
    icmp_budget: Budget,
    log_budget: Budget,
    /// The same for lines that only somebody who looks for a fault wants to see.
    noise_budget: Budget,
    stopping: Option<Stopping>,
}

impl Server {
    /// A server with no peers. All its randomness comes from `seed`. Fails if the clients' prefixes
    /// cannot be cut out of the configured one.
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Result<Self, PrefixLength> {
        let pools = Pools::new(config.ipv4.as_ref(), config.ipv6.as_ref(), &config.limits)?;
        let common = Common {
            own4: pools.server_ipv4().unwrap_or(Ipv4Addr::UNSPECIFIED),
            own6: pools.server_ipv6().unwrap_or(Ipv6Addr::UNSPECIFIED),
            clients: pools.clients(config.ipv4.as_ref(), config.ipv6.as_ref()),
            shared: pools.shared(),
            ipv6_blocked: config.ipv6.as_ref().is_some_and(|ipv6| ipv6.blocked),
        };
        Ok(Self {
            rng: Rng::from_seed(seed),
            plane: Plane::new(&common, config.workers, now),
            claims: pools.shared().map(Claims::new),
            timers: Timers::new(),
            ikes: Slab::new(),
            ike_serial: 0,
            by_cookie: HashMap::new(),
            by_started: HashMap::new(),
            by_first: HashMap::new(),
            half_open: HalfOpen::default(),
            unkept: None,
            forced_ike: Arc::new(adit_ike::Config {
                force_encapsulation: true,
                ..adit_ike::Config::clone(&config.ike)
            }),
            blocked: Blocked::default(),
            pending_jobs: 0,
            peers: Slab::new(),
            by_identity: HashMap::new(),
            groups: HashMap::new(),
            plain: PlainPeers::default(),
            paths: Paths::new(now),
            tunnels: HashMap::new(),
            sessions: HashMap::new(),
            by_id: HashMap::new(),
            roster: Roster::default(),
            next_session: 1,
            pools,
            throttle: Throttle::new(&config.limits),
            ppp_configs: HashMap::new(),
            transmits: VecDeque::new(),
            oversize: VecDeque::new(),
            to_tun: VecDeque::new(),
            events: VecDeque::new(),
            jobs: VecDeque::new(),
            icmp_budget: Budget::new(ICMP_ERRORS_PER_SECOND, now),
            log_budget: Budget::new(budget::LINES_PER_SECOND, now),
            noise_budget: Budget::new(budget::LINES_PER_SECOND, now),
            stopping: None,
            config,
        })
    }

    /// Takes a datagram that arrived on `path`. If it held an IP packet for TUN, gives its range
    /// in `datagram`, where it has been decrypted in place.
    pub fn handle_datagram(
        &mut self,
        path: Path,
        datagram: &mut [u8],
        now: Instant,
    ) -> Option<Range<usize>> {
        self.take_datagram(path, &mut Received::new(datagram), now)
    }

    fn take_datagram(
        &mut self,
        path: Path,
        datagram: &mut Received<'_>,
        now: Instant,
    ) -> Option<Range<usize>> {
        match path.channel {
            Channel::Esp => return self.handle_esp(path, datagram, now),
            Channel::L2tp => return self.handle_plain(path, datagram.packet_mut(), now),
            Channel::Ike => self.handle_ike(path, datagram.packet(), now),
            Channel::NatT => {
                if datagram.packet() == [0xff] {
                    self.plane.stats.keepalives += 1;
                    return None;
                }
                match datagram.packet().strip_prefix(&NON_ESP_MARKER) {
                    Some(message) => self.handle_ike(path, message, now),
                    None => return self.handle_esp(path, datagram, now),
                }
            }
        }
        None
    }

    /// Takes an IP packet from TUN with [`HEADROOM`](crate::HEADROOM) before and
    /// [`TAILROOM`](crate::TAILROOM) after it. If it goes to a session, it is a sealed datagram
    /// afterwards, and the path to send it on is returned.
    pub fn handle_tun(&mut self, packet: &mut PacketBuf, now: Instant) -> Option<Path> {
        let outbound = self.plane.outbound(packet, now);
        self.rekey_by_volume(now);
        match outbound {
            Outbound::Sealed(group, native) => self.plane.path_of(group, native),
            Outbound::Cut(parts) => {
                self.transmits.extend(parts);
                None
            }
            Outbound::Oversize(transmit) => {
                self.oversize.push_back(transmit);
                None
            }
            Outbound::Refused(error) => {
                self.to_tun.extend(error);
                None
            }
            Outbound::Elsewhere(_) | Outbound::Dropped => None,
        }
    }

    fn handle_esp(
        &mut self,
        path: Path,
        packet: &mut Received<'_>,
        now: Instant,
    ) -> Option<Range<usize>> {
        let (inbound, learnt) = self.plane.inbound(path, packet, now);
        self.take_learnt(path, &learnt, now);
        self.take_inbound(inbound, packet.packet_mut(), now)
    }

    /// Follows what an authentic packet told besides its content.
    fn take_learnt(&mut self, path: Path, learnt: &Learnt, now: Instant) {
        if let Some(group) = learnt.moved {
            self.peer_moved(group, path);
            self.path_changed(group, now);
        }
        if let Some((group, suite)) = learnt.suite {
            tracing::info!(
                peer = %path.remote,
                suite = suite.name(),
                "the client's packets say which length of HMAC-SHA2-256 it uses"
            );
            self.group_resized(group, now);
        }
        if let Some(spi) = learnt.first_on {
            tracing::debug!(spi = format_args!("{spi:08x}"), "peer uses its new SA");
        }
    }

    /// Gives what a packet held to whom it is for.
    fn take_inbound(
        &mut self,
        inbound: Inbound,
        packet: &mut [u8],
        now: Instant,
    ) -> Option<Range<usize>> {
        match inbound {
            Inbound::Ip(range) => return Some(range),
            Inbound::Link(session, range) => {
                if let Some(bytes) = packet.get(range) {
                    self.handle_link_packet(session, bytes, now);
                }
            }
            Inbound::Refused(session, range) => {
                let packet = packet.get(range).unwrap_or_default().to_vec();
                self.refuse_packet(session, &packet, now);
            }
            Inbound::Unclaimed(session, address) => self.claim_address(session, address, now),
            Inbound::Ppp(session, range) => {
                if let Some(frame) = packet.get(range) {
                    self.handle_ppp_frame(session, frame, now);
                }
            }
            Inbound::L2tp {
                group,
                remote_port,
                message,
            } => {
                if let Some(message) = packet.get(message) {
                    self.handle_l2tp(group, remote_port, message, now);
                }
            }
            Inbound::Early {
                group,
                remote_port,
                message,
            } => {
                let inbound = self.plane.message(group, remote_port, packet, message, now);
                // It is not early a second time.
                return self.take_inbound(inbound, packet, now);
            }
            Inbound::Answer(answer) => self.transmits.push_back(answer),
            Inbound::Elsewhere(_) | Inbound::Dropped => {}
        }
        None
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(key) = self.timers.pop(now) {
            match key {
                TimerKey::Ike(key) => self.ike_timeout(key, now),
                TimerKey::Peer(key) => self.peer_timeout(key, now),
                TimerKey::Replacing(key) => self.replacing_timeout(key, now),
                TimerKey::Group(key) => self.group_timeout(key, now),
                TimerKey::Path(key) => self.path_timeout(key, now),
                TimerKey::Tunnel(id) => self.tunnel_timeout(id, now),
                TimerKey::Session(key) => self.session_timeout(key, now),
                TimerKey::Stopping => self.delete_all_sas(now),
            }
        }
        self.rekey_by_volume(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next datagram to send: a whole UDP payload, or a whole ESP packet for [`Channel::Esp`].
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next datagram that is too big for its path and has to be cut on it: IPv6 needs links of
    /// 1280 bytes, which not every tunnel is (RFC 2473 7.1, RFC 8200 5).
    pub fn poll_oversize(&mut self) -> Option<Transmit> {
        self.oversize.pop_front()
    }

    /// The next IP packet for TUN that the server made itself: ICMP errors.
    pub fn poll_tun(&mut self) -> Option<Vec<u8>> {
        self.to_tun.pop_front()
    }

    /// The next thing that the owner has to act on.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| {
            let (device, lease) = self.pools.poll_change()?;
            Some(Event::Remember { device, lease })
        })
    }

    /// The next computation to run away from the packet path. Each must come back through
    /// [`handle_job`](Self::handle_job): those that are out count against a limit.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Takes the result of a [`Job`].
    pub fn handle_job(&mut self, done: JobDone, now: Instant) {
        self.pending_jobs = self.pending_jobs.saturating_sub(1);
        if let Some(entry) = self.ikes.get_mut(done.ike.0)
            && entry.serial == done.serial
        {
            entry.sa.handle_job(done.done, now, &mut self.rng);
            self.drive_ike(done.ike, now);
        }
    }

    /// Takes the answer to [`Event::Authenticate`].
    pub fn handle_verdict(&mut self, session: SessionId, decision: Decision, now: Instant) {
        if let Some(key) = self.by_id.get(&session).copied() {
            self.session_verdict(key, decision, now);
        }
    }

    /// All sessions, by their number.
    pub fn sessions(&self, now: Instant) -> Vec<SessionInfo> {
        let mut infos: Vec<_> = self
            .sessions
            .keys()
            .filter_map(|key| self.session_info(*key, now))
            .collect();
        infos.sort_by_key(|info| info.id);
        infos
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.plane.stats()
    }

    /// How many of each thing there are now.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            half_open: self.half_open.total(),
            ike_sas: self.ikes.len() - self.half_open.total(),
            peers: self.peers.len(),
            plain_peers: self.plain.len(),
            esp_sas: self.plane.sa_count(),
            tunnels: self.tunnels.len(),
            sessions: self.sessions.len(),
            leases_ipv4: self.pools.leased_ipv4(),
            leases_ipv6: self.pools.leased_ipv6(),
            claimed: self.claims.as_ref().map_or(0, Claims::count),
            delegated: self.pools.leased_delegated(),
            remembered: self.pools.remembered(),
            routes: self.plane.route_count(),
        }
    }

    /// The addresses that the server has on its TUN device, with the lengths of pool and prefix.
    pub fn own_addresses(&self) -> Vec<ipnet::IpNet> {
        self.pools.own_addresses()
    }

    /// What has to be routed to that device besides: the prefixes that clients may be delegated.
    pub fn own_routes(&self) -> Vec<ipnet::IpNet> {
        let ipv6 = self.config.ipv6.iter();
        ipv6.filter_map(|ipv6| ipv6.delegate)
            .map(|delegate| delegate.prefix.into())
            .collect()
    }

    fn send_ike(&mut self, transmit: Transmit) {
        let Transmit { path, mut payload } = transmit;
        if path.channel == Channel::NatT {
            payload.splice(0..0, NON_ESP_MARKER);
        }
        self.transmits.push_back(Transmit { path, payload });
    }
}
