use super::*;
use crate::testing::{CLIENT, CLIENT_ID, header, icmpv6, ip, neighbor_solicitation, udp};
use crate::{Router, RouterConfig};

const SECOND: Duration = Duration::from_secs(1);
const ROUTER: &str = "fe80::1";
const ADDRESS: &str = "2001:db8:77:5:211:22ff:fe33:4455";

struct Bench {
    host: Host,
    rng: Rng,
    now: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
fn start() -> Instant {
    Instant::now()
}

impl Bench {
    fn new() -> Self {
        let mut rng = Rng::from_seed([5; 32]);
        let now = start();
        Self {
            host: Host::new(CLIENT_ID, 1, now, &mut rng),
            rng,
            now,
        }
    }

    fn take(&mut self, packet: &[u8]) -> Result<Handled, Error> {
        self.host
            .handle_packet(packet, &header(packet), self.now, &mut self.rng)
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.host.poll_transmit()).collect()
    }

    fn events(&mut self) -> Vec<HostEvent> {
        std::iter::from_fn(|| self.host.poll_event()).collect()
    }

    fn wait(&mut self) -> Duration {
        let due = self.host.poll_timeout().unwrap();
        let waited = due.saturating_duration_since(self.now);
        self.now = self.now.max(due);
        self.host.handle_timeout(self.now, &mut self.rng);
        waited
    }

    fn advertised(&mut self, flags: u8, lifetime: u16, options: &[Vec<u8>]) -> Vec<HostEvent> {
        let packet = advertisement(flags, lifetime, options);
        assert_eq!(self.take(&packet), Ok(Handled::Consumed));
        self.events()
    }
}

fn advertisement(flags: u8, lifetime: u16, options: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, flags];
    message.extend(lifetime.to_be_bytes());
    message.extend([0; 8]);
    message.extend(options.concat());
    icmpv6(ROUTER, "ff02::1", 255, &message)
}

fn prefix(prefix: &str, length: u8, flags: u8, valid: u32, preferred: u32) -> Vec<u8> {
    let mut option = vec![3, 4, length, flags];
    option.extend(valid.to_be_bytes());
    option.extend(preferred.to_be_bytes());
    option.extend([0; 4]);
    option.extend(ip(prefix).octets());
    option
}

fn usual() -> Vec<u8> {
    prefix("2001:db8:77:5::", 64, 0x40, 86_400, 43_200)
}

fn mtu(mtu: u32) -> Vec<u8> {
    [&[5, 1, 0, 0][..], &mtu.to_be_bytes()].concat()
}

fn rdnss(lifetime: u32, servers: &[&str]) -> Vec<u8> {
    let mut option = vec![25, 1 + 2 * servers.len() as u8, 0, 0];
    option.extend(lifetime.to_be_bytes());
    option.extend(servers.iter().flat_map(|server| ip(server).octets()));
    option
}

#[test]
fn solicits_at_once_and_backs_off() {
    let mut bench = Bench::new();
    // Summed by another program.
    let solicitation = "6000000000083aff\
        fe80000000000000021122fffe334455ff020000000000000000000000000002\
        8500159e00000000";
    assert_eq!(bench.sent(), [hex::decode(solicitation).unwrap()]);
    let waits: Vec<f64> = (0..14).map(|_| bench.wait().as_secs_f64()).collect();
    assert_eq!(bench.sent().len(), 14);
    assert!((3.6..=4.4).contains(&waits[0]), "{waits:?}");
    for pair in waits.windows(2) {
        let base = (2.0 * pair[0]).min(3600.0);
        assert!(
            (0.899 * base..=1.101 * base).contains(&pair[1]),
            "{waits:?}"
        );
    }
}

