//! First messages of phase 1 as a probe sends them, and what comes back (RFC 2408). Nothing here is authentic, and nothing is kept but what is shown.

use adit_crypto::{Group, Rng};
use adit_ike::codec::{
    Attributes, Builder, Header, Notify, Payloads, Proposal, SecurityAssociation, Transform,
    exchange, kind, protocol,
};
use adit_ike::{Selector, parse_header};
use adit_wire::LengthTooLarge;

use super::choice::Choice;
use super::names;
use crate::profile::vendor;

/// Vendor IDs that are shown, at most.
const MAX_VENDORS: usize = 20;

/// What every offer in a first message is.
pub(super) fn offered(message: &[u8]) -> Vec<Choice> {
    let read = || {
        let header = parse_header(message).ok()?;
        let payloads = Payloads::parse(header.next_payload, header.body(message)).ok()?;
        let body = payloads.required(kind::SA).ok()?;
        let sa = SecurityAssociation::parse(body).ok()?;
        let transforms = sa.proposals.iter().flat_map(|p| &p.transforms);
        Some(transforms.map(Choice::read).collect())
    };
    read().unwrap_or_default()
}

/// A first message of main mode with these offers.
pub(super) fn main_mode(cookie: [u8; 8], offers: &[Choice]) -> Result<Vec<u8>, LengthTooLarge> {
    let mut chain = Builder::new();
    chain.push(kind::SA, &sa(offers)?)?;
    push_vendors(&mut chain)?;
    Ok(message(cookie, exchange::MAIN, &chain))
}

/// A first message of aggressive mode. Its public value is a number that nobody has the private
/// value of: enough to see whether it is answered, and all offers must be of one MODP group.
pub(super) fn aggressive(
    cookie: [u8; 8],
    offers: &[Choice],
    identity: &Selector,
    rng: &mut Rng,
) -> Result<Vec<u8>, LengthTooLarge> {
    let length = offers.first().and_then(Choice::group);
    let mut public = vec![0; length.map_or(256, Group::public_len)];
    // The first byte stays zero, so that the number is below the prime.
    rng.fill(public.get_mut(1..).unwrap_or_default());
    let nonce: [u8; 32] = rng.array();
    let mut chain = Builder::new();
    chain
        .push(kind::SA, &sa(offers)?)?
        .push(kind::KE, &public)?
        .push(kind::NONCE, &nonce)?
        .push(kind::ID, &identity.write())?;
    push_vendors(&mut chain)?;
    Ok(message(cookie, exchange::AGGRESSIVE, &chain))
}

/// Servers exist that answer nobody from another port than 500 who says nothing of NAT traversal.
fn push_vendors(chain: &mut Builder) -> Result<(), LengthTooLarge> {
    for id in [vendor::RFC3947, vendor::NAT_T_02_LF, vendor::DPD] {
        chain.push(kind::VENDOR, &id)?;
    }
    Ok(())
}

fn sa(offers: &[Choice]) -> Result<Vec<u8>, LengthTooLarge> {
    let bodies: Vec<_> = offers.iter().map(Choice::write).collect();
    let transforms = bodies
        .iter()
        .zip(1..=u8::MAX)
        .filter_map(|(body, number)| {
            Some(Transform {
                number,
                id: 1,
                attributes: Attributes::parse(body).ok()?,
            })
        })
        .collect();
    SecurityAssociation {
        proposals: vec![Proposal {
            number: 1,
            protocol: protocol::ISAKMP,
            spi: &[],
            transforms,
        }],
    }
    .write()
}

fn message(cookie: [u8; 8], exchange: u8, chain: &Builder) -> Vec<u8> {
    Header {
        initiator_cookie: cookie,
        responder_cookie: [0; 8],
        next_payload: chain.first(),
        exchange,
        encrypted: false,
        commit: false,
        message_id: 0,
        length: 0,
    }
    .write(chain.bytes())
}

/// What a server says to a first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It took an offer.
    Chosen {
        choice: Choice,
        /// Its vendor IDs, by name.
        vendors: Vec<String>,
        /// The initiator's cookie, then its own.
        cookies: [u8; 16],
    },
    /// It refused with this notification.
    Refused(u16),
    /// Its answer cannot be read.
    Malformed(String),
}

/// Reads the answer to the first message with `cookie`; `None` if it is something else.
pub(super) fn read(message: &[u8], cookie: [u8; 8]) -> Option<Reply> {
    let header = parse_header(message).ok()?;
    if header.initiator_cookie != cookie || header.encrypted {
        return None;
    }
    let read = || {
        let payloads = Payloads::parse(header.next_payload, header.body(message))?;
        if header.exchange == exchange::INFORMATIONAL {
            let body = payloads.required(kind::NOTIFY)?;
            return Ok(Reply::Refused(Notify::parse(body)?.kind));
        }
        let sa = SecurityAssociation::parse(payloads.required(kind::SA)?)?;
        let mut chosen = sa.proposals.iter().flat_map(|p| &p.transforms);
        let mut cookies = [0; 16];
        let both = cookie.iter().chain(&header.responder_cookie);
        cookies
            .iter_mut()
            .zip(both)
            .for_each(|(to, from)| *to = *from);
        Ok(match (chosen.next(), chosen.next()) {
            (Some(transform), None) => Reply::Chosen {
                choice: Choice::read(transform),
                vendors: payloads
                    .all(kind::VENDOR)
                    .take(MAX_VENDORS)
                    .map(names::vendor_id)
                    .collect(),
                cookies,
            },
            _ => Reply::Malformed("it chose not one transform".to_owned()),
        })
    };
    let read: Result<Reply, adit_ike::DecodeError> = read();
    Some(read.unwrap_or_else(|error| Reply::Malformed(error.to_string())))
}

/// Takes back what was begun: a refusal of the server's choice and a Delete, in the clear, which is
/// all there is before keys (RFC 2408 5.4, 5.15). Servers that do not listen time out.
pub(super) fn farewell(cookies: [u8; 16], rng: &mut Rng) -> Result<Vec<u8>, LengthTooLarge> {
    let notify = Notify {
        protocol: protocol::ISAKMP,
        spi: &cookies,
        kind: adit_ike::codec::notify::NO_PROPOSAL_CHOSEN,
        data: &[],
    };
    let mut chain = Builder::new();
    chain
        .push(kind::NOTIFY, &notify.write()?)?
        .push(kind::DELETE, &adit_ike::codec::Delete::isakmp(cookies))?;
    let (mut initiator_cookie, mut responder_cookie) = ([0; 8], [0; 8]);
    let halves = initiator_cookie.iter_mut().chain(&mut responder_cookie);
    halves.zip(cookies).for_each(|(to, from)| *to = from);
    Ok(Header {
        initiator_cookie,
        responder_cookie,
        next_payload: chain.first(),
        exchange: exchange::INFORMATIONAL,
        encrypted: false,
        commit: false,
        message_id: rng.u32().max(1),
        length: 0,
    }
    .write(chain.bytes()))
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
