//! IP on a link: the views, the clamp, the errors, and both ends of the IPv6 link.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use adit_crypto::Rng;
use adit_link::policy::{Action, Class, Direction, Flow, Protocol, Rule, Rules, Starter};
use adit_link::{Host, HostWants, Router, RouterConfig, RouterEvent};
use adit_link::{dhcp4, guard, icmp};
use adit_wire::ip::IpHeader;
use adit_wire::udp::UdpHeader;

use crate::inputs::Clock;

/// Everything that the packet path does with an IP packet.
pub fn ip_packet(data: &[u8]) {
    let _ = UdpHeader::parse(data);
    let Ok(header) = IpHeader::parse(data) else {
        return;
    };
    assert!(data.get(header.payload()).is_some(), "a range outside");
    let (from4, from6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    for error in [
        icmp::too_big(data, 1280, from4, from6),
        icmp::unreachable(data, from4, from6),
    ]
    .into_iter()
    .flatten()
    {
        assert!(error.len() <= 1280, "an error of {} bytes", error.len());
        assert!(
            IpHeader::parse(&error).is_ok(),
            "an error that does not parse"
        );
    }
    judge(data, &header);
    let mut packet = data.to_vec();
    if let Ok(true) = guard::clamp(&mut packet, &header, 1200, 1180) {
        assert_eq!(guard::clamp(&mut packet, &header, 1200, 1180), Ok(false));
    }
}

/// Rules see any packet, and what a rule about everything drops is dropped.
fn judge(data: &[u8], header: &IpHeader) {
    for cut in [data.len() / 2, 28, 48, data.len()] {
        let quote = data.get(..cut).unwrap_or(data);
        if let Ok(quoted) = IpHeader::parse_quoted(quote) {
            assert!(quote.get(quoted.payload()).is_some(), "a range outside");
        }
    }
    let mut some = Rule::new(Action::Accept);
    some.starter = Starter::Client;
    some.protocol = Some(Protocol::Number(6));
    some.ports = vec![1..=1024];
    let rules = [some, Rule::new(Action::Drop)].map(Arc::new);
    let rules = Rules::new(rules.into_iter().enumerate());
    for direction in [Direction::FromClient, Direction::ToClient] {
        for owned in [false, true] {
            let Ok(flow) = Flow::read(data, header, direction, |_| owned) else {
                continue;
            };
            assert_eq!(flow.family(), header.family());
            for class in [Class::Client, Class::Server, Class::Outside] {
                let hit = rules
                    .judge(&flow, class, &|_| false)
                    .expect("the last rule");
                let careful = class == Class::Client && hit.rule.action == Action::Accept;
                assert!(!careful, "a client is reached by accident");
            }
        }
    }
}

/// A packet for the link itself, to the router and to the host.
pub fn link_packet(data: &[u8]) {
    let Ok(header) = IpHeader::parse(data) else {
        return;
    };
    let mut clock = Clock::new();
    let mut rng = Rng::from_seed([13; 32]);
    let prefix = "2001:db8:77:1::/64".parse().expect("a prefix");
    let config = RouterConfig {
        dns: vec![Ipv6Addr::LOCALHOST],
        // Both kinds, by a bit of the flow label, which nobody looks at.
        shared: data.get(3).is_some_and(|byte| byte & 1 != 0),
        ..RouterConfig::default()
    };
    let mut router = Router::new(config, prefix, 1, 2, clock.now(), &mut rng);
    let mut host = Host::new(2, 1, clock.now(), &mut rng);
    let _ = router.handle_packet(data, &header, clock.tick(data), &mut rng);
    router.handle_timeout(clock.tick(data), &mut rng);
    while let Some(event) = router.poll_event() {
        if let RouterEvent::Tentative(address) = event {
            router.defend(address);
            router.set_address(Some(address));
        }
    }
    while router.poll_transmit().is_some() {}
    let _ = host.handle_packet(data, &header, clock.tick(data), &mut rng);
    host.handle_timeout(clock.tick(data), &mut rng);
    while host.poll_transmit().is_some() {}
    while host.poll_event().is_some() {}
    clients(data, &header, clock.now());
}

/// The clients of both kinds of DHCP, each with a question out.
fn clients(data: &[u8], header: &IpHeader, start: Instant) {
    let mut rng = Rng::from_seed([14; 32]);
    let wants = HostWants {
        delegation: true,
        ..HostWants::default()
    };
    let mut router = Host::wanting(wants, (2, 1), start, &mut rng);
    for _ in 0..4 {
        if let Some(due) = router.poll_timeout() {
            router.handle_timeout(due, &mut rng);
        }
        let _ = router.handle_packet(data, header, start, &mut rng);
        while router.poll_transmit().is_some() {}
        while router.poll_event().is_some() {}
    }
    let address = Ipv4Addr::new(10, 77, 0, 2);
    let mut inform = dhcp4::Client::new(INFORM, address, start, &mut rng);
    let _ = inform.handle_timeout(start);
    if let Ok(Some(told)) = inform.handle_packet(data, header) {
        assert!(told.routes.len() <= 64 && told.dns.len() <= 8);
    }
}

/// A transaction that inputs can name.
const INFORM: dhcp4::Wording = dhcp4::Wording {
    hardware: 8,
    hardware_address: &[0, 0, 0, 1],
    transaction: Some(1),
    vendor_class: "",
    parameters: &[6, 249],
    checksum: false,
    routes: 249,
    tries: 4,
    interval: std::time::Duration::from_secs(3),
};
