use super::*;
use crate::Hash;
use crate::dh::{BadPublicValue, Private, PrivateValue};

const SIZES: [(Size, &str); 5] = [
    (Size::Bits1024, PRIME_1024),
    (Size::Bits1536, PRIME_1536),
    (Size::Bits2048, PRIME_2048),
    (Size::Bits3072, PRIME_3072),
    (Size::Bits4096, PRIME_4096),
];

/// Numbers as little-endian 32-bit digits, all of one length.
mod digits {
    pub(super) fn divide(number: &mut [u32], divisor: u64) {
        let mut rest = 0_u64;
        for digit in number.iter_mut().rev() {
            let value = (rest << 32) | u64::from(*digit);
            *digit = (value / divisor) as u32;
            rest = value % divisor;
        }
    }

    pub(super) fn multiply(number: &mut [u32], factor: u64) {
        let mut carry = 0_u64;
        for digit in number {
            let value = u64::from(*digit) * factor + carry;
            *digit = value as u32;
            carry = value >> 32;
        }
    }

    pub(super) fn add(number: &mut [u32], other: &[u32]) {
        let mut carry = 0_u64;
        for (i, digit) in number.iter_mut().enumerate() {
            let value = u64::from(*digit) + u64::from(other.get(i).copied().unwrap_or(0)) + carry;
            *digit = value as u32;
            carry = value >> 32;
        }
    }

    /// Modulo the digits' width, so that a sum of differences comes out right.
    pub(super) fn subtract(number: &mut [u32], other: &[u32]) {
        let negated: Vec<u32> = other.iter().map(|digit| !digit).collect();
        add(number, &negated);
        add(number, &[1]);
    }
}

/// arctan(1/n) scaled by 2^(32 * (len - 1)).
fn arctan_of_inverse(n: u64, len: usize) -> Vec<u32> {
    let mut power = vec![0; len];
    power[len - 1] = 1;
    digits::divide(&mut power, n);
    let mut sum = power.clone();
    for k in 1.. {
        digits::divide(&mut power, n * n);
        if power.iter().all(|digit| *digit == 0) {
            break;
        }
        let mut term = power.clone();
        digits::divide(&mut term, 2 * k + 1);
        if k % 2 == 1 {
            digits::subtract(&mut sum, &term);
        } else {
            digits::add(&mut sum, &term);
        }
    }
    sum
}

/// floor(2^bits * pi), by Machin's formula with some digits to spare.
fn scaled_pi(bits: usize) -> Vec<u32> {
    let spare = 64;
    let len = (bits + spare).div_ceil(32) + 1;
    let mut pi = arctan_of_inverse(5, len);
    digits::multiply(&mut pi, 4);
    digits::subtract(&mut pi, &arctan_of_inverse(239, len));
    digits::multiply(&mut pi, 4);
    let mut excess = 32 * (len - 1) - bits;
    while excess >= 32 {
        pi.remove(0);
        excess -= 32;
    }
    digits::divide(&mut pi, 1 << excess);
    pi
}

#[test]
fn primes_follow_the_formula_of_the_rfcs() {
    // RFC 2409 6.2 and RFC 3526: 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + k).
    for (n, k, prime) in [
        (1024, 129_093, PRIME_1024),
        (1536, 741_804, PRIME_1536),
        (2048, 124_476, PRIME_2048),
        (3072, 1_690_314, PRIME_3072),
        (4096, 240_904, PRIME_4096),
    ] {
        let mut middle = scaled_pi(n - 130);
        digits::add(&mut middle, &[k]);
        middle.splice(0..0, [0, 0]);
        // 2^n - 2^(n-64) - 1
        let mut number = vec![u32::MAX; n / 32];
        number[n / 32 - 2] = u32::MAX - 1;
        digits::add(&mut number, &middle);
        let text: String = number
            .iter()
            .rev()
            .map(|digit| format!("{digit:08X}"))
            .collect();
        assert_eq!(text, prime, "{n}");
    }
}

/// The exponent whose bytes count up from `first`.
fn counting(size: Size, first: u8) -> PrivateValue {
    let bytes = size.exponent_bits() as usize / 8;
    let mut padded = [0; 48];
    for (byte, value) in padded[48 - bytes..].iter_mut().zip(first..) {
        *byte = value;
    }
    PrivateValue(Private::Modp(Exponent {
        size,
        value: Zeroizing::new(U384::from_be_slice(&padded)),
    }))
}

