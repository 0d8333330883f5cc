//! What each system ends with: addresses, routes and resolvers of both families as it would use them,
//! with all traffic in the tunnel and with some.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use adit_client::profile::{
    ANDROID, APPLE, CHROMEOS, NETWORK_MANAGER, Profile, ROUTEROS, WINDOWS7, WINDOWS10,
};
use adit_client::{DownReason, Event};
use adit_crypto::{BlockCipher, Group, Hash};
use adit_ike::{ChildFailure, Phase1Proposal};
use adit_server::{Delegate, Gauges};
use adit_tests::{ClientId, Dialled, World, host, setup};
use ipnet::{Ipv4Net, Ipv6Net};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Where the default routes and the others of a system lead into the tunnel.
#[derive(Debug, PartialEq, Eq)]
struct Desk {
    default4: bool,
    default6: bool,
    routes4: Vec<Ipv4Net>,
    routes6: Vec<Ipv6Net>,
    dns4: Vec<Ipv4Addr>,
    dns6: Vec<Ipv6Addr>,
    domain: Option<String>,
}

impl Desk {
    /// What a system makes of what it was told.
    fn of(state: &Dialled, split: bool) -> Self {
        let dhcp = state.dhcp4.clone().unwrap_or_default();
        Self {
            default4: !split,
            default6: state.router.is_some(),
            routes4: dhcp.routes,
            routes6: state.routes6.clone(),
            dns4: state.dns4.clone(),
            dns6: state.dns6.clone(),
            domain: dhcp.domain.map(|domain| domain.as_str().to_owned()),
        }
    }

    fn full() -> Self {
        Self {
            default4: true,
            default6: true,
            routes4: Vec::new(),
            routes6: Vec::new(),
            dns4: vec![Ipv4Addr::new(10, 77, 0, 1)],
            dns6: vec!["2001:db8:77::1".parse().unwrap()],
            domain: None,
        }
    }

    /// With the routes that the server of [`world`] has.
    fn split() -> Self {
        Self {
            default4: false,
            default6: false,
            routes4: routes4(),
            routes6: vec!["2001:db8::/32".parse().unwrap()],
            domain: Some("corp.example.org".to_owned()),
            ..Self::full()
        }
    }
}

fn routes4() -> Vec<Ipv4Net> {
    ["10.0.0.0/8", "172.20.0.0/14"]
        .map(|route| route.parse().unwrap())
        .to_vec()
}

fn config(split: bool, legacy: bool) -> adit_tests::WorldConfig {
    let mut config = setup::world(700, 1);
    if split {
        let ipv4 = config.server.ipv4.as_mut().unwrap();
        ipv4.routes = routes4();
        ipv4.domain = Some("corp.example.org".parse().unwrap());
        let ipv6 = config.server.ipv6.as_mut().unwrap();
        ipv6.routes = vec!["2001:db8::/32".parse().unwrap()];
    }
    config.server.ike = World::changed(&config.server.ike, |ike| {
        if legacy {
            ike.phase1.push(Phase1Proposal {
                cipher: BlockCipher::Aes256,
                hash: Hash::Sha1,
                group: Group::Modp1024,
            });
        }
    });
    config
}

/// A system that is up, a moment later.
fn comes_up(profile: &Profile, split: bool, legacy: bool) -> (World, ClientId) {
    let mut world = World::new(config(split, legacy));
    let mut client = setup::client_of(profile, "user0");
    client.split_tunnel = split;
    let id = world.dial(client, setup::address(0), None, false);
    let up = world.run_until(MINUTE, |world| {
        let state = world.state(id);
        state.ipv4.is_some() && (state.ipv6.is_some() || !profile.ipv6)
    });
    assert!(up, "{}: {:?}", profile.name, world.state(id));
    world.run_for(Duration::from_secs(10));
    (world, id)
}

fn seen(world: &World, id: ClientId, wanted: impl Fn(&Event) -> bool) -> bool {
    world.state(id).events.iter().any(wanted)
}

/// Both addresses are those of the session, and traffic of both passes.
fn is_whole(world: &mut World, id: ClientId) {
    let info = world.server.sessions(world.now())[0].clone();
    let state = world.state(id).clone();
    assert_eq!(state.ipv4, info.ipv4);
    if let Some(ipv6) = state.ipv6 {
        assert!(info.ipv6_prefixes[0].contains(&ipv6));
    }
    world.ping(id);
    world.run_for(Duration::from_secs(1));
    let after = world.state(id);
    assert_eq!(after.echoes4, state.echoes4 + 1);
    let more = u32::from(state.ipv6.is_some());
    assert_eq!(after.echoes6, state.echoes6 + more);
}

