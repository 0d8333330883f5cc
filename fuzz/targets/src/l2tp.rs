//! L2TP: the codec, and both ends of a tunnel fed with anything.

use std::sync::Arc;

use adit_crypto::Rng;
use adit_l2tp::{Config, Message, Packet, Tunnel, assigned_tunnel_of_sccrq, decode};

use crate::inputs::{Clock, messages};

/// Decodes headers and bodies.
pub fn l2tp_message(data: &[u8]) {
    let _ = assigned_tunnel_of_sccrq(data);
    match decode(data) {
        Ok(Packet::Control(control)) => {
            let _ = (control.message_type(), control.is_zlb());
            let _ = Message::parse(control.avps);
        }
        Ok(Packet::Data(message)) => {
            assert!(data.get(message.payload).is_some(), "a range outside");
        }
        Err(_) => {}
    }
}

/// Feeds an LNS and a LAC, whatever tunnel IDs and sequence numbers the messages carry.
pub fn l2tp_tunnel(data: &[u8]) {
    let config = Arc::new(Config::default());
    let mut clock = Clock::new();
    let mut rng = Rng::from_seed([10; 32]);
    let mut tunnels = [
        Tunnel::accept(&config, 17, clock.now()),
        Tunnel::initiate(&config, 17, clock.now(), &mut rng),
    ];
    for message in messages(data) {
        let now = clock.tick();
        for tunnel in &mut tunnels {
            let _ = tunnel.handle_datagram(message, now, &mut rng);
            while tunnel.poll_transmit().is_some() {}
            while tunnel.poll_event().is_some() {}
            tunnel.handle_timeout(now, &mut rng);
        }
    }
}
