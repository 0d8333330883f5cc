//! The largest packet of a session, for every way that its packets may be wrapped: what a server
//! really seals fits the path to the byte, and one byte more gets the error that names the MTU.

use std::net::IpAddr;
use std::time::Duration;

use adit_crypto::{EspCipher, EspMac, EspSuite, Rng};
use adit_link::mtu::{Encapsulation, PlainEncapsulation};
use adit_ppp::LcpOption;
use adit_server::SessionInfo;
use adit_tests::{ClientId, World, packet_from_host, setup};
use adit_wire::checksum::Sum;
use adit_wire::ip::{Family, IpHeader};

const MINUTE: Duration = Duration::from_secs(60);
const OWN_V4: [u8; 4] = [10, 77, 0, 1];

/// Every suite that the configuration can name, and those whose MAC the client cuts.
fn suites() -> Vec<(EspSuite, bool)> {
    let blocks = [
        EspCipher::AesCbc128,
        EspCipher::AesCbc192,
        EspCipher::AesCbc256,
        EspCipher::TripleDes,
    ];
    let macs = [
        EspMac::HmacSha1_96,
        EspMac::HmacSha2_256_128,
        EspMac::HmacSha2_384_192,
        EspMac::HmacSha2_512_256,
        EspMac::HmacMd5_96,
    ];
    let mut suites = Vec::new();
    for cipher in blocks {
        for mac in macs {
            suites.push((EspSuite::new(cipher, Some(mac)).unwrap(), false));
        }
    }
    for cipher in [EspCipher::AesGcm128, EspCipher::AesGcm256] {
        suites.push((EspSuite::new(cipher, None).unwrap(), false));
    }
    let cut: Vec<_> = suites
        .iter()
        .filter(|(suite, _)| suite.cut_at_96().is_some())
        .map(|(suite, _)| (*suite, true))
        .collect();
    suites.extend(cut);
    suites
}

/// What of a session's headers is drawn by lot.
#[derive(Clone, Copy, Debug)]
struct Draw {
    path_mtu: u16,
    /// Numbers in L2TP data messages.
    sequenced: bool,
    /// Address and control field, and half of the protocol field, may be left out.
    acfc: bool,
    pfc: bool,
}

impl Draw {
    fn new(rng: &mut Rng) -> Self {
        let bits = rng.below(32);
        // Where more than 1500 bytes would fit, the MRU decides; that takes fewer cases to show.
        let span = if bits < 24 { 350 } else { 7721 };
        Self {
            path_mtu: 1280 + rng.below(span) as u16,
            sequenced: bits & 1 != 0,
            acfc: bits & 2 != 0,
            pfc: bits & 4 != 0,
        }
    }

    fn l2tp_header(self) -> usize {
        if self.sequenced { 12 } else { 8 }
    }

    /// Length of the header that IP packets really get.
    fn ppp_header(self) -> usize {
        4 - if self.acfc { 2 } else { 0 } - usize::from(self.pfc)
    }

    fn client(self) -> adit_client::Config {
        let mut client = setup::client("user0");
        // Its own path back is wide: what it takes is not to be less than IPv6 needs.
        client.path_mtu = 9000;
        client.ppp.mru = 9000;
        client.l2tp = World::changed(&client.l2tp, |l2tp| l2tp.sequencing = self.sequenced);
        client.ppp.manner.lcp = match (self.acfc, self.pfc) {
            (false, false) => &[LcpOption::Mru, LcpOption::Magic],
            (true, false) => &[LcpOption::Mru, LcpOption::Magic, LcpOption::Acfc],
            (false, true) => &[LcpOption::Mru, LcpOption::Pfc, LcpOption::Magic],
            (true, true) => &[
                LcpOption::Mru,
                LcpOption::Magic,
                LcpOption::Pfc,
                LcpOption::Acfc,
            ],
        };
        client
    }

    fn server(self, seed: u64) -> adit_tests::WorldConfig {
        let mut config = setup::world(seed, 1);
        config.server.path_mtu = self.path_mtu;
        config.server.ppp = World::changed(&config.server.ppp, |ppp| ppp.mru = 9000);
        config
    }
}

/// The largest packet that every link takes, whatever its path carries (RFC 1661 6.1, RFC 8200 5).
const MRU: usize = 1500;
const IPV6_LEAST: usize = 1280;

/// Sends the largest packet and one byte more. `outer` is the length of the packet around an inner
/// one, with the headers of this session.
fn check(
    world: &mut World,
    id: ClientId,
    path_mtu: u16,
    outside: usize,
    outer: impl Fn(usize) -> usize,
) {
    let mtu = usize::from(session(world).mtu);
    let state = world.state(id);
    let addresses = [
        IpAddr::from(state.ipv4.unwrap()),
        state.ipv6.unwrap().into(),
    ];
    for to in addresses {
        let (mtu, whole) = match to {
            IpAddr::V6(_) if mtu < IPV6_LEAST => (IPV6_LEAST, false),
            _ => (mtu, true),
        };
        let cut = world.server.stats().cut_outside;
        world.capture = Some(Vec::new());
        let largest = packet_from_host(to, mtu);
        world.to_tun(&largest);
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.state(id).last_packet, largest, "{to}");
        let seen = world.capture.take().unwrap();
        let sizes = seen.iter().map(|datagram| datagram.payload.len() + outside);
        let real = sizes.max().unwrap();
        assert_eq!(real, outer(mtu), "the arithmetic tells what is sealed");
        // With a header compressed, a packet may fit that was counted with a whole one.
        let fits = real <= usize::from(path_mtu);
        assert!(fits || !whole, "{real} bytes outside");
        let cut = world.server.stats().cut_outside - cut;
        assert_eq!(cut, u64::from(!whole), "what is too big is known to be");

        let (sent, refused) = (world.server.stats().ip_out, world.server.stats().too_big);
        world.errors.clear();
        let more = packet_from_host(to, mtu + 1);
        world.to_tun(&more);
        let stats = world.server.stats();
        assert_eq!((stats.ip_out, stats.too_big), (sent, refused + 1));
        let [error] = &world.errors[..] else {
            panic!("{} errors", world.errors.len());
        };
        is_too_big(error, &more, mtu);
    }
}

