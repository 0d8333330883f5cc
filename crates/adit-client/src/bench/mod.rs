//! Load on a server: one [`Session`] of many, its way up by steps, and echo traffic through it at a
//! rate. It works with any server, because the far end of the tunnel answers.
//!
//! It is sans-IO as everything here. It must never send more than it was told to.

mod latency;
mod session;
mod stream;
mod traffic;

pub use latency::Latency;
pub use session::{Session, Stage, Step, Wants};
pub use traffic::{Measured, Spell, Traffic};
