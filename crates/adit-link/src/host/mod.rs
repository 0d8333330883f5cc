//! The client's side of a session's IPv6 link: it solicits (RFC 4861 6.3.7, RFC 7559), takes Router
//! Advertisements (6.3.4), forms its address (RFC 4862 5.5.3) and asks for resolvers (RFC 8106,
//! RFC 8415 18.2.6). As a router it asks for a prefix instead (RFC 8415 18.2).
//!
//! It never forwards, and takes configuration only from a link-local address on the link.

mod advertised;
mod learnt;
#[cfg(test)]
mod tests;
mod wants;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_wire::ip::{IpHeader, protocol};
use ipnet::Ipv6Net;

use crate::address::{self, ALL_DHCP_SERVERS};
use crate::backoff::Backoff;
use crate::dhcp6::{self, client::Client, delegation};
use crate::domain::Domain;
use crate::nd::{self, Message, NdOption, Preference, RouterAdvertisement};
use crate::packet::{self, MAX_QUEUED};
use crate::{Error, Handled};

pub use advertised::Advertised;
use learnt::Learnt;
pub use wants::HostWants;

// RFC 4861 10, RFC 7559 2.
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
const SOLICITATION_CAP: Duration = Duration::from_secs(3600);

/// ICMPv6 (RFC 4443 4.2).
const ECHO_REPLY: u8 = 129;

/// What a host has learnt about its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// An address was formed from an advertised prefix.
    Address {
        /// The address.
        address: Ipv6Addr,
        /// Its prefix.
        prefix: Ipv6Net,
    },
    /// An address is not valid any more.
    AddressExpired {
        /// The address.
        address: Ipv6Addr,
    },
    /// A default router, or one that is not any more if the lifetime is zero.
    DefaultRouter {
        /// Its link-local address.
        address: Ipv6Addr,
        /// How long it may be used without another advertisement.
        lifetime: Duration,
        /// How it stands against other default routers.
        preference: Preference,
    },
    /// The MTU of the link.
    Mtu(u32),
    /// The resolvers, all of them each time; an empty list takes the earlier ones back.
    Dns(Vec<Ipv6Addr>),
    /// The search domains, in the same way.
    Search(Vec<Domain>),
    /// A route through the router, beside or instead of the default route.
    Route {
        /// Where it goes.
        prefix: Ipv6Net,
        /// The router's link-local address.
        router: Ipv6Addr,
        /// How it stands against other routes to the same prefix.
        preference: Preference,
    },
    /// A route that is not any more.
    RouteGone {
        /// Where it went.
        prefix: Ipv6Net,
    },
    /// A prefix is delegated to us, with the server as the way to everywhere else.
    Delegated {
        /// The prefix.
        prefix: Ipv6Net,
        /// The server's link-local address.
        server: Ipv6Addr,
    },
    /// A delegated prefix that is ours no more.
    DelegationGone {
        /// The prefix.
        prefix: Ipv6Net,
    },
}

/// Counters of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStats {
    /// Router Solicitations sent.
    pub router_solicitations: u64,
    /// Router Advertisements taken.
    pub router_advertisements: u64,
    /// Those of them from another router than the peer of IPv6CP.
    pub other_routers: u64,
    /// Neighbor Solicitations for our addresses, answered.
    pub neighbor_answers: u64,
    /// Echo requests to our link-local address, answered.
    pub echo_requests: u64,
    /// Information-requests sent.
    pub dhcp_requests: u64,
    /// Replies taken.
    pub dhcp_replies: u64,
    /// Messages about a delegated prefix sent.
    pub delegation_requests: u64,
    /// Other packets that stay on the link and mean nothing here.
    pub other: u64,
    /// Packets for the link that were malformed.
    pub malformed: u64,
    /// Answers left out because too many were waiting.
    pub not_sent: u64,
}

/// The host on a session's link.
///
/// Make it when IPv6CP opens. Show it every IPv6 packet that arrives with
/// [`handle_packet`](Self::handle_packet), call [`handle_timeout`](Self::handle_timeout) when
/// [`poll_timeout`](Self::poll_timeout) says, and after each call, and after making it, take
/// everything from [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event).
#[derive(Clone, Debug)]
pub struct Host {
    interface_id: u64,
    wants: HostWants,
    link_local: Ipv6Addr,
    peer_link_local: Ipv6Addr,
    /// While no default router is known: when the next solicitation goes out.
    solicit: Option<(Instant, Backoff)>,
    dhcp: Option<Client>,
    delegation: Option<delegation::Client>,
    learnt: Learnt,
    /// The last advertisement and the last answer of DHCPv6, for who wants to see them.
    advertised: Option<Advertised>,
    dhcp_dns: Option<Vec<Ipv6Addr>>,
    transmits: VecDeque<Vec<u8>>,
    stats: HostStats,
}

