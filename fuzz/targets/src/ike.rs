//! IKE: the codec, and both roles of an SA fed with anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_cert::{OwnCertificate, Trust};
use adit_crypto::{Group, Rng};
use adit_ike::codec::{Delete, Notify, Payloads, SecurityAssociation, parse_nat_oa};
use adit_ike::{
    Config, Credentials, Error, Event, IdValue, IkeSa, Mode, Opening, Psk, Role, Selector,
    parse_header,
};
use adit_wire::{Channel, Path};

use crate::inputs::{Clock, messages};

/// Everything that parses without keys, whatever the payload's type says.
pub fn ike_message(data: &[u8]) {
    let Ok(header) = parse_header(data) else {
        return;
    };
    let Ok(payloads) = Payloads::parse(header.next_payload, header.body(data)) else {
        return;
    };
    for payload in payloads.iter() {
        let body = payload.body;
        if let Ok(sa) = SecurityAssociation::parse(body) {
            let _ = sa.write();
        }
        if let Ok(selector) = Selector::parse(body) {
            let _ = selector.to_string();
            assert_eq!(Selector::parse(&selector.write()).as_ref(), Ok(&selector));
        }
        let _ = Notify::parse(body);
        let _ = Delete::parse(body);
        let _ = parse_nat_oa(body);
    }
}

/// The addresses, keys and generators under which the seeds were recorded, so that a whole
/// negotiation in the corpus is answered as it was then and leads all the way through.
struct Setup {
    nat: bool,
    kind: Kind,
    config: Arc<Config>,
}

/// How a seed was recorded, as its first byte says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Nat,
    Pfs,
    Certificates,
    Aggressive,
}

macro_rules! credentials {
    ($owner:literal) => {{
        let own = OwnCertificate::from_pem(
            include_bytes!(concat!(
                "../../../crates/adit-ike/testdata/",
                $owner,
                "-p256.pem"
            )),
            include_bytes!(concat!(
                "../../../crates/adit-ike/testdata/",
                $owner,
                "-p256.key"
            )),
        );
        let root = include_bytes!("../../../crates/adit-ike/testdata/root.pem");
        Credentials {
            psks: Vec::new(),
            certificate: Some(Arc::new(own.expect("a certificate"))),
            trust: Some(Arc::new(Trust::from_pem(root, &[]).expect("an authority"))),
        }
    }};
}

impl Setup {
    /// The first byte of an input says which.
    fn of(data: &[u8]) -> (Self, &[u8]) {
        let (which, rest) = data.split_first().unwrap_or((&0, &[]));
        let kind = match which % 5 {
            0 => Kind::Plain,
            1 => Kind::Nat,
            2 => Kind::Pfs,
            3 => Kind::Certificates,
            _ => Kind::Aggressive,
        };
        let pfs = (kind == Kind::Pfs).then_some(Group::Ecp256);
        let setup = Self {
            nat: kind == Kind::Nat,
            kind,
            config: Arc::new(Config {
                pfs,
                ..Config::default()
            }),
        };
        (setup, rest)
    }

    fn credentials(&self, role: Role) -> Arc<Credentials> {
        let mut key = Credentials::psk(Arc::new(Psk::new("a shared secret")));
        Arc::new(match (self.kind, role) {
            (Kind::Certificates, Role::Initiator) => credentials!("client"),
            (Kind::Certificates, Role::Responder) => credentials!("server"),
            (Kind::Aggressive, _) => {
                for psk in &mut key.psks {
                    psk.identity = Some(IdValue::KeyId(b"staff".to_vec()));
                    psk.aggressive = true;
                }
                key
            }
            _ => key,
        })
    }

    fn opening(&self) -> Opening {
        let mut opening = Opening::main(IdValue::Ipv4(self.client().into()));
        if self.kind == Kind::Aggressive {
            opening.identity = IdValue::KeyId(b"staff".to_vec());
            opening.mode = Mode::Aggressive;
        }
        opening
    }

    fn client(&self) -> [u8; 4] {
        if self.nat {
            [192, 168, 1, 2]
        } else {
            [192, 0, 2, 10]
        }
    }

    /// Where a message comes from. Behind a NAT, what is encrypted comes over the other channel.
    fn path(&self, role: Role, message: &[u8]) -> Path {
        let encrypted = message.get(19).is_some_and(|flags| flags & 1 != 0);
        let (channel, port) = if self.nat && encrypted {
            (Channel::NatT, 4500)
        } else {
            (Channel::Ike, 500)
        };
        let server = SocketAddr::from((SERVER, port));
        let (local, remote) = match (role, self.nat) {
            (Role::Initiator, _) => (SocketAddr::from((self.client(), port)), server),
            (Role::Responder, false) => (server, SocketAddr::from((self.client(), port))),
            (Role::Responder, true) => {
                (server, SocketAddr::from(([203, 0, 113, 5], 60_000 + port)))
            }
        };
        Path {
            channel,
            local,
            remote,
        }
    }
}

/// The wall clock of every run.
const UNIX: Duration = Duration::from_secs(1_800_000_000);

const SERVER: [u8; 4] = [198, 51, 100, 1];

/// What a machine came to.
#[derive(Debug, Default)]
struct Reached {
    established: bool,
    children: usize,
    confirmed: usize,
    closed: bool,
}

