//! When a router advertises, and what (RFC 4861 6.2.3, 6.2.4, 6.2.6).

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use ipnet::Ipv6Net;

use super::RouterConfig;
use crate::nd::{self, Advertised};

// RFC 4861 10.
const MAX_INITIAL_ADVERTISEMENTS: u32 = 3;
const MAX_INITIAL_INTERVAL: Duration = Duration::from_secs(16);
const MIN_DELAY_BETWEEN: Duration = Duration::from_secs(3);
/// The largest interval that RFC 8319 4 allows, and the smallest of RFC 4861 6.2.1.
const MAX_INTERVAL: Duration = Duration::from_secs(21_845);
const MIN_INTERVAL: Duration = Duration::from_secs(4);

/// Answers to one client that may follow each other at once.
const BURST: u32 = 3;
/// Autoconfiguration forms addresses of 64 bits (RFC 4862 5.5.3 d, RFC 5072 5).
const AUTOCONFIGURATION_LENGTH: u8 = 64;

/// The times of advertisements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    interval: Duration,
    sent: u32,
    last_multicast: Instant,
    due: Instant,
    /// When the answers that were given are paid for, at one per [`MIN_DELAY_BETWEEN`].
    paid: Instant,
}

impl Schedule {
    /// The schedule of a router that sends its first advertisement now.
    pub(super) fn new(config: &RouterConfig, now: Instant, rng: &mut Rng) -> Self {
        let shortest = if config.router_lifetime.is_zero() {
            config.preferred_lifetime
        } else {
            config.router_lifetime.min(config.preferred_lifetime)
        };
        let mut schedule = Self {
            interval: (shortest / 3).clamp(MIN_INTERVAL, MAX_INTERVAL),
            sent: 0,
            last_multicast: now,
            due: now,
            paid: now,
        };
        schedule.multicast_sent(now, rng);
        schedule
    }

    /// When the next advertisement goes to all nodes.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// An advertisement to all nodes went out: the next follows between three quarters of the
    /// interval and the whole, and soon while the client may still be starting (RFC 4861 6.2.4).
    pub(super) fn multicast_sent(&mut self, now: Instant, rng: &mut Rng) {
        self.sent = self.sent.saturating_add(1);
        self.last_multicast = now;
        let interval = if self.sent < MAX_INITIAL_ADVERTISEMENTS {
            self.interval.min(MAX_INITIAL_INTERVAL)
        } else {
            self.interval
        };
        self.due = now + interval * (750 + rng.below(251)) / 1000;
    }

    /// Whether a solicitation may be answered to its sender now; it counts if so.
    pub(super) fn may_answer(&mut self, now: Instant) -> bool {
        let paid = self.paid.max(now);
        let allowed = paid.saturating_duration_since(now) <= MIN_DELAY_BETWEEN * (BURST - 1);
        if allowed {
            self.paid = paid + MIN_DELAY_BETWEEN;
        }
        allowed
    }

    /// Whether all nodes may be told now; if not, they are as soon as allowed.
    pub(super) fn may_multicast(&mut self, now: Instant) -> bool {
        let earliest = self.last_multicast + MIN_DELAY_BETWEEN;
        if now >= earliest {
            return true;
        }
        self.due = self.due.min(earliest);
        false
    }
}

/// An advertisement; the last one takes everything back.
pub(super) fn packet(
    config: &RouterConfig,
    prefix: Ipv6Net,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    last: bool,
) -> Vec<u8> {
    let alive = |lifetime: Duration| if last { 0 } else { seconds(lifetime) };
    // A client with more than a /64 forms its address in the first one.
    let autoconfigured = (prefix.prefix_len() <= AUTOCONFIGURATION_LENGTH)
        .then(|| Ipv6Net::new(prefix.network(), AUTOCONFIGURATION_LENGTH).ok())
        .flatten();
    let valid = alive(config.valid_lifetime);
    let router_lifetime = alive(config.router_lifetime).min(u32::from(u16::MAX));
    let advertised = Advertised {
        // Whoever cannot form an address gets one by DHCPv6.
        managed: autoconfigured.is_none(),
        other_config: config.other_config,
        preference: config.preference,
        router_lifetime: u16::try_from(router_lifetime).unwrap_or(u16::MAX),
        prefix: autoconfigured,
        valid,
        preferred: alive(config.preferred_lifetime).min(valid),
        mtu: u32::from(config.mtu),
        dns: &config.dns,
        search: &config.search,
        dns_lifetime: alive(config.valid_lifetime),
        routes: &config.routes,
        route_lifetime: alive(config.valid_lifetime),
    };
    nd::router_advertisement(source, destination, &advertised)
}

/// A lifetime on the wire; what does not fit is for ever.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
