use proptest::prelude::*;

use super::*;

const WINDOWS_SCCRQ: &str = include_str!("../../tests/vectors/windows10-l2tp-sccrq.hex");

fn avp(flags: u16, vendor: u16, kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(6 + value.len()).unwrap();
    let mut bytes = Vec::new();
    for field in [flags | length, vendor, kind] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(value);
    bytes
}

/// A body with this message type and further AVPs.
fn body(kind: MessageType, avps: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = avp(0x8000, 0, 0, &(kind as u16).to_be_bytes());
    bytes.extend(avps.concat());
    bytes
}

fn parse(kind: MessageType, avps: &[Vec<u8>]) -> Message {
    Message::parse(&body(kind, avps), None).unwrap()
}

#[test]
fn the_sccrq_of_windows_10() {
    let datagram = hex::decode(WINDOWS_SCCRQ.trim()).unwrap();
    let Ok(Packet::Control(control)) = decode(&datagram) else {
        panic!();
    };
    assert_eq!((control.tunnel, control.session), (0, 0));
    assert_eq!((control.ns, control.nr), (0, 0));
    assert_eq!(control.message_type(), Some(1));
    assert_eq!(control.assigned_tunnel_id(None), Some(15));
    assert_eq!(assigned_tunnel_of_sccrq(&datagram, None), Some(15));
    assert_eq!(
        Message::parse(control.avps, None),
        Ok(Message {
            message_type: 1,
            mandatory: true,
            protocol_version: Some((1, 0)),
            framing_capabilities: Some(1),
            firmware: Some(0x0a00),
            host_name: Some("WIN10-CLIENT-01".into()),
            vendor_name: Some("Microsoft".into()),
            tunnel_id: Some(15),
            receive_window: Some(8),
            ..Message::default()
        })
    );
}

#[test]
fn apples_host_name_ends_with_a_nul() {
    let message = parse(MessageType::Sccrq, &[avp(0x8000, 0, 7, b"mac\0")]);
    assert_eq!(message.host_name.as_deref(), Some("mac"));
    assert_eq!(message.fault, None);
}

#[test]
fn texts_are_bounded_and_fit_to_be_shown() {
    let long = vec![b'a'; 1017];
    let message = parse(
        MessageType::Sccrq,
        &[
            avp(0x8000, 0, 7, b"a\x1b[2J\xff\n"),
            avp(0, 0, 8, &long),
            avp(0x8000, 0, 21, &long), // called number, as long as an AVP can be
        ],
    );
    assert_eq!(
        message.host_name.as_deref(),
        Some("a\u{fffd}[2J\u{fffd}\u{fffd}")
    );
    assert_eq!(message.vendor_name.unwrap().len(), 255);
    assert_eq!(message.fault, None);
}

#[test]
fn a_vendors_attribute_is_not_that_of_the_same_number() {
    // Windows' correlation ID in its ICRQ: vendor 311, type 1, which is not a Result Code.
    let message = parse(
        MessageType::Icrq,
        &[avp(0x8000, 0, 14, &[0, 1]), avp(0, 311, 1, &[7; 16])],
    );
    assert_eq!(message.result, None);
    assert_eq!(message.session_id, Some(1));
    assert_eq!((message.fault, message.ignored), (None, 1));

    // Nor does a vendor's type 0 make a message type.
    assert_eq!(
        Message::parse(&avp(0x8000, 311, 0, &[0, 1]), None),
        Err(Fault::NoMessageType)
    );
}

#[test]
fn unrecognized_attributes_count_only_with_their_m_bit() {
    let cases = [
        (0, 311, 1, Unrecognized::Vendor),
        (0, 0, 20, Unrecognized::Attribute),
        (0, 0, 0x1234, Unrecognized::Attribute),
        (0x4000, 0, 7, Unrecognized::MustNotBeHidden),
        (0x4000, 0, 8, Unrecognized::Hidden),
        (0x0400, 0, 7, Unrecognized::ReservedBits),
        (0x2000, 0, 7, Unrecognized::ReservedBits),
    ];
    for (flags, vendor, attribute, why) in cases {
        let optional = parse(
            MessageType::Sccrq,
            &[avp(
                flags,
                vendor,
                attribute,
                b"value of more than 16 bytes",
            )],
        );
        assert_eq!((optional.fault, optional.ignored), (None, 1));
        assert_eq!(optional.host_name, None);

        let mandatory = parse(
            MessageType::Sccrq,
            &[
                avp(0x8000 | flags, vendor, attribute, b"short"),
                avp(0x8000, 0, 9, &[0, 5]),
            ],
        );
        assert_eq!(
            mandatory.fault,
            Some(Fault::Unrecognized {
                vendor,
                attribute,
                why
            })
        );
        // What comes behind it is still read, so that the peer can be answered.
        assert_eq!(mandatory.tunnel_id, Some(5));
    }
}

