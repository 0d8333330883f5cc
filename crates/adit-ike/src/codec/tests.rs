use std::net::{Ipv4Addr, Ipv6Addr};

use adit_wire::Writer;
use proptest::prelude::*;

use super::*;

fn header() -> Header {
    Header {
        initiator_cookie: [1; 8],
        responder_cookie: [2; 8],
        next_payload: kind::HASH,
        exchange: exchange::QUICK,
        encrypted: true,
        commit: false,
        message_id: 0xdead_beef,
        length: 0,
    }
}

#[test]
fn a_header_reads_as_it_is_written() {
    let bytes = header().write(&[9; 5]);
    assert_eq!(bytes.len(), 33);
    let read = parse_header(&bytes).unwrap();
    assert_eq!(
        read,
        Header {
            length: 33,
            ..header()
        }
    );
    assert_eq!(read.body(&bytes), [9; 5]);
    let mut longer = bytes.clone();
    longer.extend([0xff; 7]);
    assert_eq!(parse_header(&longer).unwrap().body(&longer), [9; 5]);
}

#[test]
fn headers_that_are_refused() {
    let bytes = header().write(&[]);
    for length in 0..HEADER_LEN {
        assert!(matches!(
            parse_header(&bytes[..length]),
            Err(DecodeError::Truncated(_))
        ));
    }
    for length in [0_u32, 27, 29, u32::MAX] {
        let mut wrong = bytes.clone();
        wrong[24..28].copy_from_slice(&length.to_be_bytes());
        assert!(matches!(
            parse_header(&wrong),
            Err(DecodeError::Length { .. })
        ));
    }
    let mut zero = bytes;
    zero[..8].fill(0);
    assert_eq!(parse_header(&zero), Err(DecodeError::ZeroCookie));
}

#[test]
fn chains_keep_order_and_give_what_a_hash_covers() {
    let mut rest = Builder::new();
    rest.push(kind::NONCE, b"nonce")
        .unwrap()
        .push(200, b"private")
        .unwrap();
    let chain = Builder::before(kind::HASH, b"hash", &rest).unwrap();
    assert_eq!(chain.first(), kind::HASH);
    let mut padded = chain.bytes().to_vec();
    padded.extend([0; 11]);
    let payloads = Payloads::parse(chain.first(), &padded).unwrap();
    assert_eq!(payloads.after_first(), rest.bytes());
    assert_eq!(payloads.leading(kind::HASH), Ok(&b"hash"[..]));
    assert_eq!(payloads.required(kind::NONCE), Ok(&b"nonce"[..]));
    assert_eq!(payloads.optional(kind::SA), Ok(None));
    assert_eq!(
        payloads.required(kind::SA),
        Err(DecodeError::Missing(kind::SA))
    );
    let wrong = payloads.leading(kind::NONCE);
    assert!(matches!(
        wrong,
        Err(DecodeError::Order {
            found: 8,
            wanted: 10
        })
    ));
}

#[test]
fn chains_that_are_refused() {
    // Lengths below the generic header and past the end.
    for length in [0_u8, 1, 3, 5, 255] {
        assert!(Payloads::parse(kind::HASH, &[0, 0, 0, length]).is_err());
    }
    // A next payload that is not there, and types of IKEv2.
    assert!(Payloads::parse(kind::HASH, &[kind::SA, 0, 0, 4]).is_err());
    for kind in [15, 19, 22, 33, 46, 127] {
        let error = Payloads::parse(kind, &[0, 0, 0, 4]).unwrap_err();
        assert_eq!(error, DecodeError::PayloadKind(kind));
    }
    let endless = [kind::VENDOR, 0, 0, 4].repeat(MAX_PAYLOADS + 1);
    assert!(matches!(
        Payloads::parse(kind::VENDOR, &endless),
        Err(DecodeError::TooMany { .. })
    ));
    let twice = [kind::KE, 0, 0, 4, 0, 0, 0, 4];
    let payloads = Payloads::parse(kind::KE, &twice).unwrap();
    assert_eq!(
        payloads.required(kind::KE),
        Err(DecodeError::Duplicate(kind::KE))
    );
}

#[test]
fn attributes_of_both_formats() {
    let mut writer = Writer::new();
    put_tv(&mut writer, 11, 1);
    put_tlv(&mut writer, 12, &28_800_u32.to_be_bytes()).unwrap();
    put_tlv(&mut writer, 13, &[]).unwrap();
    put_tlv(&mut writer, 14, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 7]).unwrap();
    put_tlv(&mut writer, 15, &[1; 9]).unwrap();
    let attributes = Attributes::parse(writer.as_slice()).unwrap();
    let numbers: Vec<_> = attributes.iter().map(|a| (a.kind, a.number())).collect();
    assert_eq!(
        numbers,
        [
            (11, Some(1)),
            (12, Some(28_800)),
            (13, None),
            (14, Some(7)),
            (15, None)
        ]
    );
    for wrong in [
        &[0x80][..],
        &[0x80, 1, 0],
        &[0, 1, 0, 3, 1, 2],
        &[0, 1, 0xff, 0xff],
    ] {
        assert!(Attributes::parse(wrong).is_err());
    }
    assert!(matches!(
        Attributes::parse(&[0x80, 1, 0, 1].repeat(33)),
        Err(DecodeError::TooMany { .. })
    ));
}

