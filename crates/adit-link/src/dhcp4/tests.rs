use super::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);

fn config() -> Dhcp4Config {
    Dhcp4Config {
        server: Ipv4Addr::new(10, 77, 0, 1),
        dns: vec![Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(9, 9, 9, 9)],
        domain: Some("corp.example.org".parse().unwrap()),
        routes: ["10.0.0.0/8", "192.168.4.0/22"]
            .map(|route| route.parse().unwrap())
            .to_vec(),
    }
}

/// A message as Apple's client sends it: htype 8, xid 1, chaddr 00000001.
fn inform(options: &[u8]) -> Vec<u8> {
    let mut message = vec![1, 8, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    message.extend(CLIENT.octets());
    message.extend([0; 12]);
    message.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    message.extend([0; NAMES]);
    message.extend(COOKIE.to_be_bytes());
    message.extend(options);
    message
}

const APPLE: [u8; 18] = [53, 1, 8, 61, 5, 8, 0, 0, 0, 1, 55, 6, 6, 44, 43, 1, 249, 15];

/// From the client's address to the broadcast address, without a UDP checksum.
fn packet(source: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend([255; 4]);
    for field in [CLIENT_PORT, SERVER_PORT, 8 + message.len() as u16, 0] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend(message);
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet
}

fn ask(packet: &[u8], config: &Dhcp4Config) -> Result<Option<Vec<u8>>, Error> {
    answer(packet, &IpHeader::parse(packet).unwrap(), CLIENT, config)
}

fn asked(options: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    ask(&packet(CLIENT, &inform(options)), &config())
}

#[test]
fn an_inform_is_acknowledged_byte_for_byte() {
    let request = [&APPLE[..], &[255]].concat();
    let reply = asked(&request).unwrap().unwrap();
    let header = IpHeader::parse(&reply).unwrap();
    assert_eq!(
        (header.source, header.destination),
        (config().server.into(), CLIENT.into())
    );
    assert_eq!(checksum::internet(&reply[..20]), 0);
    let datagram = &reply[20..];
    let udp = UdpHeader::parse(datagram).unwrap();
    assert_eq!((udp.source, udp.destination), (67, 68));
    assert_ne!(udp.checksum, 0);
    assert!(udp.checksum_holds(datagram, header.source, header.destination));
    let message = &datagram[8..];
    assert_eq!(message[..8], [2, 8, 4, 0, 0, 0, 0, 1]);
    assert_eq!(message[12..16], CLIENT.octets());
    assert_eq!(message[28..32], [0, 0, 0, 1]);
    let routes = [8, 10, 10, 77, 0, 1, 22, 192, 168, 4, 10, 77, 0, 1];
    let mut expected = COOKIE.to_be_bytes().to_vec();
    expected.extend([53, 1, 5, 54, 4, 10, 77, 0, 1]);
    expected.extend([6, 8, 10, 77, 0, 1, 9, 9, 9, 9]);
    expected.extend([15, 16]);
    expected.extend(b"corp.example.org");
    expected.extend([121, 14]);
    expected.extend(routes);
    expected.extend([249, 14]);
    expected.extend(routes);
    expected.push(255);
    assert_eq!(message[236..], expected);
}

#[test]
fn what_is_not_configured_is_left_out() {
    let bare = Dhcp4Config {
        dns: Vec::new(),
        domain: None,
        routes: Vec::new(),
        ..config()
    };
    let reply = ask(&packet(CLIENT, &inform(&APPLE)), &bare)
        .unwrap()
        .unwrap();
    assert_eq!(reply[20 + 8 + 240..], [53, 1, 5, 54, 4, 10, 77, 0, 1, 255]);
}

#[test]
fn other_messages_and_other_addresses_get_no_answer() {
    for kind in [1, 2, 3, 4, 5, 6, 7, 9] {
        assert_eq!(asked(&[53, 1, kind, 255]), Ok(None), "type {kind}");
    }
    assert_eq!(asked(&[255]), Ok(None), "BOOTP");
    let mut reply = inform(&APPLE);
    reply[0] = 2;
    assert_eq!(ask(&packet(CLIENT, &reply), &config()), Ok(None));
    let stranger = Ipv4Addr::new(10, 77, 0, 10);
    assert_eq!(ask(&packet(stranger, &inform(&APPLE)), &config()), Ok(None));
    let mut other = inform(&APPLE);
    other[15] ^= 1;
    assert_eq!(ask(&packet(CLIENT, &other), &config()), Ok(None));
    // No address of its own yet in the message or the header: it is on this link all the same.
    let mut unspecified = inform(&APPLE);
    unspecified[12..16].fill(0);
    let from_nowhere = packet(Ipv4Addr::UNSPECIFIED, &unspecified);
    assert!(ask(&from_nowhere, &config()).unwrap().is_some());
}

#[test]
fn malformed_messages_are_refused() {
    for length in 0..240 {
        let cut = &inform(&[])[..length];
        assert!(
            matches!(
                ask(&packet(CLIENT, cut), &config()),
                Err(Error::Truncated(_))
            ),
            "{length}"
        );
    }
    let mut cookie = inform(&APPLE);
    cookie[239] ^= 1;
    assert_eq!(
        ask(&packet(CLIENT, &cookie), &config()),
        Err(Error::DhcpCookie)
    );
    for (options, code) in [
        (&[53_u8][..], 53),
        (&[53, 1], 53),
        (&[53, 0], 53),
        (&[53, 2, 8, 8], 53),
        (&[53, 1, 8, 53, 1, 8], 53),
        (&[53, 1, 8, 55, 200, 1], 55),
    ] {
        assert_eq!(asked(options), Err(Error::DhcpOption(code)), "{options:?}");
    }
    let mut sum = packet(CLIENT, &inform(&APPLE));
    sum[26] = 1;
    assert_eq!(ask(&sum, &config()), Err(Error::Checksum));
}

#[test]
fn routes_that_do_not_fit_are_told_to_the_one_who_configures_them() {
    let many: Vec<Ipv4Net> = (0..40_u8)
        .map(|net| Ipv4Net::new(Ipv4Addr::new(10, net, 0, 0), 24).unwrap())
        .collect();
    assert!(routes_fit(&many[..31]));
    assert!(!routes_fit(&many[..32]));
    let config = Dhcp4Config {
        routes: many,
        ..config()
    };
    assert_eq!(routes(&config).len(), 31 * 8);
}

#[test]
fn only_datagrams_to_the_port_of_servers_are_looked_at() {
    let ours = packet(CLIENT, &inform(&APPLE));
    assert!(is_for_server(&ours, &IpHeader::parse(&ours).unwrap()));
    let mut other = ours;
    other[23] = 68;
    assert!(!is_for_server(&other, &IpHeader::parse(&other).unwrap()));
}
