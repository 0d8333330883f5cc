//! Network namespaces of our own: networks that nothing of the host is in, gone when the last thing in
//! them ends (network_namespaces(7)).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc;
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, unshare};

type Order = Box<dyn FnOnce() + Send>;

/// A network namespace, held by a thread that works in it. Processes started there stay there.
pub struct Namespace {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    file: File,
}

impl Namespace {
    /// Makes an empty one; needs CAP_SYS_ADMIN.
    pub fn new() -> io::Result<Self> {
        let (orders, queue) = mpsc::channel::<Order>();
        let (ready, made) = mpsc::channel();
        let thread = std::thread::Builder::new().spawn(move || {
            let file = unshare(CloneFlags::CLONE_NEWNET)
                .map_err(io::Error::from)
                .and_then(|()| File::open("/proc/thread-self/ns/net"));
            let entered = file.is_ok();
            if ready.send(file).is_ok() && entered {
                queue.into_iter().for_each(|order| order());
            }
        })?;
        let file = made.recv().map_err(io::Error::other)??;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
            file,
        })
    }

    /// Does something inside, and waits for it.
    pub fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = mpsc::channel();
        let order: Order = Box::new(move || {
            // Whoever no longer waits does not want it.
            let _ = done.send(act());
        });
        let gone = || io::Error::other("the namespace's thread is gone");
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(order).map_err(|_| gone())?;
        result.recv().map_err(|_| gone())
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
