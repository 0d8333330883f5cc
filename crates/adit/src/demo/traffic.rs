//! What is measured between the client and the host behind the server: by plain sockets, as any
//! program has them.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::TcpMaxSeg;

/// Where the host serves.
const PORT: u16 = 7000;

/// How long each speed is measured.
const SPELL: Duration = Duration::from_secs(2);

const ECHOES: u32 = 21;
const PATIENCE: Duration = Duration::from_secs(2);

/// The first byte on a connection: who sends.
const TO_HOST: u8 = 1;
const FROM_HOST: u8 = 2;

/// Starts what the host serves: UDP echoes, and TCP that swallows or pours. Runs until the process ends.
pub(super) fn serve() -> io::Result<()> {
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
    let (tcp, udp) = (TcpListener::bind(any)?, UdpSocket::bind(any)?);
    std::thread::Builder::new().spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(buffer.get(..length).unwrap_or_default(), from);
        }
    })?;
    let serve = move || {
        for stream in tcp.incoming().flatten() {
            // One after the other is enough: whoever breaks off ends only its own.
            let _ = answer(stream);
        }
    };
    std::thread::Builder::new().spawn(serve).map(drop)
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut who = [0];
    stream.read_exact(&mut who)?;
    if who == [FROM_HOST] {
        let block = vec![0; 256 << 10];
        loop {
            stream.write_all(&block)?;
        }
    }
    let bytes = io::copy(&mut stream, &mut io::sink())?;
    stream.write_all(&bytes.to_be_bytes())
}

/// What one family does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Median of some echoes.
    pub(super) round_trip: Duration,
    /// Of the client's connection, in bytes.
    pub(super) mss: u32,
    /// In bits a second.
    pub(super) to_host: f64,
    pub(super) from_host: f64,
}

/// Measures one family, where the largest packet is said to have `mtu` bytes.
pub(super) fn measure(host: IpAddr, mtu: u16) -> io::Result<Measured> {
    let host = SocketAddr::new(host, PORT);
    let round_trip = round_trip(host)?;
    let headers = if host.is_ipv4() { 28 } else { 48 };
    let payload = usize::from(mtu).saturating_sub(headers);
    let passes = echo(host, payload)?;
    tracing::debug!(?passes, payload, "the largest packet passes");
    let (mss, to_host) = pour(host)?;
    Ok(Measured {
        round_trip,
        mss,
        to_host,
        from_host: swallow(host)?,
    })
}

/// The median of some echoes.
fn round_trip(host: SocketAddr) -> io::Result<Duration> {
    let echoes: io::Result<Vec<_>> = (0..ECHOES).map(|_| echo(host, 56)).collect();
    let mut echoes = echoes?;
    echoes.sort_unstable();
    let median = echoes.get(echoes.len() / 2);
    Ok(median.copied().unwrap_or_default())
}

/// Sends `length` bytes and waits for them.
fn echo(host: SocketAddr, length: usize) -> io::Result<Duration> {
    let socket = UdpSocket::bind(any(host))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(host)?;
    let mut buffer = vec![0; length];
    let sent = Instant::now();
    socket.send(&buffer)?;
    if socket.recv(&mut buffer)? != length {
        return Err(io::Error::other(
            "an echo came back shorter than it was sent",
        ));
    }
    Ok(sent.elapsed())
}

/// The client sends: its MSS, and bits a second as the host counted them.
fn pour(host: SocketAddr) -> io::Result<(u32, f64)> {
    let mut stream = connect(host, TO_HOST)?;
    let mss = getsockopt(&stream, TcpMaxSeg)?;
    let block = vec![0; 256 << 10];
    let begin = Instant::now();
    while begin.elapsed() < SPELL {
        stream.write_all(&block)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok((mss, rate(u64::from_be_bytes(bytes), begin)))
}

/// The host sends.
fn swallow(host: SocketAddr) -> io::Result<f64> {
    let mut stream = connect(host, FROM_HOST)?;
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    let begin = Instant::now();
    while begin.elapsed() < SPELL {
        bytes += stream.read(&mut buffer)? as u64;
    }
    Ok(rate(bytes, begin))
}

fn connect(host: SocketAddr, who: u8) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&host, PATIENCE)?;
    stream.set_read_timeout(Some(4 * PATIENCE))?;
    stream.set_write_timeout(Some(4 * PATIENCE))?;
    stream.write_all(&[who])?;
    Ok(stream)
}

fn rate(bytes: u64, since: Instant) -> f64 {
    // cast: a measured figure
    bytes as f64 * 8.0 / since.elapsed().as_secs_f64()
}

fn any(like: SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}
