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

/// One lane: what it hashes now, and what follows.
struct Lane<'a> {
    job: Option<MacJob<'a>>,
    /// Whole blocks of the message that are left.
    body: &'a [HashBlock],
    tail: Tail,
    /// Blocks of the tail, and those of them that are done.
    tail_blocks: usize,
    tail_done: usize,
}

impl<'a> Lane<'a> {
    fn idle() -> Self {
        Self {
            job: None,
            body: &[],
            tail: [[0; 64]; 2],
            tail_blocks: 0,
            tail_done: 0,
        }
    }

    /// What is hashed next: never nothing while there is a job.
    fn blocks(&self) -> &[HashBlock] {
        if self.body.is_empty() {
            let tail = self.tail.get(self.tail_done..self.tail_blocks);
            tail.unwrap_or_default()
        } else {
            self.body
        }
    }

    fn start(&mut self, job: MacJob<'a>) {
        let (body, rest) = job.data.as_chunks::<64>();
        self.body = body;
        // The key's block came before.
        self.set_tail(rest, job.suffix, 64 + job.done + body.as_flattened().len());
        self.job = Some(job);
    }

    /// The end of the message with what FIPS 180-4 section 5.1.1 puts after it; `before` is the length
    /// of what comes before.
    fn set_tail(&mut self, rest: &[u8], suffix: Option<[u8; 4]>, before: usize) {
        // Lengths that are known cost no call.
        self.tail = [[0; 64]; 2];
        let flat = self.tail.as_flattened_mut();
        flat[..rest.len()].copy_from_slice(rest);
        let mut used = rest.len();
        if let Some(suffix) = suffix {
            flat[used..used + 4].copy_from_slice(&suffix);
            used += 4;
        }
        flat[used] = 0x80;
        self.tail_blocks = if used + 9 <= 64 { 1 } else { 2 };
        self.tail_done = 0;
        let bits = ((before + used) as u64 * 8).to_be_bytes();
        if let Some(last) = self.tail.get_mut(self.tail_blocks - 1) {
            let (_, field) = last.split_at_mut(56);
            field.copy_from_slice(&bits);
        }
    }
}

/// Messages whose inner hashes are done.
struct Ends<'a, const L: usize, const W: usize> {
    /// Those hashes, and the states after the second blocks of their keys.
    inner: States<L, W>,
    outer: States<L, W>,
    macs: [&'a mut [u8]; L],
    count: usize,
}

impl<'a, const L: usize, const W: usize> Ends<'a, L, W> {
    fn new() -> Self {
        Self {
            inner: States([[0; L]; W]),
            outer: States([[0; L]; W]),
            macs: std::array::from_fn(|_| Default::default()),
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
        lane: usize,
        job: MacJob<'a>,
    ) {
        for (to, from) in self.inner.0.iter_mut().zip(&states.0) {
            to[self.count] = from[lane];
        }
        set_column(&mut self.outer, self.count, &job.key.outer);
        self.macs[self.count] = job.mac;
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
        for (lane, mac) in self.macs.iter_mut().take(self.count).enumerate() {
            let words = mac.as_chunks_mut().0.iter_mut();
            for (to, row) in words.zip(&self.inner.0) {
                *to = row[lane].to_be_bytes();
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
    let mut lanes: [Lane<'a>; L] = std::array::from_fn(|_| Lane::idle());
    let mut ends = Ends::new();
    let fresh = begun.is_none();
    let mut states = begun.unwrap_or(States([[0; L]; W]));
    for ((index, lane), job) in lanes.iter_mut().enumerate().zip(&mut jobs) {
        if fresh {
            set_column(&mut states, index, &job.key.inner);
        }
        lane.start(job);
    }
    loop {
        let blocks = std::array::from_fn(|index| lanes[index].blocks());
        let lengths = blocks.iter().map(|blocks| blocks.len());
        let Some(step) = lengths.filter(|len| *len > 0).min() else {
            break;
        };
        // SAFETY: so the caller says.
        unsafe { H::hash(&mut states, &blocks, step) };
        for (index, lane) in lanes.iter_mut().enumerate() {
            if lane.job.is_none() {
                continue;
            }
            if lane.body.is_empty() {
                lane.tail_done += step;
            } else {
                lane.body = lane.body.get(step..).unwrap_or_default();
            }
            if !lane.blocks().is_empty() {
                continue;
            }
            if let Some(job) = lane.job.take() {
                // SAFETY: so the caller says.
                unsafe { ends.push::<H>(&states, index, job) };
            }
            if let Some(job) = jobs.next() {
                set_column(&mut states, index, &job.key.inner);
                lane.start(job);
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
