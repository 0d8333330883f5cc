//! IPv4 NAT for the clients' pool, in an nftables table of our own through the `nft` program.
//!
//! Only that table is ever written or deleted; the rest of the host's ruleset is neither read
//! nor changed. IPv6 is routed and never translated, so there is no counterpart for it.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

use ipnet::Ipv4Net;
use nftables::batch::Batch;
use nftables::expr::{Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField, Prefix};
use nftables::schema::{Chain, NfListObject, Nftables, Rule, Table};
use nftables::stmt::{Match, Operator, Statement};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};

/// The program that speaks to the kernel, and where it is when the search path of an unprivileged
/// account leaves out the folders of the administrator.
const NFT: &[&str] = &["nft", "/usr/sbin/nft", "/sbin/nft"];

/// The priority of source NAT (`srcnat`).
const SRCNAT: i32 = 100;

/// Why there is no masquerading.
#[derive(Debug, thiserror::Error)]
pub enum MasqueradeError {
    /// The `nft` program is not there.
    #[error(
        "masquerading needs the program `nft`, which is not installed: `apt-get install nftables` (or \
         your system's package of that name), or set `ipv4.masquerade = false` and route the pool to \
         this host"
    )]
    NoProgram,
    /// The name cannot be one of a table.
    #[error("{name:?} cannot name an nftables table: letters, digits, '-' and '_', a letter first")]
    Name {
        /// The name.
        name: String,
    },
    /// `nft` could not be run.
    #[error("`nft` could not be run for the table {table}: {source}")]
    Run {
        /// The table.
        table: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// `nft` refused.
    #[error(
        "`nft` refused the table {table}: {message}; it needs root or CAP_NET_ADMIN, and a kernel with \
         NAT for nftables (`modprobe nft_masq nft_chain_nat`)"
    )]
    Refused {
        /// The table.
        table: String,
        /// What it printed.
        message: String,
    },
}

/// Masquerading of a pool, until it is removed or dropped.
#[derive(Debug)]
pub struct Masquerade {
    table: String,
    installed: bool,
}

impl Masquerade {
    /// Packets with a source address in `pool` that leave by another interface than `tun` get
    /// the address of that interface. `table` (family `ip`) is made anew in one transaction: one
    /// that a crash left behind is replaced without a moment in which nothing is translated.
    pub fn install(table: &str, pool: Ipv4Net, tun: &str) -> Result<Self, MasqueradeError> {
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if !table.starts_with(is_first) || !table.chars().all(is_rest) {
            return Err(MasqueradeError::Name {
                name: table.to_owned(),
            });
        }
        apply(NFT, table, &install_commands(table, pool, tun))?;
        Ok(Self {
            table: table.to_owned(),
            installed: true,
        })
    }

    /// The name of the table, of family `ip`.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Deletes the table. It being gone already is no error.
    pub fn remove(&mut self) -> Result<(), MasqueradeError> {
        if self.installed {
            apply(NFT, &self.table, &remove_commands(&self.table))?;
            self.installed = false;
        }
        Ok(())
    }
}

impl Drop for Masquerade {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(table = self.table, %error, "nftables table not removed");
        }
    }
}

/// The table itself.
fn table_object(table: &str) -> NfListObject<'_> {
    NfListObject::Table(Table {
        family: NfFamily::IP,
        name: table.into(),
        handle: None,
    })
}

/// Adding before deleting makes deleting succeed whether or not the table was there.
fn delete_if_there<'a>(batch: &mut Batch<'a>, table: &'a str) {
    batch.add(table_object(table));
    batch.delete(table_object(table));
}

fn remove_commands(table: &str) -> Nftables<'_> {
    let mut batch = Batch::new();
    delete_if_there(&mut batch, table);
    batch.to_nftables()
}

fn install_commands<'a>(table: &'a str, pool: Ipv4Net, tun: &'a str) -> Nftables<'a> {
    let mut batch = Batch::new();
    delete_if_there(&mut batch, table);
    batch.add(table_object(table));
    batch.add(NfListObject::Chain(Chain {
        family: NfFamily::IP,
        table: table.into(),
        name: "postrouting".into(),
        _type: Some(NfChainType::NAT),
        hook: Some(NfHook::Postrouting),
        prio: Some(SRCNAT),
        policy: Some(NfChainPolicy::Accept),
        ..Chain::default()
    }));
    let from_pool = Match {
        left: named(NamedExpression::Payload(Payload::PayloadField(
            PayloadField {
                protocol: "ip".into(),
                field: "saddr".into(),
            },
        ))),
        right: named(NamedExpression::Prefix(Prefix {
            addr: Box::new(Expression::String(pool.network().to_string().into())),
            len: u32::from(pool.prefix_len()),
        })),
        op: Operator::EQ,
    };
    let not_to_clients = Match {
        left: named(NamedExpression::Meta(Meta {
            key: MetaKey::Oifname,
        })),
        right: Expression::String(tun.into()),
        op: Operator::NEQ,
    };
    batch.add(NfListObject::Rule(Rule {
        family: NfFamily::IP,
        table: table.into(),
        chain: "postrouting".into(),
        expr: vec![
            Statement::Match(from_pool),
            Statement::Match(not_to_clients),
            Statement::Masquerade(None),
        ]
        .into(),
        comment: Some("clients of adit".into()),
        ..Rule::default()
    }));
    batch.to_nftables()
}

