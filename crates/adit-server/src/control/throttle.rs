//! Failed logins, counted by user and source network, by user, and by source network. Whoever fails
//! too often is refused for a while without a look at the password; all others are served as ever.
//!
//! Many users may share one network (carrier-grade NAT), so refused attempts count no more: one fool
//! with one name can fill up the count of that name there, but never that of the network. And a user
//! who got in from a network before is treated there with patience of their own, whatever strangers
//! do in that name or in that network.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::half_open::Network;
use crate::config::Limits;

/// How many of each kind are counted at once; the longest unchanged goes first.
const COUNTED: usize = 16_384;

/// How many users are known from which network.
const KNOWN: usize = 65_536;

/// How many times more a user may fail in a network that is known.
const PATIENCE: u32 = 5;

/// The longest user name that is told from others, in bytes; no real one is longer.
const MAX_NAME: usize = 128;

type Pair = (String, Network);

/// The counts.
#[derive(Debug)]
pub(super) struct Throttle {
    recovery: Duration,
    per_pair: u32,
    per_user: u32,
    per_network: u32,
    pairs: Aged<Pair, Instant>,
    users: Aged<String, Instant>,
    networks: Aged<Network, Instant>,
    known: Aged<Pair, ()>,
}

impl Throttle {
    pub(super) fn new(limits: &Limits) -> Self {
        let clamp = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX).max(1);
        Self {
            recovery: limits.login_recovery,
            per_pair: clamp(limits.login_failures),
            per_user: clamp(limits.login_failures_per_user),
            per_network: clamp(limits.login_failures_per_network),
            pairs: Aged::new(COUNTED),
            users: Aged::new(COUNTED),
            networks: Aged::new(COUNTED),
            known: Aged::new(KNOWN),
        }
    }

    /// Whether an attempt may be looked at.
    pub(super) fn admits(&self, user: &str, source: IpAddr, now: Instant) -> bool {
        let pair = pair(user, source);
        if self.known.get(&pair).is_some() {
            return !self.is_full(
                self.pairs.get(&pair),
                self.per_pair.saturating_mul(PATIENCE),
                now,
            );
        }
        !(self.is_full(self.pairs.get(&pair), self.per_pair, now)
            || self.is_full(self.users.get(&pair.0), self.per_user, now)
            || self.is_full(self.networks.get(&pair.1), self.per_network, now))
    }

    /// Counts a failed attempt. `true` if the next one will be refused.
    pub(super) fn failed(&mut self, user: &str, source: IpAddr, now: Instant) -> bool {
        let pair = pair(user, source);
        let is_known = self.known.get(&pair).is_some();
        let per_pair = match is_known {
            true => self.per_pair.saturating_mul(PATIENCE),
            false => self.per_pair,
        };
        if !is_known {
            let until = self.later(self.users.get(&pair.0), self.per_user, now);
            self.users.put(pair.0.clone(), until);
        }
        let until = self.later(self.networks.get(&pair.1), self.per_network, now);
        self.networks.put(pair.1, until);
        let until = self.later(self.pairs.get(&pair), per_pair, now);
        self.pairs.put(pair, until);
        !self.admits(user, source, now)
    }

    /// The user got in: what was forgotten or mistyped before is forgiven.
    pub(super) fn succeeded(&mut self, user: &str, source: IpAddr) {
        let pair = pair(user, source);
        self.pairs.remove(&pair);
        self.known.put(pair, ());
    }

    /// A count is the time at which it will be back at nothing; each failure adds its share of the
    /// time of recovery.
    fn later(&self, until: Option<&Instant>, limit: u32, now: Instant) -> Instant {
        let until = until.copied().unwrap_or(now).max(now);
        until + self.recovery / limit
    }

    fn is_full(&self, until: Option<&Instant>, limit: u32, now: Instant) -> bool {
        until.is_some_and(|until| {
            until.saturating_duration_since(now) + self.recovery / limit > self.recovery
        })
    }
}

fn pair(user: &str, source: IpAddr) -> Pair {
    let mut end = user.len().min(MAX_NAME);
    while !user.is_char_boundary(end) {
        end -= 1;
    }
    let name = user.get(..end).unwrap_or_default();
    (name.to_owned(), Network::of(source))
}

/// A bounded map from which the longest unchanged entry goes first.
#[derive(Debug)]
struct Aged<K, V> {
    entries: HashMap<K, (V, u64)>,
    by_age: BTreeMap<u64, K>,
    next: u64,
    limit: usize,
}

