use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::socket::getsockopt;

use super::*;

/// Binds loopback with a free port.
fn loopback(v6: bool) -> UdpSocket {
    let ip: IpAddr = if v6 { "::1" } else { "127.0.0.1" }.parse().unwrap();
    UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap()
}

/// What one datagram was: our address, the peer's, the bytes.
type Seen = (SocketAddr, SocketAddr, Vec<u8>);

/// Receives until `count` datagrams are there.
async fn receive(socket: &UdpSocket, count: usize) -> Vec<Seen> {
    let mut batch = RecvBatch::new();
    let mut seen = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), async {
        while seen.len() < count {
            socket.readable().await.unwrap();
            let number = socket.recv(&mut batch).unwrap();
            let before = seen.len();
            seen.extend(
                batch
                    .iter_mut()
                    .map(|r| (r.local, r.remote, r.bytes.to_vec())),
            );
            assert_eq!(seen.len() - before, number);
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{} of {count} datagrams arrived", seen.len()));
    seen
}

#[tokio::test]
async fn tells_and_uses_both_addresses() {
    // A wildcard socket learns which of the loopback addresses was meant, and answers from it.
    let server = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let port = server.local_addr().port();
    let client = loopback(false);
    let from = client.local_addr();
    for ip in ["127.0.0.1", "127.0.0.9"] {
        let local = SocketAddr::new(ip.parse().unwrap(), port);
        client.send(from.ip(), local, ip.as_bytes()).unwrap();
        assert_eq!(
            receive(&server, 1).await,
            [(local, from, ip.as_bytes().to_vec())]
        );
        server.send(local.ip(), from, b"answer").unwrap();
        assert_eq!(
            receive(&client, 1).await,
            [(from, local, b"answer".to_vec())]
        );
    }
}

#[tokio::test]
async fn both_wildcards_of_a_port_stand_together() {
    let v4 = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let port = v4.local_addr().port();
    let [_, any6] = wildcards(port);
    let v6 = UdpSocket::bind(any6).unwrap();
    for (server, client) in [(&v4, loopback(false)), (&v6, loopback(true))] {
        let from = client.local_addr();
        let local = SocketAddr::new(from.ip(), port);
        client.send(from.ip(), local, b"hello").unwrap();
        assert_eq!(receive(server, 1).await, [(local, from, b"hello".to_vec())]);
        server.send(local.ip(), from, b"answer").unwrap();
        assert_eq!(
            receive(&client, 1).await,
            [(from, local, b"answer".to_vec())]
        );
    }
}

#[tokio::test]
async fn a_batch_goes_to_many_from_many() {
    for v6 in [false, true] {
        let server = loopback(v6);
        let clients = [loopback(v6), loopback(v6), loopback(v6)];
        let local = server.local_addr().ip();
        let payloads: Vec<Vec<u8>> = (0..100u8).map(|i| vec![i; usize::from(i) * 10]).collect();
        let batch: Vec<Datagram<'_>> = payloads
            .iter()
            .enumerate()
            .map(|(i, payload)| Datagram {
                local,
                remote: clients[i % 3].local_addr(),
                payload,
            })
            .collect();
        assert_eq!(server.send_batch(&batch).unwrap(), 100);
        for (k, client) in clients.iter().enumerate() {
            let wanted: Vec<Seen> = payloads
                .iter()
                .skip(k)
                .step_by(3)
                .map(|payload| (client.local_addr(), server.local_addr(), payload.clone()))
                .collect();
            assert_eq!(receive(client, wanted.len()).await, wanted);
        }
    }
}

#[tokio::test]
async fn runs_of_one_size_arrive_as_the_datagrams_they_were() {
    for v6 in [false, true] {
        let server = loopback(v6);
        let clients = [loopback(v6), loopback(v6)];
        // Runs of each destination with a shorter end, more than one message takes, and one
        // datagram that is larger than its predecessor.
        let mut sizes = vec![1400; 150];
        sizes.extend([700, 900, 900, 1]);
        let payloads: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(i, size)| vec![i as u8; *size])
            .collect();
        for segmentation in [true, false] {
            server.segmentation.store(segmentation, Ordering::Relaxed);
            for client in &clients {
                let batch: Vec<Datagram<'_>> = payloads
                    .iter()
                    .map(|payload| Datagram {
                        local: server.local_addr().ip(),
                        remote: client.local_addr(),
                        payload,
                    })
                    .collect();
                assert_eq!(server.send_batch(&batch).unwrap(), payloads.len());
                let seen = receive(client, payloads.len()).await;
                let wanted = payloads
                    .iter()
                    .map(|payload| (client.local_addr(), server.local_addr(), payload.clone()));
                assert_eq!(seen, wanted.collect::<Vec<_>>());
            }
        }
    }
}

