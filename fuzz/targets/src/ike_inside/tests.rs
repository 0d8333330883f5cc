use super::*;
use crate::inputs::{put, seed, sequence};

const QUICK: u8 = 1;
const ON: u8 = 2;
const ANSWER: u8 = 3;
const INFORM: u8 = 0;

#[test]
fn seeds_reach_what_they_are_for() {
    let reached = |name| run(&seed("ike_inside", name));
    let plain = Reached::default();
    let child = Reached {
        children: 1,
        confirmed: 1,
        ..Reached::default()
    };
    assert_eq!(reached("quick"), child);
    assert_eq!(reached("quick-pfs"), child);
    let answered = reached("answer");
    assert_eq!((answered.children, answered.closed), (1, false));
    let deleted = reached("quick-and-delete");
    assert_eq!((deleted.children, deleted.deleted), (1, 1));
    let closed = reached("delete-isakmp");
    assert!(closed.closed);
    for name in [
        "quick-null-cipher",
        "quick-fqdn-identities",
        "quick-ke-zero",
    ] {
        assert_eq!(reached(name), plain, "{name}");
    }
}

/// `[how][first payload]`, then the payloads.
fn message(how: u8, payloads: &[(u8, &[u8])]) -> Vec<u8> {
    let mut chain = Builder::new();
    for (kind, body) in payloads {
        chain.push(*kind, body).unwrap();
    }
    [&[how, chain.first()], chain.bytes()].concat()
}

/// An SA payload's body with one ESP transform.
fn sa(transform: u8, attributes: &[u8], spi: &[u8]) -> Vec<u8> {
    let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let transform = [
        &[0, 0],
        &length(8 + attributes.len())[..],
        &[1, transform, 0, 0],
        attributes,
    ]
    .concat();
    let proposal_length = length(8 + spi.len() + transform.len());
    let spi_length = u8::try_from(spi.len()).unwrap();
    [
        &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0],
        &proposal_length[..],
        &[1, 3, spi_length, 1],
        spi,
        &transform,
    ]
    .concat()
}

/// AES-CBC-256 with SHA-1 in transport mode.
const AES: &[u8] = &[
    0x80, 1, 0, 1, 0x80, 2, 0x0e, 0x10, 0x80, 4, 0, 2, 0x80, 5, 0, 2, 0x80, 6, 1, 0,
];
const SPI: &[u8] = &[0x11, 0x22, 0x33, 0x44];
const NONCE: &[u8] = &[9; 16];
const OWN_ID: &[u8] = &[1, 17, 6, 165, 192, 0, 2, 10];
const THEIR_ID: &[u8] = &[1, 17, 6, 165, 198, 51, 100, 1];

fn quick(sa: &[u8], more: &[(u8, &[u8])]) -> Vec<u8> {
    let payloads = [&[(kind::SA, sa), (kind::NONCE, NONCE)], more].concat();
    message(QUICK, &payloads)
}

