//! One ISAKMP SA: what is shared by its exchanges, and the way in and out.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use adit_crypto::Rng;
use adit_wire::{Path, Queue, Transmit};

use crate::codec::{Delete, FragmentError, Header, IdValue, exchange, kind, parse_header};
use crate::config::Config;
use crate::credentials::{Credentials, Psk};
use crate::dpd::Watch;
use crate::error::{Error, Refusal};
use crate::event::{CloseReason, Event};
use crate::exchange::Keys;
use crate::fragment::{self, Reassembly};
use crate::job::{Job, JobDone, Outcome, Purpose};
use crate::nat::NatTVersion;
use crate::phase1::Negotiation;
use crate::quick::Quick;
use crate::retransmit::Answer;
use crate::stats::Stats;
use crate::vendor::ClientKind;

/// Which end of phase 1 this is. Either may start Quick Modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sent the first message.
    Initiator,
    /// Answered it.
    Responder,
}

/// The exchange that an initiator uses for phase 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Main mode, which protects the identities.
    #[default]
    Main,
    /// Aggressive mode, for a pre-shared key that the responder finds by our identity.
    Aggressive,
}

impl Mode {
    /// Its exchange type (RFC 2409 Appendix A).
    pub(crate) fn exchange(self) -> u8 {
        match self {
            Self::Main => exchange::MAIN,
            Self::Aggressive => exchange::AGGRESSIVE,
        }
    }
}

/// How an initiator introduces itself.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Who we say we are. Where a certificate is used, its subject takes the place of an address.
    pub identity: IdValue,
    /// The exchange.
    pub mode: Mode,
    /// What the responder's certificate must certify; without it, any certificate of a server under
    /// our authorities is taken.
    pub peer: Option<IdValue>,
}

impl Opening {
    /// Main mode as `identity`.
    pub fn main(identity: IdValue) -> Self {
        Self {
            identity,
            mode: Mode::Main,
            peer: None,
        }
    }
}

/// What an established SA needs beyond its keys.
pub(crate) struct Established {
    pub(crate) nat_t: Option<NatTVersion>,
    pub(crate) encapsulate: bool,
    /// Whether the peer takes fragments.
    pub(crate) fragments: bool,
    /// Whether the peer's last Quick Mode came to extended sequence numbers.
    pub(crate) extended: bool,
    pub(crate) client: ClientKind,
    /// What we said we are.
    pub(crate) identity: IdValue,
    /// The pre-shared key that the ends have in common, if that is how they know each other.
    pub(crate) psk: Option<Arc<Psk>>,
    /// For repetitions of the last message of phase 1.
    pub(crate) answer: Option<Answer>,
    /// For repetitions of the last R-U-THERE, with its sequence number.
    pub(crate) dpd_answer: Option<(Answer, u32)>,
    pub(crate) watch: Option<Watch>,
    pub(crate) rekey: Option<Instant>,
    pub(crate) expires: Instant,
}

/// One ISAKMP SA, that is one pair of cookies, with its Quick Modes and informational exchanges.
///
/// Order of calls: [`accept`](Self::accept) or [`initiate`](Self::initiate), then whenever there
/// is input `handle_message`, `handle_job` or `handle_timeout`, or a request such as
/// `start_quick_mode`. After each, drain `poll_transmit`, `poll_event` and `poll_job` until they
/// give `None`, and set the timer by `poll_timeout`. After [`Event::Closed`] only `poll_transmit`
/// has anything left to say.
pub struct IkeSa {
    pub(crate) config: Arc<Config>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) role: Role,
    pub(crate) mode: Mode,
    /// Whether this end is the L2TP server, whichever end started phase 1.
    pub(crate) serves: bool,
    pub(crate) path: Path,
    pub(crate) initiator_cookie: [u8; 8],
    pub(crate) responder_cookie: [u8; 8],
    pub(crate) negotiation: Option<Box<Negotiation>>,
    pub(crate) keys: Option<Box<Keys>>,
    pub(crate) established: Option<Box<Established>>,
    #[allow(
        clippy::vec_box,
        reason = "few SAs have more than one, and a vector has room for four"
    )]
    pub(crate) quick: Vec<Box<Quick>>,
    /// The message that comes in fragments.
    pub(crate) reassembly: Option<Reassembly>,
    pub(crate) closed: bool,
    pub(crate) stats: Stats,
    pub(crate) seen: VecDeque<u32>,
    /// The last message ID of a manner that counts them.
    pub(crate) counted: u32,
    pub(crate) transmits: Queue<Transmit>,
    pub(crate) events: Queue<Event>,
    pub(crate) jobs: Queue<Job>,
}

