//! What a server or a client does with datagrams and packets that come together is what it does with
//! them one after the other.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use adit_crypto::{EspCipher, EspMac, EspSuite, Kernel};
use adit_esp::Sealed;
use adit_server::{HEADROOM, TAILROOM};
use adit_tests::{ClientId, Datagram, HOST_V4, HOST_V6, Nat, World, is_server, setup, udp_packet};
use adit_wire::offload::{Segments, VirtioHeader};
use adit_wire::{Channel, PacketBuf, Path};

const MINUTE: Duration = Duration::from_secs(60);

const SUITES: [(EspCipher, Option<EspMac>); 5] = [
    (EspCipher::AesCbc256, Some(EspMac::HmacSha1_96)),
    (EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_128)),
    (EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)),
    (EspCipher::AesCbc256, Some(EspMac::HmacSha2_512_256)),
    (EspCipher::AesGcm256, None),
];

/// A server with two clients of each suite and one without IPsec, all connected, one of them over IPv6
/// and one whose data messages have numbers. Each call gives an equal one.
fn connected() -> (World, Vec<ClientId>) {
    let clients = 2 * SUITES.len();
    let suites = SUITES.map(|(cipher, mac)| EspSuite::new(cipher, mac).unwrap());
    let mut config = setup::world(70, clients + 1);
    config.server.plain = setup::plain(&["10.9.0.0/16"]);
    config.server.ike = World::changed(&config.server.ike, |ike| ike.esp = suites.into());
    let mut world = World::new(config);
    let mut ids: Vec<_> = (0..clients)
        .map(|index| {
            let mut config = setup::client(&format!("user{index}"));
            let suite = suites[index % suites.len()];
            config.ike = World::changed(&config.ike, |ike| ike.esp = vec![suite]);
            config.l2tp = World::changed(&config.l2tp, |l2tp| l2tp.sequencing = index == 1);
            let address = match index {
                0 => "2001:db8:c::7".parse().unwrap(),
                _ => setup::address(index),
            };
            // The second client of each suite is behind a NAT, so that it speaks ESP in UDP.
            let behind =
                (index >= suites.len()).then(|| Nat::new(IpAddr::from([203, 0, 114, index as u8])));
            world.dial(config, address, behind, false)
        })
        .collect();
    let plain = setup::client(&format!("user{clients}"));
    ids.push(world.dial_plain(plain, "10.9.0.2:1701".parse().unwrap(), false));
    assert!(world.run_until_echoes(&ids, MINUTE));
    (world, ids)
}

/// What clients send at once, and what a hostile network makes of it.
fn towards(world: &mut World, ids: &[ClientId]) -> Vec<(Path, Vec<u8>)> {
    let sent: Rc<RefCell<Vec<Datagram>>> = Rc::default();
    let seen = Rc::clone(&sent);
    world.drop_if = Some(Box::new(move |datagram| {
        seen.borrow_mut().push(datagram.clone());
        true
    }));
    for round in 0..4 {
        for id in ids {
            world.ping(*id);
            let state = world.state(*id).clone();
            let long = vec![round; 1200];
            world.send_ip(
                *id,
                &udp_packet(state.ipv4.unwrap().into(), HOST_V4.into(), &long),
            );
            // The server answers this one itself. Only a client with IPsec can be made to say it.
            if ids.last() != Some(id) {
                world.send_frame(*id, &[0xff, 3, 0xc0, 0x21, 9, round, 0, 8, 0, 0, 0, 0]);
            }
        }
    }
    world.drop_if = None;
    let mut datagrams = Vec::new();
    for (number, datagram) in sent.take().into_iter().enumerate() {
        assert!(is_server(datagram.to));
        let path = Path {
            channel: match datagram.to.port() {
                0 => Channel::Esp,
                1701 => Channel::L2tp,
                _ => Channel::NatT,
            },
            local: datagram.to,
            remote: datagram.from,
        };
        let payload = datagram.payload;
        match number % 11 {
            3 => datagrams.push((path, payload.clone())),
            5 => {
                let mut forged = payload.clone();
                forged[40] ^= 1;
                datagrams.push((path, forged));
            }
            7 => datagrams.push((path, vec![0xff])),
            8 => datagrams.push((path, [&[0; 4], &payload[..28]].concat())),
            9 => datagrams.push((path, payload[..payload.len() - 4].to_vec())),
            _ => {}
        }
        datagrams.push((path, payload));
    }
    datagrams
}

