use ipnet::Ipv6Net;

use super::*;
use crate::testing::{CLIENT, header, icmpv6, ip, ipv6, neighbor_solicitation, solicitation};

fn error(packet: &[u8]) -> Error {
    Message::parse(packet, &header(packet)).unwrap_err()
}

fn accepts(packet: &[u8]) -> bool {
    Message::parse(packet, &header(packet)).is_ok()
}

fn advertisement(options: &[u8]) -> Vec<u8> {
    [
        &[134, 0, 0, 0, 64, 0xc0, 0x23, 0x28, 0, 0, 0, 0, 0, 0, 0, 0][..],
        options,
    ]
    .concat()
}

#[test]
fn reads_an_advertisement() {
    let mut options = vec![3, 4, 64, 0xc0, 0, 0, 0, 10, 0, 0, 0, 5, 0, 0, 0, 0];
    options.extend(ip("2001:db8:5::9").octets());
    options.extend([5, 1, 0, 0, 0, 0, 5, 0x78]);
    options.extend([25, 3, 0, 0, 0, 0, 0, 7]);
    options.extend(ip("2001:db8::53").octets());
    options.extend([99, 1, 1, 2, 3, 4, 5, 6]);
    options.extend([1, 1, 2, 3, 4, 5, 6, 7]);
    let packet = icmpv6("fe80::1", "ff02::1", 255, &advertisement(&options));
    let Ok(Message::RouterAdvertisement(read)) = Message::parse(&packet, &header(&packet)) else {
        panic!("not an advertisement");
    };
    assert_eq!((read.hop_limit, read.router_lifetime), (64, 9000));
    assert!(read.managed && read.other);
    let options: Vec<_> = read.options.iter().collect();
    assert_eq!(
        options,
        [
            NdOption::Prefix(PrefixInformation {
                prefix: ip("2001:db8:5::9"),
                length: 64,
                on_link: true,
                autonomous: true,
                valid: 10,
                preferred: 5,
            }),
            NdOption::Mtu(1400),
            NdOption::RecursiveDns {
                lifetime: 7,
                servers: &[ip("2001:db8::53").octets()],
            },
            NdOption::Other(99),
            NdOption::SourceLinkLayerAddress,
        ]
    );
}

#[test]
fn hop_limit_must_be_255() {
    for hop_limit in [0, 1, 64, 254] {
        let packet = icmpv6(CLIENT, "ff02::2", hop_limit, &solicitation(&[]));
        assert_eq!(error(&packet), Error::HopLimit(hop_limit));
    }
}

#[test]
fn the_checksum_must_hold() {
    let mut packet = icmpv6(CLIENT, "ff02::2", 255, &solicitation(&[]));
    assert!(accepts(&packet));
    packet[43] ^= 1;
    assert_eq!(error(&packet), Error::Checksum);
    let mut zero = icmpv6(CLIENT, "ff02::2", 255, &solicitation(&[]));
    zero[42..44].fill(0);
    assert_eq!(error(&zero), Error::Checksum);
}

#[test]
fn the_code_must_be_zero() {
    let mut message = solicitation(&[]);
    message[1] = 1;
    let packet = icmpv6(CLIENT, "ff02::2", 255, &message);
    assert_eq!(error(&packet), Error::Code { kind: 133, code: 1 });
}

