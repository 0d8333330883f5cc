//! The pre-shared key: where it comes from, and whether it can be guessed. Whoever records one main
//! mode handshake can try a dictionary against it at leisure (CVE-2018-5389), so length matters.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::Secret;
use super::settings::{SecretSource, Settings};

const KEY: &str = "ipsec.psk";
const HELP: &str = "write psk = { file = \"psk\" } and put a long random text into that file";
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

/// Reads `ipsec.psk`.
pub(super) fn read(settings: &mut Settings<'_>, folder: &Path) -> Option<Secret> {
    let was_set = settings.is_set(KEY);
    let secret = match settings.secret(KEY, "ipsec.psk.file") {
        Some(SecretSource::Text(text)) => Secret::new(text),
        Some(SecretSource::File(name)) => from_file(settings, &folder.join(name))?,
        None => {
            if !was_set {
                settings.error(
                    KEY,
                    "is missing: clients cannot prove anything without it",
                    HELP,
                );
            }
            return None;
        }
    };
    if secret.expose().is_empty() {
        settings.error(KEY, "is empty", HELP);
        return None;
    }
    if let Some(why) = weakness(secret.expose()) {
        settings.warning(
            KEY,
            why,
            "take 20 or more random characters, such as `openssl rand -base64 18` prints, and \
             change it on the clients too",
        );
    }
    if !secret.expose().is_ascii() {
        settings.warning(
            KEY,
            "has characters that clients encode in different ways",
            "use ASCII letters and digits only",
        );
    }
    Some(secret)
}

fn from_file(settings: &mut Settings<'_>, path: &Path) -> Option<Secret> {
    let shown = path.display();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) => {
            settings.error(
                "ipsec.psk.file",
                format_args!("cannot read {shown}: {error}"),
                "make the file, with the PSK on its only line; a relative name is looked for in \
                 the folder of the configuration",
            );
            return None;
        }
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        settings.error(
            "ipsec.psk.file",
            format_args!("{shown} is not UTF-8"),
            "put the PSK into it as text",
        );
        return None;
    };
    if let Ok(metadata) = std::fs::metadata(path)
        && metadata.mode() & 0o077 != 0
    {
        settings.warning(
            "ipsec.psk.file",
            format_args!("others than its owner can read {shown}"),
            format!("run: chmod 600 {shown}"),
        );
    }
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
