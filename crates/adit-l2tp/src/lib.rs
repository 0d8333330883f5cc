//! L2TP version 2 (RFC 2661): AVPs, the reliable control channel, tunnels and sessions, in the
//! roles of LNS and LAC. It turns UDP payloads into PPP frames and back, and never looks inside
//! those frames, never opens a socket and never reads a clock.
//!
//! - [`decode`], [`Packet`]: the header (section 3.1) of control and data messages;
//!   [`prepend_data_header`] writes that of a data message.
//! - [`Message`], [`Avp`]: the body of a control message (section 4).
//! - [`Tunnel`]: one control connection and the sessions on it (sections 5 and 7).
//!
//! Not there, with the reason: outgoing calls (section 7.5; a VPN server dials nobody, so OCRQ is
//! answered with CDN), tunnel authentication and AVP hiding (sections 4.3 and 5.1.1; IPsec
//! authenticates the peer and covers the whole control channel), data sequencing by the receiver
//! (section 5.4; the Ns of a data message is reported, reordering is left to IP).

mod avp;
mod build;
mod channel;
mod config;
mod error;
mod event;
mod header;
mod message;
mod state;
mod stats;
mod tunnel;

pub use avp::{Attribute, Avp, AvpError, Avps};
pub use config::Config;
pub use error::{Error, Fault, Unrecognized};
pub use event::{CallDisconnect, Event, SessionDownCause, Stop, TunnelDownCause};
pub use header::{
    CONTROL_HEADER_LEN, Control, DATA_HEADER_LEN, Data, DecodeError, Packet,
    SEQUENCED_DATA_HEADER_LEN, decode, prepend_data_header, prepend_sequenced_data_header,
};
pub use message::{Message, MessageType, ResultCode, assigned_tunnel_of_sccrq};
pub use state::{SessionState, TunnelState};
pub use stats::Stats;
pub use tunnel::{Timer, Tunnel};
