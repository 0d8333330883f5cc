//! Peers: who phase 1 has authenticated, and what of theirs belongs together.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use adit_crypto::sign::SignatureScheme;
use adit_ike::{Authentication, Phase1, Role};
use adit_wire::{Channel, Path};

use super::ike::IkeKey;
use super::rekey::UNREAD;
use super::rekey_ike::Replacing;
use super::{Server, TimerKey};
use crate::info::IkeInfo;
use crate::plane::GroupKey;

/// How long an IKE SA may be there without any ESP SA.
pub(super) const PEER_IDLE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PeerKey(pub(super) usize);

/// An authenticated peer: one phase 1 identity at one outer address and port.
pub(super) struct Peer {
    pub(super) identity: (String, SocketAddr),
    /// Oldest first.
    pub(super) ikes: Vec<IkeKey>,
    pub(super) groups: Vec<GroupKey>,
    pub(super) replacing: Replacing,
    pub(super) info: PeerInfo,
}

/// What phase 1 told about a peer, for display.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerInfo {
    pub(super) client: String,
    pub(super) nat: &'static str,
    pub(super) ike: Option<IkeInfo>,
}

impl PeerInfo {
    /// Of a peer without IPsec, who tells nothing of it.
    fn of_plain() -> Self {
        Self {
            client: "lac".into(),
            nat: "none",
            ike: None,
        }
    }
}

fn auth(authentication: Authentication) -> &'static str {
    match authentication {
        Authentication::PreSharedKey => "psk",
        Authentication::Signature(SignatureScheme::Rsa) => "rsa",
        Authentication::Signature(SignatureScheme::EcdsaP256) => "ecdsa-256",
        Authentication::Signature(SignatureScheme::EcdsaP384) => "ecdsa-384",
        Authentication::Signature(SignatureScheme::EcdsaP521) => "ecdsa-521",
    }
}

/// Which end of an exchange we were, as the log says it.
pub(super) fn role(initiated: bool) -> &'static str {
    if initiated { "initiator" } else { "responder" }
}

impl Server {
    pub(super) fn ike_established(&mut self, key: IkeKey, phase1: &Phase1, now: Instant) {
        let Some(entry) = self.ikes.get(key.0) else {
            return;
        };
        self.half_open.remove(entry.serial);
        let (path, replaces) = (entry.sa.path(), entry.replaces);
        let initiated = entry.sa.role() == Role::Initiator;
        self.plane.stats.ike_established += 1;
        // What an address says of a peer with a certificate is nothing (RFC 4945 3.1.1).
        let name = match &phase1.certificate {
            Some(name) => name.clone(),
            None => phase1.peer_id.to_string(),
        };
        let identity = (name, path.remote);
        let info = PeerInfo {
            client: phase1.client.to_string(),
            nat: match (phase1.nat.local_behind, phase1.nat.remote_behind) {
                (false, false) => "none",
                (false, true) => "client",
                (true, false) => "server",
                (true, true) => "both",
            },
            ike: Some(IkeInfo {
                encryption: phase1.proposal.cipher.to_string(),
                hash: phase1.proposal.hash.to_string(),
                group: phase1.proposal.group.to_string(),
                auth: auth(phase1.authentication).into(),
            }),
        };
        tracing::info!(
            peer = %path.remote,
            id = identity.0,
            client = info.client,
            auth = auth(phase1.authentication),
            proposal = %phase1.proposal,
            nat = info.nat,
            role = role(initiated),
            "phase 1 established"
        );
        let known = match replaces {
            Some(replaces) => match self.ike_replaced(replaces, &identity.0, now) {
                Some(peer) => Some(peer),
                None => return self.close_ike(key, now),
            },
            None => self.by_identity.get(&identity).copied(),
        };
        let peer = match known {
            Some(peer) => peer,
            None if self.peers.len() >= self.config.limits.peers => {
                self.plane.stats.peers_refused += 1;
                tracing::warn!(
                    peer = %path.remote,
                    limit = self.config.limits.peers,
                    "peer refused: limits.peers is reached"
                );
                return self.close_ike(key, now);
            }
            None => {
                let peer = PeerKey(self.peers.insert(Peer {
                    identity: identity.clone(),
                    ikes: Vec::new(),
                    groups: Vec::new(),
                    replacing: Replacing::default(),
                    info: PeerInfo::default(),
                }));
                self.by_identity.insert(identity, peer);
                peer
            }
        };
        if let Some(state) = self.peers.get_mut(peer.0) {
            state.ikes.push(key);
            state.info = info;
        }
        if let Some(entry) = self.ikes.get_mut(key.0) {
            entry.peer = Some(peer);
            entry.agreed = Some((phase1.proposal, phase1.lifetime));
            entry.unread_until = entry.replaces.is_none().then(|| now + UNREAD);
        }
        self.timers.set(TimerKey::Peer(peer), Some(now + PEER_IDLE));
        self.initial_contact(key, now);
        self.drop_surplus_ikes(peer, now);
    }

