//! IPv6 addresses that a link is made of (RFC 4291).

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

/// All nodes of the link, ff02::1.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers of the link, ff02::2.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// All DHCPv6 servers and relay agents of the link, ff02::1:2 (RFC 8415 7.1).
pub const ALL_DHCP_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// The link-local address of an interface identifier (RFC 4291 2.5.6).
pub fn link_local(interface_id: u64) -> Ipv6Addr {
    Ipv6Addr::from((0xfe80_u128 << 112) | u128::from(interface_id))
}

/// The first 64 bits of `prefix` with an interface identifier behind them (RFC 4862 5.5.3 d).
pub fn with_interface_id(prefix: Ipv6Net, interface_id: u64) -> Ipv6Addr {
    let network = u128::from(prefix.network()) & !u128::from(u64::MAX);
    Ipv6Addr::from(network | u128::from(interface_id))
}

/// Whether `address` is in `prefix`. [`Ipv6Net`] compares it with both ends of its range as bytes,
/// which takes long enough to be seen on the packet path.
pub fn is_within(address: Ipv6Addr, prefix: &Ipv6Net) -> bool {
    (address.to_bits() ^ prefix.addr().to_bits()) & prefix.netmask().to_bits() == 0
}

/// The solicited-node multicast address of `address` (RFC 4291 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let prefix = 0xff02_0000_0000_0000_0000_0001_ff00_0000_u128;
    Ipv6Addr::from(prefix | (u128::from(address) & 0x00ff_ffff))
}

/// Whether a router must keep a packet between these addresses on the link: one of them is
/// link-local, multicast, loopback, or no address at all (RFC 4291 2.5, 2.7).
pub fn stays_on_link(source: Ipv6Addr, destination: Ipv6Addr) -> bool {
    let local = |address: Ipv6Addr| {
        address.is_unicast_link_local()
            || address.is_multicast()
            || address.is_loopback()
            || address.is_unspecified()
    };
    local(source) || local(destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_what_has_its_first_bits() {
        let address: Ipv6Addr = "2001:db8:77:1:2d0c:463c:a261:eb47".parse().unwrap();
        for length in 0..=128 {
            let prefix = Ipv6Net::new(address, length).unwrap();
            for bit in 0..128 {
                let other = Ipv6Addr::from(u128::from(address) ^ (1 << bit));
                assert_eq!(is_within(other, &prefix), prefix.contains(&other));
                assert_eq!(is_within(other, &prefix.trunc()), prefix.contains(&other));
            }
            assert!(is_within(address, &prefix));
        }
    }

    #[test]
    fn addresses_of_an_identifier() {
        let id = 0x0211_22ff_fe33_4455;
        assert_eq!(link_local(id).to_string(), "fe80::211:22ff:fe33:4455");
        let prefix = "2001:db8:0:7::/64".parse().unwrap();
        assert_eq!(
            with_interface_id(prefix, id).to_string(),
            "2001:db8:0:7:211:22ff:fe33:4455"
        );
        // The example of RFC 4291 2.7.1.
        assert_eq!(
            solicited_node("4037::01:800:200e:8c6c".parse().unwrap()).to_string(),
            "ff02::1:ff0e:8c6c"
        );
    }

    #[test]
    fn what_stays_on_the_link() {
        let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert!(!stays_on_link(global, global));
        for other in ["fe80::1", "ff02::1", "ff0e::1", "::1", "::"] {
            let other = other.parse().unwrap();
            assert!(stays_on_link(other, global) && stays_on_link(global, other));
        }
    }
}
