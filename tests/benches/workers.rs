//! What several workers carry against one, and what a packet costs with many sessions against one.
//!
//! Everything is in memory: sealed datagrams and IP packets of 1300 bytes are prepared, and only the
//! work of the packet path is timed, in time of the thread, so that what else runs on the machine counts
//! little. `cargo bench -p adit-tests --bench workers [-- SESSIONS]`

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
const PACKETS: usize = 100 * BATCH;

/// Measurements of each kind; the best of them is what the machine can do.
const ROUNDS: usize = 7;

/// What is prepared for one worker.
struct Load {
    worker: Worker,
    /// Each datagram can be opened once.
    inward: Vec<Vec<(Path, Vec<u8>)>>,
    outward: Vec<Vec<u8>>,
    now: Instant,
    free: Vec<PacketBuf>,
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
            now,
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
            load.worker.turn().seal_kept().count() > 0
        });
        loads[owner.expect("somebody's")].outward.push(packet);
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

/// How long this thread has run so far.
fn thread_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = stat.split(' ').next().and_then(|time| time.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

/// Carries what is prepared for one measurement; gives the time of the thread for one packet.
fn carry(load: &mut Load) -> f64 {
    let batches = load.inward.len().min(PACKETS / BATCH);
    let mut inward: Vec<_> = load.inward.drain(..batches).collect();
    let mut outward = load.outward.iter().cycle();
    let mut carried = 0;
    let start = thread_time();
    for datagrams in &mut inward {
        let mut turn = load.worker.turn();
        let datagrams = datagrams.iter_mut();
        let datagrams = datagrams.map(|(path, payload)| (*path, &mut payload[..]));
        turn.handle_datagrams(datagrams, load.now, |packets| carried += packets.len());
        drop(turn);
        let mut turn = load.worker.turn();
        while let Some(mut buf) = load.free.pop() {
            let packet = outward.next().expect("there are sessions");
            buf.reset(HEADROOM);
            buf.spare_mut()[..packet.len()].copy_from_slice(packet);
            buf.set_len(packet.len());
            assert!(turn.keep_tun(buf, load.now).is_none());
        }
        load.free.extend(turn.seal_kept().map(|(buf, _)| buf));
        carried += load.free.len();
    }
    let time = thread_time() - start;
    assert_eq!(carried, 2 * batches * BATCH, "everything was carried");
    time.as_secs_f64() / carried as f64
}

/// Time for one packet, of each worker, with all of them at work.
fn together(loads: &mut [Load]) -> Vec<f64> {
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

fn best(times: impl Iterator<Item = f64>) -> f64 {
    times.fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut sessions = std::env::args().filter_map(|argument| argument.parse().ok());
    let sessions = sessions.next_back().unwrap_or(10_000);

    let mut loads = loads(2, 8, 2 * ROUNDS);
    let mut alone = f64::INFINITY;
    let mut rate = 0_f64;
    for _ in 0..ROUNDS {
        alone = alone.min(best(loads.iter_mut().map(carry)));
        let each = together(&mut loads);
        rate = rate.max(each.iter().map(|time| 1.0 / time).sum());
    }
    let ratio = rate * alone;
    println!(
        "one worker  {:9.0} packets/s\ntwo workers {rate:9.0} packets/s, {ratio:.2} times as many (goal: 1.7)",
        1.0 / alone
    );

    let cost = |sessions| {
        let mut loads = self::loads(1, sessions, ROUNDS);
        best((0..ROUNDS).map(|_| best(loads.iter_mut().map(carry))))
    };
    let (one, many) = (cost(1), cost(sessions));
    let growth = many / one;
    println!(
        "1 session   {:9.0} ns/packet\n{sessions} sessions {:5.0} ns/packet, {growth:.2} times as much (goal: 1.5 at most)",
        one * 1e9,
        many * 1e9
    );
    assert!(ratio >= 1.7 && growth <= 1.5, "the goals are not reached");
}
