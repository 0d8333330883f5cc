//! One control connection (RFC 2661 5 and 7.2) as LNS or LAC, with its timers. What it does when is
//! decided by the table in `state.rs`; what becomes of sessions is in `tunnel/sessions.rs`, and that
//! messages arrive in order is the channel's work. It must never let a peer grow what it keeps: one
//! table of sessions with a limit, and a channel with bounded queues.

mod admit;
mod auth;
mod control;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use adit_crypto::Rng;
use adit_wire::Queue;

use crate::build;
use crate::call::Call;
use crate::channel::Channel;
use crate::config::Config;
use crate::event::{Event, TunnelDownCause};
use crate::manner::ResultFormat;
use crate::result::{CallDisconnect, CallResult, Stop};
use crate::secret::Secret;
use crate::sequence::Sequencing;
use crate::state::{SessionInput, SessionState, TunnelAction, TunnelInput, TunnelState};
use crate::stats::Stats;
use auth::Auth;
use control::Peer;
use sessions::Session;

/// What a tunnel waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// A message is to be sent again.
    Retransmit,
    /// The peer has been silent for long.
    Hello,
    /// The control connection should be established by now.
    Setup,
    /// A session should be established by now.
    SessionSetup,
    /// The peer has had the time to hear that its StopCCN arrived.
    Linger,
}

/// Which end of its sessions a tunnel is (RFC 2661 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The L2TP Access Concentrator: it opens sessions.
    Lac,
    /// The L2TP Network Server: it takes them.
    Lns,
}

/// A control connection and its sessions.
///
/// After [`accept`](Self::accept) or [`initiate`](Self::initiate), and after every call that takes
/// `now`, call [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) until
/// both give None, drop the tunnel if it [`is_closed`](Self::is_closed), and else call
/// [`handle_timeout`](Self::handle_timeout) at [`poll_timeout`](Self::poll_timeout).
///
/// A tunnel from `accept` keeps no state, and so is closed, until
/// [`handle_datagram`](Self::handle_datagram) is given a readable SCCRQ.
pub struct Tunnel {
    config: Arc<Config>,
    role: Role,
    local_id: u16,
    remote_id: Option<u16>,
    state: TunnelState,
    /// What TunnelUp will say.
    peer: Peer,
    auth: Auth,
    channel: Channel,
    /// Most have one, and a map has room for many at once.
    sessions: BTreeMap<u16, Box<Session>>,
    /// Sessions that are not established, by the time they have for it.
    waiting: BTreeSet<(Instant, u16)>,
    events: Queue<Event>,
    setup: Option<Instant>,
    /// When the control connection was established.
    up_since: Option<Instant>,
    linger: Option<Instant>,
    /// When anything came from the peer.
    heard: Instant,
    /// Sessions wait until the SCCCN has been acknowledged.
    calls_wait: bool,
    /// The Call Serial Number of the next session that we open.
    serial: u32,
}

impl Tunnel {
    /// An LNS's tunnel with the number `local_id` (not 0), for a datagram with an SCCRQ.
    pub fn accept(config: &Arc<Config>, local_id: u16, now: Instant) -> Self {
        Self {
            config: config.clone(),
            role: Role::Lns,
            local_id,
            remote_id: None,
            state: TunnelState::Idle,
            peer: Peer::default(),
            auth: Auth::new(config.secret.clone()),
            channel: Channel::new(config),
            sessions: BTreeMap::new(),
            waiting: BTreeSet::new(),
            events: Queue::new(),
            setup: None,
            up_since: None,
            linger: None,
            heard: now,
            calls_wait: false,
            serial: 0,
        }
    }

    /// A tunnel with the number `local_id` (not 0) that we open: an SCCRQ goes out. It is the LAC
    /// who does so as a rule, and the LNS may (RFC 2661 5.1).
    ///
    /// Should the peer open one at the same time, and win by the tie breaker, this becomes the
    /// tunnel that the peer opened, with the same number, role and waiting sessions.
    pub fn initiate(
        config: &Arc<Config>,
        role: Role,
        local_id: u16,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let mut tunnel = Self::accept(config, local_id, now);
        tunnel.role = role;
        tunnel.state = TunnelState::WaitCtlReply;
        tunnel.serial = config.manner.first_serial.unwrap_or_else(|| rng.u32());
        tunnel.setup = Some(now + config.setup_timeout);
        tunnel.send_sccrq(now, rng);
        tunnel
    }

    /// Of a tunnel that has just been [`accept`](Self::accept)ed: the secret shared with this peer
    /// alone, looked up by [`Control::host_name`](crate::Control::host_name).
    #[must_use]
    pub fn with_secret(mut self, secret: Option<Secret>) -> Self {
        self.auth = Auth::new(secret);
        self
    }

