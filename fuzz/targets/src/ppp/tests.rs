use super::*;
use crate::inputs::{put, seed, sequence};

const OPENINGS: [&str; 3] = ["windows-opening", "macos-opening", "android-opening"];

#[test]
fn seeds_bring_both_families_up() {
    let eap = ("ppp_eap", &EAP[..]);
    let plain = ("ppp_link", &PLAIN[..]);
    for ((target, auth), name, expected) in [
        (plain, "recorded-client", [true, false]),
        (plain, "recorded-server", [false, true]),
        (plain, "windows-opening", [true, false]),
        (eap, "recorded-client", [true, false]),
        (eap, "recorded-server", [false, true]),
    ] {
        let reached = run(auth, &seed(target, name));
        assert_eq!(reached, expected, "{target} {name}");
    }
}

#[test]
fn joined_ends_are_open() {
    let clock = Clock::new();
    for auth in [&PLAIN[..], &EAP, &EAP_TLS] {
        let mut ends = Ends::new(auth, &clock);
        ends.join(&clock, |_, _| {});
        for (link, _) in &ends.0 {
            assert!(link.ipv4_open() && link.ipv6_open());
        }
    }
}

/// Run by hand after PPP draws its numbers in another order:
/// `cargo test -p adit-fuzz-targets write_ppp -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_ppp() {
    let clock = Clock::new();
    for (target, auth) in [("ppp_link", &PLAIN[..]), ("ppp_eap", &EAP)] {
        let mut ends = Ends::new(auth, &clock);
        let mut frames = [Vec::new(), Vec::new()];
        ends.join(&clock, |from, frame| frames[from].push(frame.to_vec()));
        for (name, frames) in ["recorded-server", "recorded-client"].iter().zip(&frames) {
            put(target, name, &sequence(frames.iter().map(Vec::as_slice)));
        }
        if target == "ppp_eap" {
            hostile_eap(&frames[1]);
        }
    }
    let mut ends = Ends::new(&EAP_TLS, &clock);
    let mut frames = [Vec::new(), Vec::new()];
    ends.join(&clock, |from, frame| frames[from].push(frame.to_vec()));
    for (name, frames) in ["tls-server", "tls-client"].iter().zip(&frames) {
        put("ppp_eap", name, &sequence(frames.iter().map(Vec::as_slice)));
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

/// What a client must not answer a challenge with, behind its opening.
fn hostile_eap(client: &[Vec<u8>]) {
    let challenged = client
        .iter()
        .position(|frame| frame.starts_with(&[0xff, 3, 0xc2, 0x27, 2]) && frame[8] == 26)
        .expect("an answer to a challenge");
    let (opening, answer) = (&client[..challenged], &client[challenged]);
    let eap = |id: u8, data: &[u8]| {
        let length = u16::try_from(4 + data.len()).expect("a short packet");
        let mut frame = vec![0xff, 3, 0xc2, 0x27, 2, id];
        frame.extend(length.to_be_bytes());
        frame.extend(data);
        frame
    };
    let changed = |at: usize, byte: u8| {
        let mut frame = answer.clone();
        frame[at] = byte;
        vec![frame]
    };
    let id = answer[5];
    let md5 = |data: &[u8]| vec![eap(id, &[3, 4]), eap(id.wrapping_add(1), data)];
    let long_value = [&[4, 255][..], &[0x55; 16], b"alice"].concat();
    let long_name = [&[4, 16][..], &[0x55; 16], &[b'x'; 300]].concat();
    let mut change = vec![26, 7, answer[10], 2, 74];
    change.resize(587, 0x5a);
    for (name, frames) in [
        ("md5-value-past-end", md5(&long_value)),
        ("md5-empty", md5(&[4])),
        ("md5-name-too-long", md5(&long_name)),
        ("nak-empty", vec![eap(id, &[3])]),
        ("nak-none", vec![eap(id, &[3, 0])]),
        ("nak-tls", vec![eap(id, &[3, 13, 25, 21])]),
        ("no-type", vec![eap(id, &[])]),
        ("mschapv2-length-past-end", changed(12, 255)),
        ("mschapv2-length-3", changed(12, 3)),
        ("mschapv2-value-past-end", changed(13, 255)),
        ("mschapv2-success-first", vec![eap(id, &[26, 3])]),
        ("mschapv2-failure-first", vec![eap(id, &[26, 4])]),
        ("mschapv2-change-password", vec![eap(id, &change)]),
        ("tls-no-flags", vec![eap(id, &[13])]),
        ("tls-start-of-the-peer", vec![eap(id, &[13, 0x20])]),
        ("tls-nothing", vec![eap(id, &[13, 0])]),
        ("tls-length-cut", vec![eap(id, &[13, 0x80, 0, 1])]),
        (
            "tls-length-huge",
            vec![eap(id, &[13, 0x80, 255, 255, 255, 255, 22, 3, 1])],
        ),
        (
            "tls-length-short",
            vec![eap(id, &[13, 0x80, 0, 0, 0, 1, 22, 3, 1])],
        ),
        ("tls-more-of-nothing", vec![eap(id, &[13, 0x40])]),
        (
            "tls-two-lengths",
            vec![
                eap(id, &[13, 0xc0, 0, 0, 0, 9, 22, 3, 1]),
                eap(id.wrapping_add(1), &[13, 0x80, 0, 0, 0, 8, 0, 5]),
            ],
        ),
        (
            "tls-record-unknown",
            vec![
                eap(id, b"\x0d\0GET / HTTP/1.1"),
                eap(id.wrapping_add(1), &[13, 0]),
            ],
        ),
        (
            "tls-ssl3-hello",
            vec![eap(id, &[13, 0, 22, 3, 0, 0, 4, 1, 0, 0, 0])],
        ),
        ("tls-alert", vec![eap(id, &[13, 0, 21, 3, 3, 0, 2, 2, 40])]),
        ("identity-again", vec![eap(id, b"\x01alice")]),
        ("expanded", vec![eap(id, &[254, 0, 1, 55, 0, 0, 0, 1])]),
    ] {
        let all = opening.iter().chain(&frames).map(Vec::as_slice);
        put("ppp_eap", name, &sequence(all));
    }
}

/// The frames of a client, with what it must answer to this server: a Configure-Ack for each of its
/// Configure-Requests, and its identifiers in the other answers.
fn answering(data: &[u8]) -> Vec<Vec<u8>> {
    let mut clock = Clock::new();
    let mut ends = Ends::new(&PLAIN, &clock);
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
