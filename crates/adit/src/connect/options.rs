//! What can be said to `adit connect`. No secret is.

use std::path::PathBuf;

use adit_crypto::EspSuite;
use adit_ike::Phase1Proposal;
use clap::Args;
use ipnet::IpNet;
use tracing::Level;

use crate::config::{esp_proposal, ike_proposal};

/// `adit connect`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server: a name or an address; of a name the first address that answers is taken
    pub host: String,
    /// Log in as this user
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// The user's password, as the first line of this file
    #[arg(long, value_name = "FILE")]
    pub password_file: PathBuf,
    /// The pre-shared key, as the first line of this file
    #[arg(long, value_name = "FILE", required_unless_present = "certificate")]
    pub psk_file: Option<PathBuf>,
    /// Our certificate (PEM, its own first, then its issuers'), instead of a pre-shared key
    #[arg(long, value_name = "FILE", requires_all = ["key", "ca"], conflicts_with = "psk_file")]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// The authorities that the server's certificate has to come from (PEM); it must name HOST
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub ca: Option<PathBuf>,
    /// Use IPv4 addresses of the server only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Use IPv6 addresses of the server only
    #[arg(short = '6')]
    pub ipv6: bool,
    /// Offer only this in phase 1, as `ipsec.ike` spells it, as often as needed; the best first
    #[arg(long, value_name = "PROPOSAL", value_parser = ike_proposal)]
    pub ike: Vec<Phase1Proposal>,
    /// Offer only this for ESP, as `ipsec.esp` spells it, as often as needed; the best first
    #[arg(long, value_name = "PROPOSAL", value_parser = esp_proposal)]
    pub esp: Vec<EspSuite>,
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
