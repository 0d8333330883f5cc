//! What an authenticated peer can say to a responder: any payloads, under the right hash and key.
//!
//! The peer here is made of the formulas of RFC 2409 and shares only the codec with the machine.
//! Each message is `[how][type of the first payload]` and then payloads with their generic headers.

use std::sync::Arc;
use std::time::Duration;

use adit_crypto::{BlockCipher, CbcKey, Group, Hash, PrivateValue, Rng};
use adit_ike::codec::{Builder, Header, Payloads, exchange, kind};
use adit_ike::{
    Config, Credentials, Event, IdValue, IkeSa, Opening, Phase1Proposal, Psk, Selector,
    parse_header,
};
use adit_wire::{Channel, Path};

use crate::inputs::{Clock, messages};

/// The low bits of `how`: an informational message, a new Quick Mode, the message that goes on with
/// the last Quick Mode, or the answer to the responder's own.
const KIND: u8 = 3;
/// The payloads are all there is: no hash is put before them.
const BARE: u8 = 4;
/// The message ID of the message before is used again.
const SAME_ID: u8 = 8;

const PSK: &str = "a shared secret";
const CLIENT: [u8; 4] = [192, 0, 2, 10];
const SERVER: [u8; 4] = [198, 51, 100, 1];
const HASH: Hash = Hash::Sha2_256;
const BLOCK: usize = 16;

