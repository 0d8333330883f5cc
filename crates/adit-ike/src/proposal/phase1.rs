//! Proposals of phase 1.

use std::fmt;
use std::time::Duration;

use adit_crypto::{BlockCipher, Group, Hash};
use adit_wire::{LengthTooLarge, Writer};

use super::{LIFE_SECONDS, Life, LifeClasses, add_text, is_alone, once, put_life};
use crate::authentication::Authentication;
use crate::codec::{Attributes, Proposal, SecurityAssociation, Transform, protocol, put_tv};
use crate::config::{Config, Phase1Proposal};
use crate::manner::{Manner, Phase1Attribute, Phase1Transform};
use crate::names;

const KEY_IKE: u8 = 1;
const ENCRYPTION: u16 = 1;
const HASH: u16 = 2;
const AUTHENTICATION: u16 = 3;
const GROUP: u16 = 4;
const GROUP_TYPE: u16 = 5;
const KEY_LENGTH: u16 = 14;
const LIFE: LifeClasses = LifeClasses {
    kind: 11,
    duration: 12,
};
const MODP_TYPE: u64 = 1;
const ECP_TYPE: u64 = 2;

const DES: u64 = 1;
const TRIPLE_DES: u64 = 5;
const AES: u64 = 7;

/// Algorithms, and how the ends prove themselves.
pub(crate) type Choice = (Phase1Proposal, Authentication);

/// One transform's attributes as numbers.
#[derive(Default)]
struct Offer {
    encryption: Option<u64>,
    key_bits: Option<u64>,
    hash: Option<u64>,
    authentication: Option<u64>,
    group: Option<u64>,
    group_type: Option<u64>,
    life: Life,
    /// Something repeats or is unknown, so that the transform cannot be taken.
    strange: bool,
}

impl Offer {
    fn read(transform: &Transform<'_>) -> Self {
        let mut offer = Self {
            strange: transform.id != KEY_IKE,
            ..Self::default()
        };
        for attribute in transform.attributes.iter() {
            let slot = match attribute.kind {
                ENCRYPTION => &mut offer.encryption,
                HASH => &mut offer.hash,
                AUTHENTICATION => &mut offer.authentication,
                GROUP => &mut offer.group,
                GROUP_TYPE => &mut offer.group_type,
                KEY_LENGTH => &mut offer.key_bits,
                _ => {
                    offer.strange |= !offer.life.take(&LIFE, &attribute);
                    continue;
                }
            };
            once(slot, &attribute, &mut offer.strange);
        }
        offer
    }

    fn cipher(&self) -> Option<BlockCipher> {
        match (self.encryption?, self.key_bits) {
            (AES, Some(128)) => Some(BlockCipher::Aes128),
            (AES, Some(192)) => Some(BlockCipher::Aes192),
            (AES, Some(256)) => Some(BlockCipher::Aes256),
            (TRIPLE_DES, None) => Some(BlockCipher::TripleDes),
            _ => None,
        }
    }

    fn hash(&self) -> Option<Hash> {
        match self.hash? {
            1 => Some(Hash::Md5),
            2 => Some(Hash::Sha1),
            4 => Some(Hash::Sha2_256),
            5 => Some(Hash::Sha2_384),
            6 => Some(Hash::Sha2_512),
            _ => None,
        }
    }

    fn group(&self) -> Option<Group> {
        Group::from_ike(u16::try_from(self.group?).ok()?)
    }

    fn authentication(&self) -> Option<Authentication> {
        Authentication::from_ike(self.authentication?)
    }

    /// What is offered, if it can be used at all.
    fn choice(&self) -> Option<Choice> {
        let known_type = matches!(self.group_type, None | Some(MODP_TYPE | ECP_TYPE));
        if self.strange || !known_type {
            return None;
        }
        let proposal = Phase1Proposal {
            cipher: self.cipher()?,
            hash: self.hash()?,
            group: self.group()?,
        };
        Some((proposal, self.authentication()?))
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cipher(), self.encryption) {
            (Some(cipher), _) => f.write_str(names::block_cipher(cipher))?,
            (None, Some(DES)) => f.write_str("DES")?,
            (None, number) => write_number(f, "encryption", number)?,
        }
        match self.hash() {
            Some(hash) => write!(f, "/{}", names::hash(hash))?,
            None => write_number(f, "/hash", self.hash)?,
        }
        match self.group() {
            Some(group) => write!(f, "/{}", group.name())?,
            None => write_number(f, "/group", self.group)?,
        }
        match self.authentication() {
            Some(authentication) => write!(f, " with {authentication}")?,
            None => write_number(f, " with authentication", self.authentication)?,
        }
        if self.strange {
            f.write_str(" with unknown attributes")?;
        }
        Ok(())
    }
}

