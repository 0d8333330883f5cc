//! Several packets that are worked on in step, one in each lane.

use std::marker::PhantomData;

/// Two places in the packets of L lanes, which move on by 64 bytes at a time. That no packet ends
/// before is checked once for all lanes, so that a kernel has no branch for each of them.
pub(super) struct Rows<'a, const L: usize> {
    starts: [*mut u8; L],
    len: usize,
    packets: PhantomData<&'a mut [u8]>,
    hashed: usize,
    text: usize,
    left: usize,
}

impl<'a, const L: usize> Rows<'a, L> {
    /// Lanes without a packet all have `spare`, where they read and write what means nothing. The
    /// places are `hashed` and `text`, for `steps` times 64 bytes.
    pub(super) fn new(
        packets: impl IntoIterator<Item = &'a mut [u8]>,
        spare: &'a mut [u8],
        hashed: usize,
        text: usize,
        steps: usize,
    ) -> Self {
        let mut starts = [spare.as_mut_ptr(); L];
        let mut len = usize::MAX;
        let mut taken = 0;
        for (start, packet) in starts.iter_mut().zip(packets) {
            *start = packet.as_mut_ptr();
            len = len.min(packet.len());
            taken += 1;
        }
        if taken < L {
            len = len.min(spare.len());
        }
        Self {
            starts,
            len,
            packets: PhantomData,
            hashed,
            text,
            left: steps,
        }
    }

    /// The next 64 bytes at both places; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Step<'_, L>> {
        self.left = self.left.checked_sub(1)?;
        let (hashed, text) = (self.hashed, self.text);
        self.hashed = hashed.checked_add(64)?;
        self.text = text.checked_add(64)?;
        (self.hashed.max(self.text) <= self.len).then_some(Step {
            starts: &self.starts,
            hashed,
            text,
        })
    }
}

/// 64 bytes of every lane at both places.
pub(super) struct Step<'a, const L: usize> {
    starts: &'a [*mut u8; L],
    hashed: usize,
    text: usize,
}

impl<const L: usize> Step<'_, L> {
    #[inline]
    pub(super) fn hashed(&self, lane: usize) -> &[u8; 64] {
        // SAFETY: `Rows::next` made this step, so every lane has 64 bytes from there on, out of a slice
        // that `Rows` has alone for as long as the step borrows it. What `text` gives borrows the step,
        // so there is none while this reference lives.
        unsafe { &*self.starts[lane].add(self.hashed).cast() }
    }

    #[inline]
    pub(super) fn text(&mut self, lane: usize) -> &mut [u8; 64] {
        // SAFETY: as for `hashed`; lanes that share a slice are reached through this step only, which
        // gives out one reference at a time.
        unsafe { &mut *self.starts[lane].add(self.text).cast() }
    }
}
