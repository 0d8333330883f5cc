//! The paths of outer packets: which of them may be cut there, and what is heard of those that were
//! too big.

use std::sync::Arc;
use std::time::Duration;

use adit_io::udp::{SendError, UdpSocket};
use adit_server::{Teller, TooBig};
use adit_wire::{Channel, Path};

use super::host::Socket;
use super::{ServeError, system};

/// Entries of an error queue that are read before others get their turn.
const ERRORS_PER_TURN: usize = 64;

/// Pause after an error that is not about a datagram.
const PAUSE: Duration = Duration::from_millis(10);

/// Keeps packets of this channel whole, if they have an inner packet in them, or may.
pub(super) fn keep_whole(channel: Channel, socket: &mut UdpSocket) -> Result<(), ServeError> {
    if channel == Channel::Ike {
        return Ok(());
    }
    let kept = socket.keep_whole();
    kept.map_err(system("cannot forbid fragments"))
}

/// Sends a datagram; one with an IKE message, which certificates make long, may be cut on its way.
pub(super) fn send(socket: &UdpSocket, path: &Path, payload: &[u8]) -> std::io::Result<()> {
    let (local, remote) = (path.local.ip(), path.remote);
    // The zeros are the non-ESP marker (RFC 3948 2.2), which is no SPI.
    if path.channel == Channel::NatT && payload.starts_with(&[0; 4]) {
        socket.send_cut(local, remote, payload)
    } else {
        socket.send(local, remote, payload)
    }
}

/// Tells of packets that were too big for a link on their way. What is heard of those of one socket in a
/// group may come to any other of it.
pub(super) async fn watch(
    socket: Arc<Socket>,
    mut tell: impl FnMut(&TooBig<'_>),
) -> Result<(), ServeError> {
    loop {
        let readable = socket.socket.error_readable().await;
        readable.map_err(system("cannot wait for a socket"))?;
        for _ in 0..ERRORS_PER_TURN {
            match socket.socket.recv_error() {
                Ok(None) => break,
                Ok(Some(SendError::Other)) => {}
                Ok(Some(SendError::TooBig(told))) => {
                    let teller = if told.by_system {
                        Teller::System
                    } else {
                        Teller::Network
                    };
                    let error = TooBig {
                        channel: socket.channel,
                        remote: told.remote,
                        mtu: told.mtu,
                        teller,
                        quote: told.quote(),
                    };
                    tell(&error);
                }
                Err(error) => {
                    tracing::debug!(%error, "the error queue of a socket cannot be read");
                    tokio::time::sleep(PAUSE).await;
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}
