//! Which credentials hold for which peer: pre-shared keys by ranges of addresses, and what holds
//! for everybody. All of it is put together beforehand, so that a message only looks it up.

use std::net::IpAddr;
use std::sync::Arc;

use adit_ike::{Credentials, PreSharedKey};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

/// A pre-shared key and where its peers are.
#[derive(Clone, Debug)]
pub struct RangedKey {
    /// The ranges; none: anywhere.
    pub from: Vec<IpNet>,
    /// The key.
    pub key: PreSharedKey,
}

/// Credentials by the peer's address.
#[derive(Clone, Debug)]
pub struct Keyring {
    everybody: Arc<Credentials>,
    ipv4: PrefixMap<Ipv4Net, Arc<Credentials>>,
    ipv6: PrefixMap<Ipv6Net, Arc<Credentials>>,
}

impl Keyring {
    /// What holds for everybody, and keys for some. A peer's keys are those of the narrowest range
    /// first, keys of equal ranges in the order given, and those of `everybody` last.
    pub fn new(everybody: &Credentials, keys: &[RangedKey]) -> Self {
        let mut keyring = Self {
            everybody: Arc::new(within(None, everybody, keys)),
            ipv4: PrefixMap::new(),
            ipv6: PrefixMap::new(),
        };
        for range in keys.iter().flat_map(|key| &key.from) {
            let credentials = Arc::new(within(Some(*range), everybody, keys));
            match range {
                IpNet::V4(range) => keyring.ipv4.insert(range.trunc(), credentials),
                IpNet::V6(range) => keyring.ipv6.insert(range.trunc(), credentials),
            };
        }
        keyring
    }

    /// What holds for a peer at this address.
    pub fn for_peer(&self, address: IpAddr) -> &Arc<Credentials> {
        let narrowest = match address {
            IpAddr::V4(address) => self.ipv4.get_lpm(&address.into()).map(|(_, found)| found),
            IpAddr::V6(address) => self.ipv6.get_lpm(&address.into()).map(|(_, found)| found),
        };
        narrowest.unwrap_or(&self.everybody)
    }

    /// The most keys that a single address has.
    pub fn most_keys(&self) -> usize {
        let all = self.ipv4.values().chain(self.ipv6.values());
        all.chain([&self.everybody])
            .map(|credentials| credentials.psks.len())
            .max()
            .unwrap_or_default()
    }
}

impl From<Credentials> for Keyring {
    fn from(everybody: Credentials) -> Self {
        Self::new(&everybody, &[])
    }
}

/// The credentials of every address that `range` is the narrowest of all ranges for.
fn within(range: Option<IpNet>, everybody: &Credentials, keys: &[RangedKey]) -> Credentials {
    let mut found: Vec<(Option<u8>, &PreSharedKey)> = Vec::new();
    for key in keys {
        let length = if key.from.is_empty() {
            None
        } else {
            let around = |from: &&IpNet| range.is_some_and(|range| from.contains(&range));
            let longest = key.from.iter().filter(around).map(IpNet::prefix_len).max();
            if longest.is_none() {
                continue;
            }
            longest
        };
        found.push((length, &key.key));
    }
    // Stable: equal ranges keep their order.
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    let mut credentials = everybody.clone();
    let first = found.into_iter().map(|(_, key)| key.clone());
    credentials.psks.splice(0..0, first);
    credentials
}

#[cfg(test)]
mod tests {
    use adit_ike::{IdValue, Psk};

    use super::*;

    // A key that is known by its identity.
    fn key(name: &str, from: &[&str]) -> RangedKey {
        RangedKey {
            from: from.iter().map(|range| range.parse().unwrap()).collect(),
            key: PreSharedKey {
                key: Arc::new(Psk::new(name)),
                identity: Some(IdValue::Fqdn(name.to_owned())),
                aggressive: false,
            },
        }
    }

    fn names(keyring: &Keyring, address: &str) -> Vec<String> {
        let credentials = keyring.for_peer(address.parse().unwrap());
        let name = |psk: &PreSharedKey| match &psk.identity {
            Some(identity) => identity.to_string(),
            None => "everybody".to_owned(),
        };
        credentials.psks.iter().map(name).collect()
    }

    #[test]
    fn the_narrowest_range_comes_first_and_everybody_last() {
        let everybody = Credentials::psk(Arc::new(Psk::new("x")));
        let keyring = Keyring::new(
            &everybody,
            &[
                key("anywhere", &[]),
                key("wide", &["203.0.0.0/8", "2001:db8::/32"]),
                key("one", &["203.0.113.7/32"]),
                key("narrow", &["203.0.113.0/24"]),
                key("also-narrow", &["203.0.113.0/24", "198.51.100.0/24"]),
            ],
        );
        for (address, expected) in [
            ("192.0.2.1", &["anywhere", "everybody"][..]),
            ("203.1.1.1", &["wide", "anywhere", "everybody"]),
            (
                "203.0.113.8",
                &["narrow", "also-narrow", "wide", "anywhere", "everybody"],
            ),
            (
                "203.0.113.7",
                &[
                    "one",
                    "narrow",
                    "also-narrow",
                    "wide",
                    "anywhere",
                    "everybody",
                ],
            ),
            ("198.51.100.1", &["also-narrow", "anywhere", "everybody"]),
            ("2001:db8:1::1", &["wide", "anywhere", "everybody"]),
            ("2001:db9::1", &["anywhere", "everybody"]),
        ] {
            assert_eq!(names(&keyring, address), expected, "{address}");
        }
        assert_eq!(keyring.most_keys(), 6);
    }

    #[test]
    fn without_ranges_everybody_is_the_same() {
        let keyring = Keyring::from(Credentials::psk(Arc::new(Psk::new("x"))));
        assert_eq!(names(&keyring, "192.0.2.1"), ["everybody"]);
        let (a, b) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(Arc::ptr_eq(keyring.for_peer(a), keyring.for_peer(b)));
        let nobody = Keyring::new(&Credentials::default(), &[key("a", &["192.0.2.0/24"])]);
        assert_eq!(names(&nobody, "192.0.3.1"), [""; 0]);
        assert_eq!(names(&nobody, "192.0.2.1"), ["a"]);
    }
}
