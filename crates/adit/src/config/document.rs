//! The strict pass over the file: its syntax, where each key and value stands, and which bytes are
//! secret. Values are read from the merged layers (`layers.rs`), places from here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem, Severity, Source};
use super::unknown::plain;

/// A file that was read and parsed.
pub(super) struct Document {
    source: Arc<Source>,
    places: BTreeMap<String, Spans>,
}

struct Spans {
    key: Range<usize>,
    value: Range<usize>,
}

/// Which part of an entry a problem is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

impl Document {
    /// Parses the text of the file at `path`; a syntax error is the one problem it can have.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Problem> {
        let name = path.display().to_string();
        let table = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            Problem {
                severity: Severity::Error,
                message: format!("this is not TOML: {}", first_line(error.message())),
                help: "a value stands behind its key and an equals sign, text in double quotes: \
                       key = \"value\""
                    .to_owned(),
                place: Some(Place {
                    source: Arc::new(Source::new(&name, mask_lines(text))),
                    span: nonempty(span, text.len()),
                }),
            }
        })?;
        let mut places = BTreeMap::new();
        collect(table.get_ref(), "", &mut places);
        let mut shown = text.to_owned();
        for (key, spans) in &places {
            if is_secret(key, table.get_ref()) {
                blot(&mut shown, spans.value.clone());
            }
        }
        Ok(Self {
            source: Arc::new(Source::new(name, shown)),
            places,
        })
    }

    /// Where an entry (`ipv4.pool`, `ipv4.dns[1]`) stands, if it is in the file.
    pub(super) fn place(&self, key: &str, part: Part) -> Option<Place> {
        let spans = self.places.get(key)?;
        let span = match part {
            Part::Key => spans.key.clone(),
            Part::Value => spans.value.clone(),
        };
        Some(Place {
            source: Arc::clone(&self.source),
            span,
        })
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

// A report needs something to point at.
fn nonempty(span: Range<usize>, len: usize) -> Range<usize> {
    if span.start < span.end {
        span
    } else {
        span.start.min(len.saturating_sub(1))..span.start.saturating_add(1).min(len)
    }
}

fn collect(table: &DeTable<'_>, prefix: &str, places: &mut BTreeMap<String, Spans>) {
    for (key, value) in table {
        let path = join(prefix, key.get_ref());
        let spans = Spans {
            key: key.span(),
            value: value.span(),
        };
        match value.get_ref() {
            DeValue::Table(inner) => collect(inner, &path, places),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    if let DeValue::Table(inner) = item.get_ref() {
                        collect(inner, &path, places);
                    }
                    let spans = Spans {
                        key: item.span(),
                        value: item.span(),
                    };
                    places.insert(path, spans);
                }
            }
            _ => {}
        }
        places.insert(path, spans);
    }
}

/// `prefix.key`, or the key alone at the top.
pub(super) fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() {
        key.to_owned()
    } else {
        format!("{prefix}.{key}")
    }
}

// A PSK may stand under a mistyped key or in the wrong table: whatever sounds like a secret is
// one, and so is anything in [ipsec] that is not known to be harmless.
fn is_secret(key: &str, root: &DeTable<'_>) -> bool {
    const HARMLESS: [&str; 19] = [
        "ipsec.ike",
        "ipsec.esp",
        "ipsec.legacy",
        "ipsec.esn",
        "ipsec.psk.file",
        "ipsec.certificate",
        "ipsec.key.file",
        "ipsec.ca",
        "ipsec.crl",
        "ipsec.peer.from",
        "ipsec.peer.identity",
        "ipsec.peer.aggressive",
        "ipsec.peer.psk.file",
        "ipsec.ike-lifetime",
        "ipsec.esp-lifetime",
        "ipsec.esp-lifetime-bytes",
        "ipsec.dpd",
        "l2tp.secret.file",
        "l2tp.peer.secret.file",
    ];
    let name = plain(key);
    let under = |parent: &str| {
        name.strip_prefix(parent)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if HARMLESS.iter().any(|harmless| under(harmless)) || holds_tables(key, root) {
        return false;
    }
    key.starts_with("ipsec.") || sounds_secret(key)
}

// Whether an entry is a table or a list of them, whose own entries are judged one by one.
fn holds_tables(key: &str, root: &DeTable<'_>) -> bool {
    let mut table = root;
    for segment in key.split('.') {
        let (name, index) = match segment.split_once('[') {
            Some((name, index)) => (name, index.strip_suffix(']')),
            None => (segment, None),
        };
        let index = index.and_then(|index| index.parse::<usize>().ok());
        match (table.get(name).map(|value| value.get_ref()), index) {
            (Some(DeValue::Table(inner)), None) => table = inner,
            (Some(DeValue::Array(items)), Some(index)) => match items.get(index) {
                Some(item) => match item.get_ref() {
                    DeValue::Table(inner) => table = inner,
                    _ => return false,
                },
                None => return false,
            },
            // Only at the end of the path: an entry below has its table's number in it.
            (Some(DeValue::Array(items)), None) => {
                let is_table =
                    |item: &Spanned<DeValue<'_>>| matches!(item.get_ref(), DeValue::Table(_));
                return !items.is_empty() && items.iter().all(is_table);
            }
            _ => return false,
        }
    }
    true
}

fn sounds_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["psk", "pks", "secret", "passw", "shared"]
        .iter()
        .any(|word| text.contains(word))
}

// Without a tree, whole lines are judged.
fn mask_lines(text: &str) -> String {
    let mut shown = text.to_owned();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        if let Some(equals) = body.find('=')
            && sounds_secret(body)
        {
            blot(&mut shown, at + equals + 1..at + body.len());
        }
        at += line.len();
    }
    shown
}

// Byte for byte, so that every other span stays where it is.
fn blot(text: &mut String, span: Range<usize>) {
    if let Some(secret) = text.get(span.clone()) {
        let stars: String = secret
            .bytes()
            .map(|byte| if byte == b'\n' { '\n' } else { '*' })
            .collect();
        text.replace_range(span, &stars);
    }
}
