//! Many sessions at once on a bad network, and the same run twice.

use std::collections::BTreeSet;
use std::time::Duration;

use adit_server::Stats;
use adit_tests::{ClientId, World, setup};

const MINUTE: Duration = Duration::from_secs(60);

fn run(seed: u64, count: usize) -> (World, Vec<ClientId>) {
    let mut config = setup::world(seed, count);
    config.link = setup::BAD;
    let mut world = World::new(config);
    let ids: Vec<_> = (0..count)
        .map(|index| {
            let client = setup::client(&format!("user{index}"));
            world.dial(client, setup::address(index), None, true)
        })
        .collect();
    let up = world.run_until_echoes(&ids, 10 * MINUTE);
    let down: Vec<_> = ids
        .iter()
        .map(|id| world.state(*id))
        .filter(|state| state.echoes4 == 0 || state.echoes6 == 0)
        .collect();
    assert!(
        up,
        "{} not up: {:#?} {:?}",
        down.len(),
        down.first(),
        world.server.gauges()
    );
    (world, ids)
}

#[test]
fn a_thousand_sessions_come_up_at_20_percent_loss() {
    let (mut world, ids) = run(1000, 1000);
    let addresses: BTreeSet<_> = ids
        .iter()
        .map(|id| world.state(*id).ipv4.unwrap())
        .collect();
    let prefixes: BTreeSet<_> = ids
        .iter()
        .map(|id| world.state(*id).ipv6.unwrap().segments()[..4].to_vec())
        .collect();
    assert_eq!((addresses.len(), prefixes.len()), (1000, 1000));
    let (sent, lost) = world.traffic();
    assert!(lost > sent / 6, "the network was bad: {lost} of {sent}");
    // What failed attempts left behind goes away; what is up stays.
    assert!(
        world.run_until(20 * MINUTE, |world| {
            let gauges = world.server.gauges();
            gauges.sessions == 1000 && gauges.tunnels == 1000 && gauges.leases_ipv4 == 1000
        }),
        "{:?}",
        world.server.gauges()
    );
}

#[test]
fn a_seed_repeats_a_run_exactly() {
    let summary = |seed| {
        let (world, ids) = run(seed, 20);
        let addresses: Vec<_> = ids
            .iter()
            .map(|id| {
                (
                    world.state(*id).ipv4,
                    world.state(*id).ipv6,
                    world.state(*id).dials,
                )
            })
            .collect();
        let stats: Stats = world.server.stats();
        (world.elapsed(), world.traffic(), addresses, stats)
    };
    assert_eq!(summary(7), summary(7));
    assert_ne!(summary(7).1, summary(8).1);
}
