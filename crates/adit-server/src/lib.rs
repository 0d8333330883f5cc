//! The server without its sockets: IKE, ESP, L2TP, PPP and the link put together.
//!
//! [`Server`] takes datagrams, IP packets, the time and answers, and gives out datagrams, IP
//! packets, events and jobs. It does no I/O, reads no clock and draws no randomness but from its
//! seed, so a run can be repeated exactly.
//!
//! - `plane`: the packet path, found by SPI and by destination address, in shards that a [`Worker`]
//!   each may carry on a thread of its own.
//! - `control`: peers, their IKE SAs, SA groups and tunnels, and sessions with their PPP links.
//! - `timers`: one deadline queue over all of them.

mod budget;
mod config;
mod control;
mod event;
mod grant;
mod info;
mod keyring;
mod plane;
mod stats;
mod timers;

pub use config::{
    Config, Delegate, Ipv4Config, Ipv6Config, LacSecret, Limits, PlainConfig, PolicyRule,
};
pub use control::{Job, JobDone, Server, Teller, TooBig};
pub use event::{Decision, Event, SessionId};
pub use grant::{Device, Grant, Lease, Routes, Standing};
pub use info::{IkeInfo, SessionInfo};
pub use keyring::{Keyring, RangedKey};
pub use plane::{HEADROOM, Handover, Note, TAILROOM, Turn, Worker};
pub use stats::{Gauges, Stats};
