//! CCP (RFC 1962) as clients try it: what they ask for is sent, everything that a peer asks for is
//! rejected, and it never comes to anything.

use adit_wire::Writer;

use crate::automaton::{Context, Judgement, Protocol};
use crate::error::Failure;
use crate::option::Opt;

#[derive(Debug)]
pub(crate) struct Ccp {
    options: &'static [u8],
    magic: u32,
}

impl Ccp {
    /// `options` of the Configure-Request; `magic` is LCP's.
    pub(crate) fn new(options: &'static [u8], magic: u32) -> Self {
        Self { options, magic }
    }
}

impl Protocol for Ccp {
    const NUMBER: u16 = crate::protocol::CCP;
    const NAME: &'static str = "CCP";
    const NEEDS_NAKED: bool = false;
    const REPEATS: bool = false;

    fn request(&self, to: &mut Writer) {
        to.bytes(self.options);
    }

    fn judge(&mut self, judgement: &mut Judgement<'_>, _: &mut Context<'_>) -> Result<(), Failure> {
        for option in judgement.options() {
            judgement.reject(option);
        }
        Ok(())
    }

    fn accept(&mut self, _: &[Opt<'_>]) {}

    fn naked(&mut self, _: &[Opt<'_>], _: &mut Context<'_>) -> Result<(), Failure> {
        Err(Failure::NoCompression)
    }

    fn rejected(&mut self, _: &[Opt<'_>]) -> Result<(), Failure> {
        Err(Failure::NoCompression)
    }

    /// As Windows ends it: magic number, a fixed word, RAS error 732.
    fn farewell(&self) -> Vec<u8> {
        let mut data = Writer::new();
        data.u32(self.magic).u32(super::RAS_WORD).u32(732);
        data.into_vec()
    }
}
