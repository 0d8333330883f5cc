//! Rules, and what of a packet they match.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use adit_wire::ip::{Family, protocol};
use ipnet::IpNet;

use super::flow::{Class, Direction, Flow};
use crate::rate::Meters;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on.
    Accept,
    /// Its sender hears that it is prohibited.
    Reject,
    /// It vanishes.
    Drop,
}

/// Which end starts the conversations that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    /// The session's client (`to`).
    Client,
    /// The remote end (`from`).
    Remote,
    /// Either.
    Either,
}

/// The protocol of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// ICMP in IPv4, ICMPv6 in IPv6.
    Icmp,
    /// This one; 1 and 58 are of one family.
    Number(u8),
}

/// The remote ends that a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    /// In these networks.
    pub nets: Vec<IpNet>,
    /// The clients.
    pub clients: bool,
    /// The server's own addresses inside the tunnel.
    pub server: bool,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// By its networks or its protocol it can match one family only, and does not say so.
    #[error("can match {0} only")]
    OneFamily(&'static str),
    /// It says one family and can match the other only.
    #[error("can never match")]
    NoFamily,
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// The only family that it is about.
    pub family: Option<Family>,
    /// Which end starts the conversation.
    pub starter: Starter,
    /// The remote end; `None` is any.
    pub remote: Option<Remote>,
    /// The protocol; `None` is any.
    pub protocol: Option<Protocol>,
    /// Ports of the end that does not start the conversation; empty is any.
    pub ports: Vec<RangeInclusive<u16>>,
    /// What becomes of what matches.
    pub action: Action,
    /// How much of it may pass, all sessions together.
    pub rate: Option<Meters>,
    hits: AtomicU64,
    over: AtomicU64,
}

impl Rule {
    /// A rule about everything.
    pub fn new(action: Action) -> Self {
        Self {
            family: None,
            starter: Starter::Either,
            remote: None,
            protocol: None,
            ports: Vec::new(),
            action,
            rate: None,
            hits: AtomicU64::new(0),
            over: AtomicU64::new(0),
        }
    }

    /// Whether it holds for both families, or for the one that it says.
    pub fn check(&self) -> Result<(), Fault> {
        let can = |family: Family| {
            let by_protocol = match self.protocol {
                Some(Protocol::Number(protocol::ICMP)) => family == Family::V4,
                Some(Protocol::Number(protocol::ICMPV6)) => family == Family::V6,
                _ => true,
            };
            let by_remote = self.remote.as_ref().is_none_or(|remote| {
                let holds = |net: &IpNet| Family::of(net.addr()) == family;
                remote.clients || remote.server || remote.nets.iter().any(holds)
            });
            by_protocol && by_remote
        };
        match (self.family, can(Family::V4), can(Family::V6)) {
            (_, false, false) | (Some(Family::V4), false, _) | (Some(Family::V6), _, false) => {
                Err(Fault::NoFamily)
            }
            (None, true, false) => Err(Fault::OneFamily("IPv4")),
            (None, false, true) => Err(Fault::OneFamily("IPv6")),
            _ => Ok(()),
        }
    }

    /// Packets that it has decided.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Those of them that were more than its rate.
    pub fn over(&self) -> u64 {
        self.over.load(Ordering::Relaxed)
    }

    /// Counts a packet of so many bytes that it decides. `false` if that is more than its rate.
    pub fn hit(&self, direction: Direction, bytes: usize, now: Instant) -> bool {
        self.hits.fetch_add(1, Ordering::Relaxed);
        let passes = match &self.rate {
            Some(rate) => rate.passes(direction, bytes, now),
            None => true,
        };
        if !passes {
            self.over.fetch_add(1, Ordering::Relaxed);
        }
        passes
    }

    fn matches(&self, flow: &Flow, class: Class, within_clients: &dyn Fn(&IpNet) -> bool) -> bool {
        self.family.is_none_or(|family| family == flow.family())
            && self.matches_protocol(flow.protocol)
            && self.matches_remote(flow.remote, class, within_clients)
            && self.matches_conversation(flow)
    }

    fn matches_protocol(&self, number: u8) -> bool {
        match self.protocol {
            None => true,
            Some(Protocol::Icmp) => matches!(number, protocol::ICMP | protocol::ICMPV6),
            Some(Protocol::Number(own)) => own == number,
        }
    }

    /// Clients are reached only where a rule that accepts means them: their pool may lie in a network
    /// that was written for something else.
    fn matches_remote(
        &self,
        address: IpAddr,
        class: Class,
        within_clients: &dyn Fn(&IpNet) -> bool,
    ) -> bool {
        let careful = class == Class::Client && self.action == Action::Accept;
        let Some(remote) = &self.remote else {
            return !careful;
        };
        let meant = match class {
            Class::Client => remote.clients,
            Class::Server => remote.server,
            Class::Outside => false,
        };
        let holds = |net: &IpNet| net.contains(&address) && (!careful || within_clients(net));
        meant || remote.nets.iter().any(holds)
    }

    fn matches_conversation(&self, flow: &Flow) -> bool {
        let by_client = flow.direction == Direction::FromClient;
        let forward = match self.starter {
            Starter::Client => by_client,
            Starter::Remote => !by_client,
            Starter::Either => true,
        };
        let backward = match self.starter {
            Starter::Client => !by_client,
            Starter::Remote => by_client,
            Starter::Either => true,
        } && !flow.opens;
        if self.ports.is_empty() {
            return forward || backward;
        }
        let Some((source, destination)) = flow.ports else {
            return flow.later_fragment && self.action == Action::Accept && (forward || backward);
        };
        let holds = |port: u16| self.ports.iter().any(|range| range.contains(&port));
        forward && holds(destination) || backward && holds(source)
    }
}

/// A rule that a packet has met, with its place among all.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'a> {
    /// Its place, from 0.
    pub index: usize,
    /// The rule.
    pub rule: &'a Rule,
}

/// The rules of one session, first to last.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    list: Box<[(usize, Arc<Rule>)]>,
}

impl Rules {
    /// These rules, each with its place among all.
    pub fn new(rules: impl IntoIterator<Item = (usize, Arc<Rule>)>) -> Self {
        Self {
            list: rules.into_iter().collect(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The first rule that matches. `class` is that of the flow's remote address, and
    /// `within_clients` says whether a network holds addresses of clients only. Where both ends
    /// are clients, the rules of both are asked, and the hit of the lower place counts.
    pub fn judge(
        &self,
        flow: &Flow,
        class: Class,
        within_clients: &dyn Fn(&IpNet) -> bool,
    ) -> Option<Hit<'_>> {
        let matches = |(_, rule): &&(usize, Arc<Rule>)| rule.matches(flow, class, within_clients);
        let (index, rule) = self.list.iter().find(matches)?;
        Some(Hit {
            index: *index,
            rule,
        })
    }
}
