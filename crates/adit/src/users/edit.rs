//! Changing `users.toml`: comments and order stay, and the file is replaced in one step, so that
//! neither the server nor a crash ever sees half of it.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use adit_crypto::ppp::NtHash;
use nix::fcntl::{Flock, FlockArg};
use tempfile::NamedTempFile;
use toml_edit::{DocumentMut, Item, Table, Value, value};
use zeroize::Zeroizing;

use super::file::{FileError, read_text};
use super::networks::Networks;
use super::table::{Fault, parse};
use crate::config::Secret;

/// Which table of the file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// `[users.NAME]`.
    User,
    /// `[groups.NAME]`.
    Group,
}

impl Of {
    fn key(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Group => "groups",
        }
    }
}

impl std::fmt::Display for Of {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
        })
    }
}

/// What to change.
pub(crate) enum Change<'a> {
    /// A new user.
    Add(&'a Secret),
    /// A new password for a user there is.
    Password(&'a Secret),
    /// A new group.
    AddGroup,
    /// Other entries for one there is.
    Set(Of),
    /// None of this name any more.
    Remove(Of),
}

impl Change<'_> {
    fn of(&self) -> Of {
        match self {
            Self::Add(_) | Self::Password(_) => Of::User,
            Self::AddGroup => Of::Group,
            Self::Set(of) | Self::Remove(of) => *of,
        }
    }

    fn is_new(&self) -> bool {
        matches!(self, Self::Add(_) | Self::AddGroup)
    }
}

/// A key of a user or group and its value; without one, the key goes.
pub(crate) type Entry = (&'static str, Option<Value>);

/// A change with what belongs to it.
pub(crate) struct Edit<'a> {
    /// What to change.
    pub change: &'a Change<'a>,
    /// Whether the password itself is kept beside its hash.
    pub clear: bool,
    /// The entries that change as well.
    pub entries: &'a [Entry],
    /// What the users have to fit, if it is known.
    pub networks: Option<&'a Networks>,
}

impl<'a> Edit<'a> {
    /// A change that is nothing else.
    pub(crate) fn only(change: &'a Change<'a>) -> Self {
        Self {
            change,
            clear: false,
            entries: &[],
            networks: None,
        }
    }
}

/// Why the users could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    /// The file as it is cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// It exists already.
    #[error("there is a {of} {name:?} already. {}", instead(*of, name))]
    Exists {
        /// What.
        of: Of,
        /// The name.
        name: String,
    },
    /// There is no such user or group.
    #[error("there is no {of} {name:?}. See: adit user {}list", if *of == Of::Group { "group " } else { "" })]
    Missing {
        /// What.
        of: Of,
        /// The name.
        name: String,
    },
    /// Users are in the group.
    #[error(
        "nothing was changed: {user:?} is in the group {group:?}. Take its members out with: adit user set {user} --group none"
    )]
    InUse {
        /// The group.
        group: String,
        /// The first of them.
        user: String,
    },
    /// The file would be wrong afterwards.
    #[error("nothing was changed: {message}")]
    Refused {
        /// What is wrong and what to say instead.
        message: String,
    },
    /// The file cannot be written.
    #[error("cannot write the users file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn instead(of: Of, name: &str) -> String {
    match of {
        Of::User => format!("Set a new password with: adit user passwd {name}"),
        Of::Group => format!("Change it with: adit user group set {name}"),
    }
}