/// Main mode, then everything that the input says.
pub fn ike_inside(data: &[u8]) {
    run(data);
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Reached {
    children: usize,
    confirmed: usize,
    deleted: usize,
    closed: bool,
}

fn run(data: &[u8]) -> Reached {
    let mut peer = Peer::connected();
    for message in messages(data) {
        let now = peer.clock.tick(message);
        if let Some(message) = peer.compose(message) {
            peer.deliver(&message);
        }
        peer.sa.handle_timeout(now, &mut peer.rng);
        peer.drain();
    }
    peer.reached
}

/// A Quick Mode as far as its next message needs it.
#[derive(Clone, Default)]
struct Quick {
    message_id: u32,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
    iv: Vec<u8>,
}

struct Peer {
    sa: IkeSa,
    rng: Rng,
    clock: Clock,
    header: Header,
    /// SKEYID_a, once there is one.
    a: Vec<u8>,
    key: Option<CbcKey>,
    /// The last block of phase 1.
    iv: Vec<u8>,
    message_id: u32,
    ours: Quick,
    theirs: Quick,
    next_spi: u32,
    /// What the responder sent.
    sent: Vec<Vec<u8>>,
    reached: Reached,
}

impl Peer {
    fn connected() -> Self {
        let mut rng = Rng::from_seed([2; 32]);
        let clock = Clock::new();
        let credentials = Arc::new(Credentials::psk(Arc::new(Psk::new(PSK))));
        let config = Arc::new(Config {
            phase1: vec![Phase1Proposal {
                cipher: BlockCipher::Aes256,
                hash: HASH,
                group: Group::Ecp256,
            }],
            ..Config::default()
        });

        // Message 1 is a real one, with all its vendor IDs.
        let mut real = IkeSa::initiate(
            &config,
            &credentials,
            reversed(),
            reversed().local,
            Opening::main(IdValue::Ipv4(CLIENT.into())),
            clock.now(),
            &mut rng,
        );
        let first = real.poll_transmit().expect("message 1").payload;
        let header = parse_header(&first).expect("a header");
        let offered = Payloads::parse(header.next_payload, header.body(&first)).expect("payloads");
        let offered = offered.required(kind::SA).expect("an SA").to_vec();
        let sa = IkeSa::accept(&config, &credentials, path(), &first, clock.now(), &mut rng);
        let mut peer = Self {
            sa: sa.expect("a proposal is shared"),
            rng,
            clock,
            header,
            a: Vec::new(),
            key: None,
            iv: Vec::new(),
            message_id: 0x1000,
            ours: Quick::default(),
            theirs: Quick::default(),
            next_spi: 0x2000_0000,
            sent: Vec::new(),
            reached: Reached::default(),
        };
        peer.drain();
        peer.main_mode(&offered);
        peer
    }

    fn main_mode(&mut self, offered: &[u8]) {
        self.sent.clear();
        let (cookie_i, cookie_r) = self.sa.cookies();
        self.header.responder_cookie = cookie_r;
        let private = PrivateValue::generate(Group::Ecp256, &mut Rng::from_seed([3; 32]));
        let (public, nonce) = (private.public(), [7; 32]);
        let mut chain = Builder::new();
        let nat_d = |address: [u8; 4]| {
            HASH.digest(&[&cookie_i, &cookie_r, &address, &500_u16.to_be_bytes()])
        };
        for (kind, body) in [
            (kind::KE, &public[..]),
            (kind::NONCE, &nonce),
            (kind::NAT_D, &nat_d(SERVER)),
            (kind::NAT_D, &nat_d(CLIENT)),
        ] {
            chain.push(kind, body).expect("a short payload");
        }
        self.header.next_payload = chain.first();
        self.deliver(&self.header.write(chain.bytes()));

        let fourth = self.sent.pop().expect("message 4");
        let payloads = clear(&fourth);
        let public_r = payloads.required(kind::KE).expect("a public value");
        let nonce_r = payloads.required(kind::NONCE).expect("a nonce");
        let shared = private.agree(public_r).expect("a point");
        let (both, shared) = ([cookie_i, cookie_r].concat(), &shared[..]);
        let skeyid = HASH.hmac(PSK.as_bytes(), &[&nonce, nonce_r]);
        let d = HASH.hmac(&skeyid, &[shared, &both, &[0]]);
        let a = HASH.hmac(&skeyid, &[&d, shared, &both, &[1]]);
        let e = HASH.hmac(&skeyid, &[&a, shared, &both, &[2]]);
        self.a = a.to_vec();
        self.key = Some(CbcKey::new(BlockCipher::Aes256, &e).expect("32 bytes"));

        let id = [&[1, 0, 0, 0], &CLIENT[..]].concat();
        let hash_i = HASH.hmac(
            &skeyid,
            &[&public, public_r, &cookie_i, &cookie_r, offered, &id],
        );
        let mut chain = Builder::new();
        chain.push(kind::ID, &id).expect("a short payload");
        chain.push(kind::HASH, &hash_i).expect("a short payload");
        let iv = HASH.digest(&[&public, public_r]);
        self.header.encrypted = true;
        self.header.next_payload = chain.first();
        let fifth = self.seal(self.header, &iv, chain.bytes());
        // Message 6 comes first, then the Quick Mode that the responder starts at once.
        self.deliver(&fifth);
        let mut sent = std::mem::take(&mut self.sent).into_iter();
        self.iv = last_block(&sent.next().expect("message 6"));
        sent.for_each(|message| self.hear(&message));
        assert!(self.sa.is_established() && !self.theirs.nonce_i.is_empty());
    }

    /// The message that a piece of the input stands for.
    fn compose(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let ([how, first], rest) = message.split_first_chunk::<2>()?;
        if how & SAME_ID == 0 {
            self.message_id += 1;
        }
        let which = how & KIND;
        let message_id = match which {
            2 => self.ours.message_id,
            3 => self.theirs.message_id,
            _ => self.message_id,
        };
        let id = message_id.to_be_bytes();
        // The hash is over the payloads without what follows them; if they do not parse, over all.
        let body = [&[*first, 0, 0, 36], &[0; 32][..], rest].concat();
        let parsed = Payloads::parse(kind::HASH, &body).ok();
        let covered = parsed.as_ref().map_or(rest, Payloads::after_first);
        let hash = match which {
            2 => HASH.hmac(
                &self.a,
                &[&[0], &id, &self.ours.nonce_i, &self.ours.nonce_r],
            ),
            3 => HASH.hmac(&self.a, &[&id, &self.theirs.nonce_i, covered]),
            _ => HASH.hmac(&self.a, &[&id, covered]),
        };
        let plain = if how & BARE == 0 {
            [&[*first, 0, 0, 36], &hash[..], rest].concat()
        } else {
            rest.to_vec()
        };
        let iv = match which {
            2 => self.ours.iv.clone(),
            3 => self.theirs.iv.clone(),
            _ => self.phase2_iv(message_id),
        };
        if which == 1 {
            let nonce = parsed.and_then(|payloads| payloads.optional(kind::NONCE).ok()?);
            self.ours = Quick {
                message_id,
                nonce_i: nonce.unwrap_or_default().to_vec(),
                ..Quick::default()
            };
        }
        let header = Header {
            next_payload: if how & BARE == 0 { kind::HASH } else { *first },
            exchange: if which == 0 {
                exchange::INFORMATIONAL
            } else {
                exchange::QUICK
            },
            message_id,
            ..self.header
        };
        let message = self.seal(header, &iv, &plain);
        if which == 1 {
            self.ours.iv = last_block(&message);
        }
        Some(message)
    }

    fn phase2_iv(&self, message_id: u32) -> Vec<u8> {
        HASH.digest(&[&self.iv, &message_id.to_be_bytes()]).to_vec()
    }

    /// `iv` may be longer than a block, or empty in an exchange that is not there.
    fn seal(&self, header: Header, iv: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut body = plain.to_vec();
        body.resize(plain.len().next_multiple_of(BLOCK), 0);
        let mut block = [0; BLOCK];
        block.iter_mut().zip(iv).for_each(|(to, from)| *to = *from);
        let key = self.key.as_ref().expect("keys are there");
        key.encrypt(&block, &mut body).expect("whole blocks");
        header.write(&body)
    }

    fn deliver(&mut self, message: &[u8]) {
        let now = self.clock.now();
        let _ = self.sa.handle_message(path(), message, now, &mut self.rng);
        self.drain();
        if !self.iv.is_empty() {
            for message in std::mem::take(&mut self.sent) {
                self.hear(&message);
            }
        }
    }

    /// Takes from the responder's Quick Mode messages what the next one must fit to.
    fn hear(&mut self, message: &[u8]) {
        let header = parse_header(message).expect("the responder's header");
        if header.exchange != exchange::QUICK {
            return;
        }
        let ours = header.message_id == self.ours.message_id;
        let iv = if ours {
            self.ours.iv.clone()
        } else {
            self.phase2_iv(header.message_id)
        };
        let mut body = header.body(message).to_vec();
        let key = self.key.as_ref().expect("keys are there");
        let iv = iv.get(..BLOCK).expect("a block");
        key.decrypt(iv, &mut body).expect("whole blocks");
        let Ok(payloads) = Payloads::parse(header.next_payload, &body) else {
            return;
        };
        let nonce = payloads.required(kind::NONCE).unwrap_or_default().to_vec();
        if ours {
            self.ours.nonce_r = nonce;
            self.ours.iv = last_block(message);
        } else if !nonce.is_empty() {
            self.theirs = Quick {
                message_id: header.message_id,
                nonce_i: nonce,
                nonce_r: Vec::new(),
                iv: last_block(message),
            };
        }
    }

    fn drain(&mut self) {
        let now = self.clock.now();
        loop {
            if let Some(job) = self.sa.poll_job() {
                self.sa
                    .handle_job(job.run(Duration::ZERO), now, &mut self.rng);
            } else if let Some(event) = self.sa.poll_event() {
                self.note(event);
            } else if let Some(transmit) = self.sa.poll_transmit() {
                self.sent.push(transmit.payload);
            } else {
                return;
            }
        }
    }

    fn note(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Established(_) => {
                let end = |address: [u8; 4]| Selector {
                    id: IdValue::Ipv4(address.into()),
                    protocol: 17,
                    port: 1701,
                };
                self.next_spi += 1;
                let (spi, rng) = (self.next_spi, &mut self.rng);
                self.sa
                    .start_quick_mode(end(SERVER), end(CLIENT), spi, false, now, rng);
            }
            Event::ChildRequested { id, .. } => {
                self.next_spi += 1;
                self.sa.accept_child(id, self.next_spi, now, &mut self.rng);
            }
            Event::ChildEstablished(_) => self.reached.children += 1,
            Event::ChildConfirmed { .. } => self.reached.confirmed += 1,
            Event::ChildDeleted { .. } => self.reached.deleted += 1,
            Event::Closed(_) => self.reached.closed = true,
            _ => {}
        }
    }
}

fn path() -> Path {
    Path {
        channel: Channel::Ike,
        local: (SERVER, 500).into(),
        remote: (CLIENT, 500).into(),
    }
}

fn reversed() -> Path {
    let Path {
        channel,
        local,
        remote,
    } = path();
    Path {
        channel,
        local: remote,
        remote: local,
    }
}

fn clear(message: &[u8]) -> Payloads<'_> {
    let header = parse_header(message).expect("the responder's header");
    Payloads::parse(header.next_payload, header.body(message)).expect("the responder's payloads")
}

fn last_block(message: &[u8]) -> Vec<u8> {
    message[message.len() - BLOCK..].to_vec()
}

#[cfg(test)]
mod tests;
