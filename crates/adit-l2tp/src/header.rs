//! The header of every L2TP message (RFC 2661 3.1), read with any legal combination of its optional
//! fields and written in the one form that all clients take. It never looks at AVPs or frames,
//! except to peek at what a caller needs to find the tunnel.

use std::ops::Range;

use adit_wire::{NoRoom, PacketBuf, Reader, Truncated, Writer};

use crate::avp::{Attribute, Avps};
use crate::message::{MessageType, text};
use crate::secret::{Opened, Opener, Secret};

const TYPE: u16 = 0x8000;
const LENGTH: u16 = 0x4000;
const SEQUENCE: u16 = 0x0800;
const OFFSET: u16 = 0x0200;
const VERSION_MASK: u16 = 0x000f;
const VERSION: u16 = 2;

/// Flags of every control message we send. Android compares them with exactly this value, Windows
/// drops a message with any other bit.
const CONTROL_FLAGS: u16 = TYPE | LENGTH | SEQUENCE | VERSION;

/// Length of the header of a control message.
pub const CONTROL_HEADER_LEN: usize = 12;
/// Length of the header that [`prepend_data_header`] writes.
pub const DATA_HEADER_LEN: usize = 8;
/// Length of the header that [`prepend_sequenced_data_header`] writes.
pub const SEQUENCED_DATA_HEADER_LEN: usize = 12;

/// Why a datagram is not an L2TP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The header does not fit.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Another version: 1 is L2F, 3 is L2TPv3. RFC 2661 3.1 has such messages dropped silently.
    #[error("L2TP version {0}")]
    Version(u8),
    /// A control message without length or sequence numbers, or with an offset.
    #[error("control message with flags {0:#06x}")]
    ControlFlags(u16),
    /// The length field is shorter than the header or longer than the datagram.
    #[error("an L2TP length of {field} in a datagram of {actual} bytes")]
    Length {
        /// What the field says.
        field: usize,
        /// What arrived.
        actual: usize,
    },
    /// The offset padding reaches past the message.
    #[error("an offset of {offset} with {left} bytes left")]
    Offset {
        /// What the Offset Size field says.
        offset: usize,
        /// Bytes behind that field.
        left: usize,
    },
}

/// A datagram's header, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A control message, for [`Tunnel::handle_datagram`](crate::Tunnel::handle_datagram).
    Control(Control<'a>),
    /// A data message.
    Data(Data),
}

/// The header of a data message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Our tunnel ID.
    pub tunnel: u16,
    /// Our session ID.
    pub session: u16,
    /// Where in the datagram the PPP frame is.
    pub payload: Range<usize>,
    /// The sequence number, if the message carries one.
    pub ns: Option<u16>,
}

/// A control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control<'a> {
    /// Our tunnel ID; 0 while the peer does not know it.
    pub tunnel: u16,
    /// Our session ID; 0 in messages about the tunnel, and while the peer does not know it.
    pub session: u16,
    /// Number of this message.
    pub ns: u16,
    /// Number of the message that the peer expects next.
    pub nr: u16,
    /// The AVPs, unchecked; empty in an acknowledgement.
    pub avps: &'a [u8],
}

impl Control<'_> {
    /// Whether this is a zero-length body message: an acknowledgement and nothing else.
    pub fn is_zlb(&self) -> bool {
        self.avps.is_empty()
    }

    /// The message type, without a look at anything behind it. None for an acknowledgement and
    /// where the first AVP is not a Message Type.
    pub fn message_type(&self) -> Option<u16> {
        let first = Avps::new(self.avps).next()?.ok()?;
        first
            .is(Attribute::MessageType)
            .then(|| first.u16().ok())
            .flatten()
    }

    /// The peer's tunnel ID out of an SCCRQ or StopCCN, the two messages that may come with tunnel
    /// ID 0 (RFC 2661 4.4.3): a retransmitted SCCRQ, or a StopCCN of a LAC that has not heard our
    /// SCCRP, belongs to the tunnel of this peer that has this
    /// [`remote_id`](crate::Tunnel::remote_id). `secret` opens it, should it be hidden. None for
    /// every other message and for a missing, unreadable or zero ID.
    pub fn assigned_tunnel_id(&self, secret: Option<&Secret>) -> Option<u16> {
        match MessageType::from_wire(self.message_type()?)? {
            MessageType::Sccrq | MessageType::StopCcn => {}
            _ => return None,
        }
        // Unlike a full reading this stops at the first fault, and what is behind the ID is not
        // looked at.
        let mut opener = Opener::new(secret);
        for avp in Avps::new(self.avps).map_while(Result::ok) {
            let opened = opener.open(&avp);
            if avp.vendor != 0 || avp.reserved || avp.kind != Attribute::AssignedTunnelId as u16 {
                continue;
            }
            let id = match opened.ok()? {
                Opened::Plain => avp.u16().ok()?,
                Opened::Hidden(value) => u16::from_be_bytes(value.as_slice().try_into().ok()?),
                Opened::NoSecret => return None,
            };
            return (id != 0).then_some(id);
        }
        None
    }

    /// The host name out of an SCCRQ, made fit to be shown: by it the secret of a tunnel can be
    /// looked up (RFC 2661 4.4.3; it is never hidden). It is a claim and proves nothing.
    pub fn host_name(&self) -> Option<String> {
        if self.message_type()? != MessageType::Sccrq as u16 {
            return None;
        }
        Avps::new(self.avps)
            .map_while(Result::ok)
            .find(|avp| avp.is(Attribute::HostName))
            .map(|avp| text(avp.value))
    }
}

