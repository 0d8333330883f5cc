//! One packet with room before and after it.

use std::ops::Range;

/// A header or trailer does not fit into the room that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room in the packet buffer: {needed} bytes needed, {left} left")]
pub struct NoRoom {
    /// Bytes asked for.
    pub needed: usize,
    /// Bytes there were.
    pub left: usize,
}

/// A packet inside a larger allocation. Layers prepend headers into the headroom and append
/// trailers into the tailroom; on the way in they narrow the packet instead. Nothing is copied.
///
/// Packets may also be made [one behind the other](Self::go_behind) in one allocation.
#[derive(Clone)]
pub struct PacketBuf {
    storage: Box<[u8]>,
    /// Where the packets before this one end.
    floor: usize,
    start: usize,
    end: usize,
}

impl PacketBuf {
    /// An empty packet that can hold `headroom` bytes before and `room` bytes from its start on.
    pub fn with_capacity(headroom: usize, room: usize) -> Self {
        Self {
            storage: vec![0; headroom.saturating_add(room)].into_boxed_slice(),
            floor: 0,
            start: headroom,
            end: headroom,
        }
    }

    /// A packet that holds a copy of `payload` with `headroom` before and `tailroom` after it.
    pub fn from_slice(headroom: usize, payload: &[u8], tailroom: usize) -> Self {
        let mut buf = Self::with_capacity(headroom, payload.len().saturating_add(tailroom));
        buf.end = buf.start.saturating_add(payload.len());
        buf.as_mut_slice().copy_from_slice(payload);
        buf
    }

    /// Empties the packet and moves its start to `headroom`, to use the allocation again.
    pub fn reset(&mut self, headroom: usize) {
        self.floor = 0;
        self.start = headroom.min(self.storage.len());
        self.end = self.start;
    }

    /// Begins another packet behind this one, which stays in its [`place`](Self::place), with
    /// `headroom` between them.
    pub fn go_behind(&mut self, headroom: usize) {
        self.floor = self.end;
        self.start = self.end.saturating_add(headroom).min(self.storage.len());
        self.end = self.start;
    }

    /// Where the packet is in the allocation.
    pub fn place(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The whole allocation, by which packets are found in their places.
    pub fn storage(&self) -> &[u8] {
        &self.storage
    }

    /// The same, to be changed.
    pub fn storage_mut(&mut self) -> &mut [u8] {
        &mut self.storage
    }

    /// The packet.
    pub fn as_slice(&self) -> &[u8] {
        self.storage.get(self.start..self.end).unwrap_or_default()
    }

    /// The packet, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.storage
            .get_mut(self.start..self.end)
            .unwrap_or_default()
    }

    /// Length of the packet.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether the packet is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes free before the packet.
    pub fn headroom(&self) -> usize {
        self.start.saturating_sub(self.floor)
    }

    /// Bytes free after the packet.
    pub fn tailroom(&self) -> usize {
        self.storage.len().saturating_sub(self.end)
    }

    /// Grows the packet by `n` bytes at its front and returns them, with whatever they held.
    pub fn prepend(&mut self, n: usize) -> Result<&mut [u8], NoRoom> {
        let left = self.headroom();
        if n > left {
            return Err(NoRoom { needed: n, left });
        }
        let start = self.start.saturating_sub(n);
        self.start = start;
        Ok(self.storage.get_mut(start..start + n).unwrap_or_default())
    }

    /// Grows the packet by `n` bytes at its end and returns them, with whatever they held.
    pub fn append(&mut self, n: usize) -> Result<&mut [u8], NoRoom> {
        let left = self.tailroom();
        if n > left {
            return Err(NoRoom { needed: n, left });
        }
        let from = self.end;
        self.end = from + n;
        Ok(self.storage.get_mut(from..from + n).unwrap_or_default())
    }

    /// All of the room from the packet's start on, for a reader such as `recv` to fill; tell how
    /// much it filled with [`set_len`](Self::set_len).
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.storage.get_mut(self.start..).unwrap_or_default()
    }

    /// Sets the packet's length, at most the room there is.
    pub fn set_len(&mut self, len: usize) {
        self.end = self.start.saturating_add(len).min(self.storage.len());
    }

    /// Narrows the packet to `range` of itself; a range past its end gives an empty packet.
    pub fn narrow(&mut self, range: Range<usize>) {
        let end = self.start.saturating_add(range.end).min(self.end);
        self.start = self.start.saturating_add(range.start).min(end);
        self.end = end;
    }
}

impl std::fmt::Debug for PacketBuf {
    // The bytes may be a user's clear traffic, so only the shape is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketBuf")
            .field("headroom", &self.headroom())
            .field("len", &self.len())
            .field("tailroom", &self.tailroom())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_trailers_grow_in_place() {
        let mut buf = PacketBuf::from_slice(4, b"body", 2);
        buf.prepend(2).unwrap().copy_from_slice(b"h:");
        buf.append(2).unwrap().copy_from_slice(b":t");
        assert_eq!(buf.as_slice(), b"h:body:t");
        assert_eq!((buf.headroom(), buf.tailroom()), (2, 0));
        assert_eq!(buf.append(1), Err(NoRoom { needed: 1, left: 0 }));
        assert_eq!(buf.prepend(3), Err(NoRoom { needed: 3, left: 2 }));
    }

    #[test]
    fn packets_one_behind_the_other_leave_each_other_alone() {
        let mut buf = PacketBuf::with_capacity(2, 10);
        for (payload, place) in [(b"ab", 0..5), (b"cd", 5..10)] {
            buf.set_len(2);
            buf.as_mut_slice().copy_from_slice(payload);
            buf.prepend(2).unwrap().copy_from_slice(b"h:");
            buf.append(1).unwrap().copy_from_slice(b".");
            assert_eq!(buf.prepend(1), Err(NoRoom { needed: 1, left: 0 }));
            assert_eq!(buf.place(), place);
            buf.go_behind(2);
        }
        assert_eq!((buf.headroom(), buf.len(), buf.tailroom()), (2, 0, 0));
        buf.go_behind(9);
        assert_eq!((buf.headroom(), buf.tailroom()), (0, 0));
        assert_eq!(&buf.storage()[..10], b"h:ab.h:cd.");
        buf.reset(3);
        assert_eq!(buf.headroom(), 3);
    }

    #[test]
    fn narrowing_never_leaves_the_packet() {
        let mut buf = PacketBuf::from_slice(1, b"abcdef", 1);
        buf.narrow(2..4);
        assert_eq!(buf.as_slice(), b"cd");
        buf.narrow(1..9);
        assert_eq!(buf.as_slice(), b"d");
        buf.narrow(5..9);
        assert!(buf.is_empty());
    }
}
