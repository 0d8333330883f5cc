//! Sockets, TUN, netlink, nftables, sysctls: everything of adit that touches the host.
//!
//! - [`udp`]: batches of datagrams with the address of ours that they were sent to.
//! - [`tun`]: the interface whose packets are the clients' packets.
//! - [`netlink`]: addresses, routes, links, and neighbours that are answered for.
//! - [`masquerade`]: IPv4 NAT for the clients' pool, in an nftables table of our own.
//! - [`six_to_four`]: the way out to 6to4 hosts.
//! - [`host`]: sysctls, and what of them would keep packets from being forwarded.
//!
//! Nothing here knows a protocol above IP and UDP. Sockets and the TUN never block: what cannot
//! be done at once is said to the caller, who counts and drops it. Errors are written for the
//! operator: what failed, why, and what to do now.

pub mod host;
pub mod masquerade;
pub mod namespace;
pub mod netlink;
pub mod six_to_four;
pub mod tun;
pub mod udp;