impl Host {
    /// A host with the interface identifiers that IPv6CP settled. Its first Router Solicitation
    /// goes out at once: nobody else is on the link whom it could collide with.
    pub fn new(
        local_interface_id: u64,
        peer_interface_id: u64,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let ids = (local_interface_id, peer_interface_id);
        Self::wanting(HostWants::default(), ids, now, rng)
    }

    /// The same with other wants: a host or router of a system that uses less or more of what it is
    /// told.
    pub fn wanting(
        wants: HostWants,
        (local_interface_id, peer_interface_id): (u64, u64),
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let delegation = wants
            .delegation
            .then(|| delegation::Client::new(local_interface_id, now, rng));
        let mut host = Self {
            interface_id: local_interface_id,
            wants,
            link_local: address::link_local(local_interface_id),
            peer_link_local: address::link_local(peer_interface_id),
            solicit: None,
            dhcp: None,
            delegation,
            learnt: Learnt::default(),
            advertised: None,
            dhcp_dns: None,
            transmits: VecDeque::new(),
            stats: HostStats::default(),
        };
        if wants.advertisements {
            host.start_soliciting(now);
        }
        host.handle_timeout(now, rng);
        host
    }

    /// Our link-local address.
    pub fn link_local(&self) -> Ipv6Addr {
        self.link_local
    }

