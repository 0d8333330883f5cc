//! UDP sockets that tell which address of ours a datagram came to, and answer from it.
//!
//! One socket serves one family: IPv6 sockets are IPv6-only, so that `0.0.0.0` and `[::]` stand
//! beside each other on the same port whatever `net.ipv6.bindv6only` says. Nothing here blocks,
//! and nothing looks into a datagram.
//!
//! ESP without UDP (IP protocol 50) comes and goes by raw sockets with the same shape, whose ports are 0.

mod batch;
mod error;
mod group;
mod send;
mod sieve;
mod too_big;
mod whole;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use adit_wire::{Channel, Mark};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use quinn_udp::{Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;

pub use batch::{Received, RecvBatch};
pub use error::BindError;
pub use group::member_of;
pub use send::Datagram;
pub use too_big::{SendError, TooBig};
use whole::{Discovery, set_discovery};

/// What is asked of the kernel for the queues of a socket, in bytes. At 10 Gbit/s it is 3 ms.
const QUEUE_BYTES: usize = 4 << 20;

/// ESP (RFC 4303).
const PROTOCOL_ESP: i32 = 50;

/// A bound UDP socket, or one for IP protocol 50, for any number of peers.
///
/// Wait with [`readable`](Self::readable), then call [`recv`](Self::recv) until it says 0.
#[derive(Debug)]
pub struct UdpSocket {
    socket: tokio::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// Bytes of the IP header are before what is received.
    with_header: bool,
    /// The kernel cuts long messages into datagrams.
    segmentation: AtomicBool,
    /// Datagrams are not to be cut on their way. Held while one is sent that may be.
    whole: Option<Mutex<()>>,
}

impl UdpSocket {
    /// Binds `addr`, which may be a wildcard address; port 0 takes a free one. Must be called
    /// inside a tokio runtime with I/O enabled, as tokio's own sockets must.
    pub fn bind(addr: SocketAddr) -> Result<Self, BindError> {
        Detached::bind(addr, false)?.attach()
    }

    /// Binds so many sockets (at least one) to one address, for as many threads. What arrives goes
    /// to the member that [`member_of`] says for the SPI, its first four bytes; what is shorter is
    /// for member 0. They have to be dropped together: the kernel closes the gap that one leaves.
    pub fn bind_group(addr: SocketAddr, members: usize) -> Result<Vec<Detached>, BindError> {
        let first = Detached::bind(addr, false)?;
        let addr = first.local;
        let mut group = vec![first];
        if members > 1 {
            // Only now, so that a port which another program shares with nobody, or with itself, is
            // in use.
            for socket in &group {
                let shared = socket2::SockRef::from(&socket.socket).set_reuse_port(true);
                shared.map_err(|source| BindError::new(addr, "sharing it", source))?;
            }
            for _ in 1..members {
                group.push(Detached::bind(addr, true)?);
            }
            let last = group.last().map(|member| &member.socket);
            last.map_or(Ok(()), |socket| group::steer(socket, members))
                .map_err(|source| BindError::new(addr, "steering by SPI", source))?;
        }
        Ok(group)
    }

    /// Opens a raw socket for ESP without UDP on `ip`, which may be a wildcard address; needs
    /// CAP_NET_RAW. What it receives begins with the SPI, and every port is 0.
    pub fn bind_esp(ip: IpAddr) -> Result<Self, BindError> {
        Detached::bind_esp(ip)?.attach()
    }

    /// The address and port it is bound to; the port is 0 for ESP.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits until a datagram may be there. Cancelling it loses nothing.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// One `recvmmsg`: fills `batch` anew and returns how many datagrams it holds, 0 when none
    /// was waiting.
    pub fn recv(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        let received = self.socket.try_io(Interest::READABLE, || {
            batch.fill(self.local, self.with_header, |bufs, meta| {
                self.past_old_errors(|| self.state.recv((&self.socket).into(), bufs, meta))
            })
        });
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Sends one datagram from our address `local` (unspecified: the kernel chooses) to
    /// `remote`. An error of kind `WouldBlock` says that the queue is full: count a drop.
    pub fn send(&self, local: IpAddr, remote: SocketAddr, payload: &[u8]) -> io::Result<()> {
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cannot send from {local} to {remote}: two families"),
            ));
        }
        let transmit = Transmit {
            destination: remote,
            ecn: None,
            contents: payload,
            segment_size: None,
            src_ip: (!local.is_unspecified()).then_some(local),
        };
        // Not through tokio's readiness, which is "not writable" until its first event: the
        // socket does not block, and a full queue is the caller's to count.
        self.past_old_errors(|| self.state.try_send((&self.socket).into(), &transmit))
    }

    /// Sends datagrams to any number of destinations with few system calls, and returns how many
    /// the kernel took. Of neighbours with one source, one destination and one size it makes one
    /// message that the kernel cuts up, where it can. One that it refuses (no route, a source
    /// address that is gone) does not keep the others back; a full queue ends the batch. What is
    /// missing from the number is dropped. The first error is returned only if not one was sent.
    pub fn send_batch(&self, batch: &[Datagram<'_>]) -> io::Result<usize> {
        send::batch(&self.socket, &self.segmentation, batch)
    }

    /// Has the kernel throw away whatever can belong to no SA of ours, before it takes room in the queue:
    /// by the marks of what we gave out. `channel` is what the socket is for.
    pub fn sift(&self, channel: Channel, mark: Mark) -> io::Result<()> {
        sieve::attach(socket2::SockRef::from(&self.socket), channel, mark)
    }

    /// How many datagrams the kernel threw away since the socket was made: those that [`sift`](Self::sift)
    /// is to keep out, and those that found the queue full. The number wraps around.
    pub fn unread(&self) -> io::Result<u32> {
        let info = getsockopt(&self.socket, meminfo::MemInfo)?;
        Ok(info.get(DROPS).copied().unwrap_or_default())
    }

    /// Bytes that the kernel gave to the receive queue (twice what was asked, by its own
    /// accounting). Far below 8 MiB means: raise `net.core.rmem_max`.
    pub fn receive_queue(&self) -> io::Result<usize> {
        socket2::SockRef::from(&self.socket).recv_buffer_size()
    }
}