#[test]
fn windows_with_all_traffic_in_the_tunnel() {
    for profile in [&WINDOWS7, &WINDOWS10] {
        let (mut world, id) = comes_up(profile, false, false);
        assert_eq!(Desk::of(world.state(id), false), Desk::full());
        // Its IPv6 resolver came by an Information-request, not by the advertisement that has it too.
        assert!(seen(
            &world,
            id,
            |event| matches!(event, Event::Dhcp6(dns) if dns.len() == 1)
        ));
        assert!(seen(&world, id, |event| matches!(event,
            Event::RouterAdvertisement(ra) if ra.other && ra.dns.len() == 1)));
        // Nothing is asked of DHCP where the gateway is ticked.
        assert_eq!(world.server.stats().dhcp4_answers, 0);
        is_whole(&mut world, id);
    }
}

#[test]
fn windows_with_some_traffic_in_the_tunnel() {
    for profile in [&WINDOWS7, &WINDOWS10] {
        let (mut world, id) = comes_up(profile, true, false);
        assert_eq!(Desk::of(world.state(id), true), Desk::split());
        assert_eq!(world.server.stats().dhcp4_answers, 1);
        is_whole(&mut world, id);
    }
}

#[test]
fn apple_with_all_traffic_in_the_tunnel() {
    let (mut world, id) = comes_up(&APPLE, false, false);
    assert_eq!(Desk::of(world.state(id), false), Desk::full());
    assert_eq!(world.server.stats().dhcp4_answers, 0);
    assert_eq!(world.state(id).acscp, None, "nor is ACSCP tried");
    is_whole(&mut world, id);
}

/// ACSCP brings routes and domain, so that DHCP is not asked.
#[test]
fn apple_with_some_traffic_in_the_tunnel() {
    let (mut world, id) = comes_up(&APPLE, true, false);
    let told = world.state(id).acscp.clone().expect("ACSCP is up");
    let networks = told.routes.iter().filter(|route| route.private);
    let routes: Vec<_> = networks
        .map(|route| Ipv4Net::with_netmask(route.address, route.mask).unwrap())
        .collect();
    assert_eq!(routes, routes4());
    let domains: Vec<_> = told
        .domains
        .iter()
        .map(|it| (it.server, &*it.name))
        .collect();
    assert_eq!(domains, [(Ipv4Addr::new(10, 77, 0, 1), "corp.example.org")]);
    let beside = Desk {
        routes4: Vec::new(),
        domain: None,
        ..Desk::split()
    };
    assert_eq!(Desk::of(world.state(id), true), beside);
    assert_eq!(world.server.stats().dhcp4_answers, 0);
    is_whole(&mut world, id);
}

/// Linux asks for no routes: in IPv4 they are in its connection's settings, in IPv6 the kernel takes
/// those that are advertised.
#[test]
fn linux_either_way() {
    for profile in [&NETWORK_MANAGER, &CHROMEOS] {
        for split in [false, true] {
            let (mut world, id) = comes_up(profile, split, false);
            let expected = match split {
                false => Desk::full(),
                true => Desk {
                    routes4: Vec::new(),
                    domain: None,
                    ..Desk::split()
                },
            };
            assert_eq!(Desk::of(world.state(id), split), expected);
            assert_eq!(world.server.stats().dhcp4_answers, 0);
            is_whole(&mut world, id);
        }
    }
}

#[test]
fn android_has_ipv4_only() {
    for split in [false, true] {
        let (mut world, id) = comes_up(&ANDROID, split, true);
        let expected = Desk {
            default4: !split,
            default6: false,
            dns6: Vec::new(),
            ..Desk::full()
        };
        assert_eq!(Desk::of(world.state(id), split), expected);
        let info = &world.server.sessions(world.now())[0];
        // With an MRU of 1270 there can be none (RFC 8200 5), so the server does not ask.
        assert_eq!(info.ipv6cp, "not served");
        assert_eq!(world.server.gauges().routes, 1);
        is_whole(&mut world, id);
    }
}

