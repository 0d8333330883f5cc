//! The end that says who it is.

use std::time::{Duration, Instant};

use adit_crypto::constant_time_eq;
use adit_crypto::ppp::{NtHash, authenticator_response, challenge_hash, chap_md5, nt_response};
use adit_wire::Writer;

use super::attempt::bare_name;
use super::wire::{self, chap, pap};
use crate::automaton::Context;
use crate::config::{AuthMethod, ClientConfig};
use crate::error::Error;
use crate::event::AuthFailure;
use crate::packet::{Packet, build};
use crate::protocol;

/// What a packet or the clock has decided.
#[derive(Debug)]
pub(crate) enum ClientStep {
    Accepted,
    Failed(AuthFailure),
}

/// A CHAP response that went out.
struct Response {
    id: u8,
    challenge: Vec<u8>,
    body: Vec<u8>,
    /// What the server has to prove; MS-CHAPv2 only.
    proof: Option<[u8; 20]>,
}

pub(crate) struct ClientAuth {
    method: AuthMethod,
    /// Nothing has been decided yet.
    waiting: bool,
    response: Option<Response>,
    tries: u32,
    deadline: Option<Instant>,
    next_id: u8,
}

impl std::fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientAuth")
            .field("method", &self.method)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl ClientAuth {
    /// Begins with PAP, or waits for a challenge as long as its repetitions may take.
    pub(crate) fn start(
        method: AuthMethod,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Self {
        let all_tries: Duration = config.restart.timer * config.restart.max_configure;
        let mut auth = Self {
            method,
            waiting: true,
            response: None,
            tries: config.restart.max_configure,
            deadline: Some(context.now + all_tries),
            next_id: context.rng.array::<1>()[0],
        };
        if method == AuthMethod::Pap {
            auth.send(config, context);
        }
        auth
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn handle_timeout(
        &mut self,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Option<ClientStep> {
        if self.deadline.is_none_or(|deadline| context.now < deadline) {
            return None;
        }
        let silent = self.method != AuthMethod::Pap && self.response.is_none();
        if silent || self.tries == 0 {
            return Some(self.fail(AuthFailure::Timeout));
        }
        context.stats.retransmitted += 1;
        self.send(config, context);
        None
    }

    fn fail(&mut self, failure: AuthFailure) -> ClientStep {
        self.waiting = false;
        self.deadline = None;
        ClientStep::Failed(failure)
    }

    /// Sends the Authenticate-Request or the Response, once more.
    fn send(&mut self, config: &ClientConfig, context: &mut Context<'_>) {
        self.tries = self.tries.saturating_sub(1);
        self.deadline = self.waiting.then(|| context.now + config.restart.timer);
        if let Some(response) = &self.response {
            let packet = build(chap::RESPONSE, response.id, &response.body);
            context.send(protocol::CHAP, &packet);
        } else if self.method == AuthMethod::Pap {
            let id = self.next_id;
            self.next_id = id.wrapping_add(1);
            let strings = [config.user.as_bytes(), config.password.expose()];
            let packet = build(pap::REQUEST, id, &wire::write_strings(&strings));
            context.send(protocol::PAP, &packet);
        }
    }

    /// A PAP or CHAP packet.
    pub(crate) fn handle_packet(
        &mut self,
        number: u16,
        packet: &Packet<'_>,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Result<Option<ClientStep>, Error> {
        let spoken = match self.method {
            AuthMethod::Pap => protocol::PAP,
            AuthMethod::ChapMd5 | AuthMethod::MsChapV2 => protocol::CHAP,
        };
        if number != spoken {
            context.stats.unmatched += 1;
            let (code, id) = (packet.code, packet.id);
            return Err(Error::Unmatched { code, id });
        }
        if number == protocol::CHAP && packet.code == chap::CHALLENGE {
            self.challenged(packet, config, context)?;
            return Ok(None);
        }
        let answered = match &self.response {
            Some(response) => response.id == packet.id,
            // The identifier of any of the Authenticate-Requests that went out will do.
            None => self.method == AuthMethod::Pap,
        };
        let accepted = match (number, packet.code) {
            (protocol::PAP, pap::ACK) | (protocol::CHAP, chap::SUCCESS) => true,
            (protocol::PAP, pap::NAK) | (protocol::CHAP, chap::FAILURE) => false,
            (_, code) => {
                context.stats.unmatched += 1;
                return Err(Error::Unmatched {
                    code,
                    id: packet.id,
                });
            }
        };
        if !self.waiting || !answered {
            context.stats.auth_duplicates += 1;
            return Ok(None);
        }
        if !accepted {
            let failure = self.rejection(packet.data);
            return Ok(Some(self.fail(failure)));
        }
        if !self.proven(packet.data) {
            return Ok(Some(self.fail(AuthFailure::ServerNotAuthentic)));
        }
        self.waiting = false;
        self.deadline = None;
        Ok(Some(ClientStep::Accepted))
    }

    /// Answers a challenge; the server may send new ones at any time (RFC 1994 2).
    fn challenged(
        &mut self,
        packet: &Packet<'_>,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let malformed = |_: &Error| context.stats.malformed += 1;
        let (challenge, _) = wire::read_value(packet.data).inspect_err(malformed)?;
        let repeated = self
            .response
            .as_ref()
            .is_some_and(|sent| sent.id == packet.id && sent.challenge == challenge);
        if !repeated {
            let response = self.respond(packet.id, challenge, config, context)?;
            self.response = Some(response);
            self.tries = config.restart.max_configure;
            self.waiting = true;
        }
        self.send(config, context);
        Ok(())
    }

    fn respond(
        &self,
        id: u8,
        challenge: &[u8],
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Result<Response, Error> {
        let user = config.user.as_bytes();
        let (value, proof) = if self.method == AuthMethod::ChapMd5 {
            let sum = chap_md5(id, config.password.expose(), challenge);
            (sum.to_vec(), None)
        } else {
            let Ok(challenge) = <[u8; 16]>::try_from(challenge) else {
                context.stats.malformed += 1;
                return Err(Error::Malformed("MS-CHAPv2 challenge"));
            };
            let own: [u8; 16] = context.rng.array();
            let hash = NtHash::of_password(&config.password.text());
            let sum = challenge_hash(&own, &challenge, bare_name(user));
            let response = nt_response(&hash, &sum);
            let proof = authenticator_response(&hash, &response, &sum);
            let mut value = Writer::new();
            value.bytes(&own).bytes(&[0; 8]).bytes(&response).u8(0);
            (value.into_vec(), Some(proof))
        };
        Ok(Response {
            id,
            challenge: challenge.to_vec(),
            body: wire::write_value(&value, user),
            proof,
        })
    }

    /// Whether the server knows the password too, where the method can tell (RFC 2759 5).
    fn proven(&self, message: &[u8]) -> bool {
        let Some(expected) = self.response.as_ref().and_then(|response| response.proof) else {
            return true;
        };
        message
            .strip_prefix(b"S=")
            .and_then(|digits| digits.get(..40))
            .and_then(wire::unhex_20)
            .is_some_and(|proof| constant_time_eq(&proof, &expected))
    }

    fn rejection(&self, body: &[u8]) -> AuthFailure {
        let text = match self.method {
            AuthMethod::Pap => wire::read_pap_message(body),
            AuthMethod::ChapMd5 | AuthMethod::MsChapV2 => wire::text(body),
        };
        let code = text.strip_prefix("E=").and_then(|rest| {
            let digits = rest.split(' ').next()?;
            digits.parse().ok()
        });
        let message = match text.split_once(" M=") {
            Some((_, message)) if code.is_some() => message.to_owned(),
            _ => text,
        };
        AuthFailure::RejectedByPeer { code, message }
    }
}
