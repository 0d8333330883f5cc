//! Files that the configuration names: what cannot be read is a problem at the name.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::settings::Settings;

/// The bytes of a file. `holds` says what belongs into it.
pub(super) fn read(
    settings: &mut Settings<'_>,
    key: &str,
    path: &Path,
    holds: &str,
) -> Option<Zeroizing<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(error) => {
            settings.error(
                key,
                format_args!("cannot read {}: {error}", path.display()),
                format!(
                    "make the file, with {holds}; a relative name is looked for in the folder of \
                     the configuration"
                ),
            );
            None
        }
    }
}

/// The same of a file that only its owner should read.
pub(super) fn secret(
    settings: &mut Settings<'_>,
    key: &str,
    path: &Path,
    holds: &str,
) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = read(settings, key, path, holds)?;
    if let Ok(metadata) = std::fs::metadata(path)
        && metadata.mode() & 0o077 != 0
    {
        let shown = path.display();
        settings.warning(
            key,
            format_args!("others than its owner can read {shown}"),
            format!("run: chmod 600 {shown}"),
        );
    }
    Some(bytes)
}
