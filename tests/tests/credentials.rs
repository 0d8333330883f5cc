//! Who may prove itself how, by address and by identity.

use std::sync::Arc;
use std::time::Duration;

use adit_ike::{Credentials, PreSharedKey, Psk};
use adit_server::{Keyring, RangedKey};
use adit_tests::{ClientId, World, WorldConfig, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// A key for one client's address, or for anywhere.
fn key(psk: &str, client: Option<usize>) -> RangedKey {
    RangedKey {
        from: client
            .map(|index| setup::address(index).into())
            .into_iter()
            .collect(),
        key: PreSharedKey {
            key: Arc::new(Psk::new(psk)),
            identity: None,
            aggressive: false,
        },
    }
}

fn world(everybody: Option<&str>, keys: &[RangedKey]) -> WorldConfig {
    let everybody = everybody.map(|psk| Credentials::psk(Arc::new(Psk::new(psk))));
    let mut config = setup::world(31, 2);
    config.server.credentials = Arc::new(Keyring::new(&everybody.unwrap_or_default(), keys));
    config
}

/// Dials from the address of a client with a key.
fn dial(world: &mut World, index: usize, psk: &str) -> ClientId {
    let mut config = setup::client(&format!("user{index}"));
    config.credentials = setup::credentials(psk);
    world.dial(config, setup::address(index), None, false)
}

fn is_up(world: &mut World, id: ClientId) -> bool {
    world.run_until(2 * MINUTE, |world| {
        let state = world.state(id);
        state.down.is_some() || (state.ipv4.is_some() && state.router.is_some())
    });
    world.state(id).down.is_none() && world.state(id).ipv4.is_some()
}

#[test]
fn a_key_for_one_address_lets_in_nobody_else() {
    let mut world = World::new(world(None, &[key("for the first", Some(0))]));
    let first = dial(&mut world, 0, "for the first");
    assert!(is_up(&mut world, first), "{:?}", world.state(first));
    let second = dial(&mut world, 1, "for the first");
    assert!(!is_up(&mut world, second));
    assert_eq!(world.server.stats().ike_established, 1);
    assert_eq!(world.server.sessions(world.now()).len(), 1);
}
