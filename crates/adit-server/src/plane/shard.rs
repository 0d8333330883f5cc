//! One part of the packet path: groups with their SAs and sessions, and routes and rules of all sessions
//! wherever they are. What one packet needs is in one shard, so that one thread carries it without
//! asking another; where it is not, the packet goes to the shard that has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use adit_crypto::EspSuite;
use adit_esp::{InboundSa, OutboundSa};
use adit_l2tp::Sequencing;
use adit_link::guard::Addresses;
use adit_link::policy::{Direction, Rules};
use adit_link::rate::Meters;
use adit_ppp::{Echoes, Framing};
use adit_wire::{Channel, Path};
use hashbrown::HashMap;
use ipnet::{Ipv4Net, Ipv6Net};

use super::routes::Routes;
use super::table::Table;
use super::{Common, GroupKey, SessionKey, home_of};
use crate::budget::Budget;
use crate::stats::Stats;

/// Errors towards TUN that may be made per second: an answer per packet would double a flood.
const ICMP_ERRORS_PER_SECOND: u32 = 200;

/// An inbound SA with where its packets belong.
pub(super) struct Inbounds {
    pub(super) sa: InboundSa,
    pub(super) group: GroupKey,
    /// The SA of the same Quick Mode in the other direction.
    pub(super) outbound_spi: u32,
    /// It is to come as IP protocol 50.
    pub(super) native: bool,
    /// Whether a packet has come through it.
    pub(super) used: bool,
}

/// An outbound SA that may or may not be usable yet.
pub(super) struct Outbounds {
    pub(super) sa: OutboundSa,
    /// It goes as IP protocol 50. A property of the SA, not of the group: a peer may replace one
    /// kind by the other, and takes each SA only in its own way.
    pub(super) native: bool,
    /// The peer has shown that it holds the SA: by its last Quick Mode message or by a packet.
    pub(super) confirmed: bool,
    /// It has been said that it wants to be replaced.
    pub(super) worn: bool,
}

/// The SAs of one group and where its packets go.
pub(super) struct Group {
    /// The way of ESP in UDP; that of native ESP has the same addresses.
    pub(super) path: Path,
    /// Whether any authentic packet has come.
    pub(super) heard: bool,
    /// The session that data came for last, which is most likely that of the next.
    pub(super) last: Option<SessionKey>,
    /// Oldest first.
    pub(super) outbound: Vec<Outbounds>,
}

/// What a group has, on its way into another.
pub(super) struct Gone {
    outbound: Vec<Outbounds>,
    inbound: Vec<(u32, Box<Inbounds>)>,
}

impl Gone {
    pub(super) fn spis(&self) -> impl Iterator<Item = u32> + '_ {
        self.inbound.iter().map(|(spi, _)| *spi)
    }
}

/// What the packet path knows of a session.
#[derive(Clone)]
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
    /// While LCP is open, its echoes are taken here.
    pub(crate) echoes: Option<Echoes>,
    pub(crate) addresses: Addresses,
    /// The addresses of the shared prefix that it holds, with when each was last used; as many as
    /// one session may have at most.
    pub(crate) claimed: Vec<(Ipv6Addr, Instant)>,
    /// How much may pass of what all sessions of its user send and get, if that is limited: the same
    /// meters in whichever shards these are.
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

/// The tables of a shard.
pub(super) struct Shard {
    pub(super) index: u16,
    /// How many shards there are.
    count: u16,
    /// Boxed, so that the table is small enough to be near the processor also with many.
    pub(super) inbound: HashMap<u32, Box<Inbounds>>,
    /// SPIs that say this shard and whose SAs are in another, with their group.
    moved: HashMap<u32, u16>,
    pub(super) groups: Table<Group>,
    pub(super) sessions: Table<Record>,
    pub(super) by_ids: HashMap<(u16, u16), SessionKey>,
    routes: Routes,
    /// Between whom the last packet from TUN passed, and to which session, if that alone decides for
    /// the next: until routes or rules change.
    pub(super) passed: Option<((IpAddr, IpAddr), SessionKey)>,
    /// What the policy says of the users of sessions, wherever they are.
    pub(super) rules: HashMap<SessionKey, Arc<Rules>>,
    /// Groups whose newest SA wants to be replaced, not yet told.
    pub(super) worn: Vec<GroupKey>,
    pub(super) common: Common,
    pub(super) icmp_budget: Budget,
    pub(super) stats: Stats,
}

