//! LCP echo as a watch on an idle link (RFC 1661 5.8): whatever the peer sends is a sign of life,
//! and only silence is asked about.

use std::time::Instant;

use crate::config::Echo;

#[derive(Debug)]
pub(crate) struct Watch {
    config: Option<Echo>,
    running: bool,
    heard: Instant,
    asked: Instant,
    unanswered: u32,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ask,
    Dead,
}

impl Watch {
    pub(crate) fn new(config: Option<Echo>, now: Instant) -> Self {
        Self {
            config,
            running: false,
            heard: now,
            asked: now,
            unanswered: 0,
        }
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.running = true;
        self.heard = now;
        self.unanswered = 0;
    }

    pub(crate) fn stop(&mut self) {
        self.running = false;
    }

    /// Something arrived at `at`, which may be in the past.
    pub(crate) fn heard(&mut self, at: Instant) {
        self.heard = self.heard.max(at);
        if self.heard >= self.asked {
            self.unanswered = 0;
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let since = if self.unanswered == 0 {
            self.heard
        } else {
            self.asked
        };
        self.config
            .filter(|_| self.running)
            .map(|echo| since + echo.interval)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Due {
        let Some(echo) = self.config else {
            return Due::Nothing;
        };
        if self.poll_timeout().is_none_or(|at| now < at) {
            return Due::Nothing;
        }
        if self.unanswered >= echo.failures {
            self.running = false;
            return Due::Dead;
        }
        self.unanswered += 1;
        self.asked = now;
        Due::Ask
    }
}
