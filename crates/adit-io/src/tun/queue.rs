//! One queue of a TUN interface: a descriptor of its own, for one thread to read.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use adit_wire::PacketBuf;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tun_rs::SyncDevice;

use super::TunError;

/// A deleted interface shows as an error condition only, so reading waits for that too.
const READ_INTEREST: Interest = Interest::READABLE.add(Interest::ERROR);

/// A queue that no runtime waits for yet.
pub struct Detached {
    name: String,
    device: Arc<SyncDevice>,
}

impl Detached {
    pub(super) fn new(name: String, device: SyncDevice) -> Self {
        Self {
            name,
            device: Arc::new(device),
        }
    }

    /// Gives the queue to the tokio runtime of this thread, which must have I/O enabled.
    pub fn attach(self) -> Result<Queue, TunError> {
        let device = register(self.device).map_err(|source| TunError::Failed {
            name: self.name,
            step: "handing it to the runtime",
            source,
        })?;
        Ok(Queue { device })
    }

    /// Another writer to the interface, for a thread that reads no queue.
    pub fn sender(&self) -> Sender {
        Sender {
            device: Arc::clone(&self.device),
        }
    }
}

/// A queue. Wait with [`readable`](Self::readable), then call [`recv`](Self::recv) until it says
/// false.
pub struct Queue {
    device: AsyncFd<Arc<SyncDevice>>,
}

impl Queue {
    /// Waits until a packet may be there. Cancelling it loses nothing.
    pub async fn readable(&self) -> io::Result<()> {
        self.device.ready(READ_INTEREST).await.map(drop)
    }

    /// Reads one packet into the room of `buf` from its start on, and sets its length. False
    /// when none was waiting. The room must be at least the MTU: the kernel cuts what is longer.
    /// An error says that the interface is gone.
    pub fn recv(&self, buf: &mut PacketBuf) -> io::Result<bool> {
        // Readiness is looked at before the read, so that what arrives between the read and the
        // clearing of readiness is not lost.
        let ready = pin!(self.device.ready(READ_INTEREST));
        let mut guard = match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(guard) => guard?,
            Poll::Pending => return Ok(false),
        };
        match guard.try_io(|device| device.get_ref().recv(buf.spare_mut())) {
            Ok(read) => {
                buf.set_len(read?);
                Ok(true)
            }
            Err(_would_block) => Ok(false),
        }
    }

    /// Hands one IP packet to the host. An error drops the packet: it is neither IPv4 nor IPv6
    /// (`InvalidInput`), the interface is down (EIO) or the kernel has no memory for it.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.device.get_ref().send(packet).map(drop)
    }
}

/// Writes to an interface without reading from it.
#[derive(Clone)]
pub struct Sender {
    device: Arc<SyncDevice>,
}

impl Sender {
    /// As [`Queue::send`].
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.device.send(packet).map(drop)
    }
}

#[expect(unsafe_code, reason = "tokio wants a promise about the descriptor")]
fn register(device: Arc<SyncDevice>) -> io::Result<AsyncFd<Arc<SyncDevice>>> {
    // SAFETY: the device owns its descriptor, which stays open and the same until the device is
    // dropped, and the AsyncFd holds a share of the device.
    Ok(unsafe { AsyncFd::register_with_interest(device, READ_INTEREST) }?)
}

impl std::fmt::Debug for Detached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detached")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
