//! Floods of first messages, which are answered without keeping anything of them.
//!
//! IKEv1 has no exchange that proves an address before the work begins. But of the first message of a main
//! mode only the offer is needed again, and clients of one kind make the same one. So the responder cookie
//! says by a MAC whom it was sent to (RFC 2408 2.5.3), and which of the offers that are known was answered;
//! the exchange begins when the cookie comes back in a third message, from somebody who is where it says.
//! Until then nothing is kept of it, and so nothing pushes out what others have begun.
//!
//! It must never send more answers than the budgets allow, to all or to one network: sources may be forged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_crypto::{Hash, HmacKey, Rng, constant_time_eq};
use adit_ike::Credentials;
use adit_wire::{Mark, Path};
use hashbrown::HashMap;

use super::half_open::Network;
use super::refused::Refused;
use crate::budget::Budget;

/// Offers that are known at once; a byte of the cookie says which.
const OFFERS: usize = 1 << 8;

/// How long a cookie is good for, at least; at most it is twice as long.
const EPOCH: Duration = Duration::from_secs(32);

/// Answers in each of the short times that their budget is for: in a flood, whoever comes has the same
/// chance at any time.
const ANSWERS: (u32, Duration) = (100, Duration::from_millis(10));

/// Offers not seen before that are looked at in a second.
const JUDGEMENTS: u32 = 500;

/// As many more, one in so many, for those who say again what had no answer.
const AGAIN: u32 = 5;

/// Answers a second to one network, or to those that fall on the same of so many counts.
const ANSWERS_NEAR: u8 = 32;
const COUNTS: usize = 4096;

/// Bits of the cookie that are the MAC's, and those below that a [`Mark`] may take.
const MAC_BITS: u32 = 54;

pub(super) struct Unkept {
    key: HmacKey,
    began: Instant,
    by_question: HashMap<Vec<u8>, u8>,
    offers: Vec<Offer>,
    /// Where the next one goes.
    next: usize,
    serial: u64,
    answers: Shared,
    judgements: Shared,
    refused: Refused,
    counts: Box<[u8; COUNTS]>,
    counted_since: Instant,
    /// What places the counts: others in each second, so that no two networks stay together.
    places: [u64; 2],
}

/// What all may have, and what is only for those who come again.
struct Shared {
    all: Budget,
    again: Budget,
}

impl Shared {
    fn new(period: Duration, most: u32, now: Instant) -> Self {
        Self {
            all: Budget::every(period, most, now),
            again: Budget::every(period, most / AGAIN, now),
        }
    }

    fn spend(&mut self, comes_again: bool, now: Instant) -> bool {
        self.all.spend(now) || comes_again && self.again.spend(now)
    }
}

/// An offer that was answered.
struct Offer {
    question: Vec<u8>,
    /// The second message, without the cookies.
    answer: Vec<u8>,
    /// Tells it from those that were in its place.
    serial: u64,
    /// Somebody came back, so it is what real clients send.
    used: bool,
}

/// What the answer to a first message depends on, but for the cookies, as bytes: the message from its
/// responder cookie on, behind whether ESP in UDP is asked for and whose credentials hold there.
pub(super) fn question(message: &[u8], forced: bool, credentials: &Arc<Credentials>) -> Vec<u8> {
    // cast: an address, which differs where the credentials do
    let whose = Arc::as_ptr(credentials) as usize as u64;
    let rest = message.get(COOKIE..).unwrap_or_default();
    [&[u8::from(forced)], &whose.to_be_bytes()[..], rest].concat()
}

/// Bytes of a question before the message.
const CONTEXT: usize = 9;

/// The longest first message that is answered so; no client's is nearly as long.
pub(super) const LONGEST: usize = 4096;

/// Bytes of a cookie.
const COOKIE: usize = 8;

