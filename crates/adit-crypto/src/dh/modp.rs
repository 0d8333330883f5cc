//! The MODP groups (RFC 2409 6.2, RFC 3526): safe primes p with generator 2, powers by Montgomery
//! multiplication in constant time.
//!
//! Exponents are short. In a group of a safe prime, the best attack on an exponent of n bits costs
//! 2^(n/2), so an exponent of twice the group's strength is as strong as a full one (RFC 3526
//! section 8, RFC 7919 section 5.2) and several times as fast. 256 bits for up to 2048 (strength
//! below 112), 320 for 3072 (128) and 384 for 4096 (152) all have some room above that.

use std::sync::LazyLock;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U384, U1024, U1536, U2048, U3072, U4096, Uint};
use zeroize::{Zeroize, Zeroizing};

use super::Group;
use crate::Rng;

/// Which prime.
#[derive(Clone, Copy)]
pub(super) enum Size {
    Bits1024,
    Bits1536,
    Bits2048,
    Bits3072,
    Bits4096,
}

impl Size {
    /// Bits of a private exponent; a multiple of 8 and at most 384.
    fn exponent_bits(self) -> u32 {
        match self {
            Self::Bits1024 | Self::Bits1536 | Self::Bits2048 => 256,
            Self::Bits3072 => 320,
            Self::Bits4096 => 384,
        }
    }
}

type Params<const LIMBS: usize> = FixedMontyParams<LIMBS>;

static P1024: LazyLock<Params<{ U1024::LIMBS }>> =
    LazyLock::new(|| Params::new_vartime(Odd::<U1024>::from_be_hex(PRIME_1024)));
static P1536: LazyLock<Params<{ U1536::LIMBS }>> =
    LazyLock::new(|| Params::new_vartime(Odd::<U1536>::from_be_hex(PRIME_1536)));
static P2048: LazyLock<Params<{ U2048::LIMBS }>> =
    LazyLock::new(|| Params::new_vartime(Odd::<U2048>::from_be_hex(PRIME_2048)));
static P3072: LazyLock<Params<{ U3072::LIMBS }>> =
    LazyLock::new(|| Params::new_vartime(Odd::<U3072>::from_be_hex(PRIME_3072)));
static P4096: LazyLock<Params<{ U4096::LIMBS }>> =
    LazyLock::new(|| Params::new_vartime(Odd::<U4096>::from_be_hex(PRIME_4096)));

/// A private exponent.
pub(super) struct Exponent {
    size: Size,
    value: Zeroizing<U384>,
}

impl Exponent {
    pub(super) fn draw(size: Size, rng: &mut Rng) -> Self {
        let mut bytes = Zeroizing::new([0_u8; 48]);
        let unused = bytes.len() - size.exponent_bits() as usize / 8;
        // Zero would give the public value 1; it is drawn once in 2^256 times.
        while bytes.iter().all(|byte| *byte == 0) {
            rng.fill(bytes.get_mut(unused..).unwrap_or_default());
        }
        Self {
            size,
            value: Zeroizing::new(U384::from_be_slice(bytes.as_ref())),
        }
    }

    pub(super) fn group(&self) -> Group {
        match self.size {
            Size::Bits1024 => Group::Modp1024,
            Size::Bits1536 => Group::Modp1536,
            Size::Bits2048 => Group::Modp2048,
            Size::Bits3072 => Group::Modp3072,
            Size::Bits4096 => Group::Modp4096,
        }
    }

    pub(super) fn public(&self) -> Vec<u8> {
        match self.size {
            Size::Bits1024 => self.power(&P1024, &U1024::from_u8(2)),
            Size::Bits1536 => self.power(&P1536, &U1536::from_u8(2)),
            Size::Bits2048 => self.power(&P2048, &U2048::from_u8(2)),
            Size::Bits3072 => self.power(&P3072, &U3072::from_u8(2)),
            Size::Bits4096 => self.power(&P4096, &U4096::from_u8(2)),
        }
    }

    /// The shared secret; `None` if `peer` is not from 2 to p-2 or has not the length of p.
    pub(super) fn agree(&self, peer: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let secret = match self.size {
            Size::Bits1024 => self.power(&P1024, &checked(&P1024, peer)?),
            Size::Bits1536 => self.power(&P1536, &checked(&P1536, peer)?),
            Size::Bits2048 => self.power(&P2048, &checked(&P2048, peer)?),
            Size::Bits3072 => self.power(&P3072, &checked(&P3072, peer)?),
            Size::Bits4096 => self.power(&P4096, &checked(&P4096, peer)?),
        };
        Some(Zeroizing::new(secret))
    }

    /// `base` to the exponent, with the length of the prime.
    fn power<const LIMBS: usize>(&self, params: &Params<LIMBS>, base: &Uint<LIMBS>) -> Vec<u8> {
        // Only the number of bits, which is public, shows in the time.
        let mut power = FixedMontyForm::new(base, params)
            .pow_bounded_exp(&*self.value, self.size.exponent_bits());
        let mut value = power.retrieve();
        let mut encoded = value.to_be_bytes();
        let bytes = encoded.as_slice().to_vec();
        encoded.zeroize();
        value.zeroize();
        power.zeroize();
        bytes
    }
}

/// Reads a peer's value and checks that it is from 2 to p-2.
fn checked<const LIMBS: usize>(params: &Params<LIMBS>, peer: &[u8]) -> Option<Uint<LIMBS>> {
    // `from_be_slice` wants the exact length and would panic.
    if peer.len() != Uint::<LIMBS>::BYTES {
        return None;
    }
    let value = Uint::from_be_slice(peer);
    let largest = params.modulus().as_ref().wrapping_sub(&Uint::from_u8(2));
    // The peer's value is public, so an early return tells nothing.
    (value >= Uint::from_u8(2) && value <= largest).then_some(value)
}

/// The 1024-bit prime.
const PRIME_1024: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22\
    514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6\
    F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381\
    FFFFFFFFFFFFFFFF";

/// The 1536-bit prime.
const PRIME_1536: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22\
    514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6\
    F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3D\
    C2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
    9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF";

/// The 2048-bit prime.
const PRIME_2048: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22\
    514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6\
    F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3D\
    C2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
    9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E8603\
    9B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
    15728E5A8AACAA68FFFFFFFFFFFFFFFF";

/// The 3072-bit prime.
const PRIME_3072: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22\
    514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6\
    F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3D\
    C2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
    9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E8603\
    9B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
    15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7D\
    B3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864\
    D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E208E24FA074E5AB31\
    43DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF";

/// The 4096-bit prime.
const PRIME_4096: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22\
    514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6\
    F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3D\
    C2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
    9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E8603\
    9B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
    15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7D\
    B3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864\
    D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E208E24FA074E5AB31\
    43DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D788719A10BDBA5B2699C327186AF4E23C\
    1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6287C59474E6BC05D\
    99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9\
    93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF";

#[cfg(test)]
mod tests;
