//! IP on the link of a session: its router, the answers of DHCP, and refusals.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use adit_link::dhcp4::{self, Dhcp4Config};
use adit_link::icmp::{self, Unreachable};
use adit_link::{Handled, Router, RouterConfig, RouterEvent, address};
use adit_ppp::{Acscp, AcspDomain, AcspRoute};
use adit_wire::ip::{Family, IpHeader};
use adit_wire::{PacketBuf, Transmit};

use super::Server;
use crate::plane::{HEADROOM, Record, SessionKey, TAILROOM};

impl Server {
    pub(super) fn handle_link_packet(&mut self, key: SessionKey, packet: &[u8], now: Instant) {
        let handled = match IpHeader::parse(packet) {
            Err(error) => Err(error.to_string()),
            Ok(header) if header.family() == Family::V4 => {
                self.answer_dhcp4(key, packet, &header, now)
            }
            Ok(header) => self.show_router(key, packet, &header, now),
        };
        match handled {
            Ok(Handled::Consumed) => self.plane.stats.link_consumed += 1,
            Ok(Handled::Forward) => self.plane.stats.ip_spoofed += 1,
            Err(error) => {
                self.plane.stats.link_refused += 1;
                if let Some(session) = self.sessions.get(&key) {
                    tracing::debug!(session = %session.id, error, "packet for the link refused");
                }
            }
        }
        self.drive_session(key, now);
    }

    fn show_router(
        &mut self,
        key: SessionKey,
        packet: &[u8],
        header: &IpHeader,
        now: Instant,
    ) -> Result<Handled, String> {
        let router = self
            .sessions
            .get_mut(&key)
            .and_then(|session| session.router.as_mut())
            .ok_or("IPv6 is not open")?;
        router
            .handle_packet(packet, header, now, &mut self.rng)
            .map_err(|error| error.to_string())
    }

    fn answer_dhcp4(
        &mut self,
        key: SessionKey,
        packet: &[u8],
        header: &IpHeader,
        now: Instant,
    ) -> Result<Handled, String> {
        let client = self
            .plane
            .session(key)
            .and_then(|record| record.addresses.ipv4)
            .ok_or("IPv4 is not open")?;
        let (Some(ipv4), Some(server)) = (&self.config.ipv4, self.pools.server_ipv4()) else {
            return Err("IPv4 is not served".into());
        };
        let config = Dhcp4Config {
            server,
            dns: ipv4.dns.clone(),
            domain: ipv4.domain.clone(),
            routes: self.routes4(key).to_vec(),
        };
        let answer = dhcp4::answer(packet, header, client, &config);
        match answer.map_err(|error| error.to_string())? {
            Some(answer) => {
                self.plane.stats.dhcp4_answers += 1;
                self.send_own(key, Family::V4, &answer, now);
            }
            None => self.plane.stats.dhcp4_ignored += 1,
        }
        Ok(Handled::Consumed)
    }

    /// What Apple's clients are told that do not send everything into the tunnel, and ask by ACSCP.
    /// `None` where there is nothing to tell: then they ask by DHCP.
    pub(super) fn acscp(&self, key: SessionKey) -> Option<Acscp> {
        let ipv4 = self.config.ipv4.as_ref()?;
        let routes = self.routes4(key).iter().map(|net| AcspRoute {
            address: net.network(),
            mask: net.netmask(),
            private: true,
        });
        let domain = ipv4.domain.as_ref().zip(ipv4.dns.first());
        let domains = domain.map(|(name, server)| AcspDomain {
            server: *server,
            name: name.as_str().to_owned(),
        });
        let told = Acscp {
            routes: routes.collect(),
            domains: domains.into_iter().collect(),
        };
        (told != Acscp::default()).then_some(told)
    }

    /// Tells a client that what it sent goes nowhere (RFC 1812 5.2.7.1, RFC 4443 3.1): by policy,
    /// so that it gives up or turns to the other family at once instead of waiting.
    pub(super) fn refuse_packet(&mut self, key: SessionKey, packet: &[u8], now: Instant) {
        let from4 = self.pools.server_ipv4().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let from6 = self.pools.server_ipv6().unwrap_or(Ipv6Addr::UNSPECIFIED);
        let error = icmp::unreachable_because(packet, Unreachable::Prohibited, from4, from6);
        if let Some(error) = error
            && let Ok(header) = IpHeader::parse(&error)
            && self.icmp_budget.spend(now)
        {
            self.send_own(key, header.family(), &error, now);
        }
    }

