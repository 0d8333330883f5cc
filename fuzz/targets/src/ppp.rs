//! PPP: framing, and both ends of a link fed with anything.

mod tls;

use std::sync::Arc;
use std::time::Instant;

use adit_crypto::Rng;
use adit_crypto::ppp::NtHash;
use adit_ppp::{
    Acscp, AcspRoute, AuthMethod, ClientConfig, Credential, Echoed, Event, Ipv4Network,
    Ipv6Network, Link, Network, RejectReason, Secret, ServerConfig, Verdict, Verified,
};

use crate::inputs::{Clock, messages};

/// Splits a frame, and gives it to both ends of a link that has just begun, and of one where both
/// families are up. What the packet path does with echoes is what the link would do.
pub fn ppp_frame(data: &[u8]) {
    let split = adit_ppp::split(data);
    if let Ok((_, header_len)) = split {
        assert!(header_len <= data.len());
    }
    let information = match split {
        Ok((adit_ppp::protocol::LCP, header_len)) => data.get(header_len..),
        _ => None,
    };
    let mut clock = Clock::new();
    let mut connected = Ends::new(&PLAIN, &clock);
    connected.join(&clock, |_, _| {});
    for mut ends in [Ends::new(&PLAIN, &clock), connected] {
        let now = clock.tick(data);
        for (link, rng) in ends.0.iter_mut() {
            let echoes = link.echoes();
            let echoed = echoes.and_then(|echoes| echoes.handle(information?));
            let handled = link.handle_frame(data, now, rng);
            let sent = drain(link, now, rng);
            if let Some(echoed) = echoed {
                let answer = match echoed {
                    Echoed::Reply => Vec::new(),
                    Echoed::Request(answer) => vec![answer],
                };
                assert_eq!((handled, sent), (Ok(()), answer));
                assert_eq!(link.echoes(), echoes);
            }
        }
    }
}

/// Feeds both ends of a link.
pub fn ppp_link(data: &[u8]) {
    run(&PLAIN, data);
}

/// Feeds both ends of a link that authenticate by EAP, with passwords and with certificates.
pub fn ppp_eap(data: &[u8]) {
    run(&EAP, data);
    run(&EAP_TLS, data);
}

const PLAIN: [AuthMethod; 3] = [AuthMethod::MsChapV2, AuthMethod::ChapMd5, AuthMethod::Pap];

const EAP_TLS: [AuthMethod; 2] = [AuthMethod::EapTls, AuthMethod::EapMsChapV2];

const EAP: [AuthMethod; 2] = [AuthMethod::EapMsChapV2, AuthMethod::EapMd5];

/// Whether server and client had both families up at some time.
fn run(auth: &[AuthMethod], data: &[u8]) -> [bool; 2] {
    let mut clock = Clock::new();
    let mut ends = Ends::new(auth, &clock);
    let mut reached = [false; 2];
    for frame in messages(data) {
        let now = clock.tick(frame);
        for ((link, rng), reached) in ends.0.iter_mut().zip(&mut reached) {
            let _ = link.handle_frame(frame, now, rng);
            drain(link, now, rng);
            link.handle_timeout(now, rng);
            drain(link, now, rng);
            *reached |= link.ipv4_open() && link.ipv6_open();
        }
    }
    reached
}

/// Server and client, each with a generator of its own, so that a recording of one leads the other
/// through.
struct Ends([(Link, Rng); 2]);

impl Ends {
    fn new(auth: &[AuthMethod], clock: &Clock) -> Self {
        let mut rngs = [Rng::from_seed([12; 32]), Rng::from_seed([13; 32])];
        let [server, client] = links(auth, clock, &mut rngs);
        let [for_server, for_client] = rngs;
        Self([(server, for_server), (client, for_client)])
    }

    /// Lets both talk to each other until they are silent; `seen` gets who sent what.
    fn join(&mut self, clock: &Clock, mut seen: impl FnMut(usize, &[u8])) {
        let now = clock.now();
        loop {
            let mut silent = true;
            for from in [0, 1] {
                let [server, client] = &mut self.0;
                let (sender, receiver) = if from == 0 {
                    (server, client)
                } else {
                    (client, server)
                };
                for frame in drain(&mut sender.0, now, &mut sender.1) {
                    silent = false;
                    seen(from, &frame);
                    let _ = receiver.0.handle_frame(&frame, now, &mut receiver.1);
                }
            }
            if silent {
                return;
            }
        }
    }
}

fn links(auth: &[AuthMethod], clock: &Clock, [for_server, for_client]: &mut [Rng; 2]) -> [Link; 2] {
    let server = Arc::new(ServerConfig {
        auth: auth.to_vec(),
        tls: Some(tls::server()),
        ..ServerConfig::default()
    });
    let client = ClientConfig {
        user: "alice".into(),
        password: Secret::new(b"secret"),
        allowed: auth.to_vec(),
        tls: Some(tls::client()),
        retry: true,
        acscp: true,
        ..ClientConfig::default()
    };
    [
        Link::server(&server, clock.now(), for_server),
        Link::client(client, clock.now(), for_client),
    ]
}

/// Answers what a link asks of its owner; what it sent.
fn drain(link: &mut Link, now: Instant, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    loop {
        if let Some(event) = link.poll_event() {
            if let Event::PasswordRejected { .. } = event {
                link.handle_password(Secret::new(b"secret"), now, rng);
            } else if let Event::Authenticate(attempt) = event {
                let credential = Credential {
                    password: Some(Secret::new(b"secret")),
                    nt_hash: Some(NtHash::of_password("secret")),
                };
                let success_message = match attempt.verify(&credential) {
                    Verified::Accepted { success_message } => success_message,
                    // Let in all the same: what comes after the login is to be fuzzed as well.
                    _ if !attempt.user().starts_with('x') => Vec::new(),
                    _ => {
                        let reason = RejectReason::BadCredentials;
                        link.handle_verdict(Verdict::Reject { reason }, now, rng);
                        continue;
                    }
                };
                let network = Network {
                    ipv4: Some(Ipv4Network {
                        local: [10, 77, 0, 1].into(),
                        peer: [10, 77, 0, 2].into(),
                        dns: vec![[10, 77, 0, 1].into()],
                        wins: Vec::new(),
                    }),
                    ipv6: Some(Ipv6Network {
                        local_interface_id: 1,
                        peer_interface_id: 2,
                    }),
                    acscp: Some(Acscp {
                        routes: vec![AcspRoute {
                            address: [10, 0, 0, 0].into(),
                            mask: [255, 0, 0, 0].into(),
                            private: true,
                        }],
                        domains: Vec::new(),
                    }),
                };
                let verdict = Verdict::Accept {
                    success_message,
                    network,
                };
                link.handle_verdict(verdict, now, rng);
            }
        } else if let Some(frame) = link.poll_transmit() {
            sent.push(frame);
        } else {
            return sent;
        }
    }
}

#[cfg(test)]
mod tests;
