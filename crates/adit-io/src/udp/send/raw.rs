//! `sendmmsg` and its control messages.

#![expect(unsafe_code, reason = "sendmmsg and its control messages are C")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use socket2::SockAddr;

use super::{DATAGRAMS, Datagram, MESSAGES};

/// Room for the source address of either family and for the size of segments.
// SAFETY: CMSG_SPACE only computes.
const CONTROL: usize = unsafe {
    libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as libc::c_uint)
        + libc::CMSG_SPACE(size_of::<u16>() as libc::c_uint)
} as usize;

/// Control messages with the alignment of their headers.
#[derive(Clone, Copy)]
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; CONTROL],
}

/// Sends up to [`MESSAGES`] runs with up to [`DATAGRAMS`] datagrams in one call, each run as one
/// message; returns how many runs went. The datagrams of a run go one way and have one size, but
/// the last may be shorter.
pub(super) fn send(socket: &impl AsFd, runs: &[&[Datagram<'_>]]) -> io::Result<usize> {
    let nowhere = SocketAddr::from(([0; 4], 0));
    let names: [SockAddr; MESSAGES] = std::array::from_fn(|i| {
        let first = runs.get(i).and_then(|run| run.first());
        SockAddr::from(first.map_or(nowhere, |datagram| datagram.remote))
    });
    let mut controls = [Control {
        bytes: [0; CONTROL],
    }; MESSAGES];
    // SAFETY: all-zero bytes are a valid iovec and a valid mmsghdr: integers and null pointers.
    let (mut vectors, mut headers): ([libc::iovec; DATAGRAMS], [libc::mmsghdr; MESSAGES]) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };

    let parts = names.iter().zip(&mut controls).zip(&mut headers);
    let mut free = vectors.as_mut_slice();
    let mut count = 0;
    for (run, ((name, control), header)) in runs.iter().zip(parts) {
        let (Some(first), Some((used, left))) = (
            run.first(),
            std::mem::take(&mut free).split_at_mut_checked(run.len()),
        ) else {
            break;
        };
        free = left;
        let parts = fill(used, run);
        let header = &mut header.msg_hdr;
        header.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_namelen = name.len();
        header.msg_iov = used.as_mut_ptr();
        header.msg_iovlen = parts as _;
        set_source(header, control, first.local);
        if run.len() > 1
            && let Ok(size) = u16::try_from(first.payload.len())
        {
            write(header, control, libc::SOL_UDP, libc::UDP_SEGMENT, size);
        }
        count += 1;
    }
    // SAFETY: the first `count` headers point to `names`, `vectors`, `controls` and, through the
    // vectors, to the payloads, all of which outlive the call; the kernel reads them and writes
    // only msg_len.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Points `vectors` to the payloads of a run, to those that lie one behind the other in memory as one:
/// the kernel copies faster then. Returns how many it took.
fn fill(vectors: &mut [libc::iovec], run: &[Datagram<'_>]) -> usize {
    let mut end = std::ptr::null();
    let mut count: usize = 0;
    for datagram in run {
        let bytes = datagram.payload.as_ptr_range();
        let last = count.checked_sub(1).filter(|_| bytes.start == end);
        if let Some(vector) = last.and_then(|last| vectors.get_mut(last)) {
            vector.iov_len += datagram.payload.len();
        } else if let Some(vector) = vectors.get_mut(count) {
            vector.iov_base = bytes.start.cast_mut().cast();
            vector.iov_len = datagram.payload.len();
            count += 1;
        }
        end = bytes.end;
    }
    count
}

/// Puts the source address into `control` and `control` into `header`.
fn set_source(header: &mut libc::msghdr, control: &mut Control, source: IpAddr) {
    match source {
        source if source.is_unspecified() => {}
        IpAddr::V4(ip) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            write(header, control, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        IpAddr::V6(ip) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                ipi6_ifindex: 0,
            };
            write(
                header,
                control,
                libc::IPPROTO_IPV6,
                libc::IPV6_PKTINFO,
                info,
            );
        }
    }
}

/// Adds `value` to the control messages of `header`, all of which are in `control`.
fn write<T: Copy>(
    header: &mut libc::msghdr,
    control: &mut Control,
    level: i32,
    kind: i32,
    value: T,
) {
    let length = size_of::<T>() as libc::c_uint;
    let used: usize = header.msg_controllen as _;
    // SAFETY: CMSG_SPACE only computes.
    let space = unsafe { libc::CMSG_SPACE(length) } as usize;
    if used + space > CONTROL {
        return;
    }
    header.msg_control = std::ptr::from_mut(control).cast();
    header.msg_controllen = (used + space) as _;
    // SAFETY: `used` is 0 or the CMSG_SPACE of the message before, which keeps the alignment of
    // a cmsghdr that `control` begins with; by the check above the header and, unaligned, the
    // value after it are inside of `control`.
    unsafe {
        let message = std::ptr::from_mut(control)
            .byte_add(used)
            .cast::<libc::cmsghdr>();
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(length) as _;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_memory_are_one_piece() {
        let memory = [7; 40];
        let run = [
            &memory[..10],
            &memory[10..20],
            &memory[30..40],
            &memory[20..30],
        ];
        let run = run.map(|payload| Datagram {
            local: IpAddr::from([192, 0, 2, 1]),
            remote: SocketAddr::from(([198, 51, 100, 7], 1)),
            payload,
        });
        let mut vectors = run.map(|_| libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        });
        let count = fill(&mut vectors, &run);
        let found = vectors[..count]
            .iter()
            .map(|it| (it.iov_base.addr(), it.iov_len));
        let start = memory.as_ptr().addr();
        let expected = [(start, 20), (start + 30, 10), (start + 20, 10)];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}
