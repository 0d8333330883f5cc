//! Replacing IKE SAs whose clients do not: main mode towards the client, on the path that it is
//! known to be on. The ESP SAs live on (RFC 2409 section 5.5 has them independent).
//!
//! Whoever starts an IKE SA deletes the one that it takes the place of, and nothing else. So where
//! both ends start one at once, both stand, each end uses the one that stood last, and the other
//! ends with its lifetime: no Delete can hit an SA that the other end relies on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_ike::{CloseReason, IdValue, IkeSa, Opening};

use super::ike::{IkeEntry, IkeKey};
use super::peer::PeerKey;
use super::{Server, TimerKey};

/// How long the old IKE SA is kept beside the new one, for exchanges that are still under way.
const OVERLAP: Duration = Duration::from_secs(30);

/// How long to wait after a client that did not answer.
const RETRY: Duration = Duration::from_secs(60);

/// How often one client is asked before its IKE SA is left to end.
const ATTEMPTS: u32 = 3;

/// Tells an IKE SA from a later one in the same slot.
type Named = (IkeKey, u64);

/// What a main mode of ours is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replaces {
    pub(super) peer: PeerKey,
    old: Named,
}

/// How far a peer's IKE SA is in being replaced by us.
#[derive(Debug, Default)]
pub(super) struct Replacing {
    /// The main mode under way.
    pending: Option<IkeKey>,
    /// The SA that wants to be replaced, how often that was tried, and when to try again.
    due: Option<(Named, u32, Instant)>,
    /// Replaced ones, with when they are deleted.
    retired: Vec<(Named, Instant)>,
}

impl Replacing {
    pub(super) fn pending(&self) -> Option<IkeKey> {
        self.pending
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.due.filter(|_| self.pending.is_none());
        let retired = self.retired.iter().map(|(_, at)| *at);
        retired.chain(due.map(|(_, _, at)| at)).min()
    }
}

impl Server {
    /// The lifetime of an IKE SA ends soon, and its client has not replaced it.
    pub(super) fn ike_rekey_due(&mut self, key: IkeKey, now: Instant) {
        let Some((peer, serial)) = self
            .ikes
            .get(key.0)
            .and_then(|entry| Some((entry.peer?, entry.serial)))
        else {
            return;
        };
        if self.newest_ike(peer) != Some(key) {
            return;
        }
        if let Some(state) = self.peers.get_mut(peer.0) {
            state.replacing.due = Some(((key, serial), 0, now));
        }
        self.replacing_timeout(peer, now);
    }

    pub(super) fn replacing_timeout(&mut self, peer: PeerKey, now: Instant) {
        let Some(state) = self.peers.get_mut(peer.0) else {
            return;
        };
        let is_over = |retired: &mut (Named, Instant)| now >= retired.1;
        let over: Vec<_> = state.replacing.retired.extract_if(.., is_over).collect();
        for ((key, serial), _) in over {
            if let Some(entry) = self.ikes.get_mut(key.0)
                && entry.serial == serial
            {
                entry.sa.supersede(now, &mut self.rng);
                self.drive_ike(key, now);
            }
        }
        self.start_ike_rekey(peer, now);
        self.schedule_replacing(peer);
    }

    fn schedule_replacing(&mut self, peer: PeerKey) {
        if let Some(state) = self.peers.get(peer.0) {
            let deadline = state.replacing.deadline();
            self.timers.set(TimerKey::Replacing(peer), deadline);
        }
    }

