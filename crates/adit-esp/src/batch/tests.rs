use std::time::Instant;

use adit_crypto::{EspCipher, EspMac, EspSuite, Rng};
use proptest::prelude::*;

use super::*;
use crate::{HEADROOM, Lifetime, ReplayWindow, SaStats, TAILROOM, spi_of};

/// Both ends of an SA: `suite` is what the sender uses, and differs from what was negotiated for one
/// that cuts its ICVs.
#[derive(Clone, Copy, Debug)]
struct Plan {
    suite: EspSuite,
    extended: bool,
    /// The last sequence number that is used up.
    after: u64,
    bytes: Option<u64>,
}

fn plans() -> Vec<Plan> {
    let aes256 = |mac| (EspCipher::AesCbc256, Some(mac));
    let near = u64::from(u32::MAX) - 20;
    [
        (aes256(EspMac::HmacSha1_96), false, 0, None),
        (aes256(EspMac::HmacSha1_96), true, near, None),
        (aes256(EspMac::HmacSha2_256_128), false, 7, None),
        (aes256(EspMac::HmacSha2_256_128), true, near, None),
        (aes256(EspMac::HmacSha2_256_96), false, 0, None),
        (aes256(EspMac::HmacSha2_256_96), true, near, None),
        (aes256(EspMac::HmacSha1_96), false, near, None),
        (aes256(EspMac::HmacSha2_256_128), false, 0, Some(3000)),
        (
            (EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)),
            false,
            0,
            None,
        ),
        (
            (EspCipher::AesCbc192, Some(EspMac::HmacSha2_256_128)),
            false,
            0,
            None,
        ),
        (
            (EspCipher::AesCbc192, Some(EspMac::HmacSha2_384_192)),
            false,
            0,
            None,
        ),
        ((EspCipher::AesGcm256, None), false, 0, None),
        ((EspCipher::AesGcm128, None), true, near, None),
        (
            (EspCipher::TripleDes, Some(EspMac::HmacMd5_96)),
            false,
            0,
            None,
        ),
    ]
    .into_iter()
    .map(|((cipher, mac), extended, after, bytes)| Plan {
        suite: EspSuite::new(cipher, mac).unwrap(),
        extended,
        after,
        bytes,
    })
    .collect()
}

/// The SAs of all plans; those of two calls are equal. The SPI is the place in the list.
fn sas(plans: &[Plan], now: Instant) -> (Vec<OutboundSa>, Vec<InboundSa>) {
    let mut rng = Rng::from_seed([3; 32]);
    plans
        .iter()
        .enumerate()
        .map(|(index, plan)| {
            let mut keymat = vec![0; plan.suite.keymat_len()];
            rng.fill(&mut keymat);
            let lifetime = Lifetime {
                seconds: None,
                bytes: plan.bytes,
            };
            let (spi, negotiated) = (index as u32, plan.suite.negotiated());
            let out = OutboundSa::new(spi, negotiated, &keymat, lifetime, now, &mut rng);
            let mut out = out.unwrap().extended(plan.extended).after(plan.after);
            out.follow(plan.suite);
            let inward = InboundSa::new(spi, negotiated, &keymat, lifetime, now, &mut rng);
            (out, inward.unwrap().extended(plan.extended))
        })
        .unzip()
}

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test needs some start of time")]
    Instant::now()
}

fn kernels() -> impl Strategy<Value = Kernel> {
    proptest::sample::select(Kernel::all().collect::<Vec<_>>())
}

/// Something that a network does to a packet.
#[derive(Clone, Debug)]
enum Fate {
    Arrives,
    Twice,
    Altered(usize, u8),
    /// The last four bytes are missing: an ICV of 128 bits cut to 96, or garbage.
    Cut,
    Lost,
    /// Behind this many others.
    Late(usize),
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Arrives),
        2 => Just(Fate::Twice),
        2 => (0_usize..2000, 0_u8..8).prop_map(|(at, bit)| Fate::Altered(at, bit)),
        1 => Just(Fate::Cut),
        1 => Just(Fate::Lost),
        2 => (0_usize..40).prop_map(Fate::Late),
    ]
}

