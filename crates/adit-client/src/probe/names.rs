//! Names for what servers send as numbers and hashes: vendor IDs and notifications. Nothing is
//! decided by them.

use crate::profile::vendor;

/// A vendor ID by name, or as text or hex if nobody knows it.
pub(super) fn vendor_id(id: &[u8]) -> String {
    if let Some((_, name)) = EXACT.iter().find(|(known, _)| *known == id) {
        return (*name).to_owned();
    }
    if let Some((_, name)) = PREFIXES.iter().find(|(known, _)| id.starts_with(known)) {
        return match id.last() {
            Some(version) if *name == MS_NT5 => format!("{name} version {version}"),
            _ => (*name).to_owned(),
        };
    }
    if id.len() >= 4 && id.iter().all(u8::is_ascii_graphic) {
        return id.iter().copied().map(char::from).collect();
    }
    id.iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

const MS_NT5: &str = "Microsoft";

/// The first bytes of IDs whose end varies.
const PREFIXES: &[(&[u8], &str)] = &[
    (&number(0x1e2b5169_05991c7d_7c96fcbf_b587e461), MS_NT5),
    (&vendor::FRAGMENTATION, "fragmentation"),
    // The last two bytes are a version.
    (
        &[
            0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9, 0x70, 0x2d, 0x9f, 0xe2, 0x74, 0xcc,
        ],
        "Cisco Unity",
    ),
    (
        &[
            0x1f, 0x07, 0xf7, 0x0e, 0xaa, 0x65, 0x14, 0xd3, 0xb0, 0xfa, 0x96, 0x54, 0x2a, 0x50,
        ],
        "Cisco VPN concentrator",
    ),
    (b"OE", "Openswan or libreswan"),
];

const EXACT: &[(&[u8], &str)] = &[
    (&vendor::RFC3947, "NAT-T RFC 3947"),
    (&vendor::NAT_T_00, "NAT-T draft 00"),
    (&vendor::NAT_T_02, "NAT-T draft 02"),
    (&vendor::NAT_T_02_LF, "NAT-T draft 02 (LF)"),
    (&vendor::NAT_T_03, "NAT-T draft 03"),
    (&vendor::NAT_T_04, "NAT-T draft 04"),
    (&vendor::NAT_T_05, "NAT-T draft 05"),
    (&vendor::NAT_T_06, "NAT-T draft 06"),
    (&vendor::NAT_T_07, "NAT-T draft 07"),
    (&vendor::NAT_T_08, "NAT-T draft 08"),
    (&vendor::APPLE_DRAFT, "NAT-T of Apple"),
    (&vendor::DPD, "DPD"),
    (&vendor::XAUTH, "XAuth"),
    (
        &vendor::NEGOTIATION_DISCOVERY,
        "Microsoft negotiation discovery",
    ),
    (&vendor::INITIAL_CONTACT, "Microsoft initial contact"),
    (&vendor::IKE_CGA_1, "Microsoft IKE CGA"),
    (&number(0x882fe56d_6fd20dbc_2251613b_2ebe5beb), "strongSwan"),
    (&number(0x486b6c6b_267bc616_77367eb6_b6458764), "adit"),
    (
        &number(0xf14b94b7_bff1fef0_2773b8c4_9feded26),
        "racoon (KAME)",
    ),
    (
        &number(0x7003cbc1_097dbe9c_2600ba69_83bc8b35),
        "racoon (KAME)",
    ),
    (
        &number(0x27bab5dc_01ea0760_ea4e3190_ac27c0d0),
        "Check Point or Nortel",
    ),
];

const fn number(number: u128) -> [u8; 16] {
    number.to_be_bytes()
}

/// A notify message type by name (RFC 2408 3.14.1).
pub(super) fn notify(kind: u16) -> String {
    let name = match kind {
        1 => "INVALID-PAYLOAD-TYPE",
        2 => "DOI-NOT-SUPPORTED",
        3 => "SITUATION-NOT-SUPPORTED",
        4 => "INVALID-COOKIE",
        5 => "INVALID-MAJOR-VERSION",
        6 => "INVALID-MINOR-VERSION",
        7 => "INVALID-EXCHANGE-TYPE",
        8 => "INVALID-FLAGS",
        9 => "INVALID-MESSAGE-ID",
        10 => "INVALID-PROTOCOL-ID",
        11 => "INVALID-SPI",
        12 => "INVALID-TRANSFORM-ID",
        13 => "ATTRIBUTES-NOT-SUPPORTED",
        14 => "NO-PROPOSAL-CHOSEN",
        15 => "BAD-PROPOSAL-SYNTAX",
        16 => "PAYLOAD-MALFORMED",
        17 => "INVALID-KEY-INFORMATION",
        18 => "INVALID-ID-INFORMATION",
        23 => "INVALID-HASH-INFORMATION",
        24 => "AUTHENTICATION-FAILED",
        25 => "INVALID-SIGNATURE",
        30 => "UNEQUAL-PAYLOAD-LENGTHS",
        _ => return format!("notify {kind}"),
    };
    format!("{name} ({kind})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendor_ids_have_names() {
        assert_eq!(vendor_id(&vendor::RFC3947), "NAT-T RFC 3947");
        assert_eq!(vendor_id(&vendor::ms_nt5(9)), "Microsoft version 9");
        assert_eq!(vendor_id(&vendor::FRAGMENTATION_MAIN), "fragmentation");
        assert_eq!(vendor_id(b"OEhyLdACecfa"), "Openswan or libreswan");
        assert_eq!(vendor_id(b"strongSwan-test"), "strongSwan-test");
        assert_eq!(vendor_id(&[1, 2, 0xff]), "0102ff");
        assert_eq!(vendor_id(&[7; 400]).len(), 40, "bounded");
    }

    #[test]
    fn notifications_have_names() {
        assert_eq!(notify(14), "NO-PROPOSAL-CHOSEN (14)");
        assert_eq!(notify(9999), "notify 9999");
    }
}
