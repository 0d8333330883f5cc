//! The packet path: what a packet needs on its way, and nothing else.
//!
//! The control side (peers, tunnels, PPP links) publishes SAs, groups and sessions here; packets
//! only look them up. Inbound ESP is found by its SPI, never by an outer address. A packet that is
//! not plain traffic of a session comes back as [`Inbound`] for the control side.
//!
//! No allocation and no copy per packet, and no log line.

mod clients;
mod inbound;
mod outbound;
mod policy;
mod quoted;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use adit_crypto::EspSuite;
use adit_esp::{InboundSa, OutboundSa};
use adit_l2tp::Sequencing;
use adit_link::guard::Addresses;
use adit_link::policy::{Direction, Rules};
use adit_link::pool::Claims;
use adit_link::rate::Meters;
use adit_ppp::Framing;
use adit_wire::{Channel, Path};
use hashbrown::HashMap;
use ipnet::{Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use slab::Slab;

use crate::stats::Stats;

pub(crate) use clients::Clients;
pub(crate) use inbound::Inbound;
pub use outbound::{HEADROOM, TAILROOM};
pub(crate) use outbound::{Outbound, Seal};
pub(crate) use quoted::{Misquoted, Proof};

/// The UDP port of L2TP (RFC 2661 8.1), on our side always.
pub(crate) const L2TP_PORT: u16 = 1701;

/// An SA group: the SAs that carry the same selectors of one peer. Or a peer without IPsec, which is
/// a group without SAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupKey(pub(crate) usize);

/// A session's record on the packet path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey(pub(crate) usize);

/// An inbound SA with where its packets belong.
struct Inbounds {
    sa: InboundSa,
    group: GroupKey,
    /// The SA of the same Quick Mode in the other direction.
    outbound_spi: u32,
    /// It is to come as IP protocol 50.
    native: bool,
    /// Whether a packet has come through it.
    used: bool,
}

/// An outbound SA that may or may not be usable yet.
struct Outbounds {
    sa: OutboundSa,
    /// It goes as IP protocol 50. A property of the SA, not of the group: a peer may replace one
    /// kind by the other, and takes each SA only in its own way.
    native: bool,
    /// The peer has shown that it holds the SA: by its last Quick Mode message or by a packet.
    confirmed: bool,
    /// It has been said that it wants to be replaced.
    worn: bool,
}

/// The SAs of one group and where its packets go.
pub(crate) struct Group {
    /// The way of ESP in UDP; that of native ESP has the same addresses.
    path: Path,
    /// Whether any authentic packet has come.
    heard: bool,
    /// Oldest first.
    outbound: Vec<Outbounds>,
}

/// What the packet path knows of a session.
pub(crate) struct Record {
    pub(crate) group: GroupKey,
    /// The peer's L2TP port, inside the SA if there is one.
    pub(crate) remote_port: u16,
    pub(crate) local_tunnel: u16,
    pub(crate) local_session: u16,
    pub(crate) remote_tunnel: u16,
    pub(crate) remote_session: u16,
    /// Numbers of data messages, if the peer wants them.
    pub(crate) sequencing: Sequencing,
    pub(crate) framing: Framing,
    pub(crate) addresses: Addresses,
    /// What the policy says of its user, if it says anything.
    pub(crate) rules: Option<Arc<Rules>>,
    /// How much may pass of what all sessions of its user send and get, if that is limited.
    pub(crate) meters: Option<Arc<Meters>>,
    pub(crate) ipv4_open: bool,
    pub(crate) ipv6_open: bool,
    /// The largest packet that its path carries.
    pub(crate) mtu: u16,
    /// The largest IPv6 packet, which may be more: 1280 bytes must pass (RFC 8200 5).
    pub(crate) ipv6_mtu: u16,
    pub(crate) mss_v4: u16,
    pub(crate) mss_v6: u16,
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    /// When the peer was last heard inside this session.
    pub(crate) heard: Instant,
}

impl Record {
    /// Whether a packet of so many bytes is within the rate of the session's user, and then is taken
    /// into account.
    fn allows(&self, direction: Direction, bytes: usize, now: Instant) -> bool {
        let meters = self.meters.as_ref();
        meters.is_none_or(|meters| meters.passes(direction, bytes, now))
    }
}

/// The tables of the packet path.
pub(crate) struct Plane {
    inbound: HashMap<u32, Inbounds>,
    groups: Slab<Group>,
    sessions: Slab<Record>,
    by_ids: HashMap<(u16, u16), SessionKey>,
    routes4: PrefixMap<Ipv4Net, SessionKey>,
    routes6: PrefixMap<Ipv6Net, SessionKey>,
    /// Who holds which addresses of a prefix that all clients share, if they do.
    pub(crate) claims: Option<Claims<SessionKey>>,
    worn: Vec<GroupKey>,
    /// Source addresses of the ICMP errors that the server makes.
    own4: Ipv4Addr,
    own6: Ipv6Addr,
    clients: Clients,
    /// Whether IPv6 packets of clients are refused.
    ipv6_blocked: bool,
    pub(crate) stats: Stats,
}

impl Plane {
    pub(crate) fn new(
        own4: Ipv4Addr,
        own6: Ipv6Addr,
        clients: Clients,
        ipv6_blocked: bool,
    ) -> Self {
        Self {
            inbound: HashMap::new(),
            groups: Slab::new(),
            sessions: Slab::new(),
            by_ids: HashMap::new(),
            routes4: PrefixMap::new(),
            routes6: PrefixMap::new(),
            claims: None,
            worn: Vec::new(),
            own4,
            own6,
            clients,
            ipv6_blocked,
            stats: Stats::default(),
        }
    }

    pub(crate) fn add_group(&mut self, path: Path) -> GroupKey {
        GroupKey(self.groups.insert(Group {
            path,
            heard: false,
            outbound: Vec::new(),
        }))
    }

    /// Forgets a group whose SAs have been removed.
    pub(crate) fn remove_group(&mut self, key: GroupKey) {
        self.groups.try_remove(key.0);
    }

    /// The SAs of one group go on as those of another, the newest behind its own.
    pub(crate) fn merge_group(&mut self, from: GroupKey, into: GroupKey) {
        let Some(gone) = self.groups.try_remove(from.0) else {
            return;
        };
        for inbound in self.inbound.values_mut() {
            if inbound.group == from {
                inbound.group = into;
            }
        }
        if let Some(group) = self.groups.get_mut(into.0) {
            group.outbound.extend(gone.outbound);
        }
    }

    pub(crate) fn path(&self, key: GroupKey) -> Option<Path> {
        let group = self.groups.get(key.0)?;
        let native = group.outbound.last().is_some_and(|newest| newest.native);
        Some(group.path_of(native))
    }

    /// Whether a group is a peer without IPsec, which has no SAs and never gets any.
    pub(crate) fn is_plain(&self, key: GroupKey) -> bool {
        let group = self.groups.get(key.0);
        group.is_some_and(|group| group.path.channel == Channel::L2tp)
    }

    /// ESP in UDP needs the NAT-T port, which the peer comes to with the IKE SA that asks for it.
    pub(crate) fn ensure_nat_t(&mut self, key: GroupKey, path: Path) {
        if let Some(group) = self.groups.get_mut(key.0)
            && group.path.channel != Channel::NatT
        {
            group.path = path;
        }
    }

    pub(crate) fn spi_is_free(&self, spi: u32) -> bool {
        !self.inbound.contains_key(&spi)
    }

    pub(crate) fn add_child(
        &mut self,
        group: GroupKey,
        inbound: InboundSa,
        outbound: OutboundSa,
        native: bool,
        confirmed: bool,
    ) {
        let Some(state) = self.groups.get_mut(group.0) else {
            return;
        };
        let outbound_spi = outbound.spi();
        // A peer that cuts its ICVs does so on all of its SAs, and is to be sent what it takes from
        // the first packet on. Its own first packet has the last word.
        let mut outbound = outbound;
        if let Some(older) = state.outbound.last() {
            outbound.follow(older.sa.suite());
        }
        // One is the rule, two while it is replaced; as a rule a vector has room for four.
        state.outbound.reserve_exact(1);
        state.outbound.push(Outbounds {
            sa: outbound,
            native,
            confirmed,
            worn: false,
        });
        self.inbound.insert(
            inbound.spi(),
            Inbounds {
                sa: inbound,
                group,
                outbound_spi,
                native,
                used: false,
            },
        );
    }

    /// The peer holds the SA of this inbound SPI: the other direction may be used.
    pub(crate) fn confirm(&mut self, inbound_spi: u32) {
        if let Some(inbound) = self.inbound.get(&inbound_spi)
            && let Some(group) = self.groups.get_mut(inbound.group.0)
        {
            group.confirm(inbound.outbound_spi);
        }
    }

    /// The group of a native SA pair, if nothing has come through the group yet.
    pub(crate) fn silent_native(&self, inbound_spi: u32) -> Option<GroupKey> {
        let inbound = self.inbound.get(&inbound_spi)?;
        (inbound.native && !self.was_heard(inbound.group)).then_some(inbound.group)
    }

    /// Whether any authentic packet of the group has come.
    pub(crate) fn was_heard(&self, key: GroupKey) -> bool {
        self.groups.get(key.0).is_some_and(|group| group.heard)
    }

    /// Forgets the SA pair of `inbound_spi`.
    pub(crate) fn remove_child(&mut self, inbound_spi: u32) {
        if let Some(inbound) = self.inbound.remove(&inbound_spi)
            && let Some(group) = self.groups.get_mut(inbound.group.0)
        {
            group
                .outbound
                .retain(|outbound| outbound.sa.spi() != inbound.outbound_spi);
        }
    }

    /// The outbound SPI of the pair that has this inbound SPI.
    pub(crate) fn outbound_spi(&self, inbound_spi: u32) -> Option<u32> {
        self.inbound
            .get(&inbound_spi)
            .map(|inbound| inbound.outbound_spi)
    }

    /// When the SA pair of `inbound_spi` must not be used any more.
    pub(crate) fn hard_expiry(&self, inbound_spi: u32) -> Option<Instant> {
        self.inbound.get(&inbound_spi)?.sa.expires_at().1
    }

    /// When the SA pair of `inbound_spi` is to be replaced.
    pub(crate) fn soft_expiry(&self, inbound_spi: u32) -> Option<Instant> {
        self.inbound.get(&inbound_spi)?.sa.expires_at().0
    }

    /// The next group whose newest SA has carried enough bytes to be replaced; each SA is told
    /// once.
    pub(crate) fn poll_worn(&mut self) -> Option<GroupKey> {
        self.worn.pop()
    }

    /// The newest suite a group sends with, for display.
    pub(crate) fn suite(&self, key: GroupKey) -> Option<EspSuite> {
        let group = self.groups.get(key.0)?;
        group.outbound.last().map(|outbound| outbound.sa.suite())
    }

    /// What stands around the packets of each outbound SA of a group: whether it is native ESP, and
    /// the suite.
    pub(crate) fn encapsulations(
        &self,
        key: GroupKey,
    ) -> impl Iterator<Item = (bool, EspSuite)> + '_ {
        let outbounds = self.groups.get(key.0).into_iter();
        outbounds
            .flat_map(|group| &group.outbound)
            .map(|outbound| (outbound.native, outbound.sa.suite()))
    }

    pub(crate) fn sa_count(&self) -> usize {
        self.inbound.len()
            + self
                .groups
                .iter()
                .map(|(_, group)| group.outbound.len())
                .sum::<usize>()
    }

    pub(crate) fn add_session(&mut self, record: Record) -> SessionKey {
        let ids = (record.local_tunnel, record.local_session);
        let key = SessionKey(self.sessions.insert(record));
        self.by_ids.insert(ids, key);
        key
    }

    pub(crate) fn session(&self, key: SessionKey) -> Option<&Record> {
        self.sessions.get(key.0)
    }

    pub(crate) fn session_mut(&mut self, key: SessionKey) -> Option<&mut Record> {
        self.sessions.get_mut(key.0)
    }

    pub(crate) fn remove_session(&mut self, key: SessionKey) {
        if let Some(record) = self.sessions.try_remove(key.0) {
            self.by_ids
                .remove(&(record.local_tunnel, record.local_session));
            if let Some(address) = record.addresses.ipv4 {
                self.routes4.remove(&Ipv4Net::from(address));
            }
            let Addresses {
                ipv6, delegated, ..
            } = record.addresses;
            for prefix in [ipv6, delegated].into_iter().flatten() {
                self.routes6.remove(&prefix);
            }
        }
    }

    pub(crate) fn add_route4(&mut self, to: Ipv4Net, key: SessionKey) {
        self.routes4.insert(to, key);
    }

    pub(crate) fn remove_route4(&mut self, to: Ipv4Net) {
        self.routes4.remove(&to);
    }

    pub(crate) fn add_route6(&mut self, to: Ipv6Net, key: SessionKey) {
        self.routes6.insert(to, key);
    }

    pub(crate) fn remove_route6(&mut self, to: Ipv6Net) {
        self.routes6.remove(&to);
    }

    pub(crate) fn route_count(&self) -> usize {
        self.routes4.len() + self.routes6.len()
    }

    fn route(&self, destination: IpAddr) -> Option<SessionKey> {
        match destination {
            IpAddr::V4(address) => self
                .routes4
                .get_lpm(&Ipv4Net::from(address))
                .map(|(_, key)| *key),
            IpAddr::V6(address) => self
                .routes6
                .get_lpm(&Ipv6Net::from(address))
                .map(|(_, key)| *key),
        }
    }
}

