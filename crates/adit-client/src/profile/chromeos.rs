//! ChromeOS: strongSwan, xl2tpd and pppd with choices of its own. Whether its pppd asks for IPv6
//! is not known; here it does.

use std::time::Duration;

use adit_ike::{EspTransform, Manner, Phase1Transform};
use adit_ppp::Echo;

use super::Profile;
use super::network_manager::{NETWORK_MANAGER, STRONGSWAN};
use super::transforms::{
    Aes128, AesCbc128, AesGcm128, ESP_3DES, HmacMd5_96, HmacSha1_96, HmacSha2_256_128, Modp1024,
    Modp1536, Modp2048, Modp3072, Sha1, Sha2_256, TripleDes, aead, esp, ike,
};

const PHASE1: &[Phase1Transform] = &[
    ike(Aes128, Sha2_256, Modp3072),
    ike(Aes128, Sha1, Modp2048),
    ike(TripleDes, Sha1, Modp1536),
    ike(TripleDes, Sha1, Modp1024),
];

const ESP: &[EspTransform] = &[
    aead(AesGcm128),
    esp(AesCbc128, HmacSha2_256_128),
    esp(AesCbc128, HmacSha1_96),
    esp(ESP_3DES, HmacSha1_96),
    esp(ESP_3DES, HmacMd5_96),
];

/// ChromeOS.
pub const CHROMEOS: Profile = Profile {
    name: "chromeos",
    manner: Manner {
        phase1: PHASE1,
        esp: ESP,
        ..STRONGSWAN
    },
    host_name: "localhost",
    mru: 1410,
    echo: Some(Echo {
        interval: Duration::from_secs(30),
        failures: 4,
    }),
    ..NETWORK_MANAGER
};
