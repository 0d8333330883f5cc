//! Counters of one SA.

/// What one SA has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages received, of any worth.
    pub received: u64,
    /// Messages sent, repetitions included.
    pub sent: u64,
    /// Fragments among what was received.
    pub fragments_received: u64,
    /// Messages put together from fragments.
    pub reassembled: u64,
    /// Fragments that were malformed, or contradicted others.
    pub bad_fragments: u64,
    /// Fragments in which messages were sent.
    pub fragments_sent: u64,
    /// Malformed messages.
    pub malformed: u64,
    /// Messages whose hash does not hold, or that are not encrypted where they must be.
    pub not_authentic: u64,
    /// Notifications in the clear that were ignored.
    pub plain_notifies: u64,
    /// Messages of phase 2 before phase 1 was done.
    pub premature: u64,
    /// Messages of unsupported exchanges or out of place.
    pub unexpected: u64,
    /// Repeated messages.
    pub duplicates: u64,
    /// Answers sent again because of them.
    pub answers_resent: u64,
    /// Our own requests sent again.
    pub retransmitted: u64,
    /// Message IDs used before.
    pub replayed: u64,
    /// Messages dropped because of a limit.
    pub over_limit: u64,
    /// Quick Modes refused for their proposals or selectors.
    pub quick_modes_refused: u64,
    /// Pairs of ESP SAs made.
    pub children: u64,
    /// R-U-THERE sent.
    pub dpd_sent: u64,
    /// R-U-THERE answered.
    pub dpd_answered: u64,
    /// Diffie-Hellman values that were not valid.
    pub bad_public_values: u64,
}
