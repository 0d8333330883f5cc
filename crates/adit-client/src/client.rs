//! The connection: one layer after the other, each started by the one below it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_ike::{IdValue, IkeSa, Selector};
use adit_l2tp::Tunnel;
use adit_link::mtu::Encapsulation;
use adit_link::{Handled, Host, HostEvent};
use adit_ppp::Link;
use adit_wire::ip::{Family, IpHeader, protocol};
use adit_wire::{Channel, PacketBuf, Path, Transmit, udp};

use crate::config::Config;
use crate::event::{DownReason, Event};
use crate::sas::Sas;

/// Bytes that must be free before an IP packet that is handed to the client.
pub const HEADROOM: usize =
    adit_esp::HEADROOM + udp::HEADER_LEN + adit_l2tp::DATA_HEADER_LEN + adit_ppp::HEADER_LEN;

/// Bytes that must be free after it.
pub const TAILROOM: usize = adit_esp::TAILROOM;

const NON_ESP_MARKER: [u8; 4] = [0; 4];
const L2TP_PORT: u16 = 1701;

/// A Diffie-Hellman computation, to be run away from the packet path.
#[derive(Debug)]
pub struct Job {
    cookie: [u8; 8],
    job: adit_ike::Job,
}

/// A finished [`Job`].
#[derive(Debug)]
pub struct JobDone {
    cookie: [u8; 8],
    done: adit_ike::JobDone,
}

impl Job {
    /// Computes; takes up to some milliseconds.
    pub fn run(self) -> JobDone {
        JobDone {
            cookie: self.cookie,
            done: self.job.run(),
        }
    }
}

/// One connection to a server, dialled when it is made.
///
/// Feed it with [`handle_datagram`](Self::handle_datagram), [`handle_tun`](Self::handle_tun),
/// [`handle_timeout`](Self::handle_timeout) and [`handle_job`](Self::handle_job); after each call
/// take everything from [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event)
/// and [`poll_job`](Self::poll_job) until they give `None`, then wait no longer than
/// [`poll_timeout`](Self::poll_timeout) says.
pub struct Client {
    config: Config,
    rng: Rng,
    /// The IKE SA that exchanges are started under.
    ike: IkeSa,
    /// Others: one that is to take its place, or ones that it replaced.
    other_ikes: Vec<IkeSa>,
    sas: Sas,
    /// The inbound SPI of a Quick Mode that is to replace the newest SA.
    rekeying: Option<u32>,
    encapsulate: bool,
    /// Whether keepalives are due: we are behind a NAT.
    keepalive_at: Option<Instant>,
    tunnel: Option<Tunnel>,
    /// The session's ids, ours and the server's.
    session: Option<(u16, u16)>,
    ppp: Option<Link>,
    host: Option<Host>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    down: bool,
    closing: bool,
}

impl Client {
    /// Dials the server at `path.remote` from `path.local`, both on the IKE port. All randomness
    /// comes from `seed`.
    pub fn new(config: Config, path: Path, seed: [u8; 32], now: Instant) -> Self {
        let mut rng = Rng::from_seed(seed);
        let identity = config
            .identity
            .clone()
            .unwrap_or_else(|| address_id(path.local.ip()));
        let ike = IkeSa::initiate(
            &config.ike,
            config.psk.clone(),
            path,
            config.nat_t_local,
            identity,
            now,
            &mut rng,
        );
        let mut client = Self {
            config,
            rng,
            ike,
            other_ikes: Vec::new(),
            sas: Sas::default(),
            rekeying: None,
            encapsulate: false,
            keepalive_at: None,
            tunnel: None,
            session: None,
            ppp: None,
            host: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            down: false,
            closing: false,
        };
        client.drive(now);
        client
    }

