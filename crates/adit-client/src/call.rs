//! What rides on IPsec, or on UDP itself: an L2TP tunnel as LAC with one session, PPP as the side
//! that authenticates itself, and a host on the IPv6 link. It knows nothing of what carries it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use adit_crypto::Rng;
use adit_l2tp::{Order, Role, Sequencing, Stop, Tunnel};
use adit_link::dhcp4::{self, Wording};
use adit_link::{Handled, Host, HostEvent, HostWants};
use adit_ppp::{AuthOption, Link, NcpState, Secret};
use adit_wire::PacketBuf;
use adit_wire::ip::{Family, IpHeader};

use crate::client::{HEADROOM, TAILROOM};
use crate::config::{Config, Ending};
use crate::event::{DownReason, Event, Lcp};

/// What a call tells the client that carries it.
pub(crate) enum Told {
    /// A step for the owner.
    Event(Event),
    /// It failed, and nothing is left to be said.
    Failed(DownReason),
    /// It has ended cleanly, for this reason.
    Ended(DownReason),
}

/// One call, from the first L2TP message to the last.
pub(crate) struct Call {
    l2tp: Arc<adit_l2tp::Config>,
    ppp_config: adit_ppp::ClientConfig,
    tunnel: Option<Tunnel>,
    /// The session's ids, ours and the server's.
    session: Option<(u16, u16)>,
    /// Numbers of its data messages.
    sequencing: Option<Sequencing>,
    ppp: Option<Link>,
    host: Option<Host>,
    wants: HostWants,
    /// How routes are asked for, if they are.
    inform: Option<Wording>,
    dhcp4: Option<dhcp4::Client>,
    /// Messages that are whole.
    ready: VecDeque<PacketBuf>,
    told: VecDeque<Told>,
    goodbye: Ending,
    /// Why it is being ended, once it is.
    ending: Option<DownReason>,
}

impl Call {
    /// A call that has not begun.
    pub(crate) fn new(config: &Config) -> Self {
        let mut ppp_config = config.ppp.clone();
        ppp_config.acscp = config.split_tunnel && config.split.acscp;
        Self {
            l2tp: config.l2tp.clone(),
            ppp_config,
            tunnel: None,
            session: None,
            sequencing: None,
            ppp: None,
            host: None,
            wants: config.host,
            inform: config.split.inform.filter(|_| config.split_tunnel),
            dhcp4: None,
            ready: VecDeque::new(),
            told: VecDeque::new(),
            goodbye: config.ending,
            ending: None,
        }
    }

    /// Sends the first message. `link_mtu` is the largest inner packet that fits one outer packet.
    pub(crate) fn start(&mut self, link_mtu: u16, now: Instant, rng: &mut Rng) {
        self.ppp_config.mru = self.ppp_config.mru.min(link_mtu);
        let id = rng.u16().max(1);
        self.tunnel = Some(Tunnel::initiate(&self.l2tp, Role::Lac, id, now, rng));
    }

    pub(crate) fn is_started(&self) -> bool {
        self.tunnel.is_some()
    }

