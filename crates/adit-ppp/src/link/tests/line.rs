//! Client and server over good and bad lines.

use super::pair::{Line, Pair, To};
use super::*;
use crate::config::Echo;
use crate::protocol::{IPCP, IPV6CP, LCP};

#[test]
fn both_families_come_up_with_the_assigned_values() {
    let mut pair = Pair::good(server_config(), client_config());
    pair.seconds(1);
    assert!(pair.both_open());
    let [server, client] = [SERVER4, CLIENT4].map(std::net::Ipv4Addr::from);
    let dns = DNS.map(std::net::Ipv4Addr::from).to_vec();
    let (client_id, server_id) = pair.client.ipv6cp.as_ref().unwrap().protocol().agreed();
    assert_eq!(server_id, SERVER6);
    assert!(pair.server_events.contains(&Event::Ipv4Up {
        local: server,
        peer: client,
        dns: dns.clone(),
        wins: vec![],
    }));
    assert!(pair.server_events.contains(&Event::Ipv6Up {
        local_interface_id: SERVER6,
        peer_interface_id: client_id,
    }));
    assert_eq!(pair.client_events.len(), 4, "{:?}", pair.client_events);
    assert_eq!(pair.client_events[0], Event::LcpUp { peer_mru: 1400 });
    let user = "LAB\\Alice".to_owned();
    assert_eq!(pair.client_events[1], Event::Authenticated { user });
    assert!(pair.client_events.contains(&Event::Ipv4Up {
        local: client,
        peer: server,
        dns,
        wins: vec![],
    }));
    assert_eq!(
        pair.server_events[2],
        Event::Authenticated {
            user: "Alice".to_owned()
        }
    );
    let framing = Framing {
        acfc: true,
        pfc: true,
    };
    assert_eq!(
        (pair.server.framing(), pair.client.framing()),
        (framing, framing)
    );
    assert_eq!(pair.server.ipcp_state().to_string(), "opened");
    assert_eq!(pair.server.ipv6cp_state().to_string(), "opened");
    assert_eq!(pair.server.stats().retransmitted, 0);
    assert_eq!(pair.server.stats().unmatched, 0);
}

#[test]
fn bad_lines_only_take_longer() {
    for seed in 0..60 {
        let line = Line {
            loss_percent: 20,
            duplicate_percent: 10,
            jitter: Duration::from_millis(400),
        };
        // Requests that overtake an Ack make an open LCP begin again (RFC 1661 4.1), so a line as
        // bad as this needs its time.
        let mut server = server_config();
        server.auth_timeout = Duration::from_secs(300);
        server.auth = match seed % 3 {
            0 => vec![AuthMethod::MsChapV2],
            1 => vec![AuthMethod::ChapMd5],
            _ => vec![AuthMethod::Pap],
        };
        let client = ClientConfig {
            allowed: server.auth.clone(),
            ..client_config()
        };
        let mut pair = Pair::new(server, client, line, seed);
        let mut waited = 0;
        while !pair.both_open() {
            pair.seconds(1);
            waited += 1;
            assert!(
                waited < 300,
                "seed {seed}: {:?} {:?} {} {}",
                pair.server_events,
                pair.client_events,
                pair.server.ipcp_state(),
                pair.client.ipcp_state(),
            );
        }
        assert_eq!(pair.down(), (None, None), "seed {seed}");
    }
}