impl Group {
    /// Where the packets of an SA of this kind go.
    fn path_of(&self, native: bool) -> Path {
        if native {
            self.path.native_esp()
        } else {
            self.path
        }
    }

    /// Follows the peer to where an authentic packet came from. Native ESP knows no ports, so
    /// those of UDP stay. True if that is elsewhere than before.
    fn follow(&mut self, from: Path) -> bool {
        let mut to = from;
        if from.channel == Channel::Esp {
            to = self.path;
            to.local.set_ip(from.local.ip());
            to.remote.set_ip(from.remote.ip());
        }
        let moved = self.path != to;
        self.path = to;
        moved
    }

    /// Sends on this SA with the suite that the peer uses. True if that is another than before.
    fn follow_suite(&mut self, outbound_spi: u32, suite: EspSuite) -> bool {
        let outbounds = self.outbound.iter_mut();
        let Some(twin) = outbounds
            .map(|outbound| &mut outbound.sa)
            .find(|sa| sa.spi() == outbound_spi)
        else {
            return false;
        };
        let before = twin.suite();
        twin.follow(suite);
        twin.suite() != before
    }

    fn confirm(&mut self, outbound_spi: u32) {
        for outbound in &mut self.outbound {
            if outbound.sa.spi() == outbound_spi {
                outbound.confirmed = true;
            }
        }
    }

    /// Addresses for the checksum of an inner UDP header: needed over IPv6 (RFC 8200 8.1), left
    /// out over IPv4, where RFC 3948 3.1.2 makes a checksum across a NAT worthless anyway.
    fn checksum_addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match (self.path.local, self.path.remote) {
            (SocketAddr::V6(local), SocketAddr::V6(remote)) => {
                Some(((*local.ip()).into(), (*remote.ip()).into()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
