//! LCP packets beside the negotiation (RFC 1661 5.7 to 5.9, RFC 1570).

use std::time::Instant;

use adit_crypto::Rng;
use adit_wire::{Reader, Writer};

use super::{Auth, Link, context};
use crate::automaton::{Input, State};
use crate::echo::Echoes;
use crate::error::{Error, Failure};
use crate::event::{AuthFailure, DownReason};
use crate::manner::Identification;
use crate::packet::{HEADER_LEN, Packet, build, code};
use crate::protocol;

impl Link {
    pub(super) fn lcp_frame(
        &mut self,
        information: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let packet = Packet::parse(information).inspect_err(|_| self.stats.malformed += 1)?;
        match packet.code {
            code::PROTOCOL_REJECT => self.protocol_rejected(&packet, now, rng),
            code::ECHO_REQUEST | code::ECHO_REPLY => self.echo_packet(&packet, now, rng),
            code::DISCARD_REQUEST | code::IDENTIFICATION | code::TIME_REMAINING => {
                self.notice(&packet)
            }
            _ => self.negotiate(&packet, now, rng),
        }
    }

    /// A packet that is counted and not answered. An Identification may come in any state
    /// (RFC 1570 2.1), the others while LCP is open.
    fn notice(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        let (name, shortest) = match packet.code {
            code::IDENTIFICATION => ("Identification", 4),
            code::TIME_REMAINING => ("Time-Remaining", 8),
            _ => ("Discard-Request", 4),
        };
        if packet.data.len() < shortest {
            self.stats.malformed += 1;
            return Err(Error::Malformed(name));
        }
        let open = self.lcp.state() == State::Opened;
        match packet.code {
            code::IDENTIFICATION => self.stats.identifications += 1,
            _ if !open => self.stats.early += 1,
            code::TIME_REMAINING => self.stats.time_remaining += 1,
            _ => self.stats.discards += 1,
        }
        Ok(())
    }

    /// What a client says of itself (RFC 1570 2.1).
    pub(super) fn send_identifications(
        &mut self,
        messages: &[Identification],
        now: Instant,
        rng: &mut Rng,
    ) {
        for message in messages {
            let mut data = Writer::new();
            data.u32(self.lcp.protocol.magic());
            match message {
                Identification::Text(text) => data.bytes(text.as_bytes()),
                Identification::Random16 => data.bytes(&rng.array::<16>()),
            };
            let context = context!(self, now, rng);
            let id = self.lcp.fresh_id(context);
            let packet = build(code::IDENTIFICATION, id, data.as_slice());
            context.send(protocol::LCP, &packet);
        }
    }

    fn negotiate(&mut self, packet: &Packet<'_>, now: Instant, rng: &mut Rng) -> Result<(), Error> {
        if packet.code == code::TERMINATE_REQUEST {
            let ras_error = ras_error(packet.data);
            // A client that goes after its password was refused did not just go.
            if let Some(reason) = self.refused.take() {
                self.note_auth_failure(AuthFailure::Rejected(reason));
            }
            self.reason
                .get_or_insert(DownReason::PeerTerminated { ras_error });
        }
        match self.lcp.handle_packet(packet, context!(self, now, rng)) {
            Ok(signal) => {
                self.lcp_signal(signal, now, rng);
                Ok(())
            }
            Err(Error::Failed { protocol, failure }) => {
                self.lcp_failed(failure.clone(), now, rng);
                Err(Error::Failed { protocol, failure })
            }
            Err(error) => Err(error),
        }
    }

    fn lcp_failed(&mut self, failure: Failure, now: Instant, rng: &mut Rng) {
        let input = match failure {
            Failure::CodeRejected(_) | Failure::ProtocolRejected => Input::RxjBad,
            _ => Input::Close,
        };
        self.reason.get_or_insert(match failure {
            Failure::LoopedBack => DownReason::LoopedBack,
            failure => DownReason::NegotiationFailed(failure),
        });
        self.setup_deadline = None;
        let signal = self.lcp.input(input, context!(self, now, rng));
        self.lcp_signal(signal, now, rng);
    }

