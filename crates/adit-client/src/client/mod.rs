//! The connection: one layer after the other, each started by the one below it.

mod batch;
mod ike;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_esp::{Received, SealBatch};
use adit_ike::{IdValue, IkeSa};
use adit_link::mtu::Encapsulation;
use adit_ppp::Secret;
use adit_wire::{Channel, PacketBuf, Path, Transmit, udp};

use crate::call::{Call, Told};
use crate::config::Config;
use crate::event::{DownReason, Event};
use crate::sas::Sas;

/// Bytes that must be free before an IP packet that is handed to the client.
pub const HEADROOM: usize = adit_esp::HEADROOM
    + udp::HEADER_LEN
    + adit_l2tp::SEQUENCED_DATA_HEADER_LEN
    + adit_ppp::HEADER_LEN;

/// Bytes that must be free after it.
pub const TAILROOM: usize = adit_esp::TAILROOM;

pub(crate) const NON_ESP_MARKER: [u8; 4] = [0; 4];
const L2TP_PORT: u16 = 1701;

/// A Diffie-Hellman computation, to be run away from the packet path.
#[derive(Debug)]
pub struct Job {
    cookie: [u8; 8],
    job: adit_ike::Job,
}

/// A finished [`Job`].
#[derive(Debug)]
pub struct JobDone {
    cookie: [u8; 8],
    done: adit_ike::JobDone,
}

impl Job {
    /// Computes; takes up to some milliseconds. `unix` is the wall clock since the Unix epoch.
    pub fn run(self, unix: Duration) -> JobDone {
        JobDone {
            cookie: self.cookie,
            done: self.job.run(unix),
        }
    }
}

/// One connection to a server, dialled when it is made.
///
/// Feed it with [`handle_datagram`](Self::handle_datagram), [`handle_tun`](Self::handle_tun),
/// [`handle_timeout`](Self::handle_timeout) and [`handle_job`](Self::handle_job), or the twins for
/// several packets at once ([`handle_datagrams`](Self::handle_datagrams),
/// [`keep_tun`](Self::keep_tun) with [`seal_kept`](Self::seal_kept)); after each call
/// take everything from [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event)
/// and [`poll_job`](Self::poll_job) until they give `None`, then wait no longer than
/// [`poll_timeout`](Self::poll_timeout) says.
pub struct Client {
    config: Config,
    rng: Rng,
    /// The IKE SA that exchanges are started under.
    ike: IkeSa,
    /// Others: one that is to take its place, or ones that it replaced.
    other_ikes: Vec<IkeSa>,
    sas: Sas,
    /// The cookies of the SA whose place ours under way is to take.
    replaced: Option<([u8; 8], [u8; 8])>,
    /// Phase 1 exchanges in a row, to replace one, that came to nothing.
    unanswered: u32,
    retry_ike_at: Option<Instant>,
    /// When Deletes end it, after L2TP.
    hang_up_at: Option<Instant>,
    /// Where it was dialled, for a phase 1 that finds no answer where the last one moved to.
    first_path: Path,
    /// The inbound SPI of a Quick Mode that is to replace the newest SA.
    rekeying: Option<u32>,
    /// Not before this, after one that failed.
    rekey_not_before: Option<Instant>,
    encapsulate: bool,
    /// Whether keepalives are due: we are behind a NAT.
    keepalive_at: Option<Instant>,
    call: Call,
    /// Why the call failed, while the SAs are being deleted.
    failure: Option<DownReason>,
    /// Packets that are to be sealed together.
    kept: SealBatch<Path>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    down: bool,
    closing: bool,
    /// No call is made once the SAs are there.
    ipsec_only: bool,
}

impl Client {
    /// Dials the server at `path.remote` from `path.local`, both on the IKE port. All randomness
    /// comes from `seed`.
    pub fn new(config: Config, path: Path, seed: [u8; 32], now: Instant) -> Self {
        let mut rng = Rng::from_seed(seed);
        let ike = IkeSa::initiate(
            &config.ike,
            &config.credentials,
            path,
            config.nat_t_local,
            config.opening(path.local.ip()),
            now,
            &mut rng,
        );
        let mut client = Self {
            call: Call::new(&config),
            failure: None,
            config,
            rng,
            ike,
            other_ikes: Vec::new(),
            sas: Sas::default(),
            replaced: None,
            unanswered: 0,
            retry_ike_at: None,
            hang_up_at: None,
            first_path: path,
            rekeying: None,
            rekey_not_before: None,
            encapsulate: false,
            keepalive_at: None,
            kept: SealBatch::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            down: false,
            closing: false,
            ipsec_only: false,
        };
        client.drive(now);
        client
    }

    /// Changes the IKE policy from the next IKE SA on, the one that replaces the present one
    /// included. The session lives on.
    pub fn set_ike_policy(&mut self, ike: Arc<adit_ike::Config>) {
        self.config.ike = ike;
    }

