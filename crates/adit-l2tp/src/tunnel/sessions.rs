//! The sessions of a tunnel (RFC 2661 7.4): incoming calls in both roles. Outgoing calls are refused.

use std::time::Instant;

use adit_crypto::Rng;

use super::{Role, Tunnel};
use crate::avp::Attribute;
use crate::build::{self, Calling};
use crate::call::Call;
use crate::error::{Error, Fault};
use crate::event::{Event, SessionDownCause};
use crate::message::{Message, MessageType};
use crate::result::CallDisconnect;
use crate::state::{self, SessionAction, SessionInput, SessionState, TunnelState};

pub(super) struct Session {
    /// The peer's session ID.
    pub(super) remote: Option<u16>,
    pub(super) state: SessionState,
    pub(super) sequencing_required: bool,
    /// What the peer said about it.
    pub(super) call: Call,
    /// When it should be established: its key in the tunnel's `waiting`.
    setup: Instant,
}

impl Tunnel {
    pub(super) fn place_call(&mut self, now: Instant, rng: &mut Rng) -> u16 {
        let local = self.free_session_id(rng);
        if !self.state.is_open() || self.is_full() {
            self.session_down(local, SessionDownCause::NotOpened);
            return local;
        }
        let (_, state) = state::session(SessionState::Idle, SessionInput::Call);
        self.add_session(local, None, state, now);
        if self.state == TunnelState::Established && !self.calls_wait {
            self.send_icrq(local, now, rng);
        }
        local
    }

    /// The tunnel is established: the sessions that wait for it go on.
    pub(super) fn tunnel_open(&mut self, now: Instant, rng: &mut Rng) {
        let waiting: Vec<u16> = self.sessions.keys().copied().collect();
        for local in waiting {
            self.send_icrq(local, now, rng);
        }
    }

    fn send_icrq(&mut self, local: u16, now: Instant, rng: &mut Rng) {
        if self.session_step(local, SessionInput::TunnelOpen) == SessionAction::SendIcrq {
            let nonce = if self.config.manner.has_nonce() {
                rng.array()
            } else {
                [0; 16]
            };
            let calling = Calling {
                session: local,
                serial: self.serial,
                nonce,
            };
            self.serial = self.serial.wrapping_add(1);
            let hiding = self.auth.hiding(&self.config, rng);
            let icrq = build::icrq(&self.config, &calling, hiding);
            self.channel.queue(0, icrq, now);
        }
    }

    /// Hands a message about a session to it.
    pub(super) fn deliver(
        &mut self,
        kind: MessageType,
        mut message: Message,
        session: u16,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        if session == 0 && matches!(kind, MessageType::Icrq | MessageType::Ocrq) {
            return self.incoming_call(kind, message, now, rng);
        }
        let Some(local) = self.addressee(kind, &message, session) else {
            self.channel.stats.unknown_sessions += 1;
            return Err(Error::UnknownSession {
                message: kind,
                session,
            });
        };
        let mut fault = message.fault.take();
        let state = self.session_state(local);
        let input = match kind {
            MessageType::Cdn => SessionInput::Cdn, // whatever else is in it
            _ if fault.is_some() => SessionInput::Fault,
            MessageType::Wen | MessageType::Sli => {
                self.link_message(local, state, kind, &message);
                return Ok(());
            }
            MessageType::Icrq => SessionInput::Icrq,
            MessageType::Icrp if message.session_id.is_none() => {
                fault = Some(missing_session_id(kind));
                SessionInput::Fault
            }
            MessageType::Icrp => SessionInput::Icrp,
            MessageType::Iccn => SessionInput::Iccn,
            _ => {
                let message = kind;
                fault = Some(Fault::UnexpectedOnSession { message, state });
                SessionInput::Fault
            }
        };
        // Also of a message that is not accepted, since the CDN must find its session.
        if let (MessageType::Icrp, Some(session)) = (kind, self.sessions.get_mut(&local)) {
            session.remote = session.remote.or(message.session_id);
        }
        match self.session_step(local, input) {
            SessionAction::SendIccn => {
                let calling = Calling {
                    session: local,
                    ..Calling::default()
                };
                let hiding = self.auth.hiding(&self.config, rng);
                let iccn = build::iccn(&self.config, &calling, hiding);
                let remote = self.remote_session(local);
                self.channel.queue(remote, iccn, now);
                if let Some(session) = self.sessions.get_mut(&local) {
                    session.sequencing_required = self.config.sequencing;
                }
                self.session_up(local, remote);
                Ok(())
            }
            SessionAction::Open => {
                if let Some(session) = self.sessions.get_mut(&local) {
                    session.sequencing_required = message.sequencing_required;
                    session.call.add(message.call);
                }
                self.session_up(local, self.remote_session(local));
                Ok(())
            }
            SessionAction::CleanUp => {
                let result = message.result.unwrap_or_default();
                let reason = CallDisconnect::of_peer(result, message.q931);
                self.session_down(local, SessionDownCause::ByPeer(reason));
                Ok(())
            }
            SessionAction::SendCdn | SessionAction::SendStateError => {
                let message = kind;
                let fault = fault.unwrap_or(Fault::UnexpectedOnSession { message, state });
                self.channel.stats.faults += 1;
                self.send_cdn(local, self.remote_session(local), &fault.disconnect(), now);
                self.session_down(local, SessionDownCause::Fault(fault.clone()));
                Err(Error::Session(fault))
            }
            SessionAction::Nothing | SessionAction::SendIcrq | SessionAction::SendIcrp => Ok(()),
        }
    }

