//! What idle sessions have to say, message by message: it is what a server with many of them does all
//! day.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use adit_client::profile::{APPLE, Profile};
use adit_tests::{ClientId, Datagram, World, is_server, setup};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const SESSIONS: usize = 10;

/// Datagrams of some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    by_server: u64,
    by_clients: u64,
    keepalives: u64,
    ike: u64,
}

/// Sessions on two workers, with no rekeying for the next hours, that have been up for a while.
fn world(seed: u64, profile: Option<&Profile>) -> (World, Vec<ClientId>) {
    let lasting = |ike: &mut adit_ike::Config| {
        ike.esp_lifetime.seconds = 10 * HOUR;
        ike.phase1_lifetime = 10 * HOUR;
    };
    let mut config = setup::world(seed, SESSIONS);
    config.server.workers = 2;
    config.server.ike = World::changed(&config.server.ike, lasting);
    let mut world = World::new(config);
    let ids: Vec<_> = (0..SESSIONS)
        .map(|index| {
            let user = format!("user{index}");
            let mut client = match profile {
                Some(profile) => setup::client_of(profile, &user),
                None => setup::client(&user),
            };
            if profile.is_none() {
                // Asks nothing, so that all questions are the server's.
                client.ppp.echo = None;
            }
            client.ike = World::changed(&client.ike, lasting);
            let id = world.dial(client, setup::address(index), None, false);
            assert!(world.run_until_echoes(&[id], MINUTE));
            // They are not in step.
            world.run_for(Duration::from_millis(2700));
            id
        })
        .collect();
    // The first three advertisements of a router come within a minute.
    world.run_for(10 * MINUTE);
    (world, ids)
}

/// What is said in an hour.
fn an_hour(world: &mut World) -> Said {
    let said = Rc::new(RefCell::new(Said::default()));
    let heard = Rc::clone(&said);
    world.drop_if = Some(Box::new(move |datagram: &Datagram| {
        let mut said = heard.borrow_mut();
        if datagram.payload == [0xff] {
            said.keepalives += 1;
        } else if datagram.ike().is_some() {
            said.ike += 1;
        } else if is_server(datagram.from) {
            said.by_server += 1;
        } else {
            said.by_clients += 1;
        }
        false
    }));
    world.run_for(HOUR);
    world.drop_if = None;
    said.take()
}

#[test]
fn an_idle_hour_is_an_echo_each_half_minute() {
    let (mut world, ids) = world(81, None);
    let (timeouts, noted) = (world.timeouts, world.noted);
    let before = world.server.stats();
    let said = an_hour(&mut world);
    let sessions = SESSIONS as u64;
    println!(
        "{said:?}, {} timeouts, {} notes",
        world.timeouts - timeouts,
        world.noted - noted
    );
    assert_eq!((said.ike, said.by_clients), (0, 120 * sessions));
    assert!(said.by_server <= 121 * sessions, "{said:?}");
    let echoes = world.server.stats().lcp_echoes - before.lcp_echoes;
    assert_eq!(echoes, 120 * sessions, "all are the packet path's");
    assert_eq!(world.noted, noted, "the control side hears of none");
    // For each session a question every 30 s, a look at its tunnel every 30 to 60 s, and one at its
    // IKE SA every 90 to 120 s.
    let timeouts = (world.timeouts - timeouts) / sessions;
    assert!((150..=280).contains(&timeouts), "{timeouts} each");
    assert_eq!(world.server.gauges().sessions, ids.len());
}

#[test]
fn a_client_that_asks_is_answered_and_not_asked() {
    let (mut world, ids) = world(82, Some(&APPLE));
    let noted = world.noted;
    let said = an_hour(&mut world);
    println!("{said:?}, {} notes", world.noted - noted);
    // Every 20 s, and the server has heard enough by that.
    let sessions = SESSIONS as u64;
    assert!(said.by_clients >= 170 * sessions, "{said:?}");
    assert!(said.by_clients <= 180 * sessions, "{said:?}");
    assert!(said.by_server >= said.by_clients, "{said:?}");
    assert!(said.by_server <= said.by_clients + sessions, "{said:?}");
    assert_eq!(world.noted, noted, "the control side hears of none");
    for id in ids {
        assert_eq!(world.state(id).down, None);
    }
}
