//! L2TP: the codec, and both ends of a tunnel fed with anything.

use std::sync::Arc;

use adit_crypto::Rng;
use adit_l2tp::{Config, Event, Message, Packet, Tunnel, assigned_tunnel_of_sccrq, decode};

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
    run(data);
}

/// Whether the LNS and the LAC got a tunnel, and a session.
type Reached = [(bool, bool); 2];

fn run(data: &[u8]) -> Reached {
    let config = Arc::new(Config::default());
    let mut clock = Clock::new();
    // The tunnel ID and the generators are those of the seeds.
    let mut rngs = [Rng::from_seed([0; 32]), Rng::from_seed([0; 32])];
    let mut tunnels = [
        Tunnel::accept(&config, 1, clock.now()),
        Tunnel::initiate(&config, 1, clock.now(), &mut rngs[1]),
    ];
    tunnels[1].open_session(clock.now(), &mut rngs[1]);
    let mut reached = Reached::default();
    for message in messages(data) {
        let now = clock.tick(message);
        for ((tunnel, rng), reached) in tunnels.iter_mut().zip(&mut rngs).zip(&mut reached) {
            let _ = tunnel.handle_datagram(message, now, rng);
            while tunnel.poll_transmit().is_some() {}
            while let Some(event) = tunnel.poll_event() {
                reached.0 |= matches!(event, Event::TunnelUp { .. });
                reached.1 |= matches!(event, Event::SessionUp { .. });
            }
            tunnel.handle_timeout(now, rng);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::inputs::seed;

    #[test]
    fn seeds_open_sessions() {
        let [lns, _] = run(&seed("l2tp_tunnel", "windows-connect-and-disconnect"));
        assert_eq!(lns, (true, true));
        let [lns, _] = run(&seed("l2tp_tunnel", "apple-connect-and-disconnect"));
        assert_eq!(lns, (true, true));
        let [_, lac] = run(&seed("l2tp_tunnel", "lac-connect-and-refused-call"));
        assert!(lac.0);
    }
}