    /// What a message says about the line of a session. It says so of one that is established, or is
    /// ignored, and so is one that says nothing.
    fn link_message(
        &mut self,
        local: u16,
        state: SessionState,
        kind: MessageType,
        message: &Message,
    ) {
        let event = if kind == MessageType::Sli {
            self.channel.stats.sli_received += 1;
            message.accm.map(|accm| Event::LinkInfo { local, accm })
        } else {
            self.channel.stats.wen_received += 1;
            let errors = message.call_errors;
            errors.map(|errors| Event::WanErrors { local, errors })
        };
        self.events
            .extend(event.filter(|_| state == SessionState::Established));
    }

    /// Whom a message is for. A CDN may come before its sender knows our session ID; then it says
    /// its own (RFC 2661 4.4.4, Assigned Session ID).
    fn addressee(&self, kind: MessageType, message: &Message, session: u16) -> Option<u16> {
        if self.sessions.contains_key(&session) {
            return Some(session);
        }
        if session != 0 || kind != MessageType::Cdn {
            return None;
        }
        let remote = message.session_id?;
        self.sessions
            .iter()
            .find(|(_, session)| session.remote == Some(remote))
            .map(|(local, _)| *local)
    }

    fn incoming_call(
        &mut self,
        kind: MessageType,
        message: Message,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let Some(remote) = message.session_id else {
            // Nobody to answer.
            self.channel.stats.faults += 1;
            let fault = message.fault.unwrap_or_else(|| missing_session_id(kind));
            return Err(Error::Session(fault));
        };
        let mut others = self.sessions.values();
        if others.any(|session| session.remote == Some(remote)) {
            self.channel.stats.faults += 1;
            return Err(Error::SessionInUse(remote));
        }
        let fault = match (kind, message.fault.clone()) {
            (MessageType::Ocrq, _) => Some(Fault::OutgoingCall),
            (_, Some(fault)) => Some(fault),
            _ if self.role == Role::Lac => Some(Fault::IncomingCall),
            _ if self.is_full() => Some(Fault::TooManySessions(self.config.max_sessions)),
            _ => None,
        };
        let local = self.free_session_id(rng);
        let input = match fault {
            None => SessionInput::Icrq,
            Some(_) => SessionInput::Fault,
        };
        let (action, state) = state::session(SessionState::Idle, input);
        match (action, fault) {
            (SessionAction::SendCdn, Some(fault)) => {
                self.channel.stats.refused_sessions += 1;
                self.send_cdn(local, remote, &fault.disconnect(), now);
                Err(Error::Session(fault))
            }
            _ => {
                self.add_session(local, Some(remote), state, now);
                if let Some(session) = self.sessions.get_mut(&local) {
                    session.call = message.call;
                }
                self.channel.queue(remote, build::icrp(local), now);
                Ok(())
            }
        }
    }

    /// Ends a session for a reason of our own.
    pub(super) fn drop_session(
        &mut self,
        local: u16,
        input: SessionInput,
        reason: &CallDisconnect,
        now: Instant,
    ) {
        let remote = self.remote_session(local);
        let action = self.session_step(local, input);
        if action == SessionAction::SendCdn {
            self.send_cdn(local, remote, reason, now);
        }
        if matches!(action, SessionAction::SendCdn | SessionAction::CleanUp) {
            let cause = match input {
                SessionInput::SetupTimeout => SessionDownCause::SetupTimeout,
                _ => SessionDownCause::ByUs,
            };
            self.session_down(local, cause);
        }
    }

    fn send_cdn(&mut self, local: u16, remote: u16, reason: &CallDisconnect, now: Instant) {
        let cdn = build::cdn(local, reason, self.result_format());
        self.channel.queue(remote, cdn, now);
    }

    fn session_step(&mut self, local: u16, input: SessionInput) -> SessionAction {
        let Some(session) = self.sessions.get_mut(&local) else {
            return SessionAction::Nothing;
        };
        let (action, next) = state::session(session.state, input);
        session.state = next;
        action
    }

    fn session_state(&self, local: u16) -> SessionState {
        self.sessions
            .get(&local)
            .map_or(SessionState::Idle, |session| session.state)
    }

    /// The peer's ID of a session; 0, as in a header, while it is not known.
    fn remote_session(&self, local: u16) -> u16 {
        self.sessions
            .get(&local)
            .and_then(|session| session.remote)
            .unwrap_or(0)
    }

    fn add_session(&mut self, local: u16, remote: Option<u16>, state: SessionState, now: Instant) {
        let setup = now + self.config.setup_timeout;
        self.waiting.insert((setup, local));
        self.sessions.insert(
            local,
            Box::new(Session {
                remote,
                state,
                sequencing_required: false,
                call: Call::default(),
                setup,
            }),
        );
    }

    fn session_up(&mut self, local: u16, remote: u16) {
        if let Some(session) = self.sessions.get(&local) {
            self.waiting.remove(&(session.setup, local));
        }
        self.events.push_back(Event::SessionUp { local, remote });
    }

    fn session_down(&mut self, local: u16, cause: SessionDownCause) {
        if let Some(session) = self.sessions.remove(&local) {
            self.waiting.remove(&(session.setup, local));
        }
        self.events.push_back(Event::SessionDown { local, cause });
    }

    fn is_full(&self) -> bool {
        self.sessions.len() >= usize::from(self.config.max_sessions)
    }

    /// A session ID that is not in use: random, so that late messages of an old session do not find
    /// a new one; 0 if there is none.
    fn free_session_id(&self, rng: &mut Rng) -> u16 {
        let start = rng.u16();
        (0..=u16::MAX)
            .map(|step| start.wrapping_add(step))
            .find(|id| *id != 0 && !self.sessions.contains_key(id))
            .unwrap_or(0)
    }
}

fn missing_session_id(message: MessageType) -> Fault {
    Fault::Missing {
        message,
        attribute: Attribute::AssignedSessionId,
    }
}
