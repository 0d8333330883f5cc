//! One transform of phase 1 (RFC 2409 Appendix A): as it is offered, or as a server chose it.

use std::fmt;

use adit_crypto::{BlockCipher, Group, Hash};
use adit_ike::codec::{Transform, put_tv};
use adit_wire::Writer;

/// Lifetime that is offered, in seconds: what fits two bytes.
const LIFE: u16 = 28_800;

/// How phase 1 authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    PreSharedKey = 1,
    RsaSignature = 3,
    EcdsaP256 = 9,
    EcdsaP384 = 10,
    EcdsaP521 = 11,
}

impl Method {
    pub(super) const SIGNATURES: [Self; 4] = [
        Self::RsaSignature,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PreSharedKey => "psk",
            Self::RsaSignature => "rsa",
            Self::EcdsaP256 => "ecdsa-256",
            Self::EcdsaP384 => "ecdsa-384",
            Self::EcdsaP521 => "ecdsa-521",
        }
    }
}

/// A transform of phase 1: as it is offered, or as the server chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    encryption: u64,
    key_bits: Option<u64>,
    hash: u64,
    group: u64,
    method: u64,
}

const DES: u64 = 1;
const TRIPLE_DES: u64 = 5;
const AES: u64 = 7;

impl Choice {
    pub(super) fn new(cipher: BlockCipher, hash: Hash, group: Group, method: Method) -> Self {
        let (encryption, key_bits) = match cipher {
            BlockCipher::Aes128 => (AES, Some(128)),
            BlockCipher::Aes192 => (AES, Some(192)),
            BlockCipher::Aes256 => (AES, Some(256)),
            BlockCipher::TripleDes => (TRIPLE_DES, None),
        };
        let hash = match hash {
            Hash::Md5 => 1,
            Hash::Sha1 => 2,
            Hash::Sha2_256 => 4,
            Hash::Sha2_384 => 5,
            Hash::Sha2_512 => 6,
        };
        Self {
            encryption,
            key_bits,
            hash,
            group: group.ike().into(),
            method: method as u64,
        }
    }

    /// The same with another method.
    pub(super) fn with(self, method: Method) -> Self {
        Self {
            method: method as u64,
            ..self
        }
    }

    pub(super) fn group(&self) -> Option<Group> {
        Group::from_ike(u16::try_from(self.group).ok()?)
    }

    /// Its cipher and hash.
    pub(super) fn suite(&self) -> String {
        let cipher = match (self.encryption, self.key_bits) {
            (DES, _) => "DES".to_owned(),
            (TRIPLE_DES, _) => "3DES".to_owned(),
            (AES, Some(bits)) => format!("AES-CBC-{bits}"),
            (number, _) => format!("cipher {number}"),
        };
        let hash = match self.hash {
            1 => "MD5".to_owned(),
            2 => "SHA1".to_owned(),
            4 => "SHA2-256".to_owned(),
            5 => "SHA2-384".to_owned(),
            6 => "SHA2-512".to_owned(),
            number => format!("hash {number}"),
        };
        format!("{cipher}/{hash}")
    }

    /// What of it nobody should rely on any more.
    pub(super) fn weak(&self) -> Vec<&'static str> {
        let of = |weak: bool, name| weak.then_some(name);
        [
            of(self.encryption == DES, "DES"),
            of(self.encryption == TRIPLE_DES, "3DES"),
            of(self.hash == 1, "MD5"),
            of(self.group == 1, "MODP-768"),
            of(self.group == 2, "MODP-1024"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Its attributes.
    pub(super) fn write(&self) -> Vec<u8> {
        // cast: the constants above are small
        let mut writer = Writer::new();
        put_tv(&mut writer, 1, self.encryption as u16);
        if let Some(bits) = self.key_bits {
            put_tv(&mut writer, 14, bits as u16);
        }
        put_tv(&mut writer, 2, self.hash as u16);
        put_tv(&mut writer, 4, self.group as u16);
        put_tv(&mut writer, 3, self.method as u16);
        put_tv(&mut writer, 11, 1);
        put_tv(&mut writer, 12, LIFE);
        writer.into_vec()
    }

    /// What a transform says; numbers that are missing are zero.
    pub(super) fn read(transform: &Transform<'_>) -> Self {
        let number = |kind| {
            let mut found = transform.attributes.iter().filter(|a| a.kind == kind);
            found.next().and_then(|attribute| attribute.number())
        };
        Self {
            encryption: number(1).unwrap_or(0),
            key_bits: number(14),
            hash: number(2).unwrap_or(0),
            group: number(4).unwrap_or(0),
            method: number(3).unwrap_or(0),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group() {
            Some(group) => write!(f, "{}/{}", self.suite(), group.name()),
            None => write!(f, "{}/group {}", self.suite(), self.group),
        }
    }
}
