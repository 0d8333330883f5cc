//! The part of the TCP header (RFC 9293) that a router may touch: the maximum segment size.

use crate::checksum;
use crate::reader::{Reader, Truncated};

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;
const SYN: u8 = 0x02;

/// Length of the header without options.
pub const HEADER_LEN: usize = 20;

/// Whether a segment, from its TCP header on, is a SYN or SYN-ACK.
pub fn is_syn(segment: &[u8]) -> Result<bool, Truncated> {
    let mut reader = Reader::new(segment);
    reader.bytes(13)?;
    Ok(reader.u8()? & SYN != 0)
}

/// Lowers the MSS option of a SYN or SYN-ACK to `max`, in place, and mends the checksum.
///
/// `segment` starts at the TCP header. A SYN without the option is left alone: RFC 9293 3.7.1
/// makes its sender expect 536 or 1220 bytes, which every link here carries. Returns the old value
/// if it was lowered, `None` if nothing had to change, [`Truncated`] if options are malformed.
pub fn clamp_mss(segment: &mut [u8], max: u16) -> Result<Option<u16>, Truncated> {
    if !is_syn(segment)? {
        return Ok(None);
    }
    let mut reader = Reader::new(segment);
    reader.bytes(12)?;
    let header_len = usize::from(reader.u8()? >> 4) * 4;
    reader.u8()?;
    reader.bytes(2)?;
    let checksum = reader.u16()?;
    reader.bytes(2)?;
    let mut options = reader.sub(header_len.saturating_sub(HEADER_LEN))?;
    let area = options.left();
    loop {
        let at = HEADER_LEN + area - options.left();
        match options.u8() {
            Err(_) | Ok(OPTION_END) => return Ok(None),
            Ok(OPTION_NOP) => {}
            Ok(kind) => {
                let length = usize::from(options.u8()?);
                let mut body = options.sub(length.checked_sub(2).ok_or(Truncated {
                    needed: 2,
                    left: length,
                })?)?;
                if kind != OPTION_MSS {
                    continue;
                }
                let mss = body.u16()?;
                if mss <= max {
                    return Ok(None);
                }
                write_mss(segment, at + 2, checksum, mss, max);
                return Ok(Some(mss));
            }
        }
    }
}

fn write_mss(segment: &mut [u8], at: usize, checksum: u16, old: u16, new: u16) {
    // An option may start at an odd offset; then its bytes straddle two checksum words, each byte
    // in the other half, which is the same as swapping the bytes of both values.
    let (old_word, new_word) = if at.is_multiple_of(2) {
        (old, new)
    } else {
        (old.swap_bytes(), new.swap_bytes())
    };
    let sum = checksum::updated(checksum, old_word, new_word);
    if let Some(field) = segment.get_mut(at..at + 2) {
        field.copy_from_slice(&new.to_be_bytes());
    }
    if let Some(field) = segment.get_mut(16..18) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sum;

    fn segment(flags: u8, options: &[u8]) -> Vec<u8> {
        let mut segment = vec![0; HEADER_LEN];
        segment[0..4].copy_from_slice(&[0x12, 0x34, 0, 80]);
        segment[12] = (((HEADER_LEN + options.len()) / 4) << 4) as u8;
        segment[13] = flags;
        segment.extend(options);
        let sum = Sum::new().bytes(&segment).finish();
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }

    fn sums(segment: &[u8]) -> bool {
        Sum::new().bytes(segment).finish() == 0
    }

    #[test]
    fn clamps_in_any_order_and_alignment() {
        for options in [
            &[2, 4, 0x05, 0xb4][..],
            &[1, 2, 4, 0x05, 0xb4, 1, 1, 1],
            &[4, 2, 1, 3, 3, 7, 2, 4, 0x05, 0xb4, 0, 0],
        ] {
            let mut bytes = segment(SYN | 0x10, options);
            assert!(sums(&bytes));
            assert_eq!(clamp_mss(&mut bytes, 1200), Ok(Some(1460)));
            assert!(sums(&bytes), "{options:?}");
            assert_eq!(clamp_mss(&mut bytes, 1200), Ok(None));
            assert!(bytes.windows(4).any(|window| window == [2, 4, 0x04, 0xb0]));
        }
    }

    #[test]
    fn leaves_other_segments_alone() {
        let mut ack = segment(0x10, &[2, 4, 0x05, 0xb4]);
        let before = ack.clone();
        assert_eq!(clamp_mss(&mut ack, 1200), Ok(None));
        assert_eq!(ack, before);
        assert_eq!(clamp_mss(&mut segment(SYN, &[]), 1200), Ok(None));
        assert_eq!(clamp_mss(&mut segment(SYN, &[2, 4, 2, 0]), 1200), Ok(None));
    }

    #[test]
    fn malformed_options_are_an_error_not_a_loop() {
        assert!(clamp_mss(&mut segment(SYN, &[5, 0, 0, 0]), 1200).is_err());
        assert!(clamp_mss(&mut segment(SYN, &[5, 1, 0, 0]), 1200).is_err());
        assert!(clamp_mss(&mut segment(SYN, &[1, 1, 2, 4]), 1200).is_err());
        assert!(clamp_mss(&mut segment(SYN, &[2, 3, 9, 1]), 1200).is_err());
        assert!(clamp_mss(&mut [0; 13], 1200).is_err());
    }
}