impl Shard {
    pub(super) fn new(index: u16, count: u16, common: Common, now: Instant) -> Self {
        let errors = (ICMP_ERRORS_PER_SECOND / u32::from(count)).max(1);
        Self {
            index,
            count,
            inbound: HashMap::new(),
            moved: HashMap::new(),
            groups: Table::new(index),
            sessions: Table::new(index),
            by_ids: HashMap::new(),
            routes: Routes::default(),
            passed: None,
            rules: HashMap::new(),
            worn: Vec::new(),
            common,
            icmp_budget: Budget::new(errors, now),
            stats: Stats::default(),
        }
    }

    /// The other shard that may have the SA of an SPI that is not here.
    pub(super) fn elsewhere(&self, spi: u32) -> Option<u16> {
        let moved = self.moved.get(&spi).copied();
        let shard = moved.unwrap_or_else(|| home_of(spi, self.count));
        (shard != self.index).then_some(shard)
    }

    /// The SA of an SPI that says this shard is in another (or here again).
    pub(super) fn set_moved(&mut self, spi: u32, to: Option<u16>) {
        match to {
            Some(shard) => self.moved.insert(spi, shard),
            None => self.moved.remove(&spi),
        };
    }

    pub(super) fn add_group(&mut self, path: Path) -> GroupKey {
        GroupKey(self.groups.insert(Group {
            path,
            heard: false,
            last: None,
            outbound: Vec::new(),
        }))
    }

    /// Takes a group out with its SAs.
    pub(super) fn take_group(&mut self, key: GroupKey) -> Option<Gone> {
        let group = self.groups.remove(key.0)?;
        let inbound = self.inbound.extract_if(|_, sa| sa.group == key);
        Some(Gone {
            outbound: group.outbound,
            inbound: inbound.collect(),
        })
    }

    /// The SAs of a group that is gone go on as those of this one, the newest behind its own.
    pub(super) fn adopt(&mut self, key: GroupKey, gone: Gone) {
        for (spi, mut inbound) in gone.inbound {
            inbound.group = key;
            self.inbound.insert(spi, inbound);
        }
        if let Some(group) = self.groups.get_mut(key.0) {
            group.outbound.extend(gone.outbound);
        }
    }

    pub(super) fn path(&self, key: GroupKey) -> Option<Path> {
        let group = self.groups.get(key.0)?;
        let native = group.outbound.last().is_some_and(|newest| newest.native);
        Some(group.path_of(native))
    }

