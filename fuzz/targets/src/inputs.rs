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

/// Puts messages together again, for seeds.
#[cfg(test)]
pub(crate) fn sequence<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        out.extend(length.to_be_bytes());
        out.extend(message.iter().take(length.into()));
    }
    out
}

/// A file of a corpus.
#[cfg(test)]
pub(crate) fn seed(target: &str, name: &str) -> Vec<u8> {
    let path = format!("{}/../corpus/{target}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Writes a file of a corpus.
#[cfg(test)]
pub(crate) fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder = format!("{}/../corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(format!("{folder}/{name}"), bytes).expect("a file");
}

/// A clock that goes on a little with every message, and a long while with an empty one.
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

    /// The time of the next message.
    pub(crate) fn tick(&mut self, message: &[u8]) -> Instant {
        self.now += if message.is_empty() {
            Duration::from_secs(7)
        } else {
            Duration::from_millis(100)
        };
        self.now
    }
}
