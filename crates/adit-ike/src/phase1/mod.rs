//! Phase 1, RFC 2409 section 5: what both ends and both modes share. Main mode: 1 → SA, 2 ← SA,
//! 3 → KE Ni NAT-D, 4 ← KE Nr NAT-D [CERTREQ], 5 → ID HASH_I, 6 ← ID HASH_R; with certificates, 5
//! and 6 are ID CERT [CERTREQ] SIG. Aggressive mode: 1 → SA KE Ni IDii, 2 ← SA KE Nr IDir NAT-D
//! HASH_R, 3 → NAT-D HASH_I.

mod aggressive;
mod certified;
mod derive;
mod identity;
pub(crate) mod initiator;
mod negotiation;
pub(crate) mod responder;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use adit_crypto::{Group, Rng};
use adit_wire::{LengthTooLarge, Path};

use crate::codec::{Builder, DecodeError, Header, Payloads, check_nonce, kind, notify};
use crate::dpd::Watch;
use crate::error::Error;
use crate::event::{CloseReason, Event, Phase1};
use crate::job::{Agreed, Outcome};
use crate::machine::{Established, IkeSa, Mode, Role};
use crate::nat;
use crate::retransmit::Answer;
use crate::timer::GRACE;
use crate::vendor::ClientKind;

use negotiation::Peer;
pub(crate) use negotiation::{Negotiation, Stage};

/// Bytes of our nonces.
pub(crate) const NONCE_LEN: usize = 32;

/// The shortest lifetime of an SA that a server replaces by itself.
const LEAST_REPLACED: Duration = Duration::from_secs(60);

impl IkeSa {
    pub(crate) fn receive_phase1(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        if header.exchange != self.mode.exchange() {
            return Err(Error::Exchange(header.exchange));
        }
        if header.message_id != 0 {
            return Err(Error::Unexpected("a message ID in phase 1"));
        }
        // Until the path is authenticated, an answer goes to whoever repeats the question: to move
        // an answer elsewhere takes a question as long.
        let (answer, back) = match (&mut self.negotiation, &mut self.established) {
            (Some(negotiation), _) => (&mut negotiation.answer, path),
            (None, Some(established)) => (&mut established.answer, self.path),
            (None, None) => return Err(Error::Closed),
        };
        if let Some(answer) = answer
            && answer.is_for(message)
        {
            let answer = answer.resend();
            self.stats.duplicates += 1;
            self.resend_answer(back, answer);
            return Ok(());
        }
        let Some(stage) = self.negotiation.as_ref().map(|n| n.stage) else {
            return Err(Error::Unexpected("phase 1 is done"));
        };
        let encrypted = match (self.mode, stage) {
            (Mode::Main, Stage::Sent4 | Stage::Sent5) => true,
            // RFC 2409 section 5 leaves it to the initiator whether message 3 is encrypted.
            (Mode::Aggressive, Stage::Sent2) => header.encrypted,
            _ => false,
        };
        if header.encrypted != encrypted {
            return Err(Error::Unexpected("encryption at the wrong step of phase 1"));
        }
        match (self.mode, stage) {
            (Mode::Main, Stage::Sent1) => self.receive_message2(header, message, rng),
            (Mode::Main, Stage::Sent3) => self.receive_message4(path, header, message),
            (Mode::Main, Stage::Sent5) => self.receive_message6(path, header, message, now, rng),
            (Mode::Main, Stage::Sent2) => self.receive_message3(path, header, message, rng),
            (Mode::Main, Stage::Sent4) => self.receive_message5(path, header, message, now, rng),
            (Mode::Aggressive, Stage::Sent1) => self.receive_aggressive2(path, header, message),
            (Mode::Aggressive, Stage::Sent2) => {
                self.receive_aggressive3(path, header, message, now, rng)
            }
            _ => Err(Error::Unexpected("a computation is running")),
        }
    }