#[test]
fn datagrams_that_come_together() {
    for size in [1, 2, 7, 32, 1000] {
        let ((mut alone, ids), (mut batched, same)) = (connected(), connected());
        let mut datagrams = towards(&mut alone, &ids);
        let mut copies = towards(&mut batched, &same);
        assert_eq!(datagrams, copies);
        assert!(datagrams.len() > 100);

        let mut expected = Vec::new();
        let now = alone.now();
        for (path, payload) in &mut datagrams {
            if let Some(range) = alone.server.handle_datagram(*path, payload, now) {
                expected.push(payload[range].to_vec());
            }
        }
        let mut packets = Vec::new();
        for part in copies.chunks_mut(size) {
            let part = part
                .iter_mut()
                .map(|(path, payload)| (*path, &mut payload[..]));
            batched.server.handle_datagrams(part, now, |found| {
                packets.extend(found.iter().map(|packet| packet.to_vec()));
            });
        }
        assert!(expected.len() >= 3 * 4 * ids.len());
        assert_eq!(packets, expected);
        assert_eq!(batched.server.stats(), alone.server.stats());
        assert!(alone.server.stats().esp_bad_icv > 5);
        assert!(alone.server.stats().esp_replayed > 5);
        loop {
            let transmit = alone.server.poll_transmit();
            assert_eq!(batched.server.poll_transmit(), transmit);
            if transmit.is_none() {
                break;
            }
        }
    }
}

#[test]
fn packets_that_come_together() {
    let ((mut alone, ids), (batched, _)) = (connected(), connected());
    let now = alone.now();
    let mut packets = Vec::new();
    for round in 0..8_usize {
        for id in &ids {
            let state = alone.state(*id).clone();
            for to in [
                IpAddr::from(state.ipv4.unwrap()),
                state.ipv6.unwrap().into(),
            ] {
                let from = match to {
                    IpAddr::V4(_) => HOST_V4.into(),
                    IpAddr::V6(_) => HOST_V6.into(),
                };
                // Some are cut, some refused.
                packets.push(udp_packet(from, to, &vec![7; 200 * round]));
            }
        }
        packets.push(udp_packet(
            HOST_V4.into(),
            [192, 0, 2, 200].into(),
            b"nobody",
        ));
        packets.push(b"no packet".to_vec());
    }
    let mut kept = 0;
    let mut worker = batched.server.workers().remove(0);
    for part in packets.chunks(50) {
        let mut turn = worker.turn();
        let mut expected = Vec::new();
        for packet in part {
            let mut buf = PacketBuf::from_slice(HEADROOM, packet, TAILROOM);
            let back = turn.keep_tun(buf.clone(), now);
            let path = alone.server.handle_tun(&mut buf, now);
            assert_eq!(back.is_none(), path.is_some());
            kept += usize::from(back.is_none());
            expected.extend(path.map(|path| (buf.as_slice().to_vec(), path)));
        }
        let (mut sealed, mut free) = (Vec::new(), Vec::new());
        turn.seal_kept(&mut free, |packets| sealed = given(packets));
        assert_eq!(sealed, expected);
        assert_eq!(free.len(), expected.len(), "every buffer comes back");
        turn.seal_kept(&mut free, |_| panic!("nothing is sealed twice"));
    }
    assert!(kept > 100);
    assert_eq!(batched.server.stats(), alone.server.stats());
    assert!(alone.server.stats().cut > 0 && alone.server.stats().too_big > 0);
}

/// Datagrams with their ways.
fn given(sealed: &Sealed<'_, Path>) -> Vec<(Vec<u8>, Path)> {
    let packets = sealed.iter();
    packets
        .map(|(packet, path)| (packet.to_vec(), *path))
        .collect()
}

