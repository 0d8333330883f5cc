//! Points in time: as text, in UTC (RFC 3339), and to wait for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// "2026-11-21T02:46:45Z".
pub(crate) fn rfc3339(time: SystemTime) -> String {
    format!("{}Z", to_seconds(since_epoch(time)))
}

/// "2026-11-21T02:46:45.123Z".
pub(crate) fn rfc3339_millis(time: SystemTime) -> String {
    let since = since_epoch(time);
    format!("{}.{:03}Z", to_seconds(since), since.subsec_millis())
}

/// What to write where access ends at some time.
pub(crate) const EXPIRY_HELP: &str = "write a day, through which access lasts (UTC), such as \
                                      2027-03-31, or a time with its offset, such as \
                                      2027-03-31T18:00:00+02:00";

/// When access ends that lasts until this: a day lasts to its end in UTC. `None` if it is a time
/// without a day or without an offset, which nobody could be sure of.
pub(crate) fn end_of(until: &toml::value::Datetime) -> Option<SystemTime> {
    let date = until.date?;
    let day = days(i64::from(date.year), date.month.into(), date.day.into());
    let seconds = match (until.time, until.offset) {
        (None, _) => (day + 1) * 86_400,
        (Some(time), Some(offset)) => {
            let east = match offset {
                toml::value::Offset::Z => 0,
                toml::value::Offset::Custom { minutes } => i64::from(minutes),
            };
            let (hour, minute) = (i64::from(time.hour), i64::from(time.minute));
            let second = i64::from(time.second.unwrap_or(0));
            day * 86_400 + (hour * 60 + minute - east) * 60 + second
        }
        (Some(_), None) => return None,
    };
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Waits until then; for ever without a time.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Time since the Unix epoch; zero before it.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn to_seconds(since: Duration) -> String {
    let seconds = since.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

// Gregorian date of a day since 1970-01-01. Years are counted from 1 March, so that the leap day
// is the last of its year, and in eras of 400 years, which all have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

// The other way round: the day since 1970-01-01 of a Gregorian date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian() {
        let show = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(show(0), "1970-01-01T00:00:00Z");
        assert_eq!(show(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(show(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(show(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(show(1_795_229_205), "2026-11-21T02:46:45Z");
        assert_eq!(show(4_107_542_400), "2100-03-01T00:00:00Z");
        let time = UNIX_EPOCH + Duration::from_millis(1_795_229_205_007);
        assert_eq!(rfc3339_millis(time), "2026-11-21T02:46:45.007Z");
    }

    #[test]
    fn access_ends_when_it_says() {
        let end = |text: &str| end_of(&text.parse().unwrap()).map(rfc3339);
        for (text, expected) in [
            ("2027-03-31", "2027-04-01T00:00:00Z"),
            ("2028-02-28", "2028-02-29T00:00:00Z"),
            ("1999-12-31", "2000-01-01T00:00:00Z"),
            ("2027-03-31T18:00:00Z", "2027-03-31T18:00:00Z"),
            ("2027-03-31 18:00:30+02:00", "2027-03-31T16:00:30Z"),
            ("2027-01-01T00:30:00+01:00", "2026-12-31T23:30:00Z"),
            ("2027-03-31T20:00:00-05:30", "2027-04-01T01:30:00Z"),
            ("1950-01-01", "1970-01-01T00:00:00Z"),
            ("9999-12-31", "10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(end(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(end("18:00:00"), None);
        assert_eq!(end("2027-03-31T18:00:00"), None);
    }
}
