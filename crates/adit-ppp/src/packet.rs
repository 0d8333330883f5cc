//! Packets of LCP, the NCPs, PAP and CHAP: code, identifier, length (RFC 1661 section 5).

use adit_wire::{Reader, Writer};

/// Bytes before the data of a packet.
pub(crate) const HEADER_LEN: usize = 4;

pub(crate) mod code {
    pub(crate) const CONFIGURE_REQUEST: u8 = 1;
    pub(crate) const CONFIGURE_ACK: u8 = 2;
    pub(crate) const CONFIGURE_NAK: u8 = 3;
    pub(crate) const CONFIGURE_REJECT: u8 = 4;
    pub(crate) const TERMINATE_REQUEST: u8 = 5;
    pub(crate) const TERMINATE_ACK: u8 = 6;
    pub(crate) const CODE_REJECT: u8 = 7;
    pub(crate) const PROTOCOL_REJECT: u8 = 8;
    pub(crate) const ECHO_REQUEST: u8 = 9;
    pub(crate) const ECHO_REPLY: u8 = 10;
    pub(crate) const DISCARD_REQUEST: u8 = 11;
    // RFC 1570 2.1 and 2.2
    pub(crate) const IDENTIFICATION: u8 = 12;
    pub(crate) const TIME_REMAINING: u8 = 13;
}

/// A packet whose header does not describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than code, identifier and length.
    #[error("the packet is shorter than its header")]
    Truncated,
    /// The length field is below four or past the end of the frame.
    #[error("length field {length} in a packet of {available} bytes")]
    Length {
        /// The field.
        length: u16,
        /// Bytes there are.
        available: usize,
    },
}

/// A packet as received; what follows it in the frame is padding (RFC 1661 5) and left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) code: u8,
    pub(crate) id: u8,
    pub(crate) data: &'a [u8],
    /// The whole packet with its header, without padding.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    pub(crate) fn parse(information: &'a [u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(information);
        let (Ok(code), Ok(id), Ok(length)) = (reader.u8(), reader.u8(), reader.u16()) else {
            return Err(PacketError::Truncated);
        };
        let wrong = PacketError::Length {
            length,
            available: information.len(),
        };
        let bytes = information.get(..usize::from(length)).ok_or(wrong)?;
        let data = bytes.get(HEADER_LEN..).ok_or(wrong)?;
        Ok(Self {
            code,
            id,
            data,
            bytes,
        })
    }
}

/// Builds a packet; data that would not fit the length field is cut off.
pub(crate) fn build(code: u8, id: u8, data: &[u8]) -> Vec<u8> {
    let most = usize::from(u16::MAX) - HEADER_LEN;
    let data = data.get(..most).unwrap_or(data);
    let mut writer = Writer::new();
    // cast: cut to fit above
    let length = (data.len() + HEADER_LEN) as u16;
    writer.u8(code).u8(id).u16(length).bytes(data);
    writer.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_field_must_describe_the_packet() {
        assert!(matches!(
            Packet::parse(&[1, 2, 0]),
            Err(PacketError::Truncated)
        ));
        for length in [0_u8, 3, 6] {
            let error = Packet::parse(&[1, 2, 0, length, 9]).unwrap_err();
            let expected = PacketError::Length {
                length: length.into(),
                available: 5,
            };
            assert_eq!(error, expected);
        }
        let padded = Packet::parse(&[1, 2, 0, 5, 9, 0, 0]).unwrap();
        assert_eq!((padded.code, padded.id, padded.data), (1, 2, &[9][..]));
        assert_eq!(padded.bytes, [1, 2, 0, 5, 9]);
        assert_eq!(build(1, 2, &[9]), padded.bytes);
    }
}
