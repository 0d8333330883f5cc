//! The neighbour discovery messages that the link sends, as whole IPv6 packets.

use std::net::Ipv6Addr;

use adit_wire::Writer;
use ipnet::Ipv6Net;

use super::options::{DNSSL, MTU, PREFIX_INFORMATION, RDNSS, ROUTE_INFORMATION};
use super::{
    HOP_LIMIT, NEIGHBOR_ADVERTISEMENT, Preference, ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION,
};
use crate::address::ALL_ROUTERS;
use crate::domain::Domain;
use crate::packet;

/// Neighbor Advertisement flag: the sender is a router.
pub(crate) const ROUTER: u8 = 0x80;
/// Neighbor Advertisement flag: this answers a solicitation.
pub(crate) const SOLICITED: u8 = 0x40;
/// Neighbor Advertisement flag: this replaces what was known.
pub(crate) const OVERRIDE: u8 = 0x20;

const MANAGED: u8 = 0x80;
const OTHER_CONFIGURATION: u8 = 0x40;
const AUTONOMOUS: u8 = 0x40;
const HOSTS_HOP_LIMIT: u8 = 64;

/// The most resolvers in one option, so that an advertisement never nears the minimum MTU.
pub(crate) const MAX_DNS: usize = 16;
/// The most routes, for the same reason.
pub const MAX_ROUTES: usize = 16;
/// The most bytes of search domains, each its length in letters and two more; likewise.
pub const MAX_SEARCH_BYTES: usize = 256;

/// What a router advertises. Lifetimes are in seconds, all ones is for ever.
#[derive(Clone, Copy, Debug)]
pub struct Advertised<'a> {
    /// The M flag: addresses by DHCPv6.
    pub managed: bool,
    /// The O flag: other configuration by DHCPv6.
    pub other_config: bool,
    /// How it and its routes stand against others.
    pub preference: Preference,
    /// How long it is a default router; 0: not any more.
    pub router_lifetime: u16,
    /// A prefix to form addresses from (A=1) that is not on the link (L=0).
    pub prefix: Option<Ipv6Net>,
    /// Valid lifetime of the prefix.
    pub valid: u32,
    /// Preferred lifetime of the prefix.
    pub preferred: u32,
    /// The link's MTU.
    pub mtu: u32,
    /// Resolvers; those past the 16th are left out.
    pub dns: &'a [Ipv6Addr],
    /// Search domains, as many as fit [`MAX_SEARCH_BYTES`].
    pub search: &'a [Domain],
    /// Lifetime of the resolvers and search domains.
    pub dns_lifetime: u32,
    /// Routes through the router; those past the 16th are left out.
    pub routes: &'a [Ipv6Net],
    /// Lifetime of the routes.
    pub route_lifetime: u32,
}

/// A Router Advertisement (RFC 4861 4.2) from `source`, a link-local address, with the options
/// Prefix Information, MTU, Route Information (RFC 4191 2.3), RDNSS and DNSSL (RFC 8106 5), and
/// none for a link-layer address.
pub fn router_advertisement(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    advertised: &Advertised<'_>,
) -> Vec<u8> {
    let mut message = Writer::new();
    message
        .u8(ROUTER_ADVERTISEMENT)
        .u8(0)
        .u16(0)
        .u8(HOSTS_HOP_LIMIT)
        .u8(flag(advertised.managed, MANAGED)
            | flag(advertised.other_config, OTHER_CONFIGURATION)
            | advertised.preference.flags())
        .u16(advertised.router_lifetime)
        .u32(0)
        .u32(0);
    if let Some(prefix) = advertised.prefix {
        message
            .u8(PREFIX_INFORMATION)
            .u8(4)
            .u8(prefix.prefix_len())
            .u8(AUTONOMOUS)
            .u32(advertised.valid)
            .u32(advertised.preferred)
            .u32(0)
            .bytes(&prefix.network().octets());
    }
    message.u8(MTU).u8(1).u16(0).u32(advertised.mtu);
    for route in advertised.routes.iter().take(MAX_ROUTES) {
        put_route(&mut message, *route, advertised);
    }
    let count = advertised.dns.len().min(MAX_DNS);
    if count > 0 {
        message
            .u8(RDNSS)
            // cast: at most MAX_DNS
            .u8((1 + 2 * count) as u8)
            .u16(0)
            .u32(advertised.dns_lifetime);
        for server in advertised.dns.iter().take(count) {
            message.bytes(&server.octets());
        }
    }
    put_search(&mut message, advertised);
    packet::icmpv6(source, destination, HOP_LIMIT, message.as_slice())
}

fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

/// The prefix takes as many of its eight-byte halves as its length needs (RFC 4191 2.3).
fn put_route(message: &mut Writer, route: Ipv6Net, advertised: &Advertised<'_>) {
    let halves = route.prefix_len().div_ceil(64);
    message
        .u8(ROUTE_INFORMATION)
        .u8(1 + halves)
        .u8(route.prefix_len())
        .u8(advertised.preference.flags())
        .u32(advertised.route_lifetime);
    let octets = route.network().octets();
    let (high, _) = octets.as_chunks::<8>();
    for half in high.iter().take(usize::from(halves)) {
        message.bytes(half);
    }
}

fn put_search(message: &mut Writer, advertised: &Advertised<'_>) {
    let mut names = Vec::new();
    for domain in advertised.search {
        if names.len() + domain.wire_len() > MAX_SEARCH_BYTES {
            break;
        }
        names.extend(domain.wire());
    }
    if names.is_empty() {
        return;
    }
    names.resize(names.len().next_multiple_of(8), 0);
    message
        .u8(DNSSL)
        // cast: MAX_SEARCH_BYTES is 32 units
        .u8((1 + names.len() / 8) as u8)
        .u16(0)
        .u32(advertised.dns_lifetime)
        .bytes(&names);
}

/// A Router Solicitation (RFC 4861 4.1) from `source` to all routers.
pub fn router_solicitation(source: Ipv6Addr) -> Vec<u8> {
    let mut message = Writer::new();
    message.u8(ROUTER_SOLICITATION).u8(0).u16(0).u32(0);
    packet::icmpv6(source, ALL_ROUTERS, HOP_LIMIT, message.as_slice())
}

/// A Neighbor Advertisement (RFC 4861 4.4) of `target`. `flags` are Router (0x80), Solicited
/// (0x40) and Override (0x20).
pub fn neighbor_advertisement(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    flags: u8,
) -> Vec<u8> {
    let mut message = Writer::new();
    message
        .u8(NEIGHBOR_ADVERTISEMENT)
        .u8(0)
        .u16(0)
        .u8(flags)
        .bytes(&[0; 3])
        .bytes(&target.octets());
    packet::icmpv6(source, destination, HOP_LIMIT, message.as_slice())
}

/// The answer of the owner of `target` to a Neighbor Solicitation from `source` (RFC 4861 7.2.4):
/// to the asker, or to all nodes if it had no address yet and was checking for duplicates.
pub(crate) fn answer_solicitation(source: Ipv6Addr, target: Ipv6Addr, router: bool) -> Vec<u8> {
    let flags = OVERRIDE | if router { ROUTER } else { 0 };
    if source.is_unspecified() {
        neighbor_advertisement(target, crate::address::ALL_NODES, target, flags)
    } else {
        neighbor_advertisement(target, source, target, flags | SOLICITED)
    }
}
