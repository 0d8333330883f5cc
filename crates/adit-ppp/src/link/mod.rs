//! A PPP link: LCP, then authentication, then the NCPs side by side (RFC 1661 section 3). Each
//! NCP lives and dies alone: whatever happens to one family, the other goes on.

mod control;
mod network;
mod phase;

use std::sync::Arc;
use std::time::Instant;

use adit_crypto::Rng;
use adit_wire::Queue;

use crate::Secret;
use crate::acscp;
use crate::auth::{ClientAuth, RejectReason, ServerAuth, Verdict};
use crate::automaton::{Automaton, Input, Signal, State};
use crate::ccp::Ccp;
use crate::config::{ClientConfig, ServerConfig};
use crate::echo::{Due, Watch};
use crate::error::{Error, Failure};
use crate::event::{AuthFailure, CloseReason, DownReason, Event, NcpState};
use crate::frame::{Framing, split};
use crate::ipcp::Ipcp;
use crate::ipv6cp::Ipv6cp;
use crate::lcp::{self, DEFAULT_MRU, Lcp};
use crate::manner::{Identifiers, Manner};
use crate::method::{AuthOption, AuthProtocol};
use crate::ncp::Ncp;
use crate::protocol;
use crate::stats::Stats;

/// The surroundings of a step, borrowed from fields that no machine is part of.
macro_rules! context {
    ($link:expr, $now:expr, $rng:expr) => {
        &mut $crate::automaton::Context {
            now: $now,
            rng: &mut *$rng,
            out: &mut $link.out,
            stats: &mut $link.stats,
            peer_mru: usize::from($link.peer_mru),
            shared_id: $link.shared_id.as_mut(),
        }
    };
}
use context;

#[derive(Debug)]
enum Role {
    Server(Arc<ServerConfig>),
    Client(Box<ClientConfig>),
}

#[derive(Debug)]
enum Auth {
    /// Not begun, or not needed.
    Idle,
    Server(ServerAuth),
    Client(ClientAuth),
}

/// One end of a PPP link, client or server.
///
/// Give it what arrives with [`handle_frame`](Self::handle_frame), the clock with
/// [`handle_timeout`](Self::handle_timeout) once [`poll_timeout`](Self::poll_timeout) is reached,
/// and the answer to [`Event::Authenticate`] with [`handle_verdict`](Self::handle_verdict). After
/// each of these, and after making one, call [`poll_transmit`](Self::poll_transmit) until it is
/// dry, then [`poll_event`](Self::poll_event) until it is dry, then `poll_timeout`. After
/// [`Event::Down`] it does nothing any more.
///
/// IP packets never pass through here: while [`ipv4_open`](Self::ipv4_open) or
/// [`ipv6_open`](Self::ipv6_open) they go their own way, and
/// [`note_data`](Self::note_data) tells that they do.
#[derive(Debug)]
pub struct Link {
    role: Role,
    lcp: Automaton<Lcp>,
    auth: Auth,
    /// Verdicts that are still to come, of attempts that a renegotiation has made void.
    void_verdicts: u32,
    /// Server: the latest attempt was refused, and the peer may say something more.
    refused: Option<RejectReason>,
    authenticated: bool,
    user: String,
    ipcp: Option<Ncp<Ipcp>>,
    ipv6cp: Option<Ncp<Ipv6cp>>,
    /// What a client tries beside them.
    ccp: Option<Ncp<Ccp>>,
    acscp: Option<Box<acscp::End>>,
    /// The next identifier of a client whose protocols count together.
    shared_id: Option<u8>,
    echo: Watch,
    /// Server: by when the peer must be authenticated.
    setup_deadline: Option<Instant>,
    peer_mru: u16,
    reason: Option<DownReason>,
    over: bool,
    out: Queue<Vec<u8>>,
    events: Queue<Event>,
    stats: Stats,
}

impl Link {
    /// The end that authenticates and assigns. Its Configure-Request goes out at once.
    pub fn server(config: &Arc<ServerConfig>, now: Instant, rng: &mut Rng) -> Self {
        let wanted = Manner::OWN.lcp;
        let magic = magic(rng);
        let options = Lcp::new(lcp::Role::Server, &config.auth, wanted, config.mru, magic);
        let lcp = Automaton::new(options, config.restart, None, rng);
        let mut link = Self::new(Role::Server(Arc::clone(config)), lcp, now);
        link.echo = Watch::new(config.echo, now);
        let negotiation = config.restart.timer * config.restart.max_configure;
        link.setup_deadline = Some(now + negotiation + config.auth_timeout);
        link.start(now, rng);
        link
    }

