//! macOS and iOS since 2016, from the published source of their racoon and pppd.

use std::time::Duration;

use adit_ike::{DurationFormat, EspTransform, Manner, Phase1Attribute, Phase1Transform};
use adit_l2tp::{Item, ResultFormat, StopResult, must};
use adit_link::dhcp4::Wording;
use adit_ppp::Echo;

use super::transforms::{
    Aes128, Aes256, AesCbc128, AesCbc256, ESP_3DES, HmacMd5_96, HmacSha1_96, HmacSha2_256_128, Md5,
    Modp1024, Modp1536, Modp2048, Sha1, Sha2_256, Sha2_512, TripleDes, esp, ike,
};
use super::{EVERYTHING, Profile, Retransmit, hours, ppp, timed, vendor};
use crate::config::{Ending, Split};

const PHASE1: &[Phase1Transform] = &[
    ike(Aes256, Sha2_256, Modp2048),
    ike(Aes256, Sha1, Modp2048),
    ike(Aes256, Md5, Modp2048),
    ike(Aes256, Sha2_512, Modp2048),
    ike(Aes256, Sha2_256, Modp1536),
    ike(Aes256, Sha1, Modp1536),
    ike(Aes256, Md5, Modp1536),
    ike(Aes256, Sha2_256, Modp1024),
    ike(Aes256, Sha1, Modp1024),
    ike(Aes256, Md5, Modp1024),
    ike(Aes128, Sha1, Modp1024),
    ike(Aes128, Md5, Modp1024),
    ike(TripleDes, Sha1, Modp1024),
    ike(TripleDes, Md5, Modp1024),
];

pub(super) const ESP: &[EspTransform] = &[
    esp(AesCbc256, HmacSha2_256_128),
    esp(AesCbc256, HmacSha1_96),
    esp(AesCbc256, HmacMd5_96),
    esp(AesCbc128, HmacSha2_256_128),
    esp(AesCbc128, HmacSha1_96),
    esp(AesCbc128, HmacMd5_96),
    esp(ESP_3DES, HmacSha2_256_128),
    esp(ESP_3DES, HmacSha1_96),
    esp(ESP_3DES, HmacMd5_96),
];

/// The order of every racoon.
pub(super) const PHASE1_ATTRIBUTES: &[Phase1Attribute] = &[
    Phase1Attribute::Life,
    Phase1Attribute::Encryption,
    Phase1Attribute::KeyLength,
    Phase1Attribute::Authentication,
    Phase1Attribute::Hash,
    Phase1Attribute::Group,
];

/// Its session IDs are process IDs, and its results are in its host's byte order.
const L2TP: adit_l2tp::Manner = adit_l2tp::Manner {
    sccrq: &[
        must(Item::ProtocolVersion),
        must(Item::FramingCapabilities(3)),
        must(Item::HostName),
        must(Item::AssignedTunnelId),
        must(Item::ReceiveWindowSize),
    ],
    iccn: &[
        must(Item::TxConnectSpeed(1_000_000)),
        must(Item::FramingType(3)),
    ],
    first_serial: Some(1),
    results: ResultFormat::Swapped,
    cdn_before_stop: true,
    ..adit_l2tp::Manner::OWN
};

/// By its published source: an interface without a hardware address gets one that is made up, and
/// routes are read from Microsoft's option only.
const INFORM: Wording = Wording {
    hardware: 8,
    hardware_address: &[0, 0, 0, 1],
    transaction: Some(1),
    vendor_class: "",
    parameters: &[6, 44, 43, 1, 249, 15],
    checksum: false,
    routes: 249,
    tries: 4,
    interval: Duration::from_secs(3),
};

/// macOS and iOS.
pub const APPLE: Profile = Profile {
    name: "apple",
    manner: Manner {
        phase1: PHASE1,
        phase1_attributes: PHASE1_ATTRIBUTES,
        esp: ESP,
        durations: DurationFormat::Short,
        vendor_ids: Some(&[
            &vendor::RFC3947,
            &vendor::APPLE_DRAFT,
            &vendor::NAT_T_08,
            &vendor::NAT_T_07,
            &vendor::NAT_T_06,
            &vendor::NAT_T_05,
            &vendor::NAT_T_04,
            &vendor::NAT_T_03,
            &vendor::NAT_T_02,
            &vendor::NAT_T_02_LF,
            &vendor::FRAGMENTATION_MAIN,
            &vendor::DPD,
        ]),
        nonce_len: 16,
        ..Manner::OWN
    },
    phase1_lifetime: hours(1),
    esp_lifetime: timed(hours(1)),
    pfs: None,
    inner_port: 51_823,
    selector_port: None,
    refuses_server_behind_nat: false,
    host_name: "mac.local\0",
    vendor_name: "",
    l2tp: L2TP,
    receive_window: 4,
    hello_idle: Duration::ZERO,
    retransmit: Retransmit {
        first: Duration::from_secs(1),
        cap: Duration::from_secs(4),
        tries: 9,
    },
    ending: Ending {
        ppp: true,
        stop: StopResult::CLEAR,
        pause: Duration::ZERO,
    },
    mru: 1500,
    echo: Some(Echo {
        interval: Duration::from_secs(20),
        failures: 15,
    }),
    ppp: ppp::PPPD,
    ipv6: true,
    split: Split {
        acscp: true,
        inform: Some(INFORM),
    },
    host: EVERYTHING,
    cut_icv: false,
};