impl IkeSa {
    /// Answers the first main mode message of an unknown cookie. An error creates no state.
    #[expect(clippy::result_large_err, reason = "an SA is larger still")]
    pub fn accept(
        config: &Arc<Config>,
        credentials: &Arc<Credentials>,
        path: Path,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<Self, Refusal> {
        crate::phase1::responder::accept(config, credentials, path, message, None, now, rng)
    }

    /// As [`accept`](Self::accept), where the same message was accepted before, nothing was kept, and
    /// the answer went out under this responder cookie. The answer is given out once more.
    #[expect(clippy::result_large_err, reason = "an SA is larger still")]
    pub fn resume(
        config: &Arc<Config>,
        credentials: &Arc<Credentials>,
        path: Path,
        message: &[u8],
        cookie: [u8; 8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<Self, Refusal> {
        let cookie = Some(cookie);
        crate::phase1::responder::accept(config, credentials, path, message, cookie, now, rng)
    }

    /// Starts phase 1 to the peer of `path`. `nat_t_local` is our end of
    /// [`adit_wire::Channel::NatT`], to which the SA moves when there is a NAT.
    pub fn initiate(
        config: &Arc<Config>,
        credentials: &Arc<Credentials>,
        path: Path,
        nat_t_local: SocketAddr,
        opening: Opening,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        crate::phase1::initiator::initiate(
            config,
            credentials,
            path,
            nat_t_local,
            opening,
            now,
            rng,
        )
    }

    /// Makes this the SA that is to take the place of `old`, whose ESP SAs live on: without
    /// INITIAL-CONTACT, with the same identity, and each end as server or client as it was. To be
    /// called right after [`initiate`](Self::initiate) or [`accept`](Self::accept). `known_as` is
    /// our address as the peer knows it, where that may differ from ours.
    #[must_use]
    pub fn in_place_of(mut self, old: &Self, known_as: Option<IpAddr>) -> Self {
        self.serves = old.serves;
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.initial_contact = false;
            negotiation.known_as = known_as;
            if let Some(established) = &old.established {
                negotiation.identity = established.identity.clone();
                negotiation.client = Some(established.client);
                negotiation.psk = established.psk.clone();
            }
        }
        self
    }

    pub(crate) fn new(
        config: &Arc<Config>,
        credentials: &Arc<Credentials>,
        (role, mode): (Role, Mode),
        path: Path,
        cookies: ([u8; 8], [u8; 8]),
        negotiation: Negotiation,
    ) -> Self {
        Self {
            config: Arc::clone(config),
            credentials: Arc::clone(credentials),
            role,
            mode,
            serves: role == Role::Responder,
            path,
            initiator_cookie: cookies.0,
            responder_cookie: cookies.1,
            negotiation: Some(Box::new(negotiation)),
            keys: None,
            established: None,
            quick: Vec::new(),
            reassembly: None,
            closed: false,
            stats: Stats::default(),
            seen: VecDeque::new(),
            counted: 0,
            transmits: Queue::new(),
            events: Queue::new(),
            jobs: Queue::new(),
        }
    }

    /// CKY-I and CKY-R; the latter is zero for an initiator that has no answer yet.
    pub fn cookies(&self) -> ([u8; 8], [u8; 8]) {
        (self.initiator_cookie, self.responder_cookie)
    }

    /// Which end of phase 1 this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether phase 1 is done and the SA has not ended.
    pub fn is_established(&self) -> bool {
        self.established.is_some()
    }

    /// Whether the SA has ended.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Where the peer is.
    pub fn path(&self) -> Path {
        self.path
    }

    /// What has been counted.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes a message whose initiator cookie is this SA's. An error says why it was not taken;
    /// it is counted and never ends the SA.
    pub fn handle_message(
        &mut self,
        path: Path,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        self.stats.received += 1;
        let result = self.receive(path, message, now, rng);
        if let Err(error) = &result {
            let stats = &mut self.stats;
            let counter = match error {
                Error::Malformed(_) => &mut stats.malformed,
                Error::Fragment(_) => &mut stats.bad_fragments,
                Error::NotAuthentic(_) => &mut stats.not_authentic,
                Error::Premature => &mut stats.premature,
                Error::Replayed(_) => &mut stats.replayed,
                Error::TooManyExchanges | Error::Encode(_) => &mut stats.over_limit,
                Error::Cookies | Error::Exchange(_) | Error::Unexpected(_) | Error::Closed => {
                    &mut stats.unexpected
                }
            };
            *counter += 1;
        }
        result
    }

    fn receive(
        &mut self,
        path: Path,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        let (header, message) = self.check_header(message)?;
        if header.next_payload != kind::FRAGMENT {
            return self.receive_whole(path, &header, message, now, rng);
        }
        self.stats.fragments_received += 1;
        // The leniency with a zero cookie is for first messages, which come whole.
        if self.role == Role::Responder && header.responder_cookie != self.responder_cookie {
            return Err(Error::Cookies);
        }
        let Some(whole) = fragment::take(&mut self.reassembly, &header, message, now)? else {
            return Ok(());
        };
        self.stats.reassembled += 1;
        let (header, message) = self.check_header(&whole)?;
        if header.next_payload == kind::FRAGMENT {
            return Err(FragmentError::Nested.into());
        }
        self.receive_whole(path, &header, message, now, rng)
    }

    /// The header of a message whose cookies are this SA's, and the message without what is behind
    /// its end.
    fn check_header<'m>(&self, message: &'m [u8]) -> Result<(Header, &'m [u8]), Error> {
        let header = parse_header(message)?;
        let message = message.get(..header.length).unwrap_or(message);
        if header.initiator_cookie != self.initiator_cookie {
            return Err(Error::Cookies);
        }
        // Zero stands for "not known yet": in a repeated first message, in the answer that tells
        // an initiator the cookie, and in a refusal by a responder that keeps no state.
        let unknown_allowed = match self.role {
            Role::Initiator => self.responder_cookie == [0; 8],
            Role::Responder => header.exchange == self.mode.exchange(),
        };
        let zero = header.responder_cookie == [0; 8] || self.responder_cookie == [0; 8];
        if header.responder_cookie != self.responder_cookie && !(zero && unknown_allowed) {
            return Err(Error::Cookies);
        }
        Ok((header, message))
    }

    fn receive_whole(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        match header.exchange {
            exchange::MAIN | exchange::AGGRESSIVE => {
                self.receive_phase1(path, header, message, now, rng)
            }
            exchange::QUICK if self.awaits_aggressive3() => self.repeat_aggressive2(path),
            exchange::QUICK => self.receive_quick(path, header, message, now, rng),
            exchange::INFORMATIONAL => self.receive_informational(path, header, message, now, rng),
            other => Err(Error::Exchange(other)),
        }
    }

    /// Takes the outcome of a job of this SA.
    pub fn handle_job(&mut self, done: JobDone, now: Instant, rng: &mut Rng) {
        if self.closed {
            return;
        }
        match (done.purpose, done.outcome) {
            (Purpose::Phase1, outcome) => self.phase1_job(outcome, now, rng),
            (Purpose::Quick(message_id), Outcome::Agreed(agreed)) => {
                self.quick_job(message_id, agreed, now, rng);
            }
            // Quick Modes prove nothing.
            (Purpose::Quick(_), Outcome::Proven(_)) => {}
        }
    }

    /// The next message to send, without the non-ESP marker.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next computation to run elsewhere; its outcome goes to [`handle_job`](Self::handle_job).
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// ESP traffic of the peer arrived, so dead peer detection has nothing to ask.
    pub fn note_peer_alive(&mut self, now: Instant) {
        if let Some(watch) = self.watch() {
            watch.heard(now);
        }
    }

    /// Authenticated ESP of the peer arrived from elsewhere.
    pub fn follow_peer(&mut self, path: Path) {
        self.path = path;
    }

    /// Ends the SA and tells the peer.
    pub fn close(&mut self, now: Instant, rng: &mut Rng) {
        self.close_for(CloseReason::DeletedByUs, now, rng);
    }

    /// Ends the SA because a newer one took its place, and tells the peer.
    pub fn supersede(&mut self, now: Instant, rng: &mut Rng) {
        self.close_for(CloseReason::Superseded, now, rng);
    }

    pub(crate) fn close_for(&mut self, reason: CloseReason, _now: Instant, rng: &mut Rng) {
        if self.established.is_some() {
            let body = Delete::isakmp(self.both_cookies());
            self.inform(kind::DELETE, &body, rng);
        }
        self.end(reason);
    }

    /// Ends the SA without a word to the peer. Keys go; announced ESP SAs are the owner's.
    pub(crate) fn end(&mut self, reason: CloseReason) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.negotiation = None;
        self.established = None;
        self.keys = None;
        self.jobs.clear();
        self.reassembly = None;
        for quick in std::mem::take(&mut self.quick) {
            self.events.extend(quick.abandoned());
        }
        self.events.push_back(Event::Closed(reason));
    }

    pub(crate) fn watch(&mut self) -> Option<&mut Watch> {
        self.established.as_mut()?.watch.as_mut()
    }
}

impl std::fmt::Debug for IkeSa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IkeSa")
            .field("role", &self.role)
            .field("path", &self.path)
            .field("established", &self.is_established())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
