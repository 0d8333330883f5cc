//! One connection: sockets, the interface and the clock around [`adit_client::Client`].

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit_client::{Client, DownReason, Event, HEADROOM, JobDone, TAILROOM};
use adit_ike::Dpd;
use adit_io::udp::{RecvBatch, UdpSocket};
use adit_link::icmp::{self, Unreachable};
use adit_wire::{Channel, PacketBuf, Path};
use tokio::task::JoinSet;

use super::Stop;
use super::host::Tunnel;
use crate::dial::{Identity, local_address};
use crate::sealed;
use crate::time::until;

/// Packets read from TUN before what they became is sent.
const TUN_BATCH: usize = 64;

/// Room for the largest packet that TUN gives.
const TUN_ROOM: usize = 2048;

/// How long the server may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(3);

/// Who answers for a family that the tunnel does not have: RFC 7600's dummy address, and a link-local
/// one.
const OWN4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
const OWN6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// A server that is gone is noticed within half a minute.
const DPD: Dpd = Dpd {
    idle: Duration::from_secs(15),
    retry: Duration::from_secs(3),
    tries: 5,
};

/// How a connection ended.
pub(super) enum Outcome {
    /// It was asked to.
    Stopped,
    /// It is of no use to try again.
    Refused(String),
    /// It was up.
    Lost(String),
    /// It never came up.
    Unreached(String),
}

/// Connects to one address, and stays until the end of it.
pub(super) async fn run(
    identity: &Identity,
    server: IpAddr,
    tunnel: &mut Tunnel,
    stop: &mut Stop,
) -> Outcome {
    let mut session = match Session::dial(identity, server) {
        Ok(session) => session,
        Err(why) => return Outcome::Unreached(why),
    };
    let down = session.serve(tunnel, stop).await;
    for address in session.addresses {
        // It may have gone with the interface.
        let _ = tunnel.no_address(address).await;
    }
    match down {
        Ok(DownReason::Closed) => Outcome::Stopped,
        Ok(reason) if session.refused => {
            Outcome::Refused(format!("{server} refuses {}: {reason}", identity.user))
        }
        Ok(reason) if session.up => Outcome::Lost(reason.to_string()),
        Ok(reason) => Outcome::Unreached(reason.to_string()),
        Err(error) => Outcome::Refused(error.to_string()),
    }
}

struct Session {
    client: Client,
    ike: UdpSocket,
    nat_t: UdpSocket,
    jobs: JoinSet<JobDone>,
    free: Vec<PacketBuf>,
    /// What the interface has been given.
    addresses: Vec<IpAddr>,
    dns4: Vec<Ipv4Addr>,
    dns6: Vec<Ipv6Addr>,
    search: Vec<String>,
    mtu: u16,
    up: bool,
    refused: bool,
}

/// What is to be done on the host for what the client said.
enum Change {
    Address(IpAddr),
    NoAddress(IpAddr),
    Mtu,
    Resolvers,
    Down(DownReason),
}

impl Session {
    fn dial(identity: &Identity, server: IpAddr) -> Result<Self, String> {
        let local = local_address(server).map_err(|error| error.to_string())?;
        let bind = || UdpSocket::bind(SocketAddr::new(local, 0)).map_err(|error| error.to_string());
        let (ike, nat_t) = (bind()?, bind()?);
        let mut config = identity.config(nat_t.local_addr());
        Arc::make_mut(&mut config.ike).dpd = Some(DPD);
        let path = Path {
            channel: Channel::Ike,
            local: ike.local_addr(),
            remote: SocketAddr::new(server, 500),
        };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
        Ok(Self {
            client: Client::new(config, path, seed, Instant::now()),
            ike,
            nat_t,
            jobs: JoinSet::new(),
            free: (0..TUN_BATCH)
                .map(|_| PacketBuf::with_capacity(HEADROOM, TUN_ROOM + TAILROOM))
                .collect(),
            addresses: Vec::new(),
            dns4: Vec::new(),
            dns6: Vec::new(),
            search: Vec::new(),
            mtu: u16::MAX,
            up: false,
            refused: false,
        })
    }

