//! What the server asks of its owner.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::grant::{Device, Grant, Lease};

/// A session's number, unique while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What the owner has to act on; given out by [`Server::poll_event`](crate::Server::poll_event).
#[derive(Debug)]
pub enum Event {
    /// Somebody wants in: look the user up and answer with
    /// [`Server::handle_verdict`](crate::Server::handle_verdict).
    Authenticate {
        /// The session that waits.
        session: SessionId,
        /// Where it comes from.
        peer: SocketAddr,
        /// Who, and the proof.
        attempt: adit_ppp::Attempt,
    },
    /// A client wants an address of the prefix that it shares with the uplink: find out whether a
    /// host there has it, and answer with
    /// [`Server::handle_address_check`](crate::Server::handle_address_check).
    CheckAddress {
        /// The address.
        address: Ipv6Addr,
    },
    /// Whether a client holds such an address: if so, route it to TUN and answer for it on the
    /// uplink (RFC 4861 7.2.8), and else no longer. To be done in the order of these events.
    Neighbor {
        /// The address.
        address: Ipv6Addr,
        /// Whether it is held.
        held: bool,
    },
    /// What a device is remembered with has changed, or it was used again: whoever wants it back
    /// after a restart ([`Server::restore`](crate::Server::restore)) writes it down, in the order of
    /// these events.
    Remember {
        /// The device.
        device: Arc<Device>,
        /// What it gets again; `None` if it is forgotten.
        lease: Option<Lease>,
    },
}

/// The owner's answer to [`Event::Authenticate`].
#[derive(Clone, Debug)]
pub enum Decision {
    /// Let in.
    Accept {
        /// What the method sends along, as `Attempt::verify` made it.
        success_message: Vec<u8>,
        /// As whom, and with what.
        grant: Grant,
    },
    /// Keep out.
    Reject(adit_ppp::RejectReason),
}
