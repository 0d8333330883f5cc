//! A packet of a batch.

use adit_crypto::{
    EspKeys, Kernel, MacParts, MalformedPacket, PacketMac, SealParts, ToAuthenticate, ToSeal,
    authenticate_batch,
};

/// A packet and its keys.
pub struct Packet<'a> {
    pub keys: &'a EspKeys,
    pub bytes: Vec<u8>,
    pub counter: u64,
    pub mac: Option<PacketMac>,
}

impl ToSeal for Packet<'_> {
    fn parts(&mut self) -> Option<SealParts<'_>> {
        Some(SealParts {
            keys: self.keys,
            packet: &mut self.bytes,
            iv_counter: self.counter,
            high: None,
        })
    }

    fn refuse(&mut self, error: MalformedPacket) {
        unreachable!("{error}")
    }
}

impl ToAuthenticate for Packet<'_> {
    fn parts(&mut self) -> Option<MacParts<'_>> {
        Some(MacParts {
            keys: self.keys,
            packet: &self.bytes,
            high: None,
            mac: &mut self.mac,
        })
    }
}

/// Opens all packets, which must be authentic.
pub fn open_batch(kernel: Kernel, packets: &mut [Packet<'_>]) {
    authenticate_batch(kernel, packets);
    for packet in packets {
        let mac = packet.mac.take();
        let keys = packet.keys;
        let opened = keys.verify_and_decrypt_with(&mut packet.bytes, None, mac.as_ref());
        assert!(opened.is_ok());
    }
}