#[test]
fn powers_match_another_library() {
    // SHA2-256 of 2^x, 2^y and 2^(xy) mod p, made with Python's integers; x counts up from 1 and
    // y from 0x80.
    let expected = [
        [
            "3e5e53f04e5eeec9a4732ead2dc7f2ffad5d7f6aab19395b4a8130e8ec660251",
            "fe628412d9357eea880369f886ac3c4be8c8af2b7ed75c3fc7c771ff5079c150",
            "c0bc9a62d16648cbd435c672d404024169fcc460bc91311f05a091413f69c134",
        ],
        [
            "9a5ea5c17387a96223486d00a3d3437a4622bc0c790f48f01a1cebca6ce67221",
            "116387da656926a6c76c9262d78b845a8a5b4ee9677438c922631dbb502f138c",
            "10f3d0c0718f71e89542b33aebbf77c73cf4dbdf334487dfe0b56ca182c0edfa",
        ],
        [
            "0b9cb9036d2a594a7e3b43169bdf47ee9c7b64a2292203f1bb137b0b648d7e3c",
            "8492c0e8cc346437666258b41706e081881b75d3bf3e1aeef83d04bbdb887f88",
            "eeef1f117f6cb12d8b5fbf071b9c3ca1d52171c9637c882cb213c52171fbde1f",
        ],
        [
            "71cd9b27251732586c6a41ac0f0a75656b6a8230b1ec2452d3bca7a4da036034",
            "b2959ef794f9d63cc3378346097c31497c0e4af7562e47387e3dad33fc348b31",
            "b184e94f38fb236423b2c8464fe6180884b8eace7e1a79784fa3ea223da75747",
        ],
        [
            "98c3085677538ebfdd402b16495acba6e957e790870ccdca22443050c2fe4768",
            "d2828dcd744958a04df4b75f8d3d8da0bb5833e6a8aba9652a86c3e14bf5dbfc",
            "70082f9a136cef6be56f25aadc30e100a4c08f086737923d54b435e9b396d695",
        ],
    ];
    for ((size, _), [of_x, of_y, of_both]) in SIZES.into_iter().zip(expected) {
        let (x, y) = (counting(size, 1), counting(size, 0x80));
        let (public_x, public_y) = (x.public(), y.public());
        let digest = |value: &[u8]| hex::encode(&*Hash::Sha2_256.digest(&[value]));
        assert_eq!(digest(&public_x), of_x);
        assert_eq!(digest(&public_y), of_y);
        assert_eq!(digest(&x.agree(&public_y).unwrap()), of_both);
        assert_eq!(digest(&y.agree(&public_x).unwrap()), of_both);
    }
}

#[test]
fn exponents_have_the_whole_length() {
    let mut rng = Rng::from_seed([3; 32]);
    for (size, _) in SIZES {
        let longest = (0..50)
            .map(|_| Exponent::draw(size, &mut rng).value.bits_vartime())
            .max();
        assert_eq!(longest, Some(size.exponent_bits()));
    }
}

#[test]
fn values_out_of_range_are_refused() {
    let mut rng = Rng::from_seed([4; 32]);
    for (size, prime) in SIZES {
        let ours = PrivateValue(Private::Modp(Exponent::draw(size, &mut rng)));
        let group = ours.group();
        let prime = hex::decode(prime).unwrap();
        // The primes end in ff, so their last byte can be changed alone.
        let near_prime = |last: u8| {
            let mut value = prime.clone();
            *value.last_mut().unwrap() = last;
            value
        };
        let small = |number: u8| {
            let mut value = vec![0; prime.len()];
            *value.last_mut().unwrap() = number;
            value
        };
        for bad in [
            small(0),
            small(1),
            near_prime(0xfe),
            near_prime(0xff),
            vec![0xff; prime.len()],
        ] {
            assert_eq!(
                ours.agree(&bad).unwrap_err(),
                BadPublicValue::OutOfRange { group }
            );
        }
        for good in [small(2), near_prime(0xfd)] {
            assert_eq!(ours.agree(&good).unwrap().len(), prime.len());
        }
        // The generator gives the public value itself.
        assert_eq!(&*ours.agree(&small(2)).unwrap(), &ours.public()[..]);
    }
}