    /// Sends message 1 where a replacement is due.
    fn start_ike_rekey(&mut self, peer: PeerKey, now: Instant) {
        let newest = self.newest_ike(peer);
        let Some(state) = self.peers.get_mut(peer.0) else {
            return;
        };
        let replacing = &mut state.replacing;
        let Some((old, attempts, _)) = replacing
            .due
            .filter(|(_, _, at)| now >= *at && replacing.pending.is_none())
        else {
            return;
        };
        // The client may have done it meanwhile, or left.
        let entry = self.ikes.get(old.0.0).filter(|entry| {
            let stands = entry.serial == old.1 && newest == Some(old.0);
            stands && !state.groups.is_empty() && self.stopping.is_none()
        });
        let Some((entry, (proposal, lifetime))) = entry.and_then(|e| Some((e, e.agreed?))) else {
            replacing.due = None;
            return;
        };
        replacing.due = Some((old, attempts + 1, now + RETRY));
        if self.pending_jobs >= self.config.limits.pending_jobs {
            self.plane.stats.ike_busy += 1;
            return;
        }
        // What was agreed upon is offered first, and no longer life than that.
        let mut config = adit_ike::Config::clone(&self.config.ike);
        config.phase1.retain(|other| *other != proposal);
        config.phase1.insert(0, proposal);
        config.phase1_lifetime = lifetime;
        let path = entry.sa.path();
        let nat_t_local = SocketAddr::new(path.local.ip(), config.nat_t_port);
        let group = state.groups.first().and_then(|key| self.groups.get(key));
        let known_as = group.and_then(|group| match group.local.id {
            IdValue::Ipv4(address) => Some(address.into()),
            IdValue::Ipv6(address) => Some(address.into()),
            _ => None,
        });
        let sa = IkeSa::initiate(
            &Arc::new(config),
            self.config.credentials.for_peer(path.remote.ip()),
            path,
            nat_t_local,
            Opening::main(path.local.ip().into()),
            now,
            &mut self.rng,
        )
        .in_place_of(&entry.sa, known_as);
        let (cookie, _) = sa.cookies();
        self.ike_serial += 1;
        let key = IkeKey(self.ikes.insert(Box::new(IkeEntry {
            sa,
            serial: self.ike_serial,
            peer: None,
            first: None,
            replaces: Some(Replaces { peer, old }),
            agreed: None,
            initial_contact: false,
            unread_until: None,
            heard: None,
        })));
        replacing.pending = Some(key);
        self.by_started.insert(cookie, key);
        self.half_open.insert_ours(self.ike_serial);
        self.plane.stats.ike_rekeys_started += 1;
        tracing::debug!(peer = %path.remote, "replacing the IKE SA");
        self.drive_ike(key, now);
    }

    /// A main mode of ours is done: gives the peer that it is for, if it is the one who answered.
    pub(super) fn ike_replaced(
        &mut self,
        Replaces { peer, old }: Replaces,
        identity: &str,
        now: Instant,
    ) -> Option<PeerKey> {
        let state = self.peers.get_mut(peer.0)?;
        if state.identity.0 != identity {
            tracing::warn!(
                expected = state.identity.0,
                found = identity,
                "another peer answered where an IKE SA was to be replaced"
            );
            return None;
        }
        state.replacing.pending = None;
        state.replacing.due = None;
        state.replacing.retired.push((old, now + OVERLAP));
        self.schedule_replacing(peer);
        Some(peer)
    }

    /// A main mode of ours came to nothing: the old SA goes on until it ends. A client that said
    /// no is not asked again; one that did not answer may not have heard.
    pub(super) fn ike_rekey_failed(&mut self, peer: PeerKey, reason: &CloseReason, now: Instant) {
        self.plane.stats.ike_rekeys_failed += 1;
        let Some(state) = self.peers.get_mut(peer.0) else {
            return;
        };
        state.replacing.pending = None;
        let silent = matches!(reason, CloseReason::NegotiationTimeout);
        let again = |due: &(Named, u32, Instant)| silent && due.1 < ATTEMPTS;
        state.replacing.due = state.replacing.due.filter(again);
        tracing::debug!(id = state.identity.0, %reason, "replacing the IKE SA failed");
        if let Some((_, _, at)) = &mut state.replacing.due {
            *at = (*at).max(now);
        }
        self.schedule_replacing(peer);
    }
}