#[test]
fn security_associations_that_are_refused() {
    let good = SecurityAssociation {
        proposals: vec![Proposal {
            number: 1,
            protocol: 1,
            spi: &[1, 2, 3, 4],
            transforms: vec![Transform {
                number: 1,
                id: 1,
                attributes: Attributes::parse(&[0x80, 1, 0, 7]).unwrap(),
            }],
        }],
    };
    let bytes = good.write().unwrap();
    assert_eq!(SecurityAssociation::parse(&bytes).unwrap(), good);
    for length in 0..bytes.len() {
        // DOI and situation alone are a payload without proposals.
        let parsed = SecurityAssociation::parse(&bytes[..length]);
        assert_eq!(parsed.is_ok(), length == 8, "{length}");
    }
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        SecurityAssociation::parse(&bytes).unwrap_err()
    };
    assert_eq!(with(3, 2), DecodeError::Doi(2));
    assert_eq!(with(7, 3), DecodeError::Situation(3));
    assert!(
        matches!(with(8, 2), DecodeError::Order { .. }),
        "a proposal is missing"
    );
    assert!(matches!(with(11, 3), DecodeError::Length { .. }));
    assert!(matches!(with(11, 200), DecodeError::Truncated(_)));
    assert!(
        matches!(with(14, 255), DecodeError::Truncated(_)),
        "SPI past the end"
    );
    assert!(matches!(
        with(15, 2),
        DecodeError::Count {
            field: 2,
            actual: 1
        }
    ));
    assert!(
        matches!(with(20, 3), DecodeError::Order { .. }),
        "a transform is missing"
    );
    assert!(matches!(with(23, 3), DecodeError::Length { .. }));
}

#[test]
fn numbers_of_proposals_and_transforms_are_bounded() {
    let transform = Transform {
        number: 1,
        id: 1,
        attributes: Attributes::parse(&[]).unwrap(),
    };
    let proposal = |transforms: usize| Proposal {
        number: 1,
        protocol: 3,
        spi: &[],
        transforms: vec![transform; transforms],
    };
    let sa = |proposals| SecurityAssociation { proposals }.write().unwrap();
    let many = sa(vec![proposal(1); MAX_PROPOSALS + 1]);
    let error = SecurityAssociation::parse(&many).unwrap_err();
    assert!(matches!(
        error,
        DecodeError::TooMany {
            what: "proposals",
            ..
        }
    ));
    let many = sa(vec![proposal(200), proposal(57)]);
    let error = SecurityAssociation::parse(&many).unwrap_err();
    assert!(matches!(
        error,
        DecodeError::TooMany {
            what: "transforms",
            ..
        }
    ));
    let most = sa(vec![proposal(200), proposal(56)]);
    assert!(SecurityAssociation::parse(&most).is_ok());
}

#[test]
fn identifications_check_their_lengths() {
    for (kind, length) in [(1, 3), (1, 5), (1, 0), (5, 4), (5, 17)] {
        let mut body = vec![kind, 0, 0, 0];
        body.extend(vec![0; length]);
        assert_eq!(
            Selector::parse(&body),
            Err(DecodeError::Id { kind, length })
        );
    }
    for length in 0..4 {
        assert!(Selector::parse(&[1; 4][..length]).is_err());
    }
    let odd = Selector::parse(&[2, 0, 0, 0, 0xff, 0xfe]).unwrap();
    let data = vec![0xff, 0xfe];
    assert_eq!(odd.id, IdValue::Other { kind: 2, data });
    let log = Selector::parse(b"\x02\0\0\0a\n\x1b[31m").unwrap();
    assert_eq!(log.id.to_string(), "a\\n\\u{1b}[31m");
}

#[test]
fn notifications_and_deletions_that_are_refused() {
    assert!(Notify::parse(&[0, 0, 0, 1, 1, 5, 0, 14, 1, 2]).is_err());
    assert!(Notify::parse(&[0, 0, 0, 2, 1, 0, 0, 14]).is_err());
    assert!(Notify::parse(&[0, 0, 0, 1, 1, 0, 0]).is_err());
    let delete = Delete::esp(0x1234_5678);
    assert_eq!(Delete::parse(&delete).unwrap().spis, [0x1234_5678]);
    let with = |at: usize, value: u8| {
        let mut bytes = delete.clone();
        bytes[at] = value;
        Delete::parse(&bytes).unwrap_err()
    };
    assert!(matches!(
        with(5, 16),
        DecodeError::Spi {
            protocol: 3,
            length: 16
        }
    ));
    assert!(matches!(
        with(4, 1),
        DecodeError::Spi {
            protocol: 1,
            length: 4
        }
    ));
    assert!(matches!(with(7, 2), DecodeError::Truncated(_)));
    assert!(matches!(
        with(7, 0),
        DecodeError::Count {
            field: 0,
            actual: 1
        }
    ));
    assert!(matches!(with(6, 1), DecodeError::TooMany { .. }));
    let cookies = [7; 16];
    assert_eq!(
        Delete::parse(&Delete::isakmp(cookies)).unwrap().cookies,
        [cookies]
    );
}

