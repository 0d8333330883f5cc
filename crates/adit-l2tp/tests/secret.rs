//! Tunnel authentication and hidden AVPs (RFC 2661 4.3 and 5.1.1), both ends against each other and
//! against what a hostile peer makes of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of a test may fail as the test may"
)]

mod common;

use adit_l2tp::MessageType as T;
use adit_l2tp::{
    Attribute, AvpError, Avps, Config, Error, Event, Fault, Message, Secret, TunnelDownCause,
    TunnelState, assigned_tunnel_of_sccrq,
};
use common::*;

const H: u16 = 0x4000;

fn with(secret: Option<Secret>) -> Config {
    Config { secret, ..config() }
}

/// A LAC with one configuration against an LNS with another, until neither has more to say.
fn meet(lac: Config, lns: Config) -> (End, End) {
    let mut lac = End::lac(lac);
    let mut lns = End::lns_numbered(lns, REMOTE);
    lac.tunnel.open_session(lac.now, &mut lac.rng);
    loop {
        let up = lac.sent();
        for datagram in &up {
            let _ = lns.take(datagram);
        }
        let down = lns.sent();
        for datagram in &down {
            let _ = lac.take(datagram);
        }
        if up.is_empty() && down.is_empty() {
            return (lac, lns);
        }
    }
}

fn down_by(end: &mut End) -> Option<TunnelDownCause> {
    end.events().into_iter().find_map(|event| match event {
        Event::TunnelDown { cause } => Some(cause),
        _ => None,
    })
}

#[test]
fn ends_that_share_a_secret_prove_it_to_each_other() {
    for hide in [false, true] {
        let both = Config {
            hide,
            ..with(secret())
        };
        let (lac, lns) = meet(both.clone(), both);
        for end in [&lac, &lns] {
            assert_eq!(end.tunnel.state(), TunnelState::Established);
            assert!(end.tunnel.is_authenticated());
            assert_eq!(end.tunnel.sessions().count(), 1);
            assert_eq!(end.tunnel.stats().auth_failures, 0);
            assert_eq!(end.tunnel.stats().ignored_avps, 0);
        }
        assert_eq!(lns.tunnel.stats().hidden_avps > 4, hide);
        assert_eq!(lac.tunnel.stats().hidden_avps > 2, hide);
        let (local, ..) = lns.tunnel.sessions().next().unwrap();
        let call = lns.tunnel.call(local).unwrap();
        assert_eq!(call.tx_connect_speed, Some(1_000_000_000));
        assert!(call.serial.is_some());
    }
}

#[test]
fn an_end_that_challenges_nobody_still_answers() {
    let meek = Config {
        challenge: false,
        ..with(secret())
    };
    let (lac, lns) = meet(meek.clone(), with(secret()));
    assert!(lns.tunnel.is_authenticated() && !lac.tunnel.is_authenticated());
    let (lac, lns) = meet(with(secret()), meek.clone());
    assert!(lac.tunnel.is_authenticated() && !lns.tunnel.is_authenticated());
    // It needs no secret of a peer that has none.
    let (lac, lns) = meet(meek, config());
    for end in [lac, lns] {
        assert_eq!(end.tunnel.state(), TunnelState::Established);
        assert!(!end.tunnel.is_authenticated());
    }
}

#[test]
fn where_only_one_end_has_a_secret_both_hear_why_there_is_no_tunnel() {
    for (lac, lns) in [(secret(), None), (None, secret())] {
        let (mut lac, mut lns) = meet(with(lac), with(lns));
        let causes = [down_by(&mut lac).unwrap(), down_by(&mut lns).unwrap()];
        assert!(causes.contains(&TunnelDownCause::Fault(Fault::Challenge)));
        let TunnelDownCause::ByPeer(stop) = causes
            .iter()
            .find(|cause| matches!(cause, TunnelDownCause::ByPeer(_)))
            .unwrap()
        else {
            unreachable!()
        };
        assert_eq!(stop.result, adit_l2tp::StopResult::NOT_AUTHORIZED);
        assert!(stop.to_string().contains("no tunnel secret is configured"));
        let failures = [lac, lns].map(|end| end.tunnel.stats().auth_failures);
        assert_eq!(failures.iter().sum::<u64>(), 1);
    }
}