/// The error is the one for `packet`, byte for byte where it decides anything.
fn is_too_big(error: &[u8], packet: &[u8], mtu: usize) {
    let (header, about) = (
        IpHeader::parse(error).unwrap(),
        IpHeader::parse(packet).unwrap(),
    );
    assert_eq!(header.destination, about.source);
    let message = &error[header.payload_start..];
    let (kind, told, room) = match header.family() {
        Family::V4 => {
            assert_eq!(header.source, IpAddr::from(OWN_V4));
            let told = u16::from_be_bytes([message[6], message[7]]);
            assert_eq!(Sum::new().bytes(message).finish(), 0);
            ((3, 4), u32::from(told), 576 - 28)
        }
        Family::V6 => {
            let told = [message[4], message[5], message[6], message[7]];
            let length = message.len() as u32;
            let sum = Sum::new().pseudo_header(header.source, header.destination, 58, length);
            assert_eq!(sum.bytes(message).finish(), 0);
            ((2, 0), u32::from_be_bytes(told), 1280 - 48)
        }
    };
    assert_eq!((message[0], message[1]), kind);
    assert_eq!(told as usize, mtu);
    assert_eq!(message[8..], packet[..room.min(packet.len())]);
}

fn session(world: &World) -> SessionInfo {
    world.server.sessions(world.now())[0].clone()
}

#[test]
fn every_suite_in_every_encapsulation() {
    let mut rng = Rng::from_seed([80; 32]);
    let v6: IpAddr = "2001:db8:1::7".parse().unwrap();
    for (index, (suite, cut)) in suites().into_iter().enumerate() {
        let ways = [
            (setup::address(0), true),
            (setup::address(0), false),
            (v6, true),
            (v6, false),
        ];
        for (address, udp) in ways.repeat(4) {
            let draw = Draw::new(&mut rng);
            let what = format!("{} cut {cut} {address} udp {udp} {draw:?}", suite.name());
            let mut config = draw.server(index as u64);
            config.server.ike = World::changed(&config.server.ike, |ike| {
                ike.esp = vec![suite];
                ike.force_encapsulation = udp;
            });
            let mut client = draw.client();
            client.cut_icv = cut;
            client.ike = World::changed(&client.ike, |ike| ike.esp = vec![suite]);
            let mut world = World::new(config);
            let id = world.dial(client, address, None, false);
            assert!(world.run_until_echoes(&[id], MINUTE), "{what}");
            world.run_for(Duration::from_secs(3));

            let suite = if cut {
                suite.cut_at_96().unwrap()
            } else {
                suite
            };
            let info = session(&world);
            assert_eq!(
                info.encapsulation,
                if udp { "udp" } else { "esp" },
                "{what}"
            );
            assert_eq!(info.esp.as_deref(), Some(&*suite.name()), "{what}");
            let outer = Family::of(address);
            let full = Encapsulation {
                outer,
                udp,
                suite,
                ppp_header: 4,
                l2tp_header: draw.l2tp_header(),
            };
            let mtu = usize::from(info.mtu);
            assert!(full.outer_len(mtu) <= draw.path_mtu.into(), "{what}");
            let more = full.outer_len(mtu + 1);
            assert!(more > draw.path_mtu.into() || mtu == MRU, "{what}");
            let real = Encapsulation {
                ppp_header: draw.ppp_header(),
                ..full
            };
            let outside = outer.header_len() + if udp { 8 } else { 0 };
            check(&mut world, id, draw.path_mtu, outside, |inner| {
                real.outer_len(inner)
            });
        }
    }
}

#[test]
fn without_ipsec_over_both_families() {
    let mut rng = Rng::from_seed([81; 32]);
    for index in 0..24 {
        for from in ["10.9.0.2:1701", "[fd00:9::2]:1701"] {
            let draw = Draw::new(&mut rng);
            let mut config = draw.server(index);
            config.server.plain = setup::plain(&["10.9.0.0/16", "fd00:9::/32"]);
            let mut world = World::new(config);
            let id = world.dial_plain(draw.client(), from.parse().unwrap(), false);
            assert!(world.run_until_echoes(&[id], MINUTE), "{from} {draw:?}");
            world.run_for(Duration::from_secs(3));
            let outer = Family::of(from.parse::<std::net::SocketAddr>().unwrap().ip());
            let full = PlainEncapsulation {
                outer,
                ppp_header: 4,
                l2tp_header: draw.l2tp_header(),
            };
            let mtu = usize::from(session(&world).mtu);
            let path_mtu = usize::from(draw.path_mtu);
            assert_eq!(full.outer_len(mtu), path_mtu.min(full.outer_len(MRU)));
            let real = PlainEncapsulation {
                ppp_header: draw.ppp_header(),
                ..full
            };
            let outside = outer.header_len() + 8;
            check(&mut world, id, draw.path_mtu, outside, |inner| {
                real.outer_len(inner)
            });
        }
    }
}
