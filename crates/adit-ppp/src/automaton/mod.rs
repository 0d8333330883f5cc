//! The option negotiation automaton of RFC 1661 section 4, shared by LCP, IPCP and IPv6CP. It
//! holds states, restart timer and counters; what the options mean is its [`Protocol`]'s. Its
//! table is in one place, `table`.

mod configure;
mod protocol;
mod table;

use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_wire::{Queue, Writer};

use crate::config::Restart;
use crate::error::{Error, Failure};
use crate::frame::control_frame;
use crate::packet::{HEADER_LEN, Packet, build, code};
use crate::stats::Stats;

pub(crate) use protocol::{Judgement, Protocol};
pub(crate) use table::Input;
pub use table::State;
use table::{Action, transition};

/// How long an answer may be on its way to us in the ordinary run of things.
const ANSWER_TIME: Duration = Duration::from_millis(300);

/// What every step of a machine is given.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a mut Rng,
    pub(crate) out: &'a mut Queue<Vec<u8>>,
    pub(crate) stats: &'a mut Stats,
    /// Largest packet that the peer takes.
    pub(crate) peer_mru: usize,
    /// The next identifier of a client whose protocols count together.
    pub(crate) shared_id: Option<&'a mut u8>,
}

impl Context<'_> {
    pub(crate) fn send(&mut self, protocol: u16, packet: &[u8]) {
        self.stats.sent += 1;
        self.out.push_back(control_frame(protocol, packet));
    }
}

/// What a step means to the layers above; no step means two of them (RFC 1661 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// This layer is open.
    Up,
    /// This layer is open no longer.
    Down,
    /// This layer has given up or been closed.
    Finished,
}

/// The negative answers to the peer's requests since the last good one.
#[derive(Clone, Debug, Default)]
struct Refusals {
    naks: u32,
    rejects: u32,
    /// The latest request that was refused, and how often it has come again: as long as our answer
    /// may be lost, that is no new round of the negotiation.
    latest: Vec<u8>,
    repeats: u32,
}

impl Refusals {
    fn is_repeat(&mut self, request: &[u8], most: u32) -> bool {
        if self.latest == request && self.repeats < most {
            self.repeats += 1;
            return true;
        }
        self.latest = request.to_vec();
        self.repeats = 0;
        false
    }
}

#[derive(Debug)]
pub(crate) struct Automaton<P> {
    pub(crate) protocol: P,
    state: State,
    restart: Restart,
    /// Restart counter: transmissions left.
    counter: u32,
    deadline: Option<Instant>,
    next_id: u8,
    /// Identifier and options of the Configure-Request that has no answer yet.
    request: Option<(u8, Vec<u8>)>,
    refusals: Refusals,
    /// Configure-Naks that the peer has sent since it last agreed.
    naks_received: u32,
    /// Configure-Acks that the peer has sent since this layer was last up.
    acks_received: u32,
    /// The peer has sent a Configure-Request.
    peer_asked: bool,
    /// When our request goes out once more because the peer may not have listened before.
    repeat_at: Option<Instant>,
    /// Identifier of a request that was sent twice in a row, and may be answered twice.
    repeated: Option<u8>,
}

/// What an action may need from the packet that caused it.
#[derive(Default)]
struct Cause<'a> {
    id: u8,
    /// Code and options of the answer to a Configure-Request.
    answer: Option<(u8, Vec<u8>)>,
    /// A packet with an unknown code.
    unknown: &'a [u8],
}

impl<P: Protocol> Automaton<P> {
    /// `first_id` is the identifier of the first packet; `None`: a random one.
    pub(crate) fn new(protocol: P, restart: Restart, first_id: Option<u8>, rng: &mut Rng) -> Self {
        Self {
            protocol,
            state: State::Initial,
            restart,
            counter: 0,
            deadline: None,
            // A late answer to an earlier automaton of the same protocol shall not match.
            next_id: first_id.unwrap_or_else(|| rng.array::<1>()[0]),
            request: None,
            refusals: Refusals::default(),
            naks_received: 0,
            acks_received: 0,
            peer_asked: false,
            repeat_at: None,
            repeated: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Opened
    }

    /// Whether an Echo-Request is to be answered now.
    pub(crate) fn replies(&self) -> bool {
        transition(self.state, Input::Rxr)
            .is_some_and(|(actions, _)| actions.contains(&Action::Ser))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.repeat_at).min()
    }

