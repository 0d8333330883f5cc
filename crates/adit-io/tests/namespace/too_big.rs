//! Datagrams that are too big for a link: refused, cut, and heard of.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adit_io::udp::{Datagram, RecvBatch, SendError, TooBig, UdpSocket};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{in_namespace, run};

const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];

fn bound(ip: &str) -> UdpSocket {
    UdpSocket::bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap()
}

/// A socket whose datagrams are kept whole.
fn whole(ip: &str) -> UdpSocket {
    let mut socket = bound(ip);
    socket.keep_whole().unwrap();
    socket
}

/// What arrives, as lengths, until there are so many.
async fn lengths(socket: &UdpSocket, count: usize) -> Vec<usize> {
    let mut batch = RecvBatch::new();
    let mut seen = Vec::new();
    let all = async {
        while seen.len() < count {
            socket.readable().await.unwrap();
            socket.recv(&mut batch).unwrap();
            seen.extend(batch.iter_mut().map(|received| received.bytes.len()));
        }
    };
    let arrived = tokio::time::timeout(Duration::from_secs(5), all).await;
    assert!(
        arrived.is_ok(),
        "{} of {count} datagrams arrived",
        seen.len()
    );
    seen
}

/// The next entry of the error queue.
async fn error_of(socket: &UdpSocket) -> SendError {
    let next = async {
        loop {
            socket.error_readable().await.unwrap();
            if let Some(error) = socket.recv_error().unwrap() {
                return error;
            }
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(5), next).await;
    told.expect("an error")
}

fn too_big(error: SendError) -> TooBig {
    match error {
        SendError::TooBig(told) => told,
        SendError::Other => panic!("about something else"),
    }
}

#[test]
fn what_the_own_link_does_not_carry_is_refused_unless_it_may_be_cut() {
    const NAME: &str = "what_the_own_link_does_not_carry_is_refused_unless_it_may_be_cut";
    in_namespace(NAME, |_| async {
        let narrow = ["link", "set", "lo", "mtu", "1300"];
        if run(NAME, "ip", &narrow).is_none() {
            return;
        }
        for ip in LOOPBACK {
            let (server, client) = (whole(ip), bound(ip));
            let (local, to) = (server.local_addr().ip(), client.local_addr());
            let big = [7; 1400];
            let refused = server.send(local, to, &big).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(nix::libc::EMSGSIZE), "{ip}");
            let told = too_big(error_of(&server).await);
            assert_eq!((told.mtu, told.by_system), (1300, true), "{ip}");
            assert_eq!((told.remote.ip(), told.quote()), (to.ip(), &[][..]));
            while server.recv_error().unwrap().is_some() {}

            // One that fits goes, in the same batch too; and so does what may be cut.
            let batch = [&big[..], &big[..500], &big[..600]].map(|payload| Datagram {
                local,
                remote: to,
                payload,
            });
            assert_eq!(server.send_batch(&batch).unwrap(), 2, "{ip}");
            assert_eq!(lengths(&client, 2).await, [500, 600]);
            server.send_cut(local, to, &big).unwrap();
            assert_eq!(lengths(&client, 1).await, [1400]);
            // That was an exception.
            server.send(local, to, &big).unwrap_err();
            // Whoever did not ask for it has everything cut.
            bound(ip).send(local, to, &big).unwrap();
            assert_eq!(lengths(&client, 1).await, [1400]);
        }
    });
}

/// An ICMP error of these type and code from loopback to itself, with this MTU, about a datagram from
/// `from` to `to` that begins with `payload`.
fn forge(kind: u8, code: u8, mtu: u16, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
    let mut message = vec![kind, code, 0, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    let length = payload.len() as u16 + 8;
    let (domain, protocol) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            message.extend([0x45, 0]);
            message.extend((length + 20).to_be_bytes());
            message.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
            message.extend(from.octets());
            message.extend(to.octets());
            (Domain::IPV4, Protocol::ICMPV4)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            message.extend([0x60, 0, 0, 0]);
            message.extend(length.to_be_bytes());
            message.extend([17, 64]);
            message.extend(from.octets());
            message.extend(to.octets());
            (Domain::IPV6, Protocol::ICMPV6)
        }
        _ => panic!("one family"),
    };
    for field in [from.port(), to.port(), length, 0] {
        message.extend(field.to_be_bytes());
    }
    message.extend(payload);
    if from.is_ipv4() {
        let words = message.chunks(2);
        let words =
            words.map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
        let sum: u32 = words.sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
    let here = SocketAddr::new(from.ip(), 0);
    socket.send_to(&message, &here.into()).unwrap();
}

#[test]
fn what_routers_say_is_heard_and_costs_nothing_else() {
    in_namespace(
        "what_routers_say_is_heard_and_costs_nothing_else",
        |_| async {
            for (ip, far, needed, unreachable) in [
                (LOOPBACK[0], "192.0.2.7:4500", (3, 4), (3, 3)),
                (LOOPBACK[1], "[2001:db8::7]:4500", (2, 0), (1, 4)),
            ] {
                let (server, client) = (whole(ip), bound(ip));
                let (own, far): (_, SocketAddr) = (server.local_addr(), far.parse().unwrap());
                let payload: Vec<u8> = (1..=40).collect();
                for (quoted, kept) in [(40, 16), (8, 8), (0, 0)] {
                    forge(needed.0, needed.1, 1400, own, far, &payload[..quoted]);
                    let told = too_big(error_of(&server).await);
                    assert_eq!((told.mtu, told.by_system, told.remote), (1400, false, far));
                    assert_eq!(told.quote(), &payload[..kept], "{ip}");
                }
                forge(unreachable.0, unreachable.1, 0, own, far, &payload);
                assert_eq!(error_of(&server).await, SendError::Other);

                // The kernel tells the next call of each as well, which is not to blame.
                let (local, to) = (own.ip(), client.local_addr());
                forge(needed.0, needed.1, 1400, own, far, &payload);
                server.send(local, to, b"one").unwrap();
                forge(unreachable.0, unreachable.1, 0, own, far, &payload);
                let batch = [b"2", b"3"].map(|payload| Datagram {
                    local,
                    remote: to,
                    payload,
                });
                assert_eq!(server.send_batch(&batch).unwrap(), 2);
                assert_eq!(lengths(&client, 3).await, [3, 1, 1]);
                forge(needed.0, needed.1, 1400, own, far, &payload);
                assert_eq!(server.recv(&mut RecvBatch::new()).unwrap(), 0);

                // What the kernel has made of them is not asked: 1400 bytes were said to be too many.
                forge(needed.0, needed.1, 1300, own, to, &payload);
                server.send(local, to, &[7; 1450]).unwrap();
                assert_eq!(lengths(&client, 1).await, [1450]);
            }
        },
    );
}

#[test]
fn a_socket_that_may_be_cut_hears_nothing() {
    in_namespace("a_socket_that_may_be_cut_hears_nothing", |_| async {
        let server = bound(LOOPBACK[0]);
        let far = "192.0.2.7:4500".parse().unwrap();
        forge(3, 4, 1400, server.local_addr(), far, &[1; 8]);
        assert_eq!(
            server.recv_error().map_err(|error: io::Error| error.kind()),
            Ok(None)
        );
    });
}
