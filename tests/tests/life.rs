//! The life of a connection: each client, over each kind of path, for hours under traffic, from the
//! first packet to its own kind of good-bye.

use std::net::IpAddr;
use std::time::Duration;

use adit_client::DownReason;
use adit_client::profile::{APPLE, Profile, WINDOWS7, WINDOWS10};
use adit_crypto::Group;
use adit_server::Gauges;
use adit_tests::{ClientId, Nat, World, is_server, setup};

const MINUTE: Duration = Duration::from_secs(60);
const MAIN: u8 = 2;
const INFORMATIONAL: u8 = 5;

/// Where NATs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    ipv6: bool,
    client_nat: bool,
    server_nat: bool,
}

impl Way {
    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self {
            ipv6: bits & 1 != 0,
            client_nat: bits & 2 != 0,
            server_nat: bits & 4 != 0,
        })
    }

    /// Over IPv4 the server forces UDP, over IPv6 it does not.
    fn forced(self) -> bool {
        !self.ipv6
    }

    fn encapsulation(self) -> &'static str {
        if self.forced() || self.client_nat || self.server_nat {
            "udp"
        } else {
            "esp"
        }
    }

    fn nat(self) -> &'static str {
        match (self.server_nat, self.client_nat) {
            (false, false) => "none",
            (false, true) => "client",
            (true, false) => "server",
            (true, true) => "both",
        }
    }

    fn client(self) -> (IpAddr, Option<Nat>) {
        let (direct, inside, public): (&str, &str, &str) = if self.ipv6 {
            ("2001:db8:1::7", "fd00:1::7", "2001:db8:9::9")
        } else {
            ("198.18.0.7", "192.168.7.5", "198.51.100.9")
        };
        if self.client_nat {
            let nat = Nat::new(public.parse().unwrap());
            (inside.parse().unwrap(), Some(nat))
        } else {
            (direct.parse().unwrap(), None)
        }
    }
}

/// What Diffie-Hellman in a group costs, roughly.
fn cost(group: Group) -> u32 {
    match group {
        Group::Ecp256 => 0,
        Group::Modp1024 => 1,
        Group::Modp1536 => 2,
        Group::Ecp384 => 3,
        _ => 4,
    }
}

/// A world for one client of `profile`, whose server takes its cheapest offer, and the client.
fn world(profile: &Profile, way: Way, seed: u64) -> (World, adit_client::Config) {
    let mut config = setup::world(seed, 1);
    config.server_nat = way.server_nat;
    config.server.ike = World::changed(&config.server.ike, |ike| {
        ike.force_encapsulation = way.forced();
        ike.phase1 = profile.manner.phase1_proposals();
        ike.phase1.sort_by_key(|proposal| cost(proposal.group));
    });
    let mut client = setup::client_of(profile, "user0");
    client.ike = World::changed(&client.ike, |ike| {
        // What it takes when the server offers; its own offer is the profile's.
        ike.phase1.sort_by_key(|proposal| cost(proposal.group));
        ike.phase1_lifetime = ike.phase1_lifetime.min(60 * MINUTE);
        ike.esp_lifetime.seconds = ike.esp_lifetime.seconds.min(60 * MINUTE);
    });
    (World::new(config), client)
}

/// Dials and waits for everything that the profile asks for.
fn dial(world: &mut World, client: adit_client::Config, way: Way) -> ClientId {
    // A router takes no advertisements.
    let ipv6 = client.ppp.ipv6 && client.host.advertisements;
    let (address, nat) = way.client();
    let id = world.dial(client, address, nat, false);
    let up = |world: &World| {
        let state = world.state(id);
        state.ipv4.is_some() && (!ipv6 || state.router.is_some() && state.ipv6.is_some())
    };
    assert!(
        world.run_until(MINUTE, up),
        "{way:?} {:?} {:?}",
        world.state(id),
        world.server.stats()
    );
    world.run_for(Duration::from_secs(5));
    id
}

