//! Processors that there are no lanes for: none of these types has a value.

use std::convert::Infallible;

use super::Block;
use crate::Hash;

/// Lanes that there are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lanes {}

/// Keys that there are not.
pub(crate) struct LaneKeys(Infallible);

/// Loads nothing.
pub(super) fn load_ahead<T>(_value: &T, _offset: usize) {}

/// A text for no lane.
pub(crate) struct CbcJob<'a>(Infallible, std::marker::PhantomData<&'a mut [u8]>);

/// A message for no lane.
pub(crate) struct MacJob<'a>(Infallible, std::marker::PhantomData<&'a mut [u8]>);

/// A packet for no lane.
pub(crate) struct PacketJob<'a>(Infallible, std::marker::PhantomData<&'a mut [u8]>);

impl Lanes {
    pub(crate) fn found() -> impl Iterator<Item = Self> {
        std::iter::empty()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {}
    }

    pub(crate) fn worth_hmac(self, _hash: Hash, _count: usize) -> bool {
        match self {}
    }

    pub(crate) fn worth_one_pass(self, _count: usize) -> usize {
        match self {}
    }

    pub(crate) fn seal<'a>(
        self,
        _rounds: usize,
        _hash: Hash,
        _count: usize,
        _jobs: impl Iterator<Item = PacketJob<'a>>,
    ) {
        match self {}
    }

    pub(crate) fn cbc_encrypt<'a>(
        self,
        _rounds: usize,
        _count: usize,
        _jobs: impl Iterator<Item = CbcJob<'a>>,
    ) {
        match self {}
    }

    pub(crate) fn cbc_decrypt(self, keys: &LaneKeys, _iv: &Block, _text: &mut [Block]) {
        match keys.0 {}
    }

    pub(crate) fn hmac<'a>(
        self,
        _hash: Hash,
        _count: usize,
        _jobs: impl Iterator<Item = MacJob<'a>>,
    ) {
        match self {}
    }
}

impl LaneKeys {
    pub(crate) fn new(_cipher_key: &[u8], _hash: Hash, _mac_key: &[u8]) -> Option<Self> {
        None
    }

    pub(crate) fn rounds(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn cbc_job<'a>(&'a self, _iv: Block, _text: &'a mut [Block]) -> CbcJob<'a> {
        match self.0 {}
    }

    pub(crate) fn mac_job<'a>(
        &'a self,
        _data: &'a [u8],
        _suffix: Option<[u8; 4]>,
        _mac: &'a mut [u8],
    ) -> Option<MacJob<'a>> {
        match self.0 {}
    }

    pub(crate) fn packet_job<'a>(
        &'a self,
        _packet: &'a mut [u8],
        _suffix: Option<[u8; 4]>,
        _mac: &'a mut [u8],
    ) -> Option<PacketJob<'a>> {
        match self.0 {}
    }
}
