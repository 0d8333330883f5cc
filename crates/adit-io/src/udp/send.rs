//! Many datagrams to many destinations in one system call, and runs of them as one message that
//! the kernel cuts up (UDP_SEGMENT).
//!
//! `sendmmsg` by hand: quinn-udp sends one datagram (or one run of equal segments) a call, and
//! the wrapper of nix has one source address for all datagrams and no way to learn how many were
//! sent.

mod raw;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most messages in one call.
const MESSAGES: usize = 32;

/// Most datagrams in one call.
const DATAGRAMS: usize = 128;

/// Most datagrams in one message: the oldest kernel's limit, and a burst that receivers bear.
const SEGMENTS: usize = 64;

/// Most bytes in one message: what one datagram could be, with any header.
const MESSAGE_BYTES: usize = 65_000;

/// A datagram to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Our address that it leaves from; unspecified lets the kernel choose.
    pub local: IpAddr,
    /// Where it goes.
    pub remote: SocketAddr,
    /// The payload.
    pub payload: &'a [u8],
}

/// Sends `batch`, see [`UdpSocket::send_batch`](super::UdpSocket::send_batch). `segmentation`
/// says whether the kernel cuts messages up for us, and is cleared when it turns out not to.
pub(super) fn batch(
    socket: &impl AsFd,
    segmentation: &AtomicBool,
    batch: &[Datagram<'_>],
) -> io::Result<usize> {
    by_calls(batch, segmentation, |runs| raw::send(socket, runs))
}

/// Sends `batch` by calls of `send`, which takes runs of datagrams and says how many of them went.
fn by_calls(
    batch: &[Datagram<'_>],
    segmentation: &AtomicBool,
    mut send: impl FnMut(&[&[Datagram<'_>]]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut rest = batch;
    let mut sent = 0;
    let mut first_error = None;
    // So many at the front of the rest were refused as a run and go one by one.
    let mut single = 0;
    let mut old_error = true;
    while !rest.is_empty() {
        let mut room: [&[Datagram<'_>]; MESSAGES] = [&[]; MESSAGES];
        let runs = if single > 0 {
            into_runs(rest.get(..single).unwrap_or(rest), false, &mut room)
        } else {
            into_runs(rest, segmentation.load(Ordering::Relaxed), &mut room)
        };
        let first = runs.first().map_or(0, |run| run.len());
        let skip = match send(runs) {
            Ok(0) => break,
            Ok(messages) => {
                let datagrams = runs.iter().take(messages).map(|run| run.len()).sum();
                sent += datagrams;
                old_error = true;
                datagrams
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) if first > 1 && is_of_segmentation(&error) => {
                // EIO is about the device or a policy of the host. The others may be about one
                // path only, whose MTU is too small, or about a source address that is gone.
                if error.raw_os_error() == Some(libc::EIO) {
                    segmentation.store(false, Ordering::Relaxed);
                }
                single = first;
                continue;
            }
            Err(error) => {
                let full = error.kind() == io::ErrorKind::WouldBlock;
                // Perhaps the error of something sent earlier, of which the kernel tells once.
                if !full && std::mem::take(&mut old_error) {
                    continue;
                }
                first_error.get_or_insert(error);
                if full {
                    break;
                }
                old_error = true;
                first
            }
        };
        single = single.saturating_sub(skip);
        rest = rest.get(skip..).unwrap_or_default();
    }
    match first_error {
        Some(error) if sent == 0 => Err(error),
        _ => Ok(sent),
    }
}

/// Whether a run may have been refused for being one, so that its datagrams may go one by one.
fn is_of_segmentation(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE)
    )
}

/// Cuts the front of `batch` into runs for one call, of one datagram each without `segmentation`.
fn into_runs<'r, 'b>(
    batch: &'b [Datagram<'b>],
    segmentation: bool,
    room: &'r mut [&'b [Datagram<'b>]; MESSAGES],
) -> &'r [&'b [Datagram<'b>]] {
    let mut rest = batch.get(..DATAGRAMS).unwrap_or(batch);
    let mut count = 0;
    for place in &mut *room {
        let length = if segmentation {
            run_length(rest)
        } else {
            rest.len().min(1)
        };
        if length == 0 {
            break;
        }
        (*place, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        count += 1;
    }
    room.get(..count).unwrap_or_default()
}

/// How many datagrams at the front of `batch` may be one message: one way, one size, and at the
/// end perhaps one that is shorter. Of none, 0.
fn run_length(batch: &[Datagram<'_>]) -> usize {
    let Some((first, others)) = batch.split_first() else {
        return 0;
    };
    let size = first.payload.len();
    let mut bytes = size;
    let mut count = 1;
    for next in others.iter().take(SEGMENTS - 1) {
        let length = next.payload.len();
        bytes = bytes.saturating_add(length);
        let one_way = next.remote == first.remote && next.local == first.local;
        if !one_way || length == 0 || length > size || bytes > MESSAGE_BYTES {
            break;
        }
        count += 1;
        if length < size {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests;
