//! `adit demo`: a server, a client and a host behind the server, in network namespaces of their own. What
//! a newcomer runs first: it shows both families at work and leaves nothing behind.

mod network;
mod programs;
mod traffic;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::admin::dto::Session;
use crate::{Failure, print_json};

use network::{HOST4, HOST6, Network};
use programs::{Folder, Program, held, session};
use traffic::Measured;

/// `adit demo`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// One family, for `--json`.
#[derive(Debug, Serialize)]
struct Family {
    address: String,
    host: IpAddr,
    mtu: u16,
    mss: u32,
    round_trip_ms: f64,
    to_host_mbit: f64,
    from_host_mbit: f64,
}

/// All of it, for `--json`.
#[derive(Debug, Serialize)]
struct Shown {
    connected_ms: f64,
    ike: String,
    esp: String,
    ipv4: Family,
    ipv6: Family,
}

/// Sets everything up, shows it, and takes it down again.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let say = |text: &str| {
        if !options.json {
            println!("{text}");
        }
    };
    say("A server, a client and a host behind the server, in network namespaces of their own.");
    let folder = Folder::new()?;
    let network = Network::new()?;
    network
        .host
        .run(traffic::serve)
        .map_err(Failure::failed)?
        .map_err(Failure::failed)?;
    let server = Program::serve(&folder, &network.server)?;
    let begin = Instant::now();
    let client = Program::connect(&folder, &network.client)?;
    let connected_ms = begin.elapsed().as_secs_f64() * 1000.0;
    let session = session(&folder)?;
    say(&format!(
        "Connected after {connected_ms:.0} ms. Measuring, for about ten seconds.\n"
    ));

    let mtu = session.mtu;
    let measure = |host: IpAddr| -> Result<Measured, Failure> {
        let measured = network.client.run(move || traffic::measure(host, mtu));
        let failed = |error| Failure::failed(format_args!("no traffic with {host}: {error}"));
        measured.map_err(failed)?.map_err(failed)
    };
    let (ipv4, ipv6) = (measure(HOST4.into())?, measure(HOST6.into())?);
    let shown = shown(&session, connected_ms, ipv4, ipv6);
    if options.json {
        print_json(&shown)?;
    } else {
        print!("{}", table(&shown));
    }
    client.stop()?;
    let left = held(&folder)?;
    server.stop()?;
    if left > 0 {
        return Err(Failure::failed(format_args!(
            "the server still holds {left} things of a client that has gone"
        )));
    }
    say(
        "\nThe client hung up, the server let go of all that it held, and nothing stays on this host.",
    );
    Ok(())
}

fn shown(session: &Session, connected_ms: f64, ipv4: Measured, ipv6: Measured) -> Shown {
    let ike = session.ike.as_ref().map_or_else(String::new, |ike| {
        format!("{}, {}, {}", ike.encryption, ike.hash, ike.group)
    });
    let family = |address: String, host, measured: Measured| Family {
        address,
        host,
        mtu: session.mtu,
        mss: measured.mss,
        round_trip_ms: measured.round_trip.as_secs_f64() * 1000.0,
        to_host_mbit: measured.to_host / 1e6,
        from_host_mbit: measured.from_host / 1e6,
    };
    let own4 = session.ipv4.map(|ip| ip.to_string());
    let own6 = session.ipv6_prefixes.first().map(ToString::to_string);
    Shown {
        connected_ms,
        ike,
        esp: session.esp.clone().unwrap_or_default(),
        ipv4: family(own4.unwrap_or_default(), HOST4.into(), ipv4),
        ipv6: family(own6.unwrap_or_default(), HOST6.into(), ipv6),
    }
}

fn table(shown: &Shown) -> String {
    let mut text = format!("IKE {}; ESP {} in UDP\n\n", shown.ike, shown.esp);
    let mut row = |name: &str, cell: fn(&Family) -> String| {
        let (ipv4, ipv6) = (cell(&shown.ipv4), cell(&shown.ipv6));
        let _ = writeln!(text, "{name:<28}{ipv4:<18}{ipv6}");
    };
    row("", |it| {
        if it.host.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned()
    });
    row("the client has", |it| it.address.clone());
    row("the host behind the server", |it| it.host.to_string());
    row("largest packet", |it| format!("{} bytes", it.mtu));
    row("TCP segments", |it| format!("{} bytes", it.mss));
    row("round trip", |it| format!("{:.2} ms", it.round_trip_ms));
    row("client to host", |it| {
        format!("{:.0} Mbit/s", it.to_host_mbit)
    });
    row("host to client", |it| {
        format!("{:.0} Mbit/s", it.from_host_mbit)
    });
    text
}
