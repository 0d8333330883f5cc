//! The algorithms that certificates and revocation lists may be signed with: RSA with 2048 bits
//! or more, ECDSA on the three curves, Ed25519, over SHA-2. What ring lacks of ECDSA is here.

use adit_crypto::{Digest, Hash};
use p521::ecdsa::signature::hazmat::PrehashVerifier;
use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use webpki::ring;

pub(crate) static ALL: &[&dyn SignatureVerificationAlgorithm] = &[
    ring::RSA_PKCS1_2048_8192_SHA256,
    ring::RSA_PKCS1_2048_8192_SHA384,
    ring::RSA_PKCS1_2048_8192_SHA512,
    ring::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    ring::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    ring::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    ring::ECDSA_P256_SHA256,
    ring::ECDSA_P256_SHA384,
    ring::ECDSA_P384_SHA256,
    ring::ECDSA_P384_SHA384,
    ring::ED25519,
    &P521 {
        signature: alg_id::ECDSA_SHA256,
        hash: Hash::Sha2_256,
    },
    &P521 {
        signature: alg_id::ECDSA_SHA384,
        hash: Hash::Sha2_384,
    },
    &P521 {
        signature: alg_id::ECDSA_SHA512,
        hash: Hash::Sha2_512,
    },
];

/// ECDSA on P-521 with one of the hashes (RFC 5758 3.2).
#[derive(Debug)]
struct P521 {
    signature: AlgorithmIdentifier,
    hash: Hash,
}

impl SignatureVerificationAlgorithm for P521 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(public_key);
        let signature = p521::ecdsa::DerSignature::from_bytes(signature);
        let (Ok(key), Ok(signature)) = (key, signature) else {
            return Err(InvalidSignature);
        };
        let digest: Digest = self.hash.digest(&[message]);
        key.verify_prehash(&digest, &signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
