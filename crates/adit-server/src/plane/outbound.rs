//! From an IP packet to the wire: session, MSS, size, then one header after the other, sealed in
//! place.

mod track;

use std::time::Instant;

use adit_esp::{Expiry, SealBatch};
use adit_link::icmp::{self, Unreachable};
use adit_link::policy::Direction;
use adit_link::{fragment, guard};
use adit_wire::ip::{Family, IpHeader, protocol as ip_protocol};
use adit_wire::{PacketBuf, Path, Transmit, udp};

use super::policy::Verdict;
use super::shard::{Group, Outbounds, Shard};
use super::{GroupKey, L2TP_PORT, SessionKey};

/// Bytes that must be free before an IP packet that is handed to the server.
pub const HEADROOM: usize = adit_esp::HEADROOM
    + udp::HEADER_LEN
    + adit_l2tp::SEQUENCED_DATA_HEADER_LEN
    + adit_ppp::HEADER_LEN;

/// Bytes that must be free after it.
pub const TAILROOM: usize = adit_esp::TAILROOM;

/// What became of a packet from TUN.
#[derive(Debug)]
pub(crate) enum Outbound {
    /// It is now a datagram of this group, as native ESP or not, or will be one with its batch, which is
    /// to keep its buffer.
    Sealed(GroupKey, Native),
    /// It was cut, and these are datagrams with its parts.
    Cut(Vec<Transmit>),
    /// It is a datagram that its path does not carry whole, and has to be cut outside.
    Oversize(Transmit),
    /// Its sender gets this ICMP error, if it may get one.
    Refused(Option<Vec<u8>>),
    /// Its session is in this shard. It has been changed in nothing.
    Elsewhere(u16),
    /// Nothing; it has been counted.
    Dropped,
}

/// Whether a packet leaves as native ESP, which with its group is all that its path depends on. A path
/// itself would be copied in memory from one function to the next, for each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Native(bool);

/// When a packet is sealed.
pub(crate) enum Seal<'a> {
    /// At once.
    Now,
    /// With those in the batch.
    Later(&'a mut SealBatch<Path>),
}

impl Shard {
    /// Takes an IP packet from TUN and makes the datagram of it.
    pub(super) fn outbound(
        &mut self,
        packet: &mut PacketBuf,
        seal: Seal<'_>,
        now: Instant,
    ) -> Outbound {
        match &IpHeader::parse(packet.as_slice()) {
            Ok(header) => self.outbound_of(header, packet, seal, now),
            Err(_) => {
                self.stats.ip_malformed += 1;
                Outbound::Dropped
            }
        }
    }

    /// The same of a packet whose header is known.
    pub(super) fn outbound_of(
        &mut self,
        header: &IpHeader,
        packet: &mut PacketBuf,
        seal: Seal<'_>,
        now: Instant,
    ) -> Outbound {
        if is_redirect(header, packet.as_slice()) {
            self.stats.redirects_dropped += 1;
            return Outbound::Dropped;
        }
        if let Some(((source, destination), key)) = &self.passed
            && *source == header.source
            && *destination == header.destination
        {
            let key = *key;
            return self.deliver(key, packet, header, seal, now);
        }
        match self.admit(packet.as_slice(), header, now) {
            Ok(key) => self.deliver(key, packet, header, seal, now),
            Err(outbound) => outbound,
        }
    }

    /// Takes a packet that may go to a session.
    fn deliver(
        &mut self,
        key: SessionKey,
        packet: &mut PacketBuf,
        header: &IpHeader,
        seal: Seal<'_>,
        now: Instant,
    ) -> Outbound {
        let Some(record) = self.sessions.get_mut(key.0) else {
            self.stats.no_route += 1;
            return Outbound::Dropped;
        };
        if !record.allows(Direction::ToClient, header.end, now) {
            self.stats.rate_exceeded += 1;
            return Outbound::Dropped;
        }
        packet.narrow(0..header.end);
        let group = record.group;
        let mtu = match header.family() {
            Family::V4 => record.mtu,
            Family::V6 => record.ipv6_mtu,
        };
        if packet.len() > usize::from(mtu) {
            if let Some(parts) = fragment::fragments(packet.as_slice(), header, mtu) {
                self.stats.cut += 1;
                return Outbound::Cut(self.send_parts((group, key), &parts, now));
            }
            self.stats.too_big += 1;
            let (own4, own6) = self.own();
            let error = icmp::too_big(packet.as_slice(), mtu, own4, own6);
            return self.refused(error, now);
        }
        match guard::clamp(packet.as_mut_slice(), header, record.mss_v4, record.mss_v6) {
            Ok(clamped) => self.stats.mss_clamped += u64::from(clamped),
            Err(_) => {
                self.stats.ip_malformed += 1;
                return Outbound::Dropped;
            }
        }
        let oversize = packet.len() > usize::from(record.mtu);
        let seal = if oversize { Seal::Now } else { seal };
        let Some(native) = self.send_ip(key, packet, header.family(), seal, now) else {
            return Outbound::Dropped;
        };
        self.stats.ip_out += 1;
        if oversize {
            self.stats.cut_outside += 1;
            let transmit = self.transmit(group, native, packet);
            return transmit.map_or(Outbound::Dropped, Outbound::Oversize);
        }
        Outbound::Sealed(group, native)
    }

