//! Neighbour discovery messages: RFC 4861 4, with the checks of 6.1, 7.1 and 8.1, router preferences
//! and routes (RFC 4191), resolvers and search lists (RFC 8106 5), and RFC 6980 (no fragments).
//!
//! A message is checked as a whole when it is read. Nothing here ever writes a link-layer address
//! option: a PPP link has no such addresses, and Windows 11 refuses messages that claim one.

mod options;
#[cfg(test)]
mod tests;
mod write;

use std::net::{IpAddr, Ipv6Addr};

use adit_wire::Reader;
use adit_wire::ip::IpHeader;

use crate::error::Error;
use crate::packet;

pub(crate) use options::search_domains;
pub use options::{NdOption, Options, PrefixInformation, RouteInformation};
pub use write::{
    Advertised, MAX_ROUTES, MAX_SEARCH_BYTES, neighbor_advertisement, router_advertisement,
    router_solicitation,
};
pub(crate) use write::{MAX_DNS, answer_solicitation};

pub(crate) const ROUTER_SOLICITATION: u8 = 133;
pub(crate) const ROUTER_ADVERTISEMENT: u8 = 134;
pub(crate) const NEIGHBOR_SOLICITATION: u8 = 135;
pub(crate) const NEIGHBOR_ADVERTISEMENT: u8 = 136;
pub(crate) const REDIRECT: u8 = 137;

/// The hop limit of every message: no router has touched it (RFC 4861 3.1).
pub const HOP_LIMIT: u8 = 255;

/// A neighbour discovery message that passed its checks.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Router Solicitation (RFC 4861 4.1).
    RouterSolicitation {
        /// Its options.
        options: Options<'a>,
    },
    /// Router Advertisement (RFC 4861 4.2).
    RouterAdvertisement(RouterAdvertisement<'a>),
    /// Neighbor Solicitation (RFC 4861 4.3).
    NeighborSolicitation {
        /// The address that is asked for.
        target: Ipv6Addr,
        /// Its options.
        options: Options<'a>,
    },
    /// Neighbor Advertisement (RFC 4861 4.4).
    NeighborAdvertisement {
        /// The address that is told of.
        target: Ipv6Addr,
        /// Router, Solicited and Override, from the highest bit down.
        flags: u8,
        /// Its options.
        options: Options<'a>,
    },
    /// Redirect (RFC 4861 4.5).
    Redirect {
        /// The better first hop.
        target: Ipv6Addr,
        /// What it is better for.
        destination: Ipv6Addr,
        /// Its options.
        options: Options<'a>,
    },
}

/// What a Router Advertisement says.
#[derive(Clone, Copy, Debug)]
pub struct RouterAdvertisement<'a> {
    /// Hop limit to use, 0 if the router leaves it open.
    pub hop_limit: u8,
    /// The M flag: addresses by DHCPv6.
    pub managed: bool,
    /// The O flag: other configuration by DHCPv6.
    pub other: bool,
    /// How it stands against other default routers; the reserved value is `Medium` (RFC 4191
    /// 2.2).
    pub preference: Preference,
    /// Seconds for which the router is a default router; 0: it is none.
    pub router_lifetime: u16,
    /// Its options.
    pub options: Options<'a>,
}

/// How a router or a route stands against others (RFC 4191 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preference {
    /// Behind the others.
    Low,
    /// As any other.
    #[default]
    Medium,
    /// Before the others.
    High,
}

impl Preference {
    /// The two bits of a flags byte that hold it; `None` for the reserved value.
    fn of_flags(flags: u8) -> Option<Self> {
        match (flags >> 3) & 3 {
            0 => Some(Self::Medium),
            1 => Some(Self::High),
            3 => Some(Self::Low),
            _ => None,
        }
    }

    fn flags(self) -> u8 {
        match self {
            Self::Medium => 0,
            Self::High => 1 << 3,
            Self::Low => 3 << 3,
        }
    }
}

/// Whether an ICMPv6 type is a neighbour discovery message.
pub fn is_neighbor_discovery(kind: u8) -> bool {
    (ROUTER_SOLICITATION..=REDIRECT).contains(&kind)
}

