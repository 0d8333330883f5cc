//! The client's side of Information-request and Reply (RFC 8415 18.2.6, 18.2.10.4).

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use adit_crypto::Rng;
use dhcproto::v6::{DhcpOption, MessageType, ORO, OptionCode};

use super::{Message, dns_servers, duid, encode};
use crate::backoff::Backoff;
use crate::error::Error;

// RFC 8415 7.6.
const MAX_DELAY: Duration = Duration::from_secs(1);
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
const REFRESH_DEFAULT: Duration = Duration::from_secs(86_400);
const REFRESH_MINIMUM: Duration = Duration::from_secs(600);

const MAX_DNS: usize = 8;

/// Asks until it is answered, and again when the answer has aged.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    duid: Vec<u8>,
    transaction: [u8; 3],
    /// When the first message of the exchange goes or went out.
    since: Instant,
    backoff: Backoff,
    due: Instant,
    /// An exchange runs: its Reply is awaited.
    asking: bool,
}

impl Client {
    /// Starts the first exchange after a random delay of up to a second (RFC 8415 18.2.6).
    pub(crate) fn new(interface_id: u64, now: Instant, rng: &mut Rng) -> Self {
        // cast: 1000 milliseconds
        let delay = Duration::from_millis(u64::from(rng.below(MAX_DELAY.as_millis() as u32)));
        Self {
            duid: duid(interface_id),
            transaction: [0; 3],
            since: now,
            backoff: Backoff::new(INITIAL_TIMEOUT, MAX_TIMEOUT),
            due: now + delay,
            asking: false,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// The message that is due, if one is.
    pub(crate) fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) -> Option<Vec<u8>> {
        if now < self.due {
            return None;
        }
        if !self.asking {
            self.asking = true;
            self.since = now;
            self.transaction = rng.array();
            self.backoff = Backoff::new(INITIAL_TIMEOUT, MAX_TIMEOUT);
        }
        self.due = now + self.backoff.next(rng);
        let elapsed = now.saturating_duration_since(self.since).as_millis() / 10;
        encode(
            MessageType::InformationRequest,
            self.transaction,
            vec![
                DhcpOption::ClientId(self.duid.clone()),
                DhcpOption::ORO(ORO {
                    opts: vec![
                        OptionCode::DomainNameServers,
                        OptionCode::InformationRefreshTime,
                        OptionCode::InfMaxRt,
                    ],
                }),
                DhcpOption::ElapsedTime(u16::try_from(elapsed).unwrap_or(u16::MAX)),
            ],
        )
    }

    /// Takes a Reply and gives its resolvers; `None` if it is no answer to what was asked.
    pub(crate) fn handle_reply(
        &mut self,
        message: &[u8],
        now: Instant,
    ) -> Result<Option<Vec<Ipv6Addr>>, Error> {
        let message = Message::parse(message)?;
        let is_answer = MessageType::from(message.kind) == MessageType::Reply
            && self.asking
            && message.transaction == self.transaction;
        if !is_answer {
            return Ok(None);
        }
        // RFC 8415 16.10.
        message.require(OptionCode::ServerId)?;
        if message.require(OptionCode::ClientId)? != self.duid {
            return Ok(None);
        }
        let servers = match message.option(OptionCode::DomainNameServers) {
            Some(body) => dns_servers(body, MAX_DNS)?,
            None => Vec::new(),
        };
        let refresh = message
            .option(OptionCode::InformationRefreshTime)
            .and_then(|body| <[u8; 4]>::try_from(body).ok())
            .map_or(REFRESH_DEFAULT, |seconds| {
                Duration::from_secs(u64::from(u32::from_be_bytes(seconds)))
            });
        self.asking = false;
        self.due = now + refresh.max(REFRESH_MINIMUM);
        Ok(Some(servers))
    }
}
