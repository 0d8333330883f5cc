//! A NAT that maps addresses and ports, and may forget what it mapped.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One public address; each inner address and port gets a port of it.
#[derive(Clone, Debug)]
pub struct Nat {
    public: IpAddr,
    /// Whether the inside is IPv6 and the outside IPv4 (RFC 6146).
    translates: bool,
    next_port: u16,
    out: BTreeMap<SocketAddr, SocketAddr>,
    back: BTreeMap<SocketAddr, SocketAddr>,
}

impl Nat {
    /// A NAT with nothing mapped.
    pub fn new(public: IpAddr) -> Self {
        Self {
            public,
            translates: false,
            next_port: 20_000,
            out: BTreeMap::new(),
            back: BTreeMap::new(),
        }
    }

    /// A NAT64: its clients reach IPv4 hosts under 64:ff9b::/96.
    pub fn nat64(public: Ipv4Addr) -> Self {
        Self {
            translates: true,
            ..Self::new(public.into())
        }
    }

    /// Whether it is a NAT64.
    pub fn translates(&self) -> bool {
        self.translates
    }

    /// The address of an IPv4 host behind a NAT64 (RFC 6052 section 2.1).
    pub fn embed(address: Ipv4Addr) -> IpAddr {
        let [a, b, c, d] = address.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into()
    }

    /// The IPv4 host of such an address.
    pub fn extract(address: Ipv6Addr) -> IpAddr {
        let [.., a, b, c, d] = address.octets();
        Ipv4Addr::new(a, b, c, d).into()
    }

    /// Leaves out this many ports, so that two NATs can share an address as one would.
    pub fn skip_ports(&mut self, count: u16) {
        self.next_port += count;
    }

    /// The public source of a datagram that leaves.
    pub fn outward(&mut self, inner: SocketAddr) -> SocketAddr {
        if let Some(public) = self.out.get(&inner) {
            return *public;
        }
        // Protocol 50 has no ports: it comes back to whoever sent it last.
        let public = if inner.port() == 0 {
            SocketAddr::new(self.public, 0)
        } else {
            self.next_port += 1;
            SocketAddr::new(self.public, self.next_port - 1)
        };
        self.out.insert(inner, public);
        self.back.insert(public, inner);
        public
    }

    /// The inner destination of a datagram that returns, if it is mapped.
    pub fn inward(&self, public: SocketAddr) -> Option<SocketAddr> {
        self.back.get(&public).copied()
    }

    /// Takes another public address and forgets every mapping.
    pub fn move_to(&mut self, public: IpAddr) {
        self.public = public;
        self.forget();
    }

    /// Forgets every mapping, as a NAT does when it restarts.
    pub fn forget(&mut self) {
        self.out.clear();
        self.back.clear();
    }
}
