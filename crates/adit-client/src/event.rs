//! What a client tells its owner.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use adit_crypto::{EspSuite, Group};
use adit_link::domain::Domain;
use adit_link::{Advertised, dhcp4};
use adit_ppp::{Acscp, AuthFailure, AuthOption, AuthProtocol, Framing, NcpState};
use ipnet::Ipv6Net;

/// The steps of a connection, in the order they usually come.
#[derive(Clone, Debug)]
pub enum Event {
    /// Phase 1 is done.
    Phase1(Box<adit_ike::Phase1>),
    /// A pair of ESP SAs is in use.
    Sa {
        /// Its algorithms.
        suite: EspSuite,
        /// Whether ESP travels in UDP.
        encapsulated: bool,
        /// Group of perfect forward secrecy.
        pfs: Option<Group>,
        /// Lifetime by time.
        lifetime: Duration,
        /// Lifetime by volume, in kilobytes of 1024 bytes.
        kilobytes: Option<u64>,
    },
    /// The L2TP tunnel is up.
    Tunnel {
        /// The server's host name.
        host_name: String,
        /// Its vendor name.
        vendor: Option<String>,
        /// Its firmware revision.
        firmware: Option<u16>,
        /// Its receive window, in messages.
        window: u16,
    },
    /// The L2TP session is up.
    Session {
        /// Our number of it.
        local: u16,
        /// The server's.
        remote: u16,
    },
    /// LCP is open.
    Lcp(Lcp),
    /// PPP accepted the user.
    Authenticated,
    /// The password is wrong, and another one would be taken: answer with `handle_password`, or
    /// close. Only where the PPP configuration says `retry`.
    PasswordRejected {
        /// The error number of MS-CHAPv2 (RFC 2759 6).
        code: Option<u32>,
        /// The server's message.
        message: String,
    },
    /// It did not; `Down` follows.
    AuthFailed(AuthFailure),
    /// IPv4 is up.
    Ipv4 {
        /// Our address.
        address: Ipv4Addr,
        /// The server's address on the link.
        server: Ipv4Addr,
        /// Resolvers.
        dns: Vec<Ipv4Addr>,
    },
    /// IPv4 is gone, or was refused: the state of IPCP says why.
    NoIpv4(NcpState),
    /// IPv6CP is open: link-local addresses work.
    Ipv6Link {
        /// Our interface identifier.
        interface_id: u64,
        /// The server's.
        server_interface_id: u64,
    },
    /// IPv6 is gone, or was refused: the state of IPv6CP says why.
    NoIpv6(NcpState),
    /// An address was formed from an announced prefix.
    Ipv6Address {
        /// The address.
        address: Ipv6Addr,
        /// Its prefix.
        prefix: Ipv6Net,
    },
    /// An address is valid no longer.
    Ipv6AddressExpired {
        /// The address.
        address: Ipv6Addr,
    },
    /// The server announced itself as default router.
    Ipv6Router {
        /// Its link-local address.
        address: Ipv6Addr,
    },
    /// It is a default router no more.
    Ipv6RouterGone {
        /// Its link-local address.
        address: Ipv6Addr,
    },
    /// A route into the tunnel.
    Ipv6Route {
        /// Where it goes.
        prefix: Ipv6Net,
    },
    /// That route is no more.
    Ipv6RouteGone {
        /// Where it went.
        prefix: Ipv6Net,
    },
    /// The server announced the link's MTU.
    Mtu(u32),
    /// A Router Advertisement came.
    RouterAdvertisement(Advertised),
    /// DHCPv6 answered an Information-request, with these resolvers.
    Dhcp6(Vec<Ipv6Addr>),
    /// Resolvers for IPv6, all that are known.
    Ipv6Dns(Vec<Ipv6Addr>),
    /// DHCPINFORM was answered.
    Dhcp4(dhcp4::Told),
    /// ACSCP has opened, or brought a list: all that it told so far.
    Acscp(Acscp),
    /// A prefix for the networks behind us; its server is the way out.
    Delegated {
        /// The prefix.
        prefix: Ipv6Net,
        /// The server's link-local address.
        server: Ipv6Addr,
    },
    /// A delegated prefix that is ours no more.
    DelegationGone {
        /// The prefix.
        prefix: Ipv6Net,
    },
    /// Search domains.
    Ipv6Search(Vec<Domain>),
    /// The connection is over; nothing comes after this.
    Down(DownReason),
}

/// What LCP agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lcp {
    /// Largest information field that the server takes.
    pub mru: u16,
    /// How frames to the server may be compressed.
    pub framing: Framing,
    /// How we are to authenticate; `None`: not at all.
    pub auth: Option<AuthProtocol>,
    /// Every way that the server asked for, in order.
    pub asked: Vec<AuthOption>,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// Phase 1 failed, or the IKE SA ended.
    #[error("IKE: {0}")]
    Ike(adit_ike::CloseReason),
    /// Phase 1 says that the server is behind a NAT, which this client does not take.
    #[error("the server is behind a NAT")]
    ServerBehindNat,
    /// The Quick Mode failed.
    #[error("Quick Mode: {0}")]
    QuickMode(adit_ike::ChildFailure),
    /// The server deleted the ESP SAs.
    #[error("the server deleted the ESP SAs")]
    SaDeleted,
    /// The L2TP tunnel ended.
    #[error("L2TP: {0}")]
    Tunnel(String),
    /// PPP ended.
    #[error("PPP: {0}")]
    Ppp(String),
    /// The owner closed it.
    #[error("closed here")]
    Closed,
}
