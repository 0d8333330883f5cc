//! The packet path: what a packet needs on its way, and nothing else.
//!
//! It is in shards, one for each worker, and a group is in one of them with its SAs and sessions. The
//! control side (peers, tunnels, PPP links) publishes here; packets only look things up. Inbound ESP
//! is found by its SPI, never by an outer address, and the SPI says the shard: [`home_of`]. A packet
//! that is not plain traffic of a session comes back as [`Inbound`] for the control side.
//!
//! A shard is locked for one operation of the control side or for one batch of its worker. Nothing
//! here holds two locks, and what control learns from a shard is a copy, so that no lock can outlive
//! the call. No allocation and no copy per packet, and no log line.

mod ahead;
mod clients;
mod inbound;
mod outbound;
mod policy;
mod quoted;
mod routes;
mod sas;
mod shard;
mod table;
mod worker;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use adit_esp::Received;
use adit_link::policy::Rules;
use adit_link::rate::Meters;
use adit_wire::ip::Family;
use adit_wire::{PacketBuf, Path, Transmit};
use hashbrown::HashMap;
use ipnet::{Ipv4Net, Ipv6Net};
use parking_lot::Mutex;

use crate::stats::Stats;
use shard::Shard;
use table::Key;

pub(crate) use clients::Clients;
pub(crate) use inbound::{Inbound, Learnt};
pub use outbound::{HEADROOM, TAILROOM};
pub(crate) use outbound::{Native, Outbound, Seal};
pub(crate) use quoted::{Misquoted, Proof};
pub(crate) use shard::Record;
pub(crate) use worker::Told;
pub use worker::{Handover, Note, Turn, Worker};

/// The UDP port of L2TP (RFC 2661 8.1), on our side always.
pub(crate) const L2TP_PORT: u16 = 1701;

/// Four zero bytes before an IKE message on the NAT-T port (RFC 3948 2.2).
pub(crate) const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// An SA group: the SAs that carry the same selectors of one peer. Or a peer without IPsec, which is
/// a group without SAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupKey(Key);

/// A session's record on the packet path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey(Key);

/// What holds for all sessions.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    /// Source addresses of the ICMP errors that the server makes.
    pub(crate) own4: Ipv4Addr,
    /// The same.
    pub(crate) own6: Ipv6Addr,
    pub(crate) clients: Clients,
    /// The prefix whose addresses sessions claim one by one, if they do.
    pub(crate) shared: Option<Ipv6Net>,
    /// Whether IPv6 packets of clients are refused.
    pub(crate) ipv6_blocked: bool,
}

/// The shard that an SPI says, of so many. Sockets are chosen by the same rule.
pub(crate) fn home_of(spi: u32, shards: u16) -> u16 {
    // cast: below `shards`
    spi.checked_rem(shards.into()).unwrap_or_default() as u16
}

/// All shards, as the control side sees them.
pub(crate) struct Plane {
    shards: Vec<Arc<Mutex<Shard>>>,
    /// Inbound SPIs whose SAs are in another shard than they say, with which.
    moved: HashMap<u32, u16>,
    worn: Vec<GroupKey>,
    /// How many groups there are in each shard, and which got the last one.
    groups: Vec<usize>,
    last: usize,
    /// What the control side counts.
    pub(crate) stats: Stats,
}

impl Plane {
    /// A plane of so many shards, at least one.
    pub(crate) fn new(common: &Common, shards: u16, now: Instant) -> Self {
        let count = shards.max(1);
        let shards = (0..count).map(|index| Shard::new(index, count, common.clone(), now));
        Self {
            shards: shards.map(|shard| Arc::new(Mutex::new(shard))).collect(),
            moved: HashMap::new(),
            worn: Vec::new(),
            groups: vec![0; count.into()],
            last: 0,
            stats: Stats::default(),
        }
    }

    /// Reads from one shard.
    fn read<T>(&self, shard: u16, act: impl FnOnce(&Shard) -> T) -> Option<T> {
        let shard = self.shards.get(usize::from(shard))?;
        Some(act(&shard.lock()))
    }

