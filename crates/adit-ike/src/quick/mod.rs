//! Quick Mode, RFC 2409 section 5.5: 1 → HASH(1) SA Ni [KE] [IDci IDcr] [NAT-OA NAT-OA],
//! 2 ← the same with HASH(2) and Nr, 3 → HASH(3). Either end of phase 1 may start one.

mod initiator;
mod responder;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use adit_crypto::{EspSuite, Group, PrivateValue, Rng};
use adit_wire::{LengthTooLarge, Path};

use crate::codec::{
    Builder, DecodeError, Header, Notify, Payloads, Selector, exchange, kind, notify, parse_nat_oa,
    protocol, write_nat_oa,
};
use crate::config::{ExtendedSequence, Retransmit};
use crate::crypt::Iv;
use crate::error::Error;
use crate::event::{Child, ChildFailure, Event, Keymat};
use crate::job::Agreed;
use crate::keys;
use crate::machine::IkeSa;
use crate::proposal::esp::{Chosen, Context};
use crate::retransmit::{Answer, Due, Request};

/// Most Quick Modes of one SA that are under way at once.
const MAX_ACTIVE: usize = 8;
/// Most that are kept, the finished ones included.
const MAX_KEPT: usize = 16;
/// The lifetime of an SA that states none (RFC 2407 section 4.5).
const DEFAULT_LIFE: u64 = 28_800;

/// Where a Quick Mode stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Responder: the owner decides.
    Requested,
    /// A computation runs.
    Computing,
    /// Initiator: waits for message 2.
    Sent1,
    /// Initiator: message 2 is read, the shared secret is being computed.
    Received2,
    /// Responder: waits for message 3.
    Sent2,
    /// Kept to answer repetitions.
    Done,
}

/// One Quick Mode.
pub(crate) struct Quick {
    pub(crate) message_id: u32,
    /// Our inbound SPI, once the owner has allocated one.
    pub(crate) inbound_spi: Option<u32>,
    stage: Stage,
    initiated: bool,
    iv: Iv,
    deadline: Instant,
    request: Option<Request>,
    answer: Option<Answer>,
    chosen: Option<Chosen>,
    /// The one choice that an initiator gives, if it gives only one.
    only: Option<EspSuite>,
    encapsulated: bool,
    local: Selector,
    remote: Selector,
    /// The bodies of IDci and IDcr, if they are sent.
    ids: Option<(Vec<u8>, Vec<u8>)>,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
    group: Option<Group>,
    private: Option<PrivateValue>,
    peer_public: Vec<u8>,
    nat_oa_local: Option<IpAddr>,
    nat_oa_remote: Option<IpAddr>,
}

/// What the timer of a Quick Mode says.
pub(crate) enum Expired {
    /// It goes on, perhaps with a message to send again.
    No(Option<Vec<u8>>),
    /// It was done long ago.
    Forget,
    /// It failed.
    Failed(Event),
}

impl Quick {
    fn is_active(&self) -> bool {
        self.stage != Stage::Done
    }

    pub(crate) fn due(&self) -> Instant {
        let request = self.request.as_ref().map(Request::due);
        request.map_or(self.deadline, |due| due.min(self.deadline))
    }

    pub(crate) fn handle_timeout(&mut self, config: &Retransmit, now: Instant) -> Expired {
        if now >= self.deadline {
            if self.stage == Stage::Done {
                return Expired::Forget;
            }
            return Expired::Failed(self.failed(ChildFailure::Timeout));
        }
        match self
            .request
            .as_mut()
            .map(|request| request.handle_timeout(config, now))
        {
            None | Some(Due::Wait) => Expired::No(None),
            Some(Due::Resend(message)) => Expired::No(Some(message)),
            Some(Due::Exhausted) => {
                // Silence now, but the deadline decides: an answer may still be on its way.
                self.request = None;
                Expired::No(None)
            }
        }
    }

    fn failed(&self, reason: ChildFailure) -> Event {
        Event::ChildFailed {
            inbound_spi: self.inbound_spi,
            reason,
        }
    }

    /// What the owner has to know when the SA ends under this Quick Mode.
    pub(crate) fn abandoned(&self) -> Option<Event> {
        let announced = matches!(self.stage, Stage::Done | Stage::Sent2);
        (!announced).then(|| self.failed(ChildFailure::NotEstablished))
    }

    /// Key material for the SA that receives on `spi`.
    fn keymat(&self, keys: &crate::exchange::Keys, shared: &[u8], spi: u32, len: usize) -> Keymat {
        Keymat::new(keys::keymat(
            keys.prf,
            &keys.skeyid.d,
            shared,
            (protocol::ESP, spi),
            (&self.nonce_i, &self.nonce_r),
            len,
        ))
    }
}

