//! NetworkManager-l2tp over strongSwan, xl2tpd and pppd.

use std::time::Duration;

use adit_ike::{DurationFormat, EspAttribute, EspTransform, Manner, Phase1Transform};
use adit_l2tp::{Item, StopResult, may, must};

use super::transforms::{
    Aes128, Aes256, AesCbc128, AesCbc256, ESP_3DES, Ecp256, Ecp384, HmacSha1_96, Modp1024,
    Modp1536, Modp2048, Sha1, Sha2_256, TripleDes, esp, ike,
};
use super::{EVERYTHING, NO_ROUTES, Profile, RFC_2661, hours, ppp, timed, vendor};
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

/// xl2tpd, by its published source.
pub(super) const XL2TPD: adit_l2tp::Manner = adit_l2tp::Manner {
    sccrq: &[
        must(Item::ProtocolVersion),
        must(Item::FramingCapabilities(3)),
        must(Item::BearerCapabilities(0)),
        may(Item::FirmwareRevision(0x0690)),
        must(Item::HostName),
        may(Item::VendorName),
        must(Item::AssignedTunnelId),
        must(Item::ReceiveWindowSize),
    ],
    icrq: &[
        must(Item::AssignedSessionId),
        must(Item::CallSerialNumber),
        must(Item::BearerType(0)),
    ],
    iccn: &[
        must(Item::TxConnectSpeed(10_000_000)),
        must(Item::FramingType(1)),
        must(Item::RxConnectSpeed(10_000_000)),
    ],
    first_serial: Some(1),
    ..adit_l2tp::Manner::OWN
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
    pfs: None,
    inner_port: 1701,
    selector_port: None,
    refuses_server_behind_nat: false,
    host_name: "laptop",
    vendor_name: "xelerance.com",
    l2tp: XL2TPD,
    receive_window: 4,
    hello_idle: Duration::from_secs(60),
    retransmit: RFC_2661,
    ending: Ending {
        ppp: true,
        stop: StopResult::SHUTTING_DOWN,
        pause: Duration::ZERO,
    },
    mru: 1400,
    echo: None,
    ppp: ppp::PPPD,
    ipv6: true,
    split: NO_ROUTES,
    host: EVERYTHING,
    cut_icv: false,
};
