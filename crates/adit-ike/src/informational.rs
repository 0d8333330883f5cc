//! Informational exchanges, RFC 2409 section 5.7: notifications and deletions. What is not hashed
//! under the SA's keys is counted and ignored, but for a refusal of a negotiation that has no
//! authenticated state to lose.

use std::time::Instant;

use adit_crypto::Rng;
use adit_wire::{Path, Reader};

use crate::codec::{Builder, Delete, Header, Notify, Payloads, exchange, kind, notify, protocol};
use crate::error::Error;
use crate::event::{CloseReason, Event};
use crate::machine::{IkeSa, Role};
use crate::retransmit::{Answer, fingerprint};

impl IkeSa {
    pub(crate) fn receive_informational(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        if !header.encrypted {
            return self.receive_plain(header, message);
        }
        let (Some(established), Some(keys)) = (&mut self.established, &self.keys) else {
            return Err(Error::Premature);
        };
        if let Some((answer, _)) = &mut established.dpd_answer
            && answer.is_for(message)
        {
            let answer = answer.resend();
            self.stats.duplicates += 1;
            self.resend_answer(self.path, answer);
            return Ok(());
        }
        if header.message_id == 0 {
            return Err(Error::Unexpected("message ID 0 in phase 2"));
        }
        if self.seen_or_active(header.message_id) {
            return Err(Error::Replayed(header.message_id));
        }
        let id = header.message_id.to_be_bytes();
        let iv = keys.crypt.phase2_iv(&keys.iv, header.message_id);
        let mut clear = Vec::new();
        let (payloads, _) = keys.open(&iv, header, message, &mut clear, |keys, rest| {
            keys.hash(&[&id, rest])
        })?;
        self.mark_seen(header.message_id);
        self.check_alive(&payloads, header.message_id)?;
        self.authenticated(path, now);
        self.take_informational(&payloads, message, rng)
    }

    fn seen_or_active(&self, message_id: u32) -> bool {
        self.was_seen(message_id) || self.quick.iter().any(|q| q.message_id == message_id)
    }

    /// Refuses an R-U-THERE older than the last one, and an answer to a question that was not
    /// asked: both may have been held back by somebody else (RFC 3706 section 6.2).
    fn check_alive(&self, payloads: &Payloads<'_>, message_id: u32) -> Result<(), Error> {
        let Some(established) = &self.established else {
            return Ok(());
        };
        for body in payloads.all(kind::NOTIFY) {
            let message = Notify::parse(body)?;
            let Ok(sequence) = Reader::new(message.data).u32() else {
                continue;
            };
            let last = established.dpd_answer.as_ref().map(|(_, last)| *last);
            let stale = last.is_some_and(|last| sequence.wrapping_sub(last) > u32::MAX / 2);
            if message.kind == notify::R_U_THERE && stale {
                return Err(Error::Replayed(message_id));
            }
            let asked = established
                .watch
                .as_ref()
                .is_some_and(|w| w.is_answer(sequence));
            if message.kind == notify::R_U_THERE_ACK && !asked {
                return Err(Error::Unexpected("an answer to no question"));
            }
        }
        Ok(())
    }

    fn take_informational(
        &mut self,
        payloads: &Payloads<'_>,
        message: &[u8],
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let mut deleted = false;
        for payload in payloads.iter() {
            match payload.kind {
                kind::NOTIFY => self.take_notify(&Notify::parse(payload.body)?, message, rng)?,
                kind::DELETE => {
                    let delete = Delete::parse(payload.body)?;
                    if delete.protocol == protocol::ESP {
                        for outbound_spi in delete.spis {
                            self.emit(Event::ChildDeleted { outbound_spi });
                        }
                    }
                    deleted |= delete.cookies.contains(&self.both_cookies());
                }
                _ => {}
            }
        }
        // Last, so that a Delete of both kinds in one message loses nothing.
        if deleted {
            self.end(CloseReason::DeletedByPeer);
        }
        Ok(())
    }

    fn take_notify(
        &mut self,
        received: &Notify<'_>,
        message: &[u8],
        rng: &mut Rng,
    ) -> Result<(), Error> {
        match received.kind {
            notify::R_U_THERE => self.answer_alive(received, message, rng),
            // Checked before, and a sign of life like any other message.
            notify::R_U_THERE_ACK => Ok(()),
            notify::INITIAL_CONTACT => {
                self.emit(Event::InitialContact);
                Ok(())
            }
            kind if kind <= notify::LAST_ERROR && self.quick_refused(received) => Ok(()),
            kind => {
                self.emit(Event::PeerNotify { kind });
                Ok(())
            }
        }
    }

    fn answer_alive(
        &mut self,
        question: &Notify<'_>,
        message: &[u8],
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let sequence = Reader::new(question.data)
            .u32()
            .map_err(crate::DecodeError::from)?;
        let cookies = self.both_cookies();
        if question.spi != cookies {
            return Err(Error::Cookies);
        }
        let body = Notify {
            protocol: protocol::ISAKMP,
            spi: &cookies,
            kind: notify::R_U_THERE_ACK,
            data: &sequence.to_be_bytes(),
        }
        .write()?;
        let answer = self.inform(kind::NOTIFY, &body, rng);
        self.stats.dpd_answered += 1;
        if let Some(established) = &mut self.established {
            established.dpd_answer = Some((Answer::new(fingerprint(message), answer), sequence));
        }
        Ok(())
    }

