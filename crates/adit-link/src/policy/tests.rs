//! Every probe is made twice, once in each family, and has the same verdict.

use std::net::IpAddr;
use std::sync::Arc;

use adit_wire::ip::{Family, IpHeader, protocol};
use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

/// An end of a conversation, with its addresses of both families.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Own,
    Neighbour,
    Server,
    Office,
    World,
}

impl End {
    fn address(self, family: Family) -> IpAddr {
        let (v4, v6) = match self {
            Self::Own => ("10.77.0.2", "2001:db8:77:1::2"),
            Self::Neighbour => ("10.77.0.3", "2001:db8:77:2::3"),
            Self::Server => ("10.77.0.1", "2001:db8:77::1"),
            Self::Office => ("10.1.2.3", "2001:db8:1::3"),
            Self::World => ("192.0.2.80", "2001:db8:ffff::80"),
        };
        match family {
            Family::V4 => v4.parse().unwrap(),
            Family::V6 => v6.parse().unwrap(),
        }
    }

    fn class(self) -> Class {
        match self {
            Self::Own | Self::Neighbour => Class::Client,
            Self::Server => Class::Server,
            Self::Office | Self::World => Class::Outside,
        }
    }
}

const ICMP: u8 = protocol::ICMP;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn office() -> Option<Remote> {
    Some(Remote {
        nets: nets(&["10.0.0.0/8", "2001:db8::/35"]),
        ..Remote::default()
    })
}

fn rule(action: Action, change: impl FnOnce(&mut Rule)) -> Arc<Rule> {
    let mut rule = Rule::new(action);
    change(&mut rule);
    assert_eq!(rule.check(), Ok(()));
    Arc::new(rule)
}

fn rules(rules: Vec<Arc<Rule>>) -> Rules {
    Rules::new(rules.into_iter().enumerate())
}

/// A packet of either family: `number` is the protocol as IPv4 has it.
fn packet(family: Family, from: End, to: End, number: u8, payload: &[u8]) -> Vec<u8> {
    build(family, from, to, number, payload, 0, false)
}

