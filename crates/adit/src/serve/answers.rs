//! What the admin socket is told.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::SystemTime;

use super::ServeError;
use super::owner::Owner;
use crate::admin::{self, Listener, Request, Response, dto};
use crate::config::Loaded;

/// Answers requests, one after the other, for as long as the server runs.
pub(super) async fn answer(
    owner: Rc<Owner>,
    mut listener: Listener,
    loaded: Loaded,
) -> Result<(), ServeError> {
    let started_at = crate::time::rfc3339(SystemTime::now());
    while let Some((request, reply)) = listener.requests.recv().await {
        let response = match request {
            Request::Status => Response::Status(Box::new(status(&owner, &loaded, &started_at))),
            Request::Sessions => {
                let sessions = owner.with(|server, now| server.sessions(now));
                Response::Sessions(sessions.iter().map(dto::Session::from).collect())
            }
            Request::Disconnect { name } => Response::Disconnected(disconnect(&owner, &name)),
        };
        // Whoever asked may be gone.
        let _ = reply.send(response);
    }
    Ok(())
}

fn status(owner: &Rc<Owner>, loaded: &Loaded, started_at: &str) -> dto::Status {
    let (stats, gauges) = owner.with(|server, _| (server.stats(), server.gauges()));
    let mut counters: BTreeMap<_, _> = stats
        .iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let shared = owner.shared().counters();
    counters.extend(shared.map(|(name, value)| (name.to_owned(), value)));
    counters.insert("unread".into(), owner.host().unread());
    dto::Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        started_at: started_at.into(),
        config: loaded.path.clone(),
        listen: owner
            .host()
            .sockets
            .iter()
            .map(|socket| socket.socket.local_addr())
            .collect(),
        tun: owner.host().tun.name().into(),
        ipv4_pool: loaded.config.ipv4.as_ref().map(|ipv4| ipv4.pool),
        ipv6_prefix: loaded.config.ipv6.as_ref().map(|ipv6| ipv6.prefix),
        gauges: gauges.into(),
        counters,
        policy: loaded
            .config
            .policy
            .iter()
            .map(|policy| dto::PolicyCount {
                name: policy.name.clone(),
                packets: policy.rule.rule.hits(),
                over_rate: policy.rule.rule.over(),
            })
            .collect(),
    }
}

fn disconnect(owner: &Rc<Owner>, name: &str) -> Vec<u64> {
    owner.with(|server, now| {
        let meant = server.sessions(now);
        meant
            .iter()
            .filter(|info| admin::is_meant(name, info))
            .filter(|info| server.disconnect(info.id, now))
            .map(|info| info.id.0)
            .collect()
    })
}
