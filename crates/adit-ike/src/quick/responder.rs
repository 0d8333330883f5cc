//! Quick Mode as its responder.

use std::net::IpAddr;
use std::time::Instant;

use adit_crypto::{PrivateValue, Rng, constant_time_eq};
use adit_wire::{LengthTooLarge, Path};

use super::{DEFAULT_LIFE, Quick, Stage};
use crate::codec::{
    Builder, DecodeError, Header, Notify, Payloads, SecurityAssociation, Selector, check_nonce,
    kind, notify, protocol,
};
use crate::config::ExtendedSequence;
use crate::error::Error;
use crate::event::{ChildFailure, ChildId, ChildOffer, Event};
use crate::job::{Job, Purpose};
use crate::machine::IkeSa;
use crate::phase1::{NONCE_LEN, check_public};
use crate::proposal::esp::{self, Chosen};
use crate::retransmit::{Answer, Request, fingerprint};

const UDP: u8 = adit_wire::ip::protocol::UDP;
const L2TP_PORT: u16 = 1701;

/// What an authenticated message 1 asks for.
struct Asked {
    chosen: Chosen,
    nonce: Vec<u8>,
    public: Vec<u8>,
    ids: Option<(Vec<u8>, Vec<u8>)>,
    local: Selector,
    remote: Selector,
    /// Our address as the peer knows it, and its own.
    nat_oa: (Option<IpAddr>, Option<IpAddr>),
}

/// Why an authenticated message 1 is refused.
enum No {
    Malformed(DecodeError),
    Refused(u16, ChildFailure),
}

impl From<DecodeError> for No {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl IkeSa {
    pub(super) fn receive_quick1(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let message_id = header.message_id;
        if self.was_seen(message_id) {
            return Err(Error::Replayed(message_id));
        }
        if self.active_quick_modes() >= super::MAX_ACTIVE {
            return Err(Error::TooManyExchanges);
        }
        let Some(keys) = &self.keys else {
            return Err(Error::Premature);
        };
        let id = message_id.to_be_bytes();
        let iv = keys.crypt.phase2_iv(&keys.iv, message_id);
        let mut clear = Vec::new();
        let (payloads, iv) = keys.open(&iv, header, message, &mut clear, |keys, rest| {
            keys.hash(&[&id, rest])
        })?;
        self.mark_seen(message_id);
        self.authenticated(path, now);
        let asked = match self.read_quick1(&payloads) {
            Ok(asked) => asked,
            Err(No::Malformed(error)) => {
                self.inform_notify(protocol::ESP, &[], notify::PAYLOAD_MALFORMED, &[], rng);
                return Err(error.into());
            }
            Err(No::Refused(notify, reason)) => {
                self.stats.quick_modes_refused += 1;
                self.inform_notify(protocol::ESP, &[], notify, &[], rng);
                self.emit(Event::ChildFailed {
                    inbound_spi: None,
                    reason,
                });
                return Ok(());
            }
        };
        let (nat_oa_local, nat_oa_remote) = asked.nat_oa;
        let offer = ChildOffer {
            suite: asked.chosen.suite,
            encapsulation_udp: asked.chosen.udp,
            local: asked.local.clone(),
            remote: asked.remote.clone(),
            pfs: asked.chosen.group,
            nat_oa_local,
            nat_oa_remote,
        };
        self.quick.push(Box::new(Quick {
            message_id,
            inbound_spi: None,
            stage: Stage::Requested,
            initiated: false,
            iv,
            deadline: now + self.config.negotiation_timeout,
            request: None,
            answer: Some(Answer::new(fingerprint(message), None)),
            encapsulated: asked.chosen.udp,
            group: asked.chosen.group,
            chosen: Some(asked.chosen),
            only: None,
            local: asked.local,
            remote: asked.remote,
            ids: asked.ids,
            nonce_i: asked.nonce,
            nonce_r: Vec::new(),
            private: None,
            peer_public: asked.public,
            nat_oa_local,
            nat_oa_remote,
        }));
        self.emit(Event::ChildRequested {
            id: ChildId(message_id),
            offer,
        });
        Ok(())
    }

