//! Whose chains are believed. What must be refused comes first.

use std::slice::from_ref;
use std::time::Duration;

use adit_crypto::sign::{KeyError, SignatureScheme};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose as Eku, IsCa, KeyUsagePurpose as Ku};

use super::pki::{
    DAY, Key, NOW, Owner, as_p521, ca_params, client_params, pem, replace, root, root_with,
};
use crate::{LoadError, MAX_CERTIFICATE_LEN, MAX_CERTIFICATES, Purpose, Trust, Untrusted};

fn trust(authorities: &[&Owner]) -> Trust {
    let file: Vec<u8> = authorities.iter().flat_map(|ca| ca.pem()).collect();
    Trust::from_pem(&file, &[]).unwrap()
}

fn refused(trust: &Trust, chain: &[Vec<u8>], unix: Duration) -> Untrusted {
    trust.verify(chain, Purpose::Client, unix).unwrap_err()
}

fn accepted(trust: &Trust, chain: &[Vec<u8>]) {
    let peer = trust.verify(chain, Purpose::Client, NOW).unwrap();
    assert_eq!(peer.subject, "CN=laptop, O=Example");
}

fn laptop(issuer: &Owner) -> Owner {
    issuer.issue(client_params("laptop", 100), Key::p256())
}

#[test]
fn a_stranger_is_refused_whatever_it_calls_itself() {
    let (ours, theirs) = (root(), root());
    let trust = trust(&[&ours]);
    // Their root has the name of ours and another key.
    let forged = laptop(&theirs);
    let chain = [forged.der.clone(), theirs.der.clone()];
    assert_eq!(refused(&trust, &chain, NOW), Untrusted::Signature);
    let other = root_with(ca_params("Other", 1), Key::p256());
    let stranger = laptop(&other);
    assert_eq!(
        refused(&trust, &[stranger.der.clone(), other.der.clone()], NOW),
        Untrusted::UnknownIssuer {
            issuer: "CN=Other, O=Example".to_owned()
        }
    );
    // One that signed itself.
    let own = root_with(client_params("laptop", 3), Key::p256());
    assert_eq!(
        refused(&trust, &[own.der], NOW),
        Untrusted::UnknownIssuer {
            issuer: "CN=laptop, O=Example".to_owned()
        }
    );
    // And nobody is believed by default.
    let none = Trust::default();
    assert!(matches!(
        refused(&none, &[laptop(&ours).der], NOW),
        Untrusted::UnknownIssuer { .. }
    ));
}

#[test]
fn a_changed_certificate_is_refused() {
    let ca = root();
    let trust = trust(&[&ca]);
    let good = laptop(&ca).der;
    accepted(&trust, from_ref(&good));
    let forged = replace(&good, b"laptop", b"server");
    assert_eq!(refused(&trust, &[forged], NOW), Untrusted::Signature);
    for length in (0..good.len()).step_by(7) {
        let cut = good[..length].to_vec();
        assert_eq!(refused(&trust, &[cut], NOW), Untrusted::Malformed);
    }
    let longer = [&good[..], &[0]].concat();
    assert_eq!(refused(&trust, &[longer], NOW), Untrusted::Malformed);
}

#[test]
fn numbers_and_sizes_are_bounded() {
    let ca = root();
    let trust = trust(&[&ca]);
    let good = laptop(&ca).der;
    assert_eq!(refused(&trust, &[], NOW), Untrusted::NoCertificate);
    let many = vec![good.clone(); MAX_CERTIFICATES + 1];
    let count = MAX_CERTIFICATES + 1;
    assert_eq!(refused(&trust, &many, NOW), Untrusted::TooMany { count });
    let len = MAX_CERTIFICATE_LEN + 1;
    let long = [good.clone(), vec![0x30; len]];
    assert_eq!(refused(&trust, &long, NOW), Untrusted::TooLong { len });
    // Certificates beside the chain, as some clients send, do no harm.
    let chain = [good.clone(), ca.der.clone(), good, vec![1, 2, 3]];
    accepted(&trust, &chain);
}

