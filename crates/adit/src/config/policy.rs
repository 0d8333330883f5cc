//! `[[policy]]`: what users may reach and be reached by. A rule holds for both families or says which
//! one it is for; what it leaves out is anything.

use std::ops::RangeInclusive;
use std::sync::Arc;

use adit_link::policy::{Action, Fault, Protocol, Remote, Rule, Starter};
use adit_link::rate::Meters;
use adit_server::PolicyRule;
use adit_wire::ip::{Family, protocol};
use ipnet::IpNet;

use super::Policy;
use super::peers::range;
use super::settings::{Complaint, Settings};
use super::units;

const KEY: &str = "policy";
const KEYS: [&str; 10] = [
    "name", "users", "groups", "family", "to", "from", "protocol", "ports", "action", "rate",
];

/// Rules past this many would cost every packet too much.
const MAX_RULES: usize = 1_000;

/// Reads every rule.
pub(super) fn read(settings: &mut Settings<'_>) -> Vec<Policy> {
    let count = settings.tables(KEY, &KEYS);
    if count > MAX_RULES {
        settings.error(
            KEY,
            format_args!("has more than {MAX_RULES} rules"),
            "put several networks and ports into one rule",
        );
        return Vec::new();
    }
    (0..count)
        .filter_map(|index| rule(settings, index))
        .collect()
}

/// An item of `to` or `from`.
enum End {
    Net(IpNet),
    Clients,
    Server,
}

fn rule(settings: &mut Settings<'_>, index: usize) -> Option<Policy> {
    let key = |name: &str| format!("{KEY}[{index}].{name}");
    let name = settings.parsed(&key("name"), |text| match text {
        "" => Err(Complaint::new("is empty", "write a name, or leave it out")),
        _ => Ok(text.to_owned()),
    });
    let users = names(settings, &key("users"));
    let groups = names(settings, &key("groups"));
    let action = settings.parsed(&key("action"), action);
    if action.is_none() && !settings.is_set(&key("action")) {
        settings.error(
            &key("action"),
            "is missing",
            "write action = \"accept\", \"reject\" or \"drop\"",
        );
    }
    let family = settings.parsed(&key("family"), family);
    let to = remote(settings, &key("to"));
    let from = remote(settings, &key("from"));
    if to.is_some() && from.is_some() {
        settings.error(
            &key("from"),
            "and to are of different conversations: to is for those that the client starts, from \
             for those that are started towards it",
            "make a rule of each",
        );
    }
    let protocol = settings.parsed_number(&key("protocol"), protocol_of);
    let ports = settings.list_with_numbers(&key("ports"), ports);
    let has_ports = [protocol::TCP, protocol::UDP]
        .map(|number| Some(Protocol::Number(number)))
        .contains(&protocol);
    if ports.as_ref().is_some_and(Vec::is_empty) {
        settings.empty(
            &key("ports"),
            "names no port, so nothing could match",
            "leave it out for any, or write [443, \"8000-8100\"]",
        );
    } else if ports.is_some() && !has_ports {
        settings.error(
            &key("ports"),
            "needs a protocol that has ports",
            "write protocol = \"tcp\" or \"udp\"; for both make a rule of each",
        );
    }
    let rate = settings.parsed(&key("rate"), |text| {
        units::rate(text)
            .ok_or_else(|| Complaint::new(format!("{text:?} is not a rate"), units::RATE_HELP))
    });
    if rate.is_some() && action.is_some_and(|action| action != Action::Accept) {
        settings.error(
            &key("rate"),
            "is about what passes, and this rule lets nothing pass",
            "write action = \"accept\"",
        );
    }
    let mut made = Rule::new(action?);
    made.rate = rate.map(Meters::new);
    made.family = family;
    (made.starter, made.remote) = match (to, from) {
        (Some(to), _) => (Starter::Client, Some(to)),
        (None, Some(from)) => (Starter::Remote, Some(from)),
        (None, None) => (Starter::Either, None),
    };
    made.protocol = protocol;
    made.ports = ports.unwrap_or_default();
    judge(settings, &key, &made);
    Some(Policy {
        name: name.unwrap_or_else(|| format!("rule {}", index + 1)),
        rule: PolicyRule {
            users,
            groups,
            rule: Arc::new(made),
        },
    })
}

