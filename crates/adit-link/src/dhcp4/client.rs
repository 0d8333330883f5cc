//! The client's side of DHCPINFORM (RFC 2131 4.4.3), on a link whose address IPCP has settled: who does
//! not send everything into the tunnel asks what belongs there. It never takes an address.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_wire::ip::{IpHeader, protocol};
use adit_wire::udp::{self, UdpHeader};
use adit_wire::{Reader, Writer};
use ipnet::Ipv4Net;

use super::{
    ACK, BOOTREPLY, BOOTREQUEST, CLIENT_PORT, COOKIE, INFORM, MAX_DNS, NAMES, SERVER_PORT, option,
    put, udp_packet, walk,
};
use crate::domain::Domain;
use crate::error::Error;

/// The most routes of one answer; one option holds 51 of the shortest.
const MAX_ROUTES: usize = 64;

/// How a client words its DHCPINFORM, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wording {
    /// Hardware type (RFC 1700).
    pub hardware: u8,
    /// Client hardware address; a PPP link has none, so it is made up.
    pub hardware_address: &'static [u8],
    /// Transaction ID; `None`: random.
    pub transaction: Option<u32>,
    /// Vendor class identifier; empty: none.
    pub vendor_class: &'static str,
    /// Options that are asked for, in order (RFC 2132 9.8).
    pub parameters: &'static [u8],
    /// Whether the UDP checksum is filled in.
    pub checksum: bool,
    /// The option that its routes are read from: 121 (RFC 3442) or 249.
    pub routes: u8,
    /// Messages before it does without an answer.
    pub tries: u32,
    /// Time between them.
    pub interval: Duration,
}

/// What a server has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Resolvers.
    pub dns: Vec<Ipv4Addr>,
    /// The client's domain.
    pub domain: Option<Domain>,
    /// Where the tunnel leads. Their gateways mean nothing on a link with two ends.
    pub routes: Vec<Ipv4Net>,
}

/// Asks until it is answered or has asked often enough.
#[derive(Clone, Debug)]
pub struct Client {
    wording: Wording,
    address: Ipv4Addr,
    transaction: u32,
    left: u32,
    due: Option<Instant>,
}

impl Client {
    /// For the host with this address. The first message is due at once.
    pub fn new(wording: Wording, address: Ipv4Addr, now: Instant, rng: &mut Rng) -> Self {
        Self {
            wording,
            address,
            transaction: wording.transaction.unwrap_or_else(|| rng.u32()),
            left: wording.tries,
            due: Some(now),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The whole IPv4 packet that is due, if one is.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.due.filter(|due| *due <= now)?;
        let Some(left) = self.left.checked_sub(1) else {
            self.due = None;
            return None;
        };
        self.left = left;
        self.due = Some(now + self.wording.interval);
        let ends = (
            (self.address, CLIENT_PORT),
            (Ipv4Addr::BROADCAST, SERVER_PORT),
        );
        udp_packet(ends, &self.message(), self.wording.checksum)
    }

    fn message(&self) -> Vec<u8> {
        let Wording {
            hardware,
            hardware_address,
            ..
        } = self.wording;
        let mut padded = [0; 16];
        for (to, from) in padded.iter_mut().zip(hardware_address) {
            *to = *from;
        }
        let mut message = Writer::new();
        message
            .u8(BOOTREQUEST)
            .u8(hardware)
            // cast: at most 16
            .u8(hardware_address.len().min(padded.len()) as u8)
            .u8(0)
            .u32(self.transaction)
            .u32(0)
            .u32(self.address.into())
            .bytes(&[0; 12])
            .bytes(&padded)
            .bytes(&[0; NAMES])
            .u32(COOKIE);
        put(&mut message, option::MESSAGE_TYPE, &[INFORM]);
        let identifier = [&[hardware], hardware_address].concat();
        put(&mut message, option::CLIENT_ID, &identifier);
        let class = self.wording.vendor_class.as_bytes();
        put(&mut message, option::VENDOR_CLASS, class);
        put(&mut message, option::PARAMETERS, self.wording.parameters);
        message.u8(option::END);
        message.into_vec()
    }

    /// Takes an IPv4 packet from the link. `None`: it is no answer to what was asked, but ordinary
    /// traffic; an error means that it was one, and malformed.
    pub fn handle_packet(
        &mut self,
        packet: &[u8],
        header: &IpHeader,
    ) -> Result<Option<Told>, Error> {
        let here = [self.address, Ipv4Addr::BROADCAST].map(IpAddr::V4);
        let waits = self.due.is_some() && self.left < self.wording.tries;
        if !waits
            || header.protocol != protocol::UDP
            || header.later_fragment
            || !here.contains(&header.destination)
        {
            return Ok(None);
        }
        let datagram = packet.get(header.payload()).unwrap_or_default();
        let udp = UdpHeader::parse(datagram)?;
        if (udp.source, udp.destination) != (SERVER_PORT, CLIENT_PORT) {
            return Ok(None);
        }
        if !udp.checksum_holds(datagram, header.source, header.destination) {
            return Err(Error::Checksum);
        }
        let message = datagram.get(udp::HEADER_LEN..udp.length);
        let told = self.read(message.unwrap_or_default())?;
        if told.is_some() {
            self.due = None;
        }
        Ok(told)
    }

    fn read(&self, message: &[u8]) -> Result<Option<Told>, Error> {
        let mut reader = Reader::new(message);
        let operation = reader.u8()?;
        reader.bytes(3)?;
        let transaction = reader.u32()?;
        reader.bytes(4 + 16 + 16 + NAMES)?;
        if reader.u32()? != COOKIE {
            return Err(Error::DhcpCookie);
        }
        let mut kind = None;
        let mut told = Told::default();
        walk(&mut reader, |code, body| {
            let wrong = Error::DhcpOption(u16::from(code));
            match code {
                option::MESSAGE_TYPE => kind = body.first().copied(),
                option::DNS => {
                    let (servers, rest) = body.as_chunks::<4>();
                    if !rest.is_empty() {
                        return Err(wrong);
                    }
                    let servers = servers.iter().take(MAX_DNS);
                    told.dns = servers.map(|octets| Ipv4Addr::from(*octets)).collect();
                }
                option::DOMAIN => {
                    // Some servers end it with a zero, which it may have (RFC 2132 2).
                    let text = body.strip_suffix(&[0]).unwrap_or(body);
                    let text = std::str::from_utf8(text).ok();
                    told.domain = text.and_then(|text| text.parse().ok());
                }
                code if code == self.wording.routes => told.routes = routes(body).ok_or(wrong)?,
                _ => {}
            }
            Ok(())
        })?;
        let is_answer =
            operation == BOOTREPLY && transaction == self.transaction && kind == Some(ACK);
        Ok(is_answer.then_some(told))
    }
}

/// RFC 3442: length, as many bytes of the destination as that has, and the router.
fn routes(body: &[u8]) -> Option<Vec<Ipv4Net>> {
    let mut reader = Reader::new(body);
    let mut routes = Vec::new();
    while !reader.is_empty() && routes.len() < MAX_ROUTES {
        let length = reader.u8().ok().filter(|length| *length <= 32)?;
        let significant = reader.bytes(usize::from(length).div_ceil(8)).ok()?;
        let _router = reader.u32().ok()?;
        let mut octets = [0; 4];
        for (to, from) in octets.iter_mut().zip(significant) {
            *to = *from;
        }
        routes.push(Ipv4Net::new(octets.into(), length).ok()?.trunc());
    }
    Some(routes)
}

#[cfg(test)]
mod tests;
