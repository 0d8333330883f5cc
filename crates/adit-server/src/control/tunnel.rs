//! L2TP tunnels: each belongs to the SA group that its SCCRQ came through, or to the peer without
//! IPsec that it came from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_l2tp::{CallDisconnect, Error, Secret, StopResult, Tunnel, TunnelDownCause};

use super::{Server, TimerKey};
use crate::plane::{GroupKey, SessionKey};

/// How long a tunnel may be there without a session: clients open one at once.
const TUNNEL_IDLE: Duration = Duration::from_secs(60);

/// The message type of SCCRQ (RFC 2661 3.2).
pub(super) const SCCRQ: u16 = 1;

pub(super) struct TunnelState {
    pub(super) tunnel: Tunnel,
    pub(super) group: GroupKey,
    pub(super) remote_port: u16,
    /// The tunnel ID that the peer assigned in its SCCRQ.
    assigned: Option<u16>,
    /// What the peer calls itself, once the tunnel is up.
    pub(super) host_name: String,
    pub(super) sessions: Vec<(u16, SessionKey)>,
    /// When the last session went, or the tunnel was made.
    pub(super) idle_since: Instant,
    /// Which of the secrets of some access concentrators it has, counted from 1.
    of_lac: Option<usize>,
}

impl TunnelState {
    fn idle_until(&self) -> Option<Instant> {
        self.sessions
            .is_empty()
            .then(|| self.idle_since + TUNNEL_IDLE)
    }
}

impl Server {
    pub(super) fn handle_l2tp(
        &mut self,
        group: GroupKey,
        remote_port: u16,
        message: &[u8],
        now: Instant,
    ) {
        let Ok(adit_l2tp::Packet::Control(control)) = adit_l2tp::decode(message) else {
            self.plane.stats.l2tp_malformed += 1;
            return;
        };
        let id = match control.tunnel {
            0 => self.tunnel_by_assigned(group, remote_port, &control, now),
            id => self
                .tunnels
                .get(&id)
                .is_some_and(|state| state.group == group)
                .then_some(id),
        };
        let Some(id) = id else {
            self.plane.stats.l2tp_unknown += 1;
            return;
        };
        let Some(state) = self.tunnels.get_mut(&id) else {
            return;
        };
        if let Err(error) = state.tunnel.handle_datagram(message, now, &mut self.rng) {
            self.plane.stats.l2tp_refused += 1;
            tracing::debug!(tunnel = id, %error, "L2TP message refused");
            if let Error::Tunnel(fault) = &error
                && fault.is_of_authentication()
            {
                self.warn_of_secret(id, fault, now);
            }
        }
        self.drive_tunnel(id, now);
    }

    /// The tunnel that a message to tunnel ID 0 is for: the one that has been opened for the tunnel
    /// ID in it, or for an SCCRQ a new one.
    fn tunnel_by_assigned(
        &mut self,
        group: GroupKey,
        remote_port: u16,
        control: &adit_l2tp::Control<'_>,
        now: Instant,
    ) -> Option<u16> {
        let (config, secret, of_lac) = self.l2tp_config(group, control, now)?;
        let assigned = control.assigned_tunnel_id(secret.as_ref())?;
        let tunnels = self.tunnels_of(group)?.to_vec();
        let known = tunnels.iter().copied().find(|id| {
            self.tunnels.get(id).is_some_and(|state| {
                state.remote_port == remote_port && state.assigned == Some(assigned)
            })
        });
        if known.is_some() {
            return known;
        }
        if self.stopping.is_some() || control.message_type() != Some(SCCRQ) {
            return None;
        }
        // A client that starts over from the same port has forgotten its old tunnel: the oldest
        // goes when there is no room. It is not told, since a StopCCN would reach the new one.
        if self.plane.is_plain(group) {
            if !self.has_room_for_plain(group, now) {
                return None;
            }
        } else if tunnels.len() >= self.config.limits.tunnels_per_peer {
            self.plane.stats.tunnels_refused += 1;
            if let Some(oldest) = tunnels.first() {
                self.drop_tunnel(*oldest, "the client opened another tunnel", now);
            }
        }
        let id = self.free_tunnel_id()?;
        self.tunnels.insert(
            id,
            Box::new(TunnelState {
                tunnel: Tunnel::accept(&config, id, now).with_secret(secret),
                of_lac,
                group,
                remote_port,
                assigned: Some(assigned),
                host_name: String::new(),
                sessions: Vec::new(),
                idle_since: now,
            }),
        );
        match self.groups.get_mut(&group) {
            Some(state) => {
                state.tunnels.push(id);
                self.group_used(group, now);
            }
            None => self.plain_tunnel_begun(group, id, now),
        }
        Some(id)
    }

