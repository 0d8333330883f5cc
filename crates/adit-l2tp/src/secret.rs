//! The secret that both ends of a tunnel may share: tunnel authentication (RFC 2661 5.1.1) and
//! hidden AVPs (section 4.3). It must never show the secret or compare with it in varying time.

use adit_crypto::{Digest, Hash, constant_time_eq};
use adit_wire::Reader;
use zeroize::Zeroizing;

use crate::avp::{Attribute, Avp, AvpError, MAX_VALUE_LEN};
use crate::message::MessageType;

/// MD5's output, and so the block of hiding.
const BLOCK: usize = 16;

/// A tunnel secret. It wipes itself, and compares in constant time.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the secret as the operator wrote it. An empty one is none.
    pub fn new(secret: impl Into<Vec<u8>>) -> Option<Self> {
        let secret = Zeroizing::new(secret.into());
        (!secret.is_empty()).then_some(Self(secret))
    }

    /// The Challenge Response to `challenge` in a message of this type (RFC 2661 4.4.3): CHAP's sum
    /// (RFC 1994) with the message type as the identifier.
    pub(crate) fn response(&self, message: MessageType, challenge: &[u8]) -> [u8; BLOCK] {
        // cast: of SCCRP or SCCCN, 2 or 3
        adit_crypto::ppp::chap_md5(message as u8, &self.0, challenge)
    }

    /// Whether that is the response.
    pub(crate) fn verify(&self, message: MessageType, challenge: &[u8], response: &[u8]) -> bool {
        constant_time_eq(&self.response(message, challenge), response)
    }

    /// The hidden value of an attribute, under the Random Vector that stands before it, padded to
    /// whole blocks, since the length of a value may say much about it. `None`: the value is too
    /// long to be hidden.
    pub(crate) fn hide(&self, kind: u16, vector: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let length = u16::try_from(value.len()).ok()?;
        let mut hidden = Vec::from(length.to_be_bytes());
        hidden.extend_from_slice(value);
        hidden.resize(hidden.len().next_multiple_of(BLOCK), 0);
        if hidden.len() > MAX_VALUE_LEN {
            return None;
        }
        let mut pad = self.first_pad(kind, vector);
        for block in hidden.chunks_mut(BLOCK) {
            xor(block, &pad);
            pad = self.next_pad(block);
        }
        Some(hidden)
    }

    /// The value that an AVP hides. Its length is its own and bounded by its own body, whatever
    /// stood in the AVPs before.
    fn reveal(&self, avp: &Avp<'_>, vector: &[u8]) -> Result<Zeroizing<Vec<u8>>, AvpError> {
        let mut plain = Zeroizing::new(avp.value.to_vec());
        let mut pad = self.first_pad(avp.kind, vector);
        for (block, hidden) in plain.chunks_mut(BLOCK).zip(avp.value.chunks(BLOCK)) {
            xor(block, &pad);
            pad = self.next_pad(hidden);
        }
        let mut reader = Reader::new(&plain);
        let length = reader.u16().map(usize::from);
        let value = length.and_then(|length| reader.bytes(length));
        value
            .map(|value| Zeroizing::new(value.to_vec()))
            .map_err(|_| AvpError::HiddenLength {
                attribute: avp.kind,
                length: length.unwrap_or(0),
                body: avp.value.len(),
            })
    }

    fn first_pad(&self, kind: u16, vector: &[u8]) -> Digest {
        Hash::Md5.digest(&[&kind.to_be_bytes(), &self.0, vector])
    }

    fn next_pad(&self, hidden: &[u8]) -> Digest {
        Hash::Md5.digest(&[&self.0, hidden])
    }
}

fn xor(block: &mut [u8], pad: &[u8]) {
    for (byte, pad) in block.iter_mut().zip(pad) {
        *byte ^= pad;
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Opens the hidden AVPs of one message, which it must be shown in order: a hidden AVP counts on
/// the nearest Random Vector before it (RFC 2661 4.3).
pub(crate) struct Opener<'a> {
    secret: Option<&'a Secret>,
    vector: Option<&'a [u8]>,
}

/// What an AVP's value is.
pub(crate) enum Opened {
    /// What stands there.
    Plain,
    /// This, which was hidden.
    Hidden(Zeroizing<Vec<u8>>),
    /// Hidden, and there is no secret to read it with.
    NoSecret,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(secret: Option<&'a Secret>) -> Self {
        Self {
            secret,
            vector: None,
        }
    }

    /// Takes the next AVP of the message.
    pub(crate) fn open(&mut self, avp: &Avp<'a>) -> Result<Opened, AvpError> {
        if avp.is(Attribute::RandomVector) {
            self.vector = (!avp.value.is_empty()).then_some(avp.value);
        }
        if !avp.hidden {
            return Ok(Opened::Plain);
        }
        let Some(secret) = self.secret else {
            return Ok(Opened::NoSecret);
        };
        let vector = self.vector.ok_or(AvpError::NoRandomVector(avp.kind))?;
        secret.reveal(avp, vector).map(Opened::Hidden)
    }
}

#[cfg(test)]
mod tests;
