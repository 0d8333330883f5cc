//! Path MTU discovery (RFC 1191, RFC 8201): what routers on the way to a peer said of our packets
//! makes the MTU of its sessions smaller, for ten minutes. Whoever says so is believed only as far as
//! what it quotes proves, and never below what every path carries.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use adit_link::mtu::IPV6_MINIMUM;
use adit_wire::Channel;
use hashbrown::HashMap;

use super::{NON_ESP_MARKER, Server, TimerKey};
use crate::budget::Budget;
use crate::plane::{GroupKey, Misquoted, Proof};

/// How long a path is believed to be narrow; then the next packet that does not fit shows whether
/// it still is (RFC 1191 6.3, RFC 8201 4).
const REMEMBERED: Duration = Duration::from_secs(600);

/// The least that is believed over IPv4: what every host takes whole (RFC 791 3.1). Narrower paths
/// there are none, but those that somebody made up.
const IPV4_LEAST: u16 = 576;

/// The same where only the addresses were right. Whoever can guess them gains next to nothing by it.
const UNPROVEN_LEAST: u16 = 1280;

/// Errors that are looked into per second.
const ERRORS_PER_SECOND: u32 = 100;

/// Who found that a packet is too big.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// Our own system, of the interface that the packet was to leave by.
    System,
    /// An ICMP error, from whomever.
    Network,
}

/// A packet of ours was too big for a link on its way: "fragmentation needed" (RFC 1191 4), "packet too
/// big" (RFC 4443 3.2), or the word of our own system.
#[derive(Clone, Copy, Debug)]
pub struct TooBig<'a> {
    /// The door that it left by.
    pub channel: Channel,
    /// Where it was going. The port is 0 for ESP, and where our own system does not know it.
    pub remote: SocketAddr,
    /// The MTU of that link, in bytes of IP, as it was told.
    pub mtu: u32,
    /// Who says so.
    pub teller: Teller,
    /// What the error holds of the packet, from behind its UDP header, or IP header for ESP.
    pub quote: &'a [u8],
}

/// What is known of the paths to peers.
pub(super) struct Paths {
    learnt: HashMap<GroupKey, Learnt>,
    budget: Budget,
}

#[derive(Clone, Copy, Debug)]
struct Learnt {
    mtu: u16,
    until: Instant,
}

impl Paths {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            learnt: HashMap::new(),
            budget: Budget::new(ERRORS_PER_SECOND, now),
        }
    }
}

impl Server {
    /// Takes the word of somebody that a packet was too big for its way.
    pub fn handle_too_big(&mut self, error: &TooBig<'_>, now: Instant) {
        // IKE messages may be cut on their way, and the system does it where routers do not.
        let is_ike = error.channel == Channel::Ike
            || error.channel == Channel::NatT && error.quote.starts_with(&NON_ESP_MARKER);
        if is_ike {
            return;
        }
        if !self.paths.budget.spend(now) {
            self.plane.stats.path_mtu_ignored += 1;
            return;
        }
        let (groups, proof) = match error.teller {
            Teller::System => {
                let there = self.plane.groups_to(error.channel, error.remote);
                (there, Proof::Numbers)
            }
            Teller::Network => match self.plane.quoted(error.channel, error.remote, error.quote) {
                Ok((key, proof)) => (vec![key], proof),
                Err(Misquoted::Nobody) => {
                    self.plane.stats.path_mtu_unknown += 1;
                    return;
                }
                Err(Misquoted::Foreign) => {
                    self.plane.stats.path_mtu_foreign += 1;
                    return;
                }
            },
        };
        let least = match (error.remote, proof) {
            (SocketAddr::V6(_), _) => IPV6_MINIMUM,
            (SocketAddr::V4(_), Proof::Numbers) => IPV4_LEAST,
            (SocketAddr::V4(_), Proof::Addresses) => UNPROVEN_LEAST,
        };
        if error.mtu < u32::from(least) {
            self.plane.stats.path_mtu_absurd += 1;
            return;
        }
        for group in groups {
            // What is no news comes of packets that were under way already.
            let known = self.path_mtu(group);
            if let Ok(mtu) = u16::try_from(error.mtu)
                && mtu < known
            {
                self.path_narrowed(group, mtu, now);
            }
        }
    }

    fn path_narrowed(&mut self, group: GroupKey, mtu: u16, now: Instant) {
        let until = now + REMEMBERED;
        self.paths.learnt.insert(group, Learnt { mtu, until });
        self.timers.set(TimerKey::Path(group), Some(until));
        self.plane.stats.path_mtu_lowered += 1;
        if let Some(path) = self.plane.path(group)
            && self.log_budget.spend(now)
        {
            tracing::info!(peer = %path.remote, mtu, "the path to the peer is narrower than it was");
        }
        self.group_resized(group, now);
    }

    /// The time is over for which a path was believed to be narrow.
    pub(super) fn path_timeout(&mut self, group: GroupKey, now: Instant) {
        let is_over = |learnt: &Learnt| now >= learnt.until;
        if self.paths.learnt.get(&group).is_some_and(is_over) {
            self.plane.stats.path_mtu_raised += 1;
            self.forget_path(group);
            self.group_resized(group, now);
        }
    }

    /// The peer of a group is elsewhere.
    pub(super) fn path_changed(&mut self, group: GroupKey, now: Instant) {
        if self.forget_path(group) {
            self.group_resized(group, now);
        }
    }

    /// A group is gone, or its path is another: nothing is known of it. Whether anything was.
    pub(super) fn forget_path(&mut self, group: GroupKey) -> bool {
        let known = self.paths.learnt.remove(&group).is_some();
        if known {
            self.timers.set(TimerKey::Path(group), None);
        }
        known
    }

    /// The largest outer packet that the path of a group carries, as far as that is known.
    pub(super) fn path_mtu(&self, group: GroupKey) -> u16 {
        let learnt = self.paths.learnt.get(&group);
        learnt.map_or(self.config.path_mtu, |learnt| learnt.mtu)
    }
}
