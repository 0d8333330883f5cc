//! What the kernel says of datagrams that were too big for a link on their way: the error queue of a
//! socket (ip(7), IP_RECVERR). Everything in it but the destination may be forged by anybody.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use libc::{sock_extended_err, sockaddr_in6};
use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{Socket, Type};

/// As much of a quoted datagram as anybody asks for.
const QUOTE: usize = 16;

/// `ee_origin` of what our own system refused, and of ICMP and ICMPv6 (linux/errqueue.h).
const LOCAL: u8 = 1;
const ICMP: u8 = 2;
const ICMPV6: u8 = 3;
/// "Fragmentation needed" (RFC 792).
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
/// "Packet too big" (RFC 4443 3.2), whose code says nothing.
const PACKET_TOO_BIG: u8 = 2;

/// A datagram of ours was too big for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Where it was going. The port is 0 for ESP, and may be 0 where our own system refused it.
    pub remote: SocketAddr,
    /// The MTU of the link as it was told, in bytes of IP.
    pub mtu: u32,
    /// Whether our own system says so, of the interface that it was to leave by, and no ICMP error.
    pub by_system: bool,
    quote: [u8; QUOTE],
    quoted: usize,
}

impl TooBig {
    /// The beginning of its payload, if the error holds any: 16 bytes at most.
    pub fn quote(&self) -> &[u8] {
        self.quote.get(..self.quoted).unwrap_or_default()
    }
}

/// An entry of the error queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// A datagram was too big.
    TooBig(TooBig),
    /// Something else became of it: its host or port cannot be reached, and so on.
    Other,
}

/// From here on the kernel keeps what becomes of datagrams for [`receive`].
pub(super) fn keep(socket: &Socket, is_ipv6: bool) -> io::Result<()> {
    if is_ipv6 {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
    }
    if !is_ipv6 || socket.r#type()? != Type::RAW {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
    }
    Ok(())
}

/// The next entry of the queue. An error of kind `WouldBlock` says that there is none.
pub(super) fn receive(socket: &impl AsRawFd) -> io::Result<SendError> {
    let socket: RawFd = socket.as_raw_fd();
    let mut control = cmsg_space!([u8; 64], [u8; 64]);
    debug_assert!(control.len() > size_of::<sock_extended_err>() + size_of::<sockaddr_in6>());
    let mut payload = [0; QUOTE];
    let mut parts = [IoSliceMut::new(&mut payload)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket, &mut parts, Some(&mut control), flags)?;
    let quoted = message.bytes.min(QUOTE);
    let remote = message.address.as_ref().and_then(address);
    let error = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            Some(error)
        }
        _ => None,
    });
    Ok(match (error, remote) {
        (Some(error), Some(remote)) => read(&error, remote, payload, quoted),
        _ => SendError::Other,
    })
}

fn read(
    error: &sock_extended_err,
    remote: SocketAddr,
    quote: [u8; QUOTE],
    quoted: usize,
) -> SendError {
    let of_size = match error.ee_origin {
        LOCAL => i32::try_from(error.ee_errno) == Ok(libc::EMSGSIZE),
        ICMP => (error.ee_type, error.ee_code) == FRAGMENTATION_NEEDED,
        ICMPV6 => error.ee_type == PACKET_TOO_BIG,
        _ => false,
    };
    if !of_size {
        return SendError::Other;
    }
    SendError::TooBig(TooBig {
        remote,
        mtu: error.ee_info,
        by_system: error.ee_origin == LOCAL,
        quote,
        quoted,
    })
}

fn address(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => {
            Some(SocketAddr::V4((*address.as_sockaddr_in()?).into()))
        }
        nix::sys::socket::AddressFamily::Inet6 => {
            Some(SocketAddr::V6((*address.as_sockaddr_in6()?).into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(origin: u8, kind: u8, code: u8, errno: i32) -> sock_extended_err {
        sock_extended_err {
            ee_errno: errno as u32,
            ee_origin: origin,
            ee_type: kind,
            ee_code: code,
            ee_pad: 0,
            ee_info: 1400,
            ee_data: 0,
        }
    }

    #[test]
    fn only_what_is_about_size_counts() {
        let remote = "192.0.2.7:4500".parse().unwrap();
        let mtu = |error| match read(&error, remote, [1; QUOTE], 8) {
            SendError::TooBig(told) => {
                assert_eq!((told.remote, told.quote()), (remote, &[1; 8][..]));
                Some((told.mtu, told.by_system))
            }
            SendError::Other => None,
        };
        assert_eq!(mtu(error(LOCAL, 0, 0, libc::EMSGSIZE)), Some((1400, true)));
        assert_eq!(mtu(error(ICMP, 3, 4, libc::EMSGSIZE)), Some((1400, false)));
        assert_eq!(
            mtu(error(ICMPV6, 2, 0, libc::EMSGSIZE)),
            Some((1400, false))
        );
        assert_eq!(
            mtu(error(ICMPV6, 2, 9, libc::EMSGSIZE)),
            Some((1400, false))
        );
        for other in [
            error(LOCAL, 0, 0, libc::ECONNREFUSED),
            error(ICMP, 3, 3, libc::ECONNREFUSED),
            error(ICMP, 3, 1, libc::EHOSTUNREACH),
            error(ICMP, 11, 0, libc::EHOSTUNREACH),
            error(ICMP, 2, 0, libc::EMSGSIZE),
            error(ICMPV6, 3, 4, libc::EMSGSIZE),
            error(ICMPV6, 1, 4, libc::ECONNREFUSED),
            error(0, 3, 4, libc::EMSGSIZE),
            error(4, 3, 4, libc::EMSGSIZE),
        ] {
            assert_eq!(mtu(other), None, "{other:?}");
        }
    }
}
