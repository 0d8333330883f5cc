//! IPv4 addresses for clients.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Exhausted, Indices};

/// Hands out the host addresses of a network. The first one is the server's; the network and
/// broadcast addresses of a network shorter than /31 are nobody's (RFC 3021 2.1 for /31).
#[derive(Clone, Debug)]
pub struct Ipv4Pool {
    net: Ipv4Net,
    /// Those that no user can have for good either.
    reserved: Vec<u64>,
    pub(super) indices: Indices,
}

impl Ipv4Pool {
    /// A pool of `net` that never leases the server's address nor one of `reserved`.
    pub fn new(net: Ipv4Net, reserved: &[Ipv4Addr]) -> Self {
        let net = net.trunc();
        let size = 1_u64 << (32 - u32::from(net.prefix_len()));
        let server = Self::first_host(net);
        let end = if net.prefix_len() < 31 {
            size - 1
        } else {
            size
        };
        let reserved: Vec<u64> = reserved
            .iter()
            .filter(|address| net.contains(*address))
            .map(|address| Self::index_in(net, *address))
            .collect();
        Self {
            net,
            indices: Indices::new(server + 1, end, reserved.iter().copied()),
            reserved,
        }
    }

    /// The network.
    pub fn net(&self) -> Ipv4Net {
        self.net
    }

    /// The server's own address: the first host address.
    pub fn server_address(&self) -> Ipv4Addr {
        self.address(Self::first_host(self.net))
    }

    /// Leases an address that nobody has.
    pub fn allocate(&mut self) -> Result<Ipv4Addr, Exhausted> {
        let index = self.indices.allocate()?;
        Ok(self.address(index))
    }

    /// Leases this address. Returns whether it could be: it is of the pool, and neither leased nor
    /// reserved.
    pub fn take(&mut self, address: Ipv4Addr) -> bool {
        self.index(address)
            .is_some_and(|index| self.indices.take(index))
    }

    /// Leases this one of the reserved addresses, unless it is leased.
    pub fn take_reserved(&mut self, address: Ipv4Addr) -> bool {
        self.index(address)
            .is_some_and(|index| self.indices.take_reserved(index))
    }

    /// Takes an address back. Returns whether it was leased; if not, nothing changes.
    pub fn release(&mut self, address: Ipv4Addr) -> bool {
        self.index(address)
            .is_some_and(|index| self.indices.release(index))
    }

    /// Keeps an address that is not leased for whoever had it: others get it last of all. Returns
    /// whether it could be kept; it cannot if it is kept already.
    pub fn keep(&mut self, address: Ipv4Addr) -> bool {
        self.index(address)
            .is_some_and(|index| self.indices.keep(index))
    }

    /// Keeps an address no longer.
    pub fn unkeep(&mut self, address: Ipv4Addr) {
        if let Some(index) = self.index(address) {
            self.indices.unkeep(index);
        }
    }

    /// Reserves these addresses, and no others but those that the pool was made with. One that is
    /// leased stays so until it is released.
    pub fn reserve(&mut self, addresses: impl IntoIterator<Item = Ipv4Addr>) {
        let net = self.net;
        let fixed = addresses
            .into_iter()
            .filter(|address| net.contains(address))
            .map(|address| Self::index_in(net, address));
        self.indices
            .reserve(fixed.chain(self.reserved.iter().copied()));
    }

    /// How many addresses are leased.
    pub fn leased(&self) -> usize {
        self.indices.leased()
    }

    /// How many addresses there are for clients, leased or not, without the reserved ones.
    pub fn capacity(&self) -> u64 {
        self.indices.capacity()
    }

    fn index(&self, address: Ipv4Addr) -> Option<u64> {
        self.net
            .contains(&address)
            .then(|| Self::index_in(self.net, address))
    }

    fn first_host(net: Ipv4Net) -> u64 {
        u64::from(net.prefix_len() < 31)
    }

    fn index_in(net: Ipv4Net, address: Ipv4Addr) -> u64 {
        u64::from(u32::from(address).wrapping_sub(u32::from(net.network())))
    }

    fn address(&self, index: u64) -> Ipv4Addr {
        // cast: indices stay below the size of the network, 2^32 at most
        Ipv4Addr::from(u32::from(self.net.network()).wrapping_add(index as u32))
    }
}
