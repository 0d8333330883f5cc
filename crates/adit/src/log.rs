//! The log: readable lines on standard error. ERROR: someone must act; WARN: a peer or the host
//! misbehaved; INFO: one line per session event; DEBUG: per control message; TRACE: per packet.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::time;

/// Starts logging at `level`, or as `RUST_LOG` says. A second call changes nothing.
pub(crate) fn init(level: Level) {
    let filter = match EnvFilter::try_from_default_env() {
        Ok(filter) => filter,
        Err(_) => EnvFilter::new(level.as_str()),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // The journal stamps each line itself.
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.without_time().try_init()
    } else {
        lines.with_timer(Utc).try_init()
    };
}

struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        w.write_str(&time::rfc3339_millis(std::time::SystemTime::now()))
    }
}