    pub(crate) fn ask_alive(&mut self, sequence: u32, rng: &mut Rng) {
        self.stats.dpd_sent += 1;
        let cookies = self.both_cookies();
        let data = sequence.to_be_bytes();
        self.inform_notify(protocol::ISAKMP, &cookies, notify::R_U_THERE, &data, rng);
    }

    /// Sends Delete for our inbound ESP SA of this SPI.
    pub fn delete_child(&mut self, inbound_spi: u32, _now: Instant, rng: &mut Rng) {
        self.quick
            .retain(|quick| quick.inbound_spi != Some(inbound_spi));
        self.inform(kind::DELETE, &Delete::esp(inbound_spi), rng);
    }

    pub(crate) fn inform_notify(
        &mut self,
        protocol: u8,
        spi: &[u8],
        kind: u16,
        data: &[u8],
        rng: &mut Rng,
    ) {
        let notify = Notify {
            protocol,
            spi,
            kind,
            data,
        };
        // An SPI of at most 16 bytes fits, so there is always a body.
        if let Ok(body) = notify.write() {
            self.inform(kind::NOTIFY, &body, rng);
        }
    }

    /// A notification by [`inform_protected`](Self::inform_protected).
    pub(crate) fn notify_protected(&mut self, protocol: u8, spi: &[u8], kind: u16, rng: &mut Rng) {
        let notify = Notify {
            protocol,
            spi,
            kind,
            data: &[],
        };
        // An SPI of at most 16 bytes fits, so there is always a body.
        if let Ok(body) = notify.write() {
            self.inform_protected(kind::NOTIFY, &body, rng);
        }
    }

    /// Sends one payload in an informational exchange of its own, and returns the message. Without
    /// an established SA nothing is sent.
    pub(crate) fn inform(&mut self, kind: u8, body: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
        self.established.as_ref()?;
        self.inform_protected(kind, body, rng)
    }

    /// The same for an SA that the peer has established and we have not.
    pub(crate) fn inform_protected(
        &mut self,
        kind: u8,
        body: &[u8],
        rng: &mut Rng,
    ) -> Option<Vec<u8>> {
        let id = self.fresh_message_id(rng);
        let keys = self.keys.as_ref()?;
        let iv = keys.crypt.phase2_iv(&keys.iv, id);
        let mut rest = Builder::new();
        rest.push(kind, body).ok()?;
        let (message, _) = self
            .hashed((exchange::INFORMATIONAL, id), &iv, &[], &rest)
            .ok()??;
        self.send(message.clone());
        Some(message)
    }

    /// A notification in the clear. Only an initiator that still negotiates believes a refusal:
    /// its loss is one attempt, and without it the operator would see nothing but a timeout.
    fn receive_plain(&mut self, header: &Header, message: &[u8]) -> Result<(), Error> {
        let negotiation = match (&self.negotiation, self.role) {
            (Some(negotiation), Role::Initiator) => negotiation,
            _ => {
                self.stats.plain_notifies += 1;
                return Ok(());
            }
        };
        let payloads = Payloads::parse(header.next_payload, header.body(message))?;
        let mut refusal = None;
        for body in payloads.all(kind::NOTIFY) {
            let kind = Notify::parse(body)?.kind;
            if (1..=notify::LAST_ERROR).contains(&kind) {
                refusal = Some(kind);
            }
        }
        let Some(notify) = refusal else {
            self.stats.plain_notifies += 1;
            return Ok(());
        };
        let of_authentication = matches!(
            notify,
            notify::AUTHENTICATION_FAILED
                | notify::INVALID_HASH_INFORMATION
                | notify::PAYLOAD_MALFORMED
        );
        let reason = if negotiation.sent_identity() && of_authentication {
            CloseReason::AuthenticationFailed
        } else {
            CloseReason::Refused { notify }
        };
        self.end(reason);
        Ok(())
    }

    /// Sends a notification in the clear.
    pub(crate) fn inform_plainly(&mut self, path: Path, kind: u16, rng: &mut Rng) {
        let notify = Notify {
            protocol: protocol::ISAKMP,
            spi: &[],
            kind,
            data: &[],
        };
        let mut chain = Builder::new();
        let pushed = notify
            .write()
            .and_then(|body| chain.push(kind::NOTIFY, &body).map(drop));
        if pushed.is_ok() {
            let message = self.plain(exchange::INFORMATIONAL, rng.u32().max(1), &chain);
            self.send_on(path, message);
        }
    }

    /// Sends an answer again, if there is one left to send.
    pub(crate) fn resend_answer(&mut self, path: Path, answer: Option<Vec<u8>>) {
        if let Some(message) = answer {
            self.stats.answers_resent += 1;
            self.send_on(path, message);
        }
    }
}
