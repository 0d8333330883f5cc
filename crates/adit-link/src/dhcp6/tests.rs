use std::time::{Duration, Instant};

use dhcproto::v6::{self, Decodable, Status};
use ipnet::Ipv6Net;

use crate::domain::Domain;

use super::server::{Delegation, Offer, Outcome, Server};
use super::*;

const ID: u64 = 1;

fn option(code: u16, body: &[u8]) -> Vec<u8> {
    let mut option = code.to_be_bytes().to_vec();
    option.extend((body.len() as u16).to_be_bytes());
    option.extend(body);
    option
}

fn message(kind: u8, options: &[Vec<u8>]) -> Vec<u8> {
    [vec![kind, 0xa1, 0xb2, 0xc3], options.concat()].concat()
}

fn client_id() -> Vec<u8> {
    option(1, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 9])
}

fn server_id() -> Vec<u8> {
    option(2, &duid(ID))
}

fn dns() -> [Ipv6Addr; 2] {
    ["2001:db8:77::1", "2001:db8:77::2"].map(|text| text.parse().unwrap())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to start from"
)]
fn start() -> Instant {
    Instant::now()
}

fn offer(dns: &[Ipv6Addr]) -> Offer<'_> {
    Offer {
        dns,
        search: &[],
        prefix: "2001:db8:77:5::/64".parse().unwrap(),
        single: None,
        valid: Duration::from_secs(86_400),
        preferred: Duration::from_secs(43_200),
    }
}

/// The answer of a fresh server that has no prefix to delegate.
fn answer(message: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut server = Server::new(ID);
    server.set_delegation(Delegation::None);
    match server.handle(message, &offer(&dns()), start())? {
        Outcome::Reply(reply) => Ok(Some(reply)),
        Outcome::Ignored => Ok(None),
        Outcome::WantsPrefix => panic!("settled already"),
    }
}

#[test]
fn information_request_byte_for_byte() {
    let request = message(
        11,
        &[
            client_id(),
            option(6, &[0, 17, 0, 23, 0, 24, 0, 32]),
            option(8, &[0, 0]),
        ],
    );
    let mut expected = vec![7, 0xa1, 0xb2, 0xc3];
    expected.extend([0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9]);
    expected.extend([0, 2, 0, 12, 0, 3, 0, 27, 0, 0, 0, 0, 0, 0, 0, 1]);
    expected.extend([0, 23, 0, 32]);
    expected.extend(dns().iter().flat_map(|server| server.octets()));
    assert_eq!(answer(&request), Ok(Some(expected)));
}

#[test]
fn only_what_was_asked_for_is_told() {
    let asks = |codes: &[u8]| {
        let request = message(11, &[client_id(), option(6, codes)]);
        let reply = answer(&request).unwrap().unwrap();
        let reply = v6::Message::from_bytes(&reply).unwrap();
        reply.opts().get(OptionCode::DomainNameServers).is_some()
    };
    assert!(asks(&[0, 23]));
    assert!(!asks(&[0, 24]));
    assert!(!asks(&[]));
    // No Option Request, and no client identifier: both may be missing here.
    let reply = answer(&message(11, &[])).unwrap().unwrap();
    let reply = v6::Message::from_bytes(&reply).unwrap();
    assert!(reply.opts().get(OptionCode::DomainNameServers).is_some());
    assert!(reply.opts().get(OptionCode::ClientId).is_none());
    // An odd number of bytes is no list of codes.
    let odd = message(11, &[option(6, &[0, 23, 0])]);
    assert_eq!(answer(&odd), Err(Error::DhcpOption(6)));
    // Nothing to tell.
    let mut server = Server::new(ID);
    let reply = server.handle(&message(11, &[]), &offer(&[]), start());
    let Ok(Outcome::Reply(reply)) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(reply.len(), 4 + 16);
}

#[test]
fn invalid_information_requests() {
    let ia = option(3, &[0; 12]);
    assert_eq!(
        answer(&message(11, &[client_id(), ia])),
        Err(Error::DhcpInvalid {
            kind: 11,
            option: 3
        })
    );
    let other_server = option(2, &[0, 3, 0, 1, 9, 9, 9, 9, 9, 9]);
    assert_eq!(
        answer(&message(11, &[other_server])),
        Err(Error::DhcpInvalid {
            kind: 11,
            option: 2
        })
    );
    assert!(answer(&message(11, &[server_id()])).unwrap().is_some());
}

