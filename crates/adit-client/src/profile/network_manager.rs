//! NetworkManager-l2tp over strongSwan, xl2tpd and pppd.

use std::time::Duration;

use adit_ike::{DurationFormat, EspAttribute, EspTransform, Manner, Phase1Transform};

use super::transforms::{
    Aes128, Aes256, AesCbc128, AesCbc256, ESP_3DES, Ecp256, Ecp384, HmacSha1_96, Modp1024,
    Modp1536, Modp2048, Sha1, Sha2_256, TripleDes, esp, ike,
};
use super::{Profile, hours, timed, vendor};
use crate::config::Ending;

const PHASE1: &[Phase1Transform] = &[
    ike(Aes256, Sha2_256, Modp2048),
    ike(Aes256, Sha2_256, Modp1536),
    ike(Aes256, Sha2_256, Modp1024),
    ike(Aes256, Sha1, Modp2048),
    ike(Aes256, Sha1, Modp1536),
    ike(Aes256, Sha1, Modp1024),
    ike(Aes256, Sha1, Ecp384),
    ike(Aes128, Sha1, Modp1024),
    ike(Aes128, Sha1, Ecp256),
    ike(TripleDes, Sha1, Modp2048),
    ike(TripleDes, Sha1, Modp1024),
];

const ESP: &[EspTransform] = &[
    esp(AesCbc256, HmacSha1_96),
    esp(AesCbc128, HmacSha1_96),
    esp(ESP_3DES, HmacSha1_96),
];

/// What strongSwan does in every configuration.
pub(super) const STRONGSWAN: Manner = Manner {
    esp_attributes: &[
        EspAttribute::KeyLength,
        EspAttribute::Authentication,
        EspAttribute::Group,
        EspAttribute::Mode,
        EspAttribute::Life,
    ],
    durations: DurationFormat::Short,
    vendor_ids: Some(&[
        &vendor::XAUTH,
        &vendor::DPD,
        &vendor::FRAGMENTATION_MAIN,
        &vendor::RFC3947,
        &vendor::NAT_T_02_LF,
    ]),
    ..Manner::OWN
};

/// NetworkManager-l2tp.
pub const NETWORK_MANAGER: Profile = Profile {
    name: "network-manager",
    manner: Manner {
        phase1: PHASE1,
        esp: ESP,
        ..STRONGSWAN
    },
    phase1_lifetime: hours(3),
    esp_lifetime: timed(hours(1)),
    inner_port: 1701,
    selector_port: None,
    refuses_server_behind_nat: false,
    host_name: "laptop",
    vendor_name: "xelerance.com",
    receive_window: 4,
    hello_idle: Duration::from_secs(60),
    ending: Ending {
        ppp: true,
        stop: 6,
        pause: Duration::ZERO,
    },
    mru: 1400,
    echo: None,
    ipv6: true,
};
