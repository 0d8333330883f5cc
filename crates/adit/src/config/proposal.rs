//! Proposal strings: "aes256-sha1-modp2048" for phase 1, "aes256gcm16" and "aes256-sha256" for ESP.
//! The names are strongSwan's, with libreswan's spellings of the hashes taken as well.

use adit_crypto::{BlockCipher, EspCipher, EspMac, EspSuite, Group, Hash};
use adit_ike::Phase1Proposal;

use super::settings::Complaint;

/// Phase 1 by default, in order of preference: elliptic curves first because they cost the least.
/// Windows offers SHA-1 with ECP-384, ECP-256 and MODP-2048; Apple AES-256 with SHA2-256 and
/// MODP-2048; NetworkManager, strongSwan, libreswan and ChromeOS find one of theirs too.
pub(super) const IKE: [&str; 12] = [
    "aes256-sha384-ecp384",
    "aes256-sha256-ecp384",
    "aes256-sha1-ecp384",
    "aes256-sha256-ecp256",
    "aes128-sha256-ecp256",
    "aes128-sha1-ecp256",
    "aes256-sha256-modp2048",
    "aes128-sha256-modp2048",
    "aes256-sha256-modp3072",
    "aes128-sha256-modp3072",
    "aes256-sha1-modp2048",
    "aes128-sha1-modp2048",
];

/// What `ipsec.legacy` adds to the default: Android up to 11 offers nothing but MODP-1024.
pub(super) const IKE_LEGACY: [&str; 6] = [
    "3des-sha1-modp2048",
    "aes256-sha256-modp1024",
    "aes256-sha1-modp1024",
    "aes128-sha256-modp1024",
    "aes128-sha1-modp1024",
    "3des-sha1-modp1024",
];

/// ESP by default, in order of preference. Windows offers only SHA-1, so it gets that.
pub(super) const ESP: [&str; 6] = [
    "aes256gcm16",
    "aes128gcm16",
    "aes256-sha256",
    "aes128-sha256",
    "aes256-sha1",
    "aes128-sha1",
];

/// ESP by default with `ipsec.legacy`: SHA-1 before SHA2-256, which the old Androids that need
/// `legacy` cut to 96 bits instead of 128 (RFC 4868 section 2.3).
pub(super) const ESP_LEGACY: [&str; 7] = [
    "aes256gcm16",
    "aes128gcm16",
    "aes256-sha1",
    "aes128-sha1",
    "aes256-sha256",
    "aes128-sha256",
    "3des-sha1",
];

const IKE_HELP: &str = "write cipher-hash-group, such as \"aes256-sha256-modp2048\": ciphers \
    aes128, aes192, aes256; hashes sha1, sha256, sha384, sha512; groups modp1536, modp2048, \
    modp3072, modp4096, ecp256, ecp384, ecp521";

const ESP_HELP: &str = "write \"aes256gcm16\" or cipher-mac, such as \"aes256-sha256\": ciphers \
    aes128, aes192, aes256, or aes128gcm16 and aes256gcm16 alone; macs sha1, sha256, sha384, sha512";

