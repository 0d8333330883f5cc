//! What stands in `users.toml`: `[users.NAME]` and `[groups.NAME]`, each key checked for itself. No
//! message repeats what it found, since that may be a secret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::SystemTime;

use adit_crypto::ppp::NtHash;
use adit_link::rate::Rate;
use ipnet::{IpNet, Ipv6Net};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::file::FileError;
use super::networks::judge_unique;
use crate::config::{Secret, line_column, units};
use crate::time;

/// The most sessions of one user that can be asked for.
const MAX_SESSIONS: u32 = 1_000_000;

/// What the file says.
#[derive(Default)]
pub(crate) struct Table {
    /// By name.
    pub users: BTreeMap<String, User>,
    /// By name.
    pub groups: BTreeMap<String, Group>,
}

/// One user.
#[derive(Default)]
pub(crate) struct User {
    /// The NT hash of the password.
    pub nt_hash: Option<NtHash>,
    /// The password itself, if it is kept.
    pub password: Option<Secret>,
    /// Whether a certificate of this name lets the user in.
    pub certificate: bool,
    /// Kept out for now.
    pub disabled: bool,
    /// Until when the user may be in.
    pub expires: Option<SystemTime>,
    /// Most sessions at once.
    pub sessions: Option<usize>,
    /// How much all sessions together may send, and get.
    pub rate: Option<Rate>,
    /// A group that exists.
    pub group: Option<Placed<String>>,
    /// The user's own IPv4 address.
    pub ipv4: Option<Placed<Ipv4Addr>>,
    /// The user's own prefix.
    pub ipv6: Option<Placed<Ipv6Net>>,
    /// The prefix for a router behind the user's client.
    pub delegated: Option<Placed<Ipv6Net>>,
}

/// One group.
#[derive(Default)]
pub(crate) struct Group {
    /// All its members are kept out for now.
    pub disabled: bool,
    /// Until when its members may be in.
    pub expires: Option<SystemTime>,
    /// Most sessions of each member at once.
    pub sessions: Option<usize>,
    /// How much each member may send, and get.
    pub rate: Option<Rate>,
    /// Where the tunnel leads for its members, both families.
    pub routes: Option<Placed<Vec<IpNet>>>,
}

/// A value and its place, a byte offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: usize,
}

/// What is wrong and what to write instead.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Where, a byte offset.
    pub at: usize,
    /// What.
    pub message: String,
}

impl Fault {
    /// A fault at a byte offset.
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    /// The same with line and column.
    pub(super) fn in_file(self, path: &Path, text: &str) -> FileError {
        let (line, column) = line_column(text, self.at);
        FileError::Malformed {
            path: path.to_owned(),
            line,
            column,
            message: self.message,
        }
    }
}

type Key<'a> = Spanned<Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// Reads the users out of a text.
pub(crate) fn parse(text: &str) -> Result<Table, Fault> {
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Fault::new(at, "this is not TOML")
    })?;
    let mut table = Table::default();
    for (key, value) in root.get_ref() {
        let DeValue::Table(entries) = value.get_ref() else {
            return Err(stranger(key));
        };
        match key.get_ref().as_ref() {
            "users" => {
                for (name, value) in entries {
                    let user = named(name, "a user", value, user)?;
                    table.users.insert(name.get_ref().to_string(), user);
                }
            }
            "groups" => {
                for (name, value) in entries {
                    let group = named(name, "a group", value, group)?;
                    table.groups.insert(name.get_ref().to_string(), group);
                }
            }
            _ => return Err(stranger(key)),
        }
    }
    for user in table.users.values() {
        if let Some(group) = &user.group
            && !table.groups.contains_key(&group.value)
        {
            return Err(Fault::new(
                group.at,
                "there is no such group; write a table [groups.NAME] for it, which may be empty",
            ));
        }
    }
    judge_unique(&table)?;
    Ok(table)
}

fn stranger(key: &Key<'_>) -> Fault {
    Fault::new(
        key.span().start,
        "there are only tables [users.NAME] and [groups.NAME] in this file",
    )
}

fn named<T>(
    name: &Key<'_>,
    whose: &str,
    value: &Value<'_>,
    read: impl FnOnce(&Key<'_>, &DeTable<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    if let Some(fault) = super::name_fault(name.get_ref()) {
        return Err(Fault::new(
            name.span().start,
            fault.replace("a user", whose),
        ));
    }
    match value.get_ref() {
        DeValue::Table(entries) => read(name, entries),
        _ => Err(stranger(name)),
    }
}

