//! EAP-TLS (RFC 5216 with TLS 1.2, RFC 9190 with TLS 1.3): TLS records in requests and responses, one
//! fragment at a time. Its keys (MSK) are not derived, because nothing on this link uses any.

mod client;
mod fragments;
mod server;
#[cfg(test)]
mod tests;

pub(super) use client::Client;
pub(super) use server::{Server, Step};

use rustls::Connection;

use crate::tls::TlsFailure;

/// Bytes of a TLS message between its first record and the end of the flight, of either end.
const MOST: usize = 65_536;

/// Gives records to TLS. What it has to say to them is to be taken in any case.
fn feed(connection: &mut Connection, mut records: &[u8]) -> Result<(), TlsFailure> {
    while !records.is_empty() {
        let failed = |error: std::io::Error| TlsFailure::Handshake(error.to_string());
        if connection.read_tls(&mut records).map_err(failed)? == 0 {
            return Err(TlsFailure::Handshake("data behind the end".to_owned()));
        }
        connection.process_new_packets()?;
    }
    Ok(())
}

/// Everything that TLS has to say now.
fn flight(connection: &mut Connection) -> Vec<u8> {
    let mut records = Vec::new();
    while connection.wants_write() && records.len() < MOST {
        // A vector takes everything.
        if connection.write_tls(&mut records).is_err() {
            break;
        }
    }
    records
}
