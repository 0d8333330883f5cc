//! The peer (RFC 3748 2): answers one request at a time, repeats an answer whose request is
//! repeated, names what it would rather speak, and believes a Success only after its method.

use std::time::{Duration, Instant};

use adit_crypto::ppp::chap_md5;

use super::super::mschapv2::{self, Failed};
use super::super::wire::{MOST_NAME, read_value, write_value};
use super::super::{ClientStep, unmatched};
use super::tls;
use super::wire::{self, code, kind, op, read_ms_chap, write_ms_chap};
use crate::automaton::Context;
use crate::config::ClientConfig;
use crate::error::Error;
use crate::event::AuthFailure;
use crate::method::AuthMethod;
use crate::packet::Packet;
use crate::protocol;

/// The method that is spoken.
enum Method {
    Md5,
    MsChapV2(MsChapV2),
    Tls(Box<tls::Client>),
}

/// How far MS-CHAPv2 has come.
enum MsChapV2 {
    /// Our response is out; what the server has to prove.
    Responded([u8; 20]),
    /// The server has proven itself, and heard so.
    Proven,
    /// Another password is awaited: EAP identifier, MS-CHAPv2-ID, challenge.
    Waiting(u8, u8, [u8; 16]),
    /// It has said no, and heard that we know.
    Refused(AuthFailure),
}

/// A request and our answer to it.
struct Answered {
    request: Vec<u8>,
    response: Vec<u8>,
}

