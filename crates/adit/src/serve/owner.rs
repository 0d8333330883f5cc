//! The one owner of the sans-IO server, and the tasks that feed it.

use std::cell::{Cell, RefCell};
use std::net::Ipv6Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit_io::udp::{RecvBatch, UdpSocket};
use adit_server::{Event, Note, Server};
use adit_wire::{Channel, Path};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::host::{Host, Socket, socket_for};
use super::logins::{Login, Logins};
use super::pace::Pace;
use super::threads::Shared;
use super::uplink::{Uplink, follow};
use super::{ServeError, paths, system};
use crate::leases::Store;
use crate::users::Clock;

/// Notes of the packet path that are taken at once.
const NOTES_PER_TURN: usize = 64;

/// How much later than at its deadline something may be done, so that what is due at about the same
/// time costs one wakeup. Whatever the server waits for takes a third of a second and more.
const LEEWAY: Duration = Duration::from_millis(100);

/// Pause after a receive error.
pub(super) const RECEIVE_PAUSE: Duration = Duration::from_millis(10);

/// How often the users file is looked at while nobody logs in.
const USERS_EVERY: Duration = Duration::from_secs(2);

/// How far the wall clock may move against the other before the ends of sessions are set anew.
const CLOCK_STEP: Duration = Duration::from_secs(5);

/// Batches that one socket may bring before the others get their turn.
pub(super) const BATCHES_PER_TURN: usize = 8;

/// The server with what surrounds it. Its tasks run on one thread and borrow the server only
/// between waits.
pub(super) struct Owner {
    server: RefCell<Server>,
    logins: RefCell<Logins>,
    /// Where it is written down who had which address, if that can be.
    store: Option<Store>,
    host: Host,
    /// Where clients share the link's prefix, and the way to what is done there.
    uplink: Option<Uplink>,
    neighbors: mpsc::UnboundedSender<(Ipv6Addr, bool)>,
    neighbor_changes: Cell<Option<mpsc::UnboundedReceiver<(Ipv6Addr, bool)>>>,
    /// The next deadline has changed.
    timer_moved: Notify,
    deadline: Cell<Option<Instant>>,
    /// A shutdown has come to its end.
    stopped: Notify,
    shared: Arc<Shared>,
}

