//! racoon of ipsec-tools, without fragmentation, with one strong proposal and one of old
//! configurations.

use std::time::Duration;

use adit_ike::{DurationFormat, InitialContact, Manner};
use adit_l2tp::StopResult;

use super::apple::{ESP, PHASE1_ATTRIBUTES};
use super::network_manager::XL2TPD;
use super::transforms::{Aes256, Modp1024, Modp2048, Sha1, TripleDes, ike};
use super::{EVERYTHING, NO_ROUTES, Profile, RFC_2661, hours, ppp, timed, vendor};
use crate::config::Ending;

/// racoon of ipsec-tools.
pub const RACOON: Profile = Profile {
    name: "racoon",
    manner: Manner {
        phase1: &[ike(Aes256, Sha1, Modp2048), ike(TripleDes, Sha1, Modp1024)],
        phase1_attributes: PHASE1_ATTRIBUTES,
        esp: ESP,
        durations: DurationFormat::Short,
        vendor_ids: Some(&[
            &vendor::RFC3947,
            &vendor::NAT_T_02,
            &vendor::NAT_T_02_LF,
            &vendor::NAT_T_00,
            &vendor::DPD,
        ]),
        nonce_len: 16,
        initial_contact: InitialContact::Alone,
        ..Manner::OWN
    },
    phase1_lifetime: hours(8),
    esp_lifetime: timed(hours(1)),
    pfs: None,
    inner_port: 1701,
    selector_port: None,
    refuses_server_behind_nat: false,
    host_name: "racoon",
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
