//! DHCPv4 for clients that have their address by IPCP and ask for the rest by DHCPINFORM (RFC 2131
//! 4.3.5): resolvers, a domain, and classless routes (RFC 3442), in the forms that Windows and
//! Apple's clients read. Both ends: the server's here, the client's in [`Client`].
//!
//! It never gives out an address, and answers one client: the one at the other end of the link.

mod client;
#[cfg(test)]
mod tests;

pub use client::{Client, Told, Wording};

use std::net::{IpAddr, Ipv4Addr};

use adit_wire::ip::{IpHeader, protocol};
use adit_wire::udp::{self, UdpHeader};
use adit_wire::{PacketBuf, Reader, Writer, checksum};
use ipnet::Ipv4Net;

use crate::domain::Domain;
use crate::error::Error;

/// The port of servers (RFC 2131 4.1).
pub const SERVER_PORT: u16 = 67;
/// The port of clients.
pub const CLIENT_PORT: u16 = 68;

const BOOTREQUEST: u8 = 1;
const BOOTREPLY: u8 = 2;
const COOKIE: u32 = 0x6382_5363;
const INFORM: u8 = 8;
const ACK: u8 = 5;
/// Bytes of the server's and the boot file's names, which carry nothing here.
const NAMES: usize = 64 + 128;

/// DHCP options (RFC 2132).
mod option {
    pub(super) const PAD: u8 = 0;
    pub(super) const DNS: u8 = 6;
    pub(super) const DOMAIN: u8 = 15;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER: u8 = 54;
    pub(super) const PARAMETERS: u8 = 55;
    pub(super) const VENDOR_CLASS: u8 = 60;
    pub(super) const CLIENT_ID: u8 = 61;
    /// RFC 3442.
    pub(super) const ROUTES: u8 = 121;
    /// The same in the number that Windows had for it first.
    pub(super) const MICROSOFT_ROUTES: u8 = 249;
    pub(super) const END: u8 = 255;
}

/// The most bytes of routes: all of them stand in one option, because not every client joins
/// options that were split (RFC 3396).
const MAX_ROUTES_LEN: usize = 255;
const MAX_DNS: usize = 8;

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp4Config {
    /// The server's address inside the tunnel: who answers, and the gateway of the routes.
    pub server: Ipv4Addr,
    /// Resolvers; the first eight are used.
    pub dns: Vec<Ipv4Addr>,
    /// Domain of the client.
    pub domain: Option<Domain>,
    /// Where the tunnel leads; see [`routes_fit`].
    pub routes: Vec<Ipv4Net>,
}

/// Whether all routes can be told: together they have to fit one option.
pub fn routes_fit(routes: &[Ipv4Net]) -> bool {
    routes.iter().map(|route| route_len(*route)).sum::<usize>() <= MAX_ROUTES_LEN
}

/// Whether a packet may be one for [`answer`]: UDP to the port of servers.
pub fn is_for_server(packet: &[u8], header: &IpHeader) -> bool {
    header.protocol == protocol::UDP
        && !header.later_fragment
        && packet
            .get(header.payload())
            .and_then(|datagram| datagram.get(2..4))
            .is_some_and(|port| *port == SERVER_PORT.to_be_bytes())
}

/// The answer to a DHCPINFORM of the client that has the address `client`, as a whole IPv4 packet.
/// `None` for any other message of DHCP, none of which is served on a link whose addresses come
/// from IPCP, and for one that speaks for another address.
pub fn answer(
    packet: &[u8],
    header: &IpHeader,
    client: Ipv4Addr,
    config: &Dhcp4Config,
) -> Result<Option<Vec<u8>>, Error> {
    let datagram = packet.get(header.payload()).unwrap_or_default();
    let udp = UdpHeader::parse(datagram)?;
    if !udp.checksum_holds(datagram, header.source, header.destination) {
        return Err(Error::Checksum);
    }
    let message = datagram
        .get(udp::HEADER_LEN..udp.length)
        .unwrap_or_default();
    let Some(request) = Inform::parse(message)? else {
        return Ok(None);
    };
    let sources = [IpAddr::V4(client), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
    if request.address != client && !request.address.is_unspecified()
        || !sources.contains(&header.source)
    {
        return Ok(None);
    }
    let message = request.acknowledged(config);
    let ends = ((config.server, SERVER_PORT), (client, CLIENT_PORT));
    Ok(udp_packet(ends, &message, true))
}

/// What of a DHCPINFORM comes back in the answer.
struct Inform<'a> {
    /// Hardware type and length, in the places of the fixed header.
    hardware: [u8; 2],
    transaction: u32,
    flags: u16,
    address: Ipv4Addr,
    hardware_address: &'a [u8],
}

