//! Packets that were sealed together, as they are handed to a socket.

use adit_io::udp::Datagram;
use adit_wire::{PacketBuf, Path};

/// The datagrams of packets, in their order.
pub(crate) fn datagrams(packets: &[(Path, PacketBuf)]) -> Vec<Datagram<'_>> {
    packets
        .iter()
        .map(|(path, packet)| Datagram {
            local: path.local.ip(),
            remote: path.remote,
            payload: packet.as_slice(),
        })
        .collect()
}
