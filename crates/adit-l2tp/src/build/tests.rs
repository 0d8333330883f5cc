use super::*;
use crate::avp::{Avp, Avps};
use crate::header::encode_control;
use crate::result::{CallResult, GeneralError, Q931Cause, StopResult};

fn config() -> Config {
    Config {
        host_name: "lns".into(),
        vendor_name: "adit".into(),
        receive_window: 8,
        ..Config::default()
    }
}

fn opening(tunnel: u16) -> Opening<'static> {
    Opening {
        tunnel,
        ..Opening::default()
    }
}

fn calling(session: u16, serial: u32) -> Calling {
    Calling {
        session,
        serial,
        nonce: [0; 16],
    }
}

fn stop(result: u16, error: u16, message: &str) -> Stop {
    Stop {
        result: StopResult(result),
        error: GeneralError(error),
        message: message.into(),
    }
}

fn reason(result: u16, error: u16, message: &str) -> CallDisconnect {
    CallDisconnect {
        result: CallResult(result),
        error: GeneralError(error),
        message: message.into(),
        q931: None,
    }
}

/// The bytes written as hexadecimal lines, AVP by AVP.
fn bytes(lines: &[&str]) -> Vec<u8> {
    hex::decode(lines.concat().replace(' ', "")).unwrap()
}

#[test]
fn sccrq_to_an_unknown_tunnel() {
    assert_eq!(
        encode_control(0, 0, 0, 0, &sccrq(&config(), &opening(0x0102), None)),
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
        encode_control(8, 0, 0, 1, &sccrp(&config, &opening(0xfffe), None)),
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
    assert_eq!(encode_control(8, 0, 1, 1, &scccn(None, None)), expected);
    assert_eq!(hello(), bytes(&["8008 0000 0000 0006"]));
}

#[test]
fn stop_ccn_has_an_error_code_even_when_it_is_zero() {
    assert_eq!(
        encode_control(
            8,
            0,
            5,
            7,
            &stop_ccn(0x0102, &stop(1, 0, ""), ResultFormat::Text)
        ),
        bytes(&[
            "c802 0026 0008 0000 0005 0007",
            "8008 0000 0000 0004",
            "8008 0000 0009 0102",
            "800a 0000 0001 0001 0000",
        ])
    );
    let text = stop_ccn(1, &stop(2, 8, "no"), ResultFormat::Text);
    assert_eq!(text[16..], bytes(&["800c 0000 0001 0002 0008 6e6f"]));
}

#[test]
fn messages_of_a_call() {
    assert_eq!(
        icrq(&config(), &calling(0x0a0b, 0xdead_beef), None),
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
        iccn(&config(), &Calling::default(), None),
        bytes(&[
            "8008 0000 0000 000c",
            "800a 0000 0018 3b9aca00",
            "800a 0000 0013 00000001",
        ])
    );
    assert_eq!(
        cdn(0x0a0b, &reason(3, 0, ""), ResultFormat::Text),
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
    let body = sccrq(&config, &opening(1), None);
    let avps: Vec<Avp<'_>> = Avps::new(&body).map(Result::unwrap).collect();
    assert_eq!(avps[3].value, "ä".repeat(127).as_bytes());
    assert_eq!(avps[4].value.len(), 255);

    let body = cdn(1, &reason(2, 3, &"x".repeat(4000)), ResultFormat::Text);
    let avps: Vec<Avp<'_>> = Avps::new(&body).map(Result::unwrap).collect();
    assert_eq!(avps[1].value.len(), 204);
}

#[test]
fn only_plain_attributes_are_sent() {
    let bodies = [
        sccrq(&config(), &opening(1), None),
        sccrp(&config(), &opening(1), None),
        scccn(None, None),
        stop_ccn(1, &stop(2, 3, "why"), ResultFormat::Text),
        hello(),
        icrq(&config(), &calling(1, 2), None),
        icrp(1),
        iccn(&config(), &Calling::default(), None),
        cdn(1, &reason(2, 3, "why"), ResultFormat::Text),
    ];
    for body in bodies {
        for avp in Avps::new(&body).map(Result::unwrap) {
            assert_eq!(avp.vendor, 0);
            assert!(!avp.hidden && !avp.reserved);
            assert!(Attribute::from_wire(avp.kind).is_some());
        }
    }
}

#[test]
fn results_in_every_format() {
    let say = |format| {
        let body = cdn(7, &reason(3, 0, "bye"), format);
        hex::encode(&body[8..body.len() - 8])
    };
    assert_eq!(say(ResultFormat::Text), "800d0000000100030000627965");
    assert_eq!(say(ResultFormat::Codes), "800a0000000100030000");
    assert_eq!(say(ResultFormat::ResultOnly), "8008000000010003");
    assert_eq!(say(ResultFormat::Swapped), "800e000000010300a5a5a5a5a5a5");

    let isdn = CallDisconnect {
        q931: Some(Q931Cause {
            code: 16,
            message: 69,
            advisory: "x".into(),
        }),
        ..reason(1, 0, "")
    };
    let body = cdn(7, &isdn, ResultFormat::Text);
    assert!(body.ends_with(&bytes(&["800a 0000 000c 0010 45 78"])));
}

#[test]
fn what_may_be_hidden_is_hidden_but_for_ids() {
    let secret = Secret::new("s").unwrap();
    let hiding = || Some((&secret, [9; 16]));
    let opening = Opening {
        tunnel: 5,
        tie_breaker: Some([1; 8]),
        challenge: Some(&[2; 16]),
        response: Some([3; 16]),
    };
    let demanding = Config {
        sequencing: true,
        ..config()
    };
    let bodies = [
        sccrq(&config(), &opening, hiding()),
        sccrp(&config(), &opening, hiding()),
        scccn(opening.response, hiding()),
        icrq(&config(), &calling(6, 7), hiding()),
        iccn(&demanding, &calling(6, 7), hiding()),
    ];
    let mut hidden = Vec::new();
    for body in bodies {
        let mut vector_seen = false;
        for avp in Avps::new(&body).map(Result::unwrap) {
            let attribute = Attribute::from_wire(avp.kind).unwrap();
            vector_seen |= attribute == Attribute::RandomVector;
            if avp.hidden {
                assert!(vector_seen && attribute.may_be_hidden());
                assert_eq!(avp.value.len() % 16, 0);
                hidden.push(avp.kind);
            }
        }
        let message = crate::message::Message::parse(&body, Some(&secret)).unwrap();
        assert_eq!((message.fault, message.ignored), (None, 0));
        assert!(message.hidden > 0);
    }
    assert_eq!(
        hidden,
        [3, 8, 11, 13, 3, 8, 11, 13, 13, 15, 24, 19],
        "framing, vendor, challenge, response, serial, speed, framing"
    );
}
