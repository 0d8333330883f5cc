//! The server's side of one session's IPv6 link: router (RFC 4861 6.2, RFC 4191), neighbour (7.2)
//! and DHCPv6 server (RFC 8415 18.3).
//!
//! It never forwards what belongs to the link, and never answers for an address of the client.

mod advertise;
mod dhcp;
mod stats;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_wire::Queue;
use adit_wire::ip::{IpHeader, protocol};
use ipnet::Ipv6Net;

use crate::Error;
use crate::address::{self, ALL_DHCP_SERVERS, ALL_NODES};
use crate::dhcp6::server::Server;
use crate::domain::Domain;
use crate::nd::{self, Message, Preference};
use crate::packet::{self, MAX_QUEUED};

pub use crate::Handled;
use advertise::Schedule;
pub use stats::RouterStats;

/// What every link of a server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    /// MTU of the link, at least 1280 (RFC 8200 5).
    pub mtu: u16,
    /// Resolvers for RDNSS and DHCPv6; the first 16 are used.
    pub dns: Vec<Ipv6Addr>,
    /// Search domains for DNSSL and DHCPv6; as many as fit [`nd::MAX_SEARCH_BYTES`] are used.
    pub search: Vec<Domain>,
    /// How the router and its routes stand against others (RFC 4191).
    pub preference: Preference,
    /// Routes to be told one by one, for a split tunnel; the first [`nd::MAX_ROUTES`] are used.
    pub routes: Vec<Ipv6Net>,
    /// How long one advertisement makes the server the default router: at most 65,535 seconds;
    /// zero makes it none. Advertisements are repeated after a third of the shorter of this and
    /// the preferred lifetime, with jitter.
    pub router_lifetime: Duration,
    /// How long the client's addresses stay valid after an advertisement.
    pub valid_lifetime: Duration,
    /// How long they stay preferred, at most the valid lifetime.
    pub preferred_lifetime: Duration,
    /// The O flag: tells the client to ask DHCPv6 for resolvers.
    pub other_config: bool,
    /// Whether the prefix is one that clients share, so that each address in it has to be claimed.
    pub shared: bool,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            mtu: 1280,
            dns: Vec::new(),
            search: Vec::new(),
            preference: Preference::default(),
            routes: Vec::new(),
            router_lifetime: Duration::from_secs(9_000),
            valid_lifetime: Duration::from_secs(86_400),
            preferred_lifetime: Duration::from_secs(43_200),
            other_config: true,
            shared: false,
        }
    }
}

/// What a router wants of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterEvent {
    /// The client asks for a delegated prefix: answer with [`Router::set_delegation`].
    DelegationWanted,
    /// The client uses its delegated prefix from now on: route it. Told on every kind of grant.
    Delegated(Ipv6Net),
    /// The client uses it no more: it gave it back, or did not renew it in time.
    DelegationEnded(Ipv6Net),
    /// The client is about to use this address of the shared prefix (RFC 4862 5.4.2): if somebody
    /// else has it, answer with [`Router::defend`].
    Tentative(Ipv6Addr),
}

/// The router on one session's link.
///
/// Make it when IPv6CP opens and take the first advertisement from
/// [`poll_transmit`](Self::poll_transmit) at once. Show it every IPv6 packet of the client, or at
/// least those for the link, with [`handle_packet`](Self::handle_packet), call
/// [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) says, and
/// after each call take packets and events until `poll_transmit` and `poll_event` give `None`.
#[derive(Clone, Debug)]
pub struct Router {
    config: RouterConfig,
    prefix: Ipv6Net,
    link_local: Ipv6Addr,
    peer_link_local: Ipv6Addr,
    /// The server's address with a global scope, if it is to be answered for.
    global: Option<Ipv6Addr>,
    /// `None` once withdrawn.
    schedule: Option<Schedule>,
    dhcp: Server,
    /// The one address of a shared prefix that DHCPv6 gives.
    single: Option<Ipv6Addr>,
    /// A DHCPv6 message whose answer waits for the delegation, with its sender.
    asking: Option<(Ipv6Addr, Vec<u8>)>,
    transmits: Queue<Vec<u8>>,
    events: Queue<RouterEvent>,
    stats: RouterStats,
}

