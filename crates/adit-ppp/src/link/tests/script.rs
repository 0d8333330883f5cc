//! Clients as written bytes: what Windows, macOS and old Androids were seen to send.

use super::*;

/// A server and what it has said.
pub(super) struct Script {
    pub(super) link: Link,
    pub(super) now: Instant,
    pub(super) rng: Rng,
    pub(super) network: Network,
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) events: Vec<Event>,
}

impl Script {
    pub(super) fn new(config: ServerConfig) -> Self {
        let (now, mut rng) = (epoch(), rng(9));
        let mut script = Self {
            link: Link::server(&Arc::new(config), now, &mut rng),
            now,
            rng,
            network: both_families(),
            sent: Vec::new(),
            events: Vec::new(),
        };
        script.drain();
        script
    }

    pub(super) fn drain(&mut self) {
        loop {
            if let Some(frame) = self.link.poll_transmit() {
                self.sent.push(frame);
            } else if let Some(event) = self.link.poll_event() {
                self.events.push(event);
            } else {
                return;
            }
        }
    }

    /// Feeds a frame in hexadecimal; what the link says to it.
    pub(super) fn feed(&mut self, frame: &str) -> (Result<(), Error>, Vec<String>) {
        let frame = hex::decode(frame.replace(' ', "")).unwrap();
        self.feed_bytes(&frame)
    }

    pub(super) fn feed_bytes(&mut self, frame: &[u8]) -> (Result<(), Error>, Vec<String>) {
        let before = self.sent.len();
        let result = self.link.handle_frame(frame, self.now, &mut self.rng);
        self.drain();
        let said = self.sent[before..].iter().map(hex::encode).collect();
        (result, said)
    }

    /// Feeds a frame that is good and must be answered with exactly these.
    pub(super) fn expect(&mut self, frame: &str, answers: &[&str]) {
        let (result, said) = self.feed(frame);
        assert_eq!(result, Ok(()), "{frame}");
        let answers: Vec<_> = answers
            .iter()
            .map(|answer| answer.replace(' ', ""))
            .collect();
        assert_eq!(said, answers, "{frame}");
    }

    /// The first frame with a protocol and a code.
    pub(super) fn find(&self, protocol: u16, code: u8) -> Vec<u8> {
        let [high, low] = protocol.to_be_bytes();
        let start = [0xff, 3, high, low, code];
        let found = self.sent.iter().rfind(|frame| frame.starts_with(&start));
        found.cloned().unwrap()
    }

    /// Acknowledges our latest Configure-Request.
    pub(super) fn acknowledge(&mut self, protocol: u16) {
        let mut ack = self.find(protocol, 1);
        ack[4] = 2;
        let (result, _) = self.feed_bytes(&ack);
        assert_eq!(result, Ok(()));
    }

    /// The MS-CHAPv2 Response to the challenge that is out.
    pub(super) fn response(&self, user: &str, password: &str) -> Vec<u8> {
        use adit_crypto::ppp::{NtHash, challenge_hash, nt_response};
        let challenge = self.find(protocol::CHAP, 1);
        let theirs: [u8; 16] = challenge[9..25].try_into().unwrap();
        let ours = [0x42; 16];
        let bare = user.rsplit('\\').next().unwrap();
        let sum = challenge_hash(&ours, &theirs, bare.as_bytes());
        let response = nt_response(&NtHash::of_password(password), &sum);
        let mut frame = vec![0xff, 3, 0xc2, 0x23, 2, challenge[5]];
        frame.extend(u16::try_from(54 + user.len()).unwrap().to_be_bytes());
        frame.push(49);
        frame.extend(ours);
        // Reserved bytes that a server must not look at.
        frame.extend([0xaa; 8]);
        frame.extend(response);
        frame.push(4);
        frame.extend(user.as_bytes());
        frame
    }

    /// From nothing to the network phase, as a plain client.
    pub(super) fn log_in(&mut self) {
        self.expect("ff03c021 01 01 0004", &["ff03c021 02 01 0004"]);
        self.acknowledge(protocol::LCP);
        let response = self.response("Alice", "correct horse");
        self.feed_bytes(&response).0.unwrap();
        self.verdict();
    }

    pub(super) fn verdict(&mut self) {
        let attempt = self.events.iter().rev().find_map(|event| match event {
            Event::Authenticate(attempt) => Some(attempt.clone()),
            _ => None,
        });
        let verdict = judge(&attempt.unwrap(), &self.network);
        self.link.handle_verdict(verdict, self.now, &mut self.rng);
        self.drain();
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.link.handle_timeout(self.now, &mut self.rng);
        self.drain();
    }
}

