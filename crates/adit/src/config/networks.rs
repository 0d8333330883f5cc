//! IP inside the tunnel: `[ipv4]` and `[ipv6]`.

use std::net::{IpAddr, Ipv6Addr};

use adit_link::dhcp4;
use adit_link::domain::Domain;
use adit_link::nd::{MAX_ROUTES, MAX_SEARCH_BYTES, Preference};
use adit_server::Delegate;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::inner::is_interface;
use super::settings::{Complaint, Settings};
use super::{Ipv4, Ipv6};

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
    let wins = settings.list("ipv4.wins", |text| match resolver(text)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Complaint::new(
            format!("{text} is an IPv6 address, and NetBIOS is of IPv4"),
            "leave it out",
        )),
    });
    let wins = wins.unwrap_or_default();
    if wins.len() > 2 {
        settings.error(
            "ipv4.wins",
            "are more than the two that IPCP carries",
            "leave two",
        );
    }
    let masquerade = settings.flag("ipv4.masquerade", true);

    let domain = settings.parsed("ipv4.domain", domain);
    let routes4 = ipv4_routes(settings);

    let mode = settings.parsed("ipv6.mode", |text| match text {
        "routed" => Ok(Mode::Routed),
        "block" => Ok(Mode::Block),
        "off" => Ok(Mode::Off),
        _ => Err(Complaint::new(
            format!("{text:?} is not a mode"),
            "write \"routed\", \"block\" or \"off\"",
        )),
    });
    let mode = mode.unwrap_or(Mode::Routed);
    let off = mode == Mode::Off;
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

    let options = ipv6_options(settings, prefix);
    if mode == Mode::Routed && settings.is_set("ipv6") && !settings.is_set("ipv6.prefix") {
        settings.error(
            "ipv6.prefix",
            "is missing: each client gets a prefix out of it",
            "write prefix = \"2001:db8:77::/48\" with a prefix that your provider routes to this \
             host, or mode = \"block\" to keep clients' IPv6 from going past the tunnel",
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

    let ipv6_is_served = prefix.is_some() && mode == Mode::Routed;
    if options.six_to_four && mode != Mode::Routed {
        settings.error(
            "ipv6.six-to-four",
            "needs IPv6 that leaves the tunnel",
            "write mode = \"routed\", or take it out",
        );
    }
    if options.nd_proxy.is_some() {
        judge_nd_proxy(settings, mode, prefix, client_prefix_length);
    } else if ipv6_is_served && let Some(prefix) = prefix {
        judge_prefix(settings, prefix, client_prefix_length);
    }
    let some4 = dns4.as_ref().is_some_and(|dns| !dns.is_empty());
    let some6 = dns6.as_ref().is_some_and(|dns| !dns.is_empty());
    judge_routes(
        settings,
        pool.map(|_| !routes4.is_empty()),
        ipv6_is_served.then_some(!options.routes.is_empty()),
    );
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
        wins,
        masquerade,
        domain,
        routes: routes4,
    });
    let prefix = match mode {
        Mode::Routed => prefix,
        Mode::Block => Some(prefix.unwrap_or(BLOCKED)),
        Mode::Off => None,
    };
    let ipv6 = prefix.map(|prefix| Ipv6 {
        prefix,
        client_prefix_length,
        dns: dns6.unwrap_or_default(),
        blocked: mode == Mode::Block,
        ..options
    });
    (ipv4, ipv6)
}

/// What is done about IPv6.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Routed,
    Block,
    Off,
}

/// Clients whose IPv6 is refused get addresses out of this: it is never routed anywhere, so it may
/// be the same everywhere.
const BLOCKED: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfdad, 0x17b1, 0x0c6b, 0, 0, 0, 0, 0), 48);

fn ipv4_routes(settings: &mut Settings<'_>) -> Vec<Ipv4Net> {
    let routes = settings.list("ipv4.routes", |text| match net(text)? {
        IpNet::V4(net) => Ok(net),
        IpNet::V6(_) => Err(Complaint::new(
            format!("{text} is an IPv6 network"),
            "put it into routes of [ipv6]",
        )),
    });
    let routes = routes.unwrap_or_default();
    if !dhcp4::routes_fit(&routes) {
        settings.error(
            "ipv4.routes",
            "are too many: clients read them from one DHCP option of 255 bytes, about 30 routes",
            "join neighbouring networks",
        );
    }
    routes
}