impl Router {
    /// A router for a client that has `prefix`, with the interface identifiers that IPv6CP
    /// settled. The first advertisement is due at once.
    pub fn new(
        config: RouterConfig,
        prefix: Ipv6Net,
        local_interface_id: u64,
        peer_interface_id: u64,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let schedule = Schedule::new(&config, now, rng);
        let mut router = Self {
            config,
            prefix: prefix.trunc(),
            link_local: address::link_local(local_interface_id),
            peer_link_local: address::link_local(peer_interface_id),
            global: None,
            schedule: Some(schedule),
            dhcp: Server::new(local_interface_id),
            single: None,
            asking: None,
            transmits: Queue::new(),
            events: Queue::new(),
            stats: RouterStats::default(),
        };
        router.advertise(ALL_NODES, false);
        router
    }

    /// Makes the router answer neighbour solicitations for the server's own address too.
    pub fn set_server_address(&mut self, address: Ipv6Addr) {
        self.global = Some(address);
    }

    /// Sets the address that DHCPv6 gives where the prefix is shared: one that the client holds.
    pub fn set_address(&mut self, address: Option<Ipv6Addr>) {
        self.single = address;
    }

    /// Tells the client that somebody else has this address (RFC 4862 5.4.4): in the name of
    /// another node, so the advertisement does not override (RFC 4861 7.2.8).
    pub fn defend(&mut self, address: Ipv6Addr) {
        self.stats.defended += 1;
        let message = nd::neighbor_advertisement(self.link_local, ALL_NODES, address, 0);
        self.send(message);
    }

    /// Advertises another MTU of the link, at once or as soon as RFC 4861 6.2.6 allows.
    pub fn set_mtu(&mut self, mtu: u16, now: Instant, rng: &mut Rng) {
        self.config.mtu = mtu;
        if let Some(schedule) = &mut self.schedule
            && schedule.may_multicast(now)
        {
            schedule.multicast_sent(now, rng);
            self.advertise(ALL_NODES, false);
        }
    }

