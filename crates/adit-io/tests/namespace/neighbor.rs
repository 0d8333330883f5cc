//! Neighbours on a cable between two namespaces: whether an address is taken, and answers for others.

use std::net::Ipv6Addr;
use std::os::fd::AsFd;

use adit_io::host::{Forwarding, enable_forwarding, read, write};
use adit_io::namespace::Namespace;
use adit_io::netlink::Netlink;

use crate::in_namespace;

const PREFIX: &str = "2001:db8:1:2";

fn address(id: u16) -> Ipv6Addr {
    format!("{PREFIX}::{id:x}").parse().unwrap()
}

/// Whether the other end of the cable finds somebody who has the address.
fn peer_finds(peer: &Namespace, address: Ipv6Addr) -> bool {
    peer.run(move || {
        runtime().block_on(async {
            let netlink = Netlink::new().await.unwrap();
            let index = netlink.interface_index("peer").await.unwrap();
            netlink.is_on_link(index, address).await.unwrap()
        })
    })
    .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn without_dad() {
    for scope in ["all", "default"] {
        write(&format!("net.ipv6.conf.{scope}.accept_dad"), "0").unwrap();
    }
}

#[test]
fn addresses_are_found_and_answered_for() {
    in_namespace("addresses_are_found_and_answered_for", async |netlink| {
        without_dad();
        let peer = Namespace::new().unwrap();
        peer.run(without_dad).unwrap();
        netlink
            .add_cable("uplink", "peer", peer.as_fd())
            .await
            .unwrap();
        let index = netlink.interface_index("uplink").await.unwrap();
        let own = format!("{}/64", address(1)).parse().unwrap();
        netlink.add_address(index, own).await.unwrap();
        peer.run(|| {
            runtime().block_on(async {
                let netlink = Netlink::new().await.unwrap();
                let index = netlink.interface_index("peer").await.unwrap();
                let own = format!("{}/64", address(2)).parse().unwrap();
                netlink.add_address(index, own).await.unwrap();
                netlink.up(index).await.unwrap();
            });
        })
        .unwrap();
        netlink.up(index).await.unwrap();

        assert!(netlink.is_on_link(index, address(2)).await.unwrap());
        assert!(!netlink.is_on_link(index, address(3)).await.unwrap());

        let (proxy, delay) = (
            "net.ipv6.conf.uplink.proxy_ndp",
            "net.ipv6.neigh.uplink.proxy_delay",
        );
        let before = [proxy, delay].map(|key| read(key).unwrap());
        let wanted = Forwarding {
            ipv6: true,
            nd_proxy: Some("uplink".to_owned()),
            ..Forwarding::default()
        };
        let restore = enable_forwarding(&wanted).unwrap();
        assert_eq!(wanted.check(), []);
        assert!(!peer_finds(&peer, address(3)));
        netlink.add_proxy(index, address(3)).await.unwrap();
        netlink.add_proxy(index, address(3)).await.unwrap();
        netlink.add_proxy(index, address(4)).await.unwrap();
        assert!(peer_finds(&peer, address(3)));
        let mut proxies = netlink.proxies(index).await.unwrap();
        proxies.sort();
        assert_eq!(proxies, [address(3), address(4)]);
        assert_eq!(netlink.proxies(1).await.unwrap(), [] as [Ipv6Addr; 0]);

        netlink.remove_proxy(index, address(3)).await.unwrap();
        netlink.remove_proxy(index, address(3)).await.unwrap();
        assert!(!peer_finds(&peer, address(3)));
        assert!(peer_finds(&peer, address(4)));
        drop(restore);
        assert_eq!([proxy, delay].map(|key| read(key).unwrap()), before);
        assert!(!peer_finds(&peer, address(4)));
    });
}
