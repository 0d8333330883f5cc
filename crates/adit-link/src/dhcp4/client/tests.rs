//! The client against the server of this crate, and against answers that are not right.

use super::super::{Dhcp4Config, answer};
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

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// As Apple's clients ask.
const APPLE: Wording = Wording {
    hardware: 8,
    hardware_address: &[0, 0, 0, 1],
    transaction: Some(1),
    vendor_class: "",
    parameters: &[6, 44, 43, 1, 249, 15],
    checksum: false,
    routes: 249,
    tries: 4,
    interval: Duration::from_secs(3),
};

fn config() -> Dhcp4Config {
    Dhcp4Config {
        server: SERVER,
        dns: vec![SERVER, "10.77.0.2".parse().unwrap()],
        domain: Some("corp.example".parse().unwrap()),
        routes: ["10.0.0.0/8", "192.168.4.0/23", "192.0.2.7/32"]
            .map(|route| route.parse().unwrap())
            .to_vec(),
    }
}

fn asked() -> (Client, Vec<u8>) {
    let now = epoch();
    let mut client = Client::new(APPLE, ADDRESS, now, &mut rng(1));
    let request = client.handle_timeout(now).unwrap();
    (client, request)
}

fn answered(request: &[u8]) -> Vec<u8> {
    let header = IpHeader::parse(request).unwrap();
    answer(request, &header, ADDRESS, &config())
        .unwrap()
        .unwrap()
}

/// The answer with the options changed, and the UDP checksum left out.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (_, request) = asked();
    let mut packet = answered(&request);
    let mut message = packet.split_off(28);
    change(&mut message);
    let ends = ((SERVER, SERVER_PORT), (ADDRESS, CLIENT_PORT));
    udp_packet(ends, &message, false).unwrap()
}

fn takes(client: &mut Client, packet: &[u8]) -> Result<Option<Told>, Error> {
    client.handle_packet(packet, &IpHeader::parse(packet).unwrap())
}

#[test]
fn it_asks_as_apple_does() {
    let (_, request) = asked();
    let header = IpHeader::parse(&request).unwrap();
    assert_eq!(header.destination, IpAddr::V4(Ipv4Addr::BROADCAST));
    assert_eq!(request[20..24], [0, 68, 0, 67]);
    assert_eq!(request[26..28], [0, 0], "no checksum");
    assert_eq!(request[28..36], [1, 8, 4, 0, 0, 0, 0, 1]);
    assert_eq!(request[40..44], ADDRESS.octets());
    assert_eq!(request[56..60], [0, 0, 0, 1]);
    let options = &request[28 + 240..];
    let expected = [
        53, 1, 8, 61, 5, 8, 0, 0, 0, 1, 55, 6, 6, 44, 43, 1, 249, 15, 255,
    ];
    assert_eq!(*options, expected);
}

#[test]
fn routes_resolvers_and_domain_come_back() {
    let (mut client, request) = asked();
    let told = takes(&mut client, &answered(&request)).unwrap().unwrap();
    assert_eq!(told.dns, config().dns);
    assert_eq!(told.domain, config().domain);
    assert_eq!(told.routes, config().routes);
    // Once.
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(takes(&mut client, &answered(&request)), Ok(None));
}

#[test]
fn it_asks_four_times() {
    let (mut client, _) = asked();
    let mut times = Vec::new();
    while let Some(due) = client.poll_timeout() {
        times.extend(client.handle_timeout(due).map(|_| due));
    }
    assert_eq!(times.len(), 3, "and once before");
    assert_eq!(times[2] - times[0], Duration::from_secs(6));
}

#[test]
fn other_traffic_and_other_answers_are_let_through() {
    let (mut client, request) = asked();
    assert_eq!(takes(&mut client, &request), Ok(None), "from port 68");
    let transaction = changed(|message| message[7] = 2);
    assert_eq!(takes(&mut client, &transaction), Ok(None));
    let nak = changed(|message| message[242] = 6);
    assert_eq!(takes(&mut client, &nak), Ok(None));
    let mut elsewhere = changed(|_| {});
    elsewhere[19] ^= 1;
    assert_eq!(takes(&mut client, &elsewhere), Ok(None));
    assert!(client.poll_timeout().is_some());
}

#[test]
fn malformed_answers_are_refused() {
    let (mut client, _) = asked();
    let tail = |options: &[u8]| {
        let options = options.to_vec();
        changed(move |message| {
            message.truncate(243);
            message.extend(options);
        })
    };
    for (packet, error) in [
        (changed(|m| m[236] = 0), Error::DhcpCookie),
        (tail(&[6, 5, 1, 2, 3, 4, 5]), Error::DhcpOption(6)),
        (tail(&[6, 9, 1]), Error::DhcpOption(6)),
        (tail(&[249, 6, 33, 1, 10, 0, 0, 1]), Error::DhcpOption(249)),
        (tail(&[249, 5, 24, 10, 0, 0, 1]), Error::DhcpOption(249)),
        (tail(&[249, 2, 8, 10]), Error::DhcpOption(249)),
    ] {
        assert_eq!(takes(&mut client, &packet), Err(error));
    }
    let mut wrong_sum = answered(&asked().1);
    wrong_sum[60] ^= 1;
    assert_eq!(takes(&mut client, &wrong_sum), Err(Error::Checksum));
    let cut = changed(|message| message.truncate(200));
    assert!(matches!(takes(&mut client, &cut), Err(Error::Truncated(_))));
}
