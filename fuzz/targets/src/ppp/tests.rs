use super::*;
use crate::inputs::{put, seed, sequence};

const OPENINGS: [&str; 3] = ["windows-opening", "macos-opening", "android-opening"];

#[test]
fn seeds_bring_both_families_up() {
    for (name, expected) in [
        ("recorded-client", [true, false]),
        ("recorded-server", [false, true]),
        ("windows-opening", [true, false]),
    ] {
        assert_eq!(run(&seed("ppp_link", name)), expected, "{name}");
    }
}

#[test]
fn joined_ends_are_open() {
    let clock = Clock::new();
    let mut ends = Ends::new(&clock);
    ends.join(&clock, |_, _| {});
    for (link, _) in &ends.0 {
        assert!(link.ipv4_open() && link.ipv6_open());
    }
}

/// Run by hand after PPP draws its numbers in another order:
/// `cargo test -p adit-fuzz-targets write_ppp -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_ppp() {
    let clock = Clock::new();
    let mut ends = Ends::new(&clock);
    let mut frames = [Vec::new(), Vec::new()];
    ends.join(&clock, |from, frame| frames[from].push(frame.to_vec()));
    for (name, frames) in ["recorded-server", "recorded-client"].iter().zip(&frames) {
        put(
            "ppp_link",
            name,
            &sequence(frames.iter().map(Vec::as_slice)),
        );
    }
    for name in OPENINGS {
        let frames = answering(&seed("ppp_link", name));
        put(
            "ppp_link",
            name,
            &sequence(frames.iter().map(Vec::as_slice)),
        );
    }
}

/// The frames of a client, with what it must answer to this server: a Configure-Ack for each of its
/// Configure-Requests, and its identifiers in the other answers.
fn answering(data: &[u8]) -> Vec<Vec<u8>> {
    let mut clock = Clock::new();
    let mut ends = Ends::new(&clock);
    let (link, rng) = &mut ends.0[0];
    let mut asked: Vec<Vec<u8>> = Vec::new();
    let mut frames = Vec::new();
    for frame in messages(data) {
        let mut frame = frame.to_vec();
        let (protocol, at) = adit_ppp::split(&frame).expect("a seed's frame");
        let chap = protocol == 0xc223;
        if frame[at] == 2 && !chap {
            continue;
        }
        let is_request = |sent: &&Vec<u8>| {
            let (number, at) = adit_ppp::split(sent).expect("our own frame");
            number == protocol && sent[at] == 1
        };
        if let (Some(asked), 2..=4) = (asked.iter().rev().find(is_request), frame[at]) {
            frame[at + 1] = asked[5];
        }
        let mut due = vec![frame];
        while let Some(frame) = due.pop() {
            let now = clock.tick(&frame);
            let _ = link.handle_frame(&frame, now, rng);
            let mut sent = drain(link, now, rng);
            link.handle_timeout(now, rng);
            sent.extend(drain(link, now, rng));
            frames.push(frame);
            for mut request in sent {
                asked.push(request.clone());
                let (protocol, at) = adit_ppp::split(&request).expect("our own frame");
                match (protocol, request[at]) {
                    (0xc223, _) => {}
                    (_, 1) => {
                        request[at] = 2;
                        due.push(request);
                    }
                    // Takes what it is told to take.
                    (0x8021 | 0x8057, 3) => {
                        request[at] = 1;
                        request[at + 1] ^= 0x40;
                        due.push(request);
                    }
                    _ => {}
                }
            }
        }
    }
    frames
}
