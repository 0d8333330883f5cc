//! DHCPv6 (RFC 8415) of a session's link: the server with resolvers, addresses and a delegated prefix,
//! and two clients, one that asks for resolvers and one that asks for a prefix.
//!
//! Received messages are read by the bounded walker here: dhcproto's decoder recurses without a
//! limit, subtracts from unchecked lengths and ends quietly at the first bad option. Options to be
//! sent are encoded by dhcproto. Its `Message::new` draws a random number of its own, so the four
//! bytes before the options are written here.

pub(crate) mod client;
pub(crate) mod delegation;
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;

use adit_wire::ip::IpHeader;
use adit_wire::udp::{self, UdpHeader};
use adit_wire::{Reader, Writer};
use dhcproto::v6::{DhcpOption, DhcpOptions, Encodable, Encoder, MessageType, OptionCode};

use crate::error::Error;

/// The port of servers (RFC 8415 7.2).
pub const SERVER_PORT: u16 = 547;
/// The port of clients (RFC 8415 7.2).
pub const CLIENT_PORT: u16 = 546;

const MAX_OPTIONS: usize = 64;
/// A DUID is a type and at most 128 bytes (RFC 8415 11.1).
const MAX_DUID: usize = 130;
/// The hardware type EUI-64 (IANA), for a DUID made of an interface identifier.
const HARDWARE_EUI64: u16 = 27;

/// A message whose options all lie within it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Message type (RFC 8415 7.3).
    pub kind: u8,
    /// Transaction ID.
    pub transaction: [u8; 3],
    options: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message and checks the lengths of its outer options, and those of a client or
    /// server identifier.
    pub fn parse(message: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(message);
        let kind = reader.u8()?;
        let transaction = reader.array::<3>()?;
        let message = Self {
            kind,
            transaction,
            options: reader.peek(),
        };
        let mut count = 0;
        while !reader.is_empty() {
            let (code, body) = next_option(&mut reader)?;
            let is_duid =
                code == OptionCode::ClientId.into() || code == OptionCode::ServerId.into();
            if is_duid && !(3..=MAX_DUID).contains(&body.len()) {
                return Err(Error::DhcpOption(code));
            }
            count += 1;
            if count > MAX_OPTIONS {
                return Err(Error::DhcpOptions);
            }
        }
        Ok(message)
    }

    /// The options in their order: code and body.
    pub fn options(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut reader = Reader::new(self.options);
        std::iter::from_fn(move || next_option(&mut reader).ok())
    }

    /// The body of the first option of this code.
    pub fn option(&self, code: OptionCode) -> Option<&'a [u8]> {
        let code = u16::from(code);
        self.options()
            .find_map(|(found, body)| (found == code).then_some(body))
    }

    /// An error unless the option is there.
    fn require(&self, code: OptionCode) -> Result<&'a [u8], Error> {
        self.option(code).ok_or(Error::DhcpInvalid {
            kind: self.kind,
            option: code.into(),
        })
    }

    /// An error if the option is there.
    fn forbid(&self, code: OptionCode) -> Result<(), Error> {
        match self.option(code) {
            None => Ok(()),
            Some(_) => Err(Error::DhcpInvalid {
                kind: self.kind,
                option: code.into(),
            }),
        }
    }
}

fn next_option<'a>(reader: &mut Reader<'a>) -> Result<(u16, &'a [u8]), Error> {
    let code = reader.u16()?;
    let length = usize::from(reader.u16()?);
    let body = reader.bytes(length).map_err(|_| Error::DhcpOption(code))?;
    Ok((code, body))
}

/// The UDP payload of `packet` if it goes to `port`, with the checksum that IPv6 demands.
pub(crate) fn payload_to<'a>(
    packet: &'a [u8],
    header: &IpHeader,
    port: u16,
) -> Result<Option<&'a [u8]>, Error> {
    let datagram = packet.get(header.payload()).unwrap_or_default();
    let udp = UdpHeader::parse(datagram)?;
    if udp.destination != port {
        return Ok(None);
    }
    if udp.checksum == 0 || !udp.checksum_holds(datagram, header.source, header.destination) {
        return Err(Error::Checksum);
    }
    Ok(datagram.get(udp::HEADER_LEN..udp.length))
}

/// A DUID-LL (RFC 8415 11.4) made of an interface identifier, which is all that a PPP link has.
fn duid(interface_id: u64) -> Vec<u8> {
    let mut duid = Writer::new();
    duid.u16(3).u16(HARDWARE_EUI64).u64(interface_id);
    duid.into_vec()
}

/// A message of these options, which are sorted by code; `None` if one of them cannot be encoded.
fn encode(kind: MessageType, transaction: [u8; 3], options: Vec<DhcpOption>) -> Option<Vec<u8>> {
    let mut message = vec![u8::from(kind)];
    message.extend(transaction);
    let options: DhcpOptions = options.into_iter().collect();
    let mut body = Vec::new();
    options.encode(&mut Encoder::new(&mut body)).ok()?;
    message.extend(body);
    Some(message)
}

/// The addresses of a DNS servers option (RFC 3646 3), at most `most` of them.
fn dns_servers(body: &[u8], most: usize) -> Result<Vec<Ipv6Addr>, Error> {
    let (addresses, rest) = body.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(Error::DhcpOption(OptionCode::DomainNameServers.into()));
    }
    Ok(addresses
        .iter()
        .take(most)
        .map(|address| Ipv6Addr::from(*address))
        .collect())
}
