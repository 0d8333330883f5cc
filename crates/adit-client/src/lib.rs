//! The client without its sockets: the same layers as the server's, in the other role.
//!
//! [`Client`] is one L2TP/IPsec connection: main mode as initiator, a Quick Mode for UDP 1701, an
//! L2TP tunnel as LAC with one session, PPP as the side that authenticates itself, and a host on
//! the IPv6 link. It does no I/O, reads no clock and draws no randomness but from its seed.

pub mod bench;
mod call;
mod client;
mod config;
mod event;
mod packet;
mod plain;
pub mod probe;
pub mod profile;
mod sas;

pub use client::{Client, HEADROOM, Job, JobDone, TAILROOM};
pub use config::{Config, Ending, Split};
pub use event::{DownReason, Event, Lcp};
pub use plain::PlainClient;
