//! What is asked, and in which order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_crypto::{BlockCipher, Group, Hash, Rng};
use adit_ike::{Credentials, IkeSa, Opening, Psk, Selector};
use adit_wire::{Channel, LengthTooLarge, Path};

use super::answers;
use crate::probe::choice::{Choice, Method};
use crate::probe::offer::{self, Reply};
use crate::probe::step::{Door, Step};
use crate::probe::{Depth, OWN};
use crate::profile::Profile;

/// One thing to ask.
pub(super) enum Kind {
    /// Whether IKE answers at this door.
    Reach(Door),
    /// What a client of this name would get.
    Profile(&'static str),
    /// Whether aggressive mode is answered.
    Aggressive,
    /// Which of many are taken.
    Batch(Batch),
}

impl Kind {
    pub(super) fn is_reach(&self) -> bool {
        matches!(self, Self::Reach(_))
    }
}

/// A message, ready to go.
pub(super) struct Question {
    pub(super) kind: Kind,
    pub(super) door: Door,
    pub(super) cookie: [u8; 8],
    pub(super) offers: Vec<Choice>,
    message: Vec<u8>,
}

impl Question {
    /// The message as its door wants it.
    pub(super) fn framed(&self) -> Vec<u8> {
        self.door_framed(self.message.clone())
    }

    pub(super) fn door_framed(&self, mut message: Vec<u8>) -> Vec<u8> {
        if self.door == Door::NatT {
            message.splice(0..0, crate::client::NON_ESP_MARKER);
        }
        message
    }
}

/// Transforms of one group and method that are asked for until none is taken any more.
pub(super) struct Batch {
    name: String,
    left: Vec<Choice>,
    taken: Vec<Choice>,
    /// When it was first asked about.
    since: Option<Instant>,
}

impl Batch {
    fn new(name: String, left: Vec<Choice>) -> Self {
        Self {
            name,
            left,
            taken: Vec::new(),
            since: None,
        }
    }

    /// Notes what was taken; `false` if it was not offered or nothing is left to ask.
    pub(super) fn take(&mut self, choice: Choice) -> bool {
        let before = self.left.len();
        self.left.retain(|offer| *offer != choice);
        if self.left.len() == before {
            return false;
        }
        self.taken.push(choice);
        !self.left.is_empty()
    }

    pub(super) fn step(&self, reply: &Option<Reply>, now: Instant) -> Step {
        let took = now.saturating_duration_since(self.since.unwrap_or(now));
        answers::batch(&self.name, &self.taken, reply, took)
    }
}

/// What to ask, and in whose manner.
pub(in crate::probe) struct Plan {
    pub(in crate::probe) config: Arc<adit_ike::Config>,
    pub(in crate::probe) path: Path,
    pub(in crate::probe) profile: &'static str,
    pub(in crate::probe) depth: Depth,
    /// The longest that a question may take.
    pub(in crate::probe) timeout: Duration,
    /// Which round of questions comes next.
    pub(in crate::probe) round: u8,
}

impl Plan {
    pub(super) fn first(&self) -> VecDeque<Kind> {
        let mut kinds = VecDeque::from([Kind::Reach(Door::Ike), Kind::Reach(Door::NatT)]);
        if self.depth != Depth::Quick {
            let own = (self.profile != OWN).then_some(OWN);
            let others = Profile::all().map(|profile| profile.name);
            let others = others.into_iter().filter(|name| *name != self.profile);
            kinds.extend(own.into_iter().chain(others).map(Kind::Profile));
            kinds.push_back(Kind::Aggressive);
        }
        kinds
    }

    pub(super) fn nothing_more(&mut self) {
        self.depth = Depth::Quick;
    }

    /// What else to ask, once all has been answered.
    pub(super) fn more(&mut self, taken: &[Choice]) -> VecDeque<Kind> {
        if self.depth != Depth::Full {
            return VecDeque::new();
        }
        self.round += 1;
        match self.round {
            1 => GROUPS
                .iter()
                .map(|group| {
                    let name = format!("psk {}", group.name());
                    Kind::Batch(Batch::new(name, of_group(*group)))
                })
                .collect(),
            2 => Method::SIGNATURES
                .iter()
                .map(|method| {
                    let offers = known_or_usual(taken);
                    let offers = offers.iter().map(|offer| offer.with(*method)).collect();
                    Kind::Batch(Batch::new(method.name().to_owned(), offers))
                })
                .collect(),
            _ => VecDeque::new(),
        }
    }

