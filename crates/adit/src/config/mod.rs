//! The configuration: a TOML file with the environment over it, checked into [`Config`].
//!
//! Each problem is reported with file, line, column, and what to write instead; unknown keys are
//! errors. No secret ever appears in a report or in Debug output.

mod certificate;
mod document;
mod files;
mod inner;
mod layers;
mod networks;
mod outer;
mod peers;
mod plain;
mod policy;
mod problem;
mod proposal;
mod psk;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
pub(crate) mod units;
mod unknown;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use adit_cert::{OwnCertificate, Trust};
use adit_crypto::EspSuite;
use adit_ike::{IdValue, Phase1Proposal};
use adit_link::domain::Domain;
use adit_link::nd::Preference;
use adit_ppp::{AuthMethod, TlsServer};
use adit_server::Delegate;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tracing::Level;
use zeroize::Zeroizing;

use document::Document;
use layers::Environment;
use settings::{Complaint, Settings};

pub(crate) use networks::{is_ula, prefix_fault};
pub(crate) use problem::{ConfigErrors, Problem, ProblemDto, Severity, line_column, render};
pub(crate) use server::ServerConfigError;
pub(crate) use units::duration;

/// Reads a phase 1 proposal that is not weak, for the command line.
pub(crate) fn ike_proposal(text: &str) -> Result<Phase1Proposal, String> {
    proposal::ike(text, false).map_err(Complaint::into_text)
}

/// Reads an ESP proposal that is not weak, for the command line.
pub(crate) fn esp_proposal(text: &str) -> Result<EspSuite, String> {
    proposal::esp(text, false).map_err(Complaint::into_text)
}

/// Where the admin socket is unless the configuration says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/adit/adit.sock";

/// Where it is written down which device had which addresses, unless the configuration says otherwise.
const DEFAULT_LEASES: &str = "/var/lib/adit/leases.redb";

/// A configuration that can be used, with what is worth a warning.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file it came from.
    pub path: PathBuf,
    /// Warnings only.
    pub warnings: Vec<Problem>,
}

/// The whole configuration, checked; every path in it is relative to the working folder at most.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// IKE and ESP.
    pub ipsec: Ipsec,
    /// The control connection.
    pub l2tp: L2tp,
    /// The PPP link.
    pub ppp: Ppp,
    /// IPv4 inside the tunnel, if it is served.
    pub ipv4: Option<Ipv4>,
    /// IPv6 inside the tunnel, if it is served.
    pub ipv6: Option<Ipv6>,
    /// What users may reach and be reached by, first to last.
    pub policy: Vec<Policy>,
    /// The link MTU, if it is fixed and not computed.
    pub mtu: Option<u16>,
    /// The users file.
    pub users_file: PathBuf,
    /// Which device had which addresses.
    pub leases_file: PathBuf,
    /// The admin socket.
    pub admin_socket: PathBuf,
    /// What is logged.
    pub log_level: Level,
    /// Name of the TUN interface; `%d` becomes a number.
    pub tun_name: String,
    /// Threads that carry packets; `None` is one for each core.
    pub workers: Option<u16>,
    /// Bounds on what peers can make the server hold.
    pub limits: adit_server::Limits,
}

/// `[listen]`.
#[derive(Debug)]
pub(crate) struct Listen {
    /// Each is bound in its own family.
    pub addresses: Vec<IpAddr>,
    /// UDP port of IKE.
    pub ike_port: u16,
    /// UDP port of IKE and ESP behind NAT.
    pub nat_t_port: u16,
    /// Whether ESP is taken as IP protocol 50 where there is no NAT.
    pub esp: bool,
    /// Whether outer packets with inner packets in them may be cut on their way.
    pub fragments: bool,
}

/// `[ipsec]`.
#[derive(Debug)]
pub(crate) struct Ipsec {
    /// The pre-shared key of everybody.
    pub psk: Option<Secret>,
    /// The server's certificate, and whose certificates are believed.
    pub certificate: Option<Certificate>,
    /// Pre-shared keys of some peers only.
    pub peers: Vec<Peer>,
    /// Phase 1 proposals in order of preference.
    pub ike: Vec<Phase1Proposal>,
    /// ESP suites in order of preference.
    pub esp: Vec<EspSuite>,
    /// The longest life of an ISAKMP SA.
    pub ike_lifetime: Duration,
    /// The longest life of an ESP SA.
    pub esp_lifetime: Duration,
    /// The most bytes under one ESP SA.
    pub esp_lifetime_bytes: Option<u64>,
    /// Whether extended sequence numbers are taken where a client offers them.
    pub esn: bool,
    /// Dead peer detection.
    pub dpd: Option<Dpd>,
}

