//! The client's ESP SAs: all inbound ones are open, the newest outbound one is used.

use std::ops::Range;
use std::time::{Duration, Instant};

use adit_crypto::{KeyLength, Rng};
use adit_esp::{Expiry, InboundSa, Lifetime, OutboundSa, Received, SealBatch};
use adit_ike::Child;
use adit_wire::ip::protocol;
use adit_wire::udp::{self, UdpHeader};
use adit_wire::{PacketBuf, Path};

const L2TP_PORT: u16 = 1701;

/// How long an old SA is kept beside the one that replaced it, for what is still under way.
const OVERLAP: Duration = Duration::from_secs(30);

/// The two SAs of one Quick Mode.
struct Pair {
    inbound: InboundSa,
    outbound: OutboundSa,
    /// They travel as IP protocol 50.
    native: bool,
    /// The server is known to hold them. Until then older ones are sent on: its answer to our half
    /// of a Quick Mode may never come.
    confirmed: bool,
}

/// Both directions of the connection's SAs.
#[derive(Default)]
pub(crate) struct Sas {
    /// Oldest first.
    pairs: Vec<Pair>,
    /// Inbound SPIs of the pairs that a Quick Mode of ours under way is to replace.
    replaces: Vec<u32>,
    /// Since when the newest has carried enough to be replaced.
    worn: Option<Instant>,
    /// Inbound SPIs of replaced SAs, with when they go.
    retired: Vec<(u32, Instant)>,
}

impl Sas {
    /// Takes a pair into use; with `cut_icv` it has HMAC-SHA2-256 cut at 96 bits where 128 were
    /// negotiated.
    pub(crate) fn add(
        &mut self,
        child: &Child,
        cut_icv: bool,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), KeyLength> {
        let lifetime = Lifetime {
            seconds: Some(child.lifetime_seconds),
            bytes: child
                .lifetime_kilobytes
                .map(|kilobytes| kilobytes.saturating_mul(1024)),
        };
        let suite = if cut_icv {
            child.suite.cut_at_96().unwrap_or(child.suite)
        } else {
            child.suite
        };
        let inbound = InboundSa::new(
            child.inbound_spi,
            suite,
            &child.inbound_keymat,
            lifetime,
            now,
            rng,
        )?;
        let outbound = OutboundSa::new(
            child.outbound_spi,
            suite,
            &child.outbound_keymat,
            lifetime,
            now,
            rng,
        )?;
        self.worn = None;
        let extended = child.extended_sequence;
        let (inbound, outbound) = (inbound.extended(extended), outbound.extended(extended));
        self.pairs.push(Pair {
            inbound,
            outbound,
            native: !child.encapsulated,
            confirmed: child.initiated,
        });
        Ok(())
    }

    /// The server holds the pair of this inbound SPI.
    pub(crate) fn confirm(&mut self, inbound_spi: u32) {
        for pair in &mut self.pairs {
            pair.confirmed |= pair.inbound.spi() == inbound_spi;
        }
    }

    /// Forgets the pair with this outbound SPI; `false` if there is none.
    pub(crate) fn remove(&mut self, outbound_spi: u32) -> bool {
        let before = self.pairs.len();
        self.pairs
            .retain(|pair| pair.outbound.spi() != outbound_spi);
        self.pairs.len() < before
    }

    /// When the newest SA wants to be replaced.
    pub(crate) fn soft_expiry(&self) -> Option<Instant> {
        let by_time = self.pairs.last()?.outbound.expires_at().0;
        [by_time, self.worn].into_iter().flatten().min()
    }

    /// Looks whether the newest SA has carried enough bytes to be replaced.
    pub(crate) fn note_wear(&mut self, now: Instant) {
        let soft = self.pairs.last().is_some_and(|pair| {
            pair.inbound.expiry(now) != Expiry::Alive || pair.outbound.expiry(now) != Expiry::Alive
        });
        if soft && self.worn.is_none() {
            self.worn = Some(now);
        }
    }

    /// When the next replaced SA goes.
    pub(crate) fn retirement(&self) -> Option<Instant> {
        self.retired.iter().map(|(_, at)| *at).min()
    }

    /// A Quick Mode of ours is about to replace what is there now.
    pub(crate) fn begin_replacing(&mut self) {
        self.replaces = self.inbound_spis();
    }