/// What `[ipv6]` says beside the prefix and the resolvers.
fn ipv6_options(settings: &mut Settings<'_>, prefix: Option<Ipv6Net>) -> Ipv6 {
    let search = settings.list("ipv6.search", domain).unwrap_or_default();
    let search_bytes: usize = search.iter().map(Domain::wire_len).sum();
    if search_bytes > MAX_SEARCH_BYTES {
        settings.error(
            "ipv6.search",
            format_args!("are too long: {search_bytes} bytes, of {MAX_SEARCH_BYTES} that fit"),
            "leave the domains that clients really need",
        );
    }
    let routes = settings.list("ipv6.routes", |text| match net(text)? {
        IpNet::V6(net) => Ok(net),
        IpNet::V4(_) => Err(Complaint::new(
            format!("{text} is an IPv4 network"),
            "put it into routes of [ipv4]",
        )),
    });
    let routes = routes.unwrap_or_default();
    if routes.len() > MAX_ROUTES {
        settings.error(
            "ipv6.routes",
            format_args!("are too many: an advertisement carries {MAX_ROUTES}"),
            "join neighbouring networks",
        );
    }
    let preference = settings.parsed("ipv6.router-preference", |text| match text {
        "low" => Ok(Preference::Low),
        "medium" => Ok(Preference::Medium),
        "high" => Ok(Preference::High),
        _ => Err(Complaint::new(
            format!("{text:?} is not a preference"),
            "write \"low\", \"medium\" or \"high\"",
        )),
    });
    let nd_proxy = settings.parsed("ipv6.nd-proxy", |text| {
        if !is_interface(text) {
            return Err(Complaint::new(
                format!("{text:?} is not an interface name"),
                "write the interface that has the on-link /64, such as \"eth0\"",
            ));
        }
        Ok(text.to_owned())
    });
    Ipv6 {
        nd_proxy,
        six_to_four: settings.flag("ipv6.six-to-four", false),
        prefix: BLOCKED,
        client_prefix_length: 64,
        dns: Vec::new(),
        search,
        routes,
        preference: preference.unwrap_or(Preference::High),
        delegate: delegate(settings, prefix),
        blocked: false,
    }
}

fn delegate(settings: &mut Settings<'_>, own: Option<Ipv6Net>) -> Option<Delegate> {
    let length = settings.number("ipv6.delegate-length", 56, 32..=64);
    let length = u8::try_from(length).unwrap_or(56);
    let prefix = settings.parsed("ipv6.delegate", prefix)?;
    if own.is_some_and(|own| own.contains(&prefix) || prefix.contains(&own)) {
        settings.error(
            "ipv6.delegate",
            "overlaps ipv6.prefix, which clients get their own prefixes out of",
            "write another prefix that is routed to this host",
        );
    }
    if prefix.prefix_len() > length {
        settings.error(
            "ipv6.delegate",
            format_args!("{prefix} is smaller than one delegated /{length}"),
            "write a shorter prefix, or a longer delegate-length",
        );
    }
    Some(Delegate { prefix, length })
}

fn domain(text: &str) -> Result<Domain, Complaint> {
    text.parse().map_err(|error| {
        Complaint::new(
            format!("{text:?} is {error}"),
            "write a domain such as \"corp.example.org\"",
        )
    })
}

/// Reads a network of either family that the tunnel leads to.
fn net(text: &str) -> Result<IpNet, Complaint> {
    let net: IpNet = text.parse().map_err(|_| {
        Complaint::new(
            format!("{text:?} is not a network"),
            "write a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"",
        )
    })?;
    if net.trunc() != net {
        return Err(Complaint::new(
            format!("{text} is an address inside a network"),
            format!("write the network itself: \"{}\"", net.trunc()),
        ));
    }
    Ok(net)
}

// Each argument: `None` if the family is not served, else whether it has routes. A tunnel that is
// split in one family only would carry everything of the other.
fn judge_routes(settings: &mut Settings<'_>, ipv4: Option<bool>, ipv6: Option<bool>) {
    let (missing, other) = match (ipv4, ipv6) {
        (Some(true), Some(false)) => ("ipv6.routes", "ipv4.routes"),
        (Some(false), Some(true)) => ("ipv4.routes", "ipv6.routes"),
        _ => return,
    };
    settings.error(
        missing,
        format_args!(
            "is missing while {other} is set: the tunnel would be split in one family only"
        ),
        "write the networks of both families, or of neither",
    );
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

/// A /64 that clients share with the hosts of a link leaves nothing to cut prefixes from.
fn judge_nd_proxy(settings: &mut Settings<'_>, mode: Mode, prefix: Option<Ipv6Net>, client: u8) {
    const KEY: &str = "ipv6.nd-proxy";
    if mode != Mode::Routed {
        settings.error(
            KEY,
            "goes with mode = \"routed\" only",
            "take one of the two out",
        );
    }
    if let Some(prefix) = prefix.filter(|prefix| prefix.prefix_len() != 64) {
        settings.error(
            "ipv6.prefix",
            format_args!(
                "{prefix} is no /64: with nd-proxy it is the one of the interface's link, where \
                 clients get single addresses"
            ),
            "write that /64, or take nd-proxy out if the provider routes the prefix to this host",
        );
    }
    if client != 64 {
        settings.error(
            "ipv6.client-prefix-length",
            "does not go with nd-proxy: all clients share one /64, since nothing of it is routed to \
             this host that could be cut into prefixes",
            "take it out, or ask the provider for a routed prefix",
        );
    }
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
