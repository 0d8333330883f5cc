//! IKE SAs: routing their messages by cookie, and what they tell.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use adit_ike::codec::exchange;
use adit_ike::{CloseReason, Header, IkeSa, Phase1Proposal, Role};
use adit_wire::{Path, Transmit};

use super::peer::PeerKey;
use super::refusal;
use super::rekey_ike::Replaces;
use super::unkept::{self, Unkept};
use super::{Job, Server, TimerKey};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct IkeKey(pub(super) usize);

pub(super) struct IkeEntry {
    pub(super) sa: IkeSa,
    /// Tells this SA from a later one in the same slot.
    pub(super) serial: u64,
    pub(super) peer: Option<PeerKey>,
    /// What repeated first messages are known by, if the peer sends them.
    pub(super) first: Option<([u8; 8], SocketAddr)>,
    /// What it is to take the place of, if we started it.
    pub(super) replaces: Option<Replaces>,
    /// What phase 1 came to: algorithms and lifetime.
    pub(super) agreed: Option<(Phase1Proposal, Duration)>,
    pub(super) initial_contact: bool,
    /// Until then our last main mode message may not have been read yet.
    pub(super) unread_until: Option<Instant>,
    /// The last sign of life in the peer's sessions that the SA was told of.
    pub(super) heard: Option<Instant>,
}

impl Server {
    pub(super) fn handle_ike(&mut self, path: Path, message: &[u8], now: Instant) {
        self.plane.stats.ike_messages += 1;
        let header = match adit_ike::parse_header(message) {
            Ok(header) => header,
            Err(error) => {
                self.plane.stats.ike_malformed += 1;
                if self.noise_budget.spend(now) {
                    tracing::debug!(peer = %path.remote, %error, "malformed IKE message");
                }
                return;
            }
        };
        let first = header.responder_cookie == [0; 8];
        let known = if first {
            self.by_first.get(&(header.initiator_cookie, path.remote))
        } else {
            self.by_cookie.get(&header.responder_cookie)
        };
        // Where we sent the first message, the other cookie is ours.
        let known = known.or_else(|| self.by_started.get(&header.initiator_cookie));
        match known.copied() {
            Some(key) => self.continue_ike(key, path, message, now),
            None if self.stopping.is_some() => self.plane.stats.ike_unknown_cookie += 1,
            None if first => self.accept_ike(path, &header, message, now),
            None => self.resume_ike(path, &header, message, now),
        }
    }

    fn continue_ike(&mut self, key: IkeKey, path: Path, message: &[u8], now: Instant) {
        let Some(entry) = self.ikes.get_mut(key.0) else {
            return;
        };
        if let Err(error) = entry.sa.handle_message(path, message, now, &mut self.rng) {
            self.plane.stats.ike_refused += 1;
            let fragment = matches!(error, adit_ike::Error::Fragment(_));
            self.plane.stats.ike_bad_fragments += u64::from(fragment);
            if self.noise_budget.spend(now) {
                tracing::debug!(peer = %path.remote, %error, "IKE message refused");
            }
        }
        self.drive_ike(key, now);
    }

    fn accept_ike(&mut self, path: Path, header: &Header, message: &[u8], now: Instant) {
        let source = path.remote.ip();
        if !self.has_room_for_ike(source) {
            return;
        }
        // Above half, only those whose address is known to be theirs are kept.
        if header.exchange == exchange::MAIN
            && self.half_open.len() >= self.config.limits.half_open / 2
        {
            self.answer_unkept(path, header, message, now);
            return;
        }
        let forced = self.is_native_blocked(source, now);
        if let Some(sa) = self.judge_ike(path, message, (forced, None), now) {
            let key = self.begin_ike(sa, path);
            self.drive_ike(key, now);
        }
    }

    fn has_room_for_ike(&mut self, source: IpAddr) -> bool {
        let limits = self.config.limits;
        if self.half_open.count_near(source) >= limits.half_open_per_network {
            self.plane.stats.ike_network_full += 1;
            return false;
        }
        if self.pending_jobs >= limits.pending_jobs {
            self.plane.stats.ike_busy += 1;
            return false;
        }
        true
    }