/// `certificate`, `key`, `ca` and `crl` of `[ipsec]`.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// What the server shows and signs with.
    pub own: Arc<OwnCertificate>,
    /// Whose certificates are believed.
    pub trust: Arc<Trust>,
}

/// `[[ipsec.peer]]`.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Where the peer is; anywhere if empty.
    pub from: Vec<IpNet>,
    /// What it calls itself; anything if `None`.
    pub identity: Option<IdValue>,
    /// Its key.
    pub psk: Secret,
    /// Whether it may use aggressive mode.
    pub aggressive: bool,
}

/// `[ipsec.dpd]`.
#[derive(Debug)]
pub(crate) struct Dpd {
    /// Silence before the first question.
    pub idle: Duration,
    /// Between questions.
    pub retry: Duration,
    /// Questions before the peer is given up.
    pub tries: u32,
}

/// `[l2tp]`.
#[derive(Debug)]
pub(crate) struct L2tp {
    /// Silence before a HELLO.
    pub hello: Option<Duration>,
    /// The host name told to peers.
    pub host_name: String,
    /// The tunnel secret of everybody.
    pub secret: Option<Secret>,
    /// L2TP without IPsec, if there is any.
    pub plain: Option<Plain>,
}

/// `l2tp.plain-from` and `l2tp.plain-port`.
#[derive(Debug)]
pub(crate) struct Plain {
    /// Where it may come from.
    pub from: Vec<IpNet>,
    /// UDP port.
    pub port: u16,
    /// `[[l2tp.peer]]`.
    pub lacs: Vec<Lac>,
}

/// `[[l2tp.peer]]`.
#[derive(Debug)]
pub(crate) struct Lac {
    /// Where the access concentrator is; anywhere if empty.
    pub from: Vec<IpNet>,
    /// What it calls itself; anything if `None`.
    pub host_name: Option<String>,
    /// Its tunnel secret.
    pub secret: Secret,
}

/// `[ppp]`.
#[derive(Debug)]
pub(crate) struct Ppp {
    /// Methods in order of preference.
    pub auth: Vec<AuthMethod>,
    /// What EAP-TLS takes.
    pub tls: Option<Arc<TlsServer>>,
    /// The most that a session announces as its MRU; the server lowers it where the encapsulation
    /// leaves less room. `None` leaves it all to the server.
    pub mru: Option<u16>,
    /// LCP echo.
    pub echo: Option<Echo>,
}

/// `[ppp.echo]`.
#[derive(Debug)]
pub(crate) struct Echo {
    /// Between requests on a silent link.
    pub interval: Duration,
    /// Unanswered requests before the link is given up.
    pub failures: u32,
}

/// `[ipv4]`.
#[derive(Debug)]
pub(crate) struct Ipv4 {
    /// Clients' addresses.
    pub pool: Ipv4Net,
    /// Resolvers.
    pub dns: Vec<Ipv4Addr>,
    /// NetBIOS name servers.
    pub wins: Vec<Ipv4Addr>,
    /// Whether clients reach the internet under the server's address.
    pub masquerade: bool,
    /// Domain of the clients.
    pub domain: Option<Domain>,
    /// Where the tunnel leads for clients that ask.
    pub routes: Vec<Ipv4Net>,
}

/// `[ipv6]`.
#[derive(Debug)]
pub(crate) struct Ipv6 {
    /// Clients' prefixes are cut out of this one.
    pub prefix: Ipv6Net,
    /// Length of a client's prefix.
    pub client_prefix_length: u8,
    /// Resolvers.
    pub dns: Vec<Ipv6Addr>,
    /// Search domains.
    pub search: Vec<Domain>,
    /// Where the tunnel leads; empty: everywhere.
    pub routes: Vec<Ipv6Net>,
    /// How the server stands against the clients' other routers.
    pub preference: Preference,
    /// Prefixes for routers behind clients.
    pub delegate: Option<Delegate>,
    /// The interface with whose link clients share the prefix.
    pub nd_proxy: Option<String>,
    /// Whether packets to 6to4 hosts go straight to them.
    pub six_to_four: bool,
    /// Whether what clients send is refused.
    pub blocked: bool,
}

