//! What comes together is worked on together: the MACs of datagrams that one read brought. Everything
//! else is done for each in its turn.

use std::time::Instant;

use adit_crypto::Kernel;
use adit_esp::OpenBatch;
use adit_wire::{Channel, Path};

use super::Server;

impl Server {
    /// Takes datagrams that arrived together, each as
    /// [`handle_datagram`](Self::handle_datagram) would in its turn, and shows the IP packets for
    /// TUN to `to_tun`, all at once.
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
                self.plane.expect(packet);
            }
        });
        let take = |path, packet: &mut _| self.take_datagram(path, packet, now);
        batch.open(take, to_tun);
    }
}
