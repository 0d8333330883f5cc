//! The server of one session's link (RFC 8415 18.3): resolvers and search domains, an address out
//! of the session's prefix (IA_NA), and a delegated prefix (IA_PD).
//!
//! There is one client, so a lease belongs to whoever is at the other end of the link: a binding
//! names an identity association only so that answers are the client's own. Nothing here ever
//! gives out what the session does not have.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use adit_wire::Reader;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IAPrefix, IATA, MessageType, OptionCode, Status,
    StatusCode, UnknownOption,
};
use ipnet::Ipv6Net;

use super::{Message, duid, encode};
use crate::address;
use crate::domain::Domain;
use crate::error::Error;
use crate::nd;

/// The most identity associations that one answer speaks of, and the most addresses of a client.
const MAX_ASSOCIATIONS: usize = 8;
/// The first interface identifier that is handed out; `::1` may be a router's.
const FIRST_ID: u64 = 2;

/// What there is to tell and to give; the same for every message of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) dns: &'a [Ipv6Addr],
    pub(crate) search: &'a [Domain],
    /// Addresses are given out of the first /64 of this, or of the whole if it is smaller.
    pub(crate) prefix: Ipv6Net,
    /// Where the prefix is shared with others: the only address to give, if there is one.
    pub(crate) single: Option<Option<Ipv6Addr>>,
    pub(crate) valid: Duration,
    pub(crate) preferred: Duration,
}

impl Offer<'_> {
    /// The n-th address that is handed out; `None` if there are not as many.
    fn nth_address(&self, place: usize) -> Option<Ipv6Addr> {
        match self.single {
            Some(single) => single.filter(|_| place == 0),
            None => nth_address(self.prefix, place as u64),
        }
    }

    fn has(&self, address: Ipv6Addr) -> bool {
        match self.single {
            Some(single) => single == Some(address),
            None => self.prefix.contains(&address),
        }
    }
}

/// The prefix that a client may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Delegation {
    /// Nobody has asked yet, so none is held.
    #[default]
    Unasked,
    /// This one is held for the client.
    Held(Ipv6Net),
    /// There is none.
    None,
}

/// An identity association by its client's DUID and its number.
type Association = (Vec<u8>, u32);

/// The server's state.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    duid: Vec<u8>,
    delegation: Delegation,
    /// Who has the delegated prefix, and until when.
    delegated: Option<(Association, Instant)>,
    /// Their place in the list makes the addresses.
    addresses: Vec<Association>,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer.
    Reply(Vec<u8>),
    /// The RFC wants silence.
    Ignored,
    /// It asks for a prefix, and whether there is one has to be settled first.
    WantsPrefix,
}

impl Server {
    /// `interface_id` makes the server's DUID.
    pub(crate) fn new(interface_id: u64) -> Self {
        Self {
            duid: duid(interface_id),
            delegation: Delegation::default(),
            delegated: None,
            addresses: Vec::new(),
        }
    }

    /// Settles whether there is a prefix to delegate.
    pub(crate) fn set_delegation(&mut self, delegation: Delegation) {
        self.delegation = delegation;
    }

    /// The prefix that the client uses now.
    pub(crate) fn delegated(&self) -> Option<Ipv6Net> {
        match (self.delegation, &self.delegated) {
            (Delegation::Held(prefix), Some(_)) => Some(prefix),
            _ => None,
        }
    }