    /// The same connection without a call: it does nothing more once the SAs are there.
    #[must_use]
    pub fn ipsec_only(mut self) -> Self {
        self.ipsec_only = true;
        self
    }

    /// Takes a datagram. If it held an IP packet, gives its range in `datagram`, where it has been
    /// decrypted in place.
    pub fn handle_datagram(
        &mut self,
        path: Path,
        datagram: &mut [u8],
        now: Instant,
    ) -> Option<Range<usize>> {
        let ip = self.take_datagram(path, &mut Received::new(datagram), now);
        self.drive(now);
        ip
    }

    fn take_datagram(
        &mut self,
        path: Path,
        datagram: &mut Received<'_>,
        now: Instant,
    ) -> Option<Range<usize>> {
        if self.down {
            return None;
        }
        let bytes = datagram.packet();
        match (path.channel, bytes.strip_prefix(&NON_ESP_MARKER)) {
            (Channel::Ike, _) => {
                self.handle_ike(path, bytes, now);
                None
            }
            (Channel::NatT, Some(message)) => {
                self.handle_ike(path, message, now);
                None
            }
            (Channel::NatT, None) | (Channel::Esp, _) => self.handle_esp(datagram, now),
            // That is a `PlainClient`'s.
            (Channel::L2tp, _) => None,
        }
    }

    fn handle_esp(&mut self, packet: &mut Received<'_>, now: Instant) -> Option<Range<usize>> {
        let message = self.sas.open(packet, self.config.inner_port)?;
        self.sas.note_wear(now);
        self.ike.note_peer_alive(now);
        self.call
            .handle_message(packet.packet(), message, now, &mut self.rng)
    }

