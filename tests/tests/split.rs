//! What Apple's and Windows's clients ask for beside addresses: ACSCP and NetBIOS name servers. The
//! frames are looked at on a wire without IPsec.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use adit_client::profile::{APPLE, Profile, WINDOWS10};
use adit_ppp::protocol::{ACSCP, ACSP, IPCP};
use adit_server::{Grant, Ipv4Config, Routes};
use adit_tests::scene::server;
use adit_tests::{ClientId, Datagram, World, is_server, setup};

const MINUTE: Duration = Duration::from_secs(60);
/// As macOS 15 sends it: routes and domains, version 1 of both.
const ASKS: [u8; 16] = [1, 1, 0, 16, 1, 6, 0, 0, 0, 1, 2, 6, 0, 0, 0, 1];

type Frames = Rc<RefCell<Vec<(u16, Vec<u8>)>>>;

struct Split {
    world: World,
    id: ClientId,
    from: SocketAddr,
    /// What the server has sent.
    frames: Frames,
}

fn from() -> SocketAddr {
    "10.9.0.2:1701".parse().unwrap()
}

/// The PPP protocol and packet of a datagram with L2TP data.
fn frame(payload: &[u8]) -> Option<(u16, Vec<u8>)> {
    let Ok(adit_l2tp::Packet::Data(data)) = adit_l2tp::decode(payload) else {
        return None;
    };
    let frame = payload.get(data.payload)?;
    let (protocol, header) = adit_ppp::split(frame).ok()?;
    Some((protocol, frame[header..].to_vec()))
}

impl Split {
    fn new(profile: &Profile, grant: Option<Grant>, change: impl FnOnce(&mut Ipv4Config)) -> Self {
        let mut config = setup::world(61, 1);
        config.server.plain = setup::plain(&["10.9.0.0/16"]);
        change(config.server.ipv4.as_mut().unwrap());
        let mut world = World::new(config);
        world
            .grants
            .extend(grant.map(|grant| ("user0".to_owned(), grant)));
        let frames = Frames::default();
        let seen = Rc::clone(&frames);
        // Our client does not know ACSCP: the test speaks for it.
        world.drop_if = Some(Box::new(move |datagram| {
            let sent = frame(&datagram.payload).filter(|_| is_server(datagram.from));
            let Some((protocol, packet)) = sent else {
                return false;
            };
            seen.borrow_mut().push((protocol, packet));
            [ACSCP, ACSP].contains(&protocol)
        }));
        let id = world.dial_plain(setup::client_of(profile, "user0"), from(), false);
        assert!(world.run_until(MINUTE, |world| world.state(id).ipv4.is_some()));
        Self {
            world,
            id,
            from: from(),
            frames,
        }
    }

    /// Says something in the client's name; gives what the server has sent by then of that protocol.
    fn say(&mut self, protocol: u16, packet: &[u8]) -> Vec<Vec<u8>> {
        let (tunnel, session) = self.world.l2tp_ids(self.id).unwrap();
        let mut payload = vec![0, 2];
        payload.extend(tunnel.to_be_bytes());
        payload.extend(session.to_be_bytes());
        payload.extend([0xff, 3]);
        payload.extend(protocol.to_be_bytes());
        payload.extend(packet);
        self.frames.borrow_mut().clear();
        self.world.inject(Datagram {
            from: self.from,
            to: server(1701),
            payload,
        });
        self.world.run_for(Duration::from_millis(200));
        self.sent(protocol)
    }

    fn sent(&self, protocol: u16) -> Vec<Vec<u8>> {
        let frames = self.frames.borrow();
        let of = frames.iter().filter(|(found, _)| *found == protocol);
        of.map(|(_, packet)| packet.clone()).collect()
    }

    /// Opens ACSCP as Apple's client does; gives what it is told.
    fn open_acscp(&mut self) -> Vec<Vec<u8>> {
        let said = self.say(ACSCP, &ASKS);
        let request = said
            .iter()
            .find(|packet| packet[0] == 1)
            .expect("a request");
        assert!(
            said.iter().any(|packet| packet[..2] == [2, 1]),
            "{said:02x?}"
        );
        let acknowledge = [2, request[1], 0, 4];
        self.say(ACSCP, &acknowledge);
        self.sent(ACSP)
    }
}

fn offer(ipv4: &mut Ipv4Config) {
    ipv4.routes = vec![
        "10.0.0.0/8".parse().unwrap(),
        "192.168.7.0/24".parse().unwrap(),
    ];
    ipv4.domain = Some("corp.example".parse().unwrap());
}

#[test]
fn apple_gets_routes_and_the_domain() {
    let mut split = Split::new(&APPLE, None, offer);
    let told = split.open_acscp();
    // Type, sequence, length, START END REQUIRE_ACK; networks behind the tunnel.
    let routes = "0100 0020 000b 0000 0a000000 ff000000 00010000 c0a80700 ffffff00 00010000";
    let domains = "0200 001a 000b 0000 0a4d0001 000c 636f72702e6578616d706c65";
    let told: Vec<String> = told.iter().map(|packet| text(packet)).collect();
    assert_eq!(told, [routes, domains].map(|text| text.replace(' ', "")));
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The routes of a user's group stand in place of the configuration's.
#[test]
fn apple_gets_the_routes_of_its_group() {
    let grant = Grant {
        user: "user0".into(),
        routes: Some(Arc::new(Routes {
            ipv4: vec!["172.16.0.0/12".parse().unwrap()],
            ipv6: Vec::new(),
        })),
        ..Grant::default()
    };
    let mut split = Split::new(&APPLE, Some(grant), offer);
    let told = split.open_acscp();
    let routes = "0100001400 0b0000 ac100000 fff00000 00010000".replace(' ', "");
    assert_eq!(text(&told[0]), routes);
    assert_eq!(told.len(), 2);
}

/// Where nothing is configured, Apple's clients are sent to DHCP.
#[test]
fn without_routes_and_domain_it_is_rejected() {
    let mut split = Split::new(&APPLE, None, |_| {});
    assert!(split.say(ACSCP, &ASKS).is_empty());
    let rejects = split.sent(adit_ppp::protocol::LCP);
    assert!(
        rejects
            .iter()
            .any(|packet| packet[0] == 8 && packet[4..6] == ACSCP.to_be_bytes()),
        "{rejects:02x?}"
    );
    assert_eq!(split.world.state(split.id).down, None);
}

/// Options 130 and 132, which Windows asks for.
#[test]
fn windows_gets_the_netbios_name_servers() {
    let wins = ["10.77.0.5", "10.77.0.6"].map(|address| address.parse().unwrap());
    let split = Split::new(&WINDOWS10, None, |ipv4| ipv4.wins = wins.into());
    let said = split.sent(IPCP);
    let nak = said.iter().find(|packet| packet[0] == 3).expect("a Nak");
    for option in [[130, 6, 10, 77, 0, 5], [132, 6, 10, 77, 0, 6]] {
        assert!(nak.windows(6).any(|found| found == option), "{nak:02x?}");
    }
    let without = Split::new(&WINDOWS10, None, |_| {});
    let said = without.sent(IPCP);
    let reject = said.iter().find(|packet| packet[0] == 4).expect("a Reject");
    assert!(
        reject.contains(&130) && reject.contains(&132),
        "{reject:02x?}"
    );
}
