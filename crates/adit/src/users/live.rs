//! The users of a running server. The file is looked at whenever somebody logs in and read again
//! when it has changed; a broken edit leaves the users as they were.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use adit_crypto::ppp::NtHash;
use adit_ppp::{Attempt, Credential, RejectReason, Verified};
use adit_server::Decision;

use super::file::{FileError, User, read};

/// The users, as of the last good state of the file.
pub(crate) struct Users {
    path: PathBuf,
    stamp: Option<Stamp>,
    users: BTreeMap<String, Credentials>,
}

struct Credentials {
    credential: Credential,
    disabled: bool,
}

// What changes when a file is replaced or written to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
    mode: u32,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
            mode: metadata.mode(),
        })
    }
}

impl Users {
    /// Reads the users; a file that cannot be used is an error here.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        // The stamp is taken first: a change in between is then read once more, never missed.
        let stamp = Stamp::of(path);
        let users = load(path)?;
        Ok(Self {
            path: path.to_owned(),
            stamp,
            users,
        })
    }

    /// How many users there are.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// Judges an attempt to log in. The log says why one was refused; the client hears only what
    /// its protocol has a number for.
    pub(crate) fn judge(&mut self, attempt: &Attempt, peer: SocketAddr) -> Decision {
        self.refresh();
        let name = attempt.user();
        let method = attempt.method().to_string();
        let Some(user) = self.users.get(name) else {
            // As much work as for a user there is.
            let nobody = Credential {
                password: None,
                nt_hash: Some(NtHash::from_bytes([0; 16])),
            };
            let _ = attempt.verify(&nobody);
            tracing::warn!(user = name, %peer, method, "login refused: no such user");
            return Decision::Reject(RejectReason::BadCredentials);
        };
        match attempt.verify(&user.credential) {
            // Only who knows the password learns that the account is disabled.
            Verified::Accepted { .. } if user.disabled => {
                tracing::warn!(user = name, %peer, method, "login refused: the user is disabled");
                Decision::Reject(RejectReason::Disabled)
            }
            Verified::Accepted { success_message } => Decision::Accept { success_message },
            Verified::Rejected => {
                tracing::warn!(user = name, %peer, method, "login refused: wrong password");
                Decision::Reject(RejectReason::BadCredentials)
            }
            Verified::Unsupported => {
                tracing::warn!(
                    user = name,
                    %peer,
                    method,
                    "login refused: this method needs the password itself, and only its hash is \
                     kept; run: adit user passwd --clear NAME, or leave ppp.auth at mschapv2"
                );
                Decision::Reject(RejectReason::BadCredentials)
            }
        }
    }

    fn refresh(&mut self) {
        let stamp = Stamp::of(&self.path);
        if stamp == self.stamp {
            return;
        }
        // Also kept when the file is broken: it is reported once, not at every login.
        self.stamp = stamp;
        match load(&self.path) {
            Ok(users) => {
                tracing::info!(users = users.len(), "users file read again");
                self.users = users;
            }
            Err(error) => {
                tracing::error!(%error, "the users stay as they were until the file is mended");
            }
        }
    }
}

fn load(path: &Path) -> Result<BTreeMap<String, Credentials>, FileError> {
    let users = read(path)?;
    Ok(users
        .into_iter()
        .map(|(name, user)| (name, credentials(user)))
        .collect())
}

