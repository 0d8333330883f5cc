//! What a router counts.

use crate::Error;

/// Counters of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterStats {
    /// Router Advertisements made.
    pub advertisements: u64,
    /// Router Solicitations taken.
    pub router_solicitations: u64,
    /// Those of them that were not answered at once.
    pub solicitations_delayed: u64,
    /// Neighbor Solicitations taken.
    pub neighbor_solicitations: u64,
    /// Those of them that were answered.
    pub neighbor_answers: u64,
    /// Addresses that the client was told somebody else has.
    pub defended: u64,
    /// Neighbor Advertisements taken.
    pub neighbor_advertisements: u64,
    /// Router Advertisements and Redirects of a client, which mean nothing here.
    pub client_as_router: u64,
    /// Echo requests answered.
    pub echo_requests: u64,
    /// DHCPv6 messages taken.
    pub dhcp_messages: u64,
    /// Those of them that were answered.
    pub dhcp_answers: u64,
    /// Those of them that wanted nothing that is served here.
    pub dhcp_ignored: u64,
    /// Multicast listener messages.
    pub multicast_listener: u64,
    /// Other packets that stay on the link and mean nothing here, such as multicast DNS.
    pub other: u64,
    /// Packets dropped because of a wrong checksum.
    pub bad_checksum: u64,
    /// Neighbour discovery with a hop limit other than 255.
    pub bad_hop_limit: u64,
    /// Packets dropped because of anything else that is wrong in them.
    pub malformed: u64,
    /// Answers left out because too many were waiting.
    pub not_sent: u64,
}

impl RouterStats {
    pub(super) fn count(&mut self, error: &Error) {
        let counter = match error {
            Error::Checksum => &mut self.bad_checksum,
            Error::HopLimit(_) => &mut self.bad_hop_limit,
            _ => &mut self.malformed,
        };
        *counter += 1;
    }
}
