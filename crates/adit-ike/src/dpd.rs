//! When to ask a silent peer whether it lives, RFC 3706 section 5. Any authentic message of the
//! peer is a sign of life, its ESP traffic included.

use std::time::Instant;

use crate::config::Dpd;

/// The watch over one peer.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    config: Dpd,
    last_heard: Instant,
    /// Questions since then, and when to ask again.
    asked: u32,
    ask_again: Instant,
    sequence: u32,
}

/// What the timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing yet.
    Wait,
    /// Send R-U-THERE with this sequence number.
    Ask(u32),
    /// This many questions went unanswered.
    Dead(u32),
}

impl Watch {
    /// `sequence` is where the numbers start, to be drawn at random (RFC 3706 section 6.2).
    pub(crate) fn new(config: Dpd, sequence: u32, now: Instant) -> Self {
        Self {
            config,
            last_heard: now,
            asked: 0,
            ask_again: now,
            // The first bit is clear so that the numbers do not wrap.
            sequence: sequence >> 1,
        }
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.asked = 0;
    }

    /// Whether this is the number of a question that waits for its answer.
    pub(crate) fn is_answer(&self, sequence: u32) -> bool {
        self.sequence.wrapping_sub(sequence) < self.asked
    }

    pub(crate) fn due(&self) -> Instant {
        if self.asked == 0 {
            self.last_heard + self.config.idle
        } else {
            self.ask_again
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Action {
        if now < self.due() {
            return Action::Wait;
        }
        if self.asked >= self.config.tries {
            return Action::Dead(self.asked);
        }
        self.asked += 1;
        self.ask_again = now + self.config.retry;
        self.sequence = self.sequence.wrapping_add(1);
        Action::Ask(self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
    fn asks_when_idle_and_gives_up_after_its_tries() {
        let start = Instant::now();
        let seconds = |n| start + Duration::from_secs(n);
        let config = Dpd {
            idle: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            tries: 2,
        };
        let mut watch = Watch::new(config, 7, start);
        assert_eq!(watch.handle_timeout(seconds(9)), Action::Wait);
        watch.heard(seconds(5));
        assert_eq!(watch.due(), seconds(15));
        assert_eq!(watch.handle_timeout(seconds(15)), Action::Ask(4));
        assert!(watch.is_answer(4) && !watch.is_answer(3) && !watch.is_answer(5));
        assert_eq!(watch.handle_timeout(seconds(16)), Action::Wait);
        assert_eq!(watch.handle_timeout(seconds(17)), Action::Ask(5));
        assert!(watch.is_answer(4) && watch.is_answer(5));
        assert_eq!(watch.handle_timeout(seconds(19)), Action::Dead(2));
        watch.heard(seconds(19));
        assert!(!watch.is_answer(5));
        assert_eq!(watch.handle_timeout(seconds(20)), Action::Wait);
    }
}