/// A bound socket that no runtime waits for yet.
#[derive(Debug)]
pub struct Detached {
    socket: std::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    with_header: bool,
    segmentation: bool,
}

impl Detached {
    fn bind(addr: SocketAddr, shared: bool) -> Result<Self, BindError> {
        let failed = |step: &'static str| move |source| BindError::new(addr, step, source);
        let domain = Domain::for_address(addr);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
            .map_err(failed("opening a socket"))?;
        if addr.is_ipv6() {
            socket
                .set_only_v6(true)
                .map_err(failed("making it IPv6-only"))?;
        }
        if shared {
            socket.set_reuse_port(true).map_err(failed("sharing it"))?;
        }
        let (socket, state) = set_up(socket, addr).map_err(|(step, error)| failed(step)(error))?;
        let local = socket
            .local_addr()
            .map_err(failed("reading back its address"))?;
        let segmentation = state.max_gso_segments() > 1;
        Ok(Self {
            socket,
            state,
            local,
            with_header: false,
            segmentation,
        })
    }

    fn bind_esp(ip: IpAddr) -> Result<Self, BindError> {
        let addr = SocketAddr::new(ip, 0);
        let failed = |step: &'static str| move |source| BindError::of_esp(ip, step, source);
        let protocol = Protocol::from(PROTOCOL_ESP);
        let socket = Socket::new(Domain::for_address(addr), Type::RAW, Some(protocol))
            .map_err(failed("opening a socket"))?;
        let (socket, state) = set_up(socket, addr).map_err(|(step, error)| failed(step)(error))?;
        Ok(Self {
            socket,
            state,
            local: addr,
            with_header: ip.is_ipv4(),
            // A raw socket would send the whole message as one packet.
            segmentation: false,
        })
    }

    /// The address and port it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Gives the socket to the tokio runtime of this thread, which must have I/O enabled.
    pub fn attach(self) -> Result<UdpSocket, BindError> {
        let socket = tokio::net::UdpSocket::from_std(self.socket);
        Ok(UdpSocket {
            socket: socket.map_err(|source| {
                BindError::new(self.local, "handing it to the runtime", source)
            })?,
            state: self.state,
            local: self.local,
            with_header: self.with_header,
            segmentation: AtomicBool::new(self.segmentation),
            whole: None,
        })
    }
}

/// Binds a new socket and sets what both kinds have in common. An error says at which step.
fn set_up(
    socket: Socket,
    addr: SocketAddr,
) -> Result<(std::net::UdpSocket, UdpSocketState), (&'static str, io::Error)> {
    let failed = |step: &'static str| move |error| (step, error);
    enlarge_queues(&socket).map_err(failed("enlarging its queues"))?;
    socket.bind(&addr.into()).map_err(failed("binding it"))?;
    // Sets non-blocking, PKTINFO and UDP_GRO, and options that are undone below.
    let state = UdpSocketState::new((&socket).into()).map_err(failed("setting it up"))?;
    set_discovery(&socket, addr, Discovery::Cut).map_err(failed("allowing fragments"))?;
    drop_unused_metadata(&socket, addr).map_err(failed("setting it up"))?;
    Ok((socket.into(), state))
}

/// Asks for long queues: past the system's limit where CAP_NET_ADMIN allows it, else up to it.
fn enlarge_queues(socket: &Socket) -> io::Result<()> {
    if setsockopt(socket, sockopt::RcvBufForce, &QUEUE_BYTES).is_err() {
        socket.set_recv_buffer_size(QUEUE_BYTES)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &QUEUE_BYTES).is_err() {
        socket.set_send_buffer_size(QUEUE_BYTES)?;
    }
    Ok(())
}

/// SK_MEMINFO_DROPS of linux/sock_diag.h, the last of the figures that [`meminfo::MemInfo`] gives.
const DROPS: usize = 8;

mod meminfo {
    use nix::{getsockopt_impl, sockopt_impl};

    sockopt_impl!(
        /// What the socket's queues hold, and how many packets were dropped.
        MemInfo,
        GetOnly,
        libc::SOL_SOCKET,
        libc::SO_MEMINFO,
        [u32; super::DROPS + 1]
    );
}

/// quinn-udp asks for a timestamp and the traffic class of every datagram. Nothing reads them,
/// a timestamp costs every packet of the host time, and together with PKTINFO and GRO they
/// overflow the 96 bytes that quinn-udp keeps for control messages.
fn drop_unused_metadata(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    setsockopt(socket, sockopt::ReceiveTimestampns, &false)?;
    if addr.is_ipv6() {
        socket.set_recv_tclass_v6(false)
    } else {
        socket.set_recv_tos_v4(false)
    }
}

/// Both wildcard addresses, IPv4 and IPv6, with `port`: a pair that binds together.
pub fn wildcards(port: u16) -> [SocketAddr; 2] {
    [
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)),
    ]
}

#[cfg(test)]
mod tests;
