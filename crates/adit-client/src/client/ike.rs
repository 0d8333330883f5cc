//! The client and IKE: phase 1, Quick Modes, and replacing both.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use adit_ike::{CloseReason, IkeSa, Phase1, Role, Selector};
use adit_wire::Path;
use adit_wire::ip::protocol;

use super::{Client, L2TP_PORT, address_id, marked};
use crate::event::{DownReason, Event};

/// Most phase 1 exchanges beside the SA that is used.
const MAX_HALF_OPEN: usize = 4;

/// Most IKE SAs beside it in all.
const MAX_OTHERS: usize = 8;

/// Pause after an exchange of ours that failed.
const PAUSE: Duration = Duration::from_secs(1);

impl Client {
    pub(super) fn handle_ike(&mut self, path: Path, message: &[u8], now: Instant) {
        let Ok(header) = adit_ike::parse_header(message) else {
            return;
        };
        let all = std::iter::once(&mut self.ike).chain(&mut self.other_ikes);
        let mut known = all.filter(|ike| ike.cookies().0 == header.initiator_cookie);
        if let Some(ike) = known.next() {
            // What is refused is counted in the SA's own statistics; nothing else comes of it.
            let _ = ike.handle_message(path, message, now, &mut self.rng);
        } else if header.responder_cookie == [0; 8] {
            self.accept_ike(path, message, now);
        }
    }

    /// The server may replace the IKE SA too. Nobody else is listened to, and no stranger's
    /// exchanges pile up in its name.
    fn accept_ike(&mut self, path: Path, message: &[u8], now: Instant) {
        let half_open = self.other_ikes.iter().filter(|ike| !ike.is_established());
        let known = path.remote.ip() == self.ike.path().remote.ip() && !self.sas.is_empty();
        let full = half_open.count() >= MAX_HALF_OPEN || self.other_ikes.len() >= MAX_OTHERS;
        if !known || self.closing || full {
            return;
        }
        let (config, credentials) = (&self.config.ike, &self.config.credentials);
        let accepted = IkeSa::accept(config, credentials, path, message, now, &mut self.rng);
        match accepted {
            Ok(sa) => self.other_ikes.push(sa.in_place_of(&self.ike, None)),
            Err(refusal) => self.transmits.extend(refusal.notify.map(marked)),
        }
    }

    /// What the IKE SA in use tells.
    pub(super) fn ike_event(&mut self, event: adit_ike::Event, now: Instant) {
        use adit_ike::Event as Ike;
        match event {
            Ike::Established(phase1) => {
                if phase1.nat.local_behind {
                    self.keepalive_at = Some(now + self.config.ike.keepalive);
                }
                let refused = self.refuses(&phase1);
                self.use_phase1(phase1);
                if refused {
                    self.ike.close(now, &mut self.rng);
                    self.go_down(DownReason::ServerBehindNat);
                } else {
                    self.start_quick_mode(now);
                }
            }
            Ike::ChildRequested { id, .. } => {
                let spi = self.new_spi();
                self.ike.accept_child(id, spi, now, &mut self.rng);
            }
            Ike::ChildFailed { reason, .. } if self.sas.is_empty() => {
                self.go_down(DownReason::QuickMode(reason));
            }
            Ike::RekeyDue if self.config.rekey_ike => self.rekey_ike(now),
            Ike::Closed(reason) => self.ike_closed(reason),
            event => self.child_event(event, now),
        }
    }

