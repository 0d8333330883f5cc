//! Making the files that are missing, and setting the IPv6 prefix in a configuration there is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ipnet::{Ipv4Net, Ipv6Net};
use toml_edit::{DocumentMut, Item, Table, value};

use super::host::Host;
use crate::Failure;
use crate::cli::DEFAULT_DIR;
use crate::config::{self, Secret};
use crate::users::{self, Change, Edit, write_private};

/// What there is now.
pub(super) struct Made {
    /// The configuration.
    pub(super) config: PathBuf,
    /// Files that were made or changed, each with what it is.
    pub(super) files: Vec<(PathBuf, &'static str)>,
    /// The first user, if it was made now.
    pub(super) user: Option<(String, Secret)>,
}

const PSK_LENGTH: usize = 24;
const PASSWORD_LENGTH: usize = 16;
const FIRST_USER: &str = "vpn";
const PUBLIC_DNS4: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);
const PUBLIC_DNS6: Ipv6Addr = Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111);

/// Makes what is missing in `dir`. A prefix that is given is written into the configuration.
pub(super) fn make(dir: &Path, prefix: Option<Ipv6Net>, host: &Host) -> Result<Made, Failure> {
    if !dir.exists() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| cannot("make", dir, &error))?;
    }
    let path = dir.join("adit.toml");
    let mut files = Vec::new();
    if !path.exists() {
        let prefix = match prefix {
            Some(prefix) => prefix,
            None => unique_local()?,
        };
        // Beside /etc there is /var/lib for what changes; any other folder holds everything.
        let leases = if dir == Path::new(DEFAULT_DIR) {
            ""
        } else {
            "\n# Who had which address, so that they get it again.\n[leases]\nfile = \"leases.redb\"\n"
        };
        write(&path, &(configuration(prefix, host) + leases))?;
        files.push((path.clone(), "configuration, made"));
    } else if let Some(prefix) = prefix
        && set_prefix(&path, prefix)?
    {
        files.push((path.clone(), "configuration, its IPv6 prefix changed"));
    }
    let psk = psk_file(&path)?;
    if let Some(psk) = psk
        && !psk.exists()
    {
        let text = users::random_text(PSK_LENGTH).map_err(Failure::failed)?;
        write(&psk, &format!("{}\n", *text))?;
        files.push((psk, "pre-shared key, made"));
    }
    let users_file = config::paths(&path)?.users_file;
    let mut user = None;
    let is_empty = match users::read(&users_file, None) {
        Ok(table) => table.users.is_empty(),
        Err(users::FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            true
        }
        Err(error) => return Err(Failure::failed(error)),
    };
    if is_empty {
        let text = users::random_text(PASSWORD_LENGTH).map_err(Failure::failed)?;
        let password = Secret::new(text.as_str());
        users::apply(
            &users_file,
            FIRST_USER,
            &Edit::only(&Change::Add(&password)),
        )
        .map_err(Failure::failed)?;
        files.push((users_file, "users, the first one made"));
        user = Some((FIRST_USER.to_owned(), password));
    }
    Ok(Made {
        config: path,
        files,
        user,
    })
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    let hint = if error.kind() == io::ErrorKind::PermissionDenied {
        ". Run this as root, or name another folder with --dir"
    } else {
        ""
    };
    Failure::failed(format_args!(
        "cannot {what} {}: {error}{hint}",
        path.display()
    ))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    write_private(path, folder, text.as_bytes()).map_err(|error| cannot("write", path, &error))
}

// RFC 4193 section 3: fd, 40 random bits, a /48.
fn unique_local() -> Result<Ipv6Net, Failure> {
    let mut address = [0u8; 16];
    let (global_id, _) = address.split_at_mut(6);
    getrandom::fill(global_id).map_err(Failure::failed)?;
    if let Some(first) = global_id.first_mut() {
        *first = 0xfd;
    }
    Ipv6Net::new(address.into(), 48).map_err(Failure::failed)
}

