//! IKE SAs, the peers they authenticate, and the SA groups that their Quick Modes make.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_esp::{InboundSa, Lifetime, OutboundSa};
use adit_ike::{Child, ChildOffer, CloseReason, IkeSa, Phase1, Selector};
use adit_wire::Path;

use super::{Job, Peer, PeerKey, Server, TimerKey};
use crate::info::IkeInfo;
use crate::plane::GroupKey;

/// How long a group may be without any SA before its tunnels are given up: a client that deletes
/// its old SA a moment before it makes the new one must not lose its session.
const GROUP_GRACE: Duration = Duration::from_secs(10);

/// How long SAs may be there without a tunnel in them. Some Linux clients keep the SAs up and dial
/// when they are told to; without an end, those of clients that vanished would stay for hours.
const GROUP_IDLE: Duration = Duration::from_secs(600);

/// How long an IKE SA may be there without any ESP SA.
const PEER_IDLE: Duration = Duration::from_secs(60);

/// IKE notify message types (RFC 2408 3.14.1).
const NO_PROPOSAL_CHOSEN: u16 = 14;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct IkeKey(pub(super) usize);

pub(super) struct IkeEntry {
    pub(super) sa: IkeSa,
    /// Tells this SA from a later one in the same slot.
    pub(super) serial: u64,
    pub(super) peer: Option<PeerKey>,
    /// What repeated first messages are known by.
    first: ([u8; 8], SocketAddr),
    initial_contact: bool,
}

/// What phase 1 told about a peer, for display.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerInfo {
    pub(super) client: String,
    pub(super) nat: &'static str,
    pub(super) ike: IkeInfo,
}

/// The control side's knowledge of an SA group.
pub(super) struct GroupState {
    pub(super) peer: PeerKey,
    remote: Selector,
    /// The IKE SA whose Quick Mode made the group.
    made_by: IkeKey,
    /// Inbound SPIs, oldest first.
    spis: Vec<u32>,
    pub(super) tunnels: Vec<u16>,
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
    pub(super) fn handle_ike(&mut self, path: Path, message: &[u8], now: Instant) {
        self.plane.stats.ike_messages += 1;
        let header = match adit_ike::parse_header(message) {
            Ok(header) => header,
            Err(error) => {
                self.plane.stats.ike_malformed += 1;
                tracing::debug!(peer = %path.remote, %error, "malformed IKE message");
                return;
            }
        };
        let first = header.responder_cookie == [0; 8];
        let known = if first {
            self.by_first.get(&(header.initiator_cookie, path.remote))
        } else {
            self.by_cookie.get(&header.responder_cookie)
        };
        match known.copied() {
            Some(key) => self.continue_ike(key, path, message, now),
            None if first && self.stopping.is_none() => self.accept_ike(path, message, now),
            None => self.plane.stats.ike_unknown_cookie += 1,
        }
    }

    fn continue_ike(&mut self, key: IkeKey, path: Path, message: &[u8], now: Instant) {
        let Some(entry) = self.ikes.get_mut(key.0) else {
            return;
        };
        if let Err(error) = entry.sa.handle_message(path, message, now, &mut self.rng) {
            self.plane.stats.ike_refused += 1;
            tracing::debug!(peer = %path.remote, %error, "IKE message refused");
        }
        self.drive_ike(key, now);
    }

    fn accept_ike(&mut self, path: Path, message: &[u8], now: Instant) {
        let psk = Arc::clone(&self.config.psk);
        let accepted = IkeSa::accept(&self.config.ike, psk, path, message, now, &mut self.rng);
        let sa = match accepted {
            Ok(sa) => sa,
            Err(refusal) => {
                self.plane.stats.ike_exchanges_refused += 1;
                if self.log_budget.spend(now) {
                    tracing::warn!(peer = %path.remote, reason = %refusal.reason, "phase 1 refused");
                }
                if let Some(notify) = refusal.notify {
                    self.send_ike(notify);
                }
                return;
            }
        };
        while self.half_open.len() >= self.config.limits.half_open {
            let Some((_, oldest)) = self.half_open.pop_first() else {
                break;
            };
            self.plane.stats.ike_half_open_dropped += 1;
            self.forget_ike(oldest);
        }
        self.ike_serial += 1;
        let (initiator, responder) = sa.cookies();
        let key = IkeKey(self.ikes.insert(IkeEntry {
            sa,
            serial: self.ike_serial,
            peer: None,
            first: (initiator, path.remote),
            initial_contact: false,
        }));
        self.by_cookie.insert(responder, key);
        self.by_first.insert((initiator, path.remote), key);
        self.half_open.insert(self.ike_serial, key);
        self.drive_ike(key, now);
    }

