//! The seeds of the fuzz targets, shown to both ends of a link and to what every packet passes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::PathBuf;
use std::time::Instant;

use adit_crypto::Rng;
use adit_link::router::Handled;
use adit_link::{Host, Router, RouterConfig, guard, icmp};
use adit_wire::ip::IpHeader;

const HOST_ID: u64 = 0x0211_22ff_fe33_4455;

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut seeds: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder.join(target))
        .expect("the corpus is part of the tree")
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    // A fuzzer leaves its finds here too, named by their hash.
    let is_find =
        |name: &str| name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    seeds.retain(|(name, _)| !is_find(name));
    seeds.sort();
    seeds
}

/// What the router must refuse; everything else it takes.
const REFUSED: &[&str] = &[
    "dhcp6-bad-checksum",
    "dhcp6-duid-empty",
    "dhcp6-duid-too-long",
    "dhcp6-empty",
    "dhcp6-global-source",
    "dhcp6-information-request-odd-oro",
    "dhcp6-information-request-with-ia",
    "dhcp6-many-options",
    "dhcp6-no-checksum",
    "dhcp6-option-half",
    "dhcp6-option-past-end",
    "dhcp6-relay-forward",
    "dhcp6-solicit-no-client",
    "dhcp6-solicit-short-ia",
    "dhcp6-udp-length-7",
    "dhcp6-udp-length-past-end",
    "echo-short",
    "na-solicited-multicast",
    "ns-multicast-target",
    "ns-truncated",
    "ns-unspecified-unicast",
    "ra-global-source",
    "ra-option-length-0",
    "ra-prefix-short",
    "ra-rdnss-even",
    "ra-rdnss-no-address",
    "ra-truncated",
    "rs-atomic-fragment",
    "rs-bad-checksum",
    "rs-code-1",
    "rs-half-option",
    "rs-hop-limit-254",
    "rs-option-length-0",
    "rs-option-past-end",
    "rs-truncated",
    "rs-unspecified-with-link-layer-address",
];

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
fn link_packets() {
    let now = Instant::now();
    let mut rng = Rng::from_seed([1; 32]);
    let prefix = "2001:db8:77:5::/64".parse().unwrap();
    let mut seen = 0;
    for (name, packet) in seeds("link_packet") {
        let header = IpHeader::parse(&packet).expect(&name);
        let config = RouterConfig::default();
        let mut router = Router::new(config, prefix, 1, HOST_ID, now, &mut rng);
        let mut host = Host::new(HOST_ID, 1, now, &mut rng);
        let handled = router.handle_packet(&packet, &header, now, &mut rng);
        match handled {
            Err(_) => assert!(REFUSED.contains(&name.as_str()), "{name}: {handled:?}"),
            Ok(handled) => {
                assert!(!REFUSED.contains(&name.as_str()), "{name} was taken");
                // Those of DHCPv4 are for clients, and IPv4 is none of the router's.
                let forward = name.starts_with("forward") || name.starts_with("dhcp4");
                assert_eq!(handled == Handled::Forward, forward, "{name}");
            }
        }
        let _ = host.handle_packet(&packet, &header, now, &mut rng);
        host.handle_timeout(now, &mut rng);
        seen += 1;
    }
    assert!(seen >= 80);
}

#[test]
fn ip_packets() {
    let from4 = "10.77.0.1".parse().unwrap();
    let from6 = "2001:db8:77::1".parse().unwrap();
    let mut clamped = Vec::new();
    for (name, mut packet) in seeds("ip_packet") {
        let error = icmp::too_big(&packet, 1280, from4, from6);
        let silent = [
            "redirect",
            "unreachable",
            "too-big",
            "broadcast",
            "from-",
            "multicast",
            "later",
            "empty",
            "icmp-empty",
        ];
        if silent.iter().any(|part| name.contains(part)) {
            assert_eq!(error, None, "{name}");
        }
        if let Ok(header) = IpHeader::parse(&packet)
            && let Ok(true) = guard::clamp(&mut packet, &header, 1240, 1220)
        {
            clamped.push(name);
        }
    }
    assert_eq!(
        clamped,
        [
            "v4-first-fragment",
            "v4-ip-options",
            "v4-syn",
            "v4-syn-ack",
            "v4-syn-linux",
            "v4-syn-odd-mss",
            "v6-first-fragment",
            "v6-hop-by-hop-syn",
            "v6-syn",
            "v6-syn-ack",
            "v6-syn-linux",
            "v6-syn-odd-mss",
        ]
    );
}