fn named(expression: NamedExpression<'_>) -> Expression<'_> {
    Expression::Named(expression)
}

/// Runs the first of `programs` that is there, with `-j -f -`, over one transaction. Not by the
/// helper of the nftables crate, which leaves what the program says on our own standard error.
fn apply(programs: &[&str], table: &str, commands: &Nftables<'_>) -> Result<(), MasqueradeError> {
    let failed = |source| MasqueradeError::Run {
        table: table.to_owned(),
        source,
    };
    let json = serde_json::to_vec(commands).map_err(|error| failed(error.into()))?;
    let mut child = start(programs).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => MasqueradeError::NoProgram,
        _ => failed(source),
    })?;
    // A program that ends early closes its input; what it printed says why.
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(&json));
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(MasqueradeError::Refused {
            table: table.to_owned(),
            message: first_line(&output.stderr),
        });
    }
    written.transpose().map(|_| ()).map_err(failed)
}

/// Whether the program that [`Masquerade::install`] needs is there and runs.
pub fn is_available() -> bool {
    NFT.iter().any(|program| {
        let version = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        version.is_ok_and(|status| status.success())
    })
}

/// Starts the first of `programs` that is there.
fn start(programs: &[&str]) -> io::Result<Child> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for program in programs {
        result = Command::new(program)
            .args(["-j", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        // A folder of the search path that may not be looked into reads as "permission denied",
        // though the program is in none of them.
        match &result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            _ => break,
        }
    }
    result
}

/// What an error message says first; the rest repeats the input.
fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("it gave no reason").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = apply(
            &["nft-that-is-not-there", "/nowhere/nft"],
            "adit",
            &remove_commands("adit"),
        )
        .unwrap_err();
        assert!(matches!(error, MasqueradeError::NoProgram));
        assert!(error.to_string().contains("apt-get install nftables"));
    }

    #[test]
    fn what_the_program_says_reaches_the_operator() {
        assert_eq!(
            first_line(b"\n Error: Operation not permitted\n{\"nft\n^^"),
            "Error: Operation not permitted"
        );
        let error = apply(
            &["nft-that-is-not-there", "false"],
            "adit",
            &remove_commands("adit"),
        )
        .unwrap_err();
        assert!(
            matches!(&error, MasqueradeError::Refused { table, message }
                if table == "adit" && message == "it gave no reason"),
            "{error}"
        );
    }

    #[test]
    fn names_that_are_not_identifiers_are_refused() {
        for name in ["", "1a", "a b", "a;b", "a{", "é"] {
            let error = Masquerade::install(name, "10.0.0.0/8".parse().unwrap(), "adit0");
            assert!(
                matches!(error, Err(MasqueradeError::Name { .. })),
                "{name}: {error:?}"
            );
        }
    }

    #[test]
    fn the_commands_touch_only_the_named_table() {
        let pool = "10.77.3.4/16".parse().unwrap();
        let json = serde_json::to_value(install_commands("t", pool, "adit0")).unwrap();
        let commands = json["nftables"].as_array().unwrap();
        let verbs: Vec<_> = commands
            .iter()
            .flat_map(|command| command.as_object().unwrap())
            .map(|(verb, object)| {
                let (kind, object) = object.as_object().unwrap().iter().next().unwrap();
                let table = object.get("table").unwrap_or(&object["name"]);
                assert_eq!((table, &object["family"]), (&"t".into(), &"ip".into()));
                format!("{verb} {kind}")
            })
            .collect();
        assert_eq!(
            verbs,
            [
                "add table",
                "delete table",
                "add table",
                "add chain",
                "add rule"
            ]
        );
        let rule = &commands[4]["add"]["rule"]["expr"];
        assert_eq!(rule[0]["match"]["right"]["prefix"]["addr"], "10.77.0.0");
        assert_eq!(rule[0]["match"]["right"]["prefix"]["len"], 16);
        assert_eq!(rule[1]["match"]["op"], "!=");
        assert_eq!(rule[1]["match"]["right"], "adit0");
    }
}