fn build(
    family: Family,
    from: End,
    to: End,
    number: u8,
    payload: &[u8],
    offset: u16,
    more: bool,
) -> Vec<u8> {
    let mut payload = payload.to_vec();
    let fragment = offset != 0 || more;
    let mut packet;
    match family {
        Family::V4 => {
            packet = vec![0x45, 0, 0, 0, 0, 9, 0, 0, 64, number, 0, 0];
            packet[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
            packet[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
        }
        Family::V6 => {
            let mut next = match number {
                ICMP => protocol::ICMPV6,
                other => other,
            };
            if fragment {
                let field = offset | u16::from(more);
                let mut header = vec![next, 0];
                header.extend(field.to_be_bytes());
                header.extend([0, 0, 0, 9]);
                payload.splice(0..0, header);
                next = 44;
            }
            packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
            packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        }
    }
    for address in [from.address(family), to.address(family)] {
        match address {
            IpAddr::V4(address) => packet.extend(address.octets()),
            IpAddr::V6(address) => packet.extend(address.octets()),
        }
    }
    packet.extend(payload);
    packet
}

fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[..2].copy_from_slice(&source.to_be_bytes());
    segment[2..4].copy_from_slice(&destination.to_be_bytes());
    segment[12] = 0x50;
    segment[13] = flags;
    segment
}

fn udp(source: u16, destination: u16) -> Vec<u8> {
    tcp(source, destination, 0)[..8].to_vec()
}

fn echo(family: Family, is_request: bool) -> Vec<u8> {
    let kind = match (family, is_request) {
        (Family::V4, true) => 8,
        (Family::V4, false) => 0,
        (Family::V6, true) => 128,
        (Family::V6, false) => 129,
    };
    vec![kind, 0, 0, 0, 0, 1, 0, 1]
}

/// "Packet too big", which quotes as much as a router has to.
fn too_big(family: Family, about: &[u8]) -> Vec<u8> {
    let (kind, code, quote) = match family {
        Family::V4 => (3, 4, 28),
        Family::V6 => (2, 0, 48),
    };
    let mut message = vec![kind, code, 0, 0, 0, 0, 5, 0];
    message.extend(&about[..quote]);
    message
}

/// What becomes of a packet of one family: `None` if it cannot be judged, and the place of the rule.
fn verdict_of(
    rules: &Rules,
    family: Family,
    bytes: &[u8],
    remote: Option<End>,
) -> Option<Option<(usize, Action)>> {
    let header = IpHeader::parse(bytes).unwrap();
    let own = End::Own.address(family);
    let direction = match header.source == own {
        true => Direction::FromClient,
        false => Direction::ToClient,
    };
    let flow = Flow::read(bytes, &header, direction, |address| address == own).ok()?;
    let ends = [
        End::Own,
        End::Neighbour,
        End::Server,
        End::Office,
        End::World,
    ];
    let end = ends
        .into_iter()
        .find(|end| end.address(family) == flow.remote);
    if remote.is_some() {
        assert_eq!(end, remote);
    }
    let clients = nets(&["10.77.0.0/16", "2001:db8:77::/48"]);
    let within = |net: &IpNet| clients.iter().any(|own| own.contains(net));
    let hit = rules.judge(&flow, end.map_or(Class::Outside, End::class), &within);
    Some(hit.map(|hit| (hit.index, hit.rule.action)))
}

/// The verdict on a packet that is built in both families, which must be one.
fn verdict(
    rules: &Rules,
    build: impl Fn(Family) -> Vec<u8>,
    remote: End,
) -> Option<Option<(usize, Action)>> {
    let [v4, v6] = [Family::V4, Family::V6]
        .map(|family| verdict_of(rules, family, &build(family), Some(remote)));
    assert_eq!(v4, v6, "the families differ");
    v4
}

fn goes(rules: &Rules, from: End, to: End, number: u8, payload: &[u8]) -> Option<usize> {
    let remote = if from == End::Own { to } else { from };
    let packet = |family| packet(family, from, to, number, payload);
    verdict(rules, packet, remote)
        .expect("judged")
        .map(|(index, _)| index)
}

#[test]
fn a_rule_knows_a_conversation_and_its_replies() {
    let rules = rules(vec![
        rule(Action::Accept, |rule| {
            rule.starter = Starter::Client;
            rule.remote = office();
            rule.protocol = Some(Protocol::Number(protocol::TCP));
            rule.ports = vec![443..=443, 8000..=8100];
        }),
        rule(Action::Drop, |_| {}),
    ]);
    let (own, office, tcp_) = (End::Own, End::Office, protocol::TCP);
    for port in [443, 8000, 8050, 8100] {
        assert_eq!(
            goes(&rules, own, office, tcp_, &tcp(5000, port, SYN)),
            Some(0)
        );
        let reply = tcp(port, 5000, SYN | ACK);
        assert_eq!(goes(&rules, office, own, tcp_, &reply), Some(0));
        assert_eq!(
            goes(&rules, office, own, tcp_, &tcp(port, 5000, ACK)),
            Some(0)
        );
        // A remote end opens nothing with the port of a service.
        assert_eq!(
            goes(&rules, office, own, tcp_, &tcp(port, 5000, SYN)),
            Some(1)
        );
        assert_eq!(
            goes(&rules, own, End::World, tcp_, &tcp(5000, port, SYN)),
            Some(1)
        );
        assert_eq!(
            goes(&rules, own, office, protocol::UDP, &udp(5000, port)),
            Some(1)
        );
    }
    for port in [442, 444, 7999, 8101] {
        assert_eq!(
            goes(&rules, own, office, tcp_, &tcp(443, port, SYN)),
            Some(1)
        );
        assert_eq!(
            goes(&rules, office, own, tcp_, &tcp(port, 443, ACK)),
            Some(1)
        );
    }
}

#[test]
fn from_is_the_same_turned_around() {
    let rules = rules(vec![rule(Action::Reject, |rule| {
        rule.starter = Starter::Remote;
        rule.remote = office();
        rule.protocol = Some(Protocol::Number(protocol::TCP));
        rule.ports = vec![22..=22];
    })]);
    let (own, office, tcp_) = (End::Own, End::Office, protocol::TCP);
    assert_eq!(
        goes(&rules, office, own, tcp_, &tcp(5000, 22, SYN)),
        Some(0)
    );
    assert_eq!(
        goes(&rules, own, office, tcp_, &tcp(22, 5000, ACK)),
        Some(0)
    );
    assert_eq!(goes(&rules, own, office, tcp_, &tcp(22, 5000, SYN)), None);
    assert_eq!(goes(&rules, own, office, tcp_, &tcp(5000, 22, SYN)), None);
}

#[test]
fn echoes_are_of_both_families() {
    let rules = rules(vec![
        rule(Action::Accept, |rule| {
            rule.starter = Starter::Client;
            rule.protocol = Some(Protocol::Icmp);
        }),
        rule(Action::Drop, |_| {}),
    ]);
    for (from, to, is_request, hit) in [
        (End::Own, End::World, true, 0),
        (End::World, End::Own, false, 0),
        (End::World, End::Own, true, 1),
    ] {
        let build = |family| packet(family, from, to, ICMP, &echo(family, is_request));
        let found = verdict(&rules, build, End::World).unwrap().unwrap();
        assert_eq!(found.0, hit, "{from:?} {is_request}");
    }
}

#[test]
fn clients_are_reached_only_where_a_rule_means_them() {
    let accept =
        |remote: Option<Remote>| rules(vec![rule(Action::Accept, |rule| rule.remote = remote)]);
    let syn = tcp(5000, 80, SYN);
    let reaches = |rules: &Rules, to| goes(rules, End::Own, to, protocol::TCP, &syn).is_some();
    // The pool lies in a network that was written for the office.
    let office = accept(office());
    assert!(reaches(&office, End::Office) && !reaches(&office, End::Neighbour));
    let all = accept(None);
    assert!(reaches(&all, End::World) && reaches(&all, End::Server));
    assert!(!reaches(&all, End::Neighbour));
    let clients = accept(Some(Remote {
        clients: true,
        ..Remote::default()
    }));
    assert!(reaches(&clients, End::Neighbour) && !reaches(&clients, End::World));
    let some = accept(Some(Remote {
        nets: nets(&["10.77.0.0/24", "2001:db8:77:2::/64"]),
        ..Remote::default()
    }));
    assert!(reaches(&some, End::Neighbour));
    let server = accept(Some(Remote {
        server: true,
        ..Remote::default()
    }));
    assert!(reaches(&server, End::Server) && !reaches(&server, End::Neighbour));
    let refuse = rules(vec![rule(Action::Drop, |_| {})]);
    assert!(reaches(&refuse, End::Neighbour));
}

#[test]
fn an_error_is_judged_as_what_it_quotes() {
    let rules = rules(vec![
        rule(Action::Accept, |rule| {
            rule.starter = Starter::Client;
            rule.remote = office();
            rule.protocol = Some(Protocol::Number(protocol::TCP));
            rule.ports = vec![443..=443];
        }),
        rule(Action::Drop, |_| {}),
    ]);
    let error = |family, router, port| {
        let segment = tcp(5000, port, ACK);
        let about = packet(family, End::Own, End::Office, protocol::TCP, &segment);
        packet(family, router, End::Own, ICMP, &too_big(family, &about))
    };
    // From a router on the way that no rule knows.
    let build = |family| error(family, End::World, 443);
    assert_eq!(
        verdict(&rules, build, End::Office),
        Some(Some((0, Action::Accept)))
    );
    let build = |family| error(family, End::World, 444);
    assert_eq!(
        verdict(&rules, build, End::Office),
        Some(Some((1, Action::Drop)))
    );
    // About a packet that the client did not send: an ICMP message like any other.
    let build = |family| {
        let segment = tcp(5000, 443, ACK);
        let about = packet(family, End::Neighbour, End::Office, protocol::TCP, &segment);
        packet(family, End::World, End::Own, ICMP, &too_big(family, &about))
    };
    assert_eq!(
        verdict(&rules, build, End::World),
        Some(Some((1, Action::Drop)))
    );
    // The client's own errors, about what it has got.
    let build = |family| {
        let segment = tcp(443, 5000, ACK);
        let about = packet(family, End::Office, End::Own, protocol::TCP, &segment);
        packet(
            family,
            End::Own,
            End::Office,
            ICMP,
            &too_big(family, &about),
        )
    };
    assert_eq!(
        verdict(&rules, build, End::Office),
        Some(Some((0, Action::Accept)))
    );
}

#[test]
fn fragments_go_by_address_where_a_rule_accepts() {
    let web = |action| {
        rules(vec![rule(action, |rule| {
            rule.starter = Starter::Client;
            rule.protocol = Some(Protocol::Number(protocol::UDP));
            rule.ports = vec![53..=53];
        })])
    };
    let part = |number: u8, offset: u16, length: usize| {
        move |family| {
            build(
                family,
                End::Own,
                End::World,
                number,
                &vec![0; length],
                offset,
                true,
            )
        }
    };
    let later = part(protocol::UDP, 1200, 400);
    let found = verdict(&web(Action::Accept), later, End::World);
    assert_eq!(found, Some(Some((0, Action::Accept))));
    assert_eq!(verdict(&web(Action::Drop), later, End::World), Some(None));
    // A header that is cut, or that a fragment behind it could write over.
    let any = rules(vec![rule(Action::Accept, |_| {})]);
    for (number, offset, length) in [
        (protocol::TCP, 0, 16),
        (protocol::UDP, 0, 0),
        (ICMP, 0, 0),
        (protocol::TCP, 8, 400),
    ] {
        let hidden = part(number, offset, length);
        assert_eq!(verdict(&any, hidden, End::World), None, "{number} {offset}");
    }
}

#[test]
fn a_rule_for_one_family_must_say_so() {
    let checked = |change: &dyn Fn(&mut Rule)| {
        let mut rule = Rule::new(Action::Accept);
        change(&mut rule);
        rule.check()
    };
    let remote = |texts: &[&str]| {
        Some(Remote {
            nets: nets(texts),
            ..Remote::default()
        })
    };
    let (v4, v6) = (Fault::OneFamily("IPv4"), Fault::OneFamily("IPv6"));
    assert_eq!(
        checked(&|rule| rule.remote = remote(&["10.1.0.0/16"])),
        Err(v4)
    );
    assert_eq!(
        checked(&|rule| rule.remote = remote(&["2001:db8::/32"])),
        Err(v6)
    );
    let by_number = |number| move |rule: &mut Rule| rule.protocol = Some(Protocol::Number(number));
    assert_eq!(checked(&by_number(1)), Err(v4));
    assert_eq!(checked(&by_number(58)), Err(v6));
    assert_eq!(checked(&by_number(47)), Ok(()));
    assert_eq!(
        checked(&|rule| rule.protocol = Some(Protocol::Icmp)),
        Ok(())
    );
    let both = ["10.1.0.0/16", "2001:db8::/32"];
    assert_eq!(checked(&|rule| rule.remote = remote(&both)), Ok(()));
    for (family, own, other) in [
        (Family::V4, "10.1.0.0/16", "2001:db8::/32"),
        (Family::V6, "2001:db8::/32", "10.1.0.0/16"),
    ] {
        let with = |text: &'static str| {
            move |rule: &mut Rule| {
                rule.family = Some(family);
                rule.remote = remote(&[text]);
            }
        };
        assert_eq!(checked(&with(own)), Ok(()));
        assert_eq!(checked(&with(other)), Err(Fault::NoFamily));
    }
}