    /// What any IKE SA tells of ESP SAs: they belong to the connection, not to it.
    fn child_event(&mut self, event: adit_ike::Event, now: Instant) {
        use adit_ike::Event as Ike;
        match event {
            Ike::ChildEstablished(child) => {
                if self
                    .sas
                    .add(&child, self.config.cut_icv, now, &mut self.rng)
                    .is_err()
                {
                    return;
                }
                if self.rekeying == Some(child.inbound_spi) {
                    self.rekeying = None;
                    self.sas.retire_replaced(now);
                }
                self.events.push_back(Event::Sa {
                    suite: child.suite,
                    encapsulated: child.encapsulated,
                    pfs: self.config.ike.pfs,
                    lifetime: child.lifetime_seconds,
                    kilobytes: child.lifetime_kilobytes,
                });
                if !(self.call.is_started() || self.closing || self.ipsec_only) {
                    let link_mtu = self.link_mtu();
                    self.call.start(link_mtu, now, &mut self.rng);
                }
            }
            Ike::ChildConfirmed { inbound_spi } => self.sas.confirm(inbound_spi),
            Ike::ChildFailed {
                inbound_spi: Some(spi),
                ..
            } if self.rekeying == Some(spi) => {
                self.rekeying = None;
                self.rekey_not_before = Some(now + PAUSE);
            }
            Ike::ChildDeleted { outbound_spi } => {
                let removed = self.sas.remove(outbound_spi);
                if removed && self.sas.is_empty() {
                    self.go_down(DownReason::SaDeleted);
                }
            }
            _ => {}
        }
    }

    /// The IKE SA in use has ended. Another takes its place, if there is one; if its time was just
    /// over, here or there, the ESP SAs live on, and the next that is needed brings a new one.
    fn ike_closed(&mut self, reason: CloseReason) {
        let mut others = self.other_ikes.iter();
        if let Some(index) = others.rposition(IkeSa::is_established)
            && !self.closing
        {
            self.ike = self.other_ikes.remove(index);
            return;
        }
        let over = matches!(
            reason,
            CloseReason::LifetimeExpired | CloseReason::DeletedByPeer
        );
        let lives = over || !self.other_ikes.is_empty();
        match reason {
            _ if self.closing => self.go_down(DownReason::Closed),
            _ if lives && !self.sas.is_empty() => {}
            reason => self.go_down(DownReason::Ike(reason)),
        }
    }

    fn use_phase1(&mut self, phase1: Box<Phase1>) {
        self.encapsulate = phase1.encapsulate;
        self.events.push_back(Event::Phase1(phase1));
    }

    fn refuses(&self, phase1: &Phase1) -> bool {
        self.config.refuse_server_behind_nat && phase1.nat.remote_behind
    }

    /// Whether a phase 1 of ours is under way that is to take the place of the present one.
    fn is_replacing(&self) -> bool {
        let ours = |ike: &IkeSa| ike.role() == Role::Initiator && !ike.is_established();
        self.other_ikes.iter().any(ours)
    }

    /// When the newest ESP SA is to be replaced, if that can be begun.
    pub(super) fn rekey_at(&self) -> Option<Instant> {
        let idle = self.rekeying.is_none();
        let soft = self.sas.soft_expiry().filter(|_| idle)?;
        if !self.ike.is_established() && (self.is_replacing() || self.retry_ike_at.is_some()) {
            return None;
        }
        Some(self.rekey_not_before.map_or(soft, |at| at.max(soft)))
    }

    /// Replaces the newest SA when it is time, and deletes what has been replaced long enough.
    pub(super) fn rekey_sas(&mut self, now: Instant) {
        for spi in self.sas.take_retired(now) {
            self.ike.delete_child(spi, now, &mut self.rng);
        }
        if self.retry_ike_at.take_if(|at| now >= *at).is_some() {
            self.rekey_ike(now);
        }
        if self.rekey_at().is_some_and(|at| now >= at) {
            if self.ike.is_established() {
                self.sas.begin_replacing();
                self.rekeying = Some(self.start_quick_mode(now));
            } else {
                self.rekey_ike(now);
            }
        }
    }

    /// Starts a phase 1 that is to take the place of the present one: on its path, or, where that
    /// was not answered, from the IKE port as at the first time.
    fn rekey_ike(&mut self, now: Instant) {
        if self.is_replacing() || self.closing {
            return;
        }
        let path = match self.unanswered % 2 {
            0 => self.ike.path(),
            _ => self.first_path,
        };
        let ike = IkeSa::initiate(
            &self.config.ike,
            &self.config.credentials,
            path,
            self.config.nat_t_local,
            self.config.opening(path.local.ip()),
            now,
            &mut self.rng,
        );
        self.replaced = Some(self.ike.cookies());
        self.other_ikes.push(ike.in_place_of(&self.ike, None));
    }

