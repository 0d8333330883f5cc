//! What a host knows of its link, how long it holds, and the news of it.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use ipnet::Ipv6Net;

use super::HostEvent;
use crate::address;
use crate::domain::Domain;
use crate::mtu::IPV6_MINIMUM;
use crate::nd::{Preference, PrefixInformation, RouteInformation};

/// The most of each kind; one advertisement can name many.
const MAX_ADDRESSES: usize = 8;
const MAX_DNS: usize = 8;
const MAX_SEARCH: usize = 16;
const MAX_ROUTES: usize = 32;
const MAX_EVENTS: usize = 64;

/// RFC 4862 5.5.3 e: an advertisement shortens a valid lifetime to no less than this.
const TWO_HOURS: Duration = Duration::from_secs(7200);
const FOR_EVER: u32 = u32::MAX;

/// When something ends; `None` is never.
type Until = Option<Instant>;

#[derive(Clone, Debug, Default)]
pub(super) struct Learnt {
    router: Option<(Ipv6Addr, Instant, Preference)>,
    addresses: Vec<(Ipv6Addr, Until)>,
    mtu: Option<u32>,
    recursive_dns: Vec<(Ipv6Addr, Until)>,
    dhcp_dns: Vec<Ipv6Addr>,
    told_dns: Vec<Ipv6Addr>,
    search: Vec<(Domain, Until)>,
    routes: Vec<(Ipv6Net, Until)>,
    events: VecDeque<HostEvent>,
}

impl Learnt {
    pub(super) fn has_router(&self) -> bool {
        self.router.is_some()
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.addresses.iter().map(|(address, _)| *address)
    }

    pub(super) fn poll_event(&mut self) -> Option<HostEvent> {
        self.events.pop_front()
    }

