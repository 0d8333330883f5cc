//! The requesting router's side of prefix delegation (RFC 8415 18.2, 6.3): Solicit, Request, Renew,
//! Rebind and Release of one prefix. What it gets it has only as long as the server said.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use adit_wire::Reader;
use dhcproto::v6::{DhcpOption, DhcpOptions, IAPD, IAPrefix, MessageType, ORO, OptionCode, Status};
use ipnet::Ipv6Net;

use super::{Message, dns_servers, duid, encode, next_option};
use crate::backoff::Backoff;
use crate::error::Error;

// RFC 8415 7.6.
const MAX_DELAY: Duration = Duration::from_secs(1);
const SOLICIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
const REQUEST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
const RENEW: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));
const REQUEST_TRIES: u32 = 10;

/// The number of the one identity association.
const IAID: u32 = 1;
const MAX_DNS: usize = 8;

/// A prefix that is delegated to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    prefix: Ipv6Net,
    until: Option<Instant>,
    renew: Option<Instant>,
    rebind: Option<Instant>,
}

/// What is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing before this: the first message waits a moment, or the lease is fresh.
    Waiting,
    Solicit,
    Request,
    Renew,
    Rebind,
}

/// What a Reply has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// The resolvers.
    pub(crate) dns: Vec<Ipv6Addr>,
    /// The prefix, if it is another one than before.
    pub(crate) new: Option<Ipv6Net>,
    /// The prefix that is ours no more.
    pub(crate) gone: Option<Ipv6Net>,
}

/// Keeps one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    duid: Vec<u8>,
    stage: Stage,
    transaction: [u8; 3],
    since: Instant,
    backoff: Backoff,
    sent: u32,
    due: Instant,
    /// Who has offered or granted: its DUID.
    server: Option<Vec<u8>>,
    lease: Option<Lease>,
}

impl Client {
    /// Solicits after a random delay of up to a second (RFC 8415 18.2.1).
    pub(crate) fn new(interface_id: u64, now: Instant, rng: &mut Rng) -> Self {
        // cast: 1000 milliseconds
        let delay = Duration::from_millis(u64::from(rng.below(MAX_DELAY.as_millis() as u32)));
        Self {
            duid: duid(interface_id),
            stage: Stage::Waiting,
            transaction: [0; 3],
            since: now,
            backoff: Backoff::new(SOLICIT.0, SOLICIT.1),
            sent: 0,
            due: now + delay,
            server: None,
            lease: None,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        let end = self.lease.and_then(|lease| lease.until);
        end.map_or(self.due, |end| end.min(self.due))
    }

    /// The prefix whose time is over, if it is: nothing may use it any more.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Ipv6Net> {
        let over = |lease: &mut Lease| lease.until.is_some_and(|until| until <= now);
        let lease = self.lease.take_if(over)?;
        self.stage = Stage::Waiting;
        self.server = None;
        self.due = now;
        Some(lease.prefix)
    }

