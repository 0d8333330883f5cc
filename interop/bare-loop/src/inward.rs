//! From UDP to TUN: what one read of the socket brought is verified, decrypted in place, and written
//! with the segments of each stream together.

use std::io::IoSlice;

use adit_crypto::{EspKeys, Kernel, MacParts, PacketMac, ToAuthenticate, authenticate_batch};
use adit_wire::offload::Coalescer;

/// Packets on their way in.
pub(crate) struct Inward {
    keys: EspKeys,
    coalescer: Coalescer,
}

struct Opening<'a> {
    keys: &'a EspKeys,
    packet: &'a mut [u8],
    mac: Option<PacketMac>,
}

impl Inward {
    pub(crate) fn new(keys: EspKeys) -> Self {
        Self {
            keys,
            coalescer: Coalescer::new(),
        }
    }

    /// Opens packets and gives them to `write`, as [`Coalescer::coalesce`] does. Returns how many
    /// were not sealed under these keys.
    pub(crate) fn open<'a>(
        &mut self,
        packets: impl Iterator<Item = &'a mut [u8]>,
        write: impl FnMut(&[IoSlice<'_>], usize),
    ) -> usize {
        let keys = &self.keys;
        let opening = |packet| Opening {
            keys,
            packet,
            mac: None,
        };
        let mut packets: Vec<_> = packets.map(opening).collect();
        authenticate_batch(Kernel::best(), &mut packets);
        let opened: Vec<_> = packets.iter_mut().filter_map(Opening::open).collect();
        self.coalescer.coalesce(&opened, write);
        let count = opened.len();
        packets.len() - count
    }
}

impl Opening<'_> {
    /// What is inside.
    fn open(&mut self) -> Option<&[u8]> {
        let mac = self.mac.take();
        let opened = self
            .keys
            .verify_and_decrypt_with(self.packet, None, mac.as_ref());
        let [payload @ .., padding, _next_header] = self.packet.get(opened.ok()?)? else {
            return None;
        };
        payload.get(..payload.len().checked_sub((*padding).into())?)
    }
}

impl ToAuthenticate for Opening<'_> {
    fn parts(&mut self) -> Option<MacParts<'_>> {
        Some(MacParts {
            keys: self.keys,
            packet: self.packet,
            high: None,
            mac: &mut self.mac,
        })
    }
}