mod no_check {
    use nix::{setsockopt_impl, sockopt_impl};

    sockopt_impl!(
        /// No checksums, with which the kernel refuses to cut messages up.
        NoCheck,
        SetOnly,
        libc::SOL_SOCKET,
        libc::SO_NO_CHECK,
        bool
    );
}

#[tokio::test]
async fn a_run_is_one_message_until_the_kernel_refuses_it() {
    let (server, client) = (loopback(false), loopback(false));
    let datagram = Datagram {
        local: server.local_addr().ip(),
        remote: client.local_addr(),
        payload: &[7; 1000],
    };
    // Loopback hands an uncut message on to a receiver that takes coalesced ones.
    let next = async || {
        let mut message = vec![0; 65_535];
        client.socket.recv(&mut message).await.unwrap()
    };
    assert_eq!(server.send_batch(&[datagram; 40]).unwrap(), 40);
    assert_eq!(next().await, 40_000);

    setsockopt(&server.socket, no_check::NoCheck, &true).unwrap();
    assert_eq!(server.send_batch(&[datagram; 40]).unwrap(), 40);
    for _ in 0..40 {
        assert_eq!(next().await, 1000);
    }
}

#[tokio::test]
async fn the_source_address_of_each_datagram_of_a_batch_counts() {
    let server = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let client = loopback(false);
    let sources = ["127.0.0.3", "127.0.0.4", "127.0.0.5"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let batch = sources.map(|local| Datagram {
        local,
        remote: client.local_addr(),
        payload: b"x",
    });
    assert_eq!(server.send_batch(&batch).unwrap(), 3);
    let seen: Vec<IpAddr> = receive(&client, 3)
        .await
        .iter()
        .map(|(_, remote, _)| remote.ip())
        .collect();
    assert_eq!(seen, sources);
}

#[tokio::test]
async fn a_refused_datagram_keeps_no_other_back() {
    let server = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let client = loopback(false);
    let datagram = |local: &str, payload| Datagram {
        local: local.parse().unwrap(),
        remote: client.local_addr(),
        payload,
    };
    // 192.0.2.1 (RFC 5737) is no address of this host.
    let batch = [
        datagram("192.0.2.1", b"1"),
        datagram("127.0.0.1", b"2"),
        datagram("192.0.2.1", b"3"),
        datagram("127.0.0.1", b"4"),
    ];
    assert_eq!(server.send_batch(&batch).unwrap(), 2);
    let seen: Vec<Vec<u8>> = receive(&client, 2)
        .await
        .into_iter()
        .map(|(_, _, bytes)| bytes)
        .collect();
    assert_eq!(seen, [b"2", b"4"]);
    server.send_batch(&batch[..1]).unwrap_err();
    assert_eq!(server.send_batch(&[]).unwrap(), 0);
}

#[tokio::test]
async fn the_kernel_may_fragment_and_large_messages_arrive_whole() {
    for v6 in [false, true] {
        let (server, client) = (loopback(v6), loopback(v6));
        let message: Vec<u8> = (0..60_000u32).map(|i| i as u8).collect();
        let to = server.local_addr();
        client.send(client.local_addr().ip(), to, &message).unwrap();
        assert_eq!(receive(&server, 1).await[0].2, message);
        assert_eq!(
            getsockopt(&server.socket, whole::IpMtuDiscover).unwrap(),
            libc::IP_PMTUDISC_DONT
        );
        if v6 {
            assert_eq!(
                getsockopt(&server.socket, whole::Ipv6MtuDiscover).unwrap(),
                libc::IPV6_PMTUDISC_WANT
            );
            assert!(!getsockopt(&server.socket, sockopt::Ipv6DontFrag).unwrap());
        }
    }
}

#[tokio::test]
async fn coalesced_datagrams_arrive_one_by_one() {
    // The sender uses segmentation, so loopback hands the receiver one coalesced buffer.
    for v6 in [false, true] {
        let (server, client) = (loopback(v6), loopback(v6));
        let bytes: Vec<u8> = (0..10_500u32).map(|i| (i / 1000) as u8).collect();
        client
            .state
            .try_send(
                (&client.socket).into(),
                &Transmit {
                    destination: server.local_addr(),
                    ecn: None,
                    contents: &bytes,
                    segment_size: Some(1000),
                    src_ip: None,
                },
            )
            .unwrap();
        let seen = receive(&server, 11).await;
        let payloads: Vec<&[u8]> = seen.iter().map(|(_, _, bytes)| &bytes[..]).collect();
        assert_eq!(payloads, bytes.chunks(1000).collect::<Vec<_>>());
        assert!(
            seen.iter()
                .all(|(local, remote, _)| *local == server.local_addr()
                    && *remote == client.local_addr())
        );
    }
}

#[tokio::test]
async fn receiving_never_waits() {
    let (server, client) = (loopback(false), loopback(false));
    let mut batch = RecvBatch::new();
    assert_eq!(server.recv(&mut batch).unwrap(), 0);
    // An empty datagram is a datagram.
    client
        .send(client.local_addr().ip(), server.local_addr(), b"")
        .unwrap();
    let seen = receive(&server, 1).await;
    assert_eq!(
        seen,
        [(server.local_addr(), client.local_addr(), Vec::new())]
    );
    assert_eq!(server.recv(&mut batch).unwrap(), 0);
    assert_eq!(batch.iter_mut().count(), 0);
}

#[tokio::test]
async fn two_families_in_one_datagram_are_refused() {
    let socket = loopback(false);
    let error = socket
        .send("::1".parse().unwrap(), "127.0.0.1:9".parse().unwrap(), b"x")
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn an_operator_learns_what_is_wrong_with_an_address() {
    let taken = loopback(false);
    let error = UdpSocket::bind(taken.local_addr()).unwrap_err();
    assert!(matches!(error, BindError::InUse { address } if address == taken.local_addr()));
    let text = error.to_string();
    assert!(text.contains(&taken.local_addr().to_string()), "{text}");
    assert!(text.contains("strongSwan"), "{text}");

    let error = UdpSocket::bind("192.0.2.1:500".parse().unwrap()).unwrap_err();
    assert!(matches!(error, BindError::NoSuchAddress { .. }), "{error}");
    assert!(error.to_string().contains("192.0.2.1"));
}

#[tokio::test]
async fn a_group_is_steered_by_spi() {
    for v6 in [false, true] {
        for members in [2, 4] {
            let client = loopback(v6);
            let from = client.local_addr();
            let group = UdpSocket::bind_group(SocketAddr::new(from.ip(), 0), members).unwrap();
            assert_eq!(group.len(), members);
            let to = group[0].local_addr();
            assert!(group.iter().all(|member| member.local_addr() == to));
            let mut wanted = vec![Vec::new(); members];
            let spis = [0, 1, 2, 3, 4, 255, 256, 0x1234_5678, 0xffff_fffe, u32::MAX];
            for spi in spis {
                let mut payload = spi.to_be_bytes().to_vec();
                // A bare SPI is long enough to be steered by.
                if spi % 2 == 0 {
                    payload.extend([0xaa; 100]);
                }
                wanted[member_of(spi, members)].push(payload);
            }
            wanted[0].extend([vec![0xff], vec![], vec![1, 2, 3]]);
            for payload in wanted.iter().flatten() {
                client.send(from.ip(), to, payload).unwrap();
            }
            // From another port and address, to the same member.
            let moved = loopback(v6);
            let payload = 0x1234_5678_u32.to_be_bytes().to_vec();
            moved.send(from.ip(), to, &payload).unwrap();
            wanted[member_of(0x1234_5678, members)].push(payload);
            for (member, wanted) in group.into_iter().zip(wanted) {
                let member = member.attach().unwrap();
                let seen = receive(&member, wanted.len()).await;
                let seen: Vec<_> = seen.into_iter().map(|(_, _, bytes)| bytes).collect();
                assert_eq!(seen, wanted);
                // Each can answer.
                member.send(to.ip(), from, b"answer").unwrap();
                assert_eq!(receive(&client, 1).await[0].1, to);
            }
        }
    }
}

#[tokio::test]
async fn a_group_lets_nobody_else_in() {
    let any = "127.0.0.1:0".parse().unwrap();
    let group = UdpSocket::bind_group(any, 3).unwrap();
    let addr = group[0].local_addr();
    for members in [1, 2] {
        let error = UdpSocket::bind_group(addr, members).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
    }
    // One member is a socket like any other.
    let single = UdpSocket::bind_group(any, 1).unwrap();
    let error = UdpSocket::bind(single[0].local_addr()).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
}

#[test]
fn an_operator_without_raw_sockets_learns_what_to_do() {
    let denied = || io::Error::from_raw_os_error(libc::EPERM);
    let error = BindError::of_esp("0.0.0.0".parse().unwrap(), "opening a socket", denied());
    let text = error.to_string();
    assert!(matches!(error, BindError::RawPermission { .. }), "{text}");
    assert!(
        text.contains("CAP_NET_RAW") && text.contains("esp = false"),
        "{text}"
    );
}
