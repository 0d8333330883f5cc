use adit_crypto::{BlockCipher, EspCipher, EspMac, EspSuite, Group, Hash};
use adit_wire::Writer;

use super::*;
use crate::authentication::Authentication;
use crate::codec::{Attributes, SecurityAssociation, Transform};
use crate::config::{Config, Phase1Proposal};
use crate::vendor::ClientKind;

const PSK: &[Authentication] = &[Authentication::PreSharedKey];

fn policy(config: &Config) -> phase1::Policy<'_> {
    phase1::Policy {
        config,
        methods: PSK,
        public_len: None,
    }
}

/// An SA payload of one proposal whose transforms have these attributes, all in the short format.
fn one_proposal(protocol: u8, spi: &[u8], id: u8, transforms: &[&[(u16, u16)]]) -> Vec<u8> {
    let bodies: Vec<_> = transforms
        .iter()
        .map(|attributes| {
            let mut writer = Writer::new();
            for (kind, value) in *attributes {
                codec::put_tv(&mut writer, *kind, *value);
            }
            writer.into_vec()
        })
        .collect();
    let transforms = bodies
        .iter()
        .zip(1..)
        .map(|(body, number)| Transform {
            number,
            id,
            attributes: Attributes::parse(body).unwrap(),
        })
        .collect();
    SecurityAssociation {
        proposals: vec![Proposal {
            number: 1,
            protocol,
            spi,
            transforms,
        }],
    }
    .write()
    .unwrap()
}

/// What macOS and iOS offer for phase 1: 14 transforms, lifetimes of two bytes.
fn apple() -> Vec<u8> {
    let list = [
        (14, 7, 256, [4, 2, 1, 6].as_slice()),
        (5, 7, 256, &[4, 2, 1]),
        (2, 7, 256, &[4, 2, 1]),
        (2, 7, 128, &[2, 1]),
        (2, 5, 0, &[2, 1]),
    ];
    let mut transforms = Vec::new();
    for (group, cipher, bits, hashes) in list {
        for hash in hashes {
            let mut attributes = vec![(11, 1), (12, 3600), (1, cipher)];
            if bits > 0 {
                attributes.push((14, bits));
            }
            attributes.extend([(3, 1), (2, *hash), (4, group)]);
            transforms.push(attributes);
        }
    }
    let transforms: Vec<_> = transforms.iter().map(Vec::as_slice).collect();
    assert_eq!(transforms.len(), 14);
    one_proposal(1, &[], 1, &transforms)
}

#[test]
fn apple_is_read_and_answered_in_kind() {
    let body = apple();
    let sa = SecurityAssociation::parse(&body).unwrap();
    let texts = phase1::offered(&sa);
    assert_eq!(texts.len(), 14);
    assert_eq!(texts[0], "AES-CBC-256/SHA2-256/MODP-2048 with PSK");
    assert_eq!(texts[13], "3DES/MD5/MODP-1024 with PSK");
    let chosen = phase1::choose(&policy(&Config::default()), &sa)
        .unwrap()
        .unwrap();
    assert_eq!(
        chosen.proposal.to_string(),
        "AES-CBC-256/SHA2-256/MODP-2048"
    );
    assert_eq!(chosen.lifetime, Some(Duration::from_secs(3600)));
    // The same transform, with its own number and its attributes in their order and format.
    let answer = SecurityAssociation::parse(&chosen.answer).unwrap();
    let [proposal] = answer.proposals.as_slice() else {
        panic!("one proposal");
    };
    assert_eq!(proposal.transforms, sa.proposals[0].transforms[..1]);
}