    /// Does something in one shard.
    fn with<T>(&mut self, shard: u16, act: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        let mut shard = self.shards.get(usize::from(shard))?.lock();
        let done = act(&mut shard);
        self.worn.append(&mut shard.worn);
        Some(done)
    }

    fn home_of(&self, spi: u32) -> u16 {
        // cast: made from a u16
        home_of(spi, self.shards.len() as u16)
    }

    /// The shard that has the SA of an SPI, if any has.
    fn shard_of(&self, spi: u32) -> u16 {
        let moved = self.moved.get(&spi).copied();
        moved.unwrap_or_else(|| self.home_of(spi))
    }

    /// Notes which shard has the SA of an SPI, where that is not what the SPI says.
    fn place(&mut self, spi: u32, shard: u16) {
        let home = self.home_of(spi);
        let moved = (shard != home).then_some(shard);
        let before = match moved {
            Some(shard) => self.moved.insert(spi, shard),
            None => self.moved.remove(&spi),
        };
        if before != moved {
            self.with(home, |home| home.set_moved(spi, moved));
        }
    }

    /// The shard for a new group: the one with the fewest, and of several the next one in turn, since
    /// those that are being made do not count yet.
    fn next_shard(&mut self) -> u16 {
        let count = self.groups.len();
        let from = self.last + 1;
        let in_turn = (from..from + count).map(|index| index % count.max(1));
        let next = in_turn.min_by_key(|index| self.groups.get(*index));
        self.last = next.unwrap_or_default();
        // cast: made from a u16
        self.last as u16
    }

    /// Adds a session in the shard of its group.
    pub(crate) fn add_session(&mut self, record: Record) -> Option<SessionKey> {
        self.with(record.group.0.shard, |shard| shard.add_session(record))
    }

    /// What is known of a session now.
    pub(crate) fn session(&self, key: SessionKey) -> Option<Record> {
        self.read(key.0.shard, |shard| shard.sessions.get(key.0).cloned())?
    }

    /// How much may pass of what all sessions of its user send and get, if that is limited.
    pub(crate) fn meters(&self, key: SessionKey) -> Option<Arc<Meters>> {
        let meters = |shard: &Shard| shard.sessions.get(key.0)?.meters.clone();
        self.read(key.0.shard, meters)?
    }