    /// When the next thing ends.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let router = self.router.map(|(_, until, _)| until);
        let addresses = self.addresses.iter().filter_map(|(_, until)| *until);
        let dns = self.recursive_dns.iter().filter_map(|(_, until)| *until);
        let search = self.search.iter().filter_map(|(_, until)| *until);
        let routes = self.routes.iter().filter_map(|(_, until)| *until);
        let known = addresses.chain(dns).chain(search).chain(routes);
        router.into_iter().chain(known).min()
    }

    /// Drops what has ended. Returns whether the default router is among it.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let ended = |until: Until| until.is_some_and(|until| until <= now);
        let router_ended = self.router.is_some_and(|(_, until, _)| until <= now);
        if let Some((address, _, preference)) = self.router.take_if(|_| router_ended) {
            self.tell(HostEvent::DefaultRouter {
                address,
                lifetime: Duration::ZERO,
                preference,
            });
        }
        let gone: Vec<Ipv6Addr> = self
            .addresses
            .extract_if(.., |(_, until)| ended(*until))
            .map(|(address, _)| address)
            .collect();
        for address in gone {
            self.tell(HostEvent::AddressExpired { address });
        }
        self.recursive_dns.retain(|(_, until)| !ended(*until));
        self.tell_dns();
        let before = self.search.len();
        self.search.retain(|(_, until)| !ended(*until));
        if self.search.len() != before {
            self.tell_search();
        }
        let gone: Vec<Ipv6Net> = self
            .routes
            .extract_if(.., |(_, until)| ended(*until))
            .map(|(prefix, _)| prefix)
            .collect();
        for prefix in gone {
            self.tell(HostEvent::RouteGone { prefix });
        }
        router_ended
    }

    /// RFC 4861 6.3.4: the router of the latest advertisement is used; only news is told.
    pub(super) fn router(
        &mut self,
        address: Ipv6Addr,
        (seconds, preference): (u16, Preference),
        now: Instant,
    ) {
        let lifetime = Duration::from_secs(u64::from(seconds));
        let known = self.router.map(|(address, _, old)| (address, old));
        let told = HostEvent::DefaultRouter {
            address,
            lifetime,
            preference,
        };
        if seconds == 0 {
            if known.is_some_and(|(known, _)| known == address) {
                self.router = None;
                self.tell(told);
            }
            return;
        }
        self.router = Some((address, now + lifetime, preference));
        if known != Some((address, preference)) {
            self.tell(told);
        }
    }

    /// RFC 4191 3.1: a route of a reserved preference is ignored.
    pub(super) fn route(&mut self, route: &RouteInformation, router: Ipv6Addr, now: Instant) {
        let Some(preference) = route.preference else {
            return;
        };
        let prefix = route.prefix;
        let at = self.routes.iter().position(|(known, _)| *known == prefix);
        match at {
            Some(at) if route.lifetime == 0 => {
                self.routes.remove(at);
                self.tell(HostEvent::RouteGone { prefix });
            }
            Some(at) => {
                if let Some((_, known)) = self.routes.get_mut(at) {
                    *known = until(route.lifetime, now);
                }
            }
            None if route.lifetime > 0 && self.routes.len() < MAX_ROUTES => {
                self.routes.push((prefix, until(route.lifetime, now)));
                self.tell(HostEvent::Route {
                    prefix,
                    router,
                    preference,
                });
            }
            None => {}
        }
    }

    /// RFC 8106 5.3.1.
    pub(super) fn search(&mut self, lifetime: u32, domains: Vec<Domain>, now: Instant) {
        let mut news = false;
        for domain in domains {
            let at = self.search.iter().position(|(known, _)| *known == domain);
            match at {
                Some(at) if lifetime == 0 => {
                    self.search.remove(at);
                    news = true;
                }
                Some(at) => {
                    if let Some((_, known)) = self.search.get_mut(at) {
                        *known = until(lifetime, now);
                    }
                }
                None if lifetime > 0 && self.search.len() < MAX_SEARCH => {
                    self.search.push((domain, until(lifetime, now)));
                    news = true;
                }
                None => {}
            }
        }
        if news {
            self.tell_search();
        }
    }

    fn tell_search(&mut self) {
        let domains = self.search.iter().map(|(domain, _)| domain.clone());
        let domains = domains.collect();
        self.tell(HostEvent::Search(domains));
    }

    /// RFC 4862 5.5.3.
    pub(super) fn prefix(&mut self, option: &PrefixInformation, interface_id: u64, now: Instant) {
        if !option.autonomous
            || option.length != 64
            || option.preferred > option.valid
            || option.prefix.is_multicast()
            || option.prefix.is_unicast_link_local()
        {
            return;
        }
        let Ok(prefix) = Ipv6Net::new(option.prefix, option.length) else {
            return;
        };
        let prefix = prefix.trunc();
        let address = address::with_interface_id(prefix, interface_id);
        let until = until(option.valid, now);
        if let Some((_, known)) = self.addresses.iter_mut().find(|(own, _)| *own == address) {
            *known = prolonged(*known, until, now);
        } else if option.valid > 0 && self.addresses.len() < MAX_ADDRESSES {
            self.addresses.push((address, until));
            self.tell(HostEvent::Address { address, prefix });
        }
    }

    /// RFC 4861 6.3.4: values that IPv6 cannot run on are ignored.
    pub(super) fn mtu(&mut self, mtu: u32) {
        let possible = u32::from(IPV6_MINIMUM)..=u32::from(u16::MAX);
        if possible.contains(&mtu) && self.mtu != Some(mtu) {
            self.mtu = Some(mtu);
            self.tell(HostEvent::Mtu(mtu));
        }
    }

    /// RFC 8106 5.3.1.
    pub(super) fn recursive_dns(&mut self, lifetime: u32, servers: &[[u8; 16]], now: Instant) {
        for server in servers.iter().copied().map(Ipv6Addr::from) {
            let known = self
                .recursive_dns
                .iter()
                .position(|(known, _)| *known == server);
            match known {
                Some(at) if lifetime == 0 => {
                    self.recursive_dns.remove(at);
                }
                Some(at) => {
                    if let Some((_, known)) = self.recursive_dns.get_mut(at) {
                        *known = until(lifetime, now);
                    }
                }
                None if lifetime > 0
                    && self.recursive_dns.len() < MAX_DNS
                    && !server.is_multicast()
                    && !server.is_unspecified() =>
                {
                    self.recursive_dns.push((server, until(lifetime, now)));
                }
                None => {}
            }
        }
    }

    pub(super) fn dhcp_dns(&mut self, servers: Vec<Ipv6Addr>) {
        self.dhcp_dns = servers;
        self.dhcp_dns
            .retain(|server| !server.is_multicast() && !server.is_unspecified());
    }

    /// Tells the resolvers if they have changed: those of RDNSS first, each once.
    pub(super) fn tell_dns(&mut self) {
        let mut servers: Vec<Ipv6Addr> = Vec::new();
        let all = self.recursive_dns.iter().map(|(server, _)| server);
        for server in all.chain(&self.dhcp_dns) {
            if !servers.contains(server) {
                servers.push(*server);
            }
        }
        if servers != self.told_dns {
            self.told_dns.clone_from(&servers);
            self.tell(HostEvent::Dns(servers));
        }
    }

    pub(super) fn tell(&mut self, event: HostEvent) {
        // A caller that polls as told never lets them pile up.
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }
}

fn until(seconds: u32, now: Instant) -> Until {
    (seconds != FOR_EVER).then(|| now + Duration::from_secs(u64::from(seconds)))
}

/// RFC 4862 5.5.3 e: a longer life is taken, a shorter one only down to two hours.
fn prolonged(known: Until, new: Until, now: Instant) -> Until {
    let two_hours = now + TWO_HOURS;
    new.map(|new| new.max(known.map_or(two_hours, |known| known.min(two_hours))))
}
