//! What the two ends of a link are told.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::Secret;
use crate::acscp::Acscp;
use crate::manner::Manner;
use crate::method::AuthMethod;
use crate::tls::{TlsClient, TlsServer};

/// LCP echo on an idle link (RFC 1661 5.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Silence after which an Echo-Request goes out, and time between two of them.
    pub interval: Duration,
    /// Echo-Requests without any answer after which the peer is gone.
    pub failures: u32,
}

/// Timer and counters of the automaton (RFC 1661 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Time after which a request is repeated.
    pub timer: Duration,
    /// Times a Configure-Request is sent without an answer.
    pub max_configure: u32,
    /// Times a Terminate-Request is sent without an answer.
    pub max_terminate: u32,
    /// Configure-Naks, sent or received, after which no agreement is expected any more.
    pub max_failure: u32,
}

impl Default for Restart {
    /// The values that RFC 1661 4.6 recommends.
    fn default() -> Self {
        Self {
            timer: Duration::from_secs(3),
            max_configure: 10,
            max_terminate: 2,
            max_failure: 5,
        }
    }
}

/// The end that authenticates and assigns addresses.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Methods that are good enough, the preferred one first. A client may choose another one of
    /// these and nothing else.
    pub auth: Vec<AuthMethod>,
    /// EAP-TLS: our certificate and the authorities of clients; without it that method is not offered.
    pub tls: Option<Arc<TlsServer>>,
    /// MS-CHAPv2: tries that a client has after a wrong password, with a new challenge each
    /// (RFC 2759 6).
    pub auth_retries: u32,
    /// Our name in CHAP challenges.
    pub name: String,
    /// What we announce, and the most we let the peer send.
    pub mru: u16,
    /// Echo-Requests; `None`: never.
    pub echo: Option<Echo>,
    /// Timer and counters of LCP, the NCPs, and the repetition of challenges.
    pub restart: Restart,
    /// Time between LCP coming up and the peer being authenticated. The same time and what
    /// Configure-Requests may take is the longest that the link waits in all.
    pub auth_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            auth: vec![AuthMethod::MsChapV2],
            tls: None,
            auth_retries: 2,
            name: "adit".to_owned(),
            mru: 1400,
            echo: Some(Echo {
                interval: Duration::from_secs(30),
                failures: 10,
            }),
            restart: Restart::default(),
            auth_timeout: Duration::from_secs(30),
        }
    }
}

/// The end that is authenticated and asks for addresses.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// User name, with a domain before a backslash where there is one.
    pub user: String,
    /// Password.
    pub password: Secret,
    /// Methods that the server may ask for, the preferred one first.
    pub allowed: Vec<AuthMethod>,
    /// EAP-TLS: our certificate and what the server must prove; without it that method is refused.
    pub tls: Option<Arc<TlsClient>>,
    /// Whether somebody can be asked for another password where the server allows that; if not, a
    /// wrong one is the end.
    pub retry: bool,
    /// What we announce, and the most we let the peer send.
    pub mru: u16,
    /// Echo-Requests; `None`: never.
    pub echo: Option<Echo>,
    /// Timer and counters of LCP, the NCPs, and the repetition of responses.
    pub restart: Restart,
    /// Whether IPv4 is wanted; if not, IPCP gets a Protocol-Reject.
    pub ipv4: bool,
    /// Whether IPv6 is wanted; if not, IPv6CP gets a Protocol-Reject.
    pub ipv6: bool,
    /// Whether to ask for IPv4 resolvers (RFC 1877).
    pub request_dns: bool,
    /// Whether to ask for routes and domains by ACSCP, as Apple's clients do unless all traffic
    /// is to pass the tunnel.
    pub acscp: bool,
    /// Interface identifier to propose; `None`: a random one.
    pub interface_id: Option<u64>,
    /// How the requests are worded.
    pub manner: Manner,
}

impl ClientConfig {
    /// A client that wants everything and allows MS-CHAPv2 only.
    pub fn new(user: &str, password: Secret) -> Self {
        Self {
            user: user.to_owned(),
            password,
            ..Self::default()
        }
    }
}

impl Default for ClientConfig {
    /// Everything is wanted and MS-CHAPv2 is allowed, but nobody is named.
    fn default() -> Self {
        Self {
            user: String::new(),
            password: Secret::new(&[]),
            allowed: vec![AuthMethod::MsChapV2],
            tls: None,
            retry: false,
            mru: 1400,
            echo: Some(Echo {
                interval: Duration::from_secs(30),
                failures: 4,
            }),
            restart: Restart::default(),
            ipv4: true,
            ipv6: true,
            request_dns: true,
            acscp: false,
            interface_id: None,
            manner: Manner::OWN,
        }
    }
}

/// What the server's NCPs agree on with an authenticated peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// `None`: IPCP is answered with a Protocol-Reject.
    pub ipv4: Option<Ipv4Network>,
    /// `None`: IPv6CP is answered with a Protocol-Reject.
    pub ipv6: Option<Ipv6Network>,
    /// Routes and domains for Apple's clients; `None`: ACSCP is answered with a Protocol-Reject, and
    /// they ask by DHCP, which they do not where ACSCP opens.
    pub acscp: Option<Acscp>,
}

/// What IPCP agrees on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv4Network {
    /// Our address.
    pub local: Ipv4Addr,
    /// The address that the peer gets, whatever it asks for.
    pub peer: Ipv4Addr,
    /// Resolvers; the first two are used (RFC 1877 knows no more).
    pub dns: Vec<Ipv4Addr>,
    /// NetBIOS name servers; the first two are used. A peer that asks for what is not there gets a
    /// Configure-Reject.
    pub wins: Vec<Ipv4Addr>,
}

/// What IPv6CP agrees on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Network {
    /// Our interface identifier; the peer may make us take another one.
    pub local_interface_id: u64,
    /// Suggested to a peer that has none or the same as ours.
    pub peer_interface_id: u64,
}