/// Reads a phase 1 proposal; weak algorithms only if `legacy`.
pub(super) fn ike(text: &str, legacy: bool) -> Result<Phase1Proposal, Complaint> {
    let lower = text.to_ascii_lowercase();
    let mut parts = lower.split('-');
    let (Some(cipher), Some(hash), Some(group), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Complaint::new(
            format!("{text:?} is not a cipher, a hash and a group"),
            IKE_HELP,
        ));
    };
    let unknown = |what: &str, word: &str| {
        Complaint::new(
            format!("{word:?} in {text:?} is not a known {what}"),
            IKE_HELP,
        )
    };
    let cipher = match cipher {
        "aes128" => BlockCipher::Aes128,
        "aes192" => BlockCipher::Aes192,
        "aes256" => BlockCipher::Aes256,
        "3des" => BlockCipher::TripleDes,
        gcm if gcm.contains("gcm") => {
            return Err(Complaint::new(
                format!("{text:?}: IKEv1 has no GCM, only ESP does"),
                IKE_HELP,
            ));
        }
        other => return Err(unknown("cipher", other)),
    };
    let hash = match hash {
        "md5" => Hash::Md5,
        "sha1" | "sha" => Hash::Sha1,
        "sha256" | "sha2_256" => Hash::Sha2_256,
        "sha384" | "sha2_384" => Hash::Sha2_384,
        "sha512" | "sha2_512" => Hash::Sha2_512,
        other => return Err(unknown("hash", other)),
    };
    let group = match group {
        "modp1024" => Group::Modp1024,
        "modp1536" => Group::Modp1536,
        "modp2048" => Group::Modp2048,
        "modp3072" => Group::Modp3072,
        "modp4096" => Group::Modp4096,
        "ecp256" => Group::Ecp256,
        "ecp384" => Group::Ecp384,
        "ecp521" => Group::Ecp521,
        other => return Err(unknown("group", other)),
    };
    let proposal = Phase1Proposal {
        cipher,
        hash,
        group,
    };
    match proposal.weakness() {
        Some(algorithm) if !legacy => Err(weak(text, algorithm)),
        _ => Ok(proposal),
    }
}

/// Reads an ESP proposal; weak algorithms only if `legacy`.
pub(super) fn esp(text: &str, legacy: bool) -> Result<EspSuite, Complaint> {
    let lower = text.to_ascii_lowercase();
    let mut parts = lower.split('-');
    let cipher = parts.next().unwrap_or_default();
    let mac = parts.next();
    if parts.next().is_some() {
        return Err(Complaint::new(
            format!("{text:?} has too many parts; a client that asks for PFS gets it without"),
            ESP_HELP,
        ));
    }
    let cipher = match cipher {
        "aes128" => EspCipher::AesCbc128,
        "aes192" => EspCipher::AesCbc192,
        "aes256" => EspCipher::AesCbc256,
        "aes128gcm16" | "aes128gcm" => EspCipher::AesGcm128,
        "aes256gcm16" | "aes256gcm" => EspCipher::AesGcm256,
        "3des" => EspCipher::TripleDes,
        "des" | "null" => {
            return Err(Complaint::new(
                format!("{text:?} protects nothing; adit does not have it"),
                ESP_HELP,
            ));
        }
        other => {
            return Err(Complaint::new(
                format!("{other:?} in {text:?} is not a known cipher"),
                ESP_HELP,
            ));
        }
    };
    let is_gcm = matches!(cipher, EspCipher::AesGcm128 | EspCipher::AesGcm256);
    let mac = match mac {
        None if is_gcm => None,
        Some(_) if is_gcm => {
            return Err(Complaint::new(
                format!("{text:?}: GCM authenticates by itself and takes no mac"),
                ESP_HELP,
            ));
        }
        None => {
            return Err(Complaint::new(
                format!("{text:?} has no mac, so packets could be forged"),
                ESP_HELP,
            ));
        }
        Some("md5") => Some(EspMac::HmacMd5_96),
        Some("sha1" | "sha") => Some(EspMac::HmacSha1_96),
        Some("sha256" | "sha2_256") => Some(EspMac::HmacSha2_256_128),
        Some("sha384" | "sha2_384") => Some(EspMac::HmacSha2_384_192),
        Some("sha512" | "sha2_512") => Some(EspMac::HmacSha2_512_256),
        Some(other) => {
            return Err(Complaint::new(
                format!("{other:?} in {text:?} is not a known mac"),
                ESP_HELP,
            ));
        }
    };
    let suite = EspSuite::new(cipher, mac)
        .map_err(|error| Complaint::new(format!("{text:?}: {error}"), ESP_HELP))?;
    match suite.weakness() {
        Some(algorithm) if !legacy => Err(weak(text, algorithm)),
        _ => Ok(suite),
    }
}

fn weak(text: &str, algorithm: &str) -> Complaint {
    Complaint::new(
        format!("{text:?} uses {algorithm}, which is weak"),
        "take it out, or set ipsec.legacy = true if old clients must connect",
    )
}
