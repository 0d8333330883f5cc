//! What the kernel throws away before it takes room in a socket's queue: what no SA can have to do with, by
//! the marks that SPIs and cookies of ours have ([`Mark`]). It costs a flood of junk no wakeup, no copy and
//! no place that a packet of a session needs.
//!
//! What passes is judged as if there were no filter. So it must never throw away what a peer may send:
//! first messages, answers to ours, anything with a number that we gave out.

use std::io;

use adit_wire::{Channel, MARK_BITS, Mark};
use socket2::{SockFilter, SockRef};

const MASK: u32 = (1 << MARK_BITS) - 1;

/// The header before the payload.
const UDP: u32 = 8;

/// Four zero bytes before an IKE message (RFC 3948 2.2).
const MARKER: u32 = 4;

/// Longer than a datagram on most links: what arrives so may be many in one (UDP_GRO), of which the filter
/// would see the first and judge all.
const LONGEST: u32 = 1500;

/// Where a filter ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// At the step after so many others.
    Skip(u8),
    Pass,
    Drop,
}

/// A step, with where it goes if its condition holds and if not.
struct Step {
    code: u32,
    k: u32,
    jump: Option<(To, To)>,
}

fn step(code: u32, k: u32) -> Step {
    Step {
        code,
        k,
        jump: None,
    }
}

fn load(at: u32) -> Step {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at)
}

fn compute(operation: u32, k: u32) -> Step {
    step(libc::BPF_ALU | operation | libc::BPF_K, k)
}

fn with_x(operation: u32) -> Step {
    step(libc::BPF_ALU | operation | libc::BPF_X, 0)
}

fn to_x() -> Step {
    step(libc::BPF_MISC | libc::BPF_TAX, 0)
}

fn is(code: u32, k: u32, then: To, otherwise: To) -> Step {
    Step {
        code: libc::BPF_JMP | code,
        k,
        jump: Some((then, otherwise)),
    }
}

/// Makes of the accumulator the mark that belongs to it.
fn tag(mark: Mark) -> [Step; 7] {
    let [add, first, second] = mark.key();
    [
        compute(libc::BPF_XOR, add),
        compute(libc::BPF_MUL, first),
        to_x(),
        compute(libc::BPF_RSH, 15),
        with_x(libc::BPF_XOR),
        compute(libc::BPF_MUL, second),
        compute(libc::BPF_RSH, u32::BITS - MARK_BITS),
    ]
}

/// Passes what has a marked SPI there, and drops the rest.
fn spi(mark: Mark, at: u32) -> Vec<Step> {
    let mut steps = vec![load(at), compute(libc::BPF_AND, !MASK)];
    steps.extend(tag(mark));
    steps.extend([to_x(), load(at), compute(libc::BPF_AND, MASK)]);
    steps.push(is(libc::BPF_JEQ | libc::BPF_X, 0, To::Pass, To::Drop));
    steps
}

/// Passes what has a marked cookie there.
fn cookie(mark: Mark, at: u32, otherwise: To) -> Vec<Step> {
    let mut steps = vec![
        load(at + 4),
        compute(libc::BPF_AND, !MASK),
        to_x(),
        load(at),
        with_x(libc::BPF_XOR),
    ];
    steps.extend(tag(mark));
    steps.extend([to_x(), load(at + 4), compute(libc::BPF_AND, MASK)]);
    steps.push(is(libc::BPF_JEQ | libc::BPF_X, 0, To::Pass, otherwise));
    steps
}

/// Passes first messages, whose responder cookie is zero, and those with a cookie of ours.
fn ike(mark: Mark, at: u32) -> Vec<Step> {
    let equal = libc::BPF_JEQ | libc::BPF_K;
    let mut steps = vec![
        load(at + 8),
        is(equal, 0, To::Skip(0), To::Skip(2)),
        load(at + 12),
        is(equal, 0, To::Pass, To::Skip(0)),
    ];
    steps.extend(cookie(mark, at + 8, To::Skip(0)));
    steps.extend(cookie(mark, at, To::Drop));
    steps
}

/// What a socket of this channel lets through; nothing is said of ESP outside UDP and of L2TP without IPsec.
fn steps(channel: Channel, mark: Mark) -> Option<Vec<Step>> {
    let equal = libc::BPF_JEQ | libc::BPF_K;
    let longer = libc::BPF_JGT | libc::BPF_K;
    let length = step(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0);
    Some(match channel {
        Channel::Ike => ike(mark, UDP),
        Channel::NatT => {
            let esp = spi(mark, UDP);
            // cast: a few dozen steps
            let behind = esp.len() as u8;
            let mut steps = vec![
                length,
                is(longer, UDP + LONGEST, To::Pass, To::Skip(0)),
                load(UDP),
                is(equal, 0, To::Skip(behind), To::Skip(0)),
            ];
            steps.extend(esp);
            steps.extend(ike(mark, UDP + MARKER));
            steps
        }
        // The kernel does not count what a filter keeps out of a raw socket.
        Channel::Esp | Channel::L2tp => return None,
    })
}

/// The steps as the kernel takes them, with the two ends behind them.
fn assemble(steps: &[Step]) -> Vec<SockFilter> {
    let pass = steps.len();
    let target = |index: usize, to: To| {
        let there = match to {
            To::Skip(steps) => index + 1 + usize::from(steps),
            To::Pass => pass,
            To::Drop => pass + 1,
        };
        // cast: a filter is shorter than a jump can be, see the tests
        (there - index - 1) as u8
    };
    let ends = [u32::MAX, 0].map(|kept| (libc::BPF_RET | libc::BPF_K, 0, 0, kept));
    let steps = steps.iter().enumerate().map(|(index, step)| {
        let (then, otherwise) = step.jump.unwrap_or((To::Skip(0), To::Skip(0)));
        let jump = step.jump.is_some();
        let jt = if jump { target(index, then) } else { 0 };
        let jf = if jump { target(index, otherwise) } else { 0 };
        (step.code, jt, jf, step.k)
    });
    steps
        .chain(ends)
        // cast: an opcode has 16 bits
        .map(|(code, jt, jf, k)| SockFilter::new(code as u16, jt, jf, k))
        .collect()
}

