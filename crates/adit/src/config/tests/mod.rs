//! The configuration as an operator meets it.

use std::ffi::OsString;
use std::path::PathBuf;

use super::*;

mod credentials;
mod networks;
mod plain;
mod policy;
mod proposals;

const PSK: &str = "kL9mQ2xT7vB4nR8wZ3cD6fGh";
const TEN_LINES: &str = r#"[ipsec]
psk = { file = "psk" }
[ipv4]
pool = "10.77.0.0/16"
dns = ["10.77.0.1"]
[ipv6]
prefix = "2001:db8:77::/48"
dns = ["2001:db8:77::1"]
[users]
file = "users.toml"
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        crate::users::write_private(&folder.path("psk"), folder.0.path(), PSK.as_bytes()).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load_env(&self, text: &str, env: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
        let path = self.path("adit.toml");
        std::fs::write(&path, text).unwrap();
        let env = env
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        load_with(&path, env)
    }

    fn load(&self, text: &str) -> Result<Loaded, ConfigErrors> {
        self.load_env(text, &[])
    }

    // Reports without the folder's random name.
    fn report(&self, problems: &[Problem]) -> String {
        let shown = self.path("").display().to_string();
        render(problems, false).replace(&shown, "/etc/adit/")
    }
}

// Line, column and text of every problem.
fn problems(result: Result<Loaded, ConfigErrors>) -> Vec<(usize, usize, String)> {
    let problems = match result {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors.problems,
    };
    problems
        .iter()
        .map(|problem| {
            let (line, column) = problem.place.as_ref().map_or((0, 0), |p| p.line_column());
            (line, column, format!("{problem} -> {}", problem.help))
        })
        .collect()
}

fn one(text: &str) -> (usize, usize, String) {
    let folder = Folder::new();
    let found = problems(folder.load(text));
    assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    found.into_iter().next().unwrap()
}

// The ten lines with one of them replaced.
fn with(old: &str, new: &str) -> String {
    assert!(TEN_LINES.contains(old), "{old}");
    TEN_LINES.replace(old, new)
}

#[test]
fn ten_lines_are_enough() {
    let folder = Folder::new();
    let loaded = folder.load(TEN_LINES).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let config = loaded.config;
    assert_eq!(config.ipsec.psk.unwrap().expose(), PSK);
    assert_eq!(
        config.ipv4.as_ref().unwrap().pool.to_string(),
        "10.77.0.0/16"
    );
    assert_eq!(config.users_file, folder.path("users.toml"));
    assert_eq!(config.admin_socket, Path::new("/run/adit/adit.sock"));
    assert_eq!(config.ipsec.ike.len(), proposal::IKE.len());
    assert_eq!(config.mtu, None);
}

#[test]
fn the_sample_file_equals_the_defaults_and_explains_every_key() {
    let sample = include_str!("../../../../../conf/adit.toml");
    let folder = Folder::new();
    let full = folder
        .load(sample)
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert!(full.warnings.is_empty(), "{:?}", full.warnings);
    let least = folder.load(TEN_LINES).unwrap();
    assert_eq!(
        format!("{:#?}", full.config),
        format!("{:#?}", least.config)
    );
    assert_eq!(full.config.ipsec.psk, least.config.ipsec.psk);

    let environment = Environment::default();
    let document = Document::parse(Path::new("x"), sample).unwrap();
    let merged = layers::merge(sample, &environment).unwrap();
    let mut settings = Settings::new(&document, &environment, merged);
    read_config(&mut settings, folder.0.path());
    let known = settings.known();
    assert!(known.len() > 35, "{known:?}");
    for key in known {
        let name = key.strip_suffix(".file").unwrap_or(key);
        let name = name.rsplit('.').next().unwrap();
        let is_there = document.place(key, document::Part::Key).is_some()
            || sample.contains(&format!("\n# {name} = "))
            || sample.contains(&format!("\n# [[{key}]]"));
        assert!(is_there, "conf/adit.toml does not explain {key}");
    }
}