/// A rule that by its addresses or its protocol is about one family has to say so, or the other would
/// go unprotected without anybody's noticing.
fn judge(settings: &mut Settings<'_>, key: &dyn Fn(&str) -> String, rule: &Rule) {
    let culprit = ["to", "from", "protocol"]
        .map(key)
        .into_iter()
        .find(|key| settings.is_set(key))
        .unwrap_or_else(|| key("action"));
    match rule.check() {
        Ok(()) => {}
        Err(Fault::OneFamily(family)) => {
            let (word, other) = match family {
                "IPv4" => ("ipv4", "IPv6"),
                _ => ("ipv6", "IPv4"),
            };
            settings.error(
                &culprit,
                format_args!("can match {family} only, so the rule does nothing in {other}"),
                format!(
                    "name the {other} networks as well (protocol \"icmp\" is of both), or write \
                     family = \"{word}\" if that is meant"
                ),
            );
        }
        Err(Fault::NoFamily) => settings.error(
            &culprit,
            "is of the other family than family says, so nothing could match",
            "correct one of them",
        ),
    }
}

fn names(settings: &mut Settings<'_>, key: &str) -> Vec<String> {
    let names = settings.list(key, |text| match text {
        "" => Err(Complaint::new(
            "an empty name",
            "write the name that the users file has",
        )),
        _ => Ok(text.to_owned()),
    });
    if names.as_ref().is_some_and(Vec::is_empty) {
        settings.empty(
            key,
            "names nobody, so nothing could match",
            "leave it out for everybody",
        );
    }
    names.unwrap_or_default()
}

fn remote(settings: &mut Settings<'_>, key: &str) -> Option<Remote> {
    let ends = settings.list(key, |text| match text {
        "clients" => Ok(End::Clients),
        "server" => Ok(End::Server),
        _ => range(text).map(End::Net).map_err(|complaint| {
            Complaint::new(
                complaint.message,
                format!("{}; or \"clients\" or \"server\"", complaint.help),
            )
        }),
    })?;
    if ends.is_empty() {
        settings.empty(
            key,
            "names nothing, so nothing could match",
            "leave it out for anywhere, or write [\"10.1.0.0/16\", \"2001:db8:1::/48\"]",
        );
    }
    let mut remote = Remote::default();
    for end in ends {
        match end {
            End::Net(net) => remote.nets.push(net),
            End::Clients => remote.clients = true,
            End::Server => remote.server = true,
        }
    }
    Some(remote)
}

fn action(text: &str) -> Result<Action, Complaint> {
    match text {
        "accept" => Ok(Action::Accept),
        "reject" => Ok(Action::Reject),
        "drop" => Ok(Action::Drop),
        _ => Err(Complaint::new(
            format!("{text:?} is not an action"),
            "write \"accept\", \"reject\" or \"drop\"",
        )),
    }
}

fn family(text: &str) -> Result<Family, Complaint> {
    match text {
        "ipv4" => Ok(Family::V4),
        "ipv6" => Ok(Family::V6),
        _ => Err(Complaint::new(
            format!("{text:?} is not a family"),
            "write \"ipv4\" or \"ipv6\", or leave it out for both",
        )),
    }
}

fn protocol_of(text: &str) -> Result<Protocol, Complaint> {
    match text {
        "tcp" => Ok(Protocol::Number(protocol::TCP)),
        "udp" => Ok(Protocol::Number(protocol::UDP)),
        "icmp" => Ok(Protocol::Icmp),
        _ => text.parse().map(Protocol::Number).map_err(|_| {
            Complaint::new(
                format!("{text:?} is not a protocol"),
                "write \"tcp\", \"udp\", \"icmp\" (which is ICMPv6 too), or a number up to 255",
            )
        }),
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, Complaint> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    match (number(low), number(high)) {
        (Some(low), Some(high)) if low <= high => Ok(low..=high),
        _ => Err(Complaint::new(
            format!("{text:?} is not a port"),
            "write a number from 1 to 65535, or a range such as \"8000-8100\"",
        )),
    }
}
