//! A prefix that clients share with the hosts of a link.

use super::*;

#[test]
fn in_a_shared_prefix_duplicates_are_looked_for_and_defended() {
    let mut rng = Rng::from_seed([3; 32]);
    let now = start();
    let shared = RouterConfig {
        shared: true,
        ..config()
    };
    let prefix = "2001:db8:77:5::/64".parse().unwrap();
    let mut bench = Bench {
        router: Router::new(shared, prefix, 1, CLIENT_ID, now, &mut rng),
        rng,
        now,
    };
    // The advertisement is the one of a prefix that is not shared: A=1, L=0.
    assert_eq!(hex::encode(&bench.sent()[0]), ADVERTISEMENT);
    let asks = |from: &str, target: &str| {
        let to = address::solicited_node(ip(target)).to_string();
        icmpv6(from, &to, 255, &neighbor_solicitation(target))
    };
    for (from, target) in [
        ("::", "2001:db8:77:6::9"),
        ("::", CLIENT),
        (CLIENT, "2001:db8:77:5::9"),
    ] {
        bench.take(&asks(from, target)).unwrap();
        assert_eq!(bench.router.poll_event(), None, "{target}");
    }
    bench.take(&asks("::", "2001:db8:77:5::9")).unwrap();
    let target = ip("2001:db8:77:5::9");
    assert_eq!(
        bench.router.poll_event(),
        Some(RouterEvent::Tentative(target))
    );
    assert!(bench.sent().is_empty(), "nobody has it");
    bench.router.defend(target);
    let sent = bench.sent();
    let Ok(Message::NeighborAdvertisement {
        target: told,
        flags,
        ..
    }) = Message::parse(&sent[0], &header(&sent[0]))
    else {
        panic!("no advertisement");
    };
    assert_eq!((told, flags), (target, 0));
    assert_eq!(header(&sent[0]).destination, IpAddr::V6(ALL_NODES));
    // What nobody takes out is bounded.
    for _ in 0..100 {
        bench.take(&asks("::", "2001:db8:77:5::9")).unwrap();
    }
    let events = std::iter::from_fn(|| bench.router.poll_event());
    assert_eq!(events.count(), MAX_QUEUED);
}