    /// The tunnels of an SA group or of a peer without IPsec, oldest first.
    fn tunnels_of(&self, group: GroupKey) -> Option<&[u16]> {
        match self.groups.get(&group) {
            Some(state) => Some(&state.tunnels),
            None => self.plain.tunnels_of(group),
        }
    }

    /// The configuration of a new tunnel, its secret, and which of those of some peers that is.
    fn l2tp_config(
        &mut self,
        group: GroupKey,
        control: &adit_l2tp::Control<'_>,
        now: Instant,
    ) -> Option<(Arc<adit_l2tp::Config>, Option<Secret>, Option<usize>)> {
        let Some(plain) = self
            .config
            .plain
            .as_ref()
            .filter(|_| self.plane.is_plain(group))
        else {
            let config = Arc::clone(&self.config.l2tp);
            let secret = config.secret.clone();
            return Some((config, secret, None));
        };
        let peer = self.plane.path(group)?.remote;
        let host_name = control.host_name();
        if let Some((secret, of_lac)) = plain.secret_of(peer.ip(), host_name.as_deref()) {
            return Some((Arc::clone(&plain.l2tp), secret.cloned(), of_lac));
        }
        self.plane.stats.l2tp_unauthenticated += 1;
        if self.log_budget.spend(now) {
            tracing::warn!(
                peer = %peer,
                host_name,
                "tunnel refused: no [[l2tp.peer]] is for this access concentrator. Add one with its \
                 host-name and secret, or set l2tp.secret for all"
            );
        }
        None
    }

    /// Says whose secret differs from whose, and where ours is set.
    fn warn_of_secret(&mut self, id: u16, why: &dyn std::fmt::Display, now: Instant) {
        self.plane.stats.l2tp_unauthenticated += 1;
        let Some(state) = self.tunnels.get(&id) else {
            return;
        };
        let peer = self.plane.path(state.group).map(|path| path.remote);
        let setting = match state.of_lac {
            Some(number) => format!("secret of [[l2tp.peer]] number {number}"),
            None => "l2tp.secret".to_owned(),
        };
        if let Some(peer) = peer
            && self.log_budget.spend(now)
        {
            tracing::warn!(peer = %peer, setting, "tunnel authentication failed: {why}");
        }
    }

    fn free_tunnel_id(&mut self) -> Option<u16> {
        // Half of the number space at most: then a random draw finds a free one soon.
        if self.tunnels.len() > usize::from(u16::MAX / 2) {
            self.plane.stats.tunnels_refused += 1;
            return None;
        }
        loop {
            let id = self.rng.u16();
            if id != 0 && !self.tunnels.contains_key(&id) {
                return Some(id);
            }
        }
    }

    pub(super) fn tunnel_timeout(&mut self, id: u16, now: Instant) {
        // Data counts as a sign of life: HELLO is for idle tunnels.
        let heard = self.tunnel_heard(id);
        if let Some(state) = self.tunnels.get_mut(&id) {
            if let Some(heard) = heard {
                state.tunnel.note_data(heard);
            }
            if state.idle_until().is_some_and(|end| now >= end) {
                state.tunnel.close(adit_l2tp::Stop::clear(), now);
            }
            state.tunnel.handle_timeout(now, &mut self.rng);
            self.drive_tunnel(id, now);
        }
    }

    /// When the peer was last heard in any session of a tunnel.
    pub(super) fn tunnel_heard(&self, id: u16) -> Option<Instant> {
        let sessions = self.tunnels.get(&id)?.sessions.iter();
        sessions
            .filter_map(|(_, key)| self.plane.session(*key))
            .map(|record| record.heard)
            .max()
    }

