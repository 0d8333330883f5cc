//! Windows 10 and 11. Message 1 is known to the byte; in Quick Mode the order of attributes is not. Nor
//! are the list of DHCPINFORM and whether it takes resolvers from Router Advertisements on such an
//! interface: here it does not, as Windows 7 never does.

use std::time::Duration;

use adit_ike::{
    EspTransform, InitialContact, Layout, Manner, MessageIds, Phase1Transform, SaLifetime,
};
use adit_l2tp::{Item, ResultFormat, Said, StopResult, may, must};
use adit_link::HostWants;
use adit_link::dhcp4::Wording;

use super::transforms::{
    Aes128, Aes256, AesCbc128, AesCbc256, ESP_3DES, Ecp256, Ecp384, HmacSha1_96, Modp1024,
    Modp2048, Sha1, TripleDes, esp, ike,
};
use super::{Profile, RFC_2661, hours, ppp, vendor};
use crate::config::{Ending, Split};

pub(super) const PHASE1: &[Phase1Transform] = &[
    ike(Aes256, Sha1, Ecp384),
    ike(Aes128, Sha1, Ecp256),
    ike(Aes256, Sha1, Modp2048),
    ike(TripleDes, Sha1, Modp2048),
    ike(TripleDes, Sha1, Modp1024),
];

const ESP: &[EspTransform] = &[
    esp(AesCbc256, HmacSha1_96),
    esp(AesCbc128, HmacSha1_96),
    esp(ESP_3DES, HmacSha1_96),
    EspTransform::Des(HmacSha1_96),
    EspTransform::Null(HmacSha1_96),
];

/// The first of its IDs, which Windows 7 does not send.
const MS_FIRST: [u8; 20] = [
    0x01, 0x52, 0x8b, 0xbb, 0xc0, 0x06, 0x96, 0x12, 0x18, 0x49, 0xab, 0x9a, 0x1c, 0x5b, 0x2a, 0x51,
    0, 0, 0, 1,
];

pub(super) const MANNER: Manner = Manner {
    phase1: PHASE1,
    esp: ESP,
    esp_layout: Layout::ProposalEach,
    vendor_ids: Some(&[
        &MS_FIRST,
        &vendor::ms_nt5(9),
        &vendor::RFC3947,
        &vendor::NAT_T_02_LF,
        &vendor::FRAGMENTATION,
        &vendor::NEGOTIATION_DISCOVERY,
        &vendor::INITIAL_CONTACT,
        &vendor::IKE_CGA_1,
    ]),
    nonce_len: 48,
    initial_contact: InitialContact::Never,
    message_ids: MessageIds::Counted,
    ..Manner::OWN
};

/// Microsoft's vendor ID, of the correlation ID in its ICRQ.
const MICROSOFT: u16 = 311;

pub(super) const L2TP: adit_l2tp::Manner = adit_l2tp::Manner {
    sccrq: &sccrq(0x0a00),
    icrq: &[
        must(Item::AssignedSessionId),
        must(Item::CallSerialNumber),
        may(Item::BearerType(2)),
        may(Item::VendorNonce {
            vendor: MICROSOFT,
            kind: 1,
        }),
    ],
    iccn: &[
        must(Item::TxConnectSpeed(100_000_000)),
        must(Item::FramingType(1)),
        may(Item::ProxyAuthenType(4)),
    ],
    first_serial: Some(0),
    results: ResultFormat::Codes,
    cdn_before_stop: true,
    ..adit_l2tp::Manner::OWN
};

/// The SCCRQ of a Windows with this firmware revision.
pub(super) const fn sccrq(firmware: u16) -> [Said; 8] {
    [
        must(Item::ProtocolVersion),
        must(Item::FramingCapabilities(1)),
        must(Item::BearerCapabilities(0)),
        may(Item::FirmwareRevision(firmware)),
        must(Item::HostName),
        may(Item::VendorName),
        must(Item::AssignedTunnelId),
        must(Item::ReceiveWindowSize),
    ]
}

/// What it asks for on other interfaces; that it is the same here is not verified.
const INFORM: Wording = Wording {
    hardware: 8,
    hardware_address: &[0, 0x53, 0x45, 0, 0, 0],
    transaction: None,
    vendor_class: "MSFT 5.0",
    parameters: &[1, 15, 3, 6, 44, 46, 47, 31, 33, 121, 249, 43],
    checksum: true,
    routes: 121,
    tries: 4,
    interval: Duration::from_secs(4),
};

/// Windows 10 and 11.
pub const WINDOWS10: Profile = Profile {
    name: "windows10",
    manner: MANNER,
    phase1_lifetime: hours(8),
    esp_lifetime: SaLifetime {
        seconds: hours(1),
        kilobytes: Some(250_000),
    },
    pfs: None,
    inner_port: 1701,
    selector_port: None,
    refuses_server_behind_nat: true,
    host_name: "desktop",
    vendor_name: "Microsoft",
    l2tp: L2TP,
    receive_window: 8,
    hello_idle: Duration::from_secs(40),
    retransmit: RFC_2661,
    ending: Ending {
        ppp: true,
        stop: StopResult::CLEAR,
        pause: Duration::from_secs(4),
    },
    mru: 1400,
    echo: None,
    ppp: ppp::WINDOWS,
    ipv6: true,
    split: Split {
        acscp: false,
        inform: Some(INFORM),
    },
    host: HostWants {
        advertisements: true,
        rdnss: false,
        delegation: false,
    },
    cut_icv: false,
};
