//! Which text is in which lane.

use super::aes::{CbcLanes, RoundKeys};
use crate::lanes::Block;

/// A text to encrypt in place.
pub(crate) struct CbcJob<'a> {
    pub(super) keys: &'a RoundKeys,
    pub(super) iv: Block,
    pub(super) text: &'a mut [Block],
}

/// Puts all texts through `encrypt`, which takes so many blocks of every lane. A lane whose text
/// has ended takes the next one.
pub(super) fn run<'a, const N: usize>(
    mut jobs: impl Iterator<Item = CbcJob<'a>>,
    encrypt: impl Fn(&mut CbcLanes<N>, &mut [&mut [Block]; N], usize),
) {
    let mut lanes = CbcLanes::new();
    let mut texts: [&mut [Block]; N] = std::array::from_fn(|_| Default::default());
    loop {
        for (lane, text) in texts.iter_mut().enumerate() {
            while text.is_empty() {
                let Some(job) = jobs.next() else { break };
                lanes.refill(lane, job.keys, &job.iv);
                *text = job.text;
            }
        }
        let lengths = texts.iter().map(|text| text.len()).filter(|len| *len > 0);
        let Some(blocks) = lengths.min() else { break };
        encrypt(&mut lanes, &mut texts, blocks);
        for text in &mut texts {
            *text = std::mem::take(text)
                .split_at_mut_checked(blocks)
                .map_or_else(Default::default, |(_, rest)| rest);
        }
    }
}
