//! The manner of an initiator: how it words what it offers, so that it can speak as other
//! implementations do. The protocol is the same in every manner (RFC 2408, RFC 2409, RFC 2407);
//! none of this decides what is accepted, which is [`Config`](crate::Config)'s to say.

use adit_crypto::{EspMac, EspSuite, Group, Hash};

use crate::config::Phase1Proposal;

/// A transform of phase 1, as it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase1Transform {
    /// One that can be used, if the configuration allows it.
    Usable(Phase1Proposal),
    /// DES, which some clients offer: said, never taken.
    Des(Hash, Group),
}

impl Phase1Transform {
    /// Its Diffie-Hellman group.
    pub(crate) fn group(&self) -> Group {
        match self {
            Self::Usable(proposal) => proposal.group,
            Self::Des(_, group) => *group,
        }
    }
}

/// A transform of Quick Mode, as it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EspTransform {
    /// One that can be used, if the configuration allows it.
    Usable(EspSuite),
    /// DES, which some clients offer: said, never taken.
    Des(EspMac),
    /// NULL encryption, likewise.
    Null(EspMac),
}

/// An attribute of phase 1 (RFC 2409 Appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase1Attribute {
    /// Encryption algorithm.
    Encryption,
    /// Key length, where the cipher has more than one.
    KeyLength,
    /// Hash algorithm.
    Hash,
    /// Group description.
    Group,
    /// Authentication method.
    Authentication,
    /// Life type and, behind it, life duration.
    Life,
}

/// An attribute of Quick Mode (RFC 2407 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EspAttribute {
    /// Life type and life duration, first in seconds, then in kilobytes if there is such a limit.
    Life,
    /// Encapsulation mode.
    Mode,
    /// Key length, where the cipher has more than one.
    KeyLength,
    /// Authentication algorithm, if there is one.
    Authentication,
    /// Group description, with perfect forward secrecy.
    Group,
}

/// How a life duration is written (RFC 2408 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationFormat {
    /// TV where two bytes are enough, else as `Long`.
    Short,
    /// TLV of four bytes.
    Long,
}

/// How alternatives are laid out in a Quick Mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One proposal with all transforms.
    OneProposal,
    /// A proposal for each transform, numbered from 1.
    ProposalEach,
}

/// Where INITIAL-CONTACT is said (RFC 2407 section 4.6.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialContact {
    /// In message 5 of main mode.
    WithIdentity,
    /// In an informational exchange right after main mode.
    Alone,
    /// Nowhere.
    Never,
}

/// How Quick Modes get their message IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageIds {
    /// At random.
    Random,
    /// 1, 2, 3 and so on.
    Counted,
}

/// How an initiator speaks. The default is adit's own manner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Transforms of phase 1 in order; empty: those that the configuration allows.
    pub phase1: &'static [Phase1Transform],
    /// Order of their attributes.
    pub phase1_attributes: &'static [Phase1Attribute],
    /// Transforms of Quick Mode in order; empty: those that the configuration allows.
    pub esp: &'static [EspTransform],
    /// Order of their attributes.
    pub esp_attributes: &'static [EspAttribute],
    /// Layout of Quick Mode proposals.
    pub esp_layout: Layout,
    /// Format of the life durations of both phases.
    pub durations: DurationFormat,
    /// The vendor IDs of message 1, byte for byte and in order; `None`: adit's own.
    pub vendor_ids: Option<&'static [&'static [u8]]>,
    /// Bytes of nonces; between 8 and 256 (RFC 2409 section 5).
    pub nonce_len: usize,
    /// Where INITIAL-CONTACT is said.
    pub initial_contact: InitialContact,
    /// Message IDs of Quick Modes.
    pub message_ids: MessageIds,
    /// Whether NAT-OA payloads go with ESP in UDP (RFC 3947 section 5.2).
    pub nat_oa: bool,
    /// What the first reserved byte of these holds; receivers ignore it.
    pub nat_oa_reserved: u8,
    /// Whether tunnel mode is asked for where transport mode would be: said, never taken.
    pub tunnel: bool,
}

impl Manner {
    /// adit's own manner.
    pub const OWN: Self = Self {
        phase1: &[],
        phase1_attributes: &[
            Phase1Attribute::Encryption,
            Phase1Attribute::KeyLength,
            Phase1Attribute::Hash,
            Phase1Attribute::Group,
            Phase1Attribute::Authentication,
            Phase1Attribute::Life,
        ],
        esp: &[],
        esp_attributes: &[
            EspAttribute::Life,
            EspAttribute::Mode,
            EspAttribute::KeyLength,
            EspAttribute::Authentication,
            EspAttribute::Group,
        ],
        esp_layout: Layout::OneProposal,
        durations: DurationFormat::Long,
        vendor_ids: None,
        nonce_len: crate::phase1::NONCE_LEN,
        initial_contact: InitialContact::WithIdentity,
        message_ids: MessageIds::Random,
        nat_oa: true,
        nat_oa_reserved: 0,
        tunnel: false,
    };

    /// The transforms of phase 1 that can be used, as a configuration lists them.
    pub fn phase1_proposals(&self) -> Vec<Phase1Proposal> {
        let usable = self.phase1.iter().filter_map(|transform| match transform {
            Phase1Transform::Usable(proposal) => Some(*proposal),
            Phase1Transform::Des(..) => None,
        });
        usable.collect()
    }

    /// The transforms of Quick Mode that can be used, as a configuration lists them.
    pub fn esp_suites(&self) -> Vec<EspSuite> {
        let usable = self.esp.iter().filter_map(|transform| match transform {
            EspTransform::Usable(suite) => Some(*suite),
            EspTransform::Des(_) | EspTransform::Null(_) => None,
        });
        usable.collect()
    }

    /// A nonce of this manner's length.
    pub(crate) fn nonce(&self, rng: &mut adit_crypto::Rng) -> Vec<u8> {
        let mut nonce = vec![0; self.nonce_len.clamp(8, 256)];
        rng.fill(&mut nonce);
        nonce
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self::OWN
    }
}
