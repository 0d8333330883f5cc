//! Aggressive mode as responder.

use std::time::Instant;

use adit_crypto::{PrivateValue, Rng, SharedSecret};
use adit_wire::{LengthTooLarge, Path};

use super::{Half, Introduction};
use crate::codec::{Builder, Header, Payloads, kind};
use crate::crypt::Iv;
use crate::error::Error;
use crate::job::{Job, Purpose};
use crate::machine::{IkeSa, Mode};
use crate::nat;
use crate::phase1::identity::says_initial_contact;
use crate::phase1::{NONCE_LEN, Peer, Stage};
use crate::retransmit::{Answer, fingerprint};
use crate::vendor;

impl IkeSa {
    /// As responder: takes message 1, whose name has a key. Message 2 follows a computation.
    pub(in crate::phase1) fn compute_aggressive2(
        &mut self,
        introduction: Introduction<'_>,
        chosen: Vec<u8>,
        message: &[u8],
        rng: &mut Rng,
    ) {
        let Some(negotiation) = &mut self.negotiation else {
            return;
        };
        let Some(proposal) = negotiation.proposal else {
            return;
        };
        negotiation.nonce_i = introduction.nonce.to_vec();
        negotiation.public_i = introduction.public.to_vec();
        negotiation.half = Some(Half {
            id: introduction.id,
            body: introduction.body.to_vec(),
            hash: Vec::new(),
            chosen,
        });
        negotiation.answer = Some(Answer::new(fingerprint(message), None));
        negotiation.stage = Stage::ComputingBoth;
        let private = PrivateValue::generate(proposal.group, rng);
        let peer = Some(introduction.public.to_vec());
        self.compute(Job::agree(Purpose::Phase1, private, true, peer));
    }

    pub(in crate::phase1) fn send_aggressive2(
        &mut self,
        public: Vec<u8>,
        shared: &SharedSecret,
        rng: &mut Rng,
    ) -> Result<(), LengthTooLarge> {
        let nonce = rng.array::<NONCE_LEN>();
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.nonce_r = nonce.to_vec();
            negotiation.public_r.clone_from(&public);
            negotiation.stage = Stage::Sent2;
        }
        self.derive(shared);
        let (Some(id), Some(keys), Some(negotiation)) =
            (self.own_id(), &self.keys, &self.negotiation)
        else {
            return Ok(());
        };
        let (Some(hash), Some(half)) = (self.phase1_hash(keys, false, &id), &negotiation.half)
        else {
            return Ok(());
        };
        let mut chain = Builder::new();
        chain
            .push(kind::SA, &half.chosen)?
            .push(kind::KE, &public)?
            .push(kind::NONCE, &nonce)?
            .push(kind::ID, &id)?
            .push(kind::HASH, &hash)?;
        for id in vendor::of_responder(&negotiation.vendor) {
            chain.push(kind::VENDOR, id)?;
        }
        self.push_nat_d(&mut chain, negotiation, rng)?;
        let message = self.plain(self.mode.exchange(), 0, &chain);
        if let Some(answer) = self.negotiation.as_mut().and_then(|n| n.answer.as_mut()) {
            answer.set(message.clone());
        }
        self.send(message);
        Ok(())
    }

    pub(in crate::phase1) fn receive_aggressive3(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let next = match self.open_aggressive3(path, header, message) {
            Ok(next) => next,
            Err(error) => {
                self.authentication_failing(path, rng);
                return Err(error);
            }
        };
        let Some(half) = self.negotiation.as_mut().and_then(|n| n.half.take()) else {
            return Err(Error::Closed);
        };
        if let Some(keys) = &mut self.keys {
            keys.iv = next.iv;
        }
        if let Some(negotiation) = &mut self.negotiation {
            match next.nat {
                Some(nat) => negotiation.nat = nat,
                None => negotiation.vendor.nat_t = None,
            }
        }
        self.path = path;
        let peer = Peer::known(half.id);
        let answer = (fingerprint(message), None);
        self.finish_as_responder(peer, next.initial_contact, answer, now, rng);
        Ok(())
    }

    fn open_aggressive3(
        &self,
        path: Path,
        header: &Header,
        message: &[u8],
    ) -> Result<Third, Error> {
        let (Some(keys), Some(negotiation)) = (&self.keys, &self.negotiation) else {
            return Err(Error::Premature);
        };
        let (Some(half), Some(proposal)) = (&negotiation.half, negotiation.proposal) else {
            return Err(Error::Premature);
        };
        let (body, iv) = if header.encrypted {
            keys.crypt.open(&keys.iv, header.body(message))?
        } else {
            (header.body(message).to_vec(), keys.iv)
        };
        let payloads = Payloads::parse(header.next_payload, &body)?;
        self.check_hash(keys, &payloads, &half.body)?;
        // Some hash the ports that they have moved to already, others those of before.
        let local = [path.local, self.path.local];
        let remote = [path.remote, self.path.remote];
        let cookies = self.both_cookies();
        let nat = negotiation.vendor.nat_t.and_then(|version| {
            let found = payloads.all(version.nat_d());
            nat::detect(proposal.hash, &cookies, &local, &remote, found)
        });
        Ok(Third {
            nat,
            initial_contact: says_initial_contact(&payloads)?,
            iv,
        })
    }

    /// Whether message 3 of aggressive mode is due.
    pub(crate) fn awaits_aggressive3(&self) -> bool {
        let stage = self.negotiation.as_ref().map(|n| n.stage);
        self.mode == Mode::Aggressive && stage == Some(Stage::Sent2)
    }

    /// The initiator goes on, so its message 3 was lost. Message 2 makes it repeat that.
    pub(crate) fn repeat_aggressive2(&mut self, path: Path) -> Result<(), Error> {
        let negotiation = self.negotiation.as_mut();
        let answer = negotiation.and_then(|n| n.answer.as_mut()?.resend());
        self.resend_answer(path, answer);
        Err(Error::Premature)
    }
}

/// What an authentic message 3 says.
struct Third {
    nat: Option<nat::Nat>,
    initial_contact: bool,
    iv: Iv,
}
