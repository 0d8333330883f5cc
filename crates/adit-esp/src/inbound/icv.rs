//! The keys of the receiving side, and how long the ICV under them is. Android kernels up to 7 cut
//! HMAC-SHA2-256 at 96 bits where 128 were negotiated, so the first packets decide.
//!
//! An ICV cut by somebody on the way cannot be told from one that the peer cut, but only the peer
//! can make one of 128 bits. So 96 bits are believed until a packet of the peer verifies at 128,
//! and that is final: forgeries decide nothing, and whoever cuts real packets is found out by the
//! next one that he misses, or by the original of what he cut.

use std::ops::Range;

use adit_crypto::{EspKeys, EspSuite, PacketMac, VerifyError};

#[derive(Debug)]
pub(super) struct InboundKeys {
    keys: EspKeys,
    /// Whether the sequence numbers are extended ones.
    pub(super) extended: bool,
    /// What was negotiated, as long as the peer may turn out to cut its ICV.
    open: Option<EspSuite>,
}

impl InboundKeys {
    pub(super) fn new(keys: EspKeys) -> Self {
        let suite = keys.suite();
        Self {
            keys,
            extended: false,
            open: suite.cut_at_96().map(|_| suite),
        }
    }

    pub(super) fn suite(&self) -> EspSuite {
        self.keys.suite()
    }

    pub(super) fn prefetch(&self) {
        self.keys.prefetch();
    }

    /// Whether a MAC under these keys can be computed together with others.
    pub(super) fn has_lanes(&self) -> bool {
        self.keys.has_lanes()
    }

    /// The keys that a packet of this length would be verified with: no length is possible for
    /// both ICVs.
    pub(super) fn expected(&self, len: usize) -> EspKeys {
        let mut keys = self.keys.clone();
        if let Some(full) = self.open
            && !keys.suite().is_packet_len(len)
        {
            let cut = full.cut_at_96().unwrap_or(full);
            keys.set_suite(if keys.suite() == full { cut } else { full });
        }
        keys
    }

    /// The upper half of an extended sequence number.
    pub(super) fn high(&self, sequence: u64) -> Option<u32> {
        // cast: the upper half
        self.extended.then_some((sequence >> 32) as u32)
    }

    /// Verifies and decrypts a packet of this number, at either length while that is open. Its MAC
    /// may have been computed.
    pub(super) fn verify(
        &mut self,
        packet: &mut [u8],
        sequence: u64,
        computed: Option<&PacketMac>,
    ) -> Result<Range<usize>, VerifyError> {
        let verified = self.verify_as_it_is(packet, sequence, computed);
        let Some((full, cut)) = self.open.and_then(|full| Some((full, full.cut_at_96()?))) else {
            return verified;
        };
        let believed = self.keys.suite();
        let verified = match verified {
            // No length is possible for both, so this costs no second MAC.
            Err(VerifyError::Malformed(_)) => {
                self.keys
                    .set_suite(if believed == full { cut } else { full });
                self.verify_as_it_is(packet, sequence, computed)
                    .inspect_err(|_| self.keys.set_suite(believed))
            }
            verified => verified,
        };
        if verified.is_ok() && self.keys.suite() == full {
            self.open = None;
        }
        verified
    }

    /// Looks at a packet that is too late for anything else: the original of one that was cut.
    pub(super) fn reconsider(&mut self, packet: &mut [u8], sequence: u64) {
        let believed = self.keys.suite();
        if let Some(full) = self.open.filter(|full| *full != believed) {
            self.keys.set_suite(full);
            match self.verify_as_it_is(packet, sequence, None) {
                Ok(_) => self.open = None,
                Err(_) => self.keys.set_suite(believed),
            }
        }
    }

    fn verify_as_it_is(
        &self,
        packet: &mut [u8],
        sequence: u64,
        computed: Option<&PacketMac>,
    ) -> Result<Range<usize>, VerifyError> {
        self.keys
            .verify_and_decrypt_with(packet, self.high(sequence), computed)
    }
}