fn configuration(prefix: Ipv6Net, host: &Host) -> String {
    let pool = pool(&host.routes);
    let (dns4, dns6) = resolvers(&host.resolvers);
    let masquerade = if host.masquerade {
        ""
    } else {
        "# nftables was not installed: with it, take this line out, so that clients reach the internet.\n\
         masquerade = false\n"
    };
    format!(
        "# Made by `adit quickstart`. `adit check` says whether it is right after a change.\n\
         # There are more keys; conf/adit.toml of the distribution explains each and its default.\n\
         \n\
         [ipsec]\n\
         psk = {{ file = \"psk\" }}\n\
         \n\
         # Clients get an IPv4 address from here and reach the internet under this host's.\n\
         [ipv4]\n\
         pool = \"{pool}\"\n\
         dns = [{dns4}]\n\
         {masquerade}\
         \n\
         # Each client gets a /64 of its own out of this prefix, which must be routed to this host.\n\
         [ipv6]\n\
         prefix = \"{prefix}\"\n\
         dns = [{dns6}]\n\
         \n\
         [users]\n\
         file = \"users.toml\"\n"
    )
}

// A pool that no route of this host overlaps.
fn pool(routes: &[Ipv4Net]) -> Ipv4Net {
    let overlaps = |net: &Ipv4Net| {
        routes
            .iter()
            .any(|route| route.contains(net) || net.contains(route))
    };
    let candidates = (77..=254u8)
        .chain(1..77)
        .filter_map(|second| Ipv4Net::new(Ipv4Addr::new(10, second, 0, 0), 16).ok());
    let others = (16..32u8)
        .rev()
        .filter_map(|second| Ipv4Net::new(Ipv4Addr::new(172, second, 0, 0), 16).ok());
    let mut all = candidates.chain(others);
    all.find(|net| !overlaps(net))
        .unwrap_or_else(|| Ipv4Net::new_assert(Ipv4Addr::new(10, 77, 0, 0), 16))
}

// Resolvers of both families, two of each at most, quoted for TOML.
fn resolvers(found: &[IpAddr]) -> (String, String) {
    let mut ipv4: Vec<IpAddr> = found.iter().copied().filter(IpAddr::is_ipv4).collect();
    let mut ipv6: Vec<IpAddr> = found.iter().copied().filter(IpAddr::is_ipv6).collect();
    if ipv4.is_empty() {
        ipv4.push(PUBLIC_DNS4.into());
    }
    if ipv6.is_empty() {
        ipv6.push(PUBLIC_DNS6.into());
    }
    let quoted = |list: Vec<IpAddr>| {
        let list: Vec<String> = list.iter().take(2).map(|a| format!("\"{a}\"")).collect();
        list.join(", ")
    };
    (quoted(ipv4), quoted(ipv6))
}

fn document(path: &Path) -> Result<DocumentMut, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
    // A broken file is reported by the strict reader, with its place and without its secrets.
    text.parse::<DocumentMut>()
        .map_err(|_| match config::load(path) {
            Err(errors) => errors.into(),
            Ok(_) => Failure::failed(format_args!("cannot read {}", path.display())),
        })
}

// The PSK's file, if the configuration names one.
fn psk_file(path: &Path) -> Result<Option<PathBuf>, Failure> {
    let document = document(path)?;
    let name = document
        .get("ipsec")
        .and_then(|ipsec| ipsec.get("psk"))
        .and_then(|psk| psk.get("file"))
        .and_then(Item::as_str);
    let folder = path.parent().unwrap_or(Path::new("."));
    Ok(name.map(|name| folder.join(name)))
}

