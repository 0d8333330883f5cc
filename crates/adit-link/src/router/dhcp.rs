//! DHCPv6 of the link (RFC 8415 18.3), and the delegation that its owner provides.

use std::net::Ipv6Addr;
use std::time::Instant;

use adit_wire::ip::IpHeader;
use ipnet::Ipv6Net;

use super::{Router, RouterEvent};
use crate::dhcp6::server::{Delegation, Offer, Outcome};
use crate::{Error, dhcp6, packet};

impl Router {
    /// Answers [`RouterEvent::DelegationWanted`]: the prefix that is held for the client from now
    /// on, or that there is none.
    pub fn set_delegation(&mut self, prefix: Option<Ipv6Net>, now: Instant) {
        self.dhcp
            .set_delegation(prefix.map_or(Delegation::None, Delegation::Held));
        if let Some((source, message)) = self.asking.take()
            && let Err(error) = self.answer_dhcp(&message, source, now)
        {
            self.stats.count(&error);
        }
    }

    pub(super) fn dhcp(
        &mut self,
        packet: &[u8],
        header: &IpHeader,
        source: Ipv6Addr,
        now: Instant,
    ) -> Result<(), Error> {
        let Some(message) = dhcp6::payload_to(packet, header, dhcp6::SERVER_PORT)? else {
            self.stats.other += 1;
            return Ok(());
        };
        if !source.is_unicast_link_local() {
            return Err(Error::Source(source));
        }
        self.stats.dhcp_messages += 1;
        self.answer_dhcp(message, source, now)
    }

    fn answer_dhcp(&mut self, message: &[u8], source: Ipv6Addr, now: Instant) -> Result<(), Error> {
        let offer = Offer {
            dns: &self.config.dns,
            search: &self.config.search,
            prefix: self.prefix,
            single: self.config.shared.then_some(self.single),
            valid: self.config.valid_lifetime,
            preferred: self.config.preferred_lifetime,
        };
        let before = self.dhcp.delegated();
        let outcome = self.dhcp.handle(message, &offer, now);
        self.tell_delegation(before);
        let answer = match outcome? {
            Outcome::Reply(answer) => packet::udp(
                (self.link_local, dhcp6::SERVER_PORT),
                (source, dhcp6::CLIENT_PORT),
                &answer,
            ),
            Outcome::Ignored => None,
            Outcome::WantsPrefix => {
                // The latest message is the one that its sender waits for.
                if self.asking.replace((source, message.to_vec())).is_none() {
                    self.events.push_back(RouterEvent::DelegationWanted);
                }
                return Ok(());
            }
        };
        match answer {
            Some(packet) => {
                self.stats.dhcp_answers += 1;
                self.send(packet);
            }
            None => self.stats.dhcp_ignored += 1,
        }
        Ok(())
    }

    pub(super) fn tell_delegation(&mut self, before: Option<Ipv6Net>) {
        let after = self.dhcp.delegated();
        if before == after {
            return;
        }
        let ended = before.map(RouterEvent::DelegationEnded);
        self.events.extend(ended);
        self.events.extend(after.map(RouterEvent::Delegated));
    }
}
