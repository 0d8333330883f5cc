//! What a client has come to, as its events tell.

use std::net::{Ipv4Addr, Ipv6Addr};

use adit_client::{DownReason, Event};
use adit_link::dhcp4;
use adit_ppp::Acscp;
use ipnet::Ipv6Net;

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
    /// What DHCPINFORM brought.
    pub dhcp4: Option<dhcp4::Told>,
    /// What ACSCP brought, once it has opened.
    pub acscp: Option<Acscp>,
    /// IPv6 routes into the tunnel, beside the default route.
    pub routes6: Vec<Ipv6Net>,
    /// The prefix for networks behind it.
    pub delegated: Option<Ipv6Net>,
    /// MTU announced on the link.
    pub mtu: Option<u32>,
    /// IPv4 packets that came back from the host.
    pub echoes4: u32,
    /// IPv6 packets that came back from the host.
    pub echoes6: u32,
    /// The last IP packet that came out of the tunnel.
    pub last_packet: Vec<u8>,
    /// All events since the last dialling.
    pub events: Vec<Event>,
    /// Why the last connection ended, if it did.
    pub down: Option<DownReason>,
}

impl Dialled {
    pub(super) fn note(&mut self, event: Event) {
        match &event {
            Event::Ipv4 { address, dns, .. } => {
                self.ipv4 = Some(*address);
                self.dns4.clone_from(dns);
            }
            Event::NoIpv4(_) => self.ipv4 = None,
            Event::Ipv6Address { address, .. } => self.ipv6 = Some(*address),
            Event::NoIpv6(_) => self.ipv6 = None,
            Event::Ipv6Router { address } => self.router = Some(*address),
            Event::Ipv6RouterGone { .. } => self.router = None,
            Event::Ipv6Route { prefix } => self.routes6.push(*prefix),
            Event::Ipv6RouteGone { prefix } => self.routes6.retain(|route| route != prefix),
            Event::Dhcp4(told) => self.dhcp4 = Some(told.clone()),
            Event::Acscp(known) => self.acscp = Some(known.clone()),
            Event::Delegated { prefix, .. } => self.delegated = Some(*prefix),
            Event::DelegationGone { prefix } => {
                self.delegated = self.delegated.filter(|held| held != prefix);
            }
            Event::Mtu(mtu) => self.mtu = Some(*mtu),
            Event::Ipv6Dns(dns) => self.dns6.clone_from(dns),
            Event::Down(reason) => {
                self.down = Some(reason.clone());
                self.ipv4 = None;
                self.ipv6 = None;
            }
            _ => {}
        }
        self.events.push(event);
    }
}