/// What a packet stands for: UDP datagrams, or TCP segments with these flags.
#[derive(Clone, Copy)]
enum Train {
    Udp,
    Tcp(u8),
}

const ACK: u8 = 0x10;
const SYN: u8 = 0x02;

impl Train {
    /// What the kernel says of so many bytes each that it gives as one packet.
    fn header(self, to: IpAddr, size: u16) -> VirtioHeader {
        let (kind, offset) = match (self, to) {
            (Self::Udp, _) => (5, 6),
            (Self::Tcp(_), IpAddr::V4(_)) => (1, 16),
            (Self::Tcp(_), IpAddr::V6(_)) => (4, 16),
        };
        let start = if to.is_ipv4() { 20 } else { 40 };
        let [[a, b], [c, d], [e, f]] = [size, start, offset].map(u16::to_ne_bytes);
        let bytes = [1, kind, 0, 0, a, b, c, d, e, f];
        VirtioHeader::parse(&bytes).unwrap().0
    }

    /// One with so many bytes to be cut up.
    fn packet(self, from: IpAddr, to: IpAddr, length: u32) -> Vec<u8> {
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let Self::Tcp(flags) = self else {
            return udp_packet(from, to, &payload);
        };
        // Ports as above, sequence number and acknowledgement, 24 bytes with an MSS of 1460.
        let tcp = [0, 0, 0, 1, 0x60, flags, 9, 9, 0, 0, 0, 0, 2, 4, 5, 180];
        let mut packet = udp_packet(from, to, &[&tcp, &payload[..]].concat());
        packet[if to.is_ipv4() { 9 } else { 6 }] = 6;
        packet
    }
}

#[test]
fn packets_that_came_as_one() {
    let ((mut alone, ids), (batched, _)) = (connected(), connected());
    let now = alone.now();
    let mut worker = batched.server.workers().remove(0);
    let (mut neighbours, mut kept, mut left) = (0, 0, 0);
    let mut expected = Vec::new();
    // Many to a run, so many that a run is not enough, too large ones, and one.
    for (train, length, size) in [
        (Train::Udp, 20_000, 1200),
        (Train::Udp, 60_000, 100),
        (Train::Udp, 60_000, 1),
        (Train::Udp, 6000, 1400),
        (Train::Udp, 700, 900),
        (Train::Tcp(ACK), 12_000, 1200),
        (Train::Tcp(SYN | ACK), 6000, 600),
    ] {
        let mut turn = worker.turn();
        for id in &ids {
            let state = alone.state(*id).clone();
            let (v4, v6) = (state.ipv4.unwrap().into(), state.ipv6.unwrap().into());
            for (from, to) in [(HOST_V4.into(), v4), (HOST_V6.into(), v6)] {
                let packet = train.packet(from, to, length);
                let header = train.header(to, size);
                turn.keep_train(&header, &packet, now).unwrap();
                let mut segments = Segments::new(&header, &packet).unwrap();
                loop {
                    let mut buf = PacketBuf::with_capacity(HEADROOM, 2048);
                    if !segments.next(&packet, &mut buf).unwrap() {
                        break;
                    }
                    let path = alone.server.handle_tun(&mut buf, now);
                    expected.extend(path.map(|path| (buf.as_slice().to_vec(), path)));
                }
            }
        }
        let mut free = Vec::new();
        turn.seal_rounds(&mut free, |packets| {
            let pairs = packets.iter().zip(packets.iter().skip(1));
            neighbours += pairs
                .filter(|((a, _), (b, _))| a.as_ptr_range().end == b.as_ptr())
                .count();
            let packets = given(packets);
            let rest = expected.split_off(packets.len());
            assert!(packets == expected, "{} packets of {size}", expected.len());
            kept += packets.len();
            expected = rest;
        });
        assert!(free.is_empty(), "runs are the worker's own");
        assert!(expected.len() < 16, "{} were left", expected.len());
        left += expected.len();
        drop(turn);
        assert_eq!(worker.has_kept(), !expected.is_empty());
    }
    worker.turn().seal_kept(&mut Vec::new(), |packets| {
        assert!(given(packets) == expected, "what was left comes at last");
    });
    assert!(!worker.has_kept());
    assert_eq!(left > 0, Kernel::all().count() > 1, "{left} were left");
    assert!(
        kept > 10_000 && neighbours > kept / 10 * 9,
        "{neighbours} of {kept}"
    );
    assert_eq!(batched.server.stats(), alone.server.stats());
    let stats = alone.server.stats();
    assert!(stats.cut > 0 && stats.too_big > 0 && stats.mss_clamped > 10);
    let sent = |world: &World| {
        let sessions = world.server.sessions(now).into_iter();
        let sent = sessions.map(|session| (session.user, session.tx_packets, session.tx_bytes));
        sent.collect::<Vec<_>>()
    };
    assert_eq!(sent(&batched), sent(&alone));

    let mut turn = worker.turn();
    let packet = udp_packet(HOST_V4.into(), [10, 0, 0, 1].into(), &[0; 3000]);
    turn.keep_train(&Train::Udp.header(HOST_V6.into(), 1000), &packet, now)
        .unwrap_err();
    turn.seal_kept(&mut Vec::new(), |_| panic!("nothing is made of it"));
}

