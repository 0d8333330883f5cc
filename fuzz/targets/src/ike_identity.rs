//! What somebody who took part in the Diffie-Hellman can say in message 5 of main mode with
//! certificates: any payloads, encrypted as they must be.
//!
//! The peer here is made of the formulas of RFC 2409 and shares only the codec with the machine.
//! The input is `[how][type of the first payload]` and then payloads with their generic headers.

use std::sync::Arc;
use std::time::Duration;

use adit_cert::{OwnCertificate, Trust};
use adit_crypto::{BlockCipher, CbcKey, Group, Hash, PrivateValue, Rng};
use adit_ike::codec::{Builder, Header, Payloads, kind};
use adit_ike::{Config, Credentials, Event, IdValue, IkeSa, Opening, Phase1Proposal, parse_header};
use adit_wire::{Channel, Path};

use crate::inputs::Clock;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../crates/adit-ike/testdata/", $name))
    };
}

const HASH: Hash = Hash::Sha2_256;
const BLOCK: usize = 16;
/// The lowest bit of `how`: a good signature over what the payloads say is put behind them.
const SIGNED: u8 = 1;
/// When the certificates are in force.
const UNIX: Duration = Duration::from_secs(1_800_000_000);

/// Main mode up to message 4, then the input as message 5.
pub fn ike_identity(data: &[u8]) {
    run(data);
}

/// Whether the responder believed it.
fn run(data: &[u8]) -> bool {
    let mut peer = Peer::met();
    let Some(([how, first], payloads)) = data.split_first_chunk::<2>() else {
        return false;
    };
    match peer.signed(*first, payloads) {
        Some(chain) if how & SIGNED != 0 => peer.say(chain.first(), chain.bytes()),
        _ => peer.say(*first, payloads),
    }
    peer.established
}

fn credentials(chain: &[u8], key: &[u8]) -> Arc<Credentials> {
    let own = OwnCertificate::from_pem(chain, key).expect("a certificate");
    let trust = Trust::from_pem(file!("root.pem"), &[]).expect("an authority");
    Arc::new(Credentials {
        psks: Vec::new(),
        certificate: Some(Arc::new(own)),
        trust: Some(Arc::new(trust)),
    })
}

fn client() -> Arc<Credentials> {
    credentials(file!("client-p256.pem"), file!("client-p256.key"))
}

fn path() -> Path {
    Path {
        channel: Channel::Ike,
        local: ([198, 51, 100, 1], 500).into(),
        remote: ([192, 0, 2, 10], 500).into(),
    }
}

struct Peer {
    sa: IkeSa,
    rng: Rng,
    clock: Clock,
    header: Header,
    skeyid: Vec<u8>,
    key: CbcKey,
    iv: Vec<u8>,
    /// What HASH_I covers before the identification.
    covered: Vec<u8>,
    sent: Vec<Vec<u8>>,
    established: bool,
}

impl Peer {
    /// After message 4.
    fn met() -> Self {
        let mut rng = Rng::from_seed([2; 32]);
        let clock = Clock::new();
        let config = Arc::new(Config {
            phase1: vec![Phase1Proposal {
                cipher: BlockCipher::Aes256,
                hash: HASH,
                group: Group::Ecp256,
            }],
            ..Config::default()
        });
        let Path {
            channel,
            local,
            remote,
        } = path();
        let back = Path {
            channel,
            local: remote,
            remote: local,
        };
        let opening = Opening::main(IdValue::Ipv4([192, 0, 2, 10].into()));
        let now = clock.now();
        let mut real = IkeSa::initiate(&config, &client(), back, remote, opening, now, &mut rng);
        let first = real.poll_transmit().expect("message 1").payload;
        let mut header = parse_header(&first).expect("a header");
        let offered = Payloads::parse(header.next_payload, header.body(&first)).expect("payloads");
        let offered = offered.required(kind::SA).expect("an SA").to_vec();
        let server = credentials(file!("server-p256.pem"), file!("server-p256.key"));
        let mut sa = IkeSa::accept(&config, &server, path(), &first, now, &mut rng)
            .expect("a proposal is shared");
        let (cookie_i, cookie_r) = sa.cookies();
        header.responder_cookie = cookie_r;

        let private = PrivateValue::generate(Group::Ecp256, &mut Rng::from_seed([3; 32]));
        let (public, nonce) = (private.public(), [7; 32]);
        let mut chain = Builder::new();
        chain.push(kind::KE, &public).expect("a short payload");
        chain.push(kind::NONCE, &nonce).expect("a short payload");
        header.next_payload = chain.first();
        let third = header.write(chain.bytes());
        sa.handle_message(path(), &third, now, &mut rng)
            .expect("message 3");
        let job = sa.poll_job().expect("a key exchange").run(UNIX);
        sa.handle_job(job, now, &mut rng);
        let fourth = std::iter::from_fn(|| sa.poll_transmit()).last();
        let fourth = fourth.expect("message 4").payload;
        let answer = parse_header(&fourth).expect("a header");
        let answer = Payloads::parse(answer.next_payload, answer.body(&fourth)).expect("payloads");
        let public_r = answer.required(kind::KE).expect("a public value");
        let nonce_r = answer.required(kind::NONCE).expect("a nonce");

        let shared = private.agree(public_r).expect("a point");
        let (both, shared) = ([cookie_i, cookie_r].concat(), &shared[..]);
        let skeyid = HASH.hmac(&[&nonce, nonce_r].concat(), &[shared]);
        let d = HASH.hmac(&skeyid, &[shared, &both, &[0]]);
        let a = HASH.hmac(&skeyid, &[&d, shared, &both, &[1]]);
        let e = HASH.hmac(&skeyid, &[&a, shared, &both, &[2]]);
        Self {
            key: CbcKey::new(BlockCipher::Aes256, &e).expect("32 bytes"),
            iv: HASH.digest(&[&public, public_r]).to_vec(),
            covered: [&public[..], public_r, &cookie_i, &cookie_r, &offered].concat(),
            skeyid: skeyid.to_vec(),
            sent: Vec::new(),
            established: false,
            sa,
            rng,
            clock,
            header,
        }
    }

