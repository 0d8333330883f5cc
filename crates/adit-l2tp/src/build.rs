//! The bodies of the control messages that we send, in the words of a [`Manner`]. An LNS says only
//! AVPs of RFC 2661 without reserved bits, since Windows tears the tunnel down over anything else.
//! They must be what each client takes: the Message Type AVP is always 80 08 (Android compares it),
//! a Result Code of an LNS always has its error code (xl2tpd before 1.3.14 needs it).
//!
//! With a secret and [`Config::hide`], whatever may be hidden is (RFC 2661 4.3), but for tunnel and
//! session IDs: they stand in the clear in every header, and the peer needs them to find the
//! tunnel that a secret belongs to.

use adit_wire::Writer;

use crate::avp::{Attribute, Avp, write};
use crate::config::Config;
use crate::manner::{Item, Manner, ResultFormat, Said};
use crate::message::MessageType;
use crate::result::{CallDisconnect, Stop};
use crate::secret::Secret;

/// Bytes of a host or vendor name that are sent.
const MAX_NAME: usize = 255;
/// Bytes of a result's text that are sent.
const MAX_MESSAGE: usize = 200;
/// What follows a swapped result: nobody may read it.
const STALE: [u8; 6] = [0xa5; 6];

/// The secret and the Random Vector that hide AVPs; `None` hides nothing.
pub(crate) type Hiding<'a> = Option<(&'a Secret, [u8; 16])>;

/// What SCCRQ and SCCRP say besides the manner's words.
#[derive(Default)]
pub(crate) struct Opening<'a> {
    /// Our tunnel ID.
    pub(crate) tunnel: u16,
    pub(crate) tie_breaker: Option<[u8; 8]>,
    pub(crate) challenge: Option<&'a [u8]>,
    pub(crate) response: Option<[u8; 16]>,
}

/// What a call's messages say besides the manner's words.
#[derive(Default)]
pub(crate) struct Calling {
    /// Our session ID.
    pub(crate) session: u16,
    pub(crate) serial: u32,
    pub(crate) nonce: [u8; 16],
}

/// SCCRQ (RFC 2661 6.1).
pub(crate) fn sccrq(config: &Config, opening: &Opening<'_>, hiding: Hiding<'_>) -> Vec<u8> {
    let mut body = Body::new(MessageType::Sccrq, hiding);
    for said in config.manner.sccrq {
        body.about_tunnel(said, config, opening.tunnel);
    }
    body.opening(opening)
}

/// SCCRP (RFC 2661 6.2).
pub(crate) fn sccrp(config: &Config, opening: &Opening<'_>, hiding: Hiding<'_>) -> Vec<u8> {
    let mut body = Body::new(MessageType::Sccrp, hiding);
    for said in Manner::OWN.sccrq {
        body.about_tunnel(said, config, opening.tunnel);
    }
    body.opening(opening)
}

/// SCCCN (RFC 2661 6.3).
pub(crate) fn scccn(response: Option<[u8; 16]>, hiding: Hiding<'_>) -> Vec<u8> {
    let mut body = Body::new(MessageType::Scccn, hiding);
    if let Some(response) = &response {
        body.avp(true, Attribute::ChallengeResponse, response);
    }
    body.finish()
}

/// HELLO (RFC 2661 6.5).
pub(crate) fn hello() -> Vec<u8> {
    Body::new(MessageType::Hello, None).finish()
}

/// StopCCN (RFC 2661 6.4).
pub(crate) fn stop_ccn(tunnel: u16, stop: &Stop, format: ResultFormat) -> Vec<u8> {
    let mut body = Body::new(MessageType::StopCcn, None);
    body.u16(Attribute::AssignedTunnelId, tunnel);
    body.result(stop.result.0, stop.error.0, &stop.message, format);
    body.finish()
}

/// ICRQ (RFC 2661 6.6).
pub(crate) fn icrq(config: &Config, calling: &Calling, hiding: Hiding<'_>) -> Vec<u8> {
    let mut body = Body::new(MessageType::Icrq, hiding);
    for said in config.manner.icrq {
        body.about_call(said, calling);
    }
    body.finish()
}

/// ICRP (RFC 2661 6.7).
pub(crate) fn icrp(session: u16) -> Vec<u8> {
    let mut body = Body::new(MessageType::Icrp, None);
    body.u16(Attribute::AssignedSessionId, session);
    body.finish()
}

/// ICCN (RFC 2661 6.8).
pub(crate) fn iccn(config: &Config, calling: &Calling, hiding: Hiding<'_>) -> Vec<u8> {
    let mut body = Body::new(MessageType::Iccn, hiding);
    for said in config.manner.iccn {
        body.about_call(said, calling);
    }
    if config.sequencing {
        body.avp(true, Attribute::SequencingRequired, &[]);
    }
    body.finish()
}

/// CDN (RFC 2661 6.12).
pub(crate) fn cdn(session: u16, reason: &CallDisconnect, format: ResultFormat) -> Vec<u8> {
    let mut body = Body::new(MessageType::Cdn, None);
    body.result(reason.result.0, reason.error.0, &reason.message, format);
    body.u16(Attribute::AssignedSessionId, session);
    if let Some(cause) = &reason.q931 {
        let mut value = Writer::new();
        value.u16(cause.code).u8(cause.message);
        value.bytes(cut(&cause.advisory, MAX_MESSAGE));
        body.avp(true, Attribute::CauseCode, value.as_slice());
    }
    body.finish()
}

struct Body<'a> {
    writer: Writer,
    hiding: Hiding<'a>,
    /// Whether the Random Vector has been said.
    vector_said: bool,
}

