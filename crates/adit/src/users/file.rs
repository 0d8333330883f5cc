//! Reading the file `users.toml`. Its errors name line and column but never show a line, since every
//! line may hold a secret.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::networks::Networks;
use super::table::{Table, parse};

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

/// Reads the users from a file that only its owner can read, and checks that what they have for good
/// fits the networks that are served, if those are known.
pub(crate) fn read(path: &Path, networks: Option<&Networks>) -> Result<Table, FileError> {
    let text = read_text(path)?;
    let table = parse(&text).and_then(|table| {
        if let Some(networks) = networks {
            networks.judge(&table)?;
        }
        Ok(table)
    });
    table.map_err(|fault| fault.in_file(path, &text))
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
