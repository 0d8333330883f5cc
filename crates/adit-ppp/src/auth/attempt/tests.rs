//! RFC 2759 9.2 is the vector; the rest are the forms in which clients write names and passwords.

use super::*;

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text.replace(' ', ""))
        .unwrap()
        .try_into()
        .unwrap()
}

/// RFC 2759 9.2: user "User", password "clientPass".
fn rfc_2759(raw_user: &[u8]) -> Attempt {
    Attempt::MsChapV2 {
        user: String::from_utf8_lossy(raw_user).into_owned(),
        raw_user: raw_user.to_vec(),
        eap: false,
        challenge: array("5b5d7c7d7b3f2f3e3c2c602132262628"),
        peer_challenge: array("21402324255e262a28295f2b3a337c7e"),
        nt_response: array("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"),
    }
}

fn password(password: &str) -> Credential {
    Credential {
        password: Some(Secret::from(password)),
        nt_hash: None,
    }
}

fn hash_of(password: &str) -> Credential {
    Credential {
        password: None,
        nt_hash: Some(NtHash::of_password(password)),
    }
}

#[test]
fn the_vector_of_rfc_2759_is_accepted_with_its_proof() {
    let accepted = Verified::Accepted {
        success_message: b"S=407A5589115FD0D6209F510FE9C04566932CDA56 M=Welcome".to_vec(),
    };
    for name in [&b"User"[..], b"DOMAIN\\User", b"a\\b\\User"] {
        let attempt = rfc_2759(name);
        assert_eq!(attempt.user(), "User");
        assert_eq!(attempt.verify(&password("clientPass")), accepted);
        assert_eq!(attempt.verify(&hash_of("clientPass")), accepted);
    }
}

#[test]
fn another_password_or_the_case_of_the_name_is_rejected() {
    assert_eq!(
        rfc_2759(b"User").verify(&password("clientpass")),
        Verified::Rejected
    );
    assert_eq!(
        rfc_2759(b"user").verify(&password("clientPass")),
        Verified::Rejected
    );
    assert_eq!(
        rfc_2759(b"User").verify(&Credential::default()),
        Verified::Unsupported
    );
}

#[test]
fn chap_md5_needs_the_password_itself() {
    let challenge = b"0123456789".to_vec();
    let attempt = |secret: &[u8]| Attempt::ChapMd5 {
        user: "alice".to_owned(),
        raw_user: b"alice".to_vec(),
        eap: false,
        id: 7,
        challenge: challenge.clone(),
        response: chap_md5(7, secret, &challenge),
    };
    let welcome = Verified::Accepted {
        success_message: b"Welcome".to_vec(),
    };
    assert_eq!(attempt(b"pw").verify(&password("pw")), welcome);
    assert_eq!(attempt(b"PW").verify(&password("pw")), Verified::Rejected);
    assert_eq!(attempt(b"pw").verify(&hash_of("pw")), Verified::Unsupported);
    // "Grün" in ISO 8859-1 and in UTF-8.
    assert_eq!(attempt(b"Gr\xfcn").verify(&password("Gr\u{fc}n")), welcome);
    assert_eq!(
        attempt("Gr\u{fc}n".as_bytes()).verify(&password("Gr\u{fc}n")),
        welcome
    );
}

#[test]
fn pap_is_checked_against_password_or_hash() {
    let attempt = |sent: &[u8]| Attempt::Pap {
        user: "alice".to_owned(),
        raw_user: b"alice".to_vec(),
        password: Secret::new(sent),
    };
    for stored in [password("Gr\u{fc}n"), hash_of("Gr\u{fc}n")] {
        for sent in [b"Gr\xfcn".as_slice(), "Gr\u{fc}n".as_bytes()] {
            assert!(matches!(
                attempt(sent).verify(&stored),
                Verified::Accepted { .. }
            ));
        }
        for sent in [b"Grun".as_slice(), b"", b"Gr\xfcn\0"] {
            assert_eq!(attempt(sent).verify(&stored), Verified::Rejected);
        }
    }
    assert_eq!(
        attempt(b"").verify(&Credential::default()),
        Verified::Unsupported
    );
}

#[test]
fn nothing_secret_is_shown() {
    let attempt = Attempt::Pap {
        user: "alice".to_owned(),
        raw_user: b"alice".to_vec(),
        password: Secret::from("hunter2"),
    };
    let shown = format!(
        "{attempt:?} {:?} {:?}",
        password("hunter2"),
        hash_of("hunter2")
    );
    assert!(
        shown.contains("alice") && !shown.contains("hunter2"),
        "{shown}"
    );
}
