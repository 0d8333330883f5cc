//! Vendor IDs: what we say of ourselves, and what a peer's list says of it (RFC 3947 section 3.1,
//! RFC 3706 section 5.1). They are not authenticated, so nothing but compatibility hangs on them.

use crate::nat::NatTVersion;

/// The most vendor IDs that are kept, and the most bytes of each.
const MAX_KEPT: usize = 20;
const MAX_LEN: usize = 64;

const DPD: [u8; 16] = id(0xafcad713_68a1f1c9_6b8696fc_77570100);
/// MD5 of "adit".
const ADIT: [u8; 16] = id(0x486b6c6b_267bc616_77367eb6_b6458764);
const MS_NT5: [u8; 16] = id(0x1e2b5169_05991c7d_7c96fcbf_b587e461);
const APPLE_NAT_T: [u8; 16] = id(0x4df37928_e9fc4fd1_b3262170_d515c662);
const NAT_T_00: [u8; 16] = id(0x4485152d_18b6bbcd_0be8a846_9579ddcc);
const FRAGMENTATION: [u8; 16] = id(0x4048b7d5_6ebce885_25e7de7f_00d6c2d3);
/// The same with the capability of main mode behind it, as racoon and strongSwan say it.
const FRAGMENTATION_MAIN: [u8; 20] = [
    0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2, 0xd3,
    0x80, 0, 0, 0,
];
const STRONGSWAN: [u8; 16] = id(0x882fe56d_6fd20dbc_2251613b_2ebe5beb);
const XAUTH: [u8; 8] = 0x0900_2689_dfd6_b712_u64.to_be_bytes();
/// Openswan and libreswan begin theirs so.
const SWAN_PREFIX: &[u8] = b"OE";

const fn id(number: u128) -> [u8; 16] {
    number.to_be_bytes()
}

/// What kind of system the peer is, going by its vendor IDs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientKind {
    /// Windows.
    Windows,
    /// macOS or iOS.
    Apple,
    /// Android up to 11.
    Android,
    /// strongSwan, Openswan or libreswan: Linux and ChromeOS.
    Linux,
    /// adit itself.
    Adit,
    /// None of these.
    #[default]
    Unknown,
}

impl std::fmt::Display for ClientKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Windows => "windows",
            Self::Apple => "apple",
            Self::Android => "android",
            Self::Linux => "linux",
            Self::Adit => "adit",
            Self::Unknown => "unknown",
        })
    }
}

/// What a peer's vendor IDs say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The first few, as they arrived.
    pub(crate) ids: Vec<Vec<u8>>,
    /// The best dialect of NAT traversal among them.
    pub(crate) nat_t: Option<NatTVersion>,
    /// Whether the peer answers dead peer detection.
    pub(crate) dpd: bool,
    /// That the peer takes fragments, in the form that it says so.
    pub(crate) fragments: Option<&'static [u8]>,
    /// What the peer is.
    pub(crate) client: ClientKind,
}

impl Seen {
    pub(crate) fn read<'a>(ids: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut seen = Self::default();
        let mut racoon = false;
        let (mut android, mut linux, mut apple) = (false, false, false);
        for vendor in ids {
            if seen.ids.len() < MAX_KEPT {
                seen.ids
                    .push(vendor.iter().copied().take(MAX_LEN).collect());
            }
            // A smaller version is a better one; `None` is none.
            let version = NatTVersion::from_vendor_id(vendor);
            seen.nat_t = [seen.nat_t, version].into_iter().flatten().min();
            seen.dpd |= vendor == DPD;
            if vendor == FRAGMENTATION {
                seen.fragments = Some(&FRAGMENTATION);
            } else if vendor.starts_with(&FRAGMENTATION) {
                seen.fragments = Some(&FRAGMENTATION_MAIN);
            }
            match vendor {
                _ if vendor.starts_with(&MS_NT5) => seen.client = ClientKind::Windows,
                _ if vendor == ADIT => seen.client = ClientKind::Adit,
                _ if vendor == APPLE_NAT_T => apple = true,
                _ if vendor == STRONGSWAN || vendor == XAUTH => linux = true,
                _ if vendor.starts_with(SWAN_PREFIX) => linux = true,
                _ if vendor == NAT_T_00 => android = true,
                _ if vendor.starts_with(&FRAGMENTATION) => racoon = vendor.len() == 20,
                _ => {}
            }
        }
        if seen.client == ClientKind::Unknown {
            seen.client = if apple {
                ClientKind::Apple
            } else if linux {
                ClientKind::Linux
            } else if android && racoon {
                ClientKind::Android
            } else {
                ClientKind::Unknown
            };
        }
        seen
    }
}

/// The vendor IDs that an initiator sends.
pub(crate) fn of_initiator(nat_t: bool) -> Vec<&'static [u8]> {
    let mut ids: Vec<&[u8]> = Vec::new();
    if nat_t {
        ids.extend(NatTVersion::ALL.iter().map(|version| version.vendor_id()));
    }
    ids.extend([&FRAGMENTATION_MAIN[..], &DPD, &ADIT]);
    ids
}

/// The vendor IDs that a responder sends: the one dialect of NAT traversal that it chose, and
/// fragmentation in the form that the initiator knows.
pub(crate) fn of_responder(seen: &Seen) -> Vec<&'static [u8]> {
    let mut ids: Vec<&[u8]> = Vec::new();
    ids.extend(seen.nat_t.map(NatTVersion::vendor_id));
    ids.extend(seen.fragments);
    ids.extend([&DPD[..], &ADIT]);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(ids: &[&str]) -> ClientKind {
        let ids: Vec<_> = ids.iter().map(|id| hex::decode(id).unwrap()).collect();
        Seen::read(ids.iter().map(Vec::as_slice)).client
    }

    #[test]
    fn clients_are_told_apart() {
        const RFC: &str = "4a131c81070358455c5728f20e95452f";
        const FRAGMENTS: &str = "4048b7d56ebce88525e7de7f00d6c2d380000000";
        let windows = "1e2b516905991c7d7c96fcbfb587e46100000009";
        assert_eq!(client(&[windows, RFC]), ClientKind::Windows);
        let apple = "4df37928e9fc4fd1b3262170d515c662";
        assert_eq!(client(&[RFC, apple, FRAGMENTS]), ClientKind::Apple);
        let android = "4485152d18b6bbcd0be8a8469579ddcc";
        assert_eq!(client(&[RFC, android, FRAGMENTS]), ClientKind::Android);
        assert_eq!(client(&["09002689dfd6b712", RFC]), ClientKind::Linux);
        assert_eq!(client(&["4f4568794c64414365636661"]), ClientKind::Linux);
        assert_eq!(client(&[RFC]), ClientKind::Unknown);
        let ours = of_initiator(true);
        assert_eq!(Seen::read(ours.into_iter()).client, ClientKind::Adit);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = vec![7; 4000];
        let seen = Seen::read(std::iter::repeat_n(long.as_slice(), 40));
        assert_eq!(seen.ids.len(), MAX_KEPT);
        assert!(seen.ids.iter().all(|id| id.len() == MAX_LEN));
    }

    #[test]
    fn the_best_dialect_wins_in_any_order() {
        let all = || NatTVersion::ALL.iter().map(|version| version.vendor_id());
        assert_eq!(Seen::read(all()).nat_t, Some(NatTVersion::Rfc3947));
        let reversed = all().rev().take(3);
        assert_eq!(Seen::read(reversed).nat_t, Some(NatTVersion::Draft03));
        assert_eq!(Seen::read(std::iter::empty()).nat_t, None);
    }
}
