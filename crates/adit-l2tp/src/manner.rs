//! The manner of a LAC: how it words what it says, so that it can speak as other implementations
//! do. The protocol is the same in every manner (RFC 2661); none of this decides what is accepted.
//! An LNS has one manner, that of [`Manner::OWN`], because every client takes it.

/// An AVP of a message that a LAC starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// What it says.
    pub item: Item,
    /// Its M bit.
    pub mandatory: bool,
}

/// What an AVP says. Values that a configuration or the tunnel has are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// Protocol Version 1.0.
    ProtocolVersion,
    /// Framing Capabilities.
    FramingCapabilities(u32),
    /// Bearer Capabilities.
    BearerCapabilities(u32),
    /// Firmware Revision.
    FirmwareRevision(u16),
    /// Host Name.
    HostName,
    /// Vendor Name, unless it is empty.
    VendorName,
    /// Assigned Tunnel ID.
    AssignedTunnelId,
    /// Receive Window Size.
    ReceiveWindowSize,
    /// Assigned Session ID.
    AssignedSessionId,
    /// Call Serial Number.
    CallSerialNumber,
    /// Bearer Type.
    BearerType(u32),
    /// (Tx) Connect Speed, in bits per second.
    TxConnectSpeed(u32),
    /// Rx Connect Speed, likewise.
    RxConnectSpeed(u32),
    /// Framing Type.
    FramingType(u32),
    /// Proxy Authen Type.
    ProxyAuthenType(u16),
    /// A vendor's AVP with 16 random bytes, as Windows' correlation ID.
    VendorNonce {
        /// The vendor.
        vendor: u16,
        /// The vendor's attribute type.
        kind: u16,
    },
}

/// `item` with its M bit.
pub const fn must(item: Item) -> Said {
    Said {
        item,
        mandatory: true,
    }
}

/// `item` without its M bit.
pub const fn may(item: Item) -> Said {
    Said {
        item,
        mandatory: false,
    }
}

/// How a Result Code AVP is written (RFC 2661 4.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultFormat {
    /// Result, error and text.
    Text,
    /// Result and error: 10 bytes of AVP.
    Codes,
    /// The result alone: 8 bytes of AVP.
    ResultOnly,
    /// As Apple's pppd: the result little-endian, then six stale bytes.
    Swapped,
}

/// When a LAC sends ICRQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallAfter {
    /// Right behind SCCCN.
    Scccn,
    /// When SCCCN has been acknowledged.
    Acknowledgement,
}

/// How a LAC speaks. The default is adit's own manner. The Message Type comes first in every
/// message; what the configuration adds (Tie Breaker, Challenge, Challenge Response, Sequencing
/// Required) comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// AVPs of SCCRQ in order.
    pub sccrq: &'static [Said],
    /// AVPs of ICRQ in order.
    pub icrq: &'static [Said],
    /// AVPs of ICCN in order.
    pub iccn: &'static [Said],
    /// When ICRQ is sent.
    pub call_after: CallAfter,
    /// Call Serial Number of the first call; `None`: random.
    pub first_serial: Option<u32>,
    /// Bytes of a Challenge.
    pub challenge_len: u8,
    /// How results are written.
    pub results: ResultFormat,
    /// Whether the sessions are closed with CDN before the tunnel with StopCCN.
    pub cdn_before_stop: bool,
    /// Whether data messages without a sequence number have a length.
    pub data_length: bool,
}

impl Manner {
    /// adit's own manner.
    pub const OWN: Self = Self {
        // No Bearer Capabilities: that says no outgoing calls.
        sccrq: &[
            must(Item::ProtocolVersion),
            must(Item::FramingCapabilities(SYNCHRONOUS | ASYNCHRONOUS)),
            must(Item::HostName),
            may(Item::VendorName),
            must(Item::AssignedTunnelId),
            must(Item::ReceiveWindowSize),
        ],
        icrq: &[must(Item::AssignedSessionId), must(Item::CallSerialNumber)],
        // Some peers make a slow link of a low speed.
        iccn: &[
            must(Item::TxConnectSpeed(1_000_000_000)),
            must(Item::FramingType(SYNCHRONOUS)),
        ],
        call_after: CallAfter::Scccn,
        first_serial: None,
        challenge_len: 16,
        results: ResultFormat::Text,
        cdn_before_stop: false,
        data_length: true,
    };

    /// Whether its ICRQ has random bytes.
    pub(crate) fn has_nonce(&self) -> bool {
        let mut said = self.icrq.iter();
        said.any(|said| matches!(said.item, Item::VendorNonce { .. }))
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self::OWN
    }
}

/// Synchronous framing. Both bits mean nothing for PPP over IP, and are what peers expect.
pub const SYNCHRONOUS: u32 = 1;
/// Asynchronous framing.
pub const ASYNCHRONOUS: u32 = 2;
