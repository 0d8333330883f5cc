//! MikroTik RouterOS as a router behind which networks are: its L2TP client with `use-ipsec`, and its
//! DHCPv6 client on the tunnel that asks for a prefix.
//!
//! From its manual: the default profile and proposal of IPsec, MTU and MRU, keepalive time, and that a
//! router takes no Router Advertisements. From logs that users published: vendor IDs and L2TP AVPs, and
//! the Result Code without an error code. Not verified: the order of phase 1 transforms and of PPP options,
//! nonce length, serial numbers, and that it ends with Terminate-Request and CDN before StopCCN.

use std::time::Duration;

use adit_ike::{DurationFormat, Manner};
use adit_l2tp::{Item, ResultFormat, StopResult, may, must};
use adit_link::HostWants;

use super::apple::PHASE1_ATTRIBUTES;
use super::transforms::{
    Aes128, AesCbc128, AesCbc192, AesCbc256, HmacSha1_96, Modp1024, Modp2048, Sha1, TripleDes, esp,
    ike,
};
use super::{Profile, RFC_2661, hours, ppp, timed, vendor};
use crate::config::{Ending, Split};

const L2TP: adit_l2tp::Manner = adit_l2tp::Manner {
    sccrq: &[
        must(Item::ProtocolVersion),
        must(Item::FramingCapabilities(1)),
        must(Item::BearerCapabilities(0)),
        may(Item::FirmwareRevision(1)),
        must(Item::HostName),
        may(Item::VendorName),
        must(Item::AssignedTunnelId),
        must(Item::ReceiveWindowSize),
    ],
    iccn: &[
        must(Item::TxConnectSpeed(100_000_000)),
        must(Item::FramingType(1)),
    ],
    first_serial: Some(0),
    results: ResultFormat::ResultOnly,
    cdn_before_stop: true,
    ..adit_l2tp::Manner::OWN
};

/// RouterOS 6.44 to 7.
pub const ROUTEROS: Profile = Profile {
    name: "routeros",
    manner: Manner {
        phase1: &[
            ike(Aes128, Sha1, Modp2048),
            ike(Aes128, Sha1, Modp1024),
            ike(TripleDes, Sha1, Modp2048),
            ike(TripleDes, Sha1, Modp1024),
        ],
        phase1_attributes: PHASE1_ATTRIBUTES,
        esp: &[
            esp(AesCbc256, HmacSha1_96),
            esp(AesCbc192, HmacSha1_96),
            esp(AesCbc128, HmacSha1_96),
        ],
        durations: DurationFormat::Short,
        vendor_ids: Some(&[
            &vendor::RFC3947,
            &vendor::NAT_T_08,
            &vendor::NAT_T_07,
            &vendor::NAT_T_06,
            &vendor::NAT_T_05,
            &vendor::NAT_T_04,
            &vendor::NAT_T_03,
            &vendor::NAT_T_02,
            &vendor::NAT_T_02_LF,
            &vendor::NAT_T_01,
            &vendor::NAT_T_00,
            &vendor::UNITY,
            &vendor::DPD,
        ]),
        nonce_len: 24,
        ..Manner::OWN
    },
    phase1_lifetime: hours(24),
    esp_lifetime: timed(Duration::from_secs(30 * 60)),
    pfs: Some(Modp1024),
    inner_port: 1701,
    selector_port: None,
    refuses_server_behind_nat: false,
    host_name: "MikroTik",
    vendor_name: "MikroTik",
    l2tp: L2TP,
    receive_window: 4,
    hello_idle: Duration::from_secs(60),
    retransmit: RFC_2661,
    ending: Ending {
        ppp: true,
        stop: StopResult::SHUTTING_DOWN,
        pause: Duration::ZERO,
    },
    mru: 1450,
    echo: None,
    ppp: ppp::ROUTEROS,
    ipv6: true,
    split: Split {
        acscp: false,
        inform: None,
    },
    host: HostWants {
        advertisements: false,
        rdnss: false,
        delegation: true,
    },
    cut_icv: false,
};
