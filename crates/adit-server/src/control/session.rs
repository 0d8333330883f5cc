//! PPP sessions: authentication, addresses, and the IPv6 link of each.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use adit_l2tp::CallDisconnect;
use adit_link::Router;
use adit_link::guard::Addresses;
use adit_link::mtu::{self, IPV6_MINIMUM};
use adit_ppp::{
    Attempt, CloseReason, Echoes, Ipv4Network, Ipv6Network, Link, Network, RejectReason, Verdict,
};
use adit_wire::Channel;
use adit_wire::ip::Family;
use ipnet::Ipv4Net;

use super::{Server, TimerKey};
use crate::event::{Decision, Event, SessionId};
use crate::grant::{Device, Grant, Lease};
use crate::info::SessionInfo;
use crate::plane::{Record, SessionKey};

/// A PPP session with everything it owns.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) tunnel: u16,
    pub(super) local_session: u16,
    pub(super) ppp: Link,
    /// What the packet path knows of its echoes.
    echoes: Option<Echoes>,
    pub(super) router: Option<Router>,
    pub(super) lease: Lease,
    /// What the client calls its user, and from the verdict on the operator.
    pub(super) user: Option<String>,
    /// What its user was let in with.
    pub(super) grant: Grant,
    /// The device that it is of, once it was let in.
    pub(super) device: Option<Arc<Device>>,
    /// Whether that device is remembered with the lease.
    pub(super) is_devices: bool,
    /// When it was authenticated.
    pub(super) connected_at: Option<Instant>,
    /// The largest inner packet that the encapsulation carries.
    pub(super) link_mtu: u16,
    /// The largest that the client takes, once it said so.
    peer_mru: Option<u16>,
}

impl Session {
    /// The largest inner packet that may be sent.
    pub(super) fn mtu(&self) -> u16 {
        self.peer_mru
            .map_or(self.link_mtu, |mru| mru.min(self.link_mtu))
    }

    /// The largest IPv6 packet that may be sent. What the path does not carry of the 1280 bytes that
    /// every link of IPv6 has (RFC 8200 5) is cut outside.
    pub(super) fn ipv6_mtu(&self) -> u16 {
        let least = self.peer_mru.unwrap_or(IPV6_MINIMUM).min(IPV6_MINIMUM);
        self.mtu().max(least)
    }
}

impl Server {
    pub(super) fn session_up(&mut self, tunnel: u16, local: u16, remote: u16, now: Instant) {
        let Some(state) = self.tunnels.get(&tunnel) else {
            return;
        };
        let (group, remote_port) = (state.group, state.remote_port);
        let remote_tunnel = state.tunnel.remote_id().unwrap_or_default();
        let sequencing = state.tunnel.sequencing(local);
        if self.sessions.len() >= self.config.limits.sessions {
            self.plane.stats.sessions_refused += 1;
            tracing::warn!(
                limit = self.config.limits.sessions,
                "session refused: limits.sessions is reached"
            );
            self.close_call(
                tunnel,
                local,
                CallDisconnect::no_room("too many sessions"),
                now,
            );
            return;
        }
        let Some(link_mtu) = self.group_link_mtu(group, sequencing.is_sending()) else {
            return;
        };
        let ppp_config = self.ppp_config(link_mtu);
        let ppp = Link::server(&ppp_config, now, &mut self.rng);
        let key = self.plane.add_session(Record {
            group,
            remote_port,
            local_tunnel: tunnel,
            local_session: local,
            remote_tunnel,
            remote_session: remote,
            sequencing,
            framing: ppp.framing(),
            echoes: None,
            addresses: Addresses::default(),
            claimed: Vec::new(),
            meters: None,
            ipv4_open: false,
            ipv6_open: false,
            mtu: link_mtu,
            ipv6_mtu: link_mtu.max(IPV6_MINIMUM),
            mss_v4: mtu::mss(Family::V4, link_mtu),
            mss_v6: mtu::mss(Family::V6, link_mtu),
            rx_packets: 0,
            rx_bytes: 0,
            tx_packets: 0,
            tx_bytes: 0,
            heard: now,
        });
        let Some(key) = key else {
            return;
        };
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.by_id.insert(id, key);
        self.sessions.insert(
            key,
            Box::new(Session {
                id,
                tunnel,
                local_session: local,
                ppp,
                echoes: None,
                router: None,
                lease: Lease::default(),
                user: None,
                grant: Grant::default(),
                device: None,
                is_devices: false,
                connected_at: None,
                link_mtu,
                peer_mru: None,
            }),
        );
        if let Some(state) = self.tunnels.get_mut(&tunnel) {
            state.sessions.push((local, key));
        }
        self.drive_session(key, now);
    }