impl Owner {
    pub(super) fn new(
        server: Server,
        logins: Logins,
        store: Option<Store>,
        host: Host,
        uplink: Option<Uplink>,
        shared: Arc<Shared>,
    ) -> Self {
        // As many wait as sessions hold addresses, which is bounded.
        let (neighbors, changes) = mpsc::unbounded_channel();
        Self {
            uplink,
            neighbors,
            neighbor_changes: Cell::new(Some(changes)),
            server: RefCell::new(server),
            logins: RefCell::new(logins),
            store,
            host,
            timer_moved: Notify::new(),
            deadline: Cell::new(None),
            stopped: Notify::new(),
            shared,
        }
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Lends the server out, then does everything that it wants done.
    pub(super) fn with<T>(self: &Rc<Self>, act: impl FnOnce(&mut Server, Instant) -> T) -> T {
        let now = Instant::now();
        let result = act(&mut self.server.borrow_mut(), now);
        self.flush(now);
        result
    }

    pub(super) fn shut_down(self: &Rc<Self>) {
        self.with(|server, now| server.shutdown(now));
    }

    /// Waits for the end of a shutdown.
    pub(super) async fn stopped(&self) {
        while !self.server.borrow().is_stopped() {
            self.stopped.notified().await;
        }
    }

    /// What the control side shares with the threads of the packet path.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Sends, answers and starts what the server gives out, until it is silent.
    fn flush(self: &Rc<Self>, now: Instant) {
        let mut server = self.server.borrow_mut();
        loop {
            if let Some(transmit) = server.poll_transmit() {
                self.send(&transmit.path, &transmit.payload);
            } else if let Some(transmit) = server.poll_oversize() {
                self.send_cut(&transmit.path, &transmit.payload);
            } else if let Some(packet) = server.poll_tun() {
                self.to_tun(&[&packet]);
            } else if let Some(job) = server.poll_job() {
                let owner = Rc::clone(self);
                let unix = crate::time::since_epoch(SystemTime::now());
                tokio::task::spawn_local(async move {
                    if let Ok(done) = tokio::task::spawn_blocking(move || job.run(unix)).await {
                        owner.with(|server, now| server.handle_job(done, now));
                    }
                });
            } else if let Some(event) = server.poll_event() {
                match event {
                    Event::Authenticate {
                        session,
                        peer,
                        attempt,
                    } => {
                        let login = Login {
                            session,
                            peer,
                            attempt,
                        };
                        self.read_users();
                        let decided = self.logins.borrow_mut().judge(login, Clock::read());
                        if let Some((session, decision)) = decided {
                            server.handle_verdict(session, decision, now);
                        }
                    }
                    Event::CheckAddress { address } => self.check_address(address),
                    Event::Neighbor { address, held } => {
                        // The task that takes it ends only with the server.
                        let _ = self.neighbors.send((address, held));
                    }
                    Event::Remember { device, lease } => {
                        if let Some(store) = &self.store {
                            store.note(device, lease);
                        }
                    }
                }
            } else {
                break;
            }
        }
        let deadline = server.poll_timeout();
        if self.deadline.replace(deadline) != deadline {
            self.timer_moved.notify_one();
        }
        if server.is_stopped() {
            self.stopped.notify_one();
        }
    }

    /// Looks on the uplink whether somebody has an address that a client wants.
    fn check_address(self: &Rc<Self>, address: Ipv6Addr) {
        let Some(uplink) = self.uplink.clone() else {
            return;
        };
        let owner = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let free = uplink.is_free(address).await;
            owner.with(|server, now| server.handle_address_check(address, free, now));
        });
    }

    /// If the users file has changed, starts to read it on another thread. Then those who log in
    /// wait for it, and nobody else does.
    fn read_users(self: &Rc<Self>) {
        let Some(reload) = self.logins.borrow_mut().reload() else {
            return;
        };
        let owner = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let reloaded = tokio::task::spawn_blocking(move || reload.run()).await;
            let finished = owner
                .logins
                .borrow_mut()
                .finish(reloaded.ok(), Clock::read());
            let (is_new, decided) = finished;
            if is_new {
                owner.review();
            }
            owner.with(|server, now| {
                for (session, decision) in decided {
                    server.handle_verdict(session, decision, now);
                }
            });
        });
    }

    /// Ends the sessions of those who may no longer be in.
    fn review(self: &Rc<Self>) {
        let clock = Clock::read();
        self.with(|server, now| {
            let logins = self.logins.borrow();
            server.reserve(&logins.fixed());
            server.review(|user| logins.standing(user, clock), now);
        });
    }

    fn send(&self, path: &Path, payload: &[u8]) {
        let socket = socket_for(&self.host.sockets, path);
        self.note_unsent(
            path,
            socket.map(|socket| paths::send(socket, path, payload)),
        );
    }

    /// Sends a datagram that is known to be too big for its path.
    fn send_cut(&self, path: &Path, payload: &[u8]) {
        let socket = socket_for(&self.host.sockets, path);
        let send = |socket: &UdpSocket| socket.send_cut(path.local.ip(), path.remote, payload);
        self.note_unsent(path, socket.map(send));
    }

    fn note_unsent(&self, path: &Path, sent: Option<std::io::Result<()>>) {
        if let Some(Err(error)) = sent {
            self.shared.count_unsent(1);
            tracing::debug!(peer = %path.remote, %error, "datagram not sent");
        }
    }

    fn to_tun(&self, packets: &[&[u8]]) {
        let sent = self.host.to_tun.send_batch(packets);
        self.shared.count_unsent_of(packets.len(), sent, "TUN");
    }
}

