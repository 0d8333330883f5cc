//! SA groups: the ESP SAs that carry the same traffic of one peer, one after the other.

use std::time::{Duration, Instant};

use adit_esp::{InboundSa, Lifetime, OutboundSa};
use adit_ike::{Child, ChildId, ChildOffer, Selector};
use adit_wire::Path;

use super::ike::IkeKey;
use super::peer::{PEER_IDLE, PeerKey, role};
use super::rekey::Rekey;
use super::{Server, TimerKey};
use crate::plane::GroupKey;

/// How long a group may be without any SA before its tunnels are given up: a client that deletes
/// its old SA a moment before it makes the new one must not lose its session.
const GROUP_GRACE: Duration = Duration::from_secs(10);

/// How long SAs may be there without a tunnel in them. Some Linux clients keep the SAs up and dial
/// when they are told to; without an end, those of clients that vanished would stay for hours.
const GROUP_IDLE: Duration = Duration::from_secs(600);

/// IKE notify message types (RFC 2408 3.14.1).
const NO_PROPOSAL_CHOSEN: u16 = 14;

/// The control side's knowledge of an SA group.
pub(super) struct GroupState {
    pub(super) peer: PeerKey,
    /// Our end of the traffic.
    pub(super) local: Selector,
    /// The peer's end.
    pub(super) remote: Selector,
    /// The serial of the IKE SA whose Quick Mode made the group.
    pub(super) made_by: u64,
    /// Inbound SPIs, oldest first.
    pub(super) spis: Vec<u32>,
    pub(super) tunnels: Vec<u16>,
    pub(super) rekey: Rekey,
    /// Until when the first packet on native SAs is awaited.
    pub(super) native_awaited: Option<Instant>,
    /// When the last SA went.
    empty_since: Option<Instant>,
    /// When the last tunnel went, or the group was made.
    idle_since: Instant,
}

impl GroupState {
    /// When the group ends unless something comes.
    fn ends_at(&self) -> Option<Instant> {
        let empty = self.empty_since.map(|since| since + GROUP_GRACE);
        let idle = self
            .tunnels
            .is_empty()
            .then(|| self.idle_since + GROUP_IDLE);
        [empty, idle].into_iter().flatten().min()
    }
}

impl Server {
    pub(super) fn child_requested(
        &mut self,
        key: IkeKey,
        id: ChildId,
        offer: &ChildOffer,
        now: Instant,
    ) {
        let peer = self.ikes.get(key.0).and_then(|entry| entry.peer);
        let group = peer.and_then(|peer| self.group_with(peer, &offer.remote));
        let spi = self.free_spi(group);
        let Some(entry) = self.ikes.get_mut(key.0) else {
            return;
        };
        let served = offer.encapsulation_udp || self.config.native_esp;
        if served && entry.peer.is_some() && self.stopping.is_none() {
            entry.sa.accept_child(id, spi, now, &mut self.rng);
            return;
        }
        self.plane.stats.child_failed += 1;
        tracing::warn!(
            peer = %entry.sa.path().remote,
            "Quick Mode refused: the client wants ESP without UDP, which is not served"
        );
        entry
            .sa
            .reject_child(id, NO_PROPOSAL_CHOSEN, now, &mut self.rng);
    }

    /// An SPI that is not in use and not among the reserved ones (RFC 4303 2.1). Its first byte is
    /// never zero, so it cannot be taken for the non-ESP marker either. It says the shard of its group,
    /// and without one the shard that a new group is to be in.
    pub(super) fn free_spi(&mut self, group: Option<GroupKey>) -> u32 {
        let shard = self.plane.shard_for(group);
        loop {
            let spi = self.rng.u32();
            let spi = self.config.ike.mark.map_or(spi, |mark| mark.spi(spi));
            if spi > 0x00ff_ffff && self.plane.spi_is_free(spi, shard) {
                return spi;
            }
        }
    }

