//! An NCP on a link: its automaton, and what became of it.

use std::time::Instant;

use crate::automaton::{Automaton, Context, Input, Protocol, Signal, State};
use crate::error::{Error, Failure};
use crate::event::NcpState;
use crate::packet::Packet;

/// How often all tries begin anew for a peer that has asked for this protocol itself and has been answered:
/// it is not silent, its network loses much. Without that its other end would stay up alone.
const MORE_ROUNDS: u32 = 5;

#[derive(Debug)]
pub(crate) struct Ncp<P> {
    automaton: Automaton<P>,
    /// Of [`MORE_ROUNDS`].
    rounds: u32,
    rejected: bool,
    failure: Option<Failure>,
    /// The owner knows of the above.
    announced: bool,
}

impl<P: Protocol> Ncp<P> {
    pub(crate) fn new(automaton: Automaton<P>) -> Self {
        Self {
            automaton,
            rounds: 0,
            rejected: false,
            failure: None,
            announced: false,
        }
    }

    /// Sends the first Configure-Request.
    pub(crate) fn start(&mut self, context: &mut Context<'_>) {
        let _ = self.automaton.input(Input::Open, context);
        let _ = self.automaton.input(Input::Up, context);
    }

    pub(crate) fn protocol(&self) -> &P {
        &self.automaton.protocol
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.automaton.poll_timeout()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.automaton.is_open()
    }

    /// Whether it will not come up unless the peer begins again, which may be said once.
    pub(crate) fn newly_refused(&mut self) -> bool {
        let refused = self.rejected || self.failure.is_some();
        refused && !std::mem::replace(&mut self.announced, refused)
    }

    /// Whether nothing is to be expected from it any more.
    pub(crate) fn is_over(&self) -> bool {
        let refused = self.rejected || self.failure.is_some();
        refused || matches!(self.automaton.state(), State::Closed | State::Stopped)
    }

    fn has_ended(&self) -> bool {
        matches!(
            self.automaton.state(),
            State::Closed | State::Stopped | State::Closing | State::Stopping
        )
    }

    pub(crate) fn state(&self) -> NcpState {
        match &self.failure {
            _ if self.rejected => NcpState::Rejected,
            Some(failure) => NcpState::Failed(failure.clone()),
            None => NcpState::Running(self.automaton.state()),
        }
    }

    /// A packet; a failed negotiation closes this NCP and nothing else.
    pub(crate) fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> (Option<Signal>, Result<(), Error>) {
        let (signal, result) = match self.automaton.handle_packet(packet, context) {
            Ok(signal) => (signal, Ok(())),
            Err(Error::Failed { protocol, failure }) => {
                let signal = self.fail(failure.clone(), context);
                (signal, Err(Error::Failed { protocol, failure }))
            }
            Err(error) => (None, Err(error)),
        };
        if self.is_open() {
            self.rounds = 0;
        }
        // It may begin again by itself, and then is what it is.
        if !self.has_ended() {
            self.rejected = false;
            self.failure = None;
            self.announced = false;
        }
        (signal, result)
    }

    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) -> Option<Signal> {
        let before = self.automaton.state();
        if before == State::AckSent && self.rounds < MORE_ROUNDS && self.automaton.try_on() {
            self.rounds += 1;
        }
        let signal = self.automaton.handle_timeout(context);
        let negotiating = matches!(before, State::ReqSent | State::AckRcvd | State::AckSent);
        if signal == Some(Signal::Finished) && negotiating {
            self.failure = Some(Failure::NoAnswer);
        }
        signal
    }

    /// Ends the negotiation for a reason that the peer has given.
    pub(crate) fn fail(&mut self, failure: Failure, context: &mut Context<'_>) -> Option<Signal> {
        let input = match failure {
            Failure::CodeRejected(_) => Input::RxjBad,
            _ => Input::Close,
        };
        self.failure = Some(failure);
        self.automaton.input(input, context)
    }

    /// The peer does not know this protocol (RFC 1661 5.7).
    pub(crate) fn reject(&mut self, context: &mut Context<'_>) -> Option<Signal> {
        self.rejected = true;
        self.automaton.input(Input::RxjBad, context)
    }

    /// LCP is open no longer, or the link is over.
    pub(crate) fn lower_down(&mut self, context: &mut Context<'_>) -> Option<Signal> {
        self.automaton.input(Input::Down, context)
    }
}
