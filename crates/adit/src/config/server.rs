//! From the operator's settings to what the protocol crates take.

use std::sync::Arc;
use std::time::Duration;

use adit_ike::Credentials;
use adit_server::{Keyring, LacSecret, PlainConfig, RangedKey};

use super::{Config, Lac, Secret, peers};

/// The largest outer packet that is assumed to reach every client, in bytes of IP.
const PATH_MTU: u16 = 1500;
/// The most that a session announces unless `ppp.mru` says otherwise; the server lowers it to what
/// the encapsulation carries.
const MRU: u16 = 1500;

/// The most threads that carry packets: TUN has no more queues.
pub(super) const MAX_WORKERS: u16 = 256;

/// Sessions on one tunnel of an access concentrator, which serves many users.
const SESSIONS_OF_LAC: u16 = 4_096;

/// Why a configuration makes no server. [`load`](super::load) never gives one of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerConfigError {
    /// Neither family is served.
    #[error("neither IPv4 nor IPv6 is served. Set ipv4.pool or ipv6.prefix")]
    NothingToServe,
    /// No proposal, so no client could ever agree.
    #[error("no proposal is allowed. Leave {0} out for the default")]
    NoProposal(&'static str),
    /// No key and no certificate, so nobody could prove anything.
    #[error("there is neither a key nor a certificate. Set ipsec.psk")]
    NoCredentials,
}

fn one_per_core() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u16::try_from(cores).map_or(MAX_WORKERS, |cores| cores.min(MAX_WORKERS))
}

impl Config {
    /// The server's configuration.
    pub(crate) fn server(&self) -> Result<adit_server::Config, ServerConfigError> {
        self.judge()?;
        let ike = adit_ike::Config {
            phase1: self.ipsec.ike.clone(),
            esp: self.ipsec.esp.clone(),
            phase1_lifetime: self.ipsec.ike_lifetime,
            esp_lifetime: adit_ike::SaLifetime {
                seconds: self.ipsec.esp_lifetime,
                kilobytes: self.ipsec.esp_lifetime_bytes.map(|bytes| bytes / 1024),
            },
            extended_sequence: if self.ipsec.esn {
                adit_ike::ExtendedSequence::Accept
            } else {
                adit_ike::ExtendedSequence::Refuse
            },
            dpd: self.ipsec.dpd.as_ref().map(|dpd| adit_ike::Dpd {
                idle: dpd.idle,
                retry: dpd.retry,
                tries: dpd.tries,
            }),
            nat_t: true,
            // Where ESP is taken in UDP only, every client is to agree on that.
            force_encapsulation: !self.listen.esp,
            ..adit_ike::Config::default()
        };
        let l2tp = adit_l2tp::Config {
            host_name: self.l2tp.host_name.clone(),
            hello_idle: self.l2tp.hello.unwrap_or(Duration::ZERO),
            // Built-in clients know of no secret, and IPsec has proved them: inside it nobody is asked,
            // and whoever asks is answered.
            secret: self.l2tp.secret.as_ref().and_then(tunnel_secret),
            challenge: false,
            ..adit_l2tp::Config::default()
        };
        let plain = self.l2tp.plain.as_ref().map(|plain| PlainConfig {
            from: plain.from.clone(),
            l2tp: Arc::new(adit_l2tp::Config {
                max_sessions: SESSIONS_OF_LAC,
                challenge: true,
                ..l2tp.clone()
            }),
            lacs: plain.lacs.iter().filter_map(lac_secret).collect(),
        });
        let ppp = adit_ppp::ServerConfig {
            auth: self.ppp.auth.clone(),
            tls: self.ppp.tls.clone(),
            name: self.l2tp.host_name.clone(),
            mru: self.mru(),
            echo: self.ppp.echo.as_ref().map(|echo| adit_ppp::Echo {
                interval: echo.interval,
                failures: echo.failures,
            }),
            ..adit_ppp::ServerConfig::default()
        };
        Ok(adit_server::Config {
            ike: Arc::new(ike),
            credentials: Arc::new(self.keyring()),
            l2tp: Arc::new(l2tp),
            ppp: Arc::new(ppp),
            ipv4: self.ipv4.as_ref().map(|ipv4| adit_server::Ipv4Config {
                pool: ipv4.pool,
                dns: ipv4.dns.clone(),
                wins: ipv4.wins.clone(),
                domain: ipv4.domain.clone(),
                routes: ipv4.routes.clone(),
            }),
            ipv6: self.ipv6.as_ref().map(|ipv6| adit_server::Ipv6Config {
                prefix: ipv6.prefix,
                client_prefix_length: ipv6.client_prefix_length,
                dns: ipv6.dns.clone(),
                search: ipv6.search.clone(),
                routes: ipv6.routes.clone(),
                preference: ipv6.preference,
                delegate: ipv6.delegate,
                // Known once the interface is looked at.
                shared: None,
                blocked: ipv6.blocked,
            }),
            path_mtu: PATH_MTU,
            link_mtu: self.mtu,
            native_esp: self.listen.esp,
            plain,
            policy: self
                .policy
                .iter()
                .map(|policy| policy.rule.clone())
                .collect(),
            workers: self.workers.unwrap_or_else(one_per_core),
            limits: self.limits,
        })
    }

    fn keyring(&self) -> Keyring {
        let mut everybody = match &self.ipsec.psk {
            Some(psk) => Credentials::psk(peers::shared(psk)),
            None => Credentials::default(),
        };
        if let Some(certificate) = &self.ipsec.certificate {
            everybody.certificate = Some(Arc::clone(&certificate.own));
            everybody.trust = Some(Arc::clone(&certificate.trust));
        }
        let keys: Vec<RangedKey> = self.ipsec.peers.iter().map(RangedKey::from).collect();
        Keyring::new(&everybody, &keys)
    }

    fn judge(&self) -> Result<(), ServerConfigError> {
        if self.ipv4.is_none() && self.ipv6.is_none() {
            return Err(ServerConfigError::NothingToServe);
        }
        if self.ipsec.ike.is_empty() {
            return Err(ServerConfigError::NoProposal("ipsec.ike"));
        }
        if self.ipsec.esp.is_empty() {
            return Err(ServerConfigError::NoProposal("ipsec.esp"));
        }
        let ways = &self.ipsec;
        if ways.psk.is_none() && ways.peers.is_empty() && ways.certificate.is_none() {
            return Err(ServerConfigError::NoCredentials);
        }
        Ok(())
    }

    // A fixed MTU bounds what clients may send as well.
    fn mru(&self) -> u16 {
        match (self.ppp.mru, self.mtu) {
            (Some(mru), _) => mru,
            (None, Some(mtu)) => mtu,
            (None, None) => MRU,
        }
    }
}

fn tunnel_secret(secret: &Secret) -> Option<adit_l2tp::Secret> {
    adit_l2tp::Secret::new(secret.expose().as_bytes())
}

fn lac_secret(lac: &Lac) -> Option<LacSecret> {
    Some(LacSecret {
        from: lac.from.clone(),
        host_name: lac.host_name.clone(),
        secret: tunnel_secret(&lac.secret)?,
    })
}
