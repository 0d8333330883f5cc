//! One session of many: its socket, its clock and its computations around
//! [`adit_client::bench::Session`].

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit_client::bench::{Measured, Session, Stage, Step, Traffic, Wants};
use adit_client::{Config, HEADROOM, JobDone, TAILROOM};
use adit_io::udp::{Datagram, RecvBatch, UdpSocket};
use adit_wire::{Channel, PacketBuf, Path};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::dial::Identity;
use crate::time::until;

/// Packets that one session sends before it looks at what came.
const BATCH: usize = 32;

/// Room for the largest packet of traffic.
const ROOM: usize = 1500;

/// How long the server may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(5);

/// The port of IKE; everything else comes from the one of NAT traversal.
const IKE: u16 = 500;

thread_local! {
    /// What all sessions of a thread share.
    static SHARED: RefCell<Shared> = RefCell::new(Shared {
        received: RecvBatch::new(),
        packets: (0..BATCH)
            .map(|_| PacketBuf::with_capacity(HEADROOM, ROOM + TAILROOM))
            .collect(),
    });
}

struct Shared {
    received: RecvBatch,
    packets: Vec<PacketBuf>,
}

/// What all sessions are to do.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Nothing but to stay.
    Stay,
    /// A spell of traffic.
    Send(Traffic),
    /// To end, so many at a time.
    Close(Arc<Semaphore>),
}

/// What a session has to say.
#[derive(Debug)]
pub(super) enum News {
    /// It is up.
    Up {
        took: Duration,
        reached: Vec<(Step, Duration)>,
    },
    /// It did not come up.
    Failed(Step, String),
    /// It was up and is no more.
    Lost(String),
    /// What came of a spell of traffic.
    Measured(Measured),
    /// It has ended as it was told to; whether the server acknowledged everything.
    Ended(bool),
}

/// Where a session dials and as whom.
pub(super) struct Plan {
    pub(super) identity: Identity,
    pub(super) server: IpAddr,
    pub(super) local: IpAddr,
    pub(super) wants: Wants,
}

impl Plan {
    /// A device of its own for the server, and a user of its own where the name says so.
    fn config(&self, number: u64, local: SocketAddr) -> Config {
        let mut identity = self.identity.clone();
        identity.user = identity.user.replace("%d", &number.to_string());
        let mut config = identity.config(local);
        Arc::make_mut(&mut config.l2tp).host_name = format!("bench-{number}");
        let ike = Arc::make_mut(&mut config.ike);
        ike.negotiation_timeout = self.wants.within;
        // The server's own questions are load enough.
        ike.dpd = None;
        config.ppp.echo = None;
        config
    }
}

/// Dials, and does as it is told to the end. `permit` is given back when the set-up is over.
pub(super) async fn run(
    plan: Arc<Plan>,
    number: u64,
    permit: OwnedSemaphorePermit,
    mut orders: watch::Receiver<Order>,
    news: mpsc::UnboundedSender<News>,
) {
    let mut member = match Member::dial(&plan, number) {
        Ok(member) => member,
        Err(why) => {
            let _ = news.send(News::Failed(Step::Phase1, why));
            return;
        }
    };
    let mut permit = Some(permit);
    let mut farewell = None;
    loop {
        member.flush();
        if let Some(measured) = member.session.poll_measured() {
            let _ = news.send(News::Measured(measured));
        }
        let now = Instant::now();
        match (member.session.stage(), permit.take()) {
            (Stage::Dialling, had) => permit = had,
            (Stage::Up(took), Some(_)) => {
                let (took, reached) = (*took, member.session.reached().to_vec());
                let _ = news.send(News::Up { took, reached });
            }
            (Stage::Up(_), None) => {}
            (Stage::Failed(step, why), had) if farewell.is_none() => {
                let (step, why) = (*step, why.clone());
                let _ = news.send(match had {
                    Some(_) => News::Failed(step, why),
                    None => News::Lost(why),
                });
                farewell = Some(Farewell::new(now, None));
                member.session.close(now);
                continue;
            }
            (Stage::Failed(..), _) => {}
        }
        if member.session.is_down() || farewell.as_ref().is_some_and(|it| now >= it.until) {
            member.flush();
            if farewell.is_some_and(|it| it.permit.is_some()) {
                let _ = news.send(News::Ended(member.session.is_down()));
            }
            return;
        }
        let due = [
            member.session.poll_timeout(),
            farewell.as_ref().map(|it| it.until),
        ];
        tokio::select! {
            readable = member.socket.readable() => match readable {
                Ok(()) => member.receive(),
                Err(_) => return,
            },
            Some(Ok(done)) = member.jobs.join_next() => {
                member.session.handle_job(done, Instant::now());
            }
            changed = orders.changed(), if farewell.is_none() => {
                let order = match changed {
                    Ok(()) => orders.borrow_and_update().clone(),
                    Err(_) => return,
                };
                match order {
                    Order::Stay => {}
                    Order::Send(traffic) => member.session.start(traffic),
                    Order::Close(gate) => {
                        let permit = gate.acquire_owned().await.ok();
                        let now = Instant::now();
                        farewell = Some(Farewell::new(now, permit));
                        member.session.close(now);
                    }
                }
            }
            () = until(due.into_iter().flatten().min()) => {
                member.session.handle_timeout(Instant::now());
            }
        }
    }
}