    /// HASH_I over the body of an ID payload.
    fn hash(&self, id: &[u8]) -> Vec<u8> {
        HASH.hmac(&self.skeyid, &[&self.covered, id]).to_vec()
    }

    /// The payloads, if they parse and say who this is, with a signature behind them.
    fn signed(&self, first: u8, payloads: &[u8]) -> Option<Builder> {
        let payloads = Payloads::parse(first, payloads).ok()?;
        let hash = self.hash(payloads.all(kind::ID).next()?);
        let own = client();
        let key = own.certificate.as_ref()?.key();
        let signature = key.sign(&hash, &mut Rng::from_seed([4; 32])).ok()?;
        let mut chain = Builder::new();
        for payload in payloads.iter() {
            chain.push(payload.kind, payload.body).ok()?;
        }
        chain.push(kind::SIG, &signature).ok()?;
        Some(chain)
    }

    fn say(&mut self, first: u8, payloads: &[u8]) {
        let mut body = payloads.to_vec();
        body.resize(payloads.len().next_multiple_of(BLOCK), 0);
        let iv = self.iv.get(..BLOCK).expect("a block");
        self.key.encrypt(iv, &mut body).expect("whole blocks");
        let header = Header {
            encrypted: true,
            next_payload: first,
            ..self.header
        };
        let now = self.clock.now();
        let message = header.write(&body);
        let _ = self.sa.handle_message(path(), &message, now, &mut self.rng);
        loop {
            if let Some(job) = self.sa.poll_job() {
                self.sa.handle_job(job.run(UNIX), now, &mut self.rng);
            } else if let Some(event) = self.sa.poll_event() {
                self.established |= matches!(event, Event::Established(_));
                drop(format!("{event:?}"));
            } else if let Some(transmit) = self.sa.poll_transmit() {
                self.sent.push(transmit.payload);
            } else {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use adit_ike::Selector;
    use adit_ike::codec::write_certificate;

    use super::*;
    use crate::inputs::{put, seed};

    /// A message 5 that says `id`, with the client's certificates and this proof.
    fn message(how: u8, id: IdValue, proof: Option<(u8, &[u8])>) -> Vec<u8> {
        let (protocol, port) = (0, 0);
        let id = Selector { id, protocol, port }.write();
        let mut chain = Builder::new();
        chain.push(kind::ID, &id).unwrap();
        for der in client().certificate.as_ref().unwrap().chain() {
            chain.push(kind::CERT, &write_certificate(der)).unwrap();
        }
        if let Some((kind, body)) = proof {
            chain.push(kind, body).unwrap();
        }
        [&[how, chain.first()], chain.bytes()].concat()
    }

    fn subject() -> IdValue {
        let own = client();
        let subject = own.certificate.as_ref().unwrap().subject_der();
        IdValue::DistinguishedName(subject.to_vec())
    }

    /// A seed that went stale would leave the fuzzer before the door.
    #[test]
    fn seeds_end_in_the_verdict_that_they_should() {
        for (name, believed) in [
            ("subject", true),
            ("address", true),
            ("other-name", false),
            ("hash", false),
            ("no-proof", false),
            ("zeros", false),
        ] {
            assert_eq!(run(&seed("ike_identity", name)), believed, "{name}");
        }
    }

    /// Run by hand after the machine draws its random numbers in another order:
    /// `cargo test -p adit-fuzz-targets write_identity -- --ignored`.
    #[test]
    #[ignore = "writes files"]
    fn write_identity_seeds() {
        let address = IdValue::Ipv4([10, 0, 0, 1].into());
        let other = IdValue::Fqdn("phone.example.org".into());
        let (protocol, port) = (0, 0);
        let id = subject();
        let hash = Peer::met().hash(&Selector { id, protocol, port }.write());
        let put = |name, bytes: Vec<u8>| put("ike_identity", name, &bytes);
        put("subject", message(SIGNED, subject(), None));
        put("address", message(SIGNED, address, None));
        put("other-name", message(SIGNED, other, None));
        put("hash", message(0, subject(), Some((kind::HASH, &hash))));
        put("no-proof", message(0, subject(), None));
        put("zeros", message(0, subject(), Some((kind::SIG, &[0; 64]))));
    }
}