    /// Ends an IKE SA that is of no use, and tells the peer.
    fn close_ike(&mut self, key: IkeKey, now: Instant) {
        if let Some(entry) = self.ikes.get_mut(key.0) {
            entry.sa.close(now, &mut self.rng);
        }
    }

    /// A peer that makes one IKE SA after the other loses the oldest.
    fn drop_surplus_ikes(&mut self, peer: PeerKey, now: Instant) {
        let limit = self.config.limits.sas_per_peer.max(1);
        while let Some(state) = self.peers.get(peer.0)
            && state.ikes.len() > limit
            && let Some(oldest) = state.ikes.first().copied()
        {
            if let Some(entry) = self.ikes.get_mut(oldest.0) {
                entry.sa.supersede(now, &mut self.rng);
            }
            self.drive_ike(oldest, now);
        }
    }

    /// RFC 2407 4.6.3.3: the peer has no other SAs with us, so what we hold of it is stale. The
    /// peer is its identity at its address and port, so neighbours behind the same NAT are not
    /// meant.
    pub(super) fn initial_contact(&mut self, key: IkeKey, now: Instant) {
        let Some((peer, serial, true)) = self
            .ikes
            .get(key.0)
            .and_then(|entry| Some((entry.peer?, entry.serial, entry.initial_contact)))
        else {
            return;
        };
        let Some(state) = self.peers.get(peer.0) else {
            return;
        };
        // The notification may come late, when this very SA has carried Quick Modes already.
        let is_old = |group: &GroupKey| {
            let state = self.groups.get(group);
            state.is_some_and(|state| state.made_by != serial)
        };
        let groups: Vec<_> = state.groups.iter().copied().filter(is_old).collect();
        let old: Vec<_> = state
            .ikes
            .iter()
            .copied()
            .filter(|ike| *ike != key)
            .collect();
        if !groups.is_empty() {
            tracing::info!(
                id = state.identity.0,
                "peer starts anew: its old SAs and sessions are dropped"
            );
        }
        for group in groups {
            self.remove_group(group, "the client started anew", now);
        }
        for ike in old {
            self.forget_ike(ike);
        }
    }

    /// When a peer was last heard in any of its sessions: then it need not be asked.
    pub(super) fn heard_from(&self, key: IkeKey) -> Option<Instant> {
        let peer = self.peers.get(self.ikes.get(key.0)?.peer?.0)?;
        let groups = peer.groups.iter().filter_map(|key| self.groups.get(key));
        groups
            .flat_map(|group| &group.tunnels)
            .filter_map(|id| self.tunnel_heard(*id))
            .max()
    }