    pub(super) fn child_established(&mut self, key: IkeKey, child: &Child, now: Instant) {
        let Some((peer, made_by, path)) = self
            .ikes
            .get(key.0)
            .and_then(|entry| Some((entry.peer?, entry.serial, entry.sa.path())))
        else {
            return;
        };
        let lifetime = Lifetime {
            seconds: Some(child.lifetime_seconds),
            bytes: child
                .lifetime_kilobytes
                .map(|kilobytes| kilobytes.saturating_mul(1024)),
        };
        let sas = InboundSa::new(
            child.inbound_spi,
            child.suite,
            &child.inbound_keymat,
            lifetime,
            now,
            &mut self.rng,
        )
        .and_then(|inbound| {
            let outbound = OutboundSa::new(
                child.outbound_spi,
                child.suite,
                &child.outbound_keymat,
                lifetime,
                now,
                &mut self.rng,
            )?;
            let extended = child.extended_sequence;
            Ok((inbound.extended(extended), outbound.extended(extended)))
        });
        let (inbound, outbound) = match sas {
            Ok(sas) => sas,
            Err(error) => {
                tracing::error!(%error, "Quick Mode made keys that do not fit their suite");
                return;
            }
        };
        let Some(group) = self.group_of(peer, made_by, child, path, now) else {
            return;
        };
        let native = !child.encapsulated;
        if !native {
            self.plane.ensure_nat_t(group, path);
        }
        let is_first = self
            .groups
            .get(&group)
            .is_some_and(|state| state.spis.is_empty());
        self.plane.add_child(
            group,
            inbound,
            outbound,
            native,
            child.initiated && is_first,
        );
        self.plane.stats.child_established += 1;
        tracing::debug!(
            peer = %path.remote,
            suite = child.suite.name(),
            spi = format_args!("{:08x}/{:08x}", child.inbound_spi, child.outbound_spi),
            role = role(child.initiated),
            "Quick Mode done"
        );
        let Some(state) = self.groups.get_mut(&group) else {
            return;
        };
        state.empty_since = None;
        state.rekey.replaced(child.inbound_spi, now);
        state.spis.push(child.inbound_spi);
        let surplus = state
            .spis
            .len()
            .saturating_sub(self.config.limits.sas_per_peer);
        let dropped: Vec<_> = state.spis.drain(..surplus).collect();
        for spi in dropped {
            self.plane.remove_child(spi);
        }
        self.schedule_group(group);
        self.group_resized(group, now);
    }

    /// The group of a peer with these selectors of its own.
    fn group_with(&self, peer: PeerKey, remote: &Selector) -> Option<GroupKey> {
        let groups = &self.peers.get(peer.0)?.groups;
        let has = |group: &&GroupKey| {
            let state = self.groups.get(*group);
            state.is_some_and(|state| state.remote == *remote)
        };
        groups.iter().find(has).copied()
    }

    /// The group of these selectors, made if it is new.
    fn group_of(
        &mut self,
        peer: PeerKey,
        made_by: u64,
        child: &Child,
        path: Path,
        now: Instant,
    ) -> Option<GroupKey> {
        if let Some(group) = self.group_with(peer, &child.remote) {
            return Some(group);
        }
        let group = self.plane.add_group(path, Some(child.inbound_spi))?;
        self.groups.insert(
            group,
            Box::new(GroupState {
                peer,
                local: child.local.clone(),
                remote: child.remote.clone(),
                made_by,
                spis: Vec::new(),
                tunnels: Vec::new(),
                rekey: Rekey::default(),
                native_awaited: None,
                empty_since: None,
                idle_since: now,
            }),
        );
        if let Some(state) = self.peers.get_mut(peer.0) {
            state.groups.push(group);
        }
        Some(group)
    }

    /// A group of another peer becomes this one's: with the SAs of the one that it has for the same
    /// traffic already, if that was only made anew.
    pub(super) fn adopt_group(&mut self, peer: PeerKey, group: GroupKey) {
        let Some(state) = self.groups.get_mut(&group) else {
            return;
        };
        state.peer = peer;
        let fresh = state.tunnels.is_empty() && state.rekey.is_idle();
        let remote = state.remote.clone();
        let known = self.group_with(peer, &remote);
        match known.filter(|_| fresh) {
            Some(known) => {
                self.timers.set(TimerKey::Group(group), None);
                self.forget_path(group);
                self.plane.merge_group(group, known);
                let gone = self.groups.remove(&group);
                if let (Some(gone), Some(state)) = (gone, self.groups.get_mut(&known)) {
                    state.spis.extend(gone.spis);
                    state.empty_since = None;
                }
                self.schedule_group(known);
            }
            None => {
                if let Some(state) = self.peers.get_mut(peer.0) {
                    state.groups.push(group);
                }
            }
        }
    }

