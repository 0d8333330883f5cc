//! `adit bench`: many sessions with one server from one process, set up, kept, loaded with traffic and
//! ended. It works with any server: what answers is the far end of each tunnel, or a host that `--target`
//! names.

mod member;
mod options;
mod report;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_client::bench::{Traffic, Wants};
use adit_wire::ip::Family;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::connect::Stop;
use crate::dial::{Identity, local_address, resolve};
use crate::{Failure, print_json};

use member::{News, Order, Plan};
use options::Rate;
use report::{Report, Row};

pub(crate) use options::Options;

/// Files that are open beside the sockets of sessions.
const OTHER_FILES: u64 = 100;

/// From an order to the first packet, so that all sessions have heard of it.
const LEAD: Duration = Duration::from_millis(200);

/// How long sessions may take to tell what they measured.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sessions that end at once.
const ENDING: usize = 100;

/// Loads the server, and reports.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let identity = Identity::read(&options.dial, &options.host)?;
    allow_files(options.sessions)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .max_blocking_threads(cores)
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let report = runtime.block_on(load(options, identity));
    runtime.shutdown_background();
    let report = report?;
    if options.json {
        print_json(&report)?;
    } else {
        print!("{report}");
    }
    report.verdict()
}

/// Each session has a socket.
fn allow_files(sessions: u64) -> Result<(), Failure> {
    let wanted = sessions + OTHER_FILES;
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(Failure::failed)?;
    if now >= wanted {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, most.max(wanted)).map_err(|error| {
        Failure::failed(format_args!(
            "{sessions} sessions need {wanted} open files, and {most} are allowed: {error}. Raise the limit \
             (ulimit -n {wanted})"
        ))
    })
}

async fn load(options: &Options, identity: Identity) -> Result<Report, Failure> {
    let mut stop = Stop::new().map_err(Failure::failed)?;
    let servers = resolve(&options.dial, &options.host).await?;
    let server = *servers
        .first()
        .ok_or_else(|| Failure::failed("no address"))?;
    let failed = |error| Failure::failed(format_args!("{server}: {error}"));
    let plan = Plan {
        identity,
        server,
        local: local_address(server).map_err(failed)?,
        wants: Wants {
            ipv4: !options.without_ipv4,
            ipv6: !options.without_ipv6,
            within: options.timeout,
        },
    };
    let (orders, _) = watch::channel(Order::Stay);
    let (tell, news) = mpsc::unbounded_channel();
    let mut conductor = Conductor {
        options,
        orders,
        news,
        alive: 0,
        report: Report::new(server, options.sessions),
        progress: Progress::new(options.json),
    };
    tokio::select! {
        () = conductor.perform(Arc::new(plan), tell) => {}
        () = stop.asked() => conductor.report.interrupted = true,
    }
    tokio::select! {
        () = conductor.close() => {}
        () = stop.asked() => {}
    }
    conductor.progress.clear();
    Ok(conductor.report)
}

/// Who tells all sessions what to do, and hears what they say.
struct Conductor<'a> {
    options: &'a Options,
    orders: watch::Sender<Order>,
    news: mpsc::UnboundedReceiver<News>,
    /// Sessions that are up.
    alive: u64,
    report: Report,
    progress: Progress,
}