#[test]
fn dates_count_for_every_certificate() {
    let ca = root();
    let trust = trust(&[&ca]);
    let chain = [laptop(&ca).der];
    let year = 300 * DAY;
    assert_eq!(
        refused(&trust, &chain, NOW + year),
        Untrusted::Expired {
            not_after: Duration::from_secs(1_924_992_000),
            now: NOW + year
        }
    );
    assert!(matches!(
        refused(&trust, &chain, NOW - year),
        Untrusted::NotYetValid { .. }
    ));
    assert!(matches!(
        refused(&trust, &chain, Duration::ZERO),
        Untrusted::NotYetValid { .. }
    ));

    // An authority that expired before what it issued.
    let mut old = ca_params("Root", 1);
    old.not_after = rcgen::date_time_ymd(2030, 3, 1);
    let old = root_with(old, Key::p256());
    let trust = super::trust::trust(&[&old]);
    let error = refused(&trust, &[laptop(&old).der], NOW);
    assert!(matches!(error, Untrusted::Expired { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "a certificate of the chain expired 106 days ago"
    );
    assert_eq!(trust.expired(NOW), ["CN=Root, O=Example"]);
    assert_eq!(trust.expired(NOW - year / 2), [""; 0]);
}

#[test]
fn an_intermediate_comes_from_the_peer_or_from_the_file() {
    let ca = root();
    let middle = ca.issue(ca_params("Middle", 2), Key::p384());
    let leaf = laptop(&middle);
    let unknown = Untrusted::UnknownIssuer {
        issuer: "CN=Middle, O=Example".to_owned(),
    };
    assert_eq!(refused(&trust(&[&ca]), from_ref(&leaf.der), NOW), unknown);
    let sent = [leaf.der.clone(), middle.der.clone()];
    accepted(&trust(&[&ca]), &sent);
    let rooted = [leaf.der.clone(), ca.der.clone(), middle.der.clone()];
    accepted(&trust(&[&ca]), &rooted);
    accepted(&trust(&[&ca, &middle]), from_ref(&leaf.der));
    // The intermediate alone is as good, and then the root is not.
    accepted(&trust(&[&middle]), from_ref(&leaf.der));
    assert!(matches!(
        refused(&trust(&[&middle]), &[laptop(&ca).der], NOW),
        Untrusted::UnknownIssuer { .. }
    ));
}

#[test]
fn path_lengths_are_kept() {
    let mut params = ca_params("Root", 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca = root_with(params, Key::p256());
    let middle = ca.issue(ca_params("Middle", 2), Key::p256());
    let chain = [laptop(&middle).der, middle.der.clone()];
    let too_long = Untrusted::Issuer("the chain is too long for it");
    assert_eq!(refused(&trust(&[&ca]), &chain, NOW), too_long);
    assert_eq!(refused(&trust(&[&ca, &middle]), &chain, NOW), too_long);
    accepted(&trust(&[&ca]), &[laptop(&ca).der]);

    // The same between two intermediates.
    let ca = root();
    let mut params = ca_params("First", 2);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let first = ca.issue(params, Key::p256());
    let second = first.issue(ca_params("Second", 3), Key::p256());
    let chain = [laptop(&second).der, second.der.clone(), first.der.clone()];
    assert_eq!(refused(&trust(&[&ca]), &chain, NOW), too_long);
}

#[test]
fn only_authorities_issue() {
    let ca = root();
    let user = laptop(&ca);
    let forged = user.issue(client_params("admin", 5), Key::p256());
    let chain = [forged.der, user.der];
    assert_eq!(
        refused(&trust(&[&ca]), &chain, NOW),
        Untrusted::Issuer("it is no CA")
    );

    let mut params = ca_params("Middle", 2);
    params.key_usages = vec![Ku::CrlSign, Ku::DigitalSignature];
    let middle = ca.issue(params, Key::p256());
    let chain = [laptop(&middle).der, middle.der.clone()];
    assert_eq!(
        refused(&trust(&[&ca]), &chain, NOW),
        Untrusted::Issuer("its key usage lacks keyCertSign")
    );

    let chain = [ca.der.clone()];
    assert_eq!(refused(&trust(&[&ca]), &chain, NOW), Untrusted::Authority);
}

#[test]
fn the_key_usage_must_allow_signatures() {
    let ca = root();
    let trust = trust(&[&ca]);
    let with = |usages: Vec<Ku>| {
        let mut params = client_params("laptop", 7);
        params.key_usages = usages;
        ca.issue(params, Key::p256()).der
    };
    for bad in [Ku::KeyEncipherment, Ku::KeyAgreement, Ku::CrlSign] {
        let chain = [with(vec![bad])];
        assert_eq!(refused(&trust, &chain, NOW), Untrusted::KeyUsage);
    }
    accepted(&trust, &[with(vec![])]);
    accepted(&trust, &[with(vec![Ku::ContentCommitment])]);
    accepted(
        &trust,
        &[with(vec![Ku::DigitalSignature, Ku::KeyAgreement])],
    );
}

#[test]
fn the_extended_key_usage_must_allow_ike() {
    let ca = root();
    let trust = trust(&[&ca]);
    let with = |purposes: Vec<Eku>| {
        let mut params = client_params("laptop", 7);
        params.extended_key_usages = purposes;
        ca.issue(params, Key::p256()).der
    };
    let other = |arcs: &[u64]| Eku::Other(arcs.to_vec());
    for bad in [
        vec![Eku::ServerAuth],
        vec![Eku::CodeSigning, Eku::EmailProtection],
        vec![other(&[1, 3, 6, 1, 5, 5, 7, 3, 18])],
        vec![other(&[1, 3, 6, 1, 5, 5, 8, 2, 3])],
        vec![other(&[1, 3, 6, 1, 5, 5, 7, 3, 17, 1])],
    ] {
        let purpose = Purpose::Client;
        let chain = [with(bad)];
        let verdict = refused(&trust, &chain, NOW);
        assert_eq!(verdict, Untrusted::ExtendedKeyUsage { purpose });
    }
    let ike = [5, 6, 7, 17].map(|last| other(&[1, 3, 6, 1, 5, 5, 7, 3, last]));
    for good in ike {
        accepted(&trust, &[with(vec![Eku::CodeSigning, good])]);
    }
    accepted(&trust, &[with(vec![other(&[1, 3, 6, 1, 5, 5, 8, 2, 2])])]);
    accepted(&trust, &[with(vec![Eku::Any])]);
    accepted(&trust, &[with(vec![])]);
    accepted(&trust, &[with(vec![Eku::ServerAuth, Eku::ClientAuth])]);

    // A server is another purpose.
    let server = [with(vec![Eku::ServerAuth])];
    trust.verify(&server, Purpose::Server, NOW).unwrap();
    let client = [with(vec![Eku::ClientAuth])];
    let verdict = trust.verify(&client, Purpose::Server, NOW).unwrap_err();
    assert_eq!(
        verdict.to_string(),
        "its extended key usage holds neither IKE nor serverAuth"
    );

    // What an intermediate may issue for binds those below it.
    let mut params = ca_params("Middle", 2);
    params.extended_key_usages = vec![Eku::CodeSigning];
    let middle = ca.issue(params, Key::p256());
    let chain = [laptop(&middle).der, middle.der.clone()];
    assert!(matches!(
        refused(&trust, &chain, NOW),
        Untrusted::ExtendedKeyUsage { .. }
    ));
}

#[test]
fn revoked_certificates_are_refused() {
    let ca = root();
    let middle = ca.issue(ca_params("Middle", 2), Key::p256());
    let leaf = laptop(&middle);
    let chain = [leaf.der.clone(), middle.der.clone()];
    let with = |authorities: &[&Owner], crls: &[Vec<u8>]| {
        let mut trust = trust(authorities);
        for crl in crls {
            trust.add_crls(&pem("X509 CRL", crl)).unwrap();
        }
        trust
    };
    let (top, below) = (ca.crl(&[], DAY), middle.crl(&[], DAY));
    accepted(&with(&[&ca], &[top.clone(), below.clone()]), &chain);
    accepted(&with(&[&ca], from_ref(&below)), &chain);
    // The leaf, and then the intermediate, wherever it comes from.
    let revoked = with(&[&ca], &[top.clone(), middle.crl(&[7, 100], DAY)]);
    assert_eq!(refused(&revoked, &chain, NOW), Untrusted::Revoked);
    let revoked = with(&[&ca], &[ca.crl(&[2], DAY), below.clone()]);
    assert_eq!(refused(&revoked, &chain, NOW), Untrusted::Revoked);
    let revoked = with(&[&ca, &middle], &[ca.crl(&[2], DAY), below.clone()]);
    assert_eq!(refused(&revoked, &chain[..1], NOW), Untrusted::Revoked);

    // The newest list counts, whatever the order.
    let (old, new) = (middle.crl(&[], 3 * DAY), middle.crl(&[100], DAY));
    for order in [[old.clone(), new.clone()], [new, old]] {
        let verdict = refused(&with(&[&ca], &order), &chain, NOW);
        assert_eq!(verdict, Untrusted::Revoked);
    }

    // A list that is overdue stops what it is about, and says so.
    let stale = with(&[&ca], &[middle.crl(&[], 9 * DAY)]);
    let verdict = refused(&stale, &chain, NOW);
    assert!(matches!(verdict, Untrusted::CrlExpired { .. }));
    assert_eq!(
        verdict.to_string(),
        "the configured revocation list of its issuer was due for replacement 2 days ago"
    );
    accepted(&stale, &[laptop(&ca).der]);
    assert_eq!(
        (stale.overdue_crls(NOW), stale.overdue_crls(NOW - 3 * DAY)),
        (1, 0)
    );

    // A list that somebody else signed in the issuer's name.
    let namesake = ca.issue(ca_params("Middle", 9), Key::p256());
    let forged = with(&[&ca], &[namesake.crl(&[], DAY)]);
    assert_eq!(refused(&forged, &chain, NOW), Untrusted::CrlSignature);
}

#[test]
fn weak_signatures_and_keys_are_refused() {
    let ca = root_with(ca_params("Root", 1), Key::rsa(2048));
    let trust = trust(&[&ca]);
    let good = laptop(&ca);
    accepted(&trust, from_ref(&good.der));
    // sha256WithRSAEncryption named as sha1WithRSAEncryption and md5WithRSAEncryption.
    const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
    let sha256 = [&RSA[..], &[11]].concat();
    for weak in [5, 4, 2] {
        let der = replace(&good.der, &sha256, &[&RSA[..], &[weak]].concat());
        assert_eq!(refused(&trust, &[der], NOW), Untrusted::SignatureAlgorithm);
    }

    let short = ca.issue(client_params("laptop", 7), Key::rsa(1024));
    let bits = KeyError::RsaSize { bits: 1024 };
    let verdict = refused(&trust, &[short.der], NOW);
    assert_eq!(verdict, Untrusted::Key(bits));
    assert_eq!(
        verdict.to_string(),
        "an RSA key of 1024 bits, where 2048 to 8192 are taken"
    );
    let middle = ca.issue(ca_params("Middle", 2), Key::rsa(1024));
    let chain = [laptop(&middle).der, middle.der.clone()];
    assert_eq!(refused(&trust, &chain, NOW), Untrusted::Key(bits));
    let ed25519 = ca.issue(client_params("laptop", 7), Key::ed25519());
    assert_eq!(
        refused(&trust, &[ed25519.der], NOW),
        Untrusted::Key(KeyError::Unsupported)
    );
    assert_eq!(
        Trust::from_pem(&middle.pem(), &[]).unwrap_err(),
        LoadError::CertificateKey {
            number: 1,
            subject: "CN=Middle, O=Example".to_owned(),
            error: bits
        }
    );
}

#[test]
fn chains_of_every_good_key_are_believed() {
    for (key, scheme) in [
        (Key::rsa(2048), SignatureScheme::Rsa),
        (Key::p256(), SignatureScheme::EcdsaP256),
        (Key::p384(), SignatureScheme::EcdsaP384),
    ] {
        let ca = root_with(ca_params("Root", 1), Key::ed25519());
        let leaf = ca.issue(client_params("laptop", 3), key);
        let chain = [leaf.der.clone()];
        let peer = trust(&[&ca]).verify(&chain, Purpose::Client, NOW).unwrap();
        assert_eq!(peer.key.scheme(), scheme);
        let hash = [0x5a; 20];
        let key = adit_crypto::sign::SigningKey::from_pkcs8_der(&leaf.key.pkcs8()).unwrap();
        let mut rng = adit_crypto::Rng::from_seed([1; 32]);
        let signature = key.sign(&hash, &mut rng).unwrap();
        peer.key.verify(&hash, &signature).unwrap();
        assert_eq!(peer.not_after, Duration::from_secs(1_924_992_000));
    }
}

#[test]
fn an_authority_on_p521_is_verified_by_us() {
    let mut ca = root_with(ca_params("Root", 1), Key::p521());
    ca.der = as_p521(&ca.der);
    let leaf = laptop(&ca);
    let trust = trust(&[&ca]);
    accepted(&trust, from_ref(&leaf.der));
    let forged = replace(&leaf.der, b"laptop", b"server");
    assert_eq!(refused(&trust, &[forged], NOW), Untrusted::Signature);
    let mut crl = ca.crl(&[100], DAY);
    let mut revoking = super::trust::trust(&[&ca]);
    revoking.add_crls(&crl).unwrap();
    assert_eq!(
        refused(&revoking, from_ref(&leaf.der), NOW),
        Untrusted::Revoked
    );
    *crl.last_mut().unwrap() ^= 1;
    let mut revoking = super::trust::trust(&[&ca]);
    revoking.add_crls(&crl).unwrap();
    assert_eq!(
        refused(&revoking, &[leaf.der], NOW),
        Untrusted::CrlSignature
    );
}

#[test]
fn files_without_authorities_are_refused_by_name() {
    let ca = root();
    let load = |file: &[u8]| Trust::from_pem(file, &[]).unwrap_err();
    assert_eq!(load(b""), LoadError::NoCertificate);
    assert_eq!(load(b"# nothing yet\n"), LoadError::NoCertificate);
    assert_eq!(load(&ca.key.pem()), LoadError::NoCertificate);
    let mut damaged = ca.pem();
    let cut = damaged.len() - 30;
    damaged.truncate(cut);
    assert!(matches!(load(&damaged), LoadError::Pem(_)));
    assert_eq!(
        load(&pem("CERTIFICATE", &[0x30, 3, 1, 1, 0])),
        LoadError::Certificate { number: 1 }
    );
    let file = [ca.pem(), laptop(&ca).pem()].concat();
    assert_eq!(
        load(&file).to_string(),
        "certificate 2, CN=laptop, O=Example, is not a CA's: its basic constraints do not say \
         CA:TRUE"
    );
    let mut params = ca_params("Root", 1);
    params.key_usages = vec![Ku::DigitalSignature];
    let file = root_with(params, Key::p256()).pem();
    assert!(matches!(load(&file), LoadError::NotAuthority { .. }));

    let crl = |file: &[u8]| Trust::from_pem(&ca.pem(), file).unwrap_err();
    assert_eq!(crl(&ca.pem()), LoadError::NoCrl);
    assert!(matches!(
        crl(&pem("X509 CRL", &ca.der)),
        LoadError::Crl { number: 1, .. }
    ));
}

#[test]
fn issuers_are_what_a_request_names() {
    let ca = root();
    let middle = ca.issue(ca_params("Middle", 2), Key::p256());
    let trust = Trust::from_pem(&[ca.pem(), middle.pem(), ca.pem()].concat(), &[]).unwrap();
    assert_eq!(trust.issuers().len(), 2);
    // SEQUENCE { SET { SEQUENCE { commonName, UTF8String "Root" } }, ... }
    let root = trust
        .issuers()
        .iter()
        .find(|der| der.windows(4).any(|at| at == b"Root"))
        .unwrap();
    assert_eq!(root[0], 0x30);
    assert_eq!(usize::from(root[1]), root.len() - 2);
    assert_eq!(format!("{trust:?}"), "Trust { authorities: 3, crls: 0 }");
    // DER is a file as well.
    let der = Trust::from_pem(&ca.der, &ca.crl(&[], DAY)).unwrap();
    accepted(&der, &[laptop(&ca).der]);
}
