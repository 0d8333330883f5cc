//! What a session gives once the user is in: both families side by side, each with its own
//! patience. It says what to send into the tunnel and is shown what comes out of it.

mod item;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_link::{Advertised, address};

use super::echo::Echo;
use super::step::Step;
use crate::event::Event;
use item::Item;

/// The longest that any of it is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two echo requests.
const PING: Duration = Duration::from_secs(1);

/// One thing that is waited for.
struct Check {
    item: Item,
    since: Instant,
    deadline: Instant,
}

/// Echo requests that are under way.
struct Ping {
    echo: Echo,
    sent: Vec<Instant>,
    next: Instant,
}

pub(super) struct Network {
    patience: Duration,
    started: bool,
    checks: Vec<Check>,
    pings: Vec<Ping>,
    packets: VecDeque<Vec<u8>>,
    steps: VecDeque<Step>,
}

impl Network {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            patience: timeout.min(PATIENCE),
            started: false,
            checks: Vec::new(),
            pings: Vec::new(),
            packets: VecDeque::new(),
            steps: VecDeque::new(),
        }
    }

    /// The user is in: both families are expected, if the client asks for them.
    pub(super) fn start(&mut self, ipv6: bool, now: Instant) {
        self.started = true;
        self.expect(Item::Ipcp, now);
        if ipv6 {
            self.expect(Item::Ipv6cp, now);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.started && self.checks.is_empty()
    }

    pub(super) fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// The next IP packet for the tunnel.
    pub(super) fn poll_packet(&mut self) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = self.checks.iter().map(|check| check.deadline);
        deadlines
            .chain(self.pings.iter().map(|ping| ping.next))
            .min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for ping in self.pings.iter_mut().filter(|ping| now >= ping.next) {
            // cast: one a second, for ten seconds
            self.packets
                .push_back(ping.echo.request(ping.sent.len() as u16));
            ping.sent.push(now);
            ping.next = now + PING;
        }
        let late: Vec<_> = self.checks.iter().filter(|c| now >= c.deadline).collect();
        for item in late.into_iter().map(|check| check.item).collect::<Vec<_>>() {
            self.finish(item, now, |step| {
                let mut step = step.fail(item.advice());
                step.seen.push("nothing came".to_owned());
                step
            });
        }
    }

    /// Takes a packet out of the tunnel.
    pub(super) fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        let found = self.pings.iter().find_map(|ping| {
            let sequence = ping.echo.answered(packet)?;
            let sent = ping.sent.get(usize::from(sequence))?;
            Some((ping.echo.to, now.saturating_duration_since(*sent)))
        });
        if let Some((to, round_trip)) = found {
            self.finish(Item::Echo(to), now, |mut step| {
                step.took = round_trip;
                let millis = round_trip.as_secs_f64() * 1000.0;
                step.seen = vec![to.to_string(), format!("round trip {millis:.1} ms")];
                step
            });
        }
    }

    /// Takes an event of the connection.
    pub(super) fn handle_event(&mut self, event: &Event, now: Instant, rng: &mut Rng) {
        match event {
            Event::Ipv4 {
                address,
                server,
                dns,
            } => self.ipv4(*address, *server, dns, now, rng),
            Event::NoIpv4(state) => self.finish(Item::Ipcp, now, |mut step| {
                step.seen.push(state.to_string());
                step.fail("no IPv4 on this session: see whether the server has an IPv4 pool")
            }),
            Event::Ipv6Link {
                interface_id,
                server_interface_id,
            } => {
                let own = address::link_local(*interface_id);
                let server = address::link_local(*server_interface_id);
                self.finish(Item::Ipv6cp, now, |mut step| {
                    step.seen = vec![format!("{own}"), format!("server {server}")];
                    step
                });
                self.expect(Item::Router, now);
                self.ping(own.into(), server.into(), now, rng);
            }
            Event::NoIpv6(state) => {
                self.checks
                    .retain(|check| !check.item.is_ipv6() || check.item == Item::Ipv6cp);
                self.pings.retain(|ping| ping.echo.to.is_ipv4());
                self.finish(Item::Ipv6cp, now, |mut step| {
                    step.seen.push(state.to_string());
                    step.fail(
                        "no IPv6 on this session: the server's PPP has IPv6 switched off or does \
                         not know it",
                    )
                });
            }
            Event::RouterAdvertisement(advertised) => self.advertised(advertised, now),
            Event::Dhcp6(dns) => self.finish(Item::Dhcp6, now, |mut step| {
                step.seen.push(list("resolvers", dns));
                step
            }),
            _ => {}
        }
    }

    fn ipv4(
        &mut self,
        address: Ipv4Addr,
        server: Ipv4Addr,
        dns: &[Ipv4Addr],
        now: Instant,
        rng: &mut Rng,
    ) {
        self.finish(Item::Ipcp, now, |mut step| {
            step.seen = vec![
                address.to_string(),
                format!("server {server}"),
                list("resolvers", dns),
            ];
            step
        });
        if server.is_unspecified() {
            let step = Step::ok("echo-ipv4", Duration::ZERO, Vec::new());
            let advice = "not tried: the server tells no address of its own";
            self.steps.push_back(step.warn(advice));
        } else {
            self.ping(address.into(), server.into(), now, rng);
        }
    }

    fn advertised(&mut self, advertised: &Advertised, now: Instant) {
        if !self.checks.iter().any(|check| check.item == Item::Router) {
            return;
        }
        let flags = [(advertised.managed, "M"), (advertised.other, "O")];
        let flags: Vec<_> = flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, f)| *f)
            .collect();
        let mut seen = vec![
            format!("from {}", advertised.router),
            list("prefixes", &advertised.prefixes),
        ];
        seen.extend(advertised.mtu.map(|mtu| format!("MTU {mtu}")));
        seen.push(list("RDNSS", &advertised.dns));
        seen.push(format!("lifetime {} s", advertised.lifetime.as_secs()));
        seen.extend((!flags.is_empty()).then(|| format!("flags {}", flags.join(" "))));
        self.finish(Item::Router, now, |mut step| {
            step.seen = seen;
            if advertised.prefixes.is_empty() {
                step.fail("no prefix, so clients get no address: advertise a /64 with the A flag")
            } else if advertised.lifetime.is_zero() {
                step.fail("a lifetime of zero: clients get no default route")
            } else if advertised.dns.is_empty() && !advertised.other {
                step.warn("no resolver over IPv6: neither RDNSS nor DHCPv6 (O flag)")
            } else {
                step
            }
        });
        if advertised.other {
            self.expect(Item::Dhcp6, now);
        }
    }

    fn ping(&mut self, from: IpAddr, to: IpAddr, now: Instant, rng: &mut Rng) {
        self.expect(Item::Echo(to), now);
        self.pings.push(Ping {
            echo: Echo {
                from,
                to,
                identifier: rng.u16(),
            },
            sent: Vec::new(),
            next: now,
        });
        self.handle_timeout(now);
    }

    fn expect(&mut self, item: Item, now: Instant) {
        self.checks.push(Check {
            item,
            since: now,
            deadline: now + self.patience,
        });
    }

    /// What was waited for is there, or will not come.
    fn finish(&mut self, item: Item, now: Instant, judge: impl FnOnce(Step) -> Step) {
        let Some(at) = self.checks.iter().position(|check| check.item == item) else {
            return;
        };
        let check = self.checks.remove(at);
        if let Item::Echo(to) = item {
            self.pings.retain(|ping| ping.echo.to != to);
        }
        let took = now.saturating_duration_since(check.since);
        self.steps
            .push_back(judge(Step::ok(item.name(), took, Vec::new())));
    }
}

fn list(what: &str, items: &[impl ToString]) -> String {
    match items {
        [] => format!("no {what}"),
        items => {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            format!("{what} {}", items.join(", "))
        }
    }
}