fn any_rule() -> impl Strategy<Value = Arc<Rule>> {
    let action = prop_oneof![
        Just(Action::Accept),
        Just(Action::Reject),
        Just(Action::Drop)
    ];
    let starter = prop_oneof![
        Just(Starter::Client),
        Just(Starter::Remote),
        Just(Starter::Either)
    ];
    let remote = prop_oneof![
        Just(None),
        Just(office()),
        (any::<bool>(), any::<bool>()).prop_map(|(clients, server)| Some(Remote {
            nets: nets(&["192.0.2.0/24", "2001:db8:ffff::/48"]),
            clients,
            server,
        })),
    ];
    let protocol = prop_oneof![
        Just((None, Vec::new())),
        Just((Some(Protocol::Icmp), Vec::new())),
        (1..5_u16, 1..5_u16).prop_map(|(low, high)| {
            let range = low.min(high)..=low.max(high);
            (Some(Protocol::Number(protocol::TCP)), vec![range])
        }),
        (1..5_u16).prop_map(|port| (Some(Protocol::Number(protocol::UDP)), vec![port..=port])),
    ];
    (action, starter, remote, protocol).prop_map(|(action, starter, remote, (protocol, ports))| {
        rule(action, |rule| {
            rule.starter = starter;
            rule.remote = remote;
            rule.protocol = protocol;
            rule.ports = ports;
        })
    })
}