    /// When the delegation ends if nobody renews it.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.delegated.as_ref().map(|(_, until)| *until)
    }

    /// Ends a delegation that nobody renewed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.delegated.take_if(|(_, until)| *until <= now);
    }

    /// Takes a client's message.
    pub(crate) fn handle(
        &mut self,
        message: &[u8],
        offer: &Offer<'_>,
        now: Instant,
    ) -> Result<Outcome, Error> {
        let message = Message::parse(message)?;
        let kind = MessageType::from(message.kind);
        let mut options = vec![DhcpOption::ServerId(self.duid.clone())];
        let client = message.option(OptionCode::ClientId);
        if let Some(client) = client {
            options.push(DhcpOption::ClientId(client.to_vec()));
        }
        let client = client.unwrap_or_default();
        let reply = match kind {
            MessageType::InformationRequest => {
                self.check_information_request(&message)?;
                MessageType::Reply
            }
            MessageType::Solicit => {
                message.require(OptionCode::ClientId)?;
                message.forbid(OptionCode::ServerId)?;
                if self.must_ask(&message) {
                    return Ok(Outcome::WantsPrefix);
                }
                let rapid = message.option(OptionCode::RapidCommit).is_some();
                options.extend(self.associations(&message, client, offer, rapid.then_some(now))?);
                if rapid {
                    options.push(DhcpOption::RapidCommit);
                    MessageType::Reply
                } else {
                    MessageType::Advertise
                }
            }
            // Rebind goes to any server, and this is the only one there is (18.3.5).
            MessageType::Request | MessageType::Renew | MessageType::Rebind => {
                if !self.is_addressed(&message, kind == MessageType::Rebind)? {
                    return Ok(Outcome::Ignored);
                }
                if self.must_ask(&message) {
                    return Ok(Outcome::WantsPrefix);
                }
                options.extend(self.associations(&message, client, offer, Some(now))?);
                MessageType::Reply
            }
            MessageType::Confirm => {
                message.require(OptionCode::ClientId)?;
                message.forbid(OptionCode::ServerId)?;
                let Some(on_link) = confirm(&message, offer)? else {
                    return Ok(Outcome::Ignored);
                };
                options.push(status(if on_link {
                    Status::Success
                } else {
                    Status::NotOnLink
                }));
                MessageType::Reply
            }
            MessageType::Release | MessageType::Decline => {
                if !self.is_addressed(&message, false)? {
                    return Ok(Outcome::Ignored);
                }
                self.give_back(&message, client)?;
                options.push(status(Status::Success));
                MessageType::Reply
            }
            // The rest is not for servers (16).
            _ => return Ok(Outcome::Ignored),
        };
        tell(&message, offer, &mut options)?;
        let encoded = encode(reply, message.transaction, options);
        Ok(encoded.map_or(Outcome::Ignored, Outcome::Reply))
    }

    /// RFC 8415 16.12.
    fn check_information_request(&self, message: &Message<'_>) -> Result<(), Error> {
        for code in [OptionCode::IANA, OptionCode::IATA, OptionCode::IAPD] {
            message.forbid(code)?;
        }
        match message.option(OptionCode::ServerId) {
            Some(other) if other != self.duid => message.forbid(OptionCode::ServerId),
            _ => Ok(()),
        }
    }

    /// Whether a message with leases in it is for this server (RFC 8415 16.4 to 16.9).
    fn is_addressed(&self, message: &Message<'_>, to_any: bool) -> Result<bool, Error> {
        message.require(OptionCode::ClientId)?;
        if to_any {
            message.forbid(OptionCode::ServerId)?;
            return Ok(true);
        }
        Ok(message.require(OptionCode::ServerId)? == self.duid)
    }

    fn must_ask(&self, message: &Message<'_>) -> bool {
        self.delegation == Delegation::Unasked && message.option(OptionCode::IAPD).is_some()
    }

    /// The answers to the identity associations of a message; they are granted if `grant` says
    /// when, and only offered otherwise.
    fn associations(
        &mut self,
        message: &Message<'_>,
        client: &[u8],
        offer: &Offer<'_>,
        grant: Option<Instant>,
    ) -> Result<Vec<DhcpOption>, Error> {
        let mut answers = Vec::new();
        for (code, body) in message.options() {
            if answers.len() == MAX_ASSOCIATIONS {
                break;
            }
            let kind = OptionCode::from(code);
            if !matches!(kind, OptionCode::IANA | OptionCode::IATA | OptionCode::IAPD) {
                continue;
            }
            let mut reader = Reader::new(body);
            let id = reader.u32().map_err(|_| Error::DhcpOption(code))?;
            let association = (client.to_vec(), id);
            answers.push(match kind {
                OptionCode::IANA => self.address(association, offer),
                OptionCode::IAPD => self.prefix(association, offer, grant),
                _ => DhcpOption::IATA(IATA {
                    id,
                    opts: only(status(Status::NoAddrsAvail)),
                }),
            });
        }
        Ok(answers)
    }

    fn address(&mut self, association: Association, offer: &Offer<'_>) -> DhcpOption {
        let id = association.1;
        let known = self
            .addresses
            .iter()
            .position(|known| *known == association);
        let place = known.or_else(|| {
            (self.addresses.len() < MAX_ASSOCIATIONS).then(|| {
                self.addresses.push(association);
                self.addresses.len() - 1
            })
        });
        let given = place.and_then(|place| offer.nth_address(place));
        let opts = match given {
            Some(addr) => only(DhcpOption::IAAddr(IAAddr {
                addr,
                preferred_life: seconds(offer.preferred.min(offer.valid)),
                valid_life: seconds(offer.valid),
                opts: DhcpOptions::new(),
            })),
            None => only(status(Status::NoAddrsAvail)),
        };
        let (t1, t2) = renewal(given.map(|_| offer));
        DhcpOption::IANA(IANA { id, t1, t2, opts })
    }

    /// Another association of the same client gets none beside the first; another client took the
    /// first one's place on the link.
    fn prefix(
        &mut self,
        association: Association,
        offer: &Offer<'_>,
        grant: Option<Instant>,
    ) -> DhcpOption {
        let id = association.1;
        let taken = self
            .delegated
            .as_ref()
            .is_some_and(|(owner, _)| owner.0 == association.0 && owner.1 != id);
        let given = match self.delegation {
            Delegation::Held(prefix) if !taken => Some(prefix),
            _ => None,
        };
        if let (Some(_), Some(now)) = (given, grant) {
            self.delegated = Some((association, now + offer.valid));
        }
        let opts = match given {
            Some(prefix) => only(DhcpOption::IAPrefix(IAPrefix {
                preferred_lifetime: seconds(offer.preferred.min(offer.valid)),
                valid_lifetime: seconds(offer.valid),
                prefix_len: prefix.prefix_len(),
                prefix_ip: prefix.network(),
                opts: DhcpOptions::new(),
            })),
            None => only(status(Status::NoPrefixAvail)),
        };
        let (t1, t2) = renewal(given.map(|_| offer));
        DhcpOption::IAPD(IAPD { id, t1, t2, opts })
    }

    /// Release and Decline (RFC 8415 18.3.7, 18.3.8). An address stays with its association, so
    /// that it comes back when that asks again; it is the session's in any case.
    fn give_back(&mut self, message: &Message<'_>, client: &[u8]) -> Result<(), Error> {
        for (code, body) in message.options() {
            if OptionCode::from(code) != OptionCode::IAPD {
                continue;
            }
            let id = Reader::new(body)
                .u32()
                .map_err(|_| Error::DhcpOption(code))?;
            self.delegated
                .take_if(|(owner, _)| owner.0 == client && owner.1 == id);
        }
        Ok(())
    }
}

