//! ESP security associations (RFC 4303), transport mode as L2TP uses it (RFC 3193): replay
//! windows, lifetimes, seal and open, in place, one packet or a batch of several SAs'.
//!
//! Sequence numbers have 32 bits or, extended (RFC 4303 2.2.1), 64. It must never allocate on the
//! packet path, look at the inner packet, or trust a byte before the integrity check over it has
//! passed.

mod batch;
mod inbound;
mod lifetime;
mod outbound;
mod window;

pub use self::batch::{OpenBatch, Received, SealBatch, Sealed};
pub use self::inbound::{InboundSa, InboundStats, OpenError, Opened};
pub use self::lifetime::{Expiry, Lifetime};
pub use self::outbound::{OutboundSa, SaStats, SealError};
pub use self::window::{Replay, ReplayWindow};

/// SPI and sequence number.
const HEADER_LEN: usize = 8;
/// Pad Length and Next Header.
const TRAILER_LEN: usize = 2;

/// Bytes that [`OutboundSa::seal`] prepends at most: SPI, sequence number and the longest IV.
pub const HEADROOM: usize = HEADER_LEN + 16;

/// Bytes that [`OutboundSa::seal`] appends at most: padding to the longest block, Pad Length, Next
/// Header and the longest ICV.
pub const TAILROOM: usize = 15 + TRAILER_LEN + 32;

/// The longest ESP packet that is sealed: what the length field of an IP packet can hold.
/// [`EspSuite::max_payload`](adit_crypto::EspSuite::max_payload) of it is the longest payload.
pub const MAX_PACKET: usize = 65_535;

/// Next Header of a dummy packet, to be dropped by its receiver (RFC 4303 2.6): "no next header".
pub const DUMMY: u8 = 59;

/// The SPI of an ESP packet, to find its security association by. `None` if the packet is shorter
/// than SPI and sequence number. Over UDP, an SPI of zero says that this is IKE (RFC 3948 2.2).
pub fn spi_of(packet: &[u8]) -> Option<u32> {
    header_of(packet).map(|(spi, _)| spi)
}

/// SPI and sequence number.
fn header_of(packet: &[u8]) -> Option<(u32, u32)> {
    let (spi, rest) = packet.split_first_chunk::<4>()?;
    let sequence = rest.first_chunk::<4>()?;
    Some((u32::from_be_bytes(*spi), u32::from_be_bytes(*sequence)))
}
