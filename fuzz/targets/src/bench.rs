//! A spell of `adit bench`, whose answers are what the far end of the tunnel makes of them.

use std::net::IpAddr;
use std::time::Duration;

use adit_client::bench::{Measured, Spell, Traffic};
use adit_wire::PacketBuf;
use adit_wire::ip::Family;

use crate::inputs::{Clock, messages};

/// A message: this bit of its first byte makes it an answer to the next request, with the rest of the
/// message put over it from the place that the second byte says. Without it, the rest is a packet.
const ANSWER: u8 = 1;
/// This bit puts the addresses of an answer into such a packet,
const ADDRESSED: u8 = 2;
/// and this one has it come twice. Where the bit is set in the first message, the spell is inside IPv6.
const TWICE: u8 = 4;

const SIZE: usize = 120;

/// Answers to a spell of echo requests. No more may be counted than were sent.
pub fn bench(data: &[u8]) {
    let (measured, asked) = run(data);
    assert_eq!(measured.sent, asked);
    assert!(measured.received <= measured.sent, "{measured:?}");
    assert_eq!(measured.latency.count(), measured.received);
    let median = measured.latency.percentile(0.5).unwrap_or_default();
    assert!(median <= measured.latency.longest());
}

/// What the spell measured, and how many requests it gave out.
fn run(data: &[u8]) -> (Measured, u64) {
    let mut clock = Clock::new();
    let first = messages(data).next().and_then(|message| message.first());
    let (family, ends) = match first {
        Some(how) if how & TWICE != 0 => (Family::V6, ["2001:db8::2", "2001:db8::1"]),
        _ => (Family::V4, ["10.0.0.2", "10.0.0.1"]),
    };
    let [from, to] = ends.map(|end| end.parse::<IpAddr>().expect("an address"));
    let traffic = Traffic {
        family,
        target: Some(to),
        size: SIZE,
        rate: None,
        begin: clock.now(),
        end: clock.now() + Duration::from_secs(5),
    };
    let mut spell = Spell::new(traffic, (from, to), 0x0102_0304_0506_0708, 0.0).expect("it fits");
    let mut buf = PacketBuf::with_capacity(0, SIZE);
    let mut asked = 0;
    for message in messages(data) {
        let now = clock.tick(message);
        let Some((how, rest)) = message.split_first() else {
            continue;
        };
        buf.reset(0);
        let mut packet = rest.to_vec();
        if how & ANSWER != 0 {
            if spell.poll_request(&mut buf, now).is_none() {
                continue;
            }
            asked += 1;
            packet = turned(buf.as_slice(), family);
            if let Some((at, bytes)) = rest.split_first() {
                let room = packet.iter_mut().skip(usize::from(*at));
                room.zip(bytes).for_each(|(old, new)| *old = *new);
            }
        } else if how & ADDRESSED != 0 {
            address(&mut packet, to, from);
        }
        for _ in 0..=u8::from(how & TWICE != 0) {
            spell.handle_packet(&packet, now + Duration::from_millis(1));
        }
    }
    let measured = spell.result(traffic.end + Duration::from_secs(1));
    (measured.expect("it is over"), asked)
}

/// The answer to a request.
fn turned(request: &[u8], family: Family) -> Vec<u8> {
    let mut packet = request.to_vec();
    let (at, length, reply) = match family {
        Family::V4 => (12, 4, 0),
        Family::V6 => (8, 16, 129),
    };
    if let Some(addresses) = packet.get_mut(at..at + 2 * length) {
        addresses.rotate_left(length);
    }
    if let Some(kind) = packet.get_mut(family.header_len()) {
        *kind = reply;
    }
    packet
}

fn address(packet: &mut [u8], from: IpAddr, to: IpAddr) {
    let (at, addresses) = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (12, [from.octets(), to.octets()].concat()),
        (IpAddr::V6(from), IpAddr::V6(to)) => (8, [from.octets(), to.octets()].concat()),
        _ => return,
    };
    if let Some(room) = packet.get_mut(at..at + addresses.len()) {
        room.copy_from_slice(&addresses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{put, seed, sequence};

    /// Where the number of an answer is, over IPv4.
    const NUMBER: u8 = 20 + 16;

    fn counts(name: &str) -> (u64, u64) {
        let (measured, asked) = run(&seed("bench", name));
        (asked, measured.received)
    }

    #[test]
    fn seeds_get_far() {
        assert_eq!(counts("answered"), (4, 4));
        assert_eq!(counts("answered-ipv6"), (3, 3));
        assert_eq!(counts("twice"), (3, 3));
        assert_eq!(counts("altered"), (5, 1));
        assert_eq!(counts("not-asked"), (1, 1));
    }

    #[test]
    #[ignore = "writes the seeds of the corpus"]
    fn write_seeds() {
        let (plain, twice) = (&[ANSWER][..], &[ANSWER | TWICE][..]);
        let at = |at: u8, bytes: &[u8]| [&[ANSWER, at], bytes].concat();
        let kept: [(&str, Vec<u8>); 5] = [
            ("answered", sequence([plain; 4])),
            ("answered-ipv6", sequence([twice, plain, plain])),
            ("twice", sequence([plain, twice, twice])),
            (
                "altered",
                sequence([
                    plain,
                    // A number to come, and a time to come
                    &at(NUMBER, &9_u64.to_be_bytes()),
                    &at(NUMBER + 8, &u64::MAX.to_be_bytes()),
                    // Another type, another token
                    &at(20, &[3]),
                    &at(20 + 8, &[9]),
                ]),
            ),
            (
                "not-asked",
                sequence([
                    &[ADDRESSED, 0x45, 0, 0, 52][..],
                    &[
                        &[ADDRESSED][..],
                        &[0x45, 0, 0, 52, 0, 0, 0, 0, 64, 1],
                        &[0; 42],
                    ]
                    .concat(),
                    plain,
                    &[ANSWER][..0],
                ]),
            ),
        ];
        for (name, bytes) in kept {
            put("bench", name, &bytes);
        }
    }
}
