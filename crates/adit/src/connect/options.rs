//! What can be said to `adit connect`. No secret is.

use clap::Args;
use ipnet::IpNet;
use tracing::Level;

use crate::dial::Dial;

/// `adit connect`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server: a name or an address; of a name the first address that answers is taken
    pub host: String,
    /// Who dials, and how it proves that.
    #[command(flatten)]
    pub dial: Dial,
    /// Send only this prefix into the tunnel, as often as needed [default: everything, both families]
    #[arg(long = "route", value_name = "PREFIX")]
    pub routes: Vec<IpNet>,
    /// Leave the resolvers of this host as they are
    #[arg(long)]
    pub no_dns: bool,
    /// The interface; %d becomes the first free number
    #[arg(long, value_name = "NAME", default_value = "adit%d")]
    pub tun: String,
    /// End instead of connecting again when the connection is lost
    #[arg(long)]
    pub once: bool,
    /// How much is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: Level,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    #[test]
    fn who_connects_says_who_it_is_and_how_it_proves_that() {
        let parse = |args: &[&str]| {
            let login = ["--user", "a", "--password-file", "b"];
            let all = ["adit", "connect", "host"].iter().chain(&login).chain(args);
            crate::cli::Cli::try_parse_from(all).is_ok()
        };
        assert!(parse(&["--psk-file", "a", "--route", "10.0.0.0/8", "-6"]));
        assert!(parse(&["--certificate", "a", "--key", "b", "--ca", "c"]));
        let own = ["--ike", "aes256-sha1-modp2048", "--esp", "aes256-sha1"];
        assert!(parse(&[&["--psk-file", "a"], &own[..]].concat()));
        for args in [
            &[][..],
            &["--psk", "secret"],
            &["--certificate", "a"],
            &["--certificate", "a", "--key", "b"],
            &[
                "--psk-file",
                "a",
                "--certificate",
                "a",
                "--key",
                "b",
                "--ca",
                "c",
            ],
            &["--psk-file", "a", "--route", "everywhere"],
            &["--psk-file", "a", "-4", "-6"],
            &["--psk-file", "a", "--esp", "3des-sha1"],
        ] {
            assert!(!parse(args), "{args:?}");
        }
    }
}
