//! A probe over L2TP in the clear, against a small LNS of its own, and against a door that is closed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_client::probe::{Ask, Depth, Door, Ends, Outcome, Probe, Step};
use adit_crypto::Rng;
use adit_l2tp::{Event as L2tp, Packet, Tunnel};
use adit_ppp::{
    Credential, Event as Ppp, Ipv4Network, Ipv6Network, Link, Network, RejectReason, Secret,
    ServerConfig, Verdict, Verified,
};
use adit_wire::PacketBuf;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);

/// An LNS with one tunnel and one session, and no router behind it.
struct Lns {
    tunnel: Tunnel,
    session: Option<(u16, u16)>,
    ppp: Option<Link>,
    rng: Rng,
    out: Vec<Vec<u8>>,
}

impl Lns {
    fn new(now: Instant) -> Self {
        let config = Arc::new(adit_l2tp::Config {
            host_name: "lns".to_owned(),
            vendor_name: String::new(),
            ..adit_l2tp::Config::default()
        });
        Self {
            tunnel: Tunnel::accept(&config, 7, now),
            session: None,
            ppp: None,
            rng: Rng::from_seed([5; 32]),
            out: Vec::new(),
        }
    }

    fn handle(&mut self, datagram: &[u8], now: Instant) {
        match adit_l2tp::decode(datagram).unwrap() {
            Packet::Control(_) => {
                let _ = self.tunnel.handle_datagram(datagram, now, &mut self.rng);
            }
            Packet::Data(data) => self.handle_frame(datagram, data.payload, now),
        }
        self.drain(now);
    }

    fn handle_frame(&mut self, datagram: &[u8], frame: Range<usize>, now: Instant) {
        let frame = &datagram[frame];
        let (protocol, header) = adit_ppp::split(frame).unwrap();
        if protocol == adit_ppp::protocol::IPV4 {
            self.echo(&frame[header..]);
        } else if let Some(ppp) = &mut self.ppp {
            let _ = ppp.handle_frame(frame, now, &mut self.rng);
        }
    }

    /// Sends an echo request back with its addresses swapped and its type made that of an answer.
    fn echo(&mut self, packet: &[u8]) {
        let mut back = packet.to_vec();
        back[12..16].copy_from_slice(&packet[16..20]);
        back[16..20].copy_from_slice(&packet[12..16]);
        back[20] = 0;
        let mut frame = PacketBuf::from_slice(64, &back, 0);
        adit_ppp::prepend_header(&mut frame, adit_ppp::protocol::IPV4, Default::default()).unwrap();
        self.send_frame(frame);
    }

    fn send_frame(&mut self, mut frame: PacketBuf) {
        let (_, session) = self.session.unwrap();
        let tunnel = self.tunnel.remote_id().unwrap();
        adit_l2tp::prepend_data_header(&mut frame, tunnel, session).unwrap();
        self.out.push(frame.as_slice().to_vec());
    }

    fn drain(&mut self, now: Instant) {
        loop {
            if let Some(message) = self.tunnel.poll_transmit() {
                self.out.push(message);
            } else if let Some(frame) = self.ppp.as_mut().and_then(Link::poll_transmit) {
                self.send_frame(PacketBuf::from_slice(64, &frame, 0));
            } else if let Some(event) = self.tunnel.poll_event() {
                if let L2tp::SessionUp { local, remote } = event {
                    self.session = Some((local, remote));
                    let config = Arc::new(ServerConfig::default());
                    self.ppp = Some(Link::server(&config, now, &mut self.rng));
                }
            } else if let Some(event) = self.ppp.as_mut().and_then(Link::poll_event) {
                if let Ppp::Authenticate(attempt) = event {
                    let credential = Credential {
                        password: Some(Secret::new(b"secret")),
                        nt_hash: None,
                    };
                    let verdict = match attempt.verify(&credential) {
                        Verified::Accepted { success_message } => Verdict::Accept {
                            success_message,
                            network: network(),
                        },
                        Verified::Rejected | Verified::Unsupported => Verdict::Reject {
                            reason: RejectReason::BadCredentials,
                        },
                    };
                    let ppp = self.ppp.as_mut().unwrap();
                    ppp.handle_verdict(verdict, now, &mut self.rng);
                }
            } else {
                return;
            }
        }
    }
}