impl<'a> Inform<'a> {
    /// Reads a message; `None` if it is another one than DHCPINFORM.
    fn parse(message: &'a [u8]) -> Result<Option<Self>, Error> {
        let mut reader = Reader::new(message);
        let operation = reader.u8()?;
        let hardware = reader.array::<2>()?;
        let _hops = reader.u8()?;
        let transaction = reader.u32()?;
        let _seconds = reader.u16()?;
        let flags = reader.u16()?;
        let address = Ipv4Addr::from(reader.u32()?);
        reader.bytes(12)?;
        let hardware_address = reader.bytes(16)?;
        reader.bytes(NAMES)?;
        if reader.u32()? != COOKIE {
            return Err(Error::DhcpCookie);
        }
        let kind = message_type(&mut reader)?;
        Ok(
            (operation == BOOTREQUEST && kind == Some(INFORM)).then_some(Self {
                hardware,
                transaction,
                flags,
                address,
                hardware_address,
            }),
        )
    }

    /// The DHCPACK: the message type first, as Apple's client wants it.
    fn acknowledged(&self, config: &Dhcp4Config) -> Vec<u8> {
        let mut message = Writer::new();
        message
            .u8(BOOTREPLY)
            .bytes(&self.hardware)
            .u8(0)
            .u32(self.transaction)
            .u16(0)
            .u16(self.flags)
            .u32(self.address.into())
            .bytes(&[0; 12])
            .bytes(self.hardware_address)
            .bytes(&[0; NAMES])
            .u32(COOKIE);
        put(&mut message, option::MESSAGE_TYPE, &[ACK]);
        put(&mut message, option::SERVER, &config.server.octets());
        let dns: Vec<u8> = config
            .dns
            .iter()
            .take(MAX_DNS)
            .flat_map(|server| server.octets())
            .collect();
        put(&mut message, option::DNS, &dns);
        if let Some(domain) = &config.domain {
            put(&mut message, option::DOMAIN, domain.as_str().as_bytes());
        }
        let routes = routes(config);
        put(&mut message, option::ROUTES, &routes);
        put(&mut message, option::MICROSOFT_ROUTES, &routes);
        message.u8(option::END);
        message.into_vec()
    }
}

/// The message type among the options, all of which are walked.
fn message_type(reader: &mut Reader<'_>) -> Result<Option<u8>, Error> {
    let mut kind = None;
    walk(reader, |code, body| {
        if code == option::MESSAGE_TYPE {
            match body {
                [value] if kind.is_none() => kind = Some(*value),
                _ => return Err(Error::DhcpOption(u16::from(code))),
            }
        }
        Ok(())
    })?;
    Ok(kind)
}

/// Shows all options up to the end.
fn walk<'a>(
    reader: &mut Reader<'a>,
    mut show: impl FnMut(u8, &'a [u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    while !reader.is_empty() {
        let code = reader.u8()?;
        match code {
            option::PAD => continue,
            option::END => break,
            _ => {}
        }
        let wrong = |_| Error::DhcpOption(u16::from(code));
        let length = usize::from(reader.u8().map_err(wrong)?);
        let body = reader.bytes(length).map_err(wrong)?;
        show(code, body)?;
    }
    Ok(())
}

/// One option; an empty one is left out.
fn put(message: &mut Writer, code: u8, body: &[u8]) {
    if let (Ok(length), false) = (u8::try_from(body.len()), body.is_empty()) {
        message.u8(code).u8(length).bytes(body);
    }
}

/// RFC 3442: the length, as many bytes of the destination as that has, and the router. Routes that
/// do not fit any more are left out.
fn routes(config: &Dhcp4Config) -> Vec<u8> {
    let mut body = Vec::new();
    for route in &config.routes {
        if body.len() + route_len(*route) > MAX_ROUTES_LEN {
            break;
        }
        let significant = usize::from(route.prefix_len()).div_ceil(8);
        body.push(route.prefix_len());
        body.extend(route.network().octets().iter().take(significant));
        body.extend(config.server.octets());
    }
    body
}

fn route_len(route: Ipv4Net) -> usize {
    1 + usize::from(route.prefix_len()).div_ceil(8) + 4
}

/// A message in UDP and IPv4, from the first end to the second.
fn udp_packet(
    ((source, source_port), (destination, destination_port)): ((Ipv4Addr, u16), (Ipv4Addr, u16)),
    message: &[u8],
    summed: bool,
) -> Option<Vec<u8>> {
    let mut datagram = PacketBuf::from_slice(udp::HEADER_LEN, message, 0);
    let addresses = summed.then_some((source.into(), destination.into()));
    udp::prepend(
        &mut datagram,
        source_port,
        destination_port,
        addresses.as_ref(),
    )
    .ok()?;
    let mut packet = Writer::new();
    packet
        .u16(0x4500)
        // cast: the header, and a message far below 64 KiB
        .u16((20 + datagram.len()) as u16)
        .u32(0)
        .u8(64)
        .u8(protocol::UDP)
        .u16(0)
        .bytes(&source.octets())
        .bytes(&destination.octets());
    let sum = checksum::internet(packet.as_slice());
    packet.patch(10, &sum.to_be_bytes());
    packet.bytes(datagram.as_slice());
    Some(packet.into_vec())
}
