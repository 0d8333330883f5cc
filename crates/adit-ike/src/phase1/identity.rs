//! Messages 5 and 6 of main mode under a pre-shared key: who the ends are, and the hashes that
//! prove it.

use adit_crypto::{Digest, Rng, constant_time_eq};
use adit_wire::{LengthTooLarge, Path};

use super::Negotiation;
use crate::authentication::Authentication;
use crate::codec::{
    Builder, DecodeError, Header, IdValue, Notify, Payloads, Selector, kind, notify, protocol,
};
use crate::crypt::Iv;
use crate::error::Error;
use crate::event::Event;
use crate::exchange::Keys;
use crate::machine::{IkeSa, Role};

/// Longest identification that is read. Distinguished names, the longest ones, have some hundreds
/// of bytes.
const MAX_ID: usize = 1024;

/// What a message 5 or 6 says beside its proof.
pub(super) struct Said {
    pub(super) id: IdValue,
    pub(super) initial_contact: bool,
    /// The IV of the next message.
    pub(super) iv: Iv,
}

/// The peer's identification: the body of its payload, and what that says.
pub(super) fn read_id<'a>(payloads: &Payloads<'a>) -> Result<(&'a [u8], IdValue), DecodeError> {
    let body = payloads.required(kind::ID)?;
    let id = Selector::parse(body)?.id;
    let length = body.len().saturating_sub(4);
    match body.first() {
        Some(kind) if length > MAX_ID => Err(DecodeError::Id {
            kind: *kind,
            length,
        }),
        _ => Ok((body, id)),
    }
}

/// Whether INITIAL-CONTACT is among the notifications.
pub(super) fn says_initial_contact(payloads: &Payloads<'_>) -> Result<bool, DecodeError> {
    let mut said = false;
    for body in payloads.all(kind::NOTIFY) {
        said |= Notify::parse(body)?.kind == notify::INITIAL_CONTACT;
    }
    Ok(said)
}

/// Refuses a signature where pre-shared keys were agreed on.
pub(super) fn misplaced_signature(payloads: &Payloads<'_>) -> Result<(), DecodeError> {
    match payloads.all(kind::SIG).next() {
        Some(_) => Err(DecodeError::Misplaced(kind::SIG)),
        None => Ok(()),
    }
}

impl IkeSa {
    /// HASH_I or HASH_R of RFC 2409 section 5, over the identification of the end that `initiator`
    /// names.
    pub(crate) fn phase1_hash(&self, keys: &Keys, initiator: bool, id: &[u8]) -> Option<Digest> {
        let Negotiation {
            public_i,
            public_r,
            sa,
            authentication,
            ..
        } = &**self.negotiation.as_ref()?;
        let (cookie_i, cookie_r) = (&self.initiator_cookie, &self.responder_cookie);
        let parts: [&[u8]; 6] = if initiator {
            [public_i, public_r, cookie_i, cookie_r, sa, id]
        } else {
            [public_r, public_i, cookie_r, cookie_i, sa, id]
        };
        let prf = authentication.hash(keys.prf);
        Some(prf.hmac(&keys.skeyid.root, &parts))
    }

    /// Reads the peer's message 5 or 6 under these keys. An error means that it is not authentic.
    pub(super) fn open_identity(
        &self,
        keys: &Keys,
        header: &Header,
        message: &[u8],
    ) -> Result<Said, Error> {
        let (clear, iv) = keys.crypt.open(&keys.iv, header.body(message))?;
        let payloads = Payloads::parse(header.next_payload, &clear)?;
        let (body, id) = read_id(&payloads)?;
        self.check_hash(keys, &payloads, body)?;
        Ok(Said {
            id,
            initial_contact: says_initial_contact(&payloads)?,
            iv,
        })
    }

