//! Repeating our requests, and repeating our answers to repeated requests.

use std::time::{Duration, Instant};

use adit_crypto::{Digest, Hash};

use crate::config::Retransmit;

/// Most times that one answer is sent again. A peer that needs more is not receiving at all, and
/// somebody who forges repetitions gets no amplifier.
const MAX_RESENDS: u32 = 10;

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    message: Vec<u8>,
    due: Instant,
    interval: Duration,
    left: u32,
}

/// What a request's timer asks for.
pub(crate) enum Due {
    /// Nothing yet.
    Wait,
    /// Send this again.
    Resend(Vec<u8>),
    /// Give up.
    Exhausted,
}

impl Request {
    pub(crate) fn new(config: &Retransmit, message: Vec<u8>, now: Instant) -> Self {
        Self {
            message,
            due: now + config.first,
            interval: config.first,
            left: config.tries,
        }
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    pub(crate) fn handle_timeout(&mut self, config: &Retransmit, now: Instant) -> Due {
        if now < self.due {
            return Due::Wait;
        }
        if self.left == 0 {
            return Due::Exhausted;
        }
        self.left -= 1;
        self.interval = self.interval.saturating_mul(2).min(config.cap);
        self.due = now + self.interval;
        Due::Resend(self.message.clone())
    }
}

/// The answer to the last message of an exchange, to be sent again when that message comes again.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    request: Digest,
    message: Option<Vec<u8>>,
    left: u32,
}

/// A fingerprint of a received message.
pub(crate) fn fingerprint(message: &[u8]) -> Digest {
    Hash::Sha2_256.digest(&[message])
}

impl Answer {
    /// `message` answers the request of that fingerprint; `None` if nothing is to be sent again.
    pub(crate) fn new(request: Digest, message: Option<Vec<u8>>) -> Self {
        Self {
            request,
            message,
            left: MAX_RESENDS,
        }
    }

    /// The answer is known only now.
    pub(crate) fn set(&mut self, message: Vec<u8>) {
        self.message = Some(message);
    }

    /// Whether `message` is the request that this answers.
    pub(crate) fn is_for(&self, message: &[u8]) -> bool {
        self.request == fingerprint(message)
    }

    /// The answer, once it is known and while it may be sent again.
    pub(crate) fn resend(&mut self) -> Option<Vec<u8>> {
        let message = self.message.as_ref()?;
        self.left = self.left.checked_sub(1)?;
        Some(message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_double_up_to_the_cap_and_end() {
        #[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
        let start = Instant::now();
        let config = Retransmit {
            first: Duration::from_secs(1),
            cap: Duration::from_secs(3),
            tries: 4,
        };
        let mut request = Request::new(&config, vec![1], start);
        let mut at = Vec::new();
        loop {
            let now = request.due();
            assert!(matches!(
                request.handle_timeout(&config, now - Duration::from_millis(1)),
                Due::Wait
            ));
            match request.handle_timeout(&config, now) {
                Due::Resend(message) => {
                    assert_eq!(message, [1]);
                    at.push((now - start).as_secs());
                }
                Due::Exhausted => break assert_eq!((now - start).as_secs(), 12),
                Due::Wait => panic!("due"),
            }
        }
        assert_eq!(at, [1, 3, 6, 9]);
    }

    #[test]
    fn an_answer_is_resent_a_bounded_number_of_times() {
        let mut answer = Answer::new(fingerprint(b"request"), Some(b"answer".to_vec()));
        assert!(answer.is_for(b"request"));
        assert!(!answer.is_for(b"Request"));
        let resent = std::iter::from_fn(|| answer.resend()).count();
        assert_eq!(resent, MAX_RESENDS as usize);
    }

    #[test]
    fn repetitions_before_the_answer_is_known_cost_none_of_it() {
        let mut answer = Answer::new(fingerprint(b"request"), None);
        assert!((0..50).all(|_| answer.resend().is_none()));
        answer.set(b"answer".to_vec());
        let resent = std::iter::from_fn(|| answer.resend()).count();
        assert_eq!(resent, MAX_RESENDS as usize);
    }
}