fn user(name: &Key<'_>, entries: &DeTable<'_>) -> Result<User, Fault> {
    let mut user = User::default();
    for (key, value) in entries {
        match key.get_ref().as_ref() {
            "nt-hash" => {
                let hash = nt_hash(text(key, value)?);
                user.nt_hash = Some(hash.ok_or_else(|| {
                    let message =
                        "nt-hash must be 32 hexadecimal digits; `adit user passwd` writes it";
                    Fault::new(at(value), message)
                })?);
            }
            "password" => {
                let text = text(key, value)?;
                if let Some(fault) = super::password_fault(text) {
                    return Err(Fault::new(at(value), fault));
                }
                user.password = Some(Secret::new(text));
            }
            "certificate" => user.certificate = flag(key, value)?,
            "disabled" => user.disabled = flag(key, value)?,
            "expires" => user.expires = Some(expiry(value)?),
            "sessions" => user.sessions = Some(sessions(value)?),
            "rate" => user.rate = Some(rate(value)?),
            "group" => user.group = Some(placed(value, text(key, value)?.to_owned())),
            "ipv4" => {
                user.ipv4 = Some(placed(
                    value,
                    read(value, "ipv4 must be an address, such as \"10.77.0.10\"")?,
                ));
            }
            "ipv6-prefix" => {
                let message = "ipv6-prefix must be a prefix, such as \"2001:db8:77:10::/64\"";
                user.ipv6 = Some(placed(value, network(value, message)?));
            }
            "delegated-prefix" => {
                let message = "delegated-prefix must be a prefix, such as \"2001:db8:78:100::/56\"";
                user.delegated = Some(placed(value, network(value, message)?));
            }
            _ => {
                return Err(Fault::new(
                    key.span().start,
                    "a user has only nt-hash, password, certificate, disabled, expires, sessions, \
                     rate, group, ipv4, ipv6-prefix and delegated-prefix",
                ));
            }
        }
    }
    if user.nt_hash.is_none() && user.password.is_none() && !user.certificate {
        return Err(Fault::new(
            name.span().start,
            "this user has no password; `adit user passwd` sets one, and certificate = true lets \
             the user in without one by EAP-TLS",
        ));
    }
    Ok(user)
}

fn group(_: &Key<'_>, entries: &DeTable<'_>) -> Result<Group, Fault> {
    let mut group = Group::default();
    for (key, value) in entries {
        match key.get_ref().as_ref() {
            "disabled" => group.disabled = flag(key, value)?,
            "expires" => group.expires = Some(expiry(value)?),
            "sessions" => group.sessions = Some(sessions(value)?),
            "rate" => group.rate = Some(rate(value)?),
            "routes" => group.routes = Some(placed(value, routes(value)?)),
            _ => {
                return Err(Fault::new(
                    key.span().start,
                    "a group has only disabled, expires, sessions, rate and routes",
                ));
            }
        }
    }
    Ok(group)
}

fn at(value: &Value<'_>) -> usize {
    value.span().start
}

fn placed<T>(value: &Value<'_>, read: T) -> Placed<T> {
    Placed {
        value: read,
        at: at(value),
    }
}

fn text<'a>(key: &Key<'_>, value: &'a Value<'_>) -> Result<&'a str, Fault> {
    value.get_ref().as_str().ok_or_else(|| {
        let message = format!("{} must be text in double quotes", key.get_ref());
        Fault::new(at(value), message)
    })
}

fn flag(key: &Key<'_>, value: &Value<'_>) -> Result<bool, Fault> {
    value.get_ref().as_bool().ok_or_else(|| {
        let message = format!("{} must be true or false", key.get_ref());
        Fault::new(at(value), message)
    })
}

fn read<T: std::str::FromStr>(value: &Value<'_>, message: &str) -> Result<T, Fault> {
    let read = value.get_ref().as_str().and_then(|text| text.parse().ok());
    read.ok_or_else(|| Fault::new(at(value), message))
}

fn network(value: &Value<'_>, message: &str) -> Result<Ipv6Net, Fault> {
    let net: Ipv6Net = read(value, message)?;
    if net.trunc() != net {
        let message = format!(
            "{message}, not an address inside one: write \"{}\"",
            net.trunc()
        );
        return Err(Fault::new(at(value), message));
    }
    Ok(net)
}

fn routes(value: &Value<'_>) -> Result<Vec<IpNet>, Fault> {
    const MESSAGE: &str = "routes must be a list of networks of both families, such as \
                           [\"10.0.0.0/8\", \"2001:db8::/32\"]";
    let DeValue::Array(items) = value.get_ref() else {
        return Err(Fault::new(at(value), MESSAGE));
    };
    let mut routes = Vec::with_capacity(items.len());
    for item in items {
        let net: IpNet = read(item, MESSAGE)?;
        if net.trunc() != net {
            let message = format!("write the network itself: \"{}\"", net.trunc());
            return Err(Fault::new(at(item), message));
        }
        routes.push(net);
    }
    Ok(routes)
}

fn sessions(value: &Value<'_>) -> Result<usize, Fault> {
    let number = match value.get_ref() {
        DeValue::Integer(integer) => u32::from_str_radix(integer.as_str(), integer.radix()).ok(),
        _ => None,
    };
    number
        .filter(|number| (1..=MAX_SESSIONS).contains(number))
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| {
            let message = format!(
                "sessions must be a number from 1 to {MAX_SESSIONS}, without quotes; leave it out \
                 for no limit, or write disabled = true for none at all"
            );
            Fault::new(at(value), message)
        })
}

fn rate(value: &Value<'_>) -> Result<Rate, Fault> {
    let rate = value.get_ref().as_str().and_then(units::rate);
    rate.ok_or_else(|| Fault::new(at(value), format!("rate: {}", units::RATE_HELP)))
}

fn expiry(value: &Value<'_>) -> Result<SystemTime, Fault> {
    let datetime = match value.get_ref() {
        DeValue::Datetime(datetime) => Some(*datetime),
        DeValue::String(text) => text.parse().ok(),
        _ => None,
    };
    datetime
        .as_ref()
        .and_then(time::end_of)
        .ok_or_else(|| Fault::new(at(value), time::EXPIRY_HELP))
}

fn nt_hash(text: &str) -> Option<NtHash> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut bytes = Zeroizing::new([0u8; 16]);
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        // from_str_radix would take a sign.
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(NtHash::from_bytes(*bytes))
}

#[cfg(test)]
mod tests;
