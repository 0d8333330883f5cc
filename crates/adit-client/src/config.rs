//! What a client needs to know.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use adit_ike::Opening;
use adit_l2tp::StopResult;
use adit_link::HostWants;
use adit_link::dhcp4::Wording;
use adit_wire::ip::Family;

/// One connection's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Phase 1 and Quick Mode policy; all of it is offered, in order.
    pub ike: Arc<adit_ike::Config>,
    /// What phase 1 proves and believes.
    pub credentials: Arc<adit_ike::Credentials>,
    /// Phase 1 identification; `None` sends the local address, as built-in clients do.
    pub identity: Option<adit_ike::IdValue>,
    /// The exchange of phase 1.
    pub mode: adit_ike::Mode,
    /// What the server's certificate must certify.
    pub server_identity: Option<adit_ike::IdValue>,
    /// Control connection timers.
    pub l2tp: Arc<adit_l2tp::Config>,
    /// User, password, and which families to ask for.
    pub ppp: adit_ppp::ClientConfig,
    /// Our UDP port inside the SAs: 1701 for most clients, an ephemeral one for Apple's.
    pub inner_port: u16,
    /// The address of IDci; `None`: our own, as most clients do.
    pub selector_address: Option<IpAddr>,
    /// The port of IDci; `None`: the inner port, as most clients do.
    pub selector_port: Option<u16>,
    /// Whether it replaces its IKE SA before it ends, or leaves that to the server.
    pub rekey_ike: bool,
    /// Whether it refuses a server that phase 1 says is behind a NAT, as Windows does.
    pub refuse_server_behind_nat: bool,
    /// How it ends a connection.
    pub ending: Ending,
    /// Whether only some of the traffic is to pass the tunnel, so that routes are asked for.
    pub split_tunnel: bool,
    /// How it asks for them.
    pub split: Split,
    /// What it uses of what the IPv6 link tells it.
    pub host: HostWants,
    /// The address and port that NAT-T traffic leaves from (4500 for most clients).
    pub nat_t_local: SocketAddr,
    /// Whether to cut HMAC-SHA2-256 at 96 bits where 128 were negotiated, as the kernels of Android
    /// 6 and 7 do.
    pub cut_icv: bool,
    /// The largest outer packet that reaches the server, in bytes of IP.
    pub path_mtu: u16,
}

/// How a client with a split tunnel learns what belongs into it in IPv4. In IPv6, Router Advertisements
/// tell it unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// By ACSCP; where that opens, DHCP is not asked any more.
    pub acscp: bool,
    /// By DHCPINFORM.
    pub inform: Option<Wording>,
}

/// How a client says good-bye. Deletes for the ESP SAs and the ISAKMP SA end it always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Whether PPP is ended first, by Terminate-Request.
    pub ppp: bool,
    /// The result code of StopCCN.
    pub stop: StopResult,
    /// How long after that the Deletes come.
    pub pause: Duration,
}

impl Default for Ending {
    fn default() -> Self {
        Self {
            ppp: true,
            stop: StopResult::SHUTTING_DOWN,
            pause: Duration::ZERO,
        }
    }
}

impl Config {
    /// adit's own client: everything that is not known to be weak, in main mode, identified by its
    /// address. NAT-T traffic leaves from `nat_t_local`.
    pub fn new(
        credentials: Arc<adit_ike::Credentials>,
        ppp: adit_ppp::ClientConfig,
        nat_t_local: SocketAddr,
    ) -> Self {
        Self {
            ike: Arc::default(),
            credentials,
            identity: None,
            mode: adit_ike::Mode::Main,
            server_identity: None,
            l2tp: Arc::default(),
            ppp,
            inner_port: 1701,
            selector_address: None,
            selector_port: None,
            rekey_ike: true,
            refuse_server_behind_nat: false,
            ending: Ending::default(),
            nat_t_local,
            cut_icv: false,
            split_tunnel: false,
            split: Split::default(),
            host: HostWants::default(),
            path_mtu: 1500,
        }
    }

    /// How phase 1 is opened from `local`.
    pub(crate) fn opening(&self, local: IpAddr) -> Opening {
        Opening {
            identity: self.identity.clone().unwrap_or_else(|| local.into()),
            mode: self.mode,
            peer: self.server_identity.clone(),
        }
    }

    /// Bytes of L2TP before a frame.
    pub(crate) fn l2tp_header(&self) -> usize {
        if self.l2tp.sequencing {
            adit_l2tp::SEQUENCED_DATA_HEADER_LEN
        } else {
            adit_l2tp::DATA_HEADER_LEN
        }
    }

    pub(crate) fn outer_family(&self) -> Family {
        Family::of(self.nat_t_local.ip())
    }
}
