//! Authentication: what a peer claims, how that is checked, and the two ends of PAP (RFC 1334),
//! CHAP (RFC 1994) and MS-CHAPv2 (RFC 2759).

mod attempt;
mod client;
mod server;
mod wire;

pub use attempt::{Attempt, Credential, RejectReason, Verdict, Verified};
pub(crate) use client::{ClientAuth, ClientStep};
pub(crate) use server::ServerAuth;
