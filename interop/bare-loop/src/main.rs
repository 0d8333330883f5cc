//! `adit-bare-loop TUN LOCAL REMOTE`: one thread that carries packets between a TUN interface, which
//! it makes, and ESP in UDP between two addresses with ports, until SIGTERM. No IKE, L2TP, PPP, routes,
//! policy or replay window: what is left is what no server can do without, and so the measure of
//! `interop/bench`. AES-256-CBC and HMAC-SHA-1, under keys that everybody can read here: it protects
//! nothing, and must never carry anything but measurements.

mod inward;
mod outward;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use adit_crypto::{EspCipher, EspKeys, EspMac, EspSuite};
use inward::Inward;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg, setsockopt, sockopt};
use outward::Outward;
use quinn_udp::{RecvMeta, UdpSocketState};
use tun_rs::{DeviceBuilder, SyncDevice};

/// Messages in one read of the socket, each with up to 64 packets.
const MESSAGES: usize = 4;

/// The largest message, and the distance of two, whose starts must not share one set of a cache.
const MESSAGE: usize = 65_535;
const STRIDE: usize = MESSAGE + 1 + 33 * 64;

/// What may wait in the queues of the socket and of TUN, as in adit's.
const QUEUE_BYTES: usize = 4 << 20;
const TUN_QUEUE: u32 = 2000;

struct Loop {
    tun: SyncDevice,
    socket: UdpSocket,
    state: UdpSocketState,
    outward: Outward,
    inward: Inward,
    received: Box<[u8]>,
    /// Packets that the socket took, that TUN took, and that were dropped.
    sent: usize,
    written: usize,
    dropped: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, local, remote] = words.as_slice() else {
        return Err("usage: adit-bare-loop TUN LOCAL REMOTE (addresses with ports)".into());
    };
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGTERM);
    ends.thread_block()?;
    let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC)?;
    let mut bare = Loop::new(name, local.parse()?, remote.parse()?)?;
    println!("ready");
    while bare.turn(&ends)? {}
    let (sent, written, dropped) = (bare.sent, bare.written, bare.dropped);
    println!(r#"{{"sent": {sent}, "written": {written}, "dropped": {dropped}}}"#);
    Ok(())
}

/// The keys of both directions.
fn keys() -> Result<EspKeys, Box<dyn Error>> {
    let suite = EspSuite::new(EspCipher::AesCbc256, Some(EspMac::HmacSha1_96))?;
    Ok(EspKeys::new(suite, &vec![0xad; suite.keymat_len()])?)
}

impl Loop {
    fn new(name: &str, local: SocketAddr, remote: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let tun = DeviceBuilder::new().name(name).with(|options| {
            let options = options.packet_information(false).offload(true);
            options.tx_queue_len(TUN_QUEUE);
        });
        let tun = tun.build_sync()?;
        tun.set_nonblocking(true)?;
        let socket = UdpSocket::bind(local)?;
        socket.connect(remote)?;
        setsockopt(&socket, sockopt::RcvBufForce, &QUEUE_BYTES)?;
        setsockopt(&socket, sockopt::SndBufForce, &QUEUE_BYTES)?;
        let state = UdpSocketState::new((&socket).into())?;
        // A timestamp costs the host for each packet, and nobody reads it.
        setsockopt(&socket, sockopt::ReceiveTimestampns, &false)?;
        let keys = keys()?;
        Ok(Self {
            tun,
            socket,
            state,
            outward: Outward::new(keys.clone()),
            inward: Inward::new(keys),
            received: vec![0; STRIDE * MESSAGES].into_boxed_slice(),
            sent: 0,
            written: 0,
            dropped: 0,
        })
    }

    /// Waits for either side, and takes a batch of each that has something. False at the end.
    fn turn(&mut self, ends: &SignalFd) -> Result<bool, Box<dyn Error>> {
        let sides = [self.socket.as_fd(), self.tun.as_fd(), ends.as_fd()];
        let mut sides = sides.map(|side| PollFd::new(side, PollFlags::POLLIN));
        poll(&mut sides, PollTimeout::NONE)?;
        let [from_udp, from_tun, ended] = sides.map(|side| side.any().unwrap_or(true));
        if from_udp {
            self.read_udp()?;
        }
        if from_tun {
            self.read_tun()?;
        }
        Ok(!ended)
    }

    fn read_tun(&mut self) -> io::Result<()> {
        while !self.outward.is_full() {
            match self.tun.recv(self.outward.room()) {
                Ok(length) => self.dropped += usize::from(self.outward.add(length).is_err()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let socket = self.socket.as_raw_fd();
        self.outward.seal(|bytes, size, count| {
            // cast: at most the length of a datagram
            let size = size as u16;
            let cut = [ControlMessage::UdpGsoSegments(&size)];
            let cut = if count > 1 { &cut[..] } else { &[] };
            let parts = [IoSlice::new(bytes)];
            match sendmsg::<()>(socket, &parts, cut, MsgFlags::empty(), None) {
                Ok(_) => self.sent += count,
                Err(_) => self.dropped += count,
            }
        });
        Ok(())
    }

    fn read_udp(&mut self) -> io::Result<()> {
        let mut meta = [RecvMeta::default(); MESSAGES];
        let mut rooms = self.received.chunks_exact_mut(STRIDE);
        let mut rooms: [_; MESSAGES] = std::array::from_fn(|_| {
            let room = rooms.next().and_then(|room| room.get_mut(..MESSAGE));
            IoSliceMut::new(room.unwrap_or_default())
        });
        let received = self
            .state
            .recv((&self.socket).into(), &mut rooms, &mut meta);
        let messages = match received {
            Ok(messages) => messages,
            // Refused: the other end is not there yet, or no longer.
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::ConnectionRefused => 0,
                _ => return Err(error),
            },
        };
        let filled = rooms.iter_mut().zip(&meta).take(messages);
        let packets = filled.flat_map(|(room, meta)| {
            let bytes = room.get_mut(..meta.len).unwrap_or_default();
            bytes.chunks_mut(meta.stride.max(1))
        });
        let write = |parts: &[IoSlice<'_>], count| match self.tun.send_vectored(parts) {
            Ok(_) => self.written += count,
            Err(_) => self.dropped += count,
        };
        let refused = self.inward.open(packets, write);
        self.dropped += refused;
        Ok(())
    }
}
