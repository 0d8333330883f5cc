//! EAP over PPP (RFC 3748). Only the authenticator repeats, one request is out at a time, and a
//! method's result counts, never a Success by itself.

mod client;
mod mschapv2;
mod server;
mod tls;
mod wire;

pub(super) use client::Client;
pub(super) use server::Server;
