//! Many datagrams to many destinations in one system call.
//!
//! `sendmmsg` by hand: quinn-udp sends one datagram (or one run of equal segments) a call, and
//! the wrapper of nix has one source address for all datagrams and no way to learn how many were
//! sent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use socket2::SockAddr;

/// Most datagrams in one call.
const MAX: usize = 32;

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

/// Sends `batch`, see [`UdpSocket::send_batch`](super::UdpSocket::send_batch).
pub(super) fn batch(socket: &impl AsFd, batch: &[Datagram<'_>]) -> io::Result<usize> {
    let mut rest = batch;
    let mut sent = 0;
    let mut first_error = None;
    while !rest.is_empty() {
        let skip = match send_some(socket, rest) {
            Ok(0) => break,
            Ok(n) => {
                sent += n;
                n
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => {
                let full = error.kind() == io::ErrorKind::WouldBlock;
                first_error.get_or_insert(error);
                if full {
                    break;
                }
                1
            }
        };
        rest = rest.get(skip..).unwrap_or_default();
    }
    match first_error {
        Some(error) if sent == 0 => Err(error),
        _ => Ok(sent),
    }
}

#[expect(unsafe_code, reason = "sendmmsg and its control messages are C")]
mod raw {
    use super::*;

    /// Room for the source address of either family.
    // SAFETY: CMSG_SPACE only computes.
    const CONTROL: usize =
        unsafe { libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as libc::c_uint) } as usize;

    /// A control message with the alignment of its header.
    #[derive(Clone, Copy)]
    #[repr(C)]
    pub(super) union Control {
        header: libc::cmsghdr,
        bytes: [u8; CONTROL],
    }

    /// Sends up to [`MAX`] datagrams from the front of `batch` in one call.
    pub(super) fn send_some(socket: &impl AsFd, batch: &[Datagram<'_>]) -> io::Result<usize> {
        let nowhere = SocketAddr::from(([0; 4], 0));
        let names: [SockAddr; MAX] = std::array::from_fn(|i| {
            SockAddr::from(batch.get(i).map_or(nowhere, |datagram| datagram.remote))
        });
        let mut controls = [Control {
            bytes: [0; CONTROL],
        }; MAX];
        // SAFETY: all-zero bytes are a valid iovec and a valid mmsghdr: integers and null pointers.
        let (mut vectors, mut headers): ([libc::iovec; MAX], [libc::mmsghdr; MAX]) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };

        let parts = names
            .iter()
            .zip(&mut controls)
            .zip(&mut vectors)
            .zip(&mut headers);
        let mut count = 0;
        for (datagram, (((name, control), vector), header)) in batch.iter().zip(parts) {
            vector.iov_base = datagram.payload.as_ptr().cast_mut().cast();
            vector.iov_len = datagram.payload.len();
            let header = &mut header.msg_hdr;
            header.msg_name = name.as_ptr().cast_mut().cast();
            header.msg_namelen = name.len();
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            set_source(header, control, datagram.local);
            count += 1;
        }
        // SAFETY: the first `count` headers point to `names`, `vectors`, `controls` and the
        // payloads, all of which outlive the call; the kernel reads them and writes only msg_len.
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

    /// Writes `value` as the one control message of `header`.
    fn write<T: Copy>(
        header: &mut libc::msghdr,
        control: &mut Control,
        level: i32,
        kind: i32,
        value: T,
    ) {
        const { assert!(size_of::<T>() <= size_of::<libc::in6_pktinfo>()) };
        let length = size_of::<T>() as libc::c_uint;
        header.msg_control = std::ptr::from_mut(control).cast();
        // SAFETY: CMSG_SPACE only computes.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as _;
        // SAFETY: msg_control points to a `Control`, aligned as a cmsghdr and at least
        // CMSG_SPACE(size of T) long by the assertion above, so that the header and, unaligned,
        // the value after it fit.
        unsafe {
            let message = libc::CMSG_FIRSTHDR(header);
            (*message).cmsg_level = level;
            (*message).cmsg_type = kind;
            (*message).cmsg_len = libc::CMSG_LEN(length) as _;
            libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
        }
    }
}

use raw::send_some;