#[test]
fn takes_an_advertisement() {
    let mut bench = Bench::new();
    let options = [usual(), mtu(1396), rdnss(600, &["2001:db8:77::1"])];
    assert_eq!(
        bench.advertised(0, 9000, &options),
        [
            HostEvent::DefaultRouter {
                address: ip(ROUTER),
                lifetime: 9000 * SECOND,
                preference: Preference::Medium,
            },
            HostEvent::Address {
                address: ip(ADDRESS),
                prefix: "2001:db8:77:5::/64".parse().unwrap(),
            },
            HostEvent::Mtu(1396),
            HostEvent::Dns(vec![ip("2001:db8:77::1")]),
        ]
    );
    // The same again is no news.
    assert_eq!(bench.advertised(0, 9000, &options), []);
    // Nobody asks any more: the next thing to happen is the end of the resolver.
    bench.sent();
    assert_eq!(bench.wait(), 600 * SECOND);
    assert_eq!(bench.events(), [HostEvent::Dns(vec![])]);
    assert!(bench.sent().is_empty());
}

#[test]
fn prefixes_that_are_not_for_autoconfiguration_are_left_alone() {
    let mut bench = Bench::new();
    for option in [
        prefix("2001:db8:77:5::", 64, 0x80, 86_400, 43_200),
        prefix("2001:db8:77:5::", 48, 0x40, 86_400, 43_200),
        prefix("2001:db8:77:5::", 129, 0x40, 86_400, 43_200),
        prefix("2001:db8:77:5::", 255, 0x40, 86_400, 43_200),
        prefix("2001:db8:77:5::", 64, 0x40, 5, 6),
        prefix("2001:db8:77:5::", 64, 0x40, 0, 0),
        prefix("fe80::", 64, 0x40, 86_400, 43_200),
        prefix("ff02::", 64, 0x40, 86_400, 43_200),
    ] {
        assert_eq!(bench.advertised(0, 0, &[option]), []);
    }
    for wrong in [0, 1279, 65_536, u32::MAX] {
        assert_eq!(bench.advertised(0, 0, &[mtu(wrong)]), []);
    }
}

#[test]
fn a_prefix_lives_as_long_as_advertised_and_two_hours_at_least_once_known() {
    let mut bench = Bench::new();
    bench.advertised(0, 0, &[usual()]);
    bench.now += 100 * SECOND;
    // Somebody would end it at once: two hours stay (RFC 4862 5.5.3 e).
    bench.advertised(0, 0, &[prefix("2001:db8:77:5::", 64, 0x40, 0, 0)]);
    let ends = bench.now + 7200 * SECOND;
    while bench.now < ends {
        assert_eq!(bench.events(), []);
        bench.wait();
    }
    assert_eq!(bench.now, ends);
    let address = ip(ADDRESS);
    assert_eq!(bench.events(), [HostEvent::AddressExpired { address }]);
    assert_eq!(bench.host.addresses().count(), 0);
}

#[test]
fn a_prefix_for_ever_has_no_deadline() {
    let mut bench = Bench::new();
    let for_ever = prefix("2001:db8:77:5::", 64, 0x40, u32::MAX, u32::MAX);
    bench.advertised(0, 9000, &[for_ever, rdnss(u32::MAX, &["2001:db8::53"])]);
    assert_eq!(bench.wait(), 9000 * SECOND);
    let address = ip(ROUTER);
    let lifetime = Duration::ZERO;
    assert_eq!(
        bench.events(),
        [HostEvent::DefaultRouter {
            address,
            lifetime,
            preference: Preference::Medium,
        }]
    );
    assert_eq!(bench.host.addresses().count(), 1);
    // And the search for a router starts again.
    assert_eq!(bench.sent().len(), 2);
}