    fn read_quick1(&self, payloads: &Payloads<'_>) -> Result<Asked, No> {
        let sa = SecurityAssociation::parse(payloads.required(kind::SA)?)?;
        let nonce = check_nonce(payloads.required(kind::NONCE)?)?.to_vec();
        let public = payloads.optional(kind::KE)?;
        let mut ids = payloads.all(kind::ID);
        let ids = match (ids.next(), ids.next(), ids.next()) {
            (None, ..) => None,
            (Some(initiator), Some(responder), None) => {
                Some((initiator.to_vec(), responder.to_vec()))
            }
            (Some(_), None, _) => return Err(DecodeError::Missing(kind::ID).into()),
            (Some(_), Some(_), Some(_)) => return Err(DecodeError::Duplicate(kind::ID).into()),
        };
        let (remote, local) = match &ids {
            Some((initiator, responder)) => {
                (Selector::parse(initiator)?, Selector::parse(responder)?)
            }
            // Without them the SA is for the two addresses of phase 1 (RFC 2409 5.5).
            None => (self.whole(self.path.remote), self.whole(self.path.local)),
        };
        if ids.is_some() && !self.is_for_l2tp(&local, &remote) {
            let reason = ChildFailure::Selectors { local, remote };
            return Err(No::Refused(notify::INVALID_ID_INFORMATION, reason));
        }
        let wanted = self.established.as_ref().is_some_and(|e| e.encapsulate);
        let extended = self.config.extended_sequence != ExtendedSequence::Refuse;
        let context = self.esp_context(wanted, public.is_some(), extended);
        let chosen = esp::choose(&self.config, &sa, &context).ok_or_else(|| {
            let reason = ChildFailure::NoProposalChosen {
                offered: esp::offered(&sa),
                allowed: esp::allowed(&self.config),
                usable: esp::usable(&self.config, &sa, &context),
            };
            No::Refused(notify::NO_PROPOSAL_CHOSEN, reason)
        })?;
        if let (Some(group), Some(public)) = (chosen.group, public) {
            check_public(public, group)?;
        }
        let by_initiator = true;
        Ok(Asked {
            chosen,
            nonce,
            public: public.unwrap_or_default().to_vec(),
            ids,
            local,
            remote,
            nat_oa: self.read_nat_oa(payloads, by_initiator)?,
        })
    }

    fn whole(&self, endpoint: std::net::SocketAddr) -> Selector {
        Selector {
            id: endpoint.ip().into(),
            protocol: 0,
            port: 0,
        }
    }

    /// UDP, and at the server's end the L2TP port or any. The addresses are not looked at: behind
    /// a NAT they are whatever the peer believes, and the SA carries nothing but L2TP anyway.
    fn is_for_l2tp(&self, local: &Selector, remote: &Selector) -> bool {
        let server = if self.serves { local } else { remote };
        local.protocol == UDP && remote.protocol == UDP && matches!(server.port, 0 | L2TP_PORT)
    }

    /// Goes on with a Quick Mode of [`Event::ChildRequested`]. `inbound_spi` is ours to receive on.
    pub fn accept_child(&mut self, id: ChildId, inbound_spi: u32, now: Instant, rng: &mut Rng) {
        let Some(mut quick) = self.take_requested(id) else {
            return;
        };
        quick.inbound_spi = Some(inbound_spi);
        quick.nonce_r = rng.array::<NONCE_LEN>().to_vec();
        match quick.group {
            Some(group) => {
                let peer = Some(std::mem::take(&mut quick.peer_public));
                self.compute(Job::agree(
                    Purpose::Quick(quick.message_id),
                    PrivateValue::generate(group, rng),
                    true,
                    peer,
                ));
                quick.stage = Stage::Computing;
                self.quick.push(quick);
            }
            // A failure is told by an event.
            None => drop(self.send_quick2(quick, &[], None, now)),
        }
    }

    /// Refuses a Quick Mode of [`Event::ChildRequested`] with a notification of type `notify`.
    pub fn reject_child(&mut self, id: ChildId, notify: u16, _now: Instant, rng: &mut Rng) {
        if let Some(quick) = self.take_requested(id) {
            self.stats.quick_modes_refused += 1;
            self.inform_notify(protocol::ESP, &[], notify, &[], rng);
            self.emit(quick.failed(ChildFailure::Rejected { notify }));
        }
    }

    fn take_requested(&mut self, id: ChildId) -> Option<Box<Quick>> {
        let quick = self.take_quick(id.0)?;
        if quick.stage == Stage::Requested {
            return Some(quick);
        }
        self.quick.push(quick);
        None
    }