    pub(super) fn question(
        &self,
        mut kind: Kind,
        taken: &[Choice],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<Question, LengthTooLarge> {
        let mut cookie: [u8; 8] = rng.u64().max(1).to_be_bytes();
        let door = match kind {
            Kind::Reach(door) => door,
            _ => Door::Ike,
        };
        let message = match &mut kind {
            Kind::Reach(_) => self.in_manner_of(self.profile, now, rng),
            Kind::Profile(name) => self.in_manner_of(name, now, rng),
            Kind::Aggressive => {
                let identity = Selector {
                    id: self.path.local.ip().into(),
                    protocol: 0,
                    port: 0,
                };
                offer::aggressive(cookie, &for_aggressive(taken), &identity, rng)?
            }
            Kind::Batch(batch) => {
                batch.since.get_or_insert(now);
                offer::main_mode(cookie, &batch.left)?
            }
        };
        if let Ok(header) = adit_ike::parse_header(&message) {
            cookie = header.initiator_cookie;
        }
        Ok(Question {
            kind,
            door,
            cookie,
            offers: offer::offered(&message),
            message,
        })
    }

    /// Message 1 as this client words it.
    fn in_manner_of(&self, name: &str, now: Instant, rng: &mut Rng) -> Vec<u8> {
        let mut config = adit_ike::Config::clone(&self.config);
        match Profile::named(name) {
            Some(profile) => profile.apply_ike(&mut config),
            None => config.clone_from(&adit_ike::Config::default()),
        }
        // It never gets as far as using a key.
        let credentials = Arc::new(Credentials::psk(Arc::new(Psk::new([]))));
        let mut sa = IkeSa::initiate(
            &Arc::new(config),
            &credentials,
            Path {
                channel: Channel::Ike,
                ..self.path
            },
            self.path.local,
            Opening::main(self.path.local.ip().into()),
            now,
            rng,
        );
        sa.poll_transmit()
            .map(|sent| sent.payload)
            .unwrap_or_default()
    }
}

/// Groups in the order in which servers most likely have them.
const GROUPS: [Group; 8] = [
    Group::Modp2048,
    Group::Modp1024,
    Group::Ecp384,
    Group::Ecp256,
    Group::Modp3072,
    Group::Modp4096,
    Group::Modp1536,
    Group::Ecp521,
];

const CIPHERS: [BlockCipher; 4] = [
    BlockCipher::Aes256,
    BlockCipher::Aes128,
    BlockCipher::Aes192,
    BlockCipher::TripleDes,
];

const HASHES: [Hash; 5] = [
    Hash::Sha2_256,
    Hash::Sha1,
    Hash::Sha2_384,
    Hash::Sha2_512,
    Hash::Md5,
];

fn of_group(group: Group) -> Vec<Choice> {
    let suites = CIPHERS
        .iter()
        .flat_map(|cipher| HASHES.map(|hash| (*cipher, hash)));
    suites
        .map(|(cipher, hash)| Choice::new(cipher, hash, group, Method::PreSharedKey))
        .collect()
}

/// Most transforms of one message, so that it needs no fragments.
const MOST: usize = 24;

/// What the server is known to take, else what is usual.
fn known_or_usual(taken: &[Choice]) -> Vec<Choice> {
    if !taken.is_empty() {
        return taken.iter().copied().take(MOST).collect();
    }
    let groups = [Group::Modp2048, Group::Ecp256, Group::Ecp384];
    let suites = [
        (BlockCipher::Aes256, Hash::Sha2_256),
        (BlockCipher::Aes256, Hash::Sha2_384),
        (BlockCipher::Aes256, Hash::Sha1),
        (BlockCipher::Aes128, Hash::Sha2_256),
        (BlockCipher::Aes128, Hash::Sha1),
        (BlockCipher::TripleDes, Hash::Sha1),
    ];
    let all = groups
        .iter()
        .flat_map(|group| suites.map(|suite| (suite, *group)));
    all.map(|((cipher, hash), group)| Choice::new(cipher, hash, group, Method::PreSharedKey))
        .collect()
}

/// Aggressive mode settles the group beforehand: one that the server is known to take, if it is
/// such that any number is a public value.
fn for_aggressive(taken: &[Choice]) -> Vec<Choice> {
    let modp = |choice: &&Choice| {
        let group = choice.group();
        group.is_some_and(|group| group.name().starts_with("MODP"))
    };
    let group = taken.iter().find(modp).and_then(Choice::group);
    let group = group.unwrap_or(Group::Modp2048);
    let known: Vec<_> = taken
        .iter()
        .filter(|choice| choice.group() == Some(group))
        .copied()
        .collect();
    if known.is_empty() {
        of_group(group)
    } else {
        known
    }
}
