//! Quoting for the command lines on the page: a PSK that an operator chose may hold anything.

/// For PowerShell: single quotes, in which only the quote itself is special (and typographic
/// quotes count as quotes).
pub(super) fn powershell(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        quoted.push(c);
        if matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            quoted.push(c);
        }
    }
    quoted.push('\'');
    quoted
}

/// For a POSIX shell.
pub(super) fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// For one value in nmcli's "name=value, name=value" lists.
pub(super) fn nmcli(text: &str) -> String {
    text.replace('\\', "\\\\").replace(',', "\\,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_inside_are_kept() {
        assert_eq!(powershell("it's $x `n"), "'it''s $x `n'");
        assert_eq!(shell("it's $x"), "'it'\\''s $x'");
        assert_eq!(nmcli("a,b\\c"), "a\\,b\\\\c");
    }
}
