//! The ECP groups (RFC 5903): private scalars, points as x and y without the 0x04 of SEC 1.

use p256::NistP256;
use p256::elliptic_curve::{
    AffinePoint, CurveArithmetic, FieldBytesSize, PublicKey, SecretKey,
    sec1::{FromSec1Point, ModulusSize, ToSec1Point},
};
use p384::NistP384;
use p521::NistP521;
use zeroize::Zeroizing;

use super::Group;
use crate::Rng;

/// A scalar from 1 to the group's order less 1. `SecretKey` wipes itself on drop.
pub(super) enum Scalar {
    P256(SecretKey<NistP256>),
    P384(SecretKey<NistP384>),
    P521(SecretKey<NistP521>),
}

impl Scalar {
    pub(super) fn draw_p256(rng: &mut Rng) -> Self {
        Self::P256(draw::<NistP256, 32>(rng, 0xff))
    }

    pub(super) fn draw_p384(rng: &mut Rng) -> Self {
        Self::P384(draw::<NistP384, 48>(rng, 0xff))
    }

    pub(super) fn draw_p521(rng: &mut Rng) -> Self {
        // 521 bits in 66 bytes leave one bit in the first.
        Self::P521(draw::<NistP521, 66>(rng, 0x01))
    }

    pub(super) fn group(&self) -> Group {
        match self {
            Self::P256(_) => Group::Ecp256,
            Self::P384(_) => Group::Ecp384,
            Self::P521(_) => Group::Ecp521,
        }
    }

    pub(super) fn public(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => public(key),
            Self::P384(key) => public(key),
            Self::P521(key) => public(key),
        }
    }

    /// The x coordinate of the common point; `None` if `peer` is not a point of the curve.
    pub(super) fn agree(&self, peer: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::P256(key) => agree(key, peer),
            Self::P384(key) => agree(key, peer),
            Self::P521(key) => agree(key, peer),
        }
    }
}

/// Draws until the number is in range, which nearly always is the first time. `mask` keeps the
/// bits of the first byte that the order has.
fn draw<C: CurveArithmetic, const N: usize>(rng: &mut Rng, mask: u8) -> SecretKey<C> {
    let mut bytes = Zeroizing::new([0; N]);
    loop {
        rng.fill(bytes.as_mut());
        if let Some(first) = bytes.first_mut() {
            *first &= mask;
        }
        if let Ok(key) = SecretKey::from_slice(bytes.as_ref()) {
            return key;
        }
    }
}

fn public<C>(key: &SecretKey<C>) -> Vec<u8>
where
    C: CurveArithmetic,
    AffinePoint<C>: ToSec1Point<C> + FromSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let point = key.public_key().to_sec1_point(false);
    point.as_bytes().iter().skip(1).copied().collect()
}

fn agree<C>(key: &SecretKey<C>, peer: &[u8]) -> Option<Zeroizing<Vec<u8>>>
where
    C: CurveArithmetic,
    AffinePoint<C>: ToSec1Point<C> + FromSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    const UNCOMPRESSED: u8 = 0x04;
    let mut encoded = Vec::with_capacity(peer.len().saturating_add(1));
    encoded.push(UNCOMPRESSED);
    encoded.extend_from_slice(peer);
    // The points of these curves have no small subgroups, and the point at infinity has no
    // uncompressed encoding: to be on the curve is all there is to check.
    let peer = PublicKey::<C>::from_sec1_bytes(&encoded).ok()?;
    let shared = key.diffie_hellman(&peer);
    Some(Zeroizing::new(shared.raw_secret_bytes().to_vec()))
}

#[cfg(test)]
impl Scalar {
    /// A scalar from a test vector.
    pub(super) fn from_vector(group: Group, bytes: &[u8]) -> Self {
        match group {
            Group::Ecp256 => Self::P256(SecretKey::from_slice(bytes).unwrap()),
            Group::Ecp384 => Self::P384(SecretKey::from_slice(bytes).unwrap()),
            Group::Ecp521 => Self::P521(SecretKey::from_slice(bytes).unwrap()),
            other => panic!("{other} is not a curve"),
        }
    }
}
