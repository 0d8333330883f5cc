//! What somebody who knows the pre-shared key can say in IKE, against a whole server that holds the
//! sessions of others.

use std::net::SocketAddr;
use std::time::Duration;

use adit_client::DownReason;
use adit_crypto::{EspMac, Rng};
use adit_ike::{ChildFailure, EspTransform, Event, IdValue, IkeSa, Opening, Selector};
use adit_tests::scene::{Scene, refusals, server};
use adit_tests::{Datagram, World, is_server, setup};
use adit_wire::{Channel, Path};

const MINUTE: Duration = Duration::from_secs(60);

/// An IKE SA of somebody who knows the key, driven by hand.
struct Insider {
    sa: IkeSa,
    address: SocketAddr,
    rng: Rng,
    events: Vec<Event>,
}

impl Insider {
    fn new(world: &World, identity: IdValue) -> Self {
        let address: SocketAddr = "198.18.9.9:500".parse().unwrap();
        let mut rng = Rng::from_seed([9; 32]);
        let path = Path {
            channel: Channel::Ike,
            local: address,
            remote: server(500),
        };
        let sa = IkeSa::initiate(
            &setup::client("nobody").ike,
            &setup::credentials(setup::PSK),
            path,
            address,
            Opening::main(identity),
            world.now(),
            &mut rng,
        );
        Self {
            sa,
            address,
            rng,
            events: Vec::new(),
        }
    }

    /// Talks until neither end has more to say.
    fn talk(&mut self, world: &mut World) {
        for _ in 0..8 {
            while let Some(job) = self.sa.poll_job() {
                let done = job.run(World::UNIX);
                self.sa.handle_job(done, world.now(), &mut self.rng);
            }
            while let Some(transmit) = self.sa.poll_transmit() {
                assert_eq!(transmit.path.channel, Channel::Ike);
                world.inject(Datagram {
                    from: transmit.path.local,
                    to: transmit.path.remote,
                    payload: transmit.payload,
                });
            }
            self.events
                .extend(std::iter::from_fn(|| self.sa.poll_event()));
            world.capture = Some(Vec::new());
            world.run_for(Duration::from_millis(100));
            let capture = world.capture.take().unwrap();
            for datagram in capture
                .iter()
                .filter(|datagram| datagram.to == self.address)
            {
                let path = Path {
                    channel: Channel::Ike,
                    local: datagram.to,
                    remote: datagram.from,
                };
                let message = &datagram.payload;
                let _ = self
                    .sa
                    .handle_message(path, message, world.now(), &mut self.rng);
            }
        }
        self.events
            .extend(std::iter::from_fn(|| self.sa.poll_event()));
    }

    fn refused(&self) -> Option<u16> {
        self.events.iter().rev().find_map(|event| match event {
            Event::ChildFailed {
                reason: ChildFailure::Refused { notify },
                ..
            } => Some(*notify),
            _ => None,
        })
    }
}

