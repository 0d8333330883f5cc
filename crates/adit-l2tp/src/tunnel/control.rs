//! What a tunnel does with a control message (RFC 2661 5.8, 6 and 7.2): whether it is ours, whether
//! it is next, whether it is acceptable, and what the state makes of it.

use std::time::Instant;

use adit_crypto::Rng;

use super::Tunnel;
use crate::avp::Attribute;
use crate::build;
use crate::channel::Received;
use crate::error::{Error, Fault};
use crate::event::{Event, SessionDownCause, TunnelDownCause};
use crate::header::{Control, Packet, decode};
use crate::manner::CallAfter;
use crate::message::{Message, MessageType};
use crate::result::Stop;
use crate::state::{self, TunnelAction, TunnelInput, TunnelState};

impl Tunnel {
    /// Takes a datagram with a control message of the peer. Err says why it was not accepted, and
    /// what that costs; it is counted.
    pub fn handle_datagram(
        &mut self,
        datagram: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let control = self
            .admit(datagram, now)
            .inspect_err(|_| self.channel.stats.bad_header += 1)?;
        self.heard = self.heard.max(now);
        self.channel.acknowledge(control.nr, now)?;
        if self.channel.is_drained() {
            self.step(TunnelInput::AllAcknowledged, now);
            if std::mem::take(&mut self.calls_wait) {
                self.tunnel_open(now, rng);
            }
        }
        let kind = control.message_type().and_then(MessageType::from_wire);
        if self.channel.is_backlogged()
            && control.ns == self.channel.next()
            && !control.is_zlb()
            && kind != Some(MessageType::StopCcn)
        {
            self.channel.stats.backlog += 1;
            return Err(Error::Backlog(self.channel.backlog()));
        }
        match self.channel.receive(&control, datagram)? {
            Received::Zlb | Received::Held => Ok(()),
            Received::Duplicate => {
                if kind == Some(MessageType::Sccrq) {
                    self.channel.repeat_first();
                }
                Ok(())
            }
            Received::Next => {
                let mut result = self.handle_message(&control, now, rng);
                while !self.channel.is_backlogged()
                    && let Some(held) = self.channel.next_held()
                {
                    if let Ok(Packet::Control(control)) = decode(&held) {
                        result = result.and(self.handle_message(&control, now, rng));
                    }
                }
                result
            }
        }
    }

