//! The pre-shared key: where it comes from, and whether it can be guessed. Whoever records one main
//! mode handshake can try a dictionary against it at leisure (CVE-2018-5389), so length matters.

use std::path::Path;

use zeroize::Zeroizing;

use super::settings::{SecretSource, Settings};
use super::{Secret, files};

/// What to write for a PSK.
pub(super) const HELP: &str =
    "write psk = { file = \"psk\" } and put a long random text into that file";

const SHORT: usize = 16;

// Only what is long enough to pass the length test needs to be here in full, but the common short
// ones get the clearer message.
const COMMON: [&str; 12] = [
    "1234567890123456",
    "0123456789abcdef",
    "changemechangeme",
    "passwordpassword",
    "presharedkey1234",
    "qwertyuiopasdfgh",
    "password",
    "secret",
    "changeme",
    "presharedkey",
    "vpn",
    "l2tp",
];

/// Why a PSK is easily guessed, if it is.
pub(crate) fn weakness(psk: &str) -> Option<String> {
    let lower = Zeroizing::new(psk.to_ascii_lowercase());
    if COMMON.contains(&lower.as_str()) {
        return Some("the PSK is one that everybody tries first".to_owned());
    }
    let mut distinct: Vec<char> = psk.chars().collect();
    let length = distinct.len();
    distinct.sort_unstable();
    distinct.dedup();
    if length < SHORT {
        return Some(format!(
            "the PSK has only {length} characters; whoever records a handshake can guess it offline"
        ));
    }
    if distinct.len() < 6 {
        return Some("the PSK repeats the same few characters".to_owned());
    }
    None
}

/// Reads the pre-shared key at `key`, if there is one.
pub(super) fn read(settings: &mut Settings<'_>, key: &str, folder: &Path) -> Option<Secret> {
    let file_key = format!("{key}.file");
    let secret = match settings.secret(key, &file_key)? {
        SecretSource::Text(text) => Secret::new(text),
        SecretSource::File(name) => from_file(settings, &file_key, &folder.join(name))?,
    };
    if secret.expose().is_empty() {
        settings.error(key, "is empty", HELP);
        return None;
    }
    if let Some(why) = weakness(secret.expose()) {
        settings.warning(
            key,
            why,
            "take 20 or more random characters, such as `openssl rand -base64 18` prints, and \
             change it on the clients too",
        );
    }
    if !secret.expose().is_ascii() {
        settings.warning(
            key,
            "has characters that clients encode in different ways",
            "use ASCII letters and digits only",
        );
    }
    Some(secret)
}

/// A secret text from the only line of a file.
pub(super) fn from_file(settings: &mut Settings<'_>, key: &str, path: &Path) -> Option<Secret> {
    let bytes = files::secret(settings, key, path, "the secret on its only line")?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        settings.error(
            key,
            format_args!("{} is not UTF-8", path.display()),
            "put the secret into it as text",
        );
        return None;
    };
    Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {
    use super::weakness;

    #[test]
    fn weak_keys_are_told() {
        for weak in [
            "vpn",
            "PASSWORD",
            "short",
            "passwordpassword",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        assert_eq!(weakness("kL9mQ2xT7vB4nR8wZ3cD6fGh"), None);
    }
}
