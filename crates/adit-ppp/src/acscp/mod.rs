//! ACSCP, by which Apple's clients learn routes and domains when not all their traffic is to pass the
//! tunnel, as Apple's published pppd speaks it: both options hold a version, and who asks for one
//! receives. It begins only when a client does, and its end touches neither address family.

mod client;
mod data;

use std::net::Ipv4Addr;
use std::time::Instant;

use adit_crypto::Rng;
use adit_wire::Writer;

use crate::automaton::{Automaton, Context, Judgement, Protocol, Signal};
use crate::config::Restart;
use crate::error::{Error, Failure};
use crate::ncp::Ncp;
use crate::option::{self, Opt};
use crate::packet::Packet;

pub(crate) use client::Client;
use data::Sender;

mod kind {
    pub(super) const ROUTES: u8 = 1;
    pub(super) const DOMAINS: u8 = 2;
}

/// The one version of either option.
const VERSION: [u8; 4] = [0, 0, 0, 1];

/// What a client that asks by ACSCP is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acscp {
    /// Routes; with none the option is rejected.
    pub routes: Vec<AcspRoute>,
    /// Domains; with none the option is rejected.
    pub domains: Vec<AcspDomain>,
}

/// A route for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcspRoute {
    /// Network.
    pub address: Ipv4Addr,
    /// Its mask.
    pub mask: Ipv4Addr,
    /// Whether the network is reached through the tunnel (a private one), or beside it (public).
    pub private: bool,
}

/// A domain that a resolver inside the tunnel knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcspDomain {
    /// The resolver.
    pub server: Ipv4Addr,
    /// The domain's name.
    pub name: String,
}

/// The options. A server asks for nothing.
#[derive(Debug)]
struct Options {
    offer: Acscp,
    /// What the peer has asked for and got.
    routes: bool,
    domains: bool,
}

impl Protocol for Options {
    const NUMBER: u16 = crate::protocol::ACSCP;
    const NAME: &'static str = "ACSCP";
    const NEEDS_NAKED: bool = false;
    const REPEATS: bool = false;

    fn request(&self, _: &mut Writer) {}

    fn judge(&mut self, judgement: &mut Judgement<'_>, _: &mut Context<'_>) -> Result<(), Failure> {
        for option in judgement.options() {
            let offered = match option.kind {
                kind::ROUTES => !self.offer.routes.is_empty(),
                kind::DOMAINS => !self.offer.domains.is_empty(),
                _ => false,
            };
            if !offered {
                judgement.reject(option);
            } else if option.data != VERSION {
                judgement.nak(option, &VERSION);
            }
        }
        Ok(())
    }

    fn accept(&mut self, options: &[Opt<'_>]) {
        let has = |kind| {
            option::first_of_each(options)
                .iter()
                .any(|o| o.kind == kind)
        };
        self.routes = has(kind::ROUTES);
        self.domains = has(kind::DOMAINS);
    }

    fn naked(&mut self, _: &[Opt<'_>], _: &mut Context<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn rejected(&mut self, _: &[Opt<'_>]) -> Result<(), Failure> {
        Ok(())
    }
}

/// ACSCP on a link, at either end.
#[derive(Debug)]
pub(crate) enum End {
    Server(Server),
    Client(Client),
}

impl End {
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Server(end) => end.poll_timeout(),
            Self::Client(end) => end.poll_timeout(),
        }
    }

    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Server(end) => end.handle_timeout(context),
            Self::Client(end) => end.handle_timeout(context),
        }
    }

    /// A packet of ACSCP. Gives what a client knows by it, if that has changed.
    pub(crate) fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<Option<Acscp>, Error> {
        match self {
            Self::Server(end) => end.handle_packet(packet, context).map(|()| None),
            Self::Client(end) => end.handle_packet(packet, context),
        }
    }

    /// An ACSP packet, likewise.
    pub(crate) fn handle_data(
        &mut self,
        information: &[u8],
        context: &mut Context<'_>,
    ) -> Result<Option<Acscp>, Error> {
        match self {
            Self::Server(end) => end.handle_data(information, context).map(|()| None),
            Self::Client(end) => end.handle_data(information, context),
        }
    }
}

/// ACSCP on a server's link, and the data that it opens the way for.
#[derive(Debug)]
pub(crate) struct Server {
    ncp: Ncp<Options>,
    started: bool,
    senders: Vec<Sender>,
    restart: Restart,
}

impl Server {
    pub(crate) fn new(offer: Acscp, restart: Restart, rng: &mut Rng) -> Self {
        let options = Options {
            offer,
            routes: false,
            domains: false,
        };
        Self {
            ncp: Ncp::new(Automaton::new(options, restart, None, rng)),
            started: false,
            senders: Vec::new(),
            restart,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let senders = self.senders.iter().filter_map(Sender::poll_timeout);
        self.ncp.poll_timeout().into_iter().chain(senders).min()
    }

    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        let signal = self.ncp.handle_timeout(context);
        self.signal(signal, context);
        for sender in &mut self.senders {
            sender.handle_timeout(&self.restart, context);
        }
    }

    /// A packet of ACSCP.
    pub(crate) fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        if !std::mem::replace(&mut self.started, true) {
            self.ncp.start(context);
        }
        let (signal, result) = self.ncp.handle_packet(packet, context);
        self.signal(signal, context);
        result
    }

    fn signal(&mut self, signal: Option<Signal>, context: &mut Context<'_>) {
        match signal {
            Some(Signal::Up) => {
                let options = self.ncp.protocol();
                // Two of the four bytes around a packet are its protocol; Apple leaves room for all.
                let room = context.peer_mru.saturating_sub(4);
                let routes = options
                    .routes
                    .then(|| Sender::routes(&options.offer.routes, room));
                let domains = options
                    .domains
                    .then(|| Sender::domains(&options.offer.domains, room));
                self.senders = [routes, domains].into_iter().flatten().collect();
                for sender in &mut self.senders {
                    sender.send(&self.restart, context);
                }
            }
            Some(Signal::Down | Signal::Finished) => self.senders.clear(),
            None => {}
        }
    }

    /// An ACSP packet: the acknowledgement of one of ours.
    pub(crate) fn handle_data(
        &mut self,
        information: &[u8],
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let ack = data::read_ack(information).inspect_err(|_| context.stats.malformed += 1)?;
        for sender in &mut self.senders {
            if sender.acknowledged(&ack, &self.restart, context) {
                return Ok(());
            }
        }
        context.stats.unmatched += 1;
        Err(Error::Unmatched {
            code: ack.kind,
            id: ack.seq,
        })
    }
}
