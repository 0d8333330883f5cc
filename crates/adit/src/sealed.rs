//! Packets that were sealed together, as they are handed to a socket.

use adit_io::udp::Datagram;
use adit_wire::Path;

/// The datagram of a packet and its way.
pub(crate) fn datagram<'a>((payload, path): (&'a [u8], &Path)) -> Datagram<'a> {
    Datagram {
        local: path.local.ip(),
        remote: path.remote,
        payload,
    }
}
