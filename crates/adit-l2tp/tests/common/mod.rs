//! A virtual clock, hand-made messages, and an LNS to send them to.

#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_l2tp::{
    Config, Control, Error, Event, Message, MessageType, Packet, Role, Secret, Tunnel, decode,
};

/// Our tunnel ID in all tests with one LNS.
pub(crate) const LOCAL: u16 = 0x1122;
/// The tunnel ID of its peer.
pub(crate) const REMOTE: u16 = 0x000f;

pub(crate) fn start() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "where a test's virtual time begins does not matter"
    )]
    Instant::now()
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn config() -> Config {
    Config {
        host_name: "lns".into(),
        vendor_name: "adit".into(),
        receive_window: 4,
        hello_idle: seconds(60),
        retransmit_tries: 5,
        hello_tries: 7,
        setup_timeout: seconds(30),
        max_sessions: 2,
        ..Config::default()
    }
}

/// The secret of the tests that have one.
pub(crate) fn secret() -> Option<Secret> {
    Secret::new("tunnel secret")
}

pub(crate) const M: u16 = 0x8000;

pub(crate) fn avp(flags: u16, vendor: u16, kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(6 + value.len()).unwrap();
    let mut bytes = Vec::new();
    for field in [flags | length, vendor, kind] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(value);
    bytes
}

pub(crate) fn kind(kind: MessageType) -> Vec<u8> {
    avp(M, 0, 0, &(kind as u16).to_be_bytes())
}

pub(crate) fn u16_avp(attribute: u16, value: u16) -> Vec<u8> {
    avp(M, 0, attribute, &value.to_be_bytes())
}

pub(crate) fn session_id(id: u16) -> Vec<u8> {
    u16_avp(14, id)
}

/// A control message of these AVPs.
pub(crate) fn control(tunnel: u16, session: u16, ns: u16, nr: u16, avps: &[Vec<u8>]) -> Vec<u8> {
    let avps = avps.concat();
    let length = u16::try_from(12 + avps.len()).unwrap();
    let mut bytes = Vec::new();
    for field in [0xc802, length, tunnel, session, ns, nr] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(avps);
    bytes
}

/// The AVPs that an SCCRQ must have.
pub(crate) fn sccrq_avps() -> Vec<Vec<u8>> {
    vec![
        kind(MessageType::Sccrq),
        avp(M, 0, 2, &[1, 0]),
        avp(M, 0, 7, b"client"),
        avp(M, 0, 3, &[0, 0, 0, 3]),
        u16_avp(9, REMOTE),
    ]
}

pub(crate) fn sccrq() -> Vec<u8> {
    control(0, 0, 0, 0, &sccrq_avps())
}

/// What a message is, with its header's session, Ns and Nr.
pub(crate) type Seen = (Option<MessageType>, u16, u16, u16);

pub(crate) fn seen(datagram: &[u8]) -> Seen {
    let control = header(datagram);
    let kind = control.message_type().map(|kind| {
        MessageType::from_wire(kind).expect("a known message type in what we send ourselves")
    });
    (kind, control.session, control.ns, control.nr)
}

pub(crate) fn header(datagram: &[u8]) -> Control<'_> {
    match decode(datagram) {
        Ok(Packet::Control(control)) => control,
        other => panic!("not a control message: {other:?}"),
    }
}

pub(crate) fn body(datagram: &[u8]) -> Message {
    Message::parse(header(datagram).avps, None).unwrap()
}

/// One tunnel under test with its clock.
pub(crate) struct End {
    pub(crate) tunnel: Tunnel,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
}

impl End {
    pub(crate) fn lns(config: Config) -> Self {
        Self::lns_numbered(config, LOCAL)
    }

    pub(crate) fn lns_numbered(config: Config, id: u16) -> Self {
        let now = start();
        Self {
            tunnel: Tunnel::accept(&Arc::new(config), id, now),
            now,
            rng: Rng::from_seed([1; 32]),
        }
    }

    pub(crate) fn lac(config: Config) -> Self {
        let now = start();
        let mut rng = Rng::from_seed([2; 32]);
        Self {
            tunnel: Tunnel::initiate(&Arc::new(config), Role::Lac, LOCAL, now, &mut rng),
            now,
            rng,
        }
    }

    /// An LNS whose control connection is established; the peer's next Ns is 2.
    pub(crate) fn established(config: Config) -> Self {
        let mut lns = Self::lns(config);
        lns.take(&sccrq()).unwrap();
        lns.take(&control(LOCAL, 0, 1, 1, &[kind(MessageType::Scccn)]))
            .unwrap();
        assert!(matches!(lns.events()[..], [Event::TunnelUp { .. }]));
        lns.sent();
        lns
    }

    /// An LNS with a session 7 of the peer; the peer's next Ns is 4. Returns our session ID.
    pub(crate) fn with_session(config: Config) -> (Self, u16) {
        let mut lns = Self::established(config);
        let icrq = control(LOCAL, 0, 2, 1, &[kind(MessageType::Icrq), session_id(7)]);
        lns.take(&icrq).unwrap();
        let icrp = body(&lns.sent()[0]);
        let local = icrp.session_id.unwrap();
        lns.take(&control(LOCAL, local, 3, 2, &[kind(MessageType::Iccn)]))
            .unwrap();
        assert_eq!(lns.events(), [Event::SessionUp { local, remote: 7 }]);
        lns.sent();
        (lns, local)
    }

    pub(crate) fn take(&mut self, datagram: &[u8]) -> Result<(), Error> {
        self.tunnel
            .handle_datagram(datagram, self.now, &mut self.rng)
    }

    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.tunnel.poll_transmit()).collect()
    }

    /// What was sent, in short.
    pub(crate) fn seen(&mut self) -> Vec<Seen> {
        self.sent().iter().map(|datagram| seen(datagram)).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.tunnel.poll_event()).collect()
    }

    /// Goes to the next deadline and lets it pass; how far that was.
    pub(crate) fn elapse(&mut self) -> Duration {
        let at = self.tunnel.poll_timeout().expect("a deadline");
        let passed = at - self.now;
        self.now = at;
        self.tunnel.handle_timeout(at, &mut self.rng);
        passed
    }
}