    /// The same for a packet whose session is nowhere else.
    pub(super) fn outbound_here(
        &mut self,
        packet: &mut PacketBuf,
        seal: Seal<'_>,
        now: Instant,
    ) -> Outbound {
        match self.outbound(packet, seal, now) {
            Outbound::Elsewhere(_) => {
                self.stats.no_route += 1;
                Outbound::Dropped
            }
            outbound => outbound,
        }
    }

    /// The session that a packet goes to, if it may.
    fn admit(
        &mut self,
        packet: &[u8],
        header: &IpHeader,
        now: Instant,
    ) -> Result<SessionKey, Outbound> {
        let to = self.route(header.destination);
        if let Some(SessionKey(key)) = to
            && key.shard != self.index
        {
            return Err(Outbound::Elsewhere(key.shard));
        }
        let from = self.route(header.source);
        let counts = from.is_none().then_some(now);
        match self.judge(packet, header, (from, to), counts) {
            Verdict::Pass => {}
            Verdict::Over => {
                self.stats.rate_exceeded += 1;
                return Err(Outbound::Dropped);
            }
            Verdict::Apart => {
                self.stats.ip_between_clients += 1;
                return Err(Outbound::Dropped);
            }
            Verdict::Reject if from.is_none() => {
                self.stats.policy_rejected += 1;
                let (own4, own6) = self.own();
                let why = Unreachable::Prohibited;
                let error = icmp::unreachable_because(packet, why, own4, own6);
                return Err(self.refused(error, now));
            }
            Verdict::Reject | Verdict::Drop => {
                self.stats.policy_dropped += 1;
                return Err(Outbound::Dropped);
            }
        }
        let Some(key) = to else {
            self.stats.no_route += 1;
            let (own4, own6) = self.own();
            let error = icmp::unreachable(packet, own4, own6);
            return Err(self.refused(error, now));
        };
        // Where no rule looks into packets, all between these two pass.
        if from.is_none() && !self.rules.contains_key(&key) {
            self.passed = Some(((header.source, header.destination), key));
        }
        Ok(key)
    }

    /// Lets an error go out while there are few of them.
    fn refused(&mut self, error: Option<Vec<u8>>, now: Instant) -> Outbound {
        Outbound::Refused(error.filter(|_| self.icmp_budget.spend(now)))
    }

    /// Fragments are rare and small in number, so each gets a buffer of its own.
    fn send_parts(
        &mut self,
        (group, key): (GroupKey, SessionKey),
        parts: &[Vec<u8>],
        now: Instant,
    ) -> Vec<Transmit> {
        let mut transmits = Vec::with_capacity(parts.len());
        for part in parts {
            let mut packet = PacketBuf::from_slice(HEADROOM, part, TAILROOM);
            if let Some(native) = self.send_ip(key, &mut packet, Family::V4, Seal::Now, now) {
                self.stats.ip_out += 1;
                transmits.extend(self.transmit(group, native, &packet));
            }
        }
        transmits
    }

    /// Frames and seals an IP packet of a session, in place.
    pub(super) fn send_ip(
        &mut self,
        key: SessionKey,
        packet: &mut PacketBuf,
        family: Family,
        seal: Seal<'_>,
        now: Instant,
    ) -> Option<Native> {
        let record = self.sessions.get_mut(key.0)?;
        let bytes = packet.len() as u64;
        adit_ppp::prepend_header(packet, protocol_of(family), record.framing).ok()?;
        let native = self.send_frame(key, packet, seal, now)?;
        let record = self.sessions.get_mut(key.0)?;
        record.tx_packets += 1;
        record.tx_bytes += bytes;
        Some(native)
    }

    /// A PPP control frame of a session as a datagram.
    pub(super) fn send_control(
        &mut self,
        key: SessionKey,
        frame: &[u8],
        now: Instant,
    ) -> Option<Transmit> {
        let group = self.sessions.get(key.0)?.group;
        let mut packet = PacketBuf::from_slice(HEADROOM, frame, TAILROOM);
        let native = self.send_frame(key, &mut packet, Seal::Now, now)?;
        self.transmit(group, native, &packet)
    }

