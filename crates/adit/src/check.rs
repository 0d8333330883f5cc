//! `adit check`: the configuration, and the users file that it names.

use std::io::IsTerminal;
use std::path::Path;

use crate::config::{self, Loaded, Problem, ProblemDto, Severity, render};
use crate::users;
use crate::{Failure, print_json};

/// Checks the configuration at `path`: problems go to standard error, or as JSON to standard
/// output.
pub(crate) fn run(path: &Path, json: bool) -> Result<(), Failure> {
    let (problems, summary) = match config::load(path) {
        Ok(loaded) => judge(loaded),
        Err(errors) => (errors.problems, String::new()),
    };
    let errors = count(&problems, Severity::Error);
    if json {
        let list: Vec<ProblemDto<'_>> = problems.iter().map(ProblemDto::from).collect();
        print_json(&list)?;
    } else {
        eprint!("{}", render(&problems, std::io::stderr().is_terminal()));
        if errors == 0 {
            let warnings = count(&problems, Severity::Warning);
            println!(
                "{} can be used ({warnings} warnings): {summary}",
                path.display()
            );
        }
    }
    if errors == 0 {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

fn count(problems: &[Problem], severity: Severity) -> usize {
    problems
        .iter()
        .filter(|problem| problem.severity == severity)
        .count()
}

fn judge(loaded: Loaded) -> (Vec<Problem>, String) {
    let Loaded {
        config,
        mut warnings,
        ..
    } = loaded;
    let problem = |severity, message, help: &str| Problem {
        severity,
        message,
        help: help.to_owned(),
        place: None,
    };
    let names = match users::read(&config.users_file, Some(&users::Networks::from(&config))) {
        Ok(table) => {
            if table.users.is_empty() {
                warnings.push(problem(
                    Severity::Warning,
                    format!("{} has no users", config.users_file.display()),
                    "add one: adit user add NAME",
                ));
            }
            table.users.len()
        }
        Err(error) => {
            warnings.push(problem(
                Severity::Error,
                error.to_string(),
                "users are added with: adit user add NAME",
            ));
            0
        }
    };
    let uplink = config.ipv6.as_ref().and_then(|ipv6| ipv6.nd_proxy.as_ref());
    if let Some(name) = uplink
        && !Path::new("/sys/class/net").join(name).exists()
    {
        warnings.push(problem(
            Severity::Warning,
            format!("`ipv6.nd-proxy`: there is no interface {name} here now"),
            "the server does not start without it: `ip link` lists those that there are",
        ));
    }
    let ipv4 = config
        .ipv4
        .as_ref()
        .map(|ipv4| format!("IPv4 {}", ipv4.pool));
    let ipv6 = config.ipv6.as_ref().map(|ipv6| match &ipv6.nd_proxy {
        Some(name) => format!("IPv6 addresses of {} on {name}", ipv6.prefix),
        None => format!("IPv6 {}", ipv6.prefix),
    });
    let families: Vec<String> = ipv4.into_iter().chain(ipv6).collect();
    (
        warnings,
        format!("{}, users: {names}", families.join(" and ")),
    )
}