    /// Changes a session's record; `None` if there is none.
    pub(crate) fn update<T>(
        &mut self,
        key: SessionKey,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Option<T> {
        self.with(key.0.shard, |shard| {
            shard.sessions.get_mut(key.0).map(change)
        })?
    }

    pub(crate) fn remove_session(&mut self, key: SessionKey) {
        let Some(record) = self
            .with(key.0.shard, |shard| shard.remove_session(key))
            .flatten()
        else {
            return;
        };
        self.set_rules(key, None);
        if let Some(address) = record.addresses.ipv4 {
            self.remove_route4(Ipv4Net::from(address));
        }
        let gone = [record.addresses.ipv6, record.addresses.delegated];
        for prefix in gone.into_iter().flatten() {
            self.remove_route6(prefix);
        }
    }

    pub(crate) fn add_route4(&mut self, to: Ipv4Net, key: SessionKey) {
        self.set_route4(to, Some(key));
    }

    pub(crate) fn remove_route4(&mut self, to: Ipv4Net) {
        self.set_route4(to, None);
    }

    pub(crate) fn add_route6(&mut self, to: Ipv6Net, key: SessionKey) {
        self.set_route6(to, Some(key));
    }

    pub(crate) fn remove_route6(&mut self, to: Ipv6Net) {
        self.set_route6(to, None);
    }

    /// What the policy says of a session's user, if it says anything.
    pub(crate) fn set_rules(&mut self, key: SessionKey, rules: Option<Arc<Rules>>) {
        for shard in &self.shards {
            shard.lock().set_rules(key, rules.clone());
        }
    }

    fn set_route4(&mut self, to: Ipv4Net, key: Option<SessionKey>) {
        for shard in &self.shards {
            shard.lock().set_route4(to, key);
        }
    }

    fn set_route6(&mut self, to: Ipv6Net, key: Option<SessionKey>) {
        for shard in &self.shards {
            shard.lock().set_route6(to, key);
        }
    }

    pub(crate) fn route_count(&self) -> usize {
        self.read(0, Shard::route_count).unwrap_or_default()
    }

    /// Everything counted, by the control side and in all shards.
    pub(crate) fn stats(&self) -> Stats {
        let mut sum = self.stats;
        for shard in &self.shards {
            sum.add(&shard.lock().stats);
        }
        sum
    }

    /// Notes the keys of an ESP packet's SA, for its MAC to be computed with those of others.
    pub(crate) fn expect(&self, packet: &mut Received<'_>) {
        if let Some(spi) = adit_esp::spi_of(packet.packet()) {
            self.read(self.shard_of(spi), |shard| shard.expect(packet));
        }
    }

    /// Takes one ESP packet (from its SPI on) and decrypts it in place.
    pub(crate) fn inbound(
        &mut self,
        path: Path,
        packet: &mut Received<'_>,
        now: Instant,
    ) -> (Inbound, Learnt) {
        let spi = adit_esp::spi_of(packet.packet());
        let shard = spi.map_or(0, |spi| self.shard_of(spi));
        let taken = self.with(shard, |shard| shard.inbound_here(path, packet, now));
        taken.unwrap_or((Inbound::Dropped, Learnt::default()))
    }

    /// Takes one L2TP message of a group, for good: what cannot be served now is dropped.
    pub(crate) fn message(
        &mut self,
        group: GroupKey,
        remote_port: u16,
        packet: &mut [u8],
        message: Range<usize>,
        now: Instant,
    ) -> Inbound {
        let taken = self.with(group.0.shard, |shard| {
            shard.message_again(group, remote_port, packet, message, now)
        });
        taken.unwrap_or(Inbound::Dropped)
    }

    /// Takes one datagram without IPsec of a peer that is known.
    pub(crate) fn inbound_plain(
        &mut self,
        group: GroupKey,
        remote_port: u16,
        datagram: &mut [u8],
        now: Instant,
    ) -> Inbound {
        self.message(group, remote_port, datagram, 0..datagram.len(), now)
    }

    /// Takes an IP packet from TUN and makes the datagram of it.
    pub(crate) fn outbound(&mut self, packet: &mut PacketBuf, now: Instant) -> Outbound {
        let first = self.with(0, |shard| shard.outbound(packet, Seal::Now, now));
        let taken = match first {
            Some(Outbound::Elsewhere(shard)) => {
                self.with(shard, |shard| shard.outbound_here(packet, Seal::Now, now))
            }
            first => first,
        };
        taken.unwrap_or(Outbound::Dropped)
    }

    /// Frames and seals an IP packet of a session, in place.
    pub(crate) fn send_ip(
        &mut self,
        key: SessionKey,
        packet: &mut PacketBuf,
        family: Family,
        now: Instant,
    ) -> Option<Path> {
        self.with(key.0.shard, |shard| {
            let native = shard.send_ip(key, packet, family, Seal::Now, now)?;
            shard.path_of(shard.sessions.get(key.0)?.group, native)
        })?
    }

    /// The path that packets of a group take.
    pub(crate) fn path_of(&self, group: GroupKey, native: Native) -> Option<Path> {
        self.read(group.0.shard, |shard| shard.path_of(group, native))?
    }

    /// A PPP control frame of a session as a datagram.
    pub(crate) fn send_control(
        &mut self,
        key: SessionKey,
        frame: &[u8],
        now: Instant,
    ) -> Option<Transmit> {
        self.with(key.0.shard, |shard| shard.send_control(key, frame, now))?
    }

    /// An L2TP control message to `port` inside the SAs of a group, as a datagram.
    pub(crate) fn send_l2tp(
        &mut self,
        group: GroupKey,
        port: u16,
        message: &[u8],
        now: Instant,
    ) -> Option<Transmit> {
        self.with(group.0.shard, |shard| {
            shard.send_l2tp(group, port, message, now)
        })?
    }
}

#[cfg(test)]
mod tests;
