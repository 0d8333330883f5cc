//! One queue of a TUN interface: a descriptor of its own, for one thread to read: either packet by packet,
//! where what the kernel gives as one is copied from memory of its own, cut up, or as the kernel
//! gives it.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use adit_wire::PacketBuf;
use adit_wire::offload::{Coalescer, OffloadError, Segments, VirtioHeader};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tun_rs::SyncDevice;

use super::TunError;

/// A deleted interface shows as an error condition only, so reading waits for that too.
const READ_INTEREST: Interest = Interest::READABLE.add(Interest::ERROR);

/// Room for what one read gives: the longest IP packet, which is of IPv6, behind its header.
const READ_ROOM: usize = VirtioHeader::LEN + 40 + 65_535;

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
        Ok(Queue {
            device,
            reader: RefCell::new(Reader::new()),
            coalescer: RefCell::new(Coalescer::new()),
        })
    }

    /// Another writer to the interface, for a thread that reads no queue.
    pub fn sender(&self) -> Sender {
        Sender {
            device: Arc::clone(&self.device),
            coalescer: RefCell::new(Coalescer::new()),
        }
    }
}

/// What one [`read`](Queue::read) brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A packet, with what the kernel says of it.
    Packet(VirtioHeader),
    /// The same, and it is in the long buffer.
    Long(VirtioHeader),
}

/// A queue. Wait with [`readable`](Self::readable), then call [`recv`](Self::recv) until it says
/// false, or [`read`](Self::read) until it brings nothing.
pub struct Queue {
    device: AsyncFd<Arc<SyncDevice>>,
    reader: RefCell<Reader>,
    coalescer: RefCell<Coalescer>,
}

impl Queue {
    /// Waits until a packet may be there. Cancelling it loses nothing.
    pub async fn readable(&self) -> io::Result<()> {
        if self.reader.borrow().segments.is_some() {
            return Ok(());
        }
        self.device.ready(READ_INTEREST).await.map(drop)
    }

    /// Takes one packet into the room of `buf` from its start on, and sets its length. False
    /// when none was waiting. A packet that is longer than the room is dropped, so that must be at
    /// least the MTU. An error says that the interface is gone.
    pub fn recv(&self, buf: &mut PacketBuf) -> io::Result<bool> {
        let mut reader = self.reader.borrow_mut();
        loop {
            match reader.next(buf) {
                Ok(true) => return Ok(true),
                Ok(false) => {
                    if !self.fill(&mut reader)? {
                        return Ok(false);
                    }
                }
                Err(error) => reader.refuse(&error),
            }
        }
    }

    /// One read, of what the kernel gives at once, without a copy: into the room of `packet`, from its
    /// start on, but for `tailroom`, or, if it is too long for that, into `long`, of which
    /// [`LONG_ROOM`](Self::LONG_ROOM) is enough for whatever comes. The header says whether it stands
    /// for several packets, and whether its checksum is to be completed, see [`adit_wire::offload`].
    /// `None` when nothing was waiting, or what came had no header, which is counted as
    /// [`refused`](Self::refused). An error says that the interface is gone.
    pub fn read(
        &self,
        packet: &mut PacketBuf,
        tailroom: usize,
        long: &mut PacketBuf,
    ) -> io::Result<Option<Read>> {
        let mut header = [0; VirtioHeader::LEN];
        let room = packet.tailroom().saturating_sub(tailroom);
        packet.set_len(room);
        // What does not fit into the packet goes behind the place that the packet takes in there.
        long.reset(room);
        let length = self.wait_for(|device| {
            device.recv_vectored(&mut [
                IoSliceMut::new(&mut header),
                IoSliceMut::new(packet.as_mut_slice()),
                IoSliceMut::new(long.spare_mut()),
            ])
        })?;
        let Some(length) = length else {
            return Ok(None);
        };
        let header = header.get(..length).unwrap_or(&header);
        let header = match VirtioHeader::parse(header) {
            Ok((header, _)) => header,
            Err(error) => {
                self.reader.borrow_mut().refuse(&error.into());
                return Ok(None);
            }
        };
        let length = length - VirtioHeader::LEN;
        if length <= room {
            packet.set_len(length);
            return Ok(Some(Read::Packet(header)));
        }
        long.set_len(length - room);
        if let Ok(front) = long.prepend(room) {
            front.copy_from_slice(packet.as_slice());
        }
        Ok(Some(Read::Long(header)))
    }

