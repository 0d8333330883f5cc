//! Tunnel authentication (RFC 2661 5.1.1) and the breaking of ties (section 4.4.3): what each end
//! of the tunnel must know and say before it is established.

use adit_crypto::Rng;
use zeroize::Zeroizing;

use crate::build::{Hiding, Opening};
use crate::config::Config;
use crate::error::Fault;
use crate::message::{Message, MessageType};
use crate::secret::Secret;

pub(super) struct Auth {
    pub(super) secret: Option<Secret>,
    /// What we want the peer to answer.
    challenge: Option<Zeroizing<Vec<u8>>>,
    tie_breaker: Option<[u8; 8]>,
    /// The peer has proved that it knows the secret.
    pub(super) peer_proved: bool,
}

/// Whose control connection is the one, when both ends open one at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// Neither end wants a single tunnel.
    Two,
    Ours,
    Theirs,
    /// Equal: both must go.
    Neither,
}

impl Auth {
    pub(super) fn new(secret: Option<Secret>) -> Self {
        Self {
            secret,
            challenge: None,
            tie_breaker: None,
            peer_proved: false,
        }
    }

    /// Draws what our SCCRQ says.
    pub(super) fn open(&mut self, config: &Config, rng: &mut Rng) {
        self.tie_breaker = config.tie_breaker.then(|| rng.array());
        self.draw_challenge(config, rng);
    }

    /// Draws what our SCCRP says. Whatever our own SCCRQ said is void.
    pub(super) fn reply(&mut self, config: &Config, rng: &mut Rng) {
        self.tie_breaker = None;
        self.draw_challenge(config, rng);
    }

    /// What has been drawn, for SCCRQ and SCCRP.
    pub(super) fn opening(&self, tunnel: u16, response: Option<[u8; 16]>) -> Opening<'_> {
        Opening {
            tunnel,
            tie_breaker: self.tie_breaker,
            challenge: self
                .challenge
                .as_ref()
                .map(|challenge| challenge.as_slice()),
            response,
        }
    }

    fn draw_challenge(&mut self, config: &Config, rng: &mut Rng) {
        if config.challenge && self.secret.is_some() {
            let len = usize::from(config.manner.challenge_len.max(16));
            let mut challenge = Zeroizing::new(vec![0; len]);
            rng.fill(&mut challenge);
            self.challenge = Some(challenge);
        }
    }

    /// The response to the peer's Challenge, in a message of that type.
    pub(super) fn response(
        &self,
        message: MessageType,
        challenge: Option<&[u8]>,
    ) -> Option<[u8; 16]> {
        Some(self.secret.as_ref()?.response(message, challenge?))
    }

    /// Why an SCCRQ, SCCRP or SCCCN is not authentic enough.
    pub(super) fn check(&mut self, kind: MessageType, message: &Message) -> Result<(), Fault> {
        if message.challenge.is_some() && self.secret.is_none() {
            return Err(Fault::Challenge);
        }
        let (Some(secret), Some(challenge), MessageType::Sccrp | MessageType::Scccn) =
            (&self.secret, &self.challenge, kind)
        else {
            return Ok(());
        };
        let response = message
            .challenge_response
            .ok_or(Fault::NoChallengeResponse(kind))?;
        if !secret.verify(kind, challenge, &response) {
            return Err(Fault::WrongChallengeResponse(kind));
        }
        self.peer_proved = true;
        Ok(())
    }

    /// Who wins against an SCCRQ with that Tie Breaker: the lower value, and any value over none.
    pub(super) fn tie(&self, theirs: Option<[u8; 8]>) -> Tie {
        match (self.tie_breaker, theirs) {
            (None, None) => Tie::Two,
            (Some(_), None) => Tie::Ours,
            (None, Some(_)) => Tie::Theirs,
            (Some(ours), Some(theirs)) => match ours.cmp(&theirs) {
                std::cmp::Ordering::Less => Tie::Ours,
                std::cmp::Ordering::Equal => Tie::Neither,
                std::cmp::Ordering::Greater => Tie::Theirs,
            },
        }
    }

    /// What the AVPs of the next message are hidden with.
    pub(super) fn hiding(&self, config: &Config, rng: &mut Rng) -> Hiding<'_> {
        let secret = self.secret.as_ref().filter(|_| config.hide)?;
        Some((secret, rng.array()))
    }
}
