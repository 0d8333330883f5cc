//! Messages 5 and 6 of main mode with certificates (RFC 2409 section 5.1, RFC 4945 section 3): the
//! identification, the chain, and a signature over the hash, made and checked in jobs. Only who
//! took part in the Diffie-Hellman can write such a message, so one that proves nothing ends the
//! negotiation: it buys its sender one verification.

use std::sync::Arc;
use std::time::Instant;

use adit_cert::Purpose;
use adit_crypto::{Digest, Rng};
use adit_wire::{LengthTooLarge, Path};

use super::identity::{Said, read_id, says_initial_contact};
use super::{Peer, Stage};
use crate::authentication::Authentication;
use crate::codec::{
    Builder, DecodeError, Delete, Header, IdValue, Payloads, certificates, kind, protocol,
    write_certificate, write_certificate_request,
};
use crate::error::Error;
use crate::event::CloseReason;
use crate::job::Job;
use crate::machine::{IkeSa, Role};
use crate::proof::{Check, Proof, Proven, Sign, Unproven};
use crate::retransmit::{Answer, fingerprint};

/// Most authorities that are asked for by name; where there are more, any is asked for.
const MAX_REQUESTS: usize = 8;

/// What the peer said in a message that a job has to finish.
pub(crate) struct Awaited {
    id: IdValue,
    initial_contact: bool,
    path: Path,
    /// The fingerprint of the message.
    request: Digest,
}

