//! `[[ipsec.peer]]`: pre-shared keys for some peers only, by address and by what they call
//! themselves.

use std::net::IpAddr;
use std::path::Path;

use adit_ike::{IdValue, MAX_PSKS};
use ipnet::IpNet;

use super::settings::{Complaint, Settings};
use super::{Peer, Secret, psk};

const KEY: &str = "ipsec.peer";

/// Reads every peer. `everybody` is whether there is a key for all of them besides.
pub(super) fn read(settings: &mut Settings<'_>, folder: &Path, everybody: bool) -> Vec<Peer> {
    let count = settings.tables(KEY, &["from", "identity", "psk", "psk.file", "aggressive"]);
    let peers: Vec<Peer> = (0..count)
        .filter_map(|index| peer(settings, &format!("{KEY}[{index}]"), folder))
        .collect();
    let ranges = peers.iter().flat_map(|peer| &peer.from);
    let most = ranges
        .map(|range| peers.iter().filter(|peer| peer.covers(range)).count())
        .chain([peers.iter().filter(|peer| peer.from.is_empty()).count()])
        .max()
        .unwrap_or_default();
    if most + usize::from(everybody) > MAX_PSKS {
        settings.error(
            KEY,
            format_args!("more than {MAX_PSKS} keys would hold for one address"),
            "give the peers narrower ranges in from, or certificates: with many keys for one \
             address each forged message costs as many computations",
        );
    }
    peers
}

fn peer(settings: &mut Settings<'_>, key: &str, folder: &Path) -> Option<Peer> {
    let from_key = format!("{key}.from");
    let from = settings.list(&from_key, range);
    if from.as_ref().is_some_and(Vec::is_empty) {
        settings.empty(
            &from_key,
            "names no range, so nobody could use the key",
            "leave it out for anywhere, or write [\"203.0.113.0/24\"]",
        );
    }
    let identity = settings.parsed(&format!("{key}.identity"), identity);
    let has_identity = settings.is_set(&format!("{key}.identity"));
    let aggressive_key = format!("{key}.aggressive");
    let aggressive = settings.flag(&aggressive_key, false);
    if aggressive && !has_identity {
        settings.error(
            &aggressive_key,
            "needs an identity: in aggressive mode the key is chosen by it, and anybody who asks \
             would get a hash of the key otherwise",
            "add identity = \"branch-office\" with what the peer calls itself, or take aggressive \
             out",
        );
    } else if aggressive {
        settings.warning(
            &aggressive_key,
            "whoever knows the identity gets a hash of the key, and can guess at the key offline",
            "let the peer use main mode and take this out; if it cannot, make its key 30 random \
             characters or more",
        );
    }
    let psk_key = format!("{key}.psk");
    let psk = psk::read(settings, &psk_key, folder);
    if psk.is_none() && !settings.is_set(&psk_key) {
        settings.error(&psk_key, "is missing", psk::HELP);
    }
    Some(Peer {
        from: from.unwrap_or_default(),
        identity,
        psk: psk?,
        aggressive,
    })
}

impl Peer {
    fn covers(&self, range: &IpNet) -> bool {
        self.from.is_empty() || self.from.iter().any(|from| from.contains(range))
    }
}

/// A network, or one address.
pub(super) fn range(text: &str) -> Result<IpNet, Complaint> {
    let help = "write a network or an address, such as \"203.0.113.0/24\", \"2001:db8::/32\" or \
                \"198.51.100.7\"";
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let net: IpNet = text
        .parse()
        .map_err(|_| Complaint::new(format!("{text:?} is not a range of addresses"), help))?;
    if net.trunc() != net {
        return Err(Complaint::new(
            format!("{text} is an address inside a network"),
            format!(
                "write the network itself, \"{}\", or the address alone",
                net.trunc()
            ),
        ));
    }
    Ok(net)
}

fn identity(text: &str) -> Result<IdValue, Complaint> {
    let help = "write what the peer calls itself: a name such as \"branch-office\" or \
                \"gw.example.net\", \"user@example.net\", or an address";
    let wrong = |why: &str| Err(Complaint::new(format!("{text:?} {why}"), help));
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    if text.is_empty() || text.len() > 255 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return wrong("is not a name: it must be visible ASCII without spaces");
    }
    if text.contains(['=', ',', '/', ':', '#', '%', '"']) {
        return wrong("is no form of identity that a pre-shared key can have");
    }
    match text.split_once('@') {
        None => Ok(IdValue::Fqdn(text.to_owned())),
        Some(("", _)) => wrong("begins with @; names are written without"),
        Some((_, host)) if host.is_empty() || host.contains('@') => wrong("is not user@name"),
        Some(_) => Ok(IdValue::UserFqdn(text.to_owned())),
    }
}

/// The key of a peer as the protocol takes it.
impl From<&Peer> for adit_server::RangedKey {
    fn from(peer: &Peer) -> Self {
        Self {
            from: peer.from.clone(),
            key: adit_ike::PreSharedKey {
                key: shared(&peer.psk),
                identity: peer.identity.clone(),
                aggressive: peer.aggressive,
            },
        }
    }
}

/// A key as the protocol takes it.
pub(super) fn shared(psk: &Secret) -> std::sync::Arc<adit_ike::Psk> {
    std::sync::Arc::new(adit_ike::Psk::new(psk.expose().as_bytes()))
}
