use adit_wire::{PacketBuf, Truncated};
use proptest::prelude::*;

use super::*;

/// A data message with any of L, S and O, for tunnel 0x0102 and session 0x0304.
fn data(length: bool, ns: Option<u16>, offset: Option<u16>, frame: &[u8]) -> Vec<u8> {
    let mut flags = 2;
    let mut fields = Vec::new();
    if length {
        flags |= 0x4000;
        fields.extend([0, 0]);
    }
    fields.extend([1, 2, 3, 4]);
    if let Some(ns) = ns {
        flags |= 0x0800;
        fields.extend(ns.to_be_bytes());
        fields.extend([0xaa, 0xbb]);
    }
    if let Some(offset) = offset {
        flags |= 0x0200;
        fields.extend(offset.to_be_bytes());
        fields.extend(vec![0x55; usize::from(offset)]);
    }
    let mut bytes = u16::to_be_bytes(flags).to_vec();
    bytes.extend(fields);
    bytes.extend(frame);
    if length {
        let len = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
    }
    bytes
}

#[test]
fn data_messages_with_every_combination_of_length_sequence_and_offset() {
    for length in [false, true] {
        for ns in [None, Some(0x1234)] {
            for offset in [None, Some(0), Some(1), Some(300)] {
                let bytes = data(length, ns, offset, b"frame");
                let Ok(Packet::Data(decoded)) = decode(&bytes) else {
                    panic!("{length} {ns:?} {offset:?}");
                };
                assert_eq!((decoded.tunnel, decoded.session), (0x0102, 0x0304));
                assert_eq!(decoded.ns, ns);
                assert_eq!(&bytes[decoded.payload], b"frame");
            }
        }
    }
}

#[test]
fn a_length_short_of_the_datagram_ends_the_frame() {
    let mut bytes = data(true, None, None, b"frame");
    bytes.extend(b"padding");
    let Ok(Packet::Data(decoded)) = decode(&bytes) else {
        panic!();
    };
    assert_eq!(&bytes[decoded.payload], b"frame");

    // An offset may not reach past that length either.
    let mut bytes = data(true, None, Some(3), b"");
    bytes.extend(b"padding");
    bytes[8..10].copy_from_slice(&4_u16.to_be_bytes());
    assert_eq!(
        decode(&bytes),
        Err(DecodeError::Offset { offset: 4, left: 3 })
    );
}

#[test]
fn lengths_past_the_datagram_and_inside_the_header_are_refused() {
    let whole = data(true, Some(1), Some(2), b"frame");
    for length in [0, 1, 3, u16::try_from(whole.len()).unwrap() + 1, u16::MAX] {
        let mut bytes = whole.clone();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(
            decode(&bytes),
            Err(DecodeError::Length {
                field: usize::from(length),
                actual: whole.len()
            })
        );
    }
    // Long enough for the length field, not for the fields behind it.
    for length in [4, 7, 11, 13] {
        let mut bytes = whole.clone();
        bytes[2..4].copy_from_slice(&u16::to_be_bytes(length));
        assert!(matches!(decode(&bytes), Err(DecodeError::Truncated(_))));
    }
    for end in 0..whole.len() {
        assert!(decode(&whole[..end]).is_err(), "{end}");
    }
}

#[test]
fn an_offset_past_the_datagram_is_refused() {
    let mut bytes = data(false, None, Some(4), b"");
    bytes[6..8].copy_from_slice(&0xffff_u16.to_be_bytes());
    assert_eq!(
        decode(&bytes),
        Err(DecodeError::Offset {
            offset: 0xffff,
            left: 4
        })
    );
}

#[test]
fn other_versions_are_refused() {
    for version in (0..16).filter(|version| *version != 2) {
        let bytes = [0xc8, version, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decode(&bytes), Err(DecodeError::Version(version)));
    }
    assert_eq!(
        decode(&[]),
        Err(DecodeError::Truncated(Truncated { needed: 2, left: 0 }))
    );
}

#[test]
fn control_messages_need_length_and_sequence_and_no_offset() {
    for flags in [0x8002, 0xc002, 0x8802, 0xca02_u16] {
        let mut bytes = flags.to_be_bytes().to_vec();
        bytes.extend([0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(decode(&bytes), Err(DecodeError::ControlFlags(flags)));
    }
    // Reserved bits and the priority bit are ignored (RFC 2661 3.1).
    for flags in [0xc802, 0xfcf2, 0xc902_u16] {
        let mut bytes = flags.to_be_bytes().to_vec();
        bytes.extend([0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let Ok(Packet::Control(control)) = decode(&bytes) else {
            panic!("{flags:#x}");
        };
        assert!(control.is_zlb());
        assert_eq!((control.tunnel, control.session), (0x0102, 0x0304));
        assert_eq!((control.ns, control.nr), (0x0506, 0x0708));
    }
}

#[test]
fn data_headers_are_written_as_every_client_takes_them() {
    let mut buf = PacketBuf::from_slice(12, &[0xff, 0x03, 0x00, 0x21], 0);
    prepend_data_header(&mut buf, 0x0102, 0x0304).unwrap();
    let header = [0x40, 0x02, 0, 12, 1, 2, 3, 4];
    assert_eq!(buf.as_slice()[..DATA_HEADER_LEN], header);
    assert_eq!(buf.len(), 12);
    // 4 bytes of headroom are left.
    assert_eq!(
        prepend_data_header(&mut buf, 1, 2),
        Err(NoRoom { needed: 8, left: 4 })
    );

    let mut buf = PacketBuf::from_slice(12, b"x", 0);
    prepend_sequenced_data_header(&mut buf, 1, 2, 0xfffe).unwrap();
    let header = [0x48, 0x02, 0, 13, 0, 1, 0, 2, 0xff, 0xfe, 0, 0, b'x'];
    assert_eq!(buf.as_slice(), header);

    let mut buf = PacketBuf::from_slice(6, b"x", 0);
    prepend_short_data_header(&mut buf, 1, 2).unwrap();
    assert_eq!(buf.as_slice(), [0, 2, 0, 1, 0, 2, b'x']);
    assert!(prepend_short_data_header(&mut buf, 1, 2).is_err());

    let mut huge = PacketBuf::from_slice(8, &[0; 65_528], 0);
    assert!(prepend_data_header(&mut huge, 1, 2).is_err());
    assert_eq!(huge.len(), 65_528);
}

proptest! {
    #[test]
    fn what_is_prepended_decodes(
        tunnel: u16,
        session: u16,
        ns: Option<u16>,
        frame in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut buf = PacketBuf::from_slice(12, &frame, 0);
        match ns {
            None => prepend_data_header(&mut buf, tunnel, session).unwrap(),
            Some(ns) => prepend_sequenced_data_header(&mut buf, tunnel, session, ns).unwrap(),
        }
        let header = buf.len() - frame.len();
        prop_assert_eq!(
            decode(buf.as_slice()),
            Ok(Packet::Data(Data { tunnel, session, payload: header..buf.len(), ns }))
        );
    }

    #[test]
    fn nothing_decodes_past_the_datagram(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(Packet::Data(data)) = decode(&bytes) {
            prop_assert!(data.payload.start <= data.payload.end);
            prop_assert!(data.payload.end <= bytes.len());
        }
    }
}
