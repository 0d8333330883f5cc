//! Configuration options (RFC 1661 section 6): type, length, data.

use adit_wire::{Reader, Writer};

/// More options than any client has; a packet with more is refused.
const MOST: usize = 64;

/// A list of options that cannot be read. The packet that holds it is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// The list ends inside an option's type and length.
    #[error("the option list ends inside an option")]
    Truncated,
    /// The length is below two or past the end of the list.
    #[error("option {kind} has length {length} with {left} bytes left")]
    Length {
        /// Type of the option.
        kind: u8,
        /// Its length field.
        length: u8,
        /// Bytes from the option on.
        left: usize,
    },
    /// More options than can be meant.
    #[error("more than 64 options")]
    TooMany,
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opt<'a> {
    pub(crate) kind: u8,
    pub(crate) data: &'a [u8],
}

impl Opt<'_> {
    pub(crate) fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.data.try_into().ok()
    }
}

/// Reads a whole list; one bad option spoils it.
pub(crate) fn parse(list: &[u8]) -> Result<Vec<Opt<'_>>, OptionError> {
    let mut options = Vec::new();
    let mut reader = Reader::new(list);
    while !reader.is_empty() {
        if options.len() == MOST {
            return Err(OptionError::TooMany);
        }
        let left = reader.left();
        let (Ok(kind), Ok(length)) = (reader.u8(), reader.u8()) else {
            return Err(OptionError::Truncated);
        };
        let data = usize::from(length)
            .checked_sub(2)
            .and_then(|n| reader.bytes(n).ok())
            .ok_or(OptionError::Length { kind, length, left })?;
        options.push(Opt { kind, data });
    }
    Ok(options)
}

/// The options without those whose type has been listed before.
pub(crate) fn first_of_each<'a>(options: &[Opt<'a>]) -> Vec<Opt<'a>> {
    let mut first: Vec<Opt<'a>> = Vec::new();
    for option in options {
        if !first.iter().any(|other| other.kind == option.kind) {
            first.push(*option);
        }
    }
    first
}

/// Appends an option; its data are short and ours or fit an option already.
pub(crate) fn write(to: &mut Writer, kind: u8, data: &[u8]) {
    let data = data.get(..253).unwrap_or(data);
    // cast: cut to fit above
    to.u8(kind).u8((data.len() + 2) as u8).bytes(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let list = [1, 4, 5, 0x78, 7, 2, 8, 2];
        let options = parse(&list).unwrap();
        let kinds: Vec<_> = options.iter().map(|option| option.kind).collect();
        assert_eq!(kinds, [1, 7, 8]);
        assert_eq!(options[0].array(), Some([5, 0x78]));
        assert_eq!(options[0].array::<4>(), None);
        assert_eq!(parse(&[]), Ok(vec![]));

        let length = |kind, length, left| Err(OptionError::Length { kind, length, left });
        assert_eq!(parse(&[7, 2, 1, 0, 5]), length(1, 0, 3));
        assert_eq!(parse(&[1, 1]), length(1, 1, 2));
        assert_eq!(parse(&[1, 5, 0, 0]), length(1, 5, 4));
        assert_eq!(parse(&[7, 2, 1]), Err(OptionError::Truncated));
        assert_eq!(parse(&[7, 2].repeat(65)), Err(OptionError::TooMany));
    }

    #[test]
    fn written_options_are_read_back() {
        let mut writer = Writer::new();
        write(&mut writer, 3, &[10, 0, 0, 1]);
        write(&mut writer, 9, &[]);
        let expected = [(3, &[10, 0, 0, 1][..]), (9, &[])].map(|(kind, data)| Opt { kind, data });
        assert_eq!(parse(writer.as_slice()).unwrap(), expected);
    }
}