    /// The end that is authenticated and asks. Its Configure-Request goes out at once.
    pub fn client(config: ClientConfig, now: Instant, rng: &mut Rng) -> Self {
        let (manner, magic) = (config.manner, magic(rng));
        let role = lcp::Role::Client;
        let options = Lcp::new(role, &config.allowed, manner.lcp, config.mru, magic);
        let lcp = Automaton::new(options, config.restart, first_id(&manner), rng);
        let echo = Watch::new(config.echo, now);
        let user = config.user.clone();
        let mut link = Self::new(Role::Client(Box::new(config)), lcp, now);
        link.echo = echo;
        link.user = user;
        if let Identifiers::Shared(first) = manner.identifiers {
            link.shared_id = Some(first);
        }
        link.start(now, rng);
        link
    }

    fn new(role: Role, lcp: Automaton<Lcp>, now: Instant) -> Self {
        Self {
            role,
            lcp,
            auth: Auth::Idle,
            void_verdicts: 0,
            refused: None,
            authenticated: false,
            user: String::new(),
            ipcp: None,
            ipv6cp: None,
            ccp: None,
            acscp: None,
            shared_id: None,
            echo: Watch::new(None, now),
            setup_deadline: None,
            peer_mru: DEFAULT_MRU,
            reason: None,
            over: false,
            out: Queue::new(),
            events: Queue::new(),
            stats: Stats::default(),
        }
    }

    fn start(&mut self, now: Instant, rng: &mut Rng) {
        let context = context!(self, now, rng);
        let _ = self.lcp.input(Input::Open, context);
        let _ = self.lcp.input(Input::Up, context);
    }

