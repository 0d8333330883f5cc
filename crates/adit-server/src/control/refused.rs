//! Who got no answer because there were too many: in a flood from forged addresses, whoever says the same
//! again is somebody. Clients repeat a first message after one to four seconds; a flood that does so as
//! well is half as wide. It must never grow with the flood, nor be there without one.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use adit_crypto::Rng;

/// Bits of a filter, of which each message sets two. With a quarter of a million messages a second, one
/// in twenty that were not there before is taken for one that was.
const BITS: usize = 1 << 23;
const WORD: usize = u64::BITS as usize;

/// How long one filter is filled; then it is asked for as long again.
const GENERATION: Duration = Duration::from_secs(4);

/// Who was refused, by address and initiator cookie.
pub(super) struct Refused {
    /// Nobody else can tell what bits a message sets.
    keys: [u64; 2],
    /// Empty while nobody is refused.
    current: Vec<u64>,
    previous: Vec<u64>,
    since: Instant,
}

impl Refused {
    pub(super) fn new(rng: &mut Rng, now: Instant) -> Self {
        Self {
            keys: [rng.u64(), rng.u64()],
            current: Vec::new(),
            previous: Vec::new(),
            since: now,
        }
    }

    /// Whether this message was refused in the last seconds. Now and then it says so of others.
    pub(super) fn has(&mut self, source: IpAddr, initiator: [u8; 8], now: Instant) -> bool {
        self.age(now);
        let bits = self.bits(source, initiator);
        [&self.current, &self.previous].iter().any(|filter| {
            let is_set =
                |(word, bit): &(usize, u64)| filter.get(*word).is_some_and(|word| word & bit != 0);
            bits.iter().all(is_set)
        })
    }

    /// This message is refused.
    pub(super) fn add(&mut self, source: IpAddr, initiator: [u8; 8], now: Instant) {
        self.age(now);
        self.current.resize(BITS / WORD, 0);
        for (word, bit) in self.bits(source, initiator) {
            if let Some(word) = self.current.get_mut(word) {
                *word |= bit;
            }
        }
    }

    fn age(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= GENERATION {
            self.since = now;
            self.previous = std::mem::take(&mut self.current);
        }
        if age >= 2 * GENERATION {
            self.previous = Vec::new();
        }
    }

    fn bits(&self, source: IpAddr, initiator: [u8; 8]) -> [(usize, u64); 2] {
        let source = match source {
            IpAddr::V4(source) => u128::from(source.to_ipv6_mapped()),
            IpAddr::V6(source) => u128::from(source),
        };
        let [one, other] = self.keys;
        let (high, low) = ((source >> 64) as u64, source as u64);
        let hash = fold(
            fold(high ^ one, low ^ other) ^ other,
            u64::from_be_bytes(initiator) ^ one,
        );
        [hash, hash >> 32].map(|hash| {
            let bit = hash as usize % BITS;
            (bit / WORD, 1 << (bit % WORD))
        })
    }
}

/// Both halves of the product.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    // casts: the two halves
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs one real instant to start from"
)]
mod tests {
    use super::*;

    fn stranger(number: u32) -> (IpAddr, [u8; 8]) {
        let cookie = u64::from(number) << 32 | u64::from(number);
        (
            IpAddr::from((0x0a80_0000 + number).to_be_bytes()),
            cookie.to_be_bytes(),
        )
    }

    #[test]
    fn who_was_refused_is_known_for_some_seconds() {
        let start = Instant::now();
        let mut refused = Refused::new(&mut Rng::from_seed([8; 32]), start);
        let (there, cookie) = stranger(1);
        let v6: IpAddr = "2001:db8::7".parse().unwrap();
        assert!(!refused.has(there, cookie, start));
        assert_eq!((refused.current.len(), refused.previous.len()), (0, 0));
        refused.add(there, cookie, start);
        refused.add(v6, cookie, start);
        for after in [
            Duration::ZERO,
            GENERATION,
            GENERATION * 2 - Duration::from_millis(1),
        ] {
            assert!(refused.has(there, cookie, start + after), "{after:?}");
            assert!(refused.has(v6, cookie, start + after), "{after:?}");
        }
        assert!(!refused.has(there, stranger(2).1, start + GENERATION));
        assert!(!refused.has(stranger(2).0, cookie, start + GENERATION));
        assert!(!refused.has(there, cookie, start + 2 * GENERATION));
        assert_eq!((refused.current.len(), refused.previous.len()), (0, 0));
        refused.add(there, cookie, start + 20 * GENERATION);
        assert!(!refused.has(there, cookie, start + 22 * GENERATION));
    }

    #[test]
    fn a_wide_flood_makes_few_others_known() {
        let start = Instant::now();
        let mut refused = Refused::new(&mut Rng::from_seed([9; 32]), start);
        for number in 0..1_000_000 {
            let (source, cookie) = stranger(number);
            refused.add(source, cookie, start);
        }
        let others = (2_000_000..2_010_000).map(stranger);
        let known = others.filter(|(source, cookie)| refused.has(*source, *cookie, start));
        let known = known.count();
        assert!((300..700).contains(&known), "{known} of 10000");
    }
}