    /// Sends a packet that the server itself made.
    pub(super) fn send_own(
        &mut self,
        key: SessionKey,
        family: Family,
        packet: &[u8],
        now: Instant,
    ) {
        let mut buf = PacketBuf::from_slice(HEADROOM, packet, TAILROOM);
        if let Some(path) = self.plane.send_ip(key, &mut buf, family, now) {
            let room = self.plane.session(key).map(|record| record.mtu);
            let queue = match room.is_some_and(|room| packet.len() > usize::from(room)) {
                true => &mut self.oversize,
                false => &mut self.transmits,
            };
            queue.push_back(Transmit {
                path,
                payload: buf.as_slice().to_vec(),
            });
        }
    }

    pub(super) fn ipv6_up(&mut self, key: SessionKey, local_id: u64, peer_id: u64, now: Instant) {
        let peer = self.outer_peer(key);
        let (Some(session), Some(config)) = (self.sessions.get_mut(&key), &self.config.ipv6) else {
            return;
        };
        let shared = self.pools.shared();
        let prefix = session.lease.ipv6.or(shared);
        let own = session.lease.ipv6;
        let opened = self.plane.update(key, |record| {
            record.ipv6_open = true;
            record.addresses.ipv6 = own;
            record.addresses.link_local = Some(address::link_local(peer_id));
            record.ipv6_mtu
        });
        let (Some(prefix), Some(mtu)) = (prefix, opened) else {
            return;
        };
        let routes = session.routes6().unwrap_or(&config.routes);
        tracing::info!(
            session = %session.id,
            user = session.user.as_deref().unwrap_or("-"),
            peer = %peer,
            prefix = %prefix,
            "IPv6 up"
        );
        let defaults = RouterConfig::default();
        let router = RouterConfig {
            mtu,
            dns: config.dns.clone(),
            search: config.search.clone(),
            preference: config.preference,
            router_lifetime: if routes.is_empty() {
                defaults.router_lifetime
            } else {
                Duration::ZERO
            },
            routes: routes.to_vec(),
            shared: shared.is_some(),
            ..defaults
        };
        let mut router = Router::new(router, prefix, local_id, peer_id, now, &mut self.rng);
        if let Some(address) = self.pools.server_ipv6() {
            router.set_server_address(address);
        }
        session.router = Some(router);
        match shared {
            None => self.plane.add_route6(prefix, key),
            Some(shared) => {
                // Most clients use it first, and so it is checked before their first packet.
                let address = address::with_interface_id(shared, peer_id);
                self.claim_address(key, address, now);
            }
        }
    }

    pub(super) fn ipv6_down(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.router = None;
        }
        self.release_addresses(key);
        let gone = self.plane.update(key, |record| {
            record.ipv6_open = false;
            record.addresses.link_local = None;
            [
                record.addresses.ipv6.take(),
                record.addresses.delegated.take(),
            ]
        });
        let gone = gone.into_iter().flatten();
        for prefix in gone.flatten() {
            self.plane.remove_route6(prefix);
        }
    }

    pub(super) fn router_event(&mut self, key: SessionKey, event: RouterEvent, now: Instant) {
        if let RouterEvent::Tentative(address) = event {
            self.claim_address(key, address, now);
            return;
        }
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let user = session.user.as_deref().unwrap_or("-");
        match event {
            RouterEvent::DelegationWanted => {
                if session.lease.delegated.is_none() {
                    let fixed = session.grant.fixed.delegated;
                    match self.pools.delegate(session.remembered(), fixed) {
                        Some(Ok(prefix)) => session.lease.delegated = Some(prefix),
                        Some(Err(error)) => {
                            self.plane.stats.pool_exhausted += 1;
                            tracing::warn!(
                                session = %session.id, user, %error,
                                "no prefix to delegate: ipv6.delegate is too small"
                            );
                        }
                        None => {}
                    }
                }
                let prefix = session.lease.delegated;
                if let Some(router) = &mut session.router {
                    router.set_delegation(prefix, now);
                }
            }
            RouterEvent::Delegated(prefix) => {
                tracing::info!(session = %session.id, user, %prefix, "prefix delegated");
                let set = |record: &mut Record| record.addresses.delegated = Some(prefix);
                if self.plane.update(key, set).is_some() {
                    self.plane.add_route6(prefix, key);
                }
            }
            // Dealt with above.
            RouterEvent::Tentative(_) => {}
            RouterEvent::DelegationEnded(prefix) => {
                tracing::info!(session = %session.id, user, %prefix, "delegation ended");
                let clear = |record: &mut Record| record.addresses.delegated = None;
                if self.plane.update(key, clear).is_some() {
                    self.plane.remove_route6(prefix);
                }
            }
        }
    }

    pub(super) fn withdraw_router(&mut self, key: SessionKey, now: Instant) {
        if let Some(router) = self
            .sessions
            .get_mut(&key)
            .and_then(|session| session.router.as_mut())
        {
            router.withdraw();
            self.drive_session(key, now);
        }
    }
}
