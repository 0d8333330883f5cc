//! Reading `users.toml`. Its errors name line and column but never show a line, since every line
//! may hold a secret.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use adit_crypto::ppp::NtHash;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use crate::config::{Secret, line_column};

/// One user.
pub(crate) struct User {
    /// The NT hash of the password.
    pub nt_hash: Option<NtHash>,
    /// The password itself, if it is kept.
    pub password: Option<Secret>,
    /// Kept out for now.
    pub disabled: bool,
}

/// Why the users cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The file cannot be read at all.
    #[error("cannot read the users file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read the file.
    #[error(
        "others than its owner can read the users file {0} (mode {mode:04o}), and what is in it \
         equals passwords. Run: chmod 600 {0}", path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is in it is wrong.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong and what to write instead.
        message: String,
    },
}

/// Reads the users from a file that only its owner can read.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, User>, FileError> {
    let text = read_text(path)?;
    parse(&text).map_err(|(offset, message)| {
        let (line, column) = line_column(&text, offset);
        FileError::Malformed {
            path: path.to_owned(),
            line,
            column,
            message,
        }
    })
}

/// Reads the text of the file, if only its owner can.
pub(super) fn read_text(path: &Path) -> Result<Zeroizing<String>, FileError> {
    let failed = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let mode = std::fs::metadata(path).map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(failed)
}

type Fault = (usize, String);

/// Reads the users out of a text; an error is a byte offset and what is wrong there.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, User>, Fault> {
    let root = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        (offset, "this is not TOML".to_owned())
    })?;
    let mut users = BTreeMap::new();
    for (key, value) in root.get_ref() {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(unknown(key.span().start));
        };
        if key.get_ref() != "users" {
            return Err(unknown(key.span().start));
        }
        for (name, user) in table {
            if let Some(fault) = super::name_fault(name.get_ref()) {
                return Err((name.span().start, fault.to_owned()));
            }
            users.insert(name.get_ref().clone().into_owned(), parse_user(name, user)?);
        }
    }
    Ok(users)
}

fn unknown(offset: usize) -> Fault {
    let message = "there are only tables [users.NAME] in this file";
    (offset, message.to_owned())
}

fn parse_user(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
) -> Result<User, Fault> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err(unknown(name.span().start));
    };
    let mut user = User {
        nt_hash: None,
        password: None,
        disabled: false,
    };
    for (key, value) in table {
        let at = value.span().start;
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("nt-hash", DeValue::String(text)) => {
                let hash = nt_hash(text).ok_or_else(|| {
                    let message = "nt-hash must be 32 hexadecimal digits; `adit user passwd` \
                                   writes it";
                    (at, message.to_owned())
                })?;
                user.nt_hash = Some(hash);
            }
            ("password", DeValue::String(text)) => {
                if let Some(fault) = super::password_fault(text) {
                    return Err((at, fault.to_owned()));
                }
                user.password = Some(Secret::new(text.as_ref()));
            }
            ("disabled", DeValue::Boolean(disabled)) => user.disabled = *disabled,
            ("nt-hash" | "password", _) => {
                return Err((
                    at,
                    format!("{} must be text in double quotes", key.get_ref()),
                ));
            }
            ("disabled", _) => return Err((at, "disabled must be true or false".to_owned())),
            _ => {
                let message = "a user has only nt-hash, password and disabled";
                return Err((key.span().start, message.to_owned()));
            }
        }
    }
    if user.nt_hash.is_none() && user.password.is_none() {
        let message = "this user has no password; `adit user passwd` sets one";
        return Err((name.span().start, message.to_owned()));
    }
    Ok(user)
}

fn nt_hash(text: &str) -> Option<NtHash> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut bytes = Zeroizing::new([0u8; 16]);
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        // from_str_radix would take a sign.
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(NtHash::from_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "44ebba8d5312b8d611474411f56989ae";

    #[test]
    fn users_are_read() {
        let text = format!(
            "[users.alice]\nnt-hash = \"{HASH}\"\n[users.\"bob@example.com\"]\npassword = \
             \"clientPass\"\ndisabled = true\n"
        );
        let users = parse(&text).ok().unwrap();
        let alice = &users["alice"];
        // RFC 2759 section 9.2: the NtPasswordHash of "clientPass".
        assert_eq!(
            alice.nt_hash.as_ref().unwrap().as_bytes(),
            NtHash::of_password("clientPass").as_bytes()
        );
        assert!(!alice.disabled);
        let bob = &users["bob@example.com"];
        assert_eq!(bob.password.as_ref().unwrap().expose(), "clientPass");
        assert!(bob.disabled);
    }

    #[test]
    fn faults_are_found_where_they_are() {
        let fault = |text: &str| {
            let (offset, message) = parse(text).err().unwrap();
            (line_column(text, offset), message)
        };
        let (at, message) = fault("[users.alice]\nnt-hash = \"+4ebba8d5312b8d611474411f56989a\"");
        assert_eq!(at, (2, 11));
        assert!(message.contains("32 hexadecimal"), "{message}");
        assert_eq!(fault("[users.alice]\n").0, (1, 8));
        assert_eq!(fault("[users.a]\npasswrd = \"x\"").0, (2, 1));
        assert_eq!(fault("[user.a]\npassword = \"x\"").0, (1, 2));
        assert_eq!(fault("[users.a]\npassword = 12345678").0, (2, 12));
        assert_eq!(fault("[users.a]\npassword = \"abc").0.0, 2);
        assert_eq!(fault("users = 3").0, (1, 1));
    }

    #[test]
    fn no_fault_repeats_a_secret() {
        for text in [
            "[users.a]\npassword = 12345678",
            "[users.a]\npassword = \"12345678",
            "[users.a]\nnt-hash = \"12345678\"",
            "[users.a]\npasword = \"12345678\"",
        ] {
            let (_, message) = parse(text).err().unwrap();
            assert!(!message.contains("12345678"), "{message}");
        }
    }
}
