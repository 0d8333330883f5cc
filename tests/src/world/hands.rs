//! The workers of a server, one after the other: each gets the datagrams of its SPIs, packets from TUN
//! come to any of them, and what they tell the control side waits until all have had their turn.

use adit_server::{Handover, Worker};
use adit_wire::offload::VirtioHeader;
use adit_wire::{Channel, PacketBuf, Path};

use super::World;
use crate::host;

impl World {
    /// The worker whose socket gets a datagram; `None` if it is for the control side.
    pub(super) fn worker_for(&self, channel: Channel, payload: &[u8]) -> Option<usize> {
        let spi = payload.first_chunk().map(|spi| u32::from_be_bytes(*spi))?;
        let steered = channel == Channel::NatT && spi != 0;
        (steered && !self.workers.is_empty()).then(|| spi as usize % self.workers.len())
    }

    /// A datagram that comes to a worker.
    pub(super) fn give_worker(&mut self, index: usize, path: Path, payload: &mut [u8]) {
        let mut packets = Vec::new();
        let mut turn = self.workers[index].turn();
        turn.handle_datagrams([(path, payload)], self.now, |found| {
            packets.extend(found.iter().map(|packet| packet.to_vec()));
        });
        drop(turn);
        self.hand_over(&mut packets);
        self.echo(&packets);
    }

    /// An IP packet that comes to the queue of a worker, chosen by what is in it.
    pub(super) fn give_queue(&mut self, packet: PacketBuf) {
        let sum: usize = packet
            .as_slice()
            .iter()
            .map(|byte| usize::from(*byte))
            .sum();
        let index = sum % self.workers.len();
        let mut turn = self.workers[index].turn();
        // By either way that packets come from TUN.
        if sum.is_multiple_of(3) {
            let alone = VirtioHeader::default();
            let taken = turn.keep_train(&alone, packet.as_slice(), self.now);
            taken.expect("it is one packet");
        } else {
            turn.keep_tun(packet, self.now);
        }
        drop(turn);
        let mut packets = Vec::new();
        self.hand_over(&mut packets);
        self.echo(&packets);
    }

    /// Carries to each worker what the others have for it, and sends what they have sealed.
    fn hand_over(&mut self, packets: &mut Vec<Vec<u8>>) {
        let now = self.now;
        let polled = self.workers.iter_mut();
        let handed: Vec<_> = polled
            .flat_map(|worker| std::iter::from_fn(move || worker.poll_handover()))
            .collect();
        for (to, packet) in handed {
            match &packet {
                Handover::Datagram(..) => self.handed.0 += 1,
                Handover::Packet(_) | Handover::Train(..) => self.handed.1 += 1,
            }
            let mut turn = self.workers[to].turn();
            turn.take(packet, now, |found| {
                packets.extend(found.iter().map(|packet| packet.to_vec()));
            });
        }
        let (mut sent, mut oversize) = (Vec::new(), Vec::new());
        for worker in &mut self.workers {
            let mut turn = worker.turn();
            turn.seal_kept(&mut Vec::new(), |sealed| {
                sent.extend(sealed.iter().map(|(packet, path)| (*path, packet.to_vec())));
            });
            while let Some(transmit) = turn.poll_transmit() {
                sent.push((transmit.path, transmit.payload));
            }
            oversize.extend(std::iter::from_fn(|| turn.poll_oversize()));
            self.errors.extend(std::iter::from_fn(|| turn.poll_tun()));
            drop(turn);
            assert!(worker.poll_handover().is_none(), "no packet goes round");
            self.notes.extend(std::iter::from_fn(|| worker.poll_note()));
        }
        for (path, payload) in sent {
            self.send_from_server(path, payload);
        }
        for transmit in oversize {
            self.send_oversize(transmit.path, transmit.payload);
        }
    }

    /// The control side hears what the workers told.
    pub(super) fn take_notes(&mut self) {
        while let Some(note) = self.notes.pop_front() {
            self.noted += 1;
            let mut packets = Vec::new();
            self.server
                .handle_note(note, self.now, |packet| packets.push(packet.to_vec()));
            self.drain_server();
            self.echo(&packets);
        }
    }

    fn echo(&mut self, packets: &[Vec<u8>]) {
        for answer in packets.iter().filter_map(|packet| host::echo(packet)) {
            self.to_tun(&answer);
        }
    }
}

/// The workers of a server, if its configuration says how many.
pub(super) fn hired(server: &adit_server::Server, count: u16) -> Vec<Worker> {
    if count == 0 {
        return Vec::new();
    }
    server.workers()
}
