//! Many packets at once. A CBC encryption and a hash are chains of steps that each wait for the one
//! before, so one packet leaves most of a processor idle; here the chains of several packets run
//! side by side, each in a lane of vector registers, and a lane whose packet ends takes the next.
//!
//! Holds AES-CBC (RFC 3602) and HMAC with SHA-1 and SHA2-256 (RFC 2404, RFC 4868) for x86-64. It is
//! the only code of this crate with `unsafe`, and only behind a [`Kernel`], which exists for a level
//! of instructions only once they were found, but for [`prefetch`], which every processor has. Everything
//! it does, the one-packet code does too: it must never give another result, nor branch on a secret.

#[cfg(not(target_arch = "x86_64"))]
mod none;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(not(target_arch = "x86_64"))]
use self::none::load_ahead;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use self::none::{LaneKeys, Lanes, PacketJob};
#[cfg(target_arch = "x86_64")]
use self::x86::load_ahead;
#[cfg(target_arch = "x86_64")]
pub(crate) use self::x86::{LaneKeys, Lanes, PacketJob};

use std::sync::OnceLock;

/// Bytes that a processor loads at once.
const LINE: usize = 64;

/// Asks the processor to load what is soon needed, without waiting for it. So many things can be on
/// their way from memory at the same time. Changes nothing, and does nothing where it is not known how.
pub fn prefetch<T>(value: &T) {
    let start = std::ptr::from_ref(value).addr() % LINE;
    for offset in (0..start + size_of::<T>()).step_by(LINE) {
        load_ahead(value, offset.wrapping_sub(start));
    }
}

/// A block of AES.
pub(crate) type Block = [u8; 16];

/// Instructions to work with, found on this machine. [`best`](Self::best) is the one to use;
/// [`all`](Self::all) is for tests and benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel(Option<Lanes>);

impl Kernel {
    /// The one-packet code, which is there on every machine.
    pub const PORTABLE: Self = Self(None);

    /// The fastest of this machine.
    pub fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| Self::all().last().unwrap_or(Self::PORTABLE))
    }

    /// All of this machine, the fastest last.
    pub fn all() -> impl Iterator<Item = Self> {
        let lanes = Lanes::found().map(|lanes| Self(Some(lanes)));
        std::iter::once(Self::PORTABLE).chain(lanes)
    }

    /// The name in benchmarks.
    pub fn name(self) -> &'static str {
        self.0.map_or("one packet at a time", Lanes::name)
    }

    /// The lanes that it has; none without instructions for them.
    pub(crate) fn lanes(self) -> Option<Lanes> {
        self.0
    }
}

#[cfg(test)]
mod tests;