/// Which SA, how long a payload, and what becomes of the packet.
fn traffic() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Fate)>> {
    let len = prop_oneof![0_usize..100, 0_usize..1500, Just(1400)];
    proptest::collection::vec((any::<prop::sample::Index>(), len, fates()), 0..120)
}

proptest! {
    #[test]
    fn a_batch_is_as_one_by_one(
        kernel in kernels(),
        plans in proptest::sample::subsequence(plans(), 1..6),
        traffic in traffic(),
        size in 1_usize..50,
        leaves in any::<bool>(),
    ) {
        let now = start();
        let (mut out, mut inward) = sas(&plans, now);
        let (mut out_alone, mut inward_alone) = sas(&plans, now);

        // Out: the same bytes in the same order, or the same error.
        let mut wire: Vec<Vec<u8>> = Vec::new();
        let mut batch = SealBatch::new();
        let mut expected = Vec::new();
        for part in traffic.chunks(size) {
            let mut buf = PacketBuf::with_capacity(0, 0);
            for (number, (who, len, _)) in part.iter().enumerate() {
                let who = who.index(plans.len());
                // Some packets have a buffer of their own.
                if buf.tailroom() < HEADROOM + len + TAILROOM {
                    let room = if len % 3 == 0 { 0 } else { 5000 };
                    let next = PacketBuf::with_capacity(0, HEADROOM + len + TAILROOM + room);
                    batch.keep(std::mem::replace(&mut buf, next));
                }
                buf.go_behind(HEADROOM);
                buf.set_len(*len);
                buf.as_mut_slice().fill(0x77);
                let mut alone = PacketBuf::from_slice(HEADROOM, &vec![0x77; *len], TAILROOM);
                let sealed = out_alone[who].seal(&mut alone, 17);
                let pushed = batch.push(&mut out[who], &mut buf, 17, number);
                prop_assert_eq!(pushed, sealed);
                if sealed.is_ok() {
                    expected.push((alone.as_slice().to_vec(), number));
                } else {
                    prop_assert_eq!(buf.as_slice(), alone.as_slice());
                }
            }
            batch.keep(buf);
            prop_assert_eq!(batch.len(), expected.len());
            let sealed = given(if leaves { batch.seal_rounds(kernel) } else { batch.seal(kernel) });
            let rest = expected.split_off(sealed.len());
            prop_assert!(sealed == expected);
            prop_assert!(rest.is_empty() || leaves && rest.len() < ROUND);
            expected = rest;
            prop_assert_eq!(batch.len(), expected.len());
            wire.extend(sealed.into_iter().map(|(packet, _)| packet));
        }
        let sealed = given(batch.seal(kernel));
        prop_assert!(sealed == expected);
        wire.extend(sealed.into_iter().map(|(packet, _)| packet));
        for (batched, alone) in out.iter().zip(&out_alone) {
            prop_assert_eq!(batched.stats(), alone.stats());
            prop_assert_eq!(batched.sequence(), alone.sequence());
        }

        // In: what the network made of it.
        let mut arriving: Vec<Vec<u8>> = Vec::new();
        for (mut packet, (.., fate)) in wire.into_iter().zip(&traffic) {
            match fate {
                Fate::Arrives => {}
                Fate::Twice => arriving.push(packet.clone()),
                Fate::Altered(at, bit) => {
                    let at = at % packet.len();
                    packet[at] ^= 1 << bit;
                }
                Fate::Cut => packet.truncate(packet.len() - 4),
                Fate::Lost => continue,
                Fate::Late(behind) => {
                    let at = arriving.len().saturating_sub(*behind);
                    arriving.insert(at, packet);
                    continue;
                }
            }
            arriving.push(packet);
        }
        for part in arriving.chunks_mut(size) {
            let copies = part.to_vec();
            let mut batch = OpenBatch::new(copies.into_iter().zip(part.iter_mut().map(Vec::as_mut_slice)));
            let who = |packet: &[u8]| spi_of(packet).unwrap_or(99) as usize;
            batch.authenticate(kernel, |_, packet| {
                if let Some(sa) = inward.get(who(packet.packet())) {
                    packet.expect(sa);
                }
            });
            let mut differences = Vec::new();
            let compare = |mut copy: Vec<u8>, packet: &mut Received<'_>| {
                let who = who(&copy);
                let sa = inward.get_mut(who)?;
                let alone = inward_alone[who].open(&mut copy);
                let opened = packet.open(sa);
                let same = opened == alone && packet.packet() == copy && sa.suite() == inward_alone[who].suite();
                if !same {
                    differences.push((opened, alone));
                }
                None
            };
            batch.open(compare, |given| panic!("nothing is to be given: {given:?}"));
            prop_assert!(differences.is_empty(), "(batched, alone): {differences:?}");
        }
        for (batched, alone) in inward.iter().zip(&inward_alone) {
            prop_assert_eq!(batched.stats(), alone.stats());
            prop_assert_eq!(batched.sequence(), alone.sequence());
        }
    }
}