/// Lets time pass with a packet of each family every five seconds; none may be lost.
fn lives(world: &mut World, id: ClientId, time: Duration) {
    let step = Duration::from_secs(5);
    let ipv6 = world.state(id).ipv6.is_some();
    let before = (world.state(id).echoes4, world.state(id).echoes6);
    let steps = (time.as_secs() / step.as_secs()) as u32;
    for _ in 0..steps {
        world.ping(id);
        world.run_for(step);
    }
    let state = world.state(id);
    let answered = (state.echoes4 - before.0, state.echoes6 - before.1);
    let wanted = (steps, if ipv6 { steps } else { 0 });
    assert_eq!(answered, wanted, "{:?}", world.server.stats());
    assert_eq!((&state.down, state.dials), (&None, 1));
}

/// Hours of a profile on a path; `active` clients replace IKE SAs, for the others the server does.
fn hours(profile: &Profile, way: Way, active: bool) {
    let about = format!("{} {way:?} active {active}", profile.name);
    let (mut world, mut client) = world(profile, way, 500);
    client.rekey_ike = active;
    let id = dial(&mut world, client, way);
    let first = world.server.sessions(world.now())[0].clone();
    lives(&mut world, id, 180 * MINUTE);

    let (stats, gauges) = (world.server.stats(), world.server.gauges());
    assert!(stats.ike_established >= 4, "{about}: {stats:?}");
    assert!(stats.child_established >= 4, "{about}: {stats:?}");
    assert_eq!(stats.ike_rekeys_started >= 3, !active, "{about}: {stats:?}");
    assert_eq!(stats.ike_rekeys_failed, 0, "{about}");
    assert_eq!((stats.no_sa, stats.esp_bad_icv), (0, 0), "{about}");
    assert_eq!(
        (gauges.peers, gauges.tunnels, gauges.sessions),
        (1, 1, 1),
        "{about}"
    );
    let sessions = world.server.sessions(world.now());
    let [info] = sessions.as_slice() else {
        panic!("{about}: {sessions:?}");
    };
    assert_eq!(info.id, first.id, "{about}");
    assert_eq!((info.nat, first.nat), (way.nat(), way.nat()), "{about}");
    assert_eq!(info.encapsulation, way.encapsulation(), "{about}");
    assert_eq!(first.encapsulation, way.encapsulation(), "{about}");
    assert_eq!(
        (&info.client, &info.ike, &info.esp, info.mtu),
        (&first.client, &first.ike, &first.esp, first.mtu),
        "{about}"
    );
    assert_eq!(
        (info.ipv4, &info.ipv6_prefixes),
        (first.ipv4, &first.ipv6_prefixes)
    );
    ends(&mut world, id, profile, &about);
}

/// The client's own good-bye: Deletes for the ESP SAs and the ISAKMP SA, Windows' after a while.
fn ends(world: &mut World, id: ClientId, profile: &Profile, about: &str) {
    world.capture = Some(Vec::new());
    world.hang_up(id);
    let deletes = |world: &World| {
        let capture = world.capture.as_ref().unwrap().iter();
        let deletes = capture.filter(|datagram| {
            let header = datagram.ike();
            !is_server(datagram.from)
                && header.is_some_and(|header| header.exchange == INFORMATIONAL)
        });
        deletes.count()
    };
    world.run_for(Duration::from_secs(3));
    let patient = !profile.ending.pause.is_zero();
    assert_eq!(deletes(world) == 0, patient, "{about}");
    assert_eq!(world.server.gauges().sessions, 0, "{about}");
    world.run_for(Duration::from_secs(3));
    assert!(deletes(world) >= 2, "{about}");
    assert_eq!(world.state(id).down, Some(DownReason::Closed), "{about}");
    let gauges = world.server.gauges();
    assert_eq!((gauges.esp_sas, gauges.ike_sas), (0, 0), "{about}");
    world.run_for(Duration::from_secs(15));
    assert_eq!(world.held(), Gauges::default(), "{about}");
}

fn matrix(profiles: &[&Profile]) {
    for profile in profiles {
        for (index, way) in Way::all().enumerate() {
            hours(profile, way, true);
            // The server's turn, over half of the ways of each profile.
            if index % 2 == usize::from(way.client_nat) {
                hours(profile, way, false);
            }
        }
    }
}

#[test]
fn hours_of_windows() {
    matrix(&[&WINDOWS7, &WINDOWS10]);
}

#[test]
fn hours_of_the_others() {
    let all = Profile::all();
    let others: Vec<_> = all
        .into_iter()
        .filter(|profile| !profile.name.starts_with("windows"))
        .collect();
    assert_eq!(others.len(), all.len() - 2);
    matrix(&others);
}

