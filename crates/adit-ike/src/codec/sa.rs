//! Security Association, Proposal and Transform payloads, RFC 2408 sections 3.4 to 3.6 with the
//! IPsec DOI (RFC 2407 section 4.2).

use adit_wire::{LengthTooLarge, Reader, Writer};

use super::{Attributes, DecodeError};

/// The IPsec DOI.
pub(crate) const DOI_IPSEC: u32 = 1;
const SIT_IDENTITY_ONLY: u32 = 1;

const NEXT_PROPOSAL: u8 = 2;
const NEXT_TRANSFORM: u8 = 3;

/// Most proposals in one payload; Windows sends about a dozen.
pub const MAX_PROPOSALS: usize = 64;
/// Most transforms in one payload, over all proposals.
pub const MAX_TRANSFORMS: usize = 256;

/// Security protocols (RFC 2407 4.4.1).
pub mod protocol {
    /// ISAKMP itself.
    pub const ISAKMP: u8 = 1;
    /// AH.
    pub const AH: u8 = 2;
    /// ESP.
    pub const ESP: u8 = 3;
    /// IPComp.
    pub const IPCOMP: u8 = 4;
}

/// A transform: one choice within a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transform<'a> {
    /// Its number within the proposal.
    pub number: u8,
    /// Transform ID, whose meaning the proposal's protocol gives.
    pub id: u8,
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

/// A proposal. Proposals of one number belong together (all of them), those of different numbers
/// are alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal<'a> {
    /// Its number.
    pub number: u8,
    /// Security protocol, see [`protocol`].
    pub protocol: u8,
    /// The sender's SPI; empty in phase 1.
    pub spi: &'a [u8],
    /// Alternatives, in the sender's order of preference.
    pub transforms: Vec<Transform<'a>>,
}

/// An SA payload of the IPsec DOI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityAssociation<'a> {
    /// The proposals in order.
    pub proposals: Vec<Proposal<'a>>,
}

impl<'a> SecurityAssociation<'a> {
    /// Reads the body of an SA payload.
    pub fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let doi = reader.u32()?;
        if doi != DOI_IPSEC {
            return Err(DecodeError::Doi(doi));
        }
        let situation = reader.u32()?;
        if situation != SIT_IDENTITY_ONLY {
            return Err(DecodeError::Situation(situation));
        }
        let mut proposals = Vec::new();
        let mut transforms = 0;
        while let Some(mut body) = substructure(&mut reader, NEXT_PROPOSAL)? {
            if proposals.len() == MAX_PROPOSALS {
                return Err(DecodeError::TooMany {
                    what: "proposals",
                    limit: MAX_PROPOSALS,
                });
            }
            proposals.push(proposal(&mut body, &mut transforms)?);
        }
        Ok(Self { proposals })
    }

    /// The body of an SA payload.
    pub fn write(&self) -> Result<Vec<u8>, LengthTooLarge> {
        let mut writer = Writer::new();
        writer.u32(DOI_IPSEC).u32(SIT_IDENTITY_ONLY);
        let mut left = self.proposals.len();
        for proposal in &self.proposals {
            left = left.saturating_sub(1);
            let start = writer.len();
            let next = if left > 0 { NEXT_PROPOSAL } else { 0 };
            let count = proposal.transforms.len();
            writer.u8(next).u8(0).u16(0);
            writer.u8(proposal.number).u8(proposal.protocol);
            writer.u8(byte(proposal.spi.len())?).u8(byte(count)?);
            writer.bytes(proposal.spi);
            for (index, transform) in proposal.transforms.iter().enumerate() {
                let start = writer.len();
                let next = if index + 1 < count { NEXT_TRANSFORM } else { 0 };
                writer.u8(next).u8(0).u16(0);
                writer.u8(transform.number).u8(transform.id).u16(0);
                writer.bytes(transform.attributes.as_bytes());
                writer.patch_length(start.saturating_add(2), start)?;
            }
            writer.patch_length(start.saturating_add(2), start)?;
        }
        Ok(writer.into_vec())
    }
}

fn byte(length: usize) -> Result<u8, LengthTooLarge> {
    u8::try_from(length).map_err(|_| LengthTooLarge(length))
}

/// Takes the next proposal or transform with the 4-byte header that both share. The type of the
/// next one must be `kind` exactly as long as bytes are left.
fn substructure<'a>(reader: &mut Reader<'a>, kind: u8) -> Result<Option<Reader<'a>>, DecodeError> {
    if reader.is_empty() {
        return Ok(None);
    }
    let next = reader.u8()?;
    let _reserved = reader.u8()?;
    let length = usize::from(reader.u16()?);
    let body_len = length.checked_sub(4).ok_or(DecodeError::Length {
        field: length,
        actual: reader.left().saturating_add(4),
    })?;
    let body = reader.sub(body_len)?;
    let wanted = if reader.is_empty() { 0 } else { kind };
    if next != wanted {
        return Err(DecodeError::Order {
            found: next,
            wanted,
        });
    }
    Ok(Some(body))
}

fn proposal<'a>(reader: &mut Reader<'a>, total: &mut usize) -> Result<Proposal<'a>, DecodeError> {
    let number = reader.u8()?;
    let protocol = reader.u8()?;
    let spi_len = usize::from(reader.u8()?);
    let count = usize::from(reader.u8()?);
    let spi = reader.bytes(spi_len)?;
    let mut transforms = Vec::new();
    while let Some(mut body) = substructure(reader, NEXT_TRANSFORM)? {
        if *total == MAX_TRANSFORMS {
            return Err(DecodeError::TooMany {
                what: "transforms",
                limit: MAX_TRANSFORMS,
            });
        }
        *total += 1;
        let number = body.u8()?;
        let id = body.u8()?;
        let _reserved = body.u16()?;
        transforms.push(Transform {
            number,
            id,
            attributes: Attributes::parse(body.rest())?,
        });
    }
    if transforms.len() != count {
        return Err(DecodeError::Count {
            field: count,
            actual: transforms.len(),
        });
    }
    Ok(Proposal {
        number,
        protocol,
        spi,
        transforms,
    })
}
