//! The nftables table, as `nft` lists it.

use adit_io::masquerade::{Masquerade, MasqueradeError};
use serde_json::Value;

use crate::{in_namespace, run};

/// The whole ruleset without what `nft` says of itself; None without `nft`.
fn ruleset(name: &str) -> Option<Vec<Value>> {
    let (done, text) = run(name, "nft", &["-j", "list", "ruleset"])?;
    assert!(done);
    let json: Value = serde_json::from_str(&text).unwrap();
    let objects = json["nftables"].as_array().unwrap().iter();
    Some(
        objects
            .filter(|object| object.get("metainfo").is_none())
            .cloned()
            .collect(),
    )
}

/// The pools and interfaces of the rules of the table.
fn rules(ruleset: &[Value], table: &str) -> Vec<(String, String)> {
    ruleset
        .iter()
        .filter_map(|object| object.get("rule"))
        .filter(|rule| rule["table"] == table)
        .map(|rule| {
            assert_eq!(rule["family"], "ip");
            assert_eq!(rule["chain"], "postrouting");
            let [saddr, oifname, verdict] = &rule["expr"].as_array().unwrap()[..] else {
                panic!("{rule}")
            };
            assert_eq!(saddr["match"]["op"], "==");
            assert_eq!(saddr["match"]["left"]["payload"]["field"], "saddr");
            let prefix = &saddr["match"]["right"]["prefix"];
            assert_eq!(oifname["match"]["op"], "!=");
            assert_eq!(oifname["match"]["left"]["meta"]["key"], "oifname");
            assert_eq!(verdict["masquerade"], Value::Null);
            assert!(verdict.get("masquerade").is_some(), "{verdict}");
            (
                format!("{}/{}", prefix["addr"].as_str().unwrap(), prefix["len"]),
                oifname["match"]["right"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn is_installed_replaced_and_removed_and_nothing_else_is_touched() {
    const NAME: &str = "masquerade_is_installed_replaced_and_removed";
    in_namespace(NAME, async |_| {
        let Some(before) = ruleset(NAME) else { return };
        assert_eq!(before, [] as [Value; 0]);
        // What belongs to others, one of them of the same name in another family.
        for table in ["ip6 adit", "inet firewall"] {
            let (done, _) = run(NAME, "nft", &["add", "table", table]).unwrap();
            assert!(done);
        }
        let others = ruleset(NAME).unwrap();

        let pool = "10.77.0.0/16".parse().unwrap();
        let first = Masquerade::install("adit", pool, "adit0").unwrap();
        assert_eq!(first.table(), "adit");
        let now = ruleset(NAME).unwrap();
        assert_eq!(
            rules(&now, "adit"),
            [("10.77.0.0/16".to_owned(), "adit0".to_owned())]
        );
        let chain = now.iter().find_map(|object| object.get("chain")).unwrap();
        assert_eq!(chain["hook"], "postrouting");
        assert_eq!(chain["type"], "nat");
        assert_eq!(chain["prio"], 100);

        // A crash leaves the table behind; the next start replaces it.
        std::mem::forget(first);
        let pool = "10.99.8.0/24".parse().unwrap();
        let mut second = Masquerade::install("adit", pool, "adit7").unwrap();
        let now = ruleset(NAME).unwrap();
        assert_eq!(
            rules(&now, "adit"),
            [("10.99.8.0/24".to_owned(), "adit7".to_owned())]
        );

        second.remove().unwrap();
        assert_eq!(ruleset(NAME).unwrap(), others);
        second.remove().unwrap();

        // Dropping removes too, also when someone was faster.
        drop(Masquerade::install("adit", pool, "adit7").unwrap());
        assert_eq!(ruleset(NAME).unwrap(), others);
        let mut third = Masquerade::install("adit", pool, "adit7").unwrap();
        assert!(
            run(NAME, "nft", &["delete", "table", "ip", "adit"])
                .unwrap()
                .0
        );
        third.remove().unwrap();
        assert_eq!(ruleset(NAME).unwrap(), others);
    });
}

#[test]
fn what_the_kernel_refuses_is_told_and_changes_nothing() {
    const NAME: &str = "what_the_kernel_refuses_is_told";
    in_namespace(NAME, async |_| {
        if ruleset(NAME).is_none() {
            return;
        }
        let pool = "10.77.0.0/16".parse().unwrap();
        let _kept = Masquerade::install("adit", pool, "adit0").unwrap();
        let before = ruleset(NAME).unwrap();
        // Longer than any interface's name, so the whole transaction must fail.
        let error =
            Masquerade::install("adit", pool, "a-name-of-more-than-15-letters").unwrap_err();
        assert!(
            matches!(&error, MasqueradeError::Refused { table, message }
                if table == "adit" && !message.is_empty()),
            "{error}"
        );
        assert_eq!(ruleset(NAME).unwrap(), before);
    });
}
