//! The messages of MS-CHAPv2 (RFC 2759), which PPP carries in CHAP packets and in EAP.

use adit_crypto::constant_time_eq;
use adit_crypto::ppp::{NtHash, authenticator_response, challenge_hash, nt_response};
use adit_wire::{Reader, Writer};

use super::attempt::{RejectReason, bare_name};
use super::wire;
use crate::automaton::Context;
use crate::config::ClientConfig;
use crate::error::Error;
use crate::event::AuthFailure;

/// The password may be tried again.
const BAD_PASSWORD: u32 = 691;

/// The password could not be changed.
const CHANGE_FAILED: u32 = 709;

/// The body of a Change-Password packet (RFC 2759 7): encrypted password and hash, challenge,
/// reserved bytes, response and flags.
pub(super) const CHANGE_PASSWORD_LEN: usize = 516 + 16 + 16 + 8 + 24 + 2;

/// Peer-Challenge and NT-Response of a response value (RFC 2759 4): 49 bytes, of which the reserved
/// ones and the flags are ignored.
pub(super) fn read_response(value: &[u8]) -> Result<([u8; 16], [u8; 24]), Error> {
    let wrong = |_| Error::Malformed("MS-CHAPv2 response");
    if value.len() != 49 {
        return Err(Error::Malformed("MS-CHAPv2 response"));
    }
    let mut reader = Reader::new(value);
    let peer_challenge = reader.array().map_err(wrong)?;
    let _reserved = reader.bytes(8).map_err(wrong)?;
    let nt_response = reader.array().map_err(wrong)?;
    Ok((peer_challenge, nt_response))
}

/// Message of a Failure packet (RFC 2759 6): `retry` is the challenge for another try, if there may
/// be one. Clients look for each field with its leading space.
pub(super) fn failure(
    reason: RejectReason,
    retry: Option<&[u8; 16]>,
    context: &mut Context<'_>,
) -> Vec<u8> {
    write_failure(reason.error_code(), retry, &reason.to_string(), context)
}

/// The same for a Change-Password packet, which is never granted.
pub(super) fn change_failure(context: &mut Context<'_>) -> Vec<u8> {
    let text = "the password cannot be changed here";
    write_failure(CHANGE_FAILED, None, text, context)
}

fn write_failure(
    code: u32,
    retry: Option<&[u8; 16]>,
    text: &str,
    context: &mut Context<'_>,
) -> Vec<u8> {
    let again = u8::from(retry.is_some());
    // Without another try the challenge is only there for form's sake.
    let challenge = match retry {
        Some(challenge) => *challenge,
        None => context.rng.array(),
    };
    let challenge = wire::hex_upper(&challenge);
    format!("E={code} R={again} C={challenge} V=3 M={text}").into_bytes()
}

/// A Failure message as a client reads it.
pub(super) struct Failed {
    pub(super) code: Option<u32>,
    pub(super) message: String,
    /// The challenge for another try, if one is allowed.
    pub(super) retry: Option<[u8; 16]>,
}

impl Failed {
    pub(super) fn read(body: &[u8]) -> Self {
        let text = wire::text(body);
        let (fields, message) = match text.split_once(" M=") {
            Some((fields, message)) => (fields, message),
            None => (text.as_str(), text.as_str()),
        };
        let field = |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name));
        let code = field("E=").and_then(|digits| digits.parse().ok());
        let retry = field("C=")
            .and_then(|digits| wire::unhex(digits.as_bytes()))
            .filter(|_| field("R=") == Some("1") && code == Some(BAD_PASSWORD));
        let message = if code.is_some() { message } else { &text };
        Self {
            code,
            message: message.to_owned(),
            retry,
        }
    }
}

impl From<Failed> for AuthFailure {
    fn from(failed: Failed) -> Self {
        Self::RejectedByPeer {
            code: failed.code,
            message: failed.message,
        }
    }
}

/// The response value to a challenge, and what the server has to prove after it.
pub(super) fn respond(
    challenge: &[u8],
    config: &ClientConfig,
    context: &mut Context<'_>,
) -> Result<(Vec<u8>, [u8; 20]), Error> {
    let Ok(challenge) = <[u8; 16]>::try_from(challenge) else {
        context.stats.malformed += 1;
        return Err(Error::Malformed("MS-CHAPv2 challenge"));
    };
    let own: [u8; 16] = context.rng.array();
    let hash = NtHash::of_password(&config.password.text());
    let sum = challenge_hash(&own, &challenge, bare_name(config.user.as_bytes()));
    let response = nt_response(&hash, &sum);
    let proof = authenticator_response(&hash, &response, &sum);
    let mut value = Writer::new();
    value.bytes(&own).bytes(&[0; 8]).bytes(&response).u8(0);
    Ok((value.into_vec(), proof))
}

/// Whether a Success message proves that the server knows the password too (RFC 2759 5).
pub(super) fn proven(message: &[u8], expected: &[u8; 20]) -> bool {
    message
        .strip_prefix(b"S=")
        .and_then(|digits| digits.get(..40))
        .and_then(wire::unhex::<20>)
        .is_some_and(|proof| constant_time_eq(&proof, expected))
}
