//! Proposals as an operator writes them, and the defaults.

use super::*;

#[test]
fn weak_algorithms_need_legacy() {
    let list = |list: &str| with("[ipv4]", &format!("ike = [{list}]\n[ipv4]"));
    let (line, column, message) = one(&list("\"aes256-sha1-modp2048\", \"3des-sha1-modp2048\""));
    assert_eq!((line, column), (3, 32));
    assert!(
        message.contains("3DES") && message.contains("ipsec.legacy = true"),
        "{message}"
    );
    for weak in ["aes256-md5-modp2048", "aes256-sha1-modp1024"] {
        let found = problems(Folder::new().load(&list(&format!("\"{weak}\""))));
        assert!(found[0].2.contains("ipsec.legacy = true"), "{found:?}");
    }
    let allowed = list("\"3des-md5-modp1024\"").replace("[ipsec]", "[ipsec]\nlegacy = true");
    let config = Folder::new().load(&allowed).unwrap().config;
    assert_eq!(config.ipsec.ike.len(), 1);
    for wrong in [
        "aes256gcm16-sha256-modp2048",
        "aes256-sha256",
        "aes999-sha1-modp2048",
        "",
        "-",
    ] {
        assert!(proposal::ike(wrong, true).is_err(), "{wrong}");
    }
}

#[test]
fn esp_proposals_are_read() {
    use adit_crypto::{EspCipher, EspMac};
    let read = |text| proposal::esp(text, false).map(|suite| (suite.cipher, suite.mac));
    assert_eq!(read("aes256gcm16"), Ok((EspCipher::AesGcm256, None)));
    assert_eq!(
        read("AES128-SHA256"),
        Ok((EspCipher::AesCbc128, Some(EspMac::HmacSha2_256_128)))
    );
    for (wrong, why) in [
        ("aes256", "no mac"),
        ("aes256gcm16-sha1", "takes no mac"),
        ("aes256-sha1-modp2048", "too many parts"),
        ("des-sha1", "protects nothing"),
        ("null-sha1", "protects nothing"),
        ("3des-sha1", "3DES"),
        ("aes256-md5", "MD5"),
        ("aes256-crc", "not a known mac"),
    ] {
        let complaint = proposal::esp(wrong, false).unwrap_err();
        assert!(complaint.message.contains(why), "{wrong}: {complaint:?}");
    }
}

#[test]
fn every_default_proposal_can_be_used() {
    for text in proposal::IKE {
        assert!(proposal::ike(text, false).is_ok(), "{text}");
    }
    for text in proposal::IKE_LEGACY {
        assert!(proposal::ike(text, true).is_ok(), "{text}");
        assert!(proposal::ike(text, false).is_err(), "{text}");
    }
    for text in proposal::ESP {
        assert!(proposal::esp(text, false).is_ok(), "{text}");
    }
    for text in proposal::ESP_LEGACY {
        assert!(proposal::esp(text, true).is_ok(), "{text}");
    }
}

// What each system offers (IKE as lists of cipher-hash-group): the default must hold one of each.
#[test]
fn the_defaults_match_the_clients() {
    let windows = [
        "aes256-sha1-ecp384",
        "aes128-sha1-ecp256",
        "aes256-sha1-modp2048",
    ];
    let apple = ["aes256-sha256-modp2048"];
    let network_manager = ["aes256-sha256-modp2048", "aes256-sha1-ecp384"];
    let chrome_os = ["aes128-sha256-modp3072", "aes128-sha1-modp2048"];
    for offers in [&windows[..], &apple, &network_manager, &chrome_os] {
        for offer in offers {
            assert!(proposal::IKE.contains(offer), "{offer}");
        }
    }
    assert!(
        proposal::IKE_LEGACY.contains(&"aes256-sha1-modp1024"),
        "Android up to 11"
    );
}
