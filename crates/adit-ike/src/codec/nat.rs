//! NAT original address payloads, RFC 3947 section 5.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adit_wire::{Reader, Writer};

use super::DecodeError;

const ID_IPV4_ADDR: u8 = 1;
const ID_IPV6_ADDR: u8 = 5;

/// Reads the body of a NAT-OA payload. Its reserved bytes are not always zero.
pub fn parse_nat_oa(body: &[u8]) -> Result<IpAddr, DecodeError> {
    let mut reader = Reader::new(body);
    let kind = reader.u8()?;
    let _reserved = reader.array::<3>()?;
    let data = reader.rest();
    let wrong = |_| DecodeError::Id {
        kind,
        length: data.len(),
    };
    match kind {
        ID_IPV4_ADDR => Ok(Ipv4Addr::from(<[u8; 4]>::try_from(data).map_err(wrong)?).into()),
        ID_IPV6_ADDR => Ok(Ipv6Addr::from(<[u8; 16]>::try_from(data).map_err(wrong)?).into()),
        _ => Err(DecodeError::Id {
            kind,
            length: data.len(),
        }),
    }
}

/// The body of a NAT-OA payload.
pub fn write_nat_oa(address: IpAddr) -> Vec<u8> {
    let mut writer = Writer::new();
    match address {
        IpAddr::V4(address) => writer
            .u8(ID_IPV4_ADDR)
            .bytes(&[0; 3])
            .bytes(&address.octets()),
        IpAddr::V6(address) => writer
            .u8(ID_IPV6_ADDR)
            .bytes(&[0; 3])
            .bytes(&address.octets()),
    };
    writer.into_vec()
}
