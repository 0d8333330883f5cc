//! The authenticator (RFC 3748 2): Identity, then the preferred method that the peer does not Nak.
//! It ends in Success only by way of a method and a verdict.

use std::time::Instant;

use super::super::wire::{MOST_NAME, read_value, text, write_value};
use super::super::{Attempt, ServerStep, Verdict, unmatched};
use super::mschapv2::{MsChapV2, Step};
use super::tls;
use super::wire::{self, code, kind};
use crate::automaton::Context;
use crate::config::{Network, ServerConfig};
use crate::error::Error;
use crate::event::AuthFailure;
use crate::method::AuthMethod;
use crate::packet::{Packet, build};
use crate::protocol;

enum Method {
    Md5([u8; 16]),
    MsChapV2(Box<MsChapV2>),
    Tls(Box<tls::Server>),
}

impl Method {
    fn kind(&self) -> u8 {
        match self {
            Self::Md5(_) => kind::MD5,
            Self::MsChapV2(_) => kind::MS_CHAP_V2,
            Self::Tls(_) => kind::TLS,
        }
    }
}

enum State {
    Identity,
    /// A request of the method is out.
    Asking(Method),
    /// The verdict is awaited.
    Pending(Method),
    Done,
}

/// A request without an answer.
struct Request {
    packet: Vec<u8>,
    tries: u32,
    again_at: Option<Instant>,
}

