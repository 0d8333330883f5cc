use std::net::SocketAddr;

use adit_crypto::Rng;

use super::*;
use crate::codec::{HEADER_LEN, exchange, kind};

fn message(length: usize, filler: u8) -> Vec<u8> {
    Header {
        initiator_cookie: [1; 8],
        responder_cookie: [2; 8],
        next_payload: kind::KE,
        exchange: exchange::MAIN,
        encrypted: true,
        commit: false,
        message_id: 0,
        length: 0,
    }
    .write(&vec![filler; length - HEADER_LEN])
}

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
    Instant::now()
}

struct Receiver {
    slot: Option<Reassembly>,
    now: Instant,
}

type Taken = Result<Option<Vec<u8>>, FragmentError>;

impl Receiver {
    fn new() -> Self {
        Self {
            slot: None,
            now: start(),
        }
    }

    fn give(&mut self, fragment: &[u8]) -> Taken {
        let header = parse_header(fragment).unwrap();
        assert_eq!(header.next_payload, kind::FRAGMENT);
        take(&mut self.slot, &header, fragment, self.now)
    }

    /// What a whole burst comes to.
    fn burst(&mut self, fragments: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let taken = fragments.iter().map(|fragment| self.give(fragment));
        taken.filter_map(Result::ok).flatten().collect()
    }
}

fn piece(id: u16, number: u8, last: bool, data: &[u8]) -> Vec<u8> {
    let header = parse_header(&message(100, 0)).unwrap();
    Fragment {
        id,
        number,
        last,
        data,
    }
    .write(&header)
}

#[test]
fn the_bytes_of_a_fragment() {
    let bytes = piece(0x0102, 3, true, b"data");
    let expected = "0101010101010101 0202020202020202 84 10 02 00 00000000 00000028\
                    00 00 000c 0102 03 01 64617461";
    assert_eq!(hex::encode(bytes), expected.replace(' ', ""));
}

#[test]
fn room_is_what_the_headers_leave() {
    let path = |channel, address: &str| Path {
        channel,
        local: SocketAddr::new(address.parse().unwrap(), 500),
        remote: SocketAddr::new(address.parse().unwrap(), 500),
    };
    assert_eq!(room(path(Channel::Ike, "192.0.2.1"), 1280), 1252);
    assert_eq!(room(path(Channel::NatT, "192.0.2.1"), 1280), 1248);
    assert_eq!(room(path(Channel::NatT, "2001:db8::1"), 1280), 1228);
    assert_eq!(room(path(Channel::Ike, "192.0.2.1"), 0), 548);
}

#[test]
fn any_order_and_any_repetition_give_the_message_back() {
    let mut rng = Rng::from_seed([3; 32]);
    for length in [500, 1252, 1253, 2432, 2433, 10_000, 30_000] {
        let original = message(length, 7);
        let fragments = cut(&original, 1252).unwrap();
        assert!(fragments.iter().all(|fragment| fragment.len() <= 1252));
        let mut receiver = Receiver::new();
        for _ in 0..5 {
            let mut order: Vec<_> = fragments.iter().collect();
            order.extend(fragments.iter().filter(|_| rng.below(2) == 0));
            for at in (1..order.len()).rev() {
                order.swap(at, rng.below(at as u32 + 1) as usize);
            }
            let taken: Vec<_> = order
                .iter()
                .filter_map(|fragment| receiver.give(fragment).unwrap())
                .collect();
            assert!(!taken.is_empty());
            assert!(taken.iter().all(|whole| *whole == original));
        }
    }
}

#[test]
fn a_repetition_has_the_same_fragments_and_another_message_another_id() {
    let first = cut(&message(3000, 1), 1252).unwrap();
    assert_eq!(first, cut(&message(3000, 1), 1252).unwrap());
    let id = |fragments: &[Vec<u8>]| fragments[0][32..34].to_vec();
    let other = cut(&message(3000, 2), 1252).unwrap();
    assert_ne!(id(&first), id(&other));
    // What got lost of one copy comes with the next.
    let mut receiver = Receiver::new();
    assert!(receiver.burst(&first[..2]).is_empty());
    assert_eq!(receiver.burst(&first[2..]), [message(3000, 1)]);
}

#[test]
fn malformed_fragments_leave_what_is_there() {
    let original = message(2000, 4);
    let good = cut(&original, 1252).unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = good[1].clone();
        bytes[at] = byte;
        bytes
    };
    let payload = good[1].len() - HEADER_LEN;
    let mut receiver = Receiver::new();
    assert_eq!(receiver.give(&good[0]), Ok(None));
    assert_eq!(receiver.give(&with(19, 1)), Err(FragmentError::Encrypted));
    assert_eq!(receiver.give(&with(28, 8)), Err(FragmentError::Followed(8)));
    assert_eq!(receiver.give(&with(34, 0)), Err(FragmentError::NumberZero));
    assert_eq!(
        receiver.give(&with(34, MAX_FRAGMENTS + 1)),
        Err(FragmentError::TooMany(MAX_FRAGMENTS + 1))
    );
    for field in [0, 1, 7, 8, payload - 1, payload + 1, 65_535] {
        let mut bytes = good[1].clone();
        bytes[30..32].copy_from_slice(&(field as u16).to_be_bytes());
        let actual = payload;
        assert_eq!(
            receiver.give(&bytes),
            Err(FragmentError::Length { field, actual })
        );
    }
    for length in 0..8 {
        let mut short = good[1][..HEADER_LEN + length].to_vec();
        let field = short.len() as u32;
        short[24..28].copy_from_slice(&field.to_be_bytes());
        assert!(matches!(
            receiver.give(&short),
            Err(FragmentError::Length { .. })
        ));
    }
    assert_eq!(
        receiver.give(&piece(9, 2, true, b"")),
        Err(FragmentError::Empty)
    );
    assert_eq!(receiver.give(&good[1]), Ok(Some(original)));
}