impl IkeSa {
    pub(crate) fn receive_quick(
        &mut self,
        path: Path,
        header: &Header,
        message: &[u8],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        if self.established.is_none() {
            return Err(Error::Premature);
        }
        if !header.encrypted {
            return Err(Error::NotAuthentic("Quick Mode in the clear"));
        }
        if header.message_id == 0 {
            return Err(Error::Unexpected("message ID 0 in phase 2"));
        }
        let Some(quick) = self
            .quick
            .iter_mut()
            .find(|q| q.message_id == header.message_id)
        else {
            return self.receive_quick1(path, header, message, now, rng);
        };
        if let Some(answer) = &mut quick.answer
            && answer.is_for(message)
        {
            let answer = answer.resend();
            self.stats.duplicates += 1;
            self.resend_answer(self.path, answer);
            return Ok(());
        }
        match quick.stage {
            Stage::Sent1 => self.receive_quick2(path, header, message, now),
            Stage::Sent2 => self.receive_quick3(path, header, message, now),
            _ => Err(Error::Unexpected("no message of this Quick Mode is due")),
        }
    }

    pub(crate) fn quick_job(
        &mut self,
        message_id: u32,
        agreed: Agreed,
        now: Instant,
        rng: &mut Rng,
    ) {
        let Some(mut quick) = self.take_quick(message_id) else {
            return;
        };
        let Agreed {
            private,
            public,
            shared,
        } = agreed;
        let result = match (quick.stage, public, shared) {
            (_, _, Some(Err(_))) => {
                self.stats.bad_public_values += 1;
                let notify = notify::INVALID_KEY_INFORMATION;
                self.inform_notify(protocol::ESP, &[], notify, &[], rng);
                return self.emit(quick.failed(ChildFailure::BadPublicValue));
            }
            (Stage::Computing, Some(public), Some(Ok(shared))) => {
                self.send_quick2(quick, &shared, Some(&public), now)
            }
            (Stage::Computing, Some(public), None) => {
                quick.private = Some(private);
                self.send_quick1(quick, Some(&public), now)
            }
            (Stage::Received2, _, Some(Ok(shared))) => self.send_quick3(quick, &shared, now),
            _ => return self.quick.push(quick),
        };
        // The exchange is gone with the message that could not be built; its event is out.
        drop(result);
    }

    fn take_quick(&mut self, message_id: u32) -> Option<Box<Quick>> {
        let at = self
            .quick
            .iter()
            .position(|quick| quick.message_id == message_id)?;
        Some(self.quick.swap_remove(at))
    }

    /// Ends a Quick Mode whose message could not be built.
    fn quick_unbuildable(&mut self, quick: &Quick, error: LengthTooLarge) -> Error {
        self.emit(quick.failed(ChildFailure::Limit));
        error.into()
    }

    fn active_quick_modes(&self) -> usize {
        self.quick.iter().filter(|quick| quick.is_active()).count()
    }

    /// Keeps a finished Quick Mode for repetitions of the peer's last message.
    fn keep_done(&mut self, mut quick: Box<Quick>, answer: Option<Answer>, now: Instant) {
        quick.stage = Stage::Done;
        quick.request = None;
        quick.answer = answer;
        quick.deadline = now + self.config.negotiation_timeout;
        if self.quick.len() >= MAX_KEPT
            && let Some(oldest) = self.oldest_done()
        {
            drop(self.take_quick(oldest));
        }
        self.quick.push(quick);
    }

    fn oldest_done(&self) -> Option<u32> {
        let done = self.quick.iter().filter(|quick| !quick.is_active());
        done.min_by_key(|quick| quick.deadline)
            .map(|quick| quick.message_id)
    }

    /// A peer's refusal of what this end sent last in a Quick Mode; false if it is about none.
    pub(crate) fn quick_refused(&mut self, received: &Notify<'_>) -> bool {
        let waiting = || {
            let all = self.quick.iter().map(AsRef::as_ref);
            all.filter(|quick: &&Quick| matches!(quick.stage, Stage::Sent1 | Stage::Sent2))
        };
        let spi = received.spi.try_into().ok().map(u32::from_be_bytes);
        let is_named = |quick: &&Quick| {
            let theirs = quick.chosen.as_ref().map(|chosen| chosen.peer_spi);
            spi.is_some() && (quick.inbound_spi == spi || theirs == spi)
        };
        let named = waiting().find(is_named);
        // Peers name any SPI, or none; with a single candidate there is no doubt.
        let mut all = waiting();
        let only = all.next().filter(|_| all.next().is_none());
        let Some(message_id) = named.or(only).map(|quick| quick.message_id) else {
            return false;
        };
        if let Some(quick) = self.take_quick(message_id) {
            self.emit(quick.failed(ChildFailure::Refused {
                notify: received.kind,
            }));
        }
        true
    }

    /// The owner has received valid ESP on this SPI, which proves as much as message 3 would.
    pub fn confirm_child(&mut self, inbound_spi: u32, now: Instant) {
        let waiting = self
            .quick
            .iter()
            .find(|quick| quick.inbound_spi == Some(inbound_spi) && quick.stage == Stage::Sent2)
            .map(|quick| quick.message_id);
        if let Some(quick) = waiting.and_then(|message_id| self.take_quick(message_id)) {
            let answer = quick.answer.clone();
            self.keep_done(quick, answer, now);
            self.emit(Event::ChildConfirmed { inbound_spi });
        }
    }

