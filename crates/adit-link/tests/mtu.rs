//! The MTU arithmetic against hand sums and against itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use adit_crypto::{EspCipher, EspMac, EspSuite};
use adit_link::mtu::{Encapsulation, IPV6_MINIMUM, mss};
use adit_wire::ip::Family;
use proptest::prelude::*;

fn suite(cipher: EspCipher, mac: Option<EspMac>) -> EspSuite {
    EspSuite::new(cipher, mac).unwrap()
}

fn windows() -> Encapsulation {
    Encapsulation {
        outer: Family::V4,
        udp: true,
        suite: suite(EspCipher::AesCbc256, Some(EspMac::HmacSha1_96)),
        ppp_header: 4,
        l2tp_header: 8,
    }
}

#[test]
fn sums_by_hand() {
    // 1500 - 20 IP - 8 UDP = 1472 for ESP: 8 header, 16 IV, 12 ICV leave 1436, of which 1424 are
    // whole blocks; without 2 of trailer 1422; without 8 UDP, 8 L2TP, 4 PPP: 1402.
    assert_eq!(windows().link_mtu(1500), 1402);
    assert_eq!(windows().outer_len(1402), 20 + 8 + 8 + 16 + 1424 + 12);
    assert_eq!(windows().outer_len(1403), 1488 + 16);

    // IPv6 outside, not encapsulated, SHA2-256: 1500 - 40 - 8 - 16 - 16 = 1420, blocks 1408.
    let native = Encapsulation {
        outer: Family::V6,
        udp: false,
        suite: suite(EspCipher::AesCbc128, Some(EspMac::HmacSha2_256_128)),
        ppp_header: 2,
        l2tp_header: 8,
    };
    assert_eq!(native.link_mtu(1500), 1408 - 2 - 18);

    // GCM: 8 IV, 16 ICV, alignment 4: 1472 - 8 - 8 - 16 = 1440.
    let gcm = Encapsulation {
        suite: suite(EspCipher::AesGcm256, None),
        ..windows()
    };
    assert_eq!(gcm.link_mtu(1500), 1440 - 2 - 20);

    // 3DES: 8 IV, blocks of 8: 1472 - 8 - 8 - 12 = 1444, blocks 1440.
    let legacy = Encapsulation {
        suite: suite(EspCipher::TripleDes, Some(EspMac::HmacSha1_96)),
        ..windows()
    };
    assert_eq!(legacy.link_mtu(1500), 1440 - 2 - 20);
}

#[test]
fn a_path_too_small_for_ipv6_is_flagged() {
    let small = windows().ipv6_link_mtu(1280);
    assert_eq!((small.mtu, small.fragments), (IPV6_MINIMUM, true));
    let usual = windows().ipv6_link_mtu(1500);
    assert_eq!((usual.mtu, usual.fragments), (1402, false));
}

#[test]
fn a_path_too_small_for_anything() {
    for path in [0, 20, 28, 64, 83] {
        assert_eq!(windows().link_mtu(path), 0, "{path}");
    }
}

#[test]
fn segments_leave_room_for_their_headers() {
    assert_eq!(mss(Family::V4, 1402), 1362);
    assert_eq!(mss(Family::V6, 1402), 1342);
    assert_eq!(mss(Family::V6, 59), 0);
}

fn any_encapsulation() -> impl Strategy<Value = Encapsulation> {
    let suites = vec![
        suite(EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)),
        suite(EspCipher::AesCbc256, Some(EspMac::HmacMd5_96)),
        suite(EspCipher::AesCbc192, Some(EspMac::HmacSha2_256_128)),
        suite(EspCipher::AesCbc256, Some(EspMac::HmacSha2_384_192)),
        suite(EspCipher::AesCbc256, Some(EspMac::HmacSha2_512_256)),
        suite(EspCipher::TripleDes, Some(EspMac::HmacSha1_96)),
        suite(EspCipher::AesGcm128, None),
        suite(EspCipher::AesGcm256, None),
    ];
    (
        any::<bool>(),
        any::<bool>(),
        proptest::sample::select(suites),
        1_usize..=4,
        6_usize..=12,
    )
        .prop_map(|(v6, udp, suite, ppp_header, l2tp_header)| Encapsulation {
            outer: if v6 { Family::V6 } else { Family::V4 },
            udp,
            suite,
            ppp_header,
            l2tp_header,
        })
}

proptest! {
    #[test]
    fn the_mtu_fits_and_one_byte_more_does_not(
        encapsulation in any_encapsulation(),
        path_mtu in 200_u16..=9000,
    ) {
        let mtu = usize::from(encapsulation.link_mtu(path_mtu));
        prop_assert!(mtu > 0);
        prop_assert!(encapsulation.outer_len(mtu) <= usize::from(path_mtu));
        prop_assert!(encapsulation.outer_len(mtu + 1) > usize::from(path_mtu));
    }

    #[test]
    fn no_path_mtu_breaks_the_rule(
        encapsulation in any_encapsulation(),
        path_mtu in any::<u16>(),
    ) {
        let mtu = encapsulation.link_mtu(path_mtu);
        if mtu > 0 {
            prop_assert!(encapsulation.outer_len(usize::from(mtu)) <= usize::from(path_mtu));
        } else {
            prop_assert!(encapsulation.outer_len(1) > usize::from(path_mtu));
        }
    }
}
