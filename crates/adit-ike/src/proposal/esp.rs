//! Proposals of Quick Mode: ESP in transport mode, plain or in UDP.

use std::fmt;

use adit_crypto::{EspCipher, EspMac, EspSuite, Group};
use adit_wire::{LengthTooLarge, Writer};

use super::{LIFE_KILOBYTES, LIFE_SECONDS, Life, LifeClasses, add_text, is_alone, once, put_life};
use crate::codec::{Attributes, Proposal, SecurityAssociation, Transform, protocol, put_tv};
use crate::config::{Config, SaLifetime};
use crate::manner::{DurationFormat, EspAttribute, EspTransform, Layout};
use crate::nat::{MODE_TRANSPORT, MODE_UDP_TRANSPORT, MODE_UDP_TRANSPORT_DRAFT};
use crate::vendor::ClientKind;

const ESP_DES: u8 = 2;
const ESP_3DES: u8 = 3;
const ESP_NULL: u8 = 11;
const ESP_AES_CBC: u8 = 12;
const ESP_AES_GCM_16: u8 = 20;

const GROUP: u16 = 3;
const ENCAPSULATION: u16 = 4;
const AUTHENTICATION: u16 = 5;
const KEY_LENGTH: u16 = 6;
/// Extended sequence numbers (RFC 4304).
const EXTENDED: u16 = 11;
const LIFE: LifeClasses = LifeClasses {
    kind: 1,
    duration: 2,
};

/// SPIs below this are reserved (RFC 4303 section 2.1).
const FIRST_SPI: u32 = 256;

#[derive(Default)]
struct Offer {
    id: u8,
    key_bits: Option<u64>,
    mac: Option<u64>,
    mode: Option<u64>,
    group: Option<u64>,
    extended: Option<u64>,
    life: Life,
    /// Something repeats or is unknown, so that the transform cannot be taken.
    strange: bool,
}

impl Offer {
    fn read(transform: &Transform<'_>) -> Self {
        let mut offer = Self {
            id: transform.id,
            ..Self::default()
        };
        for attribute in transform.attributes.iter() {
            let slot = match attribute.kind {
                GROUP => &mut offer.group,
                ENCAPSULATION => &mut offer.mode,
                AUTHENTICATION => &mut offer.mac,
                KEY_LENGTH => &mut offer.key_bits,
                EXTENDED => &mut offer.extended,
                _ => {
                    offer.strange |= !offer.life.take(&LIFE, &attribute);
                    continue;
                }
            };
            once(slot, &attribute, &mut offer.strange);
        }
        offer
    }

    fn cipher(&self) -> Option<EspCipher> {
        match (self.id, self.key_bits) {
            (ESP_3DES, None) => Some(EspCipher::TripleDes),
            // Without a key length peers mean the default of 128 bits.
            (ESP_AES_CBC, None | Some(128)) => Some(EspCipher::AesCbc128),
            (ESP_AES_CBC, Some(192)) => Some(EspCipher::AesCbc192),
            (ESP_AES_CBC, Some(256)) => Some(EspCipher::AesCbc256),
            (ESP_AES_GCM_16, Some(128)) => Some(EspCipher::AesGcm128),
            (ESP_AES_GCM_16, Some(256)) => Some(EspCipher::AesGcm256),
            _ => None,
        }
    }

    fn mac(&self) -> Option<EspMac> {
        match self.mac? {
            1 => Some(EspMac::HmacMd5_96),
            2 => Some(EspMac::HmacSha1_96),
            5 => Some(EspMac::HmacSha2_256_128),
            6 => Some(EspMac::HmacSha2_384_192),
            7 => Some(EspMac::HmacSha2_512_256),
            _ => None,
        }
    }

    fn suite(&self) -> Option<EspSuite> {
        let mac = self.mac();
        if self.strange || mac.is_some() != self.mac.is_some() {
            return None;
        }
        EspSuite::new(self.cipher()?, mac).ok()
    }

