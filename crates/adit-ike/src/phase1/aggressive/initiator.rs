//! Aggressive mode as initiator.

use std::time::Instant;

use adit_crypto::{PrivateValue, Rng, SharedSecret};
use adit_wire::{LengthTooLarge, Path};

use super::Half;
use crate::codec::{Builder, Header, Payloads, SecurityAssociation, kind};
use crate::error::Error;
use crate::event::CloseReason;
use crate::job::{Job, Purpose};
use crate::machine::{IkeSa, Mode};
use crate::nat;
use crate::phase1::identity::{misplaced_signature, read_id};
use crate::phase1::{Peer, Stage, read_key_exchange, shorter};
use crate::proposal::phase1::{self as proposals, Policy};
use crate::retransmit::{Answer, fingerprint};
use crate::vendor::Seen;

impl IkeSa {
    /// As initiator: the key exchange value of message 1 is to be computed. Its group is the first
    /// that is allowed, as there can be but one.
    pub(in crate::phase1) fn compute_aggressive1(&mut self, rng: &mut Rng) {
        let Some(first) = self.config.phase1.first() else {
            return self.end(CloseReason::Internal);
        };
        let private = PrivateValue::generate(first.group, rng);
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.stage = Stage::ComputingPublic;
        }
        self.compute(Job::agree(Purpose::Phase1, private, true, None));
    }

    pub(in crate::phase1) fn send_aggressive1(
        &mut self,
        private: PrivateValue,
        public: Vec<u8>,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), LengthTooLarge> {
        let methods = self.credentials.methods(Mode::Aggressive);
        let group = Some(private.group());
        let body = proposals::offer(&self.config, &methods, group)?;
        let nonce = self.config.manner.nonce(rng);
        let Some(id) = self.own_id() else {
            return Ok(());
        };
        let mut chain = Builder::new();
        chain
            .push(kind::SA, &body)?
            .push(kind::KE, &public)?
            .push(kind::NONCE, &nonce)?
            .push(kind::ID, &id)?;
        self.push_vendor_ids(&mut chain)?;
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.sa = body;
            negotiation.nonce_i = nonce;
            negotiation.public_i = public;
            negotiation.private = Some(private);
            negotiation.stage = Stage::Sent1;
        }
        let message = self.plain(self.mode.exchange(), 0, &chain);
        self.request(message, now);
        Ok(())
    }

    pub(in crate::phase1) fn receive_aggressive2(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
    ) -> Result<(), Error> {
        if header.responder_cookie == [0; 8] {
            return Err(Error::Cookies);
        }
        let payloads = Payloads::parse(header.next_payload, header.body(message))?;
        let sa = SecurityAssociation::parse(payloads.required(kind::SA)?)?;
        let Some(negotiation) = &mut self.negotiation else {
            return Err(Error::Closed);
        };
        let policy = Policy {
            config: &self.config,
            methods: &self.credentials.methods(Mode::Aggressive),
            public_len: Some(negotiation.public_i.len()),
        };
        let ((proposal, authentication), lifetime) = proposals::chosen(&policy, &sa).ok_or(
            Error::Unexpected("the responder chose what was not offered"),
        )?;
        let (public, nonce) = read_key_exchange(&payloads, proposal.group)?;
        if public == negotiation.public_i {
            return Err(Error::Unexpected("our own key exchange value"));
        }
        let (body, id) = read_id(&payloads)?;
        misplaced_signature(&payloads)?;
        let hash = payloads.required(kind::HASH)?;
        let Some(private) = negotiation.private.take() else {
            return Err(Error::Premature);
        };
        self.responder_cookie = header.responder_cookie;
        let mut vendor = Seen::read(payloads.all(kind::VENDOR));
        vendor.nat_t = vendor.nat_t.filter(|_| self.config.nat_t);
        if let Some(version) = vendor.nat_t {
            let mut cookies = [0; 16];
            let both = header
                .initiator_cookie
                .iter()
                .chain(&header.responder_cookie);
            cookies
                .iter_mut()
                .zip(both)
                .for_each(|(to, from)| *to = *from);
            let found = payloads.all(version.nat_d());
            let (local, remote) = (&[path.local], &[path.remote]);
            match nat::detect(proposal.hash, &cookies, local, remote, found) {
                Some(nat) => negotiation.nat = nat,
                None => vendor.nat_t = None,
            }
        }
        negotiation.vendor = vendor;
        negotiation.proposal = Some(proposal);
        negotiation.authentication = authentication;
        negotiation.lifetime = shorter(self.config.phase1_lifetime, lifetime);
        negotiation.nonce_r = nonce.to_vec();
        negotiation.public_r = public.to_vec();
        negotiation.request = None;
        negotiation.answer = Some(Answer::new(fingerprint(message), None));
        negotiation.half = Some(Half {
            id,
            body: body.to_vec(),
            hash: hash.to_vec(),
            chosen: Vec::new(),
        });
        negotiation.stage = Stage::ComputingShared;
        let peer = Some(public.to_vec());
        self.compute(Job::agree(Purpose::Phase1, private, false, peer));
        Ok(())
    }

    /// Message 2 is proven, or not, now that there are keys; message 3 proves us.
    pub(in crate::phase1) fn send_aggressive3(
        &mut self,
        shared: &SharedSecret,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), LengthTooLarge> {
        self.derive(shared);
        let half = self.negotiation.as_mut().and_then(|n| n.half.take());
        let (Some(half), Some(keys)) = (half, &self.keys) else {
            return Ok(());
        };
        if !self.hash_holds(keys, &half.hash, &half.body) {
            self.stats.not_authentic += 1;
            self.authentication_failing(self.path, rng);
            self.end(CloseReason::AuthenticationFailed);
            return Ok(());
        }
        self.float();
        let (Some(id), Some(keys), Some(negotiation)) =
            (self.own_id(), &self.keys, &self.negotiation)
        else {
            return Ok(());
        };
        let Some(hash) = self.phase1_hash(keys, true, &id) else {
            return Ok(());
        };
        let mut chain = Builder::new();
        chain.push(kind::HASH, &hash)?;
        self.push_nat_d(&mut chain, negotiation, rng)?;
        if self.says_initial_contact_with_identity() {
            self.push_initial_contact(&mut chain)?;
        }
        let Some(message) = self.seal_phase1(&chain) else {
            return Ok(());
        };
        // Message 3 has no answer. If it is lost, message 2 comes again.
        let mut answer = self.negotiation.as_mut().and_then(|n| n.answer.take());
        if let Some(answer) = &mut answer {
            answer.set(message.clone());
        }
        self.send(message);
        let alone = self.says_initial_contact_alone();
        self.establish(Peer::known(half.id), answer, now, rng);
        if alone {
            self.say_initial_contact(rng);
        }
        Ok(())
    }
}
