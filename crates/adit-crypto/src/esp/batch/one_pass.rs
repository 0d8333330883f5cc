//! Which packets of a batch go through cipher and hash in one pass.

use super::{HASHES, ROUNDS, position, with_lanes};
use crate::lanes::Lanes;
use crate::{EspKeys, Hash};

/// From so many bytes on, without the ICV, it can be faster to take cipher and hash in one pass.
const LONG: usize = 512;

/// Which packets of a batch go through cipher and hash in one pass: of every kind the first so many
/// long ones.
#[derive(Clone, Default)]
pub(super) struct OnePass([[usize; 2]; 3]);

impl OnePass {
    /// How many there are of its kind, if a packet is a long one.
    fn kind(&mut self, keys: &EspKeys, packet: &[u8]) -> Option<&mut usize> {
        let (cbc, lane_keys) = with_lanes(keys)?;
        let hash = position(&HASHES, cbc.mac.hash())?;
        let rounds = position(&ROUNDS, lane_keys.rounds())?;
        let long = keys.covered(packet)? >= LONG;
        self.0.get_mut(rounds)?.get_mut(hash).filter(|_| long)
    }

    pub(super) fn count(&mut self, keys: &EspKeys, packet: &[u8]) {
        if let Some(count) = self.kind(keys, packet) {
            *count += 1;
        }
    }

    /// Leaves as many of each kind as gain by it.
    pub(super) fn settle(&mut self, lanes: Lanes) {
        for count in self.0.as_flattened_mut() {
            *count = lanes.worth_one_pass(*count);
        }
    }

    /// Whether the next packet is one of them. All packets of the batch must be shown in their order,
    /// each time to a clone.
    pub(super) fn takes(&mut self, keys: &EspKeys, packet: &[u8]) -> bool {
        let left = self.kind(keys, packet).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// The kinds that there are: rounds of the cipher, hash, and how many packets.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (usize, Hash, usize)> {
        ROUNDS.into_iter().zip(self.0).flat_map(|(rounds, counts)| {
            let found = HASHES
                .into_iter()
                .zip(counts)
                .filter(|(_, count)| *count > 0);
            found.map(move |(hash, count)| (rounds, hash, count))
        })
    }
}
