//! The data of ACSCP: lists cut into packets, each sent again until it is acknowledged.

use std::collections::VecDeque;
use std::time::Instant;

use adit_wire::{Reader, Writer};

use super::{AcspDomain, AcspRoute, kind};
use crate::automaton::Context;
use crate::config::Restart;
use crate::error::Error;
use crate::frame::control_frame;
use crate::protocol;

/// Type, sequence number, length, flags and a reserved field.
const HEADER_LEN: usize = 8;

const END: u16 = 1;
const START: u16 = 2;
const ACK: u16 = 4;
const REQUIRE_ACK: u16 = 8;

/// A packet with items of a list.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) kind: u8,
    pub(super) seq: u8,
    /// The first and the last of its list.
    pub(super) start: bool,
    pub(super) end: bool,
    /// Whether an acknowledgement is due.
    pub(super) require_ack: bool,
    pub(super) body: &'a [u8],
}

/// Reads a packet as a client receives it: a part of a list.
pub(super) fn read_part(information: &[u8]) -> Result<Part<'_>, Error> {
    let wrong = Error::Malformed("ACSP packet");
    let mut reader = Reader::new(information);
    let (Ok(kind), Ok(seq), Ok(length), Ok(flags)) =
        (reader.u8(), reader.u8(), reader.u16(), reader.u16())
    else {
        return Err(wrong);
    };
    let body = information.get(HEADER_LEN..usize::from(length));
    match body {
        Some(body) if flags & ACK == 0 => Ok(Part {
            kind,
            seq,
            start: flags & START != 0,
            end: flags & END != 0,
            require_ack: flags & REQUIRE_ACK != 0,
            body,
        }),
        _ => Err(wrong),
    }
}

/// The acknowledgement of a part.
pub(super) fn acknowledgement(part: &Part<'_>) -> Vec<u8> {
    let mut packet = Writer::new();
    packet.u8(part.kind).u8(part.seq);
    // cast: 8
    packet.u16(HEADER_LEN as u16).u16(ACK).u16(0);
    packet.into_vec()
}

/// The routes of a part.
pub(super) fn read_routes(body: &[u8]) -> Result<Vec<AcspRoute>, Error> {
    let (entries, rest) = body.as_chunks::<12>();
    if !rest.is_empty() {
        return Err(Error::Malformed("ACSP route"));
    }
    Ok(entries
        .iter()
        .map(|[a, b, c, d, e, f, g, h, _, flags, _, _]| AcspRoute {
            address: [*a, *b, *c, *d].into(),
            mask: [*e, *f, *g, *h].into(),
            private: flags & 1 != 0,
        })
        .collect())
}

/// The domains of a part; names are shown as they are, if they are text.
pub(super) fn read_domains(body: &[u8]) -> Result<Vec<AcspDomain>, Error> {
    let wrong = |_| Error::Malformed("ACSP domain");
    let mut reader = Reader::new(body);
    let mut domains = Vec::new();
    while !reader.is_empty() {
        let server = reader.u32().map_err(wrong)?.into();
        let length = reader.u16().map_err(wrong)?;
        let name = reader.bytes(length.into()).map_err(wrong)?;
        let name = String::from_utf8_lossy(name).into_owned();
        domains.push(AcspDomain { server, name });
    }
    Ok(domains)
}

/// What a client acknowledges.
#[derive(Debug)]
pub(super) struct Ack {
    pub(super) kind: u8,
    pub(super) seq: u8,
}

/// Reads a packet of the peer, of which only acknowledgements are expected.
pub(super) fn read_ack(information: &[u8]) -> Result<Ack, Error> {
    let wrong = Error::Malformed("ACSP packet");
    let mut reader = Reader::new(information);
    let (Ok(kind), Ok(seq), Ok(length), Ok(flags)) =
        (reader.u8(), reader.u8(), reader.u16(), reader.u16())
    else {
        return Err(wrong);
    };
    let fits = (HEADER_LEN..=information.len()).contains(&usize::from(length));
    if !fits || flags & ACK == 0 {
        return Err(wrong);
    }
    Ok(Ack { kind, seq })
}

