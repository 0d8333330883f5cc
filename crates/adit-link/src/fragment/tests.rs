use adit_wire::checksum;
use adit_wire::ip::IpHeader;
use proptest::prelude::*;

use super::*;

/// A UDP packet with these options and fragment field; its payload counts up.
fn packet(options: &[u8], field: u16, payload: usize) -> Vec<u8> {
    let header = FIXED_LEN + options.len();
    let mut packet = vec![0; header];
    packet[0] = 0x40 | (header / 4) as u8;
    packet[2..4].copy_from_slice(&((header + payload) as u16).to_be_bytes());
    packet[4..6].copy_from_slice(&[0x12, 0x34]);
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    packet[8] = 60;
    packet[9] = 17;
    packet[12..20].copy_from_slice(&[192, 0, 2, 1, 10, 9, 0, 17]);
    packet[20..header].copy_from_slice(options);
    let sum = checksum::internet(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend((0..payload).map(|i| (i % 251) as u8));
    packet
}

fn cut(packet: &[u8], mtu: u16) -> Option<Vec<Vec<u8>>> {
    fragments(packet, &IpHeader::parse(packet).unwrap(), mtu)
}

fn field(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[6], packet[7]])
}

#[test]
fn a_packet_of_1500_bytes_goes_in_two() {
    let whole = packet(&[], 0, 1480);
    let cut = cut(&whole, 1398).unwrap();
    assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [1396, 124]);
    assert_eq!((field(&cut[0]), field(&cut[1])), (0x2000, 172));
    for piece in &cut {
        // Identification, TTL, protocol and addresses are those of the whole.
        assert_eq!(piece[4..6], whole[4..6]);
        assert_eq!(piece[8..10], whole[8..10]);
        assert_eq!(piece[12..20], whole[12..20]);
        assert_eq!(checksum::internet(&piece[..20]), 0);
        assert_eq!(IpHeader::parse(piece).unwrap().end, piece.len());
    }
    assert_eq!([&cut[0][20..], &cut[1][20..]].concat(), whole[20..]);
}

#[test]
fn only_copied_options_stand_in_later_fragments() {
    // Record route (not copied), no operation, loose source route (copied), end.
    let options = [7, 7, 4, 0, 0, 0, 0, 1, 0x83, 7, 4, 10, 0, 0, 1, 0];
    let cut = cut(&packet(&options, 0, 200), 136).unwrap();
    assert_eq!(cut[0][20..36], options);
    assert_eq!(cut[1][0], 0x47);
    assert_eq!(cut[1][20..28], [0x83, 7, 4, 10, 0, 0, 1, 0]);
    assert_eq!(checksum::internet(&cut[1][..28]), 0);
}

#[test]
fn what_must_not_be_cut_is_not() {
    assert_eq!(cut(&packet(&[], 0x4000, 1480), 1398), None);
    assert_eq!(cut(&packet(&[], 0, 100), 27), None);
    assert_eq!(cut(&packet(&[], 0, 100), 0), None);
    for bad in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 0, 0], [1, 1, 1, 7]] {
        assert_eq!(cut(&packet(&bad, 0, 100), 60), None, "{bad:?}");
    }
    // The largest offset there is: 8 more bytes would go past it.
    assert_eq!(cut(&packet(&[], 0x1fff, 100), 60), None);
    let mut six = vec![0; 60];
    six[0] = 0x60;
    six[5] = 20;
    six[6] = 17;
    assert_eq!(cut(&six, 50), None);
}

proptest! {
    #[test]
    fn the_pieces_make_the_whole(
        payload in 0_usize..4000,
        mtu in 28_u16..1600,
        again in 28_u16..1600,
        start in 0_u16..100,
        more in any::<bool>(),
    ) {
        let flags = if more { MORE_FRAGMENTS } else { 0 };
        let whole = packet(&[], flags | start, payload);
        let pieces: Vec<Vec<u8>> = cut(&whole, mtu)
            .unwrap()
            .iter()
            .flat_map(|piece| cut(piece, again).unwrap())
            .collect();
        let mut at = usize::from(start) * 8;
        for (index, piece) in pieces.iter().enumerate() {
            prop_assert!(piece.len() <= usize::from(mtu.min(again)));
            prop_assert_eq!(usize::from(field(piece) & OFFSET_MASK) * 8, at);
            let last = index + 1 == pieces.len();
            prop_assert_eq!(field(piece) & MORE_FRAGMENTS != 0, more || !last);
            at += piece.len() - FIXED_LEN;
        }
        let data: Vec<u8> = pieces.iter().flat_map(|piece| &piece[FIXED_LEN..]).copied().collect();
        prop_assert_eq!(&data[..], &whole[FIXED_LEN..]);
    }

    #[test]
    fn no_packet_makes_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 20..200),
        mtu in any::<u16>(),
    ) {
        let mut bytes = bytes;
        bytes[0] = 0x40 | (bytes[0] & 0x0f);
        bytes[2] = 0;
        if let Ok(header) = IpHeader::parse(&bytes) {
            for piece in fragments(&bytes, &header, mtu).unwrap_or_default() {
                prop_assert!(piece.len() <= usize::from(mtu));
            }
        }
    }
}
