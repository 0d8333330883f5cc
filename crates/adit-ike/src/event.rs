//! What an ISAKMP SA tells its owner.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::time::Duration;

use adit_crypto::{EspSuite, Group};
use adit_wire::Path;
use zeroize::Zeroizing;

use crate::authentication::Authentication;
use crate::codec::{IdValue, Selector, notify_name};
use crate::config::Phase1Proposal;
use crate::nat::{Nat, NatTVersion};
use crate::proof::Unproven;
use crate::vendor::ClientKind;

/// Key material of one ESP SA; wiped when dropped and never shown.
#[derive(Clone)]
pub struct Keymat(Zeroizing<Vec<u8>>);

impl Keymat {
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl Deref for Keymat {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Keymat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keymat({} bytes)", self.0.len())
    }
}

/// What phase 1 came to.
#[derive(Clone, Debug)]
pub struct Phase1 {
    /// The peer's identification.
    pub peer_id: IdValue,
    /// How the ends proved themselves.
    pub authentication: Authentication,
    /// With certificates, the name of the peer in its own: the subject, or a subjectAltName where
    /// that is empty.
    pub certificate: Option<String>,
    /// The algorithms.
    pub proposal: Phase1Proposal,
    /// Who is behind a NAT.
    pub nat: Nat,
    /// The dialect of NAT traversal, if both ends speak one.
    pub nat_t: Option<NatTVersion>,
    /// Whether ESP should travel in UDP: there is a NAT, or one end pretends so.
    pub encapsulate: bool,
    /// The peer's vendor IDs, the first few.
    pub vendor_ids: Vec<Vec<u8>>,
    /// What the vendor IDs say the peer is.
    pub client: ClientKind,
    /// How long this SA lives.
    pub lifetime: Duration,
    /// Whether the peer answers dead peer detection.
    pub dpd: bool,
}

/// Names a Quick Mode that waits for its owner's decision: its message ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChildId(pub u32);

/// What a peer's Quick Mode asks for, algorithms already chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildOffer {
    /// The chosen algorithms.
    pub suite: EspSuite,
    /// Whether ESP is to travel in UDP.
    pub encapsulation_udp: bool,
    /// Our end of the traffic.
    pub local: Selector,
    /// The peer's end.
    pub remote: Selector,
    /// Group for perfect forward secrecy, if wanted.
    pub pfs: Option<Group>,
    /// Our address as the peer knows it (RFC 3947 5.2).
    pub nat_oa_local: Option<IpAddr>,
    /// The peer's address as it knows it itself.
    pub nat_oa_remote: Option<IpAddr>,
}

/// The pair of ESP SAs that a Quick Mode of ours asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildRequest {
    /// Our end of the traffic.
    pub local: Selector,
    /// The peer's end.
    pub remote: Selector,
    /// Whether ESP is to travel in UDP.
    pub encapsulated: bool,
    /// The only algorithms that are offered; `None`: all that are allowed.
    pub suite: Option<EspSuite>,
}

/// A pair of ESP SAs.
#[derive(Clone, Debug)]
pub struct Child {
    /// SPI of what we receive.
    pub inbound_spi: u32,
    /// SPI of what we send.
    pub outbound_spi: u32,
    /// The algorithms of both.
    pub suite: EspSuite,
    /// Keys of what we receive.
    pub inbound_keymat: Keymat,
    /// Keys of what we send.
    pub outbound_keymat: Keymat,
    /// Whether ESP travels in UDP.
    pub encapsulated: bool,
    /// Whether the sequence numbers of both are extended ones (RFC 4304).
    pub extended_sequence: bool,
    /// Lifetime by time.
    pub lifetime_seconds: Duration,
    /// Lifetime by volume.
    pub lifetime_kilobytes: Option<u64>,
    /// Our end of the traffic.
    pub local: Selector,
    /// The peer's end.
    pub remote: Selector,
    /// Our address as the peer knows it (RFC 3947 5.2).
    pub nat_oa_local: Option<IpAddr>,
    /// The peer's address as it knows it itself.
    pub nat_oa_remote: Option<IpAddr>,
    /// Whether this end started the Quick Mode.
    pub initiated: bool,
}