/// What an identity association got: its code, its number, and an address or prefix or a status.
fn leases(reply: &[u8]) -> Vec<(u16, u32, Result<String, Status>)> {
    let reply = v6::Message::from_bytes(reply).unwrap();
    let got = |opts: &DhcpOptions| match opts.iter().next() {
        Some(DhcpOption::StatusCode(code)) => Err(code.status),
        Some(DhcpOption::IAAddr(ia)) => Ok(ia.addr.to_string()),
        Some(DhcpOption::IAPrefix(ia)) => Ok(format!("{}/{}", ia.prefix_ip, ia.prefix_len)),
        other => panic!("{other:?}"),
    };
    let lease = |option: &DhcpOption| match option {
        DhcpOption::IANA(ia) => Some((3, ia.id, got(&ia.opts))),
        DhcpOption::IATA(ia) => Some((4, ia.id, got(&ia.opts))),
        DhcpOption::IAPD(ia) => Some((25, ia.id, got(&ia.opts))),
        _ => None,
    };
    reply.opts().iter().filter_map(lease).collect()
}

fn ia_na(id: u8) -> Vec<u8> {
    option(3, &[0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn ia_pd(id: u8) -> Vec<u8> {
    option(25, &[0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn other_client() -> Vec<u8> {
    option(1, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 10])
}

/// A server that holds 2001:db8:ff00::/56 for its client.
struct Bench {
    server: Server,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let mut server = Server::new(ID);
        server.set_delegation(Delegation::Held(delegated()));
        Self {
            server,
            now: start(),
        }
    }

    fn reply(&mut self, kind: u8, options: &[Vec<u8>]) -> Vec<u8> {
        match self
            .server
            .handle(&message(kind, options), &offer(&dns()), self.now)
        {
            Ok(Outcome::Reply(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }
}

fn delegated() -> Ipv6Net {
    "2001:db8:ff00::/56".parse().unwrap()
}

#[test]
fn addresses_come_out_of_the_prefix_of_the_session() {
    let mut bench = Bench::new();
    let reply = bench.reply(1, &[client_id(), ia_na(7), ia_na(8)]);
    assert_eq!(reply[..4], [2, 0xa1, 0xb2, 0xc3]);
    let expected = [
        (3, 7, Ok("2001:db8:77:5::2".to_owned())),
        (3, 8, Ok("2001:db8:77:5::3".to_owned())),
    ];
    assert_eq!(leases(&reply), expected);
    // The same at every step, and for the same association only.
    for kind in [3, 5] {
        let reply = bench.reply(kind, &[client_id(), server_id(), ia_na(8), ia_na(7)]);
        assert_eq!(reply[0], 7);
        let swapped = [expected[1].clone(), expected[0].clone()];
        assert_eq!(leases(&reply), swapped);
    }
    let reply = bench.reply(6, &[other_client(), ia_na(7)]);
    assert_eq!(leases(&reply), [(3, 7, Ok("2001:db8:77:5::4".to_owned()))]);
    let temporary = option(4, &[0, 0, 0, 1]);
    let reply = bench.reply(1, &[client_id(), temporary]);
    assert_eq!(leases(&reply), [(4, 1, Err(Status::NoAddrsAvail))]);
}

#[test]
fn lifetimes_and_renewal_times() {
    let reply = Bench::new().reply(3, &[client_id(), server_id(), ia_na(1), ia_pd(1)]);
    let reply = v6::Message::from_bytes(&reply).unwrap();
    let Some(DhcpOption::IANA(na)) = reply.opts().get(OptionCode::IANA) else {
        panic!("no address");
    };
    let Some(DhcpOption::IAPD(pd)) = reply.opts().get(OptionCode::IAPD) else {
        panic!("no prefix");
    };
    assert_eq!(
        (na.t1, na.t2, pd.t1, pd.t2),
        (21_600, 34_560, 21_600, 34_560)
    );
    let Some(DhcpOption::IAPrefix(prefix)) = pd.opts.get(OptionCode::IAPrefix) else {
        panic!("no prefix");
    };
    let lifetimes = (prefix.preferred_lifetime, prefix.valid_lifetime);
    assert_eq!(lifetimes, (43_200, 86_400));
}

#[test]
fn a_prefix_is_delegated_on_every_kind_of_grant() {
    let got = [(25, 1, Ok("2001:db8:ff00::/56".to_owned()))];
    let rapid = option(14, &[]);
    let grants = [
        (1, vec![client_id(), ia_pd(1), rapid]),
        (3, vec![client_id(), server_id(), ia_pd(1)]),
        (5, vec![client_id(), server_id(), ia_pd(1)]),
        (6, vec![client_id(), ia_pd(1)]),
    ];
    for (kind, options) in grants {
        let mut bench = Bench::new();
        let offered = bench.reply(1, &[client_id(), ia_pd(1)]);
        assert_eq!((offered[0], leases(&offered)), (2, got.to_vec()));
        assert_eq!(bench.server.delegated(), None, "an offer is no grant");
        let reply = bench.reply(kind, &options);
        assert_eq!((reply[0], leases(&reply)), (7, got.to_vec()), "type {kind}");
        assert_eq!(bench.server.delegated(), Some(delegated()), "type {kind}");
    }
}

#[test]
fn a_delegation_ends_when_it_is_given_back_or_not_renewed() {
    let mut bench = Bench::new();
    bench.reply(3, &[client_id(), server_id(), ia_pd(1)]);
    // Not by somebody else's release.
    bench.reply(8, &[other_client(), server_id(), ia_pd(1)]);
    bench.reply(8, &[client_id(), server_id(), ia_pd(2)]);
    assert_eq!(bench.server.delegated(), Some(delegated()));
    bench.reply(8, &[client_id(), server_id(), ia_pd(1)]);
    assert_eq!(bench.server.delegated(), None);

    bench.reply(3, &[client_id(), server_id(), ia_pd(1)]);
    bench.now += Duration::from_secs(80_000);
    bench.reply(5, &[client_id(), server_id(), ia_pd(1)]);
    let due = bench.server.poll_timeout().unwrap();
    assert_eq!(due, bench.now + Duration::from_secs(86_400));
    bench.server.handle_timeout(due - Duration::from_secs(1));
    assert_eq!(bench.server.delegated(), Some(delegated()));
    bench.server.handle_timeout(due);
    assert_eq!(bench.server.delegated(), None);
    assert_eq!(bench.server.poll_timeout(), None);
}

#[test]
fn one_prefix_for_one_client() {
    let mut bench = Bench::new();
    bench.reply(3, &[client_id(), server_id(), ia_pd(1)]);
    let reply = bench.reply(3, &[client_id(), server_id(), ia_pd(2)]);
    assert_eq!(leases(&reply), [(25, 2, Err(Status::NoPrefixAvail))]);
    // Another router took its place at the end of the line.
    let reply = bench.reply(3, &[other_client(), server_id(), ia_pd(9)]);
    assert_eq!(
        leases(&reply),
        [(25, 9, Ok("2001:db8:ff00::/56".to_owned()))]
    );
}

#[test]
fn whether_there_is_a_prefix_is_asked_before_the_answer() {
    let mut server = Server::new(ID);
    let solicit = message(1, &[client_id(), ia_pd(1)]);
    let outcome = server.handle(&solicit, &offer(&dns()), start());
    assert_eq!(outcome, Ok(Outcome::WantsPrefix));
    server.set_delegation(Delegation::None);
    let Ok(Outcome::Reply(reply)) = server.handle(&solicit, &offer(&dns()), start()) else {
        panic!("no reply");
    };
    assert_eq!(leases(&reply), [(25, 1, Err(Status::NoPrefixAvail))]);
}

#[test]
fn confirm_is_answered_by_whether_the_addresses_are_on_the_link() {
    let with = |address: &str| {
        let address: Ipv6Addr = address.parse().unwrap();
        let lifetimes = [0; 8];
        let inner = option(5, &[&address.octets()[..], &lifetimes].concat());
        let body = [vec![0; 12], inner].concat();
        message(4, &[client_id(), option(3, &body)])
    };
    let status = |reply: Option<Vec<u8>>| {
        let reply = v6::Message::from_bytes(&reply.unwrap()).unwrap();
        match reply.opts().get(OptionCode::StatusCode) {
            Some(DhcpOption::StatusCode(code)) => code.status,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        status(answer(&with("2001:db8:77:5::2")).unwrap()),
        Status::Success
    );
    assert_eq!(
        status(answer(&with("2001:db8:78::2")).unwrap()),
        Status::NotOnLink
    );
    assert_eq!(answer(&message(4, &[client_id(), ia_na(1)])), Ok(None));
    let cut = [vec![0; 12], vec![0, 5, 0, 24, 1]].concat();
    assert_eq!(
        answer(&message(4, &[client_id(), option(3, &cut)])),
        Err(Error::DhcpOption(5))
    );
}

#[test]
fn search_domains_are_told_uncompressed() {
    let search = ["corp.example.org", "example.org"].map(|name| name.parse().unwrap());
    let offer = Offer {
        search: &search,
        ..offer(&[])
    };
    let request = message(11, &[option(6, &[0, 24])]);
    let Ok(Outcome::Reply(reply)) = Server::new(ID).handle(&request, &offer, start()) else {
        panic!("no reply");
    };
    let wire = b"\x04corp\x07example\x03org\x00\x07example\x03org\x00";
    assert_eq!(reply[20..], option(24, wire));
}

#[test]
fn messages_that_are_not_for_this_server_are_left_alone() {
    let other_server = option(2, &[0, 3, 0, 1, 9, 9, 9, 9, 9, 9]);
    let request = message(3, &[client_id(), other_server]);
    assert_eq!(answer(&request), Ok(None));
    for kind in [0, 2, 7, 10, 12, 13, 20, 255] {
        assert_eq!(
            answer(&message(kind, &[client_id()])),
            Ok(None),
            "type {kind}"
        );
    }
    assert_eq!(
        answer(&message(1, &[])),
        Err(Error::DhcpInvalid { kind: 1, option: 1 })
    );
    assert_eq!(
        answer(&message(1, &[client_id(), server_id()])),
        Err(Error::DhcpInvalid { kind: 1, option: 2 })
    );
    assert_eq!(
        answer(&message(5, &[client_id()])),
        Err(Error::DhcpInvalid { kind: 5, option: 2 })
    );
}

#[test]
fn malformed_messages_are_refused() {
    assert!(matches!(answer(&[]), Err(Error::Truncated(_))));
    assert!(matches!(answer(&[11, 1, 2]), Err(Error::Truncated(_))));
    assert!(matches!(
        answer(&[11, 1, 2, 3, 0]),
        Err(Error::Truncated(_))
    ));
    // Past the end.
    let past = [&[11, 1, 2, 3][..], &[0, 1, 0, 11], &[0; 10]].concat();
    assert_eq!(answer(&past), Err(Error::DhcpOption(1)));
    // Identifiers too short and too long.
    for length in [0, 2, 131] {
        let request = message(11, &[option(1, &vec![0; length])]);
        assert_eq!(answer(&request), Err(Error::DhcpOption(1)));
    }
    // Lengths from which a status code, a vendor class and vendor options would be subtracted.
    for code in [13, 16, 17] {
        let request = message(11, &[option(code, &[0]), option(6, &[0, 23])]);
        assert!(answer(&request).unwrap().is_some());
    }
    let short = message(1, &[client_id(), option(3, &[0, 0, 0])]);
    assert_eq!(answer(&short), Err(Error::DhcpOption(3)));
    let many = message(11, &vec![option(99, &[]); 65]);
    assert_eq!(answer(&many), Err(Error::DhcpOptions));
}

#[test]
fn answers_stay_small() {
    let request = message(
        1,
        &[vec![option(1, &[7; 130])], vec![option(3, &[0; 12]); 60]].concat(),
    );
    let many: Vec<Ipv6Addr> = (0..200_u128).map(Ipv6Addr::from).collect();
    let search: Vec<Domain> = (0..200)
        .map(|number| format!("domain-{number}.example.org").parse().unwrap())
        .collect();
    let offer = Offer {
        search: &search,
        ..offer(&many)
    };
    let Ok(Outcome::Reply(reply)) = Server::new(ID).handle(&request, &offer, start()) else {
        panic!("no reply");
    };
    assert!(reply.len() < 1200, "{}", reply.len());
    assert_eq!(leases(&reply).len(), 8);
}

#[test]
fn options_nested_without_end_do_not_recurse() {
    // Vendor options within vendor options, five hundred deep.
    let mut nested = Vec::new();
    while nested.len() < 4000 {
        let mut outer = vec![0, 17];
        outer.extend((nested.len() as u16 + 4).to_be_bytes());
        outer.extend([0; 4]);
        outer.extend(&nested);
        nested = outer;
    }
    assert!(answer(&message(11, &[nested])).unwrap().is_some());
}
