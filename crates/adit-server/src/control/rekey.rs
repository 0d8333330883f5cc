//! Replacing ESP SAs before they end. Either side may; the old and the new ones overlap, so that
//! L2TP never notices.

use std::time::{Duration, Instant};

use adit_crypto::EspSuite;
use adit_ike::{ChildFailure, ChildRequest};
use adit_wire::Channel;

use super::Server;
use crate::plane::GroupKey;

/// How long an old SA is kept beside the one that replaced it, for what is still under way.
const OVERLAP: Duration = Duration::from_secs(30);

/// How long a new SA is not sent on unless the peer uses it first. Our last Quick Mode message may
/// be overtaken by packets, and some peers install nothing before it.
const SETTLE: Duration = Duration::from_secs(2);

/// How long an IKE SA that the peer started is not used for a Quick Mode of ours. Our last main mode
/// message may be overtaken as well, and without it no peer can read what follows: some spoil what
/// they know of that Quick Mode by trying.
pub(super) const UNREAD: Duration = Duration::from_secs(2);

/// How long to wait after a Quick Mode that failed.
const RETRY: Duration = Duration::from_secs(20);

/// How far a group is in replacing its SAs.
#[derive(Debug, Default)]
pub(super) struct Rekey {
    /// The inbound SPI of our Quick Mode under way.
    pending: Option<u32>,
    /// Inbound SPIs of the pairs that it is to replace.
    replaces: Vec<u32>,
    /// The newest pair has carried so many bytes that it wants to be replaced.
    worn: bool,
    /// Not before this, after a failure.
    not_before: Option<Instant>,
    /// The inbound SPI of the pair that our Quick Mode made, with when it is sent on at the latest.
    settling: Option<(u32, Instant)>,
    /// Inbound SPIs of replaced SAs, with when they are deleted.
    retired: Vec<(u32, Instant)>,
}

impl Rekey {
    /// When there is something to do, given when the newest SA wants to be replaced.
    pub(super) fn deadline(&self, soft: Option<Instant>) -> Option<Instant> {
        // A worn pair is tried at once, so if it is still there it waits for the next try.
        let soft = if self.worn { self.not_before } else { soft };
        let start = match (self.pending, soft) {
            (None, Some(soft)) => Some(self.not_before.map_or(soft, |at| at.max(soft))),
            _ => None,
        };
        let retire = self.retired.iter().map(|(_, at)| *at).min();
        let settled = self.settling.map(|(_, at)| at);
        [start, settled, retire].into_iter().flatten().min()
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_none() && self.settling.is_none() && self.retired.is_empty()
    }

    /// A pair of SAs came up, whoever started it. Those that a peer replaced are its own to delete.
    /// If we started it, the pairs go that were there then: one that the peer started meanwhile is
    /// in nobody's place, and if each end deleted the other's, none would be left.
    pub(super) fn replaced(&mut self, by: u32, now: Instant) {
        if self.pending == Some(by) {
            self.pending = None;
            self.settling = Some((by, now + SETTLE));
            let known = |spi: &u32| self.retired.iter().any(|(retired, _)| retired == spi);
            let older = std::mem::take(&mut self.replaces);
            let new: Vec<_> = older.into_iter().filter(|spi| !known(spi)).collect();
            self.retired
                .extend(new.into_iter().map(|spi| (spi, now + OVERLAP)));
        }
        self.not_before = None;
        self.worn = false;
    }
}

impl Server {
    /// Starts a Quick Mode where the newest SA of a group wants to be replaced, and deletes what
    /// has been replaced long enough.
    pub(super) fn rekey_group(&mut self, key: GroupKey, now: Instant) {
        let Some(state) = self.groups.get_mut(&key) else {
            return;
        };
        if let Some((spi, _)) = state.rekey.settling.take_if(|(_, at)| now >= *at) {
            self.plane.confirm(spi);
        }
        let is_over = |retired: &mut (u32, Instant)| now >= retired.1;
        let over: Vec<_> = state.rekey.retired.extract_if(.., is_over).collect();
        for (spi, _) in over {
            self.delete_child(key, spi, now);
        }
        let Some(state) = self.groups.get(&key) else {
            return;
        };
        let soft = state
            .spis
            .last()
            .and_then(|spi| self.plane.expires_at(*spi).0);
        let too_early = state.rekey.not_before.is_some_and(|at| now < at);
        let wanted = state.rekey.worn || soft.is_some_and(|at| now >= at);
        if state.rekey.pending.is_some() || too_early || !wanted {
            return;
        }
        self.start_rekey(key, now);
    }

    /// The newest SA of a group has carried so many bytes that it wants to be replaced.
    pub(super) fn rekey_by_volume(&mut self, now: Instant) {
        while let Some(key) = self.plane.poll_worn() {
            self.group_worn(key, now);
        }
    }

    pub(super) fn group_worn(&mut self, key: GroupKey, now: Instant) {
        let Some(state) = self.groups.get_mut(&key) else {
            return;
        };
        state.rekey.worn = true;
        if state.rekey.pending.is_none() {
            self.start_rekey(key, now);
            self.schedule_group(key);
        }
    }

    fn start_rekey(&mut self, key: GroupKey, now: Instant) {
        let spi = self.free_spi(Some(key));
        let Some(state) = self.groups.get_mut(&key) else {
            return;
        };
        state.rekey.not_before = Some(now + RETRY);
        let peer = state.peer;
        let (local, remote) = (state.local.clone(), state.remote.clone());
        let newest = self.newest_ike(peer);
        let Some((ike, entry)) = newest.and_then(|ike| Some((ike, self.ikes.get_mut(ike.0)?)))
        else {
            // The peer has no IKE SA with us: it makes a new one when it wants to go on.
            return;
        };
        if let Some(read) = entry.unread_until.filter(|at| now < *at) {
            if let Some(state) = self.groups.get_mut(&key) {
                state.rekey.not_before = Some(read);
            }
            return;
        }
        if let Some(state) = self.groups.get_mut(&key) {
            state.rekey.pending = Some(spi);
            state.rekey.replaces.clone_from(&state.spis);
        }
        // As the SAs that are replaced: what was chosen for them is what the peer can do, and what
        // the session's MTU was computed for.
        let newest = self.plane.path(key);
        let request = ChildRequest {
            local,
            remote,
            encapsulated: newest.is_none_or(|path| path.channel != Channel::Esp),
            suite: self.plane.suite(key).map(EspSuite::negotiated),
        };
        self.plane.stats.child_rekeys_started += 1;
        entry.sa.request_child(spi, request, now, &mut self.rng);
        self.drive_ike(ike, now);
    }

    /// Whether this is the inbound SPI of a Quick Mode of ours.
    pub(super) fn is_rekeying(&self, spi: u32) -> bool {
        let mut groups = self.groups.values();
        groups.any(|state| state.rekey.pending == Some(spi))
    }

    /// A Quick Mode of ours came to nothing; the SAs there are go on until they end.
    pub(super) fn rekey_failed(&mut self, spi: u32, reason: &ChildFailure, now: Instant) {
        let failed = self
            .groups
            .iter_mut()
            .find(|(_, state)| state.rekey.pending == Some(spi));
        if let Some((key, state)) = failed {
            let key = *key;
            state.rekey.pending = None;
            state.rekey.not_before = Some(now + RETRY);
            tracing::debug!(%reason, "rekeying failed, will be tried again");
            self.schedule_group(key);
        }
    }
}
