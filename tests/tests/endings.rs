//! How each client ends: what it says in PPP and L2TP, in order, seen in the clear by a small LNS. The
//! Deletes that follow are in `life.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_client::profile::Profile;
use adit_client::{DownReason, Event, PlainClient};
use adit_crypto::Rng;
use adit_l2tp::{Event as L2tp, Packet, Tunnel};
use adit_ppp::{
    Credential, Event as Ppp, Ipv4Network, Link, Network, Secret, ServerConfig, Verdict, Verified,
};
use adit_tests::setup;
use adit_wire::PacketBuf;
use adit_wire::ip::Family;

/// An LNS with one session, which writes down what its client says in PPP's LCP and in L2TP.
struct Lns {
    tunnel: Tunnel,
    session: Option<u16>,
    ppp: Option<Link>,
    rng: Rng,
    out: Vec<Vec<u8>>,
    heard: Vec<String>,
}

impl Lns {
    fn new(now: Instant) -> Self {
        let config = Arc::new(adit_l2tp::Config::default());
        Self {
            tunnel: Tunnel::accept(&config, 7, now),
            session: None,
            ppp: None,
            rng: Rng::from_seed([5; 32]),
            out: Vec::new(),
            heard: Vec::new(),
        }
    }

    fn take(&mut self, datagram: &[u8], now: Instant) {
        match adit_l2tp::decode(datagram).unwrap() {
            Packet::Control(_) => {
                self.heard.extend(control(datagram));
                let _ = self.tunnel.handle_datagram(datagram, now, &mut self.rng);
            }
            Packet::Data(data) => {
                let frame = &datagram[data.payload];
                if let (adit_ppp::protocol::LCP, header) = adit_ppp::split(frame).unwrap() {
                    self.heard.push(format!("LCP {}", frame[header]));
                }
                if let Some(ppp) = &mut self.ppp {
                    let _ = ppp.handle_frame(frame, now, &mut self.rng);
                }
            }
        }
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        loop {
            if let Some(message) = self.tunnel.poll_transmit() {
                self.out.push(message);
            } else if let Some(frame) = self.ppp.as_mut().and_then(Link::poll_transmit) {
                let mut frame = PacketBuf::from_slice(64, &frame, 0);
                let tunnel = self.tunnel.remote_id().unwrap();
                let session = self.session.unwrap();
                adit_l2tp::prepend_data_header(&mut frame, tunnel, session).unwrap();
                self.out.push(frame.as_slice().to_vec());
            } else if let Some(event) = self.tunnel.poll_event() {
                if let L2tp::SessionUp { remote, .. } = event {
                    self.session = Some(remote);
                    let config = Arc::new(ServerConfig::default());
                    self.ppp = Some(Link::server(&config, now, &mut self.rng));
                }
            } else if let Some(event) = self.ppp.as_mut().and_then(Link::poll_event) {
                if let Ppp::Authenticate(attempt) = event {
                    let credential = Credential {
                        password: Some(Secret::new(b"pw-user0")),
                        nt_hash: None,
                    };
                    let Verified::Accepted { success_message } = attempt.verify(&credential) else {
                        panic!("a wrong password");
                    };
                    let network = Network {
                        ipv4: Some(Ipv4Network {
                            local: [10, 1, 0, 1].into(),
                            peer: [10, 1, 0, 2].into(),
                            dns: Vec::new(),
                            wins: Vec::new(),
                        }),
                        ..Network::default()
                    };
                    let verdict = Verdict::Accept {
                        success_message,
                        network,
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

/// The type of a control message, with its Result Code AVP as it is.
fn control(datagram: &[u8]) -> Option<String> {
    let mut avps = datagram.get(12..).filter(|avps| !avps.is_empty())?;
    let kind = avps[7];
    let mut text = format!("L2TP {kind}");
    while let [high, low, ..] = avps {
        let length = usize::from(u16::from_be_bytes([high & 3, *low]));
        let (avp, rest) = avps.split_at(length);
        if avp[4..6] == [0, 1] {
            // Error texts differ, and stale bytes of Apple's mean nothing.
            text += &format!(" {:?} of {length}", &avp[6..8]);
        }
        avps = rest;
    }
    Some(text)
}

#[expect(
    clippy::disallowed_methods,
    reason = "where a test's virtual time begins does not matter"
)]
fn start() -> Instant {
    Instant::now()
}

/// Connects, closes, and gives what was said from there on.
fn ending(profile: &Profile) -> Vec<String> {
    let mut now = start();
    let config = setup::client_of(profile, "user0");
    let mut lns = Lns::new(now);
    let mut client = PlainClient::new(&config, Family::V4, [6; 32], now);
    let mut up = false;
    let mut down = None;
    for round in 0..600 {
        while let Some(datagram) = client.poll_transmit() {
            lns.take(&datagram, now);
        }
        for datagram in std::mem::take(&mut lns.out) {
            client.handle_datagram(&datagram, now);
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::Ipv4 { .. } => up = true,
                Event::Down(reason) => down = Some(reason),
                _ => {}
            }
        }
        if up && round == 300 {
            lns.heard.clear();
            client.close(now);
        }
        now += Duration::from_millis(20);
        client.handle_timeout(now);
        lns.tunnel.handle_timeout(now, &mut lns.rng);
        if let Some(ppp) = &mut lns.ppp {
            ppp.handle_timeout(now, &mut lns.rng);
        }
        lns.drain(now);
    }
    assert!(up, "{}: {:?}", profile.name, lns.heard);
    assert_eq!(down, Some(DownReason::Closed), "{}", profile.name);
    lns.heard
}

#[test]
fn each_client_ends_in_its_way() {
    // Terminate-Request is LCP's 5, CDN is 14, StopCCN is 4.
    let terminate = "LCP 5";
    for profile in Profile::all() {
        let expected: &[&str] = match profile.name {
            "windows7" | "windows10" => &[terminate, "L2TP 14 [0, 3] of 10", "L2TP 4 [0, 1] of 10"],
            "apple" => &[terminate, "L2TP 14 [3, 0] of 14", "L2TP 4 [1, 0] of 14"],
            "android" | "android7" => &["L2TP 4 [0, 6] of 8"],
            "routeros" => &[terminate, "L2TP 14 [0, 3] of 8", "L2TP 4 [0, 6] of 8"],
            // With its meaning as text.
            _ => &[terminate, "L2TP 4 [0, 6] of 23"],
        };
        assert_eq!(ending(profile), expected, "{}", profile.name);
    }
}
