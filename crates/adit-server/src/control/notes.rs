//! The control side of workers: what they find on the packet path and is not for it.

use std::time::Instant;

use super::{Server, TooBig};
use crate::plane::{Note, Told, Worker};

impl Server {
    /// The packet path for so many threads as were configured. Each has its own SPIs (that with place
    /// 0 among `n` has those that give 0 when divided by `n`) and carries what no other does; what else
    /// arrives may still go by this server.
    pub fn workers(&self) -> Vec<Worker> {
        self.plane.workers()
    }

    /// Takes what a worker told, in its order, and shows an IP packet for TUN to `to_tun`.
    pub fn handle_note(&mut self, note: Note, now: Instant, to_tun: impl FnOnce(&[u8])) {
        match note.0 {
            Told::Packet {
                path,
                inbound,
                learnt,
                mut packet,
            } => {
                self.take_learnt(path, &learnt, now);
                if let Some(range) = self.take_inbound(inbound, &mut packet, now)
                    && let Some(packet) = packet.get(range)
                {
                    to_tun(packet);
                }
            }
            Told::Ike { path, message } => self.handle_ike(path, &message, now),
            Told::Worn(key) => self.group_worn(key, now),
            Told::TooBig {
                channel,
                remote,
                mtu,
                teller,
                quote,
            } => {
                let error = TooBig {
                    channel,
                    remote,
                    mtu,
                    teller,
                    quote: &quote,
                };
                self.handle_too_big(&error, now);
            }
        }
        self.rekey_by_volume(now);
    }
}