/// What was sealed.
fn given<T: Clone>(sealed: Sealed<'_, T>) -> Vec<(Vec<u8>, T)> {
    let packets = sealed.iter();
    packets
        .map(|(packet, tag)| (packet.to_vec(), tag.clone()))
        .collect()
}

fn cbc(mac: EspMac) -> Plan {
    Plan {
        suite: EspSuite::new(EspCipher::AesCbc256, Some(mac)).unwrap(),
        extended: false,
        after: 0,
        bytes: None,
    }
}

/// So many packets of the first SA, of the lengths of real traffic.
fn sealed(kernel: Kernel, out: &mut [OutboundSa], count: usize) -> Vec<Vec<u8>> {
    let mut batch = SealBatch::default();
    for number in 0..count {
        let payload = vec![number as u8; 20 * number];
        let mut buf = PacketBuf::from_slice(HEADROOM, &payload, TAILROOM);
        batch.push(&mut out[0], &mut buf, 17, ()).unwrap();
        batch.keep(buf);
    }
    let sealed = given(batch.seal(kernel));
    sealed.into_iter().map(|(packet, ())| packet).collect()
}

fn open_all(
    kernel: Kernel,
    sa: &mut InboundSa,
    packets: &mut [Vec<u8>],
) -> Vec<Result<Opened, OpenError>> {
    let packets = packets.iter_mut().map(|packet| ((), packet.as_mut_slice()));
    let mut batch = OpenBatch::new(packets);
    batch.authenticate(kernel, |(), packet| packet.expect(sa));
    let mut opened = Vec::new();
    let open = |(), packet: &mut Received<'_>| {
        opened.push(packet.open(sa));
        None
    };
    batch.open(open, |_| {});
    opened
}

#[test]
fn of_two_copies_in_one_batch_the_first_passes() {
    for kernel in Kernel::all() {
        for mac in [EspMac::HmacSha1_96, EspMac::HmacSha2_256_128] {
            let (mut out, mut inward) = sas(&[cbc(mac)], start());
            let once = sealed(kernel, &mut out, 20);
            let mut twice: Vec<_> = once.iter().chain(&once).cloned().collect();
            let opened = open_all(kernel, &mut inward[0], &mut twice);
            for (number, (first, second)) in opened[..20].iter().zip(&opened[20..]).enumerate() {
                let sequence = number as u64 + 1;
                assert_eq!(first.as_ref().unwrap().sequence, sequence);
                assert_eq!(*second, Err(OpenError::Replayed { sequence }));
            }
            // The copies were not decrypted.
            assert_eq!(twice[20..], once);
            let stats = inward[0].stats();
            assert_eq!((stats.packets, stats.replayed, stats.bad_icv), (20, 20, 0));
        }
    }
}

