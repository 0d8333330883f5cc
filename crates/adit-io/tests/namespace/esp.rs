//! ESP without UDP through raw sockets.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use adit_io::udp::{Datagram, RecvBatch, UdpSocket};

use crate::in_namespace;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Receives until `count` packets are there: our address, the peer's, the bytes.
async fn receive(socket: &UdpSocket, count: usize) -> Vec<(IpAddr, IpAddr, Vec<u8>)> {
    let mut batch = RecvBatch::new();
    let mut seen = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), async {
        while seen.len() < count {
            socket.readable().await.unwrap();
            socket.recv(&mut batch).unwrap();
            for packet in batch.iter_mut() {
                assert_eq!((packet.local.port(), packet.remote.port()), (0, 0));
                let bytes = packet.bytes.to_vec();
                seen.push((packet.local.ip(), packet.remote.ip(), bytes));
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{} of {count} packets arrived", seen.len()));
    seen
}

/// Waits until the kernel delivers what is for these addresses. It adds the routes for that on a thread
/// of its own, some time after the addresses.
async fn until_local(addresses: [&str; 2]) {
    let wanted = addresses.map(|address| {
        let address: Ipv6Addr = address.parse().unwrap();
        format!("{:032x} 80 ", u128::from(address))
    });
    let are_local = |routes: String| {
        let of = |wanted: &String| {
            let mut found = routes.lines().filter(|route| route.starts_with(wanted));
            // The ninth column holds the flags, the first bit of which is RTF_LOCAL.
            found.any(|route| route.split_whitespace().nth(8) >= Some("80000000"))
        };
        wanted.iter().all(of)
    };
    tokio::time::timeout(Duration::from_secs(5), async {
        while !are_local(std::fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("local routes");
}

#[test]
fn esp_comes_and_goes_between_chosen_addresses() {
    in_namespace(
        "esp_comes_and_goes_between_chosen_addresses",
        |netlink| async move {
            for address in ["2001:db8::1/128", "2001:db8::9/128"] {
                netlink
                    .add_address(1, address.parse().unwrap())
                    .await
                    .unwrap();
            }
            until_local(["2001:db8::1", "2001:db8::9"]).await;
            for (any, a, b) in [
                ("0.0.0.0", "127.0.0.2", "127.0.0.9"),
                ("::", "2001:db8::1", "2001:db8::9"),
            ] {
                let (a, b) = (ip(a), ip(b));
                let server = UdpSocket::bind_esp(ip(any)).unwrap();
                let client = UdpSocket::bind_esp(b).unwrap();
                let small = [0x12, 0x34, 0x56, 0x78, 0, 0, 0, 1, 0xaa];
                let large: Vec<u8> = (0..60_000u32).map(|i| i as u8).collect();
                let batch = [&small[..], &large[..]].map(|payload| Datagram {
                    local: a,
                    remote: (b, 0).into(),
                    payload,
                });
                assert_eq!(server.send_batch(&batch).unwrap(), 2);
                let seen = receive(&client, 2).await;
                assert_eq!(seen, [(b, a, small.to_vec()), (b, a, large.clone())]);
                // Both addresses are this host's, so the wildcard socket got a copy of each.
                receive(&server, 2).await;
                client.send(b, (a, 0).into(), &small).unwrap();
                assert_eq!(receive(&server, 1).await, [(a, b, small.to_vec())]);
            }
        },
    );
}