fn credentials(user: User) -> Credentials {
    let disabled = user.disabled;
    Credentials {
        credential: Credential {
            // A clear password alone serves every method.
            nt_hash: user.nt_hash.or_else(|| {
                user.password
                    .as_ref()
                    .map(|password| NtHash::of_password(password.expose()))
            }),
            password: user
                .password
                .map(|password| adit_ppp::Secret::from(password.expose())),
        },
        disabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::write_private;

    const PEER: &str = "198.51.100.7:4500";

    fn write(path: &Path, text: &str) {
        write_private(path, path.parent().unwrap(), text.as_bytes()).unwrap();
    }

    fn hash(password: &str) -> String {
        let bytes = *NtHash::of_password(password).as_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn pap(users: &mut Users, user: &str, password: &str) -> Result<(), RejectReason> {
        let attempt = Attempt::Pap {
            user: user.into(),
            raw_user: user.into(),
            password: password.into(),
        };
        match users.judge(&attempt, PEER.parse().unwrap()) {
            Decision::Accept { .. } => Ok(()),
            Decision::Reject(reason) => Err(reason),
        }
    }

    #[test]
    fn passwords_are_checked_and_a_domain_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        let hash = hash("right");
        write(
            &path,
            &format!(
                "[users.alice]\nnt-hash = \"{hash}\"\n[users.bob]\nnt-hash = \"{hash}\"\n\
                 disabled = true\n"
            ),
        );
        let mut users = Users::open(&path).unwrap();
        assert_eq!(users.len(), 2);
        assert_eq!(pap(&mut users, "alice", "right"), Ok(()));
        assert_eq!(pap(&mut users, "CORP\\alice", "right"), Ok(()));
        let wrong = Err(RejectReason::BadCredentials);
        assert_eq!(pap(&mut users, "alice", "wrong"), wrong);
        assert_eq!(pap(&mut users, "Alice", "right"), wrong);
        assert_eq!(pap(&mut users, "carol", ""), wrong);
        // Only who knows the password learns more.
        assert_eq!(pap(&mut users, "bob", "wrong"), wrong);
        assert_eq!(pap(&mut users, "bob", "right"), Err(RejectReason::Disabled));
    }

    #[test]
    fn ms_chap_v2_is_answered_with_the_servers_proof() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        write(
            &path,
            &format!("[users.User]\nnt-hash = \"{}\"\n", hash("clientPass")),
        );
        let mut users = Users::open(&path).unwrap();
        // RFC 2759 section 9.2.
        let bytes = |hex: &str| -> Vec<u8> {
            let digits = hex.as_bytes().chunks(2);
            digits
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect()
        };
        let attempt = Attempt::MsChapV2 {
            user: "User".into(),
            raw_user: b"User".to_vec(),
            eap: false,
            challenge: bytes("5b5d7c7d7b3f2f3e3c2c602132262628")
                .try_into()
                .unwrap(),
            peer_challenge: bytes("21402324255e262a28295f2b3a337c7e")
                .try_into()
                .unwrap(),
            nt_response: bytes("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df")
                .try_into()
                .unwrap(),
        };
        let Decision::Accept { success_message } = users.judge(&attempt, PEER.parse().unwrap())
        else {
            panic!("refused");
        };
        let message = String::from_utf8(success_message).unwrap();
        assert!(
            message.starts_with("S=407A5589115FD0D6209F510FE9C04566932CDA56"),
            "{message}"
        );
    }

    #[test]
    fn chap_needs_the_password_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        let text = format!(
            "[users.hashed]\nnt-hash = \"{}\"\n[users.clear]\npassword = \"pw\"\n",
            hash("pw")
        );
        write(&path, &text);
        let mut users = Users::open(&path).unwrap();
        let mut judge = |user: &str| {
            let attempt = Attempt::ChapMd5 {
                user: user.into(),
                raw_user: user.into(),
                eap: false,
                id: 7,
                challenge: b"challenge".to_vec(),
                response: adit_crypto::ppp::chap_md5(7, b"pw", b"challenge"),
            };
            users.judge(&attempt, PEER.parse().unwrap())
        };
        assert!(matches!(judge("clear"), Decision::Accept { .. }));
        assert!(matches!(judge("hashed"), Decision::Reject(_)));
        // A clear password serves the other methods as well.
        assert_eq!(pap(&mut users, "clear", "pw"), Ok(()));
    }

    #[test]
    fn a_change_counts_from_the_next_login_and_a_broken_one_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        write(&path, "[users.alice]\npassword = \"old\"\n");
        let mut users = Users::open(&path).unwrap();
        assert_eq!(pap(&mut users, "alice", "old"), Ok(()));
        write(&path, "[users.alice]\npassword = \"new\"\n");
        assert!(pap(&mut users, "alice", "old").is_err());
        assert_eq!(pap(&mut users, "alice", "new"), Ok(()));
        write(&path, "[users.alice]\npassword = \"newer\"\n[oops");
        assert_eq!(pap(&mut users, "alice", "new"), Ok(()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(pap(&mut users, "alice", "new"), Ok(()));
        write(&path, "[users.alice]\npassword = \"last\"\n");
        assert_eq!(pap(&mut users, "alice", "last"), Ok(()));
    }
}