    pub(super) fn ike_timeout(&mut self, key: IkeKey, now: Instant) {
        let heard = self.heard_from(key);
        if let Some(entry) = self.ikes.get_mut(key.0) {
            if let Some(heard) = heard {
                entry.sa.note_peer_alive(heard);
            }
            entry.sa.handle_timeout(now, &mut self.rng);
            self.drive_ike(key, now);
        }
    }

    /// When a peer was last heard in any of its sessions: then it need not be asked.
    fn heard_from(&self, key: IkeKey) -> Option<Instant> {
        let peer = self.peers.get(self.ikes.get(key.0)?.peer?.0)?;
        let groups = peer.groups.iter().filter_map(|key| self.groups.get(key));
        groups
            .flat_map(|group| &group.tunnels)
            .filter_map(|id| self.tunnel_heard(*id))
            .max()
    }

    /// Takes everything that an IKE SA has to say, and its next deadline.
    pub(super) fn drive_ike(&mut self, key: IkeKey, now: Instant) {
        while let Some(entry) = self.ikes.get_mut(key.0) {
            if let Some(transmit) = entry.sa.poll_transmit() {
                self.send_ike(transmit);
            } else if let Some(job) = entry.sa.poll_job() {
                let serial = entry.serial;
                self.jobs.push_back(Job {
                    ike: key,
                    serial,
                    job,
                });
            } else if let Some(event) = entry.sa.poll_event() {
                self.ike_event(key, event, now);
            } else {
                let deadline = entry.sa.poll_timeout();
                self.timers.set(TimerKey::Ike(key), deadline);
                return;
            }
        }
    }

    fn ike_event(&mut self, key: IkeKey, event: adit_ike::Event, now: Instant) {
        use adit_ike::Event;
        match event {
            Event::Established(phase1) => self.ike_established(key, &phase1, now),
            Event::InitialContact => {
                if let Some(entry) = self.ikes.get_mut(key.0) {
                    entry.initial_contact = true;
                }
                self.initial_contact(key, now);
            }
            Event::AuthenticationFailing { path } => {
                self.plane.stats.ike_authentication_failed += 1;
                if self.log_budget.spend(now) {
                    tracing::warn!(
                        peer = %path.remote,
                        "phase 1 authentication failed: the peer's pre-shared key is not ipsec.psk"
                    );
                }
            }
            Event::ChildRequested { id, offer } => self.child_requested(key, id, &offer, now),
            Event::ChildEstablished(child) => self.child_established(key, &child, now),
            Event::ChildConfirmed { inbound_spi } => self.plane.confirm(inbound_spi),
            Event::ChildFailed { reason, .. } => {
                self.plane.stats.child_failed += 1;
                if let Some(entry) = self.ikes.get(key.0)
                    && self.log_budget.spend(now)
                {
                    tracing::warn!(peer = %entry.sa.path().remote, %reason, "Quick Mode refused");
                }
            }
            Event::ChildDeleted { outbound_spi } => self.child_deleted(key, outbound_spi, now),
            Event::PeerNotify { kind } => {
                tracing::debug!(kind, "notification from the peer");
            }
            Event::RekeyDue => {}
            Event::Closed(reason) => self.ike_closed(key, &reason, now),
        }
    }