/// Checks and reads the header of `datagram`, a whole UDP payload. Bytes behind the message's own
/// length are ignored; reserved bits are too (RFC 2661 3.1).
pub fn decode(datagram: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let mut reader = Reader::new(datagram);
    let flags = reader.u16()?;
    if flags & VERSION_MASK != VERSION {
        // cast: four bits
        return Err(DecodeError::Version((flags & VERSION_MASK) as u8));
    }
    let mut end = datagram.len();
    if flags & LENGTH != 0 {
        end = usize::from(reader.u16()?);
        let read = datagram.len() - reader.left();
        // From here on no field reaches past the message's own length.
        reader = end
            .checked_sub(read)
            .and_then(|left| reader.sub(left).ok())
            .ok_or(DecodeError::Length {
                field: end,
                actual: datagram.len(),
            })?;
    }
    if flags & TYPE == 0 {
        return decode_data(reader, flags, end).map(Packet::Data);
    }
    if flags & (LENGTH | SEQUENCE | OFFSET) != LENGTH | SEQUENCE {
        return Err(DecodeError::ControlFlags(flags));
    }
    Ok(Packet::Control(Control {
        tunnel: reader.u16()?,
        session: reader.u16()?,
        ns: reader.u16()?,
        nr: reader.u16()?,
        avps: reader.rest(),
    }))
}

fn decode_data(mut reader: Reader<'_>, flags: u16, end: usize) -> Result<Data, DecodeError> {
    let tunnel = reader.u16()?;
    let session = reader.u16()?;
    let mut ns = None;
    if flags & SEQUENCE != 0 {
        ns = Some(reader.u16()?);
        // Nr means nothing in a data message (RFC 2661 3.1).
        reader.u16()?;
    }
    if flags & OFFSET != 0 {
        let offset = usize::from(reader.u16()?);
        let left = reader.left();
        reader
            .bytes(offset)
            .map_err(|_| DecodeError::Offset { offset, left })?;
    }
    Ok(Data {
        tunnel,
        session,
        payload: end - reader.left()..end,
        ns,
    })
}

/// Prepends the header of a data message for the peer's `tunnel` and `session` to the PPP frame in
/// `buf`: a length, no sequence numbers, no offset, no priority ([`DATA_HEADER_LEN`] bytes).
pub fn prepend_data_header(buf: &mut PacketBuf, tunnel: u16, session: u16) -> Result<(), NoRoom> {
    prepend(buf, true, VERSION, [tunnel, session])
}

/// As [`prepend_data_header`], without a length, which some clients leave out (6 bytes).
pub fn prepend_short_data_header(
    buf: &mut PacketBuf,
    tunnel: u16,
    session: u16,
) -> Result<(), NoRoom> {
    prepend(buf, false, VERSION, [tunnel, session])
}

/// As [`prepend_data_header`], with the sequence number `ns` ([`SEQUENCED_DATA_HEADER_LEN`] bytes):
/// for a session whose [`Sequencing`](crate::Sequencing) gives one.
pub fn prepend_sequenced_data_header(
    buf: &mut PacketBuf,
    tunnel: u16,
    session: u16,
    ns: u16,
) -> Result<(), NoRoom> {
    prepend(buf, true, SEQUENCE | VERSION, [tunnel, session, ns, 0])
}

fn prepend<const N: usize>(
    buf: &mut PacketBuf,
    with_length: bool,
    flags: u16,
    fields: [u16; N],
) -> Result<(), NoRoom> {
    let header_len = if with_length { 4 } else { 2 } + 2 * N;
    let length = buf.len() + header_len;
    let length_field = u16::try_from(length).map_err(|_| NoRoom {
        needed: length,
        left: usize::from(u16::MAX),
    })?;
    let header = buf.prepend(header_len)?;
    let flags = if with_length { flags | LENGTH } else { flags };
    let length_field = with_length.then_some(length_field);
    let fields = std::iter::once(flags).chain(length_field).chain(fields);
    for (to, from) in header.chunks_exact_mut(2).zip(fields) {
        to.copy_from_slice(&from.to_be_bytes());
    }
    Ok(())
}

/// A whole control message: the header and `avps`, which the caller keeps far below 65,536 bytes.
pub(crate) fn encode_control(tunnel: u16, session: u16, ns: u16, nr: u16, avps: &[u8]) -> Vec<u8> {
    let length = u16::try_from(CONTROL_HEADER_LEN + avps.len()).unwrap_or(u16::MAX);
    let mut writer = Writer::new();
    writer
        .u16(CONTROL_FLAGS)
        .u16(length)
        .u16(tunnel)
        .u16(session)
        .u16(ns)
        .u16(nr)
        .bytes(avps);
    writer.into_vec()
}

#[cfg(test)]
mod tests;
