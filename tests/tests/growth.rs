//! What the server keeps for a session that is idle.

use std::alloc::System;
use std::time::Duration;

use adit_server::Server;
use adit_tests::{World, setup};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MINUTE: Duration = Duration::from_secs(60);

/// They fill hash tables as 10,000 sessions do: 61 % of a power of two.
const SESSIONS: usize = 312;

/// What one session may cost, in bytes.
const CEILING: usize = 16_000;

/// Bytes that go with a server.
fn size(server: Server) -> usize {
    let region = Region::new(ALLOCATOR);
    drop(server);
    let freed = region.change();
    freed.bytes_deallocated - freed.bytes_allocated
}

fn empty() -> Server {
    World::new(setup::world(1, 0)).server
}

#[test]
fn an_idle_session_costs_little_memory() {
    let mut world = World::new(setup::world(71, SESSIONS));
    let ids: Vec<_> = (0..SESSIONS)
        .map(|index| {
            let client = setup::client(&format!("user{index}"));
            world.dial(client, setup::address(index), None, false)
        })
        .collect();
    assert!(world.run_until_echoes(&ids, MINUTE));
    // Handshakes are over and forgotten, and every keepalive has been asked for several times.
    world.run_for(10 * MINUTE);
    assert_eq!(world.server.gauges().sessions, SESSIONS);
    let each = (size(world.server) - size(empty())) / SESSIONS;
    println!("{each} bytes for each of {SESSIONS} sessions");
    assert!(each < CEILING, "{each} bytes for each session");
}
