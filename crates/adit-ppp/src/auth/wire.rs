//! PAP and CHAP packet bodies.

use adit_wire::{Reader, Writer};

use crate::error::Error;

pub(super) mod pap {
    pub(crate) const REQUEST: u8 = 1;
    pub(crate) const ACK: u8 = 2;
    pub(crate) const NAK: u8 = 3;
}

pub(super) mod chap {
    pub(crate) const CHALLENGE: u8 = 1;
    pub(crate) const RESPONSE: u8 = 2;
    pub(crate) const SUCCESS: u8 = 3;
    pub(crate) const FAILURE: u8 = 4;
    /// RFC 2759 7
    pub(crate) const CHANGE_PASSWORD: u8 = 7;
}

/// Longest user name that is taken (RFC 2759 4: 256 characters).
pub(super) const MOST_NAME: usize = 256;

/// Value and name of a Challenge or Response (RFC 1994 4.1). The value may not reach past the
/// packet.
pub(super) fn read_value(data: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let wrong = |_| Error::Malformed("CHAP value size");
    let mut reader = Reader::new(data);
    let size = reader.u8().map_err(wrong)?;
    let value = reader.bytes(size.into()).map_err(wrong)?;
    let name = reader.rest();
    if name.len() > MOST_NAME {
        return Err(Error::Malformed("CHAP name"));
    }
    Ok((value, name))
}

/// The body of a Challenge or Response; the value has at most 255 bytes, being ours.
pub(super) fn write_value(value: &[u8], name: &[u8]) -> Vec<u8> {
    let value = value.get(..255).unwrap_or(value);
    let mut writer = Writer::new();
    // cast: cut to fit above
    writer.u8(value.len() as u8).bytes(value).bytes(name);
    writer.into_vec()
}

/// Peer-ID and password of an Authenticate-Request (RFC 1334 2.2.1).
pub(super) fn read_pap_request(data: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let wrong = |_| Error::Malformed("PAP Authenticate-Request");
    let mut reader = Reader::new(data);
    let length = reader.u8().map_err(wrong)?;
    let name = reader.bytes(length.into()).map_err(wrong)?;
    let length = reader.u8().map_err(wrong)?;
    let password = reader.bytes(length.into()).map_err(wrong)?;
    Ok((name, password))
}

/// The body of an Authenticate-Request, or with one string that of an Ack or Nak; strings are cut
/// at 255 bytes.
pub(super) fn write_strings(strings: &[&[u8]]) -> Vec<u8> {
    let mut writer = Writer::new();
    for string in strings {
        let string = string.get(..255).unwrap_or(string);
        // cast: cut to fit above
        writer.u8(string.len() as u8).bytes(string);
    }
    writer.into_vec()
}

/// The message of an Ack or Nak (RFC 1334 2.2.2); lossy, since it is for people only.
pub(super) fn read_pap_message(data: &[u8]) -> String {
    let mut reader = Reader::new(data);
    let length = reader.u8().unwrap_or(0);
    text(reader.bytes(length.into()).unwrap_or_default())
}

/// Bytes as text: UTF-8, else ISO 8859-1.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

pub(super) fn hex_upper(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// Reads `N` bytes of upper or lower case hexadecimal.
pub(super) fn unhex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect::<Option<Vec<u8>>>()?;
    bytes.try_into().ok()
}
