//! What a peer tells about a call and its link (RFC 2661 4.4.4 to 4.4.6): facts for logs and
//! policies. Nothing in this crate depends on them, and nobody may trust them: a LAC can claim
//! any number, and any user.

use zeroize::Zeroizing;

use crate::avp::{Attribute, Avp, AvpError};
use crate::message::{keep, text};

/// Bytes of a Proxy LCP or Proxy Authen value that are kept; a longer value is left out.
const MAX_PROXY_LEN: usize = 255;

/// What ICRQ and ICCN, or an OCRQ, said about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Call Serial Number, to find the call in both ends' logs.
    pub serial: Option<u32>,
    /// Minimum BPS of an outgoing call.
    pub minimum_bps: Option<u32>,
    /// Maximum BPS of an outgoing call.
    pub maximum_bps: Option<u32>,
    /// Bearer Type: 1 digital, 2 analog.
    pub bearer_type: Option<u32>,
    /// Framing Type: 1 synchronous, 2 asynchronous.
    pub framing_type: Option<u32>,
    /// Called Number, made fit to be shown, at most 255 characters as all texts.
    pub called_number: Option<String>,
    /// Calling Number.
    pub calling_number: Option<String>,
    /// Sub-Address.
    pub sub_address: Option<String>,
    /// (Tx) Connect Speed in bits per second.
    pub tx_connect_speed: Option<u32>,
    /// Rx Connect Speed in bits per second; if there is none, that of the other direction.
    pub rx_connect_speed: Option<u32>,
    /// Physical Channel ID of the LAC.
    pub physical_channel: Option<u32>,
    /// Private Group ID: the customer's network that the call is for.
    pub private_group: Option<String>,
    /// What a LAC negotiated before it passed the call on.
    pub proxy: Proxy,
}

/// LCP and authentication that a LAC went through in the LNS's place (RFC 2661 4.4.5).
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    /// Initial Received LCP CONFREQ: the options, as all three.
    pub initial_received: Option<Vec<u8>>,
    /// Last Sent LCP CONFREQ.
    pub last_sent: Option<Vec<u8>>,
    /// Last Received LCP CONFREQ.
    pub last_received: Option<Vec<u8>>,
    /// Proxy Authen Type: 1 text, 2 CHAP, 3 PAP, 4 none, 5 MS-CHAPv1.
    pub authen_type: Option<u16>,
    /// Proxy Authen Name.
    pub authen_name: Option<String>,
    /// Proxy Authen Challenge.
    pub authen_challenge: Option<Vec<u8>>,
    /// Proxy Authen ID.
    pub authen_id: Option<u8>,
    /// Proxy Authen Response: of PAP, the password.
    pub authen_response: Option<Zeroizing<Vec<u8>>>,
}

impl Call {
    /// Keeps what an AVP says, if it is one of these attributes; of an attribute that comes twice,
    /// the first.
    pub(crate) fn take(&mut self, attribute: Attribute, avp: &Avp<'_>) -> Result<(), AvpError> {
        match attribute {
            Attribute::CallSerialNumber => keep(&mut self.serial, avp.u32()?),
            Attribute::MinimumBps => keep(&mut self.minimum_bps, avp.u32()?),
            Attribute::MaximumBps => keep(&mut self.maximum_bps, avp.u32()?),
            Attribute::BearerType => keep(&mut self.bearer_type, avp.u32()?),
            Attribute::FramingType => keep(&mut self.framing_type, avp.u32()?),
            Attribute::CalledNumber => keep(&mut self.called_number, text(avp.value)),
            Attribute::CallingNumber => keep(&mut self.calling_number, text(avp.value)),
            Attribute::SubAddress => keep(&mut self.sub_address, text(avp.value)),
            Attribute::TxConnectSpeed => keep(&mut self.tx_connect_speed, avp.u32()?),
            Attribute::RxConnectSpeed => keep(&mut self.rx_connect_speed, avp.u32()?),
            Attribute::PhysicalChannelId => keep(&mut self.physical_channel, avp.u32()?),
            Attribute::PrivateGroupId => keep(&mut self.private_group, text(avp.value)),
            _ => self.proxy.take(attribute, avp)?,
        }
        Ok(())
    }

