//! PAP, CHAP and MS-CHAPv2 as protocols of their own.

mod client;
mod server;

pub(super) use client::Client;
pub(super) use server::Server;
