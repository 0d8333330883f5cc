//! Phase 1 as responder: its start in both modes, and main mode.

use std::sync::Arc;
use std::time::Instant;

use adit_crypto::{Digest, PrivateValue, Rng, SharedSecret};
use adit_wire::{LengthTooLarge, Path, Transmit};

use super::aggressive::Introduction;
use super::{NONCE_LEN, Negotiation, Peer, Stage, read_key_exchange, shorter};
use crate::authentication::Authentication;
use crate::codec::{
    Builder, DecodeError, HEADER_LEN, Header, Notify, Payloads, SecurityAssociation, exchange,
    kind, notify, parse_header, protocol,
};
use crate::config::Config;
use crate::credentials::Credentials;
use crate::error::{Error, Refusal, RefusalReason};
use crate::event::Event;
use crate::job::{Job, Purpose};
use crate::machine::{IkeSa, Mode, Role};
use crate::nat;
use crate::proposal::phase1::{self as proposals, Policy};
use crate::retransmit::{Answer, fingerprint};
use crate::vendor::{self, Seen};

/// Takes message 1 and answers it, in aggressive mode after a computation, or says why not.
#[expect(clippy::result_large_err, reason = "an SA is larger still")]
pub(crate) fn accept(
    config: &Arc<Config>,
    credentials: &Arc<Credentials>,
    path: Path,
    message: &[u8],
    cookie: Option<[u8; 8]>,
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
    let mode = match header.exchange {
        exchange::MAIN => Mode::Main,
        exchange::AGGRESSIVE if credentials.aggressive() => Mode::Aggressive,
        other => {
            let reason = RefusalReason::Exchange(other);
            let kind = notify::INVALID_EXCHANGE_TYPE;
            return Err(refuse(path, &header, kind, reason, rng));
        }
    };
    let payloads = Payloads::parse(header.next_payload, header.body(message))
        .map_err(|error| silent(error.into()))?;
    let body = payloads
        .leading(kind::SA)
        .map_err(|error| silent(error.into()))?;
    let offered = SecurityAssociation::parse(body).map_err(|error| silent(error.into()))?;
    let introduction = match mode {
        Mode::Main => None,
        Mode::Aggressive => {
            Some(Introduction::read(&payloads).map_err(|error| silent(error.into()))?)
        }
    };
    let mut policy = Policy {
        config,
        methods: &credentials.methods(mode),
        public_len: introduction.as_ref().map(|it| it.public.len()),
    };
    let chosen = proposals::choose(&policy, &offered).map_err(|error| silent(error.into()))?;
    let Some(chosen) = chosen else {
        // The offer would do with a key exchange value that fits it.
        let public_len = policy.public_len.take();
        let fitting = proposals::choose(&policy, &offered).ok().flatten();
        if let (Some(found), Some(fitting)) = (public_len, fitting) {
            let wanted = fitting.proposal.group.public_len();
            return Err(silent(DecodeError::KeyExchange { found, wanted }.into()));
        }
        let reason = RefusalReason::NoProposalChosen {
            offered: proposals::offered(&offered),
            allowed: proposals::allowed(&policy),
            usable: proposals::usable(&policy, &offered),
            missing: proposals::missing(&policy, &offered),
        };
        let kind = notify::NO_PROPOSAL_CHOSEN;
        return Err(refuse(path, &header, kind, reason, rng));
    };
    // Whoever is not known by this name hears nothing, so that names cannot be told by asking.
    let psk = match &introduction {
        None => None,
        Some(Introduction { id, .. }) => {
            Some(Arc::clone(credentials.aggressive_key(id).ok_or_else(
                || silent(RefusalReason::UnknownIdentity(id.clone())),
            )?))
        }
    };
    let identity = path.local.ip().into();
    let mut negotiation = Negotiation::new(config, Stage::Sent2, identity, body.to_vec(), now);
    let mut vendor = Seen::read(payloads.all(kind::VENDOR));
    vendor.nat_t = vendor.nat_t.filter(|_| config.nat_t);
    let ids = vendor::of_responder(&vendor);
    negotiation.vendor = vendor;
    negotiation.proposal = Some(chosen.proposal);
    negotiation.authentication = chosen.authentication;
    negotiation.psk = psk;
    negotiation.lifetime = shorter(config.phase1_lifetime, chosen.lifetime);
    let cookies = (
        header.initiator_cookie,
        cookie.unwrap_or_else(|| config.cookie(rng)),
    );
    let mut sa = IkeSa::new(
        config,
        credentials,
        (Role::Responder, mode),
        path,
        cookies,
        negotiation,
    );
    sa.stats.received = 1;
    if let Some(introduction) = introduction {
        sa.compute_aggressive2(introduction, chosen.answer, message, rng);
        return Ok(sa);
    }
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
            responder_cookie: rng.u64().max(1).to_be_bytes(),
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
        Ok(self.plain(self.mode.exchange(), 0, &chain))
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
            let (local, remote) = ([path.local], [path.remote]);
            let found = || payloads.all(version.nat_d());
            // Without NAT-D payloads there is no NAT traversal, whatever the vendor IDs said.
            match nat::detect(proposal.hash, &cookies, &local, &remote, found()) {
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
        let private = PrivateValue::generate(proposal.group, rng);
        self.compute(Job::agree(Purpose::Phase1, private, true, peer));
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
        let chain = self.key_exchange(&negotiation, &public, &nonce, rng);
        negotiation.nonce_r = nonce.to_vec();
        negotiation.public_r = public;
        negotiation.stage = Stage::Sent4;
        let authentication = negotiation.authentication;
        self.negotiation = Some(negotiation);
        let mut chain = chain?;
        self.push_certificate_requests(&mut chain)?;
        let message = self.plain(self.mode.exchange(), 0, &chain);
        if let Some(answer) = self.negotiation.as_mut().and_then(|n| n.answer.as_mut()) {
            answer.set(message.clone());
        }
        match authentication {
            Authentication::PreSharedKey => self.derive_candidates(shared),
            Authentication::Signature(_) => self.derive(shared),
        }
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
        let authentication = self.negotiation.as_ref().map(|n| n.authentication);
        if let Some(Authentication::Signature(_)) = authentication {
            return self.receive_signed(path, header, message, rng);
        }
        let said = match self.open_with_candidates(header, message) {
            Ok(said) => said,
            Err(error) => {
                self.authentication_failing(path, rng);
                return Err(error);
            }
        };
        if let Some(keys) = &mut self.keys {
            keys.iv = said.iv;
        }
        self.path = path;
        let answer = self.seal_identity(false)?;
        let answer = (fingerprint(message), answer);
        let peer = Peer::known(said.id);
        self.finish_as_responder(peer, said.initial_contact, answer, now, rng);
        Ok(())
    }

    /// The last message of the initiator, of that fingerprint, has proven who it is, and this
    /// answers it.
    pub(super) fn finish_as_responder(
        &mut self,
        peer: Peer,
        initial_contact: bool,
        (request, answer): (Digest, Option<Vec<u8>>),
        now: Instant,
        rng: &mut Rng,
    ) {
        let kept = Answer::new(request, answer.clone());
        self.establish(peer, Some(kept), now, rng);
        if let Some(message) = answer {
            self.send(message);
        }
        if initial_contact {
            self.emit(Event::InitialContact);
        }
    }
}
