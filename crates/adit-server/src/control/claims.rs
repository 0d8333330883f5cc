//! Addresses of a prefix that clients share with the hosts of the server's uplink: claimed one by one,
//! by what clients look for duplicates of (RFC 4862 5.4.2) and send from, held after a check by the
//! owner, gone with the session. Never the server's own, and never two sessions'.

use std::net::Ipv6Addr;
use std::time::Instant;

use adit_link::address;
use adit_link::pool::Claim;
use ipnet::Ipv6Net;

use super::Server;
use crate::event::Event;
use crate::plane::SessionKey;

impl Server {
    /// A session wants to use an address of the shared prefix.
    pub(super) fn claim_address(&mut self, key: SessionKey, address: Ipv6Addr, now: Instant) {
        let Some(claims) = &mut self.claims else {
            return;
        };
        let is_open = self
            .sessions
            .get(&key)
            .is_some_and(|session| session.router.is_some());
        if !is_open {
            return;
        }
        if self.pools.server_ipv6() == Some(address) {
            self.address_taken(key, address, now);
            return;
        }
        match claims.claim(address, key, now) {
            Claim::Held | Claim::Waits => {}
            Claim::Check => self.events.push_back(Event::CheckAddress { address }),
            Claim::Taken => self.address_taken(key, address, now),
            Claim::Reserved | Claim::TooMany => self.plane.stats.addresses_refused += 1,
        }
    }

    /// Takes the answer to [`Event::CheckAddress`]: whether no host of the uplink has the address.
    pub fn handle_address_check(&mut self, address: Ipv6Addr, free: bool, now: Instant) {
        let Some(claims) = &mut self.claims else {
            return;
        };
        if !free {
            if let Some(key) = claims.refuse(address, now) {
                self.address_taken(key, address, now);
            }
            return;
        }
        // The packet path knows when each was last used.
        let holder = claims.waits_for(address);
        let record = holder.and_then(|holder| Some((holder, self.plane.session(holder)?)));
        if let Some((holder, record)) = record {
            for (held, used) in record.claimed {
                claims.uses(held, holder, used);
            }
        }
        let Some(granted) = claims.grant(address, now) else {
            return;
        };
        let key = granted.holder;
        self.plane.update(key, |record| {
            record
                .claimed
                .retain(|(held, _)| Some(*held) != granted.gone);
            record.claimed.push((address, now));
        });
        self.plane.stats.addresses_claimed += 1;
        if let Some(gone) = granted.gone {
            self.plane.remove_route6(Ipv6Net::from(gone));
            self.tell_neighbor(gone, false);
        }
        self.plane.add_route6(Ipv6Net::from(address), key);
        self.tell_neighbor(address, true);
        if let Some(session) = self.sessions.get_mut(&key)
            && let Some(router) = &mut session.router
        {
            tracing::debug!(session = %session.id, %address, "address claimed");
            let own = router.peer_link_local();
            if address == address::with_interface_id(router.prefix(), id_of(own)) {
                router.set_address(Some(address));
            }
        }
    }

    /// Takes back what a session holds of the shared prefix.
    pub(super) fn release_addresses(&mut self, key: SessionKey) {
        let Some(claims) = &mut self.claims else {
            return;
        };
        let held = claims.release(key);
        self.plane.update(key, |record| record.claimed.clear());
        for address in held {
            self.plane.remove_route6(Ipv6Net::from(address));
            self.tell_neighbor(address, false);
        }
    }

    /// The addresses of the shared prefix that a session holds.
    pub(super) fn claimed_by(&self, key: SessionKey) -> impl Iterator<Item = Ipv6Net> + '_ {
        let claims = self.claims.iter();
        claims
            .flat_map(move |claims| claims.held(key))
            .map(Ipv6Net::from)
    }

    fn tell_neighbor(&mut self, address: Ipv6Addr, held: bool) {
        self.events.push_back(Event::Neighbor { address, held });
    }

    /// The client is told, so that it takes another one.
    fn address_taken(&mut self, key: SessionKey, address: Ipv6Addr, now: Instant) {
        self.plane.stats.addresses_taken += 1;
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let Some(router) = &mut session.router else {
            return;
        };
        router.defend(address);
        if self.log_budget.spend(now) {
            tracing::info!(
                session = %session.id,
                %address,
                "the client wants an address that somebody else has"
            );
        }
        self.drive_session(key, now);
    }
}

/// The interface identifier of a link-local address.
fn id_of(address: Ipv6Addr) -> u64 {
    // cast: the lower half
    u128::from(address) as u64
}