    /// Checks the peer's hash over its identification `id`.
    pub(super) fn check_hash(
        &self,
        keys: &Keys,
        payloads: &Payloads<'_>,
        id: &[u8],
    ) -> Result<(), Error> {
        misplaced_signature(payloads)?;
        if self.hash_holds(keys, payloads.required(kind::HASH)?, id) {
            Ok(())
        } else {
            Err(Error::NotAuthentic("the hash of phase 1 does not hold"))
        }
    }

    /// Whether this is the peer's hash over its identification `id`.
    pub(super) fn hash_holds(&self, keys: &Keys, hash: &[u8], id: &[u8]) -> bool {
        let expected = self.phase1_hash(keys, self.role == Role::Responder, id);
        expected.is_some_and(|expected| constant_time_eq(hash, &expected))
    }

    /// Tells once that the peer's identity cannot be verified. Whether it was the peer cannot be
    /// known, so the negotiation waits on.
    pub(super) fn authentication_failing(&mut self, path: Path, rng: &mut Rng) {
        let Some(negotiation) = &mut self.negotiation else {
            return;
        };
        if std::mem::replace(&mut negotiation.authentication_failing, true) {
            return;
        }
        let authentication = negotiation.authentication;
        self.emit(Event::AuthenticationFailing {
            path,
            authentication,
        });
        if self.role == Role::Responder {
            self.inform_plainly(path, notify::AUTHENTICATION_FAILED, rng);
        }
    }

    /// The body of our own ID payload. With a certificate, its subject takes the place of an
    /// address, which the certificate would not hold (RFC 4945 section 3.1).
    pub(super) fn own_id(&self) -> Option<Vec<u8>> {
        let negotiation = self.negotiation.as_ref()?;
        let certified = matches!(negotiation.authentication, Authentication::Signature(_));
        let certificate = self.credentials.certificate.as_ref();
        let subject = certificate
            .filter(|_| certified && negotiation.identity.address().is_some())
            .map(|certificate| certificate.subject_der())
            // An empty sequence names nobody.
            .filter(|subject| subject.len() > 2)
            .map(|subject| IdValue::DistinguishedName(subject.to_vec()));
        let id = subject.unwrap_or_else(|| negotiation.identity.clone());
        let (protocol, port) = (0, 0);
        Some(Selector { id, protocol, port }.write())
    }

    /// Appends INITIAL-CONTACT.
    pub(super) fn push_initial_contact(&self, chain: &mut Builder) -> Result<(), LengthTooLarge> {
        let notify = Notify {
            protocol: protocol::ISAKMP,
            spi: &self.both_cookies(),
            kind: notify::INITIAL_CONTACT,
            data: &[],
        };
        chain.push(kind::NOTIFY, &notify.write()?).map(drop)
    }

    /// Seals our own ID and HASH under the current IV, with INITIAL-CONTACT if asked for.
    pub(super) fn seal_identity(
        &mut self,
        initial_contact: bool,
    ) -> Result<Option<Vec<u8>>, LengthTooLarge> {
        let Some(id) = self.own_id() else {
            return Ok(None);
        };
        let initiator = self.role == Role::Initiator;
        let keys = self.keys.as_ref();
        let Some(hash) = keys.and_then(|keys| self.phase1_hash(keys, initiator, &id)) else {
            return Ok(None);
        };
        let mut chain = Builder::new();
        chain.push(kind::ID, &id)?.push(kind::HASH, &hash)?;
        if initial_contact {
            self.push_initial_contact(&mut chain)?;
        }
        Ok(self.seal_phase1(&chain))
    }

    /// Seals a message of phase 1 under the current IV; `None` without keys.
    pub(super) fn seal_phase1(&mut self, chain: &Builder) -> Option<Vec<u8>> {
        let iv = self.keys.as_ref()?.iv;
        let (message, next) = self.sealed((self.mode.exchange(), 0), &iv, chain)?;
        if let Some(keys) = &mut self.keys {
            keys.iv = next;
        }
        Some(message)
    }
}
