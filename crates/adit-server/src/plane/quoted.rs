//! Whose packet an ICMP error quotes. Errors come from anybody, so one counts as word of a router on
//! the way only if it shows what nobody beside the way has seen (RFC 4301 8.2.1, RFC 8201 5.4).

use std::net::SocketAddr;
use std::ops::Range;

use adit_wire::Channel;

use super::shard::{Group, Shard};
use super::{GroupKey, Plane};

/// Behind the header of the outer packet: an SPI with a sequence number, or what L2TP begins with.
const ESP_HEADER_LEN: usize = 8;
const SPI_LEN: usize = 4;
/// Flags, length, tunnel and session: all messages that we send have a length (RFC 2661 3.1).
const L2TP_IDS: Range<usize> = 4..8;

/// What an error proves about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It has seen the packet: it knows numbers that the two ends chose at random.
    Numbers,
    /// It knows both addresses and ports. Routers need not quote more (RFC 792).
    Addresses,
}

/// Why an error is about no packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misquoted {
    /// We send nothing there.
    Nobody,
    /// What it quotes is not what we send there.
    Foreign,
}

impl Plane {
    /// The group that sent what begins so, behind the UDP header or, of native ESP, the IP header.
    pub(crate) fn quoted(
        &self,
        channel: Channel,
        remote: SocketAddr,
        quote: &[u8],
    ) -> Result<(GroupKey, Proof), Misquoted> {
        let shows_numbers = shows_numbers(channel, quote);
        let mut there = 0_usize;
        let mut last = None;
        for shard in &self.shards {
            let shard = shard.lock();
            for (key, group) in shard.groups_to(channel, remote) {
                if shows_numbers && shard.has_sent(key, group, channel, quote) {
                    return Ok((key, Proof::Numbers));
                }
                there += 1;
                last = Some(key);
            }
        }
        match last {
            Some(_) if shows_numbers => Err(Misquoted::Foreign),
            // Of several, nothing says which one is meant.
            Some(key) if there == 1 => Ok((key, Proof::Addresses)),
            _ => Err(Misquoted::Nobody),
        }
    }

    /// The groups whose packets go to `remote` in that way.
    pub(crate) fn groups_to(&self, channel: Channel, remote: SocketAddr) -> Vec<GroupKey> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            keys.extend(shard.groups_to(channel, remote).map(|(key, _)| key));
        }
        keys
    }
}

impl Shard {
    /// The groups here whose packets go to `remote` in that way. Native ESP knows no ports, nor does an
    /// error of our own system, whose port is 0.
    fn groups_to(
        &self,
        channel: Channel,
        remote: SocketAddr,
    ) -> impl Iterator<Item = (GroupKey, &Group)> {
        let to = move |group: &Group| {
            let of_kind = match channel {
                Channel::Esp => group.outbound.iter().any(|outbound| outbound.native),
                _ => group.path.channel == channel,
            };
            let at = group.path.remote;
            let portless = channel == Channel::Esp || remote.port() == 0;
            of_kind && at.ip() == remote.ip() && (portless || at.port() == remote.port())
        };
        self.groups
            .iter()
            .filter(move |(_, group)| to(group))
            .map(|(key, group)| (GroupKey(key), group))
    }

    fn has_sent(&self, key: GroupKey, group: &Group, channel: Channel, quote: &[u8]) -> bool {
        match channel {
            Channel::L2tp => self.has_sent_l2tp(key, quote),
            _ => group.has_sent_esp(channel == Channel::Esp, quote),
        }
    }

    fn has_sent_l2tp(&self, key: GroupKey, quote: &[u8]) -> bool {
        let Some(ids) = quote.get(L2TP_IDS) else {
            return false;
        };
        self.sessions.values().any(|record| {
            let own = [record.remote_tunnel, record.remote_session].map(u16::to_be_bytes);
            record.group == key && ids == own.concat()
        })
    }
}

impl Group {
    fn has_sent_esp(&self, native: bool, quote: &[u8]) -> bool {
        let number = |at: Range<usize>| {
            let bytes = quote.get(at)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes))
        };
        let spi = number(0..SPI_LEN);
        let sequence = number(SPI_LEN..ESP_HEADER_LEN);
        self.outbound.iter().any(|outbound| {
            outbound.native == native
                && Some(outbound.sa.spi()) == spi
                && sequence.is_none_or(|sequence| outbound.sa.has_sent(sequence))
        })
    }
}

/// Whether a quote reaches as far as the numbers that tell the packet's sender.
fn shows_numbers(channel: Channel, quote: &[u8]) -> bool {
    match channel {
        Channel::L2tp => quote.len() >= L2TP_IDS.end,
        _ => quote.len() >= SPI_LEN,
    }
}
