//! IP on a session's link: pools, Router Advertisements, DHCPv6, MTU and MSS, ICMP errors.
//!
//! - [`pool`]: IPv4 addresses and IPv6 prefixes for clients.
//! - [`mtu`]: the largest inner packet that a real encapsulation carries, and the MSS of it.
//! - [`guard`]: what is done to every packet: source address check and MSS clamp.
//! - [`policy`]: rules for both families, and what of a packet they match.
//! - [`rate`]: how much may pass.
//! - [`fragment`]: IPv4 packets that may be cut to fit.
//! - [`icmp`]: "fragmentation needed", "packet too big" and "destination unreachable".
//! - [`dhcp4`]: what a client is told that asks by DHCPINFORM (RFC 2131 4.3.5).
//! - [`Router`] and [`Host`]: the two ends of a session's IPv6 link (RFC 4861, 4862, 4191, 8106, 8415),
//!   over the codecs [`nd`] and [`dhcp6`].
//!
//! No sockets, clocks or randomness of its own, and no address of one session ever serves another.

pub mod address;
mod backoff;
pub mod dhcp4;
pub mod dhcp6;
pub mod domain;
mod error;
pub mod fragment;
pub mod guard;
pub mod host;
pub mod icmp;
pub mod mtu;
pub mod nd;
mod packet;
pub mod policy;
pub mod pool;
pub mod rate;
pub mod router;
#[cfg(test)]
mod testing;

pub use error::Error;
pub use host::{Advertised, Host, HostEvent, HostStats, HostWants};
pub use router::{Router, RouterConfig, RouterEvent, RouterStats};

/// What became of a packet that was shown to a [`Router`] or a [`Host`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It was for the link itself and must go no further.
    Consumed,
    /// It is ordinary traffic.
    Forward,
}
