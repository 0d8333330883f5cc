//! What can be said to `adit probe`. No secret is.

use std::path::PathBuf;
use std::time::Duration;

use adit_client::profile::Profile;
use clap::Args;
use clap::builder::PossibleValuesParser;

/// `adit probe`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server: a name or an address; of a name every address is asked
    pub host: String,
    /// The pre-shared key, as the first line of this file; without one, only first messages are sent
    #[arg(long, value_name = "FILE", conflicts_with = "psk_stdin")]
    pub psk_file: Option<PathBuf>,
    /// The pre-shared key, as the first line of standard input
    #[arg(long)]
    pub psk_stdin: bool,
    /// Log in as this user; without one, it ends before authentication
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,
    /// The user's password, as the first line of this file
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// Speak as this client does
    #[arg(long = "as", value_name = "CLIENT", default_value = adit_client::probe::OWN,
          value_parser = clients())]
    pub client: String,
    /// Ask IPv4 addresses only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Ask IPv6 addresses only
    #[arg(short = '6')]
    pub ipv6: bool,
    /// Ask only what the connection needs
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,
    /// Ask for every transform of phase 1 and every ESP suite, one message or connection for each
    #[arg(long)]
    pub full: bool,
    /// L2TP on UDP 1701 in the clear: where the kernel of this host has the SAs
    #[arg(long, conflicts_with_all = ["psk_file", "psk_stdin", "quick", "full"])]
    pub without_ipsec: bool,
    /// Send from this port (of IKE, or of L2TP without IPsec) [default: any]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub local_port: u16,
    /// Print JSON: one array of steps
    #[arg(long)]
    pub json: bool,
    /// The longest that a step may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    pub timeout: Duration,
}

fn clients() -> PossibleValuesParser {
    let names = Profile::all().map(|profile| profile.name);
    PossibleValuesParser::new(names.into_iter().chain([adit_client::probe::OWN]))
}

fn patience(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_secs(600);
    let duration = crate::config::duration(text).filter(|time| bounds.contains(time));
    duration.ok_or_else(|| "a time from 1s to 10m, such as 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    #[test]
    fn a_probe_takes_no_secret_and_no_nonsense() {
        let parse = |args: &[&str]| {
            crate::cli::Cli::try_parse_from(["adit", "probe", "host"].iter().chain(args)).is_ok()
        };
        assert!(parse(&[
            "--psk-file",
            "a",
            "--as",
            "windows10",
            "--timeout",
            "5s",
            "-6"
        ]));
        assert!(parse(&["--without-ipsec", "--local-port", "1701"]));
        for args in [
            &["--psk", "secret"][..],
            &["--psk-file", "a", "--psk-stdin"],
            &["--user", "a"],
            &["--password-file", "a"],
            &["--as", "beos"],
            &["-4", "-6"],
            &["--quick", "--full"],
            &["--without-ipsec", "--full"],
            &["--without-ipsec", "--psk-stdin"],
            &["--timeout", "0s"],
        ] {
            assert!(!parse(args), "{args:?}");
        }
    }
}
