use adit_crypto::{BlockCipher, Hash};

use super::*;
use crate::probe::choice::Method;

const COOKIE: [u8; 8] = [7; 8];

fn aes_sha1() -> Choice {
    Choice::new(
        BlockCipher::Aes256,
        Hash::Sha1,
        Group::Modp2048,
        Method::PreSharedKey,
    )
}

fn answer(exchange: u8, chain: &Builder) -> Vec<u8> {
    let header = Header {
        initiator_cookie: COOKIE,
        responder_cookie: [9; 8],
        next_payload: chain.first(),
        exchange,
        encrypted: false,
        commit: false,
        message_id: 0,
        length: 0,
    };
    header.write(chain.bytes())
}

#[test]
fn what_is_offered_is_read_back() {
    let offers = [
        aes_sha1(),
        Choice::new(
            BlockCipher::TripleDes,
            Hash::Md5,
            Group::Modp1024,
            Method::RsaSignature,
        ),
    ];
    let message = main_mode(COOKIE, &offers).unwrap();
    assert_eq!(offered(&message), offers);
    assert_eq!(offers[0].to_string(), "AES-CBC-256/SHA1/MODP-2048");
    assert_eq!(offers[1].to_string(), "3DES/MD5/MODP-1024");
    assert!(offers[0].weak().is_empty());
    assert_eq!(offers[1].weak(), ["3DES", "MD5", "MODP-1024"]);
}

#[test]
fn one_offer_is_written_as_rfc_2409_says() {
    let written = hex(&aes_sha1().write());
    let expected = "80010007 800e0100 80020002 8004000e 80030001 800b0001 800c7080";
    assert_eq!(written, expected.replace(' ', ""));
}

#[test]
fn a_choice_is_read_with_vendor_ids() {
    let mut chain = Builder::new();
    let body = sa(&[aes_sha1()]).unwrap();
    chain.push(kind::SA, &body).unwrap();
    chain.push(kind::VENDOR, b"OEabc").unwrap();
    let message = answer(exchange::MAIN, &chain);
    let Some(Reply::Chosen {
        choice,
        vendors,
        cookies,
    }) = read(&message, COOKIE)
    else {
        panic!("a choice");
    };
    assert_eq!(choice, aes_sha1());
    assert_eq!(vendors, ["Openswan or libreswan"]);
    assert_eq!(
        (cookies[..8].to_vec(), cookies[8..].to_vec()),
        (vec![7; 8], vec![9; 8])
    );
    assert_eq!(read(&message, [8; 8]), None, "of another question");
    for end in 0..message.len() {
        assert_eq!(read(&message[..end], COOKIE), None, "cut at {end}");
    }
}

#[test]
fn refusals_and_rubbish_are_told_apart() {
    let notify = Notify {
        protocol: protocol::ISAKMP,
        spi: &[],
        kind: 14,
        data: &[],
    };
    let mut chain = Builder::new();
    chain.push(kind::NOTIFY, &notify.write().unwrap()).unwrap();
    let refusal = answer(exchange::INFORMATIONAL, &chain);
    assert_eq!(read(&refusal, COOKIE), Some(Reply::Refused(14)));

    let mut two = Builder::new();
    two.push(kind::SA, &sa(&[aes_sha1(); 2]).unwrap()).unwrap();
    let two = answer(exchange::MAIN, &two);
    assert!(matches!(read(&two, COOKIE), Some(Reply::Malformed(_))));
    let nothing = answer(exchange::MAIN, &Builder::new());
    assert!(matches!(read(&nothing, COOKIE), Some(Reply::Malformed(_))));
}

#[test]
fn aggressive_mode_has_a_public_value_below_the_prime() {
    let identity = Selector {
        id: std::net::IpAddr::from([192, 0, 2, 1]).into(),
        protocol: 0,
        port: 0,
    };
    let mut rng = Rng::from_seed([3; 32]);
    let message = aggressive(COOKIE, &[aes_sha1()], &identity, &mut rng).unwrap();
    let header = parse_header(&message).unwrap();
    assert_eq!(header.exchange, exchange::AGGRESSIVE);
    let payloads = Payloads::parse(header.next_payload, header.body(&message)).unwrap();
    let public = payloads.required(kind::KE).unwrap();
    assert_eq!((public.len(), public[0]), (256, 0));
    assert!(public[1..].iter().any(|byte| *byte != 0));
    assert_eq!(
        payloads.required(kind::ID).unwrap(),
        [1, 0, 0, 0, 192, 0, 2, 1]
    );
}

#[test]
fn a_farewell_names_the_sa() {
    let mut rng = Rng::from_seed([4; 32]);
    let cookies: [u8; 16] = std::array::from_fn(|index| index as u8 + 1);
    let message = farewell(cookies, &mut rng).unwrap();
    let header = parse_header(&message).unwrap();
    assert_eq!(header.initiator_cookie, cookies[..8]);
    assert_eq!(header.responder_cookie, cookies[8..]);
    let payloads = Payloads::parse(header.next_payload, header.body(&message)).unwrap();
    let delete = payloads.required(kind::DELETE).unwrap();
    let delete = adit_ike::codec::Delete::parse(delete).unwrap();
    assert_eq!(delete.cookies, [cookies]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
