//! HMAC over many messages (RFC 2104): which message is in which lane, and at what point of it.

use super::midstates::Midstates;
use super::sha::{HashBlock, States};

/// A message to authenticate.
pub(crate) struct MacJob<'a> {
    pub(super) key: &'a Midstates,
    /// Bytes of the message that are hashed already, whole blocks.
    pub(super) done: usize,
    /// What comes next.
    pub(super) data: &'a [u8],
    /// What the message ends with.
    pub(super) suffix: Option<[u8; 4]>,
    /// Takes the MAC, cut to its length.
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
    /// The tail is the inner hash, not the end of the message.
    outer: bool,
}

impl<'a> Lane<'a> {
    fn idle() -> Self {
        Self {
            job: None,
            body: &[],
            tail: [[0; 64]; 2],
            tail_blocks: 0,
            tail_done: 0,
            outer: false,
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
        let suffix = job.suffix.as_ref().map_or(&[][..], |suffix| suffix);
        self.body = body;
        self.outer = false;
        // The key's block came before.
        let length = 64 + job.done + job.data.len() + suffix.len();
        self.set_tail(rest, suffix, length);
        self.job = Some(job);
    }

    /// The end of the message with what FIPS 180-4 section 5.1.1 puts after it; `length` is that of
    /// the message.
    fn set_tail(&mut self, bytes: &[u8], more: &[u8], length: usize) {
        let used = bytes.len() + more.len();
        self.tail_blocks = if used + 9 <= 64 { 1 } else { 2 };
        self.tail_done = 0;
        let flat = self.tail.as_flattened_mut();
        let (message, padding) = flat.split_at_mut(used);
        let (first, second) = message.split_at_mut(bytes.len());
        first.copy_from_slice(bytes);
        second.copy_from_slice(more);
        padding.fill(0);
        if let Some(end) = padding.first_mut() {
            *end = 0x80;
        }
        let bits = (length as u64 * 8).to_be_bytes();
        if let Some(last) = self.tail.get_mut(self.tail_blocks - 1) {
            let (_, field) = last.split_at_mut(56);
            field.copy_from_slice(&bits);
        }
    }

    /// The inner hash, which comes behind the key's second block. Word by word, since a processor
    /// waits if it is to load at once what was just stored in parts.
    fn set_outer<const W: usize>(&mut self, digest: [[u8; 4]; W]) {
        self.outer = true;
        self.tail_blocks = 1;
        self.tail_done = 0;
        let words = self.tail[0].as_chunks_mut().0;
        let padding = std::iter::once([0x80, 0, 0, 0]).chain(std::iter::repeat([0; 4]));
        for (to, word) in words.iter_mut().zip(digest.into_iter().chain(padding)) {
            *to = word;
        }
        // cast: 96 bytes at most
        words[15] = (8 * (64 + 4 * W) as u32).to_be_bytes();
    }
}

/// Puts all messages through `compress`, which takes so many blocks of every lane. A lane whose
/// message has ended takes the next one. The first messages may have been begun, and their hashes are
/// in the lanes.
pub(super) fn run<'a, const L: usize, const W: usize>(
    begun: Option<States<L, W>>,
    mut jobs: impl Iterator<Item = MacJob<'a>>,
    compress: impl Fn(&mut States<L, W>, &[&[HashBlock]; L], usize),
) {
    let mut lanes: [Lane<'a>; L] = std::array::from_fn(|_| Lane::idle());
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
        compress(&mut states, &blocks, step);
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
            let digest = column(&states, index);
            if !lane.outer {
                lane.set_outer(digest);
                if let Some(job) = &lane.job {
                    set_column(&mut states, index, &job.key.outer);
                }
                continue;
            }
            if let Some(job) = lane.job.take() {
                for (to, word) in job.mac.chunks_mut(4).zip(digest) {
                    to.copy_from_slice(word.get(..to.len()).unwrap_or_default());
                }
            }
            if let Some(job) = jobs.next() {
                set_column(&mut states, index, &job.key.inner);
                lane.start(job);
            }
        }
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

/// The hash in one lane.
fn column<const L: usize, const W: usize>(states: &States<L, W>, index: usize) -> [[u8; 4]; W] {
    let mut digest = [[0; 4]; W];
    for (bytes, row) in digest.iter_mut().zip(&states.0) {
        *bytes = row[index].to_be_bytes();
    }
    digest
}
