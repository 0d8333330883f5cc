use dhcproto::v6::{self, Decodable, Status};

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

fn answer(message: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    server::answer(message, ID, &dns())
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
    let reply = server::answer(&message(11, &[]), ID, &[]).unwrap().unwrap();
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

fn statuses(reply: &[u8]) -> Vec<(u16, u32, Status)> {
    let reply = v6::Message::from_bytes(reply).unwrap();
    let status = |opts: &DhcpOptions| match opts.get(OptionCode::StatusCode) {
        Some(DhcpOption::StatusCode(code)) => code.status,
        other => panic!("no status but {other:?}"),
    };
    reply
        .opts()
        .iter()
        .filter_map(|option| match option {
            DhcpOption::IANA(ia) => Some((3, ia.id, status(&ia.opts))),
            DhcpOption::IATA(ia) => Some((4, ia.id, status(&ia.opts))),
            DhcpOption::IAPD(ia) => Some((25, ia.id, status(&ia.opts))),
            _ => None,
        })
        .collect()
}

#[test]
fn those_who_ask_for_addresses_hear_that_there_are_none() {
    let na = option(3, &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    let pd = option(25, &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    let solicit = message(1, &[client_id(), na.clone(), pd]);
    let reply = answer(&solicit).unwrap().unwrap();
    assert_eq!(reply[..4], [2, 0xa1, 0xb2, 0xc3]);
    assert_eq!(
        statuses(&reply),
        [(3, 7, Status::NoAddrsAvail), (25, 8, Status::NoPrefixAvail)]
    );
    let request = message(3, &[client_id(), server_id(), na.clone()]);
    let reply = answer(&request).unwrap().unwrap();
    assert_eq!(reply[0], 7);
    assert_eq!(statuses(&reply), [(3, 7, Status::NoAddrsAvail)]);
    for kind in [5, 8, 9] {
        let renew = message(kind, &[client_id(), server_id(), na.clone()]);
        let reply = answer(&renew).unwrap().unwrap();
        assert_eq!(statuses(&reply), [(3, 7, Status::NoBinding)]);
    }
}

#[test]
fn messages_that_are_not_for_this_server_are_left_alone() {
    let other_server = option(2, &[0, 3, 0, 1, 9, 9, 9, 9, 9, 9]);
    let request = message(3, &[client_id(), other_server]);
    assert_eq!(answer(&request), Ok(None));
    for kind in [0, 2, 4, 6, 7, 10, 12, 13, 20, 255] {
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
    let reply = server::answer(&request, ID, &many).unwrap().unwrap();
    assert!(reply.len() < 1000, "{}", reply.len());
    assert_eq!(statuses(&reply).len(), 8);
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
