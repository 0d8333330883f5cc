//! What a user is let in with, and what a device holds.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use adit_link::rate::Rate;
use ipnet::{Ipv4Net, Ipv6Net};

/// What the owner lets a user in with, beside the pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The user's name as the operator writes it; sessions are counted by it.
    pub user: String,
    /// The user's group, for display.
    pub group: Option<String>,
    /// Addresses that are this user's alone. They count only where
    /// [`Server::reserve`](crate::Server::reserve) was told of them.
    pub fixed: Lease,
    /// Where the tunnel leads for this user, in place of the configuration's routes.
    pub routes: Option<Arc<Routes>>,
    /// Most sessions of the user at once; `None` is no limit.
    pub sessions: Option<usize>,
    /// How much all sessions of the user may send together, and get; `None` is no limit.
    pub rate: Option<Rate>,
    /// When the session ends at the latest.
    pub expires: Option<Instant>,
}

/// Where a tunnel leads; without any, everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Told to those that ask by DHCPINFORM.
    pub ipv4: Vec<Ipv4Net>,
    /// Told by router advertisements (RFC 4191).
    pub ipv6: Vec<Ipv6Net>,
}

/// A device of a user, as far as its client tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// The user.
    pub user: String,
    /// The Host Name AVP of the tunnel (RFC 2661 4.4.3): a computer's name. Several devices may
    /// have the same.
    pub name: String,
}

/// Addresses that belong together: what a session holds, a device had last, or a user has for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The client's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The client's own prefix.
    pub ipv6: Option<Ipv6Net>,
    /// The prefix for a router behind the client.
    pub delegated: Option<Ipv6Net>,
}

impl Lease {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a running session when its user's rights have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It goes on, until this time at the latest and at this rate.
    Stays {
        /// When it ends.
        expires: Option<Instant>,
        /// As in [`Grant::rate`].
        rate: Option<Rate>,
    },
    /// It ends now.
    Ends {
        /// Why, for the log.
        why: &'static str,
    },
}
