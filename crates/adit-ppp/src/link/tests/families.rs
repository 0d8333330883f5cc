//! One family without the other.

use super::pair::{Pair, To};
use super::*;
use crate::protocol::{IPCP, IPV6CP, LCP};

fn has(events: &[Event], wanted: &Event) -> bool {
    events.contains(wanted)
}

#[test]
fn a_client_without_ipv6_has_ipv4() {
    let client = ClientConfig {
        ipv6: false,
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    pair.seconds(60);
    assert!(pair.server.ipv4_open() && pair.client.ipv4_open());
    assert!(!pair.server.ipv6_open());
    assert!(has(&pair.server_events, &Event::Ipv6Refused));
    assert!(!has(&pair.server_events, &Event::Ipv6Down));
    assert_eq!(pair.server.ipv6cp_state(), NcpState::Rejected);
    assert_eq!(pair.server.ipv6cp_state().to_string(), "rejected");
    assert_eq!(pair.client.ipv6cp_state(), NcpState::NotServed);
    assert_eq!(pair.sent(To::Server, LCP, 8), 1, "Protocol-Reject");
    assert_eq!(pair.sent(To::Client, IPV6CP, 1), 1, "not asked again");
}

#[test]
fn a_client_without_ipv4_has_ipv6() {
    let client = ClientConfig {
        ipv4: false,
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    pair.seconds(60);
    assert!(pair.server.ipv6_open() && pair.client.ipv6_open());
    assert!(!pair.server.ipv4_open());
    assert!(has(&pair.server_events, &Event::Ipv4Refused));
    assert_eq!(pair.server.ipcp_state(), NcpState::Rejected);
    assert_eq!(pair.sent(To::Client, IPCP, 1), 1);
}

#[test]
fn a_server_without_one_family_serves_the_other() {
    for ipv4 in [true, false] {
        let mut pair = Pair::good(server_config(), client_config());
        if ipv4 {
            pair.network.ipv6 = None;
        } else {
            pair.network.ipv4 = None;
        }
        pair.seconds(60);
        assert_eq!(
            (pair.client.ipv4_open(), pair.client.ipv6_open()),
            (ipv4, !ipv4)
        );
        let refused = if ipv4 {
            Event::Ipv6Refused
        } else {
            Event::Ipv4Refused
        };
        assert!(has(&pair.client_events, &refused));
        assert_eq!(pair.down(), (None, None));
    }
}

#[test]
fn no_family_at_all_ends_the_link() {
    let client = ClientConfig {
        ipv4: false,
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    pair.network.ipv6 = None;
    pair.seconds(20);
    assert_eq!(pair.down().0, Some(DownReason::NoNetwork));
    assert!(pair.down().1.is_some());
}

#[test]
fn a_protocol_reject_in_mid_session_takes_one_family_down() {
    let mut pair = Pair::good(server_config(), client_config());
    pair.seconds(1);
    let now = pair.now;
    let reject = [0xff, 3, 0xc0, 0x21, 8, 9, 0, 10, 0x80, 0x57, 1, 1, 0, 4];
    pair.server
        .handle_frame(&reject, now, &mut pair.rng)
        .unwrap();
    pair.drain();
    assert!(pair.server.ipv4_open() && !pair.server.ipv6_open());
    assert!(has(&pair.server_events, &Event::Ipv6Down));
    assert!(has(&pair.server_events, &Event::Ipv6Refused));
    pair.seconds(60);
    assert!(pair.server.ipv4_open() && pair.client.ipv4_open());
    assert_eq!(pair.down(), (None, None));
    assert!(!has(&pair.server_events, &Event::Ipv4Down));
}

/// Whatever befalls one family at either end, the other one is open at every moment, and the first
/// comes back unless the peer does not know it.
#[test]
fn neither_end_lets_one_family_touch_the_other() {
    for (to, number) in [
        (To::Server, IPCP),
        (To::Server, IPV6CP),
        (To::Client, IPCP),
        (To::Client, IPV6CP),
    ] {
        let [high, low] = number.to_be_bytes();
        let ask: &[u8] = match number {
            IPCP => &[1, 77, 0, 10, 3, 6, 10, 9, 0, 33],
            _ => &[1, 77, 0, 14, 1, 10, 2, 0, 0, 0, 0, 0, 0, 7],
        };
        let ncp = |body: &[u8]| [&[0xff, 3, high, low], body].concat();
        let reject = [0xff, 3, 0xc0, 0x21, 8, 9, 0, 10, high, low, 1, 1, 0, 4];
        for (frame, returns) in [
            (ncp(ask), true),
            (ncp(&[5, 78, 0, 4]), true),
            // A Configure-Reject or a Code-Reject of what it lives by.
            (ncp(&[7, 79, 0, 8, 1, 1, 0, 4]), false),
            (reject.to_vec(), false),
        ] {
            let mut pair = Pair::good(server_config(), client_config());
            pair.seconds(1);
            assert!(pair.both_open());
            let now = pair.now;
            let link = match to {
                To::Server => &mut pair.server,
                To::Client => &mut pair.client,
            };
            let _ = link.handle_frame(&frame, now, &mut pair.rng);
            pair.drain();
            let open = |pair: &Pair, wanted: u16| match wanted {
                IPCP => pair.server.ipv4_open() && pair.client.ipv4_open(),
                _ => pair.server.ipv6_open() && pair.client.ipv6_open(),
            };
            let other = if number == IPCP { IPV6CP } else { IPCP };
            assert!(!open(&pair, number), "{to:?} {number:04x}: {frame:?}");
            for _ in 0..600 {
                assert!(open(&pair, other), "{to:?} {number:04x}: {frame:?}");
                pair.run(Duration::from_millis(50));
            }
            if returns {
                assert!(open(&pair, number), "{to:?} {number:04x}: {frame:?}");
            }
            assert_eq!(pair.down(), (None, None));
            let down = if number == IPCP {
                Event::Ipv6Down
            } else {
                Event::Ipv4Down
            };
            assert!(!has(&pair.server_events, &down) && !has(&pair.client_events, &down));
        }
    }
}

#[test]
fn an_mru_below_1280_leaves_ipv6_out() {
    let client = ClientConfig {
        mru: 1270,
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    pair.seconds(60);
    assert_eq!(pair.server.peer_mru(), 1270);
    assert!(pair.server.ipv4_open() && pair.client.ipv4_open());
    assert_eq!(pair.server.ipv6cp_state(), NcpState::NotServed);
    assert!(has(&pair.client_events, &Event::Ipv6Refused));
}

#[test]
fn interface_identifiers_that_collide_are_replaced() {
    let client = ClientConfig {
        interface_id: Some(SERVER6),
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    pair.seconds(30);
    assert!(pair.both_open());
    let ids = |events: &[Event]| {
        events.iter().find_map(|event| match event {
            Event::Ipv6Up {
                local_interface_id,
                peer_interface_id,
            } => Some((*local_interface_id, *peer_interface_id)),
            _ => None,
        })
    };
    let (server, client) = ids(&pair.server_events).unwrap();
    assert_eq!(ids(&pair.client_events), Some((client, server)));
    assert!(server != client && server != 0 && client != 0);
}

#[test]
fn a_client_keeps_its_identifier_and_does_without_dns() {
    let client = ClientConfig {
        interface_id: Some(0xabcd),
        request_dns: true,
        ..client_config()
    };
    let mut pair = Pair::good(server_config(), client);
    pair.network.ipv4.as_mut().unwrap().dns.clear();
    pair.seconds(5);
    assert!(pair.both_open());
    assert!(has(
        &pair.client_events,
        &Event::Ipv4Up {
            local: CLIENT4.into(),
            peer: SERVER4.into(),
            dns: vec![],
            wins: vec![],
        }
    ));
    assert!(has(
        &pair.server_events,
        &Event::Ipv6Up {
            local_interface_id: SERVER6,
            peer_interface_id: 0xabcd,
        }
    ));
}

/// The client is up already and says no more by itself, so giving up would leave it up alone.
#[test]
fn a_family_that_the_peer_has_asked_for_is_tried_longer() {
    let ack = 2;
    for seconds in [50, 170] {
        let mut pair = Pair::good(server_config(), client_config());
        pair.swallows = Some((To::Server, IPV6CP, ack));
        pair.seconds(seconds);
        assert!(pair.client.ipv6_open() && pair.server.ipv4_open());
        assert!(!pair.server.ipv6_open());
        pair.swallows = None;
        pair.seconds(5);
        assert!(pair.both_open(), "after {seconds} s");
        assert_eq!(pair.down(), (None, None));
    }
    let mut pair = Pair::good(server_config(), client_config());
    pair.swallows = Some((To::Server, IPV6CP, ack));
    pair.seconds(300);
    let failed = NcpState::Failed(Failure::NoAnswer);
    assert_eq!(pair.server.ipv6cp_state(), failed);
    let tries = pair.sent(To::Client, IPV6CP, 1);
    assert_eq!(tries, 60, "six times max-configure");
    assert!(pair.server.ipv4_open());
}
