//! Servers that do not prove themselves by their certificate to who calls them, and those that do.

use super::certificates::pair_of;
use super::pki::{CLIENTS, Files, SERVERS, certified};
use super::proofs::{body, caught, certificates, set, sign, subject};
use super::*;
use crate::codec::{Builder, kind};
use adit_cert::Untrusted;
use adit_crypto::Hash;

#[test]
fn the_server_has_to_be_who_is_called() {
    let call = |peer: Option<IdValue>, server: Files| {
        let mut pair = pair_of(1, Hash::Sha2_256);
        pair.server.credentials = Arc::new(certified(server));
        pair.client.opening = Some(Opening {
            identity: ip(DIRECT.client).into(),
            mode: Mode::Main,
            peer,
        });
        pair.connect();
        pair.seconds(2);
        pair
    };
    let fqdn = |name: &str| Some(IdValue::Fqdn(name.into()));
    for peer in [
        None,
        fqdn("vpn.example.org"),
        fqdn("VPN.example.org"),
        Some(ip(DIRECT.server).into()),
        Some(subject(SERVERS[1])),
    ] {
        let mut pair = call(peer.clone(), SERVERS[1]);
        assert!(pair.client.sa().is_established(), "{peer:?}");
    }
    for peer in [
        fqdn("other.example.org"),
        fqdn(""),
        Some(ip("198.51.100.2").into()),
        Some(subject(CLIENTS[1])),
        Some(IdValue::KeyId(b"vpn.example.org".to_vec())),
    ] {
        let pair = call(peer.clone(), SERVERS[1]);
        let wanted = peer.unwrap();
        let Some(CloseReason::Unproven(reason)) = pair.client.closed() else {
            panic!("{wanted}: {:?}", pair.client.events);
        };
        assert!(
            matches!(&**reason, Unproven::Stranger { wanted: name, .. } if *name == wanted),
            "{reason}"
        );
        // The server had an SA by then, and hears why it has none any more.
        assert!(
            pair.server
                .has(|event| matches!(event, Event::PeerNotify { kind: 18 }))
        );
        assert_eq!(pair.server.closed(), Some(&CloseReason::DeletedByPeer));
    }
    // Another client that plays the server.
    let pair = call(fqdn("laptop.example.org"), CLIENTS[1]);
    let Some(CloseReason::Unproven(reason)) = pair.client.closed() else {
        panic!("{:?}", pair.client.events);
    };
    assert!(
        matches!(
            **reason,
            Unproven::Untrusted(Untrusted::ExtendedKeyUsage { .. })
        ),
        "{reason}"
    );
}

#[test]
fn message_6_must_prove_itself_too() {
    for case in 0..5 {
        let mut pair = pair_of(1, Hash::Sha2_256);
        pair.client.opening = Some(Opening {
            identity: ip(DIRECT.client).into(),
            mode: Mode::Main,
            peer: Some(IdValue::Fqdn("vpn.example.org".into())),
        });
        let mut pair = caught(pair);
        let id = body(subject(SERVERS[1]));
        let hash = pair.client.sa().proof(false, &id);
        let mut chain = vec![(kind::ID, id.clone())];
        chain.extend(certificates(SERVERS[1]));
        chain.push((kind::SIG, sign(SERVERS[1], &hash)));
        match case {
            0 => {}
            1 => chain.retain(|p| p.0 != kind::SIG),
            2 => set(&mut chain, kind::SIG, sign(CLIENTS[1], &hash)),
            // Our own signature played back.
            3 => {
                let own = pair.client.sa().proof(true, &id);
                set(&mut chain, kind::SIG, sign(SERVERS[1], &own));
            }
            _ => {
                chain.pop();
                chain.push((kind::HASH, hash.to_vec()));
            }
        }
        let mut builder = Builder::new();
        for (kind, body) in &chain {
            builder.push(*kind, body).unwrap();
        }
        let message = pair.client.sa().forge(&builder);
        let path = pair.client.sa().path();
        let now = pair.now;
        let Host { sa, rng, .. } = &mut pair.client;
        let result = sa
            .as_mut()
            .unwrap()
            .handle_message(path, &message, now, rng);
        pair.run(Duration::ZERO);
        let established = pair.client.sa().is_established();
        assert_eq!(established, case == 0, "{case}");
        match case {
            0 => assert!(result.is_ok()),
            1 | 4 => assert!(matches!(result, Err(Error::Malformed(_)))),
            _ => assert!(
                matches!(pair.client.closed(), Some(CloseReason::Unproven(_))),
                "{case}"
            ),
        }
    }
}
