//! ACSCP as Apple's clients begin it: both options, each of version 1; then what comes is acknowledged
//! and put together. A list that does not come whole is not told.

use std::time::Instant;

use adit_crypto::Rng;
use adit_wire::Writer;

use super::data::{self, Part};
use super::{Acscp, AcspDomain, AcspRoute, VERSION, kind};
use crate::automaton::{Automaton, Context, Judgement, Protocol, Signal};
use crate::config::Restart;
use crate::error::{Error, Failure};
use crate::frame::control_frame;
use crate::ncp::Ncp;
use crate::option::{self, Opt};
use crate::packet::Packet;
use crate::protocol;

/// The most entries of a list that are taken.
const MOST_ENTRIES: usize = 1024;

#[derive(Debug)]
struct Options {
    routes: bool,
    domains: bool,
}

impl Protocol for Options {
    const NUMBER: u16 = protocol::ACSCP;
    const NAME: &'static str = "ACSCP";
    const NEEDS_NAKED: bool = false;
    const REPEATS: bool = false;

    fn request(&self, to: &mut Writer) {
        let asked = [(kind::ROUTES, self.routes), (kind::DOMAINS, self.domains)];
        for (kind, _) in asked.into_iter().filter(|(_, asked)| *asked) {
            option::write(to, kind, &VERSION);
        }
    }

    /// A server has nothing to ask of us.
    fn judge(&mut self, judgement: &mut Judgement<'_>, _: &mut Context<'_>) -> Result<(), Failure> {
        for option in judgement.options() {
            judgement.reject(option);
        }
        Ok(())
    }

    fn accept(&mut self, _: &[Opt<'_>]) {}

    /// Another version is one that we do not have.
    fn naked(&mut self, options: &[Opt<'_>], _: &mut Context<'_>) -> Result<(), Failure> {
        self.rejected(options)
    }

    fn rejected(&mut self, options: &[Opt<'_>]) -> Result<(), Failure> {
        for option in options {
            match option.kind {
                kind::ROUTES => self.routes = false,
                kind::DOMAINS => self.domains = false,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A list as it comes in.
#[derive(Debug)]
struct Incoming<T> {
    next: Option<u8>,
    entries: Vec<T>,
}

impl<T> Incoming<T> {
    fn new() -> Self {
        Self {
            next: None,
            entries: Vec::new(),
        }
    }

    /// Takes a part; gives the list when it is whole. A part that has been taken before counts once.
    fn take(&mut self, part: &Part<'_>, entries: Vec<T>) -> Option<Vec<T>> {
        if part.start && self.next != Some(part.seq.wrapping_add(1)) {
            self.entries.clear();
        } else if self.next != Some(part.seq) {
            return None;
        }
        self.next = Some(part.seq.wrapping_add(1));
        self.entries.extend(entries);
        self.entries.truncate(MOST_ENTRIES);
        part.end.then(|| std::mem::take(&mut self.entries))
    }
}

/// ACSCP on a client's link, and what has come by it.
#[derive(Debug)]
pub(crate) struct Client {
    ncp: Ncp<Options>,
    routes: Incoming<AcspRoute>,
    domains: Incoming<AcspDomain>,
    known: Acscp,
}

impl Client {
    /// Begins at once.
    pub(crate) fn new(restart: Restart, first_id: Option<u8>, rng: &mut Rng) -> Self {
        let options = Options {
            routes: true,
            domains: true,
        };
        Self {
            ncp: Ncp::new(Automaton::new(options, restart, first_id, rng)),
            routes: Incoming::new(),
            domains: Incoming::new(),
            known: Acscp::default(),
        }
    }

    /// Sends the first Configure-Request.
    pub(crate) fn start(&mut self, context: &mut Context<'_>) {
        self.ncp.start(context);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.ncp.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) {
        let _ = self.ncp.handle_timeout(context);
    }

    pub(crate) fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<Option<Acscp>, Error> {
        let (signal, result) = self.ncp.handle_packet(packet, context);
        result?;
        Ok((signal == Some(Signal::Up)).then(|| {
            (self.routes, self.domains) = (Incoming::new(), Incoming::new());
            self.known = Acscp::default();
            self.known.clone()
        }))
    }

    pub(crate) fn handle_data(
        &mut self,
        information: &[u8],
        context: &mut Context<'_>,
    ) -> Result<Option<Acscp>, Error> {
        let malformed = |stats: &mut u64| *stats += 1;
        let part = data::read_part(information)
            .inspect_err(|_| malformed(&mut context.stats.malformed))?;
        if !self.ncp.is_open() {
            context.stats.early += 1;
            return Ok(None);
        }
        let news = match part.kind {
            kind::ROUTES => {
                let entries = data::read_routes(part.body)
                    .inspect_err(|_| malformed(&mut context.stats.malformed))?;
                let list = self.routes.take(&part, entries);
                list.map(|list| self.known.routes = list).is_some()
            }
            kind::DOMAINS => {
                let entries = data::read_domains(part.body)
                    .inspect_err(|_| malformed(&mut context.stats.malformed))?;
                let list = self.domains.take(&part, entries);
                list.map(|list| self.known.domains = list).is_some()
            }
            kind => {
                context.stats.unmatched += 1;
                let id = part.seq;
                return Err(Error::Unmatched { code: kind, id });
            }
        };
        if part.require_ack {
            context.stats.sent += 1;
            let frame = control_frame(protocol::ACSP, &data::acknowledgement(&part));
            context.out.push_back(frame);
        }
        Ok(news.then(|| self.known.clone()))
    }
}
