//! Main mode with pre-shared keys, RFC 2409 section 5.4: what both ends share. The messages:
//! 1 → SA, 2 ← SA, 3 → KE Ni NAT-D, 4 ← KE Nr NAT-D, 5 → ID HASH_I, 6 ← ID HASH_R.

mod identity;
pub(crate) mod initiator;
pub(crate) mod responder;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use adit_crypto::{Group, PrivateValue, Rng, SharedSecret};
use adit_wire::{LengthTooLarge, Path};

use crate::codec::{
    Builder, DecodeError, Header, IdValue, Payloads, check_nonce, exchange, kind, notify,
};
use crate::config::{Config, Phase1Proposal};
use crate::crypt::Crypt;
use crate::dpd::Watch;
use crate::error::Error;
use crate::event::{CloseReason, Event, Phase1};
use crate::exchange::Keys;
use crate::job::JobDone;
use crate::keys;
use crate::machine::{Established, IkeSa, Role};
use crate::nat::{self, Nat};
use crate::retransmit::{Answer, Request};
use crate::timer::GRACE;
use crate::vendor::{ClientKind, Seen};

/// Bytes of our nonces.
pub(crate) const NONCE_LEN: usize = 32;

/// The shortest lifetime of an SA that a server replaces by itself.
const LEAST_REPLACED: Duration = Duration::from_secs(60);

/// Where main mode stands, named by the last message that was sent or the job that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Sent1,
    ComputingPublic,
    Sent3,
    ComputingShared,
    Sent5,
    Sent2,
    ComputingBoth,
    Sent4,
}

/// The state of main mode, dropped when it is done.
pub(crate) struct Negotiation {
    pub(crate) stage: Stage,
    pub(crate) deadline: Instant,
    /// An initiator's message that waits for its answer.
    pub(crate) request: Option<Request>,
    /// For repetitions of the peer's last message.
    pub(crate) answer: Option<Answer>,
    /// SAi_b: the body of the initiator's SA payload.
    pub(crate) sa: Vec<u8>,
    pub(crate) proposal: Option<Phase1Proposal>,
    pub(crate) lifetime: Duration,
    pub(crate) vendor: Seen,
    pub(crate) nat: Nat,
    pub(crate) nonce_i: Vec<u8>,
    pub(crate) nonce_r: Vec<u8>,
    pub(crate) public_i: Vec<u8>,
    pub(crate) public_r: Vec<u8>,
    /// An initiator's, between its two computations.
    pub(crate) private: Option<PrivateValue>,
    /// What the peer's NAT-D payload says of us.
    pub(crate) about_us: Option<Vec<u8>>,
    /// Our address as the peer knows it, if it has told.
    pub(crate) known_as: Option<IpAddr>,
    /// What the peer was found to be in the SA that this one replaces.
    pub(crate) client: Option<ClientKind>,
    pub(crate) identity: IdValue,
    pub(crate) initial_contact: bool,
    pub(crate) nat_t_local: Option<SocketAddr>,
    pub(crate) authentication_failing: bool,
}

impl Negotiation {
    fn new(config: &Config, stage: Stage, identity: IdValue, sa: Vec<u8>, now: Instant) -> Self {
        Self {
            stage,
            deadline: now + config.negotiation_timeout,
            request: None,
            answer: None,
            sa,
            proposal: None,
            lifetime: config.phase1_lifetime,
            vendor: Seen::default(),
            nat: Nat::default(),
            nonce_i: Vec::new(),
            nonce_r: Vec::new(),
            public_i: Vec::new(),
            public_r: Vec::new(),
            private: None,
            about_us: None,
            known_as: None,
            client: None,
            identity,
            initial_contact: true,
            nat_t_local: None,
            authentication_failing: false,
        }
    }

    /// Whether message 5 is out, so that a refusal is one of authentication.
    pub(crate) fn sent_identity(&self) -> bool {
        self.stage == Stage::Sent5
    }

    /// What the peer is: as known before, for those who say less as responder.
    fn client(&self) -> ClientKind {
        self.client.unwrap_or(self.vendor.client)
    }

    fn encapsulate(&self, config: &Config) -> bool {
        self.vendor.nat_t.is_some() && (self.nat.any() || config.force_encapsulation)
    }
}

