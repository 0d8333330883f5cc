//! What each profile says in L2TP, byte for byte where it is known.

use std::time::Instant;

use adit_crypto::Rng;
use adit_l2tp::{CallDisconnect, Role, Stop, Tunnel};

use super::*;

/// Our tunnel ID, and that of the server: those of the captured SCCRQ.
const OURS: u16 = 0x000f;
const THEIRS: u16 = 0x1122;

struct Dialog {
    tunnel: Tunnel,
    now: Instant,
    rng: Rng,
    stop: Stop,
}

impl Dialog {
    fn new(profile: &Profile, host_name: &str) -> Self {
        let mut config = adit_l2tp::Config::default();
        profile.apply_l2tp(&mut config);
        host_name.clone_into(&mut config.host_name);
        #[expect(
            clippy::disallowed_methods,
            reason = "where a test's virtual time begins does not matter"
        )]
        let now = Instant::now();
        let mut rng = Rng::from_seed([1; 32]);
        let stop = Stop::new(profile.ending.stop);
        let mut tunnel = Tunnel::initiate(&Arc::new(config), Role::Lac, OURS, now, &mut rng);
        tunnel.open_session(now, &mut rng);
        Self {
            tunnel,
            now,
            rng,
            stop,
        }
    }

    fn sent(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.tunnel.poll_transmit())
            .map(hex::encode)
            .collect()
    }

    /// Takes a message of the server.
    fn take(&mut self, session: u16, ns: u16, nr: u16, avps: &str) {
        let avps = bytes(avps);
        let mut message = Vec::new();
        let length = u16::try_from(12 + avps.len()).unwrap();
        for field in [0xc802, length, OURS, session, ns, nr] {
            message.extend(field.to_be_bytes());
        }
        message.extend(avps);
        self.tunnel
            .handle_datagram(&message, self.now, &mut self.rng)
            .unwrap();
    }

    fn sccrp(&mut self) {
        self.take(
            0,
            0,
            1,
            "80080000 0000 0002  80080000 0002 0100  800a0000 0003 00000003
             8009 0000 0007 6c6e73  80080000 0009 1122  80080000 000a 0008",
        );
    }

    /// The session ID that it chose.
    fn session(&self) -> u16 {
        self.tunnel.sessions().next().unwrap().0
    }

    fn icrp(&mut self, nr: u16) {
        self.take(
            self.session(),
            1,
            nr,
            "80080000 0000 000b  80080000 000e 0007",
        );
    }
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.split_whitespace().collect::<String>()).unwrap()
}

/// A client's message to the tunnel of the server.
fn message(session: u16, ns: u16, nr: u16, avps: &str) -> String {
    let avps: String = avps.split_whitespace().collect();
    let length = 12 + avps.len() / 2;
    format!("c802{length:04x}{THEIRS:04x}{session:04x}{ns:04x}{nr:04x}{avps}")
}

#[test]
fn windows_says_what_was_captured() {
    let golden = include_str!("../../../adit-l2tp/tests/vectors/windows10-l2tp-sccrq.hex");
    let mut windows = Dialog::new(&WINDOWS10, "WIN10-CLIENT-01");
    assert_eq!(windows.sent(), [golden.trim()]);
    // Windows 7 differs by its firmware revision.
    let mut older = Dialog::new(&WINDOWS7, "WIN10-CLIENT-01");
    let expected = golden
        .trim()
        .replace("0008000000060a00", "0008000000060601");
    assert_eq!(older.sent(), [expected]);

    // SCCCN and ICRQ follow at once, both with Nr 1.
    windows.sccrp();
    let sent = windows.sent();
    let session = windows.session();
    assert_eq!(sent[0], message(0, 1, 1, "80080000 0000 0003"));
    assert_eq!((sent[0].len(), sent[1].len()), (2 * 20, 2 * 70));
    let nonce = &sent[1][sent[1].len() - 32..];
    let icrq = format!(
        "80080000 0000 000a  80080000 000e {session:04x}  800a0000 000f 00000000
         000a0000 0012 00000002  00160137 0001 {nonce}"
    );
    assert_eq!(sent[1], message(0, 2, 1, &icrq));
    assert_ne!(nonce, "0".repeat(32));

    windows.icrp(3);
    let iccn = "80080000 0000 000c  800a0000 0018 05f5e100  800a0000 0013 00000001
                0008 0000 001d 0004";
    assert_eq!(windows.sent(), [message(7, 3, 2, iccn)]);
    windows.take(0, 2, 4, "");

    // CDN result 3 error 0, then StopCCN result 1 error 0.
    windows.tunnel.close(windows.stop.clone(), windows.now);
    let cdn = format!("80080000 0000 000e  800a0000 0001 00030000  80080000 000e {session:04x}");
    let stop = "80080000 0000 0004  80080000 0009 000f  800a0000 0001 00010000";
    assert_eq!(
        windows.sent(),
        [message(7, 4, 2, &cdn), message(0, 5, 2, stop)]
    );
}