#[test]
fn malformed_values_count_only_with_their_m_bit() {
    // RFC 2661 7.1 has this very example, with Rx Connect Speed.
    let message = parse(MessageType::Sccrq, &[avp(0, 0, 6, &[1])]);
    assert_eq!((message.fault, message.ignored), (None, 1));
    for (attribute, expected, value) in [
        (2, 2, &[1][..]),
        (3, 4, &[0, 0, 3]),
        (9, 2, &[1]),
        (10, 2, &[]),
        (14, 2, &[0, 0, 0, 1]),
    ] {
        let message = parse(MessageType::Sccrq, &[avp(0x8000, 0, attribute, value)]);
        let error = AvpError::ValueLength {
            attribute,
            expected,
            actual: value.len(),
        };
        assert_eq!(message.fault, Some(Fault::Avp(error)));
    }
    for attribute in [9, 14] {
        let message = parse(MessageType::Sccrq, &[avp(0x8000, 0, attribute, &[0, 0])]);
        let error = AvpError::Value {
            attribute,
            value: 0,
        };
        assert_eq!(message.fault, Some(Fault::Avp(error)));
    }
}

#[test]
fn a_list_that_cannot_be_cut_is_a_fault_even_behind_optional_attributes() {
    for (tail, error) in [
        (&[0, 5, 0, 0, 0, 7][..], AvpError::LengthBelowHeader(5)),
        (
            &[0, 9, 0, 0, 0, 7, 1, 2],
            AvpError::LengthPastMessage { length: 9, left: 8 },
        ),
        (&[0], AvpError::Truncated(1)),
    ] {
        let message = parse(MessageType::Iccn, &[tail.to_vec()]);
        assert_eq!(message.fault, Some(Fault::Avp(error)));
    }
}

#[test]
fn the_message_type_must_be_first_and_readable() {
    assert_eq!(
        Message::parse(&avp(0x8000, 0, 7, b"host"), None),
        Err(Fault::NoMessageType)
    );
    assert_eq!(
        Message::parse(&avp(0xc000, 0, 0, &[0, 1]), None),
        Err(Fault::NoMessageType)
    );
    assert!(matches!(
        Message::parse(&avp(0x8000, 0, 0, &[1]), None),
        Err(Fault::Avp(AvpError::ValueLength { actual: 1, .. }))
    ));
    assert!(matches!(
        Message::parse(&[0x80, 3, 0, 0, 0, 0, 0, 1], None),
        Err(Fault::Avp(AvpError::LengthBelowHeader(3)))
    ));
}

#[test]
fn the_first_of_two_counts() {
    let message = parse(
        MessageType::Sccrq,
        &[avp(0x8000, 0, 9, &[0, 5]), avp(0x8000, 0, 9, &[0, 6])],
    );
    assert_eq!(message.tunnel_id, Some(5));
}

#[test]
fn result_codes_of_every_length() {
    let read = |value: &[u8]| parse(MessageType::Cdn, &[avp(0x8000, 0, 1, value)]).result;
    let code = |result, error, message: &str| {
        Some(ResultCode {
            result,
            error,
            message: message.into(),
        })
    };
    assert_eq!(read(&[]), code(0, 0, ""));
    assert_eq!(read(&[3]), code(0, 0, ""));
    assert_eq!(read(&[0, 3]), code(3, 0, "")); // Android 2
    assert_eq!(read(&[0, 2, 0]), code(2, 0, ""));
    assert_eq!(read(&[0, 2, 0, 8]), code(2, 8, ""));
    assert_eq!(read(b"\0\x02\0\x06no way\0"), code(2, 6, "no way"));
    // Apple: 14 bytes of AVP, the value little-endian, then stale memory.
    assert_eq!(read(&[3, 0, 9, 9, 9, 9, 9, 9]), code(3, 0, ""));
    assert_eq!(read(&[1, 0, 0, 0, 0x7f, 1, 2, 3]), code(1, 0, ""));
    // A vendor's number beyond RFC 2661 stays as it is.
    assert_eq!(read(&[0x12, 0x34, 0, 1]), code(0x1234, 1, ""));
}

#[test]
fn the_assigned_tunnel_id_is_peeked_at() {
    let control = |bytes: &[u8]| {
        let datagram = crate::header::encode_control(0, 0, 0, 0, bytes);
        let Ok(Packet::Control(control)) = decode(&datagram) else {
            panic!();
        };
        (
            control.assigned_tunnel_id(None),
            assigned_tunnel_of_sccrq(&datagram, None),
        )
    };
    let id = avp(0x8000, 0, 9, &[1, 2]);
    let tail = vec![0x80, 1]; // not an AVP, but behind the ID
    assert_eq!(
        control(&body(MessageType::Sccrq, &[id.clone(), tail])),
        (Some(0x0102), Some(0x0102))
    );
    assert_eq!(
        control(&body(MessageType::StopCcn, std::slice::from_ref(&id))),
        (Some(0x0102), None)
    );
    assert_eq!(
        control(&body(MessageType::Sccrp, std::slice::from_ref(&id))),
        (None, None)
    );
    for bad in [
        avp(0x8000, 0, 9, &[0, 0]),
        avp(0x8000, 0, 9, &[1]),
        avp(0xc000, 0, 9, &[1, 2]),
        avp(0x8000, 311, 9, &[1, 2]),
        vec![],
    ] {
        assert_eq!(control(&body(MessageType::Sccrq, &[bad])), (None, None));
    }
    assert_eq!(control(&[]), (None, None));
    assert_eq!(assigned_tunnel_of_sccrq(b"\xc8\x02junk", None), None);
}

proptest! {
    #[test]
    fn anything_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut body = avp(0x8000, 0, 0, &[0, 4]);
        body.extend(&bytes);
        let message = Message::parse(&body, None).unwrap();
        prop_assert_eq!(message.kind(), Some(MessageType::StopCcn));
        let _ = Message::parse(&bytes, None);
    }
}