#[test]
fn windows() {
    let mut script = Script::new(server_config());
    // MRU 1400, magic, PFC, ACFC, callback.
    script.expect(
        "ff03c021 01 01 0015 01040578 05061c2d3e4f 0702 0802 0d0306",
        &["ff03c021 04 01 0007 0d0306"],
    );
    script.expect(
        "ff03c021 01 02 0012 01040578 05061c2d3e4f 0702 0802",
        &["ff03c021 02 02 0012 01040578 05061c2d3e4f 0702 0802"],
    );
    script.acknowledge(protocol::LCP);
    assert_eq!(script.events, [Event::LcpUp { peer_mru: 1400 }]);
    assert_eq!(
        script.link.framing(),
        Framing {
            acfc: true,
            pfc: true
        }
    );
    // Identification, three times, needs no answer; nor do NCPs that come too early.
    for identification in [
        "ff03c021 0c 03 0012 1c2d3e4f 4d535241535635 2e3230",
        "ff03c021 0c 04 0018 1c2d3e4f 4d535241532d302d434f4d505554 4552",
        "ff03c021 0c 05 0018 1c2d3e4f 00112233445566778899aabbccddeeff",
        "8057 01 06 000e 010a 0000000000000001",
    ] {
        script.expect(identification, &[]);
    }
    let response = script.response("OFFICE\\Alice", "correct horse");
    assert_eq!(script.feed_bytes(&response), (Ok(()), vec![]));
    // Sent again before the verdict: nothing happens twice.
    assert_eq!(script.feed_bytes(&response), (Ok(()), vec![]));
    let attempts = script
        .events
        .iter()
        .filter(|event| matches!(event, Event::Authenticate(_)));
    assert_eq!(attempts.count(), 1);
    script.verdict();
    let success = script.find(protocol::CHAP, 3);
    let text = String::from_utf8(success[8..].to_vec()).unwrap();
    assert!(
        text.starts_with("S=") && text.ends_with(" M=Welcome") && text.len() == 52,
        "{text}"
    );
    // And after it: the same answer.
    assert_eq!(
        script.feed_bytes(&response),
        (Ok(()), vec![hex::encode(&success)])
    );

    // IPv6CP comes first.
    script.expect(
        "8057 01 06 000e 010a 1234123412341234",
        &["ff038057 02 06 000e 010a 1234123412341234"],
    );
    // CCP: MPPE with the H bit.
    script.feed("80fd 01 07 000a 1206 01000000").0.unwrap();
    let reject = script.find(protocol::LCP, 8);
    assert_eq!(hex::encode(&reject[6..]), "001080fd0107000a120601000000");
    script.expect(
        "8021 01 08 0022 0306 00000000 8106 00000000 8206 00000000 8306 00000000 8406 00000000",
        &["ff038021 04 08 0010 8206 00000000 8406 00000000"],
    );
    script.expect(
        "8021 01 09 0016 0306 00000000 8106 00000000 8306 00000000",
        &["ff038021 03 09 0016 0306 0a090011 8106 0a090035 8306 0a090036"],
    );
    script.expect(
        "8021 01 0a 0016 0306 0a090011 8106 0a090035 8306 0a090036",
        &["ff038021 02 0a 0016 0306 0a090011 8106 0a090035 8306 0a090036"],
    );
    assert_eq!(
        hex::encode(&script.find(protocol::IPCP, 1)[6..]),
        "000a03060a090001"
    );
    script.acknowledge(protocol::IPCP);
    script.acknowledge(protocol::IPV6CP);
    assert!(script.link.ipv4_open() && script.link.ipv6_open());
    assert!(script.events.contains(&Event::Ipv6Up {
        local_interface_id: SERVER6,
        peer_interface_id: 0x1234_1234_1234_1234,
    }));

    // Terminate-Request with RAS error 738, and again two seconds later.
    let terminate = "ff03c021 05 0b 0010 1c2d3e4f 003ccd74 000002e2";
    script.expect(terminate, &["ff03c021 06 0b 0004"]);
    script.wait(Duration::from_secs(2));
    script.expect(terminate, &["ff03c021 06 0b 0004"]);
    assert!(!script.link.ipv4_open() && !script.link.ipv6_open());
    script.wait(Duration::from_secs(3));
    let reason = DownReason::PeerTerminated {
        ras_error: Some(738),
    };
    assert_eq!(script.events.last(), Some(&Event::Down { reason }));
}

