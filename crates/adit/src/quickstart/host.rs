//! What can be seen of this host without asking anybody: its addresses, resolvers and routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use ipnet::Ipv4Net;

/// This host.
#[derive(Debug)]
pub(super) struct Host {
    /// Its address toward the IPv4 internet.
    pub(super) ipv4: Option<Ipv4Addr>,
    /// Its address toward the IPv6 internet.
    pub(super) ipv6: Option<Ipv6Addr>,
    /// Resolvers that clients could use too.
    pub(super) resolvers: Vec<IpAddr>,
    /// IPv4 networks that it has a route to, without the default one.
    pub(super) routes: Vec<Ipv4Net>,
    /// Whether IPv4 can be masqueraded here.
    pub(super) masquerade: bool,
}

impl Host {
    /// Looks at this host. What cannot be seen is left out.
    pub(super) fn look() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let mut resolvers = resolvers(&read("/etc/resolv.conf"));
        if resolvers.is_empty() {
            // systemd-resolved stands in between; this is what it asks.
            resolvers = self::resolvers(&read("/run/systemd/resolve/resolv.conf"));
        }
        let (mut ipv4, mut ipv6) = (None, None);
        // Documentation addresses: any address past the default route would do.
        if let Some(IpAddr::V4(address)) = source("0.0.0.0:0", "198.51.100.1:9") {
            ipv4 = Some(address);
        }
        if let Some(IpAddr::V6(address)) = source("[::]:0", "[2001:db8::1]:9") {
            ipv6 = Some(address);
        }
        Self {
            ipv4,
            ipv6,
            resolvers,
            routes: routes(&read("/proc/net/route")),
            masquerade: adit_io::masquerade::is_available(),
        }
    }
}

// The address that the kernel would send from. Connecting a UDP socket sends nothing.
fn source(from: &str, to: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

/// Whether clients anywhere can reach an address, as far as the address itself tells.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64; // RFC 6598
            !(v4.is_private()
                || shared
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified())
        }
        IpAddr::V6(v6) => {
            !(v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_loopback()
                || v6.is_unspecified())
        }
    }
}

fn resolvers(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse().ok())
        .filter(|address: &IpAddr| {
            let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            !address.is_loopback() && !address.is_unspecified() && !link_local
        })
        .collect()
}

// /proc/net/route: interface, destination, gateway, flags, refs, use, metric, mask, ..., the
// addresses as hexadecimal numbers in the host's byte order.
fn routes(text: &str) -> Vec<Ipv4Net> {
    let address = |field: &str| {
        let number = u32::from_str_radix(field, 16).ok()?;
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (destination, mask) = (address(fields.get(1)?)?, address(fields.get(7)?)?);
        Ipv4Net::with_netmask(destination, mask).ok()
    };
    text.lines()
        .skip(1)
        .filter_map(route)
        .filter(|net| net.prefix_len() > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_that_clients_cannot_reach_are_left_out() {
        let text = "# made by hand\nsearch lan\nnameserver 127.0.0.53\nnameserver 192.0.2.53\n\
                    nameserver fe80::1%eth0\nnameserver ::1\nnameserver 2001:db8::53\n";
        let expected: Vec<IpAddr> = vec![
            "192.0.2.53".parse().unwrap(),
            "2001:db8::53".parse().unwrap(),
        ];
        assert_eq!(resolvers(text), expected);
    }

    #[test]
    fn shared_and_local_addresses_are_not_public() {
        let public = |text: &str| is_public(text.parse().unwrap());
        for private in [
            "10.1.2.3",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(!public(private), "{private}");
        }
        for open in ["100.128.0.1", "9.9.9.9", "2606:4700::1"] {
            assert!(public(open), "{open}");
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_are_read() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                    eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                    tun0\t00004D0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let expected: Vec<Ipv4Net> = vec![
            "192.168.0.0/24".parse().unwrap(),
            "10.77.0.0/16".parse().unwrap(),
        ];
        assert_eq!(routes(text), expected);
    }
}
