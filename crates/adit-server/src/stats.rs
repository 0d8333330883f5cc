//! What the server counts. Every packet that is not served is in exactly one of these.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the start; plain numbers that the owner exports.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Names and values, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Adds what somebody else counted.
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// NAT-T keepalives received (RFC 3948 2.3).
    keepalives,
    /// Datagrams too short to be anything.
    runts,
    /// IKE messages received.
    ike_messages,
    /// IKE messages whose header is malformed.
    ike_malformed,
    /// IKE messages for cookies that nobody holds.
    ike_unknown_cookie,
    /// IKE messages that an SA refused: malformed, out of order, not authentic.
    ike_refused,
    /// Fragments of IKE messages that were malformed, or contradicted others.
    ike_bad_fragments,
    /// First messages that were refused: no proposal chosen and the like.
    ike_exchanges_refused,
    /// First messages refused because their source network has too many half-open exchanges.
    ike_network_full,
    /// First messages refused because too many Diffie-Hellman computations wait.
    ike_busy,
    /// First messages, in a flood of them, that were answered without keeping anything of them.
    ike_unkept,
    /// First messages, in a flood of them, that were not answered.
    ike_unanswered,
    /// Half-open exchanges dropped for newer ones.
    ike_half_open_dropped,
    /// Phase 1 exchanges that ran out of time.
    ike_half_open_expired,
    /// Phase 1 exchanges whose peer could not prove the key.
    ike_authentication_failed,
    /// Phase 1 exchanges completed.
    ike_established,
    /// Phase 1 exchanges that we started, to replace IKE SAs that their clients did not replace.
    ike_rekeys_started,
    /// Of these, those that came to nothing.
    ike_rekeys_failed,
    /// Quick Modes completed.
    child_established,
    /// Quick Modes that we started, to replace SAs.
    child_rekeys_started,
    /// Quick Modes that failed.
    child_failed,
    /// Peers given up by dead peer detection.
    peers_dead,
    /// Peers refused because the limit is reached.
    peers_refused,
    /// ESP packets with an SPI that nobody holds.
    esp_unknown_spi,
    /// ESP packets seen before, or too old for the replay window.
    esp_replayed,
    /// ESP packets that failed authentication.
    esp_bad_icv,
    /// ESP SAs whose peer turned out to cut HMAC-SHA2-256 at 96 bits.
    esp_icv_cut,
    /// ESP packets malformed in other ways.
    esp_malformed,
    /// ESP packets on an SA past its lifetime.
    esp_expired,
    /// Authentic ESP packets that hold something other than UDP to port 1701.
    esp_foreign,
    /// Clients whose ESP never came as IP protocol 50 though their IKE worked.
    esp_native_blocked,
    /// Times a peer's address or port moved after an authentic packet.
    endpoint_moved,
    /// Datagrams without IPsec from where none are taken.
    plain_foreign,
    /// Tunnels without IPsec that were established.
    plain_established,
    /// Peers without IPsec that were refused because a limit is reached.
    plain_refused,
    /// Half-open tunnels without IPsec that were dropped for newer ones.
    plain_half_open_dropped,
    /// Tunnels that failed because the secrets of the two ends differ, or one has none.
    l2tp_unauthenticated,
    /// L2TP messages that could not be decoded.
    l2tp_malformed,
    /// L2TP messages for a tunnel or session that is not there, or is another peer's.
    l2tp_unknown,
    /// L2TP data messages that came after later ones of their session, which has sequence numbers.
    l2tp_late,
    /// L2TP control messages that a tunnel refused.
    l2tp_refused,
    /// Tunnels refused because a limit is reached.
    tunnels_refused,
    /// Sessions refused because a limit is reached.
    sessions_refused,
    /// PPP frames that could not be decoded.
    ppp_malformed,
    /// LCP Echo-Requests and Echo-Replies of open links.
    lcp_echoes,
    /// PPP control frames that a link refused.
    ppp_refused,
    /// IP packets in sessions whose network protocol is not open.
    ip_not_open,
    /// IP packets that are malformed.
    ip_malformed,
    /// IP packets from an address that is not the session's own.
    ip_spoofed,
    /// IPv6 packets from an address of the shared prefix that the session does not hold, or not yet.
    ip_unclaimed,
    /// Addresses of the shared prefix that were granted to sessions.
    addresses_claimed,
    /// Addresses of it that sessions wanted and somebody else has.
    addresses_taken,
    /// Addresses of it that sessions wanted and could not have: reserved ones, or too many.
    addresses_refused,
    /// IP packets from one client to another or to an address of theirs that nobody has, wherever
    /// they came from.
    ip_between_clients,
    /// IP packets that a policy drops, or whose transport header it cannot see.
    policy_dropped,
    /// IP packets that a policy rejects.
    policy_rejected,
    /// IP packets that are more than the rate of their user or of a rule.
    rate_exceeded,
    /// ICMP redirects to clients, which have no other way to go.
    redirects_dropped,
    /// IPv6 packets from clients that were refused because IPv6 is blocked.
    ipv6_blocked,
    /// Packets for the link itself (ND, DHCP) that were refused.
    link_refused,
    /// Packets for the link itself that were answered or taken.
    link_consumed,
    /// DHCPINFORM answered.
    dhcp4_answers,
    /// Other messages of DHCP over IPv4, none of which is served.
    dhcp4_ignored,
    /// IP packets carried from clients.
    ip_in,
    /// IP packets carried to clients.
    ip_out,
    /// SYNs whose MSS was lowered, both directions.
    mss_clamped,
    /// Packets from TUN with no session for their destination.
    no_route,
    /// IPv4 packets from TUN that were cut to fit the session's link.
    cut,
    /// Packets from TUN larger than the session's link that must not be cut.
    too_big,
    /// IPv6 packets from TUN of up to 1280 bytes on a path too narrow for them, to be cut outside.
    cut_outside,
    /// Paths that turned out to be narrower than they were believed to be.
    path_mtu_lowered,
    /// Paths that are believed to be as wide as others again, after ten minutes.
    path_mtu_raised,
    /// Errors about packets too big for their path to where nothing is sent.
    path_mtu_unknown,
    /// Such errors that quote something that was not sent there.
    path_mtu_foreign,
    /// Such errors that tell of a path narrower than any is.
    path_mtu_absurd,
    /// Such errors past the number that is looked into per second.
    path_mtu_ignored,
    /// Packets that could not be sent because no SA is usable.
    no_sa,
    /// Authentication attempts that were accepted.
    auth_accepted,
    /// Authentication attempts that were rejected.
    auth_rejected,
    /// Authentication attempts that were refused unseen after too many failed ones.
    auth_throttled,
    /// Users who proved who they are and have their number of sessions already.
    users_full,
    /// Sessions that made way for a new one of the same device.
    sessions_superseded,
    /// Sessions that ended because their user's time was over or rights were taken away.
    sessions_revoked,
    /// Sessions that could get no address because a pool is exhausted.
    pool_exhausted,
}

/// How many of each thing there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
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
    /// Prefixes leased for delegation.
    pub delegated: usize,
    /// Devices that get the addresses again that they had last.
    pub remembered: usize,
    /// Routes to sessions, both families.
    pub routes: usize,
}
