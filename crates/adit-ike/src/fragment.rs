//! Messages in fragments: cutting ours for a peer that announced that it takes them, and putting
//! together the peer's, whether or not it was told that we do.
//!
//! Fragments are authenticated by nothing but the message that they make, so anyone who has seen
//! the cookies can forge one. What is kept is bounded for each SA in number, bytes and time, a
//! forgery never ends anything, and the newest fragment is believed: one with another ID, or one
//! that contradicts what is there, starts the message anew. So a forgery spoils at most the copy of
//! the message that it was mixed into and the next one, which completes it. Only somebody who wins
//! the race against repetition after repetition could keep the exchange from going on.
//!
//! Nothing is put together for cookies that nobody holds: a first message can be in fragments only
//! if its sender knew already that we take them, and no client does that.

use std::time::{Duration, Instant};

use adit_wire::{Channel, Path};

use crate::codec::{FRAGMENT_HEADER_LEN, Fragment, FragmentError, Header, parse_header};
use crate::retransmit::fingerprint;

/// Most fragments of one message.
pub(crate) const MAX_FRAGMENTS: u8 = 64;

/// The longest message that is put together. Three certificate chains of 10 KB fit.
pub(crate) const MAX_MESSAGE: usize = 32 * 1024;

/// How long fragments wait for the others: longer than any peer's pause before a repetition.
const LIFETIME: Duration = Duration::from_secs(30);

/// The smallest IP packet that is cut for (RFC 791 section 3.1); less would be many fragments.
const SMALLEST_PACKET: usize = 576;

/// What tells the fragments of one message from those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    responder_cookie: [u8; 8],
    exchange: u8,
    message_id: u32,
    id: u16,
}

#[derive(Clone, Debug)]
struct Piece {
    number: u8,
    data: Vec<u8>,
    /// Came since the message was last complete.
    fresh: bool,
}

/// The message of a peer that is being put together. A complete one is kept as well, so that the
/// fragments of a repetition are known and the message comes out again.
#[derive(Clone, Debug)]
pub(crate) struct Reassembly {
    key: Key,
    deadline: Instant,
    /// In the order of their numbers.
    pieces: Vec<Piece>,
    last: Option<u8>,
}

impl Reassembly {
    fn new(key: Key, now: Instant) -> Self {
        Self {
            key,
            deadline: now + LIFETIME,
            pieces: Vec::new(),
            last: None,
        }
    }

    /// When it is to be forgotten.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether a fragment fits to what is there.
    fn check(&self, fragment: &Fragment<'_>) -> Result<(), FragmentError> {
        let number = fragment.number;
        let known = self.pieces.iter().find(|piece| piece.number == number);
        if known.is_some_and(|piece| piece.data != fragment.data) {
            return Err(FragmentError::Conflict(number));
        }
        let highest = self.pieces.last().map_or(0, |piece| piece.number);
        let fits = match self.last {
            Some(last) => number <= last && fragment.last == (number == last),
            None => !fragment.last || number >= highest,
        };
        if !fits {
            return Err(FragmentError::PastLast(number));
        }
        let new = if known.is_some() {
            0
        } else {
            fragment.data.len()
        };
        let total = self.len().saturating_add(new);
        if total > MAX_MESSAGE {
            return Err(FragmentError::TooLong(total));
        }
        Ok(())
    }

    fn add(&mut self, fragment: &Fragment<'_>) {
        if fragment.last {
            self.last = Some(fragment.number);
        }
        let found = self
            .pieces
            .binary_search_by_key(&fragment.number, |piece| piece.number);
        match found {
            Ok(at) => {
                if let Some(piece) = self.pieces.get_mut(at) {
                    piece.fresh = true;
                }
            }
            Err(at) => self.pieces.insert(
                at,
                Piece {
                    number: fragment.number,
                    data: fragment.data.to_vec(),
                    fresh: true,
                },
            ),
        }
    }

    fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.data.len()).sum()
    }

    /// The message, each time that all of it has come.
    fn take(&mut self) -> Option<Vec<u8>> {
        let complete = self.last.map(usize::from) == Some(self.pieces.len())
            && self.pieces.iter().all(|piece| piece.fresh);
        if !complete {
            return None;
        }
        let mut message = Vec::with_capacity(self.len());
        for piece in &mut self.pieces {
            piece.fresh = false;
            message.extend_from_slice(&piece.data);
        }
        Some(message)
    }
}

/// Takes a fragment, and gives the message when it is complete. An error is told also where the
/// fragment is kept and what it contradicts is forgotten.
pub(crate) fn take(
    slot: &mut Option<Reassembly>,
    header: &Header,
    message: &[u8],
    now: Instant,
) -> Result<Option<Vec<u8>>, FragmentError> {
    let fragment = Fragment::parse(header, message)?;
    if fragment.number > MAX_FRAGMENTS {
        return Err(FragmentError::TooMany(fragment.number));
    }
    let key = Key {
        responder_cookie: header.responder_cookie,
        exchange: header.exchange,
        message_id: header.message_id,
        id: fragment.id,
    };
    let continued = slot
        .take()
        .filter(|old| old.key == key && now < old.deadline);
    let mut reassembly = continued.unwrap_or_else(|| Reassembly::new(key, now));
    let verdict = reassembly.check(&fragment);
    match verdict {
        Ok(()) => {}
        // Nothing of it is of use, and its peer will say it again.
        Err(FragmentError::TooLong(_)) => return verdict.map(|()| None),
        Err(_) => reassembly = Reassembly::new(key, now),
    }
    reassembly.add(&fragment);
    let whole = verdict.map(|()| reassembly.take());
    *slot = Some(reassembly);
    whole
}

/// The bytes of a message that an IP packet of `packet` bytes on this path holds.
pub(crate) fn room(path: Path, packet: u16) -> usize {
    let ip = if path.remote.is_ipv6() { 40 } else { 20 };
    let udp = 8;
    // The non-ESP marker (RFC 3948 2.2).
    let marker = if path.channel == Channel::NatT { 4 } else { 0 };
    usize::from(packet).max(SMALLEST_PACKET) - ip - udp - marker
}

/// Cuts a message into messages of at most `room` bytes; `None` if it needs more fragments than
/// can be numbered. The ID comes from the message, so that all repetitions of it have the same
/// and its fragments complete each other.
pub(crate) fn cut(message: &[u8], room: usize) -> Option<Vec<Vec<u8>>> {
    let header = parse_header(message).ok()?;
    let size = room
        .checked_sub(FRAGMENT_HEADER_LEN)
        .filter(|size| *size > 0)?;
    let count = u8::try_from(message.len().div_ceil(size)).ok()?;
    let digest = fingerprint(message);
    let id = digest.first_chunk().map_or(1, |id| u16::from_be_bytes(*id));
    let fragments = message.chunks(size).zip(1..=count).map(|(data, number)| {
        Fragment {
            id: id.max(1),
            number,
            last: number == count,
            data,
        }
        .write(&header)
    });
    Some(fragments.collect())
}

#[cfg(test)]
mod tests;
