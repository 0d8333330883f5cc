//! From the wire to an IP packet: SPI, SA, inner UDP, L2TP, PPP; each step narrows a range.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Instant;

use adit_crypto::EspSuite;
use adit_esp::{OpenError, Received};
use adit_l2tp::Order;
use adit_link::policy::Direction;
use adit_link::{dhcp4, guard};
use adit_ppp::Echoed;
use adit_wire::ip::{Family, IpHeader, protocol as ip_protocol};
use adit_wire::udp::{self, UdpHeader};
use adit_wire::{Channel, Path, Transmit};

use super::policy::Verdict;
use super::shard::Shard;
use super::{GroupKey, L2TP_PORT, SessionKey};

/// What an ESP packet held.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// An IP packet of a session, checked and ready for TUN.
    Ip(Range<usize>),
    /// A packet for the link itself: ND, DHCPv6, DHCPINFORM.
    Link(SessionKey, Range<usize>),
    /// A packet of a session that its sender is to hear is refused.
    Refused(SessionKey, Range<usize>),
    /// A packet from an address that its session may claim.
    Unclaimed(SessionKey, Ipv6Addr),
    /// A PPP control frame.
    Ppp(SessionKey, Range<usize>),
    /// Nothing for anybody here, and this for the peer.
    Answer(Transmit),
    /// An L2TP control message, from this port, inside the SA if there is one.
    L2tp {
        group: GroupKey,
        remote_port: u16,
        message: Range<usize>,
    },
    /// An L2TP message that the group or session is not ready for, unless what the control side has
    /// yet to read makes it so. It has been changed in nothing.
    Early {
        group: GroupKey,
        remote_port: u16,
        message: Range<usize>,
    },
    /// This shard may have the SA; here is none. The packet has been changed in nothing.
    Elsewhere(u16),
    /// Nothing; it has been counted.
    Dropped,
}

/// What the control side learns from an authentic packet besides its content.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    /// The peer's endpoint moved to the packet's path.
    pub(crate) moved: Option<GroupKey>,
    /// The first packet on this inbound SPI: the peer uses the SA.
    pub(crate) first_on: Option<u32>,
    /// The group is sent to with this suite now, because the peer was seen to use it.
    pub(crate) suite: Option<(GroupKey, EspSuite)>,
}

impl Learnt {
    /// Whether there is anything.
    pub(super) fn is_any(&self) -> bool {
        self.moved.is_some() || self.first_on.is_some() || self.suite.is_some()
    }
}

impl Shard {
    /// Takes one ESP packet (from its SPI on) and decrypts it in place.
    pub(super) fn inbound(
        &mut self,
        path: Path,
        packet: &mut Received<'_>,
        now: Instant,
    ) -> (Inbound, Learnt) {
        let mut learnt = Learnt::default();
        let inbound = match self.open(path, packet, &mut learnt) {
            Ok((group, payload)) => self
                .inner(group, packet.packet_mut(), payload, now)
                .unwrap_or(Inbound::Dropped),
            Err(inbound) => inbound,
        };
        (inbound, learnt)
    }

    /// The same of a packet whose SA is nowhere else.
    pub(super) fn inbound_here(
        &mut self,
        path: Path,
        packet: &mut Received<'_>,
        now: Instant,
    ) -> (Inbound, Learnt) {
        let (mut inbound, learnt) = self.inbound(path, packet, now);
        if matches!(inbound, Inbound::Elsewhere(_)) {
            self.stats.esp_unknown_spi += 1;
            inbound = Inbound::Dropped;
        }
        (inbound, learnt)
    }

    /// Takes one L2TP message of a group for good: what cannot be served now is dropped.
    pub(super) fn message_again(
        &mut self,
        group: GroupKey,
        remote_port: u16,
        packet: &mut [u8],
        message: Range<usize>,
        now: Instant,
    ) -> Inbound {
        self.message(group, remote_port, packet, message, now, false)
            .unwrap_or(Inbound::Dropped)
    }

    /// Notes the keys of an ESP packet's SA, for its MAC to be computed with those of others.
    pub(super) fn expect(&self, packet: &mut Received<'_>) {
        let spi = adit_esp::spi_of(packet.packet());
        if let Some(entry) = spi.and_then(|spi| self.inbound.get(&spi)) {
            packet.expect(&entry.sa);
        }
    }