    pub(crate) fn phase1_job(&mut self, outcome: Outcome, now: Instant, rng: &mut Rng) {
        let result = match outcome {
            Outcome::Agreed(agreed) => self.phase1_agreed(agreed, now, rng),
            Outcome::Proven(proven) => self.phase1_proven(proven, now, rng),
        };
        if result.is_err() {
            self.end(CloseReason::Internal);
        }
    }

    fn phase1_agreed(
        &mut self,
        agreed: Agreed,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), LengthTooLarge> {
        let Some(stage) = self.negotiation.as_ref().map(|n| n.stage) else {
            return Ok(());
        };
        let Agreed {
            private,
            public,
            shared,
        } = agreed;
        match (stage, self.mode, public, shared) {
            (_, _, _, Some(Err(_))) => {
                self.stats.bad_public_values += 1;
                self.inform_plainly(self.path, notify::INVALID_KEY_INFORMATION, rng);
                self.end(CloseReason::BadPublicValue);
                Ok(())
            }
            (Stage::ComputingPublic, Mode::Main, Some(public), _) => {
                self.send_message3(private, public, now, rng)
            }
            (Stage::ComputingPublic, Mode::Aggressive, Some(public), _) => {
                self.send_aggressive1(private, public, now, rng)
            }
            (Stage::ComputingShared, Mode::Main, _, Some(Ok(shared))) => {
                self.send_message5(&shared, now, rng)
            }
            (Stage::ComputingShared, Mode::Aggressive, _, Some(Ok(shared))) => {
                self.send_aggressive3(&shared, now, rng)
            }
            (Stage::ComputingBoth, Mode::Main, Some(public), Some(Ok(shared))) => {
                self.send_message4(public, &shared, rng)
            }
            (Stage::ComputingBoth, Mode::Aggressive, Some(public), Some(Ok(shared))) => {
                self.send_aggressive2(public, &shared, rng)
            }
            _ => Ok(()),
        }
    }

    /// KE, nonce and, with NAT traversal, both NAT-D payloads: messages 3 and 4.
    fn key_exchange(
        &self,
        negotiation: &Negotiation,
        public: &[u8],
        nonce: &[u8],
        rng: &mut Rng,
    ) -> Result<Builder, LengthTooLarge> {
        let mut chain = Builder::new();
        chain.push(kind::KE, public)?.push(kind::NONCE, nonce)?;
        self.push_nat_d(&mut chain, negotiation, rng)?;
        Ok(chain)
    }

    /// Appends both NAT-D payloads, with NAT traversal.
    fn push_nat_d(
        &self,
        chain: &mut Builder,
        negotiation: &Negotiation,
        rng: &mut Rng,
    ) -> Result<(), LengthTooLarge> {
        let (Some(version), Some(proposal)) = (negotiation.vendor.nat_t, negotiation.proposal)
        else {
            return Ok(());
        };
        let cookies = self.both_cookies();
        let hash = proposal.hash;
        let mut of_peer = nat::nat_d(hash, &cookies, self.path.remote).to_vec();
        let mut of_us = nat::nat_d(hash, &cookies, self.path.local).to_vec();
        let force = self.config.force_encapsulation;
        // Windows refuses a server behind a NAT. So it hears of us what it believes itself,
        // and where ESP has to travel in UDP for our sake, that it is behind one.
        let windows = negotiation.client() == ClientKind::Windows;
        let (believed, behind) = match (self.role, negotiation.known_as) {
            (Role::Responder, _) => (negotiation.about_us.clone(), negotiation.nat.local_behind),
            (Role::Initiator, Some(address)) => {
                let endpoint = SocketAddr::new(address, self.path.local.port());
                let believed = nat::nat_d(hash, &cookies, endpoint).to_vec();
                (Some(believed), address != self.path.local.ip())
            }
            (Role::Initiator, None) => (None, false),
        };
        match believed {
            Some(believed) if windows && self.serves => {
                of_us = believed;
                if force || behind {
                    rng.fill(&mut of_peer);
                }
            }
            _ if force => rng.fill(&mut of_us),
            _ => {}
        }
        chain
            .push(version.nat_d(), &of_peer)?
            .push(version.nat_d(), &of_us)?;
        Ok(())
    }