    /// Adds what a later message of the call says.
    pub(crate) fn add(&mut self, later: Self) {
        fn or<T>(mine: &mut Option<T>, later: Option<T>) {
            *mine = mine.take().or(later);
        }
        or(&mut self.serial, later.serial);
        or(&mut self.minimum_bps, later.minimum_bps);
        or(&mut self.maximum_bps, later.maximum_bps);
        or(&mut self.bearer_type, later.bearer_type);
        or(&mut self.framing_type, later.framing_type);
        or(&mut self.called_number, later.called_number);
        or(&mut self.calling_number, later.calling_number);
        or(&mut self.sub_address, later.sub_address);
        or(&mut self.tx_connect_speed, later.tx_connect_speed);
        or(&mut self.rx_connect_speed, later.rx_connect_speed);
        or(&mut self.physical_channel, later.physical_channel);
        or(&mut self.private_group, later.private_group);
        let (mine, later) = (&mut self.proxy, later.proxy);
        or(&mut mine.initial_received, later.initial_received);
        or(&mut mine.last_sent, later.last_sent);
        or(&mut mine.last_received, later.last_received);
        or(&mut mine.authen_type, later.authen_type);
        or(&mut mine.authen_name, later.authen_name);
        or(&mut mine.authen_challenge, later.authen_challenge);
        or(&mut mine.authen_id, later.authen_id);
        or(&mut mine.authen_response, later.authen_response);
    }
}

impl Proxy {
    fn take(&mut self, attribute: Attribute, avp: &Avp<'_>) -> Result<(), AvpError> {
        match attribute {
            Attribute::InitialReceivedConfReq => keep(&mut self.initial_received, bounded(avp)?),
            Attribute::LastSentConfReq => keep(&mut self.last_sent, bounded(avp)?),
            Attribute::LastReceivedConfReq => keep(&mut self.last_received, bounded(avp)?),
            Attribute::ProxyAuthenType => keep(&mut self.authen_type, avp.u16()?),
            Attribute::ProxyAuthenName => keep(&mut self.authen_name, text(avp.value)),
            Attribute::ProxyAuthenChallenge => keep(&mut self.authen_challenge, bounded(avp)?),
            Attribute::ProxyAuthenId => {
                let [_reserved, id] = avp.array()?;
                keep(&mut self.authen_id, id);
            }
            Attribute::ProxyAuthenResponse => {
                keep(&mut self.authen_response, Zeroizing::new(bounded(avp)?));
            }
            _ => {}
        }
        Ok(())
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("authen_type", &self.authen_type)
            .field("authen_name", &self.authen_name)
            .finish_non_exhaustive()
    }
}

fn bounded(avp: &Avp<'_>) -> Result<Vec<u8>, AvpError> {
    if avp.value.len() > MAX_PROXY_LEN {
        return Err(avp.not_of_length(MAX_PROXY_LEN));
    }
    Ok(avp.value.to_vec())
}

/// The errors of a line that a LAC has counted since its call began: a WAN-Error-Notify (RFC 2661
/// 4.4.6, Call Errors).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallErrors {
    /// Frames with a wrong CRC.
    pub crc: u32,
    /// Frames that were badly framed.
    pub framing: u32,
    /// Overruns of the receiver.
    pub hardware_overruns: u32,
    /// Overruns of a buffer.
    pub buffer_overruns: u32,
    /// Time-outs.
    pub timeouts: u32,
    /// Frames that were not aligned.
    pub alignment: u32,
}

impl CallErrors {
    pub(crate) fn read(avp: &Avp<'_>) -> Result<Self, AvpError> {
        let value: [u8; 26] = avp.array()?;
        let (_reserved, counters) = value.split_at(2);
        let mut counters = counters.chunks_exact(4).map(|counter| match counter {
            [a, b, c, d] => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => 0,
        });
        let mut next = || counters.next().unwrap_or(0);
        Ok(Self {
            crc: next(),
            framing: next(),
            hardware_overruns: next(),
            buffer_overruns: next(),
            timeouts: next(),
            alignment: next(),
        })
    }
}

/// The control characters that PPP's ends escape on an asynchronous line: a Set-Link-Info (RFC
/// 2661 4.4.6, ACCM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accm {
    /// What the LAC is to escape in what it sends to the line.
    pub send: u32,
    /// What it need not look at in what it receives.
    pub receive: u32,
}

impl Accm {
    pub(crate) fn read(avp: &Avp<'_>) -> Result<Self, AvpError> {
        let [_, _, a, b, c, d, e, f, g, h]: [u8; 10] = avp.array()?;
        Ok(Self {
            send: u32::from_be_bytes([a, b, c, d]),
            receive: u32::from_be_bytes([e, f, g, h]),
        })
    }
}

#[cfg(test)]
mod tests;
