//! A client without IPsec of its own: L2TP on UDP 1701 (RFC 2661 section 8.1), for a host whose
//! kernel holds the SAs, and for wires that are trusted. What it sends is in the clear.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use adit_crypto::Rng;
use adit_link::mtu::PlainEncapsulation;
use adit_ppp::Secret;
use adit_wire::PacketBuf;
use adit_wire::ip::Family;

use crate::call::{Call, Told};
use crate::config::Config;
use crate::event::Event;

/// One connection to a server, dialled when it is made. It is driven as
/// [`Client`](crate::Client) is, and has no computations to hand out.
pub struct PlainClient {
    rng: Rng,
    call: Call,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    down: bool,
}

impl PlainClient {
    /// Dials over `outer`. Of `config`, what is about L2TP, PPP and the path MTU counts.
    pub fn new(config: &Config, outer: Family, seed: [u8; 32], now: Instant) -> Self {
        let mut client = Self {
            rng: Rng::from_seed(seed),
            call: Call::new(config),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            down: false,
        };
        let encapsulation = PlainEncapsulation {
            outer,
            ppp_header: adit_ppp::HEADER_LEN,
            l2tp_header: config.l2tp_header(),
        };
        let link_mtu = encapsulation.link_mtu(config.path_mtu);
        client.call.start(link_mtu, now, &mut client.rng);
        client.drive(now);
        client
    }

    /// Takes a datagram. If it held an IP packet, gives its range in `datagram`.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) -> Option<Range<usize>> {
        if self.down {
            return None;
        }
        let message = 0..datagram.len();
        let ip = self
            .call
            .handle_message(datagram, message, now, &mut self.rng);
        self.drive(now);
        ip
    }

    /// Takes an IP packet with [`HEADROOM`](crate::HEADROOM) before it. If the family is up, it is
    /// a datagram afterwards.
    pub fn handle_tun(&mut self, packet: &mut PacketBuf) -> Option<()> {
        self.call.wrap_ip(packet)
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.down {
            self.call.handle_timeout(now, &mut self.rng);
            self.drive(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.call.poll_timeout().filter(|_| !self.down)
    }

    /// The server's numbers of the tunnel and the session.
    pub fn l2tp_ids(&self) -> Option<(u16, u16)> {
        self.call.l2tp_ids()
    }

    /// The next datagram to send to the server's port 1701.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next step that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Ends the connection: PPP Terminate-Request, CDN and StopCCN. [`Event::Down`] tells when
    /// everything has been said.
    pub fn close(&mut self, now: Instant) {
        self.call.close(now, &mut self.rng);
        self.drive(now);
    }

    /// Tries another password, after [`Event::PasswordRejected`].
    pub fn handle_password(&mut self, password: Secret, now: Instant) {
        self.call.handle_password(password, now, &mut self.rng);
        self.drive(now);
    }

    fn drive(&mut self, now: Instant) {
        while !self.down {
            while let Some(message) = self.call.poll_message() {
                self.transmits.push_back(message.as_slice().to_vec());
            }
            if !self.call.step(now, &mut self.rng) {
                return;
            }
            while let Some(told) = self.call.poll_told() {
                self.events.push_back(match told {
                    Told::Event(event) => event,
                    Told::Failed(reason) | Told::Ended(reason) => {
                        self.down = true;
                        Event::Down(reason)
                    }
                });
            }
        }
    }
}
