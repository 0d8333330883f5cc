//! One thread of the packet path: its sockets, its queue of TUN and its part of the server. It never
//! waits for another thread; what is not its own it gives on, and counts what nobody takes.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use adit_io::tun::{Queue, Read};
use adit_io::udp::{Datagram, RecvBatch, UdpSocket};
use adit_server::{HEADROOM, Handover, Note, TAILROOM, Turn, Worker};
use adit_wire::offload::{self, VirtioHeader};
use adit_wire::{Channel, PacketBuf, Path, Transmit};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::host::{Post, Socket, socket_for};
use super::owner::{BATCHES_PER_TURN, RECEIVE_PAUSE};
use super::threads::Shared;
use super::{ServeError, paths, system};
use crate::sealed;

/// Packets read from TUN before what they became is sent.
const TUN_BATCH: usize = 64;

/// Room for the largest packet that TUN gives, but for those that stand for several.
const TUN_ROOM: usize = 2048;

/// Most reads of a batch that bring more than that: each may be 46 packets of an Ethernet.
const LONG_READS: usize = 4;

/// Of the room for notes, so much is kept for those that nobody repeats.
const ROOM_FOR_ONCE: usize = 256;

/// Where a thread gives what is not its own.
pub(super) struct Ways {
    pub(super) notes: mpsc::Sender<Note>,
    /// To every thread, in their order.
    pub(super) inboxes: Vec<mpsc::Sender<Handover>>,
    pub(super) shared: Arc<Shared>,
}

/// What a thread has.
struct Carrier {
    worker: RefCell<Worker>,
    /// Its own first, then those of the control side that it only sends by.
    sockets: Vec<Arc<Socket>>,
    queue: Queue,
    ways: Ways,
    free: RefCell<Vec<PacketBuf>>,
}

/// What one read of TUN brought.
struct FromTun {
    header: VirtioHeader,
    packet: PacketBuf,
    /// Whether it was longer than any single packet, and is in one of the few long buffers.
    is_long: bool,
}

/// What a thread does. None of it ends but with an error.
pub(super) type Tasks = JoinSet<Result<(), ServeError>>;

/// Starts what a thread does, on that thread, and gives the sockets that it receives by.
pub(super) fn start(
    worker: Worker,
    post: Post,
    inbox: mpsc::Receiver<Handover>,
    ways: Ways,
) -> Result<(Tasks, Vec<Arc<Socket>>), ServeError> {
    let channel = Channel::NatT;
    let mut own = Vec::new();
    for socket in post.sockets {
        let mut socket = socket.attach()?;
        if post.whole {
            paths::keep_whole(channel, &mut socket)?;
        }
        own.push(Arc::new(Socket { channel, socket }));
    }
    let mut sockets = own.clone();
    sockets.extend(post.senders);
    let carrier = Rc::new(Carrier {
        worker: RefCell::new(worker),
        sockets,
        queue: post.queue.attach()?,
        ways,
        free: RefCell::default(),
    });
    let mut tasks = JoinSet::new();
    for socket in &own {
        tasks.spawn_local(receive(Rc::clone(&carrier), Arc::clone(socket)));
        let told = Rc::clone(&carrier);
        tasks.spawn_local(paths::watch(Arc::clone(socket), move |error| {
            told.note(Note::too_big(error));
        }));
    }
    tasks.spawn_local(read_tun(Rc::clone(&carrier)));
    tasks.spawn_local(read_inbox(carrier, inbox));
    Ok((tasks, own))
}

