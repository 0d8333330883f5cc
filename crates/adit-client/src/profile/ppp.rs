//! How the PPP implementations of the clients word their requests.

use adit_ppp::{Identification, Identifiers, IpcpOption, LcpOption, Manner};

/// Windows: asks for callback, names itself three times, begins with IPv6CP, tries MPPE.
pub(super) const WINDOWS: Manner = Manner {
    lcp: &[
        LcpOption::Mru,
        LcpOption::Magic,
        LcpOption::Pfc,
        LcpOption::Acfc,
        LcpOption::Callback(6),
    ],
    identifications: &[
        Identification::Text("MSRASV5.20"),
        Identification::Text("MSRAS-0-DESKTOP"),
        Identification::Random16,
    ],
    ipcp: &[
        IpcpOption::Address,
        IpcpOption::Dns1,
        IpcpOption::Nbns1,
        IpcpOption::Dns2,
        IpcpOption::Nbns2,
    ],
    ipv6cp_first: true,
    ccp: Some(&[0x12, 6, 1, 0, 0, 0]),
    identifiers: Identifiers::Shared(0),
};

/// What every pppd does.
pub(super) const PPPD: Manner = Manner {
    lcp: &[
        LcpOption::Mru,
        LcpOption::Accm(0),
        LcpOption::Magic,
        LcpOption::Pfc,
        LcpOption::Acfc,
    ],
    identifiers: Identifiers::Each(1),
    ..Manner::OWN
};

/// A pppd that tries its two compressions: deflate under both its numbers, then BSD.
pub(super) const COMPRESSING_PPPD: Manner = Manner {
    ccp: Some(&[26, 4, 0x78, 0, 24, 4, 0x78, 0, 21, 3, 0x2f]),
    ..PPPD
};

/// RouterOS: no compression of headers, and MPPE, without which it lives too.
pub(super) const ROUTEROS: Manner = Manner {
    lcp: &[LcpOption::Mru, LcpOption::Magic],
    ccp: Some(&[0x12, 6, 1, 0, 0, 0x40]),
    identifiers: Identifiers::Each(1),
    ..Manner::OWN
};