    fn ike_established(&mut self, key: IkeKey, phase1: &Phase1, now: Instant) {
        let Some(entry) = self.ikes.get(key.0) else {
            return;
        };
        self.half_open.remove(&entry.serial);
        let path = entry.sa.path();
        self.plane.stats.ike_established += 1;
        let identity = (phase1.peer_id.to_string(), path.remote);
        let info = PeerInfo {
            client: phase1.client.to_string(),
            nat: match (phase1.nat.local_behind, phase1.nat.remote_behind) {
                (false, false) => "none",
                (false, true) => "client",
                (true, false) => "server",
                (true, true) => "both",
            },
            ike: IkeInfo {
                encryption: phase1.proposal.cipher.to_string(),
                hash: phase1.proposal.hash.to_string(),
                group: phase1.proposal.group.to_string(),
                auth: "psk".into(),
            },
        };
        tracing::info!(
            peer = %path.remote,
            id = %phase1.peer_id,
            client = info.client,
            proposal = %phase1.proposal,
            nat = info.nat,
            "phase 1 established"
        );
        let peer = match self.by_identity.get(&identity).copied() {
            Some(peer) => peer,
            None if self.peers.len() >= self.config.limits.peers => {
                self.plane.stats.peers_refused += 1;
                tracing::warn!(
                    peer = %path.remote,
                    limit = self.config.limits.peers,
                    "peer refused: limits.peers is reached"
                );
                if let Some(entry) = self.ikes.get_mut(key.0) {
                    entry.sa.close(now, &mut self.rng);
                }
                return;
            }
            None => {
                let peer = PeerKey(self.peers.insert(Peer {
                    identity: identity.clone(),
                    ikes: Vec::new(),
                    groups: Vec::new(),
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
        }
        self.timers.set(TimerKey::Peer(peer), Some(now + PEER_IDLE));
        self.initial_contact(key, now);
    }

    /// RFC 2407 4.6.3.3: the peer has no other SAs with us, so what we hold of it is stale. The
    /// peer is its identity at its address and port, so neighbours behind the same NAT are not
    /// meant.
    fn initial_contact(&mut self, key: IkeKey, now: Instant) {
        let Some((peer, true)) = self
            .ikes
            .get(key.0)
            .and_then(|entry| Some((entry.peer?, entry.initial_contact)))
        else {
            return;
        };
        let Some(state) = self.peers.get(peer.0) else {
            return;
        };
        // The notification may come late, when this very SA has carried Quick Modes already.
        let is_old = |group: &GroupKey| {
            let state = self.groups.get(group);
            state.is_some_and(|state| state.made_by != key)
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

    fn child_requested(
        &mut self,
        key: IkeKey,
        id: adit_ike::ChildId,
        offer: &ChildOffer,
        now: Instant,
    ) {
        let spi = self.free_spi();
        let Some(entry) = self.ikes.get_mut(key.0) else {
            return;
        };
        if offer.encapsulation_udp && entry.peer.is_some() && self.stopping.is_none() {
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
    /// never zero, so it cannot be taken for the non-ESP marker either.
    fn free_spi(&mut self) -> u32 {
        loop {
            let spi = self.rng.u32();
            if spi > 0x00ff_ffff && self.plane.spi_is_free(spi) {
                return spi;
            }
        }
    }

    fn child_established(&mut self, key: IkeKey, child: &Child, now: Instant) {
        let Some((peer, path)) = self
            .ikes
            .get(key.0)
            .and_then(|entry| Some((entry.peer?, entry.sa.path())))
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
            Ok((inbound, outbound))
        });
        let (inbound, outbound) = match sas {
            Ok(sas) => sas,
            Err(error) => {
                tracing::error!(%error, "Quick Mode made keys that do not fit their suite");
                return;
            }
        };
        let group = self.group_of(peer, key, &child.remote, path, now);
        self.plane
            .add_child(group, inbound, outbound, child.initiated);
        self.plane.stats.child_established += 1;
        tracing::debug!(
            peer = %path.remote,
            suite = child.suite.name(),
            spi = format_args!("{:08x}/{:08x}", child.inbound_spi, child.outbound_spi),
            "Quick Mode done"
        );
        let Some(state) = self.groups.get_mut(&group) else {
            return;
        };
        state.empty_since = None;
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
    }

    /// The group of these selectors, made if it is new.
    fn group_of(
        &mut self,
        peer: PeerKey,
        made_by: IkeKey,
        remote: &Selector,
        path: Path,
        now: Instant,
    ) -> GroupKey {
        let known = self.peers.get(peer.0).and_then(|state| {
            state.groups.iter().copied().find(|group| {
                self.groups
                    .get(group)
                    .is_some_and(|state| state.remote == *remote)
            })
        });
        if let Some(group) = known {
            return group;
        }
        let group = self.plane.add_group(path);
        self.groups.insert(
            group,
            GroupState {
                peer,
                remote: remote.clone(),
                made_by,
                spis: Vec::new(),
                tunnels: Vec::new(),
                empty_since: None,
                idle_since: now,
            },
        );
        if let Some(state) = self.peers.get_mut(peer.0) {
            state.groups.push(group);
        }
        group
    }

    fn child_deleted(&mut self, key: IkeKey, outbound_spi: u32, now: Instant) {
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
    }

    fn schedule_group(&mut self, group: GroupKey) {
        let Some(state) = self.groups.get(&group) else {
            return;
        };
        let expiries = state.spis.iter();
        let expiry = expiries
            .filter_map(|spi| self.plane.hard_expiry(*spi))
            .min();
        let deadline = [state.ends_at(), expiry].into_iter().flatten().min();
        self.timers.set(TimerKey::Group(group), deadline);
    }

    /// A tunnel of the group was opened or went.
    pub(super) fn group_used(&mut self, group: GroupKey, now: Instant) {
        if let Some(state) = self.groups.get_mut(&group) {
            state.idle_since = now;
            self.schedule_group(group);
        }
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

    pub(super) fn group_timeout(&mut self, group: GroupKey, now: Instant) {
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
            .filter(|spi| self.plane.hard_expiry(*spi).is_some_and(|at| now >= at))
            .collect();
        for spi in expired {
            self.drop_child(group, spi, now);
        }
        self.schedule_group(group);
    }

    /// Sends Deletes for the SAs of a group.
    pub(super) fn delete_group_sas(&mut self, group: GroupKey, now: Instant) {
        let Some(state) = self.groups.get(&group) else {
            return;
        };
        let newest = self
            .peers
            .get(state.peer.0)
            .and_then(|peer| peer.ikes.last().copied());
        let Some(key) = newest else {
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
        self.plane.remove_group(group);
        if let Some(peer) = self.peers.get_mut(state.peer.0) {
            peer.groups.retain(|key| *key != group);
            self.timers
                .set(TimerKey::Peer(state.peer), Some(now + PEER_IDLE));
        }
        self.remove_peer_if_unused(state.peer);
    }

    fn remove_peer_if_unused(&mut self, peer: PeerKey) {
        if self
            .peers
            .get(peer.0)
            .is_some_and(|state| state.ikes.is_empty() && state.groups.is_empty())
            && let Some(state) = self.peers.try_remove(peer.0)
        {
            self.timers.set(TimerKey::Peer(peer), None);
            self.by_identity.remove(&state.identity);
        }
    }

    /// An authentic packet of this group came from a new address or port: everything that goes to
    /// the peer follows it.
    pub(super) fn peer_moved(&mut self, group: GroupKey, path: Path, _now: Instant) {
        let Some(peer) = self.groups.get(&group).map(|state| state.peer) else {
            return;
        };
        let Some(state) = self.peers.get_mut(peer.0) else {
            return;
        };
        tracing::info!(id = state.identity.0, to = %path.remote, "peer moved to a new address or port");
        self.by_identity.remove(&state.identity);
        state.identity.1 = path.remote;
        self.by_identity.insert(state.identity.clone(), peer);
        for ike in &state.ikes {
            if let Some(entry) = self.ikes.get_mut(ike.0) {
                entry.sa.follow_peer(path);
            }
        }
    }

    fn ike_closed(&mut self, key: IkeKey, reason: &CloseReason, now: Instant) {
        let Some(entry) = self.ikes.get(key.0) else {
            return;
        };
        let remote = entry.sa.path().remote;
        let peer = entry.peer;
        if peer.is_none() {
            if matches!(reason, CloseReason::NegotiationTimeout) {
                self.plane.stats.ike_half_open_expired += 1;
            }
            tracing::debug!(peer = %remote, %reason, "phase 1 ended before it was established");
        } else {
            tracing::info!(peer = %remote, %reason, "IKE SA closed");
        }
        self.forget_ike(key);
        let Some(peer) = peer else {
            return;
        };
        // Without its IKE SA a peer keeps what its ESP SAs carry (RFC 2409 has them independent);
        // a peer that does not answer keeps nothing.
        if matches!(reason, CloseReason::PeerDead { .. }) {
            self.plane.stats.peers_dead += 1;
            let groups = self
                .peers
                .get(peer.0)
                .map(|state| state.groups.clone())
                .unwrap_or_default();
            for group in groups {
                self.remove_group(group, "the client does not answer", now);
            }
        }
        self.remove_peer_if_unused(peer);
    }

    /// Drops an IKE SA without a word.
    pub(super) fn forget_ike(&mut self, key: IkeKey) {
        self.timers.set(TimerKey::Ike(key), None);
        let Some(entry) = self.ikes.try_remove(key.0) else {
            return;
        };
        let (_, responder) = entry.sa.cookies();
        self.half_open.remove(&entry.serial);
        self.by_cookie.remove(&responder);
        self.by_first.remove(&entry.first);
        if let Some(peer) = entry.peer.and_then(|peer| self.peers.get_mut(peer.0)) {
            peer.ikes.retain(|ike| *ike != key);
        }
    }
}
