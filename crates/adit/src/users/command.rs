//! `adit user add|passwd|remove|list`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Change, apply, name_fault, password_fault, random_text, read};
use crate::cli::{DEFAULT_CONFIG, PasswordOptions, UserCommand, UsersFile};
use crate::config::{self, Secret};
use crate::{Failure, print_json};

/// Carries out one of the commands.
pub(crate) fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add {
            name,
            password,
            users,
        } => set(&name, password, &users, true),
        UserCommand::Passwd {
            name,
            password,
            users,
        } => set(&name, password, &users, false),
        UserCommand::Remove { name, users } => {
            apply(&path(&users)?, &name, &Change::Remove, false).map_err(Failure::failed)
        }
        UserCommand::List { users, json } => list(&path(&users)?, json),
    }
}

fn path(users: &UsersFile) -> Result<PathBuf, Failure> {
    if let Some(file) = &users.file {
        return Ok(file.clone());
    }
    let config = match &users.config {
        Some(config) => config.as_path(),
        None => Path::new(DEFAULT_CONFIG),
    };
    Ok(config::paths(config)?.users_file)
}

fn set(
    name: &str,
    options: PasswordOptions,
    users: &UsersFile,
    is_new: bool,
) -> Result<(), Failure> {
    if let Some(fault) = name_fault(name) {
        return Err(Failure::usage(fault));
    }
    let path = path(users)?;
    let password = if options.generate {
        Secret::new(random_text(16).map_err(Failure::failed)?.as_str())
    } else {
        ask(name).map_err(Failure::failed)?
    };
    if let Some(fault) = password_fault(password.expose()) {
        return Err(Failure::failed(fault));
    }
    let change = if is_new {
        Change::Add(&password)
    } else {
        Change::Password(&password)
    };
    apply(&path, name, &change, options.clear).map_err(Failure::failed)?;
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
}

fn list(path: &Path, json: bool) -> Result<(), Failure> {
    let users = read(path, None).map_err(Failure::failed)?.users;
    let listed: Vec<Listed<'_>> = users
        .iter()
        .map(|(name, user)| Listed {
            name,
            disabled: user.disabled,
            clear: user.password.is_some(),
        })
        .collect();
    if json {
        return print_json(&listed);
    }
    for user in listed {
        let note = if user.disabled { "  (disabled)" } else { "" };
        println!("{}{note}", user.name);
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
