//! Which datagrams are a tunnel's: those of its number, an SCCRQ that opens it or is repeated, and
//! one that comes while our own is on its way (RFC 2661 4.4.3). It must not act on what is behind
//! the header, beyond what tells whose the message is.

use std::time::Instant;

use super::Tunnel;
use super::auth::Tie;
use crate::avp::Attribute;
use crate::channel::Channel;
use crate::error::{Error, Fault};
use crate::event::TunnelDownCause;
use crate::header::{Control, Packet, decode};
use crate::message::{Message, MessageType};
use crate::secret::Secret;
use crate::state::{self, TunnelAction, TunnelInput, TunnelState};

impl Tunnel {
    /// Whether a datagram is a control message of this tunnel's peer.
    pub(super) fn admit<'a>(
        &mut self,
        datagram: &'a [u8],
        now: Instant,
    ) -> Result<Control<'a>, Error> {
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
            TunnelState::Idle => {
                admit_first(&control, self.auth.secret.as_ref())?;
                return Ok(control);
            }
            TunnelState::WaitCtlReply if control.tunnel == 0 => {
                self.break_tie(&control, wrong_tunnel)?;
                return Ok(control);
            }
            _ if control.tunnel == self.local_id => return Ok(control),
            _ if control.tunnel != 0 => return Err(wrong_tunnel),
            _ => {}
        }
        if self.remote_id.is_none() {
            return Err(wrong_tunnel);
        }
        if control.assigned_tunnel_id(self.auth.secret.as_ref()) != self.remote_id {
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

    /// The peer opens a control connection while ours is on its way. Ok: ours is forgotten, and the
    /// peer's begins.
    fn break_tie(&mut self, control: &Control<'_>, two_tunnels: Error) -> Result<(), Error> {
        let theirs = admit_first(control, self.auth.secret.as_ref())?.tie_breaker;
        let tie = self.auth.tie(theirs);
        if tie == Tie::Two {
            return Err(two_tunnels);
        }
        self.channel.stats.ties += 1;
        let input = match tie {
            Tie::Two | Tie::Ours => return Err(Error::Tie),
            Tie::Theirs => TunnelInput::LoseTie,
            Tie::Neither => TunnelInput::DrawTie,
        };
        let (action, next) = state::tunnel(self.state, input);
        self.state = next;
        if action == TunnelAction::StartOver {
            let stats = self.channel.stats;
            self.channel = Channel::new(&self.config);
            self.channel.stats = stats;
            return Ok(());
        }
        self.channel.drop_all();
        self.clean_up(TunnelDownCause::Tie);
        Err(Error::Tie)
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
}

/// Only an SCCRQ that can be cut into AVPs and says whom to answer makes a tunnel.
fn admit_first(control: &Control<'_>, secret: Option<&Secret>) -> Result<Message, Error> {
    let sccrq = MessageType::Sccrq;
    if control.message_type() != Some(sccrq as u16)
        || (control.tunnel, control.ns, control.nr) != (0, 0, 0)
    {
        return Err(Error::NotOpen);
    }
    let message = Message::parse(control.avps, secret).map_err(Error::Tunnel)?;
    match (message.tunnel_id, &message.fault) {
        (_, Some(fault @ Fault::Avp(_))) => Err(Error::Tunnel(fault.clone())),
        (None, _) => Err(Error::Tunnel(Fault::Missing {
            message: sccrq,
            attribute: Attribute::AssignedTunnelId,
        })),
        _ => Ok(message),
    }
}
