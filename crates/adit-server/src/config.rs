//! What the server needs to know; the program makes it from the operator's file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use adit_link::domain::Domain;
use adit_link::nd::Preference;
use adit_link::policy::{Rule, Rules};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{Grant, Keyring};

/// Everything that shapes a server, already checked by whoever made it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Phase 1 and Quick Mode policy.
    pub ike: Arc<adit_ike::Config>,
    /// What phase 1 proves and believes, by the peer's address.
    pub credentials: Arc<Keyring>,
    /// Control connection timers and limits.
    pub l2tp: Arc<adit_l2tp::Config>,
    /// Authentication methods and timers. Its MRU is the most that a session announces; the real
    /// one is lower where the encapsulation leaves less room.
    pub ppp: Arc<adit_ppp::ServerConfig>,
    /// IPv4 inside the tunnel, if it is served.
    pub ipv4: Option<Ipv4Config>,
    /// IPv6 inside the tunnel, if it is served.
    pub ipv6: Option<Ipv6Config>,
    /// The largest outer packet that reaches every client, in bytes of IP.
    pub path_mtu: u16,
    /// A link MTU fixed by the operator; `None` computes it from the encapsulation.
    pub link_mtu: Option<u16>,
    /// Whether ESP may travel as IP protocol 50, without UDP. If not, a client that wants it so is
    /// refused.
    pub native_esp: bool,
    /// Whether and for whom L2TP is taken without IPsec.
    pub plain: Option<PlainConfig>,
    /// What users may reach and be reached by, first to last.
    pub policy: Vec<PolicyRule>,
    /// How many [workers](crate::Server::workers) share the packet path; none is one.
    pub workers: u16,
    /// Bounds on what peers can make the server hold.
    pub limits: Limits,
}

/// A rule of the policy, with the users that it is about.
#[derive(Clone, Debug)]
pub struct PolicyRule {
    /// These users, and those of [`groups`](Self::groups); everybody if both are empty.
    pub users: Vec<String>,
    /// The users of these groups.
    pub groups: Vec<String>,
    /// The rule.
    pub rule: Arc<Rule>,
}

impl PolicyRule {
    fn is_about(&self, grant: &Grant) -> bool {
        self.users.is_empty() && self.groups.is_empty()
            || self.users.contains(&grant.user)
            || grant
                .group
                .as_ref()
                .is_some_and(|group| self.groups.contains(group))
    }
}

impl Config {
    /// The rules about a user; `None` if there are none.
    pub(crate) fn rules_of(&self, grant: &Grant) -> Option<Arc<Rules>> {
        let rules = self.policy.iter().enumerate();
        let rules = Rules::new(
            rules
                .filter(|(_, rule)| rule.is_about(grant))
                .map(|(index, rule)| (index, Arc::clone(&rule.rule))),
        );
        (!rules.is_empty()).then(|| Arc::new(rules))
    }
}

/// L2TP without IPsec (RFC 2661 8.1), for access concentrators on trusted wires.
#[derive(Clone, Debug)]
pub struct PlainConfig {
    /// Whose datagrams are taken; those of everybody else vanish.
    pub from: Vec<IpNet>,
    /// Timers, limits and secret of their control connections.
    pub l2tp: Arc<adit_l2tp::Config>,
    /// Secrets of some of them only, which come before the one of all; the first that fits counts.
    /// If there are any and no secret of all, a peer that none fits is refused.
    pub lacs: Vec<LacSecret>,
}

/// The tunnel secret of some access concentrators.
#[derive(Clone, Debug)]
pub struct LacSecret {
    /// Where they are; none: anywhere.
    pub from: Vec<IpNet>,
    /// What they call themselves (Host Name AVP, RFC 2661 4.4.3); `None`: anything.
    pub host_name: Option<String>,
    /// The secret.
    pub secret: adit_l2tp::Secret,
}

impl PlainConfig {
    /// The secret shared with a peer, with its place among those of some peers, counted from 1.
    /// `None` if the peer must be refused, because it has none and others have.
    pub(crate) fn secret_of(
        &self,
        source: IpAddr,
        host_name: Option<&str>,
    ) -> Option<(Option<&adit_l2tp::Secret>, Option<usize>)> {
        let fits = |lac: &LacSecret| {
            (lac.from.is_empty() || lac.from.iter().any(|range| range.contains(&source)))
                && lac
                    .host_name
                    .as_deref()
                    .is_none_or(|name| host_name == Some(name))
        };
        if let Some((index, lac)) = self.lacs.iter().enumerate().find(|(_, lac)| fits(lac)) {
            return Some((Some(&lac.secret), Some(index + 1)));
        }
        let everybody = self.l2tp.secret.as_ref();
        (everybody.is_some() || self.lacs.is_empty()).then_some((everybody, None))
    }
}

