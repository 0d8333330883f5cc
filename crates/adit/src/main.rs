//! The adit program: reads the command line and hands over. Exit status: 0 done, 1 it failed, 2 the
//! command line is wrong, 3 the configuration is wrong.

mod admin;
mod bench;
mod check;
mod cli;
mod config;
mod connect;
mod demo;
mod dial;
mod leases;
mod log;
mod probe;
mod quickstart;
mod sealed;
mod secret;
mod serve;
mod time;
mod users;

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use config::{ConfigErrors, Loaded, render};

/// Why a command failed, and so its exit status.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done (1).
    Failed(String),
    /// The command line is wrong (2).
    Usage(String),
    /// The configuration is wrong (3).
    Config(ConfigErrors),
    /// Everything was said already (3).
    Told,
}

impl Failure {
    /// A failure with its reason in one or two sentences.
    pub(crate) fn failed(reason: impl Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// A mistake on the command line.
    pub(crate) fn usage(reason: impl Display) -> Self {
        Self::Usage(reason.to_string())
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}

/// Prints JSON for `--json`.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    writeln!(std::io::stdout(), "{text}").map_err(Failure::failed)
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(reason)) => {
            eprintln!("adit: {reason}");
            ExitCode::from(1)
        }
        Err(Failure::Usage(reason)) => {
            eprintln!("adit: {reason}");
            ExitCode::from(2)
        }
        Err(Failure::Config(errors)) => {
            let color = std::io::stderr().is_terminal();
            eprint!("{}", render(&errors.problems, color));
            ExitCode::from(3)
        }
        Err(Failure::Told) => ExitCode::from(3),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Quickstart(options) => {
            let loaded = quickstart::prepare(&options)?;
            if options.no_serve {
                return Ok(());
            }
            serve(loaded)
        }
        Command::Serve { config } => serve(config::load(&config.config)?),
        Command::Check { config, json } => check::run(&config.config, json),
        Command::Demo(options) => demo::run(options),
        Command::Connect(options) => connect::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Probe(options) => probe::run(&options),
        Command::User { command } => users::command::run(command),
        Command::Status { server, json } => admin::client::status(&server, json),
        Command::Sessions { server, json } => admin::client::sessions(&server, json),
        Command::Disconnect { server, name, json } => {
            admin::client::disconnect(&server, name, json)
        }
    }
}

fn serve(loaded: Loaded) -> Result<(), Failure> {
    log::init(loaded.config.log_level);
    serve::run(loaded).map_err(Failure::failed)
}
