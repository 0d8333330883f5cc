//! The end that asks who is there. It judges nothing itself: an attempt goes out, a verdict comes
//! back. Never answers one attempt twice with different words.

use std::time::Instant;

use super::attempt::{Attempt, RejectReason, Verdict};
use super::wire::{self, chap, pap};
use crate::Secret;
use crate::automaton::Context;
use crate::config::{AuthMethod, ServerConfig};
use crate::error::Error;
use crate::packet::{Packet, build};
use crate::protocol;

#[derive(Debug)]
enum State {
    /// Nothing has come yet; a challenge is repeated while tries are left.
    Asking {
        tries: u32,
        again_at: Option<Instant>,
    },
    /// The verdict is awaited.
    Pending,
    /// The verdict; an attempt that is repeated hears it again (RFC 1994 4.2, RFC 1334 2.2.2).
    Done { code: u8, body: Vec<u8> },
}

pub(crate) struct ServerAuth {
    method: AuthMethod,
    id: u8,
    challenge: [u8; 16],
    state: State,
}

impl std::fmt::Debug for ServerAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerAuth")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl ServerAuth {
    /// Begins with a challenge, or with PAP waits.
    pub(crate) fn start(
        method: AuthMethod,
        config: &ServerConfig,
        context: &mut Context<'_>,
    ) -> Self {
        let mut auth = Self {
            method,
            id: context.rng.array::<1>()[0],
            challenge: context.rng.array(),
            state: State::Asking {
                tries: config.restart.max_configure,
                again_at: None,
            },
        };
        if method != AuthMethod::Pap {
            auth.send_challenge(config, context);
        }
        auth
    }

    fn send_challenge(&mut self, config: &ServerConfig, context: &mut Context<'_>) {
        let State::Asking { tries, again_at } = &mut self.state else {
            return;
        };
        *tries = tries.saturating_sub(1);
        *again_at = (*tries > 0).then(|| context.now + config.restart.timer);
        let name = config.name.as_bytes();
        let name = name.get(..wire::MOST_NAME).unwrap_or(name);
        let body = wire::write_value(&self.challenge, name);
        context.send(protocol::CHAP, &build(chap::CHALLENGE, self.id, &body));
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Asking { again_at, .. } => again_at,
            _ => None,
        }
    }

    /// Whether an attempt waits for its verdict.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending)
    }

    /// Repeats the challenge. The time for everything together is the link's.
    pub(crate) fn handle_timeout(&mut self, config: &ServerConfig, context: &mut Context<'_>) {
        if self.poll_timeout().is_some_and(|at| at <= context.now) {
            context.stats.retransmitted += 1;
            self.send_challenge(config, context);
        }
    }

    /// A PAP or CHAP packet. An attempt is to be judged, once.
    pub(crate) fn handle_packet(
        &mut self,
        number: u16,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<Option<Attempt>, Error> {
        let expected = match self.method {
            AuthMethod::Pap => (protocol::PAP, pap::REQUEST),
            AuthMethod::ChapMd5 | AuthMethod::MsChapV2 => (protocol::CHAP, chap::RESPONSE),
        };
        let chap = number == protocol::CHAP;
        if (number, packet.code) != expected || (chap && packet.id != self.id) {
            context.stats.unmatched += 1;
            let (code, id) = (packet.code, packet.id);
            return Err(Error::Unmatched { code, id });
        }
        // PAP answers carry the identifier of the latest request.
        self.id = packet.id;
        match &self.state {
            State::Asking { .. } => {}
            State::Pending => {
                context.stats.auth_duplicates += 1;
                return Ok(None);
            }
            State::Done { .. } => {
                context.stats.auth_duplicates += 1;
                self.send_answer(context);
                return Ok(None);
            }
        }
        let attempt = self
            .read(packet)
            .inspect_err(|_| context.stats.malformed += 1)?;
        self.state = State::Pending;
        Ok(Some(attempt))
    }

    fn read(&self, packet: &Packet<'_>) -> Result<Attempt, Error> {
        if self.method == AuthMethod::Pap {
            let (name, password) = wire::read_pap_request(packet.data)?;
            return Ok(Attempt::Pap {
                user: wire::text(name),
                raw_user: name.to_vec(),
                password: Secret::new(password),
            });
        }
        let (value, name) = wire::read_value(packet.data)?;
        let (user, raw_user) = (wire::text(name), name.to_vec());
        if self.method == AuthMethod::ChapMd5 {
            let response = value
                .try_into()
                .map_err(|_| Error::Malformed("CHAP-MD5 response"))?;
            return Ok(Attempt::ChapMd5 {
                user,
                raw_user,
                id: packet.id,
                challenge: self.challenge.to_vec(),
                response,
            });
        }
        let (peer_challenge, nt_response) = read_ms_chap_v2(value)?;
        Ok(Attempt::MsChapV2 {
            user,
            raw_user,
            challenge: self.challenge,
            peer_challenge,
            nt_response,
        })
    }

    /// Sends the verdict. `false` if none is awaited.
    pub(crate) fn handle_verdict(&mut self, verdict: &Verdict, context: &mut Context<'_>) -> bool {
        if !self.is_pending() {
            return false;
        }
        let message = match verdict {
            Verdict::Accept {
                success_message, ..
            } => success_message.clone(),
            Verdict::Reject { reason } if self.method == AuthMethod::MsChapV2 => {
                failure_message(*reason, context)
            }
            Verdict::Reject { reason } => reason.to_string().into_bytes(),
        };
        let accepted = matches!(verdict, Verdict::Accept { .. });
        let (code, body) = match (self.method, accepted) {
            (AuthMethod::Pap, true) => (pap::ACK, wire::write_strings(&[&message])),
            (AuthMethod::Pap, false) => (pap::NAK, wire::write_strings(&[&message])),
            (_, true) => (chap::SUCCESS, message),
            (_, false) => (chap::FAILURE, message),
        };
        self.state = State::Done { code, body };
        self.send_answer(context);
        true
    }

    fn send_answer(&self, context: &mut Context<'_>) {
        let number = match self.method {
            AuthMethod::Pap => protocol::PAP,
            AuthMethod::ChapMd5 | AuthMethod::MsChapV2 => protocol::CHAP,
        };
        if let State::Done { code, body } = &self.state {
            context.send(number, &build(*code, self.id, body));
        }
    }
}

/// The response value of MS-CHAPv2 (RFC 2759 4): 49 bytes, of which the reserved ones and the
/// flags are ignored.
fn read_ms_chap_v2(value: &[u8]) -> Result<([u8; 16], [u8; 24]), Error> {
    let wrong = |_| Error::Malformed("MS-CHAPv2 response");
    if value.len() != 49 {
        return Err(Error::Malformed("MS-CHAPv2 response"));
    }
    let mut reader = adit_wire::Reader::new(value);
    let peer_challenge = reader.array().map_err(wrong)?;
    let _reserved = reader.bytes(8).map_err(wrong)?;
    let nt_response = reader.array().map_err(wrong)?;
    Ok((peer_challenge, nt_response))
}

/// RFC 2759 6: a new try is not offered (R=0), so the challenge is only there for form's sake.
fn failure_message(reason: RejectReason, context: &mut Context<'_>) -> Vec<u8> {
    let challenge = wire::hex_upper(&context.rng.array::<16>());
    format!("E={} R=0 C={challenge} V=3 M={reason}", reason.error_code()).into_bytes()
}
