//! What stands inside the tunnel: PPP, both IP families, the MTU; and the program's own settings.

use std::net::IpAddr;
use std::time::Duration;

use adit_ppp::AuthMethod;
use adit_server::Limits;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tracing::Level;

use super::settings::{Complaint, Settings};
use super::{Echo, Ipv4, Ipv6, Ppp};

/// `[ppp]`.
pub(super) fn ppp(settings: &mut Settings<'_>, ipv6: bool) -> Ppp {
    const KEY: &str = "ppp.auth";
    const HELP: &str = "write \"mschapv2\" (every client has it), \"chap\" or \"pap\"";
    let auth = settings.list(KEY, |text| match text {
        "mschapv2" => Ok(AuthMethod::MsChapV2),
        "chap" => Ok(AuthMethod::ChapMd5),
        "pap" => Ok(AuthMethod::Pap),
        _ => Err(Complaint::new(format!("{text:?} is not a method"), HELP)),
    });
    let auth = auth.unwrap_or_else(|| vec![AuthMethod::MsChapV2]);
    if auth.is_empty() {
        settings.empty(KEY, "names no method, so nobody could log in", HELP);
    }
    let mru = settings.number_or_auto("ppp.mru", 1400, smallest(ipv6)..=1500);
    let second = Duration::from_secs(1);
    let interval = settings.duration_or_off(
        "ppp.echo.interval",
        30 * second,
        second..=Duration::from_secs(3_600),
    );
    let failures = settings.number("ppp.echo.failures", 10, 1..=100);
    Ppp {
        auth,
        mru: mru.and_then(|mru| u16::try_from(mru).ok()),
        echo: interval.map(|interval| Echo { interval, failures }),
    }
}

// IPv6 needs 1280 bytes (RFC 8200 section 5), IPv4 is left alone at 576.
fn smallest(ipv6: bool) -> u32 {
    if ipv6 { 1280 } else { 576 }
}

/// `mtu`.
pub(super) fn mtu(settings: &mut Settings<'_>, ipv6: bool) -> Option<u16> {
    let mtu = settings.number_or_auto("mtu", 1280, smallest(ipv6)..=1500)?;
    u16::try_from(mtu).ok()
}

/// `[ipv4]` and `[ipv6]`.
pub(super) fn networks(settings: &mut Settings<'_>) -> (Option<Ipv4>, Option<Ipv6>) {
    let pool = settings.parsed("ipv4.pool", pool);
    let dns4 = settings.list("ipv4.dns", |text| match resolver(text)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Complaint::new(
            format!("{text} is an IPv6 address"),
            "put it into dns of [ipv6]",
        )),
    });
    let masquerade = settings.flag("ipv4.masquerade", true);

    let mode = settings.parsed("ipv6.mode", |text| match text {
        "routed" => Ok(true),
        "off" => Ok(false),
        "block" => Err(Complaint::new(
            "\"block\" does not exist in this version",
            "write \"routed\" with a prefix, or \"off\" for no IPv6 in the tunnel",
        )),
        _ => Err(Complaint::new(
            format!("{text:?} is not a mode"),
            "write \"routed\" or \"off\"",
        )),
    });
    let prefix = settings.parsed("ipv6.prefix", prefix);
    let length = settings.number("ipv6.client-prefix-length", 64, 48..=64);
    let client_prefix_length = u8::try_from(length).unwrap_or(64);
    let dns6 = settings.list("ipv6.dns", |text| match resolver(text)? {
        IpAddr::V6(address) => Ok(address),
        IpAddr::V4(_) => Err(Complaint::new(
            format!("{text} is an IPv4 address"),
            "put it into dns of [ipv4]",
        )),
    });

    let off = mode == Some(false);
    if !off && settings.is_set("ipv6") && !settings.is_set("ipv6.prefix") {
        settings.error(
            "ipv6.prefix",
            "is missing: each client gets a prefix out of it",
            "write prefix = \"2001:db8:77::/48\" with a prefix that your provider routes to this \
             host, or mode = \"off\"",
        );
    }
    if settings.is_set("ipv4") && !settings.is_set("ipv4.pool") {
        settings.error(
            "ipv4.pool",
            "is missing: clients get their addresses out of it",
            "write pool = \"10.77.0.0/16\", or take the table out for no IPv4 in the tunnel",
        );
    }
    if !settings.is_set("ipv4") && (off || !settings.is_set("ipv6")) {
        settings.error(
            "ipv4.pool",
            "neither IPv4 nor IPv6 would be served",
            "write [ipv4] with pool = \"10.77.0.0/16\", or [ipv6] with a prefix, or both",
        );
    }

    let ipv6_is_served = prefix.is_some() && !off;
    if ipv6_is_served && let Some(prefix) = prefix {
        judge_prefix(settings, prefix, client_prefix_length);
    }
    let some4 = dns4.as_ref().is_some_and(|dns| !dns.is_empty());
    let some6 = dns6.as_ref().is_some_and(|dns| !dns.is_empty());
    judge_resolvers(
        settings,
        pool.map(|_| some4),
        ipv6_is_served.then_some(some6),
    );
    if dns4.as_ref().is_some_and(|dns| dns.len() > 2) {
        settings.warning(
            "ipv4.dns",
            "only the first two reach a client: IPCP carries no more",
            "leave two",
        );
    }
    let ipv4 = pool.map(|pool| Ipv4 {
        pool,
        dns: dns4.unwrap_or_default(),
        masquerade,
    });
    let ipv6 = prefix.filter(|_| !off).map(|prefix| Ipv6 {
        prefix,
        client_prefix_length,
        dns: dns6.unwrap_or_default(),
    });
    (ipv4, ipv6)
}

