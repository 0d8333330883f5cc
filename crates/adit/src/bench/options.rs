//! What can be said to `adit bench`. No secret is.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use crate::dial::Dial;

/// The largest number of sessions from one address: each has a port of its own.
const MOST_SESSIONS: u64 = 28_000;

/// `adit bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server: a name or an address; of a name the first address is taken
    pub host: String,
    /// Who dials; in `--user`, %d becomes the number of the session, from 0.
    #[command(flatten)]
    pub dial: Dial,
    /// How many sessions; %d in --user becomes the number of each, from 0
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=MOST_SESSIONS))]
    pub sessions: u64,
    /// How many are set up at once
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub concurrency: u64,
    /// Begin no more set-ups than this in a second [default: as many as --concurrency lets]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub setup_rate: Option<u64>,
    /// The longest that a set-up may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub timeout: Duration,
    /// Do not ask for IPv4 inside the tunnel
    #[arg(long, conflicts_with = "without_ipv6")]
    pub without_ipv4: bool,
    /// Do not ask for IPv6 inside the tunnel
    #[arg(long)]
    pub without_ipv6: bool,
    /// Keep all sessions idle for this long before the traffic
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub hold: Option<Duration>,
    /// Send no traffic
    #[arg(long)]
    pub no_traffic: bool,
    /// Send echo requests here, once for a family [default: the server's end of the tunnel]
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<IpAddr>,
    /// Bytes of each packet, from its IP header on, as often as needed [default: 128 and 1280]
    #[arg(long = "size", value_name = "BYTES", value_parser = clap::value_parser!(u16).range(72..=1500))]
    pub sizes: Vec<u16>,
    /// Packets a second of all sessions together, or "max"
    #[arg(long, value_name = "N", default_value = "1000", value_parser = rate)]
    pub rate: Rate,
    /// How long each size is sent in each family
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub spell: Duration,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How fast packets are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// As fast as they can be sealed and sent.
    Max,
    /// Packets a second.
    PerSecond(f64),
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let number = text
        .parse()
        .ok()
        .filter(|rate| (1..=10_000_000).contains(rate));
    let number: u32 = number.ok_or("a number from 1 to 10000000, or max")?;
    Ok(Rate::PerSecond(number.into()))
}

fn time(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_secs(86_400);
    let duration = crate::config::duration(text).filter(|time| bounds.contains(time));
    duration.ok_or_else(|| "a time from 1s to 24h, such as 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    #[test]
    fn numbers_are_held_to_what_can_be() {
        let parse = |args: &[&str]| {
            let known = ["--user", "u%d", "--password-file", "b", "--psk-file", "c"];
            let all = ["adit", "bench", "host"].iter().chain(&known).chain(args);
            crate::cli::Cli::try_parse_from(all).is_ok()
        };
        assert!(parse(&[]));
        assert!(parse(&[
            "--sessions",
            "10000",
            "--hold",
            "1m",
            "--no-traffic"
        ]));
        assert!(parse(&[
            "--rate", "max", "--size", "72", "--size", "1400", "--target", "::1"
        ]));
        for args in [
            &["--sessions", "0"][..],
            &["--sessions", "28001"],
            &["--concurrency", "0"],
            &["--rate", "0"],
            &["--rate", "fast"],
            &["--size", "71"],
            &["--spell", "0s"],
            &["--target", "host"],
            &["--without-ipv4", "--without-ipv6"],
            &["--psk", "secret"],
        ] {
            assert!(!parse(args), "{args:?}");
        }
    }
}