fn write_number(f: &mut fmt::Formatter<'_>, what: &str, number: Option<u64>) -> fmt::Result {
    match number {
        Some(number) => write!(f, "{what} {number}"),
        None => write!(f, "{what} none"),
    }
}

/// What a responder chose.
pub(crate) struct Chosen {
    pub(crate) proposal: Phase1Proposal,
    pub(crate) authentication: Authentication,
    /// The initiator's lifetime, if it stated one.
    pub(crate) lifetime: Option<Duration>,
    /// The body of the SA payload that answers.
    pub(crate) answer: Vec<u8>,
}

/// What an end of phase 1 has to choose from.
pub(crate) struct Policy<'a> {
    pub(crate) config: &'a Config,
    /// The methods that its credentials allow, the preferred one first.
    pub(crate) methods: &'a [Authentication],
    /// The length of the key exchange value, where it came with the offer (aggressive mode).
    pub(crate) public_len: Option<usize>,
}

impl Policy<'_> {
    fn choices(&self) -> impl Iterator<Item = Choice> {
        self.config
            .phase1
            .iter()
            .filter(|proposal| {
                let wanted = proposal.group.public_len();
                self.public_len.is_none_or(|length| length == wanted)
            })
            .flat_map(|proposal| self.methods.iter().map(|method| (*proposal, *method)))
    }
}

/// Chooses from an initiator's SA payload; `Ok(None)` if nothing is allowed here.
pub(crate) fn choose(
    policy: &Policy<'_>,
    sa: &SecurityAssociation<'_>,
) -> Result<Option<Chosen>, LengthTooLarge> {
    let offers: Vec<_> = complete(sa)
        .flat_map(|proposal| proposal.transforms.iter().map(move |t| (proposal, t)))
        .map(|(proposal, transform)| (proposal, transform, Offer::read(transform)))
        .collect();
    for wanted in policy.choices() {
        let found = offers
            .iter()
            .find(|(_, _, offer)| offer.choice() == Some(wanted));
        let Some((proposal, transform, offer)) = found else {
            continue;
        };
        let answer = SecurityAssociation {
            proposals: vec![Proposal {
                number: proposal.number,
                protocol: proposal.protocol,
                spi: &[],
                transforms: vec![**transform],
            }],
        };
        let (proposal, authentication) = wanted;
        return Ok(Some(Chosen {
            proposal,
            authentication,
            lifetime: offer.life.duration(),
            answer: answer.write()?,
        }));
    }
    Ok(None)
}

/// The offered method that would have led to a choice, had the credentials allowed it.
pub(crate) fn missing(policy: &Policy<'_>, sa: &SecurityAssociation<'_>) -> Option<Authentication> {
    possible(sa)
        .find(|(proposal, _)| policy.config.phase1.contains(proposal))
        .map(|(_, authentication)| authentication)
        .filter(|authentication| !policy.methods.contains(authentication))
}

/// What is offered by an allowed method and could be allowed itself: the first that is not weak, or
/// the first at all.
pub(crate) fn usable(policy: &Policy<'_>, sa: &SecurityAssociation<'_>) -> Option<Phase1Proposal> {
    let mut all = possible(sa)
        .filter(|(_, method)| policy.methods.contains(method))
        .map(|(proposal, _)| proposal)
        .filter(|proposal| !policy.config.phase1.contains(proposal));
    let first = all.clone().next();
    all.find(|proposal| proposal.weakness().is_none()).or(first)
}

fn possible<'s>(sa: &'s SecurityAssociation<'_>) -> impl Iterator<Item = Choice> + Clone + use<'s> {
    complete(sa)
        .flat_map(|proposal| &proposal.transforms)
        .filter_map(|transform| Offer::read(transform).choice())
}

fn complete<'s, 'a>(
    sa: &'s SecurityAssociation<'a>,
) -> impl Iterator<Item = &'s Proposal<'a>> + Clone {
    sa.proposals.iter().filter(|proposal| {
        proposal.protocol == protocol::ISAKMP && is_alone(&sa.proposals, proposal)
    })
}

