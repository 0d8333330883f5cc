//! The end that says who it is.

use std::time::{Duration, Instant};

use adit_crypto::ppp::chap_md5;

use super::super::mschapv2::{self, Failed};
use super::super::wire::{self, chap, pap};
use super::super::{ClientStep, unmatched};
use crate::automaton::Context;
use crate::config::ClientConfig;
use crate::error::Error;
use crate::event::AuthFailure;
use crate::method::AuthProtocol;
use crate::packet::{Packet, build};
use crate::protocol;

/// A CHAP response that went out.
struct Response {
    id: u8,
    challenge: Vec<u8>,
    body: Vec<u8>,
    /// What the server has to prove; MS-CHAPv2 only.
    proof: Option<[u8; 20]>,
}

pub(crate) struct Client {
    protocol: AuthProtocol,
    /// Nothing has been decided yet.
    waiting: bool,
    response: Option<Response>,
    /// Identifier and challenge for another password, which is awaited.
    retry: Option<(u8, [u8; 16])>,
    tries: u32,
    deadline: Option<Instant>,
    next_id: u8,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("protocol", &self.protocol)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Waits for a challenge as long as its repetitions may take.
    pub(crate) fn start(
        protocol: AuthProtocol,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Self {
        let all_tries: Duration = config.restart.timer * config.restart.max_configure;
        let mut auth = Self {
            protocol,
            waiting: true,
            response: None,
            retry: None,
            tries: config.restart.max_configure,
            deadline: Some(context.now + all_tries),
            next_id: context.rng.array::<1>()[0],
        };
        if protocol == AuthProtocol::Pap {
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
        let silent = self.protocol != AuthProtocol::Pap && self.response.is_none();
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
        } else if self.protocol == AuthProtocol::Pap {
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
        let spoken = match self.protocol {
            AuthProtocol::Pap => protocol::PAP,
            _ => protocol::CHAP,
        };
        if number != spoken {
            return Err(unmatched(packet, context));
        }
        if number == protocol::CHAP && packet.code == chap::CHALLENGE {
            self.challenged(packet, config, context)?;
            return Ok(None);
        }
        let answered = match &self.response {
            Some(response) => response.id == packet.id,
            // The identifier of any of the Authenticate-Requests that went out will do.
            None => self.protocol == AuthProtocol::Pap,
        };
        let accepted = match (number, packet.code) {
            (protocol::PAP, pap::ACK) | (protocol::CHAP, chap::SUCCESS) => true,
            (protocol::PAP, pap::NAK) | (protocol::CHAP, chap::FAILURE) => false,
            _ => return Err(unmatched(packet, context)),
        };
        if !self.waiting || !answered || self.retry.is_some() {
            context.stats.auth_duplicates += 1;
            return Ok(None);
        }
        if !accepted {
            return Ok(Some(self.rejected(packet, config)));
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
            self.retry = None;
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
        let (value, proof) = if self.protocol == AuthProtocol::ChapMd5 {
            let sum = chap_md5(id, config.password.expose(), challenge);
            (sum.to_vec(), None)
        } else {
            let (value, proof) = mschapv2::respond(challenge, config, context)?;
            (value, Some(proof))
        };
        Ok(Response {
            id,
            challenge: challenge.to_vec(),
            body: wire::write_value(&value, config.user.as_bytes()),
            proof,
        })
    }

    /// Whether the server knows the password too, where the method can tell.
    fn proven(&self, message: &[u8]) -> bool {
        let proof = self.response.as_ref().and_then(|response| response.proof);
        proof.is_none_or(|proof| mschapv2::proven(message, &proof))
    }

    fn rejected(&mut self, packet: &Packet<'_>, config: &ClientConfig) -> ClientStep {
        if self.protocol == AuthProtocol::Pap {
            let message = wire::read_pap_message(packet.data);
            return self.fail(AuthFailure::RejectedByPeer {
                code: None,
                message,
            });
        }
        let failed = Failed::read(packet.data);
        let ms_chap = self.protocol == AuthProtocol::MsChapV2;
        match failed.retry.filter(|_| ms_chap && config.retry) {
            Some(challenge) => {
                self.retry = Some((packet.id.wrapping_add(1), challenge));
                // It takes the user as long as it takes; the server has a limit.
                self.deadline = None;
                ClientStep::WantsPassword {
                    code: failed.code,
                    message: failed.message,
                }
            }
            None => self.fail(failed.into()),
        }
    }

    pub(crate) fn handle_password(&mut self, config: &ClientConfig, context: &mut Context<'_>) {
        let Some((id, challenge)) = self.retry.take() else {
            return;
        };
        if let Ok(response) = self.respond(id, &challenge, config, context) {
            self.response = Some(response);
            self.tries = config.restart.max_configure;
            self.send(config, context);
        }
    }
}
