//! What a system uses of the things that it is told on a link.

/// What a host on the link asks for and believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostWants {
    /// Solicits and takes Router Advertisements. Routers that forward as a rule do not.
    pub advertisements: bool,
    /// Takes resolvers and search domains from Router Advertisements (RFC 8106), beside those of DHCPv6.
    pub rdnss: bool,
    /// Asks for a prefix for the networks behind it (RFC 8415 6.3).
    pub delegation: bool,
}

impl Default for HostWants {
    /// A host that takes everything and delegates nothing on.
    fn default() -> Self {
        Self {
            advertisements: true,
            rdnss: true,
            delegation: false,
        }
    }
}
