use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn address(id: u64) -> Ipv6Addr {
    Ipv6Addr::from((0x2001_0db8_0001_0002_u128 << 64) | u128::from(id))
}

fn claims() -> Claims<u8> {
    Claims::new("2001:db8:1:2::/64".parse().unwrap())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn an_address_is_held_after_its_check_and_by_one_only() {
    let (mut claims, now) = (claims(), start());
    assert_eq!(claims.claim(address(5), 1, now), Claim::Check);
    assert_eq!(claims.claim(address(5), 1, now), Claim::Waits);
    assert_eq!(claims.claim(address(5), 2, now), Claim::Taken);
    assert!(!claims.uses(address(5), 1, now), "not before the check");
    let granted = claims.grant(address(5), now).unwrap();
    assert_eq!((granted.holder, granted.gone), (1, None));
    assert!(claims.uses(address(5), 1, now));
    assert!(!claims.uses(address(5), 2, now));
    assert_eq!(claims.claim(address(5), 1, now), Claim::Held);
    assert_eq!(claims.claim(address(5), 2, now), Claim::Taken);
    assert_eq!(claims.refuse(address(5), now), None, "asked no more");
    assert_eq!(claims.held(1).collect::<Vec<_>>(), [address(5)]);
    assert_eq!(claims.release(1), [address(5)]);
    assert_eq!(claims.claim(address(5), 2, now), Claim::Check);
    assert_eq!(claims.count(), 0);
}

#[test]
fn what_a_host_has_is_refused_for_a_while_without_another_check() {
    let (mut claims, now) = (claims(), start());
    claims.claim(address(5), 1, now);
    assert_eq!(claims.refuse(address(5), now), Some(1));
    assert_eq!(claims.claim(address(5), 1, now), Claim::Taken);
    assert_eq!(claims.claim(address(5), 2, now), Claim::Check);
    claims.release(2);
    let later = now + REFUSED_FOR;
    assert_eq!(claims.claim(address(5), 1, later), Claim::Check);
    // The check ends after the client has gone.
    claims.release(1);
    assert_eq!(claims.grant(address(5), later), None);
    assert_eq!(claims.count(), 0);
}

#[test]
fn reserved_identifiers_and_other_prefixes_are_nobodys() {
    let (mut claims, now) = (claims(), start());
    for id in [0, 0x0200_5eff_fe00_0001, 0xfdff_ffff_ffff_fffe] {
        assert_eq!(claims.claim(address(id), 1, now), Claim::Reserved);
    }
    let outside = "2001:db8:1:3::5".parse().unwrap();
    assert_eq!(claims.claim(outside, 1, now), Claim::Reserved);
    assert_eq!(claims.claim(address(1), 1, now), Claim::Check);
}

#[test]
fn the_longest_unused_makes_way() {
    let (mut claims, mut now) = (claims(), start());
    for id in 1..=MAX_HELD as u64 {
        now += Duration::from_secs(60);
        assert_eq!(claims.claim(address(id), 1, now), Claim::Check);
        assert_eq!(claims.grant(address(id), now).unwrap().gone, None);
    }
    now += Duration::from_secs(60);
    assert!(claims.uses(address(1), 1, now));
    claims.claim(address(99), 1, now);
    let granted = claims.grant(address(99), now).unwrap();
    assert_eq!(granted.gone, Some(address(2)));
    assert!(!claims.uses(address(2), 1, now));
    assert_eq!(claims.count(), MAX_HELD);
}

#[test]
fn a_client_that_sprays_addresses_runs_dry_and_recovers() {
    let (mut claims, now) = (claims(), start());
    let mut checks = 0;
    for id in 1..1_000 {
        match claims.claim(address(id), 1, now) {
            Claim::Check => checks += 1,
            other => assert_eq!(other, Claim::TooMany),
        }
        claims.grant(address(id), now);
    }
    assert_eq!(checks, CHECKS);
    assert_eq!(claims.claim(address(2_000), 2, now), Claim::Check, "others");
    let later = now + CHECK_EVERY;
    assert_eq!(claims.claim(address(3_000), 1, later), Claim::Check);
    assert_eq!(claims.claim(address(3_001), 1, later), Claim::TooMany);
}

#[test]
fn few_checks_of_one_client_run_at_once() {
    let (mut claims, now) = (claims(), start());
    let all: Vec<Claim> = (1..=5)
        .map(|id| claims.claim(address(id), 1, now))
        .collect();
    assert_eq!(all[3..], [Claim::Check, Claim::TooMany]);
}

proptest! {
    #[test]
    fn no_address_has_two_holders(steps in prop::collection::vec((0_u8..4, 1_u64..40, 0_u8..4, any::<bool>()), 1..300)) {
        let (mut claims, mut now) = (claims(), start());
        let mut holders: HashMap<Ipv6Addr, u8> = HashMap::new();
        for (act, id, client, free) in steps {
            now += Duration::from_secs(3);
            let address = address(id);
            match act {
                0 => { claims.claim(address, client, now); }
                1 => if !free {
                    claims.refuse(address, now);
                } else if let Some(granted) = claims.grant(address, now) {
                    prop_assert_eq!(holders.insert(address, granted.holder), None);
                    if let Some(gone) = granted.gone {
                        prop_assert_eq!(holders.remove(&gone), Some(granted.holder));
                    }
                },
                2 => for gone in claims.release(client) {
                    prop_assert_eq!(holders.remove(&gone), Some(client));
                },
                _ => prop_assert_eq!(
                    claims.uses(address, client, now),
                    holders.get(&address) == Some(&client)
                ),
            }
            prop_assert_eq!(claims.count(), holders.len());
            for client in 0..4 {
                prop_assert!(claims.held(client).count() <= MAX_HELD);
            }
        }
    }
}
