//! What each fuzz target does with its input.
//!
//! Targets that feed a machine take a sequence of messages, each behind a 16-bit big-endian length
//! ([`messages`]); an empty one stands for some seconds of silence. A target fails by panicking, by not ending, or by an assertion of its own.

mod bench;
mod certificate;
mod esp;
mod ike;
mod ike_identity;
mod ike_inside;
mod inputs;
mod l2tp;
mod link;
mod offload;
mod ppp;
mod probe;
mod server;

pub use bench::bench;
pub use certificate::certificate;
pub use esp::{esp_open, esp_window};
pub use ike::{ike_initiator, ike_message, ike_responder};
pub use ike_identity::ike_identity;
pub use ike_inside::ike_inside;
pub use inputs::messages;
pub use l2tp::{l2tp_message, l2tp_tunnel};
pub use link::{ip_packet, link_packet};
pub use offload::offload;
pub use ppp::{ppp_eap, ppp_frame, ppp_link};
pub use probe::probe;
pub use server::{server_inside, server_outside};

/// A target: its name, which is also its corpus folder's, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 20] = [
    ("ike_message", ike_message),
    ("ike_responder", ike_responder),
    ("ike_initiator", ike_initiator),
    ("ike_identity", ike_identity),
    ("ike_inside", ike_inside),
    ("certificate", certificate),
    ("esp_open", esp_open),
    ("esp_window", esp_window),
    ("l2tp_message", l2tp_message),
    ("l2tp_tunnel", l2tp_tunnel),
    ("ppp_frame", ppp_frame),
    ("ppp_link", ppp_link),
    ("ppp_eap", ppp_eap),
    ("link_packet", link_packet),
    ("ip_packet", ip_packet),
    ("offload", offload),
    ("probe", probe),
    ("bench", bench),
    ("server_outside", server_outside),
    ("server_inside", server_inside),
];