    /// ESP: gives the range of the inner UDP datagram.
    fn open(
        &mut self,
        path: Path,
        packet: &mut Received<'_>,
        learnt: &mut Learnt,
    ) -> Result<(GroupKey, Range<usize>), Inbound> {
        let Some(spi) = adit_esp::spi_of(packet.packet()) else {
            self.stats.runts += 1;
            return Err(Inbound::Dropped);
        };
        let Some(entry) = self.inbound.get_mut(&spi) else {
            if let Some(shard) = self.elsewhere(spi) {
                return Err(Inbound::Elsewhere(shard));
            }
            self.stats.esp_unknown_spi += 1;
            return Err(Inbound::Dropped);
        };
        let believed = entry.sa.suite();
        let opened = packet.open(&mut entry.sa);
        let (group, suite) = (entry.group, entry.sa.suite());
        // The first packet tells which ICV the peer makes, and so which it takes.
        if suite != believed || (opened.is_ok() && !entry.used) {
            self.stats.esp_icv_cut += u64::from(believed.cut_at_96() == Some(suite));
            let twin = entry.outbound_spi;
            if let Some(state) = self.groups.get_mut(group.0)
                && state.follow_suite(twin, suite)
            {
                learnt.suite = Some((group, suite));
            }
        }
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                *self.stats.counter_of(&error) += 1;
                return Err(Inbound::Dropped);
            }
        };
        if !entry.used {
            entry.used = true;
            learnt.first_on = Some(spi);
        }
        let outbound_spi = entry.outbound_spi;
        let own_kind = entry.native == (path.channel == Channel::Esp);
        let Some(state) = self.groups.get_mut(group.0) else {
            return Err(Inbound::Dropped);
        };
        state.heard = true;
        if learnt.first_on.is_some() {
            state.confirm(outbound_spi);
        }
        // Only the newest packet moves the endpoint: a late one may come from where the peer was.
        // One that came in the other kind of packet than its SA is for is read, no more.
        if opened.newest && own_kind && state.follow(path) {
            self.stats.endpoint_moved += 1;
            learnt.moved = Some(group);
        }
        if opened.next_header != ip_protocol::UDP {
            self.stats.esp_foreign += 1;
            return Err(Inbound::Dropped);
        }
        Ok((group, opened.payload))
    }

    /// Inner UDP. The UDP checksum is not looked at: the ICV covers the datagram, and a
    /// NAT on the way makes it wrong (RFC 3948 3.1.2).
    fn inner(
        &mut self,
        group: GroupKey,
        packet: &mut [u8],
        datagram: Range<usize>,
        now: Instant,
    ) -> Option<Inbound> {
        let Some((header, message)) = packet
            .get(datagram.clone())
            .and_then(|bytes| UdpHeader::parse(bytes).ok())
            .filter(|header| header.destination == L2TP_PORT)
            .map(|header| {
                let start = datagram.start + udp::HEADER_LEN;
                (header, start..datagram.start + header.length)
            })
        else {
            self.stats.esp_foreign += 1;
            return None;
        };
        self.message(group, header.source, packet, message, now, true)
    }

    /// L2TP and PPP: IP packets go on, everything else is the link's. A session is found by its
    /// numbers, and only in the group that it belongs to. With `early`, a message that comes too
    /// early is given back, and else it is dropped.
    fn message(
        &mut self,
        group: GroupKey,
        remote_port: u16,
        packet: &mut [u8],
        message: Range<usize>,
        now: Instant,
        early: bool,
    ) -> Option<Inbound> {
        let again = Inbound::Early {
            group,
            remote_port,
            message: message.clone(),
        };
        let data = match adit_l2tp::decode(packet.get(message.clone())?) {
            Err(_) => {
                self.stats.l2tp_malformed += 1;
                return None;
            }
            Ok(adit_l2tp::Packet::Control(_)) => {
                return Some(Inbound::L2tp {
                    group,
                    remote_port,
                    message,
                });
            }
            Ok(adit_l2tp::Packet::Data(data)) => data,
        };
        let key = self.session_of(group, (data.tunnel, data.session));
        let owned = key.and_then(|key| Some((key, self.sessions.get_mut(key.0)?)));
        let Some((key, record)) = owned else {
            if early {
                return Some(again);
            }
            self.stats.l2tp_unknown += 1;
            return None;
        };
        let frame = message.start + data.payload.start..message.start + data.payload.end;
        let ns = data.ns;
        let split = adit_ppp::split(packet.get(frame.clone())?);
        let open = match split {
            Ok((adit_ppp::protocol::IPV4, _)) => record.ipv4_open,
            Ok((adit_ppp::protocol::IPV6, _)) => record.ipv6_open,
            _ => true,
        };
        if early && !open {
            return Some(again);
        }
        if record.sequencing.receive(ns) == Order::Late {
            self.stats.l2tp_late += 1;
            return None;
        }
        record.heard = now;
        match split {
            Err(_) => {
                self.stats.ppp_malformed += 1;
                None
            }
            Ok(_) if !open => {
                self.stats.ip_not_open += 1;
                None
            }
            Ok((protocol @ (adit_ppp::protocol::IPV4 | adit_ppp::protocol::IPV6), header_len)) => {
                let packet_range = frame.start + header_len..frame.end;
                self.ip(key, packet, packet_range, protocol, now)
            }
            Ok((adit_ppp::protocol::LCP, header_len)) => {
                let echoes = record.echoes;
                let information = packet.get(frame.start + header_len..frame.end);
                let echoed = echoes.zip(information);
                match echoed.and_then(|(echoes, information)| echoes.handle(information)) {
                    None => Some(Inbound::Ppp(key, frame)),
                    Some(echoed) => self.take_echo(key, &echoed, now),
                }
            }
            Ok(_) => Some(Inbound::Ppp(key, frame)),
        }
    }

    /// LCP echoes of an open link: most of what idle sessions have to say.
    fn take_echo(&mut self, key: SessionKey, echoed: &Echoed, now: Instant) -> Option<Inbound> {
        self.stats.lcp_echoes += 1;
        match echoed {
            Echoed::Reply => None,
            Echoed::Request(answer) => self.send_control(key, answer, now).map(Inbound::Answer),
        }
    }

    /// IP: source address, MSS, and whether the packet is for the link itself.
    fn ip(
        &mut self,
        key: SessionKey,
        packet: &mut [u8],
        range: Range<usize>,
        protocol: u16,
        now: Instant,
    ) -> Option<Inbound> {
        let bytes = packet.get_mut(range.clone())?;
        let expected = match protocol {
            adit_ppp::protocol::IPV4 => Family::V4,
            _ => Family::V6,
        };
        let header = match IpHeader::parse(bytes) {
            Ok(header) if header.family() == expected => header,
            _ => {
                self.stats.ip_malformed += 1;
                return None;
            }
        };
        if is_for_link(&header, bytes, self.common.own4) {
            return Some(Inbound::Link(key, range.start..range.start + header.end));
        }
        let to = self.route(header.destination);
        let record = self.sessions.get_mut(key.0)?;
        if !record.addresses.owns(header.source) {
            let source = match (header.source, self.common.shared) {
                (IpAddr::V6(source), Some(shared)) if shared.contains(&source) => source,
                _ => {
                    self.stats.ip_spoofed += 1;
                    return None;
                }
            };
            if !record.uses(source) {
                self.stats.ip_unclaimed += 1;
                return Some(Inbound::Unclaimed(key, source));
            }
        }
        if self.common.ipv6_blocked && expected == Family::V6 {
            self.stats.ipv6_blocked += 1;
            return Some(Inbound::Refused(key, range.start..range.start + header.end));
        }
        // Whether anybody has an address of the clients is not told.
        let refused = match self.judge(bytes, &header, (Some(key), to), Some(now)) {
            Verdict::Pass => None,
            Verdict::Drop => {
                self.stats.policy_dropped += 1;
                return None;
            }
            Verdict::Over => {
                self.stats.rate_exceeded += 1;
                return None;
            }
            Verdict::Reject => Some(&mut self.stats.policy_rejected),
            Verdict::Apart => Some(&mut self.stats.ip_between_clients),
        };
        if let Some(counter) = refused {
            *counter += 1;
            if self.common.clients.is_broadcast(header.destination) {
                return None;
            }
            return Some(Inbound::Refused(key, range.start..range.start + header.end));
        }
        let record = self.sessions.get_mut(key.0)?;
        match guard::clamp(bytes, &header, record.mss_v4, record.mss_v6) {
            Ok(clamped) => self.stats.mss_clamped += u64::from(clamped),
            Err(_) => {
                self.stats.ip_malformed += 1;
                return None;
            }
        }
        if !record.allows(Direction::FromClient, header.end, now) {
            self.stats.rate_exceeded += 1;
            return None;
        }
        record.rx_packets += 1;
        record.rx_bytes += header.end as u64;
        self.stats.ip_in += 1;
        Some(Inbound::Ip(range.start..range.start + header.end))
    }
}

