//! What the server tells about a session.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::Ipv6Net;

use crate::event::SessionId;

/// One session as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its number, unique while the server runs.
    pub id: SessionId,
    /// Who it is, once authenticated.
    pub user: Option<String>,
    /// The user's group, if the user has one.
    pub group: Option<String>,
    /// What the handshake looks like: "windows", "apple", "linux", ...; "lac" without IPsec.
    pub client: String,
    /// The peer's outer address and port.
    pub peer: SocketAddr,
    /// The server's outer address and port.
    pub local: SocketAddr,
    /// "udp" (ESP in UDP), "esp" (protocol 50) or "none" (L2TP without IPsec).
    pub encapsulation: &'static str,
    /// Who is behind a NAT: "none", "client", "server" or "both".
    pub nat: &'static str,
    /// What protects IKE; `None` without IPsec.
    pub ike: Option<IkeInfo>,
    /// What protects the packets, such as "AES-CBC-256/HMAC-SHA1-96"; `None` without IPsec.
    pub esp: Option<String>,
    /// The client's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The prefixes that are routed to the client.
    pub ipv6_prefixes: Vec<Ipv6Net>,
    /// State of IPCP.
    pub ipcp: String,
    /// State of IPv6CP.
    pub ipv6cp: String,
    /// The largest inner packet, in bytes.
    pub mtu: u16,
    /// The MSS that SYNs are clamped to, for IPv4 and IPv6.
    pub mss: (u16, u16),
    /// Resolvers handed out, both families.
    pub dns: Vec<IpAddr>,
    /// Bytes of IP packets from the client.
    pub rx_bytes: u64,
    /// Bytes of IP packets to the client.
    pub tx_bytes: u64,
    /// IP packets from the client.
    pub rx_packets: u64,
    /// IP packets to the client.
    pub tx_packets: u64,
    /// How long the session has been authenticated; zero before that.
    pub connected_for: Duration,
}

/// The phase 1 choice in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IkeInfo {
    /// Cipher.
    pub encryption: String,
    /// Hash and PRF.
    pub hash: String,
    /// Diffie-Hellman group.
    pub group: String,
    /// "psk", "rsa", "ecdsa-256", "ecdsa-384" or "ecdsa-521".
    pub auth: String,
}
