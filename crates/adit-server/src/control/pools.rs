//! The addresses of both families, with what the configuration says to serve: who has which, who
//! gets which again, and which are reserved for users that have them for good.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use adit_link::pool::{Exhausted, Ipv4Pool, PrefixLength, PrefixPool};
use hashbrown::HashSet;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::memory::{Change, Memory};
use crate::config::{Ipv4Config, Ipv6Config, Limits};
use crate::grant::{Device, Lease};
use crate::plane::Clients;

/// The pools; a family that is not served has none.
pub(super) struct Pools {
    ipv4: Option<(Ipv4Net, Ipv4Pool)>,
    ipv6: Option<(Ipv6Net, PrefixPool)>,
    /// In place of the pool: a prefix that all clients share, and the server's own address.
    shared: Option<(Ipv6Net, Ipv6Addr)>,
    delegated: Option<PrefixPool>,
    memory: Memory,
}

/// What a new session gets.
#[derive(Debug, Default)]
pub(super) struct Leased {
    pub(super) lease: Lease,
    /// Whether the device is remembered with it. Not if another session has the device's name.
    pub(super) is_devices: bool,
    /// Families with nothing left.
    pub(super) exhausted: Vec<Exhausted>,
    /// Fixed addresses that somebody else still has.
    pub(super) busy: Vec<IpNet>,
}

/// What both kinds of pool can do.
trait Pool {
    type Item: Copy;
    fn take(&mut self, item: Self::Item) -> bool;
    fn take_reserved(&mut self, item: Self::Item) -> bool;
    fn allocate(&mut self) -> Result<Self::Item, Exhausted>;
}

macro_rules! pool {
    ($pool:ty, $item:ty) => {
        impl Pool for $pool {
            type Item = $item;
            fn take(&mut self, item: $item) -> bool {
                <$pool>::take(self, item)
            }
            fn take_reserved(&mut self, item: $item) -> bool {
                <$pool>::take_reserved(self, item)
            }
            fn allocate(&mut self) -> Result<$item, Exhausted> {
                <$pool>::allocate(self)
            }
        }
    };
}
pool!(Ipv4Pool, Ipv4Addr);
pool!(PrefixPool, Ipv6Net);

/// What came out of one pool.
enum Choice<T> {
    /// The user's own.
    Fixed(T),
    /// The device's last, or a new one. With what is fixed and could not be had.
    Pooled(T, Option<T>),
    Exhausted(Exhausted),
}

fn choose<P: Pool>(pool: &mut P, fixed: Option<P::Item>, last: Option<P::Item>) -> Choice<P::Item> {
    if let Some(item) = fixed
        && pool.take_reserved(item)
    {
        return Choice::Fixed(item);
    }
    let last = last.filter(|last| pool.take(*last));
    match last.map_or_else(|| pool.allocate(), Ok) {
        Ok(item) => Choice::Pooled(item, fixed),
        Err(error) => Choice::Exhausted(error),
    }
}

impl Pools {
    pub(super) fn new(
        ipv4: Option<&Ipv4Config>,
        ipv6: Option<&Ipv6Config>,
        limits: &Limits,
    ) -> Result<Self, PrefixLength> {
        let delegate = ipv6.and_then(|ipv6| ipv6.delegate);
        let shared = ipv6.and_then(|ipv6| Some((ipv6.prefix.trunc(), ipv6.shared?)));
        let ipv6 = ipv6.filter(|_| shared.is_none()).map(|ipv6| {
            let pool = PrefixPool::new(ipv6.prefix, ipv6.client_prefix_length)?;
            Ok((ipv6.prefix, pool))
        });
        let delegated =
            delegate.map(|delegate| PrefixPool::whole(delegate.prefix, delegate.length));
        Ok(Self {
            delegated: delegated.transpose()?,
            ipv4: ipv4.map(|ipv4| (ipv4.pool, Ipv4Pool::new(ipv4.pool, &ipv4.dns))),
            ipv6: ipv6.transpose()?,
            shared,
            memory: Memory::new(limits.leases),
        })
    }

    pub(super) fn server_ipv4(&self) -> Option<Ipv4Addr> {
        self.ipv4.as_ref().map(|(_, pool)| pool.server_address())
    }

    pub(super) fn server_ipv6(&self) -> Option<Ipv6Addr> {
        let pooled = self.ipv6.as_ref().map(|(_, pool)| pool.server_address());
        pooled.or(self.shared.map(|(_, address)| address))
    }

    /// The prefix that all clients share.
    pub(super) fn shared(&self) -> Option<Ipv6Net> {
        self.shared.map(|(prefix, _)| prefix)
    }