    /// Bytes that [`read`](Self::read) may need for what is long.
    pub const LONG_ROOM: usize = READ_ROOM;

    /// One read into the memory of `recv`. False when nothing was waiting.
    fn fill(&self, reader: &mut Reader) -> io::Result<bool> {
        let length = self.wait_for(|device| device.recv(&mut reader.storage))?;
        if let Some(length) = length {
            reader.begin(length);
        }
        Ok(length.is_some())
    }

    /// Takes something, if anything was waiting.
    fn wait_for<T>(
        &self,
        take: impl FnOnce(&SyncDevice) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        // Readiness is looked at before the read, so that what arrives between the read and the
        // clearing of readiness is not lost.
        let ready = pin!(self.device.ready(READ_INTEREST));
        let mut guard = match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(guard) => guard?,
            Poll::Pending => return Ok(None),
        };
        match guard.try_io(|device| take(device.get_ref())) {
            Ok(taken) => taken.map(Some),
            Err(_would_block) => Ok(None),
        }
    }

    /// How many packets from the kernel have been dropped for what was said of them.
    pub fn refused(&self) -> u64 {
        self.reader.borrow().refused
    }

    /// Hands one IP packet to the host. An error drops the packet: it is neither IPv4 nor IPv6
    /// (`InvalidInput`), the interface is down (EIO) or the kernel has no memory for it.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        let header = VirtioHeader::default().to_bytes();
        let parts = [IoSlice::new(&header), IoSlice::new(packet)];
        self.device.get_ref().send_vectored(&parts).map(drop)
    }

    /// Hands IP packets to the host, segments of a TCP stream together. The order stays within a
    /// flow. Returns how many the kernel took; what is missing from the number is dropped. The
    /// first error is returned only if it took none.
    pub fn send_batch(&self, packets: &[&[u8]]) -> io::Result<usize> {
        send_batch(self.device.get_ref(), &self.coalescer, packets)
    }
}

/// What was read last, as far as it has not been given out.
struct Reader {
    storage: Box<[u8]>,
    length: usize,
    segments: Option<Segments>,
    refused: u64,
}

impl Reader {
    fn new() -> Self {
        Self {
            storage: vec![0; READ_ROOM].into_boxed_slice(),
            length: 0,
            segments: None,
            refused: 0,
        }
    }

    /// Takes it that so many bytes were read.
    fn begin(&mut self, length: usize) {
        self.length = length;
        let read = self.storage.get(..length).unwrap_or_default();
        let segments = VirtioHeader::parse(read)
            .map_err(OffloadError::from)
            .and_then(|(header, packet)| Segments::new(&header, packet));
        match segments {
            Ok(segments) => self.segments = Some(segments),
            Err(error) => self.refuse(&error),
        }
    }

    /// The next packet of what was read.
    fn next(&mut self, buf: &mut PacketBuf) -> Result<bool, OffloadError> {
        let Some(segments) = &mut self.segments else {
            return Ok(false);
        };
        let packet = self.storage.get(VirtioHeader::LEN..self.length);
        let found = segments.next(packet.unwrap_or_default(), buf)?;
        if !found {
            self.segments = None;
        }
        Ok(found)
    }

    fn refuse(&mut self, error: &OffloadError) {
        self.refused += 1;
        tracing::debug!(%error, "packet from TUN dropped");
    }
}

/// Writes to an interface without reading from it.
pub struct Sender {
    device: Arc<SyncDevice>,
    coalescer: RefCell<Coalescer>,
}

impl Sender {
    /// As [`Queue::send_batch`].
    pub fn send_batch(&self, packets: &[&[u8]]) -> io::Result<usize> {
        send_batch(&self.device, &self.coalescer, packets)
    }
}

fn send_batch(
    device: &SyncDevice,
    coalescer: &RefCell<Coalescer>,
    packets: &[&[u8]],
) -> io::Result<usize> {
    let mut sent = 0;
    let mut first_error = None;
    let mut coalescer = coalescer.borrow_mut();
    coalescer.coalesce(packets, |parts, count| match device.send_vectored(parts) {
        Ok(_) => sent += count,
        Err(error) => {
            first_error.get_or_insert(error);
        }
    });
    match first_error {
        Some(error) if sent == 0 => Err(error),
        _ => Ok(sent),
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
