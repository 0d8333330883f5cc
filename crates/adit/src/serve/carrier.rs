//! One thread of the packet path: its sockets, its queue of TUN and its part of the server. It never
//! waits for another thread; what is not its own it gives on, and counts what nobody takes.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use adit_io::tun::Queue;
use adit_io::udp::{RecvBatch, UdpSocket};
use adit_server::{HEADROOM, Handover, Note, TAILROOM, Turn, Worker};
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

/// Room for the largest packet that TUN gives.
const TUN_ROOM: usize = 2048;

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
    let mut packets = Vec::with_capacity(TUN_BATCH);
    loop {
        let readable = carrier.queue.readable().await;
        readable.map_err(system("cannot wait for TUN"))?;
        let read = carrier.read(&mut packets);
        carrier.carry(|turn, free, now| {
            turn.expect_tun(&packets);
            let kept = packets.drain(..);
            free.extend(kept.filter_map(|packet| turn.keep_tun(packet, now)));
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
        });
        tokio::task::yield_now().await;
    }
    Ok(())
}

impl Carrier {
    /// Reads what TUN has, as far as it fits into one batch.
    fn read(&self, packets: &mut Vec<PacketBuf>) -> std::io::Result<()> {
        let mut free = self.free.borrow_mut();
        self.ways.shared.even_out(&mut free, TUN_BATCH, || {
            PacketBuf::with_capacity(HEADROOM, TUN_ROOM + TAILROOM)
        });
        let refused = self.queue.refused();
        let mut read = Ok(());
        while packets.len() < TUN_BATCH
            && let Some(mut packet) = free.pop()
        {
            packet.reset(HEADROOM);
            match self.queue.recv(&mut packet) {
                Ok(true) => packets.push(packet),
                Ok(false) => {
                    free.push(packet);
                    break;
                }
                Err(error) => {
                    read = Err(error);
                    break;
                }
            }
        }
        let refused = self.queue.refused() - refused;
        let counter = &self.ways.shared.tun_refused;
        counter.fetch_add(refused, Ordering::Relaxed);
        read
    }

    /// Takes one turn, sends what it made, and gives on what is not for here.
    fn carry(&self, act: impl FnOnce(&mut Turn<'_>, &mut Vec<PacketBuf>, Instant)) {
        let mut worker = self.worker.borrow_mut();
        let mut free = self.free.borrow_mut();
        let mut turn = worker.turn();
        act(&mut turn, &mut free, Instant::now());
        let sealed: Vec<_> = turn
            .seal_kept()
            .map(|(packet, path)| (path, packet))
            .collect();
        self.send(&sealed);
        free.extend(sealed.into_iter().map(|(_, packet)| packet));
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
    fn send(&self, packets: &[(Path, PacketBuf)]) {
        for run in packets.chunk_by(|(a, _), (b, _)| {
            a.channel == b.channel && a.local.is_ipv4() == b.local.is_ipv4()
        }) {
            let socket = run
                .first()
                .and_then(|(path, _)| socket_for(&self.sockets, path));
            let Some(socket) = socket else {
                continue;
            };
            let sent = socket.send_batch(&sealed::datagrams(run));
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
