//! NAT traversal in the negotiation: RFC 3947 and the drafts that clients still speak.

use std::net::{IpAddr, SocketAddr};

use adit_crypto::{Digest, Hash, constant_time_eq};

use crate::codec::kind;

/// Who is behind a NAT, as the NAT-D payloads tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// We are.
    pub local_behind: bool,
    /// The peer is, or pretends to be.
    pub remote_behind: bool,
}

impl Nat {
    /// Whether anyone is.
    pub fn any(self) -> bool {
        self.local_behind || self.remote_behind
    }
}

/// A dialect of NAT traversal; the smaller one is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatTVersion {
    /// RFC 3947.
    Rfc3947,
    /// draft-ietf-ipsec-nat-t-ike-03.
    Draft03,
    /// draft-ietf-ipsec-nat-t-ike-02 with the line feed that most implementations hash with it.
    Draft02LineFeed,
    /// draft-ietf-ipsec-nat-t-ike-02.
    Draft02,
}

/// ENCAPSULATION-MODE transport (RFC 2407 4.5).
pub(crate) const MODE_TRANSPORT: u16 = 2;
/// UDP-Encapsulated-Transport (RFC 3947 section 5.1).
pub(crate) const MODE_UDP_TRANSPORT: u16 = 4;
/// The same in the drafts.
pub(crate) const MODE_UDP_TRANSPORT_DRAFT: u16 = 61444;

const RFC3947: [u8; 16] = 0x4a131c81_07035845_5c5728f2_0e95452f_u128.to_be_bytes();
const DRAFT_03: [u8; 16] = 0x7d9419a6_5310ca6f_2c179d92_15529d56_u128.to_be_bytes();
const DRAFT_02_LF: [u8; 16] = 0x90cb8091_3ebb696e_086381b5_ec427b1f_u128.to_be_bytes();
const DRAFT_02: [u8; 16] = 0xcd604643_35df21f8_7cfdb2fc_68b6a448_u128.to_be_bytes();

impl NatTVersion {
    /// All, in order of preference.
    pub(crate) const ALL: [Self; 4] = [
        Self::Rfc3947,
        Self::Draft03,
        Self::Draft02LineFeed,
        Self::Draft02,
    ];

    pub(crate) fn vendor_id(self) -> &'static [u8] {
        match self {
            Self::Rfc3947 => &RFC3947,
            Self::Draft03 => &DRAFT_03,
            Self::Draft02LineFeed => &DRAFT_02_LF,
            Self::Draft02 => &DRAFT_02,
        }
    }

    pub(crate) fn from_vendor_id(id: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.vendor_id() == id)
    }

    pub(crate) fn nat_d(self) -> u8 {
        match self {
            Self::Rfc3947 => kind::NAT_D,
            _ => kind::NAT_D_DRAFT,
        }
    }

    pub(crate) fn nat_oa(self) -> u8 {
        match self {
            Self::Rfc3947 => kind::NAT_OA,
            _ => kind::NAT_OA_DRAFT,
        }
    }

    /// ENCAPSULATION-MODE for ESP transport mode in UDP.
    pub(crate) fn udp_transport(self) -> u16 {
        match self {
            Self::Rfc3947 => MODE_UDP_TRANSPORT,
            _ => MODE_UDP_TRANSPORT_DRAFT,
        }
    }
}

/// The hash of a NAT-D payload (RFC 3947 section 3.2) over both cookies and an endpoint.
pub(crate) fn nat_d(hash: Hash, cookies: &[u8; 16], endpoint: SocketAddr) -> Digest {
    let port = endpoint.port().to_be_bytes();
    match endpoint.ip() {
        IpAddr::V4(address) => hash.digest(&[cookies, &address.octets(), &port]),
        IpAddr::V6(address) => hash.digest(&[cookies, &address.octets(), &port]),
    }
}

/// Compares the peer's NAT-D payloads, in order, with where we and the peer may be said to be: the
/// first is about us, each other one about the peer. `None` if there are none.
pub(crate) fn detect<'a>(
    hash: Hash,
    cookies: &[u8; 16],
    local: &[SocketAddr],
    remote: &[SocketAddr],
    mut payloads: impl Iterator<Item = &'a [u8]>,
) -> Option<Nat> {
    let about_us = payloads.next()?;
    let is_one_of = |payload: &[u8], endpoints: &[SocketAddr]| {
        let mut hashes = endpoints.iter().map(|at| nat_d(hash, cookies, *at));
        hashes.any(|hash| constant_time_eq(payload, &hash))
    };
    Some(Nat {
        local_behind: !is_one_of(about_us, local),
        remote_behind: !payloads.any(|payload| is_one_of(payload, remote)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_cookies_address_and_port() {
        let cookies = [9; 16];
        let endpoint = "192.0.2.1:500".parse().unwrap();
        let mut bytes = vec![9; 16];
        bytes.extend([192, 0, 2, 1, 0x01, 0xf4]);
        let hash = Hash::Sha1;
        assert_eq!(nat_d(hash, &cookies, endpoint), hash.digest(&[&bytes]));
    }

    #[test]
    fn each_side_is_judged_alone() {
        let (hash, cookies) = (Hash::Sha2_256, [3; 16]);
        let us: SocketAddr = "[2001:db8::1]:500".parse().unwrap();
        let peer: SocketAddr = "[2001:db8::2]:500".parse().unwrap();
        let inside: SocketAddr = "[fd00::2]:500".parse().unwrap();
        let found = |list: &[SocketAddr]| {
            let hashes: Vec<_> = list.iter().map(|e| nat_d(hash, &cookies, *e)).collect();
            detect(
                hash,
                &cookies,
                &[us],
                &[peer],
                hashes.iter().map(|h| &h[..]),
            )
        };
        let nat = |local_behind, remote_behind| {
            Some(Nat {
                local_behind,
                remote_behind,
            })
        };
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[us, peer]), nat(false, false));
        assert_eq!(found(&[us, inside, peer]), nat(false, false));
        assert_eq!(found(&[us, inside]), nat(false, true));
        assert_eq!(found(&[inside, peer]), nat(true, false));
        assert_eq!(found(&[inside, inside]), nat(true, true));
    }
}