#[test]
fn identities_of_every_shape() {
    let mut scene = Scene::new(808);
    let digest = scene.digest();
    let other = |kind, data: &[u8]| IdValue::Other {
        kind,
        data: data.to_vec(),
    };
    let identities = [
        other(9, &[]),
        other(9, &[0x30]),
        other(9, &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
        other(9, &[0x30; 1500]),
        other(1, &[]),
        other(1, &[1, 2, 3, 4, 5]),
        other(5, &[1; 15]),
        other(0, &[]),
        other(255, &[0xff; 3]),
        IdValue::Fqdn(String::new()),
        IdValue::Fqdn("a".repeat(2000)),
        IdValue::KeyId(vec![0; 3]),
        // A victim's own, at another address: somebody else.
        IdValue::from(setup::address(0)),
    ];
    for identity in identities {
        let mut insider = Insider::new(&scene.world, identity.clone());
        insider.talk(&mut scene.world);
        assert_eq!(scene.digest(), digest, "{identity:?}");
        // Whoever was let in is another peer, and goes without a trace of his own.
        let Insider { sa, rng, .. } = &mut insider;
        sa.close(scene.world.now(), rng);
        insider.talk(&mut scene.world);
        assert_eq!(
            scene.world.server.gauges().peers,
            scene.victims.len(),
            "{identity:?}"
        );
    }
    let stats = scene.world.server.stats();
    assert!(
        stats.ike_established + refusals(&stats) >= 3 + 13,
        "{stats:?}"
    );
    scene.all_answer();
}

#[test]
fn quick_modes_for_what_is_not_l2tp() {
    let mut scene = Scene::new(809);
    let digest = scene.digest();
    let mut insider = Insider::new(&scene.world, IdValue::KeyId(b"insider".to_vec()));
    insider.talk(&mut scene.world);
    assert!(insider.sa.is_established());
    let end = |id: IdValue, protocol, port| Selector { id, protocol, port };
    let us = IdValue::from(insider.address.ip());
    let them = IdValue::from(server(500).ip());
    let name = IdValue::Fqdn("vpn.example.org".into());
    let cases = [
        (
            "IDcr is a name, for TCP",
            end(us.clone(), 17, 1701),
            end(name.clone(), 6, 1701),
        ),
        (
            "both are names, port 22",
            end(name.clone(), 17, 1701),
            end(name, 17, 22),
        ),
        ("everything", end(us.clone(), 0, 0), end(them.clone(), 0, 0)),
        ("ESP in ESP", end(us, 50, 0), end(them, 50, 0)),
    ];
    for (spi, (name, local, remote)) in (0x7000_0000..).zip(cases) {
        let before = scene.world.server.stats();
        insider.events.clear();
        let Insider { sa, rng, .. } = &mut insider;
        sa.start_quick_mode(local, remote, spi, false, scene.world.now(), rng);
        insider.talk(&mut scene.world);
        // INVALID-ID-INFORMATION.
        assert_eq!(insider.refused(), Some(18), "{name}: {:?}", insider.events);
        let after = scene.world.server.stats();
        assert_eq!(after.child_failed, before.child_failed + 1, "{name}");
        assert_eq!(after.child_established, before.child_established, "{name}");
        assert_eq!(scene.digest(), digest, "{name}");
    }
    scene.all_answer();
}

/// Deletes for what is somebody else's, and the same one twice.
#[test]
fn nobody_deletes_the_sas_of_others() {
    let mut scene = Scene::new(810);
    let digest = scene.digest();
    let gauges = scene.world.server.gauges();
    let recorded = scene.recorded.clone();
    let spis = recorded.iter().filter_map(|datagram| {
        let esp = is_server(datagram.from) && datagram.ike().is_none();
        let spi = datagram.payload.first_chunk::<4>().filter(|_| esp)?;
        Some(u32::from_be_bytes(*spi))
    });
    let mut spis: Vec<_> = spis.collect();
    spis.sort_unstable();
    spis.dedup();
    assert!(spis.len() >= 3);
    let mut insider = Insider::new(&scene.world, IdValue::from(setup::address(0)));
    insider.talk(&mut scene.world);
    assert!(insider.sa.is_established());
    for spi in spis {
        let before = scene.world.server.stats();
        for _ in 0..2 {
            let Insider { sa, rng, .. } = &mut insider;
            sa.delete_child(spi, scene.world.now(), rng);
        }
        insider.talk(&mut scene.world);
        assert!(scene.world.server.stats().ike_messages >= before.ike_messages + 2);
        assert_eq!(scene.digest(), digest);
        assert_eq!(scene.world.server.gauges().esp_sas, gauges.esp_sas);
    }
    scene.all_answer();
}

/// ESP that needs no key, or a weak one, is not agreed on, whoever asks.
#[test]
fn quick_modes_without_a_cipher() {
    const NULL: &[EspTransform] = &[EspTransform::Null(EspMac::HmacSha1_96)];
    const DES: &[EspTransform] = &[EspTransform::Des(EspMac::HmacSha1_96)];
    let mut scene = Scene::new(811);
    for (index, offer) in [NULL, DES].into_iter().enumerate() {
        let digest = scene.digest();
        let before = scene.world.server.stats();
        let mut client = setup::client("user3");
        client.ike = World::changed(&client.ike, |ike| ike.manner.esp = offer);
        let id = scene
            .world
            .dial(client, setup::address(10 + index), None, false);
        assert!(
            scene
                .world
                .run_until(MINUTE, |world| world.state(id).down.is_some())
        );
        let refused = ChildFailure::Refused { notify: 14 };
        assert_eq!(
            scene.world.state(id).down,
            Some(DownReason::QuickMode(refused))
        );
        let after = scene.world.server.stats();
        assert_eq!(after.child_failed, before.child_failed + 1);
        assert_eq!(after.child_established, before.child_established);
        assert_eq!(scene.digest(), digest);
    }
    scene.all_answer();
}
