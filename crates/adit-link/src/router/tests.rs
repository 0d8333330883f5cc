use super::*;
use crate::testing::{
    CLIENT, CLIENT_ID, header, icmpv6, ip, ipv6, neighbor_solicitation, solicitation, udp,
};

mod shared;

const SECOND: Duration = Duration::from_secs(1);

/// RA from fe80::1 to ff02::1, written out by hand and summed by another program: hop limit 64,
/// O, 9000 s; 2001:db8:77:5::/64 A=1 L=0, 86400 and 43200 s; MTU 1396; two resolvers.
const ADVERTISEMENT: &str = "6000000000603aff\
    fe800000000000000000000000000001ff020000000000000000000000000001\
    8600db5c404023280000000000000000\
    03044040000151800000a8c00000000020010db8007700050000000000000000\
    0501000000000574\
    19050000000151802\
    0010db8007700000000000000000001\
    20010db8007700000000000000000002";
/// The answer to a solicitation for fe80::1 from the client: R, S, O.
const ANSWER: &str = "6000000000183aff\
    fe800000000000000000000000000001fe80000000000000021122fffe334455\
    8800348ee0000000fe800000000000000000000000000001";
/// The same to all nodes, not solicited.
const DEFENCE: &str = "6000000000183aff\
    fe800000000000000000000000000001ff020000000000000000000000000001\
    8800dba4a0000000fe800000000000000000000000000001";

struct Bench {
    router: Router,
    rng: Rng,
    now: Instant,
}

fn config() -> RouterConfig {
    RouterConfig {
        mtu: 1396,
        dns: vec![ip("2001:db8:77::1"), ip("2001:db8:77::2")],
        ..RouterConfig::default()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
fn start() -> Instant {
    Instant::now()
}

impl Bench {
    /// A router whose first advertisement has been taken.
    fn new() -> Self {
        let mut bench = Self::fresh("2001:db8:77:5::/64");
        assert_eq!(bench.sent().len(), 1);
        bench
    }

    fn fresh(prefix: &str) -> Self {
        let mut rng = Rng::from_seed([3; 32]);
        let now = start();
        let prefix = prefix.parse().unwrap();
        Self {
            router: Router::new(config(), prefix, 1, CLIENT_ID, now, &mut rng),
            rng,
            now,
        }
    }

    fn take(&mut self, packet: &[u8]) -> Result<Handled, Error> {
        self.router
            .handle_packet(packet, &header(packet), self.now, &mut self.rng)
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.router.poll_transmit()).collect()
    }

    /// Lets time pass up to the next deadline; gives how long it took.
    fn wait(&mut self) -> Duration {
        let due = self.router.poll_timeout().unwrap();
        let waited = due - self.now;
        self.now = due;
        self.router.handle_timeout(due, &mut self.rng);
        waited
    }
}

#[test]
fn the_first_advertisement_is_there_at_once_byte_for_byte() {
    let mut bench = Bench::fresh("2001:db8:77:5::/64");
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(hex::encode(&sent[0]), ADVERTISEMENT);
}

#[test]
fn no_message_ever_has_a_link_layer_address() {
    let mut bench = Bench::fresh("2001:db8:77:5::/64");
    bench
        .take(&icmpv6(CLIENT, "ff02::2", 255, &solicitation(&[])))
        .unwrap();
    bench
        .take(&icmpv6(
            CLIENT,
            "fe80::1",
            255,
            &neighbor_solicitation("fe80::1"),
        ))
        .unwrap();
    bench
        .router
        .handle_timeout(bench.now + 100 * SECOND, &mut bench.rng);
    let sent = bench.sent();
    assert_eq!(sent.len(), 4);
    for packet in sent {
        let options = match Message::parse(&packet, &header(&packet)).unwrap() {
            Message::RouterAdvertisement(advertisement) => advertisement.options,
            Message::NeighborAdvertisement { options, .. } => options,
            other => panic!("{other:?}"),
        };
        // 1 and 2 are source and target link-layer address.
        let linked = |option: nd::NdOption<'_>| {
            matches!(
                option,
                nd::NdOption::SourceLinkLayerAddress | nd::NdOption::Other(2)
            )
        };
        assert!(!options.iter().any(linked));
    }
}

