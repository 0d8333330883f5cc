//! What comes together is worked on together: the MACs of datagrams that one read brought, and the
//! sealing of packets that one wait for TUN brought. Everything else is done for each in its turn.

use std::time::Instant;

use adit_crypto::Kernel;
use adit_esp::{OpenBatch, Sealed};
use adit_wire::{Channel, PacketBuf, Path};

use super::Client;

impl Client {
    /// Takes datagrams that arrived together, each as
    /// [`handle_datagram`](Self::handle_datagram) would in its turn, and shows the IP packets in
    /// them to `to_tun`, all at once.
    pub fn handle_datagrams<'a>(
        &mut self,
        datagrams: impl IntoIterator<Item = (Path, &'a mut [u8])>,
        now: Instant,
        to_tun: impl FnOnce(&[&[u8]]),
    ) {
        let mut batch = OpenBatch::new(datagrams);
        batch.authenticate(Kernel::best(), |path, packet| {
            // Of UDP 4500 this takes IKE along: the SPI in its place is zero, which no SA has.
            if matches!(path.channel, Channel::Esp | Channel::NatT) {
                self.sas.expect(packet);
            }
        });
        let take = |path, packet: &mut _| {
            let range = self.take_datagram(path, packet, now);
            // Traffic has nothing to say to any machine.
            if range.is_none() {
                self.drive(now);
            }
            range
        };
        batch.open(take, to_tun);
        self.drive(now);
    }

    /// As [`handle_tun`](Self::handle_tun), but a packet that goes to the server is kept until
    /// [`seal_kept`](Self::seal_kept). Gives the buffer back if it does not.
    pub fn keep_tun(&mut self, mut packet: PacketBuf) -> Option<PacketBuf> {
        if self.call.wrap_ip(&mut packet).is_none() {
            return Some(packet);
        }
        let (path, port) = (self.ike.path(), self.config.inner_port);
        let kept = self.sas.seal_with(&mut self.kept, &mut packet, port, path);
        if kept.is_none() {
            return Some(packet);
        }
        self.kept.keep(packet);
        None
    }

    /// Seals what [`keep_tun`](Self::keep_tun) kept, to be sent in its order.
    pub fn seal_kept(&mut self) -> Sealed<'_, Path> {
        self.kept.seal(Kernel::best())
    }
}