    pub(super) fn add_child(
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
            Box::new(Inbounds {
                sa: inbound,
                group,
                outbound_spi,
                native,
                used: false,
            }),
        );
    }

    pub(super) fn confirm(&mut self, inbound_spi: u32) {
        if let Some(inbound) = self.inbound.get(&inbound_spi)
            && let Some(group) = self.groups.get_mut(inbound.group.0)
        {
            group.confirm(inbound.outbound_spi);
        }
    }

    pub(super) fn silent_native(&self, inbound_spi: u32) -> Option<GroupKey> {
        let inbound = self.inbound.get(&inbound_spi)?;
        (inbound.native && !self.was_heard(inbound.group)).then_some(inbound.group)
    }

    pub(super) fn was_heard(&self, key: GroupKey) -> bool {
        self.groups.get(key.0).is_some_and(|group| group.heard)
    }

    pub(super) fn remove_child(&mut self, inbound_spi: u32) {
        if let Some(inbound) = self.inbound.remove(&inbound_spi)
            && let Some(group) = self.groups.get_mut(inbound.group.0)
        {
            group
                .outbound
                .retain(|outbound| outbound.sa.spi() != inbound.outbound_spi);
        }
    }

    pub(super) fn encapsulations(&self, key: GroupKey) -> Vec<(bool, EspSuite)> {
        let outbounds = self.groups.get(key.0).into_iter();
        outbounds
            .flat_map(|group| &group.outbound)
            .map(|outbound| (outbound.native, outbound.sa.suite()))
            .collect()
    }

    pub(super) fn sa_count(&self) -> usize {
        let outbound = self.groups.values().map(|group| group.outbound.len());
        self.inbound.len() + outbound.sum::<usize>()
    }

    pub(super) fn add_session(&mut self, record: Record) -> SessionKey {
        let ids = (record.local_tunnel, record.local_session);
        let key = SessionKey(self.sessions.insert(record));
        self.by_ids.insert(ids, key);
        key
    }

    pub(super) fn remove_session(&mut self, key: SessionKey) -> Option<Record> {
        self.passed = None;
        let record = self.sessions.remove(key.0)?;
        self.by_ids
            .remove(&(record.local_tunnel, record.local_session));
        Some(record)
    }

    /// The session of a group that has these numbers.
    pub(super) fn session_of(&mut self, group: GroupKey, ids: (u16, u16)) -> Option<SessionKey> {
        let is_it = |shard: &Self, key: SessionKey| {
            let record = shard.sessions.get(key.0);
            record.is_some_and(|record| {
                record.group == group && (record.local_tunnel, record.local_session) == ids
            })
        };
        let last = self.groups.get(group.0).and_then(|state| state.last);
        if let Some(last) = last.filter(|last| is_it(self, *last)) {
            return Some(last);
        }
        let key = *self.by_ids.get(&ids)?;
        if !is_it(self, key) {
            return None;
        }
        if let Some(state) = self.groups.get_mut(group.0) {
            state.last = Some(key);
        }
        Some(key)
    }

    pub(super) fn set_route4(&mut self, to: Ipv4Net, key: Option<SessionKey>) {
        self.passed = None;
        self.routes.set4(to, key);
    }

    pub(super) fn set_route6(&mut self, to: Ipv6Net, key: Option<SessionKey>) {
        self.passed = None;
        self.routes.set6(to, key);
    }

    pub(super) fn set_rules(&mut self, key: SessionKey, rules: Option<Arc<Rules>>) {
        self.passed = None;
        match rules {
            Some(rules) => self.rules.insert(key, rules),
            None => self.rules.remove(&key),
        };
    }

    pub(super) fn route_count(&self) -> usize {
        self.routes.len()
    }

    pub(super) fn route(&self, destination: IpAddr) -> Option<SessionKey> {
        self.routes.find(destination)
    }

    /// The sources of the ICMP errors that the server makes.
    pub(super) fn own(&self) -> (Ipv4Addr, Ipv6Addr) {
        (self.common.own4, self.common.own6)
    }
}

impl Record {
    /// Whether the session holds this address of the shared prefix, which counts as use of it.
    pub(super) fn uses(&mut self, address: Ipv6Addr) -> bool {
        let mut held = self.claimed.iter_mut();
        let held = held.find(|(held, _)| *held == address);
        held.map(|(_, used)| *used = self.heard).is_some()
    }

    /// Whether a packet of so many bytes is within the rate of the session's user, and then is taken
    /// into account.
    pub(super) fn allows(&self, direction: Direction, bytes: usize, now: Instant) -> bool {
        let meters = self.meters.as_ref();
        meters.is_none_or(|meters| meters.passes(direction, bytes, now))
    }
}

impl Group {
    /// Where the packets of an SA of this kind go.
    pub(super) fn path_of(&self, native: bool) -> Path {
        if native {
            self.path.native_esp()
        } else {
            self.path
        }
    }

    /// Whether it is a peer without IPsec.
    pub(super) fn is_plain(&self) -> bool {
        self.path.channel == Channel::L2tp
    }

    /// Follows the peer to where an authentic packet came from. Native ESP knows no ports, so
    /// those of UDP stay. True if that is elsewhere than before.
    pub(super) fn follow(&mut self, from: Path) -> bool {
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
    pub(super) fn follow_suite(&mut self, outbound_spi: u32, suite: EspSuite) -> bool {
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

    pub(super) fn confirm(&mut self, outbound_spi: u32) {
        for outbound in &mut self.outbound {
            if outbound.sa.spi() == outbound_spi {
                outbound.confirmed = true;
            }
        }
    }

    /// Addresses for the checksum of an inner UDP header: needed over IPv6 (RFC 8200 8.1), left
    /// out over IPv4, where RFC 3948 3.1.2 makes a checksum across a NAT worthless anyway.
    pub(super) fn checksum_addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match (self.path.local, self.path.remote) {
            (SocketAddr::V6(local), SocketAddr::V6(remote)) => {
                Some(((*local.ip()).into(), (*remote.ip()).into()))
            }
            _ => None,
        }
    }
}
