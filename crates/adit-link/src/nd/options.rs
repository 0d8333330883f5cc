//! Neighbour discovery options (RFC 4861 4.6, RFC 4191 2.3, RFC 8106 5).

use std::net::Ipv6Addr;

use adit_wire::{Reader, Truncated};
use ipnet::Ipv6Net;

use super::Preference;
use crate::domain::Domain;
use crate::error::Error;

const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
pub(super) const PREFIX_INFORMATION: u8 = 3;
pub(super) const MTU: u8 = 5;
pub(super) const ROUTE_INFORMATION: u8 = 24;
pub(super) const RDNSS: u8 = 25;
pub(super) const DNSSL: u8 = 31;

/// The most search domains of one option that are looked at.
const MAX_SEARCH: usize = 32;

/// A Prefix Information option (RFC 4861 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixInformation {
    /// The address part, as sent: bits behind the length are not zeroed.
    pub prefix: Ipv6Addr,
    /// Length in bits, as sent: it may be above 128.
    pub length: u8,
    /// The L flag: addresses of the prefix are on the link.
    pub on_link: bool,
    /// The A flag: addresses may be formed from the prefix.
    pub autonomous: bool,
    /// Valid lifetime in seconds; all ones is for ever.
    pub valid: u32,
    /// Preferred lifetime in seconds; all ones is for ever.
    pub preferred: u32,
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdOption<'a> {
    /// Source link-layer address. No such thing exists on this link; what it holds is not read.
    SourceLinkLayerAddress,
    /// Prefix information.
    Prefix(PrefixInformation),
    /// The link's MTU in bytes.
    Mtu(u32),
    /// Recursive DNS servers (RFC 8106 5.1).
    RecursiveDns {
        /// Seconds for which they may be used; 0 ends their use.
        lifetime: u32,
        /// Their addresses.
        servers: &'a [[u8; 16]],
    },
    /// Route information (RFC 4191 2.3).
    Route(RouteInformation),
    /// DNS search list (RFC 8106 5.2).
    SearchList {
        /// Seconds for which it may be used; 0 ends its use.
        lifetime: u32,
        /// The names, zero-padded.
        names: &'a [u8],
    },
    /// Anything else; the type.
    Other(u8),
}

/// A Route Information option (RFC 4191 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteInformation {
    /// Where the route goes; bits behind its length are zero.
    pub prefix: Ipv6Net,
    /// How it stands against routes of other routers; `None` is the reserved value, which makes
    /// the option one to ignore.
    pub preference: Option<Preference>,
    /// Seconds for which it may be used; 0 ends its use, all ones is for ever.
    pub lifetime: u32,
}

/// The domains of a search list that can be read, in their order (RFC 8106 5.2).
pub(crate) fn search_domains(names: &[u8]) -> Vec<Domain> {
    let mut reader = Reader::new(names);
    let mut domains = Vec::new();
    while domains.len() < MAX_SEARCH && !reader.is_empty() {
        match Domain::read(&mut reader) {
            Some(Some(domain)) => domains.push(domain),
            // Padding.
            Some(None) => {}
            None => break,
        }
    }
    domains
}

/// The options of a message: all of them have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    bytes: &'a [u8],
}

impl<'a> Options<'a> {
    /// Checks the options in `bytes`: none is of length zero, reaches past the end, or is shorter
    /// than its type needs (RFC 4861 4.6).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            next(&mut reader)?;
        }
        Ok(Self { bytes })
    }

    /// The options in their order.
    pub fn iter(&self) -> impl Iterator<Item = NdOption<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            next(&mut reader).ok()
        })
    }

    pub(super) fn has_source_link_layer_address(&self) -> bool {
        self.iter()
            .any(|option| option == NdOption::SourceLinkLayerAddress)
    }
}

fn next<'a>(reader: &mut Reader<'a>) -> Result<NdOption<'a>, Error> {
    let kind = reader.u8()?;
    let eights = usize::from(reader.u8()?);
    let length = (8 * eights)
        .checked_sub(2)
        .ok_or(Error::OptionLength(kind))?;
    let mut body = reader
        .sub(length)
        .map_err(|Truncated { .. }| Error::OptionLength(kind))?;
    read(kind, &mut body).map_err(|Truncated { .. }| Error::OptionLength(kind))
}

fn read<'a>(kind: u8, body: &mut Reader<'a>) -> Result<NdOption<'a>, Truncated> {
    Ok(match kind {
        SOURCE_LINK_LAYER_ADDRESS => NdOption::SourceLinkLayerAddress,
        PREFIX_INFORMATION => {
            let length = body.u8()?;
            let flags = body.u8()?;
            let valid = body.u32()?;
            let preferred = body.u32()?;
            body.u32()?;
            NdOption::Prefix(PrefixInformation {
                prefix: Ipv6Addr::from(body.array::<16>()?),
                length,
                on_link: flags & 0x80 != 0,
                autonomous: flags & 0x40 != 0,
                valid,
                preferred,
            })
        }
        MTU => {
            body.u16()?;
            NdOption::Mtu(body.u32()?)
        }
        RDNSS => {
            body.u16()?;
            let lifetime = body.u32()?;
            // At least one address: the option is 3 units long or more (RFC 8106 5.3.1).
            let mut ahead = *body;
            ahead.array::<16>()?;
            let (servers, _) = body.rest().as_chunks::<16>();
            NdOption::RecursiveDns { lifetime, servers }
        }
        ROUTE_INFORMATION => {
            let length = body.u8()?;
            let flags = body.u8()?;
            let lifetime = body.u32()?;
            let mut address = [0; 16];
            let given = body.rest();
            let needed = usize::from(length).div_ceil(8);
            for (byte, given) in address.iter_mut().zip(given) {
                *byte = *given;
            }
            let prefix = Ipv6Net::new(address.into(), length).map_err(|_| Truncated {
                needed,
                left: given.len(),
            })?;
            if given.len() < needed {
                return Err(Truncated {
                    needed,
                    left: given.len(),
                });
            }
            NdOption::Route(RouteInformation {
                prefix: prefix.trunc(),
                preference: Preference::of_flags(flags),
                lifetime,
            })
        }
        DNSSL => {
            body.u16()?;
            let lifetime = body.u32()?;
            NdOption::SearchList {
                lifetime,
                names: body.rest(),
            }
        }
        other => NdOption::Other(other),
    })
}
