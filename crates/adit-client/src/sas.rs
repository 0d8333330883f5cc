//! The client's ESP SAs: all inbound ones are open, the newest outbound one is used.

use std::ops::Range;
use std::time::Instant;

use adit_crypto::{KeyLength, Rng};
use adit_esp::{InboundSa, Lifetime, OutboundSa};
use adit_ike::Child;
use adit_wire::ip::protocol;
use adit_wire::udp::{self, UdpHeader};
use adit_wire::{PacketBuf, Path};

const L2TP_PORT: u16 = 1701;

/// Both directions of the connection's SAs.
#[derive(Default)]
pub(crate) struct Sas {
    pairs: Vec<(InboundSa, OutboundSa)>,
}

impl Sas {
    pub(crate) fn add(
        &mut self,
        child: &Child,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), KeyLength> {
        let lifetime = Lifetime {
            seconds: Some(child.lifetime_seconds),
            bytes: child
                .lifetime_kilobytes
                .map(|kilobytes| kilobytes.saturating_mul(1024)),
        };
        let inbound = InboundSa::new(
            child.inbound_spi,
            child.suite,
            &child.inbound_keymat,
            lifetime,
            now,
            rng,
        )?;
        let outbound = OutboundSa::new(
            child.outbound_spi,
            child.suite,
            &child.outbound_keymat,
            lifetime,
            now,
            rng,
        )?;
        self.pairs.push((inbound, outbound));
        Ok(())
    }

    pub(crate) fn remove(&mut self, outbound_spi: u32) {
        self.pairs
            .retain(|(_, outbound)| outbound.spi() != outbound_spi);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(crate) fn inbound_spis(&self) -> Vec<u32> {
        self.pairs
            .iter()
            .map(|(inbound, _)| inbound.spi())
            .collect()
    }

    /// Decrypts in place and gives the range of the L2TP message sent to `port`.
    pub(crate) fn open(&mut self, packet: &mut [u8], port: u16) -> Option<Range<usize>> {
        let spi = adit_esp::spi_of(packet)?;
        let (inbound, _) = self
            .pairs
            .iter_mut()
            .find(|(inbound, _)| inbound.spi() == spi)?;
        let opened = inbound.open(packet).ok()?;
        if opened.next_header != protocol::UDP {
            return None;
        }
        let header = UdpHeader::parse(packet.get(opened.payload.clone())?).ok()?;
        let start = opened.payload.start;
        (header.source == L2TP_PORT && header.destination == port)
            .then_some(start + udp::HEADER_LEN..start + header.length)
    }

    /// Puts inner UDP and ESP around an L2TP message, in place.
    pub(crate) fn seal(&mut self, packet: &mut PacketBuf, port: u16, path: Path) -> Option<()> {
        let (_, outbound) = self.pairs.last_mut()?;
        let addresses = path
            .local
            .is_ipv6()
            .then(|| (path.local.ip(), path.remote.ip()));
        udp::prepend(packet, port, L2TP_PORT, addresses).ok()?;
        outbound.seal(packet, protocol::UDP).ok()
    }
}
