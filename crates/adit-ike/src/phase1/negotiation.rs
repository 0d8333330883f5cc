//! The state of phase 1 while it is under way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_crypto::PrivateValue;

use super::aggressive::Half;
use super::certified::Awaited;
use super::derive::Candidate;
use crate::authentication::Authentication;
use crate::codec::IdValue;
use crate::config::{Config, Phase1Proposal};
use crate::credentials::Psk;
use crate::nat::Nat;
use crate::retransmit::{Answer, Request};
use crate::vendor::{ClientKind, Seen};

/// Where phase 1 stands, named by the last message that was sent or the job that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Sent1,
    ComputingPublic,
    Sent3,
    ComputingShared,
    Signing,
    Sent5,
    Verifying,
    Sent2,
    ComputingBoth,
    Sent4,
    Proving,
}

/// The state of phase 1, dropped when it is done.
pub(crate) struct Negotiation {
    pub(crate) stage: Stage,
    pub(crate) deadline: Instant,
    /// An initiator's message that waits for its answer.
    pub(crate) request: Option<Request>,
    /// For repetitions of the peer's last message.
    pub(crate) answer: Option<Answer>,
    /// SAi_b: the body of the initiator's SA payload.
    pub(crate) sa: Vec<u8>,
    pub(crate) proposal: Option<Phase1Proposal>,
    pub(crate) authentication: Authentication,
    /// The pre-shared key in use; a responder of main mode knows it when message 5 is read.
    pub(crate) psk: Option<Arc<Psk>>,
    /// What a responder of main mode finds that key among.
    pub(crate) candidates: Vec<Candidate>,
    /// What the peer's certificate must certify.
    pub(crate) peer: Option<IdValue>,
    /// What the peer said in a message that a computation has to finish.
    pub(crate) awaited: Option<Awaited>,
    /// What the peer said in an aggressive mode that is under way.
    pub(crate) half: Option<Half>,
    pub(crate) lifetime: Duration,
    pub(crate) vendor: Seen,
    pub(crate) nat: Nat,
    pub(crate) nonce_i: Vec<u8>,
    pub(crate) nonce_r: Vec<u8>,
    pub(crate) public_i: Vec<u8>,
    pub(crate) public_r: Vec<u8>,
    /// An initiator's, between its two computations.
    pub(crate) private: Option<PrivateValue>,
    /// What the peer's NAT-D payload says of us.
    pub(crate) about_us: Option<Vec<u8>>,
    /// Our address as the peer knows it, if it has told.
    pub(crate) known_as: Option<IpAddr>,
    /// What the peer was found to be in the SA that this one replaces.
    pub(crate) client: Option<ClientKind>,
    pub(crate) identity: IdValue,
    pub(crate) initial_contact: bool,
    pub(crate) nat_t_local: Option<SocketAddr>,
    pub(crate) authentication_failing: bool,
}

impl Negotiation {
    pub(super) fn new(
        config: &Config,
        stage: Stage,
        identity: IdValue,
        sa: Vec<u8>,
        now: Instant,
    ) -> Self {
        Self {
            stage,
            deadline: now + config.negotiation_timeout,
            request: None,
            answer: None,
            sa,
            proposal: None,
            authentication: Authentication::PreSharedKey,
            psk: None,
            candidates: Vec::new(),
            peer: None,
            awaited: None,
            half: None,
            lifetime: config.phase1_lifetime,
            vendor: Seen::default(),
            nat: Nat::default(),
            nonce_i: Vec::new(),
            nonce_r: Vec::new(),
            public_i: Vec::new(),
            public_r: Vec::new(),
            private: None,
            about_us: None,
            known_as: None,
            client: None,
            identity,
            initial_contact: true,
            nat_t_local: None,
            authentication_failing: false,
        }
    }

    /// Whether our proof by a pre-shared key is out, so that a refusal is one of that.
    pub(crate) fn sent_identity(&self) -> bool {
        self.stage == Stage::Sent5 && self.authentication == Authentication::PreSharedKey
    }

    /// Whether time ran out most likely because the pre-shared keys differ.
    pub(crate) fn suspects_psk(&self) -> bool {
        self.authentication_failing && self.authentication == Authentication::PreSharedKey
    }

    /// What the peer is: as known before, for those who say less as responder.
    pub(super) fn client(&self) -> ClientKind {
        self.client.unwrap_or(self.vendor.client)
    }

    pub(super) fn encapsulate(&self, config: &Config) -> bool {
        self.vendor.nat_t.is_some() && (self.nat.any() || config.force_encapsulation)
    }
}

/// Who the peer has proven to be.
pub(super) struct Peer {
    pub(super) id: IdValue,
    /// The name that its certificate gives it.
    pub(super) certificate: Option<String>,
}

impl Peer {
    /// A peer that a pre-shared key has proven.
    pub(super) fn known(id: IdValue) -> Self {
        Self {
            id,
            certificate: None,
        }
    }
}
