//! `adit user add|set|passwd|remove|list`, and [`group`].

mod group;

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use adit_link::rate::Rate;
use ipnet::Ipv6Net;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use serde::Serialize;
use zeroize::Zeroizing;

use super::edit::{Entry, Of};
use super::table::User;
use super::{Change, Edit, Networks, apply, name_fault, password_fault, random_text, read};
use crate::cli::{DEFAULT_CONFIG, Limits, PasswordOptions, Rights, UserCommand, UsersFile};
use crate::config::{self, Secret, units};
use crate::time::{EXPIRY_HELP, rfc3339};
use crate::{Failure, print_json};

/// Carries out one of the commands.
pub(crate) fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add {
            name,
            password,
            rights,
            users,
        } => set_password(&name, password, &rights, &users, true),
        UserCommand::Passwd {
            name,
            password,
            users,
        } => set_password(&name, password, &Rights::default(), &users, false),
        UserCommand::Set {
            name,
            rights,
            users,
        } => {
            let such_as = "--ipv4 10.77.0.10 or --disable";
            set(&users, &name, Of::User, &entries(&rights)?, such_as)
        }
        UserCommand::Remove { name, users } => {
            change(&users, &name, &Change::Remove(Of::User), &[], false)
        }
        UserCommand::List { users, json } => list(&path(&users)?, json),
        UserCommand::Group(command) => group::run(command),
    }
}

fn path(users: &UsersFile) -> Result<PathBuf, Failure> {
    match &users.file {
        Some(file) => Ok(file.clone()),
        None => Ok(config::paths(config_path(users))?.users_file),
    }
}

fn config_path(users: &UsersFile) -> &Path {
    match &users.config {
        Some(config) => config.as_path(),
        None => Path::new(DEFAULT_CONFIG),
    }
}

// The networks are known only with a configuration, and only if that can be used; a server that it
// starts judges for itself.
fn change(
    users: &UsersFile,
    name: &str,
    change: &Change<'_>,
    entries: &[Entry],
    clear: bool,
) -> Result<(), Failure> {
    let path = path(users)?;
    let networks = match &users.file {
        Some(_) => None,
        None => config::load(config_path(users))
            .ok()
            .map(|loaded| Networks::from(&loaded.config)),
    };
    let edit = Edit {
        change,
        clear,
        entries,
        networks: networks.as_ref(),
    };
    apply(&path, name, &edit).map_err(Failure::failed)
}

/// Changes what a user or group has.
fn set(
    users: &UsersFile,
    name: &str,
    of: Of,
    entries: &[Entry],
    such_as: &str,
) -> Result<(), Failure> {
    if entries.is_empty() {
        let nothing = format!("nothing to change: say what, such as {such_as}");
        return Err(Failure::usage(nothing));
    }
    change(users, name, &Change::Set(of), entries, false)
}

// What stands in the file for each option; without a value the key goes.
fn entries(rights: &Rights) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for (key, given) in [
        ("ipv4", &rights.ipv4),
        ("ipv6-prefix", &rights.ipv6_prefix),
        ("delegated-prefix", &rights.delegated_prefix),
        ("group", &rights.group),
    ] {
        if let Some(text) = given.as_deref().map(str::trim) {
            entries.push((key, (text != "none").then(|| text.into())));
        }
    }
    entries.extend(limits(&rights.limits)?);
    Ok(entries)
}

// The same of what groups have as well.
fn limits(limits: &Limits) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for (key, given) in [
        ("sessions", &limits.sessions),
        ("rate", &limits.rate),
        ("expires", &limits.expires),
    ] {
        let Some(text) = given.as_deref().map(str::trim) else {
            continue;
        };
        let value = match key {
            _ if text == "none" => None,
            "sessions" => Some(
                text.parse::<i64>()
                    .map_err(|_| Failure::usage("--sessions takes a number, or none"))?
                    .into(),
            ),
            "rate" if units::rate(text).is_none() => {
                return Err(Failure::usage(format_args!(
                    "--rate: {}; or none",
                    units::RATE_HELP
                )));
            }
            "expires" => Some(
                text.parse::<toml_edit::Datetime>()
                    .map_err(|_| Failure::usage(format_args!("--expires: {EXPIRY_HELP}; or none")))?
                    .into(),
            ),
            _ => Some(text.into()),
        };
        entries.push((key, value));
    }
    if limits.disable {
        entries.push(("disabled", Some(true.into())));
    }
    if limits.enable {
        entries.push(("disabled", None));
    }
    Ok(entries)
}

