//! Main mode as initiator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use adit_crypto::{PrivateValue, Rng, SharedSecret};
use adit_wire::{Channel, LengthTooLarge, Path};

use super::{Negotiation, Stage, read_key_exchange, shorter};
use crate::codec::{
    Builder, Header, Payloads, SecurityAssociation, exchange, kind, notify, protocol,
};
use crate::config::Config;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::event::{CloseReason, Event};
use crate::job::{Job, Purpose};
use crate::machine::{IkeSa, Opening, Role};
use crate::manner::InitialContact;
use crate::nat;
use crate::proposal::phase1 as proposals;
use crate::retransmit::{Answer, Request, fingerprint};
use crate::vendor::{self, Seen};

/// A cookie that is not zero.
pub(super) fn cookie(rng: &mut Rng) -> [u8; 8] {
    rng.u64().max(1).to_be_bytes()
}

/// Sends message 1.
pub(crate) fn initiate(
    config: &Arc<Config>,
    credentials: &Arc<Credentials>,
    path: Path,
    nat_t_local: SocketAddr,
    opening: Opening,
    now: Instant,
    rng: &mut Rng,
) -> IkeSa {
    let mut negotiation = Negotiation::new(config, Stage::Sent1, opening.identity, Vec::new(), now);
    negotiation.nat_t_local = Some(nat_t_local);
    negotiation.initial_contact = config.manner.initial_contact != InitialContact::Never;
    let cookies = (cookie(rng), [0; 8]);
    let mut sa = IkeSa::new(
        config,
        credentials,
        Role::Initiator,
        path,
        cookies,
        negotiation,
    );
    if sa.send_message1(now).is_err() {
        sa.end(CloseReason::Internal);
    }
    sa
}

