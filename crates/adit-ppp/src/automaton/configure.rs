//! Configure-Request and the three answers to it (RFC 1661 5.1 to 5.4), judged before the table is
//! asked.

use super::{Automaton, Cause, Context, Input, Judgement, Protocol, Refusals, State};
use crate::error::{Error, Failure};
use crate::option;
use crate::packet::{Packet, code};

impl<P: Protocol> Automaton<P> {
    pub(super) fn configure_request(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<(Input, Cause<'static>), Error> {
        let options = option::parse(packet.data).inspect_err(|_| context.stats.bad_options += 1)?;
        let id = packet.id;
        // States in which the answer would not be sent must not learn from the request either.
        if matches!(self.state, State::Closed | State::Closing | State::Stopping) {
            return Ok((
                Input::RcrGood,
                Cause {
                    id,
                    ..Cause::default()
                },
            ));
        }
        let mut judgement = Judgement::new(&options);
        self.protocol
            .judge(&mut judgement, context)
            .map_err(|failure| self.failed(failure))?;
        let mut answer = judgement.answer();
        let most = self.restart.max_configure;
        let round = u32::from(
            answer.0 != code::CONFIGURE_ACK && !self.refusals.is_repeat(packet.bytes, most),
        );
        let naks = self.refusals.naks + round;
        if answer.0 == code::CONFIGURE_NAK && naks > self.restart.max_failure {
            // RFC 1661 4.6: naked options are rejected from here on, where there is a default to
            // fall back to.
            if P::NEEDS_NAKED || judgement.naked().is_empty() {
                return Err(self.failed(Failure::NoConvergence(self.restart.max_failure)));
            }
            answer = (code::CONFIGURE_REJECT, judgement.naked().to_vec());
        }
        let input = match answer.0 {
            code::CONFIGURE_ACK => {
                answer.1 = packet.data.to_vec();
                self.refusals = Refusals::default();
                self.protocol.accept(&options);
                Input::RcrGood
            }
            code::CONFIGURE_NAK => {
                context.stats.naks_sent += 1;
                self.refusals.naks = naks;
                Input::RcrBad
            }
            _ => {
                context.stats.rejects_sent += 1;
                self.refusals.rejects += round;
                // Rejects shorten the list, so a peer that needs so many does not listen.
                if self.refusals.rejects > 2 * self.restart.max_failure {
                    return Err(self.failed(Failure::NoConvergence(self.refusals.rejects)));
                }
                Input::RcrBad
            }
        };
        let answer = Some(answer);
        Ok((
            input,
            Cause {
                id,
                answer,
                ..Cause::default()
            },
        ))
    }

    pub(super) fn configure_answer(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<(Input, Cause<'static>), Error> {
        let options = option::parse(packet.data).inspect_err(|_| context.stats.bad_options += 1)?;
        let (code, id) = (packet.code, packet.id);
        let unmatched = Error::Unmatched { code, id };
        // In the states without a request there is nothing to match; the table answers.
        if matches!(
            self.state,
            State::Closed | State::Stopped | State::Closing | State::Stopping
        ) {
            return Ok((
                Input::Rca,
                Cause {
                    id,
                    ..Cause::default()
                },
            ));
        }
        // Every request is answered once: what comes for the second time is a duplicate made on
        // the way, not the crossed connection of RFC 1661 4.1 note x.
        let Some((_, asked)) = self.request.take_if(|(asked, _)| *asked == id) else {
            context.stats.unmatched += 1;
            return Err(unmatched);
        };
        let known = option::parse(&asked).unwrap_or_default();
        let fits = match code {
            code::CONFIGURE_ACK => packet.data == asked,
            // RFC 1661 5.4: rejected options come back unchanged.
            code::CONFIGURE_REJECT => {
                !options.is_empty() && options.iter().all(|option| known.contains(option))
            }
            _ => !options.is_empty(),
        };
        if !fits {
            self.request = Some((id, asked));
            context.stats.unmatched += 1;
            return Err(unmatched);
        }
        let result = match code {
            code::CONFIGURE_ACK => {
                self.naks_received = 0;
                self.acks_received += 1;
                // Each of them begins the counting of requests anew (RFC 1661 4.1), which a peer
                // that never asks for anything itself would make endless.
                if self.acks_received <= self.restart.max_configure.max(1) {
                    return Ok((Input::Rca, Cause::default()));
                }
                Err(Failure::NoRequest)
            }
            code::CONFIGURE_REJECT => self.protocol.rejected(&options),
            _ => {
                self.naks_received += 1;
                if self.naks_received > self.restart.max_failure {
                    Err(Failure::NoConvergence(self.restart.max_failure))
                } else {
                    self.protocol.naked(&options, context)
                }
            }
        };
        result.map_err(|failure| self.failed(failure))?;
        Ok((Input::Rcn, Cause::default()))
    }
}
