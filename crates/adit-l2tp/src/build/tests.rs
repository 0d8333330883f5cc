use super::*;
use crate::avp::{Avp, Avps};
use crate::header::encode_control;

fn config() -> Config {
    Config {
        host_name: "lns".into(),
        vendor_name: "adit".into(),
        receive_window: 8,
        ..Config::default()
    }
}

/// The bytes written as hexadecimal lines, AVP by AVP.
fn bytes(lines: &[&str]) -> Vec<u8> {
    hex::decode(lines.concat().replace(' ', "")).unwrap()
}

#[test]
fn sccrq_to_an_unknown_tunnel() {
    assert_eq!(
        encode_control(0, 0, 0, 0, &sccrq(&config(), 0x0102)),
        bytes(&[
            "c802 0049 0000 0000 0000 0000",
            "8008 0000 0000 0001",
            "8008 0000 0002 0100",
            "800a 0000 0003 00000003",
            "8009 0000 0007 6c6e73",
            "000a 0000 0008 61646974",
            "8008 0000 0009 0102",
            "8008 0000 000a 0008",
        ])
    );
}

#[test]
fn sccrp_without_vendor_name() {
    let config = Config {
        vendor_name: String::new(),
        receive_window: 0,
        ..config()
    };
    assert_eq!(
        encode_control(8, 0, 0, 1, &sccrp(&config, 0xfffe)),
        bytes(&[
            "c802 003f 0008 0000 0000 0001",
            "8008 0000 0000 0002",
            "8008 0000 0002 0100",
            "800a 0000 0003 00000003",
            "8009 0000 0007 6c6e73",
            "8008 0000 0009 fffe",
            "8008 0000 000a 0001",
        ])
    );
}

#[test]
fn scccn_and_hello_are_a_type_and_nothing_else() {
    let expected = bytes(&["c802 0014 0008 0000 0001 0001", "8008 0000 0000 0003"]);
    assert_eq!(encode_control(8, 0, 1, 1, &scccn()), expected);
    assert_eq!(hello(), bytes(&["8008 0000 0000 0006"]));
}

#[test]
fn stop_ccn_has_an_error_code_even_when_it_is_zero() {
    assert_eq!(
        encode_control(8, 0, 5, 7, &stop_ccn(0x0102, 1, 0, "")),
        bytes(&[
            "c802 0026 0008 0000 0005 0007",
            "8008 0000 0000 0004",
            "8008 0000 0009 0102",
            "800a 0000 0001 0001 0000",
        ])
    );
    let text = stop_ccn(1, 2, 8, "no");
    assert_eq!(text[16..], bytes(&["800c 0000 0001 0002 0008 6e6f"]));
}

#[test]
fn messages_of_a_call() {
    assert_eq!(
        icrq(0x0a0b, 0xdead_beef),
        bytes(&[
            "8008 0000 0000 000a",
            "8008 0000 000e 0a0b",
            "800a 0000 000f deadbeef",
        ])
    );
    assert_eq!(
        encode_control(8, 0x0001, 1, 3, &icrp(0x0a0b)),
        bytes(&[
            "c802 001c 0008 0001 0001 0003",
            "8008 0000 0000 000b",
            "8008 0000 000e 0a0b",
        ])
    );
    assert_eq!(
        iccn(100_000_000),
        bytes(&[
            "8008 0000 0000 000c",
            "800a 0000 0018 05f5e100",
            "800a 0000 0013 00000001",
        ])
    );
    assert_eq!(
        cdn(0x0a0b, 3, 0, ""),
        bytes(&[
            "8008 0000 0000 000e",
            "800a 0000 0001 0003 0000",
            "8008 0000 000e 0a0b",
        ])
    );
}

#[test]
fn texts_are_cut_at_a_character() {
    let config = Config {
        host_name: "ä".repeat(200),
        vendor_name: "v".repeat(2000),
        ..config()
    };
    let body = sccrq(&config, 1);
    let avps: Vec<Avp<'_>> = Avps::new(&body).map(Result::unwrap).collect();
    assert_eq!(avps[3].value, "ä".repeat(127).as_bytes());
    assert_eq!(avps[4].value.len(), 255);

    let body = cdn(1, 2, 3, &"x".repeat(4000));
    let avps: Vec<Avp<'_>> = Avps::new(&body).map(Result::unwrap).collect();
    assert_eq!(avps[1].value.len(), 204);
}

#[test]
fn only_plain_attributes_are_sent() {
    let bodies = [
        sccrq(&config(), 1),
        sccrp(&config(), 1),
        scccn(),
        stop_ccn(1, 2, 3, "why"),
        hello(),
        icrq(1, 2),
        icrp(1),
        iccn(1),
        cdn(1, 2, 3, "why"),
    ];
    for body in bodies {
        for avp in Avps::new(&body).map(Result::unwrap) {
            assert_eq!(avp.vendor, 0);
            assert!(!avp.hidden && !avp.reserved);
            assert!(Attribute::from_wire(avp.kind).is_some());
        }
    }
}
