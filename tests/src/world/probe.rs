//! A probe of the world's server, on a network of its own that neither loses nor reorders.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adit_client::probe::{Ask, Door, Ends, Probe, Step};
use adit_wire::ip::Family;
use adit_wire::{Channel, PacketBuf, Path};

use super::World;
use crate::host;

/// How long a datagram is on its way.
const DELAY: Duration = Duration::from_millis(10);

/// No probe takes longer.
const LIMIT: Duration = Duration::from_secs(600);

impl World {
    /// Probes the server from `address`, and gives the steps and the sizes of all that was sent.
    pub fn probe(&mut self, ask: Ask, address: IpAddr) -> (Vec<Step>, Vec<(Door, usize)>) {
        let remote = match Family::of(address) {
            Family::V4 => IpAddr::from(Self::SERVER_V4),
            Family::V6 => IpAddr::from(Self::SERVER_V6),
        };
        let ends = Ends {
            local: SocketAddr::new(address, 40_500),
            nat_t: SocketAddr::new(address, 44_500),
            remote,
        };
        let deadline = self.now + LIMIT;
        let mut probe = Probe::new(ask, ends, self.rng.array(), self.now);
        let (mut steps, mut sent) = (Vec::new(), Vec::new());
        loop {
            while let Some(job) = probe.poll_job() {
                probe.handle_job(job.run(Self::UNIX), self.now);
            }
            steps.extend(std::iter::from_fn(|| probe.poll_step()));
            let out: Vec<_> = std::iter::from_fn(|| probe.poll_transmit()).collect();
            sent.extend(out.iter().map(|(door, payload)| (*door, payload.len())));
            self.now += if out.is_empty() {
                Duration::ZERO
            } else {
                DELAY
            };
            let echoed = out
                .into_iter()
                .filter_map(|(door, payload)| self.take_from_probe(path(&ends, door), payload))
                .collect();
            let back = self.give_to_probe(echoed);
            self.now += if back.is_empty() {
                Duration::ZERO
            } else {
                DELAY
            };
            let answered = !back.is_empty();
            for (door, mut payload) in back {
                probe.handle_datagram(door, &mut payload, self.now);
            }
            if answered {
                continue;
            }
            if probe.is_done() {
                return (steps, sent);
            }
            let next = [probe.poll_timeout(), self.server.poll_timeout()];
            let next = next
                .into_iter()
                .flatten()
                .min()
                .expect("it waits for something");
            assert!(next < deadline, "it takes too long: {steps:#?}");
            self.now = self.now.max(next);
            probe.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
    }

    /// What comes back through the server at once, if the packet was for behind it.
    fn take_from_probe(&mut self, path: Path, mut payload: Vec<u8>) -> Option<(Path, Vec<u8>)> {
        let inner = self.server.handle_datagram(path, &mut payload, self.now);
        let answer = inner.and_then(|range| host::echo(&payload[range]))?;
        let mut buf = PacketBuf::from_slice(adit_server::HEADROOM, &answer, adit_server::TAILROOM);
        let path = self.server.handle_tun(&mut buf, self.now)?;
        Some((path, buf.as_slice().to_vec()))
    }

    /// What the server has to say, behind what came back through it.
    fn give_to_probe(&mut self, mut all: Vec<(Path, Vec<u8>)>) -> Vec<(Door, Vec<u8>)> {
        while self.step_server() {}
        while let Some(transmit) = self.server.poll_transmit() {
            all.push((transmit.path, transmit.payload));
        }
        all.into_iter()
            .map(|(path, payload)| match path.channel {
                Channel::Ike => (Door::Ike, payload),
                Channel::NatT => (Door::NatT, payload),
                Channel::L2tp => (Door::L2tp, payload),
                Channel::Esp => panic!("a probe takes no native ESP"),
            })
            .collect()
    }
}

/// As the server sees it.
fn path(ends: &Ends, door: Door) -> Path {
    let (channel, from) = match door {
        Door::Ike => (Channel::Ike, ends.local),
        Door::NatT => (Channel::NatT, ends.nat_t),
        Door::L2tp => (Channel::L2tp, ends.local),
    };
    Path {
        channel,
        local: SocketAddr::new(ends.remote, door.port()),
        remote: from,
    }
}