struct Run {
    setup: Setup,
    sa: IkeSa,
    rng: Rng,
    clock: Clock,
    next_spi: u32,
    reached: Reached,
}

impl Run {
    /// Answers what the SA asks of its owner, and starts a Quick Mode as soon as there can be one.
    fn drive(&mut self) {
        loop {
            let now = self.clock.now();
            if let Some(job) = self.sa.poll_job() {
                self.sa.handle_job(job.run(UNIX), now, &mut self.rng);
            } else if let Some(event) = self.sa.poll_event() {
                self.note(event, now);
            } else if self.sa.poll_transmit().is_none() {
                return;
            }
        }
    }

    fn note(&mut self, event: Event, now: Instant) {
        match event {
            Event::Established(_) => {
                self.reached.established = true;
                let end = |address: [u8; 4]| Selector {
                    id: IdValue::Ipv4(address.into()),
                    protocol: 17,
                    port: 1701,
                };
                let ends = (end(self.setup.client()), end(SERVER));
                let (local, remote) = match self.sa.role() {
                    Role::Initiator => ends,
                    Role::Responder => (ends.1, ends.0),
                };
                self.next_spi += 1;
                let (spi, nat) = (self.next_spi, self.setup.nat);
                let rng = &mut self.rng;
                self.sa.start_quick_mode(local, remote, spi, nat, now, rng);
            }
            Event::ChildRequested { id, .. } => {
                self.next_spi += 1;
                self.sa.accept_child(id, self.next_spi, now, &mut self.rng);
            }
            Event::ChildEstablished(_) => self.reached.children += 1,
            Event::ChildConfirmed { .. } => self.reached.confirmed += 1,
            Event::Closed(_) => self.reached.closed = true,
            _ => {}
        }
    }

    fn feed<'a>(mut self, input: impl Iterator<Item = &'a [u8]>) -> Reached {
        self.drive();
        for message in input {
            let now = self.clock.tick(message);
            let path = self.setup.path(self.sa.role(), message);
            let result = self.sa.handle_message(path, message, now, &mut self.rng);
            if result == Err(Error::Cookies) {
                // Once more with the right cookies, so that it gets past the first look.
                let (initiator, responder) = self.sa.cookies();
                let mut message = message.to_vec();
                for (to, from) in message.iter_mut().zip(initiator.iter().chain(&responder)) {
                    *to = *from;
                }
                let _ = self.sa.handle_message(path, &message, now, &mut self.rng);
            }
            self.drive();
            self.sa.handle_timeout(now, &mut self.rng);
            self.drive();
        }
        self.reached
    }
}

/// The first message makes a responder, the others go to it.
pub fn ike_responder(data: &[u8]) {
    respond(data);
}

fn respond(data: &[u8]) -> Reached {
    let (setup, data) = Setup::of(data);
    let mut rng = Rng::from_seed([2; 32]);
    let clock = Clock::new();
    let mut input = messages(data);
    let first = input.next().unwrap_or_default();
    let path = setup.path(Role::Responder, first);
    let (config, credentials) = (&setup.config, setup.credentials(Role::Responder));
    match IkeSa::accept(config, &credentials, path, first, clock.now(), &mut rng) {
        Ok(sa) => {
            let run = Run {
                setup,
                sa,
                rng,
                clock,
                next_spi: 0x2000_0000,
                reached: Reached::default(),
            };
            run.feed(input)
        }
        Err(refusal) => {
            drop(refusal.reason.to_string());
            Reached::default()
        }
    }
}

/// All messages go to an initiator that has sent its first.
pub fn ike_initiator(data: &[u8]) {
    initiate(data);
}

fn initiate(data: &[u8]) -> Reached {
    let (setup, data) = Setup::of(data);
    let mut rng = Rng::from_seed([1; 32]);
    let clock = Clock::new();
    let sa = IkeSa::initiate(
        &setup.config,
        &setup.credentials(Role::Initiator),
        setup.path(Role::Initiator, &[]),
        SocketAddr::from((setup.client(), 4500)),
        setup.opening(),
        clock.now(),
        &mut rng,
    );
    let run = Run {
        setup,
        sa,
        rng,
        clock,
        next_spi: 0x1000_0000,
        reached: Reached::default(),
    };
    run.feed(messages(data))
}

#[cfg(test)]
mod tests {
    use super::{initiate, respond};
    use crate::inputs::seed;

    /// A seed that went stale would leave the fuzzer before the door.
    #[test]
    fn seeds_reach_quick_mode() {
        for name in [
            "plain-whole-life",
            "nat-whole-life",
            "pfs-whole-life",
            "certificates-whole-life",
            "aggressive-whole-life",
            "plain-in-fragments",
            "nat-in-fragments",
            "pfs-in-fragments",
            "certificates-in-fragments",
            "aggressive-in-fragments",
        ] {
            let responder = respond(&seed("ike_responder", name));
            assert!(responder.established && responder.closed, "{responder:?}");
            assert_eq!((responder.children, responder.confirmed), (2, 1), "{name}");
            let initiator = initiate(&seed("ike_initiator", name));
            assert!(initiator.established, "{initiator:?}");
            assert_eq!((initiator.children, initiator.confirmed), (2, 1), "{name}");
        }
    }
}
