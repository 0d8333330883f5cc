//! Values that are lists, and tables that are there several times.

use config::{Value, ValueKind};

use super::{Complaint, Settings, kind};

impl Settings<'_> {
    /// A list of texts, each of which `parse` makes something of. `None` if it is not set. From the
    /// environment it is one text with commas.
    pub(in crate::config) fn list<T>(
        &mut self,
        key: &str,
        parse: impl FnMut(&str) -> Result<T, Complaint>,
    ) -> Option<Vec<T>> {
        self.items(key, false, parse)
    }

    /// The same of texts and whole numbers.
    pub(in crate::config) fn list_with_numbers<T>(
        &mut self,
        key: &str,
        parse: impl FnMut(&str) -> Result<T, Complaint>,
    ) -> Option<Vec<T>> {
        self.items(key, true, parse)
    }

    fn items<T>(
        &mut self,
        key: &str,
        numbers: bool,
        mut parse: impl FnMut(&str) -> Result<T, Complaint>,
    ) -> Option<Vec<T>> {
        let value = self.get(key)?;
        let items = match &value.kind {
            ValueKind::Array(items) => items.clone(),
            ValueKind::String(text) if value.origin().is_some() => text
                .split(',')
                .map(|item| item.trim().trim_matches(['[', ']', '"']).trim())
                .filter(|item| !item.is_empty())
                .map(|item| Value::new(None, item))
                .collect(),
            other => {
                self.error(
                    key,
                    format_args!("must be a list, not {}", kind(other)),
                    "put the values in square brackets: [\"one\", \"two\"]",
                );
                return Some(Vec::new());
            }
        };
        let mut parsed = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let at = format!("{key}[{index}]");
            let kind_of_item = match item.kind {
                ValueKind::I64(number) if numbers => ValueKind::String(number.to_string()),
                kind => kind,
            };
            match kind_of_item {
                ValueKind::String(text) => match parse(text.trim()) {
                    Ok(value) => parsed.push(value),
                    Err(complaint) => self.error(&at, complaint.message, complaint.help),
                },
                other => self.error(
                    &at,
                    format_args!("each item must be text, not {}", kind(&other)),
                    "put each item in double quotes",
                ),
            }
        }
        Some(parsed)
    }

    /// How many tables the array of tables at `key` has, whose keys are then asked for as
    /// `key[0].name`. `keys` are all that they may have.
    pub(in crate::config) fn tables(&mut self, key: &str, keys: &[&str]) -> usize {
        for name in keys {
            self.known.insert(format!("{key}.{name}"));
        }
        let Some(value) = self.get(key) else {
            return 0;
        };
        let is_table = |value: &Value| matches!(value.kind, ValueKind::Table(_));
        match &value.kind {
            ValueKind::Array(items) if items.iter().all(is_table) => items.len(),
            _ => {
                self.error(
                    key,
                    "can be there several times, each a table of its own",
                    format!("write [[{key}]] on a line of its own"),
                );
                0
            }
        }
    }
}
