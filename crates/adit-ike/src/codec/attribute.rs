//! Data attributes, RFC 2408 section 3.3: two bytes of value in place (TV) or a length and a
//! value (TLV).

use adit_wire::{LengthTooLarge, Reader, Writer};

use super::DecodeError;

const FORMAT_TV: u16 = 0x8000;

/// More attributes than this in one transform is an attack: peers use up to ten.
const MAX_ATTRIBUTES: usize = 32;

/// An attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// TV: two bytes.
    Short(u16),
    /// TLV: any length.
    Long(&'a [u8]),
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its class, without the format bit.
    pub kind: u16,
    /// Its value.
    pub value: Value<'a>,
}

impl Attribute<'_> {
    /// The value as a number in either format; `None` if it needs more than 64 bits or is empty.
    pub fn number(&self) -> Option<u64> {
        match self.value {
            Value::Short(value) => Some(u64::from(value)),
            Value::Long([]) => None,
            Value::Long(bytes) => bytes.iter().try_fold(0_u64, |number, byte| {
                Some(number.checked_mul(256)? | u64::from(*byte))
            }),
        }
    }
}

/// A list of attributes whose lengths have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Checks the lengths and the count of the attributes in `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut count = 0;
        while !reader.is_empty() {
            if count == MAX_ATTRIBUTES {
                return Err(DecodeError::TooMany {
                    what: "attributes",
                    limit: MAX_ATTRIBUTES,
                });
            }
            read(&mut reader)?;
            count += 1;
        }
        Ok(Self(bytes))
    }

    /// The attributes in order.
    pub fn iter(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let mut reader = Reader::new(self.0);
        // Checked by `parse`, so the first failed read is the end.
        std::iter::from_fn(move || read(&mut reader).ok())
    }

    /// The bytes as they arrived.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

fn read<'a>(reader: &mut Reader<'a>) -> Result<Attribute<'a>, DecodeError> {
    let field = reader.u16()?;
    let value = if field & FORMAT_TV != 0 {
        Value::Short(reader.u16()?)
    } else {
        let length = usize::from(reader.u16()?);
        Value::Long(reader.bytes(length)?)
    };
    Ok(Attribute {
        kind: field & !FORMAT_TV,
        value,
    })
}

/// Appends an attribute in the short format.
pub fn put_tv(writer: &mut Writer, kind: u16, value: u16) {
    writer.u16(kind | FORMAT_TV).u16(value);
}

/// Appends an attribute in the long format.
pub fn put_tlv(writer: &mut Writer, kind: u16, value: &[u8]) -> Result<(), LengthTooLarge> {
    let length = u16::try_from(value.len()).map_err(|_| LengthTooLarge(value.len()))?;
    writer.u16(kind & !FORMAT_TV).u16(length).bytes(value);
    Ok(())
}
