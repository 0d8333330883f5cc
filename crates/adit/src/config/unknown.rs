//! Keys that nobody asked for, and what was probably meant.

use std::collections::BTreeSet;

use config::{Value, ValueKind};

use super::document::join;

/// Every key there is, as dotted paths.
pub(super) type Known = BTreeSet<&'static str>;

/// The unknown keys of a tree. A known table that holds a plain value is among them, with the name
/// of a key that it could have had.
pub(super) fn find(known: &Known, root: &Value) -> Vec<(String, Option<&'static str>)> {
    let mut unknown = Vec::new();
    walk(known, root, "", &mut unknown);
    unknown
}

fn walk(
    known: &Known,
    value: &Value,
    prefix: &str,
    unknown: &mut Vec<(String, Option<&'static str>)>,
) {
    let ValueKind::Table(table) = &value.kind else {
        return;
    };
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    for (key, inner) in keys {
        let path = join(prefix, key);
        let is_table = matches!(inner.kind, ValueKind::Table(_));
        let below = known.iter().find(|known| is_below(known, &path));
        if is_table && below.is_some() {
            walk(known, inner, &path, unknown);
        } else if !known.contains(path.as_str()) {
            unknown.push((path, below.map(|known| last(known))));
        }
    }
}

/// What to do about an unknown key.
pub(super) fn suggestion(known: &Known, key: &str) -> String {
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
    use super::distance;

    #[test]
    fn distances_are_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ipv4.pool", "ipv4.pol"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
