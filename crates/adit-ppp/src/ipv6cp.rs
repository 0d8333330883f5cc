//! The options of IPv6CP (RFC 5072 section 4), the same for both roles: an interface identifier
//! that is not zero and not the other end's.

use adit_crypto::Rng;
use adit_wire::Writer;

use crate::automaton::{Context, Judgement, Protocol};
use crate::error::Failure;
use crate::option::{self, Opt};

const INTERFACE_ID: u8 = 1;

/// The universal/local bit: clear in an identifier that is not unique worldwide.
const UNIVERSAL: u64 = 0x02 << 56;

#[derive(Debug)]
pub(crate) struct Ipv6cp {
    local: u64,
    /// For a peer that has none, or ours.
    suggestion: u64,
    peer: u64,
}

/// A random identifier (RFC 5072 4.1, third choice) that is none of `taken`.
fn random_id(taken: [u64; 2], rng: &mut Rng) -> u64 {
    loop {
        let id = rng.u64() & !UNIVERSAL;
        if id != 0 && !taken.contains(&id) {
            return id;
        }
    }
}

impl Ipv6cp {
    /// `local` and `suggestion` are replaced where they are zero or equal.
    pub(crate) fn new(local: u64, suggestion: u64, rng: &mut Rng) -> Self {
        let local = if local == 0 {
            random_id([suggestion, 0], rng)
        } else {
            local
        };
        let mut ipv6cp = Self {
            local,
            suggestion,
            peer: 0,
        };
        ipv6cp.renew_suggestion(rng);
        ipv6cp
    }

    fn renew_suggestion(&mut self, rng: &mut Rng) {
        if self.suggestion == 0 || self.suggestion == self.local {
            self.suggestion = random_id([self.local, 0], rng);
        }
    }

    /// Our identifier and the peer's, once IPv6CP is open.
    pub(crate) fn agreed(&self) -> (u64, u64) {
        (self.local, self.peer)
    }
}

impl Protocol for Ipv6cp {
    const NUMBER: u16 = crate::protocol::IPV6CP;
    const NAME: &'static str = "IPv6CP";
    const NEEDS_NAKED: bool = true;
    const REPEATS: bool = false;

    fn request(&self, to: &mut Writer) {
        option::write(to, INTERFACE_ID, &self.local.to_be_bytes());
    }

    fn judge(
        &mut self,
        judgement: &mut Judgement<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        self.renew_suggestion(context.rng);
        let suggestion = self.suggestion.to_be_bytes();
        let mut named = false;
        for option in judgement.options() {
            match (option.kind, option.array().map(u64::from_be_bytes)) {
                (INTERFACE_ID, Some(id)) => {
                    named = true;
                    if id == 0 || id == self.local {
                        judgement.nak(option, &suggestion);
                    }
                }
                _ => judgement.reject(option),
            }
        }
        if !named {
            judgement.append(INTERFACE_ID, &suggestion);
        }
        Ok(())
    }

    fn accept(&mut self, options: &[Opt<'_>]) {
        let id = options.iter().find(|option| option.kind == INTERFACE_ID);
        self.peer = id.and_then(Opt::array).map_or(0, u64::from_be_bytes);
    }

    fn naked(&mut self, options: &[Opt<'_>], context: &mut Context<'_>) -> Result<(), Failure> {
        let suggested = options.iter().find(|option| option.kind == INTERFACE_ID);
        let Some(suggested) = suggested.and_then(Opt::array).map(u64::from_be_bytes) else {
            return Ok(());
        };
        // RFC 5072 4.1: a suggestion that is no good is answered with a new choice of our own.
        self.local = if suggested == 0 || suggested == self.peer || suggested == self.local {
            random_id([self.local, self.peer], context.rng)
        } else {
            suggested
        };
        Ok(())
    }

    fn rejected(&mut self, _: &[Opt<'_>]) -> Result<(), Failure> {
        Err(Failure::InterfaceIdRejected)
    }
}