/// Whether a packet stays on the link. IPv6: multicast, link-local, or neighbour discovery, which
/// is also sent to global addresses and known by its hop limit (RFC 4861 6.1, 7.1). IPv4: DHCP to
/// the server or to everybody.
fn is_for_link(header: &IpHeader, packet: &[u8], own4: Ipv4Addr) -> bool {
    let (source, destination) = match (header.source, header.destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => (source, destination),
        (_, IpAddr::V4(destination)) => {
            return (destination.is_broadcast() || destination == own4)
                && dhcp4::is_for_server(packet, header);
        }
        _ => return false,
    };
    if destination.is_multicast()
        || destination.is_unicast_link_local()
        || source.is_unicast_link_local()
        || source.is_unspecified()
    {
        return true;
    }
    header.protocol == ip_protocol::ICMPV6
        && header.hop_limit == 255
        && !header.later_fragment
        && packet
            .get(header.payload_start)
            .is_some_and(|kind| (133..=137).contains(kind))
}

impl crate::stats::Stats {
    fn counter_of(&mut self, error: &OpenError) -> &mut u64 {
        match error {
            OpenError::Replayed { .. } | OpenError::TooOld { .. } => &mut self.esp_replayed,
            OpenError::BadIcv => &mut self.esp_bad_icv,
            OpenError::Expired => &mut self.esp_expired,
            _ => &mut self.esp_malformed,
        }
    }
}
