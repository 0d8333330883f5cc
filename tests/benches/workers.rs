//! What several workers carry against one, and what a packet costs with many sessions against one.
//!
//! Everything is in memory: sealed datagrams and IP packets of 1300 bytes are prepared, and put into
//! the same few buffers again and again, as a kernel does. Only the work of the packet path is timed, batch
//! by batch, and the median is taken, so that what else runs on the machine counts little.
//! `cargo bench -p adit-tests --bench workers [-- SESSIONS]`

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use adit_server::{HEADROOM, TAILROOM, Worker};
use adit_tests::{ClientId, Datagram, HOST_V4, Nat, World, setup, udp_packet};
use adit_wire::{Channel, PacketBuf, Path};

const MINUTE: Duration = Duration::from_secs(60);

/// Datagrams of one read, and packets of one wait for TUN.
const BATCH: usize = 64;

/// What is carried in each direction in one measurement.
const PACKETS: usize = 160 * BATCH;

/// Measurements of each kind, in turn with those of the other kind.
const ROUNDS: usize = 9;

/// What a header of IPv4 and one of UDP take.
const HEADERS: usize = 28;

/// What is prepared for one worker.
struct Load {
    worker: Worker,
    /// Each datagram can be opened once.
    inward: Vec<Vec<(Path, Vec<u8>)>>,
    /// The headers of a packet to each session; what follows is the same in all.
    outward: Vec<[u8; HEADERS]>,
    next: usize,
    now: Instant,
    received: Vec<Vec<u8>>,
    free: Vec<PacketBuf>,
}

/// What packets took, in seconds for each, one entry for each batch.
#[derive(Default)]
struct Times {
    inward: Vec<f64>,
    outward: Vec<f64>,
}

impl Times {
    fn add(&mut self, mut other: Self) {
        self.inward.append(&mut other.inward);
        self.outward.append(&mut other.outward);
    }

    /// One way, the other way, and the mean of both.
    fn medians(&mut self) -> [f64; 3] {
        let (inward, outward) = (median(&mut self.inward), median(&mut self.outward));
        [inward, outward, (inward + outward) / 2.0]
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server of so many workers with so many sessions, with all that is prepared for each worker.
fn loads(workers: u16, sessions: usize, rounds: usize) -> Vec<Load> {
    let mut config = setup::world(1, sessions);
    config.server.workers = workers;
    let mut world = World::new(config);
    let mut ids = Vec::new();
    while ids.len() < sessions {
        let some: Vec<_> = (ids.len()..sessions.min(ids.len() + 100))
            .map(|index| {
                let client = setup::client(&format!("user{index}"));
                // Behind a NAT, so that ESP is in UDP.
                let nat = Nat::new(setup::address(index));
                world.dial(client, [192, 168, 1, 2].into(), Some(nat), false)
            })
            .collect();
        assert!(world.run_until_echoes(&some, MINUTE));
        ids.extend(some);
    }
    let now = world.now();
    let mut loads: Vec<_> = world
        .server
        .workers()
        .into_iter()
        .map(|worker| Load {
            worker,
            inward: Vec::new(),
            outward: Vec::new(),
            next: 0,
            now,
            received: vec![Vec::new(); BATCH],
            free: Vec::new(),
        })
        .collect();
    // The session of each packet is another, as far as there are so many.
    let per_worker = PACKETS * rounds;
    let mut turn = 0;
    while loads
        .iter()
        .any(|load| load.inward.len() * BATCH < per_worker)
    {
        let mut round = vec![Vec::new(); workers.into()];
        while round.iter().any(|datagrams| datagrams.len() < BATCH) {
            for datagram in sealed(&mut world, ids[turn % sessions]) {
                let spi = datagram.payload.first_chunk().expect("ESP");
                let worker = u32::from_be_bytes(*spi) as usize % usize::from(workers);
                let path = Path {
                    channel: Channel::NatT,
                    local: datagram.to,
                    remote: datagram.from,
                };
                if round[worker].len() < BATCH {
                    round[worker].push((path, datagram.payload));
                }
            }
            turn += 1;
        }
        for (load, datagrams) in loads.iter_mut().zip(round) {
            load.inward.push(datagrams);
        }
    }
    for id in &ids {
        let to = world.state(*id).ipv4.expect("an address");
        let packet = udp_packet(HOST_V4.into(), to.into(), &[7; 1272]);
        let owner = loads.iter_mut().position(|load| {
            let buf = PacketBuf::from_slice(HEADROOM, &packet, TAILROOM);
            load.worker.turn().keep_tun(buf, now);
            let mut kept = Vec::new();
            load.worker.turn().seal_kept(&mut kept, |_| ());
            !kept.is_empty()
        });
        let headers = packet.first_chunk().expect("a packet");
        loads[owner.expect("somebody's")].outward.push(*headers);
    }
    for load in &mut loads {
        while load.worker.poll_handover().is_some() {}
        let buffers = (0..BATCH).map(|_| PacketBuf::with_capacity(HEADROOM, 2048 + TAILROOM));
        load.free = buffers.collect();
    }
    loads
}

/// What a client sends for one IP packet.
fn sealed(world: &mut World, id: ClientId) -> Vec<Datagram> {
    let sent: Rc<RefCell<Vec<Datagram>>> = Rc::default();
    let seen = Rc::clone(&sent);
    world.drop_if = Some(Box::new(move |datagram| {
        seen.borrow_mut().push(datagram.clone());
        true
    }));
    let from = world.state(id).ipv4.expect("an address");
    world.send_ip(id, &udp_packet(from.into(), HOST_V4.into(), &[7; 1272]));
    world.drop_if = None;
    sent.take()
}

/// Carries what is prepared for one measurement.
fn carry(load: &mut Load) -> Times {
    let mut times = Times::default();
    let batches = load.inward.len().min(PACKETS / BATCH);
    for datagrams in load.inward.drain(..batches) {
        for (buffer, (_, datagram)) in load.received.iter_mut().zip(&datagrams) {
            buffer.clear();
            buffer.extend_from_slice(datagram);
        }
        let received = load.received.iter_mut().zip(&datagrams);
        let received = received.map(|(buffer, (path, _))| (*path, &mut buffer[..]));
        let mut carried = 0;
        let start = clock();
        let mut turn = load.worker.turn();
        turn.handle_datagrams(received, load.now, |packets| carried += packets.len());
        drop(turn);
        times.inward.push(since(start));
        assert_eq!(carried, BATCH, "everything was carried");

        for buf in &mut load.free {
            let headers = &load.outward[load.next];
            load.next = (load.next + 1) % load.outward.len();
            buf.reset(HEADROOM);
            buf.set_len(HEADERS + 1272);
            let (head, rest) = buf.as_mut_slice().split_at_mut(HEADERS);
            head.copy_from_slice(headers);
            rest.fill(7);
        }
        let start = clock();
        let mut turn = load.worker.turn();
        turn.expect_tun(load.free.iter().map(PacketBuf::as_slice));
        for buf in load.free.drain(..) {
            assert!(turn.keep_tun(buf, load.now).is_none());
        }
        turn.seal_kept(&mut load.free, |_| ());
        drop(turn);
        times.outward.push(since(start));
        assert_eq!(load.free.len(), BATCH, "everything was carried");
    }
    times
}

#[expect(clippy::disallowed_methods, reason = "it is what is measured")]
fn clock() -> Instant {
    Instant::now()
}

fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() / BATCH as f64
}

/// What each worker takes, with all of them at work.
fn together(loads: &mut [Load]) -> Vec<Times> {
    let barrier = &Barrier::new(loads.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = loads
            .iter_mut()
            .map(|load| {
                scope.spawn(move || {
                    barrier.wait();
                    carry(load)
                })
            })
            .collect();
        let times = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        times.collect()
    })
}

