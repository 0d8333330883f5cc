//! The receiver's replay window (RFC 4303 3.4.3): which of the last 1024 sequence numbers have
//! come. The ring of words is RFC 6479's idea, so that moving ahead clears whole words. It must
//! never be marked before the packet's integrity check has passed.

use adit_crypto::prefetch;

/// Words in the ring. It holds more bits than the window is wide, so that the word at the right
/// edge can be cleared while all of the window is still there.
const WORDS: usize = 32;
const WORD_BITS: u64 = 64;

/// Why a sequence number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Replay {
    /// Zero, which no sender may use (RFC 4303 3.3.3).
    #[error("sequence number zero")]
    Zero,
    /// Inside the window and marked before.
    #[error("the sequence number came before")]
    Duplicate,
    /// Left of the window.
    #[error("the sequence number is left of the window")]
    TooOld,
}

/// A window over the last 1024 sequence numbers, extended ones or not.
///
/// For every packet: [`check`](Self::check), verify the packet, then [`mark`](Self::mark).
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// The highest number marked; zero while nothing is.
    highest: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// How many sequence numbers the window spans, the highest one included.
    pub const SIZE: u64 = 1024;

    /// A window that has seen nothing.
    pub fn new() -> Self {
        Self {
            highest: 0,
            seen: [0; WORDS],
        }
    }

    /// Whether a packet with this number is worth verifying. `Ok(true)` if it would move the
    /// window ahead, `Ok(false)` if it fills a gap.
    pub fn check(&self, sequence: u64) -> Result<bool, Replay> {
        if sequence == 0 {
            return Err(Replay::Zero);
        }
        let Some(behind) = self.highest.checked_sub(sequence) else {
            return Ok(true);
        };
        if behind >= Self::SIZE {
            return Err(Replay::TooOld);
        }
        let (index, bit) = place(sequence);
        match self.seen.get(index) {
            Some(word) if word & bit == 0 => Ok(false),
            _ => Err(Replay::Duplicate),
        }
    }

    /// Marks the number of a verified packet as seen, and moves the window ahead if it is the
    /// highest so far. Returns what [`check`](Self::check) says of it; a number that is refused
    /// changes nothing.
    pub fn mark(&mut self, sequence: u64) -> Result<bool, Replay> {
        let newest = self.check(sequence)?;
        if newest {
            // At most the whole ring, however far the number jumped.
            let first = self.highest / WORD_BITS + 1;
            let last = sequence / WORD_BITS;
            for word in (first..=last).take(WORDS) {
                if let Some(word) = self.seen.get_mut(word as usize % WORDS) {
                    *word = 0;
                }
            }
            self.highest = sequence;
        }
        let (index, bit) = place(sequence);
        if let Some(word) = self.seen.get_mut(index) {
            *word |= bit;
        }
        Ok(newest)
    }

    /// Has loaded what a packet with this lower half of its number will need.
    pub(crate) fn prefetch(&self, low: u32) {
        prefetch(&self.highest);
        // The ring has a whole number of turns in 2^32.
        let (index, _) = place(low.into());
        if let Some(word) = self.seen.get(index) {
            prefetch(word);
        }
    }

    /// The extended number of which `low` is the lower half: the one in the 2^32 numbers from the
    /// window's left edge on (RFC 4303 appendix A2). `None` if it would lie before the first or
    /// behind the last of all numbers.
    pub fn infer(&self, low: u32) -> Option<u64> {
        let left = self.highest.wrapping_sub(Self::SIZE - 1);
        let left_is_negative = self.highest < Self::SIZE - 1;
        // cast: the lower half
        let ahead = u64::from(low.wrapping_sub(left as u32));
        let (number, wrapped) = left.overflowing_add(ahead);
        (wrapped == left_is_negative).then_some(number)
    }

    /// The highest number marked; zero while nothing is.
    pub fn highest(&self) -> u64 {
        self.highest
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

/// The word in the ring and the bit in the word that stand for a number.
fn place(sequence: u64) -> (usize, u64) {
    (
        (sequence / WORD_BITS) as usize % WORDS,
        1 << (sequence % WORD_BITS),
    )
}

#[cfg(test)]
mod tests;