/// Run by hand after the codec changed: `cargo test -p adit-fuzz-targets write_ike -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_ike_inside() {
    let ids = [(kind::ID, OWN_ID), (kind::ID, THEIR_ID)];
    let good = sa(12, AES, SPI);
    let with_group = [AES, &[0x80, 3, 0, 19]].concat();
    let pfs = sa(12, &with_group, SPI);
    let public = PrivateValue::generate(Group::Ecp256, &mut Rng::from_seed([4; 32])).public();
    let with_ke = |ke: &[u8]| quick(&pfs, &[&[(kind::KE, ke)], &ids[..]].concat());
    let on = message(ON, &[]);
    let cookies = Peer::connected().sa.cookies();
    let cookies = [cookies.0, cookies.1].concat();
    let notify = |protocol: u8, kind: u16, spi: &[u8], data: &[u8]| {
        let spi_length = u8::try_from(spi.len()).unwrap();
        [
            &[0, 0, 0, 1, protocol, spi_length],
            &kind.to_be_bytes()[..],
            spi,
            data,
        ]
        .concat()
    };
    let delete = |protocol: u8, count: u16, length: u8, spis: &[u8]| {
        [
            &[0, 0, 0, 1, protocol, length],
            &count.to_be_bytes()[..],
            spis,
        ]
        .concat()
    };
    let ask = notify(1, 36_136, &cookies, &[0, 0, 0, 1]);
    let contact = notify(1, 24_578, &cookies, &[]);
    let delete_esp = delete(3, 1, 4, SPI);
    let delete_isakmp = delete(1, 1, 16, &cookies);
    let inform = |kind: u8, body: &[u8]| vec![message(INFORM, &[(kind, body)])];
    let many_deletes: Vec<_> = [
        (kind::DELETE, &delete_esp[..]),
        (kind::NOTIFY, &contact[..]),
    ]
    .repeat(2);
    let replies = |sa: &[u8], more: &[(u8, &[u8])]| {
        let payloads = [&[(kind::SA, sa), (kind::NONCE, NONCE)], more].concat();
        vec![message(ANSWER, &payloads)]
    };
    let theirs = [(kind::ID, THEIR_ID), (kind::ID, OWN_ID)];
    let gcm = sa(
        20,
        &[
            0x80, 1, 0, 1, 0x80, 2, 0x0e, 0x10, 0x80, 4, 0, 2, 0x80, 6, 1, 0,
        ],
        SPI,
    );
    let seeds: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("quick", vec![quick(&good, &ids), on.clone()]),
        ("quick-gcm", vec![quick(&gcm, &ids), on.clone()]),
        (
            "quick-twice",
            vec![
                quick(&good, &ids),
                on.clone(),
                quick(&good, &ids),
                on.clone(),
                on.clone(),
            ],
        ),
        (
            "quick-same-message-id",
            vec![quick(&good, &ids), {
                let mut again = quick(&gcm, &ids);
                again[0] |= SAME_ID;
                again
            }],
        ),
        ("quick-unfinished", vec![quick(&good, &ids); 20]),
        (
            "quick-silence",
            vec![
                quick(&good, &ids),
                vec![],
                vec![],
                vec![],
                vec![],
                vec![],
                on.clone(),
            ],
        ),
        ("quick-pfs", vec![with_ke(&public), on.clone()]),
        ("quick-ke-zero", vec![with_ke(&[0; 64]), on.clone()]),
        ("quick-ke-all-ones", vec![with_ke(&[0xff; 64])]),
        ("quick-ke-empty", vec![with_ke(&[])]),
        (
            "quick-ke-without-group",
            vec![quick(
                &good,
                &[&[(kind::KE, &public[..])], &ids[..]].concat(),
            )],
        ),
        ("quick-group-without-ke", vec![quick(&pfs, &ids)]),
        (
            "quick-null-cipher",
            vec![quick(&sa(11, AES, SPI), &ids), on.clone()],
        ),
        (
            "quick-no-mac",
            vec![quick(&sa(12, &AES[..12], SPI), &ids), on.clone()],
        ),
        (
            "quick-tunnel-mode",
            vec![quick(&sa(12, &[AES, &[0x80, 4, 0, 1]].concat(), SPI), &ids)],
        ),
        (
            "quick-spi-zero",
            vec![quick(&sa(12, AES, &[0; 4]), &ids), on.clone()],
        ),
        ("quick-spi-short", vec![quick(&sa(12, AES, &[1, 2]), &ids)]),
        (
            "quick-without-identities",
            vec![quick(&good, &[]), on.clone()],
        ),
        ("quick-one-identity", vec![quick(&good, &ids[..1])]),
        (
            "quick-three-identities",
            vec![quick(&good, &[ids[0], ids[1], ids[0]])],
        ),
        (
            "quick-fqdn-identities",
            vec![quick(
                &good,
                &[
                    (kind::ID, b"\x02\x11\x06\xa5vpn.example"),
                    (kind::ID, b"\x02\0\0\0"),
                ],
            )],
        ),
        (
            "quick-subnet-identities",
            vec![quick(
                &good,
                &[
                    (kind::ID, &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                    (kind::ID, THEIR_ID),
                ],
            )],
        ),
        (
            "quick-other-port",
            vec![
                quick(
                    &good,
                    &[
                        (kind::ID, &[1, 17, 0xc0, 1, 192, 0, 2, 10]),
                        (kind::ID, THEIR_ID),
                    ],
                ),
                on.clone(),
            ],
        ),
        (
            "quick-identity-cut",
            vec![quick(
                &good,
                &[(kind::ID, &[1, 17, 6]), (kind::ID, THEIR_ID)],
            )],
        ),
        (
            "quick-nonce-empty",
            vec![message(QUICK, &[(kind::SA, &good), (kind::NONCE, &[])])],
        ),
        (
            "quick-nonce-257",
            vec![message(
                QUICK,
                &[(kind::SA, &good), (kind::NONCE, &[1; 257])],
            )],
        ),
        (
            "quick-nat-oa",
            vec![
                quick(
                    &good,
                    &[
                        ids[0],
                        ids[1],
                        (kind::NAT_OA, &[1, 0, 0, 0, 192, 0, 2, 10]),
                        (kind::NAT_OA, &[1, 0, 0, 0, 198, 51, 100, 1]),
                    ],
                ),
                on.clone(),
            ],
        ),
        (
            "quick-nat-oa-short",
            vec![quick(&good, &[ids[0], ids[1], (kind::NAT_OA, &[1, 0, 0])])],
        ),
        (
            "quick-initial-contact",
            vec![quick(&good, &[ids[0], ids[1], (kind::NOTIFY, &contact)])],
        ),
        (
            "quick-and-delete",
            vec![
                quick(&good, &ids),
                on.clone(),
                message(INFORM, &[(kind::DELETE, &delete_esp)]),
            ],
        ),
        (
            "quick-delete-before-message-3",
            vec![
                quick(&good, &ids),
                message(INFORM, &[(kind::DELETE, &delete_esp)]),
                on.clone(),
            ],
        ),
        ("answer", replies(&good, &theirs)),
        ("answer-gcm", replies(&gcm, &theirs)),
        (
            "answer-twice",
            [replies(&gcm, &theirs), replies(&gcm, &theirs)].concat(),
        ),
        ("answer-not-offered", replies(&sa(11, AES, SPI), &theirs)),
        ("answer-other-identities", replies(&good, &ids)),
        (
            "answer-ke",
            replies(&good, &[(kind::KE, &public), theirs[0], theirs[1]]),
        ),
        (
            "answer-without-sa",
            vec![message(ANSWER, &[(kind::NONCE, NONCE)])],
        ),
        ("r-u-there", inform(kind::NOTIFY, &ask)),
        (
            "r-u-there-ack",
            inform(kind::NOTIFY, &notify(1, 36_137, &cookies, &[0, 0, 0, 1])),
        ),
        (
            "r-u-there-other-cookies",
            inform(kind::NOTIFY, &notify(1, 36_136, &[5; 16], &[0, 0, 0, 1])),
        ),
        (
            "r-u-there-cut",
            inform(kind::NOTIFY, &notify(1, 36_136, &cookies, &[0, 0])),
        ),
        ("initial-contact", inform(kind::NOTIFY, &contact)),
        (
            "no-proposal-chosen",
            inform(kind::NOTIFY, &notify(3, 14, SPI, &[])),
        ),
        ("delete-isakmp", inform(kind::DELETE, &delete_isakmp)),
        (
            "delete-isakmp-other-cookies",
            inform(kind::DELETE, &delete(1, 1, 16, &[5; 16])),
        ),
        (
            "delete-unknown",
            inform(kind::DELETE, &delete(3, 1, 4, &[1, 2, 3, 4])),
        ),
        (
            "delete-count",
            inform(kind::DELETE, &delete(3, 0xffff, 4, SPI)),
        ),
        (
            "delete-spi-length-0",
            inform(kind::DELETE, &delete(3, 0xffff, 0, &[])),
        ),
        (
            "delete-and-notify-twice",
            vec![message(INFORM, &many_deletes)],
        ),
        (
            "many-deletes",
            vec![message(INFORM, &[(kind::DELETE, &delete_esp[..]); 47])],
        ),
        (
            "too-many-payloads",
            vec![message(INFORM, &[(kind::VENDOR, &[1; 8][..]); 60])],
        ),
        ("hash-alone", vec![message(INFORM, &[])]),
        (
            "bare-quick",
            vec![message(QUICK | BARE, &[(kind::SA, &good)])],
        ),
        (
            "bare-inform",
            vec![message(INFORM | BARE, &[(kind::DELETE, &delete_isakmp)])],
        ),
        (
            "ikev2-payload",
            vec![[&[INFORM, 33], &[0, 0, 0, 8, 1, 2, 3, 4][..]].concat()],
        ),
        (
            "attributes",
            inform(kind::ATTRIBUTES, &[1, 0, 0, 1, 0, 1, 0, 0]),
        ),
        (
            "payload-length-0",
            vec![vec![INFORM, kind::NOTIFY, 0, 0, 0, 0]],
        ),
        (
            "payload-past-end",
            vec![vec![INFORM, kind::NOTIFY, 0, 0, 0xff, 0xff, 1, 2, 3]],
        ),
        ("dead-peer", vec![vec![]; 30]),
    ];
    for (name, messages) in seeds {
        put(
            "ike_inside",
            name,
            &sequence(messages.iter().map(Vec::as_slice)),
        );
    }
}