    /// The PPP configuration with the MRU that this encapsulation leaves room for.
    fn ppp_config(&mut self, link_mtu: u16) -> Arc<adit_ppp::ServerConfig> {
        let base = &self.config.ppp;
        // With less there would be no IPv6 (RFC 8200 5), on a path too narrow for it as well.
        let least = self.config.ipv6.as_ref().map_or(0, |_| IPV6_MINIMUM);
        let mru = base.mru.min(link_mtu.max(least));
        Arc::clone(self.ppp_configs.entry(mru).or_insert_with(|| {
            let mut config = adit_ppp::ServerConfig::clone(base);
            config.mru = mru;
            Arc::new(config)
        }))
    }

    pub(super) fn handle_ppp_frame(&mut self, key: SessionKey, frame: &[u8], now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        if let Err(error) = session.ppp.handle_frame(frame, now, &mut self.rng) {
            self.plane.stats.ppp_refused += 1;
            tracing::debug!(session = %session.id, %error, "PPP frame refused");
        }
        self.drive_session(key, now);
    }

    pub(super) fn session_timeout(&mut self, key: SessionKey, now: Instant) {
        let heard = self.plane.session(key).map(|record| record.heard);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        if let Some(heard) = heard {
            session.ppp.note_data(heard);
        }
        session.ppp.handle_timeout(now, &mut self.rng);
        if let Some(router) = &mut session.router {
            router.handle_timeout(now, &mut self.rng);
        }
        self.end_if_expired(key, now);
        self.drive_session(key, now);
    }

    /// Takes everything that a session has to say, and its next deadline.
    pub(super) fn drive_session(&mut self, key: SessionKey, now: Instant) {
        while let Some(session) = self.sessions.get_mut(&key) {
            if let Some(frame) = session.ppp.poll_transmit() {
                if let Some(transmit) = self.plane.send_control(key, &frame, now) {
                    self.transmits.push_back(transmit);
                }
            } else if let Some(event) = session.ppp.poll_event() {
                self.ppp_event(key, event, now);
            } else if let Some(event) = session.router.as_mut().and_then(Router::poll_event) {
                self.router_event(key, event, now);
            } else if let Some(packet) = session.router.as_mut().and_then(Router::poll_transmit) {
                self.send_own(key, Family::V6, &packet, now);
            } else {
                let router = session.router.as_ref().and_then(Router::poll_timeout);
                let deadline = [session.ppp.poll_timeout(), router, session.grant.expires]
                    .into_iter()
                    .flatten()
                    .min();
                self.timers.set(TimerKey::Session(key), deadline);
                let echoes = session.ppp.echoes();
                if std::mem::replace(&mut session.echoes, echoes) != echoes {
                    self.plane.update(key, |record| record.echoes = echoes);
                }
                return;
            }
        }
    }

