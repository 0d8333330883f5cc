//! Bytes: what every layer of adit reads and writes them with.
//!
//! - [`Reader`] and [`Writer`]: checked reading of received bytes, and building messages with
//!   length fields that are known only at the end.
//! - [`PacketBuf`]: one packet with headroom and tailroom, so that each layer prepends its header
//!   and appends its trailer in place.
//! - [`ip`], [`udp`], [`tcp`]: views of inner packets, checked once when made.
//! - [`offload`]: packets that stand for several, as a TUN interface gives and takes them.
//! - [`checksum`]: the Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//! - [`Queue`]: what a machine has to say until it is asked.
//! - [`Path`] and [`Transmit`]: where a datagram came from and where one goes.
//!
//! Nothing here allocates in proportion to what a peer claims, and nothing indexes unchecked.

mod buffer;
pub mod checksum;
pub mod ip;
mod mark;
pub mod offload;
mod path;
mod queue;
mod reader;
pub mod tcp;
pub mod udp;
mod writer;

pub use buffer::{NoRoom, PacketBuf};
pub use mark::{MARK_BITS, Mark};
pub use path::{Channel, Path, Transmit};
pub use queue::Queue;
pub use reader::{Reader, Truncated};
pub use writer::{LengthTooLarge, Writer};