async fn receive(carrier: Rc<Carrier>, socket: Arc<Socket>) -> Result<(), ServeError> {
    let mut batch = RecvBatch::new();
    loop {
        let readable = socket.socket.readable().await;
        readable.map_err(system("cannot wait for a socket"))?;
        for _ in 0..BATCHES_PER_TURN {
            match socket.socket.recv(&mut batch) {
                Ok(0) => break,
                Ok(_) => carrier.carry(|turn, _, now| {
                    let datagrams = batch.iter_mut().map(|received| {
                        let path = Path {
                            channel: socket.channel,
                            local: received.local,
                            remote: received.remote,
                        };
                        (path, received.bytes)
                    });
                    turn.handle_datagrams(datagrams, now, |packets| carrier.to_tun(packets));
                }),
                Err(error) => {
                    // An ICMP error about something sent earlier, most likely.
                    // One that stays must not spin.
                    tracing::debug!(%error, "receive error");
                    tokio::time::sleep(RECEIVE_PAUSE).await;
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn read_tun(carrier: Rc<Carrier>) -> Result<(), ServeError> {
    let mut reads = Vec::with_capacity(TUN_BATCH);
    let long = || PacketBuf::with_capacity(0, Queue::LONG_ROOM);
    let mut long: Vec<_> = std::iter::repeat_with(long).take(LONG_READS).collect();
    loop {
        if !carrier.has_kept() {
            let readable = carrier.queue.readable().await;
            readable.map_err(system("cannot wait for TUN"))?;
        }
        let read = carrier.read(&mut reads, &mut long);
        carrier.carry(|turn, free, now| {
            let is_empty = reads.is_empty();
            turn.expect_tun(reads.iter().map(|read| read.packet.as_slice()));
            for FromTun {
                header,
                mut packet,
                is_long,
            } in reads.drain(..)
            {
                let taken = if header.is_single() && !is_long {
                    let whole = offload::complete(&header, packet.as_mut_slice());
                    if whole.is_ok() {
                        free.extend(turn.keep_tun(packet, now));
                        continue;
                    }
                    whole
                } else {
                    turn.keep_train(&header, packet.as_slice(), now)
                };
                if let Err(error) = taken {
                    tracing::debug!(%error, "packet from TUN dropped");
                    carrier.count_refused(1);
                }
                if is_long { &mut long } else { &mut *free }.push(packet);
            }
            if is_empty {
                turn.seal_kept(free, |sealed| carrier.send(sealed.iter()));
            } else {
                turn.seal_rounds(free, |sealed| carrier.send(sealed.iter()));
            }
        });
        read.map_err(system("the TUN interface is gone"))?;
        tokio::task::yield_now().await;
    }
}

async fn read_inbox(
    carrier: Rc<Carrier>,
    mut inbox: mpsc::Receiver<Handover>,
) -> Result<(), ServeError> {
    let mut handed = Vec::with_capacity(TUN_BATCH);
    // The carrier itself can send here, so it never ends.
    while inbox.recv_many(&mut handed, TUN_BATCH).await > 0 {
        carrier.carry(|turn, free, now| {
            for packet in handed.drain(..) {
                free.extend(turn.take(packet, now, |packets| carrier.to_tun(packets)));
            }
            turn.seal_kept(free, |sealed| carrier.send(sealed.iter()));
        });
        tokio::task::yield_now().await;
    }
    Ok(())
}

impl Carrier {
    /// Whether packets of a turn are left to the next.
    fn has_kept(&self) -> bool {
        self.worker.borrow().has_kept()
    }

    /// Reads what TUN has, as far as it fits into one batch and those buffers.
    fn read(&self, reads: &mut Vec<FromTun>, long: &mut Vec<PacketBuf>) -> std::io::Result<()> {
        let mut free = self.free.borrow_mut();
        self.ways.shared.even_out(&mut free, TUN_BATCH, || {
            PacketBuf::with_capacity(HEADROOM, TUN_ROOM + TAILROOM)
        });
        let refused = self.queue.refused();
        let mut count = 0;
        while count < TUN_BATCH
            && let Some(packet) = free.last_mut()
            && let Some(more) = long.last_mut()
        {
            packet.reset(HEADROOM);
            let Some(read) = self.queue.read(packet, TAILROOM, more)? else {
                break;
            };
            let (header, taken, is_long) = match read {
                Read::Packet(header) => (header, free.pop(), false),
                Read::Long(header) => (header, long.pop(), true),
            };
            reads.extend(taken.map(|packet| {
                count += header.count(packet.len());
                FromTun {
                    header,
                    packet,
                    is_long,
                }
            }));
        }
        self.count_refused(self.queue.refused() - refused);
        Ok(())
    }

    fn count_refused(&self, packets: u64) {
        let counter = &self.ways.shared.tun_refused;
        counter.fetch_add(packets, Ordering::Relaxed);
    }

    /// Takes one turn, sends what it made, and gives on what is not for here.
    fn carry(&self, act: impl FnOnce(&mut Turn<'_>, &mut Vec<PacketBuf>, Instant)) {
        let mut worker = self.worker.borrow_mut();
        let mut free = self.free.borrow_mut();
        let mut turn = worker.turn();
        act(&mut turn, &mut free, Instant::now());
        while let Some(part) = turn.poll_transmit() {
            self.send_one(&part, UdpSocket::send);
        }
        while let Some(oversize) = turn.poll_oversize() {
            self.send_one(&oversize, UdpSocket::send_cut);
        }
        while let Some(packet) = turn.poll_tun() {
            self.to_tun(&[&packet]);
        }
        drop(turn);
        while let Some(note) = worker.poll_note() {
            self.note(note);
        }
        while let Some((to, packet)) = worker.poll_handover() {
            let inbox = self.ways.inboxes.get(to);
            if inbox.is_none_or(|inbox| inbox.try_send(packet).is_err()) {
                let lost = &self.ways.shared.handovers_lost;
                lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Tells the control side something, if it has room.
    fn note(&self, note: Note) {
        let has_room = self.ways.notes.capacity() > ROOM_FOR_ONCE;
        if !(has_room || note.is_said_once()) || self.ways.notes.try_send(note).is_err() {
            let lost = &self.ways.shared.notes_lost;
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send_one(
        &self,
        transmit: &Transmit,
        send: impl FnOnce(&UdpSocket, IpAddr, SocketAddr, &[u8]) -> std::io::Result<()>,
    ) {
        let Transmit { path, payload } = transmit;
        let sent = socket_for(&self.sockets, path).map_or(Ok(()), |socket| {
            send(socket, path.local.ip(), path.remote, payload)
        });
        let sent = sent.map(|()| 1);
        self.ways.shared.count_unsent_of(1, sent, "a socket");
    }

    /// Sends sealed packets, those of one socket in one call.
    fn send<'a>(&self, packets: impl Iterator<Item = (&'a [u8], &'a Path)>) {
        let mut run = Vec::with_capacity(2 * TUN_BATCH);
        let mut way: Option<&Path> = None;
        for (payload, path) in packets {
            if let Some(before) = way.filter(|before| !is_by_one_socket(before, path)) {
                self.send_run(before, &run);
                run.clear();
            }
            way = Some(path);
            run.push(sealed::datagram((payload, path)));
        }
        if let Some(path) = way {
            self.send_run(path, &run);
        }
    }

    fn send_run(&self, path: &Path, run: &[Datagram<'_>]) {
        if let Some(socket) = socket_for(&self.sockets, path) {
            let sent = socket.send_batch(run);
            self.ways
                .shared
                .count_unsent_of(run.len(), sent, "a socket");
        }
    }

    fn to_tun(&self, packets: &[&[u8]]) {
        let sent = self.queue.send_batch(packets);
        self.ways.shared.count_unsent_of(packets.len(), sent, "TUN");
    }
}

/// Whether packets of both ways leave by the same socket.
fn is_by_one_socket(a: &Path, b: &Path) -> bool {
    a.channel == b.channel && a.local.is_ipv4() == b.local.is_ipv4()
}
