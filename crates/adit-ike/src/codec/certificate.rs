//! Certificate and Certificate Request payloads, RFC 2408 sections 3.9 and 3.10 as RFC 4945
//! section 3 uses them: X.509 certificates for signatures, and the names of authorities.

use adit_cert::{MAX_CERTIFICATE_LEN, MAX_CERTIFICATES};
use adit_wire::{Reader, Writer};

use super::{DecodeError, Payloads, kind};

/// X.509 Certificate - Signature.
const X509_SIGNATURE: u8 = 4;

/// The certificates of a message, as DER and in order. Other encodings, revocation lists among
/// them, are passed over.
pub fn certificates(payloads: &Payloads<'_>) -> Result<Vec<Vec<u8>>, DecodeError> {
    let mut found = Vec::new();
    for body in payloads.all(kind::CERT) {
        let mut reader = Reader::new(body);
        if reader.u8()? != X509_SIGNATURE {
            continue;
        }
        if found.len() == MAX_CERTIFICATES {
            return Err(DecodeError::TooMany {
                what: "certificates",
                limit: MAX_CERTIFICATES,
            });
        }
        let der = reader.rest();
        if der.is_empty() || der.len() > MAX_CERTIFICATE_LEN {
            return Err(DecodeError::Certificate(der.len()));
        }
        found.push(der.to_vec());
    }
    Ok(found)
}

/// The body of a CERT payload with this DER.
pub fn write_certificate(der: &[u8]) -> Vec<u8> {
    encoded(der)
}

/// The body of a CERTREQ payload for certificates below this authority's name (DER); an empty name
/// asks for any.
pub fn write_certificate_request(authority: &[u8]) -> Vec<u8> {
    encoded(authority)
}

fn encoded(data: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u8(X509_SIGNATURE).bytes(data);
    writer.into_vec()
}
