//! A main mode that the server starts, in place of the one that the client started.

use adit_crypto::{EspCipher, EspMac, EspSuite};

use super::*;
use crate::codec::Payloads;
use crate::nat::nat_d;

/// The same two ends, with a main mode from the server: `client` of the pair is the L2TP server.
fn replaced(old: &Pair, config: Config, known_as: Option<&str>) -> Pair {
    let mut pair = Pair::seeded(config.clone(), config, 9);
    let addresses = &old.addresses;
    pair.addresses = Addresses {
        client: addresses.server,
        client_outside: addresses.server,
        server: addresses.client,
        server_outside: addresses.client,
    };
    pair.connect_on(Channel::NatT);
    let sa = pair.client.sa.take().unwrap();
    let known_as = known_as.map(ip);
    pair.client.sa = Some(sa.in_place_of(old.server.sa.as_ref().unwrap(), known_as));
    pair.run(Duration::from_millis(15));
    let sa = pair.server.sa.take().unwrap();
    pair.server.sa = Some(sa.in_place_of(old.client.sa.as_ref().unwrap(), None));
    pair.seconds(2);
    assert!(
        pair.client.sa().is_established(),
        "{:?}",
        pair.client.events
    );
    assert!(
        pair.server.sa().is_established(),
        "{:?}",
        pair.server.events
    );
    pair
}

#[test]
fn each_end_stays_what_it_was() {
    let old = Pair::established(Config::default(), Config::default());
    let config = Config {
        phase1_lifetime: Duration::from_secs(3600),
        dpd: None,
        ..Config::default()
    };
    let mut pair = replaced(&old, config, None);
    let peer = |host: &Host| host.phase1().unwrap().peer_id.clone();
    assert_eq!(peer(&pair.client), peer(&old.server));
    assert_eq!(peer(&pair.server), peer(&old.client));
    let contact = |event: &Event| matches!(event, Event::InitialContact);
    assert!(!pair.client.has(contact) && !pair.server.has(contact));

    // The L2TP client, which answered main mode, has any port; the server's is fixed.
    let end = |host: &str, port| Selector {
        id: ip(host).into(),
        protocol: 17,
        port,
    };
    let server = pair.addresses.client;
    let client = pair.addresses.server;
    for (local, remote, taken) in [
        (end(client, 51_823), end(server, 1701), true),
        (end(client, 1701), end(server, 51_823), false),
    ] {
        let before = pair.client.children().len();
        let host = &mut pair.server;
        let spi = host.spi();
        let sa = host.sa.as_mut().unwrap();
        sa.start_quick_mode(local, remote, spi, false, pair.now, &mut host.rng);
        pair.seconds(1);
        assert_eq!(pair.client.children().len() > before, taken);
    }

    // The client is first to replace it again.
    let due = |event: &Event| matches!(event, Event::RekeyDue);
    pair.seconds(54 * 60);
    assert!(pair.server.has(due) && !pair.client.has(due));
    pair.seconds(4 * 60);
    assert!(pair.client.has(due));
}

/// A pair that replaces another keeps its algorithms, whatever both ends would rather have.
#[test]
fn a_request_with_one_suite_gets_that_or_nothing() {
    let mut pair = Pair::established(Config::default(), Config::default());
    let end = |host: &str| Selector {
        id: ip(host).into(),
        protocol: 17,
        port: 1701,
    };
    let last = *pair.server.config.esp.last().unwrap();
    let odd = EspSuite {
        cipher: EspCipher::TripleDes,
        mac: Some(EspMac::HmacMd5_96),
    };
    for (suite, taken) in [(last, true), (odd, false)] {
        let request = ChildRequest {
            local: end(pair.addresses.server),
            remote: end(pair.addresses.client),
            encapsulated: false,
            suite: Some(suite),
        };
        let before = pair.server.children().len();
        let host = &mut pair.server;
        let spi = host.spi();
        let sa = host.sa.as_mut().unwrap();
        sa.request_child(spi, request, pair.now, &mut host.rng);
        pair.seconds(1);
        let children = pair.server.children();
        assert_eq!(children.len() > before, taken);
        assert_eq!(children[0].suite, last);
    }
    assert_eq!(pair.server.failures().len(), 1);
}

const RFC3947: [u8; 16] = 0x4a131c81_07035845_5c5728f2_0e95452f_u128.to_be_bytes();
const MS_NT5: [u8; 20] = [
    0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4, 0x61,
    0, 0, 0, 9,
];

/// Windows is told what it believes itself: its server's public address, and of itself that it is
/// behind a NAT if ESP must go in UDP.
#[test]
fn windows_hears_of_the_address_that_it_knows() {
    let mut config = Config::default();
    config.manner.vendor_ids = Some(&[&MS_NT5, &RFC3947]);
    let old = Pair::established(config, Config::default());
    assert_eq!(old.server.phase1().unwrap().client, ClientKind::Windows);
    for known_as in [None, Some("203.0.113.77")] {
        let pair = replaced(&old, Config::default(), known_as);
        assert_eq!(
            pair.client.phase1().unwrap().client,
            ClientKind::Windows,
            "known from before"
        );
        let (_, message3) = pair.log.iter().filter(|(sent, _)| *sent).nth(1).unwrap();
        let header = parse_header(&message3.payload).unwrap();
        let payloads =
            Payloads::parse(header.next_payload, header.body(&message3.payload)).unwrap();
        let nat_ds: Vec<_> = payloads.all(NatTVersion::Rfc3947.nat_d()).collect();
        let sa = pair.client.sa.as_ref().unwrap();
        let proposal = pair.client.phase1().unwrap().proposal;
        let hash = |address: &str| {
            let endpoint = SocketAddr::new(ip(address), 4500);
            nat_d(proposal.hash, &sa.both_cookies(), endpoint)
        };
        let peer = hash(pair.addresses.server);
        let own = hash(known_as.unwrap_or(pair.addresses.client));
        assert_eq!(nat_ds[0] == &peer[..], known_as.is_none());
        assert_eq!(nat_ds[1], &own[..]);
    }
}
