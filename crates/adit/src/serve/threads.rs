//! The threads of the packet path: one for each worker of the server, each with a runtime of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use adit_server::{Handover, Note, Worker};
use adit_wire::PacketBuf;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::carrier::{self, Ways};
use super::host::{Post, Socket};
use super::{ServeError, system};

/// Packets that may wait for a thread which another one handed them to.
const INBOX: usize = 1024;

/// What may wait for the control side.
const NOTES: usize = 2048;

/// What all threads share.
#[derive(Default)]
pub(super) struct Shared {
    /// Datagrams and packets that the kernel would not take.
    unsent: AtomicU64,
    /// Packets from TUN that were dropped for what the kernel said of them.
    pub(super) tun_refused: AtomicU64,
    /// Notes that the control side had no room for.
    pub(super) notes_lost: AtomicU64,
    /// Packets for another thread that had no room for them.
    pub(super) handovers_lost: AtomicU64,
    /// Buffers that came with packets from other threads, on their way back.
    spare: Mutex<Vec<PacketBuf>>,
}

impl Shared {
    pub(super) fn count_unsent(&self, count: usize) {
        if count > 0 {
            self.unsent.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Counts what is missing of so many packets after an attempt to send them.
    pub(super) fn count_unsent_of(&self, count: usize, sent: std::io::Result<usize>, by: &str) {
        let sent = sent.unwrap_or_else(|error| {
            tracing::debug!(%error, by, "packets not taken");
            0
        });
        self.count_unsent(count.saturating_sub(sent));
    }

    /// What is counted here, by name.
    pub(super) fn counters(&self) -> [(&'static str, u64); 4] {
        [
            ("unsent", &self.unsent),
            ("tun_refused", &self.tun_refused),
            ("notes_lost", &self.notes_lost),
            ("handovers_lost", &self.handovers_lost),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }

    /// Sees to it that a thread has at least `batch` free buffers and not many more: packets that
    /// change threads take their buffers along.
    pub(super) fn even_out(
        &self,
        free: &mut Vec<PacketBuf>,
        batch: usize,
        make: impl FnMut() -> PacketBuf,
    ) {
        if free.len() > 3 * batch {
            let mut spare = self.spare.lock();
            spare.extend(free.drain(2 * batch..));
            spare.truncate(INBOX);
        } else if free.len() < batch {
            let mut spare = self.spare.lock();
            let left = spare.len().saturating_sub(batch);
            free.extend(spare.drain(left..));
            drop(spare);
            free.resize_with(free.len().max(batch), make);
        }
    }
}

/// The running threads.
pub(super) struct Threads {
    /// Each stops when the other end of this goes.
    stops: Vec<oneshot::Sender<()>>,
    handles: Vec<JoinHandle<()>>,
}

/// How a thread ended: only with an error, unless it was stopped.
pub(super) type End = oneshot::Receiver<Result<(), ServeError>>;

/// What [`start`] gives.
pub(super) struct Started {
    pub(super) threads: Threads,
    /// What the threads note for the control side.
    pub(super) notes: mpsc::Receiver<Note>,
    pub(super) ends: Vec<End>,
    /// What all of them receive by.
    pub(super) sockets: Vec<Arc<Socket>>,
}

/// What a thread has besides its worker and its post.
struct Wires {
    ways: Ways,
    inbox: mpsc::Receiver<Handover>,
    /// Gets its sockets once they are open to it.
    ready: oneshot::Sender<Vec<Arc<Socket>>>,
    stopped: oneshot::Receiver<()>,
}

/// Starts a thread for each worker, and waits until all receive.
pub(super) async fn start(
    workers: Vec<Worker>,
    posts: Vec<Post>,
    shared: &Arc<Shared>,
) -> Result<Started, ServeError> {
    let (notes, noted) = mpsc::channel(NOTES);
    let (inboxes, handed): (Vec<_>, Vec<_>) = workers.iter().map(|_| mpsc::channel(INBOX)).unzip();
    let mut started = Started {
        threads: Threads {
            stops: Vec::new(),
            handles: Vec::new(),
        },
        notes: noted,
        ends: Vec::new(),
        sockets: Vec::new(),
    };
    for (index, ((worker, post), inbox)) in workers.into_iter().zip(posts).zip(handed).enumerate() {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (ready, sockets) = oneshot::channel();
        let wires = Wires {
            ways: Ways {
                notes: notes.clone(),
                inboxes: inboxes.clone(),
                shared: Arc::clone(shared),
            },
            inbox,
            ready,
            stopped,
        };
        let thread = std::thread::Builder::new().name(format!("adit-worker-{index}"));
        let handle = thread.spawn(move || {
            // Nobody waits for it after a stop.
            let _ = end.send(run(worker, post, wires));
        });
        started.threads.stops.push(stop);
        let handle = handle.map_err(system("cannot start a thread"))?;
        started.threads.handles.push(handle);
        let Ok(sockets) = sockets.await else {
            // Its end says why.
            self::ended(ended).await?;
            return Err(ServeError::WorkerLost);
        };
        started.sockets.extend(sockets);
        started.ends.push(ended);
    }
    Ok(started)
}

/// What a thread does, from its start to its end.
fn run(worker: Worker, post: Post, wires: Wires) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("cannot start the runtime of a thread"))?;
    LocalSet::new().block_on(&runtime, async {
        let (mut tasks, sockets) = carrier::start(worker, post, wires.inbox, wires.ways)?;
        // Whoever waits for it ends with an error of its own if it is gone.
        let _ = wires.ready.send(sockets);
        tokio::select! {
            _ = wires.stopped => Ok(()),
            ended = tasks.join_next() => match ended {
                Some(Ok(ended)) => ended,
                _ => Err(ServeError::WorkerLost),
            },
        }
    })
}

impl Threads {
    /// Stops all threads and waits for them: each is at most one batch away from it.
    pub(super) fn stop(self) {
        drop(self.stops);
        for handle in self.handles {
            // One that panicked has said so.
            let _ = handle.join();
        }
    }
}

/// Waits until a thread ends; one that panicked says nothing.
pub(super) async fn ended(end: End) -> Result<(), ServeError> {
    end.await.unwrap_or(Err(ServeError::WorkerLost))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers(count: usize) -> Vec<PacketBuf> {
        (0..count).map(|_| PacketBuf::with_capacity(0, 1)).collect()
    }

    #[test]
    fn buffers_go_back_to_where_they_are_needed() {
        let shared = Shared::default();
        let make = || PacketBuf::with_capacity(0, 1);
        // A thread that only hands over runs out; one that is only handed to has too many.
        let (mut poor, mut rich) = (Vec::new(), buffers(10));
        shared.even_out(&mut poor, 4, make);
        shared.even_out(&mut rich, 4, make);
        assert_eq!((poor.len(), rich.len()), (4, 10));
        rich.append(&mut poor);
        shared.even_out(&mut rich, 4, make);
        assert_eq!((rich.len(), shared.spare.lock().len()), (8, 6));
        shared.even_out(&mut poor, 4, || panic!("there are spare ones"));
        assert_eq!((poor.len(), shared.spare.lock().len()), (4, 2));
        // What is taken back is bounded.
        let mut many = buffers(3 * INBOX);
        shared.even_out(&mut many, 4, make);
        assert_eq!((many.len(), shared.spare.lock().len()), (8, INBOX));
    }
}
