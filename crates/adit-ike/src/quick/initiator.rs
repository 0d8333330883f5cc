//! Quick Mode as its initiator.

use std::time::Instant;

use adit_crypto::{PrivateValue, Rng};
use adit_wire::{LengthTooLarge, Path};

use super::{Quick, Stage};
use crate::codec::{
    Builder, Header, Notify, Payloads, SecurityAssociation, Selector, check_nonce, exchange, kind,
    notify,
};
use crate::error::Error;
use crate::event::{ChildFailure, ChildRequest, Event};
use crate::job::{Job, Purpose};
use crate::machine::IkeSa;
use crate::manner::MessageIds;
use crate::nat::MODE_TRANSPORT;
use crate::phase1::check_public;
use crate::proposal::esp;
use crate::retransmit::{Answer, Request, fingerprint};

impl IkeSa {
    /// Starts a Quick Mode for a pair of ESP SAs between `local` and `remote`. `spi` is our inbound
    /// SPI, allocated by the caller; `encapsulated` asks for ESP in UDP. How it ends is told by
    /// [`Event::ChildEstablished`] or [`Event::ChildFailed`].
    pub fn start_quick_mode(
        &mut self,
        local: Selector,
        remote: Selector,
        spi: u32,
        encapsulated: bool,
        now: Instant,
        rng: &mut Rng,
    ) {
        let request = ChildRequest {
            local,
            remote,
            encapsulated,
            suite: None,
        };
        self.request_child(spi, request, now, rng);
    }

    /// The same, with algorithms that are known: those of a pair that is to be replaced.
    pub fn request_child(&mut self, spi: u32, request: ChildRequest, now: Instant, rng: &mut Rng) {
        let ChildRequest {
            local,
            remote,
            encapsulated,
            suite,
        } = request;
        let refused = if self.established.is_none() {
            Some(ChildFailure::NotEstablished)
        } else if self.active_quick_modes() >= super::MAX_ACTIVE {
            Some(ChildFailure::Limit)
        } else {
            None
        };
        let message_id = match self.config.manner.message_ids {
            MessageIds::Random => self.fresh_message_id(rng),
            MessageIds::Counted => self.next_message_id(),
        };
        let keys = match (&self.keys, refused) {
            (Some(keys), None) => keys,
            (_, reason) => {
                let reason = reason.unwrap_or(ChildFailure::NotEstablished);
                return self.emit(Event::ChildFailed {
                    inbound_spi: Some(spi),
                    reason,
                });
            }
        };
        let nat_t = self.established.as_ref().and_then(|e| e.nat_t);
        let group = self.config.pfs;
        let quick = Box::new(Quick {
            message_id,
            inbound_spi: Some(spi),
            stage: Stage::Computing,
            initiated: true,
            iv: keys.crypt.phase2_iv(&keys.iv, message_id),
            deadline: now + self.config.negotiation_timeout,
            request: None,
            answer: None,
            chosen: None,
            only: suite,
            encapsulated: encapsulated && nat_t.is_some(),
            ids: Some((local.write(), remote.write())),
            local,
            remote,
            nonce_i: self.config.manner.nonce(rng),
            nonce_r: Vec::new(),
            group,
            private: None,
            peer_public: Vec::new(),
            nat_oa_local: None,
            nat_oa_remote: None,
        });
        match group {
            Some(group) => {
                self.quick.push(quick);
                self.compute(Job::agree(
                    Purpose::Quick(message_id),
                    PrivateValue::generate(group, rng),
                    true,
                    None,
                ));
            }
            // A failure is told by an event.
            None => drop(self.send_quick1(quick, None, now)),
        }
    }

    pub(super) fn send_quick1(
        &mut self,
        mut quick: Box<Quick>,
        public: Option<&[u8]>,
        now: Instant,
    ) -> Result<(), Error> {
        let message = match self.quick1(&mut quick, public) {
            Ok(message) => message,
            Err(error) => return Err(self.quick_unbuildable(&quick, error)),
        };
        quick.stage = Stage::Sent1;
        let request = Request::new(&self.config.retransmit, message.clone(), now);
        quick.request = Some(request);
        self.quick.push(quick);
        self.send(message);
        Ok(())
    }

    fn quick1(&self, quick: &mut Quick, public: Option<&[u8]>) -> Result<Vec<u8>, LengthTooLarge> {
        let nat_t = self.established.as_ref().and_then(|e| e.nat_t);
        let mode = match nat_t.filter(|_| quick.encapsulated) {
            Some(version) => version.udp_transport(),
            None => MODE_TRANSPORT,
        };
        // In every dialect tunnel mode is the number before transport mode.
        let mode = mode - u16::from(self.config.manner.tunnel);
        let spi = quick.inbound_spi.unwrap_or_default();
        let extended = self.offers_extended();
        let only = quick.only;
        let body = esp::offer(&self.config, only, mode, quick.group, spi, extended)?;
        let mut rest = Builder::new();
        rest.push(kind::SA, &body)?
            .push(kind::NONCE, &quick.nonce_i)?;
        self.push_rest(&mut rest, quick, public)?;
        self.seal_quick(quick, &[], &rest)
    }