    /// A frame with a control protocol, as the tunnel carried it. An error says what is wrong with
    /// it; the link goes on unless the error is `Failed`. Frames with IPv4 and IPv6 packets do not
    /// belong here.
    pub fn handle_frame(&mut self, frame: &[u8], now: Instant, rng: &mut Rng) -> Result<(), Error> {
        if self.over {
            return Ok(());
        }
        self.stats.received += 1;
        self.echo.heard(now);
        let (number, header) = split(frame).inspect_err(|_| self.stats.bad_frame += 1)?;
        let information = frame.get(header..).unwrap_or_default();
        match number {
            protocol::LCP => self.lcp_frame(information, now, rng),
            protocol::PAP | protocol::CHAP | protocol::EAP => {
                self.auth_frame(number, information, now, rng)
            }
            protocol::IPV4 | protocol::IPV6 => Err(Error::Data(number)),
            _ => self.ncp_frame(number, information, now, rng),
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) {
        if self.over {
            return;
        }
        let signal = self.lcp.handle_timeout(context!(self, now, rng));
        self.lcp_signal(signal, now, rng);
        if self.setup_deadline.is_some_and(|deadline| deadline <= now) {
            self.setup_deadline = None;
            if self.lcp.is_open() {
                let failure = self.refused.map(AuthFailure::Rejected);
                self.auth_failed(failure.unwrap_or(AuthFailure::Timeout), now, rng);
            } else {
                self.close_for(DownReason::NegotiationFailed(Failure::NoAnswer), now, rng);
            }
        }
        self.auth_timeout(now, rng);
        match self.echo.handle_timeout(now) {
            Due::Nothing => {}
            Due::Ask => self.send_echo(now, rng),
            Due::Dead => self.close_for(DownReason::EchoTimeout, now, rng),
        }
        self.ncp_timeout(now, rng);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let auth = match &self.auth {
            Auth::Idle => None,
            Auth::Server(auth) => auth.poll_timeout(),
            Auth::Client(auth) => auth.poll_timeout(),
        };
        let deadlines = [
            self.lcp.poll_timeout(),
            self.setup_deadline,
            auth,
            self.echo.poll_timeout(),
            self.ncp_poll_timeout(),
        ];
        deadlines.into_iter().flatten().min().filter(|_| !self.over)
    }

    /// The next frame to send, with an uncompressed header.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Server: the answer to [`Event::Authenticate`]. Each attempt gets one answer, in the order of
    /// the events, also where LCP has been renegotiated in the meantime: that of an attempt which
    /// is void by then must not decide about the next one, and is ignored, as is one that nothing
    /// asked for.
    pub fn handle_verdict(&mut self, verdict: Verdict, now: Instant, rng: &mut Rng) {
        if let Some(left) = self.void_verdicts.checked_sub(1) {
            self.void_verdicts = left;
            return;
        }
        let (Auth::Server(auth), Role::Server(config)) = (&mut self.auth, &self.role) else {
            return;
        };
        if self.over {
            return;
        }
        let rejects = matches!(verdict, Verdict::Reject { .. });
        let step = auth.handle_verdict(verdict, config, context!(self, now, rng));
        if rejects && step.is_some() {
            self.stats.auth_rejected += 1;
        }
        self.server_step(step, now, rng);
    }

    /// Client: the answer to [`Event::PasswordRejected`].
    pub fn handle_password(&mut self, password: Secret, now: Instant, rng: &mut Rng) {
        if let (Auth::Client(auth), Role::Client(config)) = (&mut self.auth, &mut self.role)
            && !self.over
        {
            config.password = password;
            auth.handle_password(config, context!(self, now, rng));
        }
    }

    /// An IP packet arrived at `at`: the peer is alive, there is no need to ask. `at` may be in
    /// the past, so that it is enough to tell the latest time before `handle_timeout`.
    pub fn note_data(&mut self, at: Instant) {
        self.echo.heard(at);
    }

    /// Sends a Terminate-Request; [`Event::Down`] comes when it is answered, or is not.
    pub fn close(&mut self, reason: CloseReason, now: Instant, rng: &mut Rng) {
        if !self.over {
            self.close_for(DownReason::ClosedByUs(reason), now, rng);
        }
    }

    /// Answers a whole frame, whose protocol the caller knows to be unwanted, with a
    /// Protocol-Reject.
    pub fn protocol_reject(&mut self, frame: &[u8], now: Instant, rng: &mut Rng) {
        if let Ok((number, header)) = split(frame)
            && !self.over
        {
            let information = frame.get(header..).unwrap_or_default();
            self.reject_protocol(number, information, now, rng);
        }
    }

    /// Whether IPv4 packets may pass.
    pub fn ipv4_open(&self) -> bool {
        self.ipcp.as_ref().is_some_and(Ncp::is_open)
    }

    /// Whether IPv6 packets may pass.
    pub fn ipv6_open(&self) -> bool {
        self.ipv6cp.as_ref().is_some_and(Ncp::is_open)
    }

    /// How frames to the peer may be compressed; not at all before LCP is open.
    pub fn framing(&self) -> Framing {
        if self.lcp.is_open() {
            self.lcp.protocol.peer().framing
        } else {
            Framing::default()
        }
    }

    /// Largest information field that the peer takes: 1500 before LCP is open, and never more.
    pub fn peer_mru(&self) -> u16 {
        self.peer_mru
    }

    /// Client: how the server wants us to authenticate; `None` before LCP is open, and where it
    /// does not.
    pub fn auth_protocol(&self) -> Option<AuthProtocol> {
        let peer = self.lcp.protocol.peer();
        peer.auth.filter(|_| self.lcp.is_open())
    }

    /// Client: every way to authenticate that the server has asked for, the first few.
    pub fn auth_asked(&self) -> &[AuthOption] {
        self.lcp.protocol.auth_asked()
    }

    /// State of LCP.
    pub fn lcp_state(&self) -> State {
        self.lcp.state()
    }

    /// Whether authentication is done.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// How far IPCP has come.
    pub fn ipcp_state(&self) -> NcpState {
        self.ncp_state(self.ipcp.as_ref().map(Ncp::state))
    }

    /// How far IPv6CP has come.
    pub fn ipv6cp_state(&self) -> NcpState {
        self.ncp_state(self.ipv6cp.as_ref().map(Ncp::state))
    }

    fn ncp_state(&self, state: Option<NcpState>) -> NcpState {
        match state {
            Some(state) => state,
            None if self.authenticated => NcpState::NotServed,
            None => NcpState::Waiting,
        }
    }

    /// What has been counted.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Begins to end; the first reason is the one that counts.
    fn close_for(&mut self, reason: DownReason, now: Instant, rng: &mut Rng) {
        self.reason.get_or_insert(reason);
        self.setup_deadline = None;
        let signal = self.lcp.input(Input::Close, context!(self, now, rng));
        self.lcp_signal(signal, now, rng);
        // Closing says no farewell to the layers above unless LCP was open.
        self.stop_auth();
    }

    fn lcp_signal(&mut self, signal: Option<Signal>, now: Instant, rng: &mut Rng) {
        match signal {
            None => {}
            Some(Signal::Up) => self.lcp_up(now, rng),
            Some(Signal::Down) => self.lcp_down(now, rng),
            Some(Signal::Finished) => {
                self.over = true;
                let unanswered = DownReason::NegotiationFailed(Failure::NoAnswer);
                let reason = self.reason.take().unwrap_or(unanswered);
                self.events.push_back(Event::Down { reason });
            }
        }
    }
}

/// Where each protocol of a client begins to count.
fn first_id(manner: &Manner) -> Option<u8> {
    match manner.identifiers {
        Identifiers::Each(first) => Some(first),
        Identifiers::Random | Identifiers::Shared(_) => None,
    }
}

fn magic(rng: &mut Rng) -> u32 {
    loop {
        let magic = rng.u32();
        if magic != 0 {
            return magic;
        }
    }
}

#[cfg(test)]
mod tests;
