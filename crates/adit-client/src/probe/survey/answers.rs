//! What the answers to first messages mean: the steps of a survey.

use std::time::Duration;

use crate::probe::choice::Choice;
use crate::probe::names;
use crate::probe::offer::Reply;
use crate::probe::step::{Door, Step};

/// What of a batch is taken.
pub(super) fn batch(name: &str, taken: &[Choice], reply: &Option<Reply>, took: Duration) -> Step {
    let mut seen: Vec<_> = taken.iter().map(Choice::suite).collect();
    if seen.is_empty() {
        seen.push(refusal(reply));
    }
    weak(Step::ok(name, took, seen), taken.iter())
}

fn refusal(reply: &Option<Reply>) -> String {
    match reply {
        None => "no answer".to_owned(),
        Some(Reply::Chosen { choice, .. }) => format!("not offered, but taken: {choice}"),
        Some(Reply::Refused(notify)) => format!("refused with {}", names::notify(*notify)),
        Some(Reply::Malformed(why)) => format!("unreadable answer: {why}"),
    }
}

/// A warning if any of these is weak.
fn weak<'a>(step: Step, choices: impl Iterator<Item = &'a Choice>) -> Step {
    let mut all: Vec<_> = choices.flat_map(Choice::weak).collect();
    all.sort_unstable();
    all.dedup();
    match all.as_slice() {
        [] => step,
        all => step.warn(format!("the server takes what is weak: {}", all.join(", "))),
    }
}

pub(super) fn reached(door: Door, reply: &Option<Reply>, closed: bool, took: Duration) -> Step {
    let port = door.port();
    let seen = match reply {
        Some(_) => "IKE answers".to_owned(),
        None if closed => "closed: nothing listens there".to_owned(),
        None => "no answer".to_owned(),
    };
    let step = Step::ok(format!("udp-{port}"), took, vec![seen]);
    match (door, reply) {
        (_, Some(_)) => step,
        (Door::Ike, None) if closed => step.fail("start the server, or see which address it uses"),
        (Door::Ike, None) => step.fail(
            "let UDP 500 through every firewall on the way, and see whether the server listens on \
             this address",
        ),
        (_, None) => step.warn(
            "some servers answer there only to known clients; else clients behind a NAT cannot \
             connect: let UDP 4500 through",
        ),
    }
}

pub(super) fn profile(
    name: &str,
    offers: &[Choice],
    reply: &Option<Reply>,
    took: Duration,
    own: bool,
) -> Step {
    let name = format!("as {name}");
    match reply {
        Some(Reply::Chosen { choice, .. }) => {
            let step = Step::ok(name, took, vec![choice.to_string()]);
            weak(step, std::iter::once(choice))
        }
        reply => {
            let step = Step::ok(name, took, vec![refusal(reply)]);
            if own {
                step.fail(
                    "allow one of the transforms that this client offers in the server's phase 1 \
                     (IKE) proposals, or see with --full what it takes",
                )
            } else if offers.iter().all(|offer| !offer.weak().is_empty()) {
                let mut step = step;
                step.seen.push("all that it offers is weak".to_owned());
                step
            } else {
                step.warn("a client of this kind cannot connect")
            }
        }
    }
}

pub(super) fn vendors(reply: &Option<Reply>) -> Option<Step> {
    match reply {
        Some(Reply::Chosen { vendors, .. }) => Some(Step::ok(
            "vendor-ids",
            Duration::ZERO,
            if vendors.is_empty() {
                vec!["none".to_owned()]
            } else {
                vendors.clone()
            },
        )),
        _ => None,
    }
}

pub(super) fn aggressive(reply: &Option<Reply>, took: Duration) -> Step {
    match reply {
        Some(Reply::Chosen { choice, .. }) => Step::ok(
            "aggressive-mode",
            took,
            vec![format!("answered: {choice}")],
        )
        .warn(
            "whoever asks gets a hash of the pre-shared key to guess against: switch aggressive \
             mode off, or use certificates",
        ),
        reply => Step::ok("aggressive-mode", took, vec![refusal(reply)]),
    }
}
