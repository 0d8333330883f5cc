//! IKE: the codec, and both roles of an SA fed with anything.

use std::net::SocketAddr;
use std::sync::Arc;

use adit_crypto::{BlockCipher, Group, Hash, Rng};
use adit_ike::codec::{Delete, Notify, Payloads, SecurityAssociation, parse_nat_oa};
use adit_ike::{Config, Event, IdValue, IkeSa, Phase1Proposal, Psk, Selector, parse_header};
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

fn config() -> Arc<Config> {
    Arc::new(Config {
        phase1: vec![
            // The cheapest group, so that the fuzzer is not slowed by exponentiation.
            Phase1Proposal {
                cipher: BlockCipher::Aes256,
                hash: Hash::Sha2_256,
                group: Group::Ecp256,
            },
            Phase1Proposal {
                cipher: BlockCipher::Aes256,
                hash: Hash::Sha1,
                group: Group::Ecp384,
            },
        ],
        ..Config::default()
    })
}

fn path(channel: Channel) -> Path {
    Path {
        channel,
        local: SocketAddr::from(([192, 0, 2, 1], 500)),
        remote: SocketAddr::from(([198, 51, 100, 7], 500)),
    }
}

/// Answers what an SA asks of its owner.
fn drive(sa: &mut IkeSa, clock: &Clock, rng: &mut Rng) {
    loop {
        if let Some(job) = sa.poll_job() {
            sa.handle_job(job.run(), clock.now(), rng);
        } else if let Some(event) = sa.poll_event() {
            if let Event::ChildRequested { id, .. } = event {
                sa.accept_child(id, 0x1234_5678, clock.now(), rng);
            }
        } else if sa.poll_transmit().is_none() {
            return;
        }
    }
}

fn feed<'a>(
    sa: &mut IkeSa,
    input: impl Iterator<Item = &'a [u8]>,
    clock: &mut Clock,
    rng: &mut Rng,
) {
    drive(sa, clock, rng);
    for message in input {
        // The cookies are right, so that the message gets past the first look.
        let (initiator, responder) = sa.cookies();
        let mut message = message.to_vec();
        for (to, from) in message.iter_mut().zip(initiator.iter().chain(&responder)) {
            *to = *from;
        }
        let now = clock.tick();
        let _ = sa.handle_message(path(Channel::Ike), &message, now, rng);
        drive(sa, clock, rng);
        sa.handle_timeout(now, rng);
        drive(sa, clock, rng);
    }
}

/// The first message makes a responder, the others go to it.
pub fn ike_responder(data: &[u8]) {
    let mut rng = Rng::from_seed([7; 32]);
    let mut clock = Clock::new();
    let mut input = messages(data);
    let psk = Arc::new(Psk::new("a key for fuzzing"));
    let first = input.next().unwrap_or_default();
    let accepted = IkeSa::accept(
        &config(),
        psk,
        path(Channel::Ike),
        first,
        clock.now(),
        &mut rng,
    );
    match accepted {
        Ok(mut sa) => feed(&mut sa, input, &mut clock, &mut rng),
        Err(refusal) => drop(refusal.reason.to_string()),
    }
}

/// All messages go to an initiator that has sent its first.
pub fn ike_initiator(data: &[u8]) {
    let mut rng = Rng::from_seed([8; 32]);
    let mut clock = Clock::new();
    let mut sa = IkeSa::initiate(
        &config(),
        Arc::new(Psk::new("a key for fuzzing")),
        path(Channel::Ike),
        SocketAddr::from(([192, 0, 2, 1], 4500)),
        IdValue::Ipv4([192, 0, 2, 1].into()),
        clock.now(),
        &mut rng,
    );
    feed(&mut sa, messages(data), &mut clock, &mut rng);
}
