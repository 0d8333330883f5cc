//! Secrets that commands read: the first line of a file or of standard input, never an argument, which
//! others on the host could see.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::Failure;

/// The most of a secret that is read.
const MAX_SECRET: u64 = 4096;

/// The first line of a file.
pub(crate) fn of_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    first_line(File::open(path), path)
}

/// The first line of standard input.
pub(crate) fn of_stdin() -> Result<Zeroizing<String>, Failure> {
    first_line(Ok(std::io::stdin().lock()), Path::new("standard input"))
}

fn first_line(
    source: std::io::Result<impl Read>,
    name: &Path,
) -> Result<Zeroizing<String>, Failure> {
    let failed = |error| Failure::failed(format_args!("{}: {error}", name.display()));
    let mut line = Zeroizing::new(String::new());
    BufReader::new(source.map_err(failed)?.take(MAX_SECRET))
        .read_line(&mut line)
        .map_err(failed)?;
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::failed(format_args!(
            "{}: its first line is empty",
            name.display()
        )));
    }
    Ok(Zeroizing::new(text.to_owned()))
}
