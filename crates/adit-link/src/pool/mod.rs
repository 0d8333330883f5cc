//! What clients are given out of: IPv4 addresses and IPv6 prefixes.
//!
//! A pool's memory grows with its leases, not with its size, and allocation does not search. What
//! was released comes back as late as possible, first released first, so that stale traffic for
//! the client before does not reach the next one. What is kept for a client that may come back is
//! handed to others last of all, and what is reserved never.

mod claims;
mod indices;
mod ipv4;
mod prefix;
#[cfg(test)]
mod tests;

pub use claims::{Claim, Claims, Granted, MAX_HELD};
pub use ipv4::Ipv4Pool;
pub use prefix::{PrefixLength, PrefixPool};

use indices::Indices;

/// Every address or prefix is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool is exhausted: all {capacity} are in use")]
pub struct Exhausted {
    /// How many there are for clients.
    pub capacity: u64,
}
