//! Reading the body of a control message (RFC 2661 4.4 and 6): one pass that takes what the machines
//! use, checks its shape, and notes the first AVP that the message must not be accepted with. It
//! never judges whether the message fits the state of a tunnel.

use crate::avp::{Attribute, Avp, AvpError, Avps};
use crate::call::{Accm, Call, CallErrors};
use crate::error::{Fault, Unrecognized};
use crate::header::{Packet, decode};
use crate::result::Q931Cause;
use crate::secret::{Opened, Opener, Secret};

/// Characters of a peer's text that are kept.
const MAX_TEXT: usize = 255;
/// The largest result code of RFC 2661 (CDN 11); Apple's are swapped and so far above it.
const MAX_RESULT: u16 = 11;

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// The control messages of RFC 2661 3.2.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum MessageType {
            $($(#[$doc])* $name = $value,)*
        }

        impl MessageType {
            /// The message type with this number.
            pub fn from_wire(value: u16) -> Option<Self> {
                match value {
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

message_types! {
    /// Start-Control-Connection-Request.
    Sccrq = 1, "SCCRQ";
    /// Start-Control-Connection-Reply.
    Sccrp = 2, "SCCRP";
    /// Start-Control-Connection-Connected.
    Scccn = 3, "SCCCN";
    /// Stop-Control-Connection-Notification.
    StopCcn = 4, "StopCCN";
    /// Hello.
    Hello = 6, "HELLO";
    /// Outgoing-Call-Request.
    Ocrq = 7, "OCRQ";
    /// Outgoing-Call-Reply.
    Ocrp = 8, "OCRP";
    /// Outgoing-Call-Connected.
    Occn = 9, "OCCN";
    /// Incoming-Call-Request.
    Icrq = 10, "ICRQ";
    /// Incoming-Call-Reply.
    Icrp = 11, "ICRP";
    /// Incoming-Call-Connected.
    Iccn = 12, "ICCN";
    /// Call-Disconnect-Notify.
    Cdn = 14, "CDN";
    /// WAN-Error-Notify.
    Wen = 15, "WEN";
    /// Set-Link-Info.
    Sli = 16, "SLI";
}

impl MessageType {
    /// Whether the message is about one session, so that a fault in it costs only that session
    /// (RFC 2661 4.1).
    pub const fn is_of_session(self) -> bool {
        match self {
            Self::Sccrq | Self::Sccrp | Self::Scccn | Self::StopCcn | Self::Hello => false,
            Self::Ocrq
            | Self::Ocrp
            | Self::Occn
            | Self::Icrq
            | Self::Icrp
            | Self::Iccn
            | Self::Cdn
            | Self::Wen
            | Self::Sli => true,
        }
    }
}

impl std::fmt::Display for MessageType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The value of a Result Code AVP (RFC 2661 4.4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultCode {
    /// The result; 0 if there was none to read.
    pub result: u16,
    /// The general error; 0 if there was none.
    pub error: u16,
    /// The peer's text, made fit to be shown; may be empty.
    pub message: String,
}

impl ResultCode {
    /// Reads a value of any length: the message closes something whatever is in here.
    fn read(value: &[u8]) -> Self {
        let mut words = value.chunks_exact(2).map(|word| match word {
            [high, low] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        });
        let result = words.next().unwrap_or(0);
        let swapped = result.swap_bytes();
        if result > MAX_RESULT && swapped <= MAX_RESULT {
            // Apple's pppd: the result in its host's byte order, then stale memory.
            return Self {
                result: swapped,
                ..Self::default()
            };
        }
        Self {
            result,
            error: words.next().unwrap_or(0),
            message: text(value.get(4..).unwrap_or_default()),
        }
    }
}

/// The body of a control message: what the machines use of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The value of the Message Type AVP, known or not.
    pub message_type: u16,
    /// Whether the Message Type AVP has its M bit: then an unknown type clears the tunnel.
    pub mandatory: bool,
    /// Result Code.
    pub result: Option<ResultCode>,
    /// Q.931 Cause Code.
    pub q931: Option<Q931Cause>,
    /// Protocol Version: version and revision.
    pub protocol_version: Option<(u8, u8)>,
    /// Framing Capabilities.
    pub framing_capabilities: Option<u32>,
    /// Firmware Revision.
    pub firmware: Option<u16>,
    /// Host Name, made fit to be shown.
    pub host_name: Option<String>,
    /// Vendor Name, made fit to be shown.
    pub vendor_name: Option<String>,
    /// Assigned Tunnel ID; never 0.
    pub tunnel_id: Option<u16>,
    /// Receive Window Size; at least 1.
    pub receive_window: Option<u16>,
    /// Tie Breaker.
    pub tie_breaker: Option<[u8; 8]>,
    /// Challenge; never empty.
    pub challenge: Option<Vec<u8>>,
    /// Challenge Response.
    pub challenge_response: Option<[u8; 16]>,
    /// Assigned Session ID; never 0.
    pub session_id: Option<u16>,
    /// Whether there is a Sequencing Required.
    pub sequencing_required: bool,
    /// ACCM.
    pub accm: Option<Accm>,
    /// Call Errors.
    pub call_errors: Option<CallErrors>,
    /// What else is said about a call.
    pub call: Call,
    /// The first thing that forbids to accept the message.
    pub fault: Option<Fault>,
    /// AVPs that were ignored, as they may be: unknown, hidden without a secret to read them, or
    /// malformed, and not mandatory or only about the call.
    pub ignored: u64,
    /// AVPs that were hidden, and read.
    pub hidden: u64,
}

impl Message {
    /// Reads the AVPs of a control message that is not an acknowledgement, hidden ones with
    /// `secret`. Err if there is no usable Message Type at its front; every later fault is in
    /// [`fault`](Self::fault), so that the caller can still see whom the message is about.
    pub fn parse(body: &[u8], secret: Option<&Secret>) -> Result<Self, Fault> {
        let mut avps = Avps::new(body);
        let first = match avps.next() {
            Some(Ok(avp)) if avp.is(Attribute::MessageType) => avp,
            Some(Err(error)) => return Err(error.into()),
            _ => return Err(Fault::NoMessageType),
        };
        let mut message = Self {
            message_type: first.u16()?,
            mandatory: first.mandatory,
            ..Self::default()
        };
        let mut opener = Opener::new(secret);
        for avp in avps {
            let taken = match avp {
                Ok(avp) => message.take_or_ignore(&avp, &mut opener),
                Err(error) => Err(error.into()),
            };
            if let Err(fault) = taken {
                message.fault.get_or_insert(fault);
            }
        }
        Ok(message)
    }

    /// The message type, if it is one of RFC 2661.
    pub fn kind(&self) -> Option<MessageType> {
        MessageType::from_wire(self.message_type)
    }

    /// RFC 2661 4.1 and 7.1: what is unrecognized or malformed counts only with the M bit.
    fn take_or_ignore<'a>(&mut self, avp: &Avp<'a>, opener: &mut Opener<'a>) -> Result<(), Fault> {
        let Err(fault) = self.open_and_take(avp, opener) else {
            return Ok(());
        };
        if avp.mandatory {
            return Err(fault);
        }
        self.ignored += 1;
        Ok(())
    }

    fn open_and_take<'a>(&mut self, avp: &Avp<'a>, opener: &mut Opener<'a>) -> Result<(), Fault> {
        let unrecognized = |why| Fault::Unrecognized {
            vendor: avp.vendor,
            attribute: avp.kind,
            why,
        };
        let attribute = recognize(avp).map_err(unrecognized)?;
        match opener.open(avp)? {
            Opened::Plain => self.take(attribute, avp)?,
            Opened::NoSecret => return Err(unrecognized(Unrecognized::Hidden)),
            Opened::Hidden(value) => {
                self.hidden += 1;
                let value = &value;
                let hidden = false;
                self.take(
                    attribute,
                    &Avp {
                        hidden,
                        value,
                        ..*avp
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Keeps what is used; of an attribute that comes twice, the first.
    fn take(&mut self, attribute: Attribute, avp: &Avp<'_>) -> Result<(), AvpError> {
        match attribute {
            Attribute::ResultCode => {
                keep(&mut self.result, ResultCode::read(avp.value));
            }
            Attribute::CauseCode => keep(&mut self.q931, Q931Cause::read(avp)?),
            Attribute::ProtocolVersion => {
                let [version, revision] = avp.array()?;
                keep(&mut self.protocol_version, (version, revision));
            }
            Attribute::FramingCapabilities => keep(&mut self.framing_capabilities, avp.u32()?),
            Attribute::FirmwareRevision => keep(&mut self.firmware, avp.u16()?),
            Attribute::HostName => keep(&mut self.host_name, text(avp.value)),
            Attribute::VendorName => keep(&mut self.vendor_name, text(avp.value)),
            Attribute::AssignedTunnelId => keep(&mut self.tunnel_id, nonzero(avp)?),
            // Zero would forbid the peer to be answered at all.
            Attribute::ReceiveWindowSize => keep(&mut self.receive_window, avp.u16()?.max(1)),
            Attribute::TieBreaker => keep(&mut self.tie_breaker, avp.array()?),
            Attribute::Challenge if avp.value.is_empty() => return Err(avp.not_of_length(16)),
            Attribute::Challenge => keep(&mut self.challenge, avp.value.to_vec()),
            Attribute::ChallengeResponse => keep(&mut self.challenge_response, avp.array()?),
            Attribute::AssignedSessionId => keep(&mut self.session_id, nonzero(avp)?),
            Attribute::SequencingRequired => self.sequencing_required = true,
            Attribute::Accm => keep(&mut self.accm, Accm::read(avp)?),
            Attribute::CallErrors => keep(&mut self.call_errors, CallErrors::read(avp)?),
            // Nothing depends on what the others say, so a malformed one costs nobody a session.
            _ => self.ignored += u64::from(self.call.take(attribute, avp).is_err()),
        }
        Ok(())
    }
}

/// The peer's tunnel ID out of a whole datagram that is an SCCRQ, so that a retransmitted one finds
/// the tunnel it has already opened; see [`Control::assigned_tunnel_id`](crate::Control). None
/// for everything else.
pub fn assigned_tunnel_of_sccrq(datagram: &[u8], secret: Option<&Secret>) -> Option<u16> {
    match decode(datagram) {
        Ok(Packet::Control(control))
            if control.message_type() == Some(MessageType::Sccrq as u16) =>
        {
            control.assigned_tunnel_id(secret)
        }
        _ => None,
    }
}

fn recognize(avp: &Avp<'_>) -> Result<Attribute, Unrecognized> {
    if avp.vendor != 0 {
        return Err(Unrecognized::Vendor);
    }
    if avp.reserved {
        return Err(Unrecognized::ReservedBits);
    }
    let attribute = Attribute::from_wire(avp.kind).ok_or(Unrecognized::Attribute)?;
    if avp.hidden && !attribute.may_be_hidden() {
        return Err(Unrecognized::MustNotBeHidden);
    }
    Ok(attribute)
}

pub(crate) fn keep<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

fn nonzero(avp: &Avp<'_>) -> Result<u16, AvpError> {
    match avp.u16()? {
        0 => Err(AvpError::Value {
            attribute: avp.kind,
            value: 0,
        }),
        id => Ok(id),
    }
}

/// A peer's text, fit to be shown: without trailing NULs (Apple sends its host name with one),
/// bounded, and with a replacement character for everything that is no UTF-8 or would steer a
/// terminal.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .chars()
        .take(MAX_TEXT)
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
