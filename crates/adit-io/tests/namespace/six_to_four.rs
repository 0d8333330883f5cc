//! The way out to 6to4 hosts: interface, routes and rule, as the kernel has them.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use adit_io::namespace::Namespace;
use adit_io::netlink::{Family, Netlink, RouteKind};
use adit_io::six_to_four::{NAME, SixToFour, public_address};

use crate::{in_namespace, run, skipped};

const LOCAL: Ipv4Addr = Ipv4Addr::new(20, 0, 0, 1);

async fn kinds(netlink: &Netlink) -> Vec<(String, RouteKind)> {
    let routes = netlink.routes(Family::V6).await.unwrap();
    let mut kinds: Vec<_> = routes
        .into_iter()
        .map(|route| (route.destination.to_string(), route.kind))
        .filter(|(destination, _)| destination.starts_with("2002:") || destination == "::/96")
        .collect();
    kinds.sort_by(|one, other| one.0.cmp(&other.0));
    kinds
}

/// The rules that are not the kernel's own, as `ip` shows them.
fn rules(test: &str) -> Option<String> {
    let (_, shown) = run(test, "ip", &["-6", "rule"])?;
    let own = shown.lines().filter(|line| !line.contains("lookup"));
    Some(own.map(|line| format!("{line}\n")).collect())
}

#[test]
fn is_made_taken_over_and_removed() {
    const TEST: &str = "six_to_four_is_made_taken_over_and_removed";
    in_namespace(TEST, async |netlink| {
        let opened = SixToFour::open(netlink.clone(), LOCAL).await;
        if let Err(error) = opened
            && error.source.raw_os_error() == Some(libc::EOPNOTSUPP)
        {
            skipped(TEST, &error.to_string());
            assert_eq!(kinds(&netlink).await, []);
            assert_eq!(rules(TEST).unwrap_or_default(), "");
            return;
        }
        // As if the first one had been killed.
        let second = SixToFour::open(netlink.clone(), LOCAL).await.unwrap();
        let found = kinds(&netlink).await;
        let kind = |net: &str| {
            found
                .iter()
                .find(|(of, _)| of == net)
                .map(|(_, kind)| *kind)
        };
        assert_eq!(kind("2002::/16"), Some(RouteKind::Unicast));
        for refused in [
            "::/96",
            "2002:a00::/24",
            "2002:c0a8::/32",
            "2002:1400:1::/48",
        ] {
            assert_eq!(kind(refused), Some(RouteKind::Unreachable), "{refused}");
        }
        assert!(rules(TEST).is_none_or(|shown| shown.contains("blackhole")));
        second.close().await.unwrap();
        assert_eq!(kinds(&netlink).await, []);
        assert!(netlink.interface_index(NAME).await.is_err());
        assert_eq!(rules(TEST).unwrap_or_default(), "");
    });
}

#[test]
fn a_dead_end_is_made_and_taken_back() {
    const TEST: &str = "six_to_four_a_dead_end_is_made_and_taken_back";
    in_namespace(TEST, async |netlink| {
        for _ in 0..2 {
            netlink.add_dead_end(Family::V6, NAME).await.unwrap();
            let shown = rules(TEST).unwrap_or_default();
            assert!(
                shown.contains(&format!("iif {NAME}")) && shown.contains("blackhole"),
                "{shown}"
            );
        }
        for _ in 0..2 {
            netlink.remove_dead_end(Family::V6, NAME).await.unwrap();
            assert_eq!(rules(TEST).unwrap_or_default(), "");
        }
    });
}

#[test]
fn an_interface_of_another_kind_stays() {
    const TEST: &str = "six_to_four_an_interface_of_another_kind_stays";
    in_namespace(TEST, async |netlink| {
        let other = Namespace::new().unwrap();
        netlink.add_cable(NAME, "far", other.as_fd()).await.unwrap();
        netlink.remove_sit(NAME).await.unwrap();
        netlink.remove_sit("nobody").await.unwrap();
        let index = netlink.interface_index(NAME).await.unwrap();
        // An address counts if it can be of a host in the internet.
        for (address, public) in [("10.0.0.1/24", None), ("20.0.0.1/24", Some(LOCAL))] {
            netlink
                .add_address(index, address.parse().unwrap())
                .await
                .unwrap();
            assert_eq!(public_address(&netlink).await.unwrap(), public);
        }
    });
}
