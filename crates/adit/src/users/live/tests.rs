use super::*;
use crate::users::write_private;
use adit_link::rate::Rate;
use std::time::Duration;

const PEER: &str = "198.51.100.7:4500";

fn write(path: &Path, text: &str) {
    write_private(path, path.parent().unwrap(), text.as_bytes()).unwrap();
}

fn hash(password: &str) -> String {
    let bytes = *NtHash::of_password(password).as_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the file again if it has changed, and judges.
fn judge(users: &mut Users, attempt: &Attempt) -> Decision {
    if let Some(reload) = users.stale() {
        users.install(reload.run());
    }
    users.judge(attempt, PEER.parse().unwrap(), Clock::read())
}

fn pap(users: &mut Users, user: &str, password: &str) -> Result<(), RejectReason> {
    let attempt = Attempt::Pap {
        user: user.into(),
        raw_user: user.into(),
        password: password.into(),
    };
    match judge(users, &attempt) {
        Decision::Accept { .. } => Ok(()),
        Decision::Reject(reason) => Err(reason),
    }
}

#[test]
fn passwords_are_checked_and_a_domain_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    let hash = hash("right");
    write(
        &path,
        &format!(
            "[users.alice]\nnt-hash = \"{hash}\"\n[users.bob]\nnt-hash = \"{hash}\"\n\
             disabled = true\n"
        ),
    );
    let mut users = Users::open(&path, Networks::default()).unwrap();
    assert_eq!(users.len(), 2);
    assert_eq!(pap(&mut users, "alice", "right"), Ok(()));
    assert_eq!(pap(&mut users, "CORP\\alice", "right"), Ok(()));
    let wrong = Err(RejectReason::BadCredentials);
    assert_eq!(pap(&mut users, "alice", "wrong"), wrong);
    assert_eq!(pap(&mut users, "Alice", "right"), wrong);
    assert_eq!(pap(&mut users, "carol", ""), wrong);
    // Only who knows the password learns more.
    assert_eq!(pap(&mut users, "bob", "wrong"), wrong);
    assert_eq!(pap(&mut users, "bob", "right"), Err(RejectReason::Disabled));
}

#[test]
fn ms_chap_v2_is_answered_with_the_servers_proof() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    write(
        &path,
        &format!("[users.User]\nnt-hash = \"{}\"\n", hash("clientPass")),
    );
    let mut users = Users::open(&path, Networks::default()).unwrap();
    // RFC 2759 section 9.2.
    let bytes = |hex: &str| -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let attempt = Attempt::MsChapV2 {
        user: "User".into(),
        raw_user: b"User".to_vec(),
        eap: false,
        challenge: bytes("5b5d7c7d7b3f2f3e3c2c602132262628")
            .try_into()
            .unwrap(),
        peer_challenge: bytes("21402324255e262a28295f2b3a337c7e")
            .try_into()
            .unwrap(),
        nt_response: bytes("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df")
            .try_into()
            .unwrap(),
    };
    let Decision::Accept {
        success_message, ..
    } = judge(&mut users, &attempt)
    else {
        panic!("refused");
    };
    let message = String::from_utf8(success_message).unwrap();
    assert!(
        message.starts_with("S=407A5589115FD0D6209F510FE9C04566932CDA56"),
        "{message}"
    );
}

#[test]
fn chap_needs_the_password_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    let text = format!(
        "[users.hashed]\nnt-hash = \"{}\"\n[users.clear]\npassword = \"pw\"\n",
        hash("pw")
    );
    write(&path, &text);
    let mut users = Users::open(&path, Networks::default()).unwrap();
    let chap = |users: &mut Users, user: &str| {
        let attempt = Attempt::ChapMd5 {
            user: user.into(),
            raw_user: user.into(),
            eap: false,
            id: 7,
            challenge: b"challenge".to_vec(),
            response: adit_crypto::ppp::chap_md5(7, b"pw", b"challenge"),
        };
        judge(users, &attempt)
    };
    assert!(matches!(chap(&mut users, "clear"), Decision::Accept { .. }));
    assert!(matches!(chap(&mut users, "hashed"), Decision::Reject(_)));
    // A clear password serves the other methods as well.
    assert_eq!(pap(&mut users, "clear", "pw"), Ok(()));
}