    /// A fresh identifier for a packet beside the negotiation.
    pub(crate) fn fresh_id(&mut self, context: &mut Context<'_>) -> u8 {
        let next = context
            .shared_id
            .as_deref_mut()
            .unwrap_or(&mut self.next_id);
        let id = *next;
        *next = id.wrapping_add(1);
        id
    }

    /// An event that is no packet: Up, Down, Open, Close, RXJ+, RXJ-.
    pub(crate) fn input(&mut self, input: Input, context: &mut Context<'_>) -> Option<Signal> {
        self.step(input, Cause::default(), context)
    }

    /// Gives all tries anew if none is left. True if so.
    pub(crate) fn try_on(&mut self) -> bool {
        let none_left = self.counter == 0;
        if none_left {
            self.counter = self.restart.max_configure;
        }
        none_left
    }

    pub(crate) fn handle_timeout(&mut self, context: &mut Context<'_>) -> Option<Signal> {
        self.repeat_if_due(context);
        if self.deadline.is_none_or(|deadline| context.now < deadline) {
            return None;
        }
        self.deadline = None;
        if self.counter > 0 {
            context.stats.retransmitted += 1;
            self.step(Input::TimeoutMore, Cause::default(), context)
        } else {
            self.step(Input::TimeoutLast, Cause::default(), context)
        }
    }

    /// A packet with one of the codes 1 to 7, or with one that nobody knows. `Failed` asks the
    /// owner to close the automaton.
    pub(crate) fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<Option<Signal>, Error> {
        if matches!(self.state, State::Initial | State::Starting) {
            context.stats.early += 1;
            return Ok(None);
        }
        let (input, cause) = match packet.code {
            code::CONFIGURE_REQUEST => {
                let judged = self.configure_request(packet, context)?;
                self.repeat_request(context);
                judged
            }
            code::CONFIGURE_ACK | code::CONFIGURE_NAK | code::CONFIGURE_REJECT => {
                if self.is_second_answer(packet.id) {
                    return Ok(None);
                }
                self.configure_answer(packet, context)?
            }
            code::TERMINATE_REQUEST => (
                Input::Rtr,
                Cause {
                    id: packet.id,
                    ..Cause::default()
                },
            ),
            code::TERMINATE_ACK => (Input::Rta, Cause::default()),
            code::CODE_REJECT => {
                context.stats.rejects_received += 1;
                let Some(rejected) = packet.data.first() else {
                    context.stats.malformed += 1;
                    return Err(Error::Malformed("Code-Reject"));
                };
                // Without these there is no automaton (RFC 1661 4.3).
                if (code::CONFIGURE_REQUEST..=code::CODE_REJECT).contains(rejected) {
                    return Err(self.failed(Failure::CodeRejected(*rejected)));
                }
                (Input::RxjGood, Cause::default())
            }
            _ => (
                Input::Ruc,
                Cause {
                    unknown: packet.bytes,
                    ..Cause::default()
                },
            ),
        };
        Ok(self.step(input, cause, context))
    }

    fn failed(&self, failure: Failure) -> Error {
        Error::Failed {
            protocol: P::NAME,
            failure,
        }
    }

