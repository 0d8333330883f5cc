//! Whether datagrams may be cut on their way: by routers, or by the kernel before they leave.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{SockRef, Socket, Type};
use tokio::io::Interest;

use super::UdpSocket;
use super::too_big::{self, SendError};

/// Payloads that every path carries whole: IPv4 hosts take 576 bytes (RFC 791 3.1), and what has less
/// than 1280 is no path of IPv6.
const ALWAYS_WHOLE: usize = 576 - 28;

/// How often a call is made anew that failed with an error of something sent earlier.
const OLD_ERRORS: usize = 4;

mod mtu_discover {
    use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};

    sockopt_impl!(
        /// Whether IPv4 datagrams carry DF and follow the path MTU.
        IpMtuDiscover,
        Both,
        libc::IPPROTO_IP,
        libc::IP_MTU_DISCOVER,
        i32
    );
    sockopt_impl!(
        /// The same for IPv6, where only the sender fragments.
        Ipv6MtuDiscover,
        Both,
        libc::IPPROTO_IPV6,
        libc::IPV6_MTU_DISCOVER,
        i32
    );
}
#[cfg(test)]
pub(super) use mtu_discover::{IpMtuDiscover, Ipv6MtuDiscover};

/// Whether datagrams may be cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Discovery {
    /// An IKE message with certificates is larger than a link: over IPv4 without DF, so that routers
    /// may cut it as well, over IPv6 by this host to the path MTU that the kernel has learnt.
    Cut,
    /// Nobody cuts, and what is larger than the link of this host is refused. What the kernel has
    /// learnt of paths does not count: it believes everybody who names the port.
    Whole,
}

/// Sets either; quinn-udp leaves the second, as QUIC must.
pub(super) fn set_discovery(
    socket: &Socket,
    addr: SocketAddr,
    discovery: Discovery,
) -> io::Result<()> {
    let (of4, of6) = match discovery {
        Discovery::Cut => (libc::IP_PMTUDISC_DONT, libc::IPV6_PMTUDISC_WANT),
        Discovery::Whole => (libc::IP_PMTUDISC_PROBE, libc::IPV6_PMTUDISC_PROBE),
    };
    // An IPv6 raw socket has no options of IPv4; it never carries IPv4 either.
    if addr.is_ipv4() || socket.r#type()? != Type::RAW {
        setsockopt(socket, mtu_discover::IpMtuDiscover, &of4)?;
    }
    if addr.is_ipv6() {
        setsockopt(socket, mtu_discover::Ipv6MtuDiscover, &of6)?;
        let whole = discovery == Discovery::Whole;
        setsockopt(socket, sockopt::Ipv6DontFrag, &whole)?;
    }
    Ok(())
}

impl UdpSocket {
    /// From here on no datagram is cut on its way, by routers or by this host, but those of
    /// [`send_cut`](Self::send_cut). What the kernel hears of those that were too big comes from
    /// [`recv_error`](Self::recv_error), which must be read: it shares the receive queue.
    pub fn keep_whole(&mut self) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        too_big::keep(&socket, self.local.is_ipv6())?;
        set_discovery(&socket, self.local, Discovery::Whole)?;
        self.whole = Some(Mutex::new(()));
        Ok(())
    }

    /// Waits until something may have become of a datagram that was sent. Cancelling it loses nothing.
    pub async fn error_readable(&self) -> io::Result<()> {
        self.socket.ready(Interest::ERROR).await.map(|_| ())
    }

    /// What became of a datagram that was sent; `None` when there is nothing more.
    pub fn recv_error(&self) -> io::Result<Option<SendError>> {
        let received = self
            .socket
            .try_io(Interest::ERROR, || too_big::receive(&self.socket));
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            other => other.map(Some),
        }
    }

    /// Sends one datagram that may be cut on its way whatever holds for others: where
    /// [`keep_whole`](Self::keep_whole) was called, by the first router whose link is too narrow, or
    /// over IPv6 here, to what the kernel has learnt of the path. Meanwhile, what other threads send
    /// may be cut as well.
    pub fn send_cut(&self, local: IpAddr, remote: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let Some(turn) = self.whole.as_ref().filter(|_| payload.len() > ALWAYS_WHOLE) else {
            return self.send(local, remote, payload);
        };
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = SockRef::from(&self.socket);
        set_discovery(&socket, self.local, Discovery::Cut)?;
        let sent = self.send(local, remote, payload);
        set_discovery(&socket, self.local, Discovery::Whole)?;
        sent
    }

    /// A call that fails may have failed for something sent earlier, of which the kernel tells the
    /// next one (ip(7), IP_RECVERR). It is made anew then.
    pub(super) fn past_old_errors<T>(
        &self,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut result = call();
        for _ in 0..OLD_ERRORS {
            match &result {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock && self.whole.is_some() => {
                    result = call();
                }
                _ => break,
            }
        }
        result
    }
}
