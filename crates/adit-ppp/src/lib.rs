//! PPP as the two ends of an L2TP session speak it: LCP (RFC 1661), PAP (RFC 1334), CHAP
//! (RFC 1994), MS-CHAPv2 (RFC 2759), EAP (RFC 3748, RFC 5216), IPCP (RFC 1332, RFC 1877) and IPv6CP
//! (RFC 5072).
//!
//! [`Link`] is one end, server or client; [`split`] and [`prepend_header`] are for the packet path,
//! which a link never sees. It must never read a clock or ambient randomness, log, or let a packet
//! of one address family touch the other. Compression (CCP), encryption (ECP), multilink and callback
//! are refused on purpose: ESP does the one, nobody needs the others.

mod acscp;
mod auth;
mod automaton;
mod ccp;
mod config;
mod echo;
mod error;
mod event;
mod frame;
mod ipcp;
mod ipv6cp;
mod lcp;
mod link;
mod manner;
mod method;
mod ncp;
mod option;
mod packet;
pub mod protocol;
mod secret;
mod stats;
mod tls;

pub use acscp::{Acscp, AcspDomain, AcspRoute};
pub use auth::{Attempt, Credential, RejectReason, Verdict, Verified};
pub use automaton::State;
pub use config::{ClientConfig, Echo, Ipv4Network, Ipv6Network, Network, Restart, ServerConfig};
pub use echo::{Echoed, Echoes};
pub use error::{Error, Failure};
pub use event::{AuthFailure, CloseReason, DownReason, Event, NcpState};
pub use frame::{FrameError, Framing, HEADER_LEN, prepend_header, split};
pub use link::Link;
pub use manner::{Identification, Identifiers, IpcpOption, LcpOption, Manner};
pub use method::{AuthMethod, AuthOption, AuthProtocol};
pub use option::OptionError;
pub use packet::PacketError;
pub use secret::Secret;
pub use stats::Stats;
pub use tls::{TlsClient, TlsConfigError, TlsFailure, TlsServer, WallClock};

/// What stands before the error number in a Terminate-Request of Windows.
const RAS_WORD: u32 = 0x003c_cd74;