    fn ppp_event(&mut self, key: SessionKey, event: adit_ppp::Event, now: Instant) {
        use adit_ppp::Event as Ppp;
        let peer = self.outer_peer(key);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        match event {
            Ppp::LcpUp { peer_mru } => {
                session.peer_mru = Some(peer_mru);
                let framing = session.ppp.framing();
                self.enforce_mtu(key);
                self.plane.update(key, |record| record.framing = framing);
            }
            Ppp::Authenticate(attempt) => self.authenticate(key, attempt, now),
            Ppp::Authenticated { .. } => session.connected_at = Some(now),
            // The last two are a client's.
            Ppp::AuthFailed { .. } | Ppp::PasswordRejected { .. } | Ppp::Acscp(_) => {}
            Ppp::Ipv4Up { peer: address, .. } => {
                tracing::info!(
                    session = %session.id,
                    user = session.user.as_deref().unwrap_or("-"),
                    peer = %peer,
                    ipv4 = %address,
                    "IPv4 up"
                );
                self.plane.update(key, |record| {
                    record.ipv4_open = true;
                    record.addresses.ipv4 = Some(address);
                });
                self.plane.add_route4(Ipv4Net::from(address), key);
            }
            Ppp::Ipv4Down => {
                let gone = self.plane.update(key, |record| {
                    record.ipv4_open = false;
                    record.addresses.ipv4.take()
                });
                if let Some(address) = gone.flatten() {
                    self.plane.remove_route4(Ipv4Net::from(address));
                }
            }
            Ppp::Ipv6Up {
                local_interface_id,
                peer_interface_id,
            } => self.ipv6_up(key, local_interface_id, peer_interface_id, now),
            Ppp::Ipv6Down => self.ipv6_down(key),
            Ppp::Ipv4Refused => {
                tracing::info!(session = %session.id, "the client refuses IPv4; IPv6 goes on");
            }
            Ppp::Ipv6Refused => {
                tracing::info!(session = %session.id, "the client refuses IPv6; IPv4 goes on");
            }
            Ppp::Down { reason } => {
                let (tunnel, local) = (session.tunnel, session.local_session);
                self.remove_session(key, &reason.to_string(), now);
                self.close_call(
                    tunnel,
                    local,
                    CallDisconnect {
                        message: reason.to_string(),
                        ..CallDisconnect::administrative()
                    },
                    now,
                );
            }
        }
    }

    fn authenticate(&mut self, key: SessionKey, attempt: Attempt, now: Instant) {
        let peer = self.outer_peer(key);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.user = Some(attempt.user().to_owned());
        if !self.throttle.admits(attempt.user(), peer.ip(), now) {
            self.plane.stats.auth_throttled += 1;
            let reason = RejectReason::TooManyAttempts;
            tracing::debug!(session = %session.id, user = attempt.user(), peer = %peer, %reason, "attempt not looked at");
            let verdict = Verdict::Reject { reason };
            session.ppp.handle_verdict(verdict, now, &mut self.rng);
            return;
        }
        self.events.push_back(Event::Authenticate {
            session: session.id,
            peer,
            attempt,
        });
    }

    pub(super) fn session_verdict(&mut self, key: SessionKey, decision: Decision, now: Instant) {
        let peer = self.outer_peer(key);
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        let (id, user) = (session.id, session.user.clone().unwrap_or_default());
        let decided = match decision {
            Decision::Reject(reason) => {
                if reason == RejectReason::BadCredentials
                    && self.throttle.failed(&user, peer.ip(), now)
                    && self.log_budget.spend(now)
                {
                    tracing::warn!(
                        user,
                        peer = %peer,
                        "too many failed logins: more of them are refused unseen for a while \
                         (limits.login-failures)"
                    );
                }
                Err(reason)
            }
            Decision::Accept {
                success_message,
                grant,
            } => self.admit(key, grant, now).map(|()| success_message),
        };
        let verdict = match decided {
            Err(reason) => {
                self.plane.stats.auth_rejected += 1;
                tracing::debug!(session = %id, user, peer = %peer, %reason, "authentication rejected");
                Verdict::Reject { reason }
            }
            Ok(success_message) => {
                self.plane.stats.auth_accepted += 1;
                self.throttle.succeeded(&user, peer.ip());
                Verdict::Accept {
                    success_message,
                    network: self.network(key),
                }
            }
        };
        if let Some(session) = self.sessions.get_mut(&key) {
            session.ppp.handle_verdict(verdict, now, &mut self.rng);
            self.drive_session(key, now);
        }
    }

    /// What the NCPs of a session have to agree on.
    fn network(&mut self, key: SessionKey) -> Network {
        let lease = self
            .sessions
            .get(&key)
            .map(|session| session.lease)
            .unwrap_or_default();
        let ipv4 = lease
            .ipv4
            .zip(self.pools.server_ipv4())
            .map(|(peer, local)| Ipv4Network {
                local,
                peer,
                dns: self
                    .config
                    .ipv4
                    .as_ref()
                    .map(|ipv4| ipv4.dns.clone())
                    .unwrap_or_default(),
                wins: self
                    .config
                    .ipv4
                    .as_ref()
                    .map(|ipv4| ipv4.wins.clone())
                    .unwrap_or_default(),
            });
        let acscp = self.acscp(key);
        let ipv6 = lease.ipv6.or(self.pools.shared()).map(|_| {
            let local_interface_id = self.interface_id();
            let mut peer_interface_id = self.interface_id();
            while peer_interface_id == local_interface_id {
                peer_interface_id = self.interface_id();
            }
            Ipv6Network {
                local_interface_id,
                peer_interface_id,
            }
        });
        Network { ipv4, ipv6, acscp }
    }

