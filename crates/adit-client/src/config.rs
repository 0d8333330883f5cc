//! What a client needs to know.

use std::net::SocketAddr;
use std::sync::Arc;

use adit_wire::ip::Family;

/// One connection's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Phase 1 and Quick Mode policy; all of it is offered, in order.
    pub ike: Arc<adit_ike::Config>,
    /// The pre-shared key.
    pub psk: Arc<adit_ike::Psk>,
    /// Phase 1 identification; `None` sends the local address, as built-in clients do.
    pub identity: Option<adit_ike::IdValue>,
    /// Control connection timers.
    pub l2tp: Arc<adit_l2tp::Config>,
    /// User, password, and which families to ask for.
    pub ppp: adit_ppp::ClientConfig,
    /// Our UDP port inside the SAs: 1701 for most clients, an ephemeral one for Apple's.
    pub inner_port: u16,
    /// The port of IDci; `None`: the inner port, as most clients do.
    pub selector_port: Option<u16>,
    /// The address and port that NAT-T traffic leaves from (4500 for most clients).
    pub nat_t_local: SocketAddr,
    /// The largest outer packet that reaches the server, in bytes of IP.
    pub path_mtu: u16,
}

impl Config {
    pub(crate) fn outer_family(&self) -> Family {
        Family::of(self.nat_t_local.ip())
    }
}