impl IkeSa {
    fn send_message1(&mut self, now: Instant) -> Result<(), LengthTooLarge> {
        let body = proposals::offer(&self.config)?;
        let mut chain = Builder::new();
        chain.push(kind::SA, &body)?;
        match self.config.manner.vendor_ids {
            Some(ids) => {
                for id in ids {
                    chain.push(kind::VENDOR, id)?;
                }
            }
            None => {
                for id in vendor::of_initiator(self.config.nat_t) {
                    chain.push(kind::VENDOR, id)?;
                }
            }
        }
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.sa = body;
        }
        let message = self.plain(exchange::MAIN, 0, &chain);
        self.request(message, now);
        Ok(())
    }

    /// Sends a message of main mode and repeats it until it is answered.
    fn request(&mut self, message: Vec<u8>, now: Instant) {
        let request = Request::new(&self.config.retransmit, message.clone(), now);
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.request = Some(request);
        }
        self.send(message);
    }

    pub(super) fn receive_message2(
        &mut self,
        header: &Header,
        message: &[u8],
        rng: &mut Rng,
    ) -> Result<(), Error> {
        if header.responder_cookie == [0; 8] {
            return Err(Error::Cookies);
        }
        let payloads = Payloads::parse(header.next_payload, header.body(message))?;
        let sa = SecurityAssociation::parse(payloads.required(kind::SA)?)?;
        let (proposal, lifetime) = proposals::chosen(&self.config, &sa).ok_or(
            Error::Unexpected("the responder chose what was not offered"),
        )?;
        let Some(negotiation) = &mut self.negotiation else {
            return Err(Error::Closed);
        };
        let mut vendor = Seen::read(payloads.all(kind::VENDOR));
        vendor.nat_t = vendor.nat_t.filter(|_| self.config.nat_t);
        negotiation.vendor = vendor;
        negotiation.proposal = Some(proposal);
        negotiation.lifetime = shorter(self.config.phase1_lifetime, lifetime);
        negotiation.request = None;
        negotiation.answer = Some(Answer::new(fingerprint(message), None));
        negotiation.stage = Stage::ComputingPublic;
        self.responder_cookie = header.responder_cookie;
        self.compute(Job {
            purpose: Purpose::Phase1,
            private: PrivateValue::generate(proposal.group, rng),
            public: true,
            peer: None,
        });
        Ok(())
    }

    pub(super) fn send_message3(
        &mut self,
        private: PrivateValue,
        public: Vec<u8>,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), LengthTooLarge> {
        let nonce = self.config.manner.nonce(rng);
        let Some(mut negotiation) = self.negotiation.take() else {
            return Ok(());
        };
        let message = self.key_exchange(&negotiation, &public, &nonce, rng);
        negotiation.nonce_i = nonce;
        negotiation.public_i = public;
        negotiation.private = Some(private);
        negotiation.stage = Stage::Sent3;
        self.negotiation = Some(negotiation);
        self.request(message?, now);
        Ok(())
    }

    pub(super) fn receive_message4(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
    ) -> Result<(), Error> {
        let cookies = self.both_cookies();
        let Some(negotiation) = &mut self.negotiation else {
            return Err(Error::Closed);
        };
        let proposal = negotiation.proposal.ok_or(Error::Premature)?;
        let payloads = Payloads::parse(header.next_payload, header.body(message))?;
        let (public, nonce) = read_key_exchange(&payloads, proposal.group)?;
        // With it and our own cookie, HASH_R would be the HASH_I that we are about to send.
        if public == negotiation.public_i {
            return Err(Error::Unexpected("our own key exchange value"));
        }
        let Some(private) = negotiation.private.take() else {
            return Err(Error::Premature);
        };
        if let Some(version) = negotiation.vendor.nat_t {
            let endpoints = (path.local, path.remote);
            let found = payloads.all(version.nat_d());
            // Without NAT-D payloads there is no NAT traversal, whatever the vendor IDs said.
            match nat::detect(proposal.hash, &cookies, endpoints, found) {
                Some(nat) => negotiation.nat = nat,
                None => negotiation.vendor.nat_t = None,
            }
        }
        negotiation.nonce_r = nonce.to_vec();
        negotiation.public_r = public.to_vec();
        negotiation.request = None;
        negotiation.answer = Some(Answer::new(fingerprint(message), None));
        negotiation.stage = Stage::ComputingShared;
        let peer = Some(public.to_vec());
        self.compute(Job {
            purpose: Purpose::Phase1,
            private,
            public: false,
            peer,
        });
        Ok(())
    }

    pub(super) fn send_message5(
        &mut self,
        shared: &SharedSecret,
        now: Instant,
    ) -> Result<(), LengthTooLarge> {
        self.derive(shared);
        let Some(negotiation) = &mut self.negotiation else {
            return Ok(());
        };
        negotiation.stage = Stage::Sent5;
        let manner = &self.config.manner;
        let initial_contact =
            negotiation.initial_contact && manner.initial_contact == InitialContact::WithIdentity;
        // RFC 3947 section 4: from message 5 on the initiator uses the other port.
        if negotiation.encapsulate(&self.config) && self.path.channel == Channel::Ike {
            let mut remote = self.path.remote;
            remote.set_port(self.config.nat_t_port);
            self.path = Path {
                channel: Channel::NatT,
                local: negotiation.nat_t_local.unwrap_or(self.path.local),
                remote,
            };
        }
        if let Some(message) = self.seal_identity(initial_contact)? {
            self.request(message, now);
        }
        Ok(())
    }

    pub(super) fn receive_message6(
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
        let answer = Answer::new(fingerprint(message), None);
        let alone = self.config.manner.initial_contact == InitialContact::Alone
            && self.negotiation.as_ref().is_some_and(|n| n.initial_contact);
        self.establish(peer_id, Some(answer), now, rng);
        if alone {
            let cookies = self.both_cookies();
            self.inform_notify(
                protocol::ISAKMP,
                &cookies,
                notify::INITIAL_CONTACT,
                &[],
                rng,
            );
        }
        if initial_contact {
            self.emit(Event::InitialContact);
        }
        Ok(())
    }
}