/// Starts the tasks of sockets, notes, time and users. None of them ends but with an error.
pub(super) fn spawn(
    owner: &Rc<Owner>,
    notes: mpsc::Receiver<Note>,
) -> JoinSet<Result<(), ServeError>> {
    let mut tasks = JoinSet::new();
    for socket in &owner.host.sockets {
        tasks.spawn_local(receive(Rc::clone(owner), Arc::clone(socket)));
        let told = Rc::clone(owner);
        tasks.spawn_local(paths::watch(Arc::clone(socket), move |error| {
            told.with(|server, now| server.handle_too_big(error, now));
        }));
    }
    tasks.spawn_local(take_notes(Rc::clone(owner), notes));
    tasks.spawn_local(keep_time(Rc::clone(owner)));
    tasks.spawn_local(watch_users(Rc::clone(owner)));
    if let (Some(uplink), Some(changes)) = (owner.uplink.clone(), owner.neighbor_changes.take()) {
        let tun = owner.host.tun.index();
        tasks.spawn_local(async move {
            follow(uplink, tun, changes).await;
            Ok(())
        });
    }
    tasks
}

async fn receive(owner: Rc<Owner>, socket: Arc<Socket>) -> Result<(), ServeError> {
    let mut batch = RecvBatch::new();
    let mut pace = Pace::new(Instant::now());
    loop {
        let readable = socket.socket.readable().await;
        readable.map_err(system("cannot wait for a socket"))?;
        let mut taken = 0;
        for _ in 0..BATCHES_PER_TURN {
            match socket.socket.recv(&mut batch) {
                Ok(0) => break,
                Ok(count) => {
                    taken += count;
                    take_batch(&owner, socket.channel, &mut batch);
                }
                Err(error) => {
                    // An ICMP error about something sent earlier, most likely.
                    // One that stays must not spin.
                    tracing::debug!(%error, "receive error");
                    tokio::time::sleep(RECEIVE_PAUSE).await;
                    break;
                }
            }
        }
        // What the others bring is traffic.
        if matches!(socket.channel, Channel::Ike | Channel::NatT)
            && let Some(rest) = pace.read(taken, Instant::now())
        {
            // Of the whole thread: the runtime's own way to wait would be woken by each datagram.
            std::thread::sleep(rest);
        }
        tokio::task::yield_now().await;
    }
}

fn take_batch(owner: &Rc<Owner>, channel: Channel, batch: &mut RecvBatch) {
    owner.with(|server, now| {
        let datagrams = batch.iter_mut().map(|received| {
            let path = Path {
                channel,
                local: received.local,
                remote: received.remote,
            };
            (path, received.bytes)
        });
        server.handle_datagrams(datagrams, now, |packets| owner.to_tun(packets));
    });
}

async fn take_notes(owner: Rc<Owner>, mut notes: mpsc::Receiver<Note>) -> Result<(), ServeError> {
    let mut taken = Vec::with_capacity(NOTES_PER_TURN);
    while notes.recv_many(&mut taken, NOTES_PER_TURN).await > 0 {
        owner.with(|server, now| {
            for note in taken.drain(..) {
                server.handle_note(note, now, |packet| owner.to_tun(&[packet]));
            }
        });
        tokio::task::yield_now().await;
    }
    Err(ServeError::WorkerLost)
}

async fn keep_time(owner: Rc<Owner>) -> Result<(), ServeError> {
    loop {
        match owner.deadline.get() {
            None => owner.timer_moved.notified().await,
            Some(deadline) => tokio::select! {
                () = owner.timer_moved.notified() => {}
                () = tokio::time::sleep_until((deadline + LEEWAY).into()) => {
                    owner.with(|server, now| server.handle_timeout(now));
                }
            },
        }
    }
}

/// Looks at the users file, so that who is removed from it does not stay for long, and at the wall
/// clock, by which access ends.
async fn watch_users(owner: Rc<Owner>) -> Result<(), ServeError> {
    let mut before = Clock::read();
    loop {
        tokio::time::sleep(USERS_EVERY).await;
        owner.read_users();
        let clock = Clock::read();
        let expected = before.wall + clock.now.duration_since(before.now);
        let moved = clock
            .wall
            .duration_since(expected)
            .or_else(|_| expected.duration_since(clock.wall));
        if moved.is_ok_and(|step| step > CLOCK_STEP) {
            tracing::info!("the wall clock was set: the ends of sessions are set anew");
            before = clock;
            owner.review();
        }
    }
}