/// What an SA payload offers, in words.
pub(crate) fn offered(sa: &SecurityAssociation<'_>) -> Vec<String> {
    let mut texts = Vec::new();
    for transform in sa
        .proposals
        .iter()
        .flat_map(|proposal| &proposal.transforms)
    {
        add_text(&mut texts, Offer::read(transform).to_string());
    }
    texts
}

/// What is allowed, in words.
pub(crate) fn allowed(policy: &Policy<'_>) -> Vec<String> {
    let mut texts = Vec::new();
    for (proposal, authentication) in policy.choices() {
        add_text(&mut texts, format!("{proposal} with {authentication}"));
    }
    texts
}

/// The body of the SA payload of an initiator: what its manner lists, or all that is allowed, by
/// each of its methods. Only with `group`, if that is given (aggressive mode).
pub(crate) fn offer(
    config: &Config,
    methods: &[Authentication],
    group: Option<Group>,
) -> Result<Vec<u8>, LengthTooLarge> {
    let manner = &config.manner;
    let own = config.phase1.iter().copied().map(Phase1Transform::Usable);
    let offered: Vec<_> = match manner.phase1 {
        [] => own.collect(),
        listed => listed.to_vec(),
    };
    let mut bodies = Vec::new();
    for method in methods {
        for transform in &offered {
            if group.is_none_or(|group| transform.group() == group) {
                let lifetime = config.phase1_lifetime;
                bodies.push(attributes(*transform, *method, manner, lifetime)?);
            }
        }
    }
    let transforms = bodies
        .iter()
        .zip(1..=u8::MAX)
        .filter_map(|(body, number)| {
            Some(Transform {
                number,
                id: KEY_IKE,
                attributes: Attributes::parse(body).ok()?,
            })
        })
        .collect();
    SecurityAssociation {
        proposals: vec![Proposal {
            number: 1,
            protocol: protocol::ISAKMP,
            spi: &[],
            transforms,
        }],
    }
    .write()
}

fn attributes(
    transform: Phase1Transform,
    method: Authentication,
    manner: &Manner,
    lifetime: Duration,
) -> Result<Vec<u8>, LengthTooLarge> {
    let ((encryption, key_bits), hash, group) = match transform {
        Phase1Transform::Usable(proposal) => {
            let cipher = match proposal.cipher {
                BlockCipher::Aes128 => (AES, Some(128)),
                BlockCipher::Aes192 => (AES, Some(192)),
                BlockCipher::Aes256 => (AES, Some(256)),
                BlockCipher::TripleDes => (TRIPLE_DES, None),
            };
            (cipher, proposal.hash, proposal.group)
        }
        Phase1Transform::Des(hash, group) => ((DES, None), hash, group),
    };
    let hash = match hash {
        Hash::Md5 => 1,
        Hash::Sha1 => 2,
        Hash::Sha2_256 => 4,
        Hash::Sha2_384 => 5,
        Hash::Sha2_512 => 6,
    };
    let mut writer = Writer::new();
    for attribute in manner.phase1_attributes {
        match attribute {
            // cast: the constants are small
            Phase1Attribute::Encryption => put_tv(&mut writer, ENCRYPTION, encryption as u16),
            Phase1Attribute::KeyLength => {
                if let Some(bits) = key_bits {
                    put_tv(&mut writer, KEY_LENGTH, bits);
                }
            }
            Phase1Attribute::Hash => put_tv(&mut writer, HASH, hash),
            Phase1Attribute::Group => put_tv(&mut writer, GROUP, group.ike()),
            Phase1Attribute::Authentication => put_tv(&mut writer, AUTHENTICATION, method.ike()),
            Phase1Attribute::Life => put_life(
                &mut writer,
                &LIFE,
                (LIFE_SECONDS, lifetime.as_secs()),
                manner.durations,
            )?,
        }
    }
    Ok(writer.into_vec())
}

/// What a responder's SA payload chose from our offer, and the lifetime it states; `None` if that
/// is no single transform that was offered.
pub(crate) fn chosen(
    policy: &Policy<'_>,
    sa: &SecurityAssociation<'_>,
) -> Option<(Choice, Option<Duration>)> {
    let [proposal] = sa.proposals.as_slice() else {
        return None;
    };
    let [transform] = proposal.transforms.as_slice() else {
        return None;
    };
    let offer = Offer::read(transform);
    let choice = offer.choice()?;
    let mut offered = policy.choices();
    let offered = proposal.protocol == protocol::ISAKMP && offered.any(|own| own == choice);
    offered.then(|| (choice, offer.life.duration()))
}