/// The end of a session, under way.
struct Farewell {
    until: Instant,
    /// That of the order to end.
    permit: Option<OwnedSemaphorePermit>,
}

impl Farewell {
    fn new(now: Instant, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            until: now + FAREWELL,
            permit,
        }
    }
}

struct Member {
    session: Session,
    socket: UdpSocket,
    server: IpAddr,
    jobs: JoinSet<JobDone>,
}

impl Member {
    fn dial(plan: &Plan, number: u64) -> Result<Self, String> {
        // One port for both of the server's: half the sockets, and no server minds.
        let socket = UdpSocket::bind(SocketAddr::new(plan.local, 0));
        let socket = socket.map_err(|error| error.to_string())?;
        let path = Path {
            channel: Channel::Ike,
            local: socket.local_addr(),
            remote: SocketAddr::new(plan.server, IKE),
        };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
        let config = plan.config(number, path.local);
        Ok(Self {
            session: Session::new(config, path, plan.wants, seed, Instant::now()),
            socket,
            server: plan.server,
            jobs: JoinSet::new(),
        })
    }

    /// Sends and starts all that the session gives out. What cannot be sent is lost, as on any way.
    fn flush(&mut self) {
        while let Some(transmit) = self.session.poll_transmit() {
            let (local, remote) = (transmit.path.local.ip(), transmit.path.remote);
            let _ = self.socket.send(local, remote, &transmit.payload);
        }
        while let Some(job) = self.session.poll_job() {
            let unix = crate::time::since_epoch(SystemTime::now());
            self.jobs.spawn_blocking(move || job.run(unix));
        }
        SHARED.with_borrow_mut(|shared| {
            let now = Instant::now();
            let mut batch = Vec::new();
            for packet in &mut shared.packets {
                packet.reset(HEADROOM);
                let Some(path) = self.session.poll_packet(packet, now) else {
                    break;
                };
                batch.push(Datagram {
                    local: path.local.ip(),
                    remote: path.remote,
                    payload: packet.as_slice(),
                });
            }
            if !batch.is_empty() {
                let _ = self.socket.send_batch(&batch);
            }
        });
    }

    fn receive(&mut self) {
        SHARED.with_borrow_mut(|shared| {
            // An error is about something sent earlier, and time tells what comes of that.
            if self.socket.recv(&mut shared.received).is_err() {
                return;
            }
            let now = Instant::now();
            let received = shared.received.iter_mut();
            for datagram in received.filter(|it| it.remote.ip() == self.server) {
                let path = Path {
                    channel: match datagram.remote.port() {
                        IKE => Channel::Ike,
                        _ => Channel::NatT,
                    },
                    local: datagram.local,
                    remote: datagram.remote,
                };
                self.session.handle_datagram(path, datagram.bytes, now);
            }
        });
    }
}
