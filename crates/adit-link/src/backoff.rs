//! Retransmission times (RFC 8415 15), which RFC 7559 also takes for Router Solicitations.

use std::time::Duration;

use adit_crypto::Rng;

/// Doubles its interval up to a cap, each with up to a tenth of jitter either way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    cap: Duration,
    previous: Option<Duration>,
}

impl Backoff {
    pub(crate) fn new(initial: Duration, cap: Duration) -> Self {
        Self {
            initial,
            cap,
            previous: None,
        }
    }

    /// The time from the message sent now to the next.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Duration {
        let base = match self.previous {
            None => self.initial,
            Some(previous) => previous.saturating_mul(2).min(self.cap),
        };
        let interval = base * (900 + rng.below(201)) / 1000;
        self.previous = Some(interval);
        interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_with_jitter_up_to_the_cap() {
        let mut rng = Rng::from_seed([7; 32]);
        let mut backoff = Backoff::new(Duration::from_secs(4), Duration::from_secs(3600));
        let mut expected = 4000.0;
        for round in 0..20 {
            let got = backoff.next(&mut rng).as_secs_f64() * 1000.0;
            assert!(
                (expected * 0.899..=expected * 1.101).contains(&got),
                "round {round}: {got}"
            );
            expected = (got * 2.0_f64).min(3_600_000.0);
        }
        assert!(backoff.next(&mut rng) >= Duration::from_secs(3240));
    }
}