pub(crate) struct Client {
    method: Option<Method>,
    latest: Option<Answered>,
    /// The request before that.
    before: Option<Vec<u8>>,
    /// Nothing has been decided yet.
    waiting: bool,
    /// How long the server may be silent.
    patience: Duration,
    deadline: Option<Instant>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Waits as long as the repetitions of a request may take.
    pub(crate) fn start(config: &ClientConfig, context: &mut Context<'_>) -> Self {
        let patience = config.restart.timer * config.restart.max_configure;
        Self {
            method: None,
            latest: None,
            before: None,
            waiting: true,
            patience,
            deadline: Some(context.now + patience),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) -> Option<ClientStep> {
        let due = self
            .deadline
            .is_some_and(|deadline| deadline <= context.now);
        due.then(|| self.fail(AuthFailure::Timeout))
    }

    /// Whether the method is done and the server's own word on it is all that is missing.
    fn is_satisfied(&self) -> bool {
        let done = match &self.method {
            Some(Method::Md5 | Method::MsChapV2(MsChapV2::Proven)) => true,
            Some(Method::Tls(method)) => method.is_satisfied(),
            _ => false,
        };
        self.waiting && done
    }

    /// The server goes on as after a Success; whether that is believed.
    pub(crate) fn implied_success(&mut self) -> bool {
        let believed = self.is_satisfied();
        if believed {
            self.waiting = false;
            self.deadline = None;
        }
        believed
    }

    fn fail(&mut self, failure: AuthFailure) -> ClientStep {
        self.waiting = false;
        self.deadline = None;
        ClientStep::Failed(failure)
    }

    fn respond(
        &mut self,
        packet: &Packet<'_>,
        kind: u8,
        data: &[u8],
        context: &mut Context<'_>,
    ) -> Option<ClientStep> {
        let response = wire::packet(code::RESPONSE, packet.id, kind, data);
        context.send(protocol::EAP, &response);
        let answered = Answered {
            request: packet.bytes.to_vec(),
            response,
        };
        self.before = self.latest.replace(answered).map(|before| before.request);
        self.deadline = self.waiting.then(|| context.now + self.patience);
        None
    }

    pub(crate) fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Result<Option<ClientStep>, Error> {
        match packet.code {
            code::REQUEST => {
                if let Some(latest) = &self.latest
                    && latest.request == packet.bytes
                {
                    context.stats.auth_duplicates += 1;
                    if !latest.response.is_empty() {
                        context.send(protocol::EAP, &latest.response);
                    }
                    return Ok(None);
                }
                // The line may turn packets round: a repetition from before the latest request.
                if self.before.as_deref() == Some(packet.bytes) {
                    context.stats.auth_duplicates += 1;
                    return Ok(None);
                }
                self.asked(packet, config, context)
            }
            code::SUCCESS | code::FAILURE => self.ended(packet, context),
            _ => Err(unmatched(packet, context)),
        }
    }

    fn asked(
        &mut self,
        packet: &Packet<'_>,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Result<Option<ClientStep>, Error> {
        let (kind, data) =
            wire::split(packet.data).inspect_err(|_| context.stats.malformed += 1)?;
        let user = config.user.as_bytes();
        match kind {
            kind::IDENTITY => {
                let user = user.get(..MOST_NAME).unwrap_or(user);
                return Ok(self.respond(packet, kind, user, context));
            }
            kind::NOTIFICATION => return Ok(self.respond(packet, kind, &[], context)),
            // A Nak is an answer only (RFC 3748 5.3.1).
            kind::NAK => return Err(unmatched(packet, context)),
            _ => {}
        }
        let usable = |method: &&AuthMethod| **method != AuthMethod::EapTls || config.tls.is_some();
        let allowed = |method: &AuthMethod| method.eap_type() == Some(kind) && usable(&method);
        if !config.allowed.iter().any(allowed) {
            // In the middle of a method there is nothing to choose.
            if self.method.is_some() {
                return Err(unmatched(packet, context));
            }
            let mut wishes: Vec<u8> = config
                .allowed
                .iter()
                .filter(usable)
                .filter_map(|method| method.eap_type())
                .collect();
            if wishes.is_empty() {
                wishes.push(0);
            }
            return Ok(self.respond(packet, kind::NAK, &wishes, context));
        }
        match kind {
            kind::MD5 => {
                let (challenge, _) =
                    read_value(data).inspect_err(|_| context.stats.malformed += 1)?;
                let sum = chap_md5(packet.id, config.password.expose(), challenge);
                self.method = Some(Method::Md5);
                let data = write_value(&sum, user);
                Ok(self.respond(packet, kind, &data, context))
            }
            kind::TLS => self.tls(packet, data, config, context),
            _ => self.ms_chap(packet, data, config, context),
        }
    }

    fn tls(
        &mut self,
        packet: &Packet<'_>,
        data: &[u8],
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Result<Option<ClientStep>, Error> {
        if tls::Client::is_start(data)
            && !matches!(self.method, Some(Method::Tls(_)))
            && let Some(tls) = &config.tls
        {
            match tls::Client::new(tls) {
                Ok(method) => self.method = Some(Method::Tls(Box::new(method))),
                Err(failure) => {
                    context.stats.tls_failed += 1;
                    return Ok(Some(self.fail(AuthFailure::Tls(failure))));
                }
            }
        }
        let Some(Method::Tls(method)) = &mut self.method else {
            return Err(unmatched(packet, context));
        };
        let failed_before = method.failure().is_some();
        let answer = method.handle(data, context.peer_mru);
        let answer = answer.inspect_err(|_| context.stats.malformed += 1)?;
        if !failed_before && method.failure().is_some() {
            context.stats.tls_failed += 1;
        }
        match answer {
            Some(answer) => Ok(self.respond(packet, kind::TLS, &answer, context)),
            None => Err(unmatched(packet, context)),
        }
    }

    fn ms_chap(
        &mut self,
        packet: &Packet<'_>,
        data: &[u8],
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Result<Option<ClientStep>, Error> {
        let asked = read_ms_chap(data).inspect_err(|_| context.stats.malformed += 1)?;
        let method = match &self.method {
            Some(Method::MsChapV2(method)) => Some(method),
            _ => None,
        };
        let kind = kind::MS_CHAP_V2;
        match (asked.op, method) {
            (op::CHALLENGE, _) => {
                let (challenge, _) =
                    read_value(asked.body).inspect_err(|_| context.stats.malformed += 1)?;
                let answer = self.answer(asked.id, challenge, config, context)?;
                Ok(self.respond(packet, kind, &answer, context))
            }
            (op::SUCCESS, Some(MsChapV2::Responded(proof))) => {
                if !mschapv2::proven(asked.body, proof) {
                    return Ok(Some(self.fail(AuthFailure::ServerNotAuthentic)));
                }
                self.method = Some(Method::MsChapV2(MsChapV2::Proven));
                Ok(self.respond(packet, kind, &[op::SUCCESS], context))
            }
            (op::FAILURE, Some(MsChapV2::Responded(_))) => {
                let failed = Failed::read(asked.body);
                if let (Some(challenge), true) = (failed.retry, config.retry) {
                    let id = asked.id.wrapping_add(1);
                    let waiting = MsChapV2::Waiting(packet.id, id, challenge);
                    self.method = Some(Method::MsChapV2(waiting));
                    self.latest = Some(Answered {
                        request: packet.bytes.to_vec(),
                        response: Vec::new(),
                    });
                    // It takes the user as long as it takes; the server has a limit.
                    self.deadline = None;
                    return Ok(Some(ClientStep::WantsPassword {
                        code: failed.code,
                        message: failed.message,
                    }));
                }
                let refused = MsChapV2::Refused(failed.into());
                self.method = Some(Method::MsChapV2(refused));
                Ok(self.respond(packet, kind, &[op::FAILURE], context))
            }
            // A second refusal, as after a request to change the password.
            (op::FAILURE, Some(MsChapV2::Refused(_))) => {
                Ok(self.respond(packet, kind, &[op::FAILURE], context))
            }
            _ => Err(unmatched(packet, context)),
        }
    }

    /// The type data of a Response, which it also remembers.
    fn answer(
        &mut self,
        id: u8,
        challenge: &[u8],
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Result<Vec<u8>, Error> {
        let (value, proof) = mschapv2::respond(challenge, config, context)?;
        self.method = Some(Method::MsChapV2(MsChapV2::Responded(proof)));
        let body = write_value(&value, config.user.as_bytes());
        Ok(write_ms_chap(op::RESPONSE, id, &body))
    }

    pub(crate) fn handle_password(&mut self, config: &ClientConfig, context: &mut Context<'_>) {
        let Some(Method::MsChapV2(MsChapV2::Waiting(eap_id, id, challenge))) = self.method else {
            return;
        };
        if let Ok(answer) = self.answer(id, &challenge, config, context) {
            let response = wire::packet(code::RESPONSE, eap_id, kind::MS_CHAP_V2, &answer);
            context.send(protocol::EAP, &response);
            if let Some(latest) = &mut self.latest {
                latest.response = response;
            }
            self.deadline = Some(context.now + self.patience);
        }
    }

    /// Success or Failure. They carry the identifier of our latest response; some servers count on.
    fn ended(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<Option<ClientStep>, Error> {
        let id = self
            .latest
            .as_ref()
            .and_then(|latest| latest.request.get(1));
        let fits = id.is_some_and(|id| [*id, id.wrapping_add(1)].contains(&packet.id));
        if !fits {
            return Err(unmatched(packet, context));
        }
        if !self.waiting {
            context.stats.auth_duplicates += 1;
            return Ok(None);
        }
        if packet.code == code::SUCCESS {
            // RFC 3748 4.2: one that no method has led to is not believed.
            if !self.is_satisfied() {
                return Err(unmatched(packet, context));
            }
            self.waiting = false;
            self.deadline = None;
            return Ok(Some(ClientStep::Accepted));
        }
        let failure = match &self.method {
            Some(Method::MsChapV2(MsChapV2::Refused(failure))) => failure.clone(),
            Some(Method::Tls(method)) if let Some(failure) = method.failure() => {
                AuthFailure::Tls(failure.clone())
            }
            _ => AuthFailure::RejectedByPeer {
                code: None,
                message: "EAP failure".to_owned(),
            },
        };
        Ok(Some(self.fail(failure)))
    }
}
