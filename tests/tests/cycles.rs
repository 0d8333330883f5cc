//! Clients that come and go many times: what the server holds, and what the process takes, stays.

use std::time::Duration;

use adit_server::Gauges;
use adit_tests::{World, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// Clients at once.
const CLIENTS: usize = 20;

/// Cycles until everything has been touched that a table or the allocator grows by.
const WARM: usize = 400;

/// What the process may take more afterwards: less than 40 bytes a cycle of the long run.
const GROWTH: usize = 4 << 20;

/// Pages of this process in memory, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let resident: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    resident * 4096
}

/// So many set-ups and tear-downs. Of four clients, one vanishes without a word and comes back.
fn cycles(count: usize) {
    let mut world = World::new(setup::world(70, CLIENTS));
    let ids: Vec<_> = (0..CLIENTS)
        .map(|index| {
            let client = setup::client(&format!("user{index}"));
            world.dial(client, setup::address(index), None, false)
        })
        .collect();
    let mut done = 0;
    let mut warm = 0;
    while done < count {
        assert!(
            world.run_until_echoes(&ids, MINUTE),
            "after {done} cycles: {:?}",
            world.server.gauges()
        );
        let up = world.server.gauges();
        assert_eq!((up.sessions, up.routes), (CLIENTS, 2 * CLIENTS));
        for (index, id) in ids.iter().enumerate() {
            if index % 4 == 0 {
                world.kill(*id);
            } else {
                world.hang_up(*id);
            }
        }
        // Those that said good-bye are gone before any of the others is given up.
        let silent = CLIENTS.div_ceil(4);
        assert!(
            world.run_until(MINUTE, |world| world.server.gauges().sessions == silent),
            "after {done} cycles: {:?}",
            world.server.gauges()
        );
        done += CLIENTS;
        // Notes of the world's own, which nobody reads here.
        world.remembered.clear();
        if done == WARM {
            warm = resident();
        }
        for id in &ids {
            world.boot(*id);
        }
    }
    assert!(world.run_until_echoes(&ids, MINUTE));
    let accepted = world.server.stats().auth_accepted;
    assert_eq!(accepted, (done + CLIENTS) as u64, "every cycle logged in");
    for id in &ids {
        world.hang_up(*id);
    }
    world.run_until(10 * MINUTE, |world| world.held() == Gauges::default());
    assert_eq!(world.held(), Gauges::default());
    assert_eq!(world.server.gauges().remembered, CLIENTS);
    let grown = resident().saturating_sub(warm);
    assert!(grown < GROWTH, "{grown} bytes more after {done} cycles");
}

#[test]
fn two_thousand_cycles_leave_nothing_behind() {
    cycles(2_000);
}

/// `cargo test --release -p adit-tests --test cycles -- --ignored`: some minutes.
#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_cycles_leave_nothing_behind() {
    cycles(100_000);
}