    /// It has. What the server started meanwhile is in nobody's place and stays.
    pub(crate) fn retire_replaced(&mut self, now: Instant) {
        for spi in std::mem::take(&mut self.replaces) {
            if self.retired.iter().all(|(retired, _)| *retired != spi) {
                self.retired.push((spi, now + OVERLAP));
            }
        }
    }

    /// Forgets the SAs whose overlap is over, and gives their inbound SPIs.
    pub(crate) fn take_retired(&mut self, now: Instant) -> Vec<u32> {
        let over: Vec<_> = self
            .retired
            .extract_if(.., |(_, at)| now >= *at)
            .map(|(spi, _)| spi)
            .collect();
        self.pairs
            .retain(|pair| !over.contains(&pair.inbound.spi()));
        over
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(crate) fn inbound_spis(&self) -> Vec<u32> {
        self.pairs.iter().map(|pair| pair.inbound.spi()).collect()
    }

    /// Notes for a packet whose MAC is to be computed ahead the keys that are to verify it.
    pub(crate) fn expect(&self, packet: &mut Received<'_>) {
        let spi = adit_esp::spi_of(packet.packet());
        let mut pairs = self.pairs.iter();
        if let Some(pair) = pairs.find(|pair| Some(pair.inbound.spi()) == spi) {
            packet.expect(&pair.inbound);
        }
    }

    /// Decrypts in place and gives the range of the L2TP message sent to `port`.
    pub(crate) fn open(&mut self, packet: &mut Received<'_>, port: u16) -> Option<Range<usize>> {
        let spi = adit_esp::spi_of(packet.packet())?;
        let pair = self
            .pairs
            .iter_mut()
            .find(|pair| pair.inbound.spi() == spi)?;
        let opened = packet.open(&mut pair.inbound).ok()?;
        pair.outbound.follow(pair.inbound.suite());
        pair.confirmed = true;
        if opened.next_header != protocol::UDP {
            return None;
        }
        let header = UdpHeader::parse(packet.packet().get(opened.payload.clone())?).ok()?;
        let start = opened.payload.start;
        (header.source == L2TP_PORT && header.destination == port)
            .then_some(start + udp::HEADER_LEN..start + header.length)
    }

    /// Puts inner UDP and ESP around an L2TP message, in place, and gives the way it goes: `path`,
    /// or that of native ESP between the same addresses.
    pub(crate) fn seal(&mut self, packet: &mut PacketBuf, port: u16, path: Path) -> Option<Path> {
        wrap(packet, port, path)?;
        self.seal_any(packet, protocol::UDP, path)
    }

    /// The same for a packet that is sealed with those in `batch`, which is to keep its buffer then.
    pub(crate) fn seal_with(
        &mut self,
        batch: &mut SealBatch<Path>,
        packet: &mut PacketBuf,
        port: u16,
        path: Path,
    ) -> Option<()> {
        wrap(packet, port, path)?;
        let pair = self.current()?;
        let path = pair.path(path);
        let pushed = batch.push(&mut pair.outbound, packet, protocol::UDP, path);
        pushed.ok()
    }

    /// The same for any payload of ESP.
    pub(crate) fn seal_any(
        &mut self,
        packet: &mut PacketBuf,
        next_header: u8,
        path: Path,
    ) -> Option<Path> {
        let pair = self.current()?;
        pair.outbound.seal(packet, next_header).ok()?;
        Some(pair.path(path))
    }

    /// The pair to send on.
    fn current(&mut self) -> Option<&mut Pair> {
        let known = self.pairs.iter().rposition(|pair| pair.confirmed);
        let newest = self.pairs.len().checked_sub(1);
        self.pairs.get_mut(known.or(newest)?)
    }
}

impl Pair {
    /// The way its packets go, where IKE goes by `path`.
    fn path(&self, path: Path) -> Path {
        if self.native { path.native_esp() } else { path }
    }
}

/// Puts inner UDP around an L2TP message.
fn wrap(packet: &mut PacketBuf, port: u16, path: Path) -> Option<()> {
    let addresses = (path.local.is_ipv6()).then(|| (path.local.ip(), path.remote.ip()));
    udp::prepend(packet, port, L2TP_PORT, addresses.as_ref()).ok()
}
