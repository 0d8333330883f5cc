use super::*;
use crate::avp::Avps;
use crate::message::{Message, MessageType};

fn avp(attribute: Attribute, value: &[u8]) -> Vec<u8> {
    let mut writer = adit_wire::Writer::new();
    crate::avp::write(&mut writer, &Avp::plain(true, attribute, value));
    writer.into_vec()
}

fn parse(kind: MessageType, avps: &[Vec<u8>]) -> Message {
    let mut body = avp(Attribute::MessageType, &(kind as u16).to_be_bytes());
    body.extend(avps.concat());
    assert!(Avps::new(&body).all(|avp| avp.is_ok()));
    Message::parse(&body, None).unwrap()
}

#[test]
fn every_fact_of_a_call_is_told() {
    use Attribute as A;
    let icrq = parse(
        MessageType::Icrq,
        &[
            avp(A::CallSerialNumber, &[0, 0, 0, 9]),
            avp(A::MinimumBps, &[0, 0, 1, 0]),
            avp(A::MaximumBps, &[0, 1, 0, 0]),
            avp(A::BearerType, &[0, 0, 0, 2]),
            avp(A::PhysicalChannelId, &[1, 2, 3, 4]),
            avp(A::CalledNumber, b"+49 30 1"),
            avp(A::CallingNumber, b"+49 30 2"),
            avp(A::SubAddress, b"7"),
        ],
    );
    assert_eq!(icrq.ignored, 0);
    let iccn = parse(
        MessageType::Iccn,
        &[
            avp(A::CallSerialNumber, &[0, 0, 0, 10]),
            avp(A::FramingType, &[0, 0, 0, 1]),
            avp(A::TxConnectSpeed, &100_000_000_u32.to_be_bytes()),
            avp(A::RxConnectSpeed, &50_000_000_u32.to_be_bytes()),
            avp(A::PrivateGroupId, b"customer"),
            avp(A::InitialReceivedConfReq, &[1, 4, 5, 0xdc]),
            avp(A::LastSentConfReq, &[3, 4, 0xc0, 0x23]),
            avp(A::LastReceivedConfReq, &[]),
            avp(A::ProxyAuthenType, &[0, 3]),
            avp(A::ProxyAuthenName, b"user"),
            avp(A::ProxyAuthenChallenge, &[8; 16]),
            avp(A::ProxyAuthenId, &[0, 77]),
            avp(A::ProxyAuthenResponse, b"password"),
        ],
    );
    let mut call = icrq.call;
    call.add(iccn.call);
    assert_eq!(call.serial, Some(9), "what was said first");
    assert_eq!(
        (call.minimum_bps, call.maximum_bps),
        (Some(256), Some(65_536))
    );
    assert_eq!((call.bearer_type, call.framing_type), (Some(2), Some(1)));
    assert_eq!(call.physical_channel, Some(0x0102_0304));
    assert_eq!(call.called_number.as_deref(), Some("+49 30 1"));
    assert_eq!(call.calling_number.as_deref(), Some("+49 30 2"));
    assert_eq!(call.sub_address.as_deref(), Some("7"));
    assert_eq!(call.tx_connect_speed, Some(100_000_000));
    assert_eq!(call.rx_connect_speed, Some(50_000_000));
    assert_eq!(call.private_group.as_deref(), Some("customer"));
    let proxy = &call.proxy;
    assert_eq!(
        proxy.initial_received.as_deref(),
        Some(&[1, 4, 5, 0xdc][..])
    );
    assert_eq!(proxy.last_sent.as_deref(), Some(&[3, 4, 0xc0, 0x23][..]));
    assert_eq!(proxy.last_received.as_deref(), Some(&[][..]));
    assert_eq!(proxy.authen_type, Some(3));
    assert_eq!(proxy.authen_name.as_deref(), Some("user"));
    assert_eq!(proxy.authen_challenge.as_deref(), Some(&[8; 16][..]));
    assert_eq!(proxy.authen_id, Some(77));
    let response = proxy.authen_response.as_ref().unwrap();
    assert_eq!(response.as_slice(), b"password");
    assert!(
        !format!("{call:?}").contains("112, 97, 115"),
        "the password"
    );
}

#[test]
fn numbers_are_bounded_and_bad_facts_are_left_out() {
    let long = [b'1'; 1017];
    let message = parse(
        MessageType::Icrq,
        &[
            avp(Attribute::CalledNumber, &long),
            avp(Attribute::CallingNumber, &long),
            avp(Attribute::TxConnectSpeed, &[1, 2, 3]),
            avp(Attribute::ProxyAuthenId, &[]),
            avp(Attribute::LastSentConfReq, &[0; 256]),
        ],
    );
    assert_eq!(message.call.called_number.unwrap().len(), 255);
    assert_eq!(message.call.calling_number.unwrap().len(), 255);
    assert_eq!(message.call.tx_connect_speed, None);
    assert_eq!(message.call.proxy, Proxy::default());
    assert_eq!((message.fault, message.ignored), (None, 3));
}

#[test]
fn lines_are_told_about() {
    let accm = [0, 0, 0xff, 0xff, 0, 0, 0, 0x0a, 0, 0];
    let sli = parse(MessageType::Sli, &[avp(Attribute::Accm, &accm)]);
    assert_eq!(
        sli.accm,
        Some(Accm {
            send: 0xffff_0000,
            receive: 0x000a_0000
        })
    );
    let mut errors = vec![0, 0];
    for counter in 1..=6_u32 {
        errors.extend(counter.to_be_bytes());
    }
    let wen = parse(MessageType::Wen, &[avp(Attribute::CallErrors, &errors)]);
    assert_eq!(
        wen.call_errors,
        Some(CallErrors {
            crc: 1,
            framing: 2,
            hardware_overruns: 3,
            buffer_overruns: 4,
            timeouts: 5,
            alignment: 6
        })
    );
    for (attribute, expected) in [(Attribute::Accm, 10), (Attribute::CallErrors, 26)] {
        for actual in [0, expected - 1, expected + 1] {
            let message = parse(MessageType::Wen, &[avp(attribute, &vec![0; actual])]);
            let error = AvpError::ValueLength {
                attribute: attribute as u16,
                expected,
                actual,
            };
            assert_eq!(message.fault, Some(error.into()));
        }
    }
}
