//! The way out to 6to4 hosts (2002::/16, RFC 3056): their packets go in IPv4 straight to the address
//! in the destination, not by a relay that nobody answers for (RFC 6343 4, RFC 7526).
//!
//! Only a way out: hosts here have native addresses, so answers come by native routing, and what
//! arrives in protocol 41 is sent on to nobody. Embedded addresses that no 6to4 host can have, private
//! ones above all, are refused (RFC 3056 9, RFC 3964 3.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::netlink::{Family, Netlink, NetlinkError, Scope};

/// The interface.
pub const NAME: &str = "adit-6to4";

/// What every IPv4 path carries with its own header (RFC 3056 4).
const MTU: u16 = 1280;

const TTL: u8 = 64;

/// Tells our unreachable routes from those of others, which mostly have the kernel's 1024.
const METRIC: u32 = 1025;

/// The kernel itself gives such an interface a route for the addresses that are one of IPv4 behind
/// zeros (RFC 4291 2.5.5.1), with metric 256: any IPv4 address would be reached by it.
const COMPATIBLE: (Ipv6Addr, u8, u32) = (Ipv6Addr::UNSPECIFIED, 96, 1);

/// IPv4 addresses that are of no host in the internet (RFC 6890), or of relays (RFC 7526).
const SPECIAL: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The interface, until it is closed. What a killed process left is taken over by the next.
#[derive(Debug)]
pub struct SixToFour {
    netlink: Netlink,
    local: Ipv4Addr,
}

impl SixToFour {
    /// Makes the interface, which sends from `local`, and routes 2002::/16 to it.
    pub async fn open(netlink: Netlink, local: Ipv4Addr) -> Result<Self, NetlinkError> {
        let opened = Self { netlink, local };
        match opened.set_up().await {
            Ok(()) => Ok(opened),
            Err(error) => {
                // What went wrong says more than what then cannot be removed.
                let _ = opened.close().await;
                Err(error)
            }
        }
    }

    async fn set_up(&self) -> Result<(), NetlinkError> {
        self.netlink.remove_sit(NAME).await?;
        // Before there is an interface, so that there is no moment without.
        self.netlink.add_dead_end(Family::V6, NAME).await?;
        let index = self.netlink.add_sit(NAME, self.local, TTL, MTU).await?;
        for (refused, metric) in refused(self.local) {
            self.netlink.add_unreachable(refused, metric).await?;
        }
        self.netlink.up(index).await?;
        let everything = embedding(Ipv4Net::default());
        self.netlink.add_route(everything, index, 0).await?;
        Ok(())
    }

    /// Takes the interface and everything else back.
    pub async fn close(&self) -> Result<(), NetlinkError> {
        let removed = self.netlink.remove_sit(NAME).await;
        for (refused, metric) in refused(self.local) {
            self.netlink.remove_unreachable(refused, metric).await?;
        }
        self.netlink.remove_dead_end(Family::V6, NAME).await?;
        removed
    }
}

/// The public IPv4 address that the host's packets leave with: one of the interface of the default
/// route, else any.
pub async fn public_address(netlink: &Netlink) -> Result<Option<Ipv4Addr>, NetlinkError> {
    let uplink = netlink.default_interface(Family::V4).await?;
    let uplink = uplink.map(|(index, _)| index);
    let addresses = netlink.addresses().await?;
    let mut public: Vec<(bool, Ipv4Addr)> = addresses
        .iter()
        .filter(|(_, _, scope)| *scope == Scope::Global)
        .filter_map(|(index, net, _)| match net.addr() {
            IpAddr::V4(address) if is_public(address) => Some((Some(*index) != uplink, address)),
            _ => None,
        })
        .collect();
    public.sort_by_key(|(elsewhere, _)| *elsewhere);
    Ok(public.first().map(|(_, address)| *address))
}

/// Whether an address can be of a host in the internet.
pub fn is_public(address: Ipv4Addr) -> bool {
    !special().any(|net| net.contains(&address))
}

fn special() -> impl Iterator<Item = Ipv4Net> {
    let nets = SPECIAL.iter();
    nets.filter_map(|(address, length)| Ipv4Net::new(*address, *length).ok())
}

/// The 6to4 networks of IPv4 addresses.
fn embedding(net: Ipv4Net) -> IpNet {
    let bits = 0x2002_u128 << 112 | u128::from(u32::from(net.network())) << 80;
    // At most 48.
    IpNet::V6(Ipv6Net::new(Ipv6Addr::from(bits), 16 + net.prefix_len()).unwrap_or_default())
}

/// What is answered with "unreachable", with the metric of the route: what nobody can have, and the
/// host's own, which would come back to itself.
fn refused(local: Ipv4Addr) -> impl Iterator<Item = (IpNet, u32)> {
    let (zeros, length, metric) = COMPATIBLE;
    let compatible = Ipv6Net::new(zeros, length).ok().map(IpNet::V6);
    let embedded = special().chain([Ipv4Net::from(local)]).map(embedding);
    let compatible = compatible.map(|net| (net, metric));
    embedded.map(|net| (net, METRIC)).chain(compatible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_special_ones() {
        for public in [
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.88.98.1",
            "223.255.255.1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.1.2.3",
            "10.9.8.7",
            "100.127.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.31.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.7.7",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.5",
            "255.255.255.255",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    /// RFC 3056 2: V4ADDR stands behind 2002.
    #[test]
    fn networks_are_embedded_behind_the_prefix() {
        let embedded = |net: &str| embedding(net.parse().unwrap()).to_string();
        assert_eq!(embedded("0.0.0.0/0"), "2002::/16");
        assert_eq!(embedded("10.0.0.0/8"), "2002:a00::/24");
        assert_eq!(embedded("172.16.0.0/12"), "2002:ac10::/28");
        assert_eq!(embedded("192.168.0.0/16"), "2002:c0a8::/32");
        assert_eq!(embedded("192.88.99.0/24"), "2002:c058:6300::/40");
        assert_eq!(embedded("1.2.3.4/32"), "2002:102:304::/48");
        let local = "1.2.3.4".parse().unwrap();
        let refused: Vec<String> = refused(local).map(|(net, _)| net.to_string()).collect();
        assert_eq!(refused.len(), SPECIAL.len() + 2);
        assert_eq!(refused[SPECIAL.len()..], ["2002:102:304::/48", "::/96"]);
    }
}