#[test]
fn a_change_counts_from_the_next_login_and_a_broken_one_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    write(&path, "[users.alice]\npassword = \"old\"\n");
    let mut users = Users::open(&path, Networks::default()).unwrap();
    assert_eq!(pap(&mut users, "alice", "old"), Ok(()));
    write(&path, "[users.alice]\npassword = \"new\"\n");
    assert!(pap(&mut users, "alice", "old").is_err());
    assert_eq!(pap(&mut users, "alice", "new"), Ok(()));
    write(&path, "[users.alice]\npassword = \"newer\"\n[oops");
    assert_eq!(pap(&mut users, "alice", "new"), Ok(()));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(pap(&mut users, "alice", "new"), Ok(()));
    write(&path, "[users.alice]\npassword = \"last\"\n");
    assert_eq!(pap(&mut users, "alice", "last"), Ok(()));
}

#[test]
fn a_grant_joins_the_user_and_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    write(
        &path,
        "[groups.staff]\nsessions = 2\nrate = \"10Mbit\"\nexpires = 2100-01-01\nroutes = [\"10.0.0.0/8\", \
         \"2001:db8::/32\"]\n[groups.gone]\ndisabled = true\n[groups.past]\nexpires = \
         2020-01-01\n[users.alice]\npassword = \"pw\"\ngroup = \"staff\"\nipv4 = \
         \"10.77.0.9\"\nexpires = 2100-01-02\n[users.bob]\npassword = \"pw\"\ngroup = \
         \"staff\"\nsessions = 5\nrate = \"2Mbit\"\n[users.carol]\npassword = \"pw\"\ngroup = \
         \"gone\"\n[users.dave]\npassword = \"pw\"\ngroup = \"past\"\n",
    );
    let mut users = Users::open(&path, Networks::default()).unwrap();
    let mut grant = |user: &str| {
        let attempt = Attempt::Pap {
            user: user.into(),
            raw_user: user.into(),
            password: "pw".into(),
        };
        match judge(&mut users, &attempt) {
            Decision::Accept { grant, .. } => Ok(grant),
            Decision::Reject(reason) => Err(reason),
        }
    };
    let alice = grant("CORP\\alice").unwrap();
    assert_eq!(alice.user, "alice");
    assert_eq!(alice.group.as_deref(), Some("staff"));
    assert_eq!(alice.sessions, Some(2));
    assert_eq!(alice.fixed.ipv4, Some("10.77.0.9".parse().unwrap()));
    let routes = alice.routes.unwrap();
    assert_eq!(routes.ipv4, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(routes.ipv6, ["2001:db8::/32".parse().unwrap()]);
    let bob = grant("bob").unwrap();
    assert_eq!(bob.sessions, Some(5), "the user's own number");
    assert_eq!(
        (alice.rate, bob.rate),
        (Rate::new(10_000_000), Rate::new(2_000_000))
    );
    // The earlier end of the two.
    assert_eq!(
        alice
            .expires
            .unwrap()
            .saturating_duration_since(bob.expires.unwrap())
            .as_secs(),
        0
    );
    assert_eq!(grant("carol"), Err(RejectReason::Disabled));
    assert_eq!(grant("dave"), Err(RejectReason::Disabled));
    let clock = Clock::read();
    let standing = |user: &str| users.standing(user, clock);
    assert!(matches!(standing("alice"), Standing::Stays { rate, .. } if rate == alice.rate));
    assert!(matches!(standing("carol"), Standing::Ends { why } if why.contains("disabled")));
    assert!(matches!(standing("nobody"), Standing::Ends { why } if why.contains("removed")));
    assert_eq!(
        standing("dave"),
        Standing::Stays {
            expires: Some(clock.now),
            rate: None,
        }
    );
    assert_eq!(
        users.fixed(),
        [Lease {
            ipv4: Some("10.77.0.9".parse().unwrap()),
            ..Lease::default()
        }]
    );
}

/// A file of this many users, each with everything.
fn many(count: u32) -> String {
    let mut text = String::from("[groups.staff]\nsessions = 2\n");
    for index in 0..count {
        let address = std::net::Ipv4Addr::from(0x0a4d_0002 + index);
        text.push_str(&format!(
            "[users.user{index}]\nnt-hash = \"44ebba8d5312b8d611474411f56989ae\"\nipv4 = \
             \"{address}\"\nipv6-prefix = \"2001:db8:{:x}:{:x}::/64\"\ngroup = \"staff\"\nexpires \
             = 2100-01-01\n",
            index >> 16,
            index & 0xffff
        ));
    }
    text
}

/// Time that this thread was on a processor; the machine may be busy with other things.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[test]
fn ten_thousand_users_are_read_within_a_second() {
    const USERS: u32 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    write(&path, &many(USERS));
    let before = processor_time();
    let users = Users::open(&path, Networks::default()).unwrap();
    let after = processor_time();
    assert_eq!(users.len(), USERS as usize);
    assert_eq!(users.fixed().len(), USERS as usize);
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after - before < Duration::from_secs(1));
    }
}
