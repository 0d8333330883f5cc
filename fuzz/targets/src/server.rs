//! The whole server: datagrams from outside, and what an authenticated peer can put into its SA.
//!
//! The first byte of each message says where it goes in; the world is the same in every run, so
//! that a recorded negotiation is answered as it was then.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use adit_server::{Teller, TooBig};
use adit_tests::{ClientId, Datagram, World, setup};
use adit_wire::{Channel, checksum};

use crate::inputs::messages;

/// A message of [`server_outside`]: the two low bits choose the source address,
const SOURCE: u8 = 3;
/// this bit the NAT-T port at both ends,
const NAT_T: u8 = 4;
/// and this one lets some time pass first.
const PAUSE: u8 = 8;
/// With this bit it is L2TP without IPsec, which is taken from the neighbour and over IPv6; [`OWN`]
/// puts the numbers of the session into it.
const PLAIN: u8 = 32;
/// With this bit it is no datagram: a router says that one to that source was too big. The MTU comes
/// first, in 4 bytes, then what is quoted; with [`OWN`], what the session was really sent last.
const TOO_BIG: u8 = 64;

/// A message of [`server_inside`]: the two low bits choose between an L2TP message, a PPP frame
/// and an IP packet; [`PAUSE`] as above;
const KIND: u8 = 3;
/// and this bit puts the open tunnel's and session's IDs into an L2TP message, and the client's
/// address into an IP packet.
const OWN: u8 = 16;

const STRANGER: [u8; 4] = [198, 51, 100, 7];
const NEIGHBOUR: [u8; 4] = [192, 0, 2, 66];
const STRANGER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xeeee, 0, 0, 0, 0, 7);

/// A server with one session gets datagrams from strangers and from the session's own address.
/// The session must live on.
pub fn server_outside(data: &[u8]) {
    let (mut world, id) = outside();
    for message in messages(data) {
        let Some((how, payload)) = message.split_first() else {
            continue;
        };
        if how & PAUSE != 0 {
            world.run_for(Duration::from_millis(700));
        }
        if how & TOO_BIG != 0 {
            tell_too_big(&mut world, *how, payload);
            continue;
        }
        let datagram = outsider(&world, id, *how, payload);
        world.inject(datagram);
    }
    assert_alive(&mut world, id, "the session");
}

fn tell_too_big(world: &mut World, how: u8, payload: &[u8]) {
    let Some((mtu, quote)) = payload.split_first_chunk() else {
        return;
    };
    let remote = datagram(how, &[]).from;
    let mut capture = world.capture.iter().flatten();
    let last = capture.rfind(|sent| sent.to == remote);
    let real = last.filter(|_| how & OWN != 0).map(|sent| &*sent.payload);
    let channel = match (how & PLAIN, how & NAT_T) {
        (0, 0) => Channel::Esp,
        (0, _) => Channel::NatT,
        _ => Channel::L2tp,
    };
    let error = TooBig {
        channel,
        remote,
        mtu: u32::from_be_bytes(*mtu),
        teller: Teller::Network,
        quote: real.unwrap_or(quote),
    };
    world.server.handle_too_big(&error, world.now());
}

fn outside() -> (World, ClientId) {
    let mut config = setup::world(1, 2);
    config.server.plain = setup::plain(&["192.0.2.0/24", "2001:db8:eeee::/48"]);
    let mut world = World::new(config);
    world.capture = Some(Vec::new());
    let id = world.dial(setup::client("user0"), setup::address(0), None, false);
    assert!(world.run_until_echoes(&[id], Duration::from_secs(60)));
    (world, id)
}

fn outsider(world: &World, id: ClientId, how: u8, payload: &[u8]) -> Datagram {
    let mut datagram = datagram(how, payload);
    if how & (PLAIN | OWN) == PLAIN | OWN {
        put_ids(world, id, &mut datagram.payload);
    }
    datagram
}

/// The numbers of a client's tunnel and session, into an L2TP message.
fn put_ids(world: &World, id: ClientId, message: &mut [u8]) {
    if let Some((tunnel, session)) = world.l2tp_ids(id)
        && let Some(ids) = message.get_mut(4..8)
    {
        ids[..2].copy_from_slice(&tunnel.to_be_bytes());
        // Zero is the tunnel itself.
        if ids[2..] != [0, 0] {
            ids[2..].copy_from_slice(&session.to_be_bytes());
        }
    }
}

fn datagram(how: u8, payload: &[u8]) -> Datagram {
    let port = match (how & PLAIN, how & NAT_T) {
        (0, 0) => 500,
        (0, _) => 4500,
        _ => 1701,
    };
    let from: IpAddr = match how & SOURCE {
        0 => STRANGER.into(),
        1 => setup::address(0),
        2 => NEIGHBOUR.into(),
        _ => STRANGER_V6.into(),
    };
    let to: IpAddr = if from.is_ipv6() {
        World::SERVER_V6.into()
    } else {
        World::SERVER_V4.into()
    };
    Datagram {
        from: SocketAddr::new(from, port),
        to: SocketAddr::new(to, port),
        payload: payload.to_vec(),
    }
}

/// Two sessions; the first puts anything into its SA: L2TP control and data, PPP, IP. The second
/// must not notice.
pub fn server_inside(data: &[u8]) {
    let (mut world, hostile, bystander) = inside();
    for message in messages(data) {
        attack(&mut world, hostile, message);
    }
    assert_alive(&mut world, bystander, "the other session");
}

fn inside() -> (World, ClientId, ClientId) {
    // By workers, so that what becomes of it on its way to the control side is covered as well.
    let mut config = setup::world(2, 2);
    config.server.workers = 2;
    let mut world = World::new(config);
    let hostile = world.dial(setup::client("user0"), setup::address(0), None, false);
    let bystander = world.dial(setup::client("user1"), setup::address(1), None, false);
    assert!(world.run_until_echoes(&[hostile, bystander], Duration::from_secs(60)));
    (world, hostile, bystander)
}

fn attack(world: &mut World, hostile: ClientId, message: &[u8]) {
    let Some((how, message)) = message.split_first() else {
        return;
    };
    if how & PAUSE != 0 {
        world.run_for(Duration::from_millis(700));
    }
    let mut message = message.to_vec();
    match how & KIND {
        0 => {
            if how & OWN != 0 {
                put_ids(world, hostile, &mut message);
            }
            world.send_l2tp(hostile, &message);
        }
        1 => world.send_frame(hostile, &message),
        _ => {
            let state = world.state(hostile);
            match (how & OWN != 0, message.first().map(|byte| byte >> 4)) {
                (true, Some(4)) => {
                    if let (Some(own), Some(header)) = (state.ipv4, message.get_mut(..20)) {
                        header[12..16].copy_from_slice(&own.octets());
                        header[10..12].fill(0);
                        let sum = checksum::internet(header);
                        header[10..12].copy_from_slice(&sum.to_be_bytes());
                    }
                }
                (true, Some(6)) => {
                    if let (Some(own), Some(source)) = (state.ipv6, message.get_mut(8..24)) {
                        source.copy_from_slice(&own.octets());
                    }
                }
                _ => {}
            }
            world.send_ip(hostile, &message);
        }
    }
}

fn assert_alive(world: &mut World, id: ClientId, who: &str) {
    world.run_for(Duration::from_secs(2));
    let before = world.state(id).echoes6;
    world.ping(id);
    world.run_for(Duration::from_secs(2));
    assert!(world.state(id).echoes6 > before, "{who} died");
}

#[cfg(test)]
mod tests;
