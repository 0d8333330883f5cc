//! What a protocol tells the automaton about its options.

use adit_wire::Writer;

use super::Context;
use crate::error::Failure;
use crate::option::{self, Opt};
use crate::packet::code;

/// The options of LCP or an NCP.
pub(crate) trait Protocol {
    /// PPP protocol number.
    const NUMBER: u16;
    /// Name for people.
    const NAME: &'static str;
    /// Whether the options that are naked are needed, so that rejecting them instead would lead
    /// nowhere.
    const NEEDS_NAKED: bool;
    /// Whether the peer may begin to listen after our first Configure-Request.
    const REPEATS: bool;

    /// Writes the options of our Configure-Request.
    fn request(&self, to: &mut Writer);
    /// Judges the options of the peer's.
    fn judge(
        &mut self,
        judgement: &mut Judgement<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Failure>;
    /// The peer's options are acknowledged.
    fn accept(&mut self, options: &[Opt<'_>]);
    /// The peer suggests other values for ours, and perhaps options that we did not ask for.
    fn naked(&mut self, options: &[Opt<'_>], context: &mut Context<'_>) -> Result<(), Failure>;
    /// The peer rejects some of ours, which are unchanged.
    fn rejected(&mut self, options: &[Opt<'_>]) -> Result<(), Failure>;
    /// Data of our Terminate-Requests.
    fn farewell(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// The peer's options and what is wrong with them. An option that has been listed before is
/// rejected (RFC 1661 5.1), so a protocol sees each type once.
pub(crate) struct Judgement<'a> {
    options: Vec<Opt<'a>>,
    rejects: Writer,
    naks: Writer,
    naked: Writer,
}

impl<'a> Judgement<'a> {
    pub(super) fn new(options: &[Opt<'a>]) -> Self {
        let mut rejects = Writer::new();
        let mut first: Vec<Opt<'a>> = Vec::new();
        for option in options {
            if first.iter().any(|other| other.kind == option.kind) {
                option::write(&mut rejects, option.kind, option.data);
            } else {
                first.push(*option);
            }
        }
        Self {
            options: first,
            rejects,
            naks: Writer::new(),
            naked: Writer::new(),
        }
    }

    /// The options to judge.
    pub(crate) fn options(&self) -> Vec<Opt<'a>> {
        self.options.clone()
    }

    /// This one is unknown or not wanted.
    pub(crate) fn reject(&mut self, option: Opt<'_>) {
        option::write(&mut self.rejects, option.kind, option.data);
    }

    /// This one should have other data.
    pub(crate) fn nak(&mut self, option: Opt<'_>, data: &[u8]) {
        option::write(&mut self.naks, option.kind, data);
        option::write(&mut self.naked, option.kind, option.data);
    }

    /// This one is missing (RFC 1661 5.3 lets a Nak append it).
    pub(crate) fn append(&mut self, kind: u8, data: &[u8]) {
        option::write(&mut self.naks, kind, data);
    }

    /// Code and options of the answer; an Ack repeats the request, which its sender adds.
    pub(super) fn answer(&self) -> (u8, Vec<u8>) {
        if !self.rejects.is_empty() {
            (code::CONFIGURE_REJECT, self.rejects.as_slice().to_vec())
        } else if !self.naks.is_empty() {
            (code::CONFIGURE_NAK, self.naks.as_slice().to_vec())
        } else {
            (code::CONFIGURE_ACK, Vec::new())
        }
    }

    /// The options that are naked, as the peer sent them.
    pub(super) fn naked(&self) -> &[u8] {
        self.naked.as_slice()
    }
}