    /// Notes that data came from the peer at `now`: no HELLO has to ask after it.
    pub fn note_data(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    /// Closes the control connection and all sessions with StopCCN.
    pub fn close(&mut self, cause: Stop, now: Instant) {
        if self.state.is_open() && self.config.manner.cdn_before_stop {
            let sessions: Vec<u16> = self.sessions.keys().copied().collect();
            for local in sessions {
                self.close_session(local, CallDisconnect::administrative(), now);
            }
        }
        if self.step(TunnelInput::Close, now) == TunnelAction::SendStopCcn {
            self.send_stop(&cause, TunnelDownCause::ByUs, now);
        }
    }

    /// Opens a session as LAC: ICRQ goes out as soon as the tunnel is established. Returns our
    /// session ID; if no session can be opened, an event about that ID says so.
    pub fn open_session(&mut self, now: Instant, rng: &mut Rng) -> u16 {
        self.place_call(now, rng)
    }

    /// Closes a session with CDN. A session that does not exist is closed already.
    pub fn close_session(&mut self, local_id: u16, cause: CallDisconnect, now: Instant) {
        self.drop_session(local_id, SessionInput::Close, &cause, now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, _rng: &mut Rng) {
        while let Some((timer, _)) = self.next_timer().filter(|(_, at)| *at <= now) {
            self.expire(timer, now);
        }
    }

    fn expire(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Retransmit => {
                if !self.channel.handle_timeout(now)
                    && self.step(TunnelInput::GaveUp, now) == TunnelAction::CleanUp
                {
                    self.clean_up(TunnelDownCause::Timeout);
                }
            }
            Timer::Hello => {
                self.channel.stats.hello_sent += 1;
                self.channel.queue_hello(build::hello(), now);
            }
            Timer::Setup => {
                self.setup = None;
                if self.step(TunnelInput::SetupTimeout, now) == TunnelAction::SendStopCcn {
                    self.send_stop(&Stop::not_in_time(), TunnelDownCause::SetupTimeout, now);
                }
            }
            Timer::SessionSetup => {
                if let Some((_, session)) = self.waiting.pop_first() {
                    let cause = CallDisconnect::new(CallResult::NOT_IN_TIME);
                    self.drop_session(session, SessionInput::SetupTimeout, &cause, now);
                }
            }
            Timer::Linger => {
                self.linger = None;
                self.step(TunnelInput::LingerTimeout, now);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer().map(|(_, at)| at)
    }

    /// The timer behind [`poll_timeout`](Self::poll_timeout).
    pub fn next_timer(&self) -> Option<(Timer, Instant)> {
        let session = self.waiting.first().map(|(at, _)| *at);
        [
            (Timer::Retransmit, self.channel.poll_timeout()),
            (Timer::Hello, self.hello_at()),
            (Timer::Setup, self.setup),
            (Timer::SessionSetup, session),
            (Timer::Linger, self.linger),
        ]
        .into_iter()
        .filter_map(|(timer, at)| Some((timer, at?)))
        .min_by_key(|(_, at)| *at)
    }

    /// A message on its way asks after the peer just as well, so a HELLO waits until there is none.
    fn hello_at(&self) -> Option<Instant> {
        let asks = self.state == TunnelState::Established
            && !self.config.hello_idle.is_zero()
            && self.channel.is_drained();
        asks.then(|| self.heard + self.config.hello_idle)
    }

    /// The next L2TP message to the peer (a UDP payload).
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.channel.poll_transmit()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Our tunnel ID, in messages from the peer.
    pub fn local_id(&self) -> u16 {
        self.local_id
    }

    /// The peer's tunnel ID, in messages to it, once it has told it.
    pub fn remote_id(&self) -> Option<u16> {
        self.remote_id
    }

    /// The peer's receive window, in messages (RFC 2661 4.4.3).
    pub fn peer_window(&self) -> u16 {
        self.channel.peer_window()
    }

    /// The state of the control connection.
    pub fn state(&self) -> TunnelState {
        self.state
    }

    /// The sessions: our ID, the peer's once it has told it, the state.
    pub fn sessions(&self) -> impl Iterator<Item = (u16, Option<u16>, SessionState)> + '_ {
        self.sessions
            .iter()
            .map(|(local, session)| (*local, session.remote, session.state))
    }

    /// How the data messages of a session are to be numbered, as it begins. Where there is no such
    /// session, they are not.
    pub fn sequencing(&self, local_id: u16) -> Sequencing {
        let session = self.sessions.get(&local_id);
        let required = session.is_some_and(|session| session.sequencing_required);
        Sequencing::new(required, self.role == Role::Lac)
    }

    /// What the peer said about a session: facts that nothing was believed of.
    pub fn call(&self, local_id: u16) -> Option<&Call> {
        self.sessions.get(&local_id).map(|session| &session.call)
    }

    /// Whether the peer has proved that it knows the tunnel secret.
    pub fn is_authenticated(&self) -> bool {
        self.auth.peer_proved
    }

    /// An LNS writes results in full; a LAC may have its manner.
    fn result_format(&self) -> ResultFormat {
        match self.role {
            Role::Lac => self.config.manner.results,
            Role::Lns => ResultFormat::Text,
        }
    }

    /// Whether nothing is left to be done, or was ever begun: the tunnel may be dropped.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, TunnelState::Idle | TunnelState::Closed)
    }

    /// What has been counted.
    pub fn stats(&self) -> Stats {
        self.channel.stats
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel")
            .field("local_id", &self.local_id)
            .field("remote_id", &self.remote_id)
            .field("state", &self.state)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}