#[test]
fn contradictions_start_the_message_anew() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.give(&piece(1, 1, false, b"old")), Ok(None));
    assert_eq!(receiver.give(&piece(1, 2, false, b"old")), Ok(None));
    assert_eq!(
        receiver.give(&piece(1, 1, false, b"new")),
        Err(FragmentError::Conflict(1))
    );
    assert_eq!(
        receiver.give(&piece(1, 2, true, b"newer")),
        Ok(Some(b"newnewer".to_vec()))
    );
    // Behind the last one; a last one in front of others; a second last one.
    assert_eq!(
        receiver.give(&piece(1, 3, false, b"x")),
        Err(FragmentError::PastLast(3))
    );
    assert_eq!(
        receiver.give(&piece(1, 2, true, b"x")),
        Err(FragmentError::PastLast(2))
    );
    assert_eq!(
        receiver.give(&piece(1, 4, true, b"x")),
        Err(FragmentError::PastLast(4))
    );
    assert_eq!(
        receiver.give(&piece(1, 4, false, b"x")),
        Err(FragmentError::PastLast(4))
    );
    // Another ID is another message.
    assert_eq!(receiver.give(&piece(2, 1, false, b"y")), Ok(None));
    assert_eq!(receiver.give(&piece(3, 2, true, b"z")), Ok(None));
    assert_eq!(receiver.give(&piece(2, 2, true, b"z")), Ok(None));
}

#[test]
fn what_is_kept_is_bounded_in_bytes_number_and_time() {
    let mut receiver = Receiver::new();
    for number in 1..=16 {
        assert_eq!(
            receiver.give(&piece(1, number, false, &[1; 2048])),
            Ok(None)
        );
        assert!(receiver.slot.as_ref().unwrap().len() <= MAX_MESSAGE);
    }
    assert_eq!(
        receiver.give(&piece(1, 17, false, &[1; 1])),
        Err(FragmentError::TooLong(MAX_MESSAGE + 1))
    );
    assert!(receiver.slot.is_none());
    assert_eq!(
        receiver.give(&piece(1, 1, true, &[1; MAX_MESSAGE + 1])),
        Err(FragmentError::TooLong(MAX_MESSAGE + 1))
    );
    assert_eq!(receiver.give(&piece(1, 1, false, b"late")), Ok(None));
    receiver.now += LIFETIME;
    assert_eq!(receiver.give(&piece(1, 2, true, b"later")), Ok(None));
    assert_eq!(
        receiver.give(&piece(1, 1, false, b"latest ")),
        Ok(Some(b"latest later".to_vec()))
    );
}

#[test]
fn one_forged_fragment_costs_two_repetitions_at_most() {
    let original = message(5000, 5);
    let fragments = cut(&original, 1252).unwrap();
    let id = u16::from_be_bytes([fragments[0][32], fragments[0][33]]);
    let count = fragments.len() as u8;
    for at in 0..fragments.len() {
        for number in 1..=count + 1 {
            for last in [false, true] {
                for id in [id, id.wrapping_add(1)] {
                    let mut stream = fragments.clone();
                    stream.insert(at, piece(id, number, last, b"forged"));
                    let mut receiver = Receiver::new();
                    let mut whole = receiver.burst(&stream);
                    whole.extend(receiver.burst(&fragments));
                    whole.extend(receiver.burst(&fragments));
                    assert!(whole.contains(&original), "fragment {number} at {at}");
                }
            }
        }
    }
}

#[test]
fn the_next_message_is_not_mixed_with_the_repetition_of_the_last() {
    // As strongSwan and racoon do: the same ID in all messages.
    let fragments = |filler: u8| {
        let mut fragments = cut(&message(4000, filler), 1252).unwrap();
        for fragment in &mut fragments {
            fragment[32..34].copy_from_slice(&[0, 1]);
        }
        fragments
    };
    let (third, fifth) = (fragments(3), fragments(5));
    for lost in 0..third.len() {
        let mut receiver = Receiver::new();
        assert_eq!(receiver.burst(&third), [message(4000, 3)]);
        let mut repetition = third.clone();
        repetition.remove(lost);
        assert!(receiver.burst(&repetition).is_empty());
        assert_eq!(receiver.burst(&fifth), [message(4000, 5)]);
    }
}

#[test]
fn more_fragments_than_can_be_numbered_are_not_made() {
    assert!(cut(&message(30_000, 1), 100).is_none());
    assert!(cut(&message(300, 1), 36).is_none());
    assert_eq!(cut(&message(300, 1), 136).unwrap().len(), 3);
}