impl Unkept {
    pub(super) fn new(rng: &mut Rng, now: Instant) -> Self {
        Self {
            key: HmacKey::new(Hash::Sha1, &rng.array::<20>()),
            began: now,
            by_question: HashMap::new(),
            offers: Vec::new(),
            next: 0,
            serial: 0,
            answers: Shared::new(ANSWERS.1, ANSWERS.0, now),
            judgements: Shared::new(Duration::from_secs(1), JUDGEMENTS, now),
            refused: Refused::new(rng, now),
            counts: Box::new([0; COUNTS]),
            counted_since: now,
            places: [rng.u64(), rng.u64()],
        }
    }

    /// Whether this first message may be answered.
    pub(super) fn admits(
        &mut self,
        source: IpAddr,
        initiator: [u8; 8],
        now: Instant,
        rng: &mut Rng,
    ) -> bool {
        if now.saturating_duration_since(self.counted_since) >= Duration::from_secs(1) {
            self.counted_since = now;
            self.counts.fill(0);
            self.places = [rng.u64(), rng.u64()];
        }
        let [add, factor] = self.places;
        let place = (Network::of(source).folded() ^ add).wrapping_mul(factor | 1) >> 32;
        // cast: 32 bits
        let Some(count) = self.counts.get_mut(place as usize % COUNTS) else {
            return false;
        };
        if *count >= ANSWERS_NEAR {
            return false;
        }
        let again = self.refused.has(source, initiator, now);
        if !self.answers.spend(again, now) {
            self.refused.add(source, initiator, now);
            return false;
        }
        *count += 1;
        true
    }

    /// Whether the offer in this first message, which is not known, may be looked at.
    pub(super) fn may_judge(&mut self, source: IpAddr, initiator: [u8; 8], now: Instant) -> bool {
        let again = self.refused.has(source, initiator, now);
        let may = self.judgements.spend(again, now);
        if !may {
            self.refused.add(source, initiator, now);
        }
        may
    }

    /// Which offer this is.
    pub(super) fn find(&self, question: &[u8]) -> Option<u8> {
        self.by_question.get(question).copied()
    }

    /// Remembers an offer with the second message that answers it. Offers that nobody came back on make
    /// way first.
    pub(super) fn learn(&mut self, question: Vec<u8>, answer: &[u8]) -> u8 {
        self.serial += 1;
        let offer = Offer {
            question: question.clone(),
            answer: answer.get(2 * COOKIE..).unwrap_or_default().to_vec(),
            serial: self.serial,
            used: false,
        };
        let index = if self.offers.len() < OFFERS {
            self.offers.push(offer);
            self.offers.len() - 1
        } else {
            let places = (0..OFFERS).map(|step| (self.next + step) % OFFERS);
            let unused = |index: &usize| self.offers.get(*index).is_some_and(|offer| !offer.used);
            let index = places.clone().find(unused).unwrap_or(self.next);
            self.next = (index + 1) % OFFERS;
            if let Some(place) = self.offers.get_mut(index) {
                self.by_question.remove(&place.question);
                *place = offer;
            }
            index
        };
        // cast: there are no more than a byte tells apart
        self.by_question.insert(question, index as u8);
        index as u8
    }

    /// The second message of a known offer.
    pub(super) fn answer(
        &self,
        index: u8,
        initiator: [u8; 8],
        path: &Path,
        (now, mark): (Instant, Option<Mark>),
    ) -> Option<Vec<u8>> {
        let offer = self.offers.get(usize::from(index))?;
        let cookie = self.cookie((index, offer), initiator, path, (self.epoch(now), mark));
        Some([&initiator[..], &cookie, &offer.answer].concat())
    }

    /// The first message that this responder cookie answered, and whether ESP in UDP was asked for.
    pub(super) fn returned(
        &mut self,
        (initiator, responder): ([u8; 8], [u8; 8]),
        path: &Path,
        (now, mark): (Instant, Option<Mark>),
    ) -> Option<(Vec<u8>, bool)> {
        let [index, second, ..] = responder;
        let offer = self.offers.get(usize::from(index))?;
        // The epoch is this one or the last, as the two bits behind the index say.
        let current = self.epoch(now);
        let ago = current.wrapping_sub(u64::from(second >> 6)) & 3;
        let epoch = current.checked_sub(ago).filter(|_| ago <= 1)?;
        let expected = self.cookie((index, offer), initiator, path, (epoch, mark));
        if !constant_time_eq(&expected, &responder) {
            return None;
        }
        let offer = self.offers.get_mut(usize::from(index))?;
        offer.used = true;
        let (context, rest) = offer.question.split_at_checked(CONTEXT)?;
        Some(([&initiator, rest].concat(), context.first() == Some(&1)))
    }