    /// Runs to the end of the connection. An error is one of this host.
    async fn serve(&mut self, tunnel: &mut Tunnel, stop: &mut Stop) -> Result<DownReason, String> {
        let (mut from_ike, mut from_nat_t) = (RecvBatch::new(), RecvBatch::new());
        let mut farewell: Option<Instant> = None;
        loop {
            while let Some(change) = self.flush() {
                if let Change::Down(reason) = change {
                    // Deletes may have been said with it.
                    let _ = self.flush();
                    return Ok(reason);
                }
                let changed = self.apply(change, tunnel).await;
                changed.map_err(|error| error.to_string())?;
            }
            let due = [self.client.poll_timeout(), farewell];
            tokio::select! {
                ready = self.ike.readable() => {
                    ready.map_err(|error| error.to_string())?;
                    self.receive(Channel::Ike, &mut from_ike, tunnel);
                }
                ready = self.nat_t.readable() => {
                    ready.map_err(|error| error.to_string())?;
                    self.receive(Channel::NatT, &mut from_nat_t, tunnel);
                }
                ready = tunnel.queue.readable() => {
                    ready.map_err(|error| error.to_string())?;
                    self.read_tun(tunnel).map_err(|error| error.to_string())?;
                }
                Some(Ok(done)) = self.jobs.join_next() => {
                    self.client.handle_job(done, Instant::now());
                }
                () = until(due.into_iter().flatten().min()) => {
                    let now = Instant::now();
                    if farewell.is_some_and(|at| now >= at) {
                        farewell = None;
                        self.client.close(now);
                    }
                    self.client.handle_timeout(now);
                }
                () = stop.asked() => {
                    let now = Instant::now();
                    // A second time it waits for nobody.
                    farewell = farewell.is_none().then(|| now + FAREWELL);
                    self.client.close(now);
                }
            }
        }
    }

    /// Sends and starts what the client gives out, up to the next thing to be done on the host.
    fn flush(&mut self) -> Option<Change> {
        loop {
            if let Some(transmit) = self.client.poll_transmit() {
                let socket = self.socket(transmit.path.channel);
                let local = transmit.path.local.ip();
                if let Err(error) = socket.send(local, transmit.path.remote, &transmit.payload) {
                    tracing::debug!(%error, "datagram not sent");
                }
            } else if let Some(job) = self.client.poll_job() {
                let unix = crate::time::since_epoch(SystemTime::now());
                self.jobs.spawn_blocking(move || job.run(unix));
            } else {
                match self.client.poll_event() {
                    Some(event) => {
                        if let Some(change) = self.take(event) {
                            return Some(change);
                        }
                    }
                    None => return None,
                }
            }
        }
    }

    fn take(&mut self, event: Event) -> Option<Change> {
        match event {
            Event::Phase1(phase1) => {
                tracing::info!(proposal = %phase1.proposal, "IKE up");
            }
            Event::Lcp(lcp) => self.mtu = self.mtu.min(lcp.mru),
            Event::Mtu(mtu) => {
                self.mtu = self.mtu.min(u16::try_from(mtu).unwrap_or(u16::MAX));
                return Some(Change::Mtu);
            }
            Event::AuthFailed(failure) => {
                self.refused = true;
                tracing::debug!(?failure, "authentication failed");
            }
            Event::Ipv4 { address, dns, .. } => {
                tracing::info!(%address, ?dns, "IPv4 up");
                self.dns4 = dns;
                return Some(Change::Address(address.into()));
            }
            Event::NoIpv4(state) => {
                tracing::info!(?state, "no IPv4");
                let gone = self.addresses.iter().find(|address| address.is_ipv4());
                return gone.copied().map(Change::NoAddress);
            }
            Event::NoIpv6(state) => tracing::info!(
                ?state,
                "no IPv6: it is refused, so that it goes nowhere else"
            ),
            Event::Ipv6Address { address, prefix } => {
                tracing::info!(%address, %prefix, "IPv6 up");
                return Some(Change::Address(address.into()));
            }
            Event::Ipv6AddressExpired { address } => {
                return Some(Change::NoAddress(address.into()));
            }
            Event::Ipv6Dns(dns) => {
                self.dns6 = dns;
                return Some(Change::Resolvers);
            }
            Event::Ipv6Search(search) => {
                self.search = search.iter().map(ToString::to_string).collect();
                return Some(Change::Resolvers);
            }
            Event::Down(reason) => return Some(Change::Down(reason)),
            _ => {}
        }
        None
    }

