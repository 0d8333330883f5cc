//! Phase 1 as initiator: its start in both modes, and main mode.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use adit_crypto::{Digest, PrivateValue, Rng, SharedSecret};
use adit_wire::{Channel, LengthTooLarge, Path};

use super::{Negotiation, Peer, Stage, read_key_exchange, shorter};
use crate::authentication::Authentication;
use crate::codec::{Builder, Header, Payloads, SecurityAssociation, kind, notify, protocol};
use crate::config::Config;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::event::{CloseReason, Event};
use crate::job::{Job, Purpose};
use crate::machine::{IkeSa, Mode, Opening, Role};
use crate::manner::InitialContact;
use crate::nat;
use crate::proposal::phase1::{self as proposals, Policy};
use crate::retransmit::{Answer, Request, fingerprint};
use crate::vendor::{self, Seen};

/// Sends message 1; in aggressive mode when the key exchange value for it is computed.
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
    negotiation.peer = opening.peer;
    negotiation.psk = credentials.psks.first().map(|psk| Arc::clone(&psk.key));
    negotiation.nat_t_local = Some(nat_t_local);
    negotiation.initial_contact = config.manner.initial_contact != InitialContact::Never;
    let cookies = (config.cookie(rng), [0; 8]);
    let mut sa = IkeSa::new(
        config,
        credentials,
        (Role::Initiator, opening.mode),
        path,
        cookies,
        negotiation,
    );
    let sent = match opening.mode {
        Mode::Main => sa.send_message1(now),
        Mode::Aggressive => {
            sa.compute_aggressive1(rng);
            Ok(())
        }
    };
    if sent.is_err() {
        sa.end(CloseReason::Internal);
    }
    sa
}

impl IkeSa {
    fn send_message1(&mut self, now: Instant) -> Result<(), LengthTooLarge> {
        let methods = self.credentials.methods(Mode::Main);
        let body = proposals::offer(&self.config, &methods, None)?;
        let mut chain = Builder::new();
        chain.push(kind::SA, &body)?;
        self.push_vendor_ids(&mut chain)?;
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.sa = body;
        }
        let message = self.plain(self.mode.exchange(), 0, &chain);
        self.request(message, now);
        Ok(())
    }

    /// Appends the vendor IDs of message 1.
    pub(super) fn push_vendor_ids(&self, chain: &mut Builder) -> Result<(), LengthTooLarge> {
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
        Ok(())
    }

    /// Sends a message of phase 1 and repeats it until it is answered.
    pub(super) fn request(&mut self, message: Vec<u8>, now: Instant) {
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
        let policy = Policy {
            config: &self.config,
            methods: &self.credentials.methods(Mode::Main),
            public_len: None,
        };
        let ((proposal, authentication), lifetime) = proposals::chosen(&policy, &sa).ok_or(
            Error::Unexpected("the responder chose what was not offered"),
        )?;
        let Some(negotiation) = &mut self.negotiation else {
            return Err(Error::Closed);
        };
        let mut vendor = Seen::read(payloads.all(kind::VENDOR));
        vendor.nat_t = vendor.nat_t.filter(|_| self.config.nat_t);
        negotiation.vendor = vendor;
        negotiation.proposal = Some(proposal);
        negotiation.authentication = authentication;
        negotiation.lifetime = shorter(self.config.phase1_lifetime, lifetime);
        negotiation.request = None;
        negotiation.answer = Some(Answer::new(fingerprint(message), None));
        negotiation.stage = Stage::ComputingPublic;
        self.responder_cookie = header.responder_cookie;
        let private = PrivateValue::generate(proposal.group, rng);
        self.compute(Job::agree(Purpose::Phase1, private, true, None));
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
        let message = self.plain(self.mode.exchange(), 0, &message?);
        self.request(message, now);
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
            let (local, remote) = ([path.local], [path.remote]);
            let found = payloads.all(version.nat_d());
            // Without NAT-D payloads there is no NAT traversal, whatever the vendor IDs said.
            match nat::detect(proposal.hash, &cookies, &local, &remote, found) {
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
        self.compute(Job::agree(Purpose::Phase1, private, false, peer));
        Ok(())
    }

    pub(super) fn send_message5(
        &mut self,
        shared: &SharedSecret,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), LengthTooLarge> {
        self.derive(shared);
        self.float();
        let authentication = self.negotiation.as_ref().map(|n| n.authentication);
        if let Some(Authentication::Signature(_)) = authentication {
            self.start_signing(rng);
            return Ok(());
        }
        let initial_contact = self.says_initial_contact_with_identity();
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.stage = Stage::Sent5;
        }
        if let Some(message) = self.seal_identity(initial_contact)? {
            self.request(message, now);
        }
        Ok(())
    }

    /// Moves to the other port if there is a NAT: RFC 3947 section 4 has an initiator do that with
    /// its last message of phase 1 at the latest.
    pub(super) fn float(&mut self) {
        let Some(negotiation) = &self.negotiation else {
            return;
        };
        if negotiation.encapsulate(&self.config) && self.path.channel == Channel::Ike {
            let mut remote = self.path.remote;
            remote.set_port(self.config.nat_t_port);
            self.path = Path {
                channel: Channel::NatT,
                local: negotiation.nat_t_local.unwrap_or(self.path.local),
                remote,
            };
        }
    }

    /// Whether the message that proves who we are says INITIAL-CONTACT.
    pub(super) fn says_initial_contact_with_identity(&self) -> bool {
        let wanted = self.negotiation.as_ref().is_some_and(|n| n.initial_contact);
        wanted && self.config.manner.initial_contact == InitialContact::WithIdentity
    }

    pub(super) fn receive_message6(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let authentication = self.negotiation.as_ref().map(|n| n.authentication);
        if let Some(Authentication::Signature(_)) = authentication {
            return self.receive_signed(path, header, message, rng);
        }
        let keys = self.keys.as_ref().ok_or(Error::Premature)?;
        let said = match self.open_identity(keys, header, message) {
            Ok(said) => said,
            Err(error) => {
                self.authentication_failing(path, rng);
                return Err(error);
            }
        };
        if let Some(keys) = &mut self.keys {
            keys.iv = said.iv;
        }
        let peer = Peer::known(said.id);
        self.finish_as_initiator(peer, said.initial_contact, fingerprint(message), now, rng);
        Ok(())
    }

    /// Message 6 of main mode, of that fingerprint, has proven who the peer is.
    pub(super) fn finish_as_initiator(
        &mut self,
        peer: Peer,
        initial_contact: bool,
        request: Digest,
        now: Instant,
        rng: &mut Rng,
    ) {
        let alone = self.says_initial_contact_alone();
        self.establish(peer, Some(Answer::new(request, None)), now, rng);
        if alone {
            self.say_initial_contact(rng);
        }
        if initial_contact {
            self.emit(Event::InitialContact);
        }
    }

    /// Whether INITIAL-CONTACT is to be said in an exchange of its own.
    pub(super) fn says_initial_contact_alone(&self) -> bool {
        let wanted = self.negotiation.as_ref().is_some_and(|n| n.initial_contact);
        wanted && self.config.manner.initial_contact == InitialContact::Alone
    }

    pub(super) fn say_initial_contact(&mut self, rng: &mut Rng) {
        let cookies = self.both_cookies();
        let kind = notify::INITIAL_CONTACT;
        self.inform_notify(protocol::ISAKMP, &cookies, kind, &[], rng);
    }
}
