//! The server's side of EAP MS-CHAPv2 (draft-kamath-pppext-eap-mschapv2-02): Challenge, then
//! Success or Failure, each answered by the peer before EAP itself ends.

use super::super::mschapv2;
use super::super::wire::{read_value, text, write_value};
use super::super::{Attempt, RejectReason};
use super::wire::{op, read_ms_chap, write_ms_chap};
use crate::automaton::Context;
use crate::config::Network;
use crate::error::Error;
use crate::event::AuthFailure;

#[derive(Debug)]
enum Stage {
    Challenged,
    /// Success is out; the peer has to take it.
    Accepted(Network),
    /// Failure is out; the peer may try again.
    AnotherTry(RejectReason),
    /// Failure is out; the peer may ask to change the password (RFC 2759 7).
    Expired,
    /// The last word is out.
    Refused(RejectReason),
}

pub(super) struct MsChapV2 {
    challenge: [u8; 16],
    /// MS-CHAPv2-ID of the latest operation.
    id: u8,
    retries: u32,
    stage: Stage,
}

/// What an operation of the peer means.
pub(super) enum Step {
    Judge(Attempt),
    Admit(Network),
    Refused(AuthFailure),
    /// Another request is due.
    Ask(Vec<u8>),
}

impl MsChapV2 {
    /// `id` is the EAP identifier of the first request; its type data come with it.
    pub(super) fn new(
        id: u8,
        name: &[u8],
        retries: u32,
        context: &mut Context<'_>,
    ) -> (Self, Vec<u8>) {
        let challenge = context.rng.array();
        let stage = Stage::Challenged;
        let request = write_ms_chap(op::CHALLENGE, id, &write_value(&challenge, name));
        let method = Self {
            challenge,
            id,
            retries,
            stage,
        };
        (method, request)
    }

    /// The type data of a Response; `None` if they do not fit what was asked.
    pub(super) fn handle(
        &mut self,
        data: &[u8],
        context: &mut Context<'_>,
    ) -> Result<Option<Step>, Error> {
        let packet = read_ms_chap(data)?;
        // Another try counts the identifier up (RFC 2759 9.1.2); some peers leave it.
        let same = packet.id == self.id;
        let next = packet.id == self.id.wrapping_add(1);
        let step = match (&self.stage, packet.op) {
            (Stage::Challenged, op::RESPONSE) if same => self.judge(packet.id, packet.body)?,
            (Stage::AnotherTry(_), op::RESPONSE) if same || next => {
                self.judge(packet.id, packet.body)?
            }
            (Stage::Accepted(network), op::SUCCESS) => Step::Admit(network.clone()),
            (Stage::AnotherTry(reason) | Stage::Refused(reason), op::FAILURE) => {
                Step::Refused(AuthFailure::Rejected(*reason))
            }
            (Stage::Expired, op::FAILURE) => {
                Step::Refused(AuthFailure::Rejected(RejectReason::Expired))
            }
            (Stage::Expired, op::CHANGE_PASSWORD) => {
                if packet.body.len() != mschapv2::CHANGE_PASSWORD_LEN {
                    return Err(Error::Malformed("Change-Password"));
                }
                self.id = packet.id;
                self.stage = Stage::Refused(RejectReason::Expired);
                let message = mschapv2::change_failure(context);
                Step::Ask(write_ms_chap(op::FAILURE, packet.id, &message))
            }
            _ => return Ok(None),
        };
        Ok(Some(step))
    }

    fn judge(&mut self, id: u8, body: &[u8]) -> Result<Step, Error> {
        let (value, name) = read_value(body)?;
        let (peer_challenge, nt_response) = mschapv2::read_response(value)?;
        self.id = id;
        Ok(Step::Judge(Attempt::MsChapV2 {
            user: text(name),
            raw_user: name.to_vec(),
            eap: true,
            challenge: self.challenge,
            peer_challenge,
            nt_response,
        }))
    }

    /// The type data that tell the peer that it may come in, once it has taken them.
    pub(super) fn accept(&mut self, message: &[u8], network: Network) -> Vec<u8> {
        self.stage = Stage::Accepted(network);
        write_ms_chap(op::SUCCESS, self.id, message)
    }

    /// The type data that tell the peer that it may not.
    pub(super) fn reject(&mut self, reason: RejectReason, context: &mut Context<'_>) -> Vec<u8> {
        let mut retry = None;
        self.stage = match reason {
            RejectReason::BadCredentials if self.retries > 0 => {
                self.retries -= 1;
                self.challenge = context.rng.array();
                retry = Some(self.challenge);
                Stage::AnotherTry(reason)
            }
            RejectReason::Expired => Stage::Expired,
            _ => Stage::Refused(reason),
        };
        let message = mschapv2::failure(reason, retry.as_ref(), context);
        write_ms_chap(op::FAILURE, self.id, &message)
    }
}