    fn step(
        &mut self,
        input: Input,
        mut cause: Cause<'_>,
        context: &mut Context<'_>,
    ) -> Option<Signal> {
        let (actions, next) = transition(self.state, input)?;
        let mut signal = None;
        for action in actions {
            match action {
                Action::Tlu => {
                    signal = Some(Signal::Up);
                    self.acks_received = 0;
                }
                Action::Tld => {
                    signal = Some(Signal::Down);
                    self.request = None;
                    self.naks_received = 0;
                    self.acks_received = 0;
                }
                Action::Tlf => signal = Some(Signal::Finished),
                Action::Tls => {}
                Action::Irc => {
                    self.counter = if actions.contains(&Action::Str) {
                        self.restart.max_terminate
                    } else {
                        self.restart.max_configure
                    };
                }
                Action::Zrc => {
                    self.counter = 0;
                    self.start_timer(context);
                }
                Action::Scr => self.send_request(context),
                Action::Sca | Action::Scn => {
                    if let Some((code, options)) = cause.answer.take() {
                        context.send(P::NUMBER, &build(code, cause.id, &options));
                    }
                }
                Action::Str => {
                    self.counter = self.counter.saturating_sub(1);
                    self.start_timer(context);
                    self.request = None;
                    let id = self.fresh_id(context);
                    let reason = self.protocol.farewell();
                    context.send(P::NUMBER, &build(code::TERMINATE_REQUEST, id, &reason));
                }
                Action::Sta => {
                    context.send(P::NUMBER, &build(code::TERMINATE_ACK, cause.id, &[]));
                }
                Action::Scj => {
                    context.stats.code_rejects_sent += 1;
                    let id = self.fresh_id(context);
                    let room = context.peer_mru.saturating_sub(HEADER_LEN);
                    let copy = cause.unknown.get(..room).unwrap_or(cause.unknown);
                    context.send(P::NUMBER, &build(code::CODE_REJECT, id, copy));
                }
                // Echo-Replies are LCP's own and built there.
                Action::Ser => {}
            }
        }
        self.state = next;
        let timed = matches!(
            next,
            State::Closing | State::Stopping | State::ReqSent | State::AckRcvd | State::AckSent
        );
        if !timed {
            self.deadline = None;
            self.repeat_at = None;
        } else if self.deadline.is_none() {
            self.start_timer(context);
        }
        signal
    }

    fn start_timer(&mut self, context: &Context<'_>) {
        self.deadline = Some(context.now + self.restart.timer);
    }

    /// Sends a Configure-Request. One that has no answer yet keeps its identifier when it is
    /// repeated, so that a late answer still counts.
    fn send_request(&mut self, context: &mut Context<'_>) {
        self.counter = self.counter.saturating_sub(1);
        self.start_timer(context);
        self.repeat_at = None;
        let mut options = Writer::new();
        self.protocol.request(&mut options);
        let options = options.into_vec();
        let id = match &self.request {
            Some((id, before)) if *before == options => *id,
            _ => self.fresh_id(context),
        };
        context.send(P::NUMBER, &build(code::CONFIGURE_REQUEST, id, &options));
        self.request = Some((id, options));
    }

    /// The peer's first request shows that it listens now. A request of ours that it has not
    /// answered may have come too early for it, so it goes out once more, unchanged and beside
    /// timer and counter: at once, and before our answer, so that the peer cannot be open when it
    /// arrives; or, where the peer's answer may still be on its way, when that has had its time.
    fn repeat_request(&mut self, context: &mut Context<'_>) {
        if std::mem::replace(&mut self.peer_asked, true) || !P::REPEATS {
            return;
        }
        if let (State::ReqSent, Some(deadline)) = (self.state, self.deadline) {
            self.repeat_at = Some(deadline - self.restart.timer + ANSWER_TIME);
            self.repeat_if_due(context);
        }
    }

    fn repeat_if_due(&mut self, context: &mut Context<'_>) {
        if self.repeat_at.take_if(|at| *at <= context.now).is_none() {
            return;
        }
        let unanswered = matches!(self.state, State::ReqSent | State::AckSent);
        if let (true, Some((id, options))) = (unanswered, &self.request) {
            context.stats.retransmitted += 1;
            self.repeated = Some(*id);
            context.send(P::NUMBER, &build(code::CONFIGURE_REQUEST, *id, options));
        }
    }

    fn is_second_answer(&mut self, id: u8) -> bool {
        let outstanding = self.request.as_ref().is_some_and(|(asked, _)| *asked == id);
        !outstanding && self.repeated.take_if(|repeated| *repeated == id).is_some()
    }
}