    /// What comes of a first message: an exchange, with this cookie if one is given, or a refusal.
    fn judge_ike(
        &mut self,
        path: Path,
        message: &[u8],
        (forced, cookie): (bool, Option<[u8; 8]>),
        now: Instant,
    ) -> Option<IkeSa> {
        let config = if forced {
            &self.forced_ike
        } else {
            &self.config.ike
        };
        let credentials = self.config.credentials.for_peer(path.remote.ip());
        let rng = &mut self.rng;
        let accepted = match cookie {
            Some(cookie) => IkeSa::resume(config, credentials, path, message, cookie, now, rng),
            None => IkeSa::accept(config, credentials, path, message, now, rng),
        };
        match accepted {
            Ok(sa) => Some(sa),
            Err(refusal) => {
                self.plane.stats.ike_exchanges_refused += 1;
                if self.log_budget.spend(now) {
                    refusal::log(path.remote, &refusal.reason);
                }
                if let Some(notify) = refusal.notify {
                    self.send_ike(notify);
                }
                None
            }
        }
    }

    /// Answers a first message and keeps nothing of it but the offer.
    fn answer_unkept(&mut self, path: Path, header: &Header, message: &[u8], now: Instant) {
        let source = path.remote.ip();
        let forced = self.is_native_blocked(source, now);
        let unkept = self
            .unkept
            .get_or_insert_with(|| Unkept::new(&mut self.rng, now));
        let fits = header.length <= unkept::LONGEST;
        let initiator = header.initiator_cookie;
        if !(fits && unkept.admits(source, initiator, now, &mut self.rng)) {
            self.plane.stats.ike_unanswered += 1;
            return;
        }
        let credentials = self.config.credentials.for_peer(source);
        let message = message.get(..header.length).unwrap_or(message);
        let question = unkept::question(message, forced, credentials);
        let index = match unkept.find(&question) {
            Some(index) => index,
            None if !unkept.may_judge(source, initiator, now) => {
                self.plane.stats.ike_unanswered += 1;
                return;
            }
            None => {
                let judged = self.judge_ike(path, message, (forced, None), now);
                let answer = judged.and_then(|mut sa| sa.poll_transmit());
                let (Some(answer), Some(unkept)) = (answer, &mut self.unkept) else {
                    return;
                };
                unkept.learn(question, &answer.payload)
            }
        };
        let context = (now, self.config.ike.mark);
        let unkept = self.unkept.as_ref();
        let answer = unkept.and_then(|it| it.answer(index, initiator, &path, context));
        if let Some(payload) = answer {
            self.plane.stats.ike_unkept += 1;
            self.send_ike(Transmit { path, payload });
        }
    }

    /// A message for a responder cookie that no SA has. It may be one that was given out without
    /// keeping anything: then the exchange begins now.
    fn resume_ike(&mut self, path: Path, header: &Header, message: &[u8], now: Instant) {
        let is_third =
            header.exchange == exchange::MAIN && !header.encrypted && header.message_id == 0;
        let cookies = (header.initiator_cookie, header.responder_cookie);
        let context = (now, self.config.ike.mark);
        let unkept = self.unkept.as_mut().filter(|_| is_third);
        let Some((first, forced)) = unkept.and_then(|it| it.returned(cookies, &path, context))
        else {
            self.plane.stats.ike_unknown_cookie += 1;
            return;
        };
        if !self.has_room_for_ike(path.remote.ip()) {
            return;
        }
        let how = (forced, Some(header.responder_cookie));
        if let Some(mut sa) = self.judge_ike(path, &first, how, now) {
            // The second message has been sent already.
            drop(sa.poll_transmit());
            let key = self.begin_ike(sa, path);
            self.continue_ike(key, path, message, now);
        }
    }

    /// Begins an exchange that a stranger wants.
    fn begin_ike(&mut self, sa: IkeSa, path: Path) -> IkeKey {
        let limits = self.config.limits;
        while self.half_open.len() >= limits.half_open {
            let Some(oldest) = self.half_open.oldest() else {
                break;
            };
            self.plane.stats.ike_half_open_dropped += 1;
            self.forget_ike(oldest);
        }
        self.ike_serial += 1;
        let (initiator, responder) = sa.cookies();
        let key = IkeKey(self.ikes.insert(Box::new(IkeEntry {
            sa,
            serial: self.ike_serial,
            peer: None,
            first: Some((initiator, path.remote)),
            replaces: None,
            agreed: None,
            initial_contact: false,
            unread_until: None,
            heard: None,
        })));
        self.by_cookie.insert(responder, key);
        self.by_first.insert((initiator, path.remote), key);
        let source = path.remote.ip();
        self.half_open.insert(self.ike_serial, key, source);
        key
    }

