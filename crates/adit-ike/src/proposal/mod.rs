//! Choosing among proposals and making our own: phase 1 (RFC 2409 Appendix A) and ESP (RFC 2407
//! section 4.5). A responder takes the first of its own choices that is offered and echoes that
//! transform exactly as it came. DES and NULL have no name here, so they cannot be chosen.

pub(crate) mod esp;
pub(crate) mod phase1;

#[cfg(test)]
mod tests;

use std::time::Duration;

use adit_wire::{LengthTooLarge, Writer};

use crate::codec::{self, Attribute, Proposal};
use crate::manner::DurationFormat;

/// Most offered choices that a refusal names.
const MAX_TEXTS: usize = 24;

/// Class numbers of one phase for a lifetime's type and duration.
struct LifeClasses {
    kind: u16,
    duration: u16,
}

const LIFE_SECONDS: u16 = 1;
const LIFE_KILOBYTES: u16 = 2;

/// Lifetimes as attributes state them: each duration follows its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) seconds: Option<u64>,
    pub(crate) kilobytes: Option<u64>,
    kind: Option<u64>,
}

impl Life {
    /// Takes an attribute if it is about lifetimes.
    fn take(&mut self, classes: &LifeClasses, attribute: &Attribute<'_>) -> bool {
        if attribute.kind == classes.kind {
            self.kind = attribute.number();
            return true;
        }
        if attribute.kind != classes.duration {
            return false;
        }
        match self.kind.take() {
            Some(kind) if kind == u64::from(LIFE_SECONDS) => self.seconds = attribute.number(),
            Some(kind) if kind == u64::from(LIFE_KILOBYTES) => self.kilobytes = attribute.number(),
            _ => {}
        }
        true
    }

    /// The time, if it was stated.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs)
    }
}

/// Writes a lifetime: its type, and behind it the duration.
fn put_life(
    writer: &mut Writer,
    classes: &LifeClasses,
    (kind, amount): (u16, u64),
    format: DurationFormat,
) -> Result<(), LengthTooLarge> {
    codec::put_tv(writer, classes.kind, kind);
    if let (DurationFormat::Short, Ok(amount)) = (format, u16::try_from(amount)) {
        codec::put_tv(writer, classes.duration, amount);
        return Ok(());
    }
    let amount = u32::try_from(amount).unwrap_or(u32::MAX);
    codec::put_tlv(writer, classes.duration, &amount.to_be_bytes())
}

/// Sets a number once; a second value makes the transform strange.
fn once(slot: &mut Option<u64>, attribute: &Attribute<'_>, strange: &mut bool) {
    let value = attribute.number();
    *strange |= slot.is_some() || value.is_none();
    *slot = value;
}

/// Proposals of one number are to be used together, as AH with ESP: such bundles are not chosen.
fn is_alone(proposals: &[Proposal<'_>], proposal: &Proposal<'_>) -> bool {
    proposals
        .iter()
        .filter(|other| other.number == proposal.number)
        .count()
        == 1
}

/// Adds a text once, up to the limit.
fn add_text(texts: &mut Vec<String>, text: String) {
    if texts.len() < MAX_TEXTS && !texts.contains(&text) {
        texts.push(text);
    }
}
