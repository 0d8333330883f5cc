//! What stands inside the tunnel: PPP and the MTU; and the program's own settings.

use std::path::Path;
use std::time::Duration;

use adit_ppp::AuthMethod;
use adit_server::Limits;
use tracing::Level;

use super::server::MAX_WORKERS;
use super::settings::{Complaint, Settings};
use super::{Echo, Ppp, tls};

/// `[ppp]`.
pub(super) fn ppp(settings: &mut Settings<'_>, folder: &Path, ipv6: bool) -> Ppp {
    const KEY: &str = "ppp.auth";
    const HELP: &str = "write \"mschapv2\" (every client has it), \"eap-mschapv2\", \"eap-tls\", \
                        \"eap-md5\", \"chap\" or \"pap\"";
    let auth = settings.list(KEY, |text| match text {
        "mschapv2" => Ok(AuthMethod::MsChapV2),
        "eap-mschapv2" => Ok(AuthMethod::EapMsChapV2),
        "eap-tls" => Ok(AuthMethod::EapTls),
        "eap-md5" => Ok(AuthMethod::EapMd5),
        "chap" => Ok(AuthMethod::ChapMd5),
        "pap" => Ok(AuthMethod::Pap),
        _ => Err(Complaint::new(format!("{text:?} is not a method"), HELP)),
    });
    let auth = auth.unwrap_or_else(|| vec![AuthMethod::MsChapV2]);
    if auth.is_empty() {
        settings.empty(KEY, "names no method, so nobody could log in", HELP);
    }
    let tls = tls::read(settings, folder, auth.contains(&AuthMethod::EapTls));
    let mru = settings.number_or_auto("ppp.mru", 1400, smallest(ipv6)..=1500);
    let second = Duration::from_secs(1);
    let interval = settings.duration_or_off(
        "ppp.echo.interval",
        30 * second,
        second..=Duration::from_secs(3_600),
    );
    let failures = settings.number("ppp.echo.failures", 10, 1..=100);
    Ppp {
        auth,
        tls,
        mru: mru.and_then(|mru| u16::try_from(mru).ok()),
        echo: interval.map(|interval| Echo { interval, failures }),
    }
}

// IPv6 needs 1280 bytes (RFC 8200 section 5), IPv4 is left alone at 576.
fn smallest(ipv6: bool) -> u32 {
    if ipv6 { 1280 } else { 576 }
}

/// `mtu`.
pub(super) fn mtu(settings: &mut Settings<'_>, ipv6: bool) -> Option<u16> {
    let mtu = settings.number_or_auto("mtu", 1280, smallest(ipv6)..=1500)?;
    u16::try_from(mtu).ok()
}

/// `workers`.
pub(super) fn workers(settings: &mut Settings<'_>) -> Option<u16> {
    let workers = settings.number_or_auto("workers", 2, 1..=MAX_WORKERS.into())?;
    u16::try_from(workers).ok()
}

/// `log.level`.
pub(super) fn log_level(settings: &mut Settings<'_>) -> Level {
    let level = settings.parsed("log.level", |text| match text {
        "error" => Ok(Level::ERROR),
        "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        "trace" => Ok(Level::TRACE),
        _ => Err(Complaint::new(
            format!("{text:?} is not a level"),
            "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"; RUST_LOG can say more",
        )),
    });
    level.unwrap_or(Level::INFO)
}

/// Whether the kernel would take it as the name of an interface: 15 bytes without slash, blank or
/// colon.
pub(super) fn is_interface(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%');
    (1..=15).contains(&text.len()) && text.chars().all(plain) && text != "." && text != ".."
}

/// `tun.name`.
pub(super) fn tun_name(settings: &mut Settings<'_>) -> String {
    let name = settings.parsed("tun.name", |text| {
        if text.len() > 15 || !is_interface(text.strip_suffix("%d").unwrap_or(text)) {
            return Err(Complaint::new(
                format!("{text:?} is not an interface name"),
                "write up to 15 letters and digits, such as \"adit0\" or \"adit%d\"",
            ));
        }
        Ok(text.to_owned())
    });
    name.unwrap_or_else(|| "adit%d".to_owned())
}

/// `[limits]`.
pub(super) fn limits(settings: &mut Settings<'_>) -> Limits {
    let default = Limits::default();
    let login_recovery = settings.duration(
        "limits.login-recovery",
        default.login_recovery,
        Duration::from_secs(1)..=Duration::from_secs(86_400),
    );
    let mut limit = |key, default: usize, most| {
        let default = u32::try_from(default).unwrap_or(u32::MAX);
        let number = settings.number(key, default, 1..=most);
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    Limits {
        half_open: limit("limits.half-open", default.half_open, 1_000_000),
        half_open_per_network: limit(
            "limits.half-open-per-network",
            default.half_open_per_network,
            1_000_000,
        ),
        pending_jobs: limit("limits.pending-jobs", default.pending_jobs, 1_000_000),
        peers: limit("limits.peers", default.peers, 1_000_000),
        sas_per_peer: limit("limits.sas-per-peer", default.sas_per_peer, 1_000),
        tunnels_per_peer: limit("limits.tunnels-per-peer", default.tunnels_per_peer, 1_000),
        plain_peers: limit("limits.plain-peers", default.plain_peers, 1_000_000),
        sessions: limit("limits.sessions", default.sessions, 1_000_000),
        leases: limit("limits.leases", default.leases, 1_000_000),
        login_failures: limit("limits.login-failures", default.login_failures, 1_000_000),
        login_failures_per_user: limit(
            "limits.login-failures-per-user",
            default.login_failures_per_user,
            1_000_000,
        ),
        login_failures_per_network: limit(
            "limits.login-failures-per-network",
            default.login_failures_per_network,
            1_000_000,
        ),
        login_recovery,
    }
}
