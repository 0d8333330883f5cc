//! What a tunnel does with a control message (RFC 2661 5.8, 6 and 7.2): whether it is ours, whether
//! it is next, whether it is acceptable, and what the state makes of it.

use std::time::Instant;

use adit_crypto::Rng;

use super::Tunnel;
use crate::avp::Attribute;
use crate::build;
use crate::channel::Received;
use crate::error::{Error, Fault};
use crate::event::{Event, SessionDownCause, Stop, TunnelDownCause};
use crate::header::{Control, Packet, decode};
use crate::message::{Message, MessageType};
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

    /// Whether a datagram is a control message of this tunnel's peer.
    fn admit<'a>(&mut self, datagram: &'a [u8], now: Instant) -> Result<Control<'a>, Error> {
        let control = match decode(datagram)? {
            Packet::Control(control) => control,
            Packet::Data(_) => return Err(Error::NotControl),
        };
        let wrong_tunnel = Error::WrongTunnel {
            tunnel: control.tunnel,
            local: self.local_id,
        };
        match self.state {
            TunnelState::Closed => return Err(Error::Closed),
            TunnelState::Idle => return admit_first(&control).map(|()| control),
            _ if control.tunnel == self.local_id => return Ok(control),
            _ if control.tunnel != 0 => return Err(wrong_tunnel),
            _ => {}
        }
        if self.remote_id.is_none() || control.assigned_tunnel_id() != self.remote_id {
            return Err(wrong_tunnel);
        }
        if control.message_type() == Some(MessageType::Sccrq as u16) && self.is_forgotten(now) {
            if self.state == TunnelState::Established {
                self.clean_up(TunnelDownCause::StartedAnew);
            }
            self.state = TunnelState::Closed;
            self.linger = None;
            self.channel.drop_all();
            return Err(Error::StartedAnew);
        }
        Ok(control)
    }

    /// Whether an SCCRQ with the peer's own tunnel ID means that it has forgotten this tunnel.
    fn is_forgotten(&self, now: Instant) -> bool {
        match self.state {
            // It lost power, and numbers its tunnels from the start again as Windows does. One
            // that repeated its SCCRQ before it heard our answer did so long ago.
            TunnelState::Established => self
                .up_since
                .is_some_and(|since| now >= since + self.config.longest_wait()),
            TunnelState::Stopped => true,
            // One that only repeats the SCCRQ that we refused has sent nothing else before.
            TunnelState::Stopping => self.channel.next() > 1,
            _ => false,
        }
    }

    fn handle_message(
        &mut self,
        control: &Control<'_>,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let mut message = match Message::parse(control.avps) {
            Ok(message) => message,
            Err(fault) => return self.fail(fault, now),
        };
        self.channel.stats.ignored_avps += message.ignored;
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
            kind => match (unacceptable(kind, &mut message), kind) {
                (Some(fault), _) => return self.fail(fault, now),
                (None, MessageType::Sccrq) => TunnelInput::Sccrq,
                (None, MessageType::Sccrp) => TunnelInput::Sccrp,
                (None, MessageType::Scccn) => TunnelInput::Scccn,
                (None, _) => {
                    self.channel.stats.hello_received += 1;
                    TunnelInput::Hello
                }
            },
        };
        let state = self.state;
        match self.step(input, now) {
            TunnelAction::Nothing => Ok(()),
            TunnelAction::SendSccrp => {
                self.setup = Some(now + self.config.setup_timeout);
                self.peer = Peer::of(message);
                let sccrp = build::sccrp(&self.config, self.local_id);
                self.channel.queue(0, sccrp, now);
                Ok(())
            }
            TunnelAction::SendScccn => {
                self.peer = Peer::of(message);
                self.channel.queue(0, build::scccn(), now);
                self.established(now);
                Ok(())
            }
            TunnelAction::Open => {
                self.established(now);
                Ok(())
            }
            TunnelAction::Deliver => self.deliver(kind, message, control.session, now, rng),
            TunnelAction::CleanUp => {
                let result = message.result.unwrap_or_default();
                self.clean_up(TunnelDownCause::ByPeer {
                    result: result.result,
                    error: result.error,
                    message: result.message,
                });
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

    fn established(&mut self, now: Instant) {
        self.setup = None;
        self.up_since = Some(now);
        let peer = std::mem::take(&mut self.peer);
        self.events.push_back(Event::TunnelUp {
            host_name: peer.host_name,
            vendor: peer.vendor,
            firmware: peer.firmware,
        });
        self.tunnel_open(now);
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
        let body = build::stop_ccn(self.local_id, stop.result, stop.error, &stop.message);
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

/// Only an SCCRQ that can be cut into AVPs and says whom to answer makes a tunnel.
fn admit_first(control: &Control<'_>) -> Result<(), Error> {
    let sccrq = MessageType::Sccrq;
    if control.message_type() != Some(sccrq as u16)
        || (control.tunnel, control.ns, control.nr) != (0, 0, 0)
    {
        return Err(Error::NotOpen);
    }
    let message = Message::parse(control.avps).map_err(Error::Tunnel)?;
    match (message.tunnel_id, message.fault) {
        (_, Some(fault @ Fault::Avp(_))) => Err(Error::Tunnel(fault)),
        (None, _) => Err(Error::Tunnel(Fault::Missing {
            message: sccrq,
            attribute: Attribute::AssignedTunnelId,
        })),
        _ => Ok(()),
    }
}

/// Why a message about the tunnel must not be accepted, whatever the state.
fn unacceptable(kind: MessageType, message: &mut Message) -> Option<Fault> {
    if let Some(fault) = message.fault.take() {
        return Some(fault);
    }
    if !matches!(kind, MessageType::Sccrq | MessageType::Sccrp) {
        return None;
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
        return Some(Fault::Missing {
            message: kind,
            attribute,
        });
    }
    match message.protocol_version {
        // A higher revision of version 1 is compatible by the meaning of the word.
        Some((version, revision)) if version != 1 => {
            Some(Fault::ProtocolVersion { version, revision })
        }
        _ if message.challenge => Some(Fault::Challenge),
        _ => None,
    }
}
