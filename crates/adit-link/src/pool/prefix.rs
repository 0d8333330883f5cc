//! IPv6 prefixes for clients.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::{Exhausted, Indices};

/// A client prefix length that does not fit the pool's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client prefixes of /{client} do not fit a pool of /{pool}: they must be /{pool} to /127")]
pub struct PrefixLength {
    /// Length of the pool's prefix.
    pub pool: u8,
    /// Length asked for.
    pub client: u8,
}

/// The most bits that number client prefixes; a larger pool is used up to there.
const MAX_INDEX_BITS: u8 = 63;
/// The server's `::1` must lie in its own prefix.
const MAX_CLIENT_LEN: u8 = 127;

/// Cuts a routed prefix into prefixes of one length. The first is the server's own: its `::1` is
/// the server's address, and no client ever gets it.
#[derive(Clone, Debug)]
pub struct PrefixPool {
    net: Ipv6Net,
    client_len: u8,
    indices: Indices,
}

impl PrefixPool {
    /// A pool of `net` for client prefixes of `client_len` bits (64 for autoconfiguration). A length
    /// equal to that of `net` leaves nothing for clients.
    pub fn new(net: Ipv6Net, client_len: u8) -> Result<Self, PrefixLength> {
        let wrong = PrefixLength {
            pool: net.prefix_len(),
            client: client_len,
        };
        if client_len > MAX_CLIENT_LEN {
            return Err(wrong);
        }
        let bits = client_len.checked_sub(net.prefix_len()).ok_or(wrong)?;
        Ok(Self {
            net: net.trunc(),
            client_len,
            indices: Indices::new(1, 1 << bits.min(MAX_INDEX_BITS), []),
        })
    }

    /// The same without a prefix for the server: clients get all of them.
    pub fn whole(net: Ipv6Net, client_len: u8) -> Result<Self, PrefixLength> {
        let mut pool = Self::new(net, client_len)?;
        pool.indices = Indices::new(0, pool.indices.end, []);
        Ok(pool)
    }

    /// The whole prefix.
    pub fn net(&self) -> Ipv6Net {
        self.net
    }

    /// Length of a client's prefix.
    pub fn client_len(&self) -> u8 {
        self.client_len
    }

    /// The server's own prefix, of the length of a client's.
    pub fn server_prefix(&self) -> Ipv6Net {
        self.prefix(0)
    }

    /// The server's own address: `::1` in its prefix.
    pub fn server_address(&self) -> Ipv6Addr {
        Ipv6Addr::from(u128::from(self.net.network()) | 1)
    }

    /// Leases a prefix that nobody has.
    pub fn allocate(&mut self) -> Result<Ipv6Net, Exhausted> {
        let index = self.indices.allocate()?;
        Ok(self.prefix(index))
    }

    /// Leases this prefix. Returns whether it could be: it is of the pool and of its length, and
    /// neither leased nor reserved.
    pub fn take(&mut self, prefix: Ipv6Net) -> bool {
        self.index(prefix)
            .is_some_and(|index| self.indices.take(index))
    }

    /// Leases this one of the reserved prefixes, unless it is leased.
    pub fn take_reserved(&mut self, prefix: Ipv6Net) -> bool {
        self.index(prefix)
            .is_some_and(|index| self.indices.take_reserved(index))
    }

    /// Takes a prefix back. Returns whether it was leased; if not, nothing changes.
    pub fn release(&mut self, prefix: Ipv6Net) -> bool {
        self.index(prefix)
            .is_some_and(|index| self.indices.release(index))
    }

    /// Keeps a prefix that is not leased for whoever had it: others get it last of all. Returns
    /// whether it could be kept; it cannot if it is kept already.
    pub fn keep(&mut self, prefix: Ipv6Net) -> bool {
        self.index(prefix)
            .is_some_and(|index| self.indices.keep(index))
    }

    /// Keeps a prefix no longer.
    pub fn unkeep(&mut self, prefix: Ipv6Net) {
        if let Some(index) = self.index(prefix) {
            self.indices.unkeep(index);
        }
    }

    /// Reserves these prefixes and no others. One that is leased stays so until it is released.
    pub fn reserve(&mut self, prefixes: impl IntoIterator<Item = Ipv6Net>) {
        let indices: Vec<u64> = prefixes
            .into_iter()
            .filter_map(|prefix| self.index(prefix))
            .collect();
        self.indices.reserve(indices);
    }

    /// How many prefixes are leased.
    pub fn leased(&self) -> usize {
        self.indices.leased()
    }

    /// How many prefixes there are for clients, leased or not, without the reserved ones.
    pub fn capacity(&self) -> u64 {
        self.indices.capacity()
    }

    fn index(&self, prefix: Ipv6Net) -> Option<u64> {
        if prefix.prefix_len() != self.client_len || !self.net.contains(&prefix) {
            return None;
        }
        let network = u128::from(prefix.network()) ^ u128::from(self.net.network());
        u64::try_from(network >> self.host_bits()).ok()
    }

    /// Bits behind a client's prefix. A length of 0 with its 128 bits leaves no index to shift.
    fn host_bits(&self) -> u32 {
        128 - u32::from(self.client_len.max(1))
    }

    fn prefix(&self, index: u64) -> Ipv6Net {
        let bits = u128::from(self.net.network()) | (u128::from(index) << self.host_bits());
        // `new` has checked the length, so the fallback is never taken.
        Ipv6Net::new(Ipv6Addr::from(bits), self.client_len).unwrap_or(self.net)
    }
}
