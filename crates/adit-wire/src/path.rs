//! Where a datagram came from and where one goes.

use std::net::SocketAddr;

/// Which of the server's doors a datagram uses. It decides how bytes are framed, whatever port
/// numbers a NAT or a test made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// UDP port 500: IKE messages as they are.
    Ike,
    /// UDP port 4500 (RFC 3948): IKE messages behind four zero bytes, ESP packets, keepalives.
    NatT,
    /// IP protocol 50 (RFC 4303): ESP packets as they are, from SPI to ICV. There are no ports, so
    /// both are 0.
    Esp,
    /// UDP port 1701 (RFC 2661 8.1): L2TP messages as they are, without IPsec.
    L2tp,
}

/// A channel with the two addresses of a datagram, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// The door.
    pub channel: Channel,
    /// Our own address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
}

impl Path {
    /// The way of ESP without UDP between the same two addresses.
    pub fn native_esp(mut self) -> Self {
        self.channel = Channel::Esp;
        self.local.set_port(0);
        self.remote.set_port(0);
        self
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} via {}", self.remote, self.local)
    }
}

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From where to where, and through which door.
    pub path: Path,
    /// What the sender of this struct hands on: for a layer below the framing of [`Channel::NatT`]
    /// the UDP payload, for the layers above it their own message.
    pub payload: Vec<u8>,
}