    /// The addresses formed so far.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.learnt.addresses()
    }

    /// Counters.
    pub fn stats(&self) -> HostStats {
        self.stats
    }

    /// Takes a packet from the link whose header is `header`. Says whether it is ordinary traffic
    /// for the system; an error means that it was for the link, malformed, and counted.
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
        } else if !address::stays_on_link(source, destination) || kind == Some(ECHO_REPLY) {
            // An answer belongs to whoever asked.
            return Ok(Handled::Forward);
        } else {
            self.link_packet(packet, header, kind, (source, destination), now, rng)
        };
        match done {
            Ok(()) => Ok(Handled::Consumed),
            Err(error) => {
                self.stats.malformed += 1;
                Err(error)
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let solicit = self.solicit.as_ref().map(|(due, _)| *due);
        let dhcp = self.dhcp.as_ref().map(Client::poll_timeout);
        let delegation = self.delegation.as_ref();
        let delegation = delegation.map(delegation::Client::poll_timeout);
        [solicit, dhcp, delegation, self.learnt.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Sends what is due and drops what has expired.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) {
        if self.learnt.expire(now) && self.solicit.is_none() {
            self.start_soliciting(now);
        }
        if let Some((due, backoff)) = &mut self.solicit
            && *due <= now
        {
            *due = now + backoff.next(rng);
            self.stats.router_solicitations += 1;
            self.send(nd::router_solicitation(self.link_local));
        }
        let request = self
            .dhcp
            .as_mut()
            .and_then(|client| client.handle_timeout(now, rng));
        if let Some(request) = request {
            self.stats.dhcp_requests += 1;
            self.send_dhcp(&request);
        }
        let delegation = self.delegation.as_mut();
        let (gone, request) = delegation.map_or((None, None), |client| {
            (client.expire(now), client.handle_timeout(now, rng))
        });
        if let Some(prefix) = gone {
            self.learnt.tell(HostEvent::DelegationGone { prefix });
        }
        if let Some(request) = request {
            self.stats.delegation_requests += 1;
            self.send_dhcp(&request);
        }
    }

    /// Gives back what was delegated, before the link ends.
    pub fn release(&mut self, rng: &mut Rng) {
        let delegation = self.delegation.as_mut();
        if let Some(message) = delegation.and_then(|client| client.release(rng)) {
            self.stats.delegation_requests += 1;
            self.send_dhcp(&message);
        }
        self.delegation = None;
    }

    fn send_dhcp(&mut self, message: &[u8]) {
        let packet = packet::udp(
            (self.link_local, dhcp6::CLIENT_PORT),
            (ALL_DHCP_SERVERS, dhcp6::SERVER_PORT),
            message,
        );
        if let Some(packet) = packet {
            self.send(packet);
        }
    }

    /// The next packet for the link.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next thing learnt.
    pub fn poll_event(&mut self) -> Option<HostEvent> {
        self.learnt.poll_event()
    }

    /// What the latest Router Advertisement said, once for each.
    pub fn take_advertised(&mut self) -> Option<Advertised> {
        self.advertised.take()
    }

    /// The resolvers of the latest answer to an Information-request, once for each.
    pub fn take_dhcp_dns(&mut self) -> Option<Vec<Ipv6Addr>> {
        self.dhcp_dns.take()
    }

    fn start_soliciting(&mut self, now: Instant) {
        let backoff = Backoff::new(SOLICITATION_INTERVAL, SOLICITATION_CAP);
        self.solicit = Some((now, backoff));
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
            Message::RouterAdvertisement(advertisement) if self.wants.advertisements => {
                self.router_advertisement(&advertisement, source, now, rng);
            }
            Message::NeighborSolicitation { target, .. } => {
                let ours =
                    target == self.link_local || self.addresses().any(|address| address == target);
                if ours {
                    self.stats.neighbor_answers += 1;
                    self.send(nd::answer_solicitation(source, target, false));
                }
            }
            Message::RouterAdvertisement(_)
            | Message::RouterSolicitation { .. }
            | Message::NeighborAdvertisement { .. }
            | Message::Redirect { .. } => self.stats.other += 1,
        }
        Ok(())
    }

    /// RFC 4861 6.3.4.
    fn router_advertisement(
        &mut self,
        advertisement: &RouterAdvertisement<'_>,
        source: Ipv6Addr,
        now: Instant,
        rng: &mut Rng,
    ) {
        self.stats.router_advertisements += 1;
        if source != self.peer_link_local {
            self.stats.other_routers += 1;
        }
        let had_router = self.learnt.has_router();
        let told = (advertisement.router_lifetime, advertisement.preference);
        self.learnt.router(source, told, now);
        if self.learnt.has_router() {
            self.solicit = None;
        } else if had_router {
            // Another router may have come up; there is no hurry to ask.
            self.start_soliciting(now + SOLICITATION_INTERVAL);
        }
        for option in advertisement.options.iter() {
            match option {
                NdOption::Prefix(prefix) => self.learnt.prefix(&prefix, self.interface_id, now),
                NdOption::Mtu(mtu) => self.learnt.mtu(mtu),
                NdOption::RecursiveDns { lifetime, servers } if self.wants.rdnss => {
                    self.learnt.recursive_dns(lifetime, servers, now);
                }
                NdOption::Route(route) => self.learnt.route(&route, source, now),
                NdOption::SearchList { lifetime, names } if self.wants.rdnss => {
                    self.learnt.search(lifetime, nd::search_domains(names), now);
                }
                NdOption::RecursiveDns { .. }
                | NdOption::SearchList { .. }
                | NdOption::SourceLinkLayerAddress
                | NdOption::Other(_) => {}
            }
        }
        self.learnt.tell_dns();
        self.advertised = Some(Advertised::read(advertisement, source));
        if advertisement.other && self.dhcp.is_none() {
            self.dhcp = Some(Client::new(self.interface_id, now, rng));
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
        rng: &mut Rng,
    ) -> Result<(), Error> {
        const ECHO_REQUEST: u8 = 128;
        if destination != self.link_local || header.later_fragment {
            self.stats.other += 1;
            return Ok(());
        }
        if kind == Some(ECHO_REQUEST) {
            let reply =
                packet::echo_reply(packet, header, source, destination).ok_or(Error::Checksum)?;
            self.stats.echo_requests += 1;
            self.send(reply);
            return Ok(());
        }
        let message = match header.protocol {
            protocol::UDP => dhcp6::payload_to(packet, header, dhcp6::CLIENT_PORT)?,
            _ => None,
        };
        if let (Some(message), Some(client)) = (message, &mut self.dhcp)
            && let Some(servers) = client.handle_reply(message, now)?
        {
            self.stats.dhcp_replies += 1;
            self.dhcp_dns = Some(servers.clone());
            self.learnt.dhcp_dns(servers);
            self.learnt.tell_dns();
        } else if let (Some(message), Some(client)) = (message, &mut self.delegation)
            && let Some(granted) = client.handle(message, now, rng)?
        {
            self.stats.dhcp_replies += 1;
            self.granted(granted, source);
        } else {
            self.stats.other += 1;
        }
        Ok(())
    }

    fn granted(&mut self, granted: delegation::Granted, server: Ipv6Addr) {
        if let Some(prefix) = granted.gone {
            self.learnt.tell(HostEvent::DelegationGone { prefix });
        }
        if let Some(prefix) = granted.new {
            self.learnt.tell(HostEvent::Delegated { prefix, server });
        }
        if !granted.dns.is_empty() {
            self.learnt.dhcp_dns(granted.dns);
            self.learnt.tell_dns();
        }
    }

    fn send(&mut self, packet: Vec<u8>) {
        if self.transmits.len() < MAX_QUEUED {
            self.transmits.push_back(packet);
        } else {
            self.stats.not_sent += 1;
        }
    }
}
