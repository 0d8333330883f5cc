//! Where IP protocol 50 does not get through. A client whose ESP never arrives while its IKE works is
//! most likely behind a firewall that stops it, so the next phase 1 from there gets ESP in UDP.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::Server;
use super::half_open::Network;
use crate::plane::GroupKey;

/// How long the first packet on native SAs may take: L2TP starts at once and repeats itself.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a network is remembered: firewalls change, and clients move.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Most networks that are remembered; the oldest goes for a new one.
const MAX_NETWORKS: usize = 4096;

/// Networks that native ESP does not get through from, with when to try again.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    until: HashMap<Network, Instant>,
}

impl Blocked {
    fn insert(&mut self, source: IpAddr, now: Instant) {
        self.until.retain(|_, until| now < *until);
        if self.until.len() >= MAX_NETWORKS {
            let oldest = self.until.iter().min_by_key(|(_, until)| **until);
            if let Some(network) = oldest.map(|(network, _)| *network) {
                self.until.remove(&network);
            }
        }
        self.until.insert(Network::of(source), now + REMEMBERED);
    }

    fn holds(&self, source: IpAddr, now: Instant) -> bool {
        let until = self.until.get(&Network::of(source));
        until.is_some_and(|until| now < *until)
    }
}

impl Server {
    /// Whether a new phase 1 from there has to bring ESP in UDP.
    pub(super) fn is_native_blocked(&self, source: IpAddr, now: Instant) -> bool {
        self.blocked.holds(source, now)
    }

    /// The peer holds a pair of SAs: if it is the first and native, packets are awaited.
    pub(super) fn await_native(&mut self, inbound_spi: u32, now: Instant) {
        let Some(key) = self.plane.silent_native(inbound_spi) else {
            return;
        };
        if let Some(state) = self.groups.get_mut(&key)
            && state.native_awaited.is_none()
        {
            state.native_awaited = Some(now + PATIENCE);
            self.schedule_group(key);
        }
    }

    /// The time for the first packet of a group with native SAs is over.
    pub(super) fn native_timeout(&mut self, key: GroupKey, now: Instant) {
        let Some(state) = self.groups.get_mut(&key) else {
            return;
        };
        let is_over = |at: &mut Instant| now >= *at;
        if state.native_awaited.take_if(is_over).is_none() || self.plane.was_heard(key) {
            return;
        }
        let Some(path) = self.plane.path(key) else {
            return;
        };
        self.plane.stats.esp_native_blocked += 1;
        self.blocked.insert(path.remote.ip(), now);
        tracing::info!(
            peer = %path.remote.ip(),
            "IKE works but no ESP arrives as IP protocol 50: for an hour, clients of this network get \
             ESP in UDP (listen.esp = false would give it to all)"
        );
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_remembered_for_a_time_and_bounded() {
        let start = Instant::now();
        let address = |index: u32| IpAddr::from((0x0a00_0000 + (index << 8)).to_be_bytes());
        let mut blocked = Blocked::default();
        for index in 0..=MAX_NETWORKS as u32 {
            blocked.insert(address(index), start + Duration::from_millis(index.into()));
        }
        assert_eq!(blocked.until.len(), MAX_NETWORKS);
        assert!(!blocked.holds(address(0), start), "the oldest went");
        assert!(blocked.holds(address(1), start));
        let neighbour: IpAddr = "10.0.1.77".parse().unwrap();
        assert!(blocked.holds(neighbour, start));
        let later = start + REMEMBERED + Duration::from_secs(60);
        assert!(!blocked.holds(neighbour, later));
        blocked.insert(address(9), later);
        assert_eq!(blocked.until.len(), 1);
    }
}