    pub(super) fn ike_timeout(&mut self, key: IkeKey, now: Instant) {
        let heard = self.heard_from(key);
        if let Some(entry) = self.ikes.get_mut(key.0) {
            // Told once each: an old one again would answer a question that was asked since.
            if heard > entry.heard
                && let Some(at) = heard
            {
                entry.heard = heard;
                entry.sa.note_peer_alive(at);
            }
            entry.sa.handle_timeout(now, &mut self.rng);
            self.drive_ike(key, now);
        }
    }

    /// Takes everything that an IKE SA has to say, and its next deadline.
    pub(super) fn drive_ike(&mut self, key: IkeKey, now: Instant) {
        while let Some(entry) = self.ikes.get_mut(key.0) {
            if let Some(transmit) = entry.sa.poll_transmit() {
                self.send_ike(transmit);
            } else if let Some(job) = entry.sa.poll_job() {
                let serial = entry.serial;
                self.pending_jobs += 1;
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
            Event::AuthenticationFailing {
                path,
                authentication,
            } => {
                self.plane.stats.ike_authentication_failed += 1;
                if self.log_budget.spend(now) {
                    refusal::log_authentication_failing(path.remote, authentication);
                }
            }
            Event::ChildRequested { id, offer } => self.child_requested(key, id, &offer, now),
            Event::ChildEstablished(child) => self.child_established(key, &child, now),
            Event::ChildConfirmed { inbound_spi } => {
                self.plane.confirm(inbound_spi);
                self.await_native(inbound_spi, now);
            }
            Event::ChildFailed {
                inbound_spi: Some(spi),
                reason,
            } if self.is_rekeying(spi) => self.rekey_failed(spi, &reason, now),
            Event::ChildFailed { reason, .. } => {
                self.plane.stats.child_failed += 1;
                if let Some(entry) = self.ikes.get(key.0)
                    && self.log_budget.spend(now)
                {
                    refusal::log_child(entry.sa.path().remote, &reason);
                }
            }
            Event::ChildDeleted { outbound_spi } => self.child_deleted(key, outbound_spi, now),
            Event::PeerNotify { kind } => {
                tracing::debug!(kind, "notification from the peer");
            }
            Event::RekeyDue => self.ike_rekey_due(key, now),
            Event::Closed(reason) => self.ike_closed(key, &reason, now),
        }
    }

    fn ike_closed(&mut self, key: IkeKey, reason: &CloseReason, now: Instant) {
        let Some(entry) = self.ikes.get(key.0) else {
            return;
        };
        let remote = entry.sa.path().remote;
        let peer = entry.peer;
        if let (None, Some(replaces)) = (peer, entry.replaces) {
            self.forget_ike(key);
            self.ike_rekey_failed(replaces.peer, reason, now);
            return;
        }
        if peer.is_none() {
            match reason {
                CloseReason::NegotiationTimeout => self.plane.stats.ike_half_open_expired += 1,
                CloseReason::BadPublicValue => self.plane.stats.ike_refused += 1,
                _ => {}
            }
            if let CloseReason::Unproven(unproven) = reason {
                self.plane.stats.ike_authentication_failed += 1;
                if self.log_budget.spend(now) {
                    refusal::log_unproven(remote, unproven);
                }
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
        // a peer that does not answer keeps nothing. While it has another IKE SA, that is asked:
        // this one may have been replaced, and the Delete was lost.
        let is_last = self.newest_ike(peer).is_none();
        if matches!(reason, CloseReason::PeerDead { .. }) && is_last {
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
        let (initiator, responder) = entry.sa.cookies();
        self.half_open.remove(entry.serial);
        // The peer's cookie is its own choice and finds nothing.
        match entry.sa.role() {
            Role::Responder => self.by_cookie.remove(&responder),
            Role::Initiator => self.by_started.remove(&initiator),
        };
        if let Some(first) = &entry.first {
            self.by_first.remove(first);
        }
        if let Some(peer) = entry.peer.and_then(|peer| self.peers.get_mut(peer.0)) {
            peer.ikes.retain(|ike| *ike != key);
        }
    }
}
