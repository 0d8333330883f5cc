//! ISAKMP and IKEv1: codec, main mode, Quick Mode, informational exchanges, DPD, NAT-T; both roles.
//!
//! - [`codec`]: messages as bytes (RFC 2408, RFC 2407, RFC 3947).
//! - [`IkeSa`]: one ISAKMP SA with its Quick Modes (RFC 2409), dead peer detection (RFC 3706) and
//!   NAT traversal (RFC 3947 and the drafts that clients still speak). Messages may come and go in
//!   the fragments that Microsoft and Cisco defined for IKEv1.
//!
//! Messages stand without the non-ESP marker everywhere in this crate. Not implemented, because
//! no L2TP client needs it with a pre-shared key: aggressive mode, new group mode, the commit bit
//! (RFC 2408 3.1, taken but not acted upon), and identity protection by public keys.

pub mod codec;
mod config;
mod credentials;
mod crypt;
mod dpd;
mod error;
mod event;
mod exchange;
mod fragment;
mod informational;
mod job;
mod keys;
mod machine;
mod manner;
mod names;
mod nat;
mod phase1;
mod proposal;
mod quick;
mod retransmit;
mod stats;
#[cfg(test)]
mod tests;
mod timer;
mod vendor;

pub use codec::{DecodeError, FragmentError, Header, IdValue, Selector, parse_header};
pub use config::{Config, Dpd, ExtendedSequence, Phase1Proposal, Retransmit, SaLifetime};
pub use credentials::{Credentials, MAX_PSKS, PreSharedKey, Psk};
pub use error::{Error, Refusal, RefusalReason};
pub use event::{
    Child, ChildFailure, ChildId, ChildOffer, ChildRequest, CloseReason, Event, Keymat, Phase1,
};
pub use job::{Job, JobDone};
pub use machine::{IkeSa, Mode, Opening, Role};
pub use manner::{
    DurationFormat, EspAttribute, EspTransform, InitialContact, Layout, Manner, MessageIds,
    Phase1Attribute, Phase1Transform,
};
pub use nat::{Nat, NatTVersion};
pub use stats::Stats;
pub use vendor::ClientKind;
