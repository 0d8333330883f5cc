//! What is read of our own files.

use adit_crypto::sign::{KeyError, SignatureScheme};
use rcgen::SanType;

use super::pki::{Key, ca_params, client_params, pem, root};
use crate::{LoadError, Name, OwnCertificate, Purpose, Untrusted};

#[test]
fn a_chain_is_kept_without_its_root() {
    let ca = root();
    let middle = ca.issue(ca_params("Middle", 2), Key::p256());
    let mut params = client_params("vpn.example.net", 3);
    params.subject_alt_names = vec![
        SanType::DnsName("vpn.example.net".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
    ];
    let leaf = middle.issue(params, Key::p384());
    let file = [leaf.pem(), middle.pem(), ca.pem()].concat();
    let own = OwnCertificate::from_pem(&file, &leaf.key.pem()).unwrap();
    assert_eq!(own.chain(), [leaf.der.clone(), middle.der.clone()]);
    assert_eq!(own.scheme(), SignatureScheme::EcdsaP384);
    assert_eq!(own.subject(), "CN=vpn.example.net, O=Example");
    assert_eq!(own.not_before().as_secs(), 1_893_456_000);
    assert_eq!(own.not_after().as_secs(), 1_924_992_000);
    assert_eq!(
        own.names(),
        [
            Name::Dns("vpn.example.net".to_owned()),
            Name::Ip("192.0.2.1".parse().unwrap())
        ]
    );
    let dn = own.subject_der();
    assert!(leaf.der.windows(dn.len()).any(|at| at == dn));
    assert_eq!(own.usable_as(Purpose::Client), Ok(()));
    let purpose = Purpose::Server;
    let unusable = Err(Untrusted::ExtendedKeyUsage { purpose });
    assert_eq!(own.usable_as(purpose), unusable);
    // The key is not in what is printed.
    let secret = format!("{:?}", &leaf.key.pkcs8()[40..60]);
    assert!(!format!("{own:?}").contains(secret.trim_matches(['[', ']'])));
}

#[test]
fn a_key_must_be_that_of_the_certificate() {
    let ca = root();
    for key in [Key::p256(), Key::p384(), Key::rsa(2048)] {
        let leaf = ca.issue(client_params("vpn", 3), Key::p256());
        assert_eq!(
            OwnCertificate::from_pem(&leaf.pem(), &key.pem()).unwrap_err(),
            LoadError::KeyMismatch {
                subject: "CN=vpn, O=Example".to_owned()
            }
        );
    }
}

#[test]
fn files_that_hold_something_else_are_refused_by_name() {
    let ca = root();
    let leaf = ca.issue(client_params("vpn", 3), Key::p256());
    let load =
        |certificates: &[u8], key: &[u8]| OwnCertificate::from_pem(certificates, key).unwrap_err();
    let (good, key) = (leaf.pem(), leaf.key.pem());
    assert_eq!(load(b"", &key), LoadError::NoCertificate);
    assert_eq!(load(&key, &key), LoadError::NoCertificate);
    assert_eq!(load(&good, b""), LoadError::NoKey);
    assert_eq!(load(&good, &good), LoadError::NoKey);
    let encrypted = pem("ENCRYPTED PRIVATE KEY", &[0x30, 0]);
    assert_eq!(load(&good, &encrypted), LoadError::EncryptedKey);
    let empty = pem("PRIVATE KEY", &[0x30, 0]);
    assert_eq!(load(&good, &empty), LoadError::Key(KeyError::Malformed));
    let short = Key::rsa(1024).pem();
    let bits = KeyError::RsaSize { bits: 1024 };
    assert_eq!(load(&good, &short), LoadError::Key(bits));
    let garbage = pem("CERTIFICATE", &[0x30, 0]);
    let second = [good.clone(), garbage.clone()].concat();
    assert_eq!(load(&garbage, &key), LoadError::Certificate { number: 1 });
    assert_eq!(load(&second, &key), LoadError::Certificate { number: 2 });
    let ed25519 = ca.issue(client_params("vpn", 3), Key::ed25519());
    assert!(matches!(
        load(&ed25519.pem(), &key),
        LoadError::CertificateKey { number: 1, .. }
    ));
}

#[test]
fn one_file_may_hold_both() {
    let ca = root();
    let leaf = ca.issue(client_params("vpn", 3), Key::rsa(2048));
    let file = [leaf.key.pem(), leaf.pem()].concat();
    let own = OwnCertificate::from_pem(&file, &file).unwrap();
    assert_eq!(own.chain(), [leaf.der]);
    assert_eq!(own.scheme(), SignatureScheme::Rsa);
}