    /// A random interface identifier that is not zero and says that it is not unique worldwide
    /// (RFC 5072 4.1: the universal bit is clear).
    fn interface_id(&mut self) -> u64 {
        loop {
            let id = self.rng.u64() & !(0x02 << 56);
            if id != 0 {
                return id;
            }
        }
    }

    /// Ends a session without a word to the peer and gives back what it held.
    pub(super) fn remove_session(&mut self, key: SessionKey, why: &str, now: Instant) {
        let Some(session) = self.sessions.remove(&key) else {
            return;
        };
        let traffic = self
            .plane
            .session(key)
            .map(|record| (record.rx_bytes, record.tx_bytes));
        let (rx_bytes, tx_bytes) = traffic.unwrap_or_default();
        tracing::info!(
            session = %session.id,
            user = session.user.as_deref().unwrap_or("-"),
            why,
            rx_bytes,
            tx_bytes,
            "session down"
        );
        self.timers.set(TimerKey::Session(key), None);
        self.by_id.remove(&session.id);
        self.pools.release(session.lease, session.remembered());
        if let Some(device) = &session.device {
            self.roster.remove(device, session.id);
        }
        self.release_addresses(key);
        self.plane.remove_session(key);
        if let Some(state) = self.tunnels.get_mut(&session.tunnel) {
            state.sessions.retain(|(_, other)| *other != key);
            state.idle_since = now;
        }
    }

    /// Ends a session by PPP Terminate-Request, then CDN. `false` if there is none of that number.
    pub fn disconnect(&mut self, session: SessionId, now: Instant) -> bool {
        let Some(key) = self.by_id.get(&session).copied() else {
            return false;
        };
        if let Some(session) = self.sessions.get_mut(&key) {
            session
                .ppp
                .close(CloseReason::Administrative, now, &mut self.rng);
            self.drive_session(key, now);
        }
        true
    }

    pub(super) fn outer_peer(&self, key: SessionKey) -> SocketAddr {
        self.plane
            .session(key)
            .and_then(|record| self.plane.path(record.group))
            .map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |path| path.remote)
    }

    pub(super) fn session_info(&self, key: SessionKey, now: Instant) -> Option<SessionInfo> {
        let session = self.sessions.get(&key)?;
        let record = self.plane.session(key)?;
        let path = self.plane.path(record.group)?;
        let peer = self.peer_info(record.group);
        let dns4 = self.config.ipv4.iter().flat_map(|ipv4| &ipv4.dns);
        let dns6 = self.config.ipv6.iter().flat_map(|ipv6| &ipv6.dns);
        Some(SessionInfo {
            id: session.id,
            user: session.user.clone(),
            group: session.grant.group.clone(),
            client: peer.client,
            peer: path.remote,
            local: path.local,
            encapsulation: match path.channel {
                Channel::L2tp => "none",
                Channel::Esp => "esp",
                Channel::Ike | Channel::NatT => "udp",
            },
            nat: peer.nat,
            ike: peer.ike,
            esp: self.plane.suite(record.group).map(|suite| suite.name()),
            ipv4: record.addresses.ipv4,
            ipv6_prefixes: [record.addresses.ipv6, record.addresses.delegated]
                .into_iter()
                .flatten()
                .chain(self.claimed_by(key))
                .collect(),
            ipcp: session.ppp.ipcp_state().to_string(),
            ipv6cp: session.ppp.ipv6cp_state().to_string(),
            mtu: record.mtu,
            mss: (record.mss_v4, record.mss_v6),
            dns: dns4
                .map(|dns| IpAddr::from(*dns))
                .chain(dns6.map(|dns| IpAddr::from(*dns)))
                .collect(),
            rx_bytes: record.rx_bytes,
            tx_bytes: record.tx_bytes,
            rx_packets: record.rx_packets,
            tx_packets: record.tx_packets,
            connected_for: session
                .connected_at
                .map_or_else(Default::default, |at| now.saturating_duration_since(at)),
        })
    }
}
