//! How a client words what it offers, as data. A manner decides nothing about what is accepted.

/// An LCP option that a client asks for (RFC 1661 6, RFC 1662 7.1, RFC 1570 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LcpOption {
    /// Maximum-Receive-Unit with the configured value; left out where that is 1500.
    Mru,
    /// Async-Control-Character-Map.
    Accm(u32),
    /// Magic-Number.
    Magic,
    /// Protocol-Field-Compression.
    Pfc,
    /// Address-and-Control-Field-Compression.
    Acfc,
    /// Callback with this operation; Windows asks for 6 (CBCP) and takes a Configure-Reject.
    Callback(u8),
}

/// An IPCP option that a client asks for (RFC 1332 3, RFC 1877).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpcpOption {
    /// IP-Address.
    Address,
    /// Primary and secondary DNS server; left out where resolvers are not wanted.
    Dns1,
    /// See [`Dns1`](Self::Dns1).
    Dns2,
    /// Primary and secondary NBNS server.
    Nbns1,
    /// See [`Nbns1`](Self::Nbns1).
    Nbns2,
}

/// The message of an Identification packet (RFC 1570 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identification {
    /// Text.
    Text(&'static str),
    /// 16 random bytes, which Windows sends as a correlation ID.
    Random16,
}

/// Where the identifiers of a client's packets begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identifiers {
    /// Each protocol at a number of its own, drawn at random.
    Random,
    /// Each protocol at this one.
    Each(u8),
    /// All protocols count together, from this one on.
    Shared(u8),
}

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Options of LCP, in order.
    pub lcp: &'static [LcpOption],
    /// Identification packets that go out when LCP has opened, in order.
    pub identifications: &'static [Identification],
    /// Options of IPCP, in order.
    pub ipcp: &'static [IpcpOption],
    /// IPv6CP begins before IPCP.
    pub ipv6cp_first: bool,
    /// Options of a CCP Configure-Request, as bytes, for clients that try it; nothing is ever
    /// compressed.
    pub ccp: Option<&'static [u8]>,
    /// Identifiers.
    pub identifiers: Identifiers,
}

impl Manner {
    /// adit's own.
    pub const OWN: Self = Self {
        lcp: &[
            LcpOption::Mru,
            LcpOption::Magic,
            LcpOption::Pfc,
            LcpOption::Acfc,
        ],
        identifications: &[],
        ipcp: &[IpcpOption::Address, IpcpOption::Dns1, IpcpOption::Dns2],
        ipv6cp_first: false,
        ccp: None,
        identifiers: Identifiers::Random,
    };
}