#[test]
fn a_silent_peer_is_given_up() {
    let line = Line {
        loss_percent: 100,
        ..Line::default()
    };
    let mut pair = Pair::new(server_config(), client_config(), line, 1);
    pair.seconds(29);
    assert_eq!(pair.down(), (None, None));
    pair.seconds(2);
    let reason = Some(DownReason::NegotiationFailed(Failure::NoAnswer));
    assert_eq!(pair.down(), (reason.clone(), reason));
    assert_eq!(pair.sent(To::Client, LCP, 1), 10, "max-configure");
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn echo_asks_an_idle_peer_only_and_gives_it_up_in_the_end() {
    let server = ServerConfig {
        echo: Some(Echo {
            interval: Duration::from_secs(10),
            failures: 3,
        }),
        ..server_config()
    };
    let mut pair = Pair::good(server, client_config());
    pair.seconds(9);
    for _ in 0..6 {
        let now = pair.now;
        pair.server.note_data(now);
        pair.seconds(5);
    }
    assert_eq!(pair.server.stats().echoes_sent, 0, "data arrived");
    pair.seconds(34);
    assert_eq!(
        pair.server.stats().echoes_sent,
        3,
        "one for each quiet interval"
    );
    assert!(pair.both_open(), "they were answered");

    pair.line.loss_percent = 100;
    pair.seconds(29);
    assert_eq!(pair.down().0, None);
    let old = pair.now - Duration::from_secs(60);
    pair.server.note_data(old);
    pair.seconds(10);
    assert_eq!(pair.down().0, Some(DownReason::EchoTimeout));
    assert_eq!(pair.server.stats().echoes_sent, 6);
    assert!(pair.server_events.contains(&Event::Ipv4Down));
    assert!(pair.server_events.contains(&Event::Ipv6Down));
}

#[test]
fn either_end_may_terminate() {
    let mut pair = Pair::good(server_config(), client_config());
    pair.seconds(1);
    let now = pair.now;
    pair.server
        .close(CloseReason::Administrative, now, &mut pair.rng);
    pair.drain();
    assert!(!pair.server.ipv4_open() && !pair.server.ipv6_open());
    pair.seconds(4);
    let ours = DownReason::ClosedByUs(CloseReason::Administrative);
    let theirs = DownReason::PeerTerminated { ras_error: None };
    assert_eq!(pair.down(), (Some(ours.clone()), Some(theirs)));
    let position = |wanted: &Event| pair.server_events.iter().position(|event| event == wanted);
    let down = position(&Event::Down { reason: ours });
    assert!(position(&Event::Ipv4Down).is_some() && position(&Event::Ipv4Down) < down);
    assert!(position(&Event::Ipv6Down).is_some() && position(&Event::Ipv6Down) < down);

    let mut pair = Pair::good(server_config(), client_config());
    pair.seconds(1);
    let now = pair.now;
    pair.client.close(CloseReason::Idle, now, &mut pair.rng);
    pair.drain();
    pair.line.loss_percent = 100;
    pair.seconds(10);
    assert_eq!(
        pair.down().1,
        Some(DownReason::ClosedByUs(CloseReason::Idle))
    );
    assert_eq!(pair.sent(To::Server, LCP, 5), 2, "max-terminate");
}

#[test]
fn renegotiating_one_ncp_leaves_the_other_alone() {
    let mut pair = Pair::good(server_config(), client_config());
    pair.seconds(1);
    let before = pair.server_events.len();
    // The client asks for IPCP anew.
    let request = [&[0xff, 3, 0x80, 0x21, 1, 0xee, 0, 10, 3, 6][..], &CLIENT4].concat();
    let now = pair.now;
    pair.server
        .handle_frame(&request, now, &mut pair.rng)
        .unwrap();
    pair.drain();
    assert!(!pair.server.ipv4_open() && pair.server.ipv6_open());
    pair.seconds(10);
    assert!(pair.both_open());
    let kinds: Vec<_> = pair.server_events[before..]
        .iter()
        .map(|event| format!("{event:?}"))
        .collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert_eq!(kinds[0], "Ipv4Down");
    assert!(kinds[1].starts_with("Ipv4Up"), "{kinds:?}");
    assert_eq!(pair.sent(To::Client, IPV6CP, 1), 1);
    assert!(pair.sent(To::Client, IPCP, 1) > 1);
}

#[test]
fn renegotiating_lcp_asks_for_the_password_again() {
    let mut pair = Pair::good(server_config(), client_config());
    pair.seconds(1);
    let now = pair.now;
    let request = [0xff, 3, 0xc0, 0x21, 1, 0xee, 0, 4];
    pair.server
        .handle_frame(&request, now, &mut pair.rng)
        .unwrap();
    assert!(
        !pair.server.is_authenticated() && !pair.server.ipv4_open() && !pair.server.ipv6_open()
    );
    pair.drain();
    pair.seconds(20);
    assert!(pair.both_open(), "{:?}", pair.server_events);
    let attempts = pair
        .server_events
        .iter()
        .filter(|event| matches!(event, Event::Authenticate(_)));
    assert!(attempts.count() >= 2);
}
