//! ISAKMP and IKEv1: codec, main mode and aggressive mode, Quick Mode, informational exchanges, DPD,
//! NAT-T; both roles.
//!
//! - [`codec`]: messages as bytes (RFC 2408, RFC 2407, RFC 3947).
//! - [`IkeSa`]: one ISAKMP SA with its Quick Modes (RFC 2409), dead peer detection (RFC 3706) and
//!   NAT traversal (RFC 3947 and the drafts that clients still speak). Messages may come and go in
//!   the fragments that Microsoft and Cisco defined for IKEv1.
//!
//! The ends prove themselves by pre-shared keys or by RSA and ECDSA signatures with certificates
//! ([`Credentials`]). Messages stand without the non-ESP marker everywhere in this crate. Not
//! implemented, because no L2TP client needs it: aggressive mode with signatures, authentication by
//! public key encryption, new group mode, and the commit bit (RFC 2408 3.1, taken but not acted
//! upon).

mod authentication;
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
mod proof;
mod proposal;
mod quick;
mod retransmit;
mod stats;
#[cfg(test)]
mod tests;
mod timer;
mod vendor;

pub use authentication::Authentication;
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
pub use proof::Unproven;
pub use stats::Stats;
pub use vendor::ClientKind;