#[test]
fn each_key_can_be_set_from_the_environment() {
    let folder = Folder::new();
    let env = [
        ("ADIT__IPV4__POOL", "10.99.0.0/16"),
        ("ADIT__IPV4__DNS", "192.0.2.1, 192.0.2.2"),
        ("ADIT__IPSEC__IKE_LIFETIME", "2h"),
        ("ADIT__IPSEC__LEGACY", "true"),
        ("ADIT__IPSEC__ESN", "false"),
        ("ADIT__LISTEN__ADDRESSES", "[::1],127.0.0.1"),
        ("ADIT__LIMITS__HALF_OPEN", "77"),
        ("ADIT__MTU", "1280"),
        ("ADIT__IPSEC__PSK", "fromTheEnvironment42"),
        ("PATH", "/bin"),
    ];
    let config = folder.load_env(TEN_LINES, &env).unwrap().config;
    let ipv4 = config.ipv4.unwrap();
    assert_eq!(ipv4.pool.to_string(), "10.99.0.0/16");
    assert_eq!(ipv4.dns.len(), 2);
    assert_eq!(config.ipsec.ike_lifetime, Duration::from_secs(7_200));
    assert_eq!(config.ipsec.psk.unwrap().expose(), "fromTheEnvironment42");
    let legacy = proposal::IKE.len() + proposal::IKE_LEGACY.len();
    assert_eq!(config.ipsec.ike.len(), legacy);
    assert!(!config.ipsec.esn);
    assert_eq!(config.listen.addresses.len(), 2);
    assert!(config.listen.addresses[0].is_ipv6());
    assert_eq!(config.limits.half_open, 77);
    assert_eq!(config.mtu, Some(1280));
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let folder = Folder::new();
    let env = [
        ("ADIT__IPV4__POOL", "10.99.0.1/16"),
        ("ADIT__IPV4__POOOL", "x"),
    ];
    let found = problems(folder.load_env(TEN_LINES, &env));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0]
            .2
            .starts_with("`ADIT__IPV4__POOL`: 10.99.0.1/16 is an address"),
        "{found:?}"
    );
    assert!(found[1].2.contains("`ADIT__IPV4__POOOL`"), "{found:?}");
    assert!(
        found[1].2.contains("did you mean `ipv4.pool`?"),
        "{found:?}"
    );
}

#[test]
fn reports_show_the_line_and_what_to_write() {
    let folder = Folder::new();
    let text = TEN_LINES
        .replace("10.77.0.0/16", "10.77.0.0")
        .replace("[users]\nfile", "[users]\nfiel")
        .replace(
            "dns = [\"2001:db8:77::1\"]",
            "dns = [\"2001:db8:77::1\", \"10.0.0.1\"]",
        );
    let errors = folder.load(&text).unwrap_err();
    insta::assert_snapshot!(folder.report(&errors.problems));
}

#[test]
fn unknown_keys_are_errors_with_the_nearest_known_one() {
    for (text, line, column, nearest) in [
        (with("pool", "pol"), 4, 1, "`ipv4.pool`"),
        (
            format!("pool = \"10.0.0.0/8\"\n{TEN_LINES}"),
            1,
            1,
            "`ipv4.pool`",
        ),
        (
            format!("{TEN_LINES}[lisen]\nike-port = 500\n"),
            11,
            2,
            "[listen]",
        ),
        (
            format!("{TEN_LINES}[ipsec.dpd]\nidel = \"1m\"\n"),
            12,
            1,
            "`ipsec.dpd.idle`",
        ),
        (
            format!("{TEN_LINES}[ppp]\nmru-size = 1\n"),
            12,
            1,
            "`ppp.mru`",
        ),
    ] {
        let folder = Folder::new();
        let found = problems(folder.load(&text));
        assert!(
            found
                .iter()
                .any(|(l, c, message)| (*l, *c) == (line, column)
                    && message.contains("there is no such key")
                    && message.contains(nearest)),
            "{text}\n{found:#?}"
        );
    }
}