#[test]
fn a_packet_that_jumps_ahead_makes_the_rest_of_its_batch_too_old() {
    for kernel in Kernel::all() {
        let plan = cbc(EspMac::HmacSha1_96);
        let (mut out, mut inward) = sas(&[plan], start());
        let mut packets = sealed(kernel, &mut out, 12);
        let ahead = Plan {
            after: 2 * ReplayWindow::SIZE,
            ..plan
        };
        packets.insert(
            2,
            sealed(kernel, &mut sas(&[ahead], start()).0, 1).remove(0),
        );
        let opened = open_all(kernel, &mut inward[0], &mut packets);
        assert!(opened[..3].iter().all(Result::is_ok));
        for (sequence, opened) in (3..).zip(&opened[3..]) {
            assert_eq!(*opened, Err(OpenError::TooOld { sequence }));
        }
    }
}

#[test]
fn the_cut_of_icvs_is_learnt_inside_a_batch() {
    for kernel in Kernel::all() {
        let plan = cbc(EspMac::HmacSha2_256_96);
        let (mut out, mut inward) = sas(&[plan], start());
        let mut packets = sealed(kernel, &mut out, 16);
        assert!(
            open_all(kernel, &mut inward[0], &mut packets)
                .iter()
                .all(Result::is_ok)
        );
        assert_eq!(inward[0].suite(), plan.suite);
        // One of 128 bits ends it, and what is cut behind it in the same batch is refused.
        let mut mixed = sealed(kernel, &mut out, 16);
        out[0].follow(plan.suite.negotiated());
        mixed.splice(8..8, sealed(kernel, &mut out, 1));
        let opened = open_all(kernel, &mut inward[0], &mut mixed);
        assert!(opened[..9].iter().all(Result::is_ok));
        assert!(opened[9..].iter().all(Result::is_err));
        assert_eq!(inward[0].suite(), plan.suite.negotiated());
    }
}

#[test]
fn a_refused_packet_is_as_it_was() {
    let (mut out, _) = sas(&[cbc(EspMac::HmacSha1_96)], start());
    let mut batch = SealBatch::new();
    let mut buf = PacketBuf::from_slice(0, b"no room", 0);
    let error = batch.push(&mut out[0], &mut buf, 17, "tag").unwrap_err();
    assert!(matches!(error, SealError::NoRoom(_)));
    assert_eq!(buf.as_slice(), b"no room");
    assert!(batch.is_empty());
    assert_eq!(
        out[0].stats(),
        SaStats {
            refused: 1,
            ..SaStats::default()
        }
    );
}

/// So many packets in the batch, each in a buffer of its own.
fn five(out: &mut OutboundSa, batch: &mut SealBatch<usize>) -> Vec<PacketBuf> {
    let buffers = (0..5).map(|number| {
        let mut buf = PacketBuf::from_slice(HEADROOM, b"payload", TAILROOM);
        batch.push(out, &mut buf, 17, number).unwrap();
        buf
    });
    buffers.collect()
}

#[test]
fn buffers_come_back_and_packets_come_once() {
    let (mut out, _) = sas(&[cbc(EspMac::HmacSha1_96)], start());
    let mut batch = SealBatch::new();
    for give_back in [true, false] {
        for number in 0..5 {
            let mut buf = PacketBuf::from_slice(HEADROOM, b"payload", TAILROOM);
            batch.push(&mut out[0], &mut buf, 17, number).unwrap();
            batch.keep(buf);
        }
        let sealed = batch.seal(Kernel::best());
        assert_eq!(sealed.iter().count(), 5);
        if give_back {
            let mut buffers = 0;
            sealed.give_back(|_| buffers += 1);
            assert_eq!(buffers, 5);
        } else {
            drop(sealed);
        }
        assert!(batch.is_empty());
        assert_eq!(batch.seal(Kernel::best()).iter().count(), 0);
    }
}

