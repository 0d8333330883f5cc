//! What one end of an ISAKMP SA allows and how patient it is.

use std::fmt;
use std::time::Duration;

use adit_crypto::{BlockCipher, EspCipher, EspMac, EspSuite, Group, Hash, Rng};
use adit_wire::Mark;

use crate::manner::Manner;
use crate::names;

/// A choice of algorithms for phase 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phase1Proposal {
    /// Encryption.
    pub cipher: BlockCipher,
    /// Hash; its HMAC is the PRF.
    pub hash: Hash,
    /// Diffie-Hellman group.
    pub group: Group,
}

impl Phase1Proposal {
    /// The weakest algorithm in it that nobody should rely on any more, if there is one.
    pub fn weakness(&self) -> Option<&'static str> {
        if self.group == Group::Modp1024 {
            Some("MODP-1024")
        } else if self.cipher == BlockCipher::TripleDes {
            Some("3DES")
        } else {
            (self.hash == Hash::Md5).then_some("MD5")
        }
    }
}

impl fmt::Display for Phase1Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            names::block_cipher(self.cipher),
            names::hash(self.hash),
            self.group.name()
        )
    }
}

/// How long an ESP SA may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaLifetime {
    /// By time.
    pub seconds: Duration,
    /// By volume, in kilobytes of 1024 bytes (RFC 2407 4.5).
    pub kilobytes: Option<u64>,
}

/// Dead peer detection (RFC 3706).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dpd {
    /// Silence after which the peer is asked.
    pub idle: Duration,
    /// Time to wait for each answer.
    pub retry: Duration,
    /// Questions without an answer after which the peer is dead.
    pub tries: u32,
}

/// How requests are repeated until they are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmit {
    /// Time before the first repetition; it doubles with each.
    pub first: Duration,
    /// The most that it grows to.
    pub cap: Duration,
    /// Repetitions after which the exchange has failed.
    pub tries: u32,
}

/// Extended sequence numbers (RFC 4303 2.2.1, RFC 4304), with which an ESP SA does not wear out
/// after 2^32 packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtendedSequence {
    /// Never.
    Refuse,
    /// When the peer offers them.
    #[default]
    Accept,
    /// Also offered by this end, before the same without them. Peers that do not know the attribute
    /// may refuse all of an offer for it.
    Offer,
}

/// What one end allows; shared by all of its SAs.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Allowed choices for phase 1. A responder takes the first of its own that is offered, an
    /// initiator offers all in this order.
    pub phase1: Vec<Phase1Proposal>,
    /// Allowed choices for ESP, used in the same way.
    pub esp: Vec<EspSuite>,
    /// Extended sequence numbers for ESP.
    pub extended_sequence: ExtendedSequence,
    /// Group for perfect forward secrecy in the Quick Modes that this end starts. As a responder
    /// it takes part when the initiator wants it, with this group or any of phase 1.
    pub pfs: Option<Group>,
    /// Lifetime of the ISAKMP SA. A responder uses the smaller of this and the initiator's.
    pub phase1_lifetime: Duration,
    /// Lifetime of ESP SAs, used in the same way.
    pub esp_lifetime: SaLifetime,
    /// Whether and when to ask a silent peer; peers that ask are always answered.
    pub dpd: Option<Dpd>,
    /// Repetition of requests.
    pub retransmit: Retransmit,
    /// Time for phase 1 as a whole, and for each Quick Mode.
    pub negotiation_timeout: Duration,
    /// Whether to speak NAT traversal at all.
    pub nat_t: bool,
    /// Whether to pretend that there is a NAT, so that ESP travels in UDP.
    pub force_encapsulation: bool,
    /// Pause between the keepalives of RFC 3948; they are the composition's to send.
    pub keepalive: Duration,
    /// The peer's port for [`adit_wire::Channel::NatT`], to which an initiator moves.
    pub nat_t_port: u16,
    /// The largest IP packet in bytes that a message makes where the peer takes fragments. Longer
    /// messages go to it in fragments; to others they go whole.
    pub fragment_size: u16,
    /// How an initiator words all this; a responder has no use for it.
    pub manner: Manner,
    /// What cookies of ours are marked with, where something before us sorts out messages by it.
    pub mark: Option<Mark>,
}

impl Config {
    /// A new cookie, which is not zero.
    pub(crate) fn cookie(&self, rng: &mut Rng) -> [u8; 8] {
        let drawn = rng.u64();
        match self.mark {
            Some(mark) => mark.cookie((drawn | 1 << 63).to_be_bytes()),
            None => drawn.max(1).to_be_bytes(),
        }
    }
}

impl Default for Config {
    /// What the built-in clients of Windows, macOS, iOS, ChromeOS and Linux agree with, without
    /// anything that is known to be weak.
    fn default() -> Self {
        use BlockCipher::{Aes128, Aes256};
        use Hash::{Sha1, Sha2_256, Sha2_384};
        let phase1 = [
            (Aes256, Sha2_384, Group::Ecp384),
            (Aes256, Sha2_256, Group::Ecp256),
            (Aes256, Sha1, Group::Ecp384),
            (Aes256, Sha2_256, Group::Modp2048),
            (Aes256, Sha1, Group::Modp2048),
            (Aes128, Sha2_256, Group::Modp3072),
            (Aes128, Sha1, Group::Ecp256),
            (Aes128, Sha2_256, Group::Modp2048),
            (Aes128, Sha1, Group::Modp2048),
        ];
        let esp = [
            (EspCipher::AesGcm256, None),
            (EspCipher::AesGcm128, None),
            (EspCipher::AesCbc256, Some(EspMac::HmacSha2_256_128)),
            (EspCipher::AesCbc256, Some(EspMac::HmacSha1_96)),
            (EspCipher::AesCbc128, Some(EspMac::HmacSha2_256_128)),
            (EspCipher::AesCbc128, Some(EspMac::HmacSha1_96)),
        ];
        Self {
            phase1: phase1
                .map(|(cipher, hash, group)| Phase1Proposal {
                    cipher,
                    hash,
                    group,
                })
                .to_vec(),
            esp: esp.map(|(cipher, mac)| EspSuite { cipher, mac }).to_vec(),
            extended_sequence: ExtendedSequence::Accept,
            pfs: None,
            phase1_lifetime: Duration::from_secs(8 * 3600),
            esp_lifetime: SaLifetime {
                seconds: Duration::from_secs(3600),
                kilobytes: None,
            },
            dpd: Some(Dpd {
                idle: Duration::from_secs(60),
                retry: Duration::from_secs(10),
                tries: 5,
            }),
            retransmit: Retransmit {
                first: Duration::from_secs(1),
                cap: Duration::from_secs(8),
                tries: 5,
            },
            negotiation_timeout: Duration::from_secs(30),
            nat_t: true,
            force_encapsulation: false,
            keepalive: Duration::from_secs(20),
            nat_t_port: 4500,
            fragment_size: 1280,
            manner: Manner::OWN,
            mark: None,
        }
    }
}
