//! The report: a line for each step as it happens, or one JSON array at the end.

use std::io::Write;
use std::net::IpAddr;

use adit_client::probe::{Outcome, Step};
use serde::Serialize;

use crate::{Failure, print_json};

/// A step for `--json`.
#[derive(Serialize)]
struct Row {
    /// The address that was asked; null for the name.
    address: Option<IpAddr>,
    step: String,
    /// "ok", "warn" or "fail".
    outcome: &'static str,
    seen: Vec<String>,
    milliseconds: f64,
    advice: Option<String>,
}

pub(super) struct Report {
    json: bool,
    rows: Vec<Row>,
    failed: usize,
    last: Option<IpAddr>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            rows: Vec::new(),
            failed: 0,
            last: None,
        }
    }

    /// Takes a step of the probe of `address`.
    pub(super) fn step(&mut self, address: Option<IpAddr>, step: Step) {
        self.failed += usize::from(step.outcome == Outcome::Fail);
        if !self.json {
            if let Some(address) = address.filter(|address| self.last != Some(*address)) {
                self.last = Some(address);
                say(&format!("\n{address}"));
            }
            say(&line(&step));
        }
        self.rows.push(Row {
            address,
            milliseconds: milliseconds(&step),
            outcome: step.outcome.name(),
            step: step.name,
            seen: step.seen,
            advice: step.advice,
        });
    }

    /// Ends the report; an error if a step failed.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if self.json {
            print_json(&self.rows)?;
        }
        match self.failed {
            0 => Ok(()),
            failed => {
                let all = self.rows.len();
                Err(Failure::failed(format_args!(
                    "{failed} of {all} steps failed"
                )))
            }
        }
    }
}

/// Whoever reads it has gone away: there is nobody to tell.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// To the microsecond.
fn milliseconds(step: &Step) -> f64 {
    step.took.as_micros() as f64 / 1000.0
}

fn line(step: &Step) -> String {
    let columns = format!(
        "{:<5} {:>8.1} ms  {:<21}  ",
        step.outcome.name(),
        milliseconds(step),
        step.name,
    );
    let indent = columns.len();
    let mut line = columns + &plain(&step.seen.join("; "));
    if let Some(advice) = &step.advice {
        line.push_str(&format!("\n{:indent$}-> {}", "", plain(advice)));
    }
    line
}

/// What a server says may try to steer the terminal.
fn plain(text: &str) -> String {
    let replaced = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(replaced).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let seen = vec!["a".to_owned(), "b\u{1b}[2J".to_owned()];
        let step = Step::ok("router-advertisement", Duration::from_millis(1234), seen);
        let text = line(&step.warn("do this"));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "warn    1234.0 ms  router-advertisement   a; b\u{fffd}[2J",
                &format!("{}-> do this", " ".repeat(42)),
            ]
        );
        assert_eq!(lines[0].find("a; b"), lines[1].find("->"));
    }
}