    /// Takes everything that a tunnel has to say, and its next deadline.
    pub(super) fn drive_tunnel(&mut self, id: u16, now: Instant) {
        while let Some(state) = self.tunnels.get_mut(&id) {
            if let Some(message) = state.tunnel.poll_transmit() {
                let (group, port) = (state.group, state.remote_port);
                if let Some(transmit) = self.plane.send_l2tp(group, port, &message, now) {
                    self.transmits.push_back(transmit);
                }
            } else if let Some(event) = state.tunnel.poll_event() {
                self.tunnel_event(id, event, now);
            } else if state.tunnel.is_closed() {
                self.drop_tunnel(id, "the tunnel is closed", now);
            } else {
                let idle = state.idle_until().filter(|end| *end > now);
                let deadline = [state.tunnel.poll_timeout(), idle]
                    .into_iter()
                    .flatten()
                    .min();
                self.timers.set(TimerKey::Tunnel(id), deadline);
                return;
            }
        }
    }

    fn tunnel_event(&mut self, id: u16, event: adit_l2tp::Event, now: Instant) {
        use adit_l2tp::Event;
        match event {
            Event::TunnelUp {
                host_name, vendor, ..
            } => {
                let vendor = vendor.as_deref().unwrap_or("-");
                if !self.plain_tunnel_up(id, &host_name, vendor) {
                    self.supersede(id, now);
                    tracing::debug!(tunnel = id, host_name, vendor, "tunnel up");
                }
                if let Some(state) = self.tunnels.get_mut(&id) {
                    state.host_name = host_name;
                }
            }
            Event::SessionUp { local, remote } => self.session_up(id, local, remote, now),
            Event::LinkInfo { local, accm } => {
                tracing::debug!(tunnel = id, session = local, ?accm, "Set-Link-Info");
            }
            Event::WanErrors { local, errors } => {
                tracing::debug!(tunnel = id, session = local, ?errors, "WAN-Error-Notify");
            }
            Event::SessionDown { local, cause } => {
                let key = self.tunnels.get(&id).and_then(|state| {
                    let mut sessions = state.sessions.iter();
                    sessions.find(|(session, _)| *session == local).copied()
                });
                if let Some((_, key)) = key {
                    self.remove_session(key, &cause.to_string(), now);
                }
            }
            Event::TunnelDown { cause } => {
                tracing::debug!(tunnel = id, %cause, "tunnel down");
                if let TunnelDownCause::ByPeer(stop) = &cause
                    && stop.result == StopResult::NOT_AUTHORIZED
                {
                    self.warn_of_secret(
                        id,
                        &format_args!("the peer does not take ours: {stop}"),
                        now,
                    );
                }
                self.remove_sessions_of(id, &cause.to_string(), now);
            }
        }
    }

    /// A client that lost its state comes back with a new tunnel from the same port of the same
    /// SA group: the older ones from there are nobody's any more.
    fn supersede(&mut self, id: u16, now: Instant) {
        let Some(state) = self.tunnels.get(&id) else {
            return;
        };
        let (group, port) = (state.group, state.remote_port);
        let older: Vec<_> = self
            .tunnels_of(group)
            .unwrap_or_default()
            .iter()
            .copied()
            .take_while(|other| *other != id)
            .filter(|other| {
                self.tunnels
                    .get(other)
                    .is_some_and(|state| state.remote_port == port)
            })
            .collect();
        for other in older {
            self.drop_tunnel(other, "the client started anew", now);
        }
    }

    fn remove_sessions_of(&mut self, id: u16, why: &str, now: Instant) {
        let sessions = self
            .tunnels
            .get(&id)
            .map(|state| state.sessions.clone())
            .unwrap_or_default();
        for (_, key) in sessions {
            self.remove_session(key, why, now);
        }
    }

    /// Ends a tunnel without a word to the peer.
    pub(super) fn drop_tunnel(&mut self, id: u16, why: &str, now: Instant) {
        self.remove_sessions_of(id, why, now);
        self.timers.set(TimerKey::Tunnel(id), None);
        let Some(state) = self.tunnels.remove(&id) else {
            return;
        };
        match self.groups.get_mut(&state.group) {
            Some(group) => {
                group.tunnels.retain(|tunnel| *tunnel != id);
                self.group_used(state.group, now);
            }
            None => self.plain_tunnel_gone(state.group, id),
        }
        self.stop_sooner(now);
    }

    /// Tells the peer that a session is over (CDN).
    pub(super) fn close_call(
        &mut self,
        id: u16,
        session: u16,
        cause: CallDisconnect,
        now: Instant,
    ) {
        if let Some(state) = self.tunnels.get_mut(&id) {
            state.tunnel.close_session(session, cause, now);
            self.drive_tunnel(id, now);
        }
    }
}
