//! SAs of both phases are replaced while traffic flows, and no packet is lost by it.

use std::time::Duration;

use adit_tests::{World, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// ESP SAs live for ten minutes and IKE SAs for thirty, in the view of both ends.
fn short_lives(ike: &mut adit_ike::Config) {
    ike.esp_lifetime.seconds = 10 * MINUTE;
    ike.phase1_lifetime = 30 * MINUTE;
}

#[test]
fn three_hours_of_rekeying_lose_no_packet() {
    let mut config = setup::world(40, 1);
    config.server.ike = World::changed(&config.server.ike, short_lives);
    let mut world = World::new(config);
    let mut client = setup::client("user0");
    client.ike = World::changed(&client.ike, short_lives);
    let id = world.dial(client, setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    world.run_for(5 * Duration::from_secs(1));

    let before = (world.state(id).echoes4, world.state(id).echoes6);
    let pings = 180 * 60 / 2;
    for _ in 0..pings {
        world.ping(id);
        world.run_for(Duration::from_secs(2));
    }
    let state = world.state(id);
    assert_eq!(state.down, None);
    assert_eq!(state.dials, 1);
    assert_eq!(
        (state.echoes4 - before.0, state.echoes6 - before.1),
        (pings, pings)
    );

    let (stats, gauges) = (world.server.stats(), world.server.gauges());
    assert!(stats.child_established >= 18, "{stats:?}");
    assert!(stats.ike_established >= 6, "{stats:?}");
    assert!(
        stats.child_rekeys_started >= 3,
        "both ends rekey: {stats:?}"
    );
    assert_eq!((gauges.peers, gauges.tunnels, gauges.sessions), (1, 1, 1));
    assert!(gauges.esp_sas <= 8 && gauges.ike_sas <= 2, "{gauges:?}");
    assert_eq!(world.server.sessions(world.now())[0].id.0, 1);
}

#[test]
fn a_worn_sa_is_replaced_by_volume() {
    let mut config = setup::world(41, 1);
    config.server.ike = World::changed(&config.server.ike, |ike| {
        ike.esp_lifetime.kilobytes = Some(100);
    });
    let mut world = World::new(config);
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], MINUTE));
    let to = world.state(id).ipv4.unwrap();
    for _ in 0..1_000 {
        let packet = adit_tests::udp_packet(adit_tests::HOST_V4.into(), to.into(), &[7; 1000]);
        world.to_tun(&packet);
        world.run_for(Duration::from_millis(50));
    }
    let stats = world.server.stats();
    assert!(stats.child_established >= 10, "{stats:?}");
    assert!(stats.child_rekeys_started >= 5, "both ends do: {stats:?}");
    assert_eq!(stats.no_sa, 0, "{stats:?}");
    assert!(world.state(id).echoes4 > 1_000);
}
