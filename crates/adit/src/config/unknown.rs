//! Keys that nobody asked for, and what was probably meant.

use std::collections::BTreeSet;

use config::{Value, ValueKind};

use super::document::join;

/// Every key there is, as dotted paths without the numbers of items.
pub(super) type Known = BTreeSet<String>;

/// A key without the numbers of items: `ipsec.peer.from` for `ipsec.peer[0].from[1]`.
pub(super) fn plain(key: &str) -> String {
    let mut plain = String::with_capacity(key.len());
    for (index, part) in key.split('[').enumerate() {
        let rest = part.split_once(']').map_or(part, |(_, rest)| rest);
        plain.push_str(if index == 0 { part } else { rest });
    }
    plain
}

/// The unknown keys of a tree. A known table that holds a plain value is among them, with the name
/// of a key that it could have had.
pub(super) fn find<'a>(known: &'a Known, root: &Value) -> Vec<(String, Option<&'a str>)> {
    let mut unknown = Vec::new();
    walk(known, root, "", &mut unknown);
    unknown
}

fn walk<'a>(
    known: &'a Known,
    value: &Value,
    prefix: &str,
    unknown: &mut Vec<(String, Option<&'a str>)>,
) {
    let table = match &value.kind {
        ValueKind::Table(table) => table,
        ValueKind::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(known, item, &format!("{prefix}[{index}]"), unknown);
            }
            return;
        }
        _ => return,
    };
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    for (key, inner) in keys {
        let path = join(prefix, key);
        let name = plain(&path);
        let is_known = known.contains(&name);
        let below = known.iter().find(|known| is_below(known, &name));
        let inside = match inner.kind {
            ValueKind::Table(_) => below.is_some(),
            ValueKind::Array(_) => is_known,
            _ => false,
        };
        if inside {
            walk(known, inner, &path, unknown);
        } else if !is_known {
            unknown.push((path, below.map(|known| last(known))));
        }
    }
}

/// What to do about an unknown key.
pub(super) fn suggestion(known: &Known, key: &str) -> String {
    let key = &plain(key);
    // The same name in another table is the better guess than a name that is far off.
    let same = known.iter().find(|known| last(known) == last(key));
    let nearest = known
        .iter()
        .map(|known| (distance(known, key), known))
        .min_by_key(|(distance, _)| *distance);
    let tables = known.iter().filter_map(|known| known.rsplit_once('.'));
    let table = tables
        .map(|(table, _)| (distance(table, key), table))
        .min_by_key(|(distance, _)| *distance);
    match (same, nearest, table) {
        (_, Some((distance, known)), _) if distance <= 2 => format!("did you mean `{known}`?"),
        (_, _, Some((distance, table))) if distance <= 2 => format!("did you mean [{table}]?"),
        (Some(known), ..) => format!("did you mean `{known}`?"),
        (_, Some((_, known)), _) => format!(
            "remove it; the nearest key there is is `{known}`, and conf/adit.toml of the \
             distribution explains them all"
        ),
        _ => "remove it".to_owned(),
    }
}

fn is_below(key: &str, table: &str) -> bool {
    key.strip_prefix(table)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// The last part of a dotted path.
pub(super) fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

// Levenshtein distance: how many characters must change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (cb, above) in b.iter().zip(row.iter().skip(1)) {
            let substituted = diagonal + usize::from(ca != *cb);
            left = substituted.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, plain};

    #[test]
    fn keys_lose_their_numbers() {
        assert_eq!(plain("ipsec.peer[0].from[12]"), "ipsec.peer.from");
        assert_eq!(plain("ipv4.dns"), "ipv4.dns");
        assert_eq!(plain("a[]b[[1]]"), "ab]");
    }

    #[test]
    fn distances_are_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ipv4.pool", "ipv4.pol"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