    /// Whether sequence numbers are to be extended ones; `None` if that is not clear. Early
    /// strongSwan says the reserved value 0 where there are none.
    fn extended(&self) -> Option<bool> {
        match self.extended {
            None | Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) => None,
        }
    }

    /// Whether ESP is to travel in UDP; `None` unless this is transport mode.
    fn udp(&self) -> Option<bool> {
        match u16::try_from(self.mode?).ok()? {
            MODE_TRANSPORT => Some(false),
            MODE_UDP_TRANSPORT | MODE_UDP_TRANSPORT_DRAFT => Some(true),
            _ => None,
        }
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.suite(), self.id) {
            (Some(suite), _) => f.write_str(&suite.name())?,
            (None, ESP_DES) => f.write_str("DES")?,
            (None, ESP_NULL) => f.write_str("NULL")?,
            (None, id) => write!(f, "transform {id}")?,
        }
        if self.suite().is_none() {
            if let Some(bits) = self.key_bits {
                write!(f, " of {bits} bits")?;
            }
            if let Some(mac) = self.mac {
                write!(f, "/authentication {mac}")?;
            }
        }
        match (self.udp(), self.mode) {
            (Some(_), _) => {}
            (None, Some(1 | 3 | 61443)) => f.write_str(" in tunnel mode")?,
            (None, Some(mode)) => write!(f, " in mode {mode}")?,
            (None, None) => f.write_str(" in no mode")?,
        }
        if let Some(group) = self.group {
            write!(f, " with group {group}")?;
        }
        match (self.extended(), self.extended) {
            (Some(false), _) => {}
            (Some(true), _) => f.write_str(" with extended sequence numbers")?,
            (None, value) => write!(f, " with sequence numbers {}", value.unwrap_or_default())?,
        }
        Ok(())
    }
}

/// What one end of a Quick Mode knows when it reads the other's SA payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Whether ESP in UDP was negotiated at all.
    pub(crate) udp_allowed: bool,
    /// Whether it is needed, so that it is preferred.
    pub(crate) udp_wanted: bool,
    /// Whether a key exchange payload is there.
    pub(crate) key_exchange: bool,
    /// What the peer is.
    pub(crate) client: ClientKind,
    /// Whether extended sequence numbers may be taken.
    pub(crate) extended_allowed: bool,
}

/// A chosen transform.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) suite: EspSuite,
    pub(crate) udp: bool,
    pub(crate) extended: bool,
    pub(crate) group: Option<Group>,
    pub(crate) life: Life,
    /// The peer's inbound SPI.
    pub(crate) peer_spi: u32,
    number: u8,
    transform: (u8, u8),
    attributes: Vec<u8>,
}

impl Chosen {
    /// Takes over what a RESPONDER-LIFETIME notification makes shorter.
    pub(crate) fn shorten(&mut self, by: &Life) {
        self.life.seconds = [self.life.seconds, by.seconds].into_iter().flatten().min();
        self.life.kilobytes = [self.life.kilobytes, by.kilobytes]
            .into_iter()
            .flatten()
            .min();
    }

    /// The body of the SA payload that answers, with our SPI.
    pub(crate) fn answer(&self, spi: u32) -> Result<Vec<u8>, LengthTooLarge> {
        let attributes = Attributes::parse(&self.attributes);
        let transforms = attributes.map(|attributes| Transform {
            number: self.transform.0,
            id: self.transform.1,
            attributes,
        });
        SecurityAssociation {
            proposals: vec![Proposal {
                number: self.number,
                protocol: protocol::ESP,
                spi: &spi.to_be_bytes(),
                transforms: transforms.into_iter().collect(),
            }],
        }
        .write()
    }
}

fn take(
    proposal: &Proposal<'_>,
    transform: &Transform<'_>,
    context: &Context,
    group_allowed: impl Fn(Group) -> bool,
) -> Option<Chosen> {
    let offer = Offer::read(transform);
    let suite = offer.suite()?;
    let udp = offer.udp().filter(|udp| !udp || context.udp_allowed)?;
    let allowed = |extended: &bool| !extended || context.extended_allowed;
    let extended = offer.extended().filter(allowed)?;
    let group = match offer.group {
        None => None,
        Some(id) => Some(
            u16::try_from(id)
                .ok()
                .and_then(Group::from_ike)
                .filter(|group| group_allowed(*group))?,
        ),
    };
    let peer_spi = proposal.spi.try_into().ok().map(u32::from_be_bytes)?;
    let usable = group.is_some() == context.key_exchange && peer_spi >= FIRST_SPI;
    usable.then(|| Chosen {
        suite,
        udp,
        extended,
        group,
        life: offer.life,
        peer_spi,
        number: proposal.number,
        transform: (transform.number, transform.id),
        attributes: transform.attributes.as_bytes().to_vec(),
    })
}

