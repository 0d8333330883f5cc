//! Durations ("30s", "1h30m"), sizes ("1GiB") and rates ("50Mbit").

use std::time::Duration;

use adit_link::rate::Rate;

/// Reads a duration: numbers with units, largest first or not ("1h30m").
pub(crate) fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 5] = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(end)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*factor)?)?;
        rest = next.trim_start();
    }
    Some(Duration::from_millis(total))
}

/// Reads a size in bytes: a number with a unit of 1000 (kB, MB, GB, TB) or 1024 (KiB, MiB, ...).
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// What a rate is written like.
pub(crate) const RATE_HELP: &str =
    "write bits a second from \"8kbit\" to \"100Gbit\", such as \"50Mbit\"";

const BITS: [(&str, u64); 4] = [
    ("Gbit", 1_000_000_000),
    ("Mbit", 1_000_000),
    ("kbit", 1_000),
    ("bit", 1),
];

/// Reads a rate: a number with a unit of 1000 (bit, kbit, Mbit, Gbit), a second.
pub(crate) fn rate(text: &str) -> Option<Rate> {
    let (number, unit) = split_number(text.trim())?;
    let (_, factor) = BITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    Rate::new(number.checked_mul(*factor)?)
}

/// A rate as it would be written.
pub(crate) fn show_rate(rate: Rate) -> String {
    let bits = rate.bits();
    let (name, factor) = BITS
        .into_iter()
        .find(|(_, factor)| bits.is_multiple_of(*factor))
        .unwrap_or(("bit", 1));
    format!("{}{name}", bits / factor)
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

/// A duration as it would be written.
pub(super) fn show(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit, factor) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if ms > 0 && ms.is_multiple_of(factor) {
            return format!("{}{unit}", ms / factor);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let read = |text| duration(text).map(|d| d.as_millis());
        assert_eq!(read("30s"), Some(30_000));
        assert_eq!(read("1h30m"), Some(5_400_000));
        assert_eq!(read("1h 30m"), Some(5_400_000));
        assert_eq!(read("250ms"), Some(250));
        for bad in [
            "",
            "30",
            "s",
            "-1s",
            "1.5h",
            "1y",
            "1h30",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(size("1GiB"), Some(1 << 30));
        assert_eq!(size("250 MB"), Some(250_000_000));
        for bad in ["", "1", "GiB", "1.5GiB", "1 parsec", "99999999TiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn rates_are_read_and_shown() {
        for (text, bits) in [
            ("50Mbit", 50_000_000),
            ("8kbit", 8_000),
            ("100Gbit", 100_000_000_000),
            ("1234567bit", 1_234_567),
            ("1500kbit", 1_500_000),
        ] {
            let rate = rate(text).unwrap();
            assert_eq!(rate.bits(), bits);
            assert_eq!(show_rate(rate), text);
        }
        assert_eq!(rate("50 mbit"), rate("50Mbit"));
        for bad in [
            "",
            "50",
            "50MB",
            "7kbit",
            "101Gbit",
            "1.5Mbit",
            "-1Mbit",
            "99999999999Gbit",
            "Mbit",
        ] {
            assert_eq!(rate(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["8h", "90s", "2m", "250ms", "1d"] {
            assert_eq!(show(duration(text).unwrap()), text);
        }
    }
}
