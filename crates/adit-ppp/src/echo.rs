//! LCP echo (RFC 1661 5.8): the watch on an idle link, to which whatever the peer sends is a sign of
//! life, so that only silence is asked about; and what an echo packet gets for an answer.

use std::time::{Duration, Instant};

use adit_wire::{Reader, Writer};

use crate::config::Echo;
use crate::frame::control_frame;
use crate::packet::{HEADER_LEN, Packet, build, code};
use crate::protocol;

/// Echoes of a link whose LCP is open, as far as they change nothing there: what the packet path may
/// take in the link's place, if it tells it by [`Link::note_data`](crate::Link::note_data) that the
/// peer was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echoes {
    /// Our Magic-Number; 0 without one.
    pub(crate) magic: u32,
    /// The longest information that the peer takes, in bytes.
    pub(crate) peer_mru: u16,
}

/// An echo packet that is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Echoed {
    /// An Echo-Reply: the peer lives, and nothing is to be done.
    Reply,
    /// An Echo-Request, with the whole frame that answers it.
    Request(Vec<u8>),
}

impl Echoes {
    /// Judges the information of an LCP frame. `None` is for the link itself: what is no echo, is
    /// malformed, or is our own packet come back.
    pub fn handle(&self, information: &[u8]) -> Option<Echoed> {
        let packet = Packet::parse(information).ok()?;
        let magic = Reader::new(packet.data).u32().ok()?;
        if magic != 0 && magic == self.magic {
            return None;
        }
        match packet.code {
            code::ECHO_REPLY => Some(Echoed::Reply),
            code::ECHO_REQUEST => {
                let answer = control_frame(protocol::LCP, &self.reply(&packet));
                Some(Echoed::Request(answer))
            }
            _ => None,
        }
    }

    /// The Echo-Reply to a request with a magic number. It may be no longer than what the peer takes.
    pub(crate) fn reply(&self, request: &Packet<'_>) -> Vec<u8> {
        let mut echoed = Reader::new(request.data);
        let _magic = echoed.u32();
        let room = usize::from(self.peer_mru).saturating_sub(HEADER_LEN + 4);
        let echoed = echoed.rest();
        let echoed = echoed.get(..room).unwrap_or(echoed);
        let mut data = Writer::new();
        data.u32(self.magic).bytes(echoed);
        build(code::ECHO_REPLY, request.id, data.as_slice())
    }
}

/// Part of an interval after a question within which its answer is expected.
const ANSWER_WITHIN: u32 = 8;

#[derive(Debug)]
pub(crate) struct Watch {
    config: Option<Echo>,
    running: bool,
    heard: Instant,
    asked: Instant,
    unanswered: u32,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ask,
    Dead,
}

impl Watch {
    pub(crate) fn new(config: Option<Echo>, now: Instant) -> Self {
        Self {
            config,
            running: false,
            heard: now,
            asked: now,
            unanswered: 0,
        }
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.running = true;
        self.heard = now;
        self.asked = now;
        self.unanswered = 0;
    }

    pub(crate) fn stop(&mut self) {
        self.running = false;
    }

    /// Something arrived at `at`, which may be in the past.
    pub(crate) fn heard(&mut self, at: Instant) {
        self.heard = self.heard.max(at);
        if self.heard >= self.asked {
            self.unanswered = 0;
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let echo = self.config.filter(|_| self.running)?;
        let since = if self.unanswered == 0 && !self.is_answer_only(echo.interval) {
            self.heard
        } else {
            self.asked
        };
        Some(since + echo.interval)
    }

    /// Whether nothing was heard but, it seems, the answer to the last question. Then questions go on
    /// in their interval: one that waited for the answer's sake would move the deadline with each
    /// answer, and cost an idle link two timeouts for each question.
    fn is_answer_only(&self, interval: Duration) -> bool {
        self.heard.saturating_duration_since(self.asked) <= interval / ANSWER_WITHIN
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Due {
        let Some(echo) = self.config else {
            return Due::Nothing;
        };
        if self.poll_timeout().is_none_or(|at| now < at) {
            return Due::Nothing;
        }
        if self.unanswered >= echo.failures {
            self.running = false;
            return Due::Dead;
        }
        self.unanswered += 1;
        self.asked = now;
        Due::Ask
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;

    const MAGIC: u32 = 0x0102_0304;

    fn handle(packet: &str) -> Option<Echoed> {
        let echoes = Echoes {
            magic: MAGIC,
            peer_mru: 20,
        };
        echoes.handle(&hex::decode(packet.replace(' ', "")).unwrap())
    }

    fn answer(frame: &str) -> Option<Echoed> {
        Some(Echoed::Request(
            hex::decode(frame.replace(' ', "")).unwrap(),
        ))
    }

    #[test]
    fn echoes_are_answered_without_the_link() {
        assert_eq!(handle("0a 07 0008 11223344"), Some(Echoed::Reply));
        assert_eq!(
            handle("09 07 000c 11223344 aabbccdd"),
            answer("ff03c021 0a 07 000c 01020304 aabbccdd")
        );
        // No Magic-Number was agreed on, and padding behind the packet.
        assert_eq!(
            handle("09 08 0008 00000000 ffff"),
            answer("ff03c021 0a 08 0008 01020304")
        );
        // Longer than what the peer takes.
        assert_eq!(
            handle("09 09 0018 11223344 000102030405060708090a0b0c0d0e0f"),
            answer("ff03c021 0a 09 0014 01020304 000102030405060708090a0b")
        );
    }

    #[test]
    fn what_is_no_good_echo_is_left_to_the_link() {
        for packet in [
            // Our own, back from wherever it went.
            "09 07 0008 01020304",
            "0a 07 0008 01020304",
            // Cut in the magic number, by the length field or in truth.
            "09 07 0007 11223344",
            "0a 07 0008 112233",
            "0a 07 0004",
            "0a",
            "",
            // A Discard-Request, a Configure-Request, a Terminate-Request, a code that is unknown.
            "0b 07 0008 11223344",
            "01 07 0008 11223344",
            "05 07 0008 11223344",
            "ff 07 0008 11223344",
        ] {
            assert_eq!(handle(packet), None, "{packet}");
        }
    }

    #[test]
    fn an_answer_does_not_move_the_next_question() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let config = Echo {
            interval: Duration::from_secs(30),
            failures: 3,
        };
        let mut watch = Watch::new(Some(config), start);
        watch.start(at(100));
        assert_eq!(watch.handle_timeout(at(30_099)), Due::Nothing);
        for question in 1..5 {
            let asked = 100 + question * 30_000;
            assert_eq!(watch.poll_timeout(), Some(at(asked)));
            assert_eq!(watch.handle_timeout(at(asked)), Due::Ask);
            watch.heard(at(asked + 3750));
        }
        // What comes later is no answer: silence is counted from there.
        watch.heard(at(123_851));
        assert_eq!(watch.poll_timeout(), Some(at(153_851)));
        assert_eq!(watch.handle_timeout(at(153_851)), Due::Ask);
        // Whoever stops answering is found out as soon as ever.
        for _ in 0..2 {
            let due = watch.poll_timeout().unwrap();
            assert_eq!(watch.handle_timeout(due), Due::Ask);
        }
        assert_eq!(watch.poll_timeout(), Some(at(243_851)));
        assert_eq!(watch.handle_timeout(at(243_851)), Due::Dead);
        assert_eq!(watch.poll_timeout(), None);
    }
}
