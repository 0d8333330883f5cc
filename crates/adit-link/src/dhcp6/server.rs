//! The server of a link whose clients form their own addresses (RFC 8415 18.3).

use std::net::Ipv6Addr;

use adit_wire::Reader;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IANA, IAPD, IATA, MessageType, OptionCode, Status, StatusCode,
};

use super::{Message, duid, encode};
use crate::error::Error;
use crate::nd;

/// The most identity associations that one answer speaks of.
const MAX_ASSOCIATIONS: usize = 8;

/// The answer to a client's message; `None` where the RFC wants silence.
///
/// `interface_id` makes the server's DUID, `dns` is what it can tell.
pub(crate) fn answer(
    message: &[u8],
    interface_id: u64,
    dns: &[Ipv6Addr],
) -> Result<Option<Vec<u8>>, Error> {
    let message = Message::parse(message)?;
    let server = duid(interface_id);
    let mut options = vec![DhcpOption::ServerId(server.clone())];
    if let Some(client) = message.option(OptionCode::ClientId) {
        options.push(DhcpOption::ClientId(client.to_vec()));
    }
    let reply = match MessageType::from(message.kind) {
        MessageType::InformationRequest => {
            information_request(&message, &server)?;
            MessageType::Reply
        }
        MessageType::Solicit => {
            message.require(OptionCode::ClientId)?;
            message.forbid(OptionCode::ServerId)?;
            options.extend(refused(&message, false)?);
            MessageType::Advertise
        }
        kind @ (MessageType::Request
        | MessageType::Renew
        | MessageType::Release
        | MessageType::Decline) => {
            message.require(OptionCode::ClientId)?;
            if message.require(OptionCode::ServerId)? != server {
                return Ok(None);
            }
            options.extend(refused(&message, kind != MessageType::Request)?);
            MessageType::Reply
        }
        // Confirm and Rebind find nothing here to speak of (RFC 8415 18.3.3, 18.3.5); the rest
        // is not for servers (16).
        _ => return Ok(None),
    };
    if wants(&message, OptionCode::DomainNameServers)? && !dns.is_empty() {
        let servers = dns.iter().take(nd::MAX_DNS).copied().collect();
        options.push(DhcpOption::DomainNameServers(servers));
    }
    Ok(encode(reply, message.transaction, options))
}

/// RFC 8415 16.12.
fn information_request(message: &Message<'_>, server: &[u8]) -> Result<(), Error> {
    for code in [OptionCode::IANA, OptionCode::IATA, OptionCode::IAPD] {
        message.forbid(code)?;
    }
    match message.option(OptionCode::ServerId) {
        Some(other) if other != server => message.forbid(OptionCode::ServerId),
        _ => Ok(()),
    }
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

/// One status for each identity association: nothing to give (RFC 8415 18.3.2, 18.3.9), or
/// nothing known of it (18.3.4, 18.3.7, 18.3.8).
fn refused(message: &Message<'_>, binding: bool) -> Result<Vec<DhcpOption>, Error> {
    let mut refused = Vec::new();
    for (code, body) in message.options() {
        if refused.len() == MAX_ASSOCIATIONS {
            break;
        }
        let kind = OptionCode::from(code);
        if !matches!(kind, OptionCode::IANA | OptionCode::IATA | OptionCode::IAPD) {
            continue;
        }
        let mut reader = Reader::new(body);
        let id = reader.u32().map_err(|_| Error::DhcpOption(code))?;
        let status = match kind {
            _ if binding => Status::NoBinding,
            OptionCode::IAPD => Status::NoPrefixAvail,
            _ => Status::NoAddrsAvail,
        };
        let opts: DhcpOptions = [DhcpOption::StatusCode(StatusCode {
            status,
            msg: String::new(),
        })]
        .into_iter()
        .collect();
        let (t1, t2) = (0, 0);
        refused.push(match kind {
            OptionCode::IANA => DhcpOption::IANA(IANA { id, t1, t2, opts }),
            OptionCode::IATA => DhcpOption::IATA(IATA { id, opts }),
            _ => DhcpOption::IAPD(IAPD { id, t1, t2, opts }),
        });
    }
    Ok(refused)
}
