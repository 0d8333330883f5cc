//! The end that asks who is there. Never answers one attempt twice with different words.

use std::time::Instant;

use super::super::attempt::{Attempt, RejectReason, Verdict};
use super::super::wire::{self, chap, pap};
use super::super::{ServerStep, mschapv2, unmatched};
use crate::Secret;
use crate::automaton::Context;
use crate::config::ServerConfig;
use crate::error::Error;
use crate::event::AuthFailure;
use crate::method::AuthProtocol;
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
    Done { code: u8, body: Vec<u8>, next: Next },
}

/// What a peer may say after a verdict (RFC 2759 6, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    AnotherTry,
    ChangePassword,
}

pub(crate) struct Server {
    protocol: AuthProtocol,
    id: u8,
    challenge: [u8; 16],
    /// MS-CHAPv2: tries that are left after a wrong password.
    retries: u32,
    /// The latest CHAP Response, to know it again.
    latest: Vec<u8>,
    state: State,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn start(
        protocol: AuthProtocol,
        config: &ServerConfig,
        context: &mut Context<'_>,
    ) -> Self {
        let mut auth = Self {
            protocol,
            id: context.rng.array::<1>()[0],
            challenge: context.rng.array(),
            retries: config.auth_retries,
            latest: Vec::new(),
            state: State::Asking {
                tries: config.restart.max_configure,
                again_at: None,
            },
        };
        if protocol != AuthProtocol::Pap {
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

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending)
    }

    pub(crate) fn handle_timeout(&mut self, config: &ServerConfig, context: &mut Context<'_>) {
        if self.poll_timeout().is_some_and(|at| at <= context.now) {
            context.stats.retransmitted += 1;
            self.send_challenge(config, context);
        }
    }

    pub(crate) fn handle_packet(
        &mut self,
        number: u16,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<Option<ServerStep>, Error> {
        let next = match &self.state {
            State::Done { next, .. } => *next,
            _ => Next::Nothing,
        };
        let chap = number == protocol::CHAP;
        if chap && packet.code == chap::CHANGE_PASSWORD && next == Next::ChangePassword {
            return self.change_password(packet, context);
        }
        let expected = match self.protocol {
            AuthProtocol::Pap => (protocol::PAP, pap::REQUEST),
            _ => (protocol::CHAP, chap::RESPONSE),
        };
        // Another try counts the identifier up (RFC 2759 9.1.2); some clients leave it.
        let another = next == Next::AnotherTry && packet.bytes != self.latest;
        let follows = another && packet.id == self.id.wrapping_add(1);
        let fits = !chap || packet.id == self.id || follows;
        if (number, packet.code) != expected || !fits {
            return Err(unmatched(packet, context));
        }
        match &self.state {
            State::Pending => {
                context.stats.auth_duplicates += 1;
                // PAP answers carry the identifier of the latest request.
                self.id = packet.id;
                return Ok(None);
            }
            State::Done { .. } if !another => {
                context.stats.auth_duplicates += 1;
                self.id = packet.id;
                self.send_answer(context);
                return Ok(None);
            }
            _ => {}
        }
        let attempt = self
            .read(packet)
            .inspect_err(|_| context.stats.malformed += 1)?;
        self.id = packet.id;
        if chap {
            self.latest = packet.bytes.to_vec();
        }
        self.state = State::Pending;
        Ok(Some(ServerStep::Judge(attempt)))
    }

    fn read(&self, packet: &Packet<'_>) -> Result<Attempt, Error> {
        if self.protocol == AuthProtocol::Pap {
            let (name, password) = wire::read_pap_request(packet.data)?;
            return Ok(Attempt::Pap {
                user: wire::text(name),
                raw_user: name.to_vec(),
                password: Secret::new(password),
            });
        }
        let (value, name) = wire::read_value(packet.data)?;
        let (user, raw_user) = (wire::text(name), name.to_vec());
        if self.protocol == AuthProtocol::ChapMd5 {
            let response = value
                .try_into()
                .map_err(|_| Error::Malformed("CHAP-MD5 response"))?;
            return Ok(Attempt::ChapMd5 {
                user,
                raw_user,
                eap: false,
                id: packet.id,
                challenge: self.challenge.to_vec(),
                response,
            });
        }
        let (peer_challenge, nt_response) = mschapv2::read_response(value)?;
        Ok(Attempt::MsChapV2 {
            user,
            raw_user,
            eap: false,
            challenge: self.challenge,
            peer_challenge,
            nt_response,
        })
    }

    /// No password is changed here, and the client hears so (RFC 2759 7).
    fn change_password(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<Option<ServerStep>, Error> {
        if packet.data.len() != mschapv2::CHANGE_PASSWORD_LEN {
            context.stats.malformed += 1;
            return Err(Error::Malformed("Change-Password"));
        }
        self.id = packet.id;
        let body = mschapv2::change_failure(context);
        self.answer(chap::FAILURE, body, Next::Nothing, context);
        let failure = AuthFailure::Rejected(RejectReason::Expired);
        Ok(Some(ServerStep::Refused(failure)))
    }

    /// Sends the verdict. `None` if none is awaited.
    pub(crate) fn handle_verdict(
        &mut self,
        verdict: Verdict,
        context: &mut Context<'_>,
    ) -> Option<ServerStep> {
        if !self.is_pending() {
            return None;
        }
        let pap = self.protocol == AuthProtocol::Pap;
        let reason = match verdict {
            Verdict::Accept {
                success_message,
                network,
            } => {
                let code = if pap { pap::ACK } else { chap::SUCCESS };
                self.answer(code, success_message, Next::Nothing, context);
                return Some(ServerStep::Admit(network));
            }
            Verdict::Reject { reason } => reason,
        };
        if self.protocol != AuthProtocol::MsChapV2 {
            let code = if pap { pap::NAK } else { chap::FAILURE };
            let body = reason.to_string().into_bytes();
            self.answer(code, body, Next::Nothing, context);
            return Some(ServerStep::Refused(AuthFailure::Rejected(reason)));
        }
        let next = match reason {
            RejectReason::BadCredentials if self.retries > 0 => Next::AnotherTry,
            RejectReason::Expired => Next::ChangePassword,
            _ => Next::Nothing,
        };
        let retry = (next == Next::AnotherTry).then(|| context.rng.array());
        if let Some(challenge) = retry {
            self.retries -= 1;
            self.challenge = challenge;
        }
        let body = mschapv2::failure(reason, retry.as_ref(), context);
        self.answer(chap::FAILURE, body, next, context);
        Some(match next {
            Next::Nothing => ServerStep::Refused(AuthFailure::Rejected(reason)),
            Next::AnotherTry | Next::ChangePassword => ServerStep::Again(reason),
        })
    }

    fn answer(&mut self, code: u8, message: Vec<u8>, next: Next, context: &mut Context<'_>) {
        let body = match self.protocol {
            AuthProtocol::Pap => wire::write_strings(&[&message]),
            _ => message,
        };
        self.state = State::Done { code, body, next };
        self.send_answer(context);
    }

    fn send_answer(&self, context: &mut Context<'_>) {
        let number = match self.protocol {
            AuthProtocol::Pap => protocol::PAP,
            _ => protocol::CHAP,
        };
        if let State::Done { code, body, .. } = &self.state {
            context.send(number, &build(*code, self.id, body));
        }
    }
}