#[test]
fn a_client_does_the_same() {
    let ((mut alone, mut ids), (mut batched, _)) = (connected(), connected());
    ids.pop();
    let now = alone.now();
    let mut towards = Vec::new();
    for id in ids {
        let state = alone.state(id).clone();
        let (v4, v6) = (state.ipv4.unwrap().into(), state.ipv6.unwrap().into());
        let mut datagrams = Vec::new();
        let mut expected = Vec::new();
        for number in 0..20_usize {
            let (host, own) = match number % 2 {
                0 => (HOST_V4.into(), v4),
                _ => (HOST_V6.into(), v6),
            };
            let packet = udp_packet(own, host, &vec![number as u8; 60 * number]);
            let mut buf = PacketBuf::from_slice(HEADROOM, &packet, TAILROOM);
            assert!(batched.client(id).keep_tun(buf.clone()).is_none());
            let path = alone.client(id).handle_tun(&mut buf).unwrap();
            expected.push((buf.as_slice().to_vec(), path));

            let packet = udp_packet(host, own, &vec![number as u8; 60 * number]);
            let mut buf = PacketBuf::from_slice(HEADROOM, &packet, TAILROOM);
            let path = alone.server.handle_tun(&mut buf, now).unwrap();
            let path = Path {
                local: path.remote,
                remote: path.local,
                ..path
            };
            let mut payload = buf.as_slice().to_vec();
            if number % 7 == 3 {
                datagrams.push((path, payload.clone()));
            }
            if number % 7 == 5 {
                payload[40] ^= 1;
            }
            datagrams.push((path, payload));
            if number % 7 == 6 {
                datagrams.push((path, vec![0xff]));
            }
        }
        assert_eq!(given(&batched.client(id).seal_kept()), expected);
        towards.push((id, datagrams));
    }
    for (id, mut datagrams) in towards {
        let mut copies = datagrams.clone();
        let mut expected = Vec::new();
        for (path, payload) in &mut datagrams {
            let range = alone.client(id).handle_datagram(*path, payload, now);
            expected.extend(range.map(|range| payload[range].to_vec()));
        }
        let mut packets = Vec::new();
        for part in copies.chunks_mut(9) {
            let part = part
                .iter_mut()
                .map(|(path, payload)| (*path, &mut payload[..]));
            batched.client(id).handle_datagrams(part, now, |found| {
                packets.extend(found.iter().map(|packet| packet.to_vec()));
            });
        }
        assert_eq!(expected.len(), 17);
        assert_eq!(packets, expected);
        while let Some(transmit) = alone.client(id).poll_transmit() {
            assert_eq!(batched.client(id).poll_transmit(), Some(transmit));
        }
        assert_eq!(batched.client(id).poll_transmit(), None);
    }
}
