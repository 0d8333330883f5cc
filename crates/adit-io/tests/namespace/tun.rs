//! TUN interfaces, their addresses and routes, and packets through them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adit_io::host;
use adit_io::netlink::{Family, Netlink, RouteKind, Scope};
use adit_io::tun::{Queue, Read, Tun, TunError};
use adit_io::udp::{Datagram, RecvBatch, UdpSocket};
use adit_wire::checksum::Sum;
use adit_wire::ip::{IpHeader, protocol};
use adit_wire::offload::{Segments, complete};
use adit_wire::{PacketBuf, udp};
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::in_namespace;
use crate::packets::{read_udp, udp_packet};

/// The next header of an IPv6 packet that is a fragment (RFC 8200 4.5).
const FRAGMENT: u8 = 44;

/// Room before a packet, as the server would ask for.
const HEADROOM: usize = 64;

/// Room after it.
const TAILROOM: usize = 32;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// A TUN that is up, with an address of each family.
async fn ready_tun(netlink: &Netlink) -> (Tun, Queue) {
    let (tun, queue) = Tun::create("adit%d", 1400).unwrap();
    for address in ["10.77.0.1/16", "2001:db8:77::1/48"] {
        netlink
            .add_address(tun.index(), net(address))
            .await
            .unwrap();
    }
    netlink.up(tun.index()).await.unwrap();
    (tun, queue)
}