fn set_password(
    name: &str,
    options: PasswordOptions,
    rights: &Rights,
    users: &UsersFile,
    is_new: bool,
) -> Result<(), Failure> {
    if let Some(fault) = name_fault(name) {
        return Err(Failure::usage(fault));
    }
    let entries = entries(rights)?;
    let password = if options.generate {
        Secret::new(random_text(16).map_err(Failure::failed)?.as_str())
    } else {
        ask(name).map_err(Failure::failed)?
    };
    if let Some(fault) = password_fault(password.expose()) {
        return Err(Failure::failed(fault));
    }
    let kind = if is_new {
        Change::Add(&password)
    } else {
        Change::Password(&password)
    };
    change(users, name, &kind, &entries, options.clear)?;
    if options.generate {
        println!("{}", password.expose());
    } else if password.expose().chars().count() < 8 {
        eprintln!("warning: the password is short; whoever gets at the PSK can guess it");
    }
    Ok(())
}

/// One user for `--json`: no hash, no password.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    disabled: bool,
    clear: bool,
    group: Option<&'a str>,
    ipv4: Option<Ipv4Addr>,
    ipv6_prefix: Option<Ipv6Net>,
    delegated_prefix: Option<Ipv6Net>,
    sessions: Option<usize>,
    /// Bits a second.
    rate: Option<u64>,
    expires: Option<String>,
}

impl<'a> Listed<'a> {
    fn new(name: &'a str, user: &'a User) -> Self {
        Self {
            name,
            disabled: user.disabled,
            clear: user.password.is_some(),
            group: user.group.as_ref().map(|group| group.value.as_str()),
            ipv4: user.ipv4.as_ref().map(|ipv4| ipv4.value),
            ipv6_prefix: user.ipv6.as_ref().map(|prefix| prefix.value),
            delegated_prefix: user.delegated.as_ref().map(|prefix| prefix.value),
            sessions: user.sessions,
            rate: user.rate.map(Rate::bits),
            expires: user.expires.map(rfc3339),
        }
    }

    // What is worth a word, in the order of the options.
    fn notes(&self) -> String {
        let notes = [
            self.ipv4.map(|ipv4| ipv4.to_string()),
            self.ipv6_prefix.map(|prefix| prefix.to_string()),
            self.delegated_prefix
                .map(|prefix| format!("delegated {prefix}")),
            self.group.map(|group| format!("group {group}")),
            self.sessions.map(|count| format!("sessions {count}")),
            self.rate
                .and_then(Rate::new)
                .map(|rate| format!("rate {}", units::show_rate(rate))),
            self.expires.as_ref().map(|at| format!("until {at}")),
            self.disabled.then(|| "disabled".to_owned()),
        ];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        match notes.is_empty() {
            true => String::new(),
            false => format!("  ({})", notes.join(", ")),
        }
    }
}

fn list(path: &Path, json: bool) -> Result<(), Failure> {
    let table = read(path, None).map_err(Failure::failed)?;
    let users = table.users.iter();
    let listed: Vec<Listed<'_>> = users.map(|(name, user)| Listed::new(name, user)).collect();
    if json {
        return print_json(&listed);
    }
    for user in listed {
        println!("{}{}", user.name, user.notes());
    }
    Ok(())
}

// From a terminal it is asked for twice and not shown; else it is the first line of the input.
fn ask(name: &str) -> io::Result<Secret> {
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let first = prompt(&format!("Password for {name}: "))?;
    let second = prompt("Again: ")?;
    if first != second {
        return Err(io::Error::other(
            "the two passwords differ; nothing was changed",
        ));
    }
    Ok(first)
}

fn prompt(text: &str) -> io::Result<Secret> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    eprint!("{text}");
    io::stderr().flush()?;
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &silent)?;
    let line = read_line();
    let restored = tcsetattr(&stdin, SetArg::TCSAFLUSH, &before);
    eprintln!();
    restored?;
    line
}

fn read_line() -> io::Result<Secret> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line)?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}