    /// Takes a datagram. If it held an IP packet, gives its range in `datagram`, where it has been
    /// decrypted in place.
    pub fn handle_datagram(
        &mut self,
        path: Path,
        datagram: &mut [u8],
        now: Instant,
    ) -> Option<Range<usize>> {
        if self.down {
            return None;
        }
        let ip = match (path.channel, datagram.strip_prefix(&NON_ESP_MARKER)) {
            (Channel::Ike, _) => {
                self.handle_ike(path, datagram, now);
                None
            }
            (Channel::NatT, Some(message)) => {
                self.handle_ike(path, message, now);
                None
            }
            (Channel::NatT, None) | (Channel::Esp, _) => self.handle_esp(datagram, now),
        };
        self.drive(now);
        ip
    }

    fn handle_ike(&mut self, path: Path, message: &[u8], now: Instant) {
        let Ok(header) = adit_ike::parse_header(message) else {
            return;
        };
        let all = std::iter::once(&mut self.ike).chain(&mut self.other_ikes);
        let mut known = all.filter(|ike| ike.cookies().0 == header.initiator_cookie);
        if let Some(ike) = known.next() {
            // What is refused is counted in the SA's own statistics; nothing else comes of it.
            let _ = ike.handle_message(path, message, now, &mut self.rng);
        }
    }

    fn handle_esp(&mut self, packet: &mut [u8], now: Instant) -> Option<Range<usize>> {
        let message = self.sas.open(packet, self.config.inner_port)?;
        self.ike.note_peer_alive(now);
        match adit_l2tp::decode(packet.get(message.clone())?).ok()? {
            adit_l2tp::Packet::Control(_) => {
                let tunnel = self.tunnel.as_mut()?;
                let bytes = packet.get(message)?;
                let _ = tunnel.handle_datagram(bytes, now, &mut self.rng);
                None
            }
            adit_l2tp::Packet::Data(data) => {
                let (local, _) = self.session?;
                let tunnel = self.tunnel.as_mut()?;
                if data.tunnel != tunnel.local_id() || data.session != local {
                    return None;
                }
                tunnel.note_data(now);
                let frame = message.start + data.payload.start..message.start + data.payload.end;
                self.handle_frame(packet, frame, now)
            }
        }
    }

    fn handle_frame(
        &mut self,
        packet: &[u8],
        frame: Range<usize>,
        now: Instant,
    ) -> Option<Range<usize>> {
        let ppp = self.ppp.as_mut()?;
        ppp.note_data(now);
        let bytes = packet.get(frame.clone())?;
        let (protocol, header_len) = adit_ppp::split(bytes).ok()?;
        let open = match protocol {
            adit_ppp::protocol::IPV4 => ppp.ipv4_open(),
            adit_ppp::protocol::IPV6 => ppp.ipv6_open(),
            _ => {
                let _ = ppp.handle_frame(bytes, now, &mut self.rng);
                return None;
            }
        };
        if !open {
            return None;
        }
        let start = frame.start + header_len;
        let inner = packet.get(start..frame.end)?;
        let header = IpHeader::parse(inner).ok()?;
        if header.family() == Family::V6
            && let Some(host) = &mut self.host
            && let Ok(Handled::Consumed) = host.handle_packet(inner, &header, now, &mut self.rng)
        {
            return None;
        }
        Some(start..start + header.end)
    }

