//! What the policy looks at in a packet.

use std::net::IpAddr;

use adit_wire::ip::{Family, IpHeader, protocol};

/// Where a packet goes, seen from the session that it is judged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The session's client sent it.
    FromClient,
    /// The session's client is to get it.
    ToClient,
}

impl Direction {
    fn turned(self) -> Self {
        match self {
            Self::FromClient => Self::ToClient,
            Self::ToClient => Self::FromClient,
        }
    }
}

/// Whose address the remote one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Another client's, or one that only clients can have.
    Client,
    /// The server's own inside the tunnel.
    Server,
    /// Anybody else's.
    Outside,
}

/// Why a packet cannot be judged, and must be dropped where rules hold: its transport header is in
/// another fragment (RFC 1858 3 and 4, RFC 3128 2.1, RFC 7112 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the transport header is not in the first fragment")]
pub struct Hidden;

/// A packet as the rules of a session see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Which way the packet (of an ICMP error: the quoted one) goes.
    pub direction: Direction,
    /// The address that is not the session's.
    pub remote: IpAddr,
    /// The upper-layer protocol.
    pub protocol: u8,
    /// Source and destination port of TCP and UDP, unless a later fragment.
    pub ports: Option<(u16, u16)>,
    /// Whether it opens a conversation for sure: a SYN without ACK, or an echo request.
    pub opens: bool,
    /// Whether it is a fragment other than the first.
    pub later_fragment: bool,
}

impl Flow {
    /// Reads a packet for the session at one of its ends. `header` must be that of `packet`; `owns`
    /// says which addresses are the session's.
    pub fn read(
        packet: &[u8],
        header: &IpHeader,
        direction: Direction,
        owns: impl Fn(IpAddr) -> bool,
    ) -> Result<Self, Hidden> {
        let flow = Self::plain(packet, header, direction)?;
        Ok(quoted(packet, header, direction, owns).unwrap_or(flow))
    }

    /// The packet itself, whatever it quotes.
    pub fn plain(packet: &[u8], header: &IpHeader, direction: Direction) -> Result<Self, Hidden> {
        let payload = packet.get(header.payload()).unwrap_or_default();
        if header.later_fragment {
            // Eight bytes in, the flags of a TCP header could be written over.
            if header.protocol == protocol::TCP && header.fragment_offset == 8 {
                return Err(Hidden);
            }
        } else {
            let needed = match header.protocol {
                protocol::TCP => 20,
                protocol::UDP | protocol::ICMP | protocol::ICMPV6 => 8,
                _ => 0,
            };
            if payload.len() < needed {
                return Err(Hidden);
            }
        }
        Ok(Self::of(payload, header, direction))
    }

    fn of(payload: &[u8], header: &IpHeader, direction: Direction) -> Self {
        let remote = match direction {
            Direction::FromClient => header.destination,
            Direction::ToClient => header.source,
        };
        let first = !header.later_fragment;
        let has_ports = first && matches!(header.protocol, protocol::TCP | protocol::UDP);
        let ports = match payload {
            [a, b, c, d, ..] if has_ports => {
                Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
            }
            _ => None,
        };
        let opens = first
            && match header.protocol {
                protocol::TCP => payload.get(13).is_some_and(|flags| flags & 0x12 == 0x02),
                protocol::ICMP => payload.first() == Some(&8),
                protocol::ICMPV6 => payload.first() == Some(&128),
                _ => false,
            };
        Self {
            direction,
            remote,
            protocol: header.protocol,
            ports,
            opens,
            later_fragment: header.later_fragment,
        }
    }

    /// The family.
    pub fn family(&self) -> Family {
        Family::of(self.remote)
    }
}

/// The packet that an ICMP error quotes, if the one who gets the error can have sent it, and if it
/// is of the session.
fn quoted(
    packet: &[u8],
    header: &IpHeader,
    direction: Direction,
    owns: impl Fn(IpAddr) -> bool,
) -> Option<Flow> {
    if header.later_fragment {
        return None;
    }
    let message = packet.get(header.payload())?;
    let kind = *message.first()?;
    let is_error = match header.protocol {
        protocol::ICMP => matches!(kind, 3 | 11 | 12),
        protocol::ICMPV6 => (1..=4).contains(&kind),
        _ => false,
    };
    if !is_error {
        return None;
    }
    let quote = message.get(8..)?;
    let about = IpHeader::parse_quoted(quote).ok()?;
    let own = match direction {
        Direction::FromClient => about.destination,
        Direction::ToClient => about.source,
    };
    if about.family() != header.family() || about.source != header.destination || !owns(own) {
        return None;
    }
    let payload = quote.get(about.payload()).unwrap_or_default();
    Some(Flow::of(payload, &about, direction.turned()))
}