    fn epoch(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs() / EPOCH.as_secs()
    }

    fn cookie(
        &self,
        (index, offer): (u8, &Offer),
        initiator: [u8; 8],
        path: &Path,
        (epoch, mark): (u64, Option<Mark>),
    ) -> [u8; 8] {
        let mac = self.key.mac(&[
            &offer.serial.to_be_bytes(),
            &epoch.to_be_bytes(),
            &initiator,
            &address(path.remote.ip()),
            &path.remote.port().to_be_bytes(),
            &address(path.local.ip()),
            &path.local.port().to_be_bytes(),
        ]);
        let mac = mac.first_chunk().copied().unwrap_or_default();
        let mac = u64::from_be_bytes(mac) & ((1 << MAC_BITS) - 1);
        let says = u64::from(index) << 56 | (epoch & 3) << MAC_BITS;
        let cookie = (says | mac).to_be_bytes();
        mark.map_or(cookie, |mark| mark.cookie(cookie))
    }
}

/// The same number of bytes for both families.
fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs one real instant to start from"
)]
mod tests {
    use adit_wire::Channel;

    use super::*;

    fn path(remote: &str) -> Path {
        Path {
            channel: Channel::Ike,
            local: "192.0.2.1:500".parse().unwrap(),
            remote: remote.parse().unwrap(),
        }
    }

    fn unkept(now: Instant) -> Unkept {
        Unkept::new(&mut Rng::from_seed([5; 32]), now)
    }

    fn cookies(answer: &[u8]) -> ([u8; 8], [u8; 8]) {
        (
            answer[..8].try_into().unwrap(),
            answer[8..16].try_into().unwrap(),
        )
    }

