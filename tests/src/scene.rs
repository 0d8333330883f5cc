//! A server with sessions of victims, and what strangers do to it.

use std::net::SocketAddr;
use std::time::Duration;

use adit_client::profile::{APPLE, WINDOWS10};
use adit_crypto::{BlockCipher, Group, Hash, Rng};
use adit_ike::{IkeSa, Opening, Phase1Proposal};
use adit_server::{Gauges, SessionInfo, Stats};
use adit_wire::{Channel, Path};

use crate::{ClientId, Datagram, Nat, World, setup};

const MINUTE: Duration = Duration::from_secs(60);
/// Exchange type of main mode.
pub const MAIN: u8 = 2;
/// Exchange type of aggressive mode.
pub const AGGRESSIVE: u8 = 4;
/// Exchange type of informational exchanges.
pub const INFORMATIONAL: u8 = 5;
/// Exchange type of Quick Mode.
pub const QUICK: u8 = 32;

/// Where the stranger is.
pub fn stranger() -> SocketAddr {
    "192.0.2.66:500".parse().unwrap()
}

/// The server's end.
pub fn server(port: u16) -> SocketAddr {
    (World::SERVER_V4, port).into()
}

/// What an input is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Silence,
    /// A notification in the clear of this type.
    Notify(u16),
}

/// A server with three sessions, and everything that was on the wire while they came up.
pub struct Scene {
    /// The world.
    pub world: World,
    /// Whose sessions have to live.
    pub victims: Vec<ClientId>,
    /// What was on the wire meanwhile.
    pub recorded: Vec<Datagram>,
}

impl Scene {
    /// Dials the victims and waits for their traffic.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, |_| {})
    }

    /// The same with another configuration of the server.
    pub fn with(seed: u64, change: impl FnOnce(&mut adit_server::Config)) -> Self {
        let mut config = setup::world(seed, 5);
        change(&mut config.server);
        config.server.ike = World::changed(&config.server.ike, |ike| {
            ike.force_encapsulation = false;
        });
        let mut world = World::new(config);
        world.capture = Some(Vec::new());
        let windows = setup::client_of(&WINDOWS10, "user0");
        let apple = setup::client_of(&APPLE, "user1");
        let nat = Nat::new("198.51.100.9".parse().unwrap());
        let inside = "192.168.1.2".parse().unwrap();
        let victims = vec![
            world.dial(windows, setup::address(0), None, false),
            world.dial(apple, inside, Some(nat), false),
            world.dial(setup::client("user2"), setup::address(2), None, false),
        ];
        assert!(world.run_until_echoes(&victims, MINUTE));
        world.run_for(Duration::from_secs(3));
        let recorded = world.capture.take().unwrap();
        Self {
            world,
            victims,
            recorded,
        }
    }

    /// The sessions of the victims, without what time and traffic change.
    pub fn digest(&self) -> Vec<SessionInfo> {
        let mut infos = self.world.server.sessions(self.world.now());
        infos.truncate(self.victims.len());
        for info in &mut infos {
            info.connected_for = Duration::ZERO;
            (info.rx_bytes, info.tx_bytes) = (0, 0);
            (info.rx_packets, info.tx_packets) = (0, 0);
        }
        assert_eq!(infos.len(), self.victims.len());
        infos
    }

    /// Puts datagrams on the wire and gives what comes back to where they came from.
    pub fn send(&mut self, datagrams: &[Datagram]) -> Vec<Datagram> {
        self.world.capture = Some(Vec::new());
        for datagram in datagrams {
            self.world.inject(datagram.clone());
        }
        self.world.run_for(Duration::from_secs(1));
        let mut back = self.world.capture.take().unwrap();
        back.retain(|back| datagrams.iter().any(|sent| back.to == sent.from));
        back
    }

    /// One input of a stranger.
    pub fn trial(
        &mut self,
        name: &str,
        input: Datagram,
        answer: Answer,
        counter: fn(&Stats) -> u64,
    ) {
        let (digest, gauges) = (self.digest(), self.world.server.gauges());
        let before = self.world.server.stats();
        let (from, sent) = (input.from, input.payload.len());
        // In a victim's name: its own traffic goes on meanwhile.
        let own = from.ip() != stranger().ip();
        let mut back = self.send(&[input]);
        back.retain(|back| back.to == from && (!own || back.ike().is_some()));
        let after = self.world.server.stats();
        assert!(counter(&after) > counter(&before), "{name}: {after:?}");
        assert_eq!(after.endpoint_moved, before.endpoint_moved, "{name}");
        assert_eq!(after.ike_established, before.ike_established, "{name}");
        assert_eq!(self.digest(), digest, "{name}");
        let now = self.world.server.gauges();
        let kept = |gauges: &Gauges| (gauges.peers, gauges.ike_sas, gauges.esp_sas);
        assert_eq!(kept(&now), kept(&gauges), "{name}");
        let bytes: usize = back.iter().map(|back| back.payload.len()).sum();
        assert!(bytes <= 3 * sent, "{name}: {bytes} for {sent}");
        match answer {
            Answer::Silence => assert_eq!(back, [], "{name}"),
            Answer::Notify(kind) => {
                assert_eq!(back.len(), 1, "{name}: {back:?}");
                assert_eq!(notify_of(&back[0]), Some(kind), "{name}");
            }
        }
    }

    /// Everybody's traffic still flows.
    pub fn all_answer(&mut self) {
        for id in self.victims.clone() {
            let before = (self.world.state(id).echoes4, self.world.state(id).echoes6);
            self.world.ping(id);
            self.world.run_for(Duration::from_secs(1));
            let after = (self.world.state(id).echoes4, self.world.state(id).echoes6);
            assert_eq!(after, (before.0 + 1, before.1 + 1));
        }
    }

    /// A stranger's first message, with MODP-2048.
    pub fn first(&mut self, seed: u8) -> Vec<u8> {
        let mut client = setup::client("nobody");
        client.ike = World::changed(&client.ike, |ike| {
            ike.phase1 = vec![Phase1Proposal {
                cipher: BlockCipher::Aes256,
                hash: Hash::Sha2_256,
                group: Group::Modp2048,
            }];
        });
        let path = Path {
            channel: Channel::Ike,
            local: stranger(),
            remote: server(500),
        };
        let mut sa = IkeSa::initiate(
            &client.ike,
            &setup::credentials(setup::PSK),
            path,
            stranger(),
            Opening::main(stranger().ip().into()),
            self.world.now(),
            &mut Rng::from_seed([seed; 32]),
        );
        sa.poll_transmit().expect("message 1").payload
    }
}

