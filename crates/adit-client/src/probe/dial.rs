//! The client that connects, with IPsec or without, behind one face.

use std::time::Instant;

use adit_wire::{Channel, PacketBuf, Path};

use super::step::Door;
use crate::client::{HEADROOM, TAILROOM};
use crate::event::Event;
use crate::{Client, Job, JobDone, PlainClient};

pub(super) enum Dial {
    Ipsec(Box<Client>),
    Plain(Box<PlainClient>),
}

impl Dial {
    /// What the end of the connection came to.
    pub(super) fn farewell(&self) -> &'static str {
        match self {
            Self::Ipsec(_) => "L2TP acknowledged, SAs deleted",
            Self::Plain(_) => "L2TP acknowledged",
        }
    }

    /// Takes a datagram, and gives the IP packet that it held.
    pub(super) fn handle_datagram<'a>(
        &mut self,
        path: Path,
        datagram: &'a mut [u8],
        now: Instant,
    ) -> Option<&'a [u8]> {
        let range = match self {
            Self::Ipsec(client) => client.handle_datagram(path, datagram, now),
            Self::Plain(client) => client.handle_datagram(datagram, now),
        };
        datagram.get(range?)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Ipsec(client) => client.handle_timeout(now),
            Self::Plain(client) => client.handle_timeout(now),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Ipsec(client) => client.poll_timeout(),
            Self::Plain(client) => client.poll_timeout(),
        }
    }

    /// The next datagram. What would go without UDP goes nowhere.
    pub(super) fn poll_transmit(&mut self) -> Option<(Door, Vec<u8>)> {
        match self {
            Self::Ipsec(client) => {
                let mut all = std::iter::from_fn(|| client.poll_transmit());
                all.find_map(|transmit| Some((door(transmit.path)?, transmit.payload)))
            }
            Self::Plain(client) => Some((Door::L2tp, client.poll_transmit()?)),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        match self {
            Self::Ipsec(client) => client.poll_event(),
            Self::Plain(client) => client.poll_event(),
        }
    }

    pub(super) fn poll_job(&mut self) -> Option<Job> {
        match self {
            Self::Ipsec(client) => client.poll_job(),
            Self::Plain(_) => None,
        }
    }

    pub(super) fn handle_job(&mut self, done: JobDone, now: Instant) {
        if let Self::Ipsec(client) = self {
            client.handle_job(done, now);
        }
    }

    /// The datagram that takes an IP packet into the tunnel.
    pub(super) fn wrap(&mut self, packet: &[u8]) -> Option<(Door, Vec<u8>)> {
        let mut packet = PacketBuf::from_slice(HEADROOM, packet, TAILROOM);
        let door = match self {
            Self::Ipsec(client) => door(client.handle_tun(&mut packet)?)?,
            Self::Plain(client) => {
                client.handle_tun(&mut packet)?;
                Door::L2tp
            }
        };
        Some((door, packet.as_slice().to_vec()))
    }

    pub(super) fn close(&mut self, now: Instant) {
        match self {
            Self::Ipsec(client) => client.close(now),
            Self::Plain(client) => client.close(now),
        }
    }
}

/// The door that a path leads to.
pub(super) fn door(path: Path) -> Option<Door> {
    match path.channel {
        Channel::Ike => Some(Door::Ike),
        Channel::NatT => Some(Door::NatT),
        Channel::Esp | Channel::L2tp => None,
    }
}