impl IkeSa {
    pub(crate) fn receive_main(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
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
            return Err(Error::Unexpected("main mode is done"));
        };
        let encrypted = matches!(stage, Stage::Sent4 | Stage::Sent5);
        if header.encrypted != encrypted {
            return Err(Error::Unexpected(
                "encryption at the wrong step of main mode",
            ));
        }
        match stage {
            Stage::Sent1 => self.receive_message2(header, message, rng),
            Stage::Sent3 => self.receive_message4(path, header, message),
            Stage::Sent5 => self.receive_message6(path, header, message, now, rng),
            Stage::Sent2 => self.receive_message3(path, header, message, rng),
            Stage::Sent4 => self.receive_message5(path, header, message, now, rng),
            Stage::ComputingPublic | Stage::ComputingShared | Stage::ComputingBoth => {
                Err(Error::Unexpected("a computation is running"))
            }
        }
    }

    pub(crate) fn phase1_job(&mut self, done: JobDone, now: Instant, rng: &mut Rng) {
        let result = match (self.negotiation.as_ref().map(|n| n.stage), done) {
            (
                Some(Stage::ComputingPublic),
                JobDone {
                    private,
                    public: Some(public),
                    ..
                },
            ) => self.send_message3(private, public, now, rng),
            (
                Some(Stage::ComputingShared),
                JobDone {
                    shared: Some(Ok(shared)),
                    ..
                },
            ) => self.send_message5(&shared, now),
            (
                Some(Stage::ComputingBoth),
                JobDone {
                    public: Some(public),
                    shared: Some(Ok(shared)),
                    ..
                },
            ) => self.send_message4(public, &shared, rng),
            (
                Some(_),
                JobDone {
                    shared: Some(Err(_)),
                    ..
                },
            ) => {
                self.stats.bad_public_values += 1;
                self.inform_plainly(self.path, notify::INVALID_KEY_INFORMATION, rng);
                return self.end(CloseReason::BadPublicValue);
            }
            _ => Ok(()),
        };
        if result.is_err() {
            self.end(CloseReason::Internal);
        }
    }

    /// KE, nonce and, with NAT traversal, both NAT-D payloads: messages 3 and 4.
    fn key_exchange(
        &self,
        negotiation: &Negotiation,
        public: &[u8],
        nonce: &[u8],
        rng: &mut Rng,
    ) -> Result<Vec<u8>, LengthTooLarge> {
        let mut chain = Builder::new();
        chain.push(kind::KE, public)?.push(kind::NONCE, nonce)?;
        if let (Some(version), Some(proposal)) = (negotiation.vendor.nat_t, negotiation.proposal) {
            let cookies = self.both_cookies();
            let hash = proposal.hash;
            let mut of_peer = nat::nat_d(hash, &cookies, self.path.remote).to_vec();
            let mut of_us = nat::nat_d(hash, &cookies, self.path.local).to_vec();
            let force = self.config.force_encapsulation;
            // Windows refuses a server behind a NAT. So it hears of us what it believes itself,
            // and where ESP has to travel in UDP for our sake, that it is behind one.
            let windows = negotiation.client() == ClientKind::Windows;
            let (believed, behind) = match (self.role, negotiation.known_as) {
                (Role::Responder, _) => {
                    (negotiation.about_us.clone(), negotiation.nat.local_behind)
                }
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
        }
        Ok(self.plain(exchange::MAIN, 0, &chain))
    }

    /// Derives the keys of phase 1.
    fn derive(&mut self, shared: &SharedSecret) {
        let cookies = self.both_cookies();
        let Some((negotiation, proposal)) = self
            .negotiation
            .as_ref()
            .and_then(|negotiation| Some((negotiation, negotiation.proposal?)))
        else {
            return;
        };
        let Phase1Proposal { cipher, hash, .. } = proposal;
        let nonces = (
            negotiation.nonce_i.as_slice(),
            negotiation.nonce_r.as_slice(),
        );
        let skeyid = keys::skeyid(
            hash,
            self.credentials
                .psks
                .first()
                .map_or(&[][..], |psk| psk.key.as_bytes()),
            nonces,
            shared,
            &cookies,
        );
        let key = keys::cipher_key(hash, &skeyid.e, cipher);
        // The key was made to the cipher's length, so this cannot fail.
        self.keys = Crypt::new(cipher, hash, &key).ok().map(|crypt| {
            let iv = crypt.phase1_iv(&negotiation.public_i, &negotiation.public_r);
            Box::new(Keys {
                prf: hash,
                skeyid,
                crypt,
                iv,
            })
        });
    }

    /// Both ends are authentic: from here on this is an SA.
    fn establish(&mut self, peer_id: IdValue, answer: Option<Answer>, now: Instant, rng: &mut Rng) {
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
            answer,
            dpd_answer: None,
            watch: watch.map(|config| Watch::new(config, rng.u32(), now)),
            rekey: due.then(|| now + lifetime.mul_f64(share)),
            expires: now + lifetime.saturating_add(GRACE),
        }));
        self.emit(Event::Established(Box::new(Phase1 {
            peer_id,
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
