use proptest::prelude::*;

use super::*;
use crate::avp::Avps;

fn secret() -> Secret {
    Secret::new("secret").unwrap()
}

fn hidden(kind: u16, value: &[u8]) -> Avp<'_> {
    Avp {
        mandatory: true,
        hidden: true,
        reserved: false,
        vendor: 0,
        kind,
        value,
    }
}

fn reveal(kind: u16, vector: &[u8], value: &[u8]) -> Result<Vec<u8>, AvpError> {
    let value = secret().reveal(&hidden(kind, value), vector)?;
    Ok(value.to_vec())
}

/// Hides these bytes as they are, length field and all.
fn raw(kind: u16, vector: &[u8], plain: &[u8]) -> Vec<u8> {
    let secret = secret();
    let mut bytes = plain.to_vec();
    let mut pad = secret.first_pad(kind, vector);
    for block in bytes.chunks_mut(BLOCK) {
        xor(block, &pad);
        pad = secret.next_pad(block);
    }
    bytes
}

/// The chain of RFC 2661 4.3, computed by hand with another program: MD5 of attribute, secret and
/// vector, then of secret and the block before.
#[test]
fn a_hidden_value_is_what_the_rfc_says() {
    let vector: Vec<u8> = (0..16).collect();
    let value = b"a challenge of more than one block";
    let hidden = secret().hide(11, &vector, value).unwrap();
    assert_eq!(hex::encode(&hidden), HIDDEN);
    assert_eq!(reveal(11, &vector, &hidden).unwrap(), value);
}

const HIDDEN: &str = "13a49924965c95a219b6d7b2e7936e0b8719d1ddff6838f230a79afec7eb13f8b578c774fe30a4e34bca5bf9d26d53cf";

/// CHAP's sum with the message type for an identifier, computed likewise.
#[test]
fn a_response_is_chaps_with_the_message_type() {
    let challenge: Vec<u8> = (16..32).collect();
    let response = secret().response(MessageType::Sccrp, &challenge);
    assert_eq!(hex::encode(response), RESPONSES[0]);
    let response = secret().response(MessageType::Scccn, &challenge);
    assert_eq!(hex::encode(response), RESPONSES[1]);
    assert!(secret().verify(MessageType::Scccn, &challenge, &response));
    assert!(!secret().verify(MessageType::Sccrp, &challenge, &response));
    assert!(!secret().verify(MessageType::Scccn, &challenge, &response[..15]));
}

const RESPONSES: [&str; 2] = [
    "83abc767118632beb4d21abef105de01",
    "9b613fbb2d625c525dc1858730432128",
];

#[test]
fn a_hidden_length_never_reaches_past_its_own_body() {
    let vector = [7; 16];
    for (plain, length) in [
        (&[][..], 0),
        (&[0], 0),
        (&[0, 1], 1),
        (&[0, 15, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], 15),
        (&[0xff, 0xff, 0, 0], 0xffff),
    ] {
        let body = raw(9, &vector, plain);
        assert_eq!(
            reveal(9, &vector, &body),
            Err(AvpError::HiddenLength {
                attribute: 9,
                length,
                body: plain.len()
            })
        );
    }
    // 16 bytes of AVP and less are enough for a short value, with and without padding.
    for plain in [
        &[0, 2, 0x12, 0x34][..],
        &[0, 2, 0x12, 0x34, 9, 9, 9, 9, 9, 9],
    ] {
        let body = raw(9, &vector, plain);
        assert_eq!(reveal(9, &vector, &body).unwrap(), [0x12, 0x34]);
    }
    assert_eq!(reveal(9, &vector, &raw(9, &vector, &[0, 0])).unwrap(), []);
}

#[test]
fn values_too_long_to_be_hidden_are_not() {
    assert!(secret().hide(7, &[1; 16], &[0; 1006]).is_some());
    assert_eq!(secret().hide(7, &[1; 16], &[0; 1007]), None);
}

#[test]
fn the_nearest_vector_counts_and_none_is_refused() {
    let secret = secret();
    let mut writer = adit_wire::Writer::new();
    let first = secret.hide(9, &[1; 16], &[0, 1]).unwrap();
    let second = secret.hide(9, &[2; 5], &[0, 2]).unwrap();
    let vector = |value| Avp::plain(true, Attribute::RandomVector, value);
    for avp in [
        hidden(9, &first),
        vector(&[1; 16]),
        hidden(9, &first),
        hidden(9, &first),
        vector(&[2; 5]),
        hidden(9, &second),
        vector(&[]),
        hidden(9, &second),
    ] {
        crate::avp::write(&mut writer, &avp);
    }
    let bytes = writer.into_vec();
    let mut opener = Opener::new(Some(&secret));
    let opened: Vec<_> = Avps::new(&bytes)
        .map(|avp| match opener.open(&avp.unwrap()) {
            Ok(Opened::Hidden(value)) => Ok(Some(value.to_vec())),
            Ok(Opened::Plain) => Ok(None),
            Ok(Opened::NoSecret) => panic!(),
            Err(error) => Err(error),
        })
        .collect();
    assert_eq!(
        opened,
        [
            Err(AvpError::NoRandomVector(9)),
            Ok(None),
            Ok(Some(vec![0, 1])),
            Ok(Some(vec![0, 1])),
            Ok(None),
            Ok(Some(vec![0, 2])),
            Ok(None),
            Err(AvpError::NoRandomVector(9)),
        ]
    );
    let mut blind = Opener::new(None);
    assert!(matches!(
        blind.open(&hidden(9, &first)),
        Ok(Opened::NoSecret)
    ));
}

#[test]
fn a_secret_is_not_shown_and_an_empty_one_is_none() {
    assert_eq!(Secret::new(""), None);
    assert_eq!(format!("{:?}", secret()), "Secret(..)");
    assert_ne!(Some(secret()), Secret::new("secreT"));
    assert_eq!(Some(secret()), Secret::new("secret"));
}

proptest! {
    #[test]
    fn what_is_hidden_is_revealed(
        kind: u16,
        vector in proptest::collection::vec(any::<u8>(), 1..40),
        value in proptest::collection::vec(any::<u8>(), 0..1006),
    ) {
        let hidden = secret().hide(kind, &vector, &value).unwrap();
        prop_assert_eq!(reveal(kind, &vector, &hidden).unwrap(), value);
    }

    #[test]
    fn anything_is_revealed_or_refused(value in proptest::collection::vec(any::<u8>(), 0..1017)) {
        if let Ok(plain) = reveal(1, &[1; 16], &value) {
            prop_assert!(plain.len() + 2 <= value.len());
        }
    }
}