#[test]
fn original_addresses_ignore_reserved_bytes() {
    let v4 = Ipv4Addr::new(192, 168, 0, 7).into();
    let v6 = Ipv6Addr::LOCALHOST.into();
    for address in [v4, v6] {
        let mut body = write_nat_oa(address);
        assert_eq!(parse_nat_oa(&body), Ok(address));
        body[2] = 0x5a;
        assert_eq!(parse_nat_oa(&body), Ok(address));
        body[0] = 4;
        assert!(parse_nat_oa(&body).is_err());
    }
    assert!(parse_nat_oa(&[1, 0, 0, 0, 1, 2, 3]).is_err());
    assert!(parse_nat_oa(&[5, 0, 0]).is_err());
}

fn id() -> impl Strategy<Value = IdValue> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|a| IdValue::Ipv4(a.into())),
        any::<[u8; 16]>().prop_map(|a| IdValue::Ipv6(a.into())),
        ".{0,20}".prop_map(IdValue::Fqdn),
        ".{0,20}".prop_map(IdValue::UserFqdn),
        any::<Vec<u8>>().prop_map(IdValue::KeyId),
        any::<Vec<u8>>().prop_map(IdValue::DistinguishedName),
        (6_u8..9, any::<Vec<u8>>()).prop_map(|(kind, data)| IdValue::Other { kind, data }),
    ]
}

type RawProposal = (u8, u8, Vec<u8>, Vec<(u8, u8, Vec<(u16, u16)>)>);

fn raw_proposal() -> impl Strategy<Value = RawProposal> {
    let attributes = prop::collection::vec((0_u16..0x8000, any::<u16>()), 0..12);
    let transforms = prop::collection::vec((any::<u8>(), any::<u8>(), attributes), 0..6);
    let spi = prop::collection::vec(any::<u8>(), 0..17);
    (any::<u8>(), any::<u8>(), spi, transforms)
}

proptest! {
    #[test]
    fn selectors_round_trip(id in id(), protocol: u8, port: u16) {
        let selector = Selector { id, protocol, port };
        prop_assert_eq!(Selector::parse(&selector.write()).unwrap(), selector);
    }

    #[test]
    fn notifications_round_trip(
        protocol: u8, kind: u16,
        spi in prop::collection::vec(any::<u8>(), 0..255), data: Vec<u8>,
    ) {
        let notify = Notify { protocol, spi: &spi, kind, data: &data };
        let bytes = notify.write().unwrap();
        prop_assert_eq!(Notify::parse(&bytes).unwrap(), notify);
    }

    #[test]
    fn security_associations_round_trip(list in prop::collection::vec(raw_proposal(), 0..8)) {
        let attributes: Vec<Vec<Vec<u8>>> = list.iter().map(|(.., transforms)| {
            transforms.iter().map(|(.., attributes)| {
                let mut writer = Writer::new();
                for (kind, value) in attributes {
                    if value % 2 == 0 {
                        put_tv(&mut writer, *kind, *value);
                    } else {
                        put_tlv(&mut writer, *kind, &vec![1; usize::from(value % 9)]).unwrap();
                    }
                }
                writer.into_vec()
            }).collect()
        }).collect();
        let proposals = list.iter().zip(&attributes).map(|((number, protocol, spi, transforms), bytes)| {
            Proposal {
                number: *number,
                protocol: *protocol,
                spi,
                transforms: transforms.iter().zip(bytes).map(|((number, id, _), bytes)| Transform {
                    number: *number,
                    id: *id,
                    attributes: Attributes::parse(bytes).unwrap(),
                }).collect(),
            }
        }).collect();
        let sa = SecurityAssociation { proposals };
        let bytes = sa.write().unwrap();
        prop_assert_eq!(SecurityAssociation::parse(&bytes).unwrap(), sa);
    }

    #[test]
    fn chains_round_trip(
        list in prop::collection::vec((1_u8..14, prop::collection::vec(any::<u8>(), 0..50)), 1..20),
        padding in 0_usize..16,
    ) {
        let mut chain = Builder::new();
        for (kind, body) in &list {
            chain.push(*kind, body).unwrap();
        }
        let mut bytes = chain.bytes().to_vec();
        bytes.extend(vec![0; padding]);
        let payloads = Payloads::parse(chain.first(), &bytes).unwrap();
        let read: Vec<_> = payloads.iter().map(|p| (p.kind, p.body.to_vec())).collect();
        prop_assert_eq!(read, list);
    }

    #[test]
    fn nothing_panics(first: u8, bytes: Vec<u8>) {
        let _ = parse_header(&bytes);
        let _ = Payloads::parse(first, &bytes);
        let _ = SecurityAssociation::parse(&bytes);
        let _ = Selector::parse(&bytes);
        let _ = Notify::parse(&bytes);
        let _ = Delete::parse(&bytes);
        let _ = parse_nat_oa(&bytes);
    }
}
