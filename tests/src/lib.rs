//! The simulated network that joins clients and a server in memory.
//!
//! [`World`] owns the server, any number of clients, a lossy network between them with an optional
//! NAT before each client, a host behind the server that echoes UDP of both families, and the
//! clock. Everything follows from one seed: two runs with the same seed are the same run.

pub mod host;
mod nat;
mod network;
pub mod scene;
pub mod setup;
mod world;

pub use host::{HOST_V4, HOST_V6, packet_from_host, udp_packet};
pub use nat::Nat;
pub use network::{Datagram, Link, Router};
pub use world::{ClientId, Dialled, Filter, User, World, WorldConfig, is_server};
