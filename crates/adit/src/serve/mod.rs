//! The running server: sockets, TUN, timers, jobs, logins and the admin socket around the sans-IO
//! [`adit_server::Server`].
//!
//! One thread owns the server. Its tasks (one per socket, one for time, one for the admin socket, one
//! for what the threads of the packet path note) never hold it across a wait. Packets are carried by
//! threads of their own (`threads`, `carrier`), each with its part of the server; Diffie-Hellman runs
//! on others, a bounded number at a time.

mod answers;
mod carrier;
mod host;
mod logins;
mod owner;
mod pace;
mod paths;
mod threads;
mod uplink;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_io::netlink::Netlink;
use adit_io::six_to_four::{self, SixToFour};
use adit_wire::Mark;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::admin;
use crate::config::Loaded;
use crate::leases::{self, Store};
use crate::users::{Networks, Users};

use host::Host;
use logins::Logins;
use owner::Owner;
use threads::Shared;
use uplink::Uplink;

/// How long a clean stop may take before it is cut short.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why the server could not start, or not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// A socket could not be bound.
    #[error(transparent)]
    Bind(#[from] adit_io::udp::BindError),
    /// The TUN interface could not be made.
    #[error(transparent)]
    Tun(#[from] adit_io::tun::TunError),
    /// An address or route could not be set.
    #[error(transparent)]
    Netlink(#[from] adit_io::netlink::NetlinkError),
    /// IPv4 masquerade could not be installed.
    #[error(transparent)]
    Masquerade(#[from] adit_io::masquerade::MasqueradeError),
    /// Forwarding could not be switched on.
    #[error(transparent)]
    Forwarding(#[from] adit_io::host::HostError),
    /// The admin socket could not be opened.
    #[error(transparent)]
    Admin(#[from] admin::ListenError),
    /// The users file cannot be used.
    #[error(transparent)]
    Users(#[from] crate::users::FileError),
    /// The clients' prefixes do not fit.
    #[error(transparent)]
    Prefix(#[from] adit_link::pool::PrefixLength),
    /// The interface of `ipv6.nd-proxy` has no address that errors to clients could come from.
    #[error(
        "ipv6.nd-proxy: {name} has no global IPv6 address: give it one of {prefix}, which must be \
         the prefix of its link"
    )]
    NoUplinkAddress {
        /// The interface.
        name: String,
        /// The prefix that clients share.
        prefix: ipnet::Ipv6Net,
    },
    /// A thread of the packet path is gone.
    #[error("a thread that carries packets has ended, which is a bug: its own message says more")]
    WorkerLost,
    /// The configuration does not make a server.
    #[error(transparent)]
    Config(#[from] crate::config::ServerConfigError),
    /// The system refused something basic.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> ServeError {
    move |source| ServeError::System { what, source }
}

fn random<const N: usize>() -> Result<[u8; N], ServeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| system("cannot get randomness")(std::io::Error::other(error)))?;
    Ok(bytes)
}

/// Serves until SIGTERM or SIGINT, then tells the clients and puts the host back as it was.
pub(crate) fn run(loaded: Loaded) -> Result<(), ServeError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(cores)
        .build()
        .map_err(system("cannot start the runtime"))?;
    let result = LocalSet::new().block_on(&runtime, serve(loaded));
    runtime.shutdown_background();
    result
}

/// Tells the server what devices had before. A store that cannot be used costs clients their old
/// addresses, never the service.
fn restore(server: &mut adit_server::Server, path: &Path) -> Option<Store> {
    match leases::open(path) {
        Ok((found, store)) => {
            let count = found.len();
            let lost = server.restore(found);
            if lost > 0 {
                tracing::info!(
                    lost,
                    "devices lose addresses that are outside the pools now, or users' own"
                );
            }
            tracing::debug!(count, file = %path.display(), "leases read");
            Some(store)
        }
        Err(error) => {
            tracing::error!(%error, "clients may get other addresses after a restart");
            None
        }
    }
}

/// Opens the interface whose link clients share, if they do, and tells the server which address there
/// is its own.
async fn uplink(
    config: &crate::config::Config,
    server: &mut adit_server::Config,
) -> Result<Option<Uplink>, ServeError> {
    let configured = config.ipv6.as_ref();
    let name = configured.and_then(|ipv6| ipv6.nd_proxy.as_ref());
    let (Some(name), Some(ipv6)) = (name, &mut server.ipv6) else {
        return Ok(None);
    };
    let uplink = Uplink::open(name, ipv6.prefix).await?;
    ipv6.shared = Some(uplink.own());
    Ok(Some(uplink))
}

/// Makes the way out to 6to4 hosts, if it is wanted and the host has an address that they can be
/// reached from: behind a NAT, protocol 41 gets nowhere.
async fn way_out(config: &crate::config::Config) -> Result<Option<SixToFour>, ServeError> {
    if !config.ipv6.as_ref().is_some_and(|ipv6| ipv6.six_to_four) {
        return Ok(None);
    }
    let netlink = Netlink::new()
        .await
        .map_err(system("cannot open netlink"))?;
    let Some(local) = six_to_four::public_address(&netlink).await? else {
        tracing::warn!(
            "ipv6.six-to-four: this host has no public IPv4 address, so packets to 2002::/16 go the \
             way of all others"
        );
        return Ok(None);
    };
    tracing::info!(%local, interface = six_to_four::NAME, "packets to 6to4 hosts go straight to them");
    Ok(Some(SixToFour::open(netlink, local).await?))
}

async fn serve(loaded: Loaded) -> Result<(), ServeError> {
    for warning in &loaded.warnings {
        tracing::warn!("{}: {}", warning.message, warning.help);
    }
    let config = &loaded.config;
    let users = Users::open(&config.users_file, Networks::from(config))?;
    let seed = random()?;
    let mut server = config.server()?;
    let mark = Mark::new(random()?);
    Arc::make_mut(&mut server.ike).mark = Some(mark);
    let uplink = uplink(config, &mut server).await?;
    let mut server = adit_server::Server::new(server, seed, Instant::now())?;
    server.reserve(&users.fixed());
    let store = restore(&mut server, &config.leases_file);
    let listener = admin::listen(&config.admin_socket)?;
    let workers = server.workers();
    let (mut host, posts) = Host::set_up(config, &server, workers.len()).await?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(system("cannot wait for SIGTERM"))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(system("cannot wait for SIGINT"))?;
    let way_out = way_out(config).await?;

    let user_count = users.len();
    let shared = Arc::new(Shared::default());
    let started = threads::start(workers, posts, &shared).await?;
    host.of_threads = started.sockets;
    host.sift(mark);
    let logins = Logins::new(users);
    let owner = Owner::new(server, logins, store, host, uplink.clone(), shared);
    let owner = Rc::new(owner);
    let mut tasks = owner::spawn(&owner, started.notes);
    for end in started.ends {
        tasks.spawn_local(threads::ended(end));
    }
    tasks.spawn_local(answers::answer(Rc::clone(&owner), listener, loaded));
    if user_count == 0 {
        tracing::warn!(
            "there are no users yet, so nobody can log in: add one with `adit user add NAME`"
        );
    }
    tracing::info!(
        listen = owner.host().listening(),
        tun = owner.host().tun.name(),
        users = user_count,
        "ready"
    );
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = tasks.join_next() => Some(ended),
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping: clients are told");
    owner.shut_down();
    let stopped = tokio::time::timeout(STOP_LIMIT, owner.stopped()).await;
    if stopped.is_err() {
        tracing::warn!("not all clients could be told in time");
    }
    tasks.shutdown().await;
    started.threads.stop();
    if let Some(way_out) = way_out {
        way_out.close().await?;
    }
    if let Some(uplink) = uplink {
        uplink.clear().await?;
    }
    match failed {
        Some(Some(Ok(Err(error)))) => Err(error),
        _ => {
            tracing::info!("stopped");
            Ok(())
        }
    }
}
