//! Peers without IPsec: L2TP on UDP 1701 (RFC 2661 8.1), from where the operator says that the wires
//! are trusted.
//!
//! Such a peer is an address and port of its own and the address of ours that it came to; they stay
//! for as long as it has a tunnel, and answers go there. Nothing proves them, so a datagram must
//! never reach what another address, or an SA group, has opened, nor make the server hold more than
//! the limits say.

use std::ops::Range;
use std::time::Instant;

use adit_wire::Path;
use hashbrown::HashMap;

use super::Server;
use super::half_open::HalfOpen;
use super::tunnel::SCCRQ;
use crate::plane::GroupKey;

/// The peers without IPsec, each a group without SAs on the packet path.
#[derive(Default)]
pub(super) struct PlainPeers {
    by_path: HashMap<Path, GroupKey>,
    peers: HashMap<GroupKey, PlainPeer>,
    half_open: HalfOpen<u16>,
    serial: u64,
}

struct PlainPeer {
    path: Path,
    /// Oldest first; never empty for long.
    tunnels: Vec<u16>,
    /// Those that are not established, with their serials among the half-open ones.
    begun: Vec<(u16, u64)>,
}

impl PlainPeers {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn tunnels_of(&self, group: GroupKey) -> Option<&[u16]> {
        Some(&self.peers.get(&group)?.tunnels)
    }

    /// A tunnel is not half open any more.
    fn settle(&mut self, group: GroupKey, id: u16) {
        let Some(peer) = self.peers.get_mut(&group) else {
            return;
        };
        let mut begun = peer.begun.iter();
        if let Some(index) = begun.position(|(tunnel, _)| *tunnel == id) {
            let (_, serial) = peer.begun.remove(index);
            self.half_open.remove(serial);
        }
    }
}

impl Server {
    pub(super) fn handle_plain(
        &mut self,
        path: Path,
        datagram: &mut [u8],
        now: Instant,
    ) -> Option<Range<usize>> {
        let source = path.remote.ip();
        let from = self.config.plain.iter().flat_map(|plain| &plain.from);
        if !from.into_iter().any(|range| range.contains(&source)) {
            self.plane.stats.plain_foreign += 1;
            return None;
        }
        let Some(group) = self.plain.by_path.get(&path).copied() else {
            self.new_plain_peer(path, datagram, now);
            return None;
        };
        let port = path.remote.port();
        let inbound = self.plane.inbound_plain(group, port, datagram, now);
        self.take_inbound(inbound, datagram, now)
    }

    /// Only a message that opens a tunnel makes a peer of its sender.
    fn new_plain_peer(&mut self, path: Path, datagram: &[u8], now: Instant) {
        match adit_l2tp::decode(datagram) {
            Ok(adit_l2tp::Packet::Control(control))
                if control.tunnel == 0 && control.message_type() == Some(SCCRQ) => {}
            Ok(_) => {
                self.plane.stats.l2tp_unknown += 1;
                return;
            }
            Err(_) => {
                self.plane.stats.l2tp_malformed += 1;
                return;
            }
        }
        if self.stopping.is_some() {
            return;
        }
        let limit = self.config.limits.plain_peers;
        if self.plain.len() >= limit {
            self.plane.stats.plain_refused += 1;
            if self.log_budget.spend(now) {
                tracing::warn!(
                    peer = %path.remote,
                    limit,
                    "peer without IPsec refused: limits.plain-peers is reached"
                );
            }
            return;
        }
        let Some(group) = self.plane.add_group(path, None) else {
            return;
        };
        self.plain.by_path.insert(path, group);
        let peer = PlainPeer {
            path,
            tunnels: Vec::new(),
            begun: Vec::new(),
        };
        self.plain.peers.insert(group, peer);
        self.handle_l2tp(group, path.remote.port(), datagram, now);
        self.forget_unused_plain(group);
    }