    /// Takes an IP packet with [`HEADROOM`] before and [`TAILROOM`] after it. If the family is up,
    /// it is a sealed datagram afterwards, and the path to send it on is returned.
    pub fn handle_tun(&mut self, packet: &mut PacketBuf) -> Option<Path> {
        self.call.wrap_ip(packet)?;
        self.seal(packet)
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.down {
            return;
        }
        for ike in std::iter::once(&mut self.ike).chain(&mut self.other_ikes) {
            ike.handle_timeout(now, &mut self.rng);
        }
        self.sas.note_wear(now);
        self.rekey_sas(now);
        self.hang_up(now);
        self.call.handle_timeout(now, &mut self.rng);
        if self.keepalive_at.is_some_and(|at| now >= at) {
            self.keepalive_at = Some(now + self.config.ike.keepalive.max(Duration::from_secs(1)));
            self.transmits.push_back(Transmit {
                path: self.ike.path(),
                payload: vec![0xff],
            });
        }
        self.drive(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.down {
            return None;
        }
        let others = self.other_ikes.iter().filter_map(IkeSa::poll_timeout).min();
        [
            self.ike.poll_timeout(),
            others,
            self.rekey_at(),
            self.retry_ike_at,
            self.hang_up_at,
            self.sas.retirement(),
            self.call.poll_timeout(),
            self.keepalive_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next datagram to send: whole UDP payloads.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next step that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next computation to run away from the packet path.
    pub fn poll_job(&mut self) -> Option<Job> {
        let all = std::iter::once(&mut self.ike).chain(&mut self.other_ikes);
        all.into_iter().find_map(|ike| {
            let cookie = ike.cookies().0;
            ike.poll_job().map(|job| Job { cookie, job })
        })
    }

    /// Takes the result of a [`Job`].
    pub fn handle_job(&mut self, done: JobDone, now: Instant) {
        let all = std::iter::once(&mut self.ike).chain(&mut self.other_ikes);
        if let Some(ike) = all.into_iter().find(|ike| ike.cookies().0 == done.cookie) {
            ike.handle_job(done.done, now, &mut self.rng);
        }
        self.drive(now);
    }

    /// The SAs' inbound SPIs, to be told apart from others' in captures.
    pub fn inbound_spis(&self) -> Vec<u32> {
        self.sas.inbound_spis()
    }

    /// The server's numbers of the tunnel and the session, once there are both.
    pub fn l2tp_ids(&self) -> Option<(u16, u16)> {
        self.call.l2tp_ids()
    }

    /// Sends any bytes as an L2TP message inside the SA: to try a server with what no real client
    /// would send.
    pub fn inject_l2tp(&mut self, message: &[u8]) {
        self.send(PacketBuf::from_slice(HEADROOM, message, TAILROOM));
    }

    /// Sends any bytes as the payload of ESP, likewise.
    pub fn inject_esp(&mut self, payload: &[u8], next_header: u8) {
        let mut packet = PacketBuf::from_slice(HEADROOM, payload, TAILROOM);
        let path = self.ike.path();
        if let Some(path) = self.sas.seal_any(&mut packet, next_header, path) {
            let payload = packet.as_slice().to_vec();
            self.transmits.push_back(Transmit { path, payload });
        }
    }

    /// Sends any bytes as a PPP frame of the session, likewise.
    pub fn inject_frame(&mut self, frame: &[u8]) {
        let mut packet = PacketBuf::from_slice(HEADROOM, frame, TAILROOM);
        if self.call.wrap_frame(&mut packet).is_some() {
            self.send(packet);
        }
    }

    /// Ends the connection as built-in clients do: PPP Terminate-Request, CDN and StopCCN, then
    /// Deletes. [`Event::Down`] tells when everything has been said. When it is called again, it waits
    /// for no more answers.
    pub fn close(&mut self, now: Instant) {
        let again = std::mem::replace(&mut self.closing, true);
        if !self.call.close(now, &mut self.rng) || again {
            self.hang_up_at = Some(now);
            self.hang_up(now);
        }
        self.drive(now);
    }

    /// Tries another password, after [`Event::PasswordRejected`].
    pub fn handle_password(&mut self, password: Secret, now: Instant) {
        self.call.handle_password(password, now, &mut self.rng);
        self.drive(now);
    }

    fn seal(&mut self, packet: &mut PacketBuf) -> Option<Path> {
        let path = self.ike.path();
        self.sas.seal(packet, self.config.inner_port, path)
    }

    fn send(&mut self, mut packet: PacketBuf) {
        if let Some(path) = self.seal(&mut packet) {
            self.transmits.push_back(Transmit {
                path,
                payload: packet.as_slice().to_vec(),
            });
        }
    }

    /// The largest inner packet that the path carries in one outer packet, for any suite that may
    /// have been chosen.
    pub fn link_mtu(&self) -> u16 {
        let outer = self.config.outer_family();
        let suites = self.config.ike.esp.iter();
        let mtus = suites.map(|suite| {
            let encapsulation = Encapsulation {
                outer,
                udp: self.encapsulate,
                suite: *suite,
                ppp_header: adit_ppp::HEADER_LEN,
                l2tp_header: self.config.l2tp_header(),
            };
            encapsulation.link_mtu(self.config.path_mtu)
        });
        mtus.min().unwrap_or(1280)
    }

    /// Takes everything that the layers have to say, from the lowest up, until all are silent.
    fn drive(&mut self, now: Instant) {
        while !self.down && self.step(now) {}
    }

    fn step(&mut self, now: Instant) -> bool {
        let mut all = std::iter::once(&mut self.ike).chain(&mut self.other_ikes);
        if let Some(transmit) = all.find_map(IkeSa::poll_transmit) {
            self.transmits.push_back(marked(transmit));
            return true;
        }
        if let Some(packet) = self.call.poll_message() {
            self.send(packet);
            return true;
        }
        if let Some(event) = self.ike.poll_event() {
            self.ike_event(event, now);
            return true;
        }
        let others = self.other_ikes.iter_mut().enumerate();
        if let Some((index, event)) = others
            .filter_map(|(index, ike)| Some((index, ike.poll_event()?)))
            .next()
        {
            self.other_ike_event(index, event, now);
            return true;
        }
        if !self.call.step(now, &mut self.rng) {
            return false;
        }
        while let Some(told) = self.call.poll_told() {
            self.told(told, now);
        }
        true
    }

    fn told(&mut self, told: Told, now: Instant) {
        let pause = match told {
            Told::Ended(_) => self.config.ending.pause,
            _ => Duration::ZERO,
        };
        match told {
            Told::Event(event) => self.events.push_back(event),
            Told::Failed(reason) | Told::Ended(reason) => {
                self.closing = true;
                self.hang_up_at = Some(now + pause);
                self.failure = Some(reason);
                self.hang_up(now);
            }
        }
    }

    fn go_down(&mut self, reason: DownReason) {
        // Deletes may still wait to be sent.
        for ike in self.other_ikes.iter_mut().chain([&mut self.ike]) {
            while let Some(transmit) = ike.poll_transmit() {
                self.transmits.push_back(marked(transmit));
            }
        }
        self.down = true;
        let failure = self.failure.take().or_else(|| self.call.failure());
        let reason = failure.unwrap_or(reason);
        self.events.push_back(Event::Down(reason));
    }
}

/// A datagram with an IKE message, framed as its channel wants it.
fn marked(Transmit { path, mut payload }: Transmit) -> Transmit {
    if path.channel == Channel::NatT {
        payload.splice(0..0, NON_ESP_MARKER);
    }
    Transmit { path, payload }
}

fn address_id(address: IpAddr) -> IdValue {
    match address {
        IpAddr::V4(address) => IdValue::Ipv4(address),
        IpAddr::V6(address) => IdValue::Ipv6(address),
    }
}