/// One list on its way.
#[derive(Debug)]
pub(super) struct Sender {
    kind: u8,
    /// Bodies of the packets that are not acknowledged yet, in order.
    left: VecDeque<Vec<u8>>,
    seq: u8,
    /// The first packet has arrived.
    begun: bool,
    tries: u32,
    again_at: Option<Instant>,
}

impl Sender {
    /// Packets of at most `room` bytes.
    pub(super) fn routes(routes: &[AcspRoute], room: usize) -> Self {
        Self::new(kind::ROUTES, routes, room, |route, to| {
            let flags = if route.private { 1 } else { 2 };
            let (address, mask) = (route.address.octets(), route.mask.octets());
            to.bytes(&address).bytes(&mask).u16(flags).u16(0);
        })
    }

    /// Packets of at most `room` bytes; a name that fits none is left out.
    pub(super) fn domains(domains: &[AcspDomain], room: usize) -> Self {
        Self::new(kind::DOMAINS, domains, room, |domain, to| {
            let length = u16::try_from(domain.name.len()).unwrap_or(u16::MAX);
            to.bytes(&domain.server.octets()).u16(length);
            to.bytes(domain.name.as_bytes());
        })
    }

    fn new<T>(kind: u8, items: &[T], room: usize, write: impl Fn(&T, &mut Writer)) -> Self {
        let room = room.saturating_sub(HEADER_LEN);
        let mut bodies = VecDeque::new();
        let mut body = Vec::new();
        for item in items {
            let mut entry = Writer::new();
            write(item, &mut entry);
            if entry.as_slice().len() > room {
                continue;
            }
            if body.len() + entry.as_slice().len() > room {
                bodies.push_back(std::mem::take(&mut body));
            }
            body.extend_from_slice(entry.as_slice());
        }
        bodies.push_back(body);
        Self {
            kind,
            left: bodies,
            seq: 0,
            begun: false,
            tries: 0,
            again_at: None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.again_at
    }

    /// Sends the first packet that is not acknowledged.
    pub(super) fn send(&mut self, restart: &Restart, context: &mut Context<'_>) {
        let Some(body) = self.left.front() else {
            return;
        };
        let start = if self.begun { 0 } else { START };
        let end = if self.left.len() == 1 { END } else { 0 };
        let mut packet = Writer::new();
        packet.u8(self.kind).u8(self.seq);
        // cast: a body fits the peer's MRU
        packet.u16((body.len() + HEADER_LEN) as u16);
        packet.u16(start | end | REQUIRE_ACK).u16(0).bytes(body);
        context.stats.sent += 1;
        let frame = control_frame(protocol::ACSP, packet.as_slice());
        context.out.push_back(frame);
        self.tries += 1;
        self.again_at = Some(context.now + restart.timer);
    }

    /// Sends it again; a client that never takes it does without.
    pub(super) fn handle_timeout(&mut self, restart: &Restart, context: &mut Context<'_>) {
        if self.again_at.is_none_or(|at| context.now < at) {
            return;
        }
        if self.tries >= restart.max_configure {
            self.again_at = None;
            self.left.clear();
            return;
        }
        context.stats.retransmitted += 1;
        self.send(restart, context);
    }

    /// Takes an acknowledgement, if it is of what is out.
    pub(super) fn acknowledged(
        &mut self,
        ack: &Ack,
        restart: &Restart,
        context: &mut Context<'_>,
    ) -> bool {
        if ack.kind != self.kind || ack.seq != self.seq || self.left.is_empty() {
            return false;
        }
        self.left.pop_front();
        self.begun = true;
        self.seq = self.seq.wrapping_add(1);
        self.tries = 0;
        self.again_at = None;
        self.send(restart, context);
        true
    }
}
