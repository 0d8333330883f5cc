//! What an event means to an operator: the facts of a step in words, and what to do where it failed.

use adit_ike::{ChildFailure, CloseReason, NatTVersion, Phase1};
use adit_ppp::{AuthFailure, AuthProtocol};

use super::connection::Stage;
use super::names;
use super::step::Step;
use crate::event::{DownReason, Event, Lcp};

pub(super) const CLOSED_L2TP: &str = "start the L2TP daemon, or see which address it listens on";
pub(super) const NO_FAREWELL: &str = "the server did not acknowledge the end of the tunnel: it may keep the session until it times out";

const PSK: &str = "most likely the pre-shared keys differ: compare them byte by byte (a line feed \
                   at the end of a file does not count here, but may on the server), and see \
                   whether the server has another key for this address";
const PHASE2: &str = "allow one of the ESP suites that this client offers in the server's phase 2 \
                      proposals, in transport mode for UDP port 1701";
const L2TP_SILENT: &str = "IPsec works but nobody answers L2TP in it: see whether the L2TP daemon \
                           runs, and whether the server's firewall drops decrypted UDP 1701";

pub(super) fn phase1(mut step: Step, phase1: &Phase1) -> Step {
    let nat = match (phase1.nat.local_behind, phase1.nat.remote_behind) {
        (false, false) => "no NAT seen",
        (true, false) => "this host is behind a NAT, or the server says so to get ESP in UDP",
        (false, true) => "the server is behind a NAT, or says so to get ESP in UDP",
        (true, true) => "both ends are behind NATs, or the server says so",
    };
    step.seen.push(phase1.proposal.to_string());
    step.seen.push(format!("server is {}", phase1.peer_id));
    step.seen.push(nat.to_owned());
    step.seen.push(match phase1.nat_t {
        Some(NatTVersion::Rfc3947) => "NAT-T RFC 3947".to_owned(),
        Some(_) => "NAT-T by draft".to_owned(),
        None => "no NAT-T".to_owned(),
    });
    step.seen
        .push(format!("lifetime {} s", phase1.lifetime.as_secs()));
    step.seen
        .push(if phase1.dpd { "DPD" } else { "no DPD" }.to_owned());
    step
}

pub(super) fn sa(mut step: Step, event: &Event) -> Step {
    let Event::Sa {
        suite,
        encapsulated,
        pfs,
        lifetime,
        kilobytes,
    } = event
    else {
        return step;
    };
    step.seen.push(suite.to_string());
    let way = if *encapsulated {
        "in UDP"
    } else {
        "IP protocol 50"
    };
    step.seen.push(format!("transport mode, {way}"));
    step.seen.push(match pfs {
        Some(group) => format!("PFS {}", group.name()),
        None => "no PFS".to_owned(),
    });
    let volume = kilobytes.map_or(String::new(), |volume| format!(" or {volume} kB"));
    step.seen
        .push(format!("lifetime {} s{volume}", lifetime.as_secs()));
    if *encapsulated {
        step
    } else {
        step.fail(
            "the server does no NAT traversal, so ESP would travel as IP protocol 50, which the \
             probe does not send: switch NAT traversal on",
        )
    }
}

pub(super) fn tunnel(mut step: Step, event: &Event) -> Step {
    let Event::Tunnel {
        host_name,
        vendor,
        firmware,
        window,
    } = event
    else {
        return step;
    };
    step.seen.push(format!("host name \"{host_name}\""));
    step.seen.push(match vendor {
        Some(vendor) => format!("vendor \"{vendor}\""),
        None => "no vendor".to_owned(),
    });
    let firmware = firmware.map(|firmware| format!("firmware {firmware:#06x}"));
    step.seen.extend(firmware);
    step.seen.push(format!("window {window}"));
    step
}

