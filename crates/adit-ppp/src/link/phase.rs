//! From LCP through authentication to the network phase, and back (RFC 1661 3.4 to 3.7).

use std::time::Instant;

use adit_crypto::Rng;

use super::{Auth, Link, Role, context};
use crate::acscp;
use crate::auth::{ClientAuth, ClientStep, ServerAuth, ServerStep};
use crate::automaton::State;
use crate::config::Network;
use crate::error::{Error, Failure};
use crate::event::{AuthFailure, DownReason, Event};
use crate::ipcp::Ipcp;
use crate::ipv6cp::Ipv6cp;
use crate::lcp::DEFAULT_MRU;
use crate::packet::Packet;

impl Link {
    pub(super) fn lcp_up(&mut self, now: Instant, rng: &mut Rng) {
        // What had been said before this agreement is void.
        self.reason = None;
        let peer = self.lcp.protocol.peer();
        self.peer_mru = peer.mru;
        self.echo.start(now);
        self.events.push_back(Event::LcpUp { peer_mru: peer.mru });
        if let Role::Client(config) = &self.role {
            self.send_identifications(config.manner.identifications, now, rng);
        }
        match &self.role {
            Role::Server(config) => {
                let limit = now + config.auth_timeout;
                self.setup_deadline = Some(self.setup_deadline.map_or(limit, |at| at.min(limit)));
                if let Some(protocol) = self.lcp.protocol.auth() {
                    let auth = ServerAuth::start(protocol, config, context!(self, now, rng));
                    self.auth = Auth::Server(auth);
                } else {
                    // Nothing is allowed, so nobody comes in.
                    let failure = Failure::AuthMethod {
                        wanted: Vec::new(),
                        allowed: config.auth.clone(),
                    };
                    self.close_for(DownReason::NegotiationFailed(failure), now, rng);
                }
            }
            Role::Client(config) => match peer.auth {
                Some(protocol) => {
                    let auth = ClientAuth::start(protocol, config, context!(self, now, rng));
                    self.auth = Auth::Client(auth);
                }
                None => self.client_admitted(now, rng),
            },
        }
    }

    pub(super) fn stop_auth(&mut self) {
        if let Auth::Server(auth) = std::mem::replace(&mut self.auth, Auth::Idle)
            && auth.is_pending()
        {
            self.void_verdicts += 1;
        }
        self.refused = None;
    }

    pub(super) fn lcp_down(&mut self, now: Instant, rng: &mut Rng) {
        self.stop_auth();
        self.echo.stop();
        self.peer_mru = DEFAULT_MRU;
        self.stop_network(now, rng);
        // Who had come in must prove itself again, in the same time.
        let again = self.authenticated && self.reason.is_none();
        if let (Role::Server(config), true) = (&self.role, again) {
            let negotiation = config.restart.timer * config.restart.max_configure;
            self.setup_deadline = Some(now + negotiation + config.auth_timeout);
        }
        self.authenticated = false;
    }

    pub(super) fn auth_frame(
        &mut self,
        number: u16,
        information: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        if self.lcp.state() != State::Opened {
            self.stats.early += 1;
            return Ok(());
        }
        let packet = Packet::parse(information).inspect_err(|_| self.stats.malformed += 1)?;
        let context = context!(self, now, rng);
        match (&mut self.auth, &self.role) {
            (Auth::Server(auth), Role::Server(config)) => {
                let step = auth.handle_packet(number, &packet, config, context)?;
                self.server_step(step, now, rng);
            }
            (Auth::Client(auth), Role::Client(config)) => {
                let step = auth.handle_packet(number, &packet, config, context)?;
                self.client_step(step, now, rng);
            }
            _ => self.reject_protocol(number, information, now, rng),
        }
        Ok(())
    }

    pub(super) fn auth_timeout(&mut self, now: Instant, rng: &mut Rng) {
        let context = context!(self, now, rng);
        match (&mut self.auth, &self.role) {
            (Auth::Server(auth), Role::Server(config)) => auth.handle_timeout(config, context),
            (Auth::Client(auth), Role::Client(config)) => {
                let step = auth.handle_timeout(config, context);
                self.client_step(step, now, rng);
            }
            _ => {}
        }
    }

    pub(super) fn server_step(&mut self, step: Option<ServerStep>, now: Instant, rng: &mut Rng) {
        match step {
            Some(ServerStep::Judge(attempt)) => {
                self.user = attempt.user().to_owned();
                self.refused = None;
                self.events.push_back(Event::Authenticate(attempt));
            }
            Some(ServerStep::Admit(network)) => self.admit(network, now, rng),
            Some(ServerStep::Again(reason)) => {
                self.refused = Some(reason);
                // A person may have to type; the number of tries is bounded.
                if let Role::Server(config) = &self.role {
                    self.setup_deadline = Some(now + config.auth_timeout);
                }
            }
            Some(ServerStep::Refused(failure)) => self.auth_failed(failure, now, rng),
            None => {}
        }
    }

    fn client_step(&mut self, step: Option<ClientStep>, now: Instant, rng: &mut Rng) {
        match step {
            Some(ClientStep::Accepted) => self.client_admitted(now, rng),
            Some(ClientStep::WantsPassword { code, message }) => {
                let event = Event::PasswordRejected { code, message };
                self.events.push_back(event);
            }
            Some(ClientStep::Failed(failure)) => self.auth_failed(failure, now, rng),
            None => {}
        }
    }

    pub(super) fn auth_failed(&mut self, failure: AuthFailure, now: Instant, rng: &mut Rng) {
        self.note_auth_failure(failure.clone());
        self.close_for(DownReason::AuthFailed(failure), now, rng);
    }

    /// Authentication failed, which is why the link ends.
    pub(super) fn note_auth_failure(&mut self, failure: AuthFailure) {
        self.refused = None;
        self.events.push_back(Event::AuthFailed {
            user: self.user.clone(),
            reason: failure.clone(),
        });
        self.reason.get_or_insert(DownReason::AuthFailed(failure));
    }

    /// Server: the peer has proven who it is.
    pub(super) fn admit(&mut self, network: Network, now: Instant, rng: &mut Rng) {
        self.refused = None;
        self.authenticated = true;
        self.setup_deadline = None;
        let user = self.user.clone();
        self.events.push_back(Event::Authenticated { user });
        let ipv4 = network.ipv4.map(Ipcp::server);
        let ipv6 = network
            .ipv6
            .map(|ipv6| Ipv6cp::new(ipv6.local_interface_id, ipv6.peer_interface_id, rng));
        if let (Some(offer), Role::Server(config)) = (network.acscp, &self.role) {
            let acscp = acscp::Server::new(offer, config.restart, rng);
            self.acscp = Some(Box::new(acscp::End::Server(acscp)));
        }
        self.start_network(ipv4, ipv6, now, rng);
    }

    /// Client: the server lets us in; new challenges later change nothing (RFC 1994 2).
    pub(super) fn client_admitted(&mut self, now: Instant, rng: &mut Rng) {
        let Role::Client(config) = &self.role else {
            return;
        };
        if self.authenticated {
            return;
        }
        self.authenticated = true;
        let user = self.user.clone();
        self.events.push_back(Event::Authenticated { user });
        let ipv4 = config
            .ipv4
            .then(|| Ipcp::client(config.manner.ipcp, config.request_dns));
        let ipv6 = config
            .ipv6
            .then(|| Ipv6cp::new(config.interface_id.unwrap_or(0), 0, rng));
        self.start_network(ipv4, ipv6, now, rng);
    }
}
