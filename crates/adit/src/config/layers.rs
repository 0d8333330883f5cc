//! The layers of the configuration: the file, then the environment over it. `ADIT__IPV4__POOL`
//! is `ipv4.pool`: two underscores between tables and keys, one where a key has a dash.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

const PREFIX: &str = "ADIT__";

/// The variables that are meant for adit.
#[derive(Clone, Default)]
pub(super) struct Environment {
    // From a key's path to the variable's name and value.
    variables: BTreeMap<String, (String, String)>,
    // Variables whose value is not text.
    unreadable: Vec<String>,
}

impl Environment {
    /// Picks adit's variables out of all.
    pub(super) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let key = rest
                .to_ascii_lowercase()
                .replace("__", ".")
                .replace('_', "-");
            match value.into_string() {
                Ok(value) => {
                    environment.variables.insert(key, (name.to_owned(), value));
                }
                Err(_) => environment.unreadable.push(name.to_owned()),
            }
        }
        environment
    }

    /// The variable that sets a key, or one below it.
    pub(super) fn variable(&self, key: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(path, _)| {
                path.strip_prefix(key)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            .map(|(_, (name, _))| name.as_str())
    }

    /// Variables whose value is not UTF-8.
    pub(super) fn unreadable(&self) -> &[String] {
        &self.unreadable
    }
}

// A value may be the PSK.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self
            .variables
            .iter()
            .map(|(key, (name, value))| {
                let kind = ValueKind::String(value.clone());
                (key.clone(), Value::new(Some(name), kind))
            })
            .collect())
    }
}

/// The tree of both layers. A value from the environment is text and names its variable as its
/// origin; one from the file has no origin.
pub(super) fn merge(text: &str, environment: &Environment) -> Result<Value, ConfigError> {
    let merged = config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(environment.clone())
        .build()?;
    Ok(merged.cache)
}

/// The value at a dotted path, with the numbers of items in brackets.
pub(super) fn find<'a>(root: &'a Value, key: &str) -> Option<&'a Value> {
    let mut value = root;
    for segment in key.split('.') {
        let mut parts = segment.split('[');
        let ValueKind::Table(table) = &value.kind else {
            return None;
        };
        value = table.get(parts.next()?)?;
        for index in parts {
            let ValueKind::Array(items) = &value.kind else {
                return None;
            };
            let index: usize = index.strip_suffix(']')?.parse().ok()?;
            value = items.get(index)?;
        }
    }
    Some(value)
}