    /// The addresses that the router answers for: its link-local one, and the server's.
    pub fn server_addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        [Some(self.link_local), self.global].into_iter().flatten()
    }

    /// The link-local address of the client's interface identifier.
    pub fn peer_link_local(&self) -> Ipv6Addr {
        self.peer_link_local
    }

    /// The client's prefix.
    pub fn prefix(&self) -> Ipv6Net {
        self.prefix
    }

    /// Counters.
    pub fn stats(&self) -> RouterStats {
        self.stats
    }

    /// Takes a packet of the client whose header is `header`. Says whether it may be forwarded;
    /// its source address is still to be checked then. An error means that it was for the link,
    /// malformed, and counted.
    pub fn handle_packet(
        &mut self,
        packet: &[u8],
        header: &IpHeader,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<Handled, Error> {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (header.source, header.destination)
        else {
            return Ok(Handled::Forward);
        };
        let kind = packet::icmpv6_kind(packet, header);
        let done = if kind.is_some_and(nd::is_neighbor_discovery) {
            self.neighbor_discovery(packet, header, source, now, rng)
        } else if !address::stays_on_link(source, destination) {
            return Ok(Handled::Forward);
        } else {
            self.link_packet(packet, header, kind, (source, destination), now)
        };
        if let Err(error) = done {
            self.stats.count(&error);
            return Err(error);
        }
        Ok(Handled::Consumed)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called; `None` if it need not be.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let advertise = self.schedule.as_ref().map(Schedule::due);
        [advertise, self.dhcp.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Advertises if that is due, and ends a delegation that was not renewed.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) {
        let before = self.dhcp.delegated();
        self.dhcp.handle_timeout(now);
        self.tell_delegation(before);
        if let Some(schedule) = &mut self.schedule
            && now >= schedule.due()
        {
            schedule.multicast_sent(now, rng);
            self.advertise(ALL_NODES, false);
        }
    }

    /// The next thing that the owner has to do.
    pub fn poll_event(&mut self) -> Option<RouterEvent> {
        self.events.pop_front()
    }

    /// The next packet for the client.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// Tells the client that the router, the prefix and the resolvers end (RFC 4861 6.2.5), and
    /// advertises no more.
    pub fn withdraw(&mut self) {
        if self.schedule.take().is_some() {
            self.transmits.clear();
            self.advertise(ALL_NODES, true);
        }
    }

    fn neighbor_discovery(
        &mut self,
        packet: &[u8],
        header: &IpHeader,
        source: Ipv6Addr,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        match Message::parse(packet, header)? {
            Message::RouterSolicitation { .. } => {
                self.stats.router_solicitations += 1;
                self.solicited(source, now, rng);
            }
            Message::NeighborSolicitation { target, .. } => {
                self.stats.neighbor_solicitations += 1;
                if self.server_addresses().any(|address| address == target) {
                    self.stats.neighbor_answers += 1;
                    self.send(nd::answer_solicitation(source, target, true));
                } else if self.config.shared
                    && source.is_unspecified()
                    && self.prefix.contains(&target)
                    && self.events.len() < MAX_QUEUED
                {
                    self.events.push_back(RouterEvent::Tentative(target));
                }
            }
            Message::NeighborAdvertisement { .. } => self.stats.neighbor_advertisements += 1,
            Message::RouterAdvertisement(_) | Message::Redirect { .. } => {
                self.stats.client_as_router += 1;
            }
        }
        Ok(())
    }

    /// RFC 4861 6.2.6: an address is answered at once, the unspecified address by multicast, and
    /// neither more often than the schedule allows.
    fn solicited(&mut self, source: Ipv6Addr, now: Instant, rng: &mut Rng) {
        let Some(schedule) = &mut self.schedule else {
            return;
        };
        if !source.is_unspecified() && schedule.may_answer(now) {
            self.advertise(source, false);
        } else if schedule.may_multicast(now) {
            schedule.multicast_sent(now, rng);
            self.advertise(ALL_NODES, false);
        } else {
            self.stats.solicitations_delayed += 1;
        }
    }

    /// A packet that stays on the link and is not neighbour discovery.
    fn link_packet(
        &mut self,
        packet: &[u8],
        header: &IpHeader,
        kind: Option<u8>,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        now: Instant,
    ) -> Result<(), Error> {
        const ECHO_REQUEST: u8 = 128;
        match (kind, header.protocol) {
            (Some(ECHO_REQUEST), _) if destination == self.link_local => {
                let reply = packet::echo_reply(packet, header, source, destination)
                    .ok_or(Error::Checksum)?;
                self.stats.echo_requests += 1;
                self.send(reply);
            }
            // Multicast listener messages (RFC 2710, RFC 3810): there is one client, and no
            // multicast to route to it.
            (Some(130..=132 | 143), _) => self.stats.multicast_listener += 1,
            (_, protocol::UDP) if destination == ALL_DHCP_SERVERS && !header.later_fragment => {
                self.dhcp(packet, header, source, now)?;
            }
            _ => self.stats.other += 1,
        }
        Ok(())
    }

    fn advertise(&mut self, destination: Ipv6Addr, last: bool) {
        let packet = advertise::packet(
            &self.config,
            self.prefix,
            self.link_local,
            destination,
            last,
        );
        self.stats.advertisements += 1;
        self.send(packet);
    }

    fn send(&mut self, packet: Vec<u8>) {
        if self.transmits.len() < MAX_QUEUED {
            self.transmits.push_back(packet);
        } else {
            self.stats.not_sent += 1;
        }
    }
}
