//! What a probe says of a server: of one that is well, and of each thing that can be wrong.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_client::probe::{Ask, Depth, Door, Outcome, Step};
use adit_client::profile::{ANDROID, Profile, WINDOWS10};
use adit_crypto::{BlockCipher, EspCipher, EspMac, EspSuite, Group, Hash};
use adit_ike::{Phase1Proposal, Psk};
use adit_ppp::{AuthMethod, Secret};
use adit_server::Gauges;
use adit_tests::{World, setup};

const MINUTE: Duration = Duration::from_secs(60);

fn ask() -> Ask {
    let password = Secret::new(setup::password("user0").as_bytes());
    Ask {
        profile: None,
        depth: Depth::Quick,
        ipsec: true,
        psk: Some(Arc::new(Psk::new(setup::PSK))),
        login: Some(("user0".to_owned(), password)),
        timeout: Duration::from_secs(30),
    }
}

fn v4() -> IpAddr {
    setup::address(0)
}

/// Probes a server, checks that nothing is left behind on it, and gives the steps.
fn probe(change: impl FnOnce(&mut adit_server::Config), ask: Ask, from: IpAddr) -> Vec<Step> {
    let mut config = setup::world(31, 1);
    change(&mut config.server);
    let mut world = World::new(config);
    let (steps, _) = world.probe(ask, from);
    let clean = world.run_until(2 * MINUTE, |world| world.held() == Gauges::default());
    assert!(clean, "left behind: {:?}", world.server.gauges());
    steps
}

fn names(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.name.as_str()).collect()
}

fn step<'a>(steps: &'a [Step], name: &str) -> &'a Step {
    let found = steps.iter().find(|step| step.name == name);
    found.unwrap_or_else(|| panic!("no step {name}: {steps:#?}"))
}

/// The only step that failed.
fn failure(steps: &[Step]) -> &Step {
    let failed: Vec<_> = steps
        .iter()
        .filter(|step| step.outcome == Outcome::Fail)
        .collect();
    let [failed] = failed.as_slice() else {
        panic!("one failure: {steps:#?}");
    };
    assert!(failed.advice.is_some());
    failed
}

#[test]
fn a_good_server_gets_good_marks_in_both_families() {
    for from in [v4(), "2001:db8:1::7".parse().unwrap()] {
        let steps = probe(|_| {}, ask(), from);
        let expected = [
            "udp-500",
            "as adit",
            "vendor-ids",
            "udp-4500",
            "main-mode",
            "quick-mode",
            "l2tp",
            "session",
            "lcp",
            "authentication",
            "ipcp",
            "ipv6cp",
            "router-advertisement",
            "dhcpv6",
            "echo-ipv4",
            "echo-ipv6",
            "end",
        ];
        let mut found = names(&steps);
        found.sort_unstable();
        let mut sorted = expected;
        sorted.sort_unstable();
        assert_eq!(found, sorted);
        for step in &steps {
            assert_eq!(
                (step.outcome, &step.advice),
                (Outcome::Ok, &None),
                "{step:?}"
            );
        }
        let seen = |name| step(&steps, name).seen.join("; ");
        assert_eq!(seen("as adit"), "AES-CBC-256/SHA2-384/ECP-384");
        assert_eq!(
            seen("vendor-ids"),
            "NAT-T RFC 3947; fragmentation; DPD; adit"
        );
        assert!(seen("main-mode").starts_with("AES-CBC-256/SHA2-384/ECP-384; "));
        assert!(seen("quick-mode").starts_with("AES-GCM-256; transport mode, in UDP; no PFS"));
        assert!(seen("l2tp").contains("host name \"adit\"; vendor \"adit\""));
        assert!(seen("lcp").contains("asks for MS-CHAPv2"));
        assert!(seen("ipcp").contains("resolvers 10.77.0.1"));
        assert!(seen("router-advertisement").contains("RDNSS 2001:db8:77::1"));
        assert_eq!(seen("dhcpv6"), "resolvers 2001:db8:77::1");
        let round_trip = step(&steps, "echo-ipv6").took;
        assert_eq!(round_trip, Duration::from_millis(20));
    }
}