#[test]
fn values_are_checked_where_they_stand() {
    for (text, line, column, expected) in [
        (
            with("10.77.0.0/16", "10.77.0.1/16"),
            4,
            8,
            "\"10.77.0.0/16\"",
        ),
        (
            with("10.77.0.0/16", "10.77.0.0/31"),
            4,
            8,
            "between a /8 and a /30",
        ),
        (with("10.77.0.0/16", "ten"), 4, 8, "not an IPv4 network"),
        (
            with("\"10.77.0.0/16\"", "77"),
            4,
            8,
            "must be text, not a number",
        ),
        (
            with("2001:db8:77::/48", "2001:db8:77::1/48"),
            7,
            10,
            "\"2001:db8:77::/48\"",
        ),
        (
            with("2001:db8:77::/48", "2001:db8:77::/64"),
            7,
            10,
            "no room",
        ),
        (
            with("2001:db8:77::/48", "10.0.0.0/8"),
            7,
            10,
            "is an IPv4 network",
        ),
        (
            with("2001:db8:77::/48", "fd00:77::/48"),
            7,
            10,
            "not routed on the internet",
        ),
        (
            with("\"10.77.0.1\"", "\"1.1.1.1\", \"127.0.0.53\""),
            5,
            19,
            "cannot reach",
        ),
        (
            with("\"10.77.0.1\"", "\"2001:db8::1\""),
            5,
            8,
            "dns of [ipv6]",
        ),
        (
            with("[ipv6]", "[ipv6]\nmode = \"sometimes\""),
            7,
            8,
            "\"block\"",
        ),
        (
            with(
                "[ipv6]",
                "[ipv6]\nmode = \"off\"\nclient-prefix-length = 128",
            ),
            8,
            24,
            "from 48 to 64",
        ),
        (format!("mtu = 900\n{TEN_LINES}"), 1, 7, "from 1280 to 1500"),
        (
            format!("mtu = \"big\"\n{TEN_LINES}"),
            1,
            7,
            "from 1280 to 1500",
        ),
        (
            format!("{TEN_LINES}[l2tp]\nhello = \"60\"\n"),
            12,
            9,
            "such as \"1m\"",
        ),
        (
            format!("{TEN_LINES}[l2tp]\nhello = \"1ms\"\n"),
            12,
            9,
            "out of bounds",
        ),
        (
            format!("{TEN_LINES}[log]\nlevel = \"loud\"\n"),
            12,
            9,
            "\"debug\"",
        ),
        (
            format!("{TEN_LINES}[tun]\nname = \"a/b\"\n"),
            12,
            8,
            "interface name",
        ),
        (
            format!("{TEN_LINES}[ppp]\nauth = \"pap\"\n"),
            12,
            8,
            "must be a list",
        ),
        (
            format!("{TEN_LINES}[ppp]\nauth = [\"eap\"]\n"),
            12,
            9,
            "\"mschapv2\"",
        ),
        (
            format!("{TEN_LINES}[listen]\nike-port = \"500\"\n"),
            12,
            12,
            "without quotes",
        ),
        (
            format!("{TEN_LINES}[listen]\naddresses = [\"0.0.0.0:500\"]\n"),
            12,
            14,
            "without a port",
        ),
        (
            format!("{TEN_LINES}[listen]\nnat-t-port = 4501\n"),
            12,
            14,
            "cannot be told others",
        ),
        (
            format!("{TEN_LINES}[listen]\naddresses = [\"::\", \"[::]\"]\n"),
            12,
            20,
            "twice",
        ),
    ] {
        let folder = Folder::new();
        let found = problems(folder.load(&text));
        assert!(
            found
                .iter()
                .any(|(l, c, message)| (*l, *c) == (line, column) && message.contains(expected)),
            "{text}\nexpected {line}:{column} {expected}\n{found:#?}"
        );
    }
}