    /// Which addresses only clients can have.
    pub(super) fn clients(&self, ipv4: Option<&Ipv4Config>, ipv6: Option<&Ipv6Config>) -> Clients {
        let prefix = self.ipv6.as_ref().map(|(prefix, _)| *prefix);
        let delegated = self.delegated.as_ref().map(PrefixPool::net);
        let server_prefix = self.ipv6.as_ref().map(|(_, pool)| pool.server_prefix());
        let resolvers4 = ipv4.map(|ipv4| ipv4.dns.clone()).unwrap_or_default();
        let resolvers6 = ipv6.map(|ipv6| ipv6.dns.clone()).unwrap_or_default();
        Clients {
            pool: self.ipv4.as_ref().map(|(pool, _)| *pool),
            prefixes: prefix.into_iter().chain(delegated).collect(),
            server_prefix,
            hosts4: resolvers4.into_iter().chain(self.server_ipv4()).collect(),
            hosts6: resolvers6.into_iter().chain(self.server_ipv6()).collect(),
        }
    }

    /// Takes what is served for a device, if the client tells which it is: what is fixed, else what
    /// the device had last, else what nobody has. An exhausted pool leaves its family out.
    pub(super) fn lease(&mut self, device: Option<&Arc<Device>>, fixed: &Lease) -> Leased {
        let device = device.filter(|device| !self.memory.is_in_use(device));
        let last = device
            .and_then(|device| self.memory.get(device))
            .unwrap_or_default();
        let mut leased = Leased {
            is_devices: device.is_some(),
            ..Leased::default()
        };
        // What is not fixed is remembered; a delegated prefix until it is asked for again.
        let mut pooled = Lease {
            delegated: last.delegated.filter(|_| fixed.delegated.is_none()),
            ..Lease::default()
        };
        if let Some((_, pool)) = &mut self.ipv4 {
            match choose(pool, fixed.ipv4, last.ipv4) {
                Choice::Fixed(address) => leased.lease.ipv4 = Some(address),
                Choice::Pooled(address, missed) => {
                    leased.lease.ipv4 = Some(address);
                    pooled.ipv4 = Some(address);
                    leased
                        .busy
                        .extend(missed.map(|address| IpNet::from(Ipv4Net::from(address))));
                    if last.ipv4 != Some(address) {
                        self.memory.lose_ipv4(address);
                    }
                }
                Choice::Exhausted(error) => leased.exhausted.push(error),
            }
        }
        if let Some((_, pool)) = &mut self.ipv6 {
            match choose(pool, fixed.ipv6, last.ipv6) {
                Choice::Fixed(prefix) => leased.lease.ipv6 = Some(prefix),
                Choice::Pooled(prefix, missed) => {
                    leased.lease.ipv6 = Some(prefix);
                    pooled.ipv6 = Some(prefix);
                    leased.busy.extend(missed.map(IpNet::from));
                    if last.ipv6 != Some(prefix) {
                        self.memory.lose_prefix(prefix);
                    }
                }
                Choice::Exhausted(error) => leased.exhausted.push(error),
            }
        }
        if let Some(device) = device {
            self.remember(device, pooled);
        }
        leased
    }

    /// Takes a prefix for a router behind a client, in the same order; `None` if none are
    /// delegated. `device` is the session's, if that is remembered with what it has.
    pub(super) fn delegate(
        &mut self,
        device: Option<&Arc<Device>>,
        fixed: Option<Ipv6Net>,
    ) -> Option<Result<Ipv6Net, Exhausted>> {
        let last = device
            .and_then(|device| self.memory.get(device))
            .unwrap_or_default();
        let prefix = match choose(self.delegated.as_mut()?, fixed, last.delegated) {
            Choice::Fixed(prefix) => return Some(Ok(prefix)),
            Choice::Pooled(prefix, _) => prefix,
            Choice::Exhausted(error) => return Some(Err(error)),
        };
        if last.delegated != Some(prefix) {
            self.memory.lose_prefix(prefix);
            if let Some(device) = device {
                self.remember(
                    device,
                    Lease {
                        delegated: Some(prefix),
                        ..last
                    },
                );
            }
        }
        Some(Ok(prefix))
    }

    fn remember(&mut self, device: &Arc<Device>, lease: Lease) {
        let gone = self.memory.put(device, lease);
        self.unkeep(gone);
        self.trim(&device.user);
    }

    /// Forgets what is too much.
    fn trim(&mut self, user: &str) {
        while let Some(gone) = self.memory.trim(user) {
            self.unkeep(gone);
        }
    }

    fn unkeep(&mut self, lease: Lease) {
        if let (Some((_, pool)), Some(address)) = (&mut self.ipv4, lease.ipv4) {
            pool.unkeep(address);
        }
        if let (Some((_, pool)), Some(prefix)) = (&mut self.ipv6, lease.ipv6) {
            pool.unkeep(prefix);
        }
        if let (Some(pool), Some(prefix)) = (&mut self.delegated, lease.delegated) {
            pool.unkeep(prefix);
        }
    }

