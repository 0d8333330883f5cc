//! What devices had last, on disk, so that they get it again after a restart: a small transactional
//! database that only its owner can read.
//!
//! A thread of its own writes, many changes in one transaction, so nothing waits for the disk. What
//! is wrong with the file is reported and never stops the server.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use adit_server::{Device, Lease};
use ipnet::Ipv6Net;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

/// User and device; when it was last used (a number that grows), IPv4 address, the client's prefix,
/// the delegated prefix. Another layout gets another name.
const TABLE: TableDefinition<'_, (&str, &str), Row> = TableDefinition::new("leases-1");

type Row = (u64, Option<u32>, Option<(u128, u8)>, Option<(u128, u8)>);

/// What stands in the file, the longest unused first.
type Rows = Vec<(Row, Device, Lease)>;

/// How long changes are collected before they are written.
const COLLECT: Duration = Duration::from_millis(500);

/// How long after a failure they are written again.
const RETRY: Duration = Duration::from_secs(30);

/// Why leases cannot be remembered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The folder or the file cannot be made or opened.
    #[error(
        "cannot open {}: {source}. Let leases.file of the configuration name a file that adit can \
         write", path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use: another adit serves with it. Give each a leases.file of its own", .0.display())]
    InUse(PathBuf),
    /// What is in it is not ours, or broken.
    #[error("{} cannot be used: {reason}. Move it away; a new one is made", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The file, being written.
pub(crate) struct Store {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// The last word on each device that is not written yet.
    changes: Changes,
    next: u64,
    closing: bool,
}

type Changes = HashMap<Arc<Device>, (u64, Option<Lease>)>;

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the file, which is made if it is missing, and gives what devices had, the longest unused
/// first.
pub(crate) fn open(path: &Path) -> Result<(Vec<(Device, Lease)>, Store), StoreError> {
    let shared = Arc::new(Shared::default());
    let (found, result) = mpsc::sync_channel(1);
    let thread = {
        let (path, shared) = (path.to_owned(), Arc::clone(&shared));
        std::thread::Builder::new()
            .name("leases".into())
            .spawn(move || match load(&path) {
                Ok((database, rows)) => {
                    shared.state().next = rows.last().map_or(0, |(row, _, _)| row.0 + 1);
                    let leases = rows.into_iter().map(|(_, device, lease)| (device, lease));
                    if found.send(Ok(leases.collect())).is_ok() {
                        write_changes(&database, &shared, &path);
                    }
                }
                Err(error) => {
                    // Whoever opens may be gone.
                    let _ = found.send(Err(error));
                }
            })
    };
    let thread = thread.map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source,
    })?;
    // A file that is broken in a way that the database did not expect ends the thread alone.
    let leases = result.recv().unwrap_or_else(|_| {
        Err(StoreError::Broken {
            path: path.to_owned(),
            reason: "the database in it is damaged".into(),
        })
    })?;
    let store = Store {
        shared,
        thread: Some(thread),
    };
    Ok((leases, store))
}

impl Store {
    /// Takes a change; it is on disk soon.
    pub(crate) fn note(&self, device: Arc<Device>, lease: Option<Lease>) {
        let mut state = self.shared.state();
        let order = state.next;
        state.next += 1;
        state.changes.insert(device, (order, lease));
        self.shared.wake.notify_one();
    }
}

impl Drop for Store {
    /// Writes what is left.
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has said what went wrong.
            let _ = thread.join();
        }
    }
}

fn load(path: &Path) -> Result<(Database, Rows), StoreError> {
    let failed = |source| StoreError::Open {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent()
        && !folder.as_os_str().is_empty()
        && !folder.exists()
    {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let database = Database::builder()
        .create_file(file)
        .map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            other => broken(path, &other),
        })?;
    let rows = rows(&database).map_err(|error| broken(path, &error))?;
    Ok((database, rows))
}

fn broken(path: &Path, reason: &dyn std::error::Error) -> StoreError {
    StoreError::Broken {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn rows(database: &Database) -> Result<Rows, redb::Error> {
    let mut rows = Vec::new();
    let read = database.begin_read()?;
    let table = match read.open_table(TABLE) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(rows),
        table => table?,
    };
    for entry in table.iter()? {
        let (key, value) = entry?;
        let (user, name) = key.value();
        let device = Device {
            user: user.to_owned(),
            name: name.to_owned(),
        };
        let row = value.value();
        rows.push((row, device, lease_of(row)));
    }
    rows.sort_by_key(|(row, _, _)| row.0);
    Ok(rows)
}

fn row_of(order: u64, lease: &Lease) -> Row {
    let prefix = |net: Option<Ipv6Net>| net.map(|net| (net.network().to_bits(), net.prefix_len()));
    (
        order,
        lease.ipv4.map(Ipv4Addr::to_bits),
        prefix(lease.ipv6),
        prefix(lease.delegated),
    )
}

fn lease_of((_, ipv4, ipv6, delegated): Row) -> Lease {
    let prefix = |row: Option<(u128, u8)>| {
        row.and_then(|(bits, length)| Ipv6Net::new(Ipv6Addr::from_bits(bits), length).ok())
    };
    Lease {
        ipv4: ipv4.map(Ipv4Addr::from_bits),
        ipv6: prefix(ipv6),
        delegated: prefix(delegated),
    }
}

fn write_changes(database: &Database, shared: &Shared, path: &Path) {
    let mut has_failed = false;
    loop {
        let state = shared.state();
        let state = shared
            .wake
            .wait_while(state, |state| state.changes.is_empty() && !state.closing)
            .unwrap_or_else(PoisonError::into_inner);
        let pause = if has_failed { RETRY } else { COLLECT };
        let (mut state, _) = shared
            .wake
            .wait_timeout_while(state, pause, |state| !state.closing)
            .unwrap_or_else(PoisonError::into_inner);
        let closing = state.closing;
        let changes = std::mem::take(&mut state.changes);
        drop(state);
        match write(database, &changes) {
            Ok(()) => {
                if has_failed {
                    tracing::info!(file = %path.display(), "leases are written again");
                }
                has_failed = false;
            }
            Err(error) => {
                if !has_failed || closing {
                    tracing::error!(
                        file = %path.display(),
                        %error,
                        "cannot write who had which address: after a restart clients may get \
                         others. See that the disk has room and is sound"
                    );
                }
                has_failed = true;
                let mut state = shared.state();
                for (device, change) in changes {
                    // What came meanwhile is newer.
                    state.changes.entry(device).or_insert(change);
                }
            }
        }
        if closing {
            return;
        }
    }
}

fn write(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for (device, (order, lease)) in changes {
            let key = (device.user.as_str(), device.name.as_str());
            match lease {
                Some(lease) => table.insert(key, row_of(*order, lease))?,
                None => table.remove(key)?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;
