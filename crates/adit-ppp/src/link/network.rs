//! The network phase (RFC 1661 3.6): IPCP and IPv6CP beside each other.

use std::time::Instant;

use adit_crypto::Rng;

use super::{Auth, Link, Role, context, first_id};
use crate::acscp;
use crate::automaton::{Automaton, Signal};
use crate::ccp::Ccp;
use crate::error::{Error, Failure};
use crate::event::{DownReason, Event};
use crate::ipcp::Ipcp;
use crate::ipv6cp::Ipv6cp;
use crate::manner::Manner;
use crate::ncp::Ncp;
use crate::packet::Packet;
use crate::protocol;

/// Protocols from here on belong to the link itself (RFC 1661 2).
const LINK_PROTOCOLS: u16 = 0xc000;

/// No link carries IPv6 with less (RFC 8200 5).
const IPV6_SMALLEST_MRU: u16 = 1280;

impl Link {
    pub(super) fn start_network(
        &mut self,
        ipv4: Option<Ipcp>,
        ipv6: Option<Ipv6cp>,
        now: Instant,
        rng: &mut Rng,
    ) {
        let (restart, manner) = match &self.role {
            Role::Server(config) => (config.restart, Manner::OWN),
            Role::Client(config) => (config.restart, config.manner),
        };
        let first = first_id(&manner);
        let ipv6 = ipv6.filter(|_| self.peer_mru >= IPV6_SMALLEST_MRU);
        self.ipcp = ipv4.map(|ipcp| Ncp::new(Automaton::new(ipcp, restart, first, rng)));
        self.ipv6cp = ipv6.map(|ipv6cp| Ncp::new(Automaton::new(ipv6cp, restart, first, rng)));
        let magic = self.lcp.protocol.magic();
        let ccp = manner.ccp.map(|options| Ccp::new(options, magic));
        self.ccp = ccp.map(|ccp| Ncp::new(Automaton::new(ccp, restart, first, rng)));
        let asks = matches!(&self.role, Role::Client(config) if config.acscp);
        let acscp = asks.then(|| acscp::Client::new(restart, first, rng));
        let context = context!(self, now, rng);
        if let (Some(ncp), true) = (&mut self.ipv6cp, manner.ipv6cp_first) {
            ncp.start(context);
        }
        // The clients that try it do so between the two.
        if let Some(ncp) = &mut self.ccp {
            ncp.start(context);
        }
        if let Some(ncp) = &mut self.ipcp {
            ncp.start(context);
        }
        if let (Some(ncp), false) = (&mut self.ipv6cp, manner.ipv6cp_first) {
            ncp.start(context);
        }
        if let Some(mut client) = acscp {
            client.start(context);
            self.acscp = Some(Box::new(acscp::End::Client(client)));
        }
        self.check_network(now, rng);
    }

    pub(super) fn stop_network(&mut self, now: Instant, rng: &mut Rng) {
        let context = context!(self, now, rng);
        self.ccp = None;
        self.acscp = None;
        let ipv4 = self.ipcp.take().and_then(|mut ncp| ncp.lower_down(context));
        let ipv6 = self
            .ipv6cp
            .take()
            .and_then(|mut ncp| ncp.lower_down(context));
        if ipv4 == Some(Signal::Down) {
            self.events.push_back(Event::Ipv4Down);
        }
        if ipv6 == Some(Signal::Down) {
            self.events.push_back(Event::Ipv6Down);
        }
    }

    /// A frame of an NCP, or of a protocol that nobody here speaks.
    pub(super) fn ncp_frame(
        &mut self,
        number: u16,
        information: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        // RFC 1661 3.5: nothing but the link's own protocols before authentication is done, and
        // nothing is said about it.
        if matches!(number, protocol::IPCP | protocol::IPV6CP)
            && let Auth::Client(auth) = &mut self.auth
            && auth.implied_success()
        {
            self.client_admitted(now, rng);
        }
        if !self.authenticated && number < LINK_PROTOCOLS {
            self.stats.early += 1;
            return Ok(());
        }
        let context = context!(self, now, rng);
        let parse = |stats: &mut u64| Packet::parse(information).inspect_err(|_| *stats += 1);
        let result = match (number, &mut self.ipcp, &mut self.ipv6cp, &mut self.ccp) {
            (protocol::IPCP, Some(ncp), ..) => {
                let packet = parse(&mut context.stats.malformed)?;
                let (signal, result) = ncp.handle_packet(&packet, context);
                self.ipv4_signal(signal, now, rng);
                result
            }
            (protocol::IPV6CP, _, Some(ncp), _) => {
                let packet = parse(&mut context.stats.malformed)?;
                let (signal, result) = ncp.handle_packet(&packet, context);
                self.ipv6_signal(signal);
                result
            }
            (protocol::CCP, _, _, Some(ncp)) if !ncp.is_over() => {
                let packet = parse(&mut context.stats.malformed)?;
                let (signal, result) = ncp.handle_packet(&packet, context);
                if signal == Some(Signal::Up) {
                    let _ = ncp.fail(Failure::NoCompression, context);
                }
                result
            }
            (protocol::ACSCP | protocol::ACSP, ..) if self.acscp.is_some() => {
                return self.acscp_frame(number, information, now, rng);
            }
            _ => {
                self.reject_protocol(number, information, now, rng);
                return Ok(());
            }
        };
        self.check_network(now, rng);
        result
    }

