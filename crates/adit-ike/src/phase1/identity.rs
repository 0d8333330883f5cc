//! Messages 5 and 6 of main mode: who the ends are, and the hashes that prove it.

use adit_crypto::{Digest, Rng, constant_time_eq};
use adit_wire::{LengthTooLarge, Path};

use super::Negotiation;
use crate::codec::{
    Builder, Header, IdValue, Notify, Payloads, Selector, exchange, kind, notify, protocol,
};
use crate::crypt::Iv;
use crate::error::Error;
use crate::event::Event;
use crate::machine::{IkeSa, Role};

impl IkeSa {
    /// HASH_I or HASH_R of RFC 2409 section 5, over the identification of the end that `initiator`
    /// names.
    pub(crate) fn phase1_hash(&self, initiator: bool, id: &[u8]) -> Option<Digest> {
        let (negotiation, keys) = (self.negotiation.as_ref()?, self.keys.as_ref()?);
        let Negotiation {
            public_i,
            public_r,
            sa,
            ..
        } = &**negotiation;
        let (cookie_i, cookie_r) = (&self.initiator_cookie, &self.responder_cookie);
        let parts: [&[u8]; 6] = if initiator {
            [public_i, public_r, cookie_i, cookie_r, sa, id]
        } else {
            [public_r, public_i, cookie_r, cookie_i, sa, id]
        };
        Some(keys.prf.hmac(&keys.skeyid.root, &parts))
    }

    /// Reads the peer's message 5 or 6: its identification, whether it says INITIAL-CONTACT, and
    /// the next IV. An error means that it is not authentic.
    pub(super) fn open_identity(
        &self,
        header: &Header,
        message: &[u8],
    ) -> Result<(IdValue, bool, Iv), Error> {
        let keys = self.keys.as_ref().ok_or(Error::Premature)?;
        let (clear, next) = keys.crypt.open(&keys.iv, header.body(message))?;
        let payloads = Payloads::parse(header.next_payload, &clear)?;
        let id = payloads.required(kind::ID)?;
        let hash = payloads.required(kind::HASH)?;
        let expected = self.phase1_hash(self.role == Role::Responder, id);
        if !expected.is_some_and(|expected| constant_time_eq(hash, &expected)) {
            return Err(Error::NotAuthentic("the hash of main mode does not hold"));
        }
        let mut initial_contact = false;
        for body in payloads.all(kind::NOTIFY) {
            initial_contact |= Notify::parse(body)?.kind == notify::INITIAL_CONTACT;
        }
        Ok((Selector::parse(id)?.id, initial_contact, next))
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
        self.emit(Event::AuthenticationFailing { path });
        if self.role == Role::Responder {
            self.inform_plainly(path, notify::AUTHENTICATION_FAILED, rng);
        }
    }

    /// Seals our own ID and HASH under the current IV, with INITIAL-CONTACT if asked for.
    pub(super) fn seal_identity(
        &mut self,
        initial_contact: bool,
    ) -> Result<Option<Vec<u8>>, LengthTooLarge> {
        let Some(identity) = self.negotiation.as_ref().map(|n| n.identity.clone()) else {
            return Ok(None);
        };
        let id = Selector {
            id: identity,
            protocol: 0,
            port: 0,
        }
        .write();
        let Some(hash) = self.phase1_hash(self.role == Role::Initiator, &id) else {
            return Ok(None);
        };
        let mut chain = Builder::new();
        chain.push(kind::ID, &id)?.push(kind::HASH, &hash)?;
        if initial_contact {
            let notify = Notify {
                protocol: protocol::ISAKMP,
                spi: &self.both_cookies(),
                kind: notify::INITIAL_CONTACT,
                data: &[],
            };
            chain.push(kind::NOTIFY, &notify.write()?)?;
        }
        let iv = self.keys.as_ref().map(|keys| keys.iv);
        let sealed = iv.and_then(|iv| self.sealed((exchange::MAIN, 0), &iv, &chain));
        let Some((message, next)) = sealed else {
            return Ok(None);
        };
        if let Some(keys) = &mut self.keys {
            keys.iv = next;
        }
        Ok(Some(message))
    }
}
