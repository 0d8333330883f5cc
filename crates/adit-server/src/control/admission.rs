//! Letting users in: how many sessions of one user there may be, which of them makes way, which
//! addresses a session gets, and when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_l2tp::CallDisconnect;
use adit_link::rate::{Meters, Rate};
use adit_ppp::{CloseReason, RejectReason};
use ipnet::{Ipv4Net, Ipv6Net};

use super::Server;
use super::session::Session;
use crate::grant::{Device, Grant, Lease, Standing};
use crate::plane::SessionKey;

/// A client that was not heard for this long is gone, unless LCP echo is slower or off. A living one
/// answers the echo that follows half a minute of silence.
const SILENCE: Duration = Duration::from_secs(45);

/// The longest that a device's name counts, in bytes. A DNS label has 63, a whole name 255.
const MAX_NAME: usize = 255;

/// How many sessions of one user and device name are looked at for what a device left behind. A name
/// that more have is hardly one device's.
const NAMESAKES: usize = 64;

impl Session {
    /// The routes of its user, if they are not the configuration's.
    pub(super) fn routes4(&self) -> Option<&[Ipv4Net]> {
        self.grant.routes.as_ref().map(|routes| &*routes.ipv4)
    }

    /// The same for IPv6.
    pub(super) fn routes6(&self) -> Option<&[Ipv6Net]> {
        self.grant.routes.as_ref().map(|routes| &*routes.ipv6)
    }

    fn is_admitted(&self) -> bool {
        self.device.is_some()
    }

    /// The device that is remembered with the lease.
    pub(super) fn remembered(&self) -> Option<&Arc<Device>> {
        self.device.as_ref().filter(|_| self.is_devices)
    }
}

impl Server {
    /// Reserves the addresses that users have for good, and no others. Whoever has one of them now
    /// keeps it until the session ends.
    pub fn reserve(&mut self, fixed: &[Lease]) {
        self.pools.reserve(fixed);
    }

    /// Remembers what devices had before a restart, the longest unused first. What does not fit the
    /// pools as they are now, is reserved, or stands there twice, is left out. Gives the number of
    /// devices that lost something by that; an event tells of each.
    pub fn restore(&mut self, leases: Vec<(Device, Lease)>) -> usize {
        self.pools.restore(leases)
    }

    /// Asks of the user of each session whether it may go on, and until when.
    pub fn review(&mut self, mut standing: impl FnMut(&str) -> Standing, now: Instant) {
        let sessions: Vec<_> = self.roster.iter().collect();
        let users = sessions.chunk_by(|(one, _), (other, _)| one.user == other.user);
        let mut told = Vec::with_capacity(sessions.len());
        for of_user in users {
            if let Some((device, _)) = of_user.first() {
                let standing = standing(&device.user);
                told.extend(of_user.iter().map(|(_, session)| (*session, standing)));
            }
        }
        for (session, standing) in told {
            let Some(key) = self.by_id.get(&session).copied() else {
                continue;
            };
            match standing {
                Standing::Ends { why } => self.revoke(key, why, now),
                Standing::Stays { expires, rate } => {
                    self.limit(key, rate);
                    if let Some(session) = self.sessions.get_mut(&key) {
                        session.grant.expires = expires;
                        self.end_if_expired(key, now);
                        self.drive_session(key, now);
                    }
                }
            }
        }
    }

    /// Gives a session what its user was let in with, or says why it cannot be.
    pub(super) fn admit(
        &mut self,
        key: SessionKey,
        grant: Grant,
        now: Instant,
    ) -> Result<(), RejectReason> {
        let Some(session) = self.sessions.get(&key) else {
            return Ok(());
        };
        if session.is_admitted() {
            return Ok(());
        }
        let device = Arc::new(Device {
            user: grant.user.clone(),
            name: self.device_name(session.tunnel),
        });
        let named = (!device.name.is_empty()).then_some(&device);
        if let Some(device) = named {
            self.drop_stale(key, device, now);
        }
        if let Some(limit) = grant.sessions {
            self.make_room(&device, limit, now)?;
        }
        let leased = self.pools.lease(named, &grant.fixed);
        let peer = self.outer_peer(key);
        let Some(session) = self.sessions.get_mut(&key) else {
            return Ok(());
        };
        for error in leased.exhausted {
            self.plane.stats.pool_exhausted += 1;
            tracing::warn!(session = %session.id, user = grant.user, %error, "no address for the client");
        }
        for fixed in leased.busy {
            tracing::info!(
                session = %session.id, user = grant.user, peer = %peer, %fixed,
                "another session still has the user's fixed address: this one gets another"
            );
        }
        session.lease = leased.lease;
        session.is_devices = leased.is_devices;
        session.user = Some(grant.user.clone());
        let rules = self.config.rules_of(&grant);
        let rate = grant.rate;
        session.grant = grant;
        self.roster.add(&device, session.id);
        session.device = Some(device);
        if rules.is_some() {
            self.plane.set_rules(key, rules);
        }
        self.limit(key, rate);
        Ok(())
    }