    /// A peer without ESP SAs has no use for its IKE SAs.
    pub(super) fn peer_timeout(&mut self, peer: PeerKey, now: Instant) {
        let Some(state) = self.peers.get(peer.0) else {
            return;
        };
        if !state.groups.is_empty() {
            return;
        }
        tracing::debug!(id = state.identity.0, "no ESP SA: the IKE SA is deleted");
        for ike in state.ikes.clone() {
            if let Some(entry) = self.ikes.get_mut(ike.0) {
                entry.sa.close(now, &mut self.rng);
                self.drive_ike(ike, now);
            }
        }
    }

    pub(super) fn remove_peer_if_unused(&mut self, peer: PeerKey) {
        if self
            .peers
            .get(peer.0)
            .is_some_and(|state| state.ikes.is_empty() && state.groups.is_empty())
            && let Some(state) = self.peers.try_remove(peer.0)
        {
            self.timers.set(TimerKey::Peer(peer), None);
            self.timers.set(TimerKey::Replacing(peer), None);
            self.by_identity.remove(&state.identity);
            if let Some(pending) = state.replacing.pending() {
                self.forget_ike(pending);
            }
        }
    }

    /// An authentic packet of this group came from a new address or port: everything that goes to
    /// the peer follows it.
    pub(super) fn peer_moved(&mut self, group: GroupKey, path: Path) {
        let Some(peer) = self.groups.get(&group).map(|state| state.peer) else {
            return;
        };
        let Some(state) = self.peers.get_mut(peer.0) else {
            return;
        };
        tracing::info!(id = state.identity.0, to = %path.remote, "peer moved to a new address or port");
        self.by_identity.remove(&state.identity);
        // Native ESP tells addresses only; the ports of IKE stay what they are.
        let native = path.channel == Channel::Esp;
        if native {
            state.identity.1.set_ip(path.remote.ip());
        } else {
            state.identity.1 = path.remote;
        }
        let identity = state.identity.clone();
        // Its IKE may have spoken from there before, and was taken for somebody else's.
        if let Some(other) = self.by_identity.insert(identity, peer)
            && other != peer
        {
            self.adopt(peer, other);
        }
        let Some(state) = self.peers.get(peer.0) else {
            return;
        };
        for ike in state.ikes.iter().chain(&state.replacing.pending()) {
            if let Some(entry) = self.ikes.get_mut(ike.0) {
                let mut to = path;
                if native {
                    to = entry.sa.path();
                    to.local.set_ip(path.local.ip());
                    to.remote.set_ip(path.remote.ip());
                }
                entry.sa.follow_peer(to);
            }
        }
    }

    /// Two peers turned out to be the same identity at the same address and port.
    fn adopt(&mut self, peer: PeerKey, other: PeerKey) {
        let Some(other_state) = self.peers.try_remove(other.0) else {
            return;
        };
        self.timers.set(TimerKey::Peer(other), None);
        self.timers.set(TimerKey::Replacing(other), None);
        if let Some(pending) = other_state.replacing.pending() {
            self.forget_ike(pending);
        }
        for ike in &other_state.ikes {
            if let Some(entry) = self.ikes.get_mut(ike.0) {
                entry.peer = Some(peer);
            }
        }
        if let Some(state) = self.peers.get_mut(peer.0) {
            state.ikes.extend(other_state.ikes);
        }
        for group in other_state.groups {
            self.adopt_group(peer, group);
        }
    }

    pub(super) fn peer_of_group(&self, group: GroupKey) -> Option<PeerKey> {
        self.groups.get(&group).map(|state| state.peer)
    }

    /// What is known of the peer of a group.
    pub(super) fn peer_info(&self, group: GroupKey) -> PeerInfo {
        let peer = self.peer_of_group(group);
        match peer.and_then(|peer| self.peers.get(peer.0)) {
            Some(peer) => peer.info.clone(),
            None => PeerInfo::of_plain(),
        }
    }

    /// The IKE SA that a peer's new exchanges belong to.
    pub(super) fn newest_ike(&self, peer: PeerKey) -> Option<IkeKey> {
        self.peers.get(peer.0)?.ikes.last().copied()
    }
}
