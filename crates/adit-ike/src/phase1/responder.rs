//! Main mode as responder.

use std::sync::Arc;
use std::time::Instant;

use adit_crypto::{PrivateValue, Rng, SharedSecret};
use adit_wire::{LengthTooLarge, Path, Transmit};

use super::initiator::cookie;
use super::{NONCE_LEN, Negotiation, Stage, read_key_exchange, shorter};
use crate::codec::{
    Builder, HEADER_LEN, Header, Notify, Payloads, SecurityAssociation, exchange, kind, notify,
    parse_header, protocol,
};
use crate::config::Config;
use crate::credentials::Credentials;
use crate::error::{Error, Refusal, RefusalReason};
use crate::event::Event;
use crate::job::{Job, Purpose};
use crate::machine::{IkeSa, Role};
use crate::nat;
use crate::proposal::phase1 as proposals;
use crate::retransmit::{Answer, fingerprint};
use crate::vendor::{self, Seen};

/// Takes message 1 and sends message 2, or says why not.
#[expect(clippy::result_large_err, reason = "an SA is larger still")]
pub(crate) fn accept(
    config: &Arc<Config>,
    credentials: &Arc<Credentials>,
    path: Path,
    message: &[u8],
    now: Instant,
    rng: &mut Rng,
) -> Result<IkeSa, Refusal> {
    let silent = |reason| Refusal {
        notify: None,
        reason,
    };
    let header = parse_header(message).map_err(|error| silent(error.into()))?;
    let message = message.get(..header.length).unwrap_or(message);
    let fresh = header.responder_cookie == [0; 8] && header.message_id == 0 && !header.encrypted;
    if !fresh {
        return Err(silent(RefusalReason::NotFirst));
    }
    if header.next_payload == kind::FRAGMENT {
        return Err(silent(RefusalReason::Fragment));
    }
    if header.exchange != exchange::MAIN {
        return Err(refuse(
            path,
            &header,
            notify::INVALID_EXCHANGE_TYPE,
            RefusalReason::Exchange(header.exchange),
            rng,
        ));
    }
    let payloads = Payloads::parse(header.next_payload, header.body(message))
        .map_err(|error| silent(error.into()))?;
    let body = payloads
        .leading(kind::SA)
        .map_err(|error| silent(error.into()))?;
    let offered = SecurityAssociation::parse(body).map_err(|error| silent(error.into()))?;
    let chosen = proposals::choose(config, &offered).map_err(|error| silent(error.into()))?;
    let Some(chosen) = chosen else {
        return Err(refuse(
            path,
            &header,
            notify::NO_PROPOSAL_CHOSEN,
            RefusalReason::NoProposalChosen {
                offered: proposals::offered(&offered),
                allowed: proposals::allowed(config),
            },
            rng,
        ));
    };
    let identity = path.local.ip().into();
    let mut negotiation = Negotiation::new(config, Stage::Sent2, identity, body.to_vec(), now);
    let mut vendor = Seen::read(payloads.all(kind::VENDOR));
    vendor.nat_t = vendor.nat_t.filter(|_| config.nat_t);
    let ids = vendor::of_responder(&vendor);
    negotiation.vendor = vendor;
    negotiation.proposal = Some(chosen.proposal);
    negotiation.lifetime = shorter(config.phase1_lifetime, chosen.lifetime);
    let cookies = (header.initiator_cookie, cookie(rng));
    let mut sa = IkeSa::new(
        config,
        credentials,
        Role::Responder,
        path,
        cookies,
        negotiation,
    );
    sa.stats.received = 1;
    let answer = sa
        .message2(&chosen.answer, &ids)
        .map_err(|error| silent(error.into()))?;
    sa.answer(message, answer);
    Ok(sa)
}

fn refuse(path: Path, header: &Header, kind: u16, reason: RefusalReason, rng: &mut Rng) -> Refusal {
    let notify = Notify {
        protocol: protocol::ISAKMP,
        spi: &[],
        kind,
        data: &[],
    };
    let mut chain = Builder::new();
    let pushed = notify
        .write()
        .and_then(|body| chain.push(kind::NOTIFY, &body).map(drop));
    // A longer answer than the question would make an amplifier.
    let fits = HEADER_LEN.saturating_add(chain.bytes().len()) <= header.length;
    let payload = (pushed.is_ok() && fits).then(|| {
        Header {
            responder_cookie: cookie(rng),
            next_payload: chain.first(),
            exchange: exchange::INFORMATIONAL,
            message_id: rng.u32().max(1),
            ..*header
        }
        .write(chain.bytes())
    });
    Refusal {
        notify: payload.map(|payload| Transmit { path, payload }),
        reason,
    }
}

