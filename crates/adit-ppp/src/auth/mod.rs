//! Authentication: what a peer claims, how that is checked, and the two ends of PAP (RFC 1334),
//! CHAP (RFC 1994), MS-CHAPv2 (RFC 2759) and EAP (RFC 3748).

mod attempt;
mod eap;
mod mschapv2;
mod plain;
mod wire;

use std::time::Instant;

pub use attempt::{Attempt, Credential, RejectReason, Verdict, Verified};

use crate::automaton::Context;
use crate::config::{ClientConfig, Network, ServerConfig};
use crate::error::Error;
use crate::event::AuthFailure;
use crate::method::AuthProtocol;
use crate::packet::Packet;
use crate::protocol;

/// What a packet or a verdict means to the end that asks.
#[derive(Debug)]
pub(crate) enum ServerStep {
    /// An attempt is to be judged, once.
    Judge(Attempt),
    /// The peer may come in.
    Admit(Network),
    /// It may not, but may say something more.
    Again(RejectReason),
    /// It may not.
    Refused(AuthFailure),
}

/// The end that asks who is there. It judges nothing itself: an attempt goes out, a verdict comes
/// back.
#[derive(Debug)]
pub(crate) enum ServerAuth {
    Plain(plain::Server),
    Eap(eap::Server),
}

impl ServerAuth {
    /// Begins with a challenge or an Identity request, or with PAP waits.
    pub(crate) fn start(
        protocol: AuthProtocol,
        config: &ServerConfig,
        context: &mut Context<'_>,
    ) -> Self {
        match protocol {
            AuthProtocol::Eap => Self::Eap(eap::Server::start(config, context)),
            _ => Self::Plain(plain::Server::start(protocol, config, context)),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Plain(auth) => auth.poll_timeout(),
            Self::Eap(auth) => auth.poll_timeout(),
        }
    }

    /// Repeats what has no answer. The time for everything together is the link's.
    pub(crate) fn handle_timeout(&mut self, config: &ServerConfig, context: &mut Context<'_>) {
        match self {
            Self::Plain(auth) => auth.handle_timeout(config, context),
            Self::Eap(auth) => auth.handle_timeout(config, context),
        }
    }

    /// Whether an attempt waits for its verdict.
    pub(crate) fn is_pending(&self) -> bool {
        match self {
            Self::Plain(auth) => auth.is_pending(),
            Self::Eap(auth) => auth.is_pending(),
        }
    }

    /// A packet of any of the protocols.
    pub(crate) fn handle_packet(
        &mut self,
        number: u16,
        packet: &Packet<'_>,
        config: &ServerConfig,
        context: &mut Context<'_>,
    ) -> Result<Option<ServerStep>, Error> {
        match self {
            Self::Eap(auth) if number == protocol::EAP => {
                auth.handle_packet(packet, config, context)
            }
            Self::Plain(auth) if number != protocol::EAP => {
                auth.handle_packet(number, packet, context)
            }
            _ => Err(unmatched(packet, context)),
        }
    }

    /// The verdict on the attempt that waits for one.
    pub(crate) fn handle_verdict(
        &mut self,
        verdict: Verdict,
        config: &ServerConfig,
        context: &mut Context<'_>,
    ) -> Option<ServerStep> {
        match self {
            Self::Plain(auth) => auth.handle_verdict(verdict, context),
            Self::Eap(auth) => auth.handle_verdict(verdict, config, context),
        }
    }
}

/// What a packet or the clock has decided for the end that is asked.
#[derive(Debug)]
pub(crate) enum ClientStep {
    Accepted,
    /// The server would take another password.
    WantsPassword {
        code: Option<u32>,
        message: String,
    },
    Failed(AuthFailure),
}

/// The end that says who it is.
#[derive(Debug)]
pub(crate) enum ClientAuth {
    Plain(plain::Client),
    Eap(eap::Client),
}

impl ClientAuth {
    /// Begins with PAP, or waits for the server.
    pub(crate) fn start(
        protocol: AuthProtocol,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Self {
        match protocol {
            AuthProtocol::Eap => Self::Eap(eap::Client::start(config, context)),
            _ => Self::Plain(plain::Client::start(protocol, config, context)),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Plain(auth) => auth.poll_timeout(),
            Self::Eap(auth) => auth.poll_timeout(),
        }
    }

    pub(crate) fn handle_timeout(
        &mut self,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Option<ClientStep> {
        match self {
            Self::Plain(auth) => auth.handle_timeout(config, context),
            Self::Eap(auth) => auth.handle_timeout(context),
        }
    }

    /// A packet of any of the protocols.
    pub(crate) fn handle_packet(
        &mut self,
        number: u16,
        packet: &Packet<'_>,
        config: &ClientConfig,
        context: &mut Context<'_>,
    ) -> Result<Option<ClientStep>, Error> {
        match self {
            Self::Eap(auth) if number == protocol::EAP => {
                auth.handle_packet(packet, config, context)
            }
            Self::Plain(auth) if number != protocol::EAP => {
                auth.handle_packet(number, packet, config, context)
            }
            _ => Err(unmatched(packet, context)),
        }
    }

    /// The configuration holds another password now, which the server has asked for.
    pub(crate) fn handle_password(&mut self, config: &ClientConfig, context: &mut Context<'_>) {
        match self {
            Self::Plain(auth) => auth.handle_password(config, context),
            Self::Eap(auth) => auth.handle_password(config, context),
        }
    }

    /// A packet of an NCP has come. It stands for an EAP Success, which may get lost, where nothing
    /// else was left to come (RFC 3748 4.2): whether that is so.
    pub(crate) fn implied_success(&mut self) -> bool {
        match self {
            Self::Eap(auth) => auth.implied_success(),
            Self::Plain(_) => false,
        }
    }
}

fn unmatched(packet: &Packet<'_>, context: &mut Context<'_>) -> Error {
    context.stats.unmatched += 1;
    let (code, id) = (packet.code, packet.id);
    Error::Unmatched { code, id }
}
