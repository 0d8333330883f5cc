//! The users: who may connect, with what proof, and what each has alone.
//!
//! `users.toml` holds for each user the NT hash of the password (RFC 2759 section 8.3), which
//! equals a password for MS-CHAPv2, and the password itself only where CHAP-MD5 needs it; besides,
//! fixed addresses, a group, limits. The file must be closed to everybody but its owner. No secret in
//! it ever reaches a log.

pub(crate) mod command;
mod edit;
mod file;
mod live;
mod networks;
mod table;

pub(crate) use edit::write_private;
pub(crate) use edit::{Change, Edit, apply};
pub(crate) use file::{FileError, read};
pub(crate) use live::{Clock, Reload, Reloaded, Users};
pub(crate) use networks::Networks;

use zeroize::Zeroizing;

/// Random text of letters and digits that nobody mistakes for one another, from the system's
/// generator; six bits of it are worth about 5.8.
pub(crate) fn random_text(length: usize) -> Result<Zeroizing<String>, getrandom::Error> {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut text = Zeroizing::new(String::with_capacity(length));
    let mut bytes = Zeroizing::new([0u8; 64]);
    while text.len() < length {
        getrandom::fill(bytes.as_mut())?;
        for byte in bytes.iter() {
            // Bytes past the alphabet are thrown away, so that every letter is equally likely.
            if let Some(letter) = ALPHABET.get(usize::from(byte & 63))
                && text.len() < length
            {
                text.push(char::from(*letter));
            }
        }
    }
    Ok(text)
}

/// Why a name cannot be a user's, if it cannot.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 128 {
        return Some("a user's name has 1 to 128 bytes");
    }
    if name.contains('\\') {
        return Some("a user's name has no backslash: clients put a domain before one");
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return Some("a user's name has no control characters and no blanks around it");
    }
    None
}

/// Why a password cannot be used, if it cannot.
pub(crate) fn password_fault(password: &str) -> Option<&'static str> {
    if password.is_empty() {
        return Some("the password is empty");
    }
    if password.encode_utf16().count() > 256 {
        return Some("the password is longer than the 256 characters of MS-CHAPv2");
    }
    if password.chars().any(char::is_control) {
        return Some("the password has control characters");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_texts_differ_and_can_be_read_aloud() {
        let (a, b) = (random_text(24).unwrap(), random_text(24).unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), 24);
        assert!(!a.contains(['l', 'I', 'O', '0', '1', 'o']), "{}", *a);
    }

    #[test]
    fn names_with_a_domain_are_refused() {
        assert!(name_fault("CORP\\alice").is_some());
        assert!(name_fault("alice\n").is_some());
        assert!(name_fault(" alice").is_some());
        assert_eq!(name_fault("alice@example.com"), None);
    }

    #[test]
    fn passwords_past_the_protocol_are_refused() {
        assert!(password_fault(&"x".repeat(257)).is_some());
        assert!(password_fault("").is_some());
        assert_eq!(password_fault("hunter two, é"), None);
    }
}
