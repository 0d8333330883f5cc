//! Windows 7: as Windows 10, but for its vendor IDs and firmware revision.

use adit_ike::Manner;

use super::windows10::{L2TP, MANNER, WINDOWS10, sccrq};
use super::{Profile, vendor};

/// Windows 7.
pub const WINDOWS7: Profile = Profile {
    name: "windows7",
    manner: Manner {
        vendor_ids: Some(&[
            &vendor::ms_nt5(8),
            &vendor::RFC3947,
            &vendor::NAT_T_02_LF,
            &vendor::FRAGMENTATION,
            &vendor::NEGOTIATION_DISCOVERY,
            &vendor::INITIAL_CONTACT,
            &vendor::IKE_CGA_1,
        ]),
        ..MANNER
    },
    l2tp: adit_l2tp::Manner {
        sccrq: &sccrq(0x0601),
        ..L2TP
    },
    ..WINDOWS10
};