pub(crate) struct Server {
    /// Methods that the peer has not refused, the preferred one first.
    methods: Vec<AuthMethod>,
    identity: Vec<u8>,
    /// Identifier of the latest request.
    id: u8,
    request: Option<Request>,
    /// The peer has spoken the method, and may not Nak it any more (RFC 3748 5.3.1).
    agreed: bool,
    state: State,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn start(config: &ServerConfig, context: &mut Context<'_>) -> Self {
        let methods = config.auth.iter().copied();
        let mut auth = Self {
            methods: methods
                .filter(|method| method.eap_type().is_some())
                .filter(|method| *method != AuthMethod::EapTls || config.tls.is_some())
                .collect(),
            identity: Vec::new(),
            id: context.rng.array::<1>()[0],
            request: None,
            agreed: false,
            state: State::Identity,
        };
        auth.ask(kind::IDENTITY, &[], config, context);
        auth
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.request.as_ref().and_then(|request| request.again_at)
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending(_))
    }

    /// Repeats the request (RFC 3748 4.3).
    pub(crate) fn handle_timeout(&mut self, config: &ServerConfig, context: &mut Context<'_>) {
        if self.poll_timeout().is_some_and(|at| at <= context.now) {
            context.stats.retransmitted += 1;
            self.send(config, context);
        }
    }

    fn send(&mut self, config: &ServerConfig, context: &mut Context<'_>) {
        if let Some(request) = &mut self.request {
            request.tries = request.tries.saturating_sub(1);
            let again_at = context.now + config.restart.timer;
            request.again_at = (request.tries > 0).then_some(again_at);
            context.send(protocol::EAP, &request.packet);
        }
    }

    /// Sends the next request.
    fn ask(&mut self, kind: u8, data: &[u8], config: &ServerConfig, context: &mut Context<'_>) {
        self.id = self.id.wrapping_add(1);
        self.request = Some(Request {
            packet: wire::packet(code::REQUEST, self.id, kind, data),
            tries: config.restart.max_configure,
            again_at: None,
        });
        self.send(config, context);
    }

    /// Success or Failure, which carry the identifier of the response before (RFC 3748 4.2).
    fn finish(&mut self, code: u8, context: &mut Context<'_>) {
        self.state = State::Done;
        self.request = None;
        context.send(protocol::EAP, &build(code, self.id, &[]));
    }

    fn refuse(&mut self, failure: AuthFailure, context: &mut Context<'_>) -> ServerStep {
        self.finish(code::FAILURE, context);
        ServerStep::Refused(failure)
    }

    pub(crate) fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        config: &ServerConfig,
        context: &mut Context<'_>,
    ) -> Result<Option<ServerStep>, Error> {
        if packet.code != code::RESPONSE {
            return Err(unmatched(packet, context));
        }
        if self.request.is_none() || packet.id != self.id {
            let before = self.id.wrapping_sub(1);
            if [self.id, before].contains(&packet.id) {
                context.stats.auth_duplicates += 1;
                return Ok(None);
            }
            return Err(unmatched(packet, context));
        }
        let malformed = |_: &Error| context.stats.malformed += 1;
        let (kind, data) = wire::split(packet.data).inspect_err(malformed)?;
        match (&mut self.state, kind) {
            (State::Identity, kind::IDENTITY) => {
                if data.len() > MOST_NAME {
                    context.stats.malformed += 1;
                    return Err(Error::Malformed("EAP identity"));
                }
                self.identity = data.to_vec();
                Ok(self.begin(&[], config, context))
            }
            (State::Asking(method), kind::NAK) if !self.agreed => {
                let refused = method.kind();
                self.methods
                    .retain(|method| method.eap_type() != Some(refused));
                Ok(self.begin(data, config, context))
            }
            (State::Asking(method), kind) if kind == method.kind() => {
                self.answered(packet, data, config, context)
            }
            _ => Err(unmatched(packet, context)),
        }
    }

    /// Begins the first method that the peer wishes and that is allowed; without wishes the
    /// preferred one.
    fn begin(
        &mut self,
        wishes: &[u8],
        config: &ServerConfig,
        context: &mut Context<'_>,
    ) -> Option<ServerStep> {
        let of = |kind: u8| {
            let mut methods = self.methods.iter().copied();
            methods.find(|method| method.eap_type() == Some(kind))
        };
        let refused = matches!(self.state, State::Asking(_));
        let method = match refused {
            true => wishes.iter().find_map(|kind| of(*kind)),
            false => self.methods.first().copied(),
        };
        let name = config.name.as_bytes();
        let name = name.get(..MOST_NAME).unwrap_or(name);
        match method {
            Some(AuthMethod::EapMd5) => {
                let challenge: [u8; 16] = context.rng.array();
                self.state = State::Asking(Method::Md5(challenge));
                let data = write_value(&challenge, name);
                self.ask(kind::MD5, &data, config, context);
            }
            Some(AuthMethod::EapMsChapV2) => {
                let id = self.id.wrapping_add(1);
                let (method, data) = MsChapV2::new(id, name, config.auth_retries, context);
                self.state = State::Asking(Method::MsChapV2(Box::new(method)));
                self.ask(kind::MS_CHAP_V2, &data, config, context);
            }
            Some(AuthMethod::EapTls) if let Some(tls) = &config.tls => {
                match tls::Server::new(tls) {
                    Ok((method, data)) => {
                        self.state = State::Asking(Method::Tls(Box::new(method)));
                        self.ask(kind::TLS, &data, config, context);
                    }
                    Err(failure) => {
                        context.stats.tls_failed += 1;
                        return Some(self.refuse(AuthFailure::Tls(failure), context));
                    }
                }
            }
            _ => {
                let failure = AuthFailure::EapMethod {
                    wanted: wishes.to_vec(),
                    allowed: config.auth.clone(),
                };
                return Some(self.refuse(failure, context));
            }
        }
        None
    }

    fn answered(
        &mut self,
        packet: &Packet<'_>,
        data: &[u8],
        config: &ServerConfig,
        context: &mut Context<'_>,
    ) -> Result<Option<ServerStep>, Error> {
        let State::Asking(method) = &mut self.state else {
            return Ok(None);
        };
        let kind = method.kind();
        let step = match method {
            Method::Tls(method) => {
                let step = method.handle(data, context.peer_mru);
                step.map(|step| step.map(|step| of_tls(step, &self.identity, context)))
            }
            Method::Md5(challenge) => read_md5(packet.id, data, challenge, &self.identity)
                .map(|attempt| Some(Step::Judge(attempt))),
            Method::MsChapV2(method) => method.handle(data, context),
        };
        let step = step.inspect_err(|_| context.stats.malformed += 1)?;
        let Some(step) = step else {
            return Err(unmatched(packet, context));
        };
        self.agreed = true;
        self.request = None;
        Ok(match step {
            Step::Judge(attempt) => {
                self.state = match std::mem::replace(&mut self.state, State::Done) {
                    State::Asking(method) => State::Pending(method),
                    other => other,
                };
                Some(ServerStep::Judge(attempt))
            }
            Step::Admit(network) => Some(self.admit(network, context)),
            Step::Refused(failure) => Some(self.refuse(failure, context)),
            Step::Ask(data) => {
                self.ask(kind, &data, config, context);
                None
            }
        })
    }

    fn admit(&mut self, network: Network, context: &mut Context<'_>) -> ServerStep {
        self.finish(code::SUCCESS, context);
        ServerStep::Admit(network)
    }

    pub(crate) fn handle_verdict(
        &mut self,
        verdict: Verdict,
        config: &ServerConfig,
        context: &mut Context<'_>,
    ) -> Option<ServerStep> {
        let State::Pending(method) = std::mem::replace(&mut self.state, State::Done) else {
            return None;
        };
        match (method, verdict) {
            (Method::MsChapV2(mut method), verdict) => {
                let (data, step) = match verdict {
                    Verdict::Accept {
                        success_message,
                        network,
                    } => (method.accept(&success_message, network), None),
                    // The peer has to take this too, or may say something more.
                    Verdict::Reject { reason } => {
                        let data = method.reject(reason, context);
                        (data, Some(ServerStep::Again(reason)))
                    }
                };
                self.state = State::Asking(Method::MsChapV2(method));
                self.ask(kind::MS_CHAP_V2, &data, config, context);
                step
            }
            (Method::Tls(mut method), Verdict::Accept { network, .. }) => {
                let data = method.accept(network, context.peer_mru);
                self.state = State::Asking(Method::Tls(method));
                self.ask(kind::TLS, &data, config, context);
                None
            }
            (Method::Md5(_), Verdict::Accept { network, .. }) => Some(self.admit(network, context)),
            (Method::Md5(_) | Method::Tls(_), Verdict::Reject { reason }) => {
                Some(self.refuse(AuthFailure::Rejected(reason), context))
            }
        }
    }
}

fn of_tls(step: tls::Step, identity: &[u8], context: &mut Context<'_>) -> Step {
    match step {
        tls::Step::Judge(certificate) => Step::Judge(Attempt::Certificate {
            user: text(identity),
            raw_user: identity.to_vec(),
            certificate,
        }),
        tls::Step::Admit(network) => Step::Admit(network),
        tls::Step::Failed(failure) => {
            context.stats.tls_failed += 1;
            Step::Refused(AuthFailure::Tls(failure))
        }
        tls::Step::Ask(data) => Step::Ask(data),
    }
}

/// A response to MD5-Challenge (RFC 3748 5.4); a peer without a name is who it said it was.
fn read_md5(id: u8, data: &[u8], challenge: &[u8; 16], identity: &[u8]) -> Result<Attempt, Error> {
    let (value, name) = read_value(data)?;
    let response = value
        .try_into()
        .map_err(|_| Error::Malformed("EAP-MD5 response"))?;
    let name = if name.is_empty() { identity } else { name };
    Ok(Attempt::ChapMd5 {
        user: text(name),
        raw_user: name.to_vec(),
        eap: true,
        id,
        challenge: challenge.to_vec(),
        response,
    })
}