/// Whether all addresses of a Confirm are on this link; `None` if it has none, which is not
/// answered (RFC 8415 18.3.3).
fn confirm(message: &Message<'_>, offer: &Offer<'_>) -> Result<Option<bool>, Error> {
    let mut on_link = None;
    for (code, body) in message.options() {
        if OptionCode::from(code) != OptionCode::IANA {
            continue;
        }
        let mut reader = Reader::new(body);
        reader.bytes(12).map_err(|_| Error::DhcpOption(code))?;
        while !reader.is_empty() {
            let (inner, mut body) =
                super::next_option(&mut reader).map(|(inner, body)| (inner, Reader::new(body)))?;
            if OptionCode::from(inner) == OptionCode::IAAddr {
                let address = body.array::<16>().map_err(|_| Error::DhcpOption(inner))?;
                let here = offer.has(Ipv6Addr::from(address));
                on_link = Some(here && on_link.unwrap_or(true));
            }
        }
    }
    Ok(on_link)
}

/// Resolvers and search domains, as far as they were asked for.
fn tell(
    message: &Message<'_>,
    offer: &Offer<'_>,
    options: &mut Vec<DhcpOption>,
) -> Result<(), Error> {
    if wants(message, OptionCode::DomainNameServers)? && !offer.dns.is_empty() {
        let servers = offer.dns.iter().take(nd::MAX_DNS).copied().collect();
        options.push(DhcpOption::DomainNameServers(servers));
    }
    if wants(message, OptionCode::DomainSearchList)? && !offer.search.is_empty() {
        let mut names = Vec::new();
        for domain in offer.search {
            if names.len() + domain.wire_len() > nd::MAX_SEARCH_BYTES {
                break;
            }
            names.extend(domain.wire());
        }
        let code = OptionCode::DomainSearchList;
        options.push(DhcpOption::Unknown(UnknownOption::new(code, names)));
    }
    Ok(())
}

/// Whether the client asked for the option. One that has no Option Request, though it must (RFC
/// 8415 21.7), gets what there is.
fn wants(message: &Message<'_>, code: OptionCode) -> Result<bool, Error> {
    let Some(body) = message.option(OptionCode::ORO) else {
        return Ok(true);
    };
    let (codes, rest) = body.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Error::DhcpOption(OptionCode::ORO.into()));
    }
    let code = u16::from(code);
    Ok(codes.iter().any(|asked| u16::from_be_bytes(*asked) == code))
}

/// The n-th address that is handed out of a session's prefix; `None` if that is too small.
fn nth_address(prefix: Ipv6Net, place: u64) -> Option<Ipv6Addr> {
    let id = FIRST_ID + place;
    let address = if prefix.prefix_len() <= 64 {
        address::with_interface_id(prefix, id)
    } else {
        Ipv6Addr::from(u128::from(prefix.network()) | u128::from(id))
    };
    prefix.contains(&address).then_some(address)
}

/// T1 and T2 at the shares of the preferred lifetime that RFC 8415 21.4 recommends; zero where
/// there is nothing to renew.
fn renewal(offer: Option<&Offer<'_>>) -> (u32, u32) {
    let Some(offer) = offer else {
        return (0, 0);
    };
    let preferred = offer.preferred.min(offer.valid);
    (seconds(preferred / 2), seconds(preferred * 4 / 5))
}

fn status(status: Status) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode {
        status,
        msg: String::new(),
    })
}

fn only(option: DhcpOption) -> DhcpOptions {
    [option].into_iter().collect()
}

/// A lifetime on the wire; what does not fit is for ever.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
