//! The peer's side. It is satisfied by the server's Finished with TLS 1.2, and by the byte that says
//! it is accepted with TLS 1.3 (RFC 9190 2.5); a Success before that is not believed.

use std::io::Read;

use rustls::{Connection, ProtocolVersion};

use super::fragments::{Fragment, Incoming, NOTHING, Outgoing};
use super::{feed, flight};
use crate::error::Error;
use crate::tls::{TlsClient, TlsFailure};

/// The method.
pub(in super::super) struct Client {
    connection: Connection,
    incoming: Incoming,
    outgoing: Outgoing,
    accepted: bool,
    failure: Option<TlsFailure>,
}

impl Client {
    /// Before the first request.
    pub(in super::super) fn new(config: &TlsClient) -> Result<Self, TlsFailure> {
        Ok(Self {
            connection: Connection::Client(config.connect()?),
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            accepted: false,
            failure: None,
        })
    }

    /// Whether the server has proven itself and said that we may come in.
    pub(in super::super) fn is_satisfied(&self) -> bool {
        self.accepted
    }

    /// Why it failed here, if it did.
    pub(in super::super) fn failure(&self) -> Option<&TlsFailure> {
        self.failure.as_ref()
    }

    /// Whether a request begins it, which a running one does not do.
    pub(in super::super) fn is_start(data: &[u8]) -> bool {
        Fragment::read(data).is_ok_and(|fragment| fragment.start)
    }

    /// The type data of a Request, from a server that takes packets of `room` bytes, and of the answer;
    /// `None` if they do not fit.
    pub(in super::super) fn handle(
        &mut self,
        data: &[u8],
        room: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let fragment = Fragment::read(data)?;
        if fragment.start {
            return Ok(Some(self.say(room)));
        }
        if !self.outgoing.is_done() {
            return Ok(fragment.is_empty().then(|| self.outgoing.next(room)));
        }
        if fragment.is_empty() || self.failure.is_some() {
            return Ok(None);
        }
        let result = match self.incoming.take(&fragment) {
            Ok(None) => return Ok(Some(NOTHING.to_vec())),
            Ok(Some(records)) => feed(&mut self.connection, &records),
            Err(failure) => Err(failure),
        };
        match result {
            Ok(()) => self.accepted |= self.hears_acceptance(),
            Err(failure) => self.failure = Some(failure),
        }
        Ok(Some(self.say(room)))
    }

    fn hears_acceptance(&mut self) -> bool {
        if self.connection.is_handshaking() {
            return false;
        }
        if self.connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return true;
        }
        let mut said = [0xff; 2];
        matches!(self.connection.reader().read(&mut said), Ok(1)) && said == [0, 0xff]
    }

    /// The next flight, an alert, or an acknowledgement.
    fn say(&mut self, room: usize) -> Vec<u8> {
        self.outgoing = Outgoing::new(flight(&mut self.connection));
        self.outgoing.next(room)
    }
}