#[test]
fn phase_1_offers_that_cannot_be_taken() {
    const GOOD: [(u16, u16); 5] = [(1, 7), (14, 256), (2, 2), (3, 1), (4, 14)];
    let config = Config::default();
    let taken = |attributes: &[(u16, u16)]| {
        let body = one_proposal(1, &[], 1, &[attributes]);
        let sa = SecurityAssociation::parse(&body).unwrap();
        phase1::choose(&policy(&config), &sa).unwrap().is_some()
    };
    assert!(taken(&GOOD));
    for at in 0..GOOD.len() {
        let mut without = GOOD.to_vec();
        without.remove(at);
        assert!(!taken(&without), "without {at}");
        let mut twice = GOOD.to_vec();
        twice.push(GOOD[at]);
        assert!(!taken(&twice), "twice {at}");
        let mut zero = GOOD;
        zero[at].1 = 0;
        assert!(!taken(&zero), "zero {at}");
    }
    for more in [(13, 1), (99, 0), (16384, 5)] {
        let mut strange = GOOD.to_vec();
        strange.push(more);
        assert!(!taken(&strange));
    }
    for authentication in [3, 5, 64221, 65001] {
        let mut other = GOOD;
        other[3].1 = authentication;
        assert!(!taken(&other));
    }
    // A lifetime without its type says nothing and costs nothing.
    let mut loose = GOOD.to_vec();
    loose.push((12, 60));
    assert!(taken(&loose));
}

#[test]
fn our_own_offers_are_read_back() {
    let config = Config::default();
    let body = phase1::offer(&config, PSK, None).unwrap();
    let sa = SecurityAssociation::parse(&body).unwrap();
    assert_eq!(phase1::offered(&sa), phase1::allowed(&policy(&config)));
    let body = esp::offer(&config, None, 4, Some(Group::Ecp256), 0x1234, false).unwrap();
    let sa = SecurityAssociation::parse(&body).unwrap();
    let allowed: Vec<_> = esp::allowed(&config)
        .iter()
        .map(|name| format!("{name} with group 19"))
        .collect();
    assert_eq!(esp::offered(&sa), allowed);
}

#[test]
fn a_choice_that_was_not_offered_is_not_taken() {
    let config = Config {
        phase1: vec![Phase1Proposal {
            cipher: BlockCipher::Aes256,
            hash: Hash::Sha1,
            group: Group::Modp2048,
        }],
        ..Config::default()
    };
    let other = one_proposal(1, &[], 1, &[&[(1, 7), (14, 128), (2, 2), (3, 1), (4, 14)]]);
    let sa = SecurityAssociation::parse(&other).unwrap();
    assert_eq!(phase1::chosen(&policy(&config), &sa), None);
    let good = phase1::offer(&config, PSK, None).unwrap();
    let sa = SecurityAssociation::parse(&good).unwrap();
    assert_eq!(
        phase1::chosen(&policy(&config), &sa).unwrap().0,
        (config.phase1[0], Authentication::PreSharedKey)
    );
    let two = phase1::offer(&Config::default(), PSK, None).unwrap();
    let sa = SecurityAssociation::parse(&two).unwrap();
    assert_eq!(phase1::chosen(&policy(&Config::default()), &sa), None);
}

const CONTEXT: esp::Context = esp::Context {
    udp_allowed: true,
    udp_wanted: false,
    key_exchange: false,
    client: ClientKind::Unknown,
    extended_allowed: true,
};

