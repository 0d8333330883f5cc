//! Single addresses of one /64 that all clients share with the hosts of a link (RFC 4862 5.4): who
//! holds which. A client has a bounded number of them and may change them, so the longest unused one
//! makes way for a new one. No address ever has two holders, and none is held before its check.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use ipnet::Ipv6Net;

/// The most addresses that one client holds: one for good and those of a week of privacy
/// extensions (RFC 8981 3.4), with some to spare.
pub const MAX_HELD: usize = 16;
/// The most addresses of one client that are being checked.
const MAX_CHECKED: usize = 4;
/// Checks that one client may cause at once, and how long it takes until one more is allowed.
const CHECKS: u32 = 24;
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// How long an address that a host of the link has is not checked again for the same client.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the client's already.
    Held,
    /// It is being checked for this client.
    Waits,
    /// It has to be checked: answer with [`Claims::grant`] or [`Claims::refuse`].
    Check,
    /// Somebody else has it.
    Taken,
    /// It is no client's: outside the prefix, or reserved (RFC 4291 2.6.1, RFC 5453 3).
    Reserved,
    /// The client has asked for too many.
    TooMany,
}

/// An address that was free: who has it now, and what made way for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted<K> {
    /// The client.
    pub holder: K,
    /// The client's longest unused address, if it had [`MAX_HELD`].
    pub gone: Option<Ipv6Addr>,
}

#[derive(Clone, Copy, Debug)]
struct Entry<K> {
    holder: K,
    /// When it was last used; `None` while it is being checked.
    used: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Client {
    addresses: Vec<Ipv6Addr>,
    refused: Vec<(Ipv6Addr, Instant)>,
    /// When the checks that were made are paid for, at one per [`CHECK_EVERY`].
    paid: Instant,
}

/// The addresses, by client `K`.
#[derive(Clone, Debug)]
pub struct Claims<K> {
    prefix: Ipv6Net,
    entries: HashMap<Ipv6Addr, Entry<K>>,
    clients: HashMap<K, Client>,
}

impl<K: Copy + Eq + Hash> Claims<K> {
    /// Claims on addresses of `prefix`.
    pub fn new(prefix: Ipv6Net) -> Self {
        Self {
            prefix: prefix.trunc(),
            entries: HashMap::new(),
            clients: HashMap::new(),
        }
    }

    /// The prefix.
    pub fn prefix(&self) -> Ipv6Net {
        self.prefix
    }

    /// Whether `holder` holds `address`, which counts as use of it.
    pub fn uses(&mut self, address: Ipv6Addr, holder: K, now: Instant) -> bool {
        match self.entries.get_mut(&address) {
            Some(Entry {
                holder: owner,
                used: Some(used),
            }) if *owner == holder => {
                *used = now;
                true
            }
            _ => false,
        }
    }

    /// A client wants to use an address.
    pub fn claim(&mut self, address: Ipv6Addr, holder: K, now: Instant) -> Claim {
        match self.entries.get(&address) {
            Some(entry) if entry.holder != holder => return Claim::Taken,
            Some(Entry { used: Some(_), .. }) => return Claim::Held,
            Some(_) => return Claim::Waits,
            None => {}
        }
        if !self.prefix.contains(&address) || is_reserved(address) {
            return Claim::Reserved;
        }
        let client = self.clients.entry(holder).or_insert_with(|| Client {
            addresses: Vec::new(),
            refused: Vec::new(),
            paid: now,
        });
        client.refused.retain(|(_, until)| *until > now);
        if client
            .refused
            .iter()
            .any(|(refused, _)| *refused == address)
        {
            return Claim::Taken;
        }
        let entries = &self.entries;
        let waits = |address: &&Ipv6Addr| entries.get(*address).is_some_and(|e| e.used.is_none());
        let paid = client.paid.max(now);
        if client.addresses.iter().filter(waits).count() >= MAX_CHECKED
            || paid.saturating_duration_since(now) > CHECK_EVERY * (CHECKS - 1)
        {
            return Claim::TooMany;
        }
        client.paid = paid + CHECK_EVERY;
        client.addresses.push(address);
        self.entries.insert(address, Entry { holder, used: None });
        Claim::Check
    }

    /// The check of an address said that a host of the link has it. Gives who waited for it.
    pub fn refuse(&mut self, address: Ipv6Addr, now: Instant) -> Option<K> {
        let holder = self.waiting(address)?.holder;
        self.entries.remove(&address);
        let client = self.clients.get_mut(&holder)?;
        client.addresses.retain(|other| *other != address);
        client.refused.push((address, now + REFUSED_FOR));
        Some(holder)
    }

    /// Who waits for the check of an address.
    pub fn waits_for(&self, address: Ipv6Addr) -> Option<K> {
        let entry = self.entries.get(&address)?;
        entry.used.is_none().then_some(entry.holder)
    }

    fn waiting(&mut self, address: Ipv6Addr) -> Option<&mut Entry<K>> {
        let entry = self.entries.get_mut(&address);
        entry.filter(|entry| entry.used.is_none())
    }

    /// The check of an address said that nobody has it. Gives its holder from now on; `None` if
    /// nobody waits for it any more.
    pub fn grant(&mut self, address: Ipv6Addr, now: Instant) -> Option<Granted<K>> {
        let entry = self.waiting(address)?;
        let holder = entry.holder;
        entry.used = Some(now);
        let entries = &self.entries;
        let client = self.clients.get_mut(&holder)?;
        let held = || {
            let used = |address: &Ipv6Addr| entries.get(address)?.used;
            let held = client.addresses.iter().copied();
            held.filter_map(move |address| Some((used(&address)?, address)))
        };
        let gone = if held().count() > MAX_HELD {
            let others = held().filter(|(_, other)| *other != address);
            others.min().map(|(_, gone)| gone)
        } else {
            None
        };
        if let Some(gone) = gone {
            client.addresses.retain(|other| *other != gone);
            self.entries.remove(&gone);
        }
        Some(Granted { holder, gone })
    }

    /// Takes back everything of a client. Gives what it held.
    pub fn release(&mut self, holder: K) -> Vec<Ipv6Addr> {
        let Some(client) = self.clients.remove(&holder) else {
            return Vec::new();
        };
        let mut held = Vec::new();
        for address in client.addresses {
            let entry = self.entries.remove(&address);
            held.extend(entry.and_then(|entry| entry.used).map(|_| address));
        }
        held
    }

    /// The addresses that a client holds, oldest first.
    pub fn held(&self, holder: K) -> impl Iterator<Item = Ipv6Addr> + '_ {
        let addresses = self.clients.get(&holder).into_iter();
        addresses
            .flat_map(|client| &client.addresses)
            .copied()
            .filter(|address| self.entries.get(address).is_some_and(|e| e.used.is_some()))
    }

    /// How many addresses are held.
    pub fn count(&self) -> usize {
        let held = self.entries.values();
        held.filter(|entry| entry.used.is_some()).count()
    }
}

/// Whether the interface identifier of an address is the Subnet-Router anycast's or reserved.
fn is_reserved(address: Ipv6Addr) -> bool {
    // cast: the lower half
    let id = u128::from(address) as u64;
    id == 0
        || (0x0200_5eff_fe00_0000..=0x0200_5eff_feff_ffff).contains(&id)
        || (0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff).contains(&id)
}

#[cfg(test)]
mod tests;
