//! Notification and Delete payloads, RFC 2408 sections 3.14 and 3.15.

use adit_wire::{LengthTooLarge, Reader, Writer};

use super::DecodeError;
use super::sa::{DOI_IPSEC, protocol};

/// Most SPIs that one Delete may name.
const MAX_SPIS: usize = 64;

/// Notify message types (RFC 2408 3.14.1, RFC 2407 4.6.3, RFC 3706 section 5.3).
pub mod notify {
    /// INVALID-PAYLOAD-TYPE.
    pub const INVALID_PAYLOAD_TYPE: u16 = 1;
    /// INVALID-EXCHANGE-TYPE.
    pub const INVALID_EXCHANGE_TYPE: u16 = 7;
    /// ATTRIBUTES-NOT-SUPPORTED.
    pub const ATTRIBUTES_NOT_SUPPORTED: u16 = 13;
    /// NO-PROPOSAL-CHOSEN.
    pub const NO_PROPOSAL_CHOSEN: u16 = 14;
    /// PAYLOAD-MALFORMED.
    pub const PAYLOAD_MALFORMED: u16 = 16;
    /// INVALID-KEY-INFORMATION.
    pub const INVALID_KEY_INFORMATION: u16 = 17;
    /// INVALID-ID-INFORMATION.
    pub const INVALID_ID_INFORMATION: u16 = 18;
    /// INVALID-CERT-ENCODING.
    pub const INVALID_CERT_ENCODING: u16 = 19;
    /// INVALID-CERTIFICATE.
    pub const INVALID_CERTIFICATE: u16 = 20;
    /// INVALID-CERT-AUTHORITY.
    pub const INVALID_CERT_AUTHORITY: u16 = 22;
    /// INVALID-HASH-INFORMATION.
    pub const INVALID_HASH_INFORMATION: u16 = 23;
    /// AUTHENTICATION-FAILED.
    pub const AUTHENTICATION_FAILED: u16 = 24;
    /// The last of the types that report an error; those above report a status.
    pub const LAST_ERROR: u16 = 16383;
    /// RESPONDER-LIFETIME.
    pub const RESPONDER_LIFETIME: u16 = 24576;
    /// INITIAL-CONTACT.
    pub const INITIAL_CONTACT: u16 = 24578;
    /// R-U-THERE.
    pub const R_U_THERE: u16 = 36136;
    /// R-U-THERE-ACK.
    pub const R_U_THERE_ACK: u16 = 36137;
}

/// The name of a notify message type that phase 1 may end with.
pub(crate) fn notify_name(kind: u16) -> &'static str {
    match kind {
        notify::INVALID_PAYLOAD_TYPE => "INVALID-PAYLOAD-TYPE",
        notify::INVALID_EXCHANGE_TYPE => "INVALID-EXCHANGE-TYPE",
        notify::ATTRIBUTES_NOT_SUPPORTED => "ATTRIBUTES-NOT-SUPPORTED",
        notify::NO_PROPOSAL_CHOSEN => "NO-PROPOSAL-CHOSEN",
        notify::PAYLOAD_MALFORMED => "PAYLOAD-MALFORMED",
        notify::INVALID_KEY_INFORMATION => "INVALID-KEY-INFORMATION",
        notify::INVALID_ID_INFORMATION => "INVALID-ID-INFORMATION",
        notify::INVALID_CERT_ENCODING => "INVALID-CERT-ENCODING",
        notify::INVALID_CERTIFICATE => "INVALID-CERTIFICATE",
        notify::INVALID_CERT_AUTHORITY => "INVALID-CERT-AUTHORITY",
        notify::INVALID_HASH_INFORMATION => "INVALID-HASH-INFORMATION",
        notify::AUTHENTICATION_FAILED => "AUTHENTICATION-FAILED",
        _ => "unknown",
    }
}

/// A notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify<'a> {
    /// Security protocol that it is about.
    pub protocol: u8,
    /// SPI that it is about: for ISAKMP both cookies or nothing.
    pub spi: &'a [u8],
    /// Type, see [`notify`].
    pub kind: u16,
    /// Data whose form the type gives.
    pub data: &'a [u8],
}

impl<'a> Notify<'a> {
    /// Reads the body of a Notification payload. Peers send DOI 0 as well as 1.
    pub fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let doi = reader.u32()?;
        if doi > DOI_IPSEC {
            return Err(DecodeError::Doi(doi));
        }
        let protocol = reader.u8()?;
        let spi_len = usize::from(reader.u8()?);
        let kind = reader.u16()?;
        Ok(Self {
            protocol,
            spi: reader.bytes(spi_len)?,
            kind,
            data: reader.rest(),
        })
    }

    /// The body of a Notification payload.
    pub fn write(&self) -> Result<Vec<u8>, LengthTooLarge> {
        let spi_len = self.spi.len();
        let mut writer = Writer::new();
        writer
            .u32(DOI_IPSEC)
            .u8(self.protocol)
            .u8(u8::try_from(spi_len).map_err(|_| LengthTooLarge(spi_len))?)
            .u16(self.kind)
            .bytes(self.spi)
            .bytes(self.data);
        Ok(writer.into_vec())
    }
}

/// A Delete payload: the sender's SAs that it has forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// Security protocol.
    pub protocol: u8,
    /// SPIs of the ESP or AH SAs; empty for other protocols.
    pub spis: Vec<u32>,
    /// Cookie pairs of the ISAKMP SAs; empty for other protocols.
    pub cookies: Vec<[u8; 16]>,
}

impl Delete {
    /// Reads the body of a Delete payload.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let doi = reader.u32()?;
        if doi > DOI_IPSEC {
            return Err(DecodeError::Doi(doi));
        }
        let protocol = reader.u8()?;
        let length = usize::from(reader.u8()?);
        let count = usize::from(reader.u16()?);
        if count > MAX_SPIS {
            return Err(DecodeError::TooMany {
                what: "SPIs",
                limit: MAX_SPIS,
            });
        }
        let (mut spis, mut cookies) = (Vec::new(), Vec::new());
        for _ in 0..count {
            match (protocol, length) {
                (protocol::ISAKMP, 16) => cookies.push(reader.array()?),
                (protocol::AH | protocol::ESP, 4) => spis.push(reader.u32()?),
                (protocol::IPCOMP, 2 | 4) => drop(reader.bytes(length)?),
                _ => return Err(DecodeError::Spi { protocol, length }),
            }
        }
        if !reader.is_empty() {
            return Err(DecodeError::Count {
                field: count,
                actual: count.saturating_add(reader.left() / length.max(1)),
            });
        }
        Ok(Self {
            protocol,
            spis,
            cookies,
        })
    }

    /// The body of a Delete payload for one ESP SA.
    pub fn esp(spi: u32) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .u32(DOI_IPSEC)
            .u8(protocol::ESP)
            .u8(4)
            .u16(1)
            .u32(spi);
        writer.into_vec()
    }

    /// The body of a Delete payload for the ISAKMP SA of these cookies, initiator's first.
    pub fn isakmp(cookies: [u8; 16]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u32(DOI_IPSEC).u8(protocol::ISAKMP).u8(16).u16(1);
        writer.bytes(&cookies);
        writer.into_vec()
    }
}
