//! Checked reading of received bytes.

/// A field reaches past the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("truncated: {needed} bytes needed, {left} left")]
pub struct Truncated {
    /// Bytes that the field needs.
    pub needed: usize,
    /// Bytes that are left.
    pub left: usize,
}

/// Reads big-endian fields from the front of a slice; every read is checked, and a failed read
/// takes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// Bytes not yet read.
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Takes the next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let (head, tail) = self.left.split_at_checked(n).ok_or(Truncated {
            needed: n,
            left: self.left.len(),
        })?;
        self.left = tail;
        Ok(head)
    }

    /// Takes the next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (head, tail) = self.left.split_first_chunk::<N>().ok_or(Truncated {
            needed: N,
            left: self.left.len(),
        })?;
        self.left = tail;
        Ok(*head)
    }

    /// Takes one byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a big-endian 16-bit number.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes a big-endian 32-bit number.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes a big-endian 64-bit number.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_be_bytes)
    }

    /// Takes the next `n` bytes as a reader of their own, so that a body cannot reach past its
    /// length field.
    pub fn sub(&mut self, n: usize) -> Result<Reader<'a>, Truncated> {
        self.bytes(n).map(Reader::new)
    }

    /// Takes everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    /// What is left, without taking it.
    pub fn peek(&self) -> &'a [u8] {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_big_endian_fields_in_order() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!(reader.rest(), &[8, 9]);
        assert!(reader.is_empty());
    }

    #[test]
    fn a_failed_read_takes_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), Err(Truncated { needed: 4, left: 3 }));
        assert_eq!(reader.bytes(4), Err(Truncated { needed: 4, left: 3 }));
        assert_eq!(reader.left(), 3);
    }

    #[test]
    fn a_sub_reader_ends_at_its_length() {
        let mut reader = Reader::new(&[1, 2, 3]);
        let mut sub = reader.sub(2).unwrap();
        assert_eq!(sub.u16(), Ok(0x0102));
        assert!(sub.u8().is_err());
        assert_eq!(reader.u8(), Ok(3));
    }
}
