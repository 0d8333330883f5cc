//! The client and IKE: phase 1, Quick Modes, and replacing both.

use std::net::SocketAddr;
use std::time::Instant;

use adit_ike::{IkeSa, Selector};
use adit_l2tp::Tunnel;
use adit_wire::Path;
use adit_wire::ip::protocol;

use super::{Client, L2TP_PORT, address_id};
use crate::event::{DownReason, Event};

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
        }
    }

    pub(super) fn ike_event(&mut self, event: adit_ike::Event, now: Instant) {
        use adit_ike::Event as Ike;
        match event {
            Ike::Established(phase1) => {
                self.encapsulate = phase1.encapsulate;
                if phase1.nat.local_behind {
                    self.keepalive_at = Some(now + self.config.ike.keepalive);
                }
                self.events.push_back(Event::Phase1(phase1));
                self.start_quick_mode(now);
            }
            Ike::ChildRequested { id, .. } => {
                let spi = self.new_spi();
                self.ike.accept_child(id, spi, now, &mut self.rng);
            }
            Ike::ChildEstablished(child) => {
                if self.sas.add(&child, now, &mut self.rng).is_err() {
                    return;
                }
                if self.rekeying == Some(child.inbound_spi) {
                    self.rekeying = None;
                    self.sas.retire_older(now);
                }
                self.events.push_back(Event::Sa {
                    suite: child.suite,
                    encapsulated: child.encapsulated,
                });
                if self.tunnel.is_none() && !self.closing {
                    let id = self.nonzero_u16();
                    self.tunnel = Some(Tunnel::initiate(&self.config.l2tp, id, now, &mut self.rng));
                }
            }
            Ike::ChildFailed { reason, .. } if self.sas.is_empty() => {
                self.go_down(DownReason::QuickMode(reason));
            }
            Ike::ChildFailed { .. } => self.rekeying = None,
            Ike::RekeyDue => self.rekey_ike(now),
            Ike::ChildDeleted { outbound_spi } => {
                let removed = self.sas.remove(outbound_spi);
                if removed && self.sas.is_empty() {
                    self.go_down(DownReason::SaDeleted);
                }
            }
            Ike::Closed(reason) => self.go_down(if self.closing {
                DownReason::Closed
            } else {
                DownReason::Ike(reason)
            }),
            _ => {}
        }
    }

    /// Replaces the newest SA when it is time, and deletes what has been replaced long enough.
    pub(super) fn rekey_sas(&mut self, now: Instant) {
        for spi in self.sas.take_retired(now) {
            self.ike.delete_child(spi, now, &mut self.rng);
        }
        let due = self.sas.soft_expiry().is_some_and(|at| now >= at);
        if due && self.rekeying.is_none() && self.ike.is_established() {
            self.rekeying = Some(self.start_quick_mode(now));
        }
    }

    /// Starts a phase 1 that is to take the place of the present one, on the same path.
    pub(super) fn rekey_ike(&mut self, now: Instant) {
        let path = self.ike.path();
        let ike = IkeSa::initiate(
            &self.config.ike,
            &self.config.credentials,
            path,
            self.config.nat_t_local,
            self.config.opening(path.local.ip()),
            now,
            &mut self.rng,
        );
        self.other_ikes.push(ike.in_place_of(&self.ike, None));
    }

    pub(super) fn other_ike_event(&mut self, index: usize, event: adit_ike::Event, now: Instant) {
        use adit_ike::Event as Ike;
        match event {
            Ike::Established(phase1) => {
                if let Some(ike) = self.other_ikes.get_mut(index) {
                    std::mem::swap(ike, &mut self.ike);
                    ike.supersede(now, &mut self.rng);
                }
                self.events.push_back(Event::Phase1(phase1));
            }
            Ike::Closed(reason) => {
                // What it still had to say was said before this event.
                self.other_ikes.remove(index);
                if reason != adit_ike::CloseReason::Superseded && self.other_ikes.is_empty() {
                    self.rekey_ike(now);
                }
            }
            event => self.ike_event(event, now),
        }
    }

    pub(super) fn start_quick_mode(&mut self, now: Instant) -> u32 {
        let spi = self.new_spi();
        let path = self.ike.path();
        let selector = |address: SocketAddr, port| Selector {
            id: address_id(address.ip()),
            protocol: protocol::UDP,
            port,
        };
        self.ike.start_quick_mode(
            selector(
                path.local,
                self.config.selector_port.unwrap_or(self.config.inner_port),
            ),
            selector(path.remote, L2TP_PORT),
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

    /// L2TP has ended: Deletes for the SAs, ESP first.
    pub(super) fn hang_up(&mut self, now: Instant) {
        for spi in self.sas.inbound_spis() {
            self.ike.delete_child(spi, now, &mut self.rng);
        }
        self.ike.close(now, &mut self.rng);
    }
}