    fn handle_message(
        &mut self,
        control: &Control<'_>,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let mut message = match Message::parse(control.avps, self.auth.secret.as_ref()) {
            Ok(message) => message,
            Err(fault) => return self.fail(fault, now),
        };
        self.channel.stats.ignored_avps += message.ignored;
        self.channel.stats.hidden_avps += message.hidden;
        let Some(kind) = message.kind() else {
            if message.mandatory {
                return self.fail(Fault::UnknownMessage(message.message_type), now);
            }
            self.channel.stats.unknown_messages += 1;
            return Ok(());
        };
        if matches!(kind, MessageType::Sccrq | MessageType::Sccrp) {
            self.learn_peer(&message);
        }
        let input = match kind {
            MessageType::StopCcn => TunnelInput::StopCcn,
            kind if kind.is_of_session() => TunnelInput::SessionMessage,
            kind => match (self.accept_about_tunnel(kind, &mut message), kind) {
                (Err(fault), _) => return self.fail(fault, now),
                (Ok(()), MessageType::Sccrq) => TunnelInput::Sccrq,
                (Ok(()), MessageType::Sccrp) => TunnelInput::Sccrp,
                (Ok(()), MessageType::Scccn) => TunnelInput::Scccn,
                (Ok(()), _) => {
                    self.channel.stats.hello_received += 1;
                    TunnelInput::Hello
                }
            },
        };
        let state = self.state;
        match self.step(input, now) {
            TunnelAction::Nothing | TunnelAction::StartOver => Ok(()),
            TunnelAction::SendSccrp => {
                self.setup = Some(now + self.config.setup_timeout);
                self.send_sccrp(message.challenge.as_deref(), now, rng);
                self.peer = Peer::of(message);
                Ok(())
            }
            TunnelAction::SendScccn => {
                self.send_scccn(message.challenge.as_deref(), now, rng);
                self.peer = Peer::of(message);
                self.established(now, rng);
                Ok(())
            }
            TunnelAction::Open => {
                self.established(now, rng);
                Ok(())
            }
            TunnelAction::Deliver => self.deliver(kind, message, control.session, now, rng),
            TunnelAction::CleanUp => {
                let stop = Stop::of_peer(message.result.unwrap_or_default());
                self.clean_up(TunnelDownCause::ByPeer(stop));
                Ok(())
            }
            TunnelAction::SendStateError | TunnelAction::SendStopCcn => {
                let message = kind;
                self.refuse_tunnel(Fault::UnexpectedOnTunnel { message, state }, now)
            }
        }
    }

    /// Where our answers go, and how many at once. Only the first such message counts: the peer
    /// cannot move the tunnel later.
    fn learn_peer(&mut self, message: &Message) {
        if self.remote_id.is_some() {
            return;
        }
        if let Some(id) = message.tunnel_id {
            self.remote_id = Some(id);
            self.channel.remote_tunnel = id;
        }
        if let Some(window) = message.receive_window {
            self.channel.set_peer_window(window);
        }
    }

    /// Why a message about the tunnel must not be accepted, whatever the state; and whether the peer
    /// is who it should be, where the state asks for that.
    fn accept_about_tunnel(
        &mut self,
        kind: MessageType,
        message: &mut Message,
    ) -> Result<(), Fault> {
        acceptable(kind, message)?;
        let asked = matches!(
            (self.state, kind),
            (TunnelState::Idle, MessageType::Sccrq)
                | (TunnelState::WaitCtlReply, MessageType::Sccrp)
                | (TunnelState::WaitCtlConn, MessageType::Scccn)
        );
        if asked {
            self.auth.check(kind, message)?;
        }
        Ok(())
    }

    pub(super) fn send_sccrq(&mut self, now: Instant, rng: &mut Rng) {
        self.auth.open(&self.config, rng);
        let opening = self.auth.opening(self.local_id, None);
        let hiding = self.auth.hiding(&self.config, rng);
        let sccrq = build::sccrq(&self.config, &opening, hiding);
        self.channel.queue(0, sccrq, now);
    }

    fn send_sccrp(&mut self, challenge: Option<&[u8]>, now: Instant, rng: &mut Rng) {
        self.auth.reply(&self.config, rng);
        let response = self.auth.response(MessageType::Sccrp, challenge);
        let opening = self.auth.opening(self.local_id, response);
        let hiding = self.auth.hiding(&self.config, rng);
        let sccrp = build::sccrp(&self.config, &opening, hiding);
        self.channel.queue(0, sccrp, now);
    }

    fn send_scccn(&mut self, challenge: Option<&[u8]>, now: Instant, rng: &mut Rng) {
        let response = self.auth.response(MessageType::Scccn, challenge);
        let hiding = self.auth.hiding(&self.config, rng);
        self.channel.queue(0, build::scccn(response, hiding), now);
    }

    fn established(&mut self, now: Instant, rng: &mut Rng) {
        self.setup = None;
        self.up_since = Some(now);
        let peer = std::mem::take(&mut self.peer);
        self.events.push_back(Event::TunnelUp {
            host_name: peer.host_name,
            vendor: peer.vendor,
            firmware: peer.firmware,
        });
        self.calls_wait = self.config.manner.call_after == CallAfter::Acknowledgement
            && !self.channel.is_drained();
        if !self.calls_wait {
            self.tunnel_open(now, rng);
        }
    }

    /// A message costs the peer the tunnel, if there still is one.
    fn fail(&mut self, fault: Fault, now: Instant) -> Result<(), Error> {
        match self.step(TunnelInput::Fault, now) {
            TunnelAction::SendStopCcn => self.refuse_tunnel(fault, now),
            _ => Ok(()),
        }
    }

    fn refuse_tunnel(&mut self, fault: Fault, now: Instant) -> Result<(), Error> {
        self.channel.stats.faults += 1;
        self.channel.stats.auth_failures += u64::from(fault.is_of_authentication());
        let cause = TunnelDownCause::Fault(fault.clone());
        self.send_stop(&fault.stop(), cause, now);
        Err(Error::Tunnel(fault))
    }

    /// Takes a transition and what follows from the new state alone.
    pub(super) fn step(&mut self, input: TunnelInput, now: Instant) -> TunnelAction {
        let (action, next) = state::tunnel(self.state, input);
        if next == TunnelState::Stopped && self.state != next {
            // Nobody is left to take our messages; acknowledgements still go out.
            self.channel.drop_all();
            self.linger = Some(now + self.config.retransmission_cycle());
        }
        self.state = next;
        action
    }

    pub(super) fn send_stop(&mut self, stop: &Stop, cause: TunnelDownCause, now: Instant) {
        self.clean_up(cause);
        self.channel.drop_unsent();
        let body = build::stop_ccn(self.local_id, stop, self.result_format());
        self.channel.queue(0, body, now);
    }

    /// Reports the end of the tunnel and of each of its sessions.
    pub(super) fn clean_up(&mut self, cause: TunnelDownCause) {
        self.setup = None;
        self.waiting.clear();
        for local in std::mem::take(&mut self.sessions).into_keys() {
            self.events.push_back(Event::SessionDown {
                local,
                cause: SessionDownCause::TunnelDown,
            });
        }
        self.events.push_back(Event::TunnelDown { cause });
    }
}

/// What the peer says of itself, until the tunnel is established.
#[derive(Default)]
pub(super) struct Peer {
    host_name: String,
    vendor: Option<String>,
    firmware: Option<u16>,
}

impl Peer {
    fn of(message: Message) -> Self {
        Self {
            host_name: message.host_name.unwrap_or_default(),
            vendor: message.vendor_name,
            firmware: message.firmware,
        }
    }
}

/// Why a message about the tunnel must not be accepted, whatever the state and the peer.
fn acceptable(kind: MessageType, message: &mut Message) -> Result<(), Fault> {
    if let Some(fault) = message.fault.take() {
        return Err(fault);
    }
    if !matches!(kind, MessageType::Sccrq | MessageType::Sccrp) {
        return Ok(());
    }
    let present = [
        (
            Attribute::ProtocolVersion,
            message.protocol_version.is_some(),
        ),
        (
            Attribute::FramingCapabilities,
            message.framing_capabilities.is_some(),
        ),
        (Attribute::HostName, message.host_name.is_some()),
        (Attribute::AssignedTunnelId, message.tunnel_id.is_some()),
    ];
    if let Some((attribute, _)) = present.into_iter().find(|(_, present)| !present) {
        return Err(Fault::Missing {
            message: kind,
            attribute,
        });
    }
    match message.protocol_version {
        // A higher revision of version 1 is compatible by the meaning of the word.
        Some((version, revision)) if version != 1 => {
            Err(Fault::ProtocolVersion { version, revision })
        }
        _ => Ok(()),
    }
}