    /// The message that is due, if one is.
    pub(crate) fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) -> Option<Vec<u8>> {
        if now < self.due {
            return None;
        }
        let next = match (self.stage, &self.lease) {
            (Stage::Waiting, None) => Some(Stage::Solicit),
            (Stage::Waiting, Some(_)) => Some(Stage::Renew),
            (Stage::Renew, Some(lease)) if lease.rebind.is_some_and(|at| at <= now) => {
                Some(Stage::Rebind)
            }
            // An offer has come before the first wait was over (18.2.1).
            (Stage::Solicit, _) if self.server.is_some() => Some(Stage::Request),
            (Stage::Request, _) if self.sent >= REQUEST_TRIES => Some(Stage::Solicit),
            _ => None,
        };
        if let Some(stage) = next {
            self.begin(stage, now, rng);
        }
        self.sent += 1;
        let wait = self.backoff.next(rng);
        self.due = now + wait;
        if let (Stage::Renew, Some(rebind)) = (self.stage, self.lease.and_then(|l| l.rebind)) {
            self.due = self.due.min(rebind);
        }
        self.message(now)
    }

    fn begin(&mut self, stage: Stage, now: Instant, rng: &mut Rng) {
        let (first, cap) = match stage {
            Stage::Waiting | Stage::Solicit => SOLICIT,
            Stage::Request => REQUEST,
            Stage::Renew | Stage::Rebind => RENEW,
        };
        if stage == Stage::Solicit {
            self.server = None;
        }
        self.stage = stage;
        self.transaction = rng.array();
        self.since = now;
        self.sent = 0;
        self.backoff = Backoff::new(first, cap);
    }

    fn message(&self, now: Instant) -> Option<Vec<u8>> {
        let (kind, names_server) = match self.stage {
            Stage::Waiting => return None,
            Stage::Solicit => (MessageType::Solicit, false),
            Stage::Request => (MessageType::Request, true),
            Stage::Renew => (MessageType::Renew, true),
            Stage::Rebind => (MessageType::Rebind, false),
        };
        let elapsed = now.saturating_duration_since(self.since).as_millis() / 10;
        let asked = vec![OptionCode::DomainNameServers, OptionCode::SolMaxRt];
        let mut options = vec![
            DhcpOption::ORO(ORO { opts: asked }),
            DhcpOption::ElapsedTime(u16::try_from(elapsed).unwrap_or(u16::MAX)),
        ];
        self.identify(names_server, &mut options);
        encode(kind, self.transaction, options)
    }

    /// Who we are, whom it is for, and the association.
    fn identify(&self, names_server: bool, options: &mut Vec<DhcpOption>) {
        options.push(DhcpOption::ClientId(self.duid.clone()));
        if let (Some(server), true) = (&self.server, names_server) {
            options.push(DhcpOption::ServerId(server.clone()));
        }
        let held = self.lease.map(|lease| {
            DhcpOption::IAPrefix(IAPrefix {
                preferred_lifetime: 0,
                valid_lifetime: 0,
                prefix_len: lease.prefix.prefix_len(),
                prefix_ip: lease.prefix.network(),
                opts: DhcpOptions::new(),
            })
        });
        options.push(DhcpOption::IAPD(IAPD {
            id: IAID,
            t1: 0,
            t2: 0,
            opts: held.into_iter().collect(),
        }));
    }

    /// Gives the prefix back (RFC 8415 18.2.7), said once: the link ends with it.
    pub(crate) fn release(&mut self, rng: &mut Rng) -> Option<Vec<u8>> {
        self.lease?;
        let mut options = vec![DhcpOption::ElapsedTime(0)];
        self.identify(true, &mut options);
        self.lease = None;
        encode(MessageType::Release, rng.array(), options)
    }

    /// Takes a message of a server; `None` if it is no answer to what was asked.
    pub(crate) fn handle(
        &mut self,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<Option<Granted>, Error> {
        let message = Message::parse(message)?;
        let kind = MessageType::from(message.kind);
        let wanted = match self.stage {
            Stage::Waiting => return Ok(None),
            Stage::Solicit => MessageType::Advertise,
            _ => MessageType::Reply,
        };
        if kind != wanted || message.transaction != self.transaction {
            return Ok(None);
        }
        // RFC 8415 16.3, 16.10.
        let server = message.require(OptionCode::ServerId)?;
        if message.require(OptionCode::ClientId)? != self.duid {
            return Ok(None);
        }
        let offered = offered(&message)?;
        match (self.stage, offered) {
            (Stage::Solicit, None) => Ok(Some(Granted::default())),
            (Stage::Solicit, Some(_)) => {
                // Of several offers the first is as good as any: there is one server on the link.
                self.server.get_or_insert_with(|| server.to_vec());
                if self.sent > 1 {
                    self.due = now;
                }
                Ok(Some(Granted::default()))
            }
            // The server knows nothing of it any more, or has none: from the start.
            (_, None) => {
                let gone = self.lease.take().map(|lease| lease.prefix);
                self.begin(Stage::Solicit, now, rng);
                self.stage = Stage::Waiting;
                self.due = now + MAX_DELAY;
                Ok(Some(Granted {
                    gone,
                    ..Granted::default()
                }))
            }
            (_, Some(offer)) => {
                let lease = offer.lease(now);
                let old = self.lease.replace(lease).map(|lease| lease.prefix);
                self.server = Some(server.to_vec());
                self.stage = Stage::Waiting;
                // A lease for ever is never renewed; its end, which there is none of, ends it.
                let day = Duration::from_secs(86_400);
                self.due = lease.renew.unwrap_or(now + day);
                let dns = message.option(OptionCode::DomainNameServers);
                Ok(Some(Granted {
                    dns: dns.map_or(Ok(Vec::new()), |body| dns_servers(body, MAX_DNS))?,
                    new: (old != Some(lease.prefix)).then_some(lease.prefix),
                    gone: old.filter(|old| *old != lease.prefix),
                }))
            }
        }
    }
}