/// Apple's message 1 leaves from the floated port. Where that is not answered, it comes from the
/// first one and floats again.
#[test]
fn apple_replaces_its_ike_sa_on_either_port() {
    for way in Way::all() {
        for answered in [true, false] {
            let (mut world, client) = world(&APPLE, way, 510);
            let id = dial(&mut world, client, way);
            let floated = way.encapsulation() == "udp";
            if !answered {
                world.drop_if = Some(Box::new(|datagram| {
                    let header = datagram.ike();
                    let first = header.is_some_and(|header| header.responder_cookie == [0; 8]);
                    first && datagram.to.port() == 4500
                }));
            }
            world.capture = Some(Vec::new());
            lives(&mut world, id, 57 * MINUTE);
            let capture = world.capture.take().unwrap();
            let firsts = capture.iter().filter(|datagram| {
                let header = datagram.ike();
                header.is_some_and(|header| {
                    header.exchange == MAIN && header.responder_cookie == [0; 8]
                })
            });
            let ports: Vec<_> = firsts.map(|datagram| datagram.to.port()).collect();
            let port = if floated && answered { 4500 } else { 500 };
            assert_eq!(ports, [port], "{way:?}");
            let (stats, gauges) = (world.server.stats(), world.server.gauges());
            assert_eq!((stats.ike_established, stats.ike_rekeys_started), (2, 0));
            assert_eq!((gauges.peers, gauges.ike_sas, gauges.sessions), (1, 1, 1));
            let info = &world.server.sessions(world.now())[0];
            assert_eq!(info.encapsulation, way.encapsulation());
            assert_eq!(info.nat, way.nat());
        }
    }
}

/// Windows replaces ESP SAs by volume too: here 1000 KB stand for its 250000.
#[test]
fn windows_replaces_esp_sas_by_volume() {
    for profile in [&WINDOWS7, &WINDOWS10] {
        assert_eq!(profile.esp_lifetime.kilobytes, Some(250_000));
        for way in Way::all() {
            let (mut world, mut client) = world(profile, way, 520);
            client.ike = World::changed(&client.ike, |ike| {
                ike.esp_lifetime.kilobytes = Some(1_000);
            });
            let id = dial(&mut world, client, way);
            let (to, from) = (world.state(id).ipv4.unwrap(), adit_tests::HOST_V4);
            let before = world.state(id).echoes4;
            let packet = adit_tests::udp_packet(to.into(), from.into(), &[7; 1200]);
            for _ in 0..5_000 {
                world.send_ip(id, &packet);
                world.run_for(Duration::from_millis(40));
            }
            assert_eq!(world.state(id).echoes4 - before, 5_000);
            let stats = world.server.stats();
            // Six megabytes each way, and at least 800 KB on each SA.
            assert!((6..=9).contains(&stats.child_established), "{stats:?}");
            assert_eq!((stats.ike_established, stats.no_sa), (1, 0));
            assert_eq!(world.server.sessions(world.now())[0].id.0, 1);
        }
    }
}

/// A strict client takes a server that says nothing of its NAT to it, and no other.
#[test]
fn strict_windows_comes_to_a_server_behind_a_nat() {
    for ipv6 in [false, true] {
        for client_nat in [false, true] {
            let way = Way {
                ipv6,
                client_nat,
                server_nat: true,
            };
            for profile in [&WINDOWS7, &WINDOWS10] {
                let (mut world, client) = world(profile, way, 530);
                assert!(client.refuse_server_behind_nat);
                let id = dial(&mut world, client, way);
                lives(&mut world, id, MINUTE);
                assert_eq!(world.server.sessions(world.now())[0].nat, way.nat());
            }
            // Another client with the same rule learns the truth and leaves.
            let (mut world, mut client) = world(&APPLE, way, 531);
            client.refuse_server_behind_nat = true;
            let (address, nat) = way.client();
            let id = world.dial(client, address, nat, false);
            assert!(world.run_until(MINUTE, |world| world.state(id).down.is_some()));
            assert_eq!(world.state(id).down, Some(DownReason::ServerBehindNat));
            assert!(world.run_until(2 * MINUTE, |world| world.held() == Gauges::default()));
        }
    }
}