    async fn apply(
        &mut self,
        change: Change,
        tunnel: &mut Tunnel,
    ) -> Result<(), adit_io::netlink::NetlinkError> {
        match change {
            Change::Address(address) => {
                self.up = true;
                self.addresses.push(address);
                tunnel.set_mtu(self.mtu()).await?;
                tunnel.address(address).await?;
                if address.is_ipv4() {
                    self.resolve(tunnel).await;
                }
            }
            Change::NoAddress(address) => {
                self.addresses.retain(|known| *known != address);
                tunnel.no_address(address).await?;
            }
            Change::Mtu => tunnel.set_mtu(self.mtu()).await?,
            Change::Resolvers => self.resolve(tunnel).await,
            Change::Down(_) => {}
        }
        Ok(())
    }

    async fn resolve(&self, tunnel: &mut Tunnel) {
        tunnel
            .resolve_by(&self.dns4, &self.dns6, &self.search)
            .await;
    }

    /// The largest packet that the server and the way to it take; IPv6 needs 1280.
    fn mtu(&self) -> u16 {
        self.mtu.min(self.client.link_mtu()).max(1280)
    }

    fn socket(&self, channel: Channel) -> &UdpSocket {
        match channel {
            Channel::Ike => &self.ike,
            Channel::NatT | Channel::Esp | Channel::L2tp => &self.nat_t,
        }
    }

    fn receive(&mut self, channel: Channel, batch: &mut RecvBatch, tunnel: &Tunnel) {
        let now = Instant::now();
        if let Err(error) = self.socket(channel).recv(batch) {
            tracing::debug!(%error, "receive error");
            return;
        }
        let datagrams = batch.iter_mut().map(|received| {
            let path = Path {
                channel,
                local: received.local,
                remote: received.remote,
            };
            (path, received.bytes)
        });
        self.client.handle_datagrams(datagrams, now, |packets| {
            if let Err(error) = tunnel.queue.send_batch(packets) {
                tracing::debug!(%error, "packets not taken by TUN");
            }
        });
    }

    fn read_tun(&mut self, tunnel: &Tunnel) -> io::Result<()> {
        while let Some(mut packet) = self.free.pop() {
            packet.reset(HEADROOM);
            if !tunnel.queue.recv(&mut packet)? {
                self.free.push(packet);
                break;
            }
            let is_up = |ipv4: bool| self.addresses.iter().any(|ip| ip.is_ipv4() == ipv4);
            let of_ipv4 = packet.as_slice().first().is_some_and(|byte| byte >> 4 == 4);
            if !is_up(of_ipv4) {
                let why = Unreachable::NoRoute;
                if let Some(error) = icmp::unreachable_because(packet.as_slice(), why, OWN4, OWN6) {
                    let _ = tunnel.queue.send(&error);
                }
                self.free.push(packet);
                continue;
            }
            self.free.extend(self.client.keep_tun(packet));
        }
        let sealed = self.client.seal_kept();
        let datagrams: Vec<_> = sealed.iter().map(sealed::datagram).collect();
        if let Err(error) = self.nat_t.send_batch(&datagrams)
            && error.kind() != ErrorKind::WouldBlock
        {
            tracing::debug!(%error, "packets not sent");
        }
        sealed.give_back(|packet| self.free.push(packet));
        Ok(())
    }
}
