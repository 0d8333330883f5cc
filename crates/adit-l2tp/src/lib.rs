//! L2TP version 2 (RFC 2661): AVPs, the reliable control channel, tunnels and sessions, in the
//! roles of LNS and LAC. It turns UDP payloads into PPP frames and back, and never looks inside
//! those frames, never opens a socket and never reads a clock.
//!
//! - [`decode`], [`Packet`]: the header (section 3.1) of control and data messages;
//!   [`prepend_data_header`] writes that of a data message.
//! - [`Message`], [`Avp`]: the body of a control message (section 4).
//! - [`Tunnel`]: one control connection and the sessions on it (sections 5 and 7).
//!
//! - [`Secret`]: tunnel authentication and hidden AVPs (sections 4.3 and 5.1.1).
//! - [`Sequencing`]: numbers of data messages (section 5.4).
//! - [`Manner`]: how a LAC words its messages, so that it can speak as others do.
//!
//! Not there, with the reason: outgoing calls (section 7.5; nothing here can dial, so an OCRQ is
//! answered with CDN), sending WEN and SLI (sections 6.13 and 6.14; over IP there is neither a line
//! with errors nor a character to escape; both are received), acting on what a LAC says that it
//! negotiated in our place (section 4.4.5; it is told as a fact, and PPP starts from the beginning,
//! because the authentication of users is not left to the peer).

mod avp;
mod build;
mod call;
mod channel;
mod config;
mod error;
mod event;
mod header;
mod manner;
mod message;
mod result;
mod secret;
mod sequence;
mod state;
mod stats;
mod tunnel;

pub use avp::{Attribute, Avp, AvpError, Avps};
pub use call::{Accm, Call, CallErrors, Proxy};
pub use config::Config;
pub use error::{Error, Fault, Unrecognized};
pub use event::{Event, SessionDownCause, TunnelDownCause};
pub use header::{
    CONTROL_HEADER_LEN, Control, DATA_HEADER_LEN, Data, DecodeError, Packet,
    SEQUENCED_DATA_HEADER_LEN, decode, prepend_data_header, prepend_sequenced_data_header,
    prepend_short_data_header,
};
pub use manner::{
    ASYNCHRONOUS, CallAfter, Item, Manner, ResultFormat, SYNCHRONOUS, Said, may, must,
};
pub use message::{Message, MessageType, ResultCode, assigned_tunnel_of_sccrq};
pub use result::{CallDisconnect, CallResult, GeneralError, Q931Cause, Stop, StopResult};
pub use secret::Secret;
pub use sequence::{Order, Sequencing};
pub use state::{SessionState, TunnelState};
pub use stats::Stats;
pub use tunnel::{Role, Timer, Tunnel};
