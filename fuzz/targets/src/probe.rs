//! The probe, whose every answer comes from a stranger.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adit_client::probe::{Ask, Depth, Door, Ends, Probe, Step};

use crate::inputs::{Clock, messages};

/// Steps that no answer makes more of: profiles, batches, methods and what else there is.
const MOST_STEPS: usize = 40;

/// Answers to the first messages of a full probe. Each gets the cookie of the question before it,
/// which a server would know.
pub fn probe(data: &[u8]) {
    let steps = run(data);
    assert!(steps.len() <= MOST_STEPS, "{} steps", steps.len());
    for step in &steps {
        let length: usize = step.seen.iter().map(String::len).sum();
        assert!(length < 4096, "a step of {length} characters");
    }
}

fn run(data: &[u8]) -> Vec<Step> {
    let address = |last, port| SocketAddr::from(([192, 0, 2, last], port));
    let ask = Ask {
        profile: None,
        depth: Depth::Full,
        ipsec: true,
        psk: None,
        login: None,
        timeout: Duration::from_secs(10),
    };
    let ends = Ends {
        local: address(2, 40_500),
        nat_t: address(2, 44_500),
        remote: IpAddr::from([192, 0, 2, 1]),
    };
    let mut clock = Clock::new();
    let mut probe = Probe::new(ask, ends, [15; 32], clock.now());
    let (mut steps, mut door, mut cookie) = (Vec::new(), Door::Ike, [0; 8]);
    for message in messages(data) {
        let now = clock.tick(message);
        probe.handle_timeout(now);
        while let Some((to, sent)) = probe.poll_transmit() {
            let sent = sent.strip_prefix(&[0; 4]).unwrap_or(&sent);
            // Questions, not farewells.
            if sent.get(8..16) == Some(&[0; 8])
                && let Some(asked) = sent.first_chunk()
            {
                (door, cookie) = (to, *asked);
            }
        }
        let mut answer = message.to_vec();
        if let Some(front) = answer.first_chunk_mut() {
            *front = cookie;
        }
        if door == Door::NatT {
            answer.splice(0..0, [0; 4]);
        }
        if !message.is_empty() {
            probe.handle_datagram(door, &mut answer, now);
        }
        steps.extend(std::iter::from_fn(|| probe.poll_step()));
    }
    steps
}

#[cfg(test)]
mod tests {
    use adit_client::probe::Outcome;

    use super::*;
    use crate::inputs::{seed, sequence};

    #[test]
    fn seeds_get_far() {
        let steps = run(&seed("probe", "taken"));
        let own = steps.iter().find(|step| step.name == "as adit").unwrap();
        assert_eq!(own.seen, ["AES-CBC-256/SHA1/MODP-2048"]);
        let ids = steps.iter().find(|step| step.name == "vendor-ids").unwrap();
        assert_eq!(ids.seen, ["DPD", "Microsoft version 9"]);
        assert!(
            steps.iter().any(|step| step.name == "psk MODP-2048"),
            "{steps:#?}"
        );

        let steps = run(&seed("probe", "weak"));
        assert!(steps.iter().any(|step| step.outcome == Outcome::Warn));
        let refused = run(&seed("probe", "refused"));
        let own = refused.iter().find(|step| step.name == "as adit").unwrap();
        assert_eq!(own.outcome, Outcome::Fail);
        assert!(
            run(&seed("probe", "malformed"))
                .iter()
                .any(|step| step.seen[0].starts_with("unreadable"))
        );
    }

    #[test]
    fn silence_ends_it() {
        let silence = sequence([&[][..]; 40]);
        let names: Vec<_> = run(&silence).into_iter().map(|step| step.name).collect();
        assert_eq!(names, ["udp-500", "udp-4500"]);
    }
}
