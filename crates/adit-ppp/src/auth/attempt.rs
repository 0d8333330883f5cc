//! An attempt to authenticate, to be checked against what is stored of the user.

use adit_crypto::constant_time_eq;
use adit_crypto::ppp::{NtHash, authenticator_response, challenge_hash, chap_md5, nt_response};

use crate::Secret;
use crate::config::Network;
use crate::method::AuthMethod;

/// What a client claims. `raw_user` is the name as sent; `user` is the same as text, read as UTF-8
/// or, where it is not that, as ISO 8859-1, which Apple's clients send.
#[derive(Clone, PartialEq, Eq)]
pub enum Attempt {
    /// RFC 1334 2.2.1.
    Pap {
        /// Full name.
        user: String,
        /// Full name as sent.
        raw_user: Vec<u8>,
        /// Password as sent.
        password: Secret,
    },
    /// RFC 1994 4.1.
    ChapMd5 {
        /// Full name.
        user: String,
        /// Full name as sent.
        raw_user: Vec<u8>,
        /// Whether it came as EAP MD5-Challenge (RFC 3748 5.4); the sums are the same.
        eap: bool,
        /// Identifier of the challenge.
        id: u8,
        /// Our challenge.
        challenge: Vec<u8>,
        /// The response value.
        response: [u8; 16],
    },
    /// RFC 2759 4.
    MsChapV2 {
        /// Full name.
        user: String,
        /// Full name as sent.
        raw_user: Vec<u8>,
        /// Whether it came inside EAP; the sums are the same.
        eap: bool,
        /// Our challenge.
        challenge: [u8; 16],
        /// The client's challenge.
        peer_challenge: [u8; 16],
        /// The NT-Response.
        nt_response: [u8; 24],
    },
    /// EAP-TLS (RFC 5216): the peer has proven that it owns a certificate that one of our authorities
    /// issued. Whether that makes it this user is the owner's to say.
    Certificate {
        /// The EAP identity, which the peer chose.
        user: String,
        /// The same as sent.
        raw_user: Vec<u8>,
        /// The certificate, in DER.
        certificate: Vec<u8>,
    },
}

impl Attempt {
    /// The user name without a domain: what stands after the last backslash.
    pub fn user(&self) -> &str {
        let full = self.full_name();
        full.rsplit('\\').next().unwrap_or(full)
    }

    /// The user name as the client sent it, as text.
    pub fn full_name(&self) -> &str {
        match self {
            Self::Pap { user, .. }
            | Self::ChapMd5 { user, .. }
            | Self::MsChapV2 { user, .. }
            | Self::Certificate { user, .. } => user,
        }
    }

    /// The method in use.
    pub fn method(&self) -> AuthMethod {
        match self {
            Self::Pap { .. } => AuthMethod::Pap,
            Self::ChapMd5 { eap: false, .. } => AuthMethod::ChapMd5,
            Self::ChapMd5 { eap: true, .. } => AuthMethod::EapMd5,
            Self::MsChapV2 { eap: false, .. } => AuthMethod::MsChapV2,
            Self::MsChapV2 { eap: true, .. } => AuthMethod::EapMsChapV2,
            Self::Certificate { .. } => AuthMethod::EapTls,
        }
    }

    /// Checks the attempt against what is stored of the user; sums are compared in constant time.
    pub fn verify(&self, credential: &Credential) -> Verified {
        let welcome = Verified::Accepted {
            success_message: b"Welcome".to_vec(),
        };
        let judge = |good: bool| if good { welcome } else { Verified::Rejected };
        match self {
            Self::Pap { password, .. } => match (&credential.password, &credential.nt_hash) {
                (Some(stored), _) => judge(
                    forms(stored)
                        .iter()
                        .fold(false, |good, form| good | (form == password)),
                ),
                (None, Some(stored)) => judge(NtHash::of_password(&password.text()) == *stored),
                (None, None) => Verified::Unsupported,
            },
            Self::ChapMd5 {
                id,
                challenge,
                response,
                ..
            } => match &credential.password {
                Some(stored) => judge(forms(stored).iter().fold(false, |good, form| {
                    good | constant_time_eq(&chap_md5(*id, form.expose(), challenge), response)
                })),
                None => Verified::Unsupported,
            },
            // There is no password in it.
            Self::Certificate { .. } => Verified::Unsupported,
            Self::MsChapV2 {
                raw_user,
                challenge,
                peer_challenge,
                nt_response: received,
                ..
            } => {
                let Some(hash) = credential.nt_hash() else {
                    return Verified::Unsupported;
                };
                let challenge = challenge_hash(peer_challenge, challenge, bare_name(raw_user));
                if !constant_time_eq(&nt_response(&hash, &challenge), received) {
                    return Verified::Rejected;
                }
                let proof = authenticator_response(&hash, received, &challenge);
                Verified::Accepted {
                    success_message: success_message(&proof),
                }
            }
        }
    }
}

