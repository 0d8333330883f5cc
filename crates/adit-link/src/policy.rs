//! The dual-family policy: rules written once for IPv4 and IPv6, the first match wins.
//!
//! Nothing is remembered of a conversation: a rule knows by which end starts one, and matches the
//! replies by addresses and ports turned around (no SYN and no echo request is a reply). An ICMP
//! error is judged as the packet that it quotes, so that none is lost whose conversation may pass.
//! Ports of later fragments are unknown: rules that accept match without them, others do not (RFC
//! 1858, RFC 3128). A rule never holds for one family only unless it says so.

mod flow;
mod rule;

#[cfg(test)]
mod tests;

pub use flow::{Class, Direction, Flow, Hidden};
pub use rule::{Action, Fault, Hit, Protocol, Remote, Rule, Rules, Starter};
