//! What every client of a server has to know, whether it connects or only loads it: who it is, how it
//! proves that, and where the server is. No secret is an argument.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adit_cert::{OwnCertificate, Trust};
use adit_client::Config;
use adit_crypto::EspSuite;
use adit_ike::{Credentials, IdValue, Phase1Proposal, Psk};
use adit_ppp::{AuthMethod, ClientConfig, Secret};
use clap::Args;
use zeroize::Zeroizing;

use crate::config::{esp_proposal, ike_proposal};
use crate::{Failure, secret};

/// The options of all commands that dial.
#[derive(Debug, Args)]
pub(crate) struct Dial {
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
}

/// Who dials.
#[derive(Clone)]
pub(crate) struct Identity {
    credentials: Arc<Credentials>,
    /// What the server's certificate has to certify.
    server: Option<IdValue>,
    pub(crate) user: String,
    password: Secret,
    /// What is offered; all that adit has, where it is empty.
    phase1: Vec<Phase1Proposal>,
    esp: Vec<EspSuite>,
}

impl Identity {
    /// Reads what the options name, to dial `host`.
    pub(crate) fn read(options: &Dial, host: &str) -> Result<Self, Failure> {
        let password = secret::of_file(&options.password_file)?;
        let mut server = None;
        let credentials = match (&options.certificate, &options.key, &options.ca) {
            (Some(certificate), Some(key), Some(ca)) => {
                let key = Zeroizing::new(read(key)?);
                let own = OwnCertificate::from_pem(&read(certificate)?, &key);
                let trust = Trust::from_pem(&read(ca)?, &[]);
                server = Some(match host.parse::<IpAddr>() {
                    Ok(address) => address.into(),
                    Err(_) => IdValue::Fqdn(host.to_owned()),
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
        Ok(Self {
            credentials: Arc::new(credentials),
            server,
            user: options.user.clone(),
            password: Secret::new(password.as_bytes()),
            phase1: options.ike.clone(),
            esp: options.esp.clone(),
        })
    }

    /// The configuration of a client whose NAT-T traffic leaves from `nat_t`. ESP goes in UDP: behind
    /// most firewalls only that passes.
    pub(crate) fn config(&self, nat_t: SocketAddr) -> Config {
        let mut ppp = ClientConfig::new(&self.user, self.password.clone());
        ppp.allowed = vec![AuthMethod::MsChapV2];
        let mut config = Config::new(Arc::clone(&self.credentials), ppp, nat_t);
        config.server_identity.clone_from(&self.server);
        let policy = Arc::make_mut(&mut config.ike);
        policy.force_encapsulation = true;
        if !self.phase1.is_empty() {
            policy.phase1.clone_from(&self.phase1);
        }
        if !self.esp.is_empty() {
            policy.esp.clone_from(&self.esp);
        }
        config
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))
}

/// The addresses of `host` that the options allow, each once.
pub(crate) async fn resolve(options: &Dial, host: &str) -> Result<Vec<IpAddr>, Failure> {
    let found = tokio::net::lookup_host((host, 500))
        .await
        .map_err(|error| Failure::failed(format_args!("{host}: {error}")))?;
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
            "{host} has no address of that family"
        )));
    }
    Ok(servers)
}

/// The address that packets to `server` leave from.
pub(crate) fn local_address(server: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(SocketAddr::new(server, 500))?;
    socket.local_addr().map(|local| local.ip())
}