    pub(super) fn send_quick2(
        &mut self,
        mut quick: Box<Quick>,
        shared: &[u8],
        public: Option<&[u8]>,
        now: Instant,
    ) -> Result<(), Error> {
        let message = match self.quick2(&mut quick, public) {
            Ok(message) => message,
            Err(error) => return Err(self.quick_unbuildable(&quick, error)),
        };
        let life = quick
            .chosen
            .as_ref()
            .map(|chosen| chosen.life)
            .unwrap_or_default();
        let child = self.child(&quick, shared, (life.seconds, life.kilobytes));
        if let (Some(child), Some(established)) = (&child, &mut self.established) {
            established.extended = child.extended_sequence;
        }
        quick.stage = Stage::Sent2;
        quick.request = Some(Request::new(&self.config.retransmit, message.clone(), now));
        if let Some(answer) = &mut quick.answer {
            answer.set(message.clone());
        }
        self.quick.push(quick);
        self.send(message);
        if let Some(child) = child {
            self.stats.children += 1;
            self.emit(Event::ChildEstablished(Box::new(child)));
        }
        Ok(())
    }

    fn quick2(&self, quick: &mut Quick, public: Option<&[u8]>) -> Result<Vec<u8>, LengthTooLarge> {
        let (Some(chosen), Some(spi)) = (&quick.chosen, quick.inbound_spi) else {
            return Err(LengthTooLarge(0));
        };
        let mut rest = Builder::new();
        rest.push(kind::SA, &chosen.answer(spi)?)?
            .push(kind::NONCE, &quick.nonce_r)?;
        self.push_rest(&mut rest, quick, public)?;
        if let Some(data) = self.responder_lifetime(chosen)? {
            let notify = Notify {
                protocol: protocol::ESP,
                spi: &spi.to_be_bytes(),
                kind: notify::RESPONDER_LIFETIME,
                data: &data,
            };
            rest.push(kind::NOTIFY, &notify.write()?)?;
        }
        let covered = quick.nonce_i.clone();
        self.seal_quick(quick, &covered, &rest)
    }

    /// What a RESPONDER-LIFETIME notification has to say, if our lifetime is the shorter one.
    fn responder_lifetime(&self, chosen: &Chosen) -> Result<Option<Vec<u8>>, LengthTooLarge> {
        let own = &self.config.esp_lifetime;
        let seconds = Some(own.seconds.as_secs())
            .filter(|own| *own < chosen.life.seconds.unwrap_or(DEFAULT_LIFE));
        let kilobytes = own
            .kilobytes
            .filter(|own| *own < chosen.life.kilobytes.unwrap_or(u64::MAX));
        if seconds.is_none() && kilobytes.is_none() {
            return Ok(None);
        }
        esp::responder_lifetime(seconds, kilobytes).map(Some)
    }

    pub(super) fn receive_quick3(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
    ) -> Result<(), Error> {
        let position = self
            .quick
            .iter()
            .position(|q| q.message_id == header.message_id);
        let (Some(keys), Some(quick)) = (
            &self.keys,
            position.and_then(|position| self.quick.get(position)),
        ) else {
            return Err(Error::Premature);
        };
        let (clear, _) = keys.crypt.open(&quick.iv, header.body(message))?;
        let payloads = Payloads::parse(header.next_payload, &clear)?;
        let hash = payloads.leading(kind::HASH)?;
        let id = header.message_id.to_be_bytes();
        let expected = keys.hash(&[&[0], &id, &quick.nonce_i, &quick.nonce_r]);
        if !constant_time_eq(hash, &expected) {
            return Err(Error::NotAuthentic("HASH(3) does not hold"));
        }
        self.authenticated(path, now);
        if let Some(quick) = self.take_quick(header.message_id) {
            let inbound_spi = quick.inbound_spi;
            self.keep_done(quick, Some(Answer::new(fingerprint(message), None)), now);
            if let Some(inbound_spi) = inbound_spi {
                self.emit(Event::ChildConfirmed { inbound_spi });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl IkeSa {
    /// The message ID and IV of the Quick Mode that waits for message 3, and the HASH(3) that it
    /// waits for.
    pub(crate) fn hash3_expected(&self) -> (u32, crate::crypt::Iv, Vec<u8>) {
        let quick = self.quick.iter().find(|quick| quick.stage == Stage::Sent2);
        let (quick, keys) = quick.zip(self.keys.as_ref()).unwrap();
        let id = quick.message_id.to_be_bytes();
        let hash = keys.hash(&[&[0], &id, &quick.nonce_i, &quick.nonce_r]);
        (quick.message_id, quick.iv, hash.to_vec())
    }
}
