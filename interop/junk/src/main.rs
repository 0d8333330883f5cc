//! Floods one address with datagrams made from templates, for the scenarios of `interop/`: whole Ethernet
//! frames on one device, so that any source address can be forged, and many of them in one system call.
//!
//!     junk DEVICE MAC ADDRESS SECONDS RATE <TEMPLATES
//!
//! MAC and ADDRESS are the target's, RATE is in datagrams a second (0: as many as go). Templates are
//! lines of [`template::Template`]. At the end it prints how many of each were sent, one `NAME COUNT` a
//! line, and `seconds` with how long that took.

mod random;
mod template;

use std::io::{IoSlice, Read};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, socket,
};

use random::Random;
use template::{Frame, Template};

/// Frames in one system call.
const BATCH: usize = 64;

/// Frames that take turns. Each is filled anew before it leaves.
const RING: usize = 1024;

/// How far ahead of its rate the sender has to be before it sleeps.
const NAP: Duration = Duration::from_millis(2);

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("junk: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), String> {
    let [device, mac, to, seconds, rate] = words else {
        return Err("usage: junk DEVICE MAC ADDRESS SECONDS RATE <TEMPLATES".into());
    };
    let to: IpAddr = to.parse().map_err(|_| format!("no address: {to}"))?;
    let seconds: f64 = seconds.parse().map_err(|_| "SECONDS is no number")?;
    let rate: f64 = rate.parse().map_err(|_| "RATE is no number")?;
    let spell = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    let mac = parse_mac(mac).ok_or_else(|| format!("no MAC address: {mac}"))?;
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("reading the templates: {error}"))?;
    let templates = text
        .lines()
        .map(|line| Template::parse(line).map_err(|error| format!("{error}: {line}")))
        .collect::<Result<Vec<_>, _>>()?;
    let link = link(device)?;
    let own = link.addr().unwrap_or_default();
    let mut random = Random::new(0x5eed);
    let mut ring = template::ring(&templates, RING, &mut random)
        .ok_or("no template has a share")?
        .into_iter()
        .map(|index| {
            let template = templates.get(index)?;
            Some((index, Frame::new(template, (mac, own), to)?))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or("a source address is not of the target's family")?;
    let started = Instant::now();
    let sent = flood(&link, &mut ring, templates.len(), (spell, rate), random)?;
    println!("seconds {}", started.elapsed().as_secs_f64());
    for (template, count) in templates.iter().zip(sent) {
        println!("{} {count}", template.name);
    }
    Ok(())
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// The device, as an address to bind to.
fn link(device: &str) -> Result<LinkAddr, String> {
    let all = nix::ifaddrs::getifaddrs().map_err(|error| format!("listing devices: {error}"))?;
    all.filter(|found| found.interface_name == device)
        .find_map(|found| found.address?.as_link_addr().copied())
        .ok_or_else(|| format!("no device is called {device}"))
}

/// Sends until the time is over. Result: how many of each template.
fn flood(
    link: &LinkAddr,
    ring: &mut [(usize, Frame)],
    templates: usize,
    (spell, rate): (Duration, f64),
    mut random: Random,
) -> Result<Vec<u64>, String> {
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(|error| format!("opening a packet socket: {error}"))?;
    bind(socket.as_raw_fd(), link).map_err(|error| format!("binding to the device: {error}"))?;
    let nowhere = [None::<LinkAddr>; BATCH];
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let mut sent = vec![0; templates];
    let mut total = 0_u64;
    let started = Instant::now();
    while started.elapsed() < spell {
        for batch in ring.chunks_mut(BATCH) {
            for (_, frame) in batch.iter_mut() {
                frame.fill(&mut random);
            }
            let slices: Vec<_> = batch
                .iter()
                .map(|(_, frame)| [IoSlice::new(frame.bytes())])
                .collect();
            let result = sendmmsg(
                socket.as_raw_fd(),
                &mut headers,
                &slices,
                nowhere,
                [],
                MsgFlags::empty(),
            );
            let count = match result {
                Ok(results) => results.count(),
                // The device's queue is full: what does not fit is lost, as on a wire.
                Err(Errno::ENOBUFS | Errno::EINTR) => 0,
                Err(error) => return Err(format!("sending: {error}")),
            };
            for (index, _) in batch.iter().take(count) {
                if let Some(sent) = sent.get_mut(*index) {
                    *sent += 1;
                }
            }
            total += count as u64;
            pause(started, spell, total, rate);
        }
    }
    Ok(sent)
}

/// Sleeps where the rate is kept more than well.
fn pause(started: Instant, spell: Duration, total: u64, rate: f64) {
    if rate <= 0.0 {
        return;
    }
    let due = Duration::try_from_secs_f64(total as f64 / rate).unwrap_or(spell);
    let ahead = due.min(spell).saturating_sub(started.elapsed());
    if ahead > NAP {
        std::thread::sleep(ahead);
    }
}
