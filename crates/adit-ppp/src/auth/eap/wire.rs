//! EAP packets behind code, identifier and length (RFC 3748 4), and those of MS-CHAPv2 inside them.

use adit_wire::{Reader, Writer};

use crate::error::Error;
use crate::packet::build;

pub(super) mod code {
    pub(crate) const REQUEST: u8 = 1;
    pub(crate) const RESPONSE: u8 = 2;
    pub(crate) const SUCCESS: u8 = 3;
    pub(crate) const FAILURE: u8 = 4;
}

pub(super) mod kind {
    pub(crate) const IDENTITY: u8 = 1;
    pub(crate) const NOTIFICATION: u8 = 2;
    pub(crate) const NAK: u8 = 3;
    pub(crate) const MD5: u8 = 4;
    pub(crate) const TLS: u8 = 13;
    pub(crate) const MS_CHAP_V2: u8 = 26;
}

/// Operations of MS-CHAPv2 (draft-kamath-pppext-eap-mschapv2-02 2).
pub(super) mod op {
    pub(crate) const CHALLENGE: u8 = 1;
    pub(crate) const RESPONSE: u8 = 2;
    pub(crate) const SUCCESS: u8 = 3;
    pub(crate) const FAILURE: u8 = 4;
    pub(crate) const CHANGE_PASSWORD: u8 = 7;
}

/// Type and type data of a Request or Response.
pub(super) fn split(data: &[u8]) -> Result<(u8, &[u8]), Error> {
    match data.split_first() {
        Some((kind, data)) => Ok((*kind, data)),
        None => Err(Error::Malformed("EAP without a type")),
    }
}

/// A Request or Response.
pub(super) fn packet(code: u8, id: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut body = Writer::new();
    body.u8(kind).bytes(data);
    build(code, id, body.as_slice())
}

/// An operation of MS-CHAPv2 with identifier and body.
#[derive(Debug)]
pub(super) struct MsChap<'a> {
    pub(super) op: u8,
    pub(super) id: u8,
    pub(super) body: &'a [u8],
}

/// Reads an operation. Answers to Success and Failure are its code alone.
pub(super) fn read_ms_chap(data: &[u8]) -> Result<MsChap<'_>, Error> {
    let wrong = Error::Malformed("EAP-MSCHAPv2");
    if let [op @ (op::SUCCESS | op::FAILURE)] = data {
        let (id, body) = (0, [].as_slice());
        return Ok(MsChap { op: *op, id, body });
    }
    let mut reader = Reader::new(data);
    let (Ok(op), Ok(id), Ok(length)) = (reader.u8(), reader.u8(), reader.u16()) else {
        return Err(wrong);
    };
    // The length counts the operation from its code on.
    let body = data.get(..usize::from(length)).and_then(|all| all.get(4..));
    body.map(|body| MsChap { op, id, body }).ok_or(wrong)
}

/// Writes an operation.
pub(super) fn write_ms_chap(op: u8, id: u8, body: &[u8]) -> Vec<u8> {
    // Operation, identifier and length have the form of a PPP packet.
    build(op, id, body)
}