    pub(super) fn child_deleted(&mut self, key: IkeKey, outbound_spi: u32, now: Instant) {
        let Some(peer) = self.ikes.get(key.0).and_then(|entry| entry.peer) else {
            return;
        };
        let groups = self
            .peers
            .get(peer.0)
            .map(|state| state.groups.clone())
            .unwrap_or_default();
        for group in groups {
            let spis = self.groups.get(&group).map(|state| &state.spis);
            let pair = spis.into_iter().flatten().copied();
            if let Some(spi) = pair
                .into_iter()
                .find(|spi| self.plane.outbound_spi(*spi) == Some(outbound_spi))
            {
                self.drop_child(group, spi, now);
            }
        }
    }

    fn drop_child(&mut self, group: GroupKey, inbound_spi: u32, now: Instant) {
        self.plane.remove_child(inbound_spi);
        if let Some(state) = self.groups.get_mut(&group) {
            state.spis.retain(|spi| *spi != inbound_spi);
            if state.spis.is_empty() {
                state.empty_since = Some(now);
            }
        }
        self.schedule_group(group);
        self.group_resized(group, now);
    }

    pub(super) fn schedule_group(&mut self, group: GroupKey) {
        let Some(state) = self.groups.get(&group) else {
            return;
        };
        let expiries = state.spis.iter();
        let expiry = expiries
            .filter_map(|spi| self.plane.expires_at(*spi).1)
            .min();
        let soft = state.spis.last();
        let rekey = state
            .rekey
            .deadline(soft.and_then(|spi| self.plane.expires_at(*spi).0));
        let due = [state.ends_at(), expiry, rekey, state.native_awaited];
        let deadline = due.into_iter().flatten().min();
        self.timers.set(TimerKey::Group(group), deadline);
    }

    /// A tunnel of the group was opened or went.
    pub(super) fn group_used(&mut self, group: GroupKey, now: Instant) {
        if let Some(state) = self.groups.get_mut(&group) {
            state.idle_since = now;
            self.schedule_group(group);
        }
    }

    pub(super) fn group_timeout(&mut self, group: GroupKey, now: Instant) {
        self.native_timeout(group, now);
        let Some(state) = self.groups.get(&group) else {
            return;
        };
        if state.ends_at().is_some_and(|end| now >= end) {
            self.delete_group_sas(group, now);
            self.remove_group(group, "its last SA is gone", now);
            return;
        }
        let expired: Vec<_> = state
            .spis
            .iter()
            .copied()
            .filter(|spi| self.plane.expires_at(*spi).1.is_some_and(|at| now >= at))
            .collect();
        for spi in expired {
            self.drop_child(group, spi, now);
        }
        self.rekey_group(group, now);
        self.schedule_group(group);
    }

    /// Deletes one pair of SAs and tells the peer.
    pub(super) fn delete_child(&mut self, group: GroupKey, inbound_spi: u32, now: Instant) {
        let Some(state) = self.groups.get(&group) else {
            return;
        };
        if let Some(ike) = self.newest_ike(state.peer)
            && let Some(entry) = self.ikes.get_mut(ike.0)
        {
            entry.sa.delete_child(inbound_spi, now, &mut self.rng);
            self.drive_ike(ike, now);
        }
        self.drop_child(group, inbound_spi, now);
    }

    /// Sends Deletes for the SAs of a group.
    pub(super) fn delete_group_sas(&mut self, group: GroupKey, now: Instant) {
        let Some(state) = self.groups.get(&group) else {
            return;
        };
        let Some(key) = self.newest_ike(state.peer) else {
            return;
        };
        for spi in &state.spis {
            if let Some(entry) = self.ikes.get_mut(key.0) {
                entry.sa.delete_child(*spi, now, &mut self.rng);
            }
        }
        self.drive_ike(key, now);
    }

    /// Ends a group with its tunnels, silently towards the peer, and the peer with its last group.
    pub(super) fn remove_group(&mut self, group: GroupKey, why: &str, now: Instant) {
        let Some(state) = self.groups.remove(&group) else {
            return;
        };
        self.timers.set(TimerKey::Group(group), None);
        for tunnel in state.tunnels {
            self.drop_tunnel(tunnel, why, now);
        }
        for spi in state.spis {
            self.plane.remove_child(spi);
        }
        self.forget_path(group);
        self.plane.remove_group(group);
        if let Some(peer) = self.peers.get_mut(state.peer.0) {
            peer.groups.retain(|key| *key != group);
            self.timers
                .set(TimerKey::Peer(state.peer), Some(now + PEER_IDLE));
        }
        self.remove_peer_if_unused(state.peer);
    }
}
