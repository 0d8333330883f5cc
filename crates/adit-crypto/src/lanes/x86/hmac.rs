//! HMAC over many messages (RFC 2104): which message is in which lane, and at what point of it. The
//! second, outer hash is over one block, and is done for all lanes at once.

use super::midstates::Midstates;
use super::sha::{HashBlock, HashLanes, States};

/// A message to authenticate.
pub(crate) struct MacJob<'a> {
    pub(super) key: &'a Midstates,
    /// Bytes of the message that are hashed already, whole blocks.
    pub(super) done: usize,
    /// What comes next.
    pub(super) data: &'a [u8],
    /// What the message ends with.
    pub(super) suffix: Option<[u8; 4]>,
    /// Takes the MAC, cut to its length, which is whole words.
    pub(super) mac: &'a mut [u8],
}

/// Room for the last part of a message: less than a block, the suffix, one byte and the length.
type Tail = [HashBlock; 2];

/// Writes the end of a message, with what FIPS 180-4 section 5.1.1 puts after it, and returns how many
/// blocks that is; `before` is the length of what comes before.
fn set_tail(tail: &mut Tail, rest: &[u8], suffix: Option<[u8; 4]>, before: usize) -> usize {
    // Lengths that are known cost no call.
    *tail = [[0; 64]; 2];
    let flat = tail.as_flattened_mut();
    flat[..rest.len()].copy_from_slice(rest);
    let mut used = rest.len();
    if let Some(suffix) = suffix {
        flat[used..used + 4].copy_from_slice(&suffix);
        used += 4;
    }
    flat[used] = 0x80;
    let blocks = if used + 9 <= 64 { 1 } else { 2 };
    let bits = ((before + used) as u64 * 8).to_be_bytes();
    if let Some(last) = tail.get_mut(blocks - 1) {
        let (_, field) = last.split_at_mut(56);
        field.copy_from_slice(&bits);
    }
    blocks
}

/// One lane: what it hashes now, and what follows.
struct Lane<'a> {
    /// Whole blocks of the message that are left.
    body: &'a [HashBlock],
    /// Blocks of its tail, and those of them that are done.
    tail_blocks: usize,
    tail_done: usize,
    key: &'a Midstates,
    mac: &'a mut [u8],
}

impl<'a> Lane<'a> {
    fn new(job: MacJob<'a>, tail: &mut Tail) -> Self {
        let (body, rest) = job.data.as_chunks::<64>();
        // The key's block came before.
        let before = 64 + job.done + body.as_flattened().len();
        Self {
            body,
            tail_blocks: set_tail(tail, rest, job.suffix, before),
            tail_done: 0,
            key: job.key,
            mac: job.mac,
        }
    }

    /// What is hashed next: nothing at the end.
    fn blocks<'t>(&self, tail: &'t Tail) -> &'t [HashBlock]
    where
        'a: 't,
    {
        if self.body.is_empty() {
            let tail = tail.get(self.tail_done..self.tail_blocks);
            tail.unwrap_or_default()
        } else {
            self.body
        }
    }

    /// So many of them are hashed; whether those were all.
    fn advance(&mut self, step: usize) -> bool {
        if self.body.is_empty() {
            self.tail_done += step;
        } else {
            self.body = self.body.get(step..).unwrap_or_default();
        }
        self.body.is_empty() && self.tail_done >= self.tail_blocks
    }
}

/// Messages whose inner hashes are done.
struct Ends<'a, const L: usize, const W: usize> {
    /// Those hashes, and the states after the second blocks of their keys.
    inner: States<L, W>,
    outer: States<L, W>,
    macs: [Option<&'a mut [u8]>; L],
    count: usize,
}

impl<'a, const L: usize, const W: usize> Ends<'a, L, W> {
    fn new() -> Self {
        Self {
            inner: States([[0; L]; W]),
            outer: States([[0; L]; W]),
            macs: [const { None }; L],
            count: 0,
        }
    }