    #[test]
    fn a_cookie_is_good_for_whom_it_was_sent_to_and_for_a_time() {
        let now = Instant::now() + Duration::from_secs(1);
        let there = path("198.51.100.7:500");
        for mark in [None, Some(Mark::new([9; 12]))] {
            let mut unkept = unkept(now);
            let asked = |what: &[u8], forced| question(what, forced, &Arc::default());
            unkept.learn(asked(b"initiateanother", true), &[0; 20]);
            let question = asked(b"initiatequestion", true);
            let index = unkept.learn(question.clone(), b"cookies of before, answer");
            assert_eq!(unkept.find(&question), Some(index));
            let later = now + 5 * EPOCH;
            let sent = unkept
                .answer(index, *b"initiate", &there, (later, mark))
                .unwrap();
            assert_eq!(sent[16..], *b"e, answer");
            let (initiator, responder) = cookies(&sent);
            if let Some(mark) = mark {
                assert_eq!(mark.cookie(responder), responder);
            }
            let mut back = |cookies, path: &Path, now| unkept.returned(cookies, path, (now, mark));
            let good = (initiator, responder);
            for after in [Duration::ZERO, EPOCH] {
                let returned = back(good, &there, later + after);
                assert_eq!(returned, Some((b"initiatequestion".to_vec(), true)));
            }
            for after in [2 * EPOCH, 3 * EPOCH, 4 * EPOCH, 5 * EPOCH] {
                assert_eq!(back(good, &there, later + after), None);
            }
            assert_eq!(back((*b"initiatf", responder), &there, later), None);
            for elsewhere in ["198.51.100.7:501", "198.51.100.8:500", "[2001:db8::1]:500"] {
                assert_eq!(back(good, &path(elsewhere), later), None, "{elsewhere}");
            }
            for bit in 0..64 {
                let altered = u64::from_be_bytes(responder) ^ 1 << bit;
                let altered = (initiator, altered.to_be_bytes());
                assert_eq!(back(altered, &there, later), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn offers_that_clients_make_outlive_a_flood_of_others() {
        let now = Instant::now();
        let there = path("198.51.100.7:500");
        let mut unkept = unkept(now);
        let real = unkept.learn(b"a real client".to_vec(), &[1; 20]);
        let sent = unkept.answer(real, [1; 8], &there, (now, None)).unwrap();
        let idle = unkept.learn(b"nobody came back".to_vec(), &[2; 20]);
        let stale = unkept.answer(idle, [1; 8], &there, (now, None)).unwrap();
        assert!(
            unkept
                .returned(cookies(&sent), &there, (now, None))
                .is_some()
        );
        for number in 0..10 * OFFERS as u64 {
            unkept.learn(number.to_be_bytes().to_vec(), &[3; 20]);
        }
        assert_eq!(
            (unkept.offers.len(), unkept.by_question.len()),
            (OFFERS, OFFERS)
        );
        assert_eq!(unkept.find(b"a real client"), Some(real));
        assert!(
            unkept
                .returned(cookies(&sent), &there, (now, None))
                .is_some()
        );
        assert_eq!(unkept.find(b"nobody came back"), None);
        assert!(
            unkept
                .returned(cookies(&stale), &there, (now, None))
                .is_none()
        );
    }

    #[test]
    fn answers_are_bounded_in_all_and_to_each_network() {
        let now = Instant::now();
        let (mut unkept, mut rng) = (unkept(now), Rng::from_seed([6; 32]));
        let near = |host: u8| IpAddr::from([198, 51, 100, host]);
        let to_one = (0..=255)
            .filter(|host| unkept.admits(near(*host), [1; 8], now, &mut rng))
            .count();
        assert_eq!(to_one, usize::from(ANSWERS_NEAR));
        let second = now + Duration::from_secs(1);
        assert!(unkept.admits(near(1), [1; 8], second, &mut rng));
        let anywhere = |index: u32| IpAddr::from((0x0a00_0000 + (index << 8)).to_be_bytes());
        let third = second + Duration::from_secs(1);
        let flood = |index: &u32| unkept.admits(anywhere(*index), [1; 8], third, &mut rng);
        assert_eq!((0..10_000).filter(flood).count(), ANSWERS.0 as usize);
        assert!(unkept.admits(anywhere(20_000), [1; 8], third + ANSWERS.1, &mut rng));
    }

    #[test]
    fn in_a_flood_who_comes_again_is_answered_and_its_offer_looked_at() {
        let now = Instant::now();
        let (mut unkept, mut rng) = (unkept(now), Rng::from_seed([7; 32]));
        let anywhere = |index: u32| IpAddr::from((0x0a00_0000 + (index << 8)).to_be_bytes());
        let client = (IpAddr::from([198, 51, 100, 7]), [2; 8]);
        let mut answered = Vec::new();
        let mut judged = Vec::new();
        for (second, seconds) in (0..).zip([0, 1]) {
            let at = now + Duration::from_secs(seconds);
            let fresh = second * 5_000;
            for index in fresh..fresh + 1_000 {
                unkept.admits(anywhere(index), [1; 8], at, &mut rng);
                unkept.may_judge(anywhere(index + 2_000), [1; 8], at);
            }
            answered.push(unkept.admits(client.0, client.1, at, &mut rng));
            judged.push(unkept.may_judge(client.0, [3; 8], at));
        }
        assert_eq!((answered, judged), (vec![false, true], vec![false, true]));
        // And no more of them than there is room for.
        let at = now + Duration::from_secs(2);
        let mut again = |at| {
            let all = (0..1_000).map(|index| unkept.admits(anywhere(index), [1; 8], at, &mut rng));
            all.filter(|answered| *answered).count()
        };
        again(at);
        let most = ANSWERS.0 + ANSWERS.0 / AGAIN;
        assert_eq!(again(at + Duration::from_secs(1)), most as usize);
    }
}
