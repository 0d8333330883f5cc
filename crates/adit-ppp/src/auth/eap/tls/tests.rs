//! Fragments, and both ends of the method against each other and against what is not right.

use super::fragments::{Fragment, Incoming, Outgoing};
use super::*;
use crate::config::Network;
use crate::error::Error;
use crate::tls::testing::{
    Authority, OURS, VALID, client, client_of, server as trusted, server_of,
};
use crate::tls::{TlsClient, TlsServer};

/// How both ends left it.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Admitted,
    Failed(TlsFailure),
}

struct Run {
    end: End,
    judged: u32,
    satisfied: bool,
    client_failure: Option<TlsFailure>,
    packets: usize,
}

/// Lets both talk with packets of `room` bytes.
fn run(server: &TlsServer, client: &TlsClient, room: usize) -> Run {
    let (mut server, mut request) = Server::new(server).unwrap();
    let mut client = Client::new(client).unwrap();
    let (mut judged, mut packets) = (0, 0);
    let end = loop {
        packets += 1;
        assert!(packets < 1000 && request.len() <= room);
        let response = client.handle(&request, room).unwrap().expect("it fits");
        assert!(response.len() <= room);
        request = match server.handle(&response, room).unwrap().expect("it fits") {
            Step::Ask(request) => request,
            Step::Judge(certificate) => {
                assert!(certificate.windows(5).any(|part| part == b"alice"));
                assert!(!client.is_satisfied(), "not before the verdict");
                judged += 1;
                server.accept(Network::default(), room)
            }
            Step::Admit(_) => break End::Admitted,
            Step::Failed(failure) => break End::Failed(failure),
        };
    };
    Run {
        end,
        judged,
        satisfied: client.is_satisfied(),
        client_failure: client.failure().cloned(),
        packets,
    }
}

#[test]
fn both_versions_with_packets_of_any_size() {
    let server = trusted();
    for old in [false, true] {
        let client = client(old);
        for room in [80, 200, 576, 1400, 9000] {
            let run = run(&server, &client, room);
            assert_eq!((run.end, run.judged), (End::Admitted, 1));
            assert!(run.satisfied && run.client_failure.is_none());
            assert!(run.packets > 500 / room);
        }
    }
}

#[test]
fn certificates_that_are_not_to_be_believed() {
    let stranger = Authority::new("a stranger");
    let server = trusted();
    for old in [false, true] {
        for (authority, years, expected) in [
            (&stranger, VALID, TlsFailure::UnknownAuthority),
            (&*OURS, (2020, 2022), TlsFailure::Expired),
            (&*OURS, (2040, 2050), TlsFailure::NotValidYet),
        ] {
            let client = client_of(authority, years, "vpn.example", old);
            let run = run(&server, &client, 1400);
            assert_eq!((run.end, run.judged), (End::Failed(expected), 0));
            assert!(!run.satisfied);
            let alert = run.client_failure.unwrap();
            assert!(matches!(alert, TlsFailure::Alert(_)), "{alert:?}");
        }
        // The other way round, and a good certificate of another name.
        for (server, name, expected) in [
            (server_of(&stranger, VALID), "vpn.example", "no authority"),
            (server_of(&OURS, (2020, 2022)), "vpn.example", "has expired"),
            (server_of(&OURS, VALID), "other.example", "of no use"),
        ] {
            let client = client_of(&OURS, VALID, name, old);
            let run = run(&server, &client, 1400);
            assert!(matches!(&run.end, End::Failed(TlsFailure::Alert(_))));
            let failure = run.client_failure.unwrap().to_string();
            assert!(failure.contains(expected), "{failure}");
            assert_eq!((run.judged, run.satisfied), (0, false));
        }
    }
}