/// `[[policy]]`.
#[derive(Debug)]
pub(crate) struct Policy {
    /// What its counter is shown under.
    pub name: String,
    /// The rule.
    pub rule: adit_server::PolicyRule,
}

/// A secret text, wiped when dropped and hidden in Debug output.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        adit_crypto::constant_time_eq(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Reads and checks the file at `path` with the process's environment over it.
pub(crate) fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    load_with(path, std::env::vars_os())
}

/// [`load`] with an environment of the caller's.
pub(crate) fn load_with(
    path: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigErrors> {
    let text = read(path)?;
    let environment = Environment::new(environment);
    let document = Document::parse(path, &text).map_err(|problem| ConfigErrors {
        problems: vec![problem],
    })?;
    let merged = layers::merge(&text, &environment)
        .map_err(|error| plain(format!("{}: {error}", path.display()), "correct the value"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut settings = Settings::new(&document, &environment, merged);
    let config = read_config(&mut settings, folder);
    let problems = settings.finish();
    let fatal = problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    if fatal {
        return Err(ConfigErrors { problems });
    }
    Ok(Loaded {
        config,
        path: path.to_owned(),
        warnings: problems,
    })
}

fn read(path: &Path) -> Result<String, ConfigErrors> {
    let shown = path.display();
    std::fs::read(path)
        .map_err(|error| {
            let help = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "name another file with --config, or let `adit quickstart` make one"
                }
                std::io::ErrorKind::PermissionDenied => {
                    "run adit as the owner of the file, or root"
                }
                _ => "name another file with --config",
            };
            plain(format!("cannot read {shown}: {error}"), help)
        })
        .and_then(|bytes| {
            String::from_utf8(bytes)
                .map_err(|_| plain(format!("{shown} is not UTF-8"), "save it as UTF-8 text"))
        })
}

fn plain(message: String, help: &str) -> ConfigErrors {
    ConfigErrors {
        problems: vec![Problem {
            severity: Severity::Error,
            message,
            help: help.to_owned(),
            place: None,
        }],
    }
}

// Reads everything, so that all keys are known and all problems found. What comes out is of use only
// without errors.
fn read_config(settings: &mut Settings<'_>, folder: &Path) -> Config {
    let listen = outer::listen(settings);
    let ipsec = outer::ipsec(settings, folder);
    let l2tp = outer::l2tp(settings, &listen, folder);
    let (ipv4, ipv6) = networks::networks(settings);
    let policy = policy::read(settings);
    let mtu = inner::mtu(settings, ipv6.is_some());
    let ppp = inner::ppp(settings, folder, ipv6.is_some());
    let users_file = folder.join(users_file(settings));
    let leases_file = settings.text("leases.file");
    let leases_file = folder.join(leases_file.as_deref().unwrap_or(DEFAULT_LEASES));
    let admin_socket = folder.join(admin_socket(settings));
    let log_level = inner::log_level(settings);
    let tun_name = inner::tun_name(settings);
    let workers = inner::workers(settings);
    let limits = inner::limits(settings);
    Config {
        listen,
        ipsec,
        l2tp,
        ppp,
        ipv4,
        ipv6,
        policy,
        mtu,
        users_file,
        leases_file,
        admin_socket,
        log_level,
        tun_name,
        workers,
        limits,
    }
}

fn users_file(settings: &mut Settings<'_>) -> String {
    settings
        .text("users.file")
        .unwrap_or_else(|| "users.toml".to_owned())
}

fn admin_socket(settings: &mut Settings<'_>) -> String {
    settings
        .text("admin.socket")
        .unwrap_or_else(|| DEFAULT_SOCKET.to_owned())
}

/// The two paths that other commands than the server need.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The users file.
    pub users_file: PathBuf,
    /// The admin socket.
    pub admin_socket: PathBuf,
}

/// Reads only the paths, so that a server can be asked and a user added while the rest of the
/// configuration is broken.
pub(crate) fn paths(path: &Path) -> Result<Paths, ConfigErrors> {
    let text = read(path)?;
    let environment = Environment::new(std::env::vars_os());
    let document = Document::parse(path, &text).map_err(|problem| ConfigErrors {
        problems: vec![problem],
    })?;
    let merged = layers::merge(&text, &environment)
        .map_err(|error| plain(format!("{}: {error}", path.display()), "correct the value"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut settings = Settings::new(&document, &environment, merged);
    Ok(Paths {
        users_file: folder.join(users_file(&mut settings)),
        admin_socket: folder.join(admin_socket(&mut settings)),
    })
}
