//! The server's side of one session's IPv6 link: router (RFC 4861 6.2), neighbour (7.2) and
//! stateless DHCPv6 server (RFC 8415 18.3).
//!
//! It never forwards what belongs to the link, and never answers for an address of the client.

mod advertise;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_wire::ip::{IpHeader, protocol};
use ipnet::Ipv6Net;

use crate::address::{self, ALL_DHCP_SERVERS, ALL_NODES};
use crate::nd::{self, Message};
use crate::packet::{self, MAX_QUEUED};
use crate::{Error, dhcp6};

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
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            mtu: 1280,
            dns: Vec::new(),
            router_lifetime: Duration::from_secs(9_000),
            valid_lifetime: Duration::from_secs(86_400),
            preferred_lifetime: Duration::from_secs(43_200),
            other_config: true,
        }
    }
}

/// The router on one session's link.
///
/// Make it when IPv6CP opens and take the first advertisement from
/// [`poll_transmit`](Self::poll_transmit) at once. Show it every IPv6 packet of the client, or at
/// least those for the link, with [`handle_packet`](Self::handle_packet), call
/// [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) says, and
/// after each call take packets until `poll_transmit` gives `None`.
#[derive(Clone, Debug)]
pub struct Router {
    config: RouterConfig,
    prefix: Ipv6Net,
    interface_id: u64,
    link_local: Ipv6Addr,
    peer_link_local: Ipv6Addr,
    /// The server's address with a global scope, if it is to be answered for.
    global: Option<Ipv6Addr>,
    /// `None` once withdrawn.
    schedule: Option<Schedule>,
    transmits: VecDeque<Vec<u8>>,
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
            interface_id: local_interface_id,
            link_local: address::link_local(local_interface_id),
            peer_link_local: address::link_local(peer_interface_id),
            global: None,
            schedule: Some(schedule),
            transmits: VecDeque::new(),
            stats: RouterStats::default(),
        };
        router.advertise(ALL_NODES, false);
        router
    }

    /// Makes the router answer neighbour solicitations for the server's own address too.
    pub fn set_server_address(&mut self, address: Ipv6Addr) {
        self.global = Some(address);
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
            self.link_packet(packet, header, kind, source, destination)
        };
        if let Err(error) = done {
            self.stats.count(&error);
            return Err(error);
        }
        Ok(Handled::Consumed)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called; `None` once withdrawn.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.schedule.as_ref().map(Schedule::due)
    }

    /// Advertises if that is due.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) {
        let Some(schedule) = &mut self.schedule else {
            return;
        };
        if now < schedule.due() {
            return;
        }
        schedule.multicast_sent(now, rng);
        self.advertise(ALL_NODES, false);
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
        source: Ipv6Addr,
        destination: Ipv6Addr,
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
                self.dhcp(packet, header, source)?;
            }
            _ => self.stats.other += 1,
        }
        Ok(())
    }

    fn dhcp(&mut self, packet: &[u8], header: &IpHeader, source: Ipv6Addr) -> Result<(), Error> {
        let Some(message) = dhcp6::payload_to(packet, header, dhcp6::SERVER_PORT)? else {
            self.stats.other += 1;
            return Ok(());
        };
        if !source.is_unicast_link_local() {
            return Err(Error::Source(source));
        }
        self.stats.dhcp_messages += 1;
        let answer = dhcp6::server::answer(message, self.interface_id, &self.config.dns)?;
        let packet = answer.and_then(|answer| {
            packet::udp(
                (self.link_local, dhcp6::SERVER_PORT),
                (source, dhcp6::CLIENT_PORT),
                &answer,
            )
        });
        match packet {
            Some(packet) => {
                self.stats.dhcp_answers += 1;
                self.send(packet);
            }
            None => self.stats.dhcp_ignored += 1,
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
