//! Status and sessions as text for people.

use std::fmt::{Display, Write};

use comfy_table::{Table, presets};

use super::dto::{Session, Status};

/// What the server is, and every counter that is not zero.
pub(super) fn status(status: &Status) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn Display| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("version", &status.version);
    line("pid", &status.pid);
    line("ready since", &status.started_at);
    line("config", &status.config.display());
    for address in &status.listen {
        line("listening", address);
    }
    line("interface", &status.tun);
    line("IPv4", &or_none(status.ipv4_pool));
    line("IPv6", &or_none(status.ipv6_prefix));
    let gauges = &status.gauges;
    line("sessions", &gauges.sessions);
    line(
        "peers",
        &format_args!("{} ({} half open)", gauges.peers, gauges.half_open),
    );
    if gauges.plain_peers > 0 {
        line("no IPsec", &format_args!("{} peers", gauges.plain_peers));
    }
    line(
        "SAs",
        &format_args!("{} IKE, {} ESP", gauges.ike_sas, gauges.esp_sas),
    );
    line(
        "leases",
        &format_args!("{} IPv4, {} IPv6", gauges.leases_ipv4, gauges.leases_ipv6),
    );
    let counters: Vec<_> = status.counters.iter().filter(|(_, n)| **n > 0).collect();
    let width = counters.iter().map(|(name, _)| name.len()).max();
    if let Some(width) = width {
        text.push('\n');
        for (name, count) in counters {
            let _ = writeln!(text, "{name:<width$}  {count}");
        }
    }
    text
}

fn or_none(net: Option<impl Display>) -> String {
    net.map_or_else(|| "not served".to_owned(), |net| net.to_string())
}

/// One row per session with what is asked for most; `--json` has the rest.
pub(super) fn sessions(sessions: &[Session]) -> String {
    if sessions.is_empty() {
        return "no sessions\n".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "ID", "USER", "CLIENT", "PEER", "IPV4", "IPV6", "MTU", "IN", "OUT", "SINCE",
    ]);
    for session in sessions {
        let prefixes: Vec<String> = session
            .ipv6_prefixes
            .iter()
            .map(|p| p.to_string())
            .collect();
        table.add_row([
            session.id.to_string(),
            session.user.clone().unwrap_or_else(|| "-".to_owned()),
            session.client.clone(),
            session.peer.to_string(),
            family(session.ipv4.map(|a| a.to_string()), &session.ipcp),
            family(
                (!prefixes.is_empty()).then(|| prefixes.join(" ")),
                &session.ipv6cp,
            ),
            session.mtu.to_string(),
            bytes(session.rx_bytes),
            bytes(session.tx_bytes),
            session
                .connected_at
                .clone()
                .unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

// The address of a family that is up, else the state of its NCP.
fn family(address: Option<String>, state: &str) -> String {
    match address {
        Some(address) if state == "opened" => address,
        _ => state.to_owned(),
    }
}

fn bytes(count: u64) -> String {
    let mut scaled = count as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{count} B")
    } else {
        format!("{scaled:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::dto::Gauges;
    use crate::admin::dto::tests::info;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn sessions_are_rows() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_229_205);
        let mut refused = info();
        refused.ipv6cp = "rejected".into();
        let text = sessions(&[Session::at(&info(), now), Session::at(&refused, now)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].contains("2001:db8:77:1::/64"), "{text}");
        assert!(lines[1].contains("1.9 MiB"), "{text}");
        assert!(lines[2].contains("rejected"), "{text}");
        assert_eq!(sessions(&[]), "no sessions\n");
    }

    #[test]
    fn status_names_each_listener_and_hides_zeros() {
        let text = status(&Status {
            version: "0.1.0".into(),
            pid: 42,
            started_at: "2026-11-21T02:46:45Z".into(),
            config: "/etc/adit/adit.toml".into(),
            listen: vec!["0.0.0.0:500".parse().unwrap(), "[::]:500".parse().unwrap()],
            tun: "adit0".into(),
            ipv4_pool: Some("10.77.0.0/16".parse().unwrap()),
            ipv6_prefix: None,
            gauges: Gauges {
                sessions: 3,
                peers: 2,
                leases_ipv4: 3,
                ..Gauges::default()
            },
            counters: [("esp_replayed".to_owned(), 5), ("zero".to_owned(), 0)].into(),
            policy: Vec::new(),
        });
        let expected = "version      0.1.0\n\
                        pid          42\n\
                        ready since  2026-11-21T02:46:45Z\n\
                        config       /etc/adit/adit.toml\n\
                        listening    0.0.0.0:500\n\
                        listening    [::]:500\n\
                        interface    adit0\n\
                        IPv4         10.77.0.0/16\n\
                        IPv6         not served\n\
                        sessions     3\n\
                        peers        2 (0 half open)\n\
                        SAs          0 IKE, 0 ESP\n\
                        leases       3 IPv4, 0 IPv6\n\
                        \n\
                        esp_replayed  5\n";
        assert_eq!(text, expected);
    }
}