#[test]
fn windows_rejects_a_wrong_password_with_the_numbers_it_knows() {
    let mut script = Script::new(server_config());
    script
        .feed("ff03c021 01 02 0012 01040578 05061c2d3e4f 0702 0802")
        .0
        .unwrap();
    script.acknowledge(protocol::LCP);
    let response = script.response("Alice", "wrong");
    script.feed_bytes(&response).0.unwrap();
    script.verdict();
    let text = String::from_utf8(script.find(protocol::CHAP, 4)[8..].to_vec()).unwrap();
    let (code, rest) = text.split_once(" R=1 C=").unwrap();
    assert_eq!(code, "E=691");
    assert_eq!(rest[32..], *" V=3 M=wrong user name or password");
    assert!(rest[..32].bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(script.link.stats().auth_rejected, 1);
}

#[test]
fn macos() {
    let mut script = Script::new(server_config());
    script.expect(
        "ff03c021 01 01 0014 0206 00000000 0506 11223344 0702 0802",
        &["ff03c021 02 01 0014 0206 00000000 0506 11223344 0702 0802"],
    );
    script.acknowledge(protocol::LCP);
    assert_eq!(script.link.peer_mru(), 1500);
    // Echo with magic number 0.
    let own = hex::encode(&script.find(protocol::LCP, 1)[19..23]);
    script.expect(
        "ff03c021 09 00 0008 00000000",
        &[&format!("ff03c021 0a 00 0008 {own}")],
    );
    let response = script.response("Alice", "correct horse");
    script.feed_bytes(&response).0.unwrap();
    script.verdict();
    // Apple rejects nothing of a server's request that has the address only.
    script.acknowledge(protocol::IPCP);
    script.expect(
        "8021 01 01 0016 0306 00000000 8106 00000000 8306 00000000",
        &["ff038021 03 01 0016 0306 0a090011 8106 0a090035 8306 0a090036"],
    );
    script
        .feed("8021 01 02 0016 0306 0a090011 8106 0a090035 8306 0a090036")
        .0
        .unwrap();
    // ACSCP: routes and domains.
    script
        .feed("8235 01 01 0010 0106 00000001 0206 00000001")
        .0
        .unwrap();
    let reject = script.find(protocol::LCP, 8);
    assert_eq!(
        hex::encode(&reject[6..]),
        "00168235010100100106000000010206 00000001".replace(' ', "")
    );
    assert!(script.link.ipv4_open() && !script.link.ipv6_open());
    script
        .feed("8057 01 01 000e 010a 0217f2fffe000001")
        .0
        .unwrap();
    script.acknowledge(protocol::IPV6CP);
    assert!(script.link.ipv4_open() && script.link.ipv6_open());
}

#[test]
fn an_empty_option_list_is_acknowledged() {
    let mut script = Script::new(server_config());
    script.expect("ff03c021 01 02 0004", &["ff03c021 02 02 0004"]);
    script.acknowledge(protocol::LCP);
    assert_eq!(script.events, [Event::LcpUp { peer_mru: 1500 }]);
    assert_eq!(script.link.framing(), Framing::default());
}

#[test]
fn eap_wishes_end_in_mschapv2_or_in_words() {
    let mut script = Script::new(ServerConfig {
        auth: vec![AuthMethod::Pap, AuthMethod::MsChapV2],
        ..server_config()
    });
    let request = script.find(protocol::LCP, 1);
    let id = hex::encode([request[5]]);
    script
        .feed(&format!("ff03c021 03 {id} 0009 0305 c22381"))
        .0
        .unwrap();
    let second = script.find(protocol::LCP, 1);
    assert!(hex::encode(&second).contains("0305c22381"));
    assert_ne!(second[5], request[5]);
    // Nothing that is allowed is left.
    let id = hex::encode([second[5]]);
    let (result, _) = script.feed(&format!("ff03c021 03 {id} 0008 0304 c227"));
    let text = "negotiation of LCP failed: client wants EAP; allowed: PAP, MS-CHAPv2; see ppp.auth";
    assert_eq!(result.unwrap_err().to_string(), text);
}

#[test]
fn old_android() {
    let mut script = Script::new(server_config());
    script
        .feed("ff03c021 01 01 0018 0104 0578 0206 00000000 0506 11223344 0702 0802")
        .0
        .unwrap();
    script.acknowledge(protocol::LCP);
    let response = script.response("Alice", "correct horse");
    script.feed_bytes(&response).0.unwrap();
    // IPCP before the verdict is dropped, so that our request is out before our answer.
    script.expect("ff038021 01 01 000a 0306 00000000", &[]);
    script.verdict();
    assert_eq!(script.find(protocol::IPCP, 1)[4], 1);
    // FF 03 is kept on every frame, VJ is asked for, CCP deflate too.
    script.feed("ff0380fd 01 01 0008 1a04 7800").0.unwrap();
    script.expect(
        "ff038021 01 02 001c 0206 002d 0f01 0306 00000000 8106 00000000 8306 00000000",
        &["ff038021 04 02 000a 0206 002d 0f01"],
    );
    // It does not know IPv6CP.
    script
        .feed("ff03c021 08 02 0014 8057 01010 00e010a1111222233334444")
        .0
        .unwrap();
    assert!(script.events.contains(&Event::Ipv6Refused));
    script
        .feed("ff038021 01 03 0016 0306 0a090011 8106 0a090035 8306 0a090036")
        .0
        .unwrap();
    script.acknowledge(protocol::IPCP);
    assert!(script.link.ipv4_open() && !script.link.ipv6_open());
}
