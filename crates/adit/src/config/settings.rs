//! Reading values by key, with every problem noted and none of them fatal. A key that is asked
//! for is a known key; what nobody asked for in the end is reported as unknown.

mod lists;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::{Value, ValueKind};

use super::document::{Document, Part};
use super::layers::{Environment, find};
use super::problem::{Place, Problem, Severity};
use super::units;
use super::unknown::{self, Known, last, plain};

/// What is wrong with a value, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) help: String,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }

    /// Message and help in one.
    pub(super) fn into_text(self) -> String {
        format!("{}: {}", self.message, self.help)
    }
}

/// The merged values, and what was found wrong with them so far.
pub(super) struct Settings<'a> {
    document: &'a Document,
    environment: &'a Environment,
    merged: Value,
    known: Known,
    problems: Vec<Problem>,
    complained: BTreeSet<String>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(document: &'a Document, environment: &'a Environment, merged: Value) -> Self {
        Self {
            document,
            environment,
            merged,
            known: Known::new(),
            problems: Vec::new(),
            complained: BTreeSet::new(),
        }
    }

    /// Notes an error about a key's value, or about a missing key.
    pub(super) fn error(&mut self, key: &str, message: impl Display, help: impl Into<String>) {
        self.note(Severity::Error, key, Part::Value, message, help);
    }

    /// Notes a warning about a key's value.
    pub(super) fn warning(&mut self, key: &str, message: impl Display, help: impl Into<String>) {
        self.note(Severity::Warning, key, Part::Value, message, help);
    }

    fn note(
        &mut self,
        severity: Severity,
        key: &str,
        part: Part,
        message: impl Display,
        help: impl Into<String>,
    ) {
        let base = item_of(key).unwrap_or(key);
        self.complained.insert(base.to_owned());
        // The environment lies over the file, so it is where the value came from.
        let (subject, place) = match self.environment.variable(base) {
            Some(variable) => (variable.to_owned(), None),
            None => (plain(key), self.place(key, part)),
        };
        self.problems.push(Problem {
            severity,
            message: format!("`{subject}`: {message}"),
            help: help.into(),
            place,
        });
    }

    // A key that is not in the file is shown at its table, if that is.
    fn place(&self, key: &str, part: Part) -> Option<Place> {
        self.document.place(key, part).or_else(|| {
            if let Some(list) = item_of(key) {
                return self.document.place(list, part);
            }
            let (table, _) = key.rsplit_once('.')?;
            self.document.place(table, Part::Key)
        })
    }

    /// Whether a key or table is set in any layer.
    pub(super) fn is_set(&self, key: &str) -> bool {
        find(&self.merged, key).is_some()
    }

    /// Notes an error about an empty list, unless its items were complained about already.
    pub(super) fn empty(&mut self, key: &str, message: impl Display, help: impl Into<String>) {
        if !self.complained.contains(key) {
            self.error(key, message, help);
        }
    }

    fn get(&mut self, key: &str) -> Option<Value> {
        self.known.insert(plain(key));
        find(&self.merged, key).cloned()
    }

    /// A text, as it is.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.get(key)?;
        match value.kind {
            ValueKind::String(text) => Some(text),
            other => {
                self.error(
                    key,
                    format_args!("must be text, not {}", kind(&other)),
                    "put the value in double quotes",
                );
                None
            }
        }
    }

    /// A text that `parse` makes something of.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.error(key, complaint.message, complaint.help);
                None
            }
        }
    }

    /// The same of a text or a whole number.
    pub(super) fn parsed_number<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let text = match self.get(key)?.kind {
            ValueKind::String(text) => text,
            ValueKind::I64(number) => number.to_string(),
            other => {
                self.error(
                    key,
                    format_args!("must be text or a number, not {}", kind(&other)),
                    "put text in double quotes",
                );
                return None;
            }
        };
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.error(key, complaint.message, complaint.help);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(value) = self.get(key) else {
            return default;
        };
        match &value.kind {
            ValueKind::Boolean(flag) => *flag,
            ValueKind::String(text) if value.origin().is_some() && text == "true" => true,
            ValueKind::String(text) if value.origin().is_some() && text == "false" => false,
            other => {
                self.error(
                    key,
                    format_args!("must be true or false, not {}", kind(other)),
                    "write true or false, without quotes",
                );
                default
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, key: &str, default: u32, bounds: RangeInclusive<u32>) -> u32 {
        let Some(value) = self.get(key) else {
            return default;
        };
        let number = match &value.kind {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text) if value.origin().is_some() => text.trim().parse().ok(),
            _ => None,
        };
        match number.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if bounds.contains(&number) => number,
            _ => {
                let (low, high) = (bounds.start(), bounds.end());
                let found = match number {
                    Some(number) => number.to_string(),
                    None => kind(&value.kind).to_owned(),
                };
                self.error(
                    key,
                    format_args!("must be a number from {low} to {high}, not {found}"),
                    format!("write for example {default}, without quotes"),
                );
                default
            }
        }
    }

    /// A number within bounds, or the word "auto" for `None`.
    pub(super) fn number_or_auto(
        &mut self,
        key: &str,
        example: u32,
        bounds: RangeInclusive<u32>,
    ) -> Option<u32> {
        match self.get(key).map(|value| value.kind) {
            None => None,
            Some(ValueKind::String(word)) if word.trim() == "auto" => None,
            Some(_) => Some(self.number(key, example, bounds)),
        }
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &mut self,
        key: &str,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let (low, high) = (units::show(*bounds.start()), units::show(*bounds.end()));
        let help = format!(
            "write a duration from {low} to {high}, such as \"{}\"",
            units::show(default)
        );
        self.parsed(key, |text| {
            let duration = units::duration(text)
                .ok_or_else(|| Complaint::new(format!("{text:?} is not a duration"), &help))?;
            if !bounds.contains(&duration) {
                return Err(Complaint::new(format!("{text:?} is out of bounds"), &help));
            }
            Ok(duration)
        })
        .unwrap_or(default)
    }

    /// A duration within bounds, or the word "off" for `None`.
    pub(super) fn duration_or_off(
        &mut self,
        key: &str,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        match self.get(key).map(|value| value.kind) {
            Some(ValueKind::String(word)) if word.trim() == "off" => None,
            _ => Some(self.duration(key, default, bounds)),
        }
    }

    /// The kind of a secret: the text itself, or the name of a file that holds it (`KEY.file`).
    pub(super) fn secret(&mut self, key: &str, file_key: &str) -> Option<SecretSource> {
        let value = self.get(key)?;
        match value.kind {
            ValueKind::String(text) => Some(SecretSource::Text(text)),
            ValueKind::Table(_) => match self.text(file_key) {
                Some(file) => Some(SecretSource::File(file)),
                None => {
                    if !self.is_set(file_key) {
                        self.error(
                            key,
                            "names no file",
                            format!("write {} = {{ file = \"psk\" }}", last(key)),
                        );
                    }
                    None
                }
            },
            other => {
                self.error(
                    key,
                    format_args!("must be text or a file, not {}", kind(&other)),
                    format!(
                        "write {0} = \"...\" or {0} = {{ file = \"psk\" }}",
                        last(key)
                    ),
                );
                None
            }
        }
    }

    /// Reports what nobody asked for, and gives all problems.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        let known = std::mem::take(&mut self.known);
        for (key, example) in unknown::find(&known, &self.merged) {
            if let Some(example) = example {
                self.error(
                    &key,
                    "is a table, not a value",
                    format!("write [{key}] on a line of its own, and below it {example} = ..."),
                );
            } else {
                let help = unknown::suggestion(&known, &key);
                self.note(
                    Severity::Error,
                    &key,
                    Part::Key,
                    "there is no such key",
                    help,
                );
            }
        }
        for name in self.environment.unreadable() {
            self.problems.push(Problem {
                severity: Severity::Error,
                message: format!("`{name}`: the variable is not UTF-8"),
                help: "set it to UTF-8 text".to_owned(),
                place: None,
            });
        }
        self.problems
            .sort_by_key(|problem| problem.place.as_ref().map(|place| place.span.start));
        self.problems
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> &Known {
        &self.known
    }
}

/// Where a secret comes from.
pub(super) enum SecretSource {
    /// It stands there.
    Text(String),
    /// In this file.
    File(String),
}

/// The list that a key is an item of: `ipv4.dns` for `ipv4.dns[1]`.
fn item_of(key: &str) -> Option<&str> {
    let (list, _) = key.strip_suffix(']')?.rsplit_once('[')?;
    Some(list)
}

fn kind(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            "a number"
        }
        ValueKind::Float(_) => "a number with a fraction",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}
