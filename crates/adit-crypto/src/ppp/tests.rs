use super::*;

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

// RFC 2759 9.2.
const PEER: &str = "21402324255e262a28295f2b3a337c7e";
const AUTHENTICATOR: &str = "5b5d7c7d7b3f2f3e3c2c602132262628";

#[test]
fn rfc_2759_section_9_2() {
    let challenge = challenge_hash(&array(PEER), &array(AUTHENTICATOR), b"User");
    assert_eq!(hex::encode(challenge), "d02e4386bce91226");
    let hash = NtHash::of_password("clientPass");
    assert_eq!(
        hex::encode(hash.as_bytes()),
        "44ebba8d5312b8d611474411f56989ae"
    );
    let response = nt_response(&hash, &challenge);
    assert_eq!(
        hex::encode(response),
        "82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"
    );
    assert_eq!(
        hex::encode(authenticator_response(&hash, &response, &challenge)),
        "407a5589115fd0d6209f510fe9c04566932cda56"
    );
}

#[test]
fn the_third_key_is_padded_with_zeros() {
    let zero = nt_response(&NtHash::from_bytes([0; 16]), &[0; 8]);
    // DES of zeros under the zero key.
    assert_eq!(hex::encode(zero), "8ca64de9c1b123a7".repeat(3));
    let mut last = [0; 16];
    last[15] = 0x01;
    let response = nt_response(&NtHash::from_bytes(last), &[0; 8]);
    assert_eq!(response[..16], zero[..16]);
    assert_ne!(response[16..], zero[16..]);
}

#[test]
fn passwords_outside_ascii_are_utf_16() {
    // MD4 over "\u{e9}" as e9 00, and over a surrogate pair.
    for (password, utf16) in [
        ("\u{e9}", &[0xe9, 0x00][..]),
        ("\u{1f511}", &[0x3d, 0xd8, 0x11, 0xdd]),
        ("", &[]),
    ] {
        let expected: [u8; 16] = Md4::digest(utf16).into();
        assert_eq!(NtHash::of_password(password).as_bytes(), &expected);
    }
    assert_eq!(
        hex::encode(NtHash::of_password("").as_bytes()),
        "31d6cfe0d16ae931b73c59d7e0c089c0"
    );
}

#[test]
fn rfc_1994_section_4_1() {
    // MD5 over 07, "secret" and the challenge, made with Python's hashlib.
    let challenge: [u8; 16] = array("000102030405060708090a0b0c0d0e0f");
    assert_eq!(
        hex::encode(chap_md5(7, b"secret", &challenge)),
        "821643665b430359e52ac524d29c8f95"
    );
    assert_ne!(
        chap_md5(8, b"secret", &challenge),
        chap_md5(7, b"secret", &challenge)
    );
}

#[test]
fn hashes_hide_and_compare() {
    let hash = NtHash::of_password("clientPass");
    assert_eq!(hash, NtHash::from_bytes(*hash.as_bytes()));
    assert_ne!(hash, NtHash::of_password("clientpass"));
    assert_eq!(format!("{hash:?}"), "NtHash(..)");
}
