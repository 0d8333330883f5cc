//! A NAT that maps addresses and ports, and may forget what it mapped.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// One public address; each inner address and port gets a port of it.
#[derive(Clone, Debug)]
pub struct Nat {
    public: IpAddr,
    next_port: u16,
    out: BTreeMap<SocketAddr, SocketAddr>,
    back: BTreeMap<SocketAddr, SocketAddr>,
}

impl Nat {
    /// A NAT with nothing mapped.
    pub fn new(public: IpAddr) -> Self {
        Self {
            public,
            next_port: 20_000,
            out: BTreeMap::new(),
            back: BTreeMap::new(),
        }
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
        let public = SocketAddr::new(self.public, self.next_port);
        self.next_port += 1;
        self.out.insert(inner, public);
        self.back.insert(public, inner);
        public
    }

    /// The inner destination of a datagram that returns, if it is mapped.
    pub fn inward(&self, public: SocketAddr) -> Option<SocketAddr> {
        self.back.get(&public).copied()
    }

    /// Forgets every mapping, as a NAT does when it restarts.
    pub fn forget(&mut self) {
        self.out.clear();
        self.back.clear();
    }
}
