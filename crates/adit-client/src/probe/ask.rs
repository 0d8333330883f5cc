//! What a probe is asked for, and the configuration of the client that this makes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use adit_ike::{Credentials, Psk};
use adit_link::HostWants;
use adit_ppp::{AuthMethod, Restart, Secret};
use adit_wire::{Channel, Path};

use super::step::Door;
use crate::Config;
use crate::profile::Profile;

/// The name of adit's own manner among the profiles.
pub const OWN: &str = "adit";

/// How much is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Only what the connection needs.
    Quick,
    /// What each client that people have would get, too.
    #[default]
    Usual,
    /// Every transform and suite, too.
    Full,
}

/// What to ask, and as whom.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Speak as this client; `None`: as adit itself.
    pub profile: Option<&'static Profile>,
    /// How much.
    pub depth: Depth,
    /// Whether there is IPsec; if not, L2TP goes over UDP as it is.
    pub ipsec: bool,
    /// The pre-shared key; without one it ends before main mode.
    pub psk: Option<Arc<Psk>>,
    /// User and password; without them it ends before authentication.
    pub login: Option<(String, Secret)>,
    /// The longest that a step may take.
    pub timeout: Duration,
}

/// Our addresses: where what goes to each door leaves from, and the server's address.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// What goes to UDP 500 (or 1701) leaves from here.
    pub local: SocketAddr,
    /// What goes to UDP 4500.
    pub nat_t: SocketAddr,
    /// The server.
    pub remote: IpAddr,
}

/// The path of what goes to a door and comes from it.
pub(super) fn path(ends: &Ends, door: Door) -> Path {
    Path {
        channel: match door {
            Door::NatT => Channel::NatT,
            Door::Ike | Door::L2tp => Channel::Ike,
        },
        local: match door {
            Door::NatT => ends.nat_t,
            Door::Ike | Door::L2tp => ends.local,
        },
        remote: SocketAddr::new(ends.remote, door.port()),
    }
}

/// The configuration of the client that connects.
pub(super) fn config(ask: &Ask, ends: &Ends) -> Config {
    let psk = ask.psk.clone().map(Credentials::psk).unwrap_or_default();
    let mut allowed = vec![AuthMethod::MsChapV2, AuthMethod::ChapMd5];
    let mut ppp = adit_ppp::ClientConfig::default();
    if let Some((user, password)) = &ask.login {
        ppp = adit_ppp::ClientConfig::new(user, password.clone());
        // PAP is the password itself.
        allowed.extend(ask.ipsec.then_some(AuthMethod::Pap));
    }
    ppp.allowed = allowed;
    let mut config = Config::new(Arc::new(psk), ppp, ends.nat_t);
    config.rekey_ike = false;
    if let Some(profile) = ask.profile {
        profile.apply(&mut config);
    }
    config.refuse_server_behind_nat = false;
    // What the server tells is to be seen, whoever would not look.
    config.host = HostWants::default();
    let ike = Arc::make_mut(&mut config.ike);
    // ESP as a protocol of its own would need rights that a probe does not ask for.
    ike.force_encapsulation = true;
    ike.dpd = None;
    ike.negotiation_timeout = ask.timeout;
    let l2tp = Arc::make_mut(&mut config.l2tp);
    l2tp.setup_timeout = ask.timeout;
    l2tp.hello_idle = Duration::ZERO;
    config.ppp.echo = None;
    let tries = ask.timeout.as_secs() / Restart::default().timer.as_secs();
    // cast: bounded
    config.ppp.restart.max_configure = tries.clamp(2, 100) as u32;
    config
}