#[test]
fn lengths_that_lie_cost_nothing() {
    let claim = |flags: u8, length: u32, data: &[u8]| {
        let mut packet = vec![flags];
        packet.extend(length.to_be_bytes());
        packet.extend(data);
        packet
    };
    for (packet, claimed) in [
        // The huge length of CVE-2018-11574, as one packet and as the first of many.
        (claim(0x80, u32::MAX, b"x"), u64::from(u32::MAX)),
        (claim(0xc0, u32::MAX, b"x"), u64::from(u32::MAX)),
        (claim(0xc0, 65_537, b"x"), 65_537),
        // Shorter and longer than what comes with it; nothing, and more to come.
        (claim(0x80, 2, b"x"), 2),
        (claim(0x80, 1, b"xy"), 1),
        (claim(0xc0, 1, b"x"), 1),
        (claim(0xc0, 10, b""), 10),
    ] {
        let (mut server, _) = Server::new(&trusted()).unwrap();
        let Ok(Some(Step::Failed(failure))) = server.handle(&packet, 1400) else {
            panic!("{packet:?}");
        };
        assert_eq!(failure, TlsFailure::Length(claimed), "{packet:?}");
        let mut client = Client::new(&client(false)).unwrap();
        client.handle(&[0x20], 1400).unwrap().unwrap();
        client.handle(&packet, 1400).unwrap();
        assert_eq!(client.failure(), Some(&TlsFailure::Length(claimed)));
    }
    for packet in [&[][..], &[0x80], &[0x80, 0, 0, 1]] {
        assert!(matches!(Fragment::read(packet), Err(Error::Malformed(_))));
    }
    // Another length in the middle; more than there may be without any length.
    let mut incoming = Incoming::default();
    let first = claim(0xc0, 10, b"12345");
    assert_eq!(incoming.take(&Fragment::read(&first).unwrap()), Ok(None));
    let second = claim(0x80, 11, b"67890");
    let result = incoming.take(&Fragment::read(&second).unwrap());
    assert_eq!(result, Err(TlsFailure::Length(10)));
    let mut incoming = Incoming::default();
    let endless = [&[0x40][..], &[7; 1000]].concat();
    let fragment = Fragment::read(&endless).unwrap();
    let taken = (0..100).take_while(|_| incoming.take(&fragment) == Ok(None));
    assert_eq!(taken.count(), 65);
}

#[test]
fn what_is_cut_is_put_together() {
    let whole: Vec<u8> = (0..3000_u32).map(|number| number as u8).collect();
    for room in [74, 300, 1500, 4000] {
        let (mut outgoing, mut incoming) = (Outgoing::new(whole.clone()), Incoming::default());
        let mut result = None;
        while !outgoing.is_done() {
            let packet = outgoing.next(room);
            result = incoming.take(&Fragment::read(&packet).unwrap()).unwrap();
        }
        assert_eq!(result.as_ref(), Some(&whole));
    }
}

#[test]
fn what_is_no_tls_or_not_now_is_refused() {
    // No record; a record with half a message, which waits for the other half.
    for (junk, answer) in [
        (&b"\0GET / HTTP/1.1\r\n\r\n"[..], Some(21)),
        (&[0, 22, 3, 1, 0, 2, 1, 0], None),
    ] {
        let (mut server, _) = Server::new(&trusted()).unwrap();
        let step = server.handle(junk, 1400).unwrap();
        let Some(Step::Ask(said)) = step else {
            panic!("no answer");
        };
        assert_eq!(said.get(1).copied(), answer, "{said:?}");
        let step = server.handle(&[0], 1400).unwrap();
        assert!(matches!(step, Some(Step::Failed(_))));
    }
    // Nothing where a ClientHello belongs; a start, which is the server's to say.
    let (mut server, _) = Server::new(&trusted()).unwrap();
    assert!(server.handle(&[0x20], 1400).unwrap().is_none());
    let step = server.handle(&[0], 1400).unwrap();
    assert!(matches!(step, Some(Step::Failed(TlsFailure::Handshake(_)))));
    // Data where an acknowledgement belongs.
    let (mut server, start) = Server::new(&trusted()).unwrap();
    let mut client = Client::new(&client(false)).unwrap();
    let hello = client.handle(&start, 1400).unwrap().unwrap();
    let Ok(Some(Step::Ask(_))) = server.handle(&hello, 100) else {
        panic!("no answer");
    };
    assert!(server.handle(&hello, 100).unwrap().is_none());
    assert!(matches!(server.handle(&[0], 100), Ok(Some(Step::Ask(_)))));
}