/// A prefix as a server puts it.
struct Offer {
    t1: u32,
    t2: u32,
    preferred: u32,
    valid: u32,
    prefix: Ipv6Net,
}

impl Offer {
    fn lease(&self, now: Instant) -> Lease {
        let at = |seconds: u32| {
            let finite = (seconds != u32::MAX).then_some(u64::from(seconds));
            finite.map(|seconds| now + Duration::from_secs(seconds))
        };
        // Zero leaves the choice to us (RFC 8415 14.2, 21.21).
        let share = |told: u32, share: f64| match (told, self.preferred) {
            (0, u32::MAX) => u32::MAX,
            // cast: a part of what fits
            (0, preferred) => (f64::from(preferred) * share) as u32,
            (told, _) => told,
        };
        Lease {
            prefix: self.prefix,
            until: at(self.valid),
            renew: at(share(self.t1, 0.5)),
            rebind: at(share(self.t2, 0.8)),
        }
    }
}

/// The prefix in the answer to our association, unless the server says that there is none.
fn offered(message: &Message<'_>) -> Result<Option<Offer>, Error> {
    let code = u16::from(OptionCode::IAPD);
    for body in message.options().filter(|o| o.0 == code).map(|o| o.1) {
        let wrong = |_| Error::DhcpOption(code);
        let mut reader = Reader::new(body);
        let id = reader.u32().map_err(wrong)?;
        let (t1, t2) = (reader.u32().map_err(wrong)?, reader.u32().map_err(wrong)?);
        // RFC 8415 21.21: such an association is to be ignored.
        if id != IAID || (t1 > t2 && t2 > 0) {
            continue;
        }
        let mut found = None;
        while !reader.is_empty() {
            let (inner, body) = next_option(&mut reader)?;
            match OptionCode::from(inner) {
                OptionCode::StatusCode => {
                    let status = Reader::new(body).u16().map_err(wrong)?;
                    if Status::from(status) != Status::Success {
                        return Ok(None);
                    }
                }
                OptionCode::IAPrefix if found.is_none() => found = read_prefix(body, (t1, t2))?,
                _ => {}
            }
        }
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// An IA Prefix option (RFC 8415 21.22); `None` for one that cannot be used.
fn read_prefix(body: &[u8], (t1, t2): (u32, u32)) -> Result<Option<Offer>, Error> {
    let code = u16::from(OptionCode::IAPrefix);
    let wrong = |_| Error::DhcpOption(code);
    let mut reader = Reader::new(body);
    let preferred = reader.u32().map_err(wrong)?;
    let valid = reader.u32().map_err(wrong)?;
    let length = reader.u8().map_err(wrong)?;
    let network = Ipv6Addr::from(reader.array::<16>().map_err(wrong)?);
    let Ok(prefix) = Ipv6Net::new(network, length) else {
        return Err(Error::DhcpOption(code));
    };
    let usable = preferred <= valid
        && valid > 0
        && length > 0
        && !network.is_multicast()
        && !network.is_unicast_link_local();
    Ok(usable.then_some(Offer {
        t1,
        t2,
        preferred,
        valid,
        prefix: prefix.trunc(),
    }))
}

#[cfg(test)]
mod tests;