impl Conductor<'_> {
    async fn perform(&mut self, plan: Arc<Plan>, tell: mpsc::UnboundedSender<News>) {
        self.set_up(plan, tell).await;
        if let Some(hold) = self.options.hold {
            self.progress.show("sessions held", self.alive);
            let over = tokio::time::sleep(hold);
            tokio::pin!(over);
            loop {
                tokio::select! {
                    () = &mut over => break,
                    Some(news) = self.news.recv() => { self.take(news); }
                }
            }
        }
        if self.options.no_traffic {
            return;
        }
        let sizes = match self.options.sizes.as_slice() {
            [] => &[128, 1280],
            sizes => sizes,
        };
        for family in [Family::V4, Family::V6] {
            let asked = match family {
                Family::V4 => !self.options.without_ipv4,
                Family::V6 => !self.options.without_ipv6,
            };
            for size in sizes.iter().filter(|_| asked) {
                self.traffic(family, usize::from(*size)).await;
            }
        }
    }

    async fn set_up(&mut self, plan: Arc<Plan>, tell: mpsc::UnboundedSender<News>) {
        // cast: at most a thousand
        let gate = Arc::new(Semaphore::new(self.options.concurrency as usize));
        let begun = Instant::now();
        let mut settled = 0;
        for number in 0..self.options.sessions {
            if let Some(rate) = self.options.setup_rate {
                // cast: a number of sessions
                let after = Duration::from_secs_f64(number as f64 / rate as f64);
                tokio::time::sleep_until((begun + after).into()).await;
            }
            let Ok(permit) = Arc::clone(&gate).acquire_owned().await else {
                return;
            };
            let orders = self.orders.subscribe();
            let member = member::run(Arc::clone(&plan), number, permit, orders, tell.clone());
            tokio::spawn(member);
            while let Ok(news) = self.news.try_recv() {
                settled += u64::from(self.take(news));
            }
            self.progress.show("sessions set up", settled);
        }
        drop(tell);
        while settled < self.options.sessions
            && let Some(news) = self.news.recv().await
        {
            settled += u64::from(self.take(news));
            self.progress.show("sessions set up", settled);
        }
        self.report.setups.seconds = begun.elapsed().as_secs_f64();
    }

    /// Takes what a session says; whether it was the end of a set-up.
    fn take(&mut self, news: News) -> bool {
        match news {
            News::Up { took, reached } => {
                self.alive += 1;
                self.report.setups.up(took, &reached);
                true
            }
            News::Failed(step, why) => {
                self.report.setups.failed(step, why);
                true
            }
            News::Lost(why) => {
                self.alive = self.alive.saturating_sub(1);
                self.report.lost(why);
                false
            }
            News::Measured(_) | News::Ended(_) => false,
        }
    }

    async fn traffic(&mut self, family: Family, size: usize) {
        if self.alive == 0 {
            return;
        }
        let begin = Instant::now() + LEAD;
        let mut targets = self.options.target.iter();
        let target = targets
            .find(|target| Family::of(**target) == family)
            .copied();
        let traffic = Traffic {
            family,
            target,
            size,
            rate: match self.options.rate {
                Rate::Max => None,
                // cast: a number of sessions
                Rate::PerSecond(rate) => Some(rate / self.alive as f64),
            },
            begin,
            end: begin + self.options.spell,
        };
        let what = format!("{} of {size} bytes, sessions done", report::name(family));
        let cpu = report::cpu_seconds();
        let mut row = Row::new(family, target, size, self.options.spell);
        self.orders.send_replace(Order::Send(traffic));
        let deadline = tokio::time::Instant::from_std(traffic.end + PATIENCE);
        let mut done = 0;
        while done < self.alive
            && let Ok(Some(news)) = tokio::time::timeout_at(deadline, self.news.recv()).await
        {
            if let News::Measured(measured) = &news {
                row.add(measured);
                done += 1;
            }
            self.take(news);
            self.progress.show(&what, done);
        }
        self.report
            .traffic
            .push(row.finish(report::cpu_seconds() - cpu));
    }

    /// Ends all sessions, as clients do.
    async fn close(&mut self) {
        let gate = Arc::new(Semaphore::new(ENDING));
        self.orders.send_replace(Order::Close(gate));
        while let Some(news) = self.news.recv().await {
            if let News::Ended(clean) = news {
                self.report.ended(clean);
            }
            self.progress
                .show("sessions ended", self.report.ended.clean);
        }
    }
}

/// One line on a terminal that says how far it is; nothing elsewhere.
struct Progress {
    on: bool,
    last: Option<Instant>,
}

impl Progress {
    const EVERY: Duration = Duration::from_millis(100);

    fn new(json: bool) -> Self {
        let on = std::io::stderr().is_terminal() && !json;
        Self { on, last: None }
    }

    fn show(&mut self, what: &str, count: u64) {
        if self.on && self.last.is_none_or(|last| last.elapsed() >= Self::EVERY) {
            self.last = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r\x1b[K{count} {what}");
        }
    }

    fn clear(&self) {
        if self.on {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