#[test]
fn resolvers_in_one_family_only_are_refused_with_the_reason() {
    let (line, _, message) = one(&with("dns = [\"2001:db8:77::1\"]\n", ""));
    assert_eq!(line, 6);
    assert!(message.contains("past the tunnel"), "{message}");
    let (line, column, message) = one(&with("dns = [\"10.77.0.1\"]", "dns = []"));
    assert_eq!((line, column), (5, 7));
    assert!(
        message.contains("IPv4 resolver of their own network"),
        "{message}"
    );
    // One family alone needs only its own.
    let folder = Folder::new();
    let text = with("[ipv6]", "[ipv6]\nmode = \"off\"");
    let loaded = folder.load(&text).unwrap();
    assert!(loaded.config.ipv6.is_none());
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_psk_is_judged_and_never_shown() {
    let (line, column, message) = one(&with("{ file = \"psk\" }", "\"vpn\""));
    assert_eq!((line, column), (2, 7));
    assert!(message.contains("everybody tries first"), "{message}");

    let folder = Folder::new();
    let secret = "SuperSecret99";
    for text in [
        with("{ file = \"psk\" }", &format!("\"{secret}\"")),
        with("psk = { file = \"psk\" }", &format!("pks = \"{secret}\"")),
        with(
            "psk = { file = \"psk\" }",
            &format!("pre-shared = \"{secret}\""),
        ),
        with("psk = { file = \"psk\" }", &format!("psk = [\"{secret}\"]")),
        with(
            "psk = { file = \"psk\" }",
            &format!("psk = {{ text = \"{secret}\" }}"),
        ),
        with("psk = { file = \"psk\" }", &format!("psk = \"{secret}")),
        with("psk = { file = \"psk\" }", &format!("psk = {secret}")),
        with(
            "psk = { file = \"psk\" }",
            &format!("ipsec-psk = \"{secret}\""),
        ),
        format!("psk = \"{secret}\"\n{TEN_LINES}"),
    ] {
        let report = match folder.load(&text) {
            Ok(loaded) => {
                assert!(!format!("{loaded:?}").contains(secret));
                folder.report(&loaded.warnings)
            }
            Err(errors) => folder.report(&errors.problems),
        };
        assert!(!report.is_empty(), "{text}");
        assert!(!report.contains(secret), "{report}");
    }
}

#[test]
fn a_missing_psk_is_told_with_what_to_write() {
    let (line, _, message) = one(&with("psk = { file = \"psk\" }\n", ""));
    assert_eq!(line, 1);
    assert!(message.contains("psk = { file = \"psk\" }"), "{message}");
    let (line, column, message) = one(&with("\"psk\"", "\"none\""));
    assert_eq!((line, column), (2, 16));
    assert!(message.contains("cannot read"), "{message}");
}

#[test]
fn a_psk_file_that_others_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let wide = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.path("psk"), wide).unwrap();
    let found = problems(folder.load(TEN_LINES));
    assert!(found[0].2.contains("chmod 600"), "{found:?}");
}

#[test]
fn nothing_to_serve_is_an_error() {
    let found = problems(Folder::new().load("[ipsec]\npsk = { file = \"psk\" }\n"));
    assert!(
        found
            .iter()
            .any(|(_, _, m)| m.contains("neither IPv4 nor IPv6")),
        "{found:?}"
    );
}

#[test]
fn syntax_errors_have_a_place() {
    let (line, column, message) = one(&with("pool = ", "pool "));
    assert_eq!(line, 4);
    assert!(column > 1, "{column}");
    assert!(message.contains("this is not TOML"), "{message}");
    let (line, ..) = one(&format!("{TEN_LINES}[ipv4]\n"));
    assert_eq!(line, 11);
}

#[test]
fn a_value_in_place_of_a_table_is_told() {
    let folder = Folder::new();
    let found = problems(folder.load(&format!("log = \"debug\"\n{TEN_LINES}")));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].2.contains("write [log] on a line of its own"),
        "{found:?}"
    );
}

#[test]
fn the_server_gets_what_the_file_says() {
    let folder = Folder::new();
    let text = format!(
        "mtu = 1280\nworkers = 3\n{}[l2tp]\nhello = \"off\"\n",
        with(
            "[ipv4]",
            "esp = [\"aes128gcm16\"]\nesp-lifetime-bytes = \"1GiB\"\n[ipv4]"
        )
    );
    let server = folder.load(&text).unwrap().config.server().unwrap();
    assert_eq!(server.ike.esp.len(), 1);
    assert_eq!(server.ike.esp_lifetime.kilobytes, Some(1 << 20));
    assert_eq!(server.l2tp.hello_idle, Duration::ZERO);
    assert_eq!((server.link_mtu, server.ppp.mru), (Some(1280), 1280));
    assert_eq!(server.ipv6.unwrap().client_prefix_length, 64);
    assert_eq!(server.ipv4.unwrap().dns.len(), 1);
    assert_eq!(server.workers, 3);
    let server = folder.load(TEN_LINES).unwrap().config.server().unwrap();
    assert!((1..=256).contains(&server.workers));
}
