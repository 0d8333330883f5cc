//! The reliable delivery of control messages (RFC 2661 5.8 and appendix A): sequence numbers modulo
//! 65,536, both windows, slow start, retransmission, reordering, acknowledgements. It never looks
//! into a message.
//!
//! Everything is bounded: what is held of the peer by our window and [`MAX_HELD_LEN`], what waits
//! for the peer by [`Channel::is_backlogged`], which the tunnel asks before it takes a message.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use adit_wire::Queue;

use crate::config::Config;
use crate::error::Error;
use crate::header::{Control, encode_control};
use crate::stats::Stats;

/// Datagrams above this length are not held when they come out of order: real control messages are
/// far shorter, and the peer sends this one again anyway.
const MAX_HELD_LEN: usize = 2048;
/// Messages that may wait for acknowledgement before the peer's are no longer taken.
const MAX_BACKLOG: usize = 64;
/// The peer's window until it says otherwise (RFC 2661 4.4.3, Receive Window Size).
const DEFAULT_WINDOW: u16 = 4;
const HALF: u16 = 0x8000;

/// What became of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// An acknowledgement; all of it was taken.
    Zlb,
    /// It had been received before.
    Duplicate,
    /// It is held until the ones before it arrive.
    Held,
    /// It is the next one: to be acted on now, and [`Channel::next_held`] after it.
    Next,
}

/// A message that is not acknowledged yet. Tunnel ID, Ns and Nr are put before it when it is sent.
#[derive(Clone)]
struct Message {
    session: u16,
    body: Vec<u8>,
}

pub(crate) struct Channel {
    first_wait: Duration,
    longest_wait: Duration,
    max_tries: u32,
    hello_tries: u32,
    /// Only a HELLO is on its way.
    only_hello: bool,
    receive_window: u16,

    /// The peer's tunnel ID; 0 until it is known.
    pub(crate) remote_tunnel: u16,
    /// Messages not acknowledged, then messages not sent.
    queue: VecDeque<Message>,
    /// Ns of the front of `queue`.
    first_ns: u16,
    /// Messages of `queue` that are on their way. A timeout sets it back, and they go out again as
    /// the congestion window opens.
    in_flight: usize,
    /// Messages of `queue` that were sent at least once, so that an Nr may cover them.
    ever_sent: usize,
    peer_window: u16,
    /// Slow start and congestion avoidance (appendix A): window, threshold, and acknowledgements
    /// since the window last grew beyond the threshold.
    congestion_window: u16,
    threshold: u16,
    acknowledged_since: u16,
    wait: Duration,
    tries: u32,
    deadline: Option<Instant>,
    /// Messages to leave with the next polls, with their Ns; Nr is put in when they do.
    outbox: Queue<(u16, Message)>,

    /// Ns of the peer's message expected next.
    next: u16,
    held: BTreeMap<u16, Vec<u8>>,
    ack_due: bool,

    pub(crate) stats: Stats,
}