    /// Takes back what a session had. `device` is the session's, as for
    /// [`delegate`](Self::delegate): what it is remembered with is kept for it.
    pub(super) fn release(&mut self, lease: Lease, device: Option<&Arc<Device>>) {
        let memory = &self.memory;
        let is_kept =
            |prefix| device.is_some_and(|device| memory.is_prefix_of(prefix, device.as_ref()));
        if let (Some((_, pool)), Some(address)) = (&mut self.ipv4, lease.ipv4) {
            pool.release(address);
            if device.is_some_and(|device| memory.is_ipv4_of(address, device)) {
                pool.keep(address);
            }
        }
        let ipv6 = self.ipv6.as_mut().map(|(_, pool)| pool);
        for (pool, prefix) in [
            (ipv6, lease.ipv6),
            (self.delegated.as_mut(), lease.delegated),
        ] {
            if let (Some(pool), Some(prefix)) = (pool, prefix) {
                pool.release(prefix);
                if is_kept(prefix) {
                    pool.keep(prefix);
                }
            }
        }
        if let Some(device) = device {
            self.memory.rest(device);
            self.trim(&device.user);
        }
    }

    /// Reserves the addresses that users have for good, and no others. Whoever has one of them now
    /// keeps it until the session ends.
    pub(super) fn reserve(&mut self, fixed: &[Lease]) {
        if let Some((_, pool)) = &mut self.ipv4 {
            pool.reserve(fixed.iter().filter_map(|lease| lease.ipv4));
        }
        if let Some((_, pool)) = &mut self.ipv6 {
            pool.reserve(fixed.iter().filter_map(|lease| lease.ipv6));
        }
        if let Some(pool) = &mut self.delegated {
            pool.reserve(fixed.iter().filter_map(|lease| lease.delegated));
        }
        for lease in fixed {
            if let Some(address) = lease.ipv4 {
                self.memory.lose_ipv4(address);
            }
            for prefix in [lease.ipv6, lease.delegated].into_iter().flatten() {
                self.memory.lose_prefix(prefix);
            }
        }
    }

    /// Remembers what devices had before a restart, the longest unused first. What does not fit the
    /// pools as they are now, or is another's already, is left out. Gives the number of devices that
    /// lost something by that.
    pub(super) fn restore(&mut self, leases: Vec<(Device, Lease)>) -> usize {
        let mut lost = 0;
        let mut seen = HashSet::new();
        let mut fitting = Vec::with_capacity(leases.len());
        // Of two that claim the same, the later is right. Only what is really free can be kept.
        for (device, before) in leases.into_iter().rev() {
            let device = Arc::new(device);
            if self.memory.get(&device).is_some() || !seen.insert(Arc::clone(&device)) {
                continue;
            }
            let mut lease = Lease::default();
            if let Some((_, pool)) = &mut self.ipv4 {
                lease.ipv4 = before.ipv4.filter(|address| pool.keep(*address));
            }
            if let Some((_, pool)) = &mut self.ipv6 {
                lease.ipv6 = before.ipv6.filter(|prefix| pool.keep(*prefix));
            }
            if let Some(pool) = &mut self.delegated {
                lease.delegated = before.delegated.filter(|prefix| pool.keep(*prefix));
            }
            lost += usize::from(lease != before);
            fitting.push((device, lease, lease != before));
        }
        for (device, lease, is_changed) in fitting.into_iter().rev() {
            // Kept once more, so that the order of use is theirs again.
            self.unkeep(lease);
            if let (Some((_, pool)), Some(address)) = (&mut self.ipv4, lease.ipv4) {
                pool.keep(address);
            }
            if let (Some((_, pool)), Some(prefix)) = (&mut self.ipv6, lease.ipv6) {
                pool.keep(prefix);
            }
            if let (Some(pool), Some(prefix)) = (&mut self.delegated, lease.delegated) {
                pool.keep(prefix);
            }
            self.memory.restore(&device, lease, is_changed);
            self.trim(&device.user);
        }
        lost
    }

    /// The next change of what devices are remembered with.
    pub(super) fn poll_change(&mut self) -> Option<Change> {
        self.memory.poll_change()
    }

    pub(super) fn remembered(&self) -> usize {
        self.memory.len()
    }

    pub(super) fn leased_ipv4(&self) -> usize {
        self.ipv4.as_ref().map_or(0, |(_, pool)| pool.leased())
    }

    pub(super) fn leased_ipv6(&self) -> usize {
        self.ipv6.as_ref().map_or(0, |(_, pool)| pool.leased())
    }

    pub(super) fn leased_delegated(&self) -> usize {
        self.delegated.as_ref().map_or(0, PrefixPool::leased)
    }

    pub(super) fn own_addresses(&self) -> Vec<IpNet> {
        let ipv4 = self
            .ipv4
            .as_ref()
            .and_then(|(net, pool)| Ipv4Net::new(pool.server_address(), net.prefix_len()).ok());
        let ipv6 = self
            .ipv6
            .as_ref()
            .and_then(|(net, pool)| Ipv6Net::new(pool.server_address(), net.prefix_len()).ok());
        ipv4.map(IpNet::from)
            .into_iter()
            .chain(ipv6.map(IpNet::from))
            .collect()
    }
}

#[cfg(test)]
mod tests;