/// The next UDP packet that the host sends into the TUN.
async fn next_udp(tun: &Queue) -> (SocketAddr, SocketAddr, Vec<u8>) {
    let mut buf = PacketBuf::with_capacity(HEADROOM, 2048);
    let wait = async {
        loop {
            tun.readable().await.unwrap();
            buf.reset(HEADROOM);
            while tun.recv(&mut buf).unwrap() {
                assert_eq!(buf.headroom(), HEADROOM);
                if let Some(udp) = read_udp(buf.as_slice()) {
                    return udp;
                }
                buf.reset(HEADROOM);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait)
        .await
        .expect("a packet comes out of the TUN")
}

#[test]
fn packets_of_both_families_go_both_ways() {
    in_namespace("packets_of_both_families_go_both_ways", async |netlink| {
        let (_tun, queue) = ready_tun(&netlink).await;
        let mut batch = RecvBatch::new();
        for (host, client) in [
            ("10.77.0.1", "10.77.5.5"),
            ("2001:db8:77::1", "2001:db8:77:5::5"),
        ] {
            let [host, client]: [IpAddr; 2] = [host, client].map(|ip| ip.parse().unwrap());
            let socket = UdpSocket::bind(SocketAddr::new(host, 0)).unwrap();
            let remote = SocketAddr::new(client, 4000);

            socket.send(host, remote, b"to the client").unwrap();
            let seen = next_udp(&queue).await;
            assert_eq!(
                seen,
                (socket.local_addr(), remote, b"to the client".to_vec())
            );

            queue
                .send(&udp_packet(remote, socket.local_addr(), b"to the host"))
                .unwrap();
            tokio::time::timeout(Duration::from_secs(5), socket.readable())
                .await
                .expect("a packet goes into the TUN")
                .unwrap();
            assert_eq!(socket.recv(&mut batch).unwrap(), 1);
            let received = batch.iter_mut().next().unwrap();
            assert_eq!(
                (received.local, received.remote, &*received.bytes),
                (socket.local_addr(), remote, &b"to the host"[..])
            );
        }
    });
}

#[test]
fn a_large_message_is_fragmented_to_the_mtu() {
    in_namespace(
        "a_large_message_is_fragmented_to_the_mtu",
        async |netlink| {
            let (_tun, queue) = ready_tun(&netlink).await;
            for (host, client) in [
                ("10.77.0.1", "10.77.5.5"),
                ("2001:db8:77::1", "2001:db8:77:5::5"),
            ] {
                let [host, client]: [IpAddr; 2] = [host, client].map(|ip| ip.parse().unwrap());
                let socket = UdpSocket::bind(SocketAddr::new(host, 0)).unwrap();
                let remote = SocketAddr::new(client, 500);
                socket.send(host, remote, &[7; 4000]).unwrap();
                let mut buf = PacketBuf::with_capacity(HEADROOM, 2048);
                // The whole datagram, put together from its fragments, which come in order.
                let mut datagram: Vec<u8> = Vec::new();
                while datagram.len() < udp::HEADER_LEN + 4000 {
                    tokio::time::timeout(Duration::from_secs(5), queue.readable())
                        .await
                        .expect("the next fragment")
                        .unwrap();
                    buf.reset(HEADROOM);
                    if !queue.recv(&mut buf).unwrap() {
                        continue;
                    }
                    assert!(buf.len() <= 1400);
                    let packet = buf.as_slice();
                    if host.is_ipv4() {
                        // Don't Fragment must be off: a router further on may have a smaller link.
                        assert_eq!(packet[6] & 0x40, 0);
                        datagram.extend(&packet[20..]);
                    } else if packet[6] == FRAGMENT {
                        datagram.extend(&packet[48..]);
                    }
                }
                assert_eq!(datagram[udp::HEADER_LEN..], [7; 4000]);
            }
        },
    );
}

#[test]
fn a_new_interface_is_as_asked_and_goes_with_its_owner() {
    in_namespace("a_new_interface_is_as_asked", async |netlink| {
        let (first, queue) = Tun::create("adit%d", 1400).unwrap();
        let (second, _queue) = Tun::create("adit%d", 1280).unwrap();
        assert_eq!((first.name(), second.name()), ("adit0", "adit1"));
        assert_ne!(first.index(), second.index());
        assert_eq!(
            netlink.interface_name(second.index()).await.unwrap(),
            "adit1"
        );
        let read = |file: &str| {
            let (_, text) = crate::run("a_new_interface", "ip", &["link", "show", "adit0"])?;
            Some(text.contains(file))
        };
        for part in ["mtu 1400", "qlen 2000", "POINTOPOINT"] {
            assert_ne!(read(part), Some(false), "{part}");
        }
        netlink.set_mtu(first.index(), 1300).await.unwrap();
        assert_ne!(read("mtu 1300"), Some(false));
        assert_eq!(host::read("net.ipv6.conf.adit0.accept_ra").unwrap(), "0");

        let error = Tun::create("adit0", 1400).unwrap_err();
        assert!(matches!(error, TunError::Taken { .. }), "{error:?}");
        let error = Tun::create("lo", 1400).unwrap_err();
        assert!(matches!(error, TunError::Taken { .. }), "{error:?}");

        let index = first.index();
        drop(queue);
        // Other tests start programs: between fork and exec those hold our descriptors too.
        let gone = async {
            loop {
                match netlink.set_mtu(index, 1400).await {
                    Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Err(error) => return error.to_string(),
                }
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(5), gone).await;
        let error = error.expect("the interface goes with its owner");
        assert!(error.contains("gone"), "{error}");
    });
}

#[test]
fn addresses_are_listed_and_usable_at_once() {
    in_namespace("addresses_are_listed_and_usable_at_once", async |netlink| {
        let (tun, _queue) = ready_tun(&netlink).await;
        // Twice is once.
        let v6 = net("2001:db8:77::1/48");
        netlink.add_address(tun.index(), v6).await.unwrap();
        let mut all = netlink.addresses().await.unwrap();
        all.sort_by_key(|(index, net, _)| (*index, *net));
        assert_eq!(
            all,
            [
                (1, net("127.0.0.1/8"), Scope::Host),
                (1, net("::1/128"), Scope::Host),
                (tun.index(), net("10.77.0.1/16"), Scope::Global),
                (tun.index(), v6, Scope::Global),
            ]
        );
        // Not tentative: it can be bound.
        UdpSocket::bind("[2001:db8:77::1]:500".parse().unwrap()).unwrap();
    });
}

#[test]
fn routes_come_and_go() {
    in_namespace("routes_come_and_go", async |netlink| {
        let (tun, _queue) = ready_tun(&netlink).await;
        let (other, _other_queue) = Tun::create("other", 1400).unwrap();
        netlink.up(other.index()).await.unwrap();
        for (family, prefix, metric, as_listed) in [
            (Family::V4, "192.0.2.128/25", 7, 7),
            (Family::V4, "198.51.100.0/24", 0, 0),
            (Family::V6, "2001:db8:5::/64", 7, 7),
            (Family::V6, "2001:db8:6::/56", 0, 1024),
        ] {
            let prefix = net(prefix);
            let find = async || {
                let routes = netlink.routes(family).await.unwrap();
                let mut found = routes.into_iter().filter(|r| r.destination == prefix);
                let route = found.next();
                assert_eq!(found.next(), None);
                route.map(|r| (r.interface, r.metric, r.kind, r.from_advertisement))
            };
            let index = tun.index();
            assert_eq!(find().await, None);
            netlink.add_route(prefix, index, metric).await.unwrap();
            let wanted = Some((Some(index), as_listed, RouteKind::Unicast, false));
            assert_eq!(find().await, wanted);
            // The same again is no error, but another's route is never taken over.
            netlink.add_route(prefix, index, metric).await.unwrap();
            let error = netlink.add_route(prefix, other.index(), metric).await;
            let text = error.unwrap_err().to_string();
            assert!(text.contains(&prefix.to_string()), "{text}");
            assert!(text.contains("something else on this host"), "{text}");
            assert_eq!(find().await, wanted);
            netlink.remove_route(prefix, other.index()).await.unwrap();
            assert_eq!(find().await, wanted);
            netlink.remove_route(prefix, index).await.unwrap();
            netlink.remove_route(prefix, index).await.unwrap();
            assert_eq!(find().await, None);
        }
    });
}

#[test]
fn a_whole_pool_can_be_unreachable_under_its_sessions() {
    in_namespace("a_whole_pool_can_be_unreachable", async |netlink| {
        let (tun, queue) = ready_tun(&netlink).await;
        for (family, pool, session, host, client, stranger) in [
            (
                Family::V4,
                "10.88.0.0/16",
                "10.88.0.2/32",
                "10.77.0.1",
                "10.88.0.2:9",
                "10.88.0.3:9",
            ),
            (
                Family::V6,
                "2001:db8:88::/48",
                "2001:db8:88:2::/64",
                "2001:db8:77::1",
                "[2001:db8:88:2::2]:9",
                "[2001:db8:88:3::3]:9",
            ),
        ] {
            let (pool, session) = (net(pool), net(session));
            netlink.add_unreachable(pool, 4_000_000).await.unwrap();
            netlink.add_unreachable(pool, 4_000_000).await.unwrap();
            netlink.add_route(session, tun.index(), 0).await.unwrap();
            let host: IpAddr = host.parse().unwrap();
            let socket = UdpSocket::bind(SocketAddr::new(host, 0)).unwrap();
            let client = client.parse().unwrap();
            socket.send(host, client, b"hello").unwrap();
            assert_eq!(
                next_udp(&queue).await,
                (socket.local_addr(), client, b"hello".to_vec())
            );
            let error = socket.send(host, stranger.parse().unwrap(), b"hello");
            assert!(
                matches!(
                    error.unwrap_err().kind(),
                    std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable
                ),
                "{stranger}"
            );
            let kinds = async || {
                let routes = netlink.routes(family).await.unwrap();
                let of_pool = routes.into_iter().filter(|r| r.destination == pool);
                of_pool.map(|r| (r.kind, r.metric)).collect::<Vec<_>>()
            };
            assert_eq!(kinds().await, [(RouteKind::Unreachable, 4_000_000)]);
            netlink.remove_unreachable(pool, 4_000_000).await.unwrap();
            netlink.remove_unreachable(pool, 4_000_000).await.unwrap();
            assert_eq!(kinds().await, []);
        }
    });
}

#[test]
fn the_default_interface_of_each_family() {
    in_namespace("the_default_interface_of_each_family", async |netlink| {
        for family in [Family::V4, Family::V6] {
            assert_eq!(netlink.default_interface(family).await.unwrap(), None);
        }
        let (tun, _queue) = ready_tun(&netlink).await;
        for family in [Family::V4, Family::V6] {
            netlink
                .add_default_route(family, tun.index())
                .await
                .unwrap();
            assert_eq!(
                netlink.default_interface(family).await.unwrap(),
                Some((tun.index(), "adit0".to_owned()))
            );
            let route = netlink.default_route(family).await.unwrap().unwrap();
            assert!(!route.from_advertisement);
            assert_eq!(route.gateway, None);
        }
    });
}

#[test]
fn reading_never_waits_and_a_deleted_interface_is_told() {
    in_namespace("reading_never_waits", async |netlink| {
        let (tun, queue) = Tun::create("adit%d", 1400).unwrap();
        let mut buf = PacketBuf::with_capacity(HEADROOM, 2048);
        assert!(!queue.recv(&mut buf).unwrap());
        let down = queue.send(&udp_packet(
            "10.0.0.1:1".parse().unwrap(),
            "10.0.0.2:1".parse().unwrap(),
            b"x",
        ));
        assert_eq!(down.unwrap_err().raw_os_error(), Some(libc_eio()));
        netlink.up(tun.index()).await.unwrap();
        assert_eq!(
            queue.send(&[0x10, 0, 0, 0]).unwrap_err().kind(),
            std::io::ErrorKind::InvalidInput
        );
        let Some((deleted, _)) = crate::run("reading_never_waits", "ip", &["link", "del", "adit0"])
        else {
            return;
        };
        assert!(deleted);
        let gone = async {
            loop {
                queue.readable().await.unwrap();
                if let Err(error) = queue.recv(&mut buf) {
                    return error;
                }
                tokio::task::yield_now().await;
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(5), gone).await;
        error.expect("reading says that the interface is gone");
    });
}

#[test]
fn flows_are_spread_over_queues_and_any_writes() {
    in_namespace("flows_are_spread_over_queues", async |netlink| {
        let (tun, queues) = Tun::create_queues("adit%d", 1400, 2).unwrap();
        for address in ["10.77.0.1/16", "2001:db8:77::1/48"] {
            netlink
                .add_address(tun.index(), net(address))
                .await
                .unwrap();
        }
        netlink.up(tun.index()).await.unwrap();
        let sender = queues[1].sender();
        let queues: Vec<Queue> = queues.into_iter().map(|q| q.attach().unwrap()).collect();
        let mut batch = RecvBatch::new();
        for (host, client) in [
            ("10.77.0.1", "10.77.5.5"),
            ("2001:db8:77::1", "2001:db8:77:5::5"),
        ] {
            let [host, client]: [IpAddr; 2] = [host, client].map(|ip| ip.parse().unwrap());
            let socket = UdpSocket::bind(SocketAddr::new(host, 0)).unwrap();
            // 64 flows of two packets: each flow in one queue, and not all flows in the same.
            for _ in 0..2 {
                for port in 4000..4064 {
                    let remote = SocketAddr::new(client, port);
                    socket.send(host, remote, b"to the client").unwrap();
                }
            }
            let mut seen: Vec<Vec<u16>> = Vec::new();
            for queue in &queues {
                let mut ports = Vec::new();
                let mut buf = PacketBuf::with_capacity(HEADROOM, 2048);
                tokio::time::timeout(Duration::from_secs(5), queue.readable())
                    .await
                    .expect("some flows are in each queue")
                    .unwrap();
                while queue.recv(&mut buf).unwrap() {
                    let (_, to, _) = read_udp(buf.as_slice()).unwrap();
                    ports.push(to.port());
                    buf.reset(HEADROOM);
                }
                seen.push(ports);
            }
            assert_eq!(seen[0].len() + seen[1].len(), 128);
            assert!(seen[0].iter().all(|port| !seen[1].contains(port)));

            let remote = SocketAddr::new(client, 4000);
            let packet = udp_packet(remote, socket.local_addr(), b"to the host");
            queues[0].send(&packet).unwrap();
            assert_eq!(sender.send_batch(&[&packet]).unwrap(), 1);
            let mut count = 0;
            while count < 2 {
                tokio::time::timeout(Duration::from_secs(5), socket.readable())
                    .await
                    .expect("a packet goes into the TUN")
                    .unwrap();
                count += socket.recv(&mut batch).unwrap();
                assert!(batch.iter_mut().all(|r| *r.bytes == *b"to the host"));
            }
        }
    });
}

/// What came out of the TUN, with source and destination exchanged: the host's stream to a client
/// comes back as the client's to the host. The checksums are those that they were.
fn turned(packet: &[u8]) -> Vec<u8> {
    let ip = IpHeader::parse(packet).unwrap();
    assert_eq!((ip.protocol, ip.end), (protocol::TCP, packet.len()));
    let segment = &packet[ip.payload()];
    let sum = Sum::new().pseudo_header(
        ip.source,
        ip.destination,
        protocol::TCP,
        segment.len() as u32,
    );
    assert_eq!(sum.bytes(segment).finish(), 0);
    let addresses = match ip.family() {
        Family::V4 => 12..20,
        Family::V6 => 8..40,
    };
    let mut packet = packet.to_vec();
    let middle = addresses.len() / 2;
    packet[addresses].rotate_left(middle);
    packet
}

/// What waits in a queue, by reads that leave it as the kernel gives it, on its way back.
fn given(queue: &Queue) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut buf = PacketBuf::with_capacity(HEADROOM, 1400 + TAILROOM);
    let mut long = PacketBuf::with_capacity(0, Queue::LONG_ROOM);
    loop {
        buf.reset(HEADROOM);
        let Some(read) = queue.read(&mut buf, TAILROOM, &mut long).unwrap() else {
            return packets;
        };
        assert_eq!(buf.headroom(), HEADROOM);
        let (header, packet) = match read {
            Read::Packet(header) => (header, buf.as_slice()),
            Read::Long(header) => (header, long.as_slice()),
        };
        if header.is_single() {
            assert!(matches!(read, Read::Packet(_)), "it fits");
            assert!(buf.tailroom() >= TAILROOM);
            complete(&header, buf.as_mut_slice()).unwrap();
            packets.push(turned(buf.as_slice()));
            continue;
        }
        let mut segments = Segments::new(&header, packet).unwrap();
        let mut segment = PacketBuf::with_capacity(0, 1400);
        while segments.next(packet, &mut segment).unwrap() {
            packets.push(turned(segment.as_slice()));
            segment.reset(0);
        }
    }
}

#[test]
fn a_stream_is_cut_up_and_put_together() {
    in_namespace("a_stream_is_cut_up", async |netlink| {
        let (tun, queue) = ready_tun(&netlink).await;
        let counted = |what: &str| {
            let file = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            let line = file.lines().find(|line| line.contains(tun.name())).unwrap();
            let fields: Vec<&str> = line.split_whitespace().collect();
            let at = if what == "in" { 2 } else { 10 };
            fields[at].parse::<usize>().unwrap()
        };
        for (host, client, as_given) in [
            ("10.77.0.1", "10.77.5.5", false),
            ("10.77.0.1", "10.77.5.6", true),
            ("2001:db8:77::1", "2001:db8:77:5::5", false),
            ("2001:db8:77::1", "2001:db8:77:5::6", true),
        ] {
            let [host, client]: [IpAddr; 2] = [host, client].map(|ip| ip.parse().unwrap());
            let listener = TcpListener::bind((host, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let sent: Vec<u8> = (0..8 << 20).map(|i: u32| (i ^ (i >> 11)) as u8).collect();
            let before = (counted("in"), counted("out"));
            let (mut taken, mut handed) = (0, 0);
            let carry = async {
                let mut bufs: Vec<_> = (0..64)
                    .map(|_| PacketBuf::with_capacity(HEADROOM, 1400))
                    .collect();
                loop {
                    queue.readable().await.unwrap();
                    let packets = if as_given {
                        given(&queue)
                    } else {
                        let mut packets = Vec::new();
                        for buf in &mut bufs {
                            buf.reset(HEADROOM);
                            if !queue.recv(buf).unwrap() {
                                break;
                            }
                            assert_eq!(buf.headroom(), HEADROOM);
                            packets.push(turned(buf.as_slice()));
                        }
                        packets
                    };
                    taken += packets.len();
                    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
                    handed += queue.send_batch(&packets).unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let receive = async {
                let (mut stream, from) = listener.accept().await.unwrap();
                assert_eq!(from.ip(), client);
                let mut received = Vec::new();
                stream.read_to_end(&mut received).await.unwrap();
                received
            };
            let send = async {
                let mut stream = TcpStream::connect((client, port)).await.unwrap();
                stream.write_all(&sent).await.unwrap();
                stream.shutdown().await.unwrap();
                // Until its end has been acknowledged.
                let _ = stream.read(&mut [0]).await;
            };
            let whole = async { tokio::join!(receive, send).0 };
            tokio::select! {
                received = tokio::time::timeout(Duration::from_secs(20), whole) => {
                    assert!(received.expect("it arrives") == sent, "it arrives as it was");
                }
                () = carry => {}
            }
            assert_eq!(queue.refused(), 0);
            let (read, written) = (counted("out") - before.1, counted("in") - before.0);
            assert!(taken > sent.len() / 1400 && handed >= taken - 64);
            assert!(read < taken / 2, "{taken} packets by {read} reads");
            assert!(written < handed / 2, "{handed} packets by {written} writes");
        }
    });
}

#[test]
fn datagrams_that_leave_as_one_are_cut_up() {
    in_namespace("datagrams_that_leave_as_one", async |netlink| {
        let (_tun, queue) = ready_tun(&netlink).await;
        for (host, client) in [
            ("10.77.0.1", "10.77.5.5"),
            ("2001:db8:77::1", "2001:db8:77:5::5"),
        ] {
            let [host, client]: [IpAddr; 2] = [host, client].map(|ip| ip.parse().unwrap());
            let socket = UdpSocket::bind(SocketAddr::new(host, 0)).unwrap();
            let remote = SocketAddr::new(client, 4000);
            let payloads: Vec<Vec<u8>> = (0..40u8).map(|i| vec![i; 1200]).collect();
            let batch: Vec<_> = payloads
                .iter()
                .map(|payload| Datagram {
                    local: host,
                    remote,
                    payload,
                })
                .collect();
            assert_eq!(socket.send_batch(&batch).unwrap(), 40);
            for payload in payloads {
                let seen = next_udp(&queue).await;
                assert_eq!(seen, (socket.local_addr(), remote, payload));
            }
        }
    });
}

fn libc_eio() -> i32 {
    nix::errno::Errno::EIO as i32
}