#[test]
fn advertises_often_at_first_and_rarely_then() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        let waited = bench.wait();
        assert!((12 * SECOND..=16 * SECOND).contains(&waited), "{waited:?}");
        assert_eq!(hex::encode(&bench.sent()[0]), ADVERTISEMENT);
    }
    let waits: Vec<Duration> = (0..20).map(|_| bench.wait()).collect();
    assert!(
        waits
            .iter()
            .all(|waited| (2250 * SECOND..=3000 * SECOND).contains(waited))
    );
    assert!(waits.windows(2).any(|pair| pair[0] != pair[1]), "no jitter");
    // Before its time, nothing happens.
    bench.sent();
    bench.router.handle_timeout(bench.now, &mut bench.rng);
    assert!(bench.sent().is_empty());
}

#[test]
fn a_longer_prefix_is_not_for_autoconfiguration_and_a_shorter_one_gives_its_first_64() {
    let mut short = Bench::fresh("2001:db8:77:500::/56");
    let packet = short.sent().remove(0);
    assert!(hex::encode(&packet).contains("0304404000015180"));
    assert!(hex::encode(&packet).contains("20010db8007705000000000000000000"));
    let mut long = Bench::fresh("2001:db8:77:5::/80");
    assert_eq!(long.sent()[0].len(), packet.len() - 32);
}

#[test]
fn a_solicitation_is_answered_at_once_to_its_sender() {
    let mut bench = Bench::new();
    let packet = icmpv6(CLIENT, "ff02::2", 255, &solicitation(&[]));
    assert_eq!(bench.take(&packet), Ok(Handled::Consumed));
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(header(&sent[0]).destination, IpAddr::V6(ip(CLIENT)));
    assert_eq!(sent[0][56..], hex::decode(ADVERTISEMENT).unwrap()[56..]);
}

