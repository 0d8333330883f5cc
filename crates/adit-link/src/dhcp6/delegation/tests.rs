//! The requesting router against the server of this crate over virtual days, and answers that are not
//! right.

use super::super::server::{Delegation, Offer, Outcome, Server};
use super::*;

#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
fn epoch() -> Instant {
    Instant::now()
}

fn rng(seed: u8) -> Rng {
    Rng::from_seed([seed; 32])
}

const HOUR: Duration = Duration::from_secs(3600);

struct Pair {
    client: Client,
    server: Server,
    prefix: Ipv6Net,
    now: Instant,
    rng: Rng,
    /// Types of the client's messages.
    asked: Vec<MessageType>,
    granted: Vec<Granted>,
    /// The server does not answer these.
    deaf_to: Vec<MessageType>,
}

impl Pair {
    fn new() -> Self {
        let (now, mut rng) = (epoch(), rng(3));
        let prefix = "2001:db8:ff00::/56".parse().unwrap();
        let mut server = Server::new(1);
        server.set_delegation(Delegation::Held(prefix));
        Self {
            client: Client::new(9, now, &mut rng),
            server,
            prefix,
            now,
            rng,
            asked: Vec::new(),
            granted: Vec::new(),
            deaf_to: Vec::new(),
        }
    }

    fn answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let dns = ["2001:db8::53".parse().unwrap()];
        let offer = Offer {
            dns: &dns,
            search: &[],
            single: None,
            prefix: "2001:db8:77:1::/64".parse().unwrap(),
            valid: 24 * HOUR,
            preferred: 12 * HOUR,
        };
        match self.server.handle(message, &offer, self.now).unwrap() {
            Outcome::Reply(reply) => Some(reply),
            _ => None,
        }
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.client.poll_timeout() <= end {
            self.now = self.now.max(self.client.poll_timeout());
            self.server.handle_timeout(self.now);
            if let Some(gone) = self.client.expire(self.now) {
                self.granted.push(Granted {
                    gone: Some(gone),
                    ..Granted::default()
                });
            }
            let message = self.client.handle_timeout(self.now, &mut self.rng);
            let Some(message) = message else { continue };
            let kind = MessageType::from(message[0]);
            self.asked.push(kind);
            if self.deaf_to.contains(&kind) {
                continue;
            }
            if let Some(reply) = self.answer(&message) {
                let granted = self.client.handle(&reply, self.now, &mut self.rng);
                self.granted.extend(granted.unwrap());
            }
        }
        self.now = end;
        self.server.handle_timeout(end);
    }

    fn news(&self) -> Vec<(Option<Ipv6Net>, Option<Ipv6Net>)> {
        let news = self
            .granted
            .iter()
            .map(|granted| (granted.new, granted.gone));
        news.filter(|news| *news != (None, None)).collect()
    }
}

#[test]
fn a_prefix_is_asked_for_kept_and_given_back() {
    use MessageType::{Renew, Request, Solicit};
    let mut pair = Pair::new();
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.asked, [Solicit, Request]);
    assert_eq!(pair.news(), [(Some(pair.prefix), None)]);
    let dns: Vec<Ipv6Addr> = vec!["2001:db8::53".parse().unwrap()];
    assert_eq!(pair.granted.last().unwrap().dns, dns);
    assert_eq!(pair.server.delegated(), Some(pair.prefix));
    // T1 is half of the preferred lifetime.
    pair.run(20 * HOUR);
    assert_eq!(pair.asked[2..], [Renew; 3]);
    assert_eq!(pair.news().len(), 1, "the same prefix is no news");
    let release = pair.client.release(&mut pair.rng).unwrap();
    assert_eq!(MessageType::from(release[0]), MessageType::Release);
    pair.answer(&release).unwrap();
    assert_eq!(pair.server.delegated(), None);
    assert_eq!(pair.client.release(&mut pair.rng), None);
}

#[test]
fn what_no_renew_keeps_a_rebind_keeps() {
    use MessageType::{Rebind, Renew};
    let mut pair = Pair::new();
    pair.deaf_to = vec![Renew];
    pair.run(5 * HOUR);
    pair.run(6 * HOUR);
    let rebinds = pair.asked.iter().filter(|kind| **kind == Rebind).count();
    assert_eq!(rebinds, 1, "{:?}", pair.asked);
    assert!(pair.asked.contains(&Renew));
    assert_eq!(pair.news(), [(Some(pair.prefix), None)]);
    assert_eq!(pair.server.delegated(), Some(pair.prefix));
}

#[test]
fn a_prefix_that_nobody_prolongs_ends_and_is_asked_for_anew() {
    use MessageType::{Rebind, Renew, Request};
    let mut pair = Pair::new();
    pair.run(HOUR);
    pair.deaf_to = vec![Renew, Rebind, Request];
    pair.run(24 * HOUR);
    let prefix = pair.prefix;
    assert_eq!(pair.news(), [(Some(prefix), None), (None, Some(prefix))]);
    assert_eq!(pair.server.delegated(), None);
    let requests = |pair: &Pair| pair.asked.iter().filter(|kind| **kind == Request).count();
    // Ten Requests, then from the start (18.2.2).
    assert!(requests(&pair) > 2 * REQUEST_TRIES as usize);
    pair.deaf_to.clear();
    pair.run(2 * HOUR);
    assert_eq!(pair.news().len(), 3);
    assert_eq!(pair.server.delegated(), Some(prefix));
}

