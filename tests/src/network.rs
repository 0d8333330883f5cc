//! Datagrams on their way: lost, duplicated, delayed and thereby reordered.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use adit_crypto::Rng;

/// How bad the network is. Shares are in percent.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Datagrams that vanish.
    pub loss: u32,
    /// Datagrams that arrive twice.
    pub duplication: u32,
    /// Least time on the way.
    pub delay: Duration,
    /// Random time on top, which reorders.
    pub jitter: Duration,
}

impl Link {
    /// A good network.
    pub const CLEAN: Self = Self {
        loss: 0,
        duplication: 0,
        delay: Duration::from_millis(10),
        jitter: Duration::ZERO,
    };
}

/// A datagram with its outer addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Datagram {
    /// Source address and port; of native ESP the port is 0 at both ends.
    pub from: SocketAddr,
    /// Destination address and port.
    pub to: SocketAddr,
    /// UDP payload, or ESP packet.
    pub payload: Vec<u8>,
}

impl Datagram {
    /// The header of the IKE message in it, if it is one.
    pub fn ike(&self) -> Option<adit_ike::Header> {
        let message = match (self.from.port(), self.to.port()) {
            (500, _) | (_, 500) => &self.payload[..],
            (4500, _) | (_, 4500) => self.payload.strip_prefix(&[0; 4])?,
            _ => return None,
        };
        adit_ike::parse_header(message).ok()
    }
}

/// A router with a link that is too narrow for some of what the server sends, and does not cut it.
#[derive(Clone, Copy, Debug)]
pub struct Router {
    /// The largest packet of that link, in bytes of IP.
    pub mtu: u16,
    /// How much of the UDP payload, or ESP packet, its errors quote.
    pub quotes: usize,
    /// Whether its errors reach the server.
    pub tells: bool,
}

/// The queue of everything under way.
pub(crate) struct Network {
    link: Link,
    queue: BinaryHeap<Reverse<(Instant, u64, Datagram)>>,
    serial: u64,
    pub(crate) sent: u64,
    pub(crate) lost: u64,
}

impl Network {
    pub(crate) fn new(link: Link) -> Self {
        Self {
            link,
            queue: BinaryHeap::new(),
            serial: 0,
            sent: 0,
            lost: 0,
        }
    }

    pub(crate) fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    pub(crate) fn send(&mut self, datagram: Datagram, now: Instant, rng: &mut Rng) {
        self.sent += 1;
        if rng.below(100) < self.link.loss {
            self.lost += 1;
            return;
        }
        if rng.below(100) < self.link.duplication {
            self.push(datagram.clone(), now, rng);
        }
        self.push(datagram, now, rng);
    }

    fn push(&mut self, datagram: Datagram, now: Instant, rng: &mut Rng) {
        let jitter = u32::try_from(self.link.jitter.as_micros()).unwrap_or(u32::MAX);
        let extra = if jitter == 0 { 0 } else { rng.below(jitter) };
        let at = now + self.link.delay + Duration::from_micros(extra.into());
        self.serial += 1;
        self.queue.push(Reverse((at, self.serial, datagram)));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn pop(&mut self, now: Instant) -> Option<Datagram> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop().map(|Reverse((_, _, datagram))| datagram)
    }
}