// Whether something had to be changed.
fn set_prefix(path: &Path, prefix: Ipv6Net) -> Result<bool, Failure> {
    let mut document = document(path)?;
    let wanted = prefix.to_string();
    let has_dns4 = document
        .get("ipv4")
        .and_then(|ipv4| ipv4.get("dns"))
        .is_some();
    let ipv6 = document
        .entry("ipv6")
        .or_insert_with(|| Item::Table(Table::new()))
        .as_table_like_mut()
        .ok_or_else(|| Failure::failed(format_args!("{}: ipv6 is not a table", path.display())))?;
    let is_off = ipv6.get("mode").and_then(Item::as_str) == Some("off");
    if ipv6.get("prefix").and_then(Item::as_str) == Some(wanted.as_str()) && !is_off {
        return Ok(false);
    }
    ipv6.insert("prefix", value(wanted));
    if is_off {
        ipv6.insert("mode", value("routed"));
    }
    // Resolvers in one family only would be refused.
    if has_dns4 && ipv6.get("dns").is_none() {
        let dns: toml_edit::Array = [PUBLIC_DNS6.to_string()].into_iter().collect();
        ipv6.insert("dns", value(dns));
    }
    write(path, &document.to_string())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn host() -> Host {
        Host {
            ipv4: None,
            ipv6: None,
            resolvers: vec!["192.0.2.53".parse().unwrap()],
            masquerade: true,
            routes: vec!["10.77.3.0/24".parse().unwrap()],
        }
    }

    #[test]
    fn without_nftables_the_configuration_says_that_nothing_is_masqueraded() {
        let dir = tempfile::tempdir().unwrap();
        let bare = Host {
            masquerade: false,
            ..host()
        };
        let made = make(dir.path(), None, &bare).unwrap();
        let loaded = config::load(&made.config).unwrap();
        assert!(!loaded.config.ipv4.unwrap().masquerade);
    }

    #[test]
    fn what_is_missing_is_made_once() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("adit");
        let made = make(&dir, None, &host()).unwrap();
        assert_eq!(made.files.len(), 3);
        let (name, password) = made.user.unwrap();
        assert_eq!((name.as_str(), password.expose().len()), ("vpn", 16));
        for file in ["adit.toml", "psk", "users.toml"] {
            let mode = std::fs::metadata(dir.join(file)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let loaded = config::load_with(&made.config, []).unwrap();
        let config = loaded.config;
        assert_eq!(
            config.leases_file,
            made.config.with_file_name("leases.redb")
        );
        assert_eq!(config.ipsec.psk.unwrap().expose().len(), 24);
        let ipv4 = config.ipv4.unwrap();
        assert_eq!(ipv4.pool.to_string(), "10.78.0.0/16");
        assert_eq!(ipv4.dns, [Ipv4Addr::new(192, 0, 2, 53)]);
        let ipv6 = config.ipv6.unwrap();
        assert!(config::is_ula(ipv6.prefix));
        assert_eq!(
            (ipv6.prefix.prefix_len(), ipv6.dns),
            (48, vec![PUBLIC_DNS6])
        );
        // The one warning is about the prefix that is not routed.
        let warnings: Vec<String> = loaded.warnings.iter().map(|w| w.to_string()).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");

        let again = make(&dir, None, &host()).unwrap();
        assert!(again.files.is_empty());
        assert!(again.user.is_none());
    }

    #[test]
    fn a_prefix_given_later_is_written_into_the_configuration() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path();
        let path = dir.join("adit.toml");
        let text = "# mine\n[ipsec]\npsk = { file = \"psk\" }\n[ipv4]\npool = \"10.1.0.0/16\"\n\
                    dns = [\"192.0.2.53\"]\n[ipv6]\nmode = \"off\" # for now\n";
        std::fs::write(&path, text).unwrap();
        let prefix = "2001:db8:77::/48".parse().unwrap();
        let made = make(dir, Some(prefix), &host()).unwrap();
        assert_eq!(made.files.len(), 3);
        let config = config::load_with(&path, []).unwrap().config;
        let ipv6 = config.ipv6.unwrap();
        assert_eq!((ipv6.prefix, ipv6.dns), (prefix, vec![PUBLIC_DNS6]));
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .starts_with("# mine\n")
        );
        assert!(make(dir, Some(prefix), &host()).unwrap().files.is_empty());
    }

    #[test]
    fn unique_local_prefixes_are_random_48s() {
        let (a, b) = (unique_local().unwrap(), unique_local().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.prefix_len(), 48);
        assert_eq!(a.network().octets()[0], 0xfd);
        assert_eq!(a.trunc(), a);
    }
}
