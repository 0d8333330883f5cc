//! Domain names as options carry them (RFC 1035 3.1, uncompressed).

use std::fmt;
use std::str::FromStr;

use adit_wire::Reader;

/// The longest name on the wire (RFC 1035 2.3.4).
const MAX_WIRE: usize = 255;
const MAX_LABEL: usize = 63;

/// A text that is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a domain name: labels are 1 to 63 letters, digits, hyphens or underscores, 253 in all"
)]
pub struct NotADomain;

/// A domain name without its final dot, in the letters that host names have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Domain(String);

impl Domain {
    /// The name as text, without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as labels, the root's empty one at the end.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.wire_len());
        for label in self.0.split('.') {
            // cast: labels are at most 63 bytes
            wire.push(label.len() as u8);
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        wire
    }

    /// Length of [`wire`](Self::wire).
    pub fn wire_len(&self) -> usize {
        self.0.len() + 2
    }

    /// Reads one name; `None` if it is cut off, compressed, or has other letters than host names
    /// have. A lone root is `Some(None)`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let mut text = String::new();
        loop {
            let length = usize::from(reader.u8().ok()?);
            if length == 0 {
                break;
            }
            let label = reader.bytes(length).ok()?;
            let fits = length <= MAX_LABEL && text.len() + length < MAX_WIRE;
            if !fits || label.contains(&b'.') {
                return None;
            }
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(std::str::from_utf8(label).ok()?);
        }
        if text.is_empty() {
            return Some(None);
        }
        text.parse().ok().map(Some)
    }
}

impl FromStr for Domain {
    type Err = NotADomain;

    fn from_str(text: &str) -> Result<Self, NotADomain> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if text.len() + 2 > MAX_WIRE || !text.split('.').all(is_label) {
            return Err(NotADomain);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_labels() {
        let name: Domain = "corp.Example.org.".parse().unwrap();
        assert_eq!(name.as_str(), "corp.Example.org");
        assert_eq!(name.wire(), b"\x04corp\x07Example\x03org\x00");
        assert_eq!(name.wire().len(), name.wire_len());
        let wire = name.wire();
        let mut reader = Reader::new(&wire);
        assert_eq!(Domain::read(&mut reader), Some(Some(name)));
        assert!(reader.is_empty());
        let long = ["a".repeat(63).as_str(); 4].join(".");
        for wrong in ["", ".", "a..b", "sp ace", "ü.org", &"a".repeat(64), &long] {
            assert_eq!(wrong.parse::<Domain>(), Err(NotADomain), "{wrong}");
        }
    }

    #[test]
    fn names_that_are_cut_off_or_compressed_are_refused() {
        for wrong in [&b""[..], b"\x03ab", b"\x02ab", b"\xc0\x0c", b"\x02a.\x00"] {
            assert_eq!(Domain::read(&mut Reader::new(wrong)), None, "{wrong:?}");
        }
        assert_eq!(Domain::read(&mut Reader::new(b"\x00")), Some(None));
        let endless = b"\x01a".repeat(200);
        assert_eq!(Domain::read(&mut Reader::new(&endless)), None);
    }
}