impl<'a> Body<'a> {
    fn new(message: MessageType, hiding: Hiding<'a>) -> Self {
        let mut body = Self {
            writer: Writer::new(),
            hiding,
            vector_said: false,
        };
        body.u16(Attribute::MessageType, message as u16);
        body
    }

    fn about_tunnel(&mut self, said: &Said, config: &Config, tunnel: u16) {
        let m = said.mandatory;
        match said.item {
            Item::ProtocolVersion => self.avp(m, Attribute::ProtocolVersion, &[1, 0]),
            Item::FramingCapabilities(bits) => {
                self.avp(m, Attribute::FramingCapabilities, &bits.to_be_bytes());
            }
            Item::BearerCapabilities(bits) => {
                self.avp(m, Attribute::BearerCapabilities, &bits.to_be_bytes());
            }
            Item::FirmwareRevision(revision) => {
                self.avp(m, Attribute::FirmwareRevision, &revision.to_be_bytes());
            }
            Item::HostName => self.avp(m, Attribute::HostName, cut(&config.host_name, MAX_NAME)),
            Item::VendorName if config.vendor_name.is_empty() => {}
            Item::VendorName => {
                let name = cut(&config.vendor_name, MAX_NAME);
                self.avp(m, Attribute::VendorName, name);
            }
            Item::AssignedTunnelId => {
                self.avp(m, Attribute::AssignedTunnelId, &tunnel.to_be_bytes());
            }
            Item::ReceiveWindowSize => {
                let window = config.window().to_be_bytes();
                self.avp(m, Attribute::ReceiveWindowSize, &window);
            }
            _ => {} // about a call
        }
    }

    fn about_call(&mut self, said: &Said, calling: &Calling) {
        let m = said.mandatory;
        match said.item {
            Item::AssignedSessionId => {
                let session = calling.session.to_be_bytes();
                self.avp(m, Attribute::AssignedSessionId, &session);
            }
            Item::CallSerialNumber => {
                self.avp(
                    m,
                    Attribute::CallSerialNumber,
                    &calling.serial.to_be_bytes(),
                );
            }
            Item::BearerType(kind) => self.avp(m, Attribute::BearerType, &kind.to_be_bytes()),
            Item::TxConnectSpeed(bps) => {
                self.avp(m, Attribute::TxConnectSpeed, &bps.to_be_bytes());
            }
            Item::RxConnectSpeed(bps) => {
                self.avp(m, Attribute::RxConnectSpeed, &bps.to_be_bytes());
            }
            Item::FramingType(kind) => self.avp(m, Attribute::FramingType, &kind.to_be_bytes()),
            Item::ProxyAuthenType(kind) => {
                self.avp(m, Attribute::ProxyAuthenType, &kind.to_be_bytes());
            }
            Item::VendorNonce { vendor, kind } => write(
                &mut self.writer,
                &Avp {
                    mandatory: m,
                    hidden: false,
                    reserved: false,
                    vendor,
                    kind,
                    value: &calling.nonce,
                },
            ),
            _ => {} // about the tunnel
        }
    }

    fn opening(mut self, opening: &Opening<'_>) -> Vec<u8> {
        if let Some(tie_breaker) = &opening.tie_breaker {
            self.avp(false, Attribute::TieBreaker, tie_breaker);
        }
        if let Some(challenge) = opening.challenge {
            self.avp(true, Attribute::Challenge, challenge);
        }
        if let Some(response) = &opening.response {
            self.avp(true, Attribute::ChallengeResponse, response);
        }
        self.finish()
    }

    fn u16(&mut self, attribute: Attribute, value: u16) {
        self.avp(true, attribute, &value.to_be_bytes());
    }

    fn avp(&mut self, mandatory: bool, attribute: Attribute, value: &[u8]) {
        match self.hidden(attribute, value) {
            Some(hidden) => {
                let plain = Avp::plain(mandatory, attribute, &hidden);
                let avp = Avp {
                    hidden: true,
                    ..plain
                };
                write(&mut self.writer, &avp);
            }
            None => write(&mut self.writer, &Avp::plain(mandatory, attribute, value)),
        }
    }

    /// The value as it is hidden, behind the message's Random Vector.
    fn hidden(&mut self, attribute: Attribute, value: &[u8]) -> Option<Vec<u8>> {
        let (secret, vector) = self.hiding?;
        let id = matches!(
            attribute,
            Attribute::AssignedTunnelId | Attribute::AssignedSessionId
        );
        if id || !attribute.may_be_hidden() {
            return None;
        }
        let hidden = secret.hide(attribute as u16, &vector, value)?;
        if !std::mem::replace(&mut self.vector_said, true) {
            let vector = Avp::plain(true, Attribute::RandomVector, &vector);
            write(&mut self.writer, &vector);
        }
        Some(hidden)
    }

    fn result(&mut self, result: u16, error: u16, message: &str, format: ResultFormat) {
        let mut value = Writer::new();
        match format {
            ResultFormat::Text => value
                .u16(result)
                .u16(error)
                .bytes(cut(message, MAX_MESSAGE)),
            ResultFormat::Codes => value.u16(result).u16(error),
            ResultFormat::ResultOnly => value.u16(result),
            ResultFormat::Swapped => value.bytes(&result.to_le_bytes()).bytes(&STALE),
        };
        self.avp(true, Attribute::ResultCode, value.as_slice());
    }

    fn finish(self) -> Vec<u8> {
        self.writer.into_vec()
    }
}

/// At most `max` bytes of `text`, ending at a character's end.
fn cut(text: &str, max: usize) -> &[u8] {
    let end = text.floor_char_boundary(max);
    text.get(..end).unwrap_or_default().as_bytes()
}

#[cfg(test)]
mod tests;