impl IkeSa {
    fn message2(&self, sa: &[u8], vendor_ids: &[&[u8]]) -> Result<Vec<u8>, LengthTooLarge> {
        let mut chain = Builder::new();
        chain.push(kind::SA, sa)?;
        for id in vendor_ids {
            chain.push(kind::VENDOR, id)?;
        }
        Ok(self.plain(exchange::MAIN, 0, &chain))
    }

    /// Sends the answer to `request` and keeps it for repetitions of that.
    fn answer(&mut self, request: &[u8], answer: Vec<u8>) {
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.answer = Some(Answer::new(fingerprint(request), Some(answer.clone())));
        }
        self.send(answer);
    }

    pub(super) fn receive_message3(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let cookies = self.both_cookies();
        if header.responder_cookie != self.responder_cookie {
            return Err(Error::Cookies);
        }
        let Some(negotiation) = &mut self.negotiation else {
            return Err(Error::Closed);
        };
        let proposal = negotiation.proposal.ok_or(Error::Premature)?;
        let payloads = Payloads::parse(header.next_payload, header.body(message))?;
        let (public, nonce) = read_key_exchange(&payloads, proposal.group)?;
        if let Some(version) = negotiation.vendor.nat_t {
            let endpoints = (path.local, path.remote);
            let found = || payloads.all(version.nat_d());
            // Without NAT-D payloads there is no NAT traversal, whatever the vendor IDs said.
            match nat::detect(proposal.hash, &cookies, endpoints, found()) {
                Some(nat) => negotiation.nat = nat,
                None => negotiation.vendor.nat_t = None,
            }
            let wanted = proposal.hash.len();
            negotiation.about_us = found()
                .next()
                .filter(|about_us| about_us.len() == wanted)
                .map(<[u8]>::to_vec);
        }
        negotiation.nonce_i = nonce.to_vec();
        negotiation.public_i = public.to_vec();
        negotiation.answer = Some(Answer::new(fingerprint(message), None));
        negotiation.stage = Stage::ComputingBoth;
        // Whoever sends this has seen message 2, so message 4 goes to where it came from.
        self.path = path;
        let peer = Some(public.to_vec());
        self.compute(Job {
            purpose: Purpose::Phase1,
            private: PrivateValue::generate(proposal.group, rng),
            public: true,
            peer,
        });
        Ok(())
    }

    pub(super) fn send_message4(
        &mut self,
        public: Vec<u8>,
        shared: &SharedSecret,
        rng: &mut Rng,
    ) -> Result<(), LengthTooLarge> {
        let nonce = rng.array::<NONCE_LEN>();
        let Some(mut negotiation) = self.negotiation.take() else {
            return Ok(());
        };
        let message = self.key_exchange(&negotiation, &public, &nonce, rng);
        negotiation.nonce_r = nonce.to_vec();
        negotiation.public_r = public;
        negotiation.stage = Stage::Sent4;
        let message = message?;
        if let Some(answer) = &mut negotiation.answer {
            answer.set(message.clone());
        }
        self.negotiation = Some(negotiation);
        self.derive(shared);
        self.send(message);
        Ok(())
    }

    pub(super) fn receive_message5(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let (peer_id, initial_contact, iv) = match self.open_identity(header, message) {
            Ok(opened) => opened,
            Err(error) => {
                self.authentication_failing(path, rng);
                return Err(error);
            }
        };
        if let Some(keys) = &mut self.keys {
            keys.iv = iv;
        }
        self.path = path;
        let answer = self.seal_identity(false)?;
        let kept = Answer::new(fingerprint(message), answer.clone());
        self.establish(peer_id, Some(kept), now, rng);
        if let Some(message) = answer {
            self.send(message);
        }
        if initial_contact {
            self.emit(Event::InitialContact);
        }
        Ok(())
    }
}
