//! Which identities a certificate vouches for.

use rcgen::SanType;

use super::pki::{Key, NOW, client_params, root};
use crate::{Claim, Name, PeerCertificate, Purpose, Trust};

fn peer(names: Vec<SanType>, subject: &str) -> PeerCertificate {
    let ca = root();
    let mut params = client_params(subject, 3);
    params.subject_alt_names = names;
    let leaf = ca.issue(params, Key::p256());
    let trust = Trust::from_pem(&ca.pem(), &[]).unwrap();
    trust.verify(&[leaf.der], Purpose::Client, NOW).unwrap()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn names_are_equal_or_not_certified() {
    let peer = peer(
        vec![
            dns("Branch.example.net"),
            dns("*.example.org"),
            SanType::Rfc822Name("Jo@example.net".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
            SanType::URI("https://example.net/".try_into().unwrap()),
        ],
        "laptop",
    );
    assert_eq!(peer.names.len(), 5);
    for (claim, certified) in [
        (Claim::Dns("branch.EXAMPLE.net"), true),
        (Claim::Dns("example.net"), false),
        (Claim::Dns("a.example.org"), false),
        (Claim::Dns("*.example.org"), true),
        (Claim::Dns(""), false),
        (Claim::Dns("Jo@example.net"), false),
        (Claim::Dns("laptop"), false),
        (Claim::Email("Jo@Example.NET"), true),
        (Claim::Email("jo@example.net"), false),
        (Claim::Email("branch.example.net"), false),
        (Claim::Email("@example.net"), false),
        (Claim::Ip("192.0.2.7".parse().unwrap()), true),
        (Claim::Ip("192.0.2.8".parse().unwrap()), false),
        (Claim::Ip("2001:db8::7".parse().unwrap()), true),
        (Claim::Ip("::ffff:192.0.2.7".parse().unwrap()), false),
        (Claim::DistinguishedName(&peer.subject_der), true),
        (Claim::DistinguishedName(&peer.subject_der[..10]), false),
        (Claim::DistinguishedName(&[]), false),
    ] {
        assert_eq!(peer.certifies(&claim), certified, "{claim:?}");
    }
}

#[test]
fn a_subject_without_content_names_nobody() {
    let ca = root();
    let mut params = client_params("laptop", 3);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.subject_alt_names = vec![dns("laptop.example.net")];
    let leaf = ca.issue(params, Key::p256());
    let trust = Trust::from_pem(&ca.pem(), &[]).unwrap();
    let peer = trust.verify(&[leaf.der], Purpose::Client, NOW).unwrap();
    assert_eq!(peer.subject_der, [0x30, 0]);
    assert!(!peer.certifies(&Claim::DistinguishedName(&peer.subject_der)));
    assert!(peer.certifies(&Claim::Dns("laptop.example.net")));
}

#[test]
fn names_are_fit_to_be_printed() {
    let long = "x".repeat(60_000 / 8);
    let peer = peer(
        vec![
            dns("a b"),
            dns("evil\0.example.net"),
            dns("good.example.net"),
        ],
        &format!("laptop\u{1b}[2J\n{long}"),
    );
    assert_eq!(peer.names, [Name::Dns("good.example.net".to_owned())]);
    assert!(peer.subject.starts_with("CN=laptop?[2J?xxx"));
    assert_eq!(peer.subject.chars().count(), 256);
}
