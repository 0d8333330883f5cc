//! Links in memory: one against the other over a bad line, and one against written bytes.

mod acscp;
mod auth;
mod eap;
mod eap_tls;
mod families;
mod hostile;
mod lcp;
mod line;
mod mschapv2;
mod pair;
mod script;

use std::time::{Duration, Instant};

use super::*;
use crate::auth::{Attempt, Credential, RejectReason, Verified};
use crate::config::{Ipv4Network, Ipv6Network, Network};
use crate::method::AuthMethod;
use crate::secret::Secret;

pub(super) const SERVER4: [u8; 4] = [10, 9, 0, 1];
pub(super) const CLIENT4: [u8; 4] = [10, 9, 0, 17];
pub(super) const DNS: [[u8; 4]; 2] = [[10, 9, 0, 53], [10, 9, 0, 54]];
pub(super) const SERVER6: u64 = 0x1111_2222_3333_4444;
pub(super) const CLIENT6: u64 = 0x5555_6666_7777_8888;

#[expect(clippy::disallowed_methods, reason = "some first instant is needed")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

pub(super) fn rng(seed: u8) -> Rng {
    Rng::from_seed([seed; 32])
}

pub(super) fn both_families() -> Network {
    Network {
        ipv4: Some(Ipv4Network {
            local: SERVER4.into(),
            peer: CLIENT4.into(),
            dns: DNS.map(Into::into).to_vec(),
            wins: Vec::new(),
        }),
        ipv6: Some(Ipv6Network {
            local_interface_id: SERVER6,
            peer_interface_id: CLIENT6,
        }),
        acscp: None,
    }
}

pub(super) fn server_config() -> ServerConfig {
    ServerConfig {
        echo: None,
        ..ServerConfig::default()
    }
}

pub(super) fn client_config() -> ClientConfig {
    ClientConfig {
        echo: None,
        ..ClientConfig::new("LAB\\Alice", Secret::from("correct horse"))
    }
}

/// Judges as a server with one user does.
pub(super) fn judge(attempt: &Attempt, network: &Network) -> Verdict {
    let credential = Credential {
        password: Some(Secret::from("correct horse")),
        nt_hash: None,
    };
    match attempt.verify(&credential) {
        Verified::Accepted { success_message } if attempt.user() == "Alice" => Verdict::Accept {
            success_message,
            network: network.clone(),
        },
        _ => Verdict::Reject {
            reason: RejectReason::BadCredentials,
        },
    }
}
