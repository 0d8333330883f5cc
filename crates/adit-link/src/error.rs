//! Why a packet for the link was refused.

use std::net::Ipv6Addr;

use adit_wire::Truncated;
use adit_wire::udp::UdpError;

/// A peer's packet that the rules of the link do not allow. It is dropped and counted; the link
/// goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message ends inside a field.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// A neighbour discovery message came with a hop limit other than 255, so perhaps from off
    /// the link (RFC 4861 6.1, 7.1).
    #[error("neighbour discovery with hop limit {0}")]
    HopLimit(u8),
    /// A neighbour discovery message came in a fragment (RFC 6980 5).
    #[error("neighbour discovery in a fragment")]
    Fragmented,
    /// The ICMPv6 or UDP checksum is wrong, or the UDP checksum is absent.
    #[error("wrong checksum")]
    Checksum,
    /// An ICMPv6 code that the message type does not have.
    #[error("ICMPv6 type {kind} with code {code}")]
    Code {
        /// ICMPv6 type.
        kind: u8,
        /// ICMPv6 code.
        code: u8,
    },
    /// An ICMPv6 type that is no neighbour discovery message.
    #[error("ICMPv6 type {0} is not neighbour discovery")]
    Kind(u8),
    /// An option of length zero, or one that reaches past the message (RFC 4861 4.6).
    #[error("neighbour discovery option {0} of a wrong length")]
    OptionLength(u8),
    /// The message may not come from this address.
    #[error("source address {0} is not allowed here")]
    Source(Ipv6Addr),
    /// The message may not go to this address.
    #[error("destination address {0} is not allowed here")]
    Destination(Ipv6Addr),
    /// A target that is a multicast address.
    #[error("target address {0} is not allowed here")]
    Target(Ipv6Addr),
    /// A link-layer address from the unspecified address (RFC 4861 6.1.1, 7.1.1).
    #[error("a link-layer address option from the unspecified address")]
    LinkLayerAddress,
    /// The UDP header contradicts the packet.
    #[error(transparent)]
    Udp(#[from] UdpError),
    /// A DHCP option of a length that it cannot have, or one too many of its kind.
    #[error("DHCP option {0} of a wrong length")]
    DhcpOption(u16),
    /// No DHCPv4 message: its magic cookie is wrong (RFC 2131 3).
    #[error("a DHCPv4 message without its magic cookie")]
    DhcpCookie,
    /// More DHCPv6 options than any real message has.
    #[error("too many DHCPv6 options")]
    DhcpOptions,
    /// A DHCPv6 message without an option that it must have, or with one that it must not have
    /// (RFC 8415 16).
    #[error("DHCPv6 message type {kind} is invalid because of option {option}")]
    DhcpInvalid {
        /// DHCPv6 message type.
        kind: u8,
        /// The option.
        option: u16,
    },
}