    /// Whether extended sequence numbers go into our offers: by configuration, or because the peer
    /// has shown that it knows them.
    fn offers_extended(&self) -> bool {
        match self.config.extended_sequence {
            ExtendedSequence::Refuse => false,
            ExtendedSequence::Accept => self.established.as_ref().is_some_and(|e| e.extended),
            ExtendedSequence::Offer => true,
        }
    }

    fn esp_context(&self, udp_wanted: bool, key_exchange: bool, extended_allowed: bool) -> Context {
        let established = self.established.as_ref();
        Context {
            udp_allowed: established.is_some_and(|e| e.nat_t.is_some()),
            udp_wanted,
            key_exchange,
            client: established.map(|e| e.client).unwrap_or_default(),
            extended_allowed,
        }
    }

    /// Appends what follows the nonce in messages 1 and 2.
    fn push_rest(
        &self,
        chain: &mut Builder,
        quick: &Quick,
        public: Option<&[u8]>,
    ) -> Result<(), LengthTooLarge> {
        if let Some(public) = public {
            chain.push(kind::KE, public)?;
        }
        if let Some((initiator, responder)) = &quick.ids {
            chain.push(kind::ID, initiator)?.push(kind::ID, responder)?;
        }
        let nat_t = self.established.as_ref().and_then(|e| e.nat_t);
        let said = !quick.initiated || self.config.manner.nat_oa;
        if let Some(version) = nat_t.filter(|_| quick.encapsulated && said) {
            let (us, peer) = (self.path.local.ip(), self.path.remote.ip());
            let (initiator, responder) = if quick.initiated {
                (us, peer)
            } else {
                (peer, us)
            };
            for address in [initiator, responder] {
                let mut body = write_nat_oa(address);
                if let Some(reserved) = body.get_mut(1).filter(|_| quick.initiated) {
                    *reserved = self.config.manner.nat_oa_reserved;
                }
                chain.push(version.nat_oa(), &body)?;
            }
        }
        Ok(())
    }

    /// The original addresses that the peer stated: (ours as it knows it, its own).
    fn read_nat_oa(
        &self,
        payloads: &Payloads<'_>,
        by_initiator: bool,
    ) -> Result<(Option<IpAddr>, Option<IpAddr>), DecodeError> {
        let Some(version) = self.established.as_ref().and_then(|e| e.nat_t) else {
            return Ok((None, None));
        };
        let mut all = payloads.all(version.nat_oa());
        let first = all.next().map(parse_nat_oa).transpose()?;
        let second = all.next().map(parse_nat_oa).transpose()?;
        // A single one, as in the drafts, is the sender's own.
        Ok(match (first, second) {
            (Some(initiator), Some(responder)) if by_initiator => {
                (Some(responder), Some(initiator))
            }
            (Some(initiator), Some(responder)) => (Some(initiator), Some(responder)),
            (own, _) => (None, own),
        })
    }

    /// The finished pair of SAs.
    fn child(
        &self,
        quick: &Quick,
        shared: &[u8],
        stated: (Option<u64>, Option<u64>),
    ) -> Option<Child> {
        let (keys, chosen) = (self.keys.as_ref()?, quick.chosen.as_ref()?);
        let inbound_spi = quick.inbound_spi?;
        let own = &self.config.esp_lifetime;
        let seconds = stated
            .0
            .filter(|seconds| *seconds > 0)
            .unwrap_or(DEFAULT_LIFE);
        let kilobytes = stated.1.filter(|kilobytes| *kilobytes > 0);
        let len = chosen.suite.keymat_len();
        Some(Child {
            inbound_spi,
            outbound_spi: chosen.peer_spi,
            suite: chosen.suite,
            inbound_keymat: quick.keymat(keys, shared, inbound_spi, len),
            outbound_keymat: quick.keymat(keys, shared, chosen.peer_spi, len),
            encapsulated: quick.encapsulated,
            extended_sequence: chosen.extended,
            lifetime_seconds: own.seconds.min(Duration::from_secs(seconds)),
            lifetime_kilobytes: [kilobytes, own.kilobytes].into_iter().flatten().min(),
            local: quick.local.clone(),
            remote: quick.remote.clone(),
            nat_oa_local: quick.nat_oa_local,
            nat_oa_remote: quick.nat_oa_remote,
            initiated: quick.initiated,
        })
    }

    /// Seals a message of Quick Mode whose hash covers `covered` and `rest`.
    fn seal_quick(
        &self,
        quick: &mut Quick,
        covered: &[u8],
        rest: &Builder,
    ) -> Result<Vec<u8>, LengthTooLarge> {
        let sealed = self.hashed(
            (exchange::QUICK, quick.message_id),
            &quick.iv,
            covered,
            rest,
        )?;
        let (message, next) = sealed.ok_or(LengthTooLarge(0))?;
        quick.iv = next;
        Ok(message)
    }
}
