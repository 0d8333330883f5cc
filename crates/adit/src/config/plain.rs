//! L2TP without IPsec: `l2tp.plain-from`, `l2tp.plain-port`, and the tunnel secrets. Nothing of it is
//! there unless the operator names where it may come from.

use std::path::Path;

use super::peers::range;
use super::settings::{Complaint, SecretSource, Settings};
use super::{Lac, Listen, Plain, Secret, outer, psk};

const PEER: &str = "l2tp.peer";
const FROM: &str = "l2tp.plain-from";
const PORT: &str = "l2tp.plain-port";

/// Reads both. `None`: there is no L2TP without IPsec.
/// `everybody` is whether there is a secret for all.
pub(super) fn read(
    settings: &mut Settings<'_>,
    listen: &Listen,
    folder: &Path,
    everybody: bool,
) -> Option<Plain> {
    let count = settings.tables(PEER, &["from", "host-name", "secret", "secret.file"]);
    let lacs: Vec<Lac> = (0..count)
        .filter_map(|index| lac(settings, &format!("{PEER}[{index}]"), folder))
        .collect();
    let from = settings.list(FROM, range).unwrap_or_default();
    let port = outer::port(settings, PORT, 1701);
    if [listen.ike_port, listen.nat_t_port].contains(&port) {
        settings.error(
            PORT,
            "is one of the ports of IKE",
            "leave it out: access concentrators use 1701",
        );
    }
    if from.is_empty() {
        if settings.is_set(PORT) {
            settings.warning(
                PORT,
                "does nothing without l2tp.plain-from",
                "write plain-from = [\"10.9.0.0/16\"] with the network of the access concentrators",
            );
        }
        if count > 0 {
            settings.warning(
                PEER,
                "does nothing without l2tp.plain-from",
                "write plain-from = [\"10.9.0.0/16\"] in [l2tp]",
            );
        }
        return None;
    }
    if !everybody && count == 0 {
        settings.warning(
            FROM,
            "lets in whoever can write to that wire: there is no tunnel secret",
            "write secret = { file = \"l2tp-secret\" } in [l2tp], and the same secret at the access \
             concentrators",
        );
    }
    for (index, net) in from.iter().enumerate() {
        if net.prefix_len() == 0 {
            settings.warning(
                &format!("{FROM}[{index}]"),
                "is everywhere: whoever reads the wire reads the users' traffic, and whoever writes \
                 to it ends their sessions",
                "name the networks of the access concentrators only",
            );
        }
    }
    Some(Plain { from, port, lacs })
}

fn lac(settings: &mut Settings<'_>, key: &str, folder: &Path) -> Option<Lac> {
    let from_key = format!("{key}.from");
    let from = settings.list(&from_key, range);
    if from.as_ref().is_some_and(Vec::is_empty) {
        settings.empty(
            &from_key,
            "names no range, so nobody could use the secret",
            "leave it out for anywhere, or write [\"10.9.0.2\"]",
        );
    }
    let host_name = settings.parsed(&format!("{key}.host-name"), |text| {
        if text.is_empty() || text.len() > 255 {
            return Err(Complaint::new(
                format!("{text:?} is not a host name"),
                "write what the access concentrator calls itself, such as \"lac1\"",
            ));
        }
        Ok(text.to_owned())
    });
    let secret_key = format!("{key}.secret");
    let read = secret(settings, &secret_key, folder);
    if read.is_none() && !settings.is_set(&secret_key) {
        settings.error(
            &secret_key,
            "is missing",
            "write secret = { file = \"l2tp-secret\" }",
        );
    }
    Some(Lac {
        from: from.unwrap_or_default(),
        host_name,
        secret: read?,
    })
}

/// The tunnel secret at `key`, if there is one.
pub(super) fn secret(settings: &mut Settings<'_>, key: &str, folder: &Path) -> Option<Secret> {
    const HELP: &str =
        "take 20 or more random characters, such as `openssl rand -base64 18` prints";
    let file_key = format!("{key}.file");
    let secret = match settings.secret(key, &file_key)? {
        SecretSource::Text(text) => Secret::new(text),
        SecretSource::File(name) => psk::from_file(settings, &file_key, &folder.join(name))?,
    };
    if secret.expose().is_empty() {
        settings.error(key, "is empty", HELP);
        return None;
    }
    if psk::weakness(secret.expose()).is_some() {
        settings.warning(
            key,
            "is short or common: whoever reads the wire can guess it offline",
            HELP,
        );
    }
    Some(secret)
}
