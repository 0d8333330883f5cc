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

/// What to change.
pub(crate) enum Change<'a> {
    /// A new user.
    Add(&'a Secret),
    /// A new password for a user there is.
    Password(&'a Secret),
    /// Other entries for a user there is.
    Set,
    /// No longer a user.
    Remove,
}

/// A key of a user and its value; without one, the key goes.
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
    /// The user exists already.
    #[error("there is a user {name:?} already. Set a new password with: adit user passwd {name}")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is no such user.
    #[error("there is no user {name:?}. See: adit user list")]
    Missing {
        /// The name.
        name: String,
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

/// Changes one user and writes the file back with mode 0600. A file that does not exist is made for
/// [`Change::Add`].
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
            if source.kind() == io::ErrorKind::NotFound
                && matches!(edit.change, Change::Add(_)) =>
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
    parse(text).map_err(|fault| fault.in_file(path, text))?;
    let mut document: DocumentMut = text.parse().map_err(|_| malformed(0, "this is not TOML"))?;
    let users = document
        .entry("users")
        .or_insert_with(|| {
            let mut table = Table::new();
            // [users.alice] needs no [users] above it.
            table.set_implicit(true);
            Item::Table(table)
        })
        .as_table_like_mut()
        .ok_or_else(|| malformed(0, "`users` is not a table"))?;
    let exists = users.contains_key(name);
    match edit.change {
        Change::Add(_) if exists => {
            return Err(EditError::Exists {
                name: name.to_owned(),
            });
        }
        Change::Password(_) | Change::Set | Change::Remove if !exists => {
            return Err(EditError::Missing {
                name: name.to_owned(),
            });
        }
        Change::Remove => {
            users.remove(name);
        }
        Change::Set => {}
        Change::Add(password) | Change::Password(password) => {
            if !exists {
                users.insert(name, Item::Table(Table::new()));
            }
            let user = users
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
    if let Some(user) = users.get_mut(name).and_then(Item::as_table_like_mut) {
        for (key, entry) in edit.entries {
            match entry {
                // Not inserted, so that a comment behind the old value stays.
                Some(entry) => match user.get_mut(key).and_then(Item::as_value_mut) {
                    Some(old) => {
                        let decor = old.decor().clone();
                        *old = entry.clone();
                        *old.decor_mut() = decor;
                    }
                    None => {
                        user.insert(key, value(entry.clone()));
                    }
                },
                None => {
                    user.remove(key);
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
mod tests {
    use super::*;
    use crate::users::read;
    use std::os::unix::fs::MetadataExt;

    fn apply(path: &Path, name: &str, change: &Change<'_>, clear: bool) -> Result<(), EditError> {
        let edit = Edit {
            clear,
            ..Edit::only(change)
        };
        super::apply(path, name, &edit)
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn a_user_is_added_changed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        apply(&path, "alice", &Change::Add(&secret("clientPass")), false).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        // RFC 2759 section 9.2.
        assert_eq!(
            text,
            "[users.alice]\nnt-hash = \"44ebba8d5312b8d611474411f56989ae\"\n"
        );

        apply(&path, "alice", &Change::Password(&secret("other")), true).unwrap();
        let users = read(&path, None).unwrap().users;
        assert_eq!(users["alice"].password.as_ref().unwrap().expose(), "other");
        apply(&path, "alice", &Change::Password(&secret("third")), false).unwrap();
        assert!(read(&path, None).unwrap().users["alice"].password.is_none());

        apply(&path, "bob@example.com", &Change::Add(&secret("x")), false).unwrap();
        apply(&path, "alice", &Change::Remove, false).unwrap();
        let users = read(&path, None).unwrap().users;
        assert_eq!(users.keys().collect::<Vec<_>>(), ["bob@example.com"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn comments_and_flags_survive() {
        let text = "# the staff\n[users.alice]\n# on leave\ndisabled = true\npassword = \"a\"\n";
        let after = edited(
            Path::new("u"),
            text,
            "alice",
            &Edit::only(&Change::Password(&secret("b"))),
        )
        .unwrap();
        assert!(after.starts_with("# the staff\n[users.alice]\n# on leave\ndisabled = true\n"));
        assert!(!after.contains("password"), "{}", *after);
    }

    #[test]
    fn wrong_names_and_wide_modes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        let error = apply(&path, "alice", &Change::Remove, false).unwrap_err();
        assert!(matches!(error, EditError::File(FileError::Io { .. })));
        apply(&path, "alice", &Change::Add(&secret("a")), false).unwrap();
        let again = apply(&path, "alice", &Change::Add(&secret("b")), false).unwrap_err();
        assert!(matches!(again, EditError::Exists { .. }));
        let nobody = apply(&path, "bob", &Change::Remove, false).unwrap_err();
        assert!(matches!(nobody, EditError::Missing { .. }));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let open = apply(&path, "bob", &Change::Add(&secret("b")), false).unwrap_err();
        assert!(open.to_string().contains("chmod 600"), "{open}");
    }

    #[test]
    fn entries_change_in_place_and_wrong_ones_change_nothing() {
        let text = "[groups.staff] # both floors\n[users.alice]\npassword = \"a\"\nipv4 = \
                    \"10.77.0.9\" # the printer knows it\nsessions = 2\n\n# the boss\n\
                    [users.bob]\npassword = \"b\"\nipv4 = \"10.77.0.8\"\n";
        let set = |entries: &[Entry]| {
            let edit = Edit {
                entries,
                ..Edit::only(&Change::Set)
            };
            edited(Path::new("u"), text, "alice", &edit)
        };
        let after = set(&[
            ("ipv4", Some("10.77.0.10".into())),
            ("sessions", None),
            ("group", Some("staff".into())),
            ("disabled", Some(true.into())),
        ]);
        assert_eq!(
            *after.unwrap(),
            "[groups.staff] # both floors\n[users.alice]\npassword = \"a\"\nipv4 = \
             \"10.77.0.10\" # the printer knows it\ngroup = \"staff\"\ndisabled = true\n\n\
             # the boss\n[users.bob]\npassword = \"b\"\nipv4 = \"10.77.0.8\"\n"
        );
        for (entry, says) in [
            (
                ("ipv4", Some("10.77.0.8".into())),
                "\"alice\" and \"bob\" both",
            ),
            (("ipv4", Some("10.77".into())), "must be an address"),
            (("group", Some("none of them".into())), "[groups.NAME]"),
            (("sessions", Some(0.into())), "from 1 to"),
        ] {
            let error = set(&[entry]).unwrap_err().to_string();
            assert!(error.contains("nothing was changed"), "{error}");
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn edits_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for index in 0..25 {
                        let name = format!("user{writer}-{index}");
                        apply(path, &name, &Change::Add(&secret("x")), false).unwrap();
                    }
                });
            }
            scope.spawn(|| {
                // Whoever reads meanwhile never sees half of it.
                while !path.exists() {
                    std::thread::yield_now();
                }
                let mut seen = 0;
                while seen < 100 {
                    let count = read(&path, None).unwrap().users.len();
                    assert!(count >= seen);
                    seen = count;
                }
            });
        });
        assert_eq!(read(&path, None).unwrap().users.len(), 100);
    }
}