// Each argument: `None` if the family is not served, else whether it has resolvers. With resolvers
// in one family only, a client asks its home router's resolver in the other one, past the tunnel.
fn judge_resolvers(settings: &mut Settings<'_>, ipv4: Option<bool>, ipv6: Option<bool>) {
    match (ipv4, ipv6) {
        (Some(true), Some(false)) => settings.error(
            "ipv6.dns",
            "is missing while ipv4.dns is set: clients would ask the IPv6 resolver of their own \
             network, past the tunnel",
            "add dns to [ipv6], such as dns = [\"2606:4700:4700::1111\"], or take it out of [ipv4]",
        ),
        (Some(false), Some(true)) => settings.error(
            "ipv4.dns",
            "is missing while ipv6.dns is set: clients would ask the IPv4 resolver of their own \
             network, past the tunnel",
            "add dns to [ipv4], such as dns = [\"1.1.1.1\"], or take it out of [ipv6]",
        ),
        (Some(false), Some(false) | None) => settings.warning(
            "ipv4.dns",
            "no resolvers: clients will ask those of their own network, past the tunnel",
            "add dns to [ipv4], and to [ipv6] if it is served",
        ),
        (None, Some(false)) => settings.warning(
            "ipv6.dns",
            "no resolvers: clients will ask those of their own network, past the tunnel",
            "add dns to [ipv6], such as dns = [\"2606:4700:4700::1111\"]",
        ),
        _ => {}
    }
}

fn resolver(text: &str) -> Result<IpAddr, Complaint> {
    let help = "write the address of a resolver, such as \"1.1.1.1\" or \"2606:4700:4700::1111\"";
    let address: IpAddr = text
        .parse()
        .map_err(|_| Complaint::new(format!("{text:?} is not an address"), help))?;
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() || link_local {
        return Err(Complaint::new(
            format!("clients cannot reach a resolver at {address}"),
            help,
        ));
    }
    Ok(address)
}

fn pool(text: &str) -> Result<Ipv4Net, Complaint> {
    let help = "write a private network, such as \"10.77.0.0/16\"";
    let net: Ipv4Net = text
        .parse()
        .map_err(|_| Complaint::new(format!("{text:?} is not an IPv4 network"), help))?;
    if net.trunc() != net {
        return Err(Complaint::new(
            format!("{text} is an address inside a network"),
            format!("write the network itself: \"{}\"", net.trunc()),
        ));
    }
    if net.prefix_len() > 30 || net.prefix_len() < 8 {
        return Err(Complaint::new(
            format!("{text} must be between a /8 and a /30: the server needs an address too"),
            help,
        ));
    }
    let first = net.network();
    if first.is_multicast()
        || first.is_loopback()
        || first.is_link_local()
        || first.octets()[0] == 0
    {
        return Err(Complaint::new(format!("{text} cannot be routed"), help));
    }
    Ok(net)
}