fn main() {
    let mut sessions = std::env::args().filter_map(|argument| argument.parse().ok());
    let sessions = sessions.next_back().unwrap_or(10_000);

    let mut loads = loads(2, 8, 2 * ROUNDS);
    let mut alone = Times::default();
    let mut both = [Times::default(), Times::default()];
    for _ in 0..ROUNDS {
        for load in &mut loads {
            alone.add(carry(load));
        }
        for (times, more) in both.iter_mut().zip(together(&mut loads)) {
            times.add(more);
        }
    }
    let [.., alone] = alone.medians();
    let rate: f64 = both.iter_mut().map(|times| 1.0 / times.medians()[2]).sum();
    let ratio = rate * alone;
    println!(
        "one worker  {:9.0} packets/s\ntwo workers {rate:9.0} packets/s, {ratio:.2} times as many (goal: 1.7)",
        1.0 / alone
    );

    let mut loads = [1, sessions].map(|sessions| self::loads(1, sessions, ROUNDS).remove(0));
    let mut times = [Times::default(), Times::default()];
    for _ in 0..ROUNDS {
        for (times, load) in times.iter_mut().zip(&mut loads) {
            // On a thread of its own, as a worker is.
            let carried = together(std::slice::from_mut(load));
            carried.into_iter().for_each(|more| times.add(more));
        }
    }
    let [one, many] = times.each_mut().map(Times::medians);
    println!(
        "ns for each packet {:>10} {:>10} {:>10}",
        "in", "out", "both"
    );
    for (sessions, [inward, outward, both]) in [(1, one), (sessions, many)] {
        let [inward, outward, both] = [inward, outward, both].map(|time| time * 1e9);
        println!("{sessions:9} sessions {inward:10.0} {outward:10.0} {both:10.0}");
    }
    let growth = many[2] / one[2];
    println!(
        "{:.2}, {:.2} and {growth:.2} times as much (goal: 1.5 at most for both)",
        many[0] / one[0],
        many[1] / one[1]
    );
    assert!(ratio >= 1.7 && growth <= 1.5, "the goals are not reached");
}