/// Chooses from an initiator's SA payload; `None` if nothing is allowed here.
pub(crate) fn choose(
    config: &Config,
    sa: &SecurityAssociation<'_>,
    context: &Context,
) -> Option<Chosen> {
    let group_allowed = |group| {
        config.pfs == Some(group) || config.phase1.iter().any(|choice| choice.group == group)
    };
    let offers: Vec<_> = offers(sa, context, group_allowed).collect();
    preferences(&config.esp, context.client).find_map(|suite| {
        let mut all = offers.iter().filter(|chosen| chosen.suite == suite);
        let first = all.clone().next();
        all.find(|chosen| chosen.udp == context.udp_wanted)
            .or(first)
            .cloned()
    })
}

/// What can be served of an SA payload, with a group that is allowed.
fn offers<'s>(
    sa: &'s SecurityAssociation<'_>,
    context: &'s Context,
    group_allowed: impl Fn(Group) -> bool + Copy + 's,
) -> impl Iterator<Item = Chosen> + 's {
    sa.proposals
        .iter()
        .filter(|proposal| proposal.protocol == protocol::ESP && is_alone(&sa.proposals, proposal))
        .flat_map(|proposal| proposal.transforms.iter().map(move |t| (proposal, t)))
        .filter_map(move |(proposal, transform)| take(proposal, transform, context, group_allowed))
}

/// Our order of preference. Android kernels cut HMAC-SHA2-256 at 96 bits, so for them it is last.
fn preferences(esp: &[EspSuite], client: ClientKind) -> impl Iterator<Item = EspSuite> + '_ {
    let doubtful = move |suite: &EspSuite| {
        client == ClientKind::Android && suite.mac == Some(EspMac::HmacSha2_256_128)
    };
    let sure = esp.iter().filter(move |suite| !doubtful(suite));
    sure.chain(esp.iter().filter(move |suite| doubtful(suite)))
        .copied()
}

/// What an SA payload offers, in words.
pub(crate) fn offered(sa: &SecurityAssociation<'_>) -> Vec<String> {
    let mut texts = Vec::new();
    for proposal in &sa.proposals {
        if proposal.protocol != protocol::ESP {
            add_text(&mut texts, format!("protocol {}", proposal.protocol));
            continue;
        }
        for transform in &proposal.transforms {
            add_text(&mut texts, Offer::read(transform).to_string());
        }
    }
    texts
}

/// What is offered as it can be served, and could be allowed: the first that is not weak, or the
/// first at all.
pub(crate) fn usable(
    config: &Config,
    sa: &SecurityAssociation<'_>,
    context: &Context,
) -> Option<EspSuite> {
    let mut all = offers(sa, context, |_| true)
        .map(|chosen| chosen.suite)
        .filter(|suite| !config.esp.contains(suite));
    let first = all.next();
    let strong = |suite: &EspSuite| suite.weakness().is_none();
    first.filter(strong).or_else(|| all.find(strong)).or(first)
}

/// What the configuration allows, in words.
pub(crate) fn allowed(config: &Config) -> Vec<String> {
    config.esp.iter().map(|suite| suite.name()).collect()
}

/// The body of the SA payload of an initiator: one choice, what its manner lists, or all that is
/// allowed; each also, and first, with extended sequence numbers if they are wanted.
pub(crate) fn offer(
    config: &Config,
    only: Option<EspSuite>,
    mode: u16,
    group: Option<Group>,
    spi: u32,
    extended: bool,
) -> Result<Vec<u8>, LengthTooLarge> {
    let own = config.esp.iter().copied().map(EspTransform::Usable);
    let offered: Vec<_> = match (only, config.manner.esp) {
        (Some(only), _) => vec![EspTransform::Usable(only)],
        (None, []) => own.collect(),
        (None, listed) => listed.to_vec(),
    };
    let mut bodies = Vec::new();
    for transform in offered {
        if extended {
            bodies.push(attributes(transform, config, mode, group, true)?);
        }
        bodies.push(attributes(transform, config, mode, group, false)?);
    }
    let spi = spi.to_be_bytes();
    let proposal = |number, transforms| Proposal {
        number,
        protocol: protocol::ESP,
        spi: &spi,
        transforms,
    };
    let mut transforms = Vec::new();
    for ((id, body), number) in bodies.iter().zip(1..=u8::MAX) {
        let Ok(attributes) = Attributes::parse(body) else {
            continue;
        };
        transforms.push(Transform {
            number,
            id: *id,
            attributes,
        });
    }
    let proposals = match config.manner.esp_layout {
        Layout::OneProposal => vec![proposal(1, transforms)],
        Layout::ProposalEach => transforms
            .into_iter()
            .map(|transform| {
                let alone = Transform {
                    number: 1,
                    ..transform
                };
                proposal(transform.number, vec![alone])
            })
            .collect(),
    };
    SecurityAssociation { proposals }.write()
}

