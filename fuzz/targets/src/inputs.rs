//! Cutting an input into messages, and the clock that passes between them.

use std::time::{Duration, Instant};

/// The messages of an input: each behind a 16-bit big-endian length; the last may be cut short.
/// At most 64, so that one input stays one short run.
pub fn messages(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (message, tail) = tail.split_at(length);
        rest = tail;
        Some(message)
    })
    .take(64)
}

/// A clock that goes on by an odd step with every reading.
pub(crate) struct Clock {
    now: Instant,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "virtual time needs one real instant to start from"
    )]
    pub(crate) fn new() -> Self {
        Self {
            now: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn tick(&mut self) -> Instant {
        self.now += Duration::from_millis(700);
        self.now
    }
}