    pub(super) fn receive_quick2(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
    ) -> Result<(), Error> {
        let Some(mut quick) = self.take_quick(header.message_id) else {
            return Err(Error::Premature);
        };
        let Some(keys) = &self.keys else {
            return Err(Error::Premature);
        };
        let id = header.message_id.to_be_bytes();
        let mut clear = Vec::new();
        let opened = keys.open(&quick.iv, header, message, &mut clear, |keys, rest| {
            keys.hash(&[&id, &quick.nonce_i, rest])
        });
        let (payloads, iv) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.quick.push(quick);
                return Err(error);
            }
        };
        quick.iv = iv;
        self.authenticated(path, now);
        quick.request = None;
        quick.answer = Some(Answer::new(fingerprint(message), None));
        if let Err(what) = self.read_quick2(&mut quick, &payloads) {
            self.emit(quick.failed(ChildFailure::BadAnswer(what)));
            return Ok(());
        }
        match (quick.group, quick.private.take()) {
            (None, _) => self.send_quick3(quick, &[], now),
            (Some(_), Some(private)) => {
                quick.stage = Stage::Received2;
                let peer = Some(std::mem::take(&mut quick.peer_public));
                self.compute(Job::agree(
                    Purpose::Quick(quick.message_id),
                    private,
                    false,
                    peer,
                ));
                self.quick.push(quick);
                Ok(())
            }
            (Some(_), None) => {
                self.emit(quick.failed(ChildFailure::BadAnswer("no private value")));
                Ok(())
            }
        }
    }

    /// Reads an authenticated message 2. Its identifications are not compared with ours: what is
    /// used are our own selectors, and peers behind a NAT are known to change addresses in theirs.
    fn read_quick2(&self, quick: &mut Quick, payloads: &Payloads<'_>) -> Result<(), &'static str> {
        let public = payloads
            .optional(kind::KE)
            .map_err(|_| "two key exchange values")?;
        let body = payloads
            .required(kind::SA)
            .map_err(|_| "no single SA payload")?;
        let sa = SecurityAssociation::parse(body).map_err(|_| "a malformed SA payload")?;
        let nonce = payloads
            .required(kind::NONCE)
            .and_then(check_nonce)
            .map_err(|_| "no proper nonce")?;
        let context =
            self.esp_context(quick.encapsulated, public.is_some(), self.offers_extended());
        let chosen = esp::chosen(&self.config, &sa, &context, quick.group)
            .filter(|chosen| quick.only.is_none_or(|only| chosen.suite == only))
            .ok_or("it chose what was not offered")?;
        if let (Some(group), Some(public)) = (quick.group, public) {
            check_public(public, group).map_err(|_| "a key exchange value of another group")?;
            quick.peer_public = public.to_vec();
        }
        let mut chosen = chosen;
        for body in payloads.all(kind::NOTIFY) {
            let Ok(received) = Notify::parse(body) else {
                return Err("a malformed notification");
            };
            if received.kind == notify::RESPONDER_LIFETIME {
                chosen.shorten(&esp::read_responder_lifetime(received.data));
            }
        }
        let by_initiator = false;
        (quick.nat_oa_local, quick.nat_oa_remote) = self
            .read_nat_oa(payloads, by_initiator)
            .map_err(|_| "a malformed NAT-OA payload")?;
        quick.nonce_r = nonce.to_vec();
        quick.chosen = Some(chosen);
        Ok(())
    }

    pub(super) fn send_quick3(
        &mut self,
        mut quick: Box<Quick>,
        shared: &[u8],
        now: Instant,
    ) -> Result<(), Error> {
        let message = match self.quick3(&mut quick) {
            Ok(Some(message)) => message,
            Ok(None) => return Err(Error::Premature),
            Err(error) => return Err(self.quick_unbuildable(&quick, error)),
        };
        let life = quick
            .chosen
            .as_ref()
            .map(|chosen| chosen.life)
            .unwrap_or_default();
        let child = self.child(&quick, shared, (life.seconds, life.kilobytes));
        self.send(message.clone());
        let mut answer = quick.answer.take();
        if let Some(answer) = &mut answer {
            answer.set(message);
        }
        self.keep_done(quick, answer, now);
        if let Some(child) = child {
            self.stats.children += 1;
            self.emit(Event::ChildEstablished(Box::new(child)));
        }
        Ok(())
    }

    /// HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)
    fn quick3(&self, quick: &mut Quick) -> Result<Option<Vec<u8>>, LengthTooLarge> {
        let Some(keys) = &self.keys else {
            return Ok(None);
        };
        let id = quick.message_id.to_be_bytes();
        let hash = keys.hash(&[&[0], &id, &quick.nonce_i, &quick.nonce_r]);
        let mut chain = Builder::new();
        chain.push(kind::HASH, &hash)?;
        let sealed = self.sealed((exchange::QUICK, quick.message_id), &quick.iv, &chain);
        Ok(sealed.map(|(message, next)| {
            quick.iv = next;
            message
        }))
    }
}