    /// Both ends are authentic: from here on this is an SA.
    fn establish(&mut self, peer: Peer, answer: Option<Answer>, now: Instant, rng: &mut Rng) {
        let Some(negotiation) = self.negotiation.take() else {
            return;
        };
        let Some(proposal) = negotiation.proposal else {
            return;
        };
        let encapsulate = negotiation.encapsulate(&self.config);
        let client = negotiation.client();
        let Negotiation {
            vendor,
            nat,
            lifetime,
            identity,
            authentication,
            psk,
            ..
        } = *negotiation;
        let watch = self.config.dpd.filter(|_| vendor.dpd);
        // At 80 to 90 % of the lifetime, so that many peers do not come back at once; the server
        // later, if the client has not come. What lives very short is the client's own affair.
        let jitter = f64::from(rng.below(100)) / 1000.0;
        let share = if self.serves {
            0.92 + 0.4 * jitter
        } else {
            0.8 + jitter
        };
        let due = !self.serves || lifetime >= LEAST_REPLACED;
        self.established = Some(Box::new(Established {
            nat_t: vendor.nat_t,
            encapsulate,
            fragments: vendor.fragments.is_some(),
            extended: false,
            client,
            identity,
            psk,
            answer,
            dpd_answer: None,
            watch: watch.map(|config| Watch::new(config, rng.u32(), now)),
            rekey: due.then(|| now + lifetime.mul_f64(share)),
            expires: now + lifetime.saturating_add(GRACE),
        }));
        self.emit(Event::Established(Box::new(Phase1 {
            peer_id: peer.id,
            authentication,
            certificate: peer.certificate,
            proposal,
            nat,
            nat_t: vendor.nat_t,
            encapsulate,
            vendor_ids: vendor.ids,
            client,
            lifetime,
            dpd: vendor.dpd,
        })));
    }
}

/// The peer's key exchange value and nonce, their lengths checked.
fn read_key_exchange<'a>(
    payloads: &Payloads<'a>,
    group: Group,
) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
    let public = payloads.required(kind::KE)?;
    check_public(public, group)?;
    let nonce = check_nonce(payloads.required(kind::NONCE)?)?;
    Ok((public, nonce))
}

/// Checks the length of a key exchange value.
pub(crate) fn check_public(public: &[u8], group: Group) -> Result<(), DecodeError> {
    let wanted = group.public_len();
    if public.len() == wanted {
        Ok(())
    } else {
        Err(DecodeError::KeyExchange {
            found: public.len(),
            wanted,
        })
    }
}

/// A lifetime that both ends can live with.
fn shorter(own: Duration, stated: Option<Duration>) -> Duration {
    stated
        .filter(|stated| !stated.is_zero())
        .map_or(own, |stated| stated.min(own))
}

#[cfg(test)]
impl IkeSa {
    /// The keys in use, or those of the first candidate.
    fn keys_now(&self) -> &crate::exchange::Keys {
        let candidates = self.negotiation.iter().flat_map(|n| &n.candidates);
        let mut keys = self.keys.iter().map(|keys| &**keys);
        keys.next()
            .or(candidates.map(|candidate| &candidate.keys).next())
            .unwrap()
    }

    /// HASH_I or HASH_R under these keys.
    pub(crate) fn proof(&self, initiator: bool, id: &[u8]) -> adit_crypto::Digest {
        self.phase1_hash(self.keys_now(), initiator, id).unwrap()
    }

    /// A message of phase 1 that this end would decrypt next.
    pub(crate) fn forge(&self, chain: &Builder) -> Vec<u8> {
        let keys = self.keys_now();
        let header = Header {
            next_payload: chain.first(),
            encrypted: true,
            ..self.header(self.mode.exchange(), 0)
        };
        header.write(&keys.crypt.seal(&keys.iv, chain.bytes()).0)
    }
}
