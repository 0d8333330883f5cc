//! Where received datagrams land.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use quinn_udp::{BATCH_SIZE, RecvMeta};

/// The largest UDP payload, and what the kernel coalesces at most (UDP_GRO).
const BUFFER: usize = 65_535;

/// Distance of two buffers. Not 64 KiB: the starts of all buffers would share a few sets of the
/// processor's caches and push one another out.
const STRIDE: usize = BUFFER + 1 + 33 * 64;

/// The datagrams of one [`recv`](super::UdpSocket::recv), in buffers that are used again. Each
/// takes any datagram whole. The memory is touched only as far as datagrams reach.
pub struct RecvBatch {
    storage: Box<[u8]>,
    meta: [RecvMeta; BATCH_SIZE],
    filled: usize,
    local: SocketAddr,
    with_header: bool,
}

/// One datagram.
#[derive(Debug)]
pub struct Received<'a> {
    /// The address of ours that it was sent to, with the port of the socket.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
    /// The payload, to be worked on in place.
    pub bytes: &'a mut [u8],
}

impl RecvBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            storage: vec![0; STRIDE * BATCH_SIZE].into_boxed_slice(),
            meta: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
            local: SocketAddr::from(([0; 4], 0)),
            with_header: false,
        }
    }

    /// The datagrams, in the order of their arrival. What the kernel coalesced is apart again.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = Received<'_>> {
        let bound = self.local;
        let with_header = self.with_header;
        self.meta
            .iter()
            .zip(self.storage.chunks_exact_mut(STRIDE))
            .take(self.filled)
            .flat_map(move |(meta, buffer)| {
                let local = local_address(meta, bound);
                let bytes = buffer.get_mut(..meta.len).unwrap_or_default();
                let start = if with_header { header_len(bytes) } else { 0 };
                let bytes = bytes.get_mut(start..).unwrap_or_default();
                let stride = if with_header { 0 } else { meta.stride };
                segments(bytes, stride).map(move |bytes| Received {
                    local,
                    remote: meta.addr,
                    bytes,
                })
            })
    }

    /// Lets `receive` fill the buffers; returns the number of datagrams.
    pub(super) fn fill(
        &mut self,
        local: SocketAddr,
        with_header: bool,
        receive: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.filled = 0;
        self.local = local;
        self.with_header = with_header;
        let mut chunks = self.storage.chunks_exact_mut(STRIDE);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
            let chunk = chunks.next().and_then(|chunk| chunk.get_mut(..BUFFER));
            IoSliceMut::new(chunk.unwrap_or_default())
        });
        self.filled = receive(&mut buffers, &mut self.meta)?;
        let filled = self.meta.iter().take(self.filled);
        Ok(filled
            .map(|meta| meta.len.div_ceil(meta.stride.max(1)).max(1))
            .sum())
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for RecvBatch {
    // The bytes are other people's traffic, so only their number is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvBatch")
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

/// Length of the IPv4 header that raw sockets of that family receive; the kernel has checked it.
fn header_len(packet: &[u8]) -> usize {
    packet
        .first()
        .map_or(0, |byte| usize::from(byte & 0x0f) * 4)
}

/// `bytes` in pieces of `stride`, the last perhaps shorter; an empty datagram is one empty piece.
fn segments(bytes: &mut [u8], stride: usize) -> impl Iterator<Item = &mut [u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest.take()?;
        if stride == 0 || bytes.len() <= stride {
            return Some(bytes);
        }
        let (segment, left) = bytes.split_at_mut_checked(stride)?;
        rest = Some(left);
        Some(segment)
    })
}

/// Our address that a datagram was sent to. A link-local one means something only together with
/// its interface.
fn local_address(meta: &RecvMeta, bound: SocketAddr) -> SocketAddr {
    match meta.dst_ip {
        Some(IpAddr::V6(ip)) if ip.is_unicast_link_local() => {
            let scope = meta.interface_index.unwrap_or_default();
            SocketAddrV6::new(ip, bound.port(), 0, scope).into()
        }
        Some(ip) => SocketAddr::new(ip, bound.port()),
        None => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coalesced_datagrams_come_apart() {
        let lengths = |len: usize, stride| {
            segments(&mut vec![0; len], stride)
                .map(|segment| segment.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths(10, 4), [4, 4, 2]);
        assert_eq!(lengths(8, 4), [4, 4]);
        assert_eq!(lengths(3, 4), [3]);
        assert_eq!(lengths(0, 0), [0]);
        assert_eq!(lengths(5, 0), [5]);
    }

    #[test]
    fn the_count_is_that_of_the_iterator() {
        let bound = SocketAddr::from(([127, 0, 0, 1], 500));
        let mut batch = RecvBatch::new();
        let count = batch
            .fill(bound, false, |buffers, meta| {
                assert!(buffers.iter().all(|buffer| buffer.len() == BUFFER));
                for (i, (len, stride)) in [(2500, 1000), (0, 0), (7, 7)].into_iter().enumerate() {
                    meta[i].len = len;
                    meta[i].stride = stride;
                    buffers[i].fill(i as u8);
                }
                Ok(3)
            })
            .unwrap();
        let seen: Vec<_> = batch
            .iter_mut()
            .map(|received| (received.bytes.len(), received.bytes.first().copied()))
            .collect();
        assert_eq!(
            seen,
            [
                (1000, Some(0)),
                (1000, Some(0)),
                (500, Some(0)),
                (0, None),
                (7, Some(2))
            ]
        );
        assert_eq!(count, seen.len());
    }

    #[test]
    fn a_failed_receive_leaves_an_empty_batch() {
        let bound = SocketAddr::from(([127, 0, 0, 1], 500));
        let mut batch = RecvBatch::new();
        batch.fill(bound, false, |_, _| Ok(2)).unwrap();
        batch
            .fill(bound, false, |_, _| Err(io::ErrorKind::WouldBlock.into()))
            .unwrap_err();
        assert_eq!(batch.iter_mut().count(), 0);
    }
}