#[test]
fn extended_sequence_numbers_are_taken_in_the_order_of_the_offer() {
    let config = Config {
        esp: vec![mac(EspCipher::AesCbc256, EspMac::HmacSha1_96)],
        ..Config::default()
    };
    let plain: &[(u16, u16)] = &[(4, 2), (5, 2), (6, 256)];
    let extended: &[(u16, u16)] = &[(4, 2), (5, 2), (6, 256), (11, 1)];
    let reserved: &[(u16, u16)] = &[(4, 2), (5, 2), (6, 256), (11, 0)];
    let unknown: &[(u16, u16)] = &[(4, 2), (5, 2), (6, 256), (11, 2)];
    let twice: &[(u16, u16)] = &[(4, 2), (5, 2), (6, 256), (11, 1), (11, 1)];
    let choose = |transforms: &[&[(u16, u16)]], context| {
        let body = one_proposal(3, &[0, 0, 1, 0], 12, transforms);
        let sa = SecurityAssociation::parse(&body).unwrap();
        esp::choose(&config, &sa, &context).map(|chosen| chosen.extended)
    };
    assert_eq!(choose(&[extended, plain], CONTEXT), Some(true));
    assert_eq!(choose(&[plain, extended], CONTEXT), Some(false));
    assert_eq!(choose(&[extended], CONTEXT), Some(true));
    assert_eq!(choose(&[reserved], CONTEXT), Some(false));
    assert_eq!(choose(&[unknown], CONTEXT), None);
    assert_eq!(choose(&[twice], CONTEXT), None);
    let never = esp::Context {
        extended_allowed: false,
        ..CONTEXT
    };
    assert_eq!(choose(&[extended, plain], never), Some(false));
    assert_eq!(choose(&[extended], never), None);
    let body = one_proposal(3, &[0, 0, 1, 0], 12, &[extended, unknown]);
    let sa = SecurityAssociation::parse(&body).unwrap();
    let suite = "AES-CBC-256/HMAC-SHA1-96";
    assert_eq!(
        esp::offered(&sa),
        [
            format!("{suite} with extended sequence numbers"),
            format!("{suite} with sequence numbers 2")
        ]
    );
}

fn mac(cipher: EspCipher, mac: EspMac) -> EspSuite {
    EspSuite::new(cipher, Some(mac)).unwrap()
}

#[test]
fn android_gets_sha_2_only_when_there_is_nothing_else() {
    let sha2: &[(u16, u16)] = &[(4, 4), (5, 5), (6, 256)];
    let sha1: &[(u16, u16)] = &[(4, 4), (5, 2), (6, 256)];
    let config = Config::default();
    let choose = |transforms: &[&[(u16, u16)]], client| {
        let body = one_proposal(3, &[0, 0, 1, 0], 12, transforms);
        let sa = SecurityAssociation::parse(&body).unwrap();
        let context = esp::Context { client, ..CONTEXT };
        esp::choose(&config, &sa, &context).map(|chosen| chosen.suite.mac.unwrap())
    };
    let both = [sha2, sha1];
    let sha256 = Some(EspMac::HmacSha2_256_128);
    assert_eq!(choose(&both, ClientKind::Unknown), sha256);
    assert_eq!(
        choose(&both, ClientKind::Android),
        Some(EspMac::HmacSha1_96)
    );
    assert_eq!(choose(&[sha2], ClientKind::Android), sha256);
}

#[test]
fn the_needed_encapsulation_is_preferred_and_spis_are_checked() {
    let config = Config {
        esp: vec![mac(EspCipher::AesCbc256, EspMac::HmacSha1_96)],
        ..Config::default()
    };
    let plain: &[(u16, u16)] = &[(4, 2), (5, 2), (6, 256)];
    let udp: &[(u16, u16)] = &[(4, 61444), (5, 2), (6, 256)];
    let choose = |spi: &[u8], transforms: &[&[(u16, u16)]], context| {
        let body = one_proposal(3, spi, 12, transforms);
        let sa = SecurityAssociation::parse(&body).unwrap();
        esp::choose(&config, &sa, &context).map(|chosen| chosen.udp)
    };
    let spi = [0, 0, 1, 0];
    let wanted = esp::Context {
        udp_wanted: true,
        ..CONTEXT
    };
    assert_eq!(choose(&spi, &[plain, udp], wanted), Some(true));
    assert_eq!(choose(&spi, &[udp, plain], CONTEXT), Some(false));
    assert_eq!(choose(&spi, &[plain], wanted), Some(false));
    let never = esp::Context {
        udp_allowed: false,
        ..CONTEXT
    };
    assert_eq!(choose(&spi, &[udp], never), None);
    for wrong in [
        &[][..],
        &[0, 0, 0, 255],
        &[0; 4],
        &[1, 2, 3],
        &[0, 0, 1, 0, 0],
    ] {
        assert_eq!(choose(wrong, &[plain], CONTEXT), None);
    }
}
