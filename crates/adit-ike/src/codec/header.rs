//! The ISAKMP header, RFC 2408 section 3.1.

use adit_wire::{Reader, Writer};

use super::DecodeError;

/// Length of the header.
pub const HEADER_LEN: usize = 28;

const VERSION: u8 = 0x10;
const FLAG_ENCRYPTED: u8 = 0x01;
const FLAG_COMMIT: u8 = 0x02;

/// Exchange types (RFC 2408 3.1, RFC 2409 Appendix A).
pub mod exchange {
    /// Identity protection: main mode.
    pub const MAIN: u8 = 2;
    /// Aggressive mode.
    pub const AGGRESSIVE: u8 = 4;
    /// Informational.
    pub const INFORMATIONAL: u8 = 5;
    /// Quick Mode.
    pub const QUICK: u8 = 32;
}

/// What the header of a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// CKY-I.
    pub initiator_cookie: [u8; 8],
    /// CKY-R; zero in the first message.
    pub responder_cookie: [u8; 8],
    /// Type of the first payload, 0 for none.
    pub next_payload: u8,
    /// Exchange type, see [`exchange`].
    pub exchange: u8,
    /// Whether the body is encrypted.
    pub encrypted: bool,
    /// Whether the sender asks to hold back traffic until it says CONNECTED.
    pub commit: bool,
    /// Message ID; zero in phase 1.
    pub message_id: u32,
    /// Length of the whole message, checked against what arrived.
    pub length: usize,
}

/// Checks and reads the header of a message that stands without the non-ESP marker. Bytes past
/// its length are allowed and belong to nobody.
pub fn parse_header(message: &[u8]) -> Result<Header, DecodeError> {
    let mut reader = Reader::new(message);
    let initiator_cookie = reader.array()?;
    let responder_cookie = reader.array()?;
    let next_payload = reader.u8()?;
    let version = reader.u8()?;
    let exchange = reader.u8()?;
    let flags = reader.u8()?;
    let message_id = reader.u32()?;
    let field = reader.u32()?;
    if version >> 4 != VERSION >> 4 {
        return Err(DecodeError::Version(version));
    }
    let length = usize::try_from(field).unwrap_or(usize::MAX);
    if length < HEADER_LEN || length > message.len() {
        return Err(DecodeError::Length {
            field: length,
            actual: message.len(),
        });
    }
    if initiator_cookie == [0; 8] {
        return Err(DecodeError::ZeroCookie);
    }
    Ok(Header {
        initiator_cookie,
        responder_cookie,
        next_payload,
        exchange,
        encrypted: flags & FLAG_ENCRYPTED != 0,
        commit: flags & FLAG_COMMIT != 0,
        message_id,
        length,
    })
}

impl Header {
    /// The payloads' bytes of `message`, whose header this is.
    pub fn body<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message.get(HEADER_LEN..self.length).unwrap_or_default()
    }

    /// The message of this header and `body`; the length field is made to fit.
    pub fn write(&self, body: &[u8]) -> Vec<u8> {
        let mut flags = 0;
        if self.encrypted {
            flags |= FLAG_ENCRYPTED;
        }
        if self.commit {
            flags |= FLAG_COMMIT;
        }
        let length = HEADER_LEN.saturating_add(body.len());
        let mut writer = Writer::new();
        writer
            .bytes(&self.initiator_cookie)
            .bytes(&self.responder_cookie)
            .u8(self.next_payload)
            .u8(VERSION)
            .u8(self.exchange)
            .u8(flags)
            .u32(self.message_id)
            .u32(u32::try_from(length).unwrap_or(u32::MAX))
            .bytes(body);
        writer.into_vec()
    }
}
