//! What is told to operators, as JSON. These shapes are a contract: fields are added, never taken
//! away.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::SystemTime;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::time;

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Unique while the server runs.
    pub id: u64,
    /// Who it is, once authenticated.
    pub user: Option<String>,
    /// The user's group, if the user has one.
    #[serde(default)]
    pub group: Option<String>,
    /// What the handshake looks like: windows, apple, linux, ...
    pub client: String,
    /// The client's outer address and port.
    pub peer: SocketAddr,
    /// The server's outer address and port.
    pub local: SocketAddr,
    /// udp, esp or none.
    pub encapsulation: String,
    /// none, client, server or both.
    pub nat: String,
    /// What protects IKE; null without IPsec.
    pub ike: Option<Ike>,
    /// What protects the packets; null without IPsec.
    pub esp: Option<String>,
    /// The client's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The prefixes that are routed to the client.
    pub ipv6_prefixes: Vec<Ipv6Net>,
    /// State of IPCP.
    pub ipcp: String,
    /// State of IPv6CP.
    pub ipv6cp: String,
    /// The largest inner packet, in bytes.
    pub mtu: u16,
    /// The MSS that SYNs are clamped to.
    pub mss: Mss,
    /// Resolvers handed out, both families.
    pub dns: Vec<IpAddr>,
    /// Bytes of IP packets from the client.
    pub rx_bytes: u64,
    /// Bytes of IP packets to the client.
    pub tx_bytes: u64,
    /// IP packets from the client.
    pub rx_packets: u64,
    /// IP packets to the client.
    pub tx_packets: u64,
    /// When it was authenticated, in UTC; null before that.
    pub connected_at: Option<String>,
}

/// The phase 1 choice in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ike {
    /// Cipher.
    pub encryption: String,
    /// Hash and PRF.
    pub hash: String,
    /// Diffie-Hellman group.
    pub group: String,
    /// psk, rsa, ecdsa-256, ecdsa-384 or ecdsa-521.
    pub auth: String,
}

/// MSS per family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mss {
    /// Over IPv4.
    pub ipv4: u16,
    /// Over IPv6.
    pub ipv6: u16,
}

impl From<&adit_server::SessionInfo> for Session {
    fn from(info: &adit_server::SessionInfo) -> Self {
        Self::at(info, SystemTime::now())
    }
}

impl Session {
    /// The session as it is at `now`.
    pub(crate) fn at(info: &adit_server::SessionInfo, now: SystemTime) -> Self {
        let connected_at = (!info.connected_for.is_zero())
            .then(|| now.checked_sub(info.connected_for))
            .flatten()
            .map(time::rfc3339);
        Self {
            id: info.id.0,
            user: info.user.clone(),
            group: info.group.clone(),
            client: info.client.clone(),
            peer: info.peer,
            local: info.local,
            encapsulation: info.encapsulation.to_owned(),
            nat: info.nat.to_owned(),
            ike: info.ike.as_ref().map(|ike| Ike {
                encryption: ike.encryption.clone(),
                hash: ike.hash.clone(),
                group: ike.group.clone(),
                auth: ike.auth.clone(),
            }),
            esp: info.esp.clone(),
            ipv4: info.ipv4,
            ipv6_prefixes: info.ipv6_prefixes.clone(),
            ipcp: info.ipcp.clone(),
            ipv6cp: info.ipv6cp.clone(),
            mtu: info.mtu,
            mss: Mss {
                ipv4: info.mss.0,
                ipv6: info.mss.1,
            },
            dns: info.dns.clone(),
            rx_bytes: info.rx_bytes,
            tx_bytes: info.tx_bytes,
            rx_packets: info.rx_packets,
            tx_packets: info.tx_packets,
            connected_at,
        }
    }
}

/// The running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// adit's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it was ready, in UTC.
    pub started_at: String,
    /// Its configuration.
    pub config: PathBuf,
    /// Every socket that is bound, each in its own family.
    pub listen: Vec<SocketAddr>,
    /// The TUN interface.
    pub tun: String,
    /// Where clients get IPv4 addresses from, if IPv4 is served.
    pub ipv4_pool: Option<Ipv4Net>,
    /// Where clients get IPv6 prefixes from, if IPv6 is served.
    pub ipv6_prefix: Option<Ipv6Net>,
    /// What there is at this moment.
    pub gauges: Gauges,
    /// Everything that is counted, by name.
    pub counters: BTreeMap<String, u64>,
    /// The rules of the policy, first to last.
    pub policy: Vec<PolicyCount>,
}

