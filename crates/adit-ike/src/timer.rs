//! The timers of an SA: the repetition of requests, the end of patience, dead peer detection, and
//! the lifetime of the SA itself.

use std::time::{Duration, Instant};

use adit_crypto::Rng;

use crate::dpd::Action;
use crate::event::{CloseReason, Event};
use crate::machine::{Established, IkeSa};
use crate::quick::Expired;
use crate::retransmit::{Due, Request};

/// How long an SA is kept past its lifetime, for a peer whose clock is slower.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

impl IkeSa {
    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let negotiation = self.negotiation.iter().flat_map(|negotiation| {
            [
                Some(negotiation.deadline),
                negotiation.request.as_ref().map(Request::due),
            ]
        });
        let established = self.established.iter().flat_map(|established| {
            [
                Some(established.expires),
                established.rekey,
                established.watch.as_ref().map(|watch| watch.due()),
            ]
        });
        let quick = self.quick.iter().map(|quick| Some(quick.due()));
        let reassembly = self.reassembly.iter().map(|r| Some(r.deadline()));
        negotiation
            .chain(established)
            .chain(quick)
            .chain(reassembly)
            .flatten()
            .min()
    }

    /// Does what is due at `now`; calls that come too early or late do no harm.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) {
        self.reassembly.take_if(|r| now >= r.deadline());
        self.negotiation_timeout(now);
        self.quick_timeout(now);
        self.established_timeout(now, rng);
    }

    fn negotiation_timeout(&mut self, now: Instant) {
        let Some(negotiation) = &mut self.negotiation else {
            return;
        };
        let due = match &mut negotiation.request {
            _ if now >= negotiation.deadline => Due::Exhausted,
            Some(request) => request.handle_timeout(&self.config.retransmit, now),
            None => Due::Wait,
        };
        match due {
            Due::Wait => {}
            Due::Resend(message) => {
                self.stats.retransmitted += 1;
                self.send(message);
            }
            Due::Exhausted if negotiation.suspects_psk() => {
                self.end(CloseReason::AuthenticationFailed);
            }
            Due::Exhausted => self.end(CloseReason::NegotiationTimeout),
        }
    }

    fn quick_timeout(&mut self, now: Instant) {
        let mut kept = Vec::with_capacity(self.quick.len());
        for mut quick in std::mem::take(&mut self.quick) {
            match quick.handle_timeout(&self.config.retransmit, now) {
                Expired::No(resend) => {
                    if let Some(message) = resend {
                        self.stats.retransmitted += 1;
                        self.send(message);
                    }
                    kept.push(quick);
                }
                Expired::Forget => {}
                Expired::Failed(event) => self.emit(event),
            }
        }
        self.quick = kept;
    }

    fn established_timeout(&mut self, now: Instant, rng: &mut Rng) {
        let Some(established) = &mut self.established else {
            return;
        };
        let Established {
            watch,
            rekey,
            expires,
            ..
        } = &mut **established;
        if now >= *expires {
            return self.close_for(CloseReason::LifetimeExpired, now, rng);
        }
        let rekey_due = rekey.take_if(|due| now >= *due).is_some();
        let action = watch.as_mut().map(|watch| watch.handle_timeout(now));
        if rekey_due {
            self.emit(Event::RekeyDue);
        }
        match action {
            Some(Action::Ask(sequence)) => self.ask_alive(sequence, rng),
            Some(Action::Dead(tries)) => self.end(CloseReason::PeerDead { tries }),
            Some(Action::Wait) | None => {}
        }
    }
}
