//! What takes too long for the thread that moves packets: Diffie-Hellman, signatures and chains of
//! certificates.

use std::time::Duration;

use adit_crypto::{BadPublicValue, PrivateValue, SharedSecret};

use crate::proof::{Proof, Proven};

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
    purpose: Purpose,
    task: Task,
}

enum Task {
    Agree {
        private: PrivateValue,
        public: bool,
        peer: Option<Vec<u8>>,
    },
    Prove(Box<Proof>),
}

/// The outcome of a [`Job`], for the SA that it came from.
pub struct JobDone {
    pub(crate) purpose: Purpose,
    pub(crate) outcome: Outcome,
}

/// See [`JobDone`].
pub(crate) enum Outcome {
    /// Of Diffie-Hellman.
    Agreed(Agreed),
    /// Of signing and verifying.
    Proven(Proven),
}

/// The outcome of Diffie-Hellman.
pub(crate) struct Agreed {
    pub(crate) private: PrivateValue,
    pub(crate) public: Option<Vec<u8>>,
    pub(crate) shared: Option<Result<SharedSecret, BadPublicValue>>,
}

impl Job {
    /// Diffie-Hellman: our public value if `public`, and the shared secret if there is the peer's.
    pub(crate) fn agree(
        purpose: Purpose,
        private: PrivateValue,
        public: bool,
        peer: Option<Vec<u8>>,
    ) -> Self {
        let task = Task::Agree {
            private,
            public,
            peer,
        };
        Self { purpose, task }
    }

    /// Signing and verifying, of phase 1.
    pub(crate) fn prove(proof: Proof) -> Self {
        Self {
            purpose: Purpose::Phase1,
            task: Task::Prove(Box::new(proof)),
        }
    }

    /// Computes; takes milliseconds. `unix` is the wall clock since the Unix epoch, by which
    /// certificates are judged.
    pub fn run(self, unix: Duration) -> JobDone {
        let outcome = match self.task {
            Task::Agree {
                private,
                public,
                peer,
            } => Outcome::Agreed(Agreed {
                public: public.then(|| private.public()),
                shared: peer.as_deref().map(|peer| private.agree(peer)),
                private,
            }),
            Task::Prove(proof) => Outcome::Proven(proof.run(unix)),
        };
        JobDone {
            purpose: self.purpose,
            outcome,
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
