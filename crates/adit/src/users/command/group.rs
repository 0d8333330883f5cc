//! `adit user group add|set|remove|list`.

use adit_link::rate::Rate;
use serde::Serialize;

use super::super::edit::{Entry, Of};
use super::super::table::Group;
use super::super::{Change, read};
use super::{change, limits, path, set};
use crate::cli::{GroupCommand, GroupRights};
use crate::config::units;
use crate::time::rfc3339;
use crate::{Failure, print_json};

/// Carries out one of the commands.
pub(super) fn run(command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::Add {
            name,
            rights,
            users,
        } => change(&users, &name, &Change::AddGroup, &entries(&rights)?, false),
        GroupCommand::Set {
            name,
            rights,
            users,
        } => {
            let such_as = "--rate 50Mbit or --disable";
            set(&users, &name, Of::Group, &entries(&rights)?, such_as)
        }
        GroupCommand::Remove { name, users } => {
            change(&users, &name, &Change::Remove(Of::Group), &[], false)
        }
        GroupCommand::List { users, json } => {
            let table = read(&path(&users)?, None).map_err(Failure::failed)?;
            let members = |name: &str| {
                let users = table.users.iter();
                let is_in = |group: &super::super::table::Placed<String>| group.value == name;
                users
                    .filter(|(_, user)| user.group.as_ref().is_some_and(is_in))
                    .map(|(user, _)| user.as_str())
                    .collect()
            };
            let groups = table.groups.iter();
            let listed: Vec<Listed<'_>> = groups
                .map(|(name, group)| Listed::new(name, group, members(name)))
                .collect();
            if json {
                return print_json(&listed);
            }
            for group in listed {
                println!("{}{}", group.name, group.notes());
            }
            Ok(())
        }
    }
}

fn entries(rights: &GroupRights) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    if let Some(text) = rights.routes.as_deref().map(str::trim) {
        let routes = match text {
            "none" => None,
            "all" => Some(toml_edit::Array::new()),
            _ => Some(text.split(',').map(str::trim).collect()),
        };
        entries.push(("routes", routes.map(toml_edit::Value::Array)));
    }
    entries.extend(limits(&rights.limits)?);
    Ok(entries)
}

/// One group for `--json`.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    members: Vec<&'a str>,
    disabled: bool,
    /// Empty: everywhere.
    routes: Option<Vec<String>>,
    sessions: Option<usize>,
    /// Bits a second.
    rate: Option<u64>,
    expires: Option<String>,
}

impl<'a> Listed<'a> {
    fn new(name: &'a str, group: &Group, members: Vec<&'a str>) -> Self {
        let routes = group.routes.as_ref();
        Self {
            name,
            members,
            disabled: group.disabled,
            routes: routes.map(|routes| routes.value.iter().map(ToString::to_string).collect()),
            sessions: group.sessions,
            rate: group.rate.map(Rate::bits),
            expires: group.expires.map(rfc3339),
        }
    }

    // What is worth a word, in the order of the options.
    fn notes(&self) -> String {
        let members = match self.members.len() {
            1 => "1 member".to_owned(),
            count => format!("{count} members"),
        };
        let routes = self.routes.as_ref().map(|routes| match routes.is_empty() {
            true => "routes all".to_owned(),
            false => format!("routes {}", routes.join(" ")),
        });
        let notes = [
            Some(members),
            routes,
            self.sessions.map(|count| format!("sessions {count}")),
            self.rate
                .and_then(Rate::new)
                .map(|rate| format!("rate {}", units::show_rate(rate))),
            self.expires.as_ref().map(|at| format!("until {at}")),
            self.disabled.then(|| "disabled".to_owned()),
        ];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        format!("  ({})", notes.join(", "))
    }
}