fn attributes(
    transform: EspTransform,
    config: &Config,
    mode: u16,
    group: Option<Group>,
    extended: bool,
) -> Result<(u8, Vec<u8>), LengthTooLarge> {
    let ((id, key_bits), mac) = match transform {
        EspTransform::Usable(suite) => {
            let cipher = match suite.cipher {
                EspCipher::TripleDes => (ESP_3DES, None),
                EspCipher::AesCbc128 => (ESP_AES_CBC, Some(128)),
                EspCipher::AesCbc192 => (ESP_AES_CBC, Some(192)),
                EspCipher::AesCbc256 => (ESP_AES_CBC, Some(256)),
                EspCipher::AesGcm128 => (ESP_AES_GCM_16, Some(128)),
                EspCipher::AesGcm256 => (ESP_AES_GCM_16, Some(256)),
            };
            (cipher, suite.mac)
        }
        EspTransform::Des(mac) => ((ESP_DES, None), Some(mac)),
        EspTransform::Null(mac) => ((ESP_NULL, None), Some(mac)),
    };
    let mac = mac.map(|mac| match mac {
        EspMac::HmacMd5_96 => 1,
        EspMac::HmacSha1_96 => 2,
        // Cut or not is not said; those who cut say this.
        EspMac::HmacSha2_256_128 | EspMac::HmacSha2_256_96 => 5,
        EspMac::HmacSha2_384_192 => 6,
        EspMac::HmacSha2_512_256 => 7,
    });
    let mut writer = Writer::new();
    for attribute in config.manner.esp_attributes {
        let (kind, value) = match attribute {
            EspAttribute::Life => {
                let SaLifetime { seconds, kilobytes } = config.esp_lifetime;
                let durations = config.manner.durations;
                put_lifetime(&mut writer, Some(seconds.as_secs()), kilobytes, durations)?;
                continue;
            }
            EspAttribute::Mode => (ENCAPSULATION, Some(mode)),
            EspAttribute::KeyLength => (KEY_LENGTH, key_bits),
            EspAttribute::Authentication => (AUTHENTICATION, mac),
            EspAttribute::Group => (GROUP, group.map(Group::ike)),
        };
        if let Some(value) = value {
            put_tv(&mut writer, kind, value);
        }
    }
    if extended {
        put_tv(&mut writer, EXTENDED, 1);
    }
    Ok((id, writer.into_vec()))
}

fn put_lifetime(
    writer: &mut Writer,
    seconds: Option<u64>,
    kilobytes: Option<u64>,
    format: DurationFormat,
) -> Result<(), LengthTooLarge> {
    if let Some(seconds) = seconds {
        put_life(writer, &LIFE, (LIFE_SECONDS, seconds), format)?;
    }
    if let Some(kilobytes) = kilobytes {
        put_life(writer, &LIFE, (LIFE_KILOBYTES, kilobytes), format)?;
    }
    Ok(())
}

/// What a responder's SA payload chose from our offer; `None` if that is no single transform that
/// was offered.
pub(crate) fn chosen(
    config: &Config,
    sa: &SecurityAssociation<'_>,
    context: &Context,
    group: Option<Group>,
) -> Option<Chosen> {
    let [proposal] = sa.proposals.as_slice() else {
        return None;
    };
    let [transform] = proposal.transforms.as_slice() else {
        return None;
    };
    if proposal.protocol != protocol::ESP {
        return None;
    }
    take(proposal, transform, context, |chosen| Some(chosen) == group).filter(|chosen| {
        config.esp.contains(&chosen.suite)
            && chosen.udp == context.udp_wanted
            && chosen.group == group
    })
}

/// The data of a RESPONDER-LIFETIME notification (RFC 2407 4.6.3.1).
pub(crate) fn responder_lifetime(
    seconds: Option<u64>,
    kilobytes: Option<u64>,
) -> Result<Vec<u8>, LengthTooLarge> {
    let mut writer = Writer::new();
    put_lifetime(&mut writer, seconds, kilobytes, DurationFormat::Long)?;
    Ok(writer.into_vec())
}

/// Reads what [`responder_lifetime`] writes.
pub(crate) fn read_responder_lifetime(data: &[u8]) -> Life {
    let mut life = Life::default();
    for attribute in Attributes::parse(data).iter().flat_map(Attributes::iter) {
        life.take(&LIFE, &attribute);
    }
    life
}
