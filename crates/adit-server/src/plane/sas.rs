//! Groups and their SAs, as the control side publishes them to the shards.

use std::time::Instant;

use adit_crypto::EspSuite;
use adit_esp::{InboundSa, OutboundSa};
use adit_wire::{Channel, Path};

use super::shard::Shard;
use super::{GroupKey, Plane};

impl Plane {
    /// The shard that SPIs for a group have to say; for a new group, the one where it is to be.
    pub(crate) fn shard_for(&mut self, group: Option<GroupKey>) -> u16 {
        match group {
            Some(GroupKey(key)) => key.shard,
            None => self.next_shard(),
        }
    }

    /// Makes a group in the shard that the SPI of its first SA says; without one, in the first.
    pub(crate) fn add_group(&mut self, path: Path, spi: Option<u32>) -> Option<GroupKey> {
        let shard = spi.map_or(0, |spi| self.home_of(spi));
        self.count_group(shard, 1);
        self.with(shard, |shard| shard.add_group(path))
    }

    fn count_group(&mut self, shard: u16, change: isize) {
        if let Some(count) = self.groups.get_mut(usize::from(shard)) {
            *count = count.saturating_add_signed(change);
        }
    }

    /// Forgets a group whose SAs have been removed.
    pub(crate) fn remove_group(&mut self, key: GroupKey) {
        if self
            .with(key.0.shard, |shard| shard.take_group(key))
            .flatten()
            .is_some()
        {
            self.count_group(key.0.shard, -1);
        }
    }

    /// The SAs of one group go on as those of another, the newest behind its own.
    pub(crate) fn merge_group(&mut self, from: GroupKey, into: GroupKey) {
        let Some(gone) = self
            .with(from.0.shard, |shard| shard.take_group(from))
            .flatten()
        else {
            return;
        };
        self.count_group(from.0.shard, -1);
        for spi in gone.spis() {
            self.place(spi, into.0.shard);
        }
        self.with(into.0.shard, |shard| shard.adopt(into, gone));
    }

    pub(crate) fn path(&self, key: GroupKey) -> Option<Path> {
        self.read(key.0.shard, |shard| shard.path(key))?
    }

    /// Whether a group is a peer without IPsec, which has no SAs and never gets any.
    pub(crate) fn is_plain(&self, key: GroupKey) -> bool {
        let is_plain = |shard: &Shard| Some(shard.groups.get(key.0)?.is_plain());
        self.read(key.0.shard, is_plain).flatten() == Some(true)
    }

    /// ESP in UDP needs the NAT-T port, which the peer comes to with the IKE SA that asks for it.
    pub(crate) fn ensure_nat_t(&mut self, key: GroupKey, path: Path) {
        self.with(key.0.shard, |shard| {
            if let Some(group) = shard.groups.get_mut(key.0)
                && group.path.channel != Channel::NatT
            {
                group.path = path;
            }
        });
    }

    /// Whether an SPI is not in use and says this shard.
    pub(crate) fn spi_is_free(&self, spi: u32, shard: u16) -> bool {
        let is_used = |shard: &Shard| shard.inbound.contains_key(&spi);
        self.home_of(spi) == shard
            && !self.moved.contains_key(&spi)
            && self.read(shard, is_used) == Some(false)
    }

    pub(crate) fn add_child(
        &mut self,
        group: GroupKey,
        inbound: InboundSa,
        outbound: OutboundSa,
        native: bool,
        confirmed: bool,
    ) {
        self.place(inbound.spi(), group.0.shard);
        self.with(group.0.shard, |shard| {
            shard.add_child(group, inbound, outbound, native, confirmed);
        });
    }

    /// The peer holds the SA of this inbound SPI: the other direction may be used.
    pub(crate) fn confirm(&mut self, inbound_spi: u32) {
        self.with(self.shard_of(inbound_spi), |shard| {
            shard.confirm(inbound_spi)
        });
    }

    /// The group of a native SA pair, if nothing has come through the group yet.
    pub(crate) fn silent_native(&self, inbound_spi: u32) -> Option<GroupKey> {
        self.read(self.shard_of(inbound_spi), |shard| {
            shard.silent_native(inbound_spi)
        })?
    }

    /// Whether any authentic packet of the group has come.
    pub(crate) fn was_heard(&self, key: GroupKey) -> bool {
        self.read(key.0.shard, |shard| shard.was_heard(key)) == Some(true)
    }

    /// Forgets the SA pair of `inbound_spi`.
    pub(crate) fn remove_child(&mut self, inbound_spi: u32) {
        self.with(self.shard_of(inbound_spi), |shard| {
            shard.remove_child(inbound_spi)
        });
        self.place(inbound_spi, self.home_of(inbound_spi));
    }

    /// The outbound SPI of the pair that has this inbound SPI.
    pub(crate) fn outbound_spi(&self, inbound_spi: u32) -> Option<u32> {
        let outbound = |shard: &Shard| Some(shard.inbound.get(&inbound_spi)?.outbound_spi);
        self.read(self.shard_of(inbound_spi), outbound)?
    }

    /// When the SA pair of `inbound_spi` is to be replaced, and when it must not be used any more.
    pub(crate) fn expires_at(&self, inbound_spi: u32) -> (Option<Instant>, Option<Instant>) {
        let expiry = |shard: &Shard| Some(shard.inbound.get(&inbound_spi)?.sa.expires_at());
        let expiry = self.read(self.shard_of(inbound_spi), expiry);
        expiry.flatten().unwrap_or_default()
    }

    /// The next group whose newest SA has carried enough bytes to be replaced; each SA is told
    /// once.
    pub(crate) fn poll_worn(&mut self) -> Option<GroupKey> {
        self.worn.pop()
    }

    /// The newest suite a group sends with, for display.
    pub(crate) fn suite(&self, key: GroupKey) -> Option<EspSuite> {
        self.encapsulations(key).last().map(|(_, suite)| *suite)
    }

    /// What stands around the packets of each outbound SA of a group, oldest first: whether it is
    /// native ESP, and the suite.
    pub(crate) fn encapsulations(&self, key: GroupKey) -> Vec<(bool, EspSuite)> {
        let found = self.read(key.0.shard, |shard| shard.encapsulations(key));
        found.unwrap_or_default()
    }

    pub(crate) fn sa_count(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.lock().sa_count()).sum()
    }
}
