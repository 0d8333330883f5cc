//! A client of a world, with IPsec or without.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use adit_client::{Client, Event, Job, PlainClient};
use adit_ppp::Secret;
use adit_wire::{PacketBuf, Path, Transmit};

/// What dials from one address.
pub(super) enum Caller {
    /// L2TP inside IPsec.
    Ipsec(Box<Client>),
    /// L2TP on UDP 1701 as it is, on this path.
    Plain(Box<PlainClient>, Path),
}

impl Caller {
    /// The client with IPsec, for tests of what only it can do.
    pub(super) fn ipsec(&mut self) -> &mut Client {
        match self {
            Self::Ipsec(client) => client,
            Self::Plain(..) => panic!("this client is without IPsec"),
        }
    }

    /// Where a client without IPsec dials from.
    pub(super) fn plain_from(&self) -> Option<SocketAddr> {
        match self {
            Self::Ipsec(_) => None,
            Self::Plain(_, path) => Some(path.local),
        }
    }

    pub(super) fn close(&mut self, now: Instant) {
        match self {
            Self::Ipsec(client) => client.close(now),
            Self::Plain(client, _) => client.close(now),
        }
    }

    pub(super) fn handle_password(&mut self, password: Secret, now: Instant) {
        match self {
            Self::Ipsec(client) => client.handle_password(password, now),
            Self::Plain(client, _) => client.handle_password(password, now),
        }
    }

    pub(super) fn handle_tun(&mut self, packet: &mut PacketBuf) -> Option<Path> {
        match self {
            Self::Ipsec(client) => client.handle_tun(packet),
            Self::Plain(client, path) => client.handle_tun(packet).map(|()| *path),
        }
    }

    pub(super) fn l2tp_ids(&self) -> Option<(u16, u16)> {
        match self {
            Self::Ipsec(client) => client.l2tp_ids(),
            Self::Plain(client, _) => client.l2tp_ids(),
        }
    }

    pub(super) fn handle_datagram(
        &mut self,
        path: Path,
        datagram: &mut [u8],
        now: Instant,
    ) -> Option<Range<usize>> {
        match self {
            Self::Ipsec(client) => client.handle_datagram(path, datagram, now),
            Self::Plain(client, own) if *own == path => client.handle_datagram(datagram, now),
            Self::Plain(..) => None,
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        match self {
            Self::Ipsec(client) => client.poll_transmit(),
            Self::Plain(client, path) => {
                let (path, payload) = (*path, client.poll_transmit()?);
                Some(Transmit { path, payload })
            }
        }
    }

    pub(super) fn poll_job(&mut self) -> Option<Job> {
        match self {
            Self::Ipsec(client) => client.poll_job(),
            Self::Plain(..) => None,
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        match self {
            Self::Ipsec(client) => client.poll_event(),
            Self::Plain(client, _) => client.poll_event(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Ipsec(client) => client.poll_timeout(),
            Self::Plain(client, _) => client.poll_timeout(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Ipsec(client) => client.handle_timeout(now),
            Self::Plain(client, _) => client.handle_timeout(now),
        }
    }
}