pub(super) fn lcp(mut step: Step, lcp: &Lcp) -> Step {
    step.seen.push(format!("MRU {}", lcp.mru));
    step.seen.extend(lcp.framing.pfc.then(|| "PFC".to_owned()));
    step.seen
        .extend(lcp.framing.acfc.then(|| "ACFC".to_owned()));
    let asked: Vec<_> = lcp.asked.iter().map(ToString::to_string).collect();
    step.seen.push(match asked.as_slice() {
        [] => "asks for no authentication".to_owned(),
        asked => format!("asks for {}", asked.join(", ")),
    });
    let agreed = lcp.auth.map(|method| format!("agreed on {method}"));
    step.seen.extend(agreed.filter(|_| asked.len() > 1));
    match lcp.auth {
        Some(AuthProtocol::MsChapV2 | AuthProtocol::Eap) => step,
        Some(AuthProtocol::ChapMd5) => {
            step.warn("CHAP-MD5 does not prove the server, and needs clear passwords there")
        }
        Some(AuthProtocol::Pap) => step.warn("PAP gives the password to whoever is the server"),
        None => step.warn("anybody with the pre-shared key is let in"),
    }
}

pub(super) fn authentication(why: &AuthFailure) -> &'static str {
    match why {
        AuthFailure::RejectedByPeer {
            code: Some(646), ..
        } => "the account may not log in at this hour",
        AuthFailure::RejectedByPeer {
            code: Some(647), ..
        } => "the account is disabled",
        AuthFailure::RejectedByPeer {
            code: Some(648), ..
        } => "the password has expired",
        AuthFailure::RejectedByPeer {
            code: Some(649), ..
        } => "the account has no permission to dial in",
        AuthFailure::RejectedByPeer { .. } => {
            "compare user name and password, and see whether the server wants a domain before the \
             name"
        }
        AuthFailure::EapMethod { .. } => "allow one of the EAP methods that the server has",
        AuthFailure::Tls(_) => {
            "compare the certificates, their authorities and the clocks of both ends"
        }
        AuthFailure::Timeout => "see whether the server reaches its user database (RADIUS)",
        AuthFailure::ServerNotAuthentic | AuthFailure::Rejected(_) => {
            "the server does not know this password: it may be another server"
        }
    }
}

/// What to do when a step just did not happen.
pub(super) fn of_silence(stage: Stage) -> &'static str {
    match stage {
        Stage::MainMode => "the server stopped answering IKE: see its log",
        Stage::QuickMode => PHASE2,
        Stage::Tunnel => L2TP_SILENT,
        Stage::Session => "the server does not take the call: see the L2TP daemon's log",
        Stage::Lcp => "no PPP answers in the session: see whether the server starts pppd",
        Stage::Authentication => "the server does not finish authentication: see its PPP log",
        Stage::Network | Stage::End => "see the server's PPP log",
    }
}

/// What to do when the connection went down; `answers` counts those of main mode in the clear.
pub(super) fn of_down(stage: Stage, reason: &DownReason, answers: u32) -> String {
    let advice = match (stage, reason) {
        (_, DownReason::Ike(CloseReason::AuthenticationFailed)) => PSK,
        (Stage::MainMode, DownReason::Ike(CloseReason::NegotiationTimeout)) if answers >= 2 => PSK,
        (Stage::MainMode, DownReason::Ike(CloseReason::NegotiationTimeout)) if answers == 1 => {
            "the server stopped at the key exchange: its message may be in fragments that a \
             firewall drops"
        }
        (_, DownReason::Ike(CloseReason::Refused { notify })) => {
            let why = match of_notify(*notify) {
                Some(why) => why,
                // It was the identification that it could not read.
                None if answers >= 2 => PSK,
                None => "see the server's IKE log",
            };
            return format!("{}: {why}", names::notify(*notify));
        }
        (_, DownReason::QuickMode(ChildFailure::Refused { notify })) => {
            return format!("{}: {PHASE2}", names::notify(*notify));
        }
        (_, DownReason::QuickMode(_)) => PHASE2,
        (Stage::Tunnel, _) => L2TP_SILENT,
        (Stage::Network, _) => "the server ended the session: see its PPP log",
        (stage, _) => of_silence(stage),
    };
    advice.to_owned()
}

fn of_notify(kind: u16) -> Option<&'static str> {
    use adit_ike::codec::notify;
    match kind {
        notify::NO_PROPOSAL_CHOSEN => Some(
            "allow one of the transforms that this client offers in the server's phase 1 (IKE) \
             proposals",
        ),
        notify::INVALID_ID_INFORMATION => {
            Some("the server wants another identity, or has no pre-shared key for this address")
        }
        _ => None,
    }
}
