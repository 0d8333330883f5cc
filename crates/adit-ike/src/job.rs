//! Diffie-Hellman, which takes too long for the thread that moves packets.

use std::time::Duration;

use adit_crypto::{BadPublicValue, PrivateValue, SharedSecret};

/// What a computation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Phase 1.
    Phase1,
    /// The Quick Mode of this message ID.
    Quick(u32),
}

/// A computation to be run on another thread.
pub struct Job {
    pub(crate) purpose: Purpose,
    pub(crate) private: PrivateValue,
    /// Whether the public value is wanted.
    pub(crate) public: bool,
    /// The peer's public value, if the shared secret is wanted.
    pub(crate) peer: Option<Vec<u8>>,
}

/// The outcome of a [`Job`], for the SA that it came from.
pub struct JobDone {
    pub(crate) purpose: Purpose,
    pub(crate) private: PrivateValue,
    pub(crate) public: Option<Vec<u8>>,
    pub(crate) shared: Option<Result<SharedSecret, BadPublicValue>>,
}

impl Job {
    /// Computes; takes milliseconds. `_unix` is the wall clock since the Unix epoch, by which
    /// certificates are judged.
    pub fn run(self, _unix: Duration) -> JobDone {
        JobDone {
            purpose: self.purpose,
            public: self.public.then(|| self.private.public()),
            shared: self.peer.as_deref().map(|peer| self.private.agree(peer)),
            private: self.private,
        }
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for JobDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobDone")
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}