proptest! {
    #[test]
    fn whatever_is_probed_has_one_verdict_in_both_families(
        list in prop::collection::vec(any_rule(), 0..8),
        outward in any::<bool>(),
        remote in prop_oneof![
            Just(End::Neighbour),
            Just(End::Server),
            Just(End::Office),
            Just(End::World),
        ],
        number in prop_oneof![Just(ICMP), Just(protocol::TCP), Just(protocol::UDP), Just(47_u8)],
        ports in (1..6_u16, 1..6_u16),
        flags in prop_oneof![Just(SYN), Just(ACK), Just(SYN | ACK)],
        is_request in any::<bool>(),
        quote in any::<bool>(),
        offset in prop_oneof![Just(0_u16), Just(8), Just(1200)],
        length in prop_oneof![Just(20_usize), Just(8), Just(7)],
    ) {
        let rules = rules(list);
        let (from, to) = if outward { (End::Own, remote) } else { (remote, End::Own) };
        let made = |family: Family| {
            let payload = match number {
                ICMP => echo(family, is_request),
                protocol::TCP | protocol::UDP => tcp(ports.0, ports.1, flags),
                _ => vec![0; 20],
            };
            if quote {
                let about = packet(family, to, from, number, &payload);
                return packet(family, from, to, ICMP, &too_big(family, &about));
            }
            let cut = payload.get(..length).unwrap_or(&payload);
            build(family, from, to, number, cut, offset, offset != 0)
        };
        verdict(&rules, made, remote);
    }
}
