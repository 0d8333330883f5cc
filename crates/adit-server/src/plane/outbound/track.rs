//! The packets of a train are alike in all that decides whether they may pass and to whom. So those behind
//! the first follow it, and are asked only for what counts packets and bytes.

use std::time::Instant;

use adit_esp::{Expiry, SealBatch};
use adit_link::policy::Direction;
use adit_wire::ip::{IpHeader, protocol as ip_protocol};
use adit_wire::{PacketBuf, Path, tcp, udp};

use super::{Native, Outbound, protocol_of};
use crate::plane::shard::Shard;
use crate::plane::{GroupKey, L2TP_PORT, SessionKey};

/// How a packet went, for others that are as long as it.
pub(crate) struct Track {
    key: SessionKey,
    group: GroupKey,
    /// The place of its SA among those of the group.
    outbound: usize,
    /// Length of the IP packet.
    length: usize,
    /// The headers of L2TP and PPP.
    head: PacketBuf,
}

impl Shard {
    /// The track of a packet that has just been put into the batch, if those like it may follow:
    /// `made` is what became of it, and `packet` starts as it did.
    pub(crate) fn track(
        &self,
        made: &Outbound,
        header: &IpHeader,
        packet: &[u8],
        now: Instant,
    ) -> Option<Track> {
        let Outbound::Sealed(group, native) = made else {
            return None;
        };
        // Where rules look into packets, each is asked for.
        let (way, key) = self.passed.as_ref()?;
        let record = self.sessions.get(key.0)?;
        let state = self.groups.get(group.0)?;
        let (outbound, is_native) = state.usable(now)?;
        let is_numbered = record.sequencing.is_sending();
        if *way != (header.source, header.destination)
            || record.group != *group
            || *native != Native(is_native)
            || is_numbered
            || state.is_plain()
        {
            return None;
        }
        // The MSS of each is clamped.
        if header.protocol == ip_protocol::TCP
            && tcp::is_syn(packet.get(header.payload_start..)?).ok()?
        {
            return None;
        }
        // In front of a packet of that length, since it stands in there.
        let mut head = PacketBuf::with_capacity(super::HEADROOM, header.end);
        head.set_len(header.end);
        let protocol = protocol_of(header.family());
        adit_ppp::prepend_header(&mut head, protocol, record.framing).ok()?;
        let (tunnel, session) = (record.remote_tunnel, record.remote_session);
        adit_l2tp::prepend_data_header(&mut head, tunnel, session).ok()?;
        head.narrow(0..head.len() - header.end);
        Some(Track {
            key: *key,
            group: *group,
            outbound,
            length: header.end,
            head,
        })
    }

    /// Takes the packet of a train behind one that went on this track. True if it is in the batch, false
    /// if it was dropped; `None` if it has to be asked for again how it may go, and then it is as it was.
    pub(crate) fn follow(
        &mut self,
        track: &Track,
        packet: &mut PacketBuf,
        batch: &mut SealBatch<Path>,
        now: Instant,
    ) -> Option<bool> {
        let record = self.sessions.get_mut(track.key.0)?;
        let group = self.groups.get_mut(track.group.0)?;
        let addresses = group.checksum_addresses();
        let sa = &mut group.outbound.get_mut(track.outbound)?.sa;
        if packet.len() != track.length || sa.expiry(now) != Expiry::Alive {
            return None;
        }
        if !record.allows(Direction::ToClient, track.length, now) {
            self.stats.rate_exceeded += 1;
            return Some(false);
        }
        let mut seal = || {
            let head = packet.prepend(track.head.len()).ok()?;
            head.copy_from_slice(track.head.as_slice());
            udp::prepend(packet, L2TP_PORT, record.remote_port, addresses.as_ref()).ok()?;
            batch.push_next(sa, packet, ip_protocol::UDP).ok()
        };
        if seal().is_none() {
            self.stats.no_sa += 1;
            return Some(false);
        }
        record.tx_packets += 1;
        record.tx_bytes += track.length as u64;
        self.stats.ip_out += 1;
        Some(true)
    }
}