    /// Whether a peer may begin another tunnel. Established ones never make room for it: whoever can
    /// forge an address could end them.
    pub(super) fn has_room_for_plain(&mut self, group: GroupKey, now: Instant) -> bool {
        let Some(peer) = self.plain.peers.get(&group) else {
            return false;
        };
        let (remote, limits) = (peer.path.remote, self.config.limits);
        let full = peer.begun.is_empty() && peer.tunnels.len() >= limits.tunnels_per_peer;
        let near = self.plain.half_open.count_near(remote.ip());
        let reached = match (full, near >= limits.half_open_per_network) {
            (true, _) => "limits.tunnels-per-peer",
            (_, true) => "limits.half-open-per-network",
            _ => return true,
        };
        self.plane.stats.tunnels_refused += 1;
        if self.log_budget.spend(now) {
            tracing::warn!(peer = %remote, "tunnel refused: {reached} is reached");
        }
        false
    }

    /// A peer has begun a tunnel. Past the limits, what is half open goes for it, oldest first.
    pub(super) fn plain_tunnel_begun(&mut self, group: GroupKey, id: u16, now: Instant) {
        let Some(peer) = self.plain.peers.get_mut(&group) else {
            return;
        };
        let limits = self.config.limits;
        let serial = self.plain.serial;
        self.plain.serial += 1;
        peer.tunnels.push(id);
        peer.begun.push((id, serial));
        let surplus = peer.tunnels.len() > limits.tunnels_per_peer.max(1);
        let oldest_of_peer = peer.begun.first().map(|(id, _)| *id);
        let source = peer.path.remote.ip();
        self.plain.half_open.insert(serial, id, source);
        if surplus {
            self.drop_half_open_plain(oldest_of_peer, now);
        }
        if self.plain.half_open.len() > limits.half_open.max(1) {
            let oldest = self.plain.half_open.oldest();
            self.drop_half_open_plain(oldest, now);
        }
    }

    fn drop_half_open_plain(&mut self, id: Option<u16>, now: Instant) {
        if let Some(id) = id {
            self.plane.stats.plain_half_open_dropped += 1;
            self.drop_tunnel(id, "another tunnel needs the room", now);
        }
    }

    /// A tunnel is established. False if it is not one without IPsec.
    ///
    /// The peer's other tunnels stay: an access concentrator may have several from one port.
    pub(super) fn plain_tunnel_up(&mut self, id: u16, host_name: &str, vendor: &str) -> bool {
        let Some(state) = self.tunnels.get(&id) else {
            return false;
        };
        let Some(peer) = self.plain.peers.get(&state.group) else {
            return false;
        };
        tracing::info!(
            peer = %peer.path.remote,
            host_name,
            vendor,
            authenticated = state.tunnel.is_authenticated(),
            "tunnel up without IPsec"
        );
        self.plane.stats.plain_established += 1;
        let group = state.group;
        self.plain.settle(group, id);
        true
    }

    /// A tunnel is gone; the peer goes with its last one.
    pub(super) fn plain_tunnel_gone(&mut self, group: GroupKey, id: u16) {
        self.plain.settle(group, id);
        if let Some(peer) = self.plain.peers.get_mut(&group) {
            peer.tunnels.retain(|tunnel| *tunnel != id);
        }
        self.forget_unused_plain(group);
    }

    fn forget_unused_plain(&mut self, group: GroupKey) {
        let peer = self.plain.peers.get(&group);
        if let Some(path) = peer
            .filter(|peer| peer.tunnels.is_empty())
            .map(|peer| peer.path)
        {
            self.plain.peers.remove(&group);
            self.plain.by_path.remove(&path);
            self.forget_path(group);
            self.plane.remove_group(group);
        }
    }

    /// Ends all tunnels without IPsec, without a word.
    pub(super) fn drop_plain_peers(&mut self, why: &str, now: Instant) {
        let tunnels: Vec<_> = self
            .plain
            .peers
            .values()
            .flat_map(|peer| &peer.tunnels)
            .copied()
            .collect();
        for id in tunnels {
            self.drop_tunnel(id, why, now);
        }
    }
}