#[test]
fn a_flood_of_solicitations_is_not_answered_one_by_one() {
    let mut bench = Bench::new();
    let packet = icmpv6(CLIENT, "ff02::2", 255, &solicitation(&[]));
    let mut answers = 0;
    for _ in 0..1000 {
        bench.take(&packet).unwrap();
        answers += bench.sent().len();
    }
    assert_eq!(answers, 3);
    assert_eq!(bench.router.stats().solicitations_delayed, 997);
    // But the client hears of the router soon.
    let waited = bench.wait();
    assert_eq!(waited, 3 * SECOND);
    assert_eq!(header(&bench.sent()[0]).destination, IpAddr::V6(ALL_NODES));
    // After a while there is room for an answer again.
    bench.now += 10 * SECOND;
    bench.take(&packet).unwrap();
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_solicitation_without_address_is_answered_to_all_nodes_three_seconds_apart() {
    let mut bench = Bench::new();
    let packet = icmpv6("::", "ff02::2", 255, &solicitation(&[]));
    bench.now += SECOND;
    bench.take(&packet).unwrap();
    assert!(bench.sent().is_empty());
    assert_eq!(bench.wait(), 2 * SECOND);
    assert_eq!(hex::encode(&bench.sent()[0]), ADVERTISEMENT);
    bench.now += 3 * SECOND;
    bench.take(&packet).unwrap();
    assert_eq!(hex::encode(&bench.sent()[0]), ADVERTISEMENT);
}

#[test]
fn answers_solicitations_for_its_own_addresses() {
    let mut bench = Bench::new();
    for to in ["fe80::1", "ff02::1:ff00:1"] {
        let probe = icmpv6(CLIENT, to, 255, &neighbor_solicitation("fe80::1"));
        assert_eq!(bench.take(&probe), Ok(Handled::Consumed));
        assert_eq!(bench.sent(), [hex::decode(ANSWER).unwrap()]);
    }
    // With the sender's link-layer address: a client may send one.
    let message = [
        &neighbor_solicitation("fe80::1")[..],
        &[1, 1, 2, 0, 0, 0, 0, 1],
    ]
    .concat();
    bench
        .take(&icmpv6(CLIENT, "fe80::1", 255, &message))
        .unwrap();
    assert_eq!(bench.sent(), [hex::decode(ANSWER).unwrap()]);
    // Somebody wants our address.
    let packet = icmpv6(
        "::",
        "ff02::1:ff00:1",
        255,
        &neighbor_solicitation("fe80::1"),
    );
    bench.take(&packet).unwrap();
    assert_eq!(bench.sent(), [hex::decode(DEFENCE).unwrap()]);
    // The server's global address, once it is known, also when asked at that address.
    let packet = icmpv6(
        "2001:db8:77:5::2",
        "2001:db8:77::1",
        255,
        &neighbor_solicitation("2001:db8:77::1"),
    );
    assert_eq!(bench.take(&packet), Ok(Handled::Consumed));
    assert!(bench.sent().is_empty());
    bench.router.set_server_address(ip("2001:db8:77::1"));
    assert_eq!(bench.take(&packet), Ok(Handled::Consumed));
    assert_eq!(bench.sent()[0][48..64], ip("2001:db8:77::1").octets());
}

#[test]
fn the_clients_own_addresses_are_left_to_it() {
    let mut bench = Bench::new();
    for target in [
        CLIENT,
        "2001:db8:77:5:211:22ff:fe33:4455",
        "2001:db8:77:5::1",
    ] {
        let solicited = address::solicited_node(ip(target)).to_string();
        let packet = icmpv6("::", &solicited, 255, &neighbor_solicitation(target));
        assert_eq!(bench.take(&packet), Ok(Handled::Consumed));
        let packet = icmpv6(CLIENT, &solicited, 255, &neighbor_solicitation(target));
        assert_eq!(bench.take(&packet), Ok(Handled::Consumed));
    }
    assert!(bench.sent().is_empty());
    assert_eq!(bench.router.stats().neighbor_solicitations, 6);
    assert_eq!(bench.router.stats().neighbor_answers, 0);
}

#[test]
fn what_belongs_to_the_link_is_consumed_quietly_and_counted() {
    let mut bench = Bench::new();
    // A listener report behind a hop-by-hop router alert.
    let mut report = vec![58, 0, 5, 2, 0, 0, 1, 0];
    report.extend([143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0]);
    report.extend(ip("ff02::1:ff33:4455").octets());
    let mut advertised = neighbor_solicitation(CLIENT);
    advertised[0] = 136;
    let router = icmpv6(
        CLIENT,
        "ff02::1",
        255,
        &[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    for packet in [
        ipv6(CLIENT, "ff02::16", 0, 1, &report),
        icmpv6(CLIENT, "ff02::1", 255, &advertised),
        router,
        udp(CLIENT, "ff02::fb", (5353, 5353), &[0; 12]),
        udp("2001:db8:77:5::2", "ff0e::1", (9, 9), &[0; 12]),
        udp(CLIENT, "2001:db8::1", (9, 9), &[0; 12]),
        udp("2001:db8:77:5::2", "fe80::9", (9, 9), &[0; 12]),
        udp("::", "2001:db8::1", (9, 9), &[0; 12]),
        udp("2001:db8:77:5::2", "::1", (9, 9), &[0; 12]),
        udp(CLIENT, "fe80::1", (9, 9), &[0; 12]),
    ] {
        assert_eq!(bench.take(&packet), Ok(Handled::Consumed));
    }
    assert!(bench.sent().is_empty());
    let stats = bench.router.stats();
    assert_eq!(
        (
            stats.multicast_listener,
            stats.neighbor_advertisements,
            stats.client_as_router,
            stats.other
        ),
        (1, 1, 1, 7)
    );
}

#[test]
fn ordinary_traffic_is_forwarded() {
    let mut bench = Bench::new();
    let ping = icmpv6(
        "2001:db8:77:5::2",
        "2001:db8::1",
        64,
        &[128, 0, 0, 0, 0, 1, 0, 1],
    );
    assert_eq!(bench.take(&ping), Ok(Handled::Forward));
    let packet = udp("2001:db8:77:5::2", "2001:db8::1", (9, 547), &[0; 12]);
    assert_eq!(bench.take(&packet), Ok(Handled::Forward));
    let mut v4 = vec![0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0];
    v4.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    assert_eq!(bench.take(&v4), Ok(Handled::Forward));
    assert!(bench.sent().is_empty());
}

#[test]
fn a_ping_to_the_link_local_address_is_answered() {
    let mut bench = Bench::new();
    let request = [128, 0, 0, 0, 0x12, 0x34, 0, 1, b'h', b'e', b'y'];
    bench
        .take(&icmpv6(CLIENT, "fe80::1", 64, &request))
        .unwrap();
    let reply = [129, 0, 0, 0, 0x12, 0x34, 0, 1, b'h', b'e', b'y'];
    assert_eq!(bench.sent(), [icmpv6("fe80::1", CLIENT, 64, &reply)]);
    let mut wrong = icmpv6(CLIENT, "fe80::1", 64, &request);
    wrong[44] ^= 1;
    assert_eq!(bench.take(&wrong), Err(Error::Checksum));
    bench
        .take(&icmpv6(CLIENT, "ff02::1", 64, &request))
        .unwrap();
    assert!(bench.sent().is_empty());
}

#[test]
fn malformed_packets_change_nothing_and_are_counted() {
    let mut bench = Bench::new();
    let good = icmpv6(CLIENT, "ff02::2", 255, &solicitation(&[]));
    let mut bad_sum = good.clone();
    bad_sum[42] ^= 0x80;
    assert_eq!(bench.take(&bad_sum), Err(Error::Checksum));
    let far = icmpv6(CLIENT, "ff02::2", 254, &solicitation(&[]));
    assert_eq!(bench.take(&far), Err(Error::HopLimit(254)));
    let zero = icmpv6(
        CLIENT,
        "ff02::2",
        255,
        &solicitation(&[1, 0, 0, 0, 0, 0, 0, 0]),
    );
    assert_eq!(bench.take(&zero), Err(Error::OptionLength(1)));
    let past = icmpv6(
        CLIENT,
        "ff02::2",
        255,
        &solicitation(&[1, 9, 0, 0, 0, 0, 0, 0]),
    );
    assert_eq!(bench.take(&past), Err(Error::OptionLength(1)));
    // Neighbour discovery is never forwarded, even where its addresses are global.
    let far = icmpv6(
        "2001:db8:77:5::2",
        "2001:db8::1",
        64,
        &neighbor_solicitation("fe80::1"),
    );
    assert_eq!(bench.take(&far), Err(Error::HopLimit(64)));
    assert!(bench.sent().is_empty());
    let stats = bench.router.stats();
    assert_eq!(
        (stats.bad_checksum, stats.bad_hop_limit, stats.malformed),
        (1, 2, 2)
    );
}

fn information_request() -> Vec<u8> {
    let mut request = vec![11, 1, 2, 3, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9];
    request.extend([0, 6, 0, 2, 0, 23]);
    request
}

#[test]
fn an_information_request_is_answered() {
    let mut bench = Bench::new();
    let packet = udp(CLIENT, "ff02::1:2", (546, 547), &information_request());
    assert_eq!(bench.take(&packet), Ok(Handled::Consumed));
    let mut reply = vec![7, 1, 2, 3, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9];
    reply.extend([
        0, 2, 0, 12, 0, 3, 0, 27, 0, 0, 0, 0, 0, 0, 0, 1, 0, 23, 0, 32,
    ]);
    reply.extend(ip("2001:db8:77::1").octets());
    reply.extend(ip("2001:db8:77::2").octets());
    assert_eq!(bench.sent(), [udp("fe80::1", CLIENT, (547, 546), &reply)]);
    assert_eq!(bench.router.stats().dhcp_answers, 1);
}

#[test]
fn dhcp_needs_a_checksum_a_link_local_source_and_the_multicast_address() {
    let mut bench = Bench::new();
    let good = udp(CLIENT, "ff02::1:2", (546, 547), &information_request());
    let mut none = good.clone();
    none[46..48].fill(0);
    assert_eq!(bench.take(&none), Err(Error::Checksum));
    let mut wrong = good.clone();
    wrong[47] ^= 1;
    assert_eq!(bench.take(&wrong), Err(Error::Checksum));
    let mut length = good.clone();
    length[44..46].copy_from_slice(&200_u16.to_be_bytes());
    assert!(matches!(bench.take(&length), Err(Error::Udp(_))));
    let global = udp(
        "2001:db8:77:5::2",
        "ff02::1:2",
        (546, 547),
        &information_request(),
    );
    assert!(matches!(bench.take(&global), Err(Error::Source(_))));
    let unicast = udp(CLIENT, "fe80::1", (546, 547), &information_request());
    assert_eq!(bench.take(&unicast), Ok(Handled::Consumed));
    assert!(bench.sent().is_empty());
}

#[test]
fn withdrawing_takes_everything_back_and_ends_it() {
    let mut bench = Bench::new();
    bench.router.withdraw();
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    let Ok(Message::RouterAdvertisement(last)) = Message::parse(&sent[0], &header(&sent[0])) else {
        panic!("no advertisement");
    };
    assert_eq!(last.router_lifetime, 0);
    for option in last.options.iter() {
        match option {
            nd::NdOption::Prefix(prefix) => assert_eq!((prefix.valid, prefix.preferred), (0, 0)),
            nd::NdOption::RecursiveDns { lifetime, .. } => assert_eq!(lifetime, 0),
            other => assert_eq!(other, nd::NdOption::Mtu(1396)),
        }
    }
    assert_eq!(bench.router.poll_timeout(), None);
    bench
        .take(&icmpv6(CLIENT, "ff02::2", 255, &solicitation(&[])))
        .unwrap();
    bench.router.withdraw();
    bench
        .router
        .handle_timeout(bench.now + 9999 * SECOND, &mut bench.rng);
    assert!(bench.sent().is_empty());
}

#[test]
fn answers_do_not_pile_up() {
    let mut bench = Bench::new();
    let probe = icmpv6(CLIENT, "fe80::1", 255, &neighbor_solicitation("fe80::1"));
    for _ in 0..1000 {
        bench.take(&probe).unwrap();
    }
    assert_eq!(bench.sent().len(), MAX_QUEUED);
    assert_eq!(bench.router.stats().not_sent, 1000 - MAX_QUEUED as u64);
}

proptest::proptest! {
    #[test]
    fn arbitrary_icmpv6_does_no_harm(
        kind in 128_u8..150,
        body in proptest::collection::vec(proptest::prelude::any::<u8>(), 3..100),
        from in 0_usize..4,
        to in 0_usize..5,
    ) {
        let from = ["::", CLIENT, "2001:db8:77:5::2", "ff02::1"][from];
        let to = ["fe80::1", "ff02::1", "ff02::2", "ff02::1:ff00:1", "2001:db8::1"][to];
        let mut bench = Bench::new();
        let mut message = vec![kind, 0];
        message.extend(body);
        let _ = bench.take(&icmpv6(from, to, 255, &message));
        for packet in bench.sent() {
            let header = header(&packet);
            proptest::prop_assert_eq!(header.end, packet.len());
        }
    }

    #[test]
    fn arbitrary_dhcp_does_no_harm(
        kind in 0_u8..16,
        body in proptest::collection::vec(0_u8..40, 3..200),
    ) {
        let mut bench = Bench::new();
        let mut message = vec![kind];
        message.extend(body);
        let _ = bench.take(&udp(CLIENT, "ff02::1:2", (546, 547), &message));
        proptest::prop_assert!(bench.sent().len() <= 1);
    }
}

/// A DHCPv6 message of the client about the prefix association 1.
fn asks_for_prefix(kind: u8, with_server: bool) -> Vec<u8> {
    let mut message = vec![kind, 1, 2, 3];
    message.extend([0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9]);
    if with_server {
        message.extend([0, 2, 0, 12, 0, 3, 0, 27, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
    message.extend([0, 25, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    udp(CLIENT, "ff02::1:2", (546, 547), &message)
}

fn events(bench: &mut Bench) -> Vec<RouterEvent> {
    std::iter::from_fn(|| bench.router.poll_event()).collect()
}

#[test]
fn a_prefix_is_delegated_routed_and_taken_back() {
    let mut bench = Bench::new();
    let prefix: Ipv6Net = "2001:db8:ff00::/56".parse().unwrap();
    for _ in 0..2 {
        bench.take(&asks_for_prefix(1, false)).unwrap();
    }
    assert!(bench.sent().is_empty(), "whether there is one is not known");
    assert_eq!(events(&mut bench), [RouterEvent::DelegationWanted]);
    bench.router.set_delegation(Some(prefix), bench.now);
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0][48], 2, "Advertise");
    assert_eq!(events(&mut bench), []);
    bench.take(&asks_for_prefix(3, true)).unwrap();
    assert_eq!(events(&mut bench), [RouterEvent::Delegated(prefix)]);
    bench.take(&asks_for_prefix(5, true)).unwrap();
    assert_eq!(events(&mut bench), [], "it is the same prefix still");
    bench.take(&asks_for_prefix(8, true)).unwrap();
    assert_eq!(events(&mut bench), [RouterEvent::DelegationEnded(prefix)]);
    // First granted on a Rebind.
    bench.take(&asks_for_prefix(6, false)).unwrap();
    assert_eq!(events(&mut bench), [RouterEvent::Delegated(prefix)]);
    let ends = bench.now + RouterConfig::default().valid_lifetime;
    bench.router.withdraw();
    assert_eq!(bench.router.poll_timeout(), Some(ends));
    bench.now = ends;
    bench.router.handle_timeout(ends, &mut bench.rng);
    assert_eq!(events(&mut bench), [RouterEvent::DelegationEnded(prefix)]);
}

#[test]
fn a_link_without_autoconfiguration_says_that_addresses_come_by_dhcp() {
    let managed = |prefix: &str| Bench::fresh(prefix).sent()[0][45] & 0x80 != 0;
    assert!(managed("2001:db8:77:5::/80"));
    assert!(!managed("2001:db8:77:5::/64"));
}