impl IkeSa {
    /// Starts the signature of message 5.
    pub(super) fn start_signing(&mut self, rng: &mut Rng) {
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.stage = Stage::Signing;
        }
        let sign = self.own_signature(rng);
        self.compute(Job::prove(Proof { check: None, sign }));
    }

    /// What we have to sign.
    fn own_signature(&self, rng: &mut Rng) -> Option<Sign> {
        let id = self.own_id()?;
        let initiator = self.role == Role::Initiator;
        Some(Sign {
            certificate: Arc::clone(self.credentials.certificate.as_ref()?),
            hash: self.phase1_hash(self.keys.as_ref()?, initiator, &id)?,
            rng: rng.fork(),
        })
    }

    /// Seals our identification, chain and signature, and asks for the peer's certificate if it
    /// has yet to send it.
    fn seal_signed(
        &mut self,
        signature: &[u8],
        initial_contact: bool,
    ) -> Result<Option<Vec<u8>>, LengthTooLarge> {
        let (Some(id), Some(certificate)) = (self.own_id(), &self.credentials.certificate) else {
            return Ok(None);
        };
        let mut chain = Builder::new();
        chain.push(kind::ID, &id)?;
        for der in certificate.chain() {
            chain.push(kind::CERT, &write_certificate(der))?;
        }
        if self.role == Role::Initiator {
            self.push_certificate_requests(&mut chain)?;
        }
        chain.push(kind::SIG, signature)?;
        if initial_contact {
            self.push_initial_contact(&mut chain)?;
        }
        Ok(self.seal_phase1(&chain))
    }

    /// Asks for a certificate under one of our authorities, if the ends prove themselves so.
    pub(super) fn push_certificate_requests(
        &self,
        chain: &mut Builder,
    ) -> Result<(), LengthTooLarge> {
        let method = self.negotiation.as_ref().map(|n| n.authentication);
        let (Some(Authentication::Signature(_)), Some(trust)) = (method, &self.credentials.trust)
        else {
            return Ok(());
        };
        let issuers = trust.issuers();
        if issuers.is_empty() || issuers.len() > MAX_REQUESTS {
            chain.push(kind::CERTREQ, &write_certificate_request(&[]))?;
            return Ok(());
        }
        for issuer in issuers {
            chain.push(kind::CERTREQ, &write_certificate_request(issuer))?;
        }
        Ok(())
    }

    /// Reads message 5 or 6 as far as that goes without computing. An error means that somebody
    /// else wrote it, or somebody who does not keep to the method.
    fn open_signed(&self, header: &Header, message: &[u8]) -> Result<(Said, Check), Error> {
        let (Some(keys), Some(negotiation)) = (&self.keys, &self.negotiation) else {
            return Err(Error::Premature);
        };
        let (Authentication::Signature(scheme), Some(trust)) =
            (negotiation.authentication, &self.credentials.trust)
        else {
            return Err(Error::Premature);
        };
        let (clear, iv) = keys.crypt.open(&keys.iv, header.body(message))?;
        let payloads = Payloads::parse(header.next_payload, &clear)?;
        let (body, id) = read_id(&payloads)?;
        if payloads.all(kind::HASH).next().is_some() {
            return Err(DecodeError::Misplaced(kind::HASH).into());
        }
        let signature = payloads.required(kind::SIG)?.to_vec();
        let hash = self
            .phase1_hash(keys, self.role == Role::Responder, body)
            .ok_or(Error::Premature)?;
        let check = Check {
            trust: Arc::clone(trust),
            purpose: if self.serves {
                Purpose::Client
            } else {
                Purpose::Server
            },
            scheme,
            certificates: certificates(&payloads)?,
            hash,
            signature,
            id: id.clone(),
            wanted: negotiation.peer.clone(),
        };
        let initial_contact = says_initial_contact(&payloads)?;
        let said = Said {
            id,
            initial_contact,
            iv,
        };
        Ok((said, check))
    }

    /// Takes message 5 or 6: a job checks it, and signs our own message 6 behind a good message 5.
    pub(super) fn receive_signed(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let (said, check) = match self.open_signed(header, message) {
            Ok(opened) => opened,
            Err(error) => {
                self.authentication_failing(path, rng);
                return Err(error);
            }
        };
        if let Some(keys) = &mut self.keys {
            keys.iv = said.iv;
        }
        let responder = self.role == Role::Responder;
        let sign = responder.then(|| self.own_signature(rng)).flatten();
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.request = None;
            negotiation.answer = Some(Answer::new(fingerprint(message), None));
            negotiation.stage = if responder {
                Stage::Proving
            } else {
                Stage::Verifying
            };
            negotiation.awaited = Some(Awaited {
                id: said.id,
                initial_contact: said.initial_contact,
                path,
                request: fingerprint(message),
            });
        }
        let check = Some(check);
        self.compute(Job::prove(Proof { check, sign }));
        Ok(())
    }

    /// Goes on with what a job has signed or checked.
    pub(super) fn phase1_proven(
        &mut self,
        proven: Proven,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), LengthTooLarge> {
        let Some(negotiation) = &mut self.negotiation else {
            return Ok(());
        };
        let stage = negotiation.stage;
        let awaited = negotiation.awaited.take();
        let (peer, signature) = (proven.peer, proven.signature);
        match (stage, awaited, peer, signature) {
            (_, _, Some(Err(unproven)), _) => self.refuse_peer(unproven, rng),
            (_, _, _, Some(Err(_))) => self.end(CloseReason::Internal),
            (Stage::Signing, _, _, Some(Ok(signature))) => {
                self.send_signed5(&signature, now)?;
            }
            (Stage::Proving, Some(awaited), Some(Ok(name)), Some(Ok(signature))) => {
                self.path = awaited.path;
                let answer = self.seal_signed(&signature, false)?;
                self.finish_as_responder(
                    awaited.peer(name),
                    awaited.initial_contact,
                    (awaited.request, answer),
                    now,
                    rng,
                );
            }
            (Stage::Verifying, Some(awaited), Some(Ok(name)), None) => {
                let contact = awaited.initial_contact;
                self.finish_as_initiator(awaited.peer(name), contact, awaited.request, now, rng);
            }
            _ => self.end(CloseReason::Internal),
        }
        Ok(())
    }

    fn send_signed5(&mut self, signature: &[u8], now: Instant) -> Result<(), LengthTooLarge> {
        let initial_contact = self.says_initial_contact_with_identity();
        if let Some(message) = self.seal_signed(signature, initial_contact)? {
            if let Some(negotiation) = &mut self.negotiation {
                negotiation.stage = Stage::Sent5;
            }
            self.request(message, now);
        }
        Ok(())
    }

    /// Ends the negotiation with a peer that has not proven itself, and tells it why. A responder
    /// of main mode has an SA by now, so it is told under that SA's keys, and to drop it.
    fn refuse_peer(&mut self, unproven: Unproven, rng: &mut Rng) {
        self.stats.not_authentic += 1;
        let kind = unproven.notify();
        if self.role == Role::Responder {
            self.inform_plainly(self.path, kind, rng);
        } else {
            let cookies = self.both_cookies();
            self.notify_protected(protocol::ISAKMP, &cookies, kind, rng);
            self.inform_protected(kind::DELETE, &Delete::isakmp(cookies), rng);
        }
        self.end(CloseReason::Unproven(Box::new(unproven)));
    }
}

impl Awaited {
    fn peer(&self, name: String) -> Peer {
        Peer {
            id: self.id.clone(),
            certificate: Some(name),
        }
    }
}