#[test]
fn every_profile_connects_as_itself() {
    let legacy = |config: &mut adit_server::Config| {
        config.ike = World::changed(&config.ike, |ike| {
            ike.phase1.push(Phase1Proposal {
                cipher: BlockCipher::Aes256,
                hash: Hash::Sha2_256,
                group: Group::Modp1024,
            });
        });
    };
    for profile in Profile::all() {
        let ask = Ask {
            profile: Some(profile),
            ..ask()
        };
        let steps = probe(legacy, ask, v4());
        let name = profile.name;
        assert!(
            steps.iter().all(|step| step.outcome != Outcome::Fail),
            "{name}: {steps:#?}"
        );
        assert_eq!(steps.last().unwrap().name, "end", "{name}");
        let asks_ipv6 = names(&steps).contains(&"ipv6cp");
        assert_eq!(asks_ipv6, profile.ipv6, "{name}");
    }
}

#[test]
fn without_a_key_it_only_asks() {
    let ask = Ask {
        psk: None,
        depth: Depth::Usual,
        ..ask()
    };
    let steps = probe(|_| {}, ask, v4());
    let last = "aggressive-mode";
    assert_eq!(steps.last().unwrap().name, last);
    let of = |name: &str| {
        let step = step(&steps, name);
        (step.outcome, step.seen.join("; "))
    };
    assert_eq!(
        of("as windows10"),
        (Outcome::Ok, "AES-CBC-256/SHA1/ECP-384".to_owned())
    );
    let refused = "refused with NO-PROPOSAL-CHOSEN (14); all that it offers is weak";
    assert_eq!(of("as android"), (Outcome::Ok, refused.to_owned()));
    assert_eq!(of(last).0, Outcome::Ok);
    let asked = steps.iter().filter(|step| step.name.starts_with("as "));
    let names: Vec<_> = asked
        .map(|step| step.name.trim_start_matches("as "))
        .collect();
    let known = Profile::all().map(|profile| profile.name);
    let known: Vec<_> = std::iter::once("adit").chain(known).collect();
    assert_eq!(names, known);
}

#[test]
fn what_is_weak_is_a_warning() {
    let weak = |config: &mut adit_server::Config| {
        config.ike = World::changed(&config.ike, |ike| {
            ike.phase1 = vec![Phase1Proposal {
                cipher: BlockCipher::TripleDes,
                hash: Hash::Sha1,
                group: Group::Modp1024,
            }];
        });
    };
    let ask = Ask {
        profile: Some(&WINDOWS10),
        psk: None,
        ..ask()
    };
    let steps = probe(weak, ask, v4());
    let found = step(&steps, "as windows10");
    assert_eq!(found.outcome, Outcome::Warn);
    let advice = found.advice.as_deref().unwrap();
    assert!(advice.ends_with("3DES, MODP-1024"), "{advice}");
}

#[test]
fn a_full_probe_finds_exactly_what_the_server_takes() {
    let few = |config: &mut adit_server::Config| {
        config.ike = World::changed(&config.ike, |ike| {
            let of = |cipher, hash, group| Phase1Proposal {
                cipher,
                hash,
                group,
            };
            ike.phase1 = vec![
                of(BlockCipher::Aes256, Hash::Sha2_384, Group::Ecp384),
                of(BlockCipher::Aes256, Hash::Sha1, Group::Modp2048),
                of(BlockCipher::Aes128, Hash::Sha2_256, Group::Modp2048),
            ];
            let mac = Some(EspMac::HmacSha1_96);
            ike.esp = [EspCipher::AesCbc256, EspCipher::TripleDes]
                .map(|cipher| EspSuite { cipher, mac })
                .to_vec();
        });
    };
    let ask = Ask {
        depth: Depth::Full,
        ..ask()
    };
    let mut config = setup::world(32, 1);
    few(&mut config.server);
    let mut world = World::new(config);
    let (steps, sent) = world.probe(ask, v4());
    let seen = |name| step(&steps, name).seen.join(", ");
    assert_eq!(seen("psk ECP-384"), "AES-CBC-256/SHA2-384");
    assert_eq!(
        seen("psk MODP-2048"),
        "AES-CBC-256/SHA1, AES-CBC-128/SHA2-256"
    );
    assert_eq!(
        seen("psk MODP-1024"),
        "refused with NO-PROPOSAL-CHOSEN (14)"
    );
    assert_eq!(seen("rsa"), "refused with NO-PROPOSAL-CHOSEN (14)");
    assert_eq!(
        seen("esp-suites"),
        "AES-CBC-256/HMAC-SHA1-96, 3DES-CBC/HMAC-SHA1-96"
    );
    assert_eq!(step(&steps, "esp-suites").outcome, Outcome::Warn);
    let first = sent.iter().filter(|(door, _)| *door == Door::Ike).count();
    // Profiles, batches, what was taken, each with its farewell, and main mode of four connections.
    assert!(first < 70, "{first} messages");
    assert!(sent.iter().all(|(_, size)| *size < 1400));
    let clean = world.run_until(2 * MINUTE, |world| world.held() == Gauges::default());
    assert!(clean, "left behind: {:?}", world.server.gauges());
}

