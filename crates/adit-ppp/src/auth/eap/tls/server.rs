//! The server's side: a certificate for the owner to judge, then the end of the handshake, or with TLS
//! 1.3 the byte that says it is accepted (RFC 9190 2.5), which the peer has to acknowledge.

use std::io::Write;

use rustls::{Connection, ProtocolVersion};

use super::fragments::{BEGIN, Fragment, Incoming, NOTHING, Outgoing};
use super::{feed, flight};
use crate::config::Network;
use crate::error::Error;
use crate::tls::{TlsFailure, TlsServer};

enum Stage {
    Handshake,
    /// The verdict is awaited.
    Pending,
    /// The last flight is out.
    Accepted(Network),
    /// An alert is out.
    Failed(TlsFailure),
}

/// The method.
pub(in super::super) struct Server {
    connection: Connection,
    incoming: Incoming,
    outgoing: Outgoing,
    stage: Stage,
}

/// What a response means.
pub(in super::super) enum Step {
    /// The peer owns the key of this certificate, in DER, which an authority has issued.
    Judge(Vec<u8>),
    Admit(Network),
    Failed(TlsFailure),
    /// Another request is due.
    Ask(Vec<u8>),
}

impl Server {
    /// The method and the type data of its first request.
    pub(in super::super) fn new(config: &TlsServer) -> Result<(Self, Vec<u8>), TlsFailure> {
        let server = Self {
            connection: Connection::Server(config.connect()?),
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            stage: Stage::Handshake,
        };
        Ok((server, BEGIN.to_vec()))
    }

    /// The type data of a Response, from a peer that takes packets of `room` bytes; `None` if they do
    /// not fit what was asked.
    pub(in super::super) fn handle(
        &mut self,
        data: &[u8],
        room: usize,
    ) -> Result<Option<Step>, Error> {
        let fragment = Fragment::read(data)?;
        if fragment.start {
            return Ok(None);
        }
        if !self.outgoing.is_done() {
            let acknowledged = fragment.is_empty();
            return Ok(acknowledged.then(|| Step::Ask(self.outgoing.next(room))));
        }
        match std::mem::replace(&mut self.stage, Stage::Handshake) {
            Stage::Accepted(network) if fragment.is_empty() => Ok(Some(Step::Admit(network))),
            // An alert instead of the acknowledgement, or anything else.
            Stage::Accepted(_) => Ok(Some(self.taken(&fragment, room))),
            Stage::Failed(failure) => Ok(Some(Step::Failed(failure))),
            Stage::Handshake | Stage::Pending if fragment.is_empty() => {
                let failure = TlsFailure::Handshake("a response without TLS data".to_owned());
                Ok(Some(Step::Failed(failure)))
            }
            Stage::Handshake | Stage::Pending => Ok(Some(self.taken(&fragment, room))),
        }
    }

    fn taken(&mut self, fragment: &Fragment<'_>, room: usize) -> Step {
        let result = match self.incoming.take(fragment) {
            Ok(None) => return Step::Ask(NOTHING.to_vec()),
            Ok(Some(records)) => feed(&mut self.connection, &records),
            Err(failure) => return Step::Failed(failure),
        };
        match result {
            Ok(()) if self.connection.is_handshaking() => Step::Ask(self.say(room)),
            Ok(()) => {
                let chain = self.connection.peer_certificates();
                match chain.and_then(<[_]>::first) {
                    Some(certificate) => {
                        self.stage = Stage::Pending;
                        Step::Judge(certificate.to_vec())
                    }
                    None => Step::Failed(TlsFailure::NoCertificate),
                }
            }
            Err(failure) => match self.say(room) {
                nothing if nothing == NOTHING => Step::Failed(failure),
                // The peer is to read it first (RFC 5216 2.1.3).
                alert => {
                    self.stage = Stage::Failed(failure);
                    Step::Ask(alert)
                }
            },
        }
    }

    fn say(&mut self, room: usize) -> Vec<u8> {
        self.outgoing = Outgoing::new(flight(&mut self.connection));
        self.outgoing.next(room)
    }

    /// The peer may come in. The type data of the next request.
    pub(in super::super) fn accept(&mut self, network: Network, room: usize) -> Vec<u8> {
        if self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
            // It lands in a buffer of the connection.
            let _ = self.connection.writer().write_all(&[0]);
        }
        self.stage = Stage::Accepted(network);
        self.say(room)
    }
}
