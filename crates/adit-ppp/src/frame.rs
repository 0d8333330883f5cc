//! The PPP frame as L2TP carries it (RFC 2661 5.4): no flags, no FCS, perhaps address and control
//! field, the protocol field in one or two bytes, the information.

use adit_wire::{NoRoom, PacketBuf, Reader, Writer};

/// Address and control field (RFC 1662 3.1).
const ADDRESS_CONTROL: [u8; 2] = [0xff, 0x03];

/// Most bytes that stand before the information.
pub const HEADER_LEN: usize = 4;

/// Which header fields may be compressed when sending, as the peer has asked in LCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// Address and control field may be left out (RFC 1661 6.6).
    pub acfc: bool,
    /// The protocol field may be one byte long (RFC 1661 6.5).
    pub pfc: bool,
}

/// A frame without a readable header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame ends inside its header.
    #[error("the PPP frame ends inside its header")]
    Truncated,
    /// The address field is not followed by the one control field there is.
    #[error("PPP control field {0:#04x} instead of 0x03")]
    Control(u8),
}

/// The protocol of a frame and the length of its header. Whatever was negotiated, both fields may
/// be compressed or not: clients keep FF 03 after agreeing to leave it out (RFC 1661 6.6 asks to
/// accept both).
pub fn split(frame: &[u8]) -> Result<(u16, usize), FrameError> {
    let mut reader = Reader::new(frame);
    let mut next = || reader.u8().map_err(|_| FrameError::Truncated);
    let mut first = next()?;
    // No protocol number begins with the address (RFC 1661 6.5).
    if first == 0xff {
        match next()? {
            0x03 => first = next()?,
            control => return Err(FrameError::Control(control)),
        }
    }
    // The last byte of a protocol number is odd, all others are even (RFC 1661 2).
    let protocol = if first & 1 == 1 {
        u16::from(first)
    } else {
        u16::from_be_bytes([first, next()?])
    };
    Ok((protocol, frame.len().saturating_sub(reader.left())))
}

/// Puts a header in front of the information in `buf`, compressed as far as `framing` allows.
/// LCP is never compressed (RFC 1661 6.5, 6.6).
pub fn prepend_header(buf: &mut PacketBuf, protocol: u16, framing: Framing) -> Result<(), NoRoom> {
    let lcp = protocol == crate::protocol::LCP;
    let [high, low] = protocol.to_be_bytes();
    if framing.pfc && high == 0 && low & 1 == 1 && !lcp {
        buf.prepend(1)?.copy_from_slice(&[low]);
    } else {
        buf.prepend(2)?.copy_from_slice(&[high, low]);
    }
    if !framing.acfc || lcp {
        buf.prepend(2)?.copy_from_slice(&ADDRESS_CONTROL);
    }
    Ok(())
}

/// A whole control frame: uncompressed header and one packet.
pub(crate) fn control_frame(protocol: u16, packet: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.bytes(&ADDRESS_CONTROL).u16(protocol).bytes(packet);
    writer.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_the_header_are_read() {
        assert_eq!(split(&[0xff, 3, 0xc0, 0x21, 1]), Ok((0xc021, 4)));
        assert_eq!(split(&[0xc0, 0x21, 1]), Ok((0xc021, 2)));
        assert_eq!(split(&[0xff, 3, 0x21, 0x45]), Ok((0x21, 3)));
        assert_eq!(split(&[0x57]), Ok((0x57, 1)));
        assert_eq!(split(&[0, 0x57, 0x60]), Ok((0x57, 2)));
    }

    #[test]
    fn cut_and_strange_headers_are_refused() {
        for cut in [
            &[][..],
            &[0xff],
            &[0xff, 3],
            &[0xff, 3, 0xc0],
            &[0xc0],
            &[0],
        ] {
            assert_eq!(split(cut), Err(FrameError::Truncated), "{cut:?}");
        }
        assert_eq!(split(&[0xff, 0x13, 0x21]), Err(FrameError::Control(0x13)));
    }

    #[test]
    fn headers_are_compressed_as_agreed() {
        let header = |protocol, acfc, pfc| {
            let mut buf = PacketBuf::from_slice(HEADER_LEN, b"x", 0);
            prepend_header(&mut buf, protocol, Framing { acfc, pfc }).unwrap();
            buf.as_slice().to_vec()
        };
        assert_eq!(header(0x21, false, false), [0xff, 3, 0, 0x21, b'x']);
        assert_eq!(header(0x21, true, true), [0x21, b'x']);
        assert_eq!(header(0x57, false, true), [0xff, 3, 0x57, b'x']);
        assert_eq!(header(0x57, true, false), [0, 0x57, b'x']);
        assert_eq!(header(0xc021, true, true), [0xff, 3, 0xc0, 0x21, b'x']);
        let mut tight = PacketBuf::from_slice(1, b"x", 0);
        assert!(prepend_header(&mut tight, 0x21, Framing::default()).is_err());
    }
}
