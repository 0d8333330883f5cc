//! `adit connect`: the client role on a TUN interface of its own, for a Linux host without another
//! L2TP/IPsec client. Both families go into the tunnel, and none goes past it while it is up or being
//! dialled again.

mod host;
mod options;
mod resolvers;
mod session;

use std::net::IpAddr;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

use crate::Failure;
use crate::dial::{self, Identity};

use host::Tunnel;
use session::Outcome;

pub(crate) use options::Options;

/// Pauses before the server is dialled again: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Connects, and again whenever the connection is lost, until SIGINT or SIGTERM.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    crate::log::init(options.log);
    let identity = Identity::read(&options.dial, &options.host)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let result = LocalSet::new().block_on(&runtime, connect(options, &identity));
    runtime.shutdown_background();
    result
}

/// SIGINT and SIGTERM.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn connect(options: &Options, identity: &Identity) -> Result<(), Failure> {
    let mut stop = Stop::new().map_err(Failure::failed)?;
    // Once only: with everything in the tunnel, names cannot be looked up when it is down.
    let servers = dial::resolve(&options.dial, &options.host).await?;
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
