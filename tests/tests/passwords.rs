//! A user whose password was wrong gets another try (RFC 2759 6): error 691 with R=1.

use std::time::Duration;

use adit_client::{DownReason, Event};
use adit_ppp::{AuthMethod, Secret};
use adit_tests::{ClientId, World, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// A client with a wrong password that has others to try.
fn dial(method: AuthMethod, others: &[&str]) -> (World, ClientId) {
    let mut config = setup::world(710, 1);
    config.server.ppp = World::changed(&config.server.ppp, |ppp| ppp.auth = vec![method]);
    let mut world = World::new(config);
    let mut client = setup::client("user0");
    client.ppp.allowed = vec![method];
    client.ppp.password = Secret::new(b"forgotten");
    client.ppp.retry = true;
    let id = world.dial(client, setup::address(0), None, false);
    for password in others {
        world.remember(id, password);
    }
    world.run_until(MINUTE, |world| {
        let state = world.state(id);
        state.ipv4.is_some() && state.ipv6.is_some() || state.down.is_some()
    });
    (world, id)
}

fn rejections(world: &World, id: ClientId) -> Vec<Option<u32>> {
    let events = world.state(id).events.iter();
    let codes = events.filter_map(|event| match event {
        Event::PasswordRejected { code, .. } => Some(*code),
        _ => None,
    });
    codes.collect()
}

#[test]
fn the_second_or_third_password_lets_in() {
    for method in [AuthMethod::MsChapV2, AuthMethod::EapMsChapV2] {
        for others in [&["pw-user0"][..], &["also wrong", "pw-user0"]] {
            let (mut world, id) = dial(method, others);
            assert_eq!(rejections(&world, id), vec![Some(691); others.len()]);
            assert!(
                world.run_until_echoes(&[id], MINUTE),
                "{:?}",
                world.state(id)
            );
            let stats = world.server.stats();
            let tries = (stats.auth_rejected, stats.auth_accepted);
            assert_eq!(tries, (others.len() as u64, 1));
        }
    }
}

#[test]
fn tries_are_bounded() {
    let (world, id) = dial(AuthMethod::MsChapV2, &["a", "b", "c", "d", "pw-user0"]);
    assert_eq!(rejections(&world, id), [Some(691); 2]);
    let down = world.state(id).down.clone();
    assert!(
        matches!(&down, Some(DownReason::Ppp(why)) if why.contains("691")),
        "{down:?}"
    );
    assert_eq!(world.server.stats().auth_accepted, 0);
}

#[test]
fn a_user_who_gives_up_leaves_cleanly() {
    let (mut world, id) = dial(AuthMethod::MsChapV2, &[]);
    assert_eq!(rejections(&world, id), [Some(691)]);
    world.run_for(MINUTE);
    assert_eq!(world.held(), adit_server::Gauges::default());
}