#[test]
fn apple_says_what_its_source_says() {
    let mut apple = Dialog::new(&APPLE, "mac\0");
    let sccrq = "80080000 0000 0001  80080000 0002 0100  800a0000 0003 00000003
                 800a0000 0007 6d616300  80080000 0009 000f  80080000 000a 0004";
    let sent = apple.sent();
    assert_eq!(sent[0][24..], sccrq.split_whitespace().collect::<String>());
    apple.sccrp();
    let session = apple.session();
    let icrq = format!("80080000 0000 000a  80080000 000e {session:04x}  800a0000 000f 00000001");
    assert_eq!(
        apple.sent(),
        [
            message(0, 1, 1, "80080000 0000 0003"),
            message(0, 2, 1, &icrq)
        ]
    );
    apple.icrp(3);
    let iccn = "80080000 0000 000c  800a0000 0018 000f4240  800a0000 0013 00000003";
    assert_eq!(apple.sent(), [message(7, 3, 2, iccn)]);
    apple.take(0, 2, 4, "");

    // Results of 14 bytes of AVP in the wrong byte order.
    apple.tunnel.close(apple.stop.clone(), apple.now);
    let sent = apple.sent();
    assert!(sent[0].contains("800e000000010300"), "{}", sent[0]);
    assert!(sent[1].contains("800e000000010100"), "{}", sent[1]);
    assert_eq!(sent.len(), 2);
}

#[test]
fn android_calls_when_its_scccn_is_acknowledged() {
    let mut android = Dialog::new(&ANDROID, "anonymous");
    let sccrq = "80080000 0000 0001  80080000 0002 0100  800f0000 0007 616e6f6e796d6f7573
                 800a0000 0003 00000003  80080000 0009 000f  80080000 000a 0001";
    let first = android.sent();
    assert_eq!(first[0][24..], sccrq.split_whitespace().collect::<String>());
    // Again every 2 s, with the same tunnel ID.
    for _ in 0..3 {
        let at = android.tunnel.poll_timeout().unwrap();
        assert_eq!(at - android.now, Duration::from_secs(2));
        android.now = at;
        android.tunnel.handle_timeout(at, &mut android.rng);
        assert_eq!(android.sent(), first);
    }
    android.sccrp();
    assert_eq!(android.sent(), [message(0, 1, 1, "80080000 0000 0003")]);
    android.take(0, 1, 2, "");
    let sent = android.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0][24..40], *"800800000000000a");
    android.icrp(3);
    android.sent();
    android.take(0, 2, 4, "");

    // StopCCN 6 in 8 bytes, and no CDN.
    android.tunnel.close(android.stop.clone(), android.now);
    let stop = "80080000 0000 0004  80080000 0009 000f  80080000 0001 0006";
    assert_eq!(android.sent(), [message(0, 4, 2, stop)]);
}

#[test]
fn xl2tpd_says_what_its_source_says() {
    let mut xl2tpd = Dialog::new(&NETWORK_MANAGER, "laptop");
    let sccrq = "80080000 0000 0001  80080000 0002 0100  800a0000 0003 00000003
                 800a0000 0004 00000000  00080000 0006 0690  800c0000 0007 6c6170746f70
                 00130000 0008 78656c6572616e63652e636f6d
                 80080000 0009 000f  80080000 000a 0004";
    assert_eq!(
        xl2tpd.sent()[0][24..],
        sccrq.split_whitespace().collect::<String>()
    );
    xl2tpd.sccrp();
    let session = xl2tpd.session();
    let icrq = format!(
        "80080000 0000 000a  80080000 000e {session:04x}  800a0000 000f 00000001
         800a0000 0012 00000000"
    );
    assert_eq!(xl2tpd.sent()[1], message(0, 2, 1, &icrq));
    xl2tpd.icrp(3);
    let iccn = "80080000 0000 000c  800a0000 0018 00989680  800a0000 0013 00000001
                800a0000 0026 00989680";
    assert_eq!(xl2tpd.sent(), [message(7, 3, 2, iccn)]);
}

/// As its debug logs show it.
#[test]
fn routeros_says_what_its_logs_show() {
    let mut router = Dialog::new(&ROUTEROS, "MikroTik");
    let sccrq = "80080000 0000 0001  80080000 0002 0100  800a0000 0003 00000001
                 800a0000 0004 00000000  00080000 0006 0001  800e0000 0007 4d696b726f54696b
                 000e0000 0008 4d696b726f54696b  80080000 0009 000f  80080000 000a 0004";
    let sent = router.sent();
    assert_eq!(sent[0][24..], sccrq.split_whitespace().collect::<String>());
    router.sccrp();
    let session = router.session();
    router.sent();
    router.icrp(3);
    let iccn = "80080000 0000 000c  800a0000 0018 05f5e100  800a0000 0013 00000001";
    assert_eq!(router.sent(), [message(7, 3, 2, iccn)]);
    router.take(0, 2, 4, "");
    router.tunnel.close(router.stop.clone(), router.now);
    let cdn = format!("80080000 0000 000e  80080000 0001 0003  80080000 000e {session:04x}");
    let stop = "80080000 0000 0004  80080000 0009 000f  80080000 0001 0006";
    assert_eq!(
        router.sent(),
        [message(7, 4, 2, &cdn), message(0, 5, 2, stop)]
    );
}

#[test]
fn no_client_sets_bits_that_windows_drops_or_android_refuses() {
    for profile in Profile::all() {
        let mut dialog = Dialog::new(profile, profile.host_name);
        let mut sent = dialog.sent();
        dialog.sccrp();
        dialog.take(0, 1, 2, "");
        sent.extend(dialog.sent());
        let session = dialog.session();
        dialog
            .tunnel
            .close_session(session, CallDisconnect::administrative(), dialog.now);
        sent.extend(dialog.sent());
        assert!(sent.len() >= 3, "{}", profile.name);
        for message in sent {
            assert_eq!(&message[..4], "c802", "{}", profile.name);
            assert_eq!(&message[24..36], "800800000000", "{}", profile.name);
        }
    }
}