/// A rule of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyCount {
    /// Its name.
    pub name: String,
    /// Packets that it has decided.
    pub packets: u64,
    /// Those of them that were more than its rate.
    pub over_rate: u64,
}

/// What there is at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gauges {
    /// Phase 1 exchanges under way.
    pub half_open: usize,
    /// ISAKMP SAs.
    pub ike_sas: usize,
    /// Authenticated peers.
    pub peers: usize,
    /// Peers that came without IPsec.
    pub plain_peers: usize,
    /// ESP SAs, both directions.
    pub esp_sas: usize,
    /// L2TP tunnels.
    pub tunnels: usize,
    /// PPP sessions.
    pub sessions: usize,
    /// IPv4 addresses handed out.
    pub leases_ipv4: usize,
    /// IPv6 prefixes handed out.
    pub leases_ipv6: usize,
    /// Addresses of the shared prefix that sessions hold.
    pub claimed: usize,
    /// Prefixes that are delegated.
    #[serde(default)]
    pub delegated: usize,
    /// Devices that get the addresses again that they had last.
    #[serde(default)]
    pub remembered: usize,
    /// Routes to sessions, both families.
    pub routes: usize,
}

impl From<adit_server::Gauges> for Gauges {
    fn from(gauges: adit_server::Gauges) -> Self {
        Self {
            half_open: gauges.half_open,
            ike_sas: gauges.ike_sas,
            peers: gauges.peers,
            plain_peers: gauges.plain_peers,
            esp_sas: gauges.esp_sas,
            tunnels: gauges.tunnels,
            sessions: gauges.sessions,
            leases_ipv4: gauges.leases_ipv4,
            leases_ipv6: gauges.leases_ipv6,
            claimed: gauges.claimed,
            delegated: gauges.delegated,
            remembered: gauges.remembered,
            routes: gauges.routes,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use adit_server::{IkeInfo, SessionId, SessionInfo};
    use std::time::{Duration, UNIX_EPOCH};

    pub(crate) fn info() -> SessionInfo {
        SessionInfo {
            id: SessionId(7),
            user: Some("alice".into()),
            group: Some("staff".into()),
            client: "windows".into(),
            peer: "198.51.100.7:4500".parse().unwrap(),
            local: "192.0.2.1:4500".parse().unwrap(),
            encapsulation: "udp",
            nat: "client",
            ike: Some(IkeInfo {
                encryption: "AES-CBC-256".into(),
                hash: "SHA1".into(),
                group: "ECP-384".into(),
                auth: "psk".into(),
            }),
            esp: Some("AES-CBC-256/HMAC-SHA1-96".into()),
            ipv4: Some("10.77.0.2".parse().unwrap()),
            ipv6_prefixes: vec!["2001:db8:77:1::/64".parse().unwrap()],
            ipcp: "opened".into(),
            ipv6cp: "opened".into(),
            mtu: 1394,
            mss: (1354, 1334),
            dns: vec!["1.1.1.1".parse().unwrap()],
            rx_bytes: 1000,
            tx_bytes: 2_000_000,
            rx_packets: 10,
            tx_packets: 20,
            connected_for: Duration::from_secs(3_661),
        }
    }

    #[test]
    fn a_session_has_the_fields_of_the_contract() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_229_205);
        let json = serde_json::to_value(Session::at(&info(), now)).unwrap();
        assert_eq!(json["connected_at"], "2026-11-21T01:45:44Z");
        assert_eq!(json["mss"]["ipv6"], 1334);
        assert_eq!(json["ike"]["group"], "ECP-384");
        assert_eq!(json["ipv6_prefixes"][0], "2001:db8:77:1::/64");
        for field in [
            "id",
            "user",
            "group",
            "client",
            "peer",
            "encapsulation",
            "nat",
            "ike",
            "esp",
            "ipv4",
            "ipv6_prefixes",
            "ipcp",
            "ipv6cp",
            "mtu",
            "mss",
            "dns",
            "rx_bytes",
            "tx_bytes",
            "connected_at",
        ] {
            assert!(!json[field].is_null(), "{field}");
        }
        let plain = SessionInfo {
            encapsulation: "none",
            ike: None,
            esp: None,
            ..info()
        };
        let json = serde_json::to_value(Session::at(&plain, now)).unwrap();
        assert_eq!(json["encapsulation"], "none");
        assert!(json["ike"].is_null() && json["esp"].is_null());
        let mut early = info();
        early.connected_for = Duration::ZERO;
        assert_eq!(Session::at(&early, now).connected_at, None);
    }
}