#[test]
fn a_router_that_goes_is_told_of() {
    let mut bench = Bench::new();
    bench.advertised(0, 9000, &[]);
    bench.sent();
    let address = ip(ROUTER);
    let lifetime = Duration::ZERO;
    assert_eq!(
        bench.advertised(0, 0, &[]),
        [HostEvent::DefaultRouter {
            address,
            lifetime,
            preference: Preference::Medium,
        }]
    );
    assert_eq!(bench.advertised(0, 0, &[]), []);
    assert_eq!(bench.wait(), 4 * SECOND);
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn what_one_advertisement_can_make_it_hold_is_bounded() {
    let mut bench = Bench::new();
    let prefixes: Vec<Vec<u8>> = (0..40)
        .map(|at| prefix(&format!("2001:db8:0:{at:x}::"), 64, 0x40, 9000, 9000))
        .collect();
    assert_eq!(bench.advertised(0, 0, &prefixes).len(), 8);
    let servers: Vec<String> = (1..60).map(|at| format!("2001:db8::{at:x}")).collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    let events = bench.advertised(0, 0, &[rdnss(600, &servers)]);
    assert!(matches!(&events[..], [HostEvent::Dns(servers)] if servers.len() == 8));
}

#[test]
fn answers_for_its_addresses_and_no_others() {
    let mut bench = Bench::new();
    bench.advertised(0, 9000, &[usual()]);
    bench.sent();
    for target in [CLIENT, ADDRESS] {
        let packet = icmpv6(ROUTER, CLIENT, 255, &neighbor_solicitation(target));
        assert_eq!(bench.take(&packet), Ok(Handled::Consumed));
        let mut answer = neighbor_solicitation(target);
        answer[0] = 136;
        answer[4] = 0x60;
        assert_eq!(bench.sent(), [icmpv6(target, ROUTER, 255, &answer)]);
    }
    let packet = icmpv6(ROUTER, CLIENT, 255, &neighbor_solicitation(ROUTER));
    assert_eq!(bench.take(&packet), Ok(Handled::Consumed));
    assert!(bench.sent().is_empty());
}

#[test]
fn malformed_advertisements_change_nothing() {
    let mut bench = Bench::new();
    let good = advertisement(0, 9000, &[usual()]);
    let mut sum = good.clone();
    sum[60] ^= 1;
    let mut far = good.clone();
    far[7] = 64;
    let zero = advertisement(0, 9000, &[usual(), vec![5, 0, 0, 0, 0, 0, 5, 120]]);
    let past = advertisement(0, 9000, &[usual(), vec![5, 2, 0, 0, 0, 0, 5, 120]]);
    let off_link = icmpv6("2001:db8::1", "ff02::1", 255, &good[40..]);
    for packet in [sum, far, zero, past, off_link] {
        assert!(bench.take(&packet).is_err());
    }
    assert_eq!(bench.events(), []);
    assert_eq!(bench.host.stats().malformed, 5);
}

#[test]
fn asks_dhcp_when_told_to_until_it_is_answered() {
    let mut bench = Bench::new();
    bench.advertised(0x40, 9000, &[]);
    bench.sent();
    assert!(bench.wait() <= SECOND);
    let request = bench.sent().remove(0);
    assert_eq!(header(&request).destination, IpAddr::V6(ALL_DHCP_SERVERS));
    let transaction = request[49..52].to_vec();
    let mut expected = vec![11];
    expected.extend(&transaction);
    let duid = [0, 3, 0, 27, 0x02, 0x11, 0x22, 0xff, 0xfe, 0x33, 0x44, 0x55];
    expected.extend([0, 1, 0, 12]);
    expected.extend(duid);
    expected.extend([0, 6, 0, 6, 0, 23, 0, 32, 0, 83, 0, 8, 0, 2, 0, 0]);
    assert_eq!(request, udp(CLIENT, "ff02::1:2", (546, 547), &expected));

    // Unanswered, it asks again with the same transaction, and says for how long it has.
    let waited = bench.wait();
    assert!((900..=1100).contains(&waited.as_millis()), "{waited:?}");
    let again = bench.sent().remove(0);
    assert_eq!(again[49..52], transaction);
    let elapsed = u16::from_be_bytes([again[again.len() - 2], again[again.len() - 1]]);
    assert_eq!(u128::from(elapsed), waited.as_millis() / 10);

    let reply = |transaction: &[u8], client: &[u8], rest: &[u8]| {
        let mut reply = vec![7];
        reply.extend(transaction);
        reply.extend([0, 1, 0, 12]);
        reply.extend(client);
        reply.extend([0, 2, 0, 12, 0, 3, 0, 27, 0, 0, 0, 0, 0, 0, 0, 1]);
        reply.extend(rest);
        udp(ROUTER, CLIENT, (547, 546), &reply)
    };
    let mut dns = vec![0, 23, 0, 16];
    dns.extend(ip("2001:db8::53").octets());
    // Another transaction, another client, and a list that is none.
    bench.take(&reply(&[9, 9, 9], &duid, &dns)).unwrap();
    bench.take(&reply(&transaction, &[7; 12], &dns)).unwrap();
    let odd = reply(&transaction, &duid, &[0, 23, 0, 3, 1, 2, 3]);
    assert_eq!(bench.take(&odd), Err(Error::DhcpOption(23)));
    assert_eq!(bench.events(), []);
    // The answer.
    bench.take(&reply(&transaction, &duid, &dns)).unwrap();
    assert_eq!(bench.events(), [HostEvent::Dns(vec![ip("2001:db8::53")])]);
    // A second one is not expected any more; the next request comes when the answer has aged.
    bench.take(&reply(&transaction, &duid, &[])).unwrap();
    assert_eq!(bench.events(), []);
    bench.advertised(0x40, u16::MAX, &[]);
    assert_eq!(bench.wait().as_secs(), 65_535);
    bench.advertised(0x40, u16::MAX, &[]);
    bench.sent();
    assert_eq!(bench.wait().as_secs(), 86_400 - 65_535);
    assert_eq!(bench.sent()[0][48], 11);
}

/// Router and host joined by a link that loses what `lost` says, until nothing is due within
/// `for_time`. Gives the events of the host and how many packets went over the link.
fn pair(for_time: Duration, mut lost: impl FnMut() -> bool) -> (Vec<HostEvent>, usize, Host) {
    let mut rng = Rng::from_seed([9; 32]);
    let start = start();
    let mut now = start;
    let config = RouterConfig {
        mtu: 1396,
        dns: vec![ip("2001:db8:77::1")],
        ..RouterConfig::default()
    };
    let prefix = "2001:db8:77:5::/64".parse().unwrap();
    let mut router = Router::new(config, prefix, 1, CLIENT_ID, now, &mut rng);
    let mut host = Host::new(CLIENT_ID, 1, now, &mut rng);
    let (mut events, mut packets) = (Vec::new(), 0);
    loop {
        loop {
            let mut quiet = true;
            while let Some(packet) = router.poll_transmit() {
                (quiet, packets) = (false, packets + 1);
                if !lost() {
                    let handled = host.handle_packet(&packet, &header(&packet), now, &mut rng);
                    assert_eq!(handled, Ok(Handled::Consumed));
                }
            }
            while let Some(packet) = host.poll_transmit() {
                (quiet, packets) = (false, packets + 1);
                if !lost() {
                    let handled = router.handle_packet(&packet, &header(&packet), now, &mut rng);
                    assert_eq!(handled, Ok(Handled::Consumed));
                }
            }
            events.extend(std::iter::from_fn(|| host.poll_event()));
            if quiet {
                break;
            }
        }
        let due = [router.poll_timeout(), host.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
            .unwrap();
        if due > start + for_time {
            return (events, packets, host);
        }
        now = due;
        router.handle_timeout(now, &mut rng);
        host.handle_timeout(now, &mut rng);
    }
}

fn all_that_a_host_needs() -> [HostEvent; 4] {
    [
        HostEvent::DefaultRouter {
            address: ip(ROUTER),
            lifetime: 9000 * SECOND,
            preference: Preference::Medium,
        },
        HostEvent::Address {
            address: ip(ADDRESS),
            prefix: "2001:db8:77:5::/64".parse().unwrap(),
        },
        HostEvent::Mtu(1396),
        HostEvent::Dns(vec![ip("2001:db8:77::1")]),
    ]
}

#[test]
fn a_router_and_a_host_agree_at_once() {
    let (events, _, host) = pair(2 * SECOND, || false);
    assert_eq!(events, all_that_a_host_needs());
    assert_eq!(host.stats().dhcp_replies, 1);
}

#[test]
fn an_idle_pair_costs_nearly_nothing_and_nothing_expires() {
    let (events, packets, _) = pair(Duration::from_secs(86_400), || false);
    assert_eq!(events, all_that_a_host_needs());
    assert!(packets < 60, "{packets} packets a day");
}

#[test]
fn a_router_and_a_host_agree_over_a_link_that_loses_a_third() {
    for seed in 0..20 {
        let mut dice = Rng::from_seed([seed; 32]);
        let (events, _, host) = pair(600 * SECOND, || dice.below(3) == 0);
        assert_eq!(events, all_that_a_host_needs(), "seed {seed}");
        assert_eq!(host.stats().dhcp_replies, 1, "seed {seed}");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_options_do_no_harm(
        options in proptest::collection::vec(
            (
                proptest::sample::select(vec![1_u8, 3, 5, 24, 25, 31]),
                proptest::collection::vec(proptest::prelude::any::<u8>(), 6..46),
            ),
            0..8,
        ),
        seconds in proptest::prelude::any::<u16>(),
    ) {
        let options: Vec<Vec<u8>> = options
            .into_iter()
            .map(|(kind, mut body)| {
                body.truncate(body.len() / 8 * 8 + 6);
                body.resize(body.len().next_multiple_of(8) + 6, 0);
                [vec![kind, ((body.len() + 2) / 8) as u8], body].concat()
            })
            .collect();
        let mut bench = Bench::new();
        let _ = bench.take(&advertisement(0x40, seconds, &options));
        for _ in 0..20 {
            bench.wait();
            bench.sent();
        }
        proptest::prop_assert!(bench.host.addresses().count() <= 8);
    }
}

/// A Route Information option with the flags byte as it stands.
fn route(length: u8, flags: u8, lifetime: u32, prefix: &[u8]) -> Vec<u8> {
    let mut option = vec![24, 1 + (prefix.len() / 8) as u8, length, flags];
    option.extend(lifetime.to_be_bytes());
    option.extend(prefix);
    option
}

#[test]
fn routes_come_and_go_and_reserved_preferences_are_ignored() {
    let mut bench = Bench::new();
    let prefix: Ipv6Net = "2001:db8:aa::/48".parse().unwrap();
    let eight = [0x20, 1, 0x0d, 0xb8, 0, 0xaa, 0xff, 0xff];
    let router = ip(ROUTER);
    assert_eq!(
        bench.advertised(0, 0, &[route(48, 0x08, 600, &eight)]),
        [HostEvent::Route {
            prefix,
            router,
            preference: Preference::High,
        }]
    );
    assert_eq!(bench.advertised(0, 0, &[route(48, 0x08, 700, &eight)]), []);
    assert_eq!(bench.advertised(0, 0, &[route(47, 0x10, 600, &eight)]), []);
    assert_eq!(
        bench.advertised(0, 0, &[route(48, 0x08, 0, &eight)]),
        [HostEvent::RouteGone { prefix }]
    );
    let all: Ipv6Net = "::/0".parse().unwrap();
    let events = bench.advertised(0, 0, &[route(0, 0x18, 60, &[])]);
    let low = HostEvent::Route {
        prefix: all,
        router,
        preference: Preference::Low,
    };
    assert_eq!(events, [low]);
    bench.sent();
    while bench.events().is_empty() {
        bench.wait();
    }
    assert!(bench.host.poll_timeout().is_some());
}

#[test]
fn search_domains_come_and_go() {
    let mut bench = Bench::new();
    let list = |lifetime: u32, names: &[u8]| {
        let mut option = vec![31, 1 + (names.len() / 8) as u8, 0, 0];
        option.extend(lifetime.to_be_bytes());
        option.extend(names);
        option
    };
    let names = b"\x04corp\x07example\x03org\0\x03lab\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(names.len() % 8, 0);
    let domains = ["corp.example.org", "lab"].map(|name| name.parse().unwrap());
    assert_eq!(
        bench.advertised(0, 0, &[list(600, names)]),
        [HostEvent::Search(domains.to_vec())]
    );
    assert_eq!(bench.advertised(0, 0, &[list(600, names)]), []);
    assert_eq!(
        bench.advertised(0, 0, &[list(0, b"\x03lab\0\0\0\0")]),
        [HostEvent::Search(domains[..1].to_vec())]
    );
    // A name that is cut off ends the list; what stood before it is taken.
    assert_eq!(
        bench.advertised(0, 0, &[list(600, b"\x01a\0\x3fabcd")]),
        [HostEvent::Search(vec![
            domains[0].clone(),
            "a".parse().unwrap()
        ])]
    );
}
