//! One address: sockets and the clock around the probe.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use adit_client::probe::{Ask, Door, Ends, Probe, Step};
use tokio::net::UdpSocket;

use super::options::Options;
use super::report::Report;
use crate::Failure;
use crate::time::until;

/// Larger than any UDP payload.
const DATAGRAM: usize = 65_536;

/// A socket for one door of the server. It is connected, so that it has an address of its own, takes
/// nothing from strangers, and hears of a closed port.
struct Socket {
    door: Door,
    socket: UdpSocket,
}

impl Socket {
    async fn open(server: IpAddr, door: Door, port: u16) -> io::Result<Self> {
        let any: IpAddr = match server {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind(SocketAddr::new(any, port)).await?;
        socket.connect(SocketAddr::new(server, door.port())).await?;
        Ok(Self { door, socket })
    }
}

/// Runs the probe of one address to its end.
pub(super) async fn probe(
    ask: &Ask,
    server: IpAddr,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    let (first, second) = match open(ask, server, options.local_port).await {
        Ok(sockets) => sockets,
        Err(error) => {
            let asked = options.ipv4 || options.ipv6 || options.host.parse() == Ok(server);
            report.step(Some(server), unreachable(&error, asked));
            return Ok(());
        }
    };
    let local = |socket: &Socket| socket.socket.local_addr().map_err(Failure::failed);
    let ends = Ends {
        local: local(&first)?,
        nat_t: local(second.as_ref().unwrap_or(&first))?,
        remote: server,
    };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(Failure::failed)?;
    let mut probe = Probe::new(ask.clone(), ends, seed, Instant::now());
    let (mut one, mut other) = (vec![0; DATAGRAM], vec![0; DATAGRAM]);
    loop {
        drain(&mut probe, &first, second.as_ref(), server, report).await;
        if probe.is_done() {
            return Ok(());
        }
        let second_socket = second.as_ref().unwrap_or(&first);
        tokio::select! {
            received = first.socket.recv(&mut one) => {
                take(&mut probe, first.door, received, &mut one);
            }
            received = second_socket.socket.recv(&mut other), if second.is_some() => {
                take(&mut probe, second_socket.door, received, &mut other);
            }
            () = until(probe.poll_timeout()) => probe.handle_timeout(Instant::now()),
        }
    }
}

async fn open(ask: &Ask, server: IpAddr, port: u16) -> io::Result<(Socket, Option<Socket>)> {
    if !ask.ipsec {
        return Ok((Socket::open(server, Door::L2tp, port).await?, None));
    }
    // Who wants the port of IKE wants that of NAT traversal, too.
    let nat_t_port = if port == Door::Ike.port() {
        Door::NatT.port()
    } else {
        0
    };
    let first = Socket::open(server, Door::Ike, port).await?;
    let second = Socket::open(server, Door::NatT, nat_t_port).await?;
    Ok((first, Some(second)))
}

/// Does all that the probe wants done.
async fn drain(
    probe: &mut Probe,
    first: &Socket,
    second: Option<&Socket>,
    server: IpAddr,
    report: &mut Report,
) {
    loop {
        if let Some((door, payload)) = probe.poll_transmit() {
            let socket = second.filter(|socket| socket.door == door).unwrap_or(first);
            // What cannot be sent is sent again, as what is lost.
            if let Err(error) = socket.socket.send(&payload).await
                && error.kind() == ErrorKind::ConnectionRefused
            {
                probe.handle_closed(door, Instant::now());
            }
        } else if let Some(job) = probe.poll_job() {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH);
            probe.handle_job(job.run(unix.unwrap_or_default()), Instant::now());
        } else if let Some(step) = probe.poll_step() {
            report.step(Some(server), step);
        } else {
            return;
        }
    }
}

fn take(probe: &mut Probe, door: Door, received: io::Result<usize>, buffer: &mut [u8]) {
    match received {
        Ok(length) => {
            let datagram = buffer.get_mut(..length).unwrap_or_default();
            probe.handle_datagram(door, datagram, Instant::now());
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            probe.handle_closed(door, Instant::now());
        }
        // Other errors of a socket are about one datagram, and time tells what comes of them.
        Err(_) => {}
    }
}

/// There is no way to this address, or the port is taken. That this host has but one family says
/// nothing of the server, unless the address was asked for.
fn unreachable(error: &io::Error, asked: bool) -> Step {
    let step = Step::ok("route", Duration::ZERO, vec![error.to_string()]);
    match error.kind() {
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
            let advice = "this host has no route to this address";
            if asked {
                step.fail(advice)
            } else {
                step.warn(advice)
            }
        }
        ErrorKind::PermissionDenied => step.fail("a local port below 1024 needs root"),
        ErrorKind::AddrInUse => {
            step.fail("another program has the local port: stop it, or take another")
        }
        _ => step.fail("this host cannot send to this address"),
    }
}
