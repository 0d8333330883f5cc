//! What the exchanges of one SA share: building and opening messages, and the queues out.

use std::time::Instant;

use adit_crypto::{Digest, Hash, Rng, constant_time_eq};
use adit_wire::{LengthTooLarge, Path, Transmit};

use crate::codec::{Builder, Header, Payloads, kind};
use crate::crypt::{Crypt, Iv};
use crate::error::Error;
use crate::event::Event;
use crate::fragment;
use crate::job::Job;
use crate::keys::Skeyid;
use crate::machine::IkeSa;

/// Most message IDs of phase 2 that are remembered; each is good for one exchange only.
const MAX_SEEN: usize = 1024;

/// The keys of an SA once both ends have exchanged their public values.
pub(crate) struct Keys {
    pub(crate) prf: Hash,
    pub(crate) skeyid: Skeyid,
    pub(crate) crypt: Crypt,
    /// The IV of the next message of phase 1; after its end, the root of those of phase 2.
    pub(crate) iv: Iv,
}

impl Keys {
    /// A hash of phase 2: prf(SKEYID_a, …).
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> Digest {
        self.prf.hmac(&self.skeyid.a, parts)
    }

    /// Decrypts a message of phase 2, checks that its first payload is the hash over what
    /// `covered` gives for the payloads behind it, and hands the rest on.
    pub(crate) fn open<'b>(
        &self,
        iv: &Iv,
        header: &Header,
        message: &[u8],
        clear: &'b mut Vec<u8>,
        covered: impl FnOnce(&Self, &[u8]) -> Digest,
    ) -> Result<(Payloads<'b>, Iv), Error> {
        let (opened, next) = self.crypt.open(iv, header.body(message))?;
        *clear = opened;
        let payloads = Payloads::parse(header.next_payload, clear)?;
        let hash = payloads.leading(kind::HASH)?;
        if !constant_time_eq(hash, &covered(self, payloads.after_first())) {
            return Err(Error::NotAuthentic("the hash does not hold"));
        }
        Ok((payloads, next))
    }
}

impl IkeSa {
    pub(crate) fn both_cookies(&self) -> [u8; 16] {
        let mut both = [0; 16];
        let bytes = self.initiator_cookie.iter().chain(&self.responder_cookie);
        for (to, from) in both.iter_mut().zip(bytes) {
            *to = *from;
        }
        both
    }

    pub(crate) fn header(&self, exchange: u8, message_id: u32) -> Header {
        Header {
            initiator_cookie: self.initiator_cookie,
            responder_cookie: self.responder_cookie,
            next_payload: kind::NONE,
            exchange,
            encrypted: false,
            commit: false,
            message_id,
            length: 0,
        }
    }

    /// A message in the clear.
    pub(crate) fn plain(&self, exchange: u8, message_id: u32, chain: &Builder) -> Vec<u8> {
        Header {
            next_payload: chain.first(),
            ..self.header(exchange, message_id)
        }
        .write(chain.bytes())
    }

    /// An encrypted message, with the IV of the next one; `None` without keys.
    pub(crate) fn sealed(
        &self,
        (exchange, message_id): (u8, u32),
        iv: &Iv,
        chain: &Builder,
    ) -> Option<(Vec<u8>, Iv)> {
        let (body, next) = self.keys.as_ref()?.crypt.seal(iv, chain.bytes());
        let header = Header {
            next_payload: chain.first(),
            encrypted: true,
            ..self.header(exchange, message_id)
        };
        Some((header.write(&body), next))
    }

    /// A message of phase 2: a hash over the message ID, `covered` and `rest` stands before `rest`.
    pub(crate) fn hashed(
        &self,
        (exchange, message_id): (u8, u32),
        iv: &Iv,
        covered: &[u8],
        rest: &Builder,
    ) -> Result<Option<(Vec<u8>, Iv)>, LengthTooLarge> {
        let Some(keys) = &self.keys else {
            return Ok(None);
        };
        let hash = keys.hash(&[&message_id.to_be_bytes(), covered, rest.bytes()]);
        let chain = Builder::before(kind::HASH, &hash, rest)?;
        Ok(self.sealed((exchange, message_id), iv, &chain))
    }

    /// Sends to where the peer is.
    pub(crate) fn send(&mut self, message: Vec<u8>) {
        self.send_on(self.path, message);
    }

    /// Sends a message, in fragments if it is long and the peer takes them.
    pub(crate) fn send_on(&mut self, path: Path, payload: Vec<u8>) {
        self.stats.sent += 1;
        let room = fragment::room(path, self.config.fragment_size);
        let cut = (payload.len() > room && self.peer_takes_fragments())
            .then(|| fragment::cut(&payload, room))
            .flatten();
        let Some(fragments) = cut else {
            self.transmits.push_back(Transmit { path, payload });
            return;
        };
        for payload in fragments {
            self.stats.fragments_sent += 1;
            self.transmits.push_back(Transmit { path, payload });
        }
    }

    fn peer_takes_fragments(&self) -> bool {
        let negotiation = self.negotiation.as_ref();
        negotiation.is_some_and(|n| n.vendor.fragments.is_some())
            || self.established.as_ref().is_some_and(|e| e.fragments)
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(crate) fn compute(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    /// An authenticated message came: the peer is alive, and a client that moved is followed. A
    /// server does not move, so whoever carries its messages elsewhere is not believed.
    pub(crate) fn authenticated(&mut self, path: Path, now: Instant) {
        self.note_peer_alive(now);
        if self.serves {
            self.path = path;
        }
    }

    /// Whether this message ID of phase 2 was used before.
    pub(crate) fn was_seen(&self, message_id: u32) -> bool {
        self.seen.contains(&message_id)
    }

    pub(crate) fn mark_seen(&mut self, message_id: u32) {
        if self.seen.len() == MAX_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(message_id);
    }

    /// A message ID for an exchange of our own. It is marked as seen, so that our own messages
    /// cannot be played back to us.
    pub(crate) fn fresh_message_id(&mut self, rng: &mut Rng) -> u32 {
        let id = rng.u32().max(1);
        self.unused_message_id(id)
    }

    /// The same for a manner that counts.
    pub(crate) fn next_message_id(&mut self) -> u32 {
        self.counted = self.counted.wrapping_add(1).max(1);
        self.counted = self.unused_message_id(self.counted);
        self.counted
    }

    fn unused_message_id(&mut self, mut id: u32) -> u32 {
        while self.was_seen(id) {
            id = id.wrapping_add(1).max(1);
        }
        self.mark_seen(id);
        id
    }
}
