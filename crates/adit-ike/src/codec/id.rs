//! Identification payloads, RFC 2407 section 4.6.2.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adit_wire::{Reader, Writer};

use super::DecodeError;

const ID_IPV4_ADDR: u8 = 1;
const ID_FQDN: u8 = 2;
const ID_USER_FQDN: u8 = 3;
const ID_IPV6_ADDR: u8 = 5;
const ID_DER_ASN1_DN: u8 = 9;
const ID_KEY_ID: u8 = 11;

/// Who or what an identification names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IdValue {
    /// ID_IPV4_ADDR.
    Ipv4(Ipv4Addr),
    /// ID_IPV6_ADDR.
    Ipv6(Ipv6Addr),
    /// ID_FQDN.
    Fqdn(String),
    /// ID_USER_FQDN: user@host.
    UserFqdn(String),
    /// ID_KEY_ID: opaque bytes.
    KeyId(Vec<u8>),
    /// ID_DER_ASN1_DN: the DER of a distinguished name.
    DistinguishedName(Vec<u8>),
    /// Any other type, and names that are not UTF-8: subnets, ranges.
    Other {
        /// The ID type.
        kind: u8,
        /// Its data.
        data: Vec<u8>,
    },
}

impl From<IpAddr> for IdValue {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address),
            IpAddr::V6(address) => Self::Ipv6(address),
        }
    }
}

impl IdValue {
    /// The address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Ipv4(address) => Some((*address).into()),
            Self::Ipv6(address) => Some((*address).into()),
            _ => None,
        }
    }

    /// The bytes of a name, of whatever type the name is.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Fqdn(name) | Self::UserFqdn(name) => Some(name.as_bytes()),
            Self::KeyId(name) => Some(name),
            _ => None,
        }
    }

    fn parse(kind: u8, data: &[u8]) -> Result<Self, DecodeError> {
        let wrong = |_| DecodeError::Id {
            kind,
            length: data.len(),
        };
        let text = || std::str::from_utf8(data).map(str::to_owned);
        let other = |_| Self::Other {
            kind,
            data: data.to_vec(),
        };
        Ok(match kind {
            ID_IPV4_ADDR => Self::Ipv4(<[u8; 4]>::try_from(data).map_err(wrong)?.into()),
            ID_IPV6_ADDR => Self::Ipv6(<[u8; 16]>::try_from(data).map_err(wrong)?.into()),
            ID_FQDN => text().map_or_else(other, Self::Fqdn),
            ID_USER_FQDN => text().map_or_else(other, Self::UserFqdn),
            ID_DER_ASN1_DN => Self::DistinguishedName(data.to_vec()),
            ID_KEY_ID => Self::KeyId(data.to_vec()),
            _ => Self::Other {
                kind,
                data: data.to_vec(),
            },
        })
    }

    fn write(&self, writer: &mut Writer, protocol: u8, port: u16) {
        let kind = match self {
            Self::Ipv4(_) => ID_IPV4_ADDR,
            Self::Ipv6(_) => ID_IPV6_ADDR,
            Self::Fqdn(_) => ID_FQDN,
            Self::UserFqdn(_) => ID_USER_FQDN,
            Self::DistinguishedName(_) => ID_DER_ASN1_DN,
            Self::KeyId(_) => ID_KEY_ID,
            Self::Other { kind, .. } => *kind,
        };
        writer.u8(kind).u8(protocol).u16(port);
        match self {
            Self::Ipv4(address) => writer.bytes(&address.octets()),
            Self::Ipv6(address) => writer.bytes(&address.octets()),
            Self::Fqdn(name) | Self::UserFqdn(name) => writer.bytes(name.as_bytes()),
            Self::DistinguishedName(data) | Self::KeyId(data) | Self::Other { data, .. } => {
                writer.bytes(data)
            }
        };
    }
}

impl fmt::Display for IdValue {
    // A name comes from the peer and may end up in a log line, so control characters are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => address.fmt(f),
            Self::Fqdn(name) | Self::UserFqdn(name) => name.escape_debug().fmt(f),
            Self::DistinguishedName(data) => hex(f, "dn:", data),
            Self::KeyId(data) => hex(f, "key-id:", data),
            Self::Other { kind, data } => {
                write!(f, "type-{kind}:")?;
                hex(f, "", data)
            }
        }
    }
}

fn hex(f: &mut fmt::Formatter<'_>, label: &str, data: &[u8]) -> fmt::Result {
    f.write_str(label)?;
    data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// An identification payload: in Quick Mode, one end of the traffic that the SA is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// The address, or whatever else the peer named.
    pub id: IdValue,
    /// Upper-layer protocol, 0 for any.
    pub protocol: u8,
    /// Port, 0 for any.
    pub port: u16,
}

impl Selector {
    /// Reads the body of an ID payload.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let kind = reader.u8()?;
        let protocol = reader.u8()?;
        let port = reader.u16()?;
        Ok(Self {
            id: IdValue::parse(kind, reader.rest())?,
            protocol,
            port,
        })
    }

    /// The body of an ID payload.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.id.write(&mut writer, self.protocol, self.port);
        writer.into_vec()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} protocol {} port {}",
            self.id, self.protocol, self.port
        )
    }
}