fn network() -> Network {
    Network {
        ipv4: Some(Ipv4Network {
            local: SERVER,
            peer: CLIENT,
            dns: vec![SERVER],
            wins: Vec::new(),
        }),
        ipv6: Some(Ipv6Network {
            local_interface_id: 1,
            peer_interface_id: 2,
        }),
        acscp: None,
    }
}

fn ask(password: &[u8]) -> Ask {
    Ask {
        profile: None,
        depth: Depth::Usual,
        ipsec: false,
        psk: None,
        login: Some(("user".to_owned(), Secret::new(password))),
        timeout: Duration::from_secs(20),
    }
}

fn ends() -> Ends {
    let local = SocketAddr::from(([192, 0, 2, 2], 1701));
    Ends {
        local,
        nat_t: local,
        remote: IpAddr::from([192, 0, 2, 1]),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
fn start() -> Instant {
    Instant::now()
}

/// Runs a probe with an LNS, or with nobody there.
fn run(ask: Ask, mut lns: Option<Lns>, mut now: Instant) -> Vec<Step> {
    let mut probe = Probe::new(ask, ends(), [6; 32], now);
    let mut steps = Vec::new();
    while !probe.is_done() {
        let out: Vec<_> = std::iter::from_fn(|| probe.poll_transmit()).collect();
        for (door, payload) in out {
            assert_eq!(door, Door::L2tp);
            match &mut lns {
                Some(lns) => lns.handle(&payload, now),
                None => probe.handle_closed(door, now),
            }
        }
        let back = lns.as_mut().map(|lns| std::mem::take(&mut lns.out));
        let back = back.unwrap_or_default();
        if back.is_empty() && !probe.is_done() {
            let next = probe.poll_timeout().unwrap();
            now = now.max(next);
            probe.handle_timeout(now);
            if let Some(lns) = &mut lns {
                lns.tunnel.handle_timeout(now, &mut lns.rng);
                lns.drain(now);
            }
        }
        for mut datagram in back {
            probe.handle_datagram(Door::L2tp, &mut datagram, now);
        }
        steps.extend(std::iter::from_fn(|| probe.poll_step()));
    }
    steps.extend(std::iter::from_fn(|| probe.poll_step()));
    steps
}

fn outcomes(steps: &[Step]) -> Vec<(&str, Outcome)> {
    steps
        .iter()
        .map(|step| (step.name.as_str(), step.outcome))
        .collect()
}

#[test]
fn it_begins_with_l2tp_and_checks_both_families() {
    let now = start();
    let steps = run(ask(b"secret"), Some(Lns::new(now)), now);
    let expected = [
        ("l2tp", Outcome::Ok),
        ("session", Outcome::Ok),
        ("lcp", Outcome::Ok),
        ("authentication", Outcome::Ok),
        ("ipv6cp", Outcome::Ok),
        ("ipcp", Outcome::Ok),
        ("echo-ipv4", Outcome::Ok),
        // No router is there, and nobody who answers.
        ("router-advertisement", Outcome::Fail),
        ("echo-ipv6", Outcome::Fail),
        ("end", Outcome::Ok),
    ];
    assert_eq!(outcomes(&steps), expected, "{steps:#?}");
    assert_eq!(steps[0].seen[..2], ["host name \"lns\"", "no vendor"]);
    assert_eq!(
        steps[5].seen,
        ["10.1.0.2", "server 10.1.0.1", "resolvers 10.1.0.1"]
    );
    let waited = steps.iter().find(|step| step.name == "echo-ipv6").unwrap();
    assert_eq!(waited.took, Duration::from_secs(10));
}

#[test]
fn a_wrong_password_over_plain_l2tp() {
    let now = start();
    let steps = run(ask(b"guess"), Some(Lns::new(now)), now);
    let last: Vec<_> = outcomes(&steps).into_iter().skip(3).collect();
    assert_eq!(
        last,
        [("authentication", Outcome::Fail), ("end", Outcome::Ok)]
    );
}

#[test]
fn a_closed_port_is_told_at_once() {
    let now = start();
    let steps = run(ask(b"secret"), None, now);
    assert_eq!(outcomes(&steps), [("l2tp", Outcome::Fail)]);
    assert_eq!(steps[0].seen, ["closed: nothing listens there"]);
    assert_eq!(steps[0].took, Duration::ZERO);
}
