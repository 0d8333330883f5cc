//! Routing policy: rules that say which table a packet's route is looked up in, and tables of our own
//! (ip-rule(8)).

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::error::{added, errno};
use super::route::{Route, RouteKind, message};
use super::{Family, Netlink, NetlinkError};

/// The number of the main table.
pub const MAIN_TABLE: u32 = libc::RT_TABLE_MAIN as u32;

/// A rule: packets that it fits take their route from its table, if that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The family it is for.
    pub family: Family,
    /// Rules are asked in the order of their priorities; the main table's has 32766.
    pub priority: u32,
    /// Only packets to this address; `None`: all.
    pub to: Option<IpAddr>,
    /// Where the route is looked up.
    pub table: u32,
    /// Default routes of the table do not count.
    pub without_default: bool,
}

impl Netlink {
    /// Adds a rule; having it already is no error. It outlives the process.
    pub async fn add_rule(&self, rule: &Rule) -> Result<(), NetlinkError> {
        let mut request = self.handle.rule().add();
        *request.message_mut() = rule_message(rule);
        added(request.execute().await, || {
            format!("adding the routing rule {}", rule.priority)
        })
    }

    /// Takes it back. Its absence is no error.
    pub async fn remove_rule(&self, rule: &Rule) -> Result<(), NetlinkError> {
        match self.handle.rule().del(rule_message(rule)).execute().await {
            Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(()),
            Err(error) => Err(NetlinkError::new(
                format!("removing the routing rule {}", rule.priority),
                error,
            )),
            Ok(()) => Ok(()),
        }
    }

    /// Sends nothing on that comes in by the interface of this name, whenever there is one; only the
    /// host's own addresses are reached by it. Having that rule already is no error. It outlives the
    /// process.
    pub async fn add_dead_end(&self, family: Family, interface: &str) -> Result<(), NetlinkError> {
        let mut request = self.handle.rule().add();
        *request.message_mut() = dead_end(family, interface);
        added(request.execute().await, || {
            format!("making the interface {interface} a dead end")
        })
    }

    /// Takes [`add_dead_end`](Self::add_dead_end) back. Its absence is no error.
    pub async fn remove_dead_end(
        &self,
        family: Family,
        interface: &str,
    ) -> Result<(), NetlinkError> {
        let request = self.handle.rule().del(dead_end(family, interface));
        match request.execute().await {
            Err(error) if errno(&error) != Some(libc::ENOENT) => Err(NetlinkError::new(
                format!("removing the rule about the interface {interface}"),
                error,
            )),
            _ => Ok(()),
        }
    }

    /// Routes `destination` to an interface in a table of our own; having it already is no error. The
    /// route vanishes with the interface.
    pub async fn add_table_route(
        &self,
        table: u32,
        destination: IpNet,
        index: u32,
    ) -> Result<(), NetlinkError> {
        let mut message = message(&Route {
            destination: destination.trunc(),
            interface: Some(index),
            gateway: None,
            metric: 0,
            kind: RouteKind::Unicast,
            from_advertisement: false,
        });
        message.attributes.push(RouteAttribute::Table(table));
        added(self.handle.route().add(message).execute().await, || {
            format!("adding the route {destination} to interface {index} in table {table}")
        })
    }
}

fn dead_end(family: Family, interface: &str) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family_of(family);
    message.header.action = RuleAction::Blackhole;
    // Right behind the rule of the host's own addresses, which has 0.
    message.attributes.push(RuleAttribute::Priority(1));
    let interface = RuleAttribute::Iifname(interface.to_owned());
    message.attributes.push(interface);
    message
}

fn family_of(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family_of(rule.family);
    message.header.action = RuleAction::ToTable;
    message
        .attributes
        .push(RuleAttribute::Priority(rule.priority));
    message.attributes.push(RuleAttribute::Table(rule.table));
    if let Some(to) = rule.to {
        message.header.dst_len = IpNet::from(to).prefix_len();
        message.attributes.push(RuleAttribute::Destination(to));
    }
    if rule.without_default {
        message.attributes.push(RuleAttribute::SuppressPrefixLen(0));
    }
    message
}