#[test]
fn what_is_sealed_at_once_waits_for_nothing() {
    let gcm = Plan {
        suite: EspSuite::new(EspCipher::AesGcm256, None).unwrap(),
        ..cbc(EspMac::HmacSha1_96)
    };
    let (mut out, _) = sas(&[cbc(EspMac::HmacSha1_96), gcm], start());
    let mut batch = SealBatch::new();
    for numbers in [[16, 5], [0, 21]] {
        for (sa, number) in out.iter_mut().zip(numbers) {
            for _ in 0..number {
                let mut buf = PacketBuf::from_slice(HEADROOM, b"payload", TAILROOM);
                batch.push(sa, &mut buf, 17, ()).unwrap();
                batch.keep(buf);
            }
        }
        assert_eq!(batch.seal_rounds(Kernel::best()).iter().count(), 21);
    }
}

#[test]
fn what_stays_is_the_first_of_the_next() {
    let (mut out, _) = sas(&[cbc(EspMac::HmacSha1_96)], start());
    // Of 42 packets 10 stay, the first of them in a buffer with others; none of 13 stays twice. Where there
    // are no lanes, none has to.
    let come = if out[0].has_lanes() {
        [(32, 10), (13, 5), (3, 1)]
    } else {
        [(42, 14), (3, 1), (3, 1)]
    };
    let mut batch = SealBatch::new();
    let mut add = |batch: &mut SealBatch<u8>, tag| {
        let mut buf = PacketBuf::with_capacity(0, 1000);
        for number in 0..3 {
            buf.go_behind(HEADROOM);
            buf.set_len(40);
            if number == 0 {
                batch.push(&mut out[0], &mut buf, 17, tag).unwrap();
            } else {
                batch.push_next(&mut out[0], &mut buf, 17).unwrap();
            }
        }
        batch.keep(buf);
    };
    let mut tags = (0..16).flat_map(|tag| [tag; 3]);
    for (new, (packets, buffers)) in [0..14, 14..15, 15..16].into_iter().zip(come) {
        new.for_each(|tag| add(&mut batch, tag));
        let sealed = batch.seal_rounds(Kernel::best());
        let expected: Vec<_> = tags.by_ref().take(packets).collect();
        let found: Vec<_> = sealed.iter().map(|(_, tag)| *tag).collect();
        assert_eq!(found, expected);
        let mut back = 0;
        sealed.give_back(|_| back += 1);
        assert_eq!(back, buffers);
    }
    assert!(batch.is_empty());
}

#[test]
fn a_packet_never_comes_out_unsealed() {
    for kernel in Kernel::all() {
        let (mut out, _) = sas(&[cbc(EspMac::HmacSha1_96)], start());
        let mut batch = SealBatch::new();
        // Nobody kept the buffers.
        five(&mut out[0], &mut batch);
        assert_eq!(batch.seal(kernel).iter().count(), 0);
        // Somebody kept one that is none of theirs.
        five(&mut out[0], &mut batch);
        batch.keep(PacketBuf::with_capacity(0, 0));
        assert_eq!(batch.seal(kernel).iter().count(), 0);
    }
}

#[test]
fn what_passes_keeps_its_place_and_its_bytes() {
    for kernel in Kernel::all() {
        let (mut out, _) = sas(&[cbc(EspMac::HmacSha1_96)], start());
        let mut batch = SealBatch::new();
        for number in 0..20 {
            let mut buf = PacketBuf::from_slice(HEADROOM, b"payload", TAILROOM);
            if number % 3 == 0 {
                batch.pass(&buf, number);
            } else {
                batch.push(&mut out[0], &mut buf, 17, number).unwrap();
            }
            batch.keep(buf);
        }
        let sealed = given(batch.seal(kernel));
        assert_eq!(sealed.len(), 20);
        for (number, (packet, tag)) in sealed.iter().enumerate() {
            assert_eq!(*tag, number);
            assert_eq!(packet == b"payload", number % 3 == 0);
        }
    }
}