/// Changes one user or group and writes the file back with mode 0600. A file that does not exist is made for
/// a new one.
pub(crate) fn apply(path: &Path, name: &str, edit: &Edit<'_>) -> Result<(), EditError> {
    let failed = |source| EditError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Two of these at once would lose one's change: the folder is the lock.
    let handle = std::fs::File::open(folder).map_err(failed)?;
    let _lock =
        Flock::lock(handle, FlockArg::LockExclusive).map_err(|(_, error)| failed(error.into()))?;

    let text = match read_text(path) {
        Ok(text) => text,
        Err(FileError::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound && edit.change.is_new() =>
        {
            Zeroizing::new(String::new())
        }
        Err(error) => return Err(error.into()),
    };
    let text = edited(path, &text, name, edit)?;
    write_private(path, folder, text.as_bytes()).map_err(failed)
}

fn edited(
    path: &Path,
    text: &str,
    name: &str,
    edit: &Edit<'_>,
) -> Result<Zeroizing<String>, EditError> {
    let malformed = |at, message: &str| Fault::new(at, message).in_file(path, text);
    let table = parse(text).map_err(|fault| fault.in_file(path, text))?;
    let of = edit.change.of();
    let mut document: DocumentMut = text.parse().map_err(|_| malformed(0, "this is not TOML"))?;
    let tables = document
        .entry(of.key())
        .or_insert_with(|| {
            let mut table = Table::new();
            // [users.alice] needs no [users] above it.
            table.set_implicit(true);
            Item::Table(table)
        })
        .as_table_like_mut()
        .ok_or_else(|| malformed(0, &format!("`{}` is not a table", of.key())))?;
    let exists = tables.contains_key(name);
    match edit.change {
        change if change.is_new() && exists => {
            return Err(EditError::Exists {
                of,
                name: name.to_owned(),
            });
        }
        change if !change.is_new() && !exists => {
            return Err(EditError::Missing {
                of,
                name: name.to_owned(),
            });
        }
        Change::Remove(_) => {
            if let (Of::Group, Some(user)) = (of, member(&table, name)) {
                return Err(EditError::InUse {
                    group: name.to_owned(),
                    user: user.to_owned(),
                });
            }
            tables.remove(name);
        }
        Change::Set(_) => {}
        Change::AddGroup => {
            tables.insert(name, Item::Table(Table::new()));
        }
        Change::Add(password) | Change::Password(password) => {
            if !exists {
                tables.insert(name, Item::Table(Table::new()));
            }
            let user = tables
                .get_mut(name)
                .and_then(Item::as_table_like_mut)
                .ok_or_else(|| malformed(0, &format!("user {name:?} is not a table")))?;
            let hash = Zeroizing::new(hex(NtHash::of_password(password.expose()).as_bytes()));
            user.insert("nt-hash", value(hash.as_str()));
            if edit.clear {
                user.insert("password", value(password.expose()));
            } else {
                user.remove("password");
            }
        }
    }
    if let Some(named) = tables.get_mut(name).and_then(Item::as_table_like_mut) {
        for (key, entry) in edit.entries {
            match entry {
                // Not inserted, so that a comment behind the old value stays.
                Some(entry) => match named.get_mut(key).and_then(Item::as_value_mut) {
                    Some(old) => {
                        let decor = old.decor().clone();
                        *old = entry.clone();
                        *old.decor_mut() = decor;
                    }
                    None => {
                        named.insert(key, value(entry.clone()));
                    }
                },
                None => {
                    named.remove(key);
                }
            }
        }
    }
    let text = Zeroizing::new(document.to_string());
    let judged = parse(&text).and_then(|table| match edit.networks {
        Some(networks) => networks.judge(&table),
        None => Ok(()),
    });
    judged.map_err(|fault| EditError::Refused {
        message: fault.message,
    })?;
    Ok(text)
}

/// A user who is in a group.
fn member<'a>(table: &'a super::table::Table, group: &str) -> Option<&'a str> {
    let is_in = |user: &super::table::User| {
        let own = user.group.as_ref();
        own.is_some_and(|own| own.value == group)
    };
    let mut members = table.users.iter().filter(|(_, user)| is_in(user));
    members.next().map(|(name, _)| name.as_str())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts a file that only its owner can read in place of `path`, whole or not at all.
pub(crate) fn write_private(path: &Path, folder: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = NamedTempFile::with_prefix_in(".adit-", folder)?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename itself is safe only when the folder is on disk too.
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
