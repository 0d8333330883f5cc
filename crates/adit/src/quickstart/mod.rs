//! `adit quickstart`: makes what is missing (configuration, PSK, first user), prints what to type
//! into each system, and serves. What exists is used as it is. Secrets go to the operator's
//! terminal only, never to a log.

mod files;
mod host;
mod page;
mod quote;

use std::net::IpAddr;

use crate::cli::Quickstart;
use crate::config::{self, Loaded};
use crate::{Failure, users};
use host::Host;
use page::{Ipv6, Page, Password, Reach};

/// Makes the files, prints the page, and gives the configuration to serve with.
pub(crate) fn prepare(options: &Quickstart) -> Result<Loaded, Failure> {
    if let Some(public) = &options.public
        && !is_name_or_address(public)
    {
        return Err(Failure::usage(format_args!(
            "--public {public:?} is neither a host name nor an address; write it without a port"
        )));
    }
    if let Some(prefix) = options.ipv6_prefix
        && let Some(fault) = config::prefix_fault(prefix)
    {
        return Err(Failure::usage(format_args!("--ipv6-prefix: {fault}")));
    }
    let host = Host::look();
    let made = files::make(&options.dir, options.ipv6_prefix, &host)?;
    let loaded = config::load(&made.config)?;
    let Some(psk) = loaded.config.ipsec.psk.clone() else {
        return Err(Failure::usage(format_args!(
            "{} has no ipsec.psk, which is how quickstart explains clients to connect; run `adit \
             serve` instead",
            made.config.display()
        )));
    };
    let listed = users::read(&loaded.config.users_file, None)
        .map_err(Failure::failed)?
        .users;
    let (user, password) = match &made.user {
        Some((name, password)) => (name.clone(), Password::Fresh(password.clone())),
        None => {
            let enabled = listed.iter().find(|(_, user)| !user.disabled);
            let name = enabled.or_else(|| listed.iter().next());
            let name = name.map_or_else(|| "NAME".to_owned(), |(name, _)| name.clone());
            (name, Password::Kept)
        }
    };
    let page = Page {
        files: made.files,
        reach: reach(options.public.as_deref(), &host),
        psk,
        user,
        password,
        ipv4_pool: loaded.config.ipv4.as_ref().map(|ipv4| ipv4.pool),
        masquerade: loaded
            .config
            .ipv4
            .as_ref()
            .is_some_and(|ipv4| ipv4.masquerade),
        ipv6: ipv6(&loaded, &host),
        dir: options.dir.clone(),
        // A journal keeps what it hears, and others read it.
        show_secrets: std::env::var_os("JOURNAL_STREAM").is_none(),
    };
    println!("{page}");
    Ok(loaded)
}

fn ipv6(loaded: &Loaded, host: &Host) -> Ipv6 {
    match &loaded.config.ipv6 {
        None => Ipv6::Off,
        Some(ipv6) if config::is_ula(ipv6.prefix) => Ipv6::Inside {
            prefix: ipv6.prefix,
            host: host
                .ipv6
                .filter(|address| host::is_public(IpAddr::V6(*address))),
        },
        Some(ipv6) => Ipv6::Routed {
            prefix: ipv6.prefix,
            each: ipv6.client_prefix_length,
        },
    }
}

fn reach(public: Option<&str>, host: &Host) -> Reach {
    if let Some(public) = public {
        return Reach::Told(public.to_owned());
    }
    let (ipv4, ipv6) = (host.ipv4.map(IpAddr::V4), host.ipv6.map(IpAddr::V6));
    let found = [ipv4, ipv6];
    let public = found
        .iter()
        .flatten()
        .find(|address| host::is_public(**address));
    match (public, ipv4.or(ipv6)) {
        (Some(address), _) => Reach::Found(*address),
        (None, Some(private)) => Reach::BehindNat(private),
        (None, None) => Reach::Unknown,
    }
}

fn is_name_or_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.parse::<IpAddr>().is_ok()
        || (!text.is_empty() && text.len() <= 253 && text.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_names_have_no_port_and_no_scheme() {
        for good in ["vpn.example.com", "192.0.2.1", "2001:db8::1", "localhost"] {
            assert!(is_name_or_address(good), "{good}");
        }
        for bad in ["", "vpn.example.com:500", "https://vpn", "a b", "'; rm"] {
            assert!(!is_name_or_address(bad), "{bad}");
        }
    }

    #[test]
    fn a_public_address_is_preferred_to_a_private_one() {
        let mut host = Host {
            ipv4: Some("192.168.1.5".parse().unwrap()),
            ipv6: None,
            resolvers: Vec::new(),
            routes: Vec::new(),
            masquerade: true,
        };
        assert_eq!(
            reach(None, &host),
            Reach::BehindNat("192.168.1.5".parse().unwrap())
        );
        host.ipv6 = Some("2a00:1450::1".parse().unwrap());
        assert_eq!(
            reach(None, &host),
            Reach::Found("2a00:1450::1".parse().unwrap())
        );
        assert_eq!(reach(Some("vpn"), &host), Reach::Told("vpn".into()));
        host.ipv4 = None;
        host.ipv6 = None;
        assert_eq!(reach(None, &host), Reach::Unknown);
    }
}
