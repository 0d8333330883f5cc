//! The page that `adit quickstart` prints: what to type into each system.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::{Ipv4Net, Ipv6Net};

use super::quote;
use crate::config::Secret;

/// How clients reach this host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// By the name or address that the operator gave.
    Told(String),
    /// By the public address that was found.
    Found(IpAddr),
    /// Through a NAT in front of this private address.
    BehindNat(IpAddr),
    /// Nothing was found.
    Unknown,
}

/// The first user's password.
pub(super) enum Password {
    /// Made just now.
    Fresh(Secret),
    /// Only its hash is kept.
    Kept,
}

/// What IPv6 the clients get.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ipv6 {
    /// A prefix each, of this length, out of a routed one.
    Routed {
        /// The whole.
        prefix: Ipv6Net,
        /// A client's length.
        each: u8,
    },
    /// Unique local addresses.
    Inside {
        /// The whole.
        prefix: Ipv6Net,
        /// This host's own public address, if it has one.
        host: Option<Ipv6Addr>,
    },
    /// None.
    Off,
}

/// Everything that the page tells.
pub(super) struct Page {
    /// Files that were made or changed.
    pub(super) files: Vec<(PathBuf, &'static str)>,
    pub(super) reach: Reach,
    pub(super) psk: Secret,
    pub(super) user: String,
    pub(super) password: Password,
    pub(super) ipv4_pool: Option<Ipv4Net>,
    /// Whether the pool reaches the internet under this host's address.
    pub(super) masquerade: bool,
    pub(super) ipv6: Ipv6,
    pub(super) dir: PathBuf,
    /// False where others would read along.
    pub(super) show_secrets: bool,
}

impl Page {
    fn server(&self) -> String {
        match &self.reach {
            Reach::Told(name) => name.clone(),
            Reach::Found(address) => address.to_string(),
            Reach::BehindNat(_) | Reach::Unknown => "SERVER".to_owned(),
        }
    }

    fn psk(&self) -> &str {
        if self.show_secrets {
            self.psk.expose()
        } else {
            "PSK"
        }
    }

    fn password(&self) -> &str {
        match &self.password {
            Password::Fresh(password) if self.show_secrets => password.expose(),
            _ => "PASSWORD",
        }
    }

    fn facts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let server = match &self.reach {
            Reach::Told(name) => name.clone(),
            Reach::Found(address) => {
                format!("{address}   (found here; --public NAME names another)")
            }
            Reach::BehindNat(_) | Reach::Unknown => {
                "SERVER   (the public name or address; --public NAME fills it in)".to_owned()
            }
        };
        writeln!(f, "  Server     {server}")?;
        if self.show_secrets {
            writeln!(f, "  PSK        {}", self.psk.expose())?;
        } else {
            writeln!(f, "  PSK        as set in {}", self.dir.display())?;
        }
        writeln!(f, "  User       {}", self.user)?;
        match &self.password {
            Password::Fresh(password) if self.show_secrets => writeln!(
                f,
                "  Password   {}   (shown only now: just its hash is kept)",
                password.expose()
            ),
            _ => writeln!(
                f,
                "  Password   as set; a new one with: adit user passwd {} --file {}",
                quote::shell(&self.user),
                self.dir.join("users.toml").display()
            ),
        }
    }

    fn nat(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.reach {
            Reach::BehindNat(address) => writeln!(
                f,
                "This host's address {address} is private: it is behind a NAT. Forward UDP 500 and \
                 UDP 4500\nfrom the router to it, and give clients the router's public name or \
                 address.\n"
            ),
            Reach::Unknown => writeln!(
                f,
                "No address toward the internet was found here: is there a default route?\n"
            ),
            Reach::Told(_) | Reach::Found(_) => Ok(()),
        }
    }

    fn systems(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let server = self.server();
        let (psk, password) = (self.psk(), self.password());
        let ps = quote::powershell;
        writeln!(
            f,
            "Windows: in PowerShell (or Settings > Network & internet > VPN > Add VPN, type\n\
             \"L2TP/IPsec with pre-shared key\", sign-in \"User name and password\")\n\
             \x20 Add-VpnConnection -Name adit -ServerAddress {} -TunnelType L2tp -L2tpPsk {} \
             -AuthenticationMethod MSChapv2 -EncryptionLevel Required -RememberCredential -Force\n\
             \x20 rasdial adit {} {}\n",
            ps(&server),
            ps(psk),
            ps(&self.user),
            ps(password)
        )?;
        writeln!(
            f,
            "macOS: System Settings > VPN > Add VPN Configuration > L2TP over IPSec\n\
             \x20 Server name, Account name and Password as above; User authentication: Password;\n\
             \x20 Machine authentication: Shared secret, the PSK; Group name: empty;\n\
             \x20 Options > Send all traffic over VPN connection: on\n"
        )?;
        writeln!(
            f,
            "iPhone, iPad: Settings > General > VPN & Device Management > VPN > Add > Type: L2TP\n\
             \x20 Server, Account and Password as above; Secret: the PSK; RSA SecurID: off;\n\
             \x20 Send All Traffic: on\n"
        )?;
        let nm = quote::nmcli;
        let data = format!(
            "gateway={}, user={}, ipsec-enabled=yes, machine-auth-type=psk, mtu=1400, mru=1400",
            nm(&server),
            nm(&self.user)
        );
        let secrets = format!("password={}, ipsec-psk={}", nm(password), nm(psk));
        writeln!(
            f,
            "Linux: install NetworkManager-l2tp (Debian, Ubuntu: network-manager-l2tp-gnome), then\n\
             \x20 nmcli connection add type vpn con-name adit ifname '*' vpn-type l2tp \
             vpn.data {} vpn.secrets {}\n\
             \x20 nmcli connection up adit\n\
             \x20 Or in GNOME Settings > Network > VPN > + or KDE System Settings > Connections > +:\n\
             \x20 Layer 2 Tunneling Protocol (L2TP); the PSK goes into IPsec Settings\n",
            quote::shell(&data),
            quote::shell(&secrets)
        )
    }