    /// Gives a session the rate of its user, by the meters that the user's other sessions have.
    fn limit(&mut self, key: SessionKey, rate: Option<Rate>) {
        let meters_of = |key| self.plane.meters(key);
        if meters_of(key).map(|meters| meters.rate()) == rate {
            return;
        }
        let meters = rate.map(|rate| {
            let user = self.sessions.get(&key).map(|session| &session.grant.user);
            let others = user.map(|user| self.roster.of_user(user));
            let shared = others
                .into_iter()
                .flatten()
                .filter_map(|other| meters_of(*self.by_id.get(&other)?))
                .find(|meters| meters.rate() == rate);
            shared.unwrap_or_else(|| Arc::new(Meters::new(rate)))
        });
        self.plane.update(key, |record| record.meters = meters);
    }

    fn device_name(&self, tunnel: u16) -> String {
        let name = self.tunnels.get(&tunnel).map(|state| &*state.host_name);
        let name = name.unwrap_or_default();
        let mut end = name.len().min(MAX_NAME);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.get(..end).unwrap_or_default().to_owned()
    }

    /// A device that comes back is not stopped by what it left behind: its sessions that nobody
    /// answers in, and those that came from the same place. They end without a word, which could only
    /// confuse the new one.
    fn drop_stale(&mut self, key: SessionKey, device: &Device, now: Instant) {
        let others = self.roster.of(device).take(NAMESAKES);
        let others = others.filter_map(|id| self.by_id.get(&id).copied());
        for other in others.collect::<Vec<_>>() {
            if self.is_same_place(key, other) || self.is_silent(other, now) {
                self.plane.stats.sessions_superseded += 1;
                let tunnel = self.sessions.get(&other).map(|session| session.tunnel);
                self.remove_session(other, "its device came back", now);
                let own = self.sessions.get(&key).map(|session| session.tunnel);
                if let Some(tunnel) = tunnel.filter(|tunnel| Some(*tunnel) != own)
                    && self
                        .tunnels
                        .get(&tunnel)
                        .is_some_and(|state| state.sessions.is_empty())
                {
                    self.drop_tunnel(tunnel, "its device came back", now);
                }
            }
        }
    }

    /// Whether two sessions are of one phase 1 identity at one outer address: behind a NAT, the
    /// identity is the client's own address there.
    fn is_same_place(&self, one: SessionKey, other: SessionKey) -> bool {
        let place = |key| {
            let group = self.plane.session(key)?.group;
            let peer = self.peers.get(self.peer_of_group(group)?.0)?;
            Some((peer.identity.0.clone(), self.outer_peer(key).ip()))
        };
        let place_of_one = place(one);
        place_of_one.is_some() && place_of_one == place(other)
    }

    fn is_silent(&self, key: SessionKey, now: Instant) -> bool {
        let echo = self.config.ppp.echo.as_ref();
        let patience = echo.map_or(2 * SILENCE, |echo| (echo.interval * 3 / 2).max(SILENCE));
        self.plane
            .session(key)
            .is_some_and(|record| now.saturating_duration_since(record.heard) > patience)
    }

    /// Sees to it that one more session of a user is within the limit: one of a device of the same
    /// name makes way, those of others do not.
    fn make_room(
        &mut self,
        device: &Device,
        limit: usize,
        now: Instant,
    ) -> Result<(), RejectReason> {
        let Device { user, name } = device;
        while self.roster.has(user, limit) {
            let same = self.roster.of(device).filter(|_| !name.is_empty());
            let oldest = same
                .filter_map(|id| self.by_id.get(&id).copied())
                .min_by_key(|key| self.plane.session(*key).map(|record| record.heard));
            let Some(oldest) = oldest else {
                self.plane.stats.users_full += 1;
                tracing::warn!(
                    user,
                    limit,
                    device = name,
                    "login refused: the user has as many sessions as allowed, all of other devices"
                );
                return Err(RejectReason::NoDialIn);
            };
            self.plane.stats.sessions_superseded += 1;
            let call = self
                .sessions
                .get(&oldest)
                .map(|session| (session.tunnel, session.local_session));
            self.remove_session(oldest, "a new session of its device took its place", now);
            if let Some((tunnel, local)) = call {
                let cause = CallDisconnect::administrative();
                self.close_call(tunnel, local, cause, now);
            }
        }
        Ok(())
    }

    /// Ends a session whose user's time is over.
    pub(super) fn end_if_expired(&mut self, key: SessionKey, now: Instant) {
        let expires = self
            .sessions
            .get(&key)
            .and_then(|session| session.grant.expires);
        if expires.is_some_and(|at| at <= now) {
            self.revoke(key, "the user's time is over", now);
        }
    }

    fn revoke(&mut self, key: SessionKey, why: &str, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        self.plane.stats.sessions_revoked += 1;
        tracing::info!(
            session = %session.id,
            user = session.grant.user,
            why,
            "session ends"
        );
        session.grant.expires = None;
        session
            .ppp
            .close(CloseReason::Administrative, now, &mut self.rng);
        self.drive_session(key, now);
    }

    /// Where the tunnel leads for IPv4 of a session.
    pub(super) fn routes4(&self, key: SessionKey) -> &[Ipv4Net] {
        let own = self
            .sessions
            .get(&key)
            .and_then(|session| session.routes4());
        own.or(self.config.ipv4.as_ref().map(|ipv4| &*ipv4.routes))
            .unwrap_or_default()
    }
}
