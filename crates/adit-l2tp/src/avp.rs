//! Attribute Value Pairs (RFC 2661 4.1): cutting a message into them and writing them. It never
//! decides what an AVP means to a tunnel, nor opens a hidden one.

use adit_wire::{Reader, Writer};

const MANDATORY: u16 = 0x8000;
const HIDDEN: u16 = 0x4000;
const RESERVED: u16 = 0x3c00;
const LENGTH_MASK: u16 = 0x03ff;
const HEADER_LEN: usize = 6;
/// The longest value that the 10-bit length leaves room for.
pub(crate) const MAX_VALUE_LEN: usize = LENGTH_MASK as usize - HEADER_LEN;

/// Why a message cannot be cut into AVPs, or a value not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AvpError {
    /// Fewer bytes are left than an AVP header has.
    #[error("{0} bytes left where an AVP should start")]
    Truncated(usize),
    /// The length does not even cover the AVP's own header.
    #[error("an AVP length of {0}, below its header of 6")]
    LengthBelowHeader(usize),
    /// The length reaches past the message.
    #[error("an AVP length of {length} with {left} bytes left in the message")]
    LengthPastMessage {
        /// What the field says.
        length: usize,
        /// Bytes from the AVP's start to the end of the message.
        left: usize,
    },
    /// A known attribute whose value has a length it cannot have.
    #[error("attribute {attribute} with a value of {actual} bytes instead of {expected}")]
    ValueLength {
        /// The attribute type.
        attribute: u16,
        /// Bytes that its value has by RFC 2661.
        expected: usize,
        /// Bytes that arrived.
        actual: usize,
    },
    /// A known attribute whose value is not allowed.
    #[error("attribute {attribute} with the value {value}")]
    Value {
        /// The attribute type.
        attribute: u16,
        /// Its value.
        value: u32,
    },
    /// A hidden value says that it is longer than what hides it (section 4.3). Where the length is
    /// one that no value has, the secrets of the two ends differ.
    #[error(
        "hidden attribute {attribute} of {length} bytes in a body of {body}: is the secret the same at both ends?"
    )]
    HiddenLength {
        /// The attribute type.
        attribute: u16,
        /// The deciphered length; 0 if there is not even room for one.
        length: usize,
        /// Bytes of the AVP's body.
        body: usize,
    },
    /// A hidden AVP with no Random Vector before it.
    #[error("hidden attribute {0} without a Random Vector before it")]
    NoRandomVector(u16),
}

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// The attribute types of RFC 2661 4.4 (vendor ID 0).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Attribute {
            $($(#[$doc])* #[doc = $text] $name = $value,)*
        }

        impl Attribute {
            /// The attribute with this type number.
            pub fn from_wire(kind: u16) -> Option<Self> {
                match kind {
                    $($value => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The name RFC 2661 gives it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

attributes! {
    MessageType = 0, "Message Type";
    ResultCode = 1, "Result Code";
    ProtocolVersion = 2, "Protocol Version";
    FramingCapabilities = 3, "Framing Capabilities";
    BearerCapabilities = 4, "Bearer Capabilities";
    TieBreaker = 5, "Tie Breaker";
    FirmwareRevision = 6, "Firmware Revision";
    HostName = 7, "Host Name";
    VendorName = 8, "Vendor Name";
    AssignedTunnelId = 9, "Assigned Tunnel ID";
    ReceiveWindowSize = 10, "Receive Window Size";
    Challenge = 11, "Challenge";
    CauseCode = 12, "Q.931 Cause Code";
    ChallengeResponse = 13, "Challenge Response";
    AssignedSessionId = 14, "Assigned Session ID";
    CallSerialNumber = 15, "Call Serial Number";
    MinimumBps = 16, "Minimum BPS";
    MaximumBps = 17, "Maximum BPS";
    BearerType = 18, "Bearer Type";
    FramingType = 19, "Framing Type";
    CalledNumber = 21, "Called Number";
    CallingNumber = 22, "Calling Number";
    SubAddress = 23, "Sub-Address";
    TxConnectSpeed = 24, "(Tx) Connect Speed";
    PhysicalChannelId = 25, "Physical Channel ID";
    InitialReceivedConfReq = 26, "Initial Received LCP CONFREQ";
    LastSentConfReq = 27, "Last Sent LCP CONFREQ";
    LastReceivedConfReq = 28, "Last Received LCP CONFREQ";
    ProxyAuthenType = 29, "Proxy Authen Type";
    ProxyAuthenName = 30, "Proxy Authen Name";
    ProxyAuthenChallenge = 31, "Proxy Authen Challenge";
    ProxyAuthenId = 32, "Proxy Authen ID";
    ProxyAuthenResponse = 33, "Proxy Authen Response";
    CallErrors = 34, "Call Errors";
    Accm = 35, "ACCM";
    RandomVector = 36, "Random Vector";
    PrivateGroupId = 37, "Private Group ID";
    RxConnectSpeed = 38, "Rx Connect Speed";
    SequencingRequired = 39, "Sequencing Required";
}

impl Attribute {
    /// Whether RFC 2661 4.4 lets it be hidden. What is needed to read the rest of a message may
    /// not, nor what must be read without the secret.
    pub const fn may_be_hidden(self) -> bool {
        !matches!(
            self,
            Self::MessageType
                | Self::ResultCode
                | Self::ProtocolVersion
                | Self::TieBreaker
                | Self::HostName
                | Self::ReceiveWindowSize
                | Self::CauseCode
                | Self::RandomVector
                | Self::SequencingRequired
        )
    }
}

/// One AVP as it stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avp<'a> {
    /// The M bit: who does not know this attribute must give up the session or tunnel.
    pub mandatory: bool,
    /// The H bit: the value is hidden with a shared secret (section 4.3).
    pub hidden: bool,
    /// Whether a reserved bit is set, which makes the AVP an unrecognized one (section 4.1).
    pub reserved: bool,
    /// The vendor who numbered the attribute; 0 is RFC 2661 itself.
    pub vendor: u16,
    /// The attribute type, in that vendor's numbering.
    pub kind: u16,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Avp<'a> {
    /// An AVP of RFC 2661 that is not hidden.
    pub(crate) fn plain(mandatory: bool, attribute: Attribute, value: &'a [u8]) -> Self {
        Self {
            mandatory,
            hidden: false,
            reserved: false,
            vendor: 0,
            kind: attribute as u16,
            value,
        }
    }

    /// Whether this is readable and that attribute of RFC 2661, and no vendor's of equal number.
    pub fn is(&self, attribute: Attribute) -> bool {
        self.vendor == 0 && self.kind == attribute as u16 && !self.hidden && !self.reserved
    }

    /// The value as a 16-bit number.
    pub fn u16(&self) -> Result<u16, AvpError> {
        self.array().map(u16::from_be_bytes)
    }

    /// The value as a 32-bit number.
    pub fn u32(&self) -> Result<u32, AvpError> {
        self.array().map(u32::from_be_bytes)
    }

    /// The value as exactly `N` bytes.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], AvpError> {
        self.value.try_into().map_err(|_| self.not_of_length(N))
    }

    /// That the value should have had `expected` bytes.
    pub(crate) fn not_of_length(&self, expected: usize) -> AvpError {
        AvpError::ValueLength {
            attribute: self.kind,
            expected,
            actual: self.value.len(),
        }
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, AvpError> {
        let left = reader.left();
        let truncated = |_| AvpError::Truncated(left);
        let head = reader.u16().map_err(truncated)?;
        let vendor = reader.u16().map_err(truncated)?;
        let kind = reader.u16().map_err(truncated)?;
        let length = usize::from(head & LENGTH_MASK);
        let value = length
            .checked_sub(HEADER_LEN)
            .ok_or(AvpError::LengthBelowHeader(length))?;
        let value = reader
            .bytes(value)
            .map_err(|_| AvpError::LengthPastMessage { length, left })?;
        Ok(Self {
            mandatory: head & MANDATORY != 0,
            hidden: head & HIDDEN != 0,
            reserved: head & RESERVED != 0,
            vendor,
            kind,
            value,
        })
    }
}

/// The AVPs of a message, in order. It ends after the first error, since nothing tells where the
/// next AVP would start.
#[derive(Clone, Debug)]
pub struct Avps<'a> {
    reader: Reader<'a>,
}

impl<'a> Avps<'a> {
    /// Starts at the first AVP of a control message's body.
    pub fn new(body: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(body),
        }
    }
}

impl<'a> Iterator for Avps<'a> {
    type Item = Result<Avp<'a>, AvpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let avp = Avp::read(&mut self.reader);
        if avp.is_err() {
            self.reader.rest();
        }
        Some(avp)
    }
}

/// Appends an AVP without reserved bits. A value that does not fit the length field is cut.
pub(crate) fn write(writer: &mut Writer, avp: &Avp<'_>) {
    let value = avp.value.get(..MAX_VALUE_LEN).unwrap_or(avp.value);
    // cast: at most 1,023 by the line above
    let length = (HEADER_LEN + value.len()) as u16;
    let mandatory = if avp.mandatory { MANDATORY } else { 0 };
    let hidden = if avp.hidden { HIDDEN } else { 0 };
    writer
        .u16(mandatory | hidden | length)
        .u16(avp.vendor)
        .u16(avp.kind)
        .bytes(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(body: &[u8]) -> Result<Avp<'_>, AvpError> {
        let mut avps = Avps::new(body);
        let first = avps.next().unwrap();
        if first.is_err() {
            assert_eq!(avps.next(), None);
        }
        first
    }

    #[test]
    fn flags_vendor_and_value_are_told_apart() {
        let avp = only(&[0x80, 8, 0, 0, 0, 9, 0x12, 0x34]).unwrap();
        assert!(avp.mandatory && !avp.hidden && !avp.reserved);
        assert!(avp.is(Attribute::AssignedTunnelId));
        assert_eq!(avp.u16(), Ok(0x1234));

        let vendor = only(&[0, 7, 1, 0x37, 0, 1, 0xaa]).unwrap();
        assert_eq!((vendor.vendor, vendor.kind), (311, 1));
        assert!(!vendor.is(Attribute::ResultCode));

        assert!(only(&[0xc0, 6, 0, 0, 0, 7]).unwrap().hidden);
        for bit in [0x04, 0x08, 0x10, 0x20] {
            let body = [0x80 | bit, 6, 0, 0, 0, 7];
            let avp = only(&body).unwrap();
            assert!(avp.reserved && !avp.is(Attribute::HostName));
        }
    }

    #[test]
    fn lengths_below_the_header_and_past_the_message_end_the_list() {
        for length in 0..6 {
            let body = [0x80, length, 0, 0, 0, 9, 0, 1, 0x80, 6, 0, 0, 0, 7];
            assert_eq!(
                only(&body),
                Err(AvpError::LengthBelowHeader(usize::from(length)))
            );
        }
        assert_eq!(
            only(&[0x83, 0xff, 0, 0, 0, 22, 1]),
            Err(AvpError::LengthPastMessage {
                length: 1023,
                left: 7
            })
        );
        assert_eq!(only(&[0x80, 8, 0, 0, 0]), Err(AvpError::Truncated(5)));
    }

    #[test]
    fn what_is_written_is_read_and_long_values_are_cut() {
        let mut writer = Writer::new();
        write(
            &mut writer,
            &Avp::plain(false, Attribute::VendorName, b"adit"),
        );
        write(
            &mut writer,
            &Avp::plain(true, Attribute::HostName, &[b'x'; 2000]),
        );
        let bytes = writer.into_vec();
        assert_eq!(bytes[..10], [0, 10, 0, 0, 0, 8, b'a', b'd', b'i', b't']);
        let avps: Vec<_> = Avps::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(avps.len(), 2);
        assert_eq!(avps[1].value.len(), 1017);
        assert!(avps[1].mandatory && !avps[1].reserved);
    }

    #[test]
    fn every_attribute_number_maps_back() {
        let known = (0..=u16::MAX).filter(|kind| {
            Attribute::from_wire(*kind).is_some_and(|attribute| attribute as u16 == *kind)
        });
        // RFC 2661 4.4 defines 0 to 39 without 20.
        assert_eq!(known.count(), 39);
        assert_eq!(Attribute::from_wire(20), None);
    }
}