    fn addresses(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.ipv4_pool {
            Some(pool) if self.masquerade => writeln!(
                f,
                "IPv4: clients get an address from {pool} and the internet under this host's address."
            )?,
            Some(pool) => writeln!(
                f,
                "IPv4: clients get an address from {pool} but not the internet: nothing translates it. \
                 For that\n\
                 \x20 install nftables (`apt-get install nftables`) and take masquerade = false out \
                 of {}",
                self.dir.join("adit.toml").display()
            )?,
            None => writeln!(f, "IPv4: not inside the tunnel.")?,
        }
        match &self.ipv6 {
            Ipv6::Routed { prefix, each } => writeln!(
                f,
                "IPv6: each client gets a /{each} out of {prefix}, which must be routed to this host."
            ),
            Ipv6::Inside { prefix, host } => {
                writeln!(
                    f,
                    "IPv6: inside only. {prefix} was made up (RFC 4193) and is not routed on the \
                     internet;\n\
                     \x20 clients reach the internet over IPv4. For IPv6 everywhere ask the \
                     provider for"
                )?;
                match host {
                    Some(address) => writeln!(
                        f,
                        "\x20 \"a routed /56 or /48 to this server's address {address}\" (whether one \
                         is routed\n\
                         \x20 here already cannot be seen from the host), then:"
                    )?,
                    None => writeln!(
                        f,
                        "\x20 IPv6 with \"a routed /56 or /48 to this server's address\" (this host \
                         has no\n\
                         \x20 public IPv6 address yet), then:"
                    )?,
                }
                writeln!(f, "\x20 adit quickstart --ipv6-prefix PREFIX")
            }
            Ipv6::Off => writeln!(
                f,
                "IPv6: off. With a prefix that is routed to this host:\n\
                 \x20 adit quickstart --ipv6-prefix PREFIX"
            ),
        }
    }
}

impl Display for Page {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (path, what) in &self.files {
            writeln!(f, "{}   ({what})", path.display())?;
        }
        if !self.files.is_empty() {
            writeln!(f)?;
        }
        writeln!(f, "How to connect: L2TP/IPsec with a pre-shared key\n")?;
        self.facts(f)?;
        writeln!(f)?;
        self.nat(f)?;
        self.systems(f)?;
        self.addresses(f)?;
        write!(
            f,
            "\nFirewall: let in UDP 500 and UDP 4500. More users: adit user add NAME. Who is \
             connected: adit sessions"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page {
            files: vec![("/etc/adit/psk".into(), "pre-shared key, made")],
            reach: Reach::Told("vpn.example.com".into()),
            psk: Secret::new("PresharedKeyText"),
            user: "vpn".into(),
            password: Password::Fresh(Secret::new("FreshPassword")),
            ipv4_pool: Some("10.77.0.0/16".parse().unwrap()),
            masquerade: true,
            ipv6: Ipv6::Routed {
                prefix: "2001:db8:77::/48".parse().unwrap(),
                each: 64,
            },
            dir: "/etc/adit".into(),
            show_secrets: true,
        }
    }

    #[test]
    fn the_page_of_a_routed_server() {
        insta::assert_snapshot!(page().to_string());
    }

    #[test]
    fn the_page_behind_a_nat_with_a_made_up_prefix() {
        let page = Page {
            files: Vec::new(),
            reach: Reach::BehindNat("192.168.1.5".parse().unwrap()),
            password: Password::Kept,
            ipv6: Ipv6::Inside {
                prefix: "fd12:3456:789a::/48".parse().unwrap(),
                host: Some("2001:db8::5".parse().unwrap()),
            },
            ..page()
        };
        insta::assert_snapshot!(page.to_string());
    }

    #[test]
    fn secrets_stay_out_of_a_journal() {
        let page = Page {
            show_secrets: false,
            ..page()
        };
        let text = page.to_string();
        assert!(!text.contains("PresharedKeyText"), "{text}");
        assert!(!text.contains("FreshPassword"), "{text}");
    }
}