/// The type of a notification in the clear.
fn notify_of(datagram: &Datagram) -> Option<u16> {
    let header = datagram.ike()?;
    let body = datagram.payload.get(28..)?;
    let plain = header.exchange == INFORMATIONAL && !header.encrypted && header.next_payload == 11;
    plain.then(|| u16::from_be_bytes([body[10], body[11]]))
}

/// An ISAKMP message of a stranger with these payloads.
pub fn message(
    cookies: ([u8; 8], [u8; 8]),
    exchange: u8,
    flags: u8,
    payloads: &[(u8, &[u8])],
) -> Vec<u8> {
    let first = payloads.first().map_or(0, |(kind, _)| *kind);
    let mut bytes = [cookies.0, cookies.1].concat();
    let message_id = u32::from(exchange != MAIN && exchange != AGGRESSIVE);
    bytes.extend([first, 0x10, exchange, flags]);
    bytes.extend(message_id.to_be_bytes());
    let mut body = Vec::new();
    for (index, (_, content)) in payloads.iter().enumerate() {
        let next = payloads.get(index + 1).map_or(0, |(kind, _)| *kind);
        body.extend([next, 0]);
        body.extend((content.len() as u16 + 4).to_be_bytes());
        body.extend(*content);
    }
    bytes.extend((body.len() as u32 + 28).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A datagram of the stranger.
pub fn from_stranger(payload: Vec<u8>) -> Datagram {
    Datagram {
        from: stranger(),
        to: server(500),
        payload,
    }
}

/// Everything that refuses an IKE message.
pub fn refusals(stats: &Stats) -> u64 {
    stats.ike_malformed
        + stats.ike_unknown_cookie
        + stats.ike_refused
        + stats.ike_bad_fragments
        + stats.ike_exchanges_refused
}
