//! What an operator can set about L2TP.

use std::time::Duration;

use crate::manner::Manner;
use crate::secret::Secret;

/// Settings shared by all tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our Host Name AVP; not empty, at most 255 bytes of it are sent.
    pub host_name: String,
    /// Our Vendor Name AVP; left out when empty.
    pub vendor_name: String,
    /// Control messages that we hold ahead of a missing one, and announce as Receive Window Size.
    /// Zero counts as 1.
    pub receive_window: u16,
    /// How long neither control nor data may come from the peer before a HELLO asks after it;
    /// zero for never.
    pub hello_idle: Duration,
    /// Wait before the first retransmission (RFC 2661 5.8: 1 s), at least 1 ms; each further wait
    /// is twice as long.
    pub retransmit_first: Duration,
    /// The longest wait between retransmissions (RFC 2661 5.8: no less than 8 s); at least the
    /// first.
    pub retransmit_cap: Duration,
    /// Retransmissions of one message before the peer counts as gone.
    pub retransmit_tries: u32,
    /// The same for a HELLO, which nothing waits for: a phone that sleeps answers late.
    pub hello_tries: u32,
    /// How long a tunnel, and a session, may take from its first message to being established.
    pub setup_timeout: Duration,
    /// Sessions on one tunnel.
    pub max_sessions: u16,
    /// The secret shared with all peers (RFC 2661 5.1.1); one for a single peer goes to
    /// [`Tunnel::with_secret`](crate::Tunnel::with_secret).
    pub secret: Option<Secret>,
    /// Whether peers must prove that they know the secret, if there is one. Ours is proved to
    /// every peer that asks.
    pub challenge: bool,
    /// Whether AVPs are hidden (RFC 2661 4.3), if there is a secret. Hidden AVPs of the peer are
    /// read in any case.
    pub hide: bool,
    /// Whether a LAC wants a single tunnel, should the peer open one at the same time (RFC 2661
    /// 4.4.3, Tie Breaker).
    pub tie_breaker: bool,
    /// Whether a LAC demands sequence numbers in data messages (RFC 2661 5.4).
    pub sequencing: bool,
    /// How a LAC words what it says.
    pub manner: Manner,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host_name: "adit".into(),
            vendor_name: "adit".into(),
            receive_window: 8,
            hello_idle: Duration::from_secs(60),
            retransmit_first: Duration::from_secs(1),
            retransmit_cap: Duration::from_secs(8),
            retransmit_tries: 8,
            // Four and a half minutes, so that LCP echo is as patient as this.
            hello_tries: 35,
            setup_timeout: Duration::from_secs(60),
            max_sessions: 16,
            secret: None,
            challenge: true,
            hide: false,
            tie_breaker: false,
            sequencing: false,
            manner: Manner::OWN,
        }
    }
}

impl Config {
    /// The time from a message's first transmission until its sender gives up: how long a peer may
    /// still retransmit after the answer to it was lost (RFC 2661 5.7).
    pub fn retransmission_cycle(&self) -> Duration {
        let mut wait = self.first_wait();
        let mut cycle = wait;
        let mut tries = self.retransmit_tries;
        while tries > 0 && wait < self.longest_wait() {
            wait = wait.saturating_mul(2).min(self.longest_wait());
            cycle = cycle.saturating_add(wait);
            tries -= 1;
        }
        cycle.saturating_add(wait.saturating_mul(tries))
    }

    /// The first wait as it is kept: with none, all repetitions would go out at once.
    pub(crate) fn first_wait(&self) -> Duration {
        self.retransmit_first.max(Duration::from_millis(1))
    }

    /// The longest wait as it is kept.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.retransmit_cap.max(self.first_wait())
    }

    /// The receive window as it is announced and kept.
    pub(crate) fn window(&self) -> u16 {
        self.receive_window.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cycle_is_the_sum_of_all_waits() {
        let config = Config {
            retransmit_tries: 5,
            ..Config::default()
        };
        // 1 + 2 + 4 + 8 + 8 + 8
        assert_eq!(config.retransmission_cycle(), Duration::from_secs(31));
        let hasty = Config {
            retransmit_tries: 4,
            retransmit_first: Duration::ZERO,
            retransmit_cap: Duration::ZERO,
            ..Config::default()
        };
        assert_eq!(hasty.retransmission_cycle(), Duration::from_millis(5));
    }
}
