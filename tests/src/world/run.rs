//! How a world runs: the clock, and datagrams on their way through NATs.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adit_ppp::{Attempt, RejectReason, Verified};
use adit_server::{Decision, Device, Event, Grant, Note, Teller, TooBig};
use adit_wire::ip::Family;
use adit_wire::{Channel, PacketBuf, Path};

use super::{ClientId, World};
use crate::host;
use crate::nat::Nat;
use crate::network::{Datagram, Router};

impl World {
    /// Lets time pass until `done` holds; `false` if `limit` of virtual time passes first.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let deadline = self.now + limit;
        loop {
            self.take_notes();
            if done(self) {
                return true;
            }
            let next = [
                self.network.next(),
                self.server.poll_timeout(),
                self.timers.peek().map(|Reverse((at, _))| *at),
            ]
            .into_iter()
            .flatten()
            .min();
            let Some(next) = next.filter(|next| *next <= deadline) else {
                self.now = deadline;
                return done(self);
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until a client has echoes of both families, pinging once a second.
    pub fn run_until_echoes(&mut self, ids: &[ClientId], limit: Duration) -> bool {
        for id in ids {
            self.clients[id.0].ping_at = Some(self.now);
            self.schedule(*id);
        }
        let ids = ids.to_vec();
        self.run_until(limit, |world| {
            ids.iter()
                .all(|id| world.state(*id).echoes4 > 0 && world.state(*id).echoes6 > 0)
        })
    }

    fn step(&mut self) {
        while let Some(datagram) = self.network.pop(self.now) {
            self.deliver(datagram);
        }
        self.take_notes();
        if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            self.timeouts += 1;
            self.server.handle_timeout(self.now);
            self.drain_server();
        }
        while let Some(Reverse((at, id))) = self.timers.peek().copied() {
            if at > self.now {
                break;
            }
            self.timers.pop();
            if self.clients[id.0].timer == Some(at) {
                self.clients[id.0].timer = None;
                self.client_timeout(id);
            }
        }
    }

    fn client_timeout(&mut self, id: ClientId) {
        let now = self.now;
        let end = &mut self.clients[id.0];
        if !end.alive {
            return;
        }
        if end.redial_at.is_some_and(|at| at <= now) {
            self.boot(id);
            return;
        }
        if end.client.poll_timeout().is_some_and(|at| at <= now) {
            end.client.handle_timeout(now);
        }
        if end.ping_at.is_some_and(|at| at <= now) {
            let answered = end.state.echoes4 > 0 && end.state.echoes6 > 0;
            end.ping_at = (!answered).then_some(now + Duration::from_secs(1));
            self.ping(id);
        }
        self.drain_client(id);
    }

    fn deliver(&mut self, datagram: Datagram) {
        let to_server = is_server(datagram.to);
        if let Some(capture) = &mut self.capture {
            capture.push(datagram.clone());
        }
        let Some(channel) = channel_of(if to_server {
            datagram.to
        } else {
            datagram.from
        }) else {
            return;
        };
        let mut payload = datagram.payload;
        if to_server {
            let path = Path {
                channel,
                local: self.inside(datagram.to),
                remote: datagram.from,
            };
            if let Some(worker) = self.worker_for(channel, &payload) {
                self.give_worker(worker, path, &mut payload);
                return;
            }
            let inner = self.server.handle_datagram(path, &mut payload, self.now);
            if let Some(packet) = inner.and_then(|range| host::echo(&payload[range])) {
                self.to_tun(&packet);
            }
            self.drain_server();
            return;
        }
        let candidates = self
            .by_address
            .get(&datagram.to.ip())
            .cloned()
            .unwrap_or_default();
        for id in candidates {
            let end = &mut self.clients[id.0];
            let local = match &end.nat {
                Some(nat) => nat.inward(datagram.to),
                None => Some(datagram.to),
            };
            let Some(local) = local.filter(|_| end.alive) else {
                continue;
            };
            let mut path = Path {
                channel,
                local,
                remote: datagram.from,
            };
            if let (Some(nat), IpAddr::V4(from)) = (&end.nat, datagram.from.ip())
                && nat.translates()
            {
                path.remote.set_ip(Nat::embed(from));
            }
            if let Some(range) = end.client.handle_datagram(path, &mut payload, self.now) {
                let packet = &payload[range];
                end.state.last_packet = packet.to_vec();
                match packet.first().map(|byte| byte >> 4) {
                    Some(4) => end.state.echoes4 += 1,
                    _ => end.state.echoes6 += 1,
                }
            }
            self.drain_client(id);
            return;
        }
    }

    /// An IP packet that reaches the server's TUN device from behind.
    pub fn to_tun(&mut self, packet: &[u8]) {
        let mut buf = PacketBuf::from_slice(adit_server::HEADROOM, packet, adit_server::TAILROOM);
        if !self.workers.is_empty() {
            self.give_queue(buf);
            return;
        }
        if let Some(path) = self.server.handle_tun(&mut buf, self.now) {
            self.send_from_server(path, buf.as_slice().to_vec());
        }
        self.drain_server();
    }

    pub(super) fn send_from_server(&mut self, path: Path, payload: Vec<u8>) {
        if self.is_too_big(path, &payload) {
            self.tell_too_big(path, &payload);
        } else {
            self.send_oversize(path, payload);
        }
    }

    /// Sends what may be cut on its way.
    pub(super) fn send_oversize(&mut self, path: Path, payload: Vec<u8>) {
        let mut from = path.local;
        if self.server_nat {
            from.set_ip(match from.ip() {
                IpAddr::V4(_) => Self::SERVER_V4.into(),
                IpAddr::V6(_) => Self::SERVER_V6.into(),
            });
        }
        let to = path.remote;
        self.put(Datagram { from, to, payload });
    }

    /// Whether a router on the way to a client has no room for it. IKE messages may be cut.
    fn is_too_big(&self, path: Path, payload: &[u8]) -> bool {
        let udp = if path.channel == Channel::Esp { 0 } else { 8 };
        let length = Family::of(path.remote.ip()).header_len() + udp + payload.len();
        let is_ike = path.channel == Channel::Ike
            || path.channel == Channel::NatT && payload.starts_with(&[0; 4]);
        let narrow = |router: &Router| length > usize::from(router.mtu);
        !is_ike && self.router.as_ref().is_some_and(narrow)
    }

    /// It is lost, and the router says so.
    fn tell_too_big(&mut self, path: Path, payload: &[u8]) {
        let Some(router) = self.router else {
            return;
        };
        let quote = payload.get(..router.quotes).unwrap_or(payload);
        let error = TooBig {
            channel: path.channel,
            remote: path.remote,
            mtu: router.mtu.into(),
            teller: Teller::Network,
            quote,
        };
        if router.tells && self.workers.is_empty() {
            self.server.handle_too_big(&error, self.now);
        } else if router.tells {
            // Any socket of a group may hear of it.
            self.notes.push_back(Note::too_big(&error));
        }
        self.no_room += 1;
    }

    /// The server's own end, behind its NAT if it has one.
    fn inside(&self, mut public: SocketAddr) -> SocketAddr {
        if self.server_nat {
            public.set_ip(match public.ip() {
                IpAddr::V4(_) => Self::INSIDE_V4.into(),
                IpAddr::V6(_) => Self::INSIDE_V6.into(),
            });
        }
        public
    }

    /// Puts a datagram on the wire.
    pub(super) fn put(&mut self, datagram: Datagram) {
        if self
            .drop_if
            .as_mut()
            .is_some_and(|vanishes| vanishes(&datagram))
        {
            return;
        }
        self.network.send(datagram, self.now, &mut self.rng);
    }

    pub(super) fn send_from_client(&mut self, id: ClientId, path: Path, payload: Vec<u8>) {
        let from = match &mut self.clients[id.0].nat {
            Some(nat) => nat.outward(path.local),
            None => path.local,
        };
        let mut datagram = Datagram {
            from,
            to: path.remote,
            payload,
        };
        if let (Some(nat), IpAddr::V6(to)) = (&self.clients[id.0].nat, datagram.to.ip())
            && nat.translates()
        {
            datagram.to.set_ip(Nat::extract(to));
        }
        if let Some(port) = self.redirect {
            datagram.from.set_port(port);
            datagram.to.set_port(port);
        }
        self.put(datagram);
    }

    pub(super) fn drain_server(&mut self) {
        loop {
            if let Some(transmit) = self.server.poll_transmit() {
                self.send_from_server(transmit.path, transmit.payload);
            } else if let Some(transmit) = self.server.poll_oversize() {
                self.send_oversize(transmit.path, transmit.payload);
            } else if !self.step_server() {
                return;
            }
        }
    }

    /// Does one thing that the server asks for; `false` if there is none.
    pub(super) fn step_server(&mut self) -> bool {
        if let Some(job) = self.server.poll_job() {
            self.server.handle_job(job.run(Self::UNIX), self.now);
        } else if let Some(event) = self.server.poll_event() {
            match event {
                Event::Authenticate {
                    session, attempt, ..
                } => {
                    let decision = self.judge(&attempt);
                    self.server.handle_verdict(session, decision, self.now);
                }
                Event::CheckAddress { address } => {
                    let free = !self.uplink.contains(&address);
                    self.server.handle_address_check(address, free, self.now);
                }
                Event::Neighbor {
                    address,
                    held: true,
                } => {
                    assert!(self.neighbors.insert(address), "{address} is held already");
                }
                Event::Neighbor {
                    address,
                    held: false,
                } => {
                    assert!(self.neighbors.remove(&address), "{address} is not held");
                }
                Event::Remember { device, lease } => {
                    self.remembered.push((Device::clone(&device), lease));
                }
            }
        } else if let Some(error) = self.server.poll_tun() {
            self.errors.push(error);
        } else {
            return false;
        }
        true
    }

    fn judge(&self, attempt: &Attempt) -> Decision {
        let user = attempt.user();
        let verified = self.users.get(user).map(|credential| match attempt {
            Attempt::Certificate { certificate, .. } => {
                let names = adit_cert::login_names(certificate);
                match names.iter().any(|name| name == user) {
                    true => Verified::Accepted {
                        success_message: Vec::new(),
                    },
                    false => Verified::Rejected,
                }
            }
            attempt => attempt.verify(credential),
        });
        match (verified, self.refused.get(user)) {
            (Some(Verified::Accepted { .. }), Some(reason)) => Decision::Reject(*reason),
            (Some(Verified::Accepted { success_message }), None) => {
                let grant = self.grants.get(user).cloned();
                Decision::Accept {
                    success_message,
                    grant: grant.unwrap_or_else(|| Grant {
                        user: user.to_owned(),
                        ..Grant::default()
                    }),
                }
            }
            _ => Decision::Reject(RejectReason::BadCredentials),
        }
    }

    pub(super) fn drain_client(&mut self, id: ClientId) {
        loop {
            let end = &mut self.clients[id.0];
            if let Some(transmit) = end.client.poll_transmit() {
                self.send_from_client(id, transmit.path, transmit.payload);
            } else if let Some(job) = end.client.poll_job() {
                let now = self.now;
                end.client.ipsec().handle_job(job.run(Self::UNIX), now);
            } else if let Some(event) = end.client.poll_event() {
                if matches!(event, adit_client::Event::PasswordRejected { .. }) {
                    match end.passwords.pop_front() {
                        Some(password) => end.client.handle_password(password, self.now),
                        None => end.client.close(self.now),
                    }
                }
                end.state.note(event);
                if end.state.down.is_some() && end.redial {
                    end.redial_at = Some(self.now + Duration::from_secs(1));
                }
            } else {
                break;
            }
        }
        self.schedule(id);
    }

    pub(super) fn schedule(&mut self, id: ClientId) {
        let end = &mut self.clients[id.0];
        let next = [end.client.poll_timeout(), end.ping_at, end.redial_at]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| end.alive);
        if let Some(at) = next
            && end.timer != Some(at)
        {
            end.timer = Some(at);
            self.timers.push(Reverse((at, id)));
        }
    }
}

/// Whether an address is the server's.
pub fn is_server(address: SocketAddr) -> bool {
    let server: [IpAddr; 2] = [World::SERVER_V4.into(), World::SERVER_V6.into()];
    server.contains(&address.ip())
}

fn channel_of(server: SocketAddr) -> Option<Channel> {
    match server.port() {
        500 => Some(Channel::Ike),
        4500 => Some(Channel::NatT),
        0 => Some(Channel::Esp),
        1701 => Some(Channel::L2tp),
        _ => None,
    }
}