/// A router with its settings as they are delivered, or with another group of PFS.
fn router(pfs: Option<Group>, legacy: bool) -> (World, ClientId) {
    let mut config = config(false, legacy);
    config.server.ipv6.as_mut().unwrap().delegate = Some(Delegate {
        prefix: "2001:db8:ff00::/48".parse().unwrap(),
        length: 56,
    });
    let mut world = World::new(config);
    let mut client = setup::client_of(&ROUTEROS, "user0");
    client.ike = World::changed(&client.ike, |ike| ike.pfs = pfs);
    let id = world.dial(client, setup::address(0), None, false);
    world.run_until(MINUTE, |world| {
        let state = world.state(id);
        state.delegated.is_some() || state.down.is_some()
    });
    (world, id)
}

/// Its group of PFS is MODP-1024 as delivered, which is refused unless the operator allows it.
#[test]
fn a_router_as_delivered() {
    let (world, id) = router(ROUTEROS.pfs, false);
    let refused = ChildFailure::Refused { notify: 14 };
    assert_eq!(world.state(id).down, Some(DownReason::QuickMode(refused)));
    for (pfs, legacy) in [
        (ROUTEROS.pfs, true),
        (Some(Group::Modp2048), false),
        (None, false),
    ] {
        let (world, id) = router(pfs, legacy);
        let state = world.state(id);
        assert!(state.delegated.is_some(), "{pfs:?}: {state:?}");
        let sa = |event: &Event| matches!(event, Event::Sa { pfs: found, .. } if *found == pfs);
        assert!(seen(&world, id, sa));
    }
}

/// The prefix behind a router: routed, kept for days, and gone with the router's good-bye.
#[test]
fn a_router_with_a_network_behind_it() {
    let (mut world, id) = router(None, false);
    let net: Ipv6Net = "2001:db8:ff00::/56".parse().unwrap();
    let state = world.state(id).clone();
    assert_eq!(state.delegated, Some(net));
    // It takes no advertisement; the server of its prefix is its way out, and has told a resolver.
    assert_eq!((state.ipv6, state.router), (None, None));
    let dns6: Vec<Ipv6Addr> = vec!["2001:db8:77::1".parse().unwrap()];
    assert_eq!(state.dns6, dns6);
    let server = state.events.iter().find_map(|event| match event {
        Event::Delegated { server, .. } => Some(*server),
        _ => None,
    });
    assert!(server.unwrap().is_unicast_link_local());
    let info = &world.server.sessions(world.now())[0];
    assert_eq!(info.ipv6_prefixes[1], net);

    let behind: IpAddr = "2001:db8:ff00:42::9".parse().unwrap();
    let from_lan = host::udp_packet(behind, host::HOST_V6.into(), b"lan");
    let alive = |world: &mut World| {
        let before = world.state(id).echoes6;
        world.send_ip(id, &from_lan);
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.state(id).echoes6, before + 1);
    };
    // T1 is six hours. Longer than the prefix is valid without being renewed.
    for _ in 0..26 {
        alive(&mut world);
        world.run_for(HOUR);
    }
    alive(&mut world);
    let grants = |event: &&Event| {
        matches!(
            event,
            Event::Delegated { .. } | Event::DelegationGone { .. }
        )
    };
    assert_eq!(world.state(id).events.iter().filter(grants).count(), 1);
    assert_eq!(world.server.gauges().delegated, 1);
    assert_eq!(world.server.stats().ip_spoofed, 0);

    world.hang_up(id);
    world.run_for(Duration::from_secs(1));
    let gauges = world.server.gauges();
    assert_eq!((gauges.delegated, gauges.routes), (0, 0));
    assert!(world.run_until(MINUTE, |world| world.held() == Gauges::default()));
}

/// A router that loses its power says nothing; its prefix is free when the server has noticed, and
/// at once for the router that returns.
#[test]
fn a_router_that_vanishes() {
    let (mut world, id) = router(None, false);
    world.kill(id);
    world.run_for(MINUTE);
    assert_eq!(world.server.gauges().delegated, 1);
    world.boot(id);
    assert!(world.run_until(MINUTE, |world| world.state(id).delegated.is_some()));
    world.run_for(MINUTE);
    let gauges = world.server.gauges();
    assert_eq!((gauges.sessions, gauges.delegated), (1, 1));
    world.kill(id);
    assert!(world.run_until(HOUR, |world| world.held() == Gauges::default()));
}