    /// An L2TP control message to `port` inside the SAs of a group, as a datagram.
    pub(super) fn send_l2tp(
        &mut self,
        group: GroupKey,
        port: u16,
        message: &[u8],
        now: Instant,
    ) -> Option<Transmit> {
        let mut packet = PacketBuf::from_slice(HEADROOM, message, TAILROOM);
        let native = self.seal(group, port, &mut packet, Seal::Now, now)?;
        self.transmit(group, native, &packet)
    }

    /// The path that packets of a group take.
    pub(super) fn path_of(&self, group: GroupKey, Native(native): Native) -> Option<Path> {
        Some(self.groups.get(group.0)?.path_of(native))
    }

    /// What was sealed, as a datagram.
    fn transmit(&self, group: GroupKey, native: Native, packet: &PacketBuf) -> Option<Transmit> {
        Some(Transmit {
            path: self.path_of(group, native)?,
            payload: packet.as_slice().to_vec(),
        })
    }

    fn send_frame(
        &mut self,
        key: SessionKey,
        packet: &mut PacketBuf,
        seal: Seal<'_>,
        now: Instant,
    ) -> Option<Native> {
        let record = self.sessions.get_mut(key.0)?;
        let (group, port) = (record.group, record.remote_port);
        let (tunnel, session) = (record.remote_tunnel, record.remote_session);
        match record.sequencing.next_ns() {
            None => adit_l2tp::prepend_data_header(packet, tunnel, session).ok()?,
            Some(ns) => {
                adit_l2tp::prepend_sequenced_data_header(packet, tunnel, session, ns).ok()?;
            }
        }
        self.seal(group, port, packet, seal, now)
    }

    /// Inner UDP and ESP on the newest SA that the peer is known to hold. Without IPsec, the L2TP
    /// message is the datagram.
    fn seal(
        &mut self,
        key: GroupKey,
        port: u16,
        packet: &mut PacketBuf,
        seal: Seal<'_>,
        now: Instant,
    ) -> Option<Native> {
        let group = self.groups.get_mut(key.0)?;
        if group.is_plain() {
            if let Seal::Later(batch) = seal {
                batch.pass(packet, group.path);
            }
            return Some(Native(false));
        }
        let addresses = group.checksum_addresses();
        let Some((index, native)) = group.usable(now) else {
            self.stats.no_sa += 1;
            return None;
        };
        let path = group.path_of(native);
        let outbound = group.outbound.get_mut(index)?;
        let expiry = outbound.sa.expiry(now);
        if expiry == Expiry::Soft && !outbound.worn {
            outbound.worn = true;
            self.worn.push(key);
        }
        udp::prepend(packet, L2TP_PORT, port, addresses.as_ref()).ok()?;
        let sealed = match seal {
            Seal::Now => outbound.sa.seal(packet, ip_protocol::UDP),
            Seal::Later(batch) => batch.push(&mut outbound.sa, packet, ip_protocol::UDP, path),
        };
        if sealed.is_err() {
            self.stats.no_sa += 1;
            return None;
        }
        Some(Native(native))
    }
}

/// The protocol of PPP for a family.
fn protocol_of(family: Family) -> u16 {
    match family {
        Family::V4 => adit_ppp::protocol::IPV4,
        Family::V6 => adit_ppp::protocol::IPV6,
    }
}

impl Group {
    /// The place of the SA that packets are sealed on, and whether it is a native one: the newest that the
    /// peer is known to hold; where all of those have ended, a newer one is still better than none.
    fn usable(&self, now: Instant) -> Option<(usize, bool)> {
        let usable = |outbound: &Outbounds| outbound.sa.expiry(now) != Expiry::Hard;
        let outbounds = &self.outbound;
        let index = outbounds
            .iter()
            .rposition(|outbound| outbound.confirmed && usable(outbound))
            .or_else(|| outbounds.iter().rposition(usable))?;
        Some((index, outbounds.get(index)?.native))
    }
}

/// Whether it is an ICMP redirect (RFC 792, RFC 4861 4.5). The host, which gets packets between
/// clients from TUN and sends them there, would tell clients to find each other on their links.
fn is_redirect(header: &IpHeader, packet: &[u8]) -> bool {
    let redirect = match header.protocol {
        ip_protocol::ICMP => 5,
        ip_protocol::ICMPV6 => 137,
        _ => return false,
    };
    !header.later_fragment && packet.get(header.payload_start) == Some(&redirect)
}

#[cfg(test)]
mod tests;