    fn acscp_frame(
        &mut self,
        number: u16,
        information: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let context = context!(self, now, rng);
        let Some(acscp) = &mut self.acscp else {
            return Ok(());
        };
        let known = if number == protocol::ACSP {
            acscp.handle_data(information, context)?
        } else {
            let packet =
                Packet::parse(information).inspect_err(|_| context.stats.malformed += 1)?;
            acscp.handle_packet(&packet, context)?
        };
        self.events.extend(known.map(Event::Acscp));
        Ok(())
    }

    /// The peer does not know one of the NCPs; the other one goes on.
    pub(super) fn ncp_rejected(&mut self, number: u16, now: Instant, rng: &mut Rng) {
        let context = context!(self, now, rng);
        match number {
            protocol::IPCP => {
                let signal = self.ipcp.as_mut().and_then(|ncp| ncp.reject(context));
                self.ipv4_signal(signal, now, rng);
            }
            protocol::IPV6CP => {
                let signal = self.ipv6cp.as_mut().and_then(|ncp| ncp.reject(context));
                self.ipv6_signal(signal);
            }
            protocol::CCP => self.ccp = None,
            _ => self.acscp = None,
        }
        self.check_network(now, rng);
    }

    pub(super) fn ncp_poll_timeout(&self) -> Option<Instant> {
        let ipv4 = self.ipcp.as_ref().and_then(Ncp::poll_timeout);
        let ipv6 = self.ipv6cp.as_ref().and_then(Ncp::poll_timeout);
        let ccp = self.ccp.as_ref().and_then(Ncp::poll_timeout);
        let acscp = self.acscp.as_ref().and_then(|acscp| acscp.poll_timeout());
        [ipv4, ipv6, ccp, acscp].into_iter().flatten().min()
    }

    pub(super) fn ncp_timeout(&mut self, now: Instant, rng: &mut Rng) {
        let context = context!(self, now, rng);
        let ipv4 = self
            .ipcp
            .as_mut()
            .and_then(|ncp| ncp.handle_timeout(context));
        let ipv6 = self
            .ipv6cp
            .as_mut()
            .and_then(|ncp| ncp.handle_timeout(context));
        if let Some(ncp) = &mut self.ccp {
            let _ = ncp.handle_timeout(context);
        }
        if let Some(acscp) = &mut self.acscp {
            acscp.handle_timeout(context);
        }
        self.ipv4_signal(ipv4, now, rng);
        self.ipv6_signal(ipv6);
        if ipv4.or(ipv6).is_some() {
            self.check_network(now, rng);
        }
    }

    fn ipv4_signal(&mut self, signal: Option<Signal>, now: Instant, rng: &mut Rng) {
        let Some(ncp) = &mut self.ipcp else {
            return;
        };
        match signal {
            Some(Signal::Up) => match ncp.protocol().agreed() {
                Ok(agreed) => self.events.push_back(Event::Ipv4Up {
                    local: agreed.local,
                    peer: agreed.peer,
                    dns: agreed.dns,
                    wins: agreed.wins,
                }),
                // It was up for nobody, so nobody hears that it is down.
                Err(failure) => {
                    let _ = ncp.fail(failure, context!(self, now, rng));
                }
            },
            Some(Signal::Down) => self.events.push_back(Event::Ipv4Down),
            Some(Signal::Finished) | None => {}
        }
    }

    fn ipv6_signal(&mut self, signal: Option<Signal>) {
        let Some(ncp) = &self.ipv6cp else {
            return;
        };
        match signal {
            Some(Signal::Up) => {
                let (local_interface_id, peer_interface_id) = ncp.protocol().agreed();
                self.events.push_back(Event::Ipv6Up {
                    local_interface_id,
                    peer_interface_id,
                });
            }
            Some(Signal::Down) => self.events.push_back(Event::Ipv6Down),
            Some(Signal::Finished) | None => {}
        }
    }

    /// Says which family will not come, once; a link without any is of no use.
    fn check_network(&mut self, now: Instant, rng: &mut Rng) {
        if !self.authenticated {
            return;
        }
        if self.ipcp.as_mut().is_some_and(Ncp::newly_refused) {
            self.events.push_back(Event::Ipv4Refused);
        }
        if self.ipv6cp.as_mut().is_some_and(Ncp::newly_refused) {
            self.events.push_back(Event::Ipv6Refused);
        }
        let ipv4_over = self.ipcp.as_ref().is_none_or(Ncp::is_over);
        let ipv6_over = self.ipv6cp.as_ref().is_none_or(Ncp::is_over);
        if ipv4_over && ipv6_over {
            self.close_for(DownReason::NoNetwork, now, rng);
        }
    }
}