#[test]
fn options_must_have_a_length_and_fit() {
    for (options, kind) in [
        (&[1, 0, 0, 0, 0, 0, 0, 0][..], 1),
        (&[99, 0, 0, 0, 0, 0, 0, 0], 99),
        (&[99, 2, 0, 0, 0, 0, 0, 0], 99),
        (&[5, 1, 0, 0, 0, 0, 5, 0x78, 1, 255, 0, 0, 0, 0, 0, 0], 1),
        // Too short for their type.
        (&[3, 1, 64, 0xc0, 0, 0, 0, 1], 3),
        (&[25, 1, 0, 0, 0, 0, 0, 1], 25),
        (&[25, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 25),
    ] {
        let packet = icmpv6("fe80::1", "ff02::1", 255, &advertisement(options));
        assert_eq!(error(&packet), Error::OptionLength(kind), "{options:?}");
    }
    let packet = icmpv6("fe80::1", "ff02::1", 255, &advertisement(&[5]));
    assert!(matches!(error(&packet), Error::Truncated(_)));
}

#[test]
fn messages_must_not_be_short() {
    let advertisement = advertisement(&[]);
    let redirect = [&[137, 0, 0, 0, 0, 0, 0, 0][..], &[0x20; 32]].concat();
    let neighbor = neighbor_solicitation("fe80::1");
    let mut neighbor_advertisement = neighbor.clone();
    neighbor_advertisement[0] = 136;
    for whole in [
        solicitation(&[]),
        advertisement,
        neighbor,
        neighbor_advertisement,
        redirect,
    ] {
        assert!(accepts(&icmpv6(CLIENT, "fe80::1", 255, &whole)));
        for length in 4..whole.len() {
            let packet = icmpv6(CLIENT, "fe80::1", 255, &whole[..length]);
            assert!(matches!(error(&packet), Error::Truncated(_)));
        }
        for length in 0..4 {
            let packet = ipv6(CLIENT, "fe80::1", 58, 255, &whole[..length]);
            assert!(!accepts(&packet));
        }
    }
}

#[test]
fn addresses_must_make_sense() {
    let link_layer = [1, 1, 2, 0, 0, 0, 0, 1];
    let packet = icmpv6("::", "ff02::2", 255, &solicitation(&link_layer));
    assert_eq!(error(&packet), Error::LinkLayerAddress);
    assert!(accepts(&icmpv6(
        CLIENT,
        "ff02::2",
        255,
        &solicitation(&link_layer)
    )));
    assert!(accepts(&icmpv6("::", "ff02::2", 255, &solicitation(&[]))));

    let packet = icmpv6("2001:db8::1", "ff02::1", 255, &advertisement(&[]));
    assert_eq!(error(&packet), Error::Source(ip("2001:db8::1")));

    let packet = icmpv6(CLIENT, "fe80::1", 255, &neighbor_solicitation("ff02::1"));
    assert_eq!(error(&packet), Error::Target(ip("ff02::1")));
    let packet = icmpv6("::", "fe80::1", 255, &neighbor_solicitation("fe80::1"));
    assert_eq!(error(&packet), Error::Destination(ip("fe80::1")));
    let packet = icmpv6(
        "::",
        "ff02::1:ff00:1",
        255,
        &neighbor_solicitation("fe80::1"),
    );
    assert!(accepts(&packet));
    let message = [&neighbor_solicitation("fe80::1")[..], &link_layer].concat();
    let packet = icmpv6("::", "ff02::1:ff00:1", 255, &message);
    assert_eq!(error(&packet), Error::LinkLayerAddress);

    let mut solicited = neighbor_solicitation("fe80::1");
    solicited[0] = 136;
    solicited[4] = 0x40;
    let packet = icmpv6(CLIENT, "ff02::1", 255, &solicited);
    assert_eq!(error(&packet), Error::Destination(ip("ff02::1")));

    let packet = icmpv6("ff02::5", "ff02::2", 255, &solicitation(&[]));
    assert_eq!(error(&packet), Error::Source(ip("ff02::5")));
}

#[test]
fn fragments_are_refused() {
    // An atomic fragment around a Router Solicitation (RFC 6980).
    let sum = crate::testing::upper_sum(ip(CLIENT), ip("ff02::2"), 58, &solicitation(&[]));
    let mut message = solicitation(&[]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let fragment = [&[58, 0, 0, 0, 0, 0, 0, 1][..], &message].concat();
    let packet = ipv6(CLIENT, "ff02::2", 44, 255, &fragment);
    assert_eq!(error(&packet), Error::Fragmented);
    // Behind destination options as well; those alone are allowed.
    let options = [&[44, 0, 1, 4, 0, 0, 0, 0][..], &fragment].concat();
    let packet = ipv6(CLIENT, "ff02::2", 60, 255, &options);
    assert_eq!(error(&packet), Error::Fragmented);
    let options = [&[58, 0, 1, 4, 0, 0, 0, 0][..], &message].concat();
    assert!(accepts(&ipv6(CLIENT, "ff02::2", 60, 255, &options)));
}

#[test]
fn other_icmp_is_no_neighbour_discovery() {
    let packet = icmpv6(CLIENT, "fe80::1", 255, &[128, 0, 0, 0, 0, 1, 0, 1]);
    assert_eq!(error(&packet), Error::Kind(128));
    let packet = ipv6(CLIENT, "fe80::1", 17, 255, &[0; 8]);
    assert_eq!(error(&packet), Error::Kind(0));
}

fn only_option(bytes: &[u8]) -> Result<Vec<NdOption<'_>>, Error> {
    Ok(Options::parse(bytes)?.iter().collect())
}

#[test]
fn route_information_of_every_length() {
    let host = [1_u8; 16];
    for (length, halves, ok) in [
        (0, 0, true),
        (1, 0, false),
        (64, 1, true),
        (65, 1, false),
        (128, 2, true),
        (129, 2, false),
        (255, 2, false),
    ] {
        let mut option = vec![24, 1 + halves, length, 0, 0, 0, 0, 9];
        option.extend(&host[..8 * usize::from(halves)]);
        let read = only_option(&option);
        if ok {
            let net = Ipv6Net::new(host.into(), length).unwrap().trunc();
            let expected = NdOption::Route(RouteInformation {
                prefix: net,
                preference: Some(Preference::Medium),
                lifetime: 9,
            });
            assert_eq!(read, Ok(vec![expected]), "/{length}");
        } else {
            assert_eq!(read, Err(Error::OptionLength(24)), "/{length}");
        }
    }
}

#[test]
fn an_advertisement_of_everything_byte_for_byte() {
    let search = ["corp.example.org".parse().unwrap()];
    let routes = ["2001:db8:aa::/48", "::/0", "2001:db8::1/128"].map(|net| net.parse().unwrap());
    let advertised = Advertised {
        managed: true,
        other_config: true,
        preference: Preference::High,
        router_lifetime: 0,
        prefix: None,
        valid: 0,
        preferred: 0,
        mtu: 1280,
        dns: &[],
        search: &search,
        dns_lifetime: 600,
        routes: &routes,
        route_lifetime: 1200,
    };
    let packet = router_advertisement(ip("fe80::1"), ip("ff02::1"), &advertised);
    let expected = "40c8000000000000000000000501000000000500\
        18023008000004b020010db800aa0000\
        18010008000004b0\
        18038008000004b020010db8000000000000000000000001\
        1f04000000000258\
        04636f7270076578616d706c65036f7267000000000000000000";
    let body = hex::encode(&packet[44..]);
    assert_eq!(body.trim_end_matches('0'), expected.trim_end_matches('0'));
    assert_eq!(packet.len() % 8, 0);
    assert!(Message::parse(&packet, &header(&packet)).is_ok());
}

#[test]
fn the_largest_advertisement_fits_the_smallest_link() {
    let dns = vec![ip("2001:db8::53"); 100];
    let search: Vec<_> = (0..100)
        .map(|number| format!("number-{number}.example.org").parse().unwrap())
        .collect();
    let routes = vec!["2001:db8::1/128".parse().unwrap(); 100];
    let advertised = Advertised {
        managed: false,
        other_config: true,
        preference: Preference::Low,
        router_lifetime: 1800,
        prefix: Some("2001:db8::/64".parse().unwrap()),
        valid: 1,
        preferred: 1,
        mtu: 1280,
        dns: &dns,
        search: &search,
        dns_lifetime: 1,
        routes: &routes,
        route_lifetime: 1,
    };
    let packet = router_advertisement(ip("fe80::1"), ip("ff02::1"), &advertised);
    assert!(packet.len() <= 1280, "{}", packet.len());
    assert!(Message::parse(&packet, &header(&packet)).is_ok());
}
