//! Profiles: how the clients that people have speak, as data, one file each. A profile sets what
//! its client decides (IKE in every byte that is known, ports, L2TP names and windows, PPP limits)
//! and leaves who connects to whom alone. It adds no behaviour: [`Client`](crate::Client) is the
//! same for all.

mod android;
mod apple;
mod chromeos;
mod network_manager;
mod ppp;
mod racoon;
mod routeros;
mod transforms;
pub(crate) mod vendor;
mod windows10;
mod windows7;

use std::sync::Arc;
use std::time::Duration;

use adit_crypto::Group;
use adit_ike::{Manner, SaLifetime};
use adit_link::HostWants;
use adit_ppp::Echo;

use crate::config::{Config, Ending, Split};

pub use android::{ANDROID, ANDROID7};
pub use apple::APPLE;
pub use chromeos::CHROMEOS;
pub use network_manager::NETWORK_MANAGER;
pub use racoon::RACOON;
pub use routeros::ROUTEROS;
pub use windows7::WINDOWS7;
pub use windows10::WINDOWS10;

/// A client, as data.
#[derive(Debug)]
pub struct Profile {
    /// Its name in commands and tests.
    pub name: &'static str,
    /// How it words IKE.
    pub manner: Manner,
    /// Lifetime of its ISAKMP SAs.
    pub phase1_lifetime: Duration,
    /// Lifetime of its ESP SAs.
    pub esp_lifetime: SaLifetime,
    /// Group of its perfect forward secrecy, if it asks for any.
    pub pfs: Option<Group>,
    /// Its UDP port inside the SAs: 1701, or one of the ephemeral ones.
    pub inner_port: u16,
    /// The port of IDci; `None`: the inner port.
    pub selector_port: Option<u16>,
    /// Whether it refuses a server behind a NAT.
    pub refuses_server_behind_nat: bool,
    /// Its L2TP host name.
    pub host_name: &'static str,
    /// Its L2TP vendor name; empty: none is sent.
    pub vendor_name: &'static str,
    /// How it words L2TP.
    pub l2tp: adit_l2tp::Manner,
    /// Its L2TP receive window.
    pub receive_window: u16,
    /// Pause after which it sends HELLO; zero for never.
    pub hello_idle: Duration,
    /// How it repeats control messages.
    pub retransmit: Retransmit,
    /// How it ends a connection.
    pub ending: Ending,
    /// The MRU that it announces.
    pub mru: u16,
    /// Its LCP echoes.
    pub echo: Option<Echo>,
    /// How it words PPP.
    pub ppp: adit_ppp::Manner,
    /// Whether it asks for IPv6.
    pub ipv6: bool,
    /// How it learns IPv4 routes where the tunnel is split.
    pub split: Split,
    /// What it uses of what the IPv6 link tells it.
    pub host: HostWants,
    /// Whether its kernel cuts HMAC-SHA2-256 at 96 bits.
    pub cut_icv: bool,
}

impl Profile {
    /// All profiles.
    pub fn all() -> [&'static Self; 9] {
        [
            &WINDOWS7,
            &WINDOWS10,
            &APPLE,
            &ANDROID,
            &ANDROID7,
            &NETWORK_MANAGER,
            &CHROMEOS,
            &RACOON,
            &ROUTEROS,
        ]
    }

    /// The profile of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().into_iter().find(|profile| profile.name == name)
    }

    /// Makes a configuration that of this client. Key, identity, user and addresses stay.
    pub fn apply(&self, config: &mut Config) {
        self.apply_ike(Arc::make_mut(&mut config.ike));
        self.apply_l2tp(Arc::make_mut(&mut config.l2tp));
        config.ppp.mru = self.mru;
        config.ppp.echo = self.echo;
        config.ppp.ipv6 = self.ipv6;
        config.ppp.manner = self.ppp;
        config.inner_port = self.inner_port;
        config.refuse_server_behind_nat = self.refuses_server_behind_nat;
        config.ending = self.ending;
        config.selector_port = self.selector_port;
        config.cut_icv = self.cut_icv;
        config.split = self.split;
        config.host = self.host;
    }

    /// The part of it that is about IKE.
    pub fn apply_ike(&self, ike: &mut adit_ike::Config) {
        ike.phase1 = self.manner.phase1_proposals();
        ike.esp = self.manner.esp_suites();
        ike.pfs = self.pfs;
        ike.phase1_lifetime = self.phase1_lifetime;
        ike.esp_lifetime = self.esp_lifetime;
        ike.dpd = None;
        ike.force_encapsulation = false;
        ike.manner = self.manner;
    }

    /// The part of it that is about L2TP.
    pub fn apply_l2tp(&self, l2tp: &mut adit_l2tp::Config) {
        self.host_name.clone_into(&mut l2tp.host_name);
        self.vendor_name.clone_into(&mut l2tp.vendor_name);
        l2tp.receive_window = self.receive_window;
        l2tp.hello_idle = self.hello_idle;
        l2tp.retransmit_first = self.retransmit.first;
        l2tp.retransmit_cap = self.retransmit.cap;
        l2tp.retransmit_tries = self.retransmit.tries;
        l2tp.manner = self.l2tp;
    }
}

/// How L2TP control messages are repeated.
#[derive(Clone, Copy, Debug)]
pub struct Retransmit {
    /// The first wait; each further one is twice as long.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// Repetitions.
    pub tries: u32,
}

/// What RFC 2661 5.8 recommends.
const RFC_2661: Retransmit = Retransmit {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(8),
    tries: 8,
};

/// A host that takes all that it is told.
const EVERYTHING: HostWants = HostWants {
    advertisements: true,
    rdnss: true,
    delegation: false,
};

/// No way to ask for routes.
const NO_ROUTES: Split = Split {
    acscp: false,
    inform: None,
};

/// Hours, for lifetimes.
const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// A lifetime by time only.
const fn timed(seconds: Duration) -> SaLifetime {
    SaLifetime {
        seconds,
        kilobytes: None,
    }
}

#[cfg(test)]
mod tests;