    fn protocol_rejected(
        &mut self,
        packet: &Packet<'_>,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        if self.lcp.state() != State::Opened {
            self.stats.early += 1;
            return Ok(());
        }
        self.stats.rejects_received += 1;
        let Ok(rejected) = Reader::new(packet.data).u16() else {
            self.stats.malformed += 1;
            return Err(Error::Malformed("Protocol-Reject"));
        };
        match rejected {
            protocol::LCP => {
                let failure = Failure::ProtocolRejected;
                self.lcp_failed(failure.clone(), now, rng);
                return Err(Error::Failed {
                    protocol: "LCP",
                    failure,
                });
            }
            protocol::PAP | protocol::CHAP | protocol::EAP if !self.authenticated => {
                let asked = matches!(self.auth, Auth::Server(_) | Auth::Client(_));
                if asked {
                    let failure = Failure::AuthProtocolRejected;
                    self.close_for(DownReason::NegotiationFailed(failure), now, rng);
                }
            }
            protocol::IPCP
            | protocol::IPV6CP
            | protocol::CCP
            | protocol::ACSCP
            | protocol::ACSP => self.ncp_rejected(rejected, now, rng),
            _ => {}
        }
        Ok(())
    }

    fn echo_packet(
        &mut self,
        packet: &Packet<'_>,
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let Ok(magic) = Reader::new(packet.data).u32() else {
            self.stats.malformed += 1;
            return Err(Error::Malformed("LCP echo"));
        };
        if !self.lcp.replies() {
            self.stats.early += 1;
            return Ok(());
        }
        if self.lcp.protocol.is_own(magic) {
            self.stats.looped += 1;
            return Err(Error::Looped);
        }
        if packet.code == code::ECHO_REPLY {
            return Ok(());
        }
        self.stats.echoes_answered += 1;
        let reply = self.own_echoes().reply(packet);
        context!(self, now, rng).send(protocol::LCP, &reply);
        Ok(())
    }

    fn own_echoes(&self) -> Echoes {
        Echoes {
            magic: self.lcp.protocol.magic(),
            peer_mru: self.peer_mru,
        }
    }

    /// What the packet path needs to take echoes in the link's place, while LCP is open.
    pub fn echoes(&self) -> Option<Echoes> {
        (self.lcp.replies() && !self.over).then(|| self.own_echoes())
    }

    pub(super) fn send_echo(&mut self, now: Instant, rng: &mut Rng) {
        self.stats.echoes_sent += 1;
        let context = context!(self, now, rng);
        let id = self.lcp.fresh_id(context);
        let magic = self.lcp.protocol.magic().to_be_bytes();
        let request = build(code::ECHO_REQUEST, id, &magic);
        context.send(protocol::LCP, &request);
    }

    /// RFC 1661 5.7: only while LCP is open, cut to what the peer takes.
    pub(super) fn reject_protocol(
        &mut self,
        number: u16,
        information: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) {
        if self.lcp.state() != State::Opened {
            self.stats.early += 1;
            return;
        }
        let room = usize::from(self.peer_mru).saturating_sub(HEADER_LEN + 2);
        let copy = information.get(..room).unwrap_or(information);
        let mut data = Writer::new();
        data.u16(number).bytes(copy);
        self.stats.protocol_rejects_sent += 1;
        let context = context!(self, now, rng);
        let id = self.lcp.fresh_id(context);
        let reject = build(code::PROTOCOL_REJECT, id, data.as_slice());
        context.send(protocol::LCP, &reject);
    }
}

/// The error number in a Terminate-Request of Windows: magic number, a fixed word, the number.
fn ras_error(data: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(data);
    let _magic = reader.u32().ok()?;
    let fixed = reader.u32().ok()?;
    let error = reader.u32().ok()?;
    (fixed == crate::RAS_WORD && reader.is_empty() && error != 0).then_some(error)
}
