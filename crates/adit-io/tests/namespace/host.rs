//! Sysctls of a namespace, which are its own.

use adit_io::host::{Forwarding, enable_forwarding, read, write};
use adit_io::tun::Tun;

use crate::in_namespace;

/// Everything that is looked at.
fn wanted(uplink: &str) -> Forwarding {
    Forwarding {
        ipv4: true,
        ipv6: true,
        ra_uplink: Some(uplink.to_owned()),
        nd_proxy: None,
    }
}

const V4: &str = "net.ipv4.ip_forward";
const V6: &str = "net.ipv6.conf.all.forwarding";
const RA: &str = "net.ipv6.conf.uplink/1.accept_ra";

#[test]
fn forwarding_is_found_missing_switched_on_and_set_back() {
    in_namespace("forwarding_is_found_missing", async |_| {
        // A dot in the name of an interface, as VLANs have, and a made-up uplink.
        let (_uplink, _queue) = Tun::create("uplink.1", 1400).unwrap();
        for (key, value) in [(V4, "0"), (V6, "0"), (RA, "1")] {
            write(key, value).unwrap();
        }
        let wanted = wanted("uplink.1");
        let keys = |findings: Vec<adit_io::host::Finding>| -> Vec<(String, String, String)> {
            let parts = findings.into_iter().map(|f| (f.key, f.found, f.wanted));
            parts.collect()
        };
        let missing = |key: &str, found: &str, wanted: &str| {
            (key.to_owned(), found.to_owned(), wanted.to_owned())
        };
        assert_eq!(
            keys(wanted.check()),
            [
                missing(V4, "0", "1"),
                missing(RA, "1", "2"),
                missing(V6, "0", "1")
            ]
        );

        let restore = enable_forwarding(&wanted).unwrap();
        assert_eq!(
            restore.changes().collect::<Vec<_>>(),
            [(V4, "0", "1"), (RA, "1", "2"), (V6, "0", "1")]
        );
        assert_eq!(wanted.check(), []);
        // Nothing is left to do for a second one, and so nothing to set back.
        drop(enable_forwarding(&wanted).unwrap());
        assert_eq!(wanted.check(), []);

        // What someone else has changed since is left alone.
        write(RA, "0").unwrap();
        drop(restore);
        assert_eq!([V4, V6, RA].map(|key| read(key).unwrap()), ["0", "0", "0"]);

        enable_forwarding(&wanted).unwrap().keep();
        assert_eq!([V4, V6, RA].map(|key| read(key).unwrap()), ["1", "1", "2"]);
    });
}

#[test]
fn a_failed_change_leaves_nothing_changed() {
    in_namespace("a_failed_change_leaves_nothing_changed", async |_| {
        write(V4, "0").unwrap();
        let error = enable_forwarding(&wanted("not-there")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("net.ipv6.conf.not-there.accept_ra"), "{text}");
        assert!(text.contains("does not have it"), "{text}");
        assert_eq!(read(V4).unwrap(), "0");
    });
}

#[test]
fn switched_off_ipv6_is_found() {
    in_namespace("switched_off_ipv6_is_found", async |_| {
        let wanted = Forwarding {
            ipv6: true,
            ..Forwarding::default()
        };
        write(V6, "1").unwrap();
        assert_eq!(wanted.check(), []);
        write("net.ipv6.conf.default.disable_ipv6", "1").unwrap();
        let findings = wanted.check();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].key, "net.ipv6.conf.default.disable_ipv6");
        assert!(findings[0].remedy.contains("sysctl -w"));
    });
}