    /// Takes a message whose hash is in a lane of `states`, and makes the MACs when there is one for
    /// every lane.
    ///
    /// # Safety
    ///
    /// As for [`HashLanes`].
    unsafe fn push<H: HashLanes<L, W>>(
        &mut self,
        states: &States<L, W>,
        index: usize,
        lane: Lane<'a>,
    ) {
        for (to, from) in self.inner.0.iter_mut().zip(&states.0) {
            to[self.count] = from[index];
        }
        set_column(&mut self.outer, self.count, &lane.key.outer);
        self.macs[self.count] = Some(lane.mac);
        self.count += 1;
        if self.count == L {
            // SAFETY: so the caller says.
            unsafe { self.finish::<H>() };
        }
    }

    /// Makes the MACs of those that are there.
    ///
    /// # Safety
    ///
    /// As for [`HashLanes`].
    unsafe fn finish<H: HashLanes<L, W>>(&mut self) {
        // SAFETY: so the caller says.
        unsafe { H::outer(&mut self.inner, &self.outer) };
        for (index, mac) in self.macs.iter_mut().flatten().take(self.count).enumerate() {
            let words = mac.as_chunks_mut().0.iter_mut();
            for (to, row) in words.zip(&self.inner.0) {
                *to = row[index].to_be_bytes();
            }
        }
        self.count = 0;
    }
}

/// Computes the MACs of all messages. A lane whose message has ended takes the next one. The first
/// messages may have been begun, and their hashes are in the lanes.
///
/// # Safety
///
/// As for [`HashLanes`].
pub(super) unsafe fn run<'a, H: HashLanes<L, W>, const L: usize, const W: usize>(
    begun: Option<States<L, W>>,
    mut jobs: impl Iterator<Item = MacJob<'a>>,
) {
    let mut lanes: [Option<Lane<'a>>; L] = [const { None }; L];
    let mut tails: [Tail; L] = [[[0; 64]; 2]; L];
    let mut ends = Ends::new();
    let fresh = begun.is_none();
    let mut states = begun.unwrap_or(States([[0; L]; W]));
    for index in 0..L {
        let Some(job) = jobs.next() else { break };
        if fresh {
            set_column(&mut states, index, &job.key.inner);
        }
        lanes[index] = Some(Lane::new(job, &mut tails[index]));
    }
    loop {
        let mut blocks: [&[HashBlock]; L] = [&[]; L];
        for ((to, lane), tail) in blocks.iter_mut().zip(&lanes).zip(&tails) {
            *to = lane.as_ref().map_or(&[], |lane| lane.blocks(tail));
        }
        // What an idle lane has does not matter, but that it is no less than the others have.
        let Some(any) = blocks.into_iter().find(|blocks| !blocks.is_empty()) else {
            break;
        };
        for to in blocks.iter_mut().filter(|blocks| blocks.is_empty()) {
            *to = any;
        }
        // SAFETY: so the caller says.
        let step = unsafe { H::hash(&mut states, &blocks) };
        for (index, place) in lanes.iter_mut().enumerate() {
            let Some(lane) = place.take_if(|lane| lane.advance(step)) else {
                continue;
            };
            // SAFETY: so the caller says.
            unsafe { ends.push::<H>(&states, index, lane) };
            if let Some(job) = jobs.next() {
                set_column(&mut states, index, &job.key.inner);
                *place = Some(Lane::new(job, &mut tails[index]));
            }
        }
    }
    if ends.count > 0 {
        // SAFETY: so the caller says.
        unsafe { ends.finish::<H>() };
    }
}

pub(super) fn set_column<const L: usize, const W: usize>(
    states: &mut States<L, W>,
    index: usize,
    words: &[u32; 8],
) {
    for (row, word) in states.0.iter_mut().zip(words) {
        row[index] = *word;
    }
}
