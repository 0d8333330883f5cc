//! A look ahead at what the packets of a batch will need. With many sessions all of it is far from the
//! processor, and a packet would wait for one thing after the other: for its SA, by that for keys and
//! group, by that for its session. Here each of these steps is done for all packets, so that what they
//! wait for is under way at the same time. It decides nothing, and must change nothing.

use adit_crypto::prefetch;
use adit_wire::ip::IpHeader;

use super::shard::Shard;

/// Packets that are looked at together: what they need still finds room in the nearest caches.
const TOGETHER: usize = 64;

impl Shard {
    /// For packets of UDP 4500 that arrived.
    pub(super) fn expect_inbound<'a>(&self, mut packets: impl Iterator<Item = &'a [u8]>) {
        let mut last = None;
        loop {
            let mut found = [None; TOGETHER];
            let mut count = 0;
            for (found, packet) in found.iter_mut().zip(packets.by_ref()) {
                count += 1;
                let spi = adit_esp::spi_of(packet);
                // One flow has many packets on end, and is looked up once.
                if std::mem::replace(&mut last, spi) == spi {
                    continue;
                }
                let entry = spi.and_then(|spi| self.inbound.get(&spi));
                *found = entry.map(|entry| (&**entry, packet));
            }
            let entries = || found.iter().flatten().map(|(entry, _)| entry);
            for (entry, packet) in found.iter().flatten() {
                prefetch(&entry.group);
                entry.sa.prefetch(packet);
            }
            for entry in entries() {
                entry.sa.prefetch_keys();
                if let Some(group) = self.groups.get(entry.group.0) {
                    prefetch(group);
                }
            }
            for entry in entries() {
                let group = self.groups.get(entry.group.0);
                let last = group.and_then(|group| group.last);
                if let Some(record) = last.and_then(|last| self.sessions.get(last.0)) {
                    prefetch(record);
                }
            }
            if count < TOGETHER {
                return;
            }
        }
    }

    /// For IP packets from TUN.
    pub(super) fn expect_outbound<'a>(&self, mut packets: impl Iterator<Item = &'a [u8]>) {
        let mut last = None;
        loop {
            let mut keys = [None; TOGETHER];
            let mut count = 0;
            for (found, packet) in keys.iter_mut().zip(packets.by_ref()) {
                count += 1;
                let header = IpHeader::parse(packet).ok();
                let to = header.map(|header| header.destination);
                if std::mem::replace(&mut last, to) == to {
                    continue;
                }
                *found = to.and_then(|to| self.route(to));
            }
            let records = keys.map(|key| self.sessions.get(key?.0));
            for record in records.iter().flatten() {
                prefetch(*record);
            }
            let groups = records.map(|record| self.groups.get(record?.group.0));
            let groups = || groups.iter().flatten();
            for group in groups() {
                prefetch(*group);
            }
            let newest = || groups().filter_map(|group| group.outbound.last());
            for outbound in newest() {
                prefetch(outbound);
            }
            for outbound in newest() {
                outbound.sa.prefetch_keys();
            }
            if count < TOGETHER {
                return;
            }
        }
    }
}
