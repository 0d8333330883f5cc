//! The users of a running server. The file is looked at whenever somebody logs in, and every few
//! seconds; when it has changed it is read again on another thread. A broken edit leaves the users as
//! they were.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use adit_crypto::ppp::NtHash;
use adit_ppp::{Attempt, Credential, RejectReason, Verified};
use adit_server::{Decision, Grant, Lease, Routes, Standing};

use super::file::{FileError, read};
use super::networks::{Networks, split};
use super::table::{Group, Table, User};

/// The users, as of the last good state of the file.
pub(crate) struct Users {
    path: PathBuf,
    networks: Networks,
    stamp: Option<Stamp>,
    users: HashMap<String, Account>,
}

struct Account {
    credential: Credential,
    /// Whether a certificate lets the user in.
    certificate: bool,
    disabled: bool,
    expires: Option<SystemTime>,
    grant: Grant,
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

/// A file to be read again.
pub(crate) struct Reload {
    path: PathBuf,
    networks: Networks,
}

/// What came of it.
pub(crate) struct Reloaded(Result<HashMap<String, Account>, FileError>);

impl Reload {
    /// Reads the file; ten thousand users take some tens of milliseconds.
    pub(crate) fn run(self) -> Reloaded {
        Reloaded(load(&self.path, &self.networks))
    }
}

/// The two clocks: expiry is written in wall time, sessions end by the other.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    /// Wall time.
    pub wall: SystemTime,
    /// The same moment.
    pub now: Instant,
}

impl Clock {
    /// This moment.
    pub(crate) fn read() -> Self {
        Self {
            wall: SystemTime::now(),
            now: Instant::now(),
        }
    }

    fn instant(&self, at: SystemTime) -> Option<Instant> {
        self.now
            .checked_add(at.duration_since(self.wall).unwrap_or_default())
    }
}

impl Users {
    /// Reads the users; a file that cannot be used is an error here.
    pub(crate) fn open(path: &Path, networks: Networks) -> Result<Self, FileError> {
        // The stamp is taken first: a change in between is then read once more, never missed.
        let stamp = Stamp::of(path);
        let users = load(path, &networks)?;
        Ok(Self {
            path: path.to_owned(),
            networks,
            stamp,
            users,
        })
    }

    /// How many users there are.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// What users have for good.
    pub(crate) fn fixed(&self) -> Vec<Lease> {
        let users = self.users.values().map(|account| account.grant.fixed);
        users.filter(|fixed| !fixed.is_empty()).collect()
    }

    /// If the file has changed since it was last read, what to run on another thread and hand to
    /// [`install`](Self::install).
    pub(crate) fn stale(&mut self) -> Option<Reload> {
        let stamp = Stamp::of(&self.path);
        if stamp == self.stamp {
            return None;
        }
        // Also kept when the file is broken: it is reported once, not at every login.
        self.stamp = stamp;
        Some(Reload {
            path: self.path.clone(),
            networks: self.networks.clone(),
        })
    }

    /// Takes what was read. `false` if it is broken and the users stay as they were.
    pub(crate) fn install(&mut self, reloaded: Reloaded) -> bool {
        match reloaded.0 {
            Ok(users) => {
                tracing::info!(users = users.len(), "users file read again");
                self.users = users;
                true
            }
            Err(error) => {
                tracing::error!(%error, "the users stay as they were until the file is mended");
                false
            }
        }
    }

    /// Whether the sessions of a user may go on.
    pub(crate) fn standing(&self, user: &str, clock: Clock) -> Standing {
        match self.users.get(user) {
            None => Standing::Ends {
                why: "the user was removed",
            },
            Some(account) if account.disabled => Standing::Ends {
                why: "the user was disabled",
            },
            Some(account) => Standing::Stays {
                expires: account.expires.and_then(|at| clock.instant(at)),
                rate: account.grant.rate,
            },
        }
    }

    /// Judges an attempt to log in. The log says why one was refused; the client hears only what
    /// its protocol has a number for.
    pub(crate) fn judge(&self, attempt: &Attempt, peer: SocketAddr, clock: Clock) -> Decision {
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
        let verified = match attempt {
            Attempt::Certificate { certificate, .. } => {
                match by_certificate(user, name, certificate) {
                    Ok(()) => Verified::Accepted {
                        success_message: Vec::new(),
                    },
                    Err(why) => {
                        tracing::warn!(user = name, %peer, method, "login refused: {why}");
                        return Decision::Reject(RejectReason::BadCredentials);
                    }
                }
            }
            attempt => attempt.verify(&user.credential),
        };
        match verified {
            // Only who knows the password learns more about the account.
            Verified::Accepted { .. } if user.disabled => {
                tracing::warn!(user = name, %peer, method, "login refused: the user is disabled");
                Decision::Reject(RejectReason::Disabled)
            }
            // Not as an expired password, which clients would ask to change.
            Verified::Accepted { .. } if user.expires.is_some_and(|at| at <= clock.wall) => {
                tracing::warn!(user = name, %peer, method, "login refused: the user's time is over");
                Decision::Reject(RejectReason::Disabled)
            }
            Verified::Accepted { success_message } => Decision::Accept {
                success_message,
                grant: Grant {
                    expires: user.expires.and_then(|at| clock.instant(at)),
                    ..user.grant.clone()
                },
            },
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
}

/// Whether a certificate that is genuine is this user's.
fn by_certificate(user: &Account, name: &str, certificate: &[u8]) -> Result<(), String> {
    if !user.certificate {
        return Err(
            "a certificate is not enough for this user; certificate = true in the users \
                    file allows it"
                .to_owned(),
        );
    }
    let names = adit_cert::login_names(certificate);
    let is_named = |own: &String| own.eq_ignore_ascii_case(name);
    match names.iter().any(is_named) {
        true => Ok(()),
        false => Err(format!("the certificate is of {}", names.join(", "))),
    }
}

fn load(path: &Path, networks: &Networks) -> Result<HashMap<String, Account>, FileError> {
    let Table { users, groups } = read(path, Some(networks))?;
    // One copy of a group's routes for all its members.
    let routes: HashMap<&str, Arc<Routes>> = groups
        .iter()
        .filter_map(|(name, group)| {
            let (ipv4, ipv6) = split(&group.routes.as_ref()?.value);
            Some((name.as_str(), Arc::new(Routes { ipv4, ipv6 })))
        })
        .collect();
    let accounts = users.into_iter().map(|(name, user)| {
        let group = user.group.as_ref().map(|group| group.value.as_str());
        let routes = group.and_then(|group| routes.get(group).cloned());
        let group = group.and_then(|group| groups.get(group));
        let account = account(&name, user, group, routes);
        (name, account)
    });
    Ok(accounts.collect())
}

fn account(name: &str, user: User, group: Option<&Group>, routes: Option<Arc<Routes>>) -> Account {
    let ends = [user.expires, group.and_then(|group| group.expires)];
    let grant = Grant {
        user: name.to_owned(),
        fixed: Lease {
            ipv4: user.ipv4.map(|ipv4| ipv4.value),
            ipv6: user.ipv6.map(|ipv6| ipv6.value),
            delegated: user.delegated.map(|delegated| delegated.value),
        },
        routes,
        sessions: user.sessions.or(group.and_then(|group| group.sessions)),
        rate: user.rate.or(group.and_then(|group| group.rate)),
        group: user.group.map(|group| group.value),
        expires: None,
    };
    Account {
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
        certificate: user.certificate,
        disabled: user.disabled || group.is_some_and(|group| group.disabled),
        expires: ends.into_iter().flatten().min(),
        grant,
    }
}

#[cfg(test)]
mod tests;