impl<'a> Message<'a> {
    /// Reads and checks the message in `packet`, whose header is `header`. A packet that holds no
    /// ICMPv6 message at all is [`Error::Kind`] 0.
    pub fn parse(packet: &'a [u8], header: &IpHeader) -> Result<Self, Error> {
        let kind = packet::icmpv6_kind(packet, header).ok_or(Error::Kind(0))?;
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (header.source, header.destination)
        else {
            return Err(Error::Kind(kind));
        };
        if !is_neighbor_discovery(kind) {
            return Err(Error::Kind(kind));
        }
        if header.hop_limit != HOP_LIMIT {
            return Err(Error::HopLimit(header.hop_limit));
        }
        if packet::is_fragment(packet, header) {
            return Err(Error::Fragmented);
        }
        let message = packet.get(header.payload()).unwrap_or_default();
        if packet::icmpv6_sum(source, destination, message) != 0 {
            return Err(Error::Checksum);
        }
        let mut reader = Reader::new(message);
        reader.u8()?;
        let code = reader.u8()?;
        if code != 0 {
            return Err(Error::Code { kind, code });
        }
        reader.u16()?;
        if source.is_multicast() {
            return Err(Error::Source(source));
        }
        match kind {
            ROUTER_SOLICITATION => router_solicitation_of(reader, source),
            ROUTER_ADVERTISEMENT => router_advertisement_of(reader, source),
            NEIGHBOR_SOLICITATION => neighbor_solicitation_of(reader, source, destination),
            NEIGHBOR_ADVERTISEMENT => neighbor_advertisement_of(reader, destination),
            _ => redirect_of(reader, source),
        }
    }
}

/// RFC 4861 6.1.1.
fn router_solicitation_of(mut reader: Reader<'_>, source: Ipv6Addr) -> Result<Message<'_>, Error> {
    reader.u32()?;
    let options = Options::parse(reader.rest())?;
    if source.is_unspecified() && options.has_source_link_layer_address() {
        return Err(Error::LinkLayerAddress);
    }
    Ok(Message::RouterSolicitation { options })
}

/// RFC 4861 6.1.2.
fn router_advertisement_of(mut reader: Reader<'_>, source: Ipv6Addr) -> Result<Message<'_>, Error> {
    if !source.is_unicast_link_local() {
        return Err(Error::Source(source));
    }
    let hop_limit = reader.u8()?;
    let flags = reader.u8()?;
    let router_lifetime = reader.u16()?;
    let _reachable_time = reader.u32()?;
    let _retrans_timer = reader.u32()?;
    Ok(Message::RouterAdvertisement(RouterAdvertisement {
        hop_limit,
        managed: flags & 0x80 != 0,
        other: flags & 0x40 != 0,
        preference: Preference::of_flags(flags).unwrap_or_default(),
        router_lifetime,
        options: Options::parse(reader.rest())?,
    }))
}

/// RFC 4861 7.1.1.
fn neighbor_solicitation_of(
    mut reader: Reader<'_>,
    source: Ipv6Addr,
    destination: Ipv6Addr,
) -> Result<Message<'_>, Error> {
    reader.u32()?;
    let target = Ipv6Addr::from(reader.array::<16>()?);
    if target.is_multicast() {
        return Err(Error::Target(target));
    }
    let options = Options::parse(reader.rest())?;
    if source.is_unspecified() {
        if !is_solicited_node(destination) {
            return Err(Error::Destination(destination));
        }
        if options.has_source_link_layer_address() {
            return Err(Error::LinkLayerAddress);
        }
    }
    Ok(Message::NeighborSolicitation { target, options })
}

/// RFC 4861 7.1.2.
fn neighbor_advertisement_of(
    mut reader: Reader<'_>,
    destination: Ipv6Addr,
) -> Result<Message<'_>, Error> {
    let flags = reader.u8()? & 0xe0;
    reader.bytes(3)?;
    let target = Ipv6Addr::from(reader.array::<16>()?);
    if target.is_multicast() {
        return Err(Error::Target(target));
    }
    if destination.is_multicast() && flags & write::SOLICITED != 0 {
        return Err(Error::Destination(destination));
    }
    Ok(Message::NeighborAdvertisement {
        target,
        flags,
        options: Options::parse(reader.rest())?,
    })
}

/// RFC 4861 8.1.
fn redirect_of(mut reader: Reader<'_>, source: Ipv6Addr) -> Result<Message<'_>, Error> {
    if !source.is_unicast_link_local() {
        return Err(Error::Source(source));
    }
    reader.u32()?;
    let target = Ipv6Addr::from(reader.array::<16>()?);
    let destination = Ipv6Addr::from(reader.array::<16>()?);
    if destination.is_multicast() {
        return Err(Error::Target(destination));
    }
    Ok(Message::Redirect {
        target,
        destination,
        options: Options::parse(reader.rest())?,
    })
}

fn is_solicited_node(address: Ipv6Addr) -> bool {
    address == crate::address::solicited_node(address)
}
