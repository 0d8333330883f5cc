//! The configurations that tests start from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use adit_crypto::{BlockCipher, Group, Hash};
use adit_ike::{Credentials, Mode, Phase1Proposal, Psk};
use adit_link::nd::Preference;
use adit_ppp::{AuthMethod, Secret};

use crate::network::Link;
use crate::world::{User, World, WorldConfig};

/// The pre-shared key of every world.
pub const PSK: &str = "a long key that no dictionary holds";

/// This pre-shared key for everybody.
pub fn credentials(psk: &str) -> Arc<Credentials> {
    Arc::new(Credentials::psk(Arc::new(Psk::new(psk))))
}

/// The same for a server.
pub fn keyring(psk: &str) -> Arc<adit_server::Keyring> {
    Arc::new(Credentials::psk(Arc::new(Psk::new(psk))).into())
}

/// A dual-stack server as its operator would set it up, with the cheapest strong group so that
/// many sessions cost little.
pub fn server() -> adit_server::Config {
    adit_server::Config {
        ike: Arc::new(adit_ike::Config {
            force_encapsulation: true,
            ..adit_ike::Config::default()
        }),
        credentials: keyring(PSK),
        l2tp: Arc::new(adit_l2tp::Config::default()),
        ppp: Arc::new(adit_ppp::ServerConfig {
            mru: 1500,
            ..adit_ppp::ServerConfig::default()
        }),
        ipv4: Some(adit_server::Ipv4Config {
            pool: "10.77.0.0/16".parse().expect("a net"),
            dns: vec![Ipv4Addr::new(10, 77, 0, 1)],
            wins: Vec::new(),
            domain: None,
            routes: Vec::new(),
        }),
        ipv6: Some(adit_server::Ipv6Config {
            prefix: "2001:db8:77::/48".parse().expect("a net"),
            client_prefix_length: 64,
            dns: vec!["2001:db8:77::1".parse().expect("an address")],
            search: Vec::new(),
            routes: Vec::new(),
            preference: Preference::High,
            delegate: None,
            shared: None,
            blocked: false,
        }),
        path_mtu: 1500,
        link_mtu: None,
        native_esp: true,
        plain: None,
        policy: Vec::new(),
        workers: workers(),
        limits: adit_server::Limits::default(),
    }
}

/// Workers that carry the packets of every server, as `ADIT_WORKERS` says: then the tests see what
/// users of several threads see. Without it there are none, and the server does everything itself.
fn workers() -> u16 {
    let wanted = std::env::var("ADIT_WORKERS").ok();
    wanted.map_or(0, |count| count.parse().expect("a number of workers"))
}

/// L2TP without IPsec from these ranges.
pub fn plain(from: &[&str]) -> Option<adit_server::PlainConfig> {
    let from = from.iter().map(|range| range.parse().expect("a net"));
    Some(adit_server::PlainConfig {
        from: from.collect(),
        l2tp: Arc::default(),
        lacs: Vec::new(),
    })
}

/// A client that offers one proposal and logs in as `user` with the password `"pw-" + user`.
pub fn client(user: &str) -> adit_client::Config {
    adit_client::Config {
        ike: Arc::new(adit_ike::Config {
            phase1: vec![Phase1Proposal {
                cipher: BlockCipher::Aes256,
                hash: Hash::Sha2_256,
                group: Group::Ecp256,
            }],
            ..adit_ike::Config::default()
        }),
        credentials: credentials(PSK),
        identity: None,
        mode: Mode::Main,
        server_identity: None,
        l2tp: Arc::new(adit_l2tp::Config::default()),
        ppp: adit_ppp::ClientConfig {
            user: user.into(),
            password: Secret::new(password(user).as_bytes()),
            allowed: vec![AuthMethod::MsChapV2],
            mru: 1500,
            ..adit_ppp::ClientConfig::default()
        },
        inner_port: 1701,
        selector_port: None,
        cut_icv: false,
        split_tunnel: false,
        split: adit_client::Split::default(),
        host: adit_link::HostWants::default(),
        selector_address: None,
        rekey_ike: true,
        ending: adit_client::Ending::default(),
        refuse_server_behind_nat: false,
        nat_t_local: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 4500),
        path_mtu: 1500,
    }
}

/// The same user with the client of `profile`.
pub fn client_of(profile: &adit_client::profile::Profile, user: &str) -> adit_client::Config {
    let mut config = client(user);
    profile.apply(&mut config);
    config
}

/// Has a server say nothing of its own accord that could tell it where a client is.
pub fn quiet_server(config: &mut adit_server::Config) {
    config.l2tp = World::changed(&config.l2tp, |l2tp| l2tp.hello_idle = Duration::ZERO);
    config.ppp = World::changed(&config.ppp, |ppp| ppp.echo = None);
    config.ike = World::changed(&config.ike, |ike| ike.dpd = None);
}

/// A client that says nothing of its own accord, but for new SAs of both phases, every ten minutes.
pub fn quiet_client(user: &str) -> adit_client::Config {
    let mut config = client(user);
    config.ike = World::changed(&config.ike, |ike| {
        ike.esp_lifetime.seconds = Duration::from_secs(600);
        ike.phase1_lifetime = Duration::from_secs(600);
        ike.dpd = None;
    });
    config.l2tp = World::changed(&config.l2tp, |l2tp| l2tp.hello_idle = Duration::ZERO);
    config.ppp.echo = None;
    config
}

/// The password of every test user.
pub fn password(user: &str) -> String {
    format!("pw-{user}")
}

/// Users `user0`, `user1`, ...
pub fn users(count: usize) -> Vec<User> {
    (0..count)
        .map(|index| format!("user{index}"))
        .map(|name| User {
            password: password(&name),
            name,
        })
        .collect()
}

/// A world on a good network.
pub fn world(seed: u64, user_count: usize) -> WorldConfig {
    WorldConfig {
        seed,
        link: Link::CLEAN,
        server: server(),
        users: users(user_count),
        server_nat: false,
    }
}

/// A bad network: 20 % loss, duplication and reordering.
pub const BAD: Link = Link {
    loss: 20,
    duplication: 10,
    delay: Duration::from_millis(20),
    jitter: Duration::from_millis(150),
};

/// The address of the client with this number, each in a network of its own.
pub fn address(index: usize) -> IpAddr {
    let [_, _, high, low] = (index as u32 + 2).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 18, high, low))
}
