//! PPP: framing, and both ends of a link fed with anything.

use std::sync::Arc;

use adit_crypto::Rng;
use adit_crypto::ppp::NtHash;
use adit_ppp::{
    AuthMethod, ClientConfig, Credential, Event, Ipv4Network, Ipv6Network, Link, Network,
    RejectReason, Secret, ServerConfig, Verdict, Verified,
};

use crate::inputs::{Clock, messages};

/// Splits a frame.
pub fn ppp_frame(data: &[u8]) {
    if let Ok((_, header_len)) = adit_ppp::split(data) {
        assert!(header_len <= data.len());
    }
    let mut clock = Clock::new();
    let mut rng = Rng::from_seed([11; 32]);
    for mut link in links(&clock, &mut rng) {
        let _ = link.handle_frame(data, clock.tick(), &mut rng);
        drain(&mut link, &clock, &mut rng);
    }
}

/// Feeds both ends of a link.
pub fn ppp_link(data: &[u8]) {
    let mut clock = Clock::new();
    let mut rng = Rng::from_seed([12; 32]);
    let mut links = links(&clock, &mut rng);
    for frame in messages(data) {
        let now = clock.tick();
        for link in &mut links {
            let _ = link.handle_frame(frame, now, &mut rng);
            drain(link, &clock, &mut rng);
            link.handle_timeout(now, &mut rng);
            drain(link, &clock, &mut rng);
        }
    }
}

fn links(clock: &Clock, rng: &mut Rng) -> [Link; 2] {
    let server = Arc::new(ServerConfig {
        auth: vec![AuthMethod::MsChapV2, AuthMethod::ChapMd5, AuthMethod::Pap],
        ..ServerConfig::default()
    });
    let client = ClientConfig {
        user: "alice".into(),
        password: Secret::new(b"secret"),
        allowed: vec![AuthMethod::MsChapV2, AuthMethod::ChapMd5, AuthMethod::Pap],
        ..ClientConfig::default()
    };
    [
        Link::server(&server, clock.now(), rng),
        Link::client(client, clock.now(), rng),
    ]
}

fn drain(link: &mut Link, clock: &Clock, rng: &mut Rng) {
    loop {
        if let Some(event) = link.poll_event() {
            if let Event::Authenticate(attempt) = event {
                let credential = Credential {
                    password: Some(Secret::new(b"secret")),
                    nt_hash: Some(NtHash::of_password("secret")),
                };
                let success_message = match attempt.verify(&credential) {
                    Verified::Accepted { success_message } => success_message,
                    // Let in all the same: what comes after the login is to be fuzzed as well.
                    _ if attempt.user().len() % 2 == 0 => Vec::new(),
                    _ => {
                        let reason = RejectReason::BadCredentials;
                        link.handle_verdict(Verdict::Reject { reason }, clock.now(), rng);
                        continue;
                    }
                };
                let network = Network {
                    ipv4: Some(Ipv4Network {
                        local: [10, 77, 0, 1].into(),
                        peer: [10, 77, 0, 2].into(),
                        dns: vec![[10, 77, 0, 1].into()],
                    }),
                    ipv6: Some(Ipv6Network {
                        local_interface_id: 1,
                        peer_interface_id: 2,
                    }),
                };
                let verdict = Verdict::Accept {
                    success_message,
                    network,
                };
                link.handle_verdict(verdict, clock.now(), rng);
            }
        } else if link.poll_transmit().is_none() {
            return;
        }
    }
}