impl std::fmt::Debug for Attempt {
    // Challenges and responses allow a search for the password, so they are left out too.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("method", &self.method())
            .field("full_name", &self.full_name())
            .finish_non_exhaustive()
    }
}

/// What is stored of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    /// The password; CHAP with MD5 cannot do without it.
    pub password: Option<Secret>,
    /// Its NT hash; computed from the password where it is missing.
    pub nt_hash: Option<NtHash>,
}

impl Credential {
    fn nt_hash(&self) -> Option<NtHash> {
        self.nt_hash.clone().or_else(|| {
            self.password
                .as_ref()
                .map(|password| NtHash::of_password(&password.text()))
        })
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The client knows the password.
    Accepted {
        /// For the Success or Authenticate-Ack packet; with MS-CHAPv2 it begins with `S=`.
        success_message: Vec<u8>,
    },
    /// It does not.
    Rejected,
    /// What is stored does not suffice for this method: CHAP-MD5 with an NT hash only, or a certificate
    /// and no password.
    Unsupported,
}

/// The answer to [`Event::Authenticate`](crate::Event::Authenticate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client may come in.
    Accept {
        /// From [`Verified::Accepted`].
        success_message: Vec<u8>,
        /// What its NCPs have to agree on.
        network: Network,
    },
    /// It may not.
    Reject {
        /// Why; all that the client hears is the number.
        reason: RejectReason,
    },
}

/// Why a client may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RejectReason {
    /// No such user, or another password.
    #[error("wrong user name or password")]
    BadCredentials,
    /// Not at this time of day.
    #[error("not within the allowed hours")]
    RestrictedHours,
    /// The account is disabled.
    #[error("account disabled")]
    Disabled,
    /// The password has expired.
    #[error("password expired")]
    Expired,
    /// The user may not dial in.
    #[error("no permission to dial in")]
    NoDialIn,
    /// The attempt was not looked at, because too many before it failed. The client hears the same
    /// as of a wrong password, and not to try again at once.
    #[error("too many failed attempts")]
    TooManyAttempts,
}

impl RejectReason {
    /// The error number of MS-CHAPv2 (RFC 2759 6).
    pub fn error_code(self) -> u32 {
        match self {
            Self::BadCredentials | Self::TooManyAttempts => 691,
            Self::RestrictedHours => 646,
            Self::Disabled => 647,
            Self::Expired => 648,
            Self::NoDialIn => 649,
        }
    }
}

/// The forms in which a client may encode a stored password.
fn forms(stored: &Secret) -> Vec<Secret> {
    [Some(stored.clone()), stored.latin1()]
        .into_iter()
        .flatten()
        .collect()
}

/// The name that enters ChallengeHash: without a domain before a backslash, its case kept.
pub(super) fn bare_name(full: &[u8]) -> &[u8] {
    full.rsplit(|byte| *byte == b'\\').next().unwrap_or(full)
}

/// `S=` and exactly 40 upper-case hexadecimal digits, then what Apple's clients look for with its
/// leading space (RFC 2759 5).
fn success_message(proof: &[u8; 20]) -> Vec<u8> {
    let mut message = b"S=".to_vec();
    message.extend_from_slice(super::wire::hex_upper(proof).as_bytes());
    message.extend_from_slice(b" M=Welcome");
    message
}

#[cfg(test)]
mod tests;