#[test]
fn other_secrets_and_missing_responses_are_refused() {
    let (mut lac, mut lns) = meet(with(secret()), with(Secret::new("other")));
    assert_eq!(
        down_by(&mut lac),
        Some(TunnelDownCause::Fault(Fault::WrongChallengeResponse(
            T::Sccrp
        )))
    );
    assert!(matches!(
        down_by(&mut lns),
        Some(TunnelDownCause::ByPeer(_))
    ));

    // SCCCN without the response, with a short one, and with that of another message.
    let answer = |avps: &dyn Fn(&Message) -> Vec<Vec<u8>>| {
        let mut lns = End::lns(with(secret()));
        lns.take(&sccrq()).unwrap();
        let sccrp = body(&lns.sent()[0]);
        let scccn = [vec![kind(T::Scccn)], avps(&sccrp)].concat();
        let result = lns.take(&control(LOCAL, 0, 1, 1, &scccn));
        (lns, result)
    };
    let (mut lns, result) = answer(&|_| Vec::new());
    let fault = Fault::NoChallengeResponse(T::Scccn);
    assert_eq!(result, Err(Error::Tunnel(fault)));
    let stop = lns.sent();
    assert_eq!(body(&stop[0]).result.unwrap().result, 4);
    assert!(!lns.tunnel.is_authenticated());

    let (_, result) = answer(&|_| vec![avp(M, 0, 13, &[0; 15])]);
    assert!(matches!(
        result,
        Err(Error::Tunnel(Fault::Avp(AvpError::ValueLength {
            attribute: 13,
            ..
        })))
    ));
    let sum = |id: u8, sccrp: &Message| {
        let challenge = sccrp.challenge.as_ref().unwrap();
        adit_crypto::ppp::chap_md5(id, b"tunnel secret", challenge)
    };
    let (_, result) = answer(&|sccrp| vec![avp(M, 0, 13, &sum(2, sccrp))]);
    assert_eq!(
        result,
        Err(Error::Tunnel(Fault::WrongChallengeResponse(T::Scccn)))
    );
    let (lns, result) = answer(&|sccrp| vec![avp(M, 0, 13, &sum(3, sccrp))]);
    assert_eq!(result, Ok(()));
    assert!(lns.tunnel.is_authenticated());
}

#[test]
fn a_secret_can_be_looked_up_by_host_name() {
    let sccrq = sccrq();
    assert_eq!(header(&sccrq).host_name().as_deref(), Some("client"));
    assert_eq!(
        header(&control(1, 0, 0, 0, &[kind(T::Hello)])).host_name(),
        None
    );

    let mut lns = End::lns(config());
    lns.tunnel = lns.tunnel.with_secret(secret());
    lns.take(&sccrq).unwrap();
    assert!(body(&lns.sent()[0]).challenge.is_some());
}

#[test]
fn a_challenge_of_any_length_is_answered_but_not_an_empty_one() {
    for challenge in [vec![1], vec![2; 32], vec![3; 1017]] {
        let mut lns = End::lns(with(secret()));
        let avps = [sccrq_avps(), vec![avp(M, 0, 11, &challenge)]].concat();
        lns.take(&control(0, 0, 0, 0, &avps)).unwrap();
        let sum = adit_crypto::ppp::chap_md5(2, b"tunnel secret", &challenge);
        assert_eq!(body(&lns.sent()[0]).challenge_response, Some(sum));
    }
    let mut lns = End::lns(with(secret()));
    let avps = [sccrq_avps(), vec![avp(M, 0, 11, &[])]].concat();
    assert!(lns.take(&control(0, 0, 0, 0, &avps)).is_err());
}

/// An SCCRQ whose tunnel ID and vendor name are hidden by a peer that hides what it may.
fn hidden_sccrq(vector: &[u8]) -> Vec<u8> {
    let mut avps = sccrq_avps();
    avps[4] = avp(M, 0, 36, vector);
    avps.push(avp(M | H, 0, 9, &hide(9, vector, &REMOTE.to_be_bytes())));
    avps.push(avp(H, 0, 8, &hide(8, vector, b"hidden vendor")));
    control(0, 0, 0, 0, &avps)
}

/// The chain of RFC 2661 4.3, without padding.
fn hide(kind: u16, vector: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    chain(kind, vector, &[&length.to_be_bytes(), value].concat())
}

fn chain(kind: u16, vector: &[u8], plain: &[u8]) -> Vec<u8> {
    let md5 = |parts: &[&[u8]]| adit_crypto::Hash::Md5.digest(parts).to_vec();
    let secret = b"tunnel secret";
    let mut pad = md5(&[&kind.to_be_bytes(), secret, vector]);
    let mut out = Vec::new();
    for block in plain.chunks(16) {
        let hidden: Vec<u8> = block.iter().zip(&pad).map(|(a, b)| a ^ b).collect();
        pad = md5(&[secret, &hidden]);
        out.extend(hidden);
    }
    out
}