/// Why a Quick Mode came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChildFailure {
    /// None of the peer's proposals is allowed here.
    #[error("no proposal chosen; offered: {}; allowed: {}", offered.join(", "), allowed.join(", "))]
    NoProposalChosen {
        /// What the peer offered.
        offered: Vec<String>,
        /// What the configuration allows.
        allowed: Vec<String>,
        /// What is offered and could be allowed, the first that is not weak if there is one.
        usable: Option<EspSuite>,
    },
    /// The peer wants other traffic than L2TP.
    #[error("selectors are not for L2TP: local {local}, remote {remote}")]
    Selectors {
        /// Our end, as the peer wants it.
        local: Selector,
        /// The peer's end.
        remote: Selector,
    },
    /// The peer refused ours with this notify message type.
    #[error("refused by the peer with notify {notify}")]
    Refused {
        /// The type.
        notify: u16,
    },
    /// The peer's authenticated answer breaks the protocol.
    #[error("the peer's answer breaks the protocol: {0}")]
    BadAnswer(&'static str),
    /// The peer's Diffie-Hellman value is not valid.
    #[error("the peer's Diffie-Hellman value is not valid")]
    BadPublicValue,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// There is no ISAKMP SA to start it under, or it ended.
    #[error("the ISAKMP SA is not established")]
    NotEstablished,
    /// The owner said no.
    #[error("rejected here with notify {notify}")]
    Rejected {
        /// The notify message type that the peer was told.
        notify: u16,
    },
    /// Too many Quick Modes at once, or a message that cannot be built.
    #[error("out of room for another Quick Mode")]
    Limit,
}

/// Why an SA ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer deleted it.
    #[error("deleted by the peer")]
    DeletedByPeer,
    /// The owner closed it.
    #[error("closed here")]
    DeletedByUs,
    /// The peer answered no dead peer detection.
    #[error("the peer is dead: {tries} questions went unanswered")]
    PeerDead {
        /// Questions asked.
        tries: u32,
    },
    /// Phase 1 did not finish in time.
    #[error("phase 1 did not finish in time")]
    NegotiationTimeout,
    /// The two ends have different pre-shared keys, most likely.
    #[error("authentication failed; most likely the pre-shared keys differ")]
    AuthenticationFailed,
    /// The peer did not prove itself by its certificate.
    #[error("the peer did not prove who it is: {0}")]
    Unproven(Box<Unproven>),
    /// The peer refused phase 1 with this notify message type.
    #[error("refused by the peer with notify {notify}, {}", notify_name(*notify))]
    Refused {
        /// The type.
        notify: u16,
    },
    /// The peer chose what was not offered.
    #[error("the peer chose a proposal that was not offered")]
    BadChoice,
    /// The peer's Diffie-Hellman value is not valid.
    #[error("the peer's Diffie-Hellman value is not valid")]
    BadPublicValue,
    /// A newer SA took its place.
    #[error("superseded by a newer SA")]
    Superseded,
    /// Its lifetime is over.
    #[error("its lifetime is over")]
    LifetimeExpired,
    /// A message could not be built.
    #[error("a message does not fit its length fields")]
    Internal,
}

/// What an SA tells its owner.
#[derive(Clone, Debug)]
pub enum Event {
    /// Phase 1 is done.
    Established(Box<Phase1>),
    /// The peer says that it has no older SA with us (RFC 2407 4.6.3.3). It means this peer only,
    /// not others behind its address.
    InitialContact,
    /// A message that has to prove who the peer is and does not, told once. Anyone may have sent
    /// it, so the SA waits on; but most likely the pre-shared keys differ.
    AuthenticationFailing {
        /// Where it came from.
        path: Path,
        /// The method that was agreed on.
        authentication: Authentication,
    },
    /// The peer wants a pair of ESP SAs: answer with `accept_child` or `reject_child`.
    ChildRequested {
        /// Names the Quick Mode.
        id: ChildId,
        /// What the peer asks for.
        offer: ChildOffer,
    },
    /// A pair of ESP SAs is ready to receive, and to send if `initiated`; otherwise it may send
    /// after [`Event::ChildConfirmed`].
    ChildEstablished(Box<Child>),
    /// The peer has proven that it is ready to receive on the pair.
    ChildConfirmed {
        /// Our inbound SPI.
        inbound_spi: u32,
    },
    /// A Quick Mode came to nothing.
    ChildFailed {
        /// Our inbound SPI, if one was allocated.
        inbound_spi: Option<u32>,
        /// Why.
        reason: ChildFailure,
    },
    /// The peer deleted its inbound SA, which is our outbound one.
    ChildDeleted {
        /// Our outbound SPI.
        outbound_spi: u32,
    },
    /// An authenticated notification that means nothing to this machine.
    PeerNotify {
        /// Notify message type.
        kind: u16,
    },
    /// This SA's lifetime ends soon, so another should be started in its place. A client is told
    /// before the server, which has nothing to do if the client did it.
    RekeyDue,
    /// The SA has ended; nothing follows but what it still has to transmit. Its ESP SAs are the
    /// owner's to keep or to drop.
    Closed(CloseReason),
}