    /// Takes an IP packet with [`HEADROOM`] before and [`TAILROOM`] after it. If the family is up,
    /// it is a sealed datagram afterwards, and the path to send it on is returned.
    pub fn handle_tun(&mut self, packet: &mut PacketBuf) -> Option<Path> {
        let header = IpHeader::parse(packet.as_slice()).ok()?;
        let ppp = self.ppp.as_ref()?;
        let (open, protocol) = match header.family() {
            Family::V4 => (ppp.ipv4_open(), adit_ppp::protocol::IPV4),
            Family::V6 => (ppp.ipv6_open(), adit_ppp::protocol::IPV6),
        };
        if !open {
            return None;
        }
        adit_ppp::prepend_header(packet, protocol, ppp.framing()).ok()?;
        self.send_frame(packet)
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.down {
            return;
        }
        for ike in std::iter::once(&mut self.ike).chain(&mut self.other_ikes) {
            ike.handle_timeout(now, &mut self.rng);
        }
        self.rekey_sas(now);
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.handle_timeout(now, &mut self.rng);
        }
        if let Some(ppp) = &mut self.ppp {
            ppp.handle_timeout(now, &mut self.rng);
        }
        if let Some(host) = &mut self.host {
            host.handle_timeout(now, &mut self.rng);
        }
        if self.keepalive_at.is_some_and(|at| now >= at) {
            self.keepalive_at = Some(now + self.config.ike.keepalive.max(Duration::from_secs(1)));
            self.transmits.push_back(Transmit {
                path: self.ike.path(),
                payload: vec![0xff],
            });
        }
        self.drive(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.down {
            return None;
        }
        let soft = self.sas.soft_expiry().filter(|_| self.rekeying.is_none());
        let others = self.other_ikes.iter().filter_map(IkeSa::poll_timeout).min();
        [
            self.ike.poll_timeout(),
            others,
            soft,
            self.sas.retirement(),
            self.tunnel.as_ref().and_then(Tunnel::poll_timeout),
            self.ppp.as_ref().and_then(Link::poll_timeout),
            self.host.as_ref().and_then(Host::poll_timeout),
            self.keepalive_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next datagram to send: whole UDP payloads.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next step that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next computation to run away from the packet path.
    pub fn poll_job(&mut self) -> Option<Job> {
        let all = std::iter::once(&mut self.ike).chain(&mut self.other_ikes);
        all.into_iter().find_map(|ike| {
            let cookie = ike.cookies().0;
            ike.poll_job().map(|job| Job { cookie, job })
        })
    }

    /// Takes the result of a [`Job`].
    pub fn handle_job(&mut self, done: JobDone, now: Instant) {
        let all = std::iter::once(&mut self.ike).chain(&mut self.other_ikes);
        if let Some(ike) = all.into_iter().find(|ike| ike.cookies().0 == done.cookie) {
            ike.handle_job(done.done, now, &mut self.rng);
        }
        self.drive(now);
    }

    /// The SAs' inbound SPIs, to be told apart from others' in captures.
    pub fn inbound_spis(&self) -> Vec<u32> {
        self.sas.inbound_spis()
    }

    /// Sends any bytes as an L2TP message inside the SA: to try a server with what no real client
    /// would send.
    pub fn inject_l2tp(&mut self, message: &[u8]) {
        self.send(message, false);
    }

    /// Sends any bytes as a PPP frame of the session, likewise.
    pub fn inject_frame(&mut self, frame: &[u8]) {
        self.send(frame, true);
    }

    /// Ends the connection as built-in clients do: PPP Terminate-Request, CDN and StopCCN, then
    /// Deletes. [`Event::Down`] tells when everything has been said.
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
        if let Some(ppp) = &mut self.ppp {
            ppp.close(adit_ppp::CloseReason::Administrative, now, &mut self.rng);
        } else if let Some(tunnel) = &mut self.tunnel {
            tunnel.close(adit_l2tp::Stop::shutting_down(), now);
        } else {
            self.ike.close(now, &mut self.rng);
        }
        self.drive(now);
    }

    fn send_frame(&mut self, packet: &mut PacketBuf) -> Option<Path> {
        let (_, remote_session) = self.session?;
        let remote_tunnel = self.tunnel.as_ref()?.remote_id()?;
        adit_l2tp::prepend_data_header(packet, remote_tunnel, remote_session).ok()?;
        self.seal(packet)
    }

    fn seal(&mut self, packet: &mut PacketBuf) -> Option<Path> {
        let path = self.ike.path();
        self.sas.seal(packet, self.config.inner_port, path)
    }

    fn send(&mut self, message: &[u8], framed: bool) {
        let mut packet = PacketBuf::from_slice(HEADROOM, message, TAILROOM);
        let path = if framed {
            self.send_frame(&mut packet)
        } else {
            self.seal(&mut packet)
        };
        if let Some(path) = path {
            self.transmits.push_back(Transmit {
                path,
                payload: packet.as_slice().to_vec(),
            });
        }
    }

    /// Takes everything that the layers have to say, from the lowest up, until all are silent.
    fn drive(&mut self, now: Instant) {
        while !self.down && self.step(now) {}
    }

    fn step(&mut self, now: Instant) -> bool {
        let mut all = std::iter::once(&mut self.ike).chain(&mut self.other_ikes);
        if let Some(transmit) = all.find_map(IkeSa::poll_transmit) {
            self.transmits.push_back(marked(transmit));
            return true;
        }
        if let Some(message) = self.tunnel.as_mut().and_then(Tunnel::poll_transmit) {
            self.send(&message, false);
            return true;
        }
        if let Some(frame) = self.ppp.as_mut().and_then(Link::poll_transmit) {
            self.send(&frame, true);
            return true;
        }
        if let Some(packet) = self.host.as_mut().and_then(Host::poll_transmit) {
            let mut buf = PacketBuf::from_slice(HEADROOM, &packet, TAILROOM);
            if let Some(path) = self.handle_tun(&mut buf) {
                let payload = buf.as_slice().to_vec();
                self.transmits.push_back(Transmit { path, payload });
            }
            return true;
        }
        if let Some(event) = self.ike.poll_event() {
            self.ike_event(event, now);
            return true;
        }
        let others = self.other_ikes.iter_mut().enumerate();
        if let Some((index, event)) = others
            .filter_map(|(index, ike)| Some((index, ike.poll_event()?)))
            .next()
        {
            self.other_ike_event(index, event, now);
            return true;
        }
        if let Some(event) = self.tunnel.as_mut().and_then(Tunnel::poll_event) {
            self.tunnel_event(event, now);
            return true;
        }
        if let Some(event) = self.ppp.as_mut().and_then(Link::poll_event) {
            self.ppp_event(event, now);
            return true;
        }
        if let Some(event) = self.host.as_mut().and_then(Host::poll_event) {
            self.events.push_back(match event {
                HostEvent::Address { address, prefix } => Event::Ipv6Address { address, prefix },
                HostEvent::AddressExpired { address } => Event::Ipv6AddressExpired { address },
                HostEvent::DefaultRouter { address, .. } => Event::Ipv6Router { address },
                HostEvent::Mtu(mtu) => Event::Mtu(mtu),
                HostEvent::Dns(dns) => Event::Ipv6Dns(dns),
            });
            return true;
        }
        if self.tunnel.as_ref().is_some_and(Tunnel::is_closed) {
            self.tunnel = None;
            self.hang_up(now);
            return true;
        }
        false
    }

    fn ike_event(&mut self, event: adit_ike::Event, now: Instant) {
        use adit_ike::Event as Ike;
        match event {
            Ike::Established(phase1) => {
                self.encapsulate = phase1.encapsulate;
                if phase1.nat.local_behind {
                    self.keepalive_at = Some(now + self.config.ike.keepalive);
                }
                self.events.push_back(Event::Phase1(phase1));
                self.start_quick_mode(now);
            }
            Ike::ChildRequested { id, .. } => {
                let spi = self.new_spi();
                self.ike.accept_child(id, spi, now, &mut self.rng);
            }
            Ike::ChildEstablished(child) => {
                if self.sas.add(&child, now, &mut self.rng).is_err() {
                    return;
                }
                if self.rekeying == Some(child.inbound_spi) {
                    self.rekeying = None;
                    self.sas.retire_older(now);
                }
                self.events.push_back(Event::Sa {
                    suite: child.suite,
                    encapsulated: child.encapsulated,
                });
                if self.tunnel.is_none() && !self.closing {
                    let id = self.nonzero_u16();
                    self.tunnel = Some(Tunnel::initiate(&self.config.l2tp, id, now, &mut self.rng));
                }
            }
            Ike::ChildFailed { reason, .. } if self.sas.is_empty() => {
                self.go_down(DownReason::QuickMode(reason));
            }
            Ike::ChildFailed { .. } => self.rekeying = None,
            Ike::RekeyDue => self.rekey_ike(now),
            Ike::ChildDeleted { outbound_spi } => {
                self.sas.remove(outbound_spi);
                if self.sas.is_empty() {
                    self.go_down(DownReason::SaDeleted);
                }
            }
            Ike::Closed(reason) => self.go_down(if self.closing {
                DownReason::Closed
            } else {
                DownReason::Ike(reason)
            }),
            _ => {}
        }
    }

    /// Replaces the newest SA when it is time, and deletes what has been replaced long enough.
    fn rekey_sas(&mut self, now: Instant) {
        for spi in self.sas.take_retired(now) {
            self.ike.delete_child(spi, now, &mut self.rng);
        }
        let due = self.sas.soft_expiry().is_some_and(|at| now >= at);
        if due && self.rekeying.is_none() && self.ike.is_established() {
            self.rekeying = Some(self.start_quick_mode(now));
        }
    }

    /// Starts a phase 1 that is to take the place of the present one, on the same path.
    fn rekey_ike(&mut self, now: Instant) {
        let path = self.ike.path();
        let identity = self.config.identity.clone();
        let ike = IkeSa::initiate(
            &self.config.ike,
            self.config.psk.clone(),
            path,
            self.config.nat_t_local,
            identity.unwrap_or_else(|| address_id(path.local.ip())),
            now,
            &mut self.rng,
        );
        self.other_ikes.push(ike.without_initial_contact());
    }

    fn other_ike_event(&mut self, index: usize, event: adit_ike::Event, now: Instant) {
        use adit_ike::Event as Ike;
        match event {
            Ike::Established(phase1) => {
                if let Some(ike) = self.other_ikes.get_mut(index) {
                    std::mem::swap(ike, &mut self.ike);
                    ike.supersede(now, &mut self.rng);
                }
                self.events.push_back(Event::Phase1(phase1));
            }
            Ike::Closed(reason) => {
                // What it still had to say was said before this event.
                self.other_ikes.remove(index);
                if reason != adit_ike::CloseReason::Superseded && self.other_ikes.is_empty() {
                    self.rekey_ike(now);
                }
            }
            event => self.ike_event(event, now),
        }
    }

    fn start_quick_mode(&mut self, now: Instant) -> u32 {
        let spi = self.new_spi();
        let path = self.ike.path();
        let selector = |address: SocketAddr, port| Selector {
            id: address_id(address.ip()),
            protocol: protocol::UDP,
            port,
        };
        self.ike.start_quick_mode(
            selector(
                path.local,
                self.config.selector_port.unwrap_or(self.config.inner_port),
            ),
            selector(path.remote, L2TP_PORT),
            spi,
            self.encapsulate,
            now,
            &mut self.rng,
        );
        spi
    }

    /// An SPI outside the reserved range (RFC 4303 2.1) that no SA of ours has.
    fn new_spi(&mut self) -> u32 {
        loop {
            let spi = self.rng.u32();
            if spi > 0x00ff_ffff && !self.sas.inbound_spis().contains(&spi) {
                return spi;
            }
        }
    }

    fn nonzero_u16(&mut self) -> u16 {
        self.rng.u16().max(1)
    }

    fn tunnel_event(&mut self, event: adit_l2tp::Event, now: Instant) {
        use adit_l2tp::Event as L2tp;
        match event {
            L2tp::TunnelUp { host_name, .. } => {
                self.events.push_back(Event::Tunnel { host_name });
                if let Some(tunnel) = &mut self.tunnel {
                    tunnel.open_session(now, &mut self.rng);
                }
            }
            L2tp::SessionUp { local, remote } => {
                self.session = Some((local, remote));
                let mut config = self.config.ppp.clone();
                config.mru = config.mru.min(self.link_mtu());
                self.ppp = Some(Link::client(config, now, &mut self.rng));
            }
            L2tp::SessionDown { cause, .. } => {
                self.session = None;
                if self.closing {
                    return;
                }
                self.go_down(DownReason::Tunnel(cause.to_string()));
            }
            L2tp::TunnelDown { cause } => {
                if !self.closing {
                    self.go_down(DownReason::Tunnel(cause.to_string()));
                }
            }
        }
    }

    /// The largest inner packet that the path carries in one outer packet, for any suite that may
    /// have been chosen.
    fn link_mtu(&self) -> u16 {
        let outer = self.config.outer_family();
        let suites = self.config.ike.esp.iter();
        let mtus = suites.map(|suite| {
            let encapsulation = Encapsulation {
                outer,
                udp: self.encapsulate,
                suite: *suite,
                ppp_header: adit_ppp::HEADER_LEN,
                l2tp_header: adit_l2tp::DATA_HEADER_LEN,
            };
            encapsulation.link_mtu(self.config.path_mtu)
        });
        mtus.min().unwrap_or(1280)
    }

    fn ppp_event(&mut self, event: adit_ppp::Event, now: Instant) {
        use adit_ppp::Event as Ppp;
        match event {
            Ppp::Authenticated { .. } => self.events.push_back(Event::Authenticated),
            Ppp::Ipv4Up { local, peer, dns } => self.events.push_back(Event::Ipv4 {
                address: local,
                server: peer,
                dns,
            }),
            Ppp::Ipv4Down | Ppp::Ipv4Refused => self.events.push_back(Event::NoIpv4),
            Ppp::Ipv6Up {
                local_interface_id,
                peer_interface_id,
            } => {
                self.host = Some(Host::new(
                    local_interface_id,
                    peer_interface_id,
                    now,
                    &mut self.rng,
                ));
                self.events.push_back(Event::Ipv6Link {
                    interface_id: local_interface_id,
                });
            }
            Ppp::Ipv6Down | Ppp::Ipv6Refused => {
                self.host = None;
                self.events.push_back(Event::NoIpv6);
            }
            Ppp::Down { reason } => {
                self.ppp = None;
                self.host = None;
                if self.closing {
                    if let Some(tunnel) = &mut self.tunnel {
                        tunnel.close(adit_l2tp::Stop::shutting_down(), now);
                    }
                } else {
                    self.go_down(DownReason::Ppp(reason.to_string()));
                }
            }
            Ppp::LcpUp { .. } | Ppp::AuthFailed { .. } | Ppp::Authenticate(_) => {}
        }
    }

    /// L2TP has ended: Deletes for the SAs, ESP first.
    fn hang_up(&mut self, now: Instant) {
        for spi in self.sas.inbound_spis() {
            self.ike.delete_child(spi, now, &mut self.rng);
        }
        self.ike.close(now, &mut self.rng);
    }

    fn go_down(&mut self, reason: DownReason) {
        // Deletes may still wait to be sent.
        while let Some(transmit) = self.ike.poll_transmit() {
            self.transmits.push_back(marked(transmit));
        }
        self.down = true;
        self.events.push_back(Event::Down(reason));
    }
}

/// A datagram with an IKE message, framed as its channel wants it.
fn marked(Transmit { path, mut payload }: Transmit) -> Transmit {
    if path.channel == Channel::NatT {
        payload.splice(0..0, NON_ESP_MARKER);
    }
    Transmit { path, payload }
}

fn address_id(address: IpAddr) -> IdValue {
    match address {
        IpAddr::V4(address) => IdValue::Ipv4(address),
        IpAddr::V6(address) => IdValue::Ipv6(address),
    }
}