    /// What an IKE SA tells that is not the one in use: one that is to take its place, or one whose
    /// place was taken.
    pub(super) fn other_ike_event(&mut self, index: usize, event: adit_ike::Event, now: Instant) {
        use adit_ike::Event as Ike;
        match event {
            Ike::Established(phase1) => self.other_established(index, phase1, now),
            Ike::ChildRequested { id, .. } => {
                let spi = self.new_spi();
                if let Some(ike) = self.other_ikes.get_mut(index) {
                    ike.accept_child(id, spi, now, &mut self.rng);
                }
            }
            Ike::Closed(reason) => {
                // What it still had to say was said before this event.
                let ike = self.other_ikes.remove(index);
                let ours = ike.role() == Role::Initiator;
                let failed = !matches!(
                    reason,
                    CloseReason::Superseded
                        | CloseReason::DeletedByPeer
                        | CloseReason::LifetimeExpired
                        | CloseReason::PeerDead { .. }
                );
                if ours && failed {
                    self.unanswered = self.unanswered.wrapping_add(1);
                    self.retry_ike_at = Some(now + PAUSE);
                }
            }
            Ike::RekeyDue => {}
            event => self.child_event(event, now),
        }
    }

    /// A new IKE SA stands: it is used from now on. Whoever started it deletes the one that it
    /// takes the place of, so what the server replaced is the server's to delete.
    fn other_established(&mut self, index: usize, phase1: Box<Phase1>, now: Instant) {
        let refused = self.refuses(&phase1);
        let Some(ike) = self.other_ikes.get_mut(index) else {
            return;
        };
        if refused {
            ike.close(now, &mut self.rng);
            return;
        }
        let ours = ike.role() == Role::Initiator;
        std::mem::swap(ike, &mut self.ike);
        if !ike.is_established() {
            self.other_ikes.remove(index);
        }
        if ours {
            self.unanswered = 0;
            let replaced = self.replaced.take();
            let mut others = self.other_ikes.iter_mut();
            if let Some(old) = others.find(|ike| Some(ike.cookies()) == replaced) {
                old.supersede(now, &mut self.rng);
            }
        }
        self.use_phase1(phase1);
    }

    pub(super) fn start_quick_mode(&mut self, now: Instant) -> u32 {
        let spi = self.new_spi();
        let path = self.ike.path();
        let selector = |address: IpAddr, port| Selector {
            id: address_id(address),
            protocol: protocol::UDP,
            port,
        };
        self.ike.start_quick_mode(
            selector(
                self.config.selector_address.unwrap_or(path.local.ip()),
                self.config.selector_port.unwrap_or(self.config.inner_port),
            ),
            selector(path.remote.ip(), L2TP_PORT),
            spi,
            self.encapsulate,
            now,
            &mut self.rng,
        );
        spi
    }

    /// An SPI outside the reserved range (RFC 4303 2.1) that no SA of ours has.
    pub(super) fn new_spi(&mut self) -> u32 {
        loop {
            let spi = self.rng.u32();
            if spi > 0x00ff_ffff && !self.sas.inbound_spis().contains(&spi) {
                return spi;
            }
        }
    }

    /// L2TP has ended: Deletes for the SAs, ESP first, when it is time.
    pub(super) fn hang_up(&mut self, now: Instant) {
        if self.hang_up_at.take_if(|at| now >= *at).is_none() {
            return;
        }
        for spi in self.sas.inbound_spis() {
            self.ike.delete_child(spi, now, &mut self.rng);
        }
        for ike in self.other_ikes.iter_mut().chain([&mut self.ike]) {
            ike.close(now, &mut self.rng);
        }
    }
}