#[test]
fn a_server_that_has_another_one_now_is_followed() {
    let mut pair = Pair::new();
    pair.run(HOUR);
    let old = pair.prefix;
    let new: Ipv6Net = "2001:db8:aa00::/56".parse().unwrap();
    pair.server.set_delegation(Delegation::Held(new));
    pair.run(8 * HOUR);
    assert_eq!(pair.news(), [(Some(old), None), (Some(new), Some(old))]);
    pair.server.set_delegation(Delegation::None);
    pair.run(8 * HOUR);
    assert_eq!(pair.news()[2], (None, Some(new)));
}

/// A Reply to the Request that is out, with this IA_PD option in it.
fn reply(pair: &Pair, association: &[u8]) -> Vec<u8> {
    let mut message = vec![7];
    message.extend(pair.client.transaction);
    for (code, duid) in [(1, &pair.client.duid), (2, &duid(1))] {
        message.extend([0, code, 0, duid.len() as u8]);
        message.extend(duid);
    }
    message.extend([0, 25, 0, association.len() as u8]);
    message.extend(association);
    message
}

fn association(head: [u32; 3], options: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = head.iter().flat_map(|field| field.to_be_bytes()).collect();
    body.extend(options);
    body
}

fn prefix_option(preferred: u32, valid: u32, length: u8, first: u16) -> Vec<u8> {
    let mut option = vec![0, 26, 0, 25];
    option.extend(preferred.to_be_bytes());
    option.extend(valid.to_be_bytes());
    option.push(length);
    option.extend(first.to_be_bytes());
    option.extend([0; 14]);
    option
}

#[test]
fn wrong_answers_give_nothing() {
    let mut pair = Pair::new();
    pair.deaf_to = vec![MessageType::Request];
    pair.run(Duration::from_secs(4));
    assert_eq!(pair.client.stage, Stage::Request);
    let good = prefix_option(60, 90, 56, 0x2001);
    let fits = association([1, 0, 0], &good);
    let mut no_server = reply(&pair, &fits);
    no_server.drain(4 + 4 + 12..4 + 2 * (4 + 12));
    let mut other = reply(&pair, &fits);
    other[1] ^= 1;
    let mut not_ours = reply(&pair, &fits);
    not_ours[4 + 4 + 11] ^= 1;
    let mut advertise = reply(&pair, &fits);
    advertise[0] = 2;
    for (message, refused) in [
        (no_server, true),
        (other, false),
        (not_ours, false),
        (advertise, false),
        (reply(&pair, &[0, 0, 0, 1, 0]), true),
        (reply(&pair, &association([1, 0, 0], &good[..20])), true),
        (
            reply(&pair, &association([1, 0, 0], &[0, 26, 0, 3, 1, 2, 3])),
            true,
        ),
        (
            reply(
                &pair,
                &association([1, 0, 0], &prefix_option(1, 2, 129, 0x2001)),
            ),
            true,
        ),
        (
            reply(&pair, &association([1, 0, 0], &[0, 13, 0, 1, 0])),
            true,
        ),
    ] {
        let mut client = pair.client.clone();
        let result = client.handle(&message, pair.now, &mut pair.rng);
        assert_eq!(result.is_err(), refused, "{message:?}: {result:?}");
        assert!(refused || result == Ok(None));
        assert_eq!(client.lease, None);
    }
    // Well-formed, and of no use: then it starts again.
    for association in [
        association([2, 0, 0], &good),
        association([1, 50, 40], &good),
        association([1, 0, 0], &prefix_option(91, 90, 56, 0x2001)),
        association([1, 0, 0], &prefix_option(0, 0, 56, 0x2001)),
        association([1, 0, 0], &prefix_option(60, 90, 0, 0x2001)),
        association([1, 0, 0], &prefix_option(60, 90, 56, 0xfe80)),
        association([1, 0, 0], &prefix_option(60, 90, 56, 0xff02)),
        association([1, 0, 0], &[0, 13, 0, 2, 0, 6]),
        association([1, 0, 0], &[]),
    ] {
        let mut client = pair.client.clone();
        let message = reply(&pair, &association);
        let granted = client.handle(&message, pair.now, &mut pair.rng);
        assert_eq!(granted, Ok(Some(Granted::default())), "{association:?}");
        assert_eq!((client.lease, client.stage), (None, Stage::Waiting));
    }
    // The good one, so that the above fails for its reason; T1 and T2 are then ours to choose.
    let message = reply(&pair, &fits);
    let granted = pair.client.handle(&message, pair.now, &mut pair.rng);
    assert!(granted.unwrap().unwrap().new.is_some());
    let lease = pair.client.lease.unwrap();
    assert_eq!(lease.renew, Some(pair.now + Duration::from_secs(30)));
    assert_eq!(lease.rebind, Some(pair.now + Duration::from_secs(48)));
}
