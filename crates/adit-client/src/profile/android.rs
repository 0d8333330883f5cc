//! Android up to 11: a racoon of its own and mtpd. Every group that it offers is MODP-1024.

use std::time::Duration;

use adit_ike::{DurationFormat, EspTransform, InitialContact, Manner, Phase1Transform};
use adit_l2tp::{CallAfter, Item, ResultFormat, StopResult, must};

use super::apple::PHASE1_ATTRIBUTES;
use super::transforms::{
    Aes128, Aes256, AesCbc128, AesCbc256, ESP_3DES, HmacMd5_96, HmacSha1_96, HmacSha2_256_128, Md5,
    Modp1024, Sha1, Sha2_256, TripleDes, esp, ike,
};
use super::{EVERYTHING, NO_ROUTES, Profile, Retransmit, hours, ppp, timed, vendor};
use crate::config::Ending;

const PHASE1: &[Phase1Transform] = &[
    ike(Aes256, Sha2_256, Modp1024),
    ike(Aes256, Sha1, Modp1024),
    ike(Aes256, Md5, Modp1024),
    ike(Aes128, Sha2_256, Modp1024),
    ike(Aes128, Sha1, Modp1024),
    ike(Aes128, Md5, Modp1024),
    ike(TripleDes, Sha2_256, Modp1024),
    ike(TripleDes, Sha1, Modp1024),
    ike(TripleDes, Md5, Modp1024),
    Phase1Transform::Des(Sha2_256, Modp1024),
    Phase1Transform::Des(Sha1, Modp1024),
    Phase1Transform::Des(Md5, Modp1024),
];

const ESP: &[EspTransform] = &[
    esp(AesCbc256, HmacSha2_256_128),
    esp(AesCbc256, HmacSha1_96),
    esp(AesCbc256, HmacMd5_96),
    esp(AesCbc128, HmacSha2_256_128),
    esp(AesCbc128, HmacSha1_96),
    esp(AesCbc128, HmacMd5_96),
    esp(ESP_3DES, HmacSha2_256_128),
    esp(ESP_3DES, HmacSha1_96),
    esp(ESP_3DES, HmacMd5_96),
    EspTransform::Des(HmacSha2_256_128),
    EspTransform::Des(HmacSha1_96),
    EspTransform::Des(HmacMd5_96),
];

/// mtpd: data messages without a length, and no call before its SCCCN is acknowledged.
const L2TP: adit_l2tp::Manner = adit_l2tp::Manner {
    sccrq: &[
        must(Item::ProtocolVersion),
        must(Item::HostName),
        must(Item::FramingCapabilities(3)),
        must(Item::AssignedTunnelId),
        must(Item::ReceiveWindowSize),
    ],
    call_after: CallAfter::Acknowledgement,
    challenge_len: 32,
    results: ResultFormat::ResultOnly,
    data_length: false,
    ..adit_l2tp::Manner::OWN
};

/// Android 8 to 11.
pub const ANDROID: Profile = Profile {
    name: "android",
    manner: Manner {
        phase1: PHASE1,
        phase1_attributes: PHASE1_ATTRIBUTES,
        esp: ESP,
        durations: DurationFormat::Short,
        vendor_ids: Some(&[
            &vendor::RFC3947,
            &vendor::NAT_T_02,
            &vendor::NAT_T_02_LF,
            &vendor::NAT_T_00,
            &vendor::FRAGMENTATION_MAIN,
            &vendor::DPD,
        ]),
        nonce_len: 16,
        initial_contact: InitialContact::Alone,
        nat_oa: false,
        ..Manner::OWN
    },
    phase1_lifetime: hours(8),
    esp_lifetime: timed(hours(8)),
    pfs: None,
    inner_port: 45_127,
    selector_port: Some(0),
    refuses_server_behind_nat: false,
    host_name: "anonymous",
    vendor_name: "",
    l2tp: L2TP,
    receive_window: 1,
    hello_idle: Duration::ZERO,
    retransmit: Retransmit {
        first: Duration::from_secs(2),
        cap: Duration::from_secs(2),
        tries: 30,
    },
    ending: Ending {
        ppp: false,
        stop: StopResult::SHUTTING_DOWN,
        pause: Duration::ZERO,
    },
    mru: 1270,
    echo: None,
    ppp: ppp::COMPRESSING_PPPD,
    ipv6: false,
    split: NO_ROUTES,
    host: EVERYTHING,
    cut_icv: false,
};

/// Android 6 and 7: the same over a kernel that cuts HMAC-SHA2-256 at 96 bits.
pub const ANDROID7: Profile = Profile {
    name: "android7",
    cut_icv: true,
    ..ANDROID
};