#[test]
fn a_wrong_key_is_told_apart_from_silence() {
    let ask = Ask {
        psk: Some(Arc::new(Psk::new("another key"))),
        ..ask()
    };
    let steps = probe(|_| {}, ask, v4());
    let failed = failure(&steps);
    assert_eq!(failed.name, "main-mode");
    assert!(
        failed
            .advice
            .as_deref()
            .unwrap()
            .contains("pre-shared keys differ")
    );
}

#[test]
fn no_common_transform() {
    let ask = Ask {
        profile: Some(&ANDROID),
        ..ask()
    };
    let steps = probe(|_| {}, ask, v4());
    assert_eq!(failure(&steps).name, "as android");
    assert_eq!(names(&steps), ["udp-500", "as android", "udp-4500"]);
}

#[test]
fn no_common_suite() {
    let other = |config: &mut adit_server::Config| {
        config.ike = World::changed(&config.ike, |ike| {
            ike.esp = vec![EspSuite {
                cipher: EspCipher::AesCbc192,
                mac: Some(EspMac::HmacSha2_512_256),
            }];
        });
    };
    let steps = probe(other, ask(), v4());
    let failed = failure(&steps);
    assert_eq!(failed.name, "quick-mode");
    assert!(
        failed
            .advice
            .as_deref()
            .unwrap()
            .starts_with("NO-PROPOSAL-CHOSEN (14)")
    );
}

#[test]
fn a_wrong_password() {
    let ask = Ask {
        login: Some(("user0".to_owned(), Secret::new(b"guess"))),
        ..ask()
    };
    let steps = probe(|_| {}, ask, v4());
    let failed = failure(&steps);
    assert_eq!(failed.name, "authentication");
    assert!(failed.seen[0].contains("error 691"), "{failed:?}");
    assert_eq!(steps.last().unwrap().name, "end", "it takes leave");
}

#[test]
fn without_a_user_it_ends_at_lcp() {
    let steps = probe(
        |_| {},
        Ask {
            login: None,
            ..ask()
        },
        v4(),
    );
    let found: Vec<_> = names(&steps).into_iter().rev().take(2).collect();
    assert_eq!(found, ["end", "lcp"]);
    assert!(
        steps.iter().all(|step| step.outcome == Outcome::Ok),
        "{steps:#?}"
    );
}

#[test]
fn ipv6cp_refused() {
    let steps = probe(|config| config.ipv6 = None, ask(), v4());
    let failed = failure(&steps);
    assert_eq!(failed.name, "ipv6cp");
    assert_eq!(failed.seen, ["rejected"]);
    assert_eq!(
        step(&steps, "echo-ipv4").outcome,
        Outcome::Ok,
        "IPv4 goes on"
    );
    assert_eq!(steps.last().unwrap().name, "end");
}

#[test]
fn chap_and_pap_are_warnings() {
    for (method, name) in [(AuthMethod::ChapMd5, "CHAP-MD5"), (AuthMethod::Pap, "PAP")] {
        let weak = |config: &mut adit_server::Config| {
            config.ppp = World::changed(&config.ppp, |ppp| ppp.auth = vec![method]);
        };
        let steps = probe(weak, ask(), v4());
        let lcp = step(&steps, "lcp");
        assert_eq!(lcp.outcome, Outcome::Warn);
        assert!(lcp.seen.contains(&format!("asks for {name}")), "{lcp:?}");
        assert_eq!(step(&steps, "authentication").outcome, Outcome::Ok);
    }
}
