//! What stands outside the tunnel: sockets, IKE and ESP, L2TP.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::settings::{Complaint, Settings};
use super::{Dpd, Ipsec, L2tp, Listen, certificate, peers, plain, proposal, psk, units};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// `[listen]`.
pub(super) fn listen(settings: &mut Settings<'_>) -> Listen {
    const KEY: &str = "listen.addresses";
    let addresses = settings
        .list(KEY, address)
        .unwrap_or_else(|| vec![IpAddr::from([0u8; 4]), IpAddr::from([0u8; 16])]);
    if addresses.is_empty() {
        settings.empty(
            KEY,
            "names no address to listen on",
            "write [\"0.0.0.0\", \"[::]\"] for all addresses of both families",
        );
    }
    let mut seen = BTreeSet::new();
    for (index, address) in addresses.iter().enumerate() {
        if !seen.insert(address) {
            settings.error(
                &format!("{KEY}[{index}]"),
                format_args!("{address} is there twice"),
                "take one of them out",
            );
        }
    }
    let ike_port = port(settings, "listen.ike-port", 500);
    let nat_t_port = port(settings, "listen.nat-t-port", 4500);
    if ike_port == nat_t_port {
        settings.error(
            "listen.nat-t-port",
            "is the same as listen.ike-port",
            "take two ports; clients use 500 and 4500 and cannot be told others",
        );
    } else if (ike_port, nat_t_port) != (500, 4500) {
        let key = if ike_port == 500 {
            "listen.nat-t-port"
        } else {
            "listen.ike-port"
        };
        settings.warning(
            key,
            "clients use the ports 500 and 4500 and cannot be told others",
            "leave it out, unless something in front of this host maps the ports",
        );
    }
    Listen {
        addresses,
        ike_port,
        nat_t_port,
        esp: settings.flag("listen.esp", false),
        fragments: settings.flag("listen.fragments", false),
    }
}

fn address(text: &str) -> Result<IpAddr, Complaint> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().map_err(|_| {
        Complaint::new(
            format!("{text:?} is not an address"),
            "write an address without a port, such as \"0.0.0.0\", \"192.0.2.1\" or \"[::]\"; the \
             ports are listen.ike-port and listen.nat-t-port",
        )
    })
}

pub(super) fn port(settings: &mut Settings<'_>, key: &'static str, default: u16) -> u16 {
    let number = settings.number(key, u32::from(default), 1..=65_535);
    u16::try_from(number).unwrap_or(default)
}

/// `[ipsec]`.
pub(super) fn ipsec(settings: &mut Settings<'_>, folder: &Path) -> Ipsec {
    let psk = psk::read(settings, "ipsec.psk", folder);
    let certificate = certificate::read(settings, folder);
    let peers = peers::read(settings, folder, psk.is_some());
    let ways = ["ipsec.psk", "ipsec.peer", "ipsec.certificate", "ipsec.key"];
    if !ways.iter().any(|key| settings.is_set(key)) {
        settings.error(
            "ipsec.psk",
            "is missing: clients cannot prove anything without it, a certificate or [[ipsec.peer]]",
            psk::HELP,
        );
    }
    let legacy = settings.flag("ipsec.legacy", false);
    let ike = match settings.list("ipsec.ike", |text| proposal::ike(text, legacy)) {
        Some(list) => not_empty(settings, "ipsec.ike", list),
        None => {
            let more: &[&str] = if legacy { &proposal::IKE_LEGACY } else { &[] };
            defaults(settings, "ipsec.ike", &[&proposal::IKE, more], |text| {
                proposal::ike(text, legacy)
            })
        }
    };
    let esp = match settings.list("ipsec.esp", |text| proposal::esp(text, legacy)) {
        Some(list) => not_empty(settings, "ipsec.esp", list),
        None => {
            let list: &[&str] = if legacy {
                &proposal::ESP_LEGACY
            } else {
                &proposal::ESP
            };
            defaults(settings, "ipsec.esp", &[list], |text| {
                proposal::esp(text, legacy)
            })
        }
    };
    let ike_lifetime = settings.duration("ipsec.ike-lifetime", 8 * HOUR, 10 * MINUTE..=7 * DAY);
    let esp_lifetime = settings.duration("ipsec.esp-lifetime", HOUR, 5 * MINUTE..=DAY);
    let esp_lifetime_bytes = settings.parsed("ipsec.esp-lifetime-bytes", |text| {
        let help = "write a size of at least 16MiB, such as \"1GiB\"";
        let bytes = units::size(text)
            .ok_or_else(|| Complaint::new(format!("{text:?} is not a size"), help))?;
        if bytes < 16 << 20 {
            let why = "would make the clients negotiate without end";
            return Err(Complaint::new(format!("{text:?} {why}"), help));
        }
        Ok(bytes)
    });
    let esn = settings.flag("ipsec.esn", true);
    let idle = settings.duration_or_off("ipsec.dpd.idle", 2 * MINUTE, 5 * SECOND..=HOUR);
    let retry = settings.duration("ipsec.dpd.retry", 15 * SECOND, SECOND..=10 * MINUTE);
    let tries = settings.number("ipsec.dpd.tries", 8, 1..=100);
    Ipsec {
        psk,
        certificate,
        peers,
        ike,
        esp,
        ike_lifetime,
        esp_lifetime,
        esp_lifetime_bytes,
        esn,
        dpd: idle.map(|idle| Dpd { idle, retry, tries }),
    }
}

fn not_empty<T>(settings: &mut Settings<'_>, key: &str, list: Vec<T>) -> Vec<T> {
    if list.is_empty() {
        settings.empty(
            key,
            "names no proposal",
            "leave it out: the default suits Windows, Apple, Linux and ChromeOS",
        );
    }
    list
}

// A default that does not parse would be a mistake of ours; the tests read them all.
fn defaults<T>(
    settings: &mut Settings<'_>,
    key: &str,
    lists: &[&[&str]],
    parse: impl Fn(&str) -> Result<T, Complaint>,
) -> Vec<T> {
    let mut proposals = Vec::new();
    for text in lists.iter().flat_map(|list| list.iter()) {
        match parse(text) {
            Ok(proposal) => proposals.push(proposal),
            Err(complaint) => settings.error(key, complaint.message, complaint.help),
        }
    }
    proposals
}

/// `[l2tp]`.
pub(super) fn l2tp(settings: &mut Settings<'_>, listen: &Listen, folder: &Path) -> L2tp {
    let hello = settings.duration_or_off("l2tp.hello", MINUTE, 5 * SECOND..=HOUR);
    let host_name = settings.parsed("l2tp.host-name", |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
            return Err(Complaint::new(
                format!("{text:?} is not a host name"),
                "write up to 64 letters, digits, dots and dashes, such as \"adit\"",
            ));
        }
        Ok(text.to_owned())
    });
    let secret = plain::secret(settings, "l2tp.secret", folder);
    L2tp {
        hello,
        host_name: host_name.unwrap_or_else(|| "adit".to_owned()),
        plain: plain::read(settings, listen, folder, secret.is_some()),
        secret,
    }
}