    /// Takes the L2TP message at `message` in `packet`. If it holds an IP packet, gives its range.
    pub(crate) fn handle_message(
        &mut self,
        packet: &[u8],
        message: Range<usize>,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Range<usize>> {
        let tunnel = self.tunnel.as_mut()?;
        let bytes = packet.get(message.clone())?;
        match adit_l2tp::decode(bytes).ok()? {
            adit_l2tp::Packet::Control(_) => {
                let _ = tunnel.handle_datagram(bytes, now, rng);
                None
            }
            adit_l2tp::Packet::Data(data) => {
                let (local, _) = self.session?;
                if data.tunnel != tunnel.local_id() || data.session != local {
                    return None;
                }
                tunnel.note_data(now);
                if self.sequencing.as_mut()?.receive(data.ns) == Order::Late {
                    return None;
                }
                let frame = message.start + data.payload.start..message.start + data.payload.end;
                self.handle_frame(packet, frame, now, rng)
            }
        }
    }

    fn handle_frame(
        &mut self,
        packet: &[u8],
        frame: Range<usize>,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Range<usize>> {
        let ppp = self.ppp.as_mut()?;
        ppp.note_data(now);
        let bytes = packet.get(frame.clone())?;
        let (protocol, header_len) = adit_ppp::split(bytes).ok()?;
        let open = match protocol {
            adit_ppp::protocol::IPV4 => ppp.ipv4_open(),
            adit_ppp::protocol::IPV6 => ppp.ipv6_open(),
            _ => {
                let _ = ppp.handle_frame(bytes, now, rng);
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
            && let Ok(Handled::Consumed) = host.handle_packet(inner, &header, now, rng)
        {
            let advertised = host.take_advertised().map(Event::RouterAdvertisement);
            let dhcp = host.take_dhcp_dns().map(Event::Dhcp6);
            let events = advertised.into_iter().chain(dhcp);
            self.told.extend(events.map(Told::Event));
            return None;
        }
        if let Some(dhcp4) = &mut self.dhcp4 {
            match dhcp4.handle_packet(inner, &header) {
                Ok(None) => {}
                answer => {
                    let told = answer.ok().flatten().map(Event::Dhcp4);
                    self.told.extend(told.map(Told::Event));
                    return None;
                }
            }
        }
        Some(start..start + header.end)
    }

    /// Makes an IP packet an L2TP message, in place, if its family is up.
    pub(crate) fn wrap_ip(&mut self, packet: &mut PacketBuf) -> Option<()> {
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
        self.wrap_frame(packet)
    }

    /// Makes a PPP frame an L2TP message, in place, if there is a session.
    pub(crate) fn wrap_frame(&mut self, packet: &mut PacketBuf) -> Option<()> {
        let (tunnel, session) = self.l2tp_ids()?;
        let ns = self.sequencing.as_mut().and_then(Sequencing::next_ns);
        match ns {
            Some(ns) => adit_l2tp::prepend_sequenced_data_header(packet, tunnel, session, ns),
            None if self.l2tp.manner.data_length => {
                adit_l2tp::prepend_data_header(packet, tunnel, session)
            }
            None => adit_l2tp::prepend_short_data_header(packet, tunnel, session),
        }
        .ok()
    }

    /// The server's numbers of the tunnel and the session, once there are both.
    pub(crate) fn l2tp_ids(&self) -> Option<(u16, u16)> {
        let (_, remote_session) = self.session?;
        Some((self.tunnel.as_ref()?.remote_id()?, remote_session))
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) {
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.handle_timeout(now, rng);
        }
        if let Some(ppp) = &mut self.ppp {
            ppp.handle_timeout(now, rng);
        }
        if let Some(host) = &mut self.host {
            host.handle_timeout(now, rng);
        }
        self.ask_for_routes(now);
    }

    fn ask_for_routes(&mut self, now: Instant) {
        let asked = self.dhcp4.as_mut();
        if let Some(packet) = asked.and_then(|client| client.handle_timeout(now)) {
            self.prepare(&packet);
        }
    }

    /// Makes an IP packet of our own a message, if its family is up.
    fn prepare(&mut self, packet: &[u8]) {
        let mut packet = PacketBuf::from_slice(HEADROOM, packet, TAILROOM);
        if self.wrap_ip(&mut packet).is_some() {
            self.ready.push_back(packet);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let tunnel = self.tunnel.as_ref().and_then(Tunnel::poll_timeout);
        let ppp = self.ppp.as_ref().and_then(Link::poll_timeout);
        let host = self.host.as_ref().and_then(Host::poll_timeout);
        let dhcp4 = self.dhcp4.as_ref();
        let dhcp4 = dhcp4.and_then(dhcp4::Client::poll_timeout);
        [tunnel, ppp, host, dhcp4].into_iter().flatten().min()
    }

    /// The next L2TP message, with room for what goes around it.
    pub(crate) fn poll_message(&mut self) -> Option<PacketBuf> {
        if let Some(message) = self.ready.pop_front() {
            return Some(message);
        }
        let buffer = |bytes: &[u8]| PacketBuf::from_slice(HEADROOM, bytes, TAILROOM);
        if let Some(message) = self.tunnel.as_mut().and_then(Tunnel::poll_transmit) {
            return Some(buffer(&message));
        }
        while let Some(frame) = self.ppp.as_mut().and_then(Link::poll_transmit) {
            let mut packet = buffer(&frame);
            if self.wrap_frame(&mut packet).is_some() {
                return Some(packet);
            }
        }
        while let Some(ip) = self.host.as_mut().and_then(Host::poll_transmit) {
            let mut packet = buffer(&ip);
            if self.wrap_ip(&mut packet).is_some() {
                return Some(packet);
            }
        }
        None
    }

    /// Takes one event of a layer; `false` if there is none. Messages go first: take them before.
    pub(crate) fn step(&mut self, now: Instant, rng: &mut Rng) -> bool {
        if let Some(event) = self.tunnel.as_mut().and_then(Tunnel::poll_event) {
            self.tunnel_event(event, now, rng);
        } else if let Some(event) = self.ppp.as_mut().and_then(Link::poll_event) {
            self.ppp_event(event, now, rng);
        } else if let Some(event) = self.host.as_mut().and_then(Host::poll_event) {
            self.tell(match event {
                HostEvent::Address { address, prefix } => Event::Ipv6Address { address, prefix },
                HostEvent::AddressExpired { address } => Event::Ipv6AddressExpired { address },
                HostEvent::DefaultRouter {
                    address, lifetime, ..
                } if !lifetime.is_zero() => Event::Ipv6Router { address },
                HostEvent::DefaultRouter { address, .. } => Event::Ipv6RouterGone { address },
                HostEvent::Search(domains) => Event::Ipv6Search(domains),
                HostEvent::Route { prefix, .. } => Event::Ipv6Route { prefix },
                HostEvent::RouteGone { prefix } => Event::Ipv6RouteGone { prefix },
                HostEvent::Mtu(mtu) => Event::Mtu(mtu),
                HostEvent::Dns(dns) => Event::Ipv6Dns(dns),
                HostEvent::Delegated { prefix, server } => Event::Delegated { prefix, server },
                HostEvent::DelegationGone { prefix } => Event::DelegationGone { prefix },
            });
        } else if self.tunnel.as_ref().is_some_and(Tunnel::is_closed) {
            self.tunnel = None;
            let reason = self.ending.take().unwrap_or(DownReason::Closed);
            self.told.push_back(Told::Ended(reason));
        } else {
            return !self.told.is_empty();
        }
        true
    }

    /// The next thing to tell.
    pub(crate) fn poll_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// Terminate-Request, if it is said at all, then CDN and StopCCN. `false` if there is nothing to end.
    pub(crate) fn close(&mut self, now: Instant, rng: &mut Rng) -> bool {
        self.ending.get_or_insert(DownReason::Closed);
        if let Some(host) = self.host.as_mut().filter(|_| self.goodbye.ppp) {
            host.release(rng);
            while let Some(packet) = self.host.as_mut().and_then(Host::poll_transmit) {
                self.prepare(&packet);
            }
        }
        if let Some(ppp) = self.ppp.as_mut().filter(|_| self.goodbye.ppp) {
            ppp.close(adit_ppp::CloseReason::Administrative, now, rng);
        } else {
            self.close_tunnel(now);
        }
        self.tunnel.is_some()
    }

    /// Tries another password, which the server has asked for.
    pub(crate) fn handle_password(&mut self, password: Secret, now: Instant, rng: &mut Rng) {
        if let Some(ppp) = &mut self.ppp {
            ppp.handle_password(password, now, rng);
        }
    }

    /// Why it is being ended, if it failed.
    pub(crate) fn failure(&self) -> Option<DownReason> {
        let failed = |reason: &DownReason| *reason != DownReason::Closed;
        self.ending.clone().filter(failed)
    }

    fn close_tunnel(&mut self, now: Instant) {
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.close(Stop::new(self.goodbye.stop), now);
        }
    }

    /// It failed, but the server is there and deserves to hear of the end.
    fn give_up(&mut self, reason: DownReason, now: Instant) {
        self.ending.get_or_insert(reason);
        self.close_tunnel(now);
    }

    fn tell(&mut self, event: Event) {
        self.told.push_back(Told::Event(event));
    }

    fn tunnel_event(&mut self, event: adit_l2tp::Event, now: Instant, rng: &mut Rng) {
        use adit_l2tp::Event as L2tp;
        match event {
            L2tp::TunnelUp {
                host_name,
                vendor,
                firmware,
            } => {
                let tunnel = self.tunnel.as_ref();
                self.tell(Event::Tunnel {
                    host_name,
                    vendor,
                    firmware,
                    window: tunnel.map_or(0, Tunnel::peer_window),
                });
                if let Some(tunnel) = &mut self.tunnel {
                    tunnel.open_session(now, rng);
                }
            }
            L2tp::SessionUp { local, remote } => {
                self.session = Some((local, remote));
                self.sequencing = self.tunnel.as_ref().map(|tunnel| tunnel.sequencing(local));
                self.ppp = Some(Link::client(self.ppp_config.clone(), now, rng));
                self.tell(Event::Session { local, remote });
            }
            // About a line, which a connection over IP does not have.
            L2tp::LinkInfo { .. } | L2tp::WanErrors { .. } => {}
            L2tp::SessionDown { cause, .. } => {
                self.session = None;
                if self.ending.is_none() {
                    self.give_up(DownReason::Tunnel(cause.to_string()), now);
                }
            }
            L2tp::TunnelDown { cause } => {
                if self.ending.is_none() {
                    let reason = DownReason::Tunnel(cause.to_string());
                    self.told.push_back(Told::Failed(reason));
                }
            }
        }
    }

    fn ppp_event(&mut self, event: adit_ppp::Event, now: Instant, rng: &mut Rng) {
        use adit_ppp::Event as Ppp;
        match event {
            Ppp::LcpUp { peer_mru } => {
                let lcp = self.ppp.as_ref().map(|ppp| Lcp {
                    mru: peer_mru,
                    framing: ppp.framing(),
                    auth: ppp.auth_protocol(),
                    asked: ppp.auth_asked().to_vec(),
                });
                self.told
                    .extend(lcp.map(|lcp| Told::Event(Event::Lcp(lcp))));
            }
            Ppp::Authenticated { .. } => self.tell(Event::Authenticated),
            Ppp::AuthFailed { reason, .. } => self.tell(Event::AuthFailed(reason)),
            Ppp::Ipv4Up {
                local, peer, dns, ..
            } => {
                self.tell(Event::Ipv4 {
                    address: local,
                    server: peer,
                    dns,
                });
                let inform = self.inform;
                self.dhcp4 = inform.map(|inform| dhcp4::Client::new(inform, local, now, rng));
                self.ask_for_routes(now);
            }
            Ppp::Ipv4Down | Ppp::Ipv4Refused => {
                self.dhcp4 = None;
                let why = self.ppp.as_ref().map(Link::ipcp_state);
                self.tell(Event::NoIpv4(why.unwrap_or(NcpState::Waiting)));
            }
            Ppp::Ipv6Up {
                local_interface_id,
                peer_interface_id,
            } => {
                let ids = (local_interface_id, peer_interface_id);
                self.host = Some(Host::wanting(self.wants, ids, now, rng));
                self.tell(Event::Ipv6Link {
                    interface_id: local_interface_id,
                    server_interface_id: peer_interface_id,
                });
            }
            Ppp::Ipv6Down | Ppp::Ipv6Refused => {
                self.host = None;
                let why = self.ppp.as_ref().map(Link::ipv6cp_state);
                self.tell(Event::NoIpv6(why.unwrap_or(NcpState::Waiting)));
            }
            Ppp::Down { reason } => {
                let ppp = self.ppp.take();
                self.host = None;
                self.dhcp4 = None;
                let text = DownReason::Ppp(ppp_end(&reason, ppp.as_ref()));
                use adit_ppp::DownReason as Why;
                match reason {
                    _ if self.ending.is_some() => self.close_tunnel(now),
                    Why::AuthFailed(_) | Why::NegotiationFailed(_) | Why::NoNetwork => {
                        self.give_up(text, now);
                    }
                    _ => self.told.push_back(Told::Failed(text)),
                }
            }
            Ppp::Acscp(known) => {
                // Apple's clients do not ask twice.
                self.inform = None;
                self.dhcp4 = None;
                self.tell(Event::Acscp(known));
            }
            Ppp::PasswordRejected { code, message } => {
                self.tell(Event::PasswordRejected { code, message });
            }
            Ppp::Authenticate(_) => {}
        }
    }
}

/// Why PPP ended, with what the server asked for if that may be why.
fn ppp_end(reason: &adit_ppp::DownReason, ppp: Option<&Link>) -> String {
    let asked = ppp.filter(|ppp| !ppp.is_authenticated() && ppp.auth_protocol().is_none());
    let asked: Vec<_> = asked
        .map_or(&[][..], Link::auth_asked)
        .iter()
        .map(AuthOption::to_string)
        .collect();
    match asked.as_slice() {
        [] => reason.to_string(),
        asked => format!("{reason}; the server asked for {}", asked.join(", ")),
    }
}
