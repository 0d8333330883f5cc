//! L2TP without IPsec: `l2tp.plain-from`, `l2tp.plain-port`. Nothing of it is there unless the operator
//! names where it may come from.

use super::peers::range;
use super::settings::Settings;
use super::{Listen, Plain, outer};

const FROM: &str = "l2tp.plain-from";
const PORT: &str = "l2tp.plain-port";

/// Reads both. `None`: there is no L2TP without IPsec.
pub(super) fn read(settings: &mut Settings<'_>, listen: &Listen) -> Option<Plain> {
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
        return None;
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
    Some(Plain { from, port })
}
