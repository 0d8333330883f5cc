//! `adit connect`: the client role on a TUN interface of its own, for a Linux host without another
//! L2TP/IPsec client. Both families go into the tunnel, and none goes past it while it is up or being
//! dialled again.

mod host;
mod options;
mod resolvers;
mod session;

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adit_cert::{OwnCertificate, Trust};
use adit_ike::{Credentials, IdValue, Psk};
use adit_ppp::Secret;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;
use zeroize::Zeroizing;

use crate::{Failure, secret};

use host::Tunnel;
use session::{Identity, Outcome};

pub(crate) use options::Options;

/// Pauses before the server is dialled again: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Connects, and again whenever the connection is lost, until SIGINT or SIGTERM.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    crate::log::init(options.log);
    let identity = identity(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let result = LocalSet::new().block_on(&runtime, connect(options, &identity));
    runtime.shutdown_background();
    result
}

fn identity(options: &Options) -> Result<Identity, Failure> {
    let password = secret::of_file(&options.password_file)?;
    let mut server = None;
    let credentials = match (&options.certificate, &options.key, &options.ca) {
        (Some(certificate), Some(key), Some(ca)) => {
            let key = Zeroizing::new(read(key)?);
            let own = OwnCertificate::from_pem(&read(certificate)?, &key);
            let trust = Trust::from_pem(&read(ca)?, &[]);
            server = Some(match options.host.parse::<IpAddr>() {
                Ok(address) => address.into(),
                Err(_) => IdValue::Fqdn(options.host.clone()),
            });
            Credentials {
                certificate: Some(Arc::new(own.map_err(Failure::failed)?)),
                trust: Some(Arc::new(trust.map_err(Failure::failed)?)),
                ..Credentials::default()
            }
        }
        _ => match &options.psk_file {
            Some(file) => {
                let psk = secret::of_file(file)?;
                Credentials::psk(Arc::new(Psk::new(psk.as_bytes())))
            }
            None => Credentials::default(),
        },
    };
    Ok(Identity {
        credentials: Arc::new(credentials),
        server,
        user: options.user.clone(),
        password: Secret::new(password.as_bytes()),
        phase1: options.ike.clone(),
        esp: options.esp.clone(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))
}

/// SIGINT and SIGTERM.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn connect(options: &Options, identity: &Identity) -> Result<(), Failure> {
    let mut stop = Stop::new().map_err(Failure::failed)?;
    // Once only: with everything in the tunnel, names cannot be looked up when it is down.
    let servers = resolve(options).await?;
    let mut tunnel = Tunnel::set_up(&options.tun, &servers, &options.routes, !options.no_dns)
        .await
        .map_err(Failure::failed)?;
    let result = stay(options, identity, &servers, &mut tunnel, &mut stop).await;
    tunnel.leave().await;
    result
}

/// One connection after the other.
async fn stay(
    options: &Options,
    identity: &Identity,
    servers: &[IpAddr],
    tunnel: &mut Tunnel,
    stop: &mut Stop,
) -> Result<(), Failure> {
    let mut pause = FIRST_PAUSE;
    let mut been_up = false;
    loop {
        let mut last = String::new();
        for server in servers {
            match session::run(identity, *server, tunnel, stop).await {
                Outcome::Stopped => return Ok(()),
                Outcome::Refused(why) => return Err(Failure::failed(why)),
                Outcome::Lost(why) => {
                    (been_up, pause) = (true, FIRST_PAUSE);
                    last = why;
                    break;
                }
                Outcome::Unreached(why) => {
                    tracing::info!(%server, "no connection: {why}");
                    last = format!("{server}: {why}");
                }
            }
        }
        if options.once || !been_up {
            return Err(Failure::failed(format_args!(
                "{last}. `adit probe {}` says more",
                options.host
            )));
        }
        tracing::warn!(again_in = ?pause, "the connection is lost: {last}");
        tokio::select! {
            () = stop.asked() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn resolve(options: &Options) -> Result<Vec<IpAddr>, Failure> {
    let found = tokio::net::lookup_host((options.host.as_str(), 500))
        .await
        .map_err(|error| Failure::failed(format_args!("{}: {error}", options.host)))?;
    let mut servers = Vec::new();
    for address in found.map(|found| found.ip()) {
        let wanted = match address {
            IpAddr::V4(_) => !options.ipv6,
            IpAddr::V6(_) => !options.ipv4,
        };
        if wanted && !servers.contains(&address) {
            servers.push(address);
        }
    }
    if servers.is_empty() {
        return Err(Failure::failed(format_args!(
            "{} has no address of that family",
            options.host
        )));
    }
    Ok(servers)
}
