//! What a stranger who forges a source address can make the server send there: never more than
//! three times what it sends itself, whoever it pretends to be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_client::profile::Profile;
use adit_crypto::{BlockCipher, Group, Hash, Rng};
use adit_ike::{
    Config, Credentials, IdValue, IkeSa, Manner, Mode, Opening, Phase1Proposal, PreSharedKey, Psk,
};
use adit_tests::setup;
use adit_wire::{Channel, Path};

/// The most that may come back for one byte.
const FACTOR: usize = 3;

fn path(local: [u8; 4], remote: [u8; 4]) -> Path {
    Path {
        channel: Channel::Ike,
        local: SocketAddr::from((local, 500)),
        remote: SocketAddr::from((remote, 500)),
    }
}

const SERVER: [u8; 4] = [198, 51, 100, 1];
const VICTIM: [u8; 4] = [192, 0, 2, 10];

/// A key for everybody, and one for a name that may use it in aggressive mode.
fn credentials() -> Arc<Credentials> {
    let mut credentials = Credentials::psk(Arc::new(Psk::new(setup::PSK)));
    credentials.psks.push(PreSharedKey {
        key: Arc::new(Psk::new("for the branch")),
        identity: Some(branch()),
        aggressive: true,
    });
    Arc::new(credentials)
}

fn branch() -> IdValue {
    IdValue::Fqdn("branch".into())
}

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
    Instant::now()
}

fn first_message(config: &Arc<Config>, mode: Mode) -> Vec<u8> {
    let path = path(VICTIM, SERVER);
    let opening = Opening {
        identity: match mode {
            Mode::Main => path.local.ip().into(),
            Mode::Aggressive => branch(),
        },
        mode,
        peer: None,
    };
    let mut rng = Rng::from_seed([1; 32]);
    let mut sa = IkeSa::initiate(
        config,
        &credentials(),
        path,
        path.local,
        opening,
        start(),
        &mut rng,
    );
    while let Some(job) = sa.poll_job() {
        sa.handle_job(job.run(Duration::ZERO), start(), &mut rng);
    }
    sa.poll_transmit().expect("message 1").payload
}

/// Bytes that come back for `message`, sent again and again: (sent, answered).
fn exchange(config: Config, message: &[u8]) -> (usize, usize) {
    let mut rng = Rng::from_seed([2; 32]);
    let path = path(SERVER, VICTIM);
    let accepted = IkeSa::accept(
        &Arc::new(config),
        &credentials(),
        path,
        message,
        start(),
        &mut rng,
    );
    let mut sa = match accepted {
        Ok(sa) => sa,
        Err(refusal) => {
            let answer = refusal.notify.map_or(0, |notify| notify.payload.len());
            return (message.len(), answer);
        }
    };
    while let Some(job) = sa.poll_job() {
        sa.handle_job(job.run(Duration::ZERO), start(), &mut rng);
    }
    let mut sent = message.len();
    for _ in 0..100 {
        sa.handle_message(path, message, start(), &mut rng)
            .expect("a repetition");
        sent += message.len();
    }
    // Our own patience has an end, and until then nothing goes out unasked.
    while let Some(at) = sa.poll_timeout() {
        sa.handle_timeout(at, &mut rng);
    }
    let mut answered = 0;
    while let Some(transmit) = sa.poll_transmit() {
        assert!(transmit.payload.len() <= FACTOR * message.len());
        answered += transmit.payload.len();
    }
    (sent, answered)
}

fn assert_bounded(name: &str, client: &Config, mode: Mode) {
    let message = first_message(&Arc::new(client.clone()), mode);
    let server = setup::server().ike;
    let taken = Config {
        phase1: client.phase1.clone(),
        ..Config::clone(&server)
    };
    let (sent, answered) = exchange(taken, &message);
    assert!(answered > 0, "{name}: no answer");
    assert!(answered <= FACTOR * sent, "{name}: {answered} for {sent}");
    let refused = Config {
        phase1: Vec::new(),
        ..Config::clone(&server)
    };
    let (sent, answered) = exchange(refused, &message);
    assert!(answered <= sent, "{name}: refused with {answered} bytes");
}

#[test]
fn answers_to_the_first_message_of_every_client_are_short() {
    for profile in Profile::all() {
        let config = setup::client_of(profile, "user0");
        assert_bounded(profile.name, &config.ike, Mode::Main);
    }
    let own = setup::client("user0");
    assert_bounded("adit", &own.ike, Mode::Main);
    // The least that is answered at all: one transform, no vendor ID.
    let least = Config {
        manner: Manner {
            vendor_ids: Some(&[]),
            ..Manner::OWN
        },
        ..Config::clone(&own.ike)
    };
    assert_bounded("the least", &least, Mode::Main);
}

/// Here the server's first answer holds a key exchange value, a name and a hash.
#[test]
fn aggressive_mode_gives_no_more() {
    for group in [Group::Ecp256, Group::Ecp384, Group::Modp2048] {
        let mut config = Config::clone(&setup::client("user0").ike);
        config.phase1 = vec![Phase1Proposal {
            cipher: BlockCipher::Aes256,
            hash: Hash::Sha1,
            group,
        }];
        assert_bounded(group.name(), &config, Mode::Aggressive);
        // A stranger says no more than it must.
        config.manner.vendor_ids = Some(&[]);
        config.nat_t = false;
        assert_bounded(group.name(), &config, Mode::Aggressive);
    }
}

#[test]
fn what_is_cut_or_garbled_is_not_answered_at_length() {
    for profile in Profile::all() {
        let config = setup::client_of(profile, "user0");
        let message = first_message(&config.ike, Mode::Main);
        let server = || Config {
            phase1: config.ike.phase1.clone(),
            ..Config::clone(&setup::server().ike)
        };
        for length in 0..message.len() {
            let (_, answered) = exchange(server(), &message[..length]);
            assert_eq!(answered, 0, "{} of {length} bytes", profile.name);
        }
        for at in 0..message.len() {
            let mut garbled = message.clone();
            garbled[at] ^= 0xff;
            let (sent, answered) = exchange(server(), &garbled);
            assert!(answered <= FACTOR * sent, "{} at {at}", profile.name);
        }
    }
}
