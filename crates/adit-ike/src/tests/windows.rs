//! Windows 10, from bytes that one sent.

use super::*;
use crate::codec::{Payloads, SecurityAssociation, kind};
use adit_crypto::{BlockCipher, Group, Hash};

pub(crate) fn first_message() -> Vec<u8> {
    let text = include_str!("../../tests/windows10-mm1.hex");
    hex::decode(text.trim()).unwrap()
}

#[expect(clippy::result_large_err, reason = "an SA is larger still")]
fn accept(config: Config) -> Result<IkeSa, Refusal> {
    let mut pair = Pair::new(Config::default(), config.clone());
    let path = Path {
        channel: Channel::Ike,
        local: SocketAddr::new(ip(DIRECT.server), 500),
        remote: SocketAddr::new(ip(DIRECT.client), 500),
    };
    let psk = credentials("a shared secret");
    let config = Arc::new(config);
    let rng = &mut pair.server.rng;
    IkeSa::accept(&config, &psk, path, &first_message(), pair.now, rng)
}

#[test]
fn what_it_offers_is_read_in_order() {
    let message = first_message();
    let header = parse_header(&message).unwrap();
    assert_eq!(header.length, 408);
    let payloads = Payloads::parse(header.next_payload, header.body(&message)).unwrap();
    assert_eq!(payloads.all(kind::VENDOR).count(), 8);
    let body = payloads.leading(kind::SA).unwrap();
    let sa = SecurityAssociation::parse(body).unwrap();
    assert_eq!(
        proposal::phase1::offered(&sa),
        [
            "AES-CBC-256/SHA1/ECP-384 with PSK",
            "AES-CBC-128/SHA1/ECP-256 with PSK",
            "AES-CBC-256/SHA1/MODP-2048 with PSK",
            "3DES/SHA1/MODP-2048 with PSK",
            "3DES/SHA1/MODP-1024 with PSK",
        ]
    );
    assert_eq!(sa.write().unwrap(), body);
}

#[test]
fn the_answer_echoes_one_transform_as_it_came() {
    let config = Config {
        phase1: vec![Phase1Proposal {
            cipher: BlockCipher::Aes256,
            hash: Hash::Sha1,
            group: Group::Modp2048,
        }],
        ..Config::default()
    };
    let mut sa = accept(config).unwrap();
    let answer = sa.poll_transmit().unwrap().payload;
    let header = parse_header(&answer).unwrap();
    assert_eq!(header.initiator_cookie, sa.cookies().0);
    assert_eq!(header.responder_cookie, sa.cookies().1);
    let payloads = Payloads::parse(header.next_payload, header.body(&answer)).unwrap();
    let body = payloads.leading(kind::SA).unwrap();
    let transform = "00000028 03010000 80010007 800e0100 80020002 8004000e 80030001 800b0001 \
                     000c0004 00007080";
    let expected = format!("00000001 00000001 00000030 01010001 {transform}");
    assert_eq!(hex::encode(body), expected.replace(' ', ""));
    let rfc3947 = NatTVersion::Rfc3947.vendor_id();
    assert!(payloads.all(kind::VENDOR).any(|id| id == rfc3947));
}

#[test]
fn the_default_takes_its_first_choice() {
    let sa = accept(Config::default()).unwrap();
    let negotiation = sa.negotiation.as_ref().unwrap();
    assert_eq!(negotiation.vendor.client, ClientKind::Windows);
    assert_eq!(
        negotiation.proposal.unwrap().to_string(),
        "AES-CBC-256/SHA1/ECP-384"
    );
    assert_eq!(negotiation.lifetime, Duration::from_secs(28_800));
    assert_eq!(negotiation.vendor.ids.len(), 8);
}

#[test]
fn nothing_in_common_is_refused_with_a_notification() {
    let mut config = Config::default();
    config
        .phase1
        .retain(|proposal| proposal.hash == Hash::Sha2_384);
    let refusal = accept(config).err().unwrap();
    let notify = refusal.notify.unwrap().payload;
    let header = parse_header(&notify).unwrap();
    assert_eq!((header.exchange, header.next_payload), (5, 11));
    assert_eq!(
        hex::encode(&notify[28..]),
        "0000000c00000001".to_owned() + "0100000e"
    );
    assert!(refusal.reason.to_string().contains("3DES/SHA1/MODP-1024"));
}

/// A server behind a NAT, to a Windows client: the client hears its own idea of the server's
/// address, and that it is itself behind a NAT.
#[test]
fn a_server_behind_a_nat_does_not_look_so_to_windows() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.addresses = Addresses {
        server: "10.0.0.2",
        ..DIRECT
    };
    pair.connect();
    // The first message says that it is Windows.
    let first = pair.client.sa().poll_transmit().unwrap();
    let header = parse_header(&first.payload).unwrap();
    let payloads = Payloads::parse(1, header.body(&first.payload)).unwrap();
    let mut chain = codec::Builder::new();
    for payload in payloads.iter() {
        chain.push(payload.kind, payload.body).unwrap();
    }
    let windows = hex::decode("1e2b516905991c7d7c96fcbfb587e46100000009").unwrap();
    chain.push(kind::VENDOR, &windows).unwrap();
    let payload = header.write(chain.bytes());
    pair.deliver(true, Transmit { payload, ..first });
    pair.seconds(2);
    assert_eq!(pair.server.phase1().unwrap().client, ClientKind::Windows);
    let of_client = pair.client.phase1().unwrap().nat;
    assert!(of_client.local_behind && !of_client.remote_behind);
    let of_server = pair.server.phase1().unwrap().nat;
    assert!(of_server.local_behind && !of_server.remote_behind);
    assert_eq!(pair.server.sa().path().channel, Channel::NatT);
}
