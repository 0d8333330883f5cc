//! Building messages whose length fields are known only at the end.

/// A body does not fit the length field that describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body of {0} bytes does not fit its length field")]
pub struct LengthTooLarge(pub usize);

/// Appends big-endian fields to a growing message.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Appends a big-endian 16-bit number.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a big-endian 32-bit number.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a big-endian 64-bit number.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Overwrites the 16-bit number at `at` (which must have been written) with the number of
    /// bytes from `from` to the end of the message.
    pub fn patch_length(&mut self, at: usize, from: usize) -> Result<(), LengthTooLarge> {
        let length = self.bytes.len().saturating_sub(from);
        let value = u16::try_from(length).map_err(|_| LengthTooLarge(length))?;
        self.patch(at, &value.to_be_bytes());
        Ok(())
    }

    /// Overwrites bytes at `at` that have been written before; what reaches past the end of the
    /// message is left out.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        for (old, new) in self.bytes.iter_mut().skip(at).zip(bytes) {
            *old = *new;
        }
    }

    /// The message so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The finished message.
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_a_length_field() {
        let mut writer = Writer::new();
        writer.u8(7).u16(0).u32(0xdead_beef);
        writer.patch_length(1, 0).unwrap();
        assert_eq!(writer.into_vec(), [7, 0, 7, 0xde, 0xad, 0xbe, 0xef]);
    }

    #[test]
    fn refuses_a_length_that_does_not_fit() {
        let mut writer = Writer::new();
        writer.u16(0).bytes(&vec![0; 70_000]);
        assert_eq!(writer.patch_length(0, 2), Err(LengthTooLarge(70_000)));
    }
}