impl Channel {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            first_wait: config.first_wait(),
            longest_wait: config.longest_wait(),
            max_tries: config.retransmit_tries,
            hello_tries: config.hello_tries,
            only_hello: false,
            receive_window: config.window().min(HALF - 1),
            remote_tunnel: 0,
            queue: VecDeque::new(),
            first_ns: 0,
            in_flight: 0,
            ever_sent: 0,
            peer_window: DEFAULT_WINDOW,
            congestion_window: 1,
            threshold: DEFAULT_WINDOW,
            acknowledged_since: 0,
            wait: config.first_wait(),
            tries: 0,
            deadline: None,
            outbox: Queue::new(),
            next: 0,
            held: BTreeMap::new(),
            ack_due: false,
            stats: Stats::default(),
        }
    }

    /// The peer's Receive Window Size AVP, at least 1.
    pub(crate) fn set_peer_window(&mut self, window: u16) {
        self.peer_window = window.max(1);
        self.threshold = self.peer_window;
    }

    /// Messages that the peer takes before it acknowledges one.
    pub(crate) fn peer_window(&self) -> u16 {
        self.peer_window
    }

    /// Sends a HELLO, which is only asked for while nothing else waits for the peer.
    pub(crate) fn queue_hello(&mut self, body: Vec<u8>, now: Instant) {
        let alone = self.is_drained();
        self.queue(0, body, now);
        self.only_hello = alone;
    }

    /// Puts a message at the end of the queue.
    pub(crate) fn queue(&mut self, session: u16, body: Vec<u8>, now: Instant) {
        if std::mem::take(&mut self.only_hello) {
            // What follows a HELLO has tries of its own.
            self.tries = 0;
        }
        self.queue.push_back(Message { session, body });
        self.fill_outbox(now);
    }

    /// Whether everything sent is acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether so much waits for the peer that it should not be given another answer.
    pub(crate) fn is_backlogged(&self) -> bool {
        self.queue.len() >= MAX_BACKLOG
    }

    /// Messages that wait for the peer.
    pub(crate) fn backlog(&self) -> usize {
        self.queue.len()
    }

    /// Forgets the messages that were never sent, so that a StopCCN need not wait behind them.
    pub(crate) fn drop_unsent(&mut self) {
        self.queue.truncate(self.ever_sent);
    }

    /// Forgets everything that is to be sent; acknowledgements still are.
    pub(crate) fn drop_all(&mut self) {
        // An Nr of the peer may still cover what was sent.
        // cast: at most the peer's window
        self.first_ns = self.first_ns.wrapping_add(self.ever_sent as u16);
        self.queue.clear();
        self.outbox.clear();
        self.in_flight = 0;
        self.ever_sent = 0;
        self.deadline = None;
        self.held.clear();
    }

    /// Takes a message by its number, after [`acknowledge`](Self::acknowledge) took its Nr.
    pub(crate) fn receive(
        &mut self,
        control: &Control<'_>,
        datagram: &[u8],
    ) -> Result<Received, Error> {
        if control.is_zlb() {
            self.stats.zlb_received += 1;
            return Ok(Received::Zlb);
        }
        self.ack_due = true;
        match control.ns.wrapping_sub(self.next) {
            0 => {
                self.stats.received += 1;
                // It may be held as well, if it could not be taken when its turn came.
                self.held.remove(&self.next);
                self.next = self.next.wrapping_add(1);
                Ok(Received::Next)
            }
            HALF.. => {
                self.stats.duplicates += 1;
                Ok(Received::Duplicate)
            }
            ahead if ahead >= self.receive_window => {
                self.stats.outside_window += 1;
                Err(Error::OutsideWindow {
                    ns: control.ns,
                    expected: self.next,
                })
            }
            _ if datagram.len() > MAX_HELD_LEN => {
                self.stats.too_long += 1;
                Err(Error::TooLong {
                    ns: control.ns,
                    expected: self.next,
                    len: datagram.len(),
                })
            }
            _ => {
                if self.held.contains_key(&control.ns) {
                    self.stats.duplicates += 1;
                } else {
                    self.stats.out_of_order += 1;
                    self.held.insert(control.ns, datagram.to_vec());
                }
                Ok(Received::Held)
            }
        }
    }

    /// The datagram of the next message, if it had arrived before its turn.
    pub(crate) fn next_held(&mut self) -> Option<Vec<u8>> {
        let datagram = self.held.remove(&self.next)?;
        self.next = self.next.wrapping_add(1);
        self.stats.received += 1;
        Some(datagram)
    }

    /// Number of the message expected next, and so how many have been taken (modulo 65,536).
    pub(crate) fn next(&self) -> u16 {
        self.next
    }

    /// Takes what a message acknowledges.
    pub(crate) fn acknowledge(&mut self, nr: u16, now: Instant) -> Result<(), Error> {
        let count = nr.wrapping_sub(self.first_ns);
        if count == 0 || count >= HALF {
            return Ok(()); // nothing new, or an old message that was overtaken
        }
        if usize::from(count) > self.ever_sent {
            self.stats.bad_header += 1;
            return Err(Error::BadNr {
                nr,
                // cast: at most the peer's window
                next: self.first_ns.wrapping_add(self.ever_sent as u16),
            });
        }
        let count_len = usize::from(count);
        self.queue.drain(..count_len.min(self.queue.len()));
        if self.queue.is_empty() {
            // Most channels are silent most of the time.
            self.queue = VecDeque::new();
        }
        self.only_hello = false;
        self.first_ns = nr;
        self.in_flight = self.in_flight.saturating_sub(count_len);
        self.ever_sent -= count_len;
        for _ in 0..count {
            self.open_window();
        }
        self.tries = 0;
        self.wait = self.first_wait;
        self.deadline = None;
        self.fill_outbox(now);
        Ok(())
    }

    /// One message was acknowledged (appendix A).
    fn open_window(&mut self) {
        if self.congestion_window < self.threshold {
            self.congestion_window = self.congestion_window.saturating_add(1);
            return;
        }
        self.acknowledged_since = self.acknowledged_since.saturating_add(1);
        if self.acknowledged_since >= self.congestion_window {
            self.acknowledged_since = 0;
            self.congestion_window = self.congestion_window.saturating_add(1);
        }
        self.congestion_window = self.congestion_window.min(self.peer_window);
    }

    /// Sends what both windows allow, and keeps the retransmission timer.
    fn fill_outbox(&mut self, now: Instant) {
        let window = usize::from(self.congestion_window.min(self.peer_window));
        while self.in_flight < window {
            let Some(message) = self.queue.get(self.in_flight) else {
                break;
            };
            // cast: the window is 16 bits wide
            let ns = self.first_ns.wrapping_add(self.in_flight as u16);
            self.outbox.push_back((ns, message.clone()));
            self.in_flight += 1;
            if self.in_flight > self.ever_sent {
                self.ever_sent = self.in_flight;
                self.stats.sent += 1;
            } else {
                self.stats.retransmitted += 1;
            }
        }
        if self.in_flight > 0 && self.deadline.is_none() {
            self.deadline = Some(now + self.wait);
        }
    }

    /// Sends the oldest message at once, without another wait: the peer has shown by its own
    /// retransmission that it did not get it.
    pub(crate) fn repeat_first(&mut self) {
        if let (Some(message), true, true) = (
            self.queue.front(),
            self.ever_sent > 0,
            self.outbox.is_empty(),
        ) {
            self.outbox.push_back((self.first_ns, message.clone()));
            self.stats.retransmitted += 1;
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sends again what is due. False: a message was sent as often as it may be, and the peer is
    /// gone.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return true;
        }
        let most = if self.only_hello {
            self.hello_tries
        } else {
            self.max_tries
        };
        if self.tries >= most {
            self.drop_all();
            return false;
        }
        self.tries += 1;
        self.wait = self.wait.saturating_mul(2).min(self.longest_wait);
        self.threshold = (self.congestion_window / 2).max(1);
        self.congestion_window = 1;
        self.acknowledged_since = 0;
        self.in_flight = 0;
        self.outbox.clear();
        self.deadline = None;
        self.fill_outbox(now);
        true
    }

    /// The next datagram; an acknowledgement of its own only if no message carries it.
    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        if let Some((ns, Message { session, body })) = self.outbox.pop_front() {
            self.ack_due = false;
            let tunnel = self.remote_tunnel;
            return Some(encode_control(tunnel, session, ns, self.next, &body));
        }
        if !std::mem::take(&mut self.ack_due) {
            return None;
        }
        self.stats.zlb_sent += 1;
        // A ZLB has the number of the message to be sent next and does not use it up.
        // cast: at most the peer's window
        let ns = self.first_ns.wrapping_add(self.ever_sent as u16);
        Some(encode_control(self.remote_tunnel, 0, ns, self.next, &[]))
    }
}

#[cfg(test)]
mod tests;
