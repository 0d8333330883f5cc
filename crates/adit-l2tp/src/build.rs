//! The bodies of the control messages that we send: only AVPs of RFC 2661, none hidden, no reserved
//! bits, since Windows tears the tunnel down over anything else. They must be what each client
//! takes: the Message Type AVP is always 80 08 (Android compares it), a Result Code always has its
//! error code (xl2tpd before 1.3.14 needs it).

use adit_wire::Writer;

use crate::avp::{Attribute, write};
use crate::config::Config;
use crate::message::MessageType;

/// Bytes of a host or vendor name that are sent.
const MAX_NAME: usize = 255;
/// Bytes of a result's text that are sent.
const MAX_MESSAGE: usize = 200;
/// Framing Capabilities: synchronous and asynchronous. The bits mean nothing for PPP over IP, and
/// both are what clients expect.
const FRAMING_CAPABILITIES: u32 = 3;
/// Framing Type of an incoming call: synchronous.
const FRAMING_TYPE: u32 = 1;

/// SCCRQ (RFC 2661 6.1). No Bearer Capabilities: that says no outgoing calls.
pub(crate) fn sccrq(config: &Config, tunnel: u16) -> Vec<u8> {
    start(MessageType::Sccrq, config, tunnel)
}

/// SCCRP (RFC 2661 6.2).
pub(crate) fn sccrp(config: &Config, tunnel: u16) -> Vec<u8> {
    start(MessageType::Sccrp, config, tunnel)
}

fn start(message: MessageType, config: &Config, tunnel: u16) -> Vec<u8> {
    let mut body = Body::new(message);
    body.avp(true, Attribute::ProtocolVersion, &[1, 0])
        .u32(Attribute::FramingCapabilities, FRAMING_CAPABILITIES)
        .avp(true, Attribute::HostName, cut(&config.host_name, MAX_NAME));
    if !config.vendor_name.is_empty() {
        body.avp(
            false,
            Attribute::VendorName,
            cut(&config.vendor_name, MAX_NAME),
        );
    }
    body.u16(Attribute::AssignedTunnelId, tunnel)
        .u16(Attribute::ReceiveWindowSize, config.window());
    body.finish()
}

/// SCCCN (RFC 2661 6.3).
pub(crate) fn scccn() -> Vec<u8> {
    Body::new(MessageType::Scccn).finish()
}

/// HELLO (RFC 2661 6.5).
pub(crate) fn hello() -> Vec<u8> {
    Body::new(MessageType::Hello).finish()
}

/// StopCCN (RFC 2661 6.4).
pub(crate) fn stop_ccn(tunnel: u16, result: u16, error: u16, message: &str) -> Vec<u8> {
    let mut body = Body::new(MessageType::StopCcn);
    body.u16(Attribute::AssignedTunnelId, tunnel)
        .result(result, error, message);
    body.finish()
}

/// ICRQ (RFC 2661 6.6).
pub(crate) fn icrq(session: u16, serial: u32) -> Vec<u8> {
    let mut body = Body::new(MessageType::Icrq);
    body.u16(Attribute::AssignedSessionId, session)
        .u32(Attribute::CallSerialNumber, serial);
    body.finish()
}

/// ICRP (RFC 2661 6.7).
pub(crate) fn icrp(session: u16) -> Vec<u8> {
    let mut body = Body::new(MessageType::Icrp);
    body.u16(Attribute::AssignedSessionId, session);
    body.finish()
}

/// ICCN (RFC 2661 6.8).
pub(crate) fn iccn(tx_connect_speed: u32) -> Vec<u8> {
    let mut body = Body::new(MessageType::Iccn);
    body.u32(Attribute::TxConnectSpeed, tx_connect_speed)
        .u32(Attribute::FramingType, FRAMING_TYPE);
    body.finish()
}

/// CDN (RFC 2661 6.12).
pub(crate) fn cdn(session: u16, result: u16, error: u16, message: &str) -> Vec<u8> {
    let mut body = Body::new(MessageType::Cdn);
    body.result(result, error, message)
        .u16(Attribute::AssignedSessionId, session);
    body.finish()
}

struct Body(Writer);

impl Body {
    fn new(message: MessageType) -> Self {
        let mut body = Self(Writer::new());
        body.u16(Attribute::MessageType, message as u16);
        body
    }

    fn avp(&mut self, mandatory: bool, attribute: Attribute, value: &[u8]) -> &mut Self {
        write(&mut self.0, mandatory, attribute, value);
        self
    }

    fn u16(&mut self, attribute: Attribute, value: u16) -> &mut Self {
        self.avp(true, attribute, &value.to_be_bytes())
    }

    fn u32(&mut self, attribute: Attribute, value: u32) -> &mut Self {
        self.avp(true, attribute, &value.to_be_bytes())
    }

    fn result(&mut self, result: u16, error: u16, message: &str) -> &mut Self {
        let mut value = Writer::new();
        value
            .u16(result)
            .u16(error)
            .bytes(cut(message, MAX_MESSAGE));
        self.avp(true, Attribute::ResultCode, value.as_slice())
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

/// At most `max` bytes of `text`, ending at a character's end.
fn cut(text: &str, max: usize) -> &[u8] {
    let end = text.floor_char_boundary(max);
    text.get(..end).unwrap_or_default().as_bytes()
}

#[cfg(test)]
mod tests;