/// IPv4 for the clients.
#[derive(Clone, Debug)]
pub struct Ipv4Config {
    /// Clients get addresses from here; its first host address is the server's.
    pub pool: Ipv4Net,
    /// Resolvers, handed out by IPCP (two at most reach a client) and DHCPINFORM.
    pub dns: Vec<Ipv4Addr>,
    /// NetBIOS name servers (RFC 1877), handed out by IPCP; two at most.
    pub wins: Vec<Ipv4Addr>,
    /// Domain of the clients, told to those that ask by DHCPINFORM or ACSCP.
    pub domain: Option<Domain>,
    /// Where the tunnel leads for clients that do not send everything into it; told to those that
    /// ask by DHCPINFORM or ACSCP.
    pub routes: Vec<Ipv4Net>,
}

/// IPv6 for the clients.
#[derive(Clone, Debug)]
pub struct Ipv6Config {
    /// Each client gets a prefix of its own out of this one; the first is the server's.
    pub prefix: Ipv6Net,
    /// Length of a client's prefix; autoconfiguration needs 64.
    pub client_prefix_length: u8,
    /// Resolvers, handed out by RDNSS and DHCPv6.
    pub dns: Vec<Ipv6Addr>,
    /// Search domains, handed out by DNSSL and DHCPv6.
    pub search: Vec<Domain>,
    /// Where the tunnel leads. If not empty, the server is no default router, and its
    /// advertisements hold these routes instead (RFC 4191).
    pub routes: Vec<Ipv6Net>,
    /// How the server stands against the client's other routers.
    pub preference: Preference,
    /// Prefixes for routers behind clients, if there are any.
    pub delegate: Option<Delegate>,
    /// The prefix is a /64 that clients share with the hosts of the server's uplink, and each of
    /// their addresses is claimed one by one. This one in it, or at least on the uplink, is the
    /// server's own.
    pub shared: Option<Ipv6Addr>,
    /// Whether everything that a client sends is refused at once: it gets an address and a
    /// default route, so that nothing of it leaves by another way, and goes nowhere.
    pub blocked: bool,
}

/// Prefixes that clients may ask for by DHCPv6 (IA_PD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegate {
    /// They are cut out of this one, which overlaps no other.
    pub prefix: Ipv6Net,
    /// Their length.
    pub length: u8,
}

/// How much peers can make the server hold. What goes past a limit is refused and counted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Phase 1 exchanges that are not authenticated yet; the oldest is dropped for a new one. Above half
    /// of them main modes are kept from the third message on. As many tunnels without IPsec may be half
    /// open.
    pub half_open: usize,
    /// The same from one source network: a /24 of IPv4, a /48 of IPv6. More are refused, so that
    /// one network cannot push out the exchanges of others.
    pub half_open_per_network: usize,
    /// Diffie-Hellman computations that wait or run; new exchanges are refused meanwhile.
    pub pending_jobs: usize,
    /// Authenticated peers.
    pub peers: usize,
    /// SAs of one peer in each direction; the oldest is dropped for a new one.
    pub sas_per_peer: usize,
    /// L2TP tunnels of one peer.
    pub tunnels_per_peer: usize,
    /// Peers that come without IPsec, each an address and port.
    pub plain_peers: usize,
    /// PPP sessions in total.
    pub sessions: usize,
    /// Devices that get the addresses again that they had last; the longest unused is forgotten for
    /// a new one.
    pub leases: usize,
    /// Failed logins of one user from one source network that are looked at in
    /// [`login_recovery`](Self::login_recovery); further ones are refused unseen.
    pub login_failures: usize,
    /// The same of one user from all networks together that the user is not known from.
    pub login_failures_per_user: usize,
    /// The same of all users from one source network.
    pub login_failures_per_network: usize,
    /// How long it takes until all failed logins are forgotten; a part of the time forgets a part
    /// of them.
    pub login_recovery: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open: 1_000,
            half_open_per_network: 200,
            pending_jobs: 500,
            peers: 20_000,
            sas_per_peer: 8,
            tunnels_per_peer: 4,
            plain_peers: 1_000,
            sessions: 20_000,
            leases: 100_000,
            login_failures: 10,
            login_failures_per_user: 50,
            login_failures_per_network: 200,
            login_recovery: Duration::from_secs(600),
        }
    }
}
