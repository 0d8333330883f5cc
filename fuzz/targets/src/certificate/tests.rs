use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rsa::pkcs8::{EncodePrivateKey, LineEnding};

use super::*;
use crate::inputs::{put, seed, sequence};

#[test]
fn seeds_end_in_the_verdict_that_they_should() {
    for (name, expected) in [
        ("client", Ok("CN=client, O=Example")),
        ("client-rsa", Ok("CN=client-rsa, O=Example")),
        ("below-an-intermediate", Ok("CN=below, O=Example")),
        ("revoked", Err("a certificate of the chain is revoked")),
        (
            "expired",
            Err("a certificate of the chain expired 105 days ago"),
        ),
    ] {
        let verdict = verdict(&seed("certificate", name));
        let shown = match &verdict {
            Ok(peer) => Ok(peer.subject.as_str()),
            Err(why) => Err(why.to_string()),
        };
        assert_eq!(shown, expected.map_err(str::to_owned), "{name}");
    }
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let organization = DnType::OrganizationName;
    params.distinguished_name.push(organization, "Example");
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = date_time_ymd(2030, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    params
}

fn ca(name: &str, serial: u64) -> CertificateParams {
    let mut params = params(name, serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(2));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn client(name: &str, serial: u64) -> CertificateParams {
    let mut params = params(name, serial);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17]),
    ];
    params.subject_alt_names = vec![
        SanType::DnsName("client.example.net".try_into().unwrap()),
        SanType::Rfc822Name("client@example.net".try_into().unwrap()),
        SanType::IpAddress("2001:db8::7".parse().unwrap()),
    ];
    params
}

/// Run by hand for another authority: `cargo test -p adit-fuzz-targets write_cert -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_certificates() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/certificate");
    let key = || KeyPair::generate().unwrap();
    let (root_key, middle_key) = (key(), key());
    let (root, middle) = (ca("Root", 1), ca("Middle", 2));
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    std::fs::write(folder.join("authority.der"), root_der).unwrap();
    let root = Issuer::from_params(&root, &root_key);
    let middle_der = middle.signed_by(&middle_key, &root).unwrap().der().to_vec();
    let middle = Issuer::from_params(&middle, &middle_key);

    let crl = CertificateRevocationListParams {
        this_update: date_time_ymd(2030, 6, 1),
        next_update: date_time_ymd(2030, 7, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(5),
            revocation_time: date_time_ymd(2030, 5, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let crl = crl.signed_by(&root).unwrap().der().to_vec();
    std::fs::write(folder.join("revoked.der"), crl).unwrap();

    let write =
        |name: &str, chain: &[&[u8]]| put("certificate", name, &sequence(chain.iter().copied()));
    let issue = |params: CertificateParams, key: &KeyPair| {
        params.signed_by(key, &root).unwrap().der().to_vec()
    };
    write("client", &[&issue(client("client", 3), &key())]);
    let mut rng = adit_crypto::Rng::from_seed([3; 32]);
    let rsa = rsa::RsaPrivateKey::new(&mut rng, 2048).unwrap();
    let rsa = KeyPair::from_pem(&rsa.to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap();
    write("client-rsa", &[&issue(client("client-rsa", 4), &rsa)]);
    write("revoked", &[&issue(client("revoked", 5), &key())]);
    let mut expired = client("expired", 6);
    expired.not_after = date_time_ymd(2030, 3, 2);
    write("expired", &[&issue(expired, &key())]);
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let below = client("below", 7).signed_by(&p384, &middle).unwrap();
    write(
        "below-an-intermediate",
        &[below.der().as_ref(), &middle_der],
    );
}