/// Reads an IPv6 prefix that clients' prefixes can be cut from.
fn prefix(text: &str) -> Result<Ipv6Net, Complaint> {
    let help =
        "write a prefix that your provider routes to this host, such as \"2001:db8:77::/48\"";
    let net: Ipv6Net = match text.parse() {
        Ok(IpNet::V6(net)) => net,
        Ok(IpNet::V4(_)) => {
            return Err(Complaint::new(format!("{text} is an IPv4 network"), help));
        }
        Err(_) => {
            return Err(Complaint::new(
                format!("{text:?} is not an IPv6 prefix"),
                help,
            ));
        }
    };
    if net.trunc() != net {
        return Err(Complaint::new(
            format!("{text} is an address inside a prefix"),
            format!("write the prefix itself: \"{}\"", net.trunc()),
        ));
    }
    let first = net.network();
    if net.prefix_len() < 16
        || first.is_multicast()
        || first.is_loopback()
        || first.is_unspecified()
        || first.is_unicast_link_local()
    {
        return Err(Complaint::new(format!("{text} cannot be routed"), help));
    }
    Ok(net)
}

/// Whether an address is unique local (RFC 4193): routed inside a site, never on the internet.
pub(crate) fn is_ula(prefix: Ipv6Net) -> bool {
    prefix.network().is_unique_local()
}

/// Why clients' prefixes of length `client` cannot be cut out of a prefix, if they cannot.
fn no_room(prefix: Ipv6Net, client: u8) -> Option<Complaint> {
    (prefix.prefix_len() >= client).then(|| {
        Complaint::new(
            format!(
                "{prefix} has no room: the server takes the first /{client} and each client one \
                 more"
            ),
            "ask the provider for a routed /56 or /48 to this server's address, and write that",
        )
    })
}

/// Why a prefix cannot be served in /64s, and what to write instead, if it cannot.
pub(crate) fn prefix_fault(net: Ipv6Net) -> Option<String> {
    let complaint = prefix(&net.to_string())
        .err()
        .or_else(|| no_room(net, 64))?;
    Some(format!("{}; {}", complaint.message, complaint.help))
}

fn judge_prefix(settings: &mut Settings<'_>, prefix: Ipv6Net, client: u8) {
    if let Some(complaint) = no_room(prefix, client) {
        settings.error("ipv6.prefix", complaint.message, complaint.help);
    }
    if client != 64 {
        settings.warning(
            "ipv6.client-prefix-length",
            format_args!("clients do not configure an address from a /{client}, only from a /64"),
            "leave it out, unless all clients are routers that are set up by hand",
        );
    }
    if is_ula(prefix) {
        settings.warning(
            "ipv6.prefix",
            format_args!("{prefix} is not routed on the internet: IPv6 will work inside only"),
            "ask the provider for a routed /56 or /48 to this server's address, and write that",
        );
    }
}

/// `log.level`.
pub(super) fn log_level(settings: &mut Settings<'_>) -> Level {
    let level = settings.parsed("log.level", |text| match text {
        "error" => Ok(Level::ERROR),
        "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        "trace" => Ok(Level::TRACE),
        _ => Err(Complaint::new(
            format!("{text:?} is not a level"),
            "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"; RUST_LOG can say more",
        )),
    });
    level.unwrap_or(Level::INFO)
}

/// `tun.name`.
pub(super) fn tun_name(settings: &mut Settings<'_>) -> String {
    let name = settings.parsed("tun.name", |text| {
        // The kernel allows 15 bytes without slash, blank or colon.
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%');
        let stem = text.strip_suffix("%d").unwrap_or(text);
        let bad = stem.is_empty() || text.len() > 15 || !stem.chars().all(plain);
        if bad || text == "." || text == ".." {
            return Err(Complaint::new(
                format!("{text:?} is not an interface name"),
                "write up to 15 letters and digits, such as \"adit0\" or \"adit%d\"",
            ));
        }
        Ok(text.to_owned())
    });
    name.unwrap_or_else(|| "adit%d".to_owned())
}

/// `[limits]`.
pub(super) fn limits(settings: &mut Settings<'_>) -> Limits {
    let default = Limits::default();
    let mut limit = |key, default: usize, most| {
        let default = u32::try_from(default).unwrap_or(u32::MAX);
        let number = settings.number(key, default, 1..=most);
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    Limits {
        half_open: limit("limits.half-open", default.half_open, 1_000_000),
        half_open_per_network: limit(
            "limits.half-open-per-network",
            default.half_open_per_network,
            1_000_000,
        ),
        pending_jobs: limit("limits.pending-jobs", default.pending_jobs, 1_000_000),
        peers: limit("limits.peers", default.peers, 1_000_000),
        sas_per_peer: limit("limits.sas-per-peer", default.sas_per_peer, 1_000),
        tunnels_per_peer: limit("limits.tunnels-per-peer", default.tunnels_per_peer, 1_000),
        sessions: limit("limits.sessions", default.sessions, 1_000_000),
    }
}