/// Has the kernel throw away what cannot be for us.
pub(super) fn attach(socket: SockRef<'_>, channel: Channel, mark: Mark) -> io::Result<()> {
    match steps(channel, mark) {
        Some(steps) => socket.attach_filter(&assemble(&steps)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RecvBatch, UdpSocket};
    use super::*;

    const KEY: [u8; 12] = *b"twelve bytes";

    /// What of these the kernel gives to a socket of the channel.
    async fn passes(channel: Channel, ip: &str, sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let bound = std::net::SocketAddr::new(ip.parse().unwrap(), 0);
        let socket = UdpSocket::bind(bound).unwrap();
        socket.sift(channel, Mark::new(KEY)).unwrap();
        let sender = std::net::UdpSocket::bind(bound).unwrap();
        let mut all: Vec<Vec<u8>> = sent.to_vec();
        // Too long to be judged, so that it says when all have come
        all.push(vec![0xaa; 2 * LONGEST as usize]);
        if channel == Channel::Ike {
            all.push(vec![0; 16]);
        }
        for payload in &all {
            sender.send_to(payload, socket.local_addr()).unwrap();
        }
        let (mut batch, mut seen) = (RecvBatch::new(), Vec::new());
        while seen.last() != all.last() {
            socket.readable().await.unwrap();
            socket.recv(&mut batch).unwrap();
            seen.extend(batch.iter_mut().map(|received| received.bytes.to_vec()));
        }
        let kept_out = all.len() - seen.len();
        assert_eq!(
            socket.unread().unwrap() as usize,
            kept_out,
            "all are counted"
        );
        seen.retain(|payload| sent.contains(payload));
        seen
    }

    /// A message of IKE with these cookies.
    fn message(initiator: [u8; 8], responder: [u8; 8]) -> Vec<u8> {
        [&initiator[..], &responder, &[0x55; 12]].concat()
    }

    fn behind_marker(message: &[u8]) -> Vec<u8> {
        [&[0; 4], message].concat()
    }

    #[tokio::test]
    async fn what_is_ours_passes_and_what_is_made_up_does_not() {
        let mark = Mark::new(KEY);
        let ours = mark.cookie(*b"ourcooki");
        let theirs = ours.map(|byte| byte ^ 1);
        let good = [
            message(theirs, [0; 8]),
            message(theirs, ours),
            message(ours, theirs),
            // A refusal by somebody that we asked, and what is no more than two cookies
            message(ours, [0; 8]),
            message(theirs, ours)[..16].to_vec(),
        ];
        let bad = [
            message(theirs, theirs),
            message([0; 8], theirs),
            message(theirs, [0, 0, 0, 0, 0, 0, 0, 1]),
            message(theirs, [0, 0, 0, 1, 0, 0, 0, 0]),
            message(theirs, [0; 8])[..15].to_vec(),
            vec![],
            vec![1; 7],
        ];
        let spi = mark.spi(0xcafe_0000);
        let esp = |spi: u32| [&spi.to_be_bytes()[..], &[0x33; 60]].concat();
        let good_esp = [esp(spi), esp(mark.spi(u32::MAX)), esp(spi)[..4].to_vec()];
        let bad_esp = [
            esp(spi ^ 1),
            esp(spi ^ 0x8000_0000),
            vec![0xff],
            esp(spi)[..3].to_vec(),
        ];
        for ip in ["127.0.0.1", "::1"] {
            let all = [&good[..], &bad].concat();
            assert_eq!(passes(Channel::Ike, ip, &all).await, good, "{ip}");
            let marked: Vec<_> = good.iter().map(|it| behind_marker(it)).collect();
            let mut all = [&marked[..], &bad_esp, &good_esp].concat();
            // Of those without a marker, the zero cookie is one.
            let no_marker = |it: &&Vec<u8>| !it.starts_with(&[0; 4]);
            all.extend(bad.iter().map(|it| behind_marker(it)));
            all.extend(bad.iter().filter(no_marker).cloned());
            let kept = [&marked[..], &good_esp].concat();
            assert_eq!(passes(Channel::NatT, ip, &all).await, kept, "{ip}");
            let all = [&bad[..], &bad_esp].concat();
            assert_eq!(passes(Channel::L2tp, ip, &all).await, all, "{ip}");
        }
    }

    #[tokio::test]
    async fn one_in_a_thousand_of_what_is_made_up_passes() {
        let made_up: Vec<_> = (0..20_000_u32)
            .map(|index| index.wrapping_mul(0x9e37_79b1).max(1 << 24))
            .map(|spi| spi.to_be_bytes().to_vec())
            .collect();
        let mut passed = 0;
        // No more at a time than the queue holds
        for some in made_up.chunks(1_000) {
            passed += passes(Channel::NatT, "127.0.0.1", some).await.len();
        }
        assert!((8..40).contains(&passed), "{passed} of 20,000");
    }

    #[test]
    fn jumps_are_short_enough() {
        let mark = Mark::new(KEY);
        for channel in [Channel::Ike, Channel::NatT] {
            let steps = steps(channel, mark).unwrap();
            assert!(steps.len() < 250, "{channel:?}: {}", steps.len());
        }
    }
}