impl<K: Clone + Eq + Hash, V> Aged<K, V> {
    fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_age: BTreeMap::new(),
            next: 0,
            limit,
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    fn put(&mut self, key: K, value: V) {
        self.remove(&key);
        if self.entries.len() >= self.limit
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.by_age.insert(self.next, key.clone());
        self.entries.insert(key, (value, self.next));
        self.next += 1;
    }

    fn remove(&mut self, key: &K) {
        if let Some((_, age)) = self.entries.remove(key) {
            self.by_age.remove(&age);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn throttle() -> (Throttle, Instant) {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
        let now = Instant::now();
        (Throttle::new(&Limits::default()), now)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Fails until it is refused, and says how often that was.
    fn fail(throttle: &mut Throttle, user: &str, from: IpAddr, now: Instant) -> usize {
        let mut count = 0;
        while throttle.admits(user, from, now) {
            throttle.failed(user, from, now);
            count += 1;
        }
        count
    }

    #[test]
    fn one_fool_stops_nobody_else() {
        let (mut throttle, now) = throttle();
        let (cgn, elsewhere) = (address("198.51.100.7"), address("192.0.2.1"));
        assert_eq!(fail(&mut throttle, "alice", cgn, now), 10);
        // The neighbour's address is in the same network.
        assert!(!throttle.admits("alice", address("198.51.100.8"), now));
        assert!(throttle.admits("bob", cgn, now));
        assert!(throttle.admits("alice", elsewhere, now));
        // An attempt a minute comes back, and all of them in ten.
        assert!(throttle.admits("alice", cgn, now + MINUTE));
        assert_eq!(fail(&mut throttle, "alice", cgn, now + 3 * MINUTE), 3);
        assert_eq!(fail(&mut throttle, "alice", cgn, now + 20 * MINUTE), 10);
        // A day of that fills nothing but the one count.
        let mut at = now + 20 * MINUTE;
        for _ in 0..24 * 60 * 6 {
            at += Duration::from_secs(10);
            if throttle.admits("alice", cgn, at) {
                throttle.failed("alice", cgn, at);
            }
        }
        assert!(throttle.admits("bob", cgn, at));
        assert!(throttle.admits("alice", elsewhere, at));
    }

    #[test]
    fn a_user_is_guessed_at_from_everywhere_and_still_gets_in_from_home() {
        let (mut throttle, now) = throttle();
        let home = address("2001:db8:1::5");
        throttle.succeeded("alice", home);
        let mut count = 0;
        for network in 0..100 {
            count += fail(
                &mut throttle,
                "alice",
                address(&format!("10.0.{network}.1")),
                now,
            );
        }
        assert_eq!(count, 50, "per user");
        assert!(throttle.admits("alice", home, now));
        assert!(
            throttle.admits("alice", address("2001:db8:1:ffff::6"), now),
            "the same /48"
        );
        assert!(!throttle.admits("alice", address("2001:db8:2::5"), now));
        // The patience of home has an end as well, which is no other user's.
        assert_eq!(fail(&mut throttle, "alice", home, now), 50);
        assert!(throttle.admits("bob", home, now));
        assert!(throttle.admits("alice", home, now + MINUTE));
    }

    #[test]
    fn a_network_that_tries_many_names_is_refused_but_for_those_it_is_known_for() {
        let (mut throttle, now) = throttle();
        let cafe = address("203.0.113.9");
        throttle.succeeded("bob", cafe);
        let count: usize = (0..100)
            .map(|user| fail(&mut throttle, &format!("user{user}"), cafe, now))
            .sum();
        assert_eq!(count, 200);
        assert!(!throttle.admits("carol", cafe, now));
        assert!(throttle.admits("bob", cafe, now));
        assert!(throttle.admits("carol", address("203.0.112.9"), now));
        assert!(throttle.admits("carol", cafe, now + MINUTE));
    }

    #[test]
    fn a_success_forgives_and_memory_is_bounded() {
        let (mut throttle, now) = throttle();
        let home = address("192.0.2.1");
        for _ in 0..9 {
            assert!(!throttle.failed("alice", home, now));
        }
        throttle.succeeded("alice", home);
        assert_eq!(fail(&mut throttle, "alice", home, now), 50);
        for index in 0..100_000_u32 {
            let from = IpAddr::from((index << 8).to_be_bytes());
            let name = format!("{index}{}", "ä".repeat(500));
            throttle.failed(&name, from, now);
        }
        assert_eq!(throttle.pairs.entries.len(), COUNTED);
        assert_eq!(throttle.users.by_age.len(), COUNTED);
        assert_eq!(throttle.networks.entries.len(), COUNTED);
        assert!(
            throttle
                .pairs
                .entries
                .keys()
                .all(|(name, _)| name.len() <= MAX_NAME)
        );
    }
}
