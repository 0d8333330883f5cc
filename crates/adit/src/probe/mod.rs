//! `adit probe`: the shell around [`adit_client::probe`]: names, secrets, sockets and the clock. It
//! needs no rights but those of the local port that it is told to use.

mod options;
mod report;
mod run;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_client::probe::{Ask, Depth, Step};
use adit_client::profile::Profile;
use adit_ike::Psk;

use crate::{Failure, secret};
use report::Report;

pub(crate) use options::Options;

/// Asks every address of the host, and reports.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let ask = ask(options)?;
    let mut report = Report::new(options.json);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let done = runtime.block_on(async {
        for address in resolve(options, &mut report).await {
            run::probe(&ask, address, options, &mut report).await?;
        }
        Ok::<_, Failure>(())
    });
    // A resolver that does not answer must not hold up the end.
    runtime.shutdown_background();
    done?;
    report.finish()
}

fn ask(options: &Options) -> Result<Ask, Failure> {
    let psk = match &options.psk_file {
        Some(file) => Some(secret::of_file(file)?),
        None if options.psk_stdin => Some(secret::of_stdin()?),
        None => None,
    };
    let login = match (&options.user, &options.password_file) {
        (Some(user), Some(file)) => {
            let password = secret::of_file(file)?;
            let password = adit_ppp::Secret::new(password.as_bytes());
            Some((user.clone(), password))
        }
        _ => None,
    };
    Ok(Ask {
        profile: Profile::named(&options.client),
        depth: match (options.quick, options.full) {
            (true, _) => Depth::Quick,
            (_, true) => Depth::Full,
            _ => Depth::Usual,
        },
        ipsec: !options.without_ipsec,
        psk: psk.map(|psk| Arc::new(Psk::new(psk.as_bytes()))),
        login,
        timeout: options.timeout,
    })
}

/// The addresses to ask, as a step of its own.
async fn resolve(options: &Options, report: &mut Report) -> Vec<IpAddr> {
    let begin = Instant::now();
    let found = tokio::time::timeout(
        options.timeout,
        tokio::net::lookup_host((options.host.as_str(), 500)),
    );
    let found = match found.await {
        Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect::<Vec<_>>()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    };
    let took = begin.elapsed();
    let (step, addresses) = judge(options, found, took);
    report.step(None, step);
    addresses
}

fn judge(
    options: &Options,
    found: Result<Vec<IpAddr>, String>,
    took: Duration,
) -> (Step, Vec<IpAddr>) {
    let mut addresses = match found {
        Ok(addresses) => addresses,
        Err(error) => {
            let step = Step::ok("name", took, vec![error]);
            let advice = "see whether the name is spelt right, and whether a resolver is reachable";
            return (step.fail(advice), Vec::new());
        }
    };
    addresses.sort_unstable();
    addresses.dedup();
    let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let step = Step::ok("name", took, all);
    addresses.retain(|address| match address {
        IpAddr::V4(_) => !options.ipv6,
        IpAddr::V6(_) => !options.ipv4,
    });
    if addresses.is_empty() {
        let family = if options.ipv6 {
            "IPv6 (AAAA)"
        } else {
            "IPv4 (A)"
        };
        return (
            step.fail(format!("the name has no {family} address")),
            addresses,
        );
    }
    (step, addresses)
}