#[test]
fn a_hidden_tunnel_id_is_found_by_who_knows_the_secret() {
    let sccrq = hidden_sccrq(&[5; 16]);
    let secret = secret();
    assert_eq!(
        assigned_tunnel_of_sccrq(&sccrq, secret.as_ref()),
        Some(REMOTE)
    );
    assert_eq!(assigned_tunnel_of_sccrq(&sccrq, None), None);
    let other = Secret::new("other");
    assert_eq!(assigned_tunnel_of_sccrq(&sccrq, other.as_ref()), None);

    let mut lns = End::lns(Config {
        challenge: false,
        ..with(secret)
    });
    lns.take(&sccrq).unwrap();
    assert_eq!(lns.tunnel.remote_id(), Some(REMOTE));
    assert_eq!(lns.tunnel.stats().hidden_avps, 2);
    lns.sent();
    // Repeated, it is the same tunnel's.
    lns.take(&sccrq).unwrap();
    assert_eq!(lns.tunnel.stats().duplicates, 1);
    lns.take(&control(LOCAL, 0, 1, 1, &[kind(T::Scccn)]))
        .unwrap();
    assert!(matches!(
        &lns.events()[..],
        [Event::TunnelUp { vendor: Some(vendor), .. }] if vendor == "hidden vendor"
    ));
    // Nothing that it says is hidden, since that was not asked for.
    for datagram in lns.sent() {
        assert!(Avps::new(header(&datagram).avps).all(|avp| !avp.unwrap().hidden));
    }
}

#[test]
fn hidden_lengths_are_bounded_one_by_one() {
    let vector = [9; 16];
    let vector_avp = || avp(M, 0, 36, &vector);
    let hidden = |kind, value: Vec<u8>| avp(M | H, 0, kind, &value);
    let beyond = |attribute, length, body| {
        Fault::Avp(AvpError::HiddenLength {
            attribute,
            length,
            body,
        })
    };
    let cases = [
        // Empty, shorter than a length, exactly a length that promises more.
        (vec![vector_avp(), hidden(15, vec![])], beyond(15, 0, 0)),
        (
            vec![vector_avp(), hidden(15, chain(15, &vector, &[0]))],
            beyond(15, 0, 1),
        ),
        (
            vec![vector_avp(), hidden(15, chain(15, &vector, &[0, 4]))],
            beyond(15, 4, 2),
        ),
        // Deciphered length larger than the body.
        (
            vec![
                vector_avp(),
                hidden(15, chain(15, &vector, &[0x03, 0xff, 1, 2, 3, 4])),
            ],
            beyond(15, 1023, 6),
        ),
        // A long hidden value says nothing of the one behind it.
        (
            vec![
                vector_avp(),
                hidden(22, hide(22, &vector, &[b'1'; 600])),
                hidden(15, chain(15, &vector, &[2, 0x58, 1, 2, 3, 4])),
            ],
            beyond(15, 600, 6),
        ),
        // Random Vector missing, or behind.
        (
            vec![hidden(15, hide(15, &vector, &[0; 4]))],
            Fault::Avp(AvpError::NoRandomVector(15)),
        ),
        (
            vec![hidden(15, hide(15, &vector, &[0; 4])), vector_avp()],
            Fault::Avp(AvpError::NoRandomVector(15)),
        ),
        // Hidden, and not to be.
        (
            vec![vector_avp(), hidden(39, hide(39, &vector, &[]))],
            Fault::Unrecognized {
                vendor: 0,
                attribute: Attribute::SequencingRequired as u16,
                why: adit_l2tp::Unrecognized::MustNotBeHidden,
            },
        ),
    ];
    for (avps, fault) in cases {
        let mut lns = End::established(Config {
            challenge: false,
            ..with(secret())
        });
        let icrq = [vec![kind(T::Icrq), session_id(7)], avps].concat();
        assert_eq!(
            lns.take(&control(LOCAL, 0, 2, 1, &icrq)),
            Err(Error::Session(fault))
        );
        assert_eq!(lns.seen()[0].0, Some(T::Cdn));
        assert_eq!(lns.tunnel.state(), TunnelState::Established);
    }

    // The same with what is right: short values, and one vector for several.
    let mut lns = End::established(Config {
        challenge: false,
        ..with(secret())
    });
    let icrq = [
        kind(T::Icrq),
        vector_avp(),
        hidden(14, hide(14, &vector, &[0, 7])),
        hidden(15, hide(15, &vector, &[0, 0, 0, 9])),
        hidden(22, hide(22, &vector, b"+49 30 1")),
        avp(M, 0, 36, &[8; 3]),
        hidden(21, hide(21, &[8; 3], b"+49 30 2")),
    ];
    lns.take(&control(LOCAL, 0, 2, 1, &icrq)).unwrap();
    let (local, remote, _) = lns.tunnel.sessions().next().unwrap();
    assert_eq!(remote, Some(7));
    let call = lns.tunnel.call(local).unwrap();
    assert_eq!(call.serial, Some(9));
    assert_eq!(call.calling_number.as_deref(), Some("+49 30 1"));
    assert_eq!(call.called_number.as_deref(), Some("+49 30 2"));
}
