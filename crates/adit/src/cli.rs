//! The command line: what can be said and what each word means. Exit statuses: 0 done, 1 it
//! failed, 2 the command line is wrong (clap's own), 3 the configuration is wrong.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ipnet::Ipv6Net;

use crate::{bench, connect, demo, probe};

/// Where the configuration is unless `--config` says otherwise.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/adit/adit.toml";

/// Where `adit quickstart` makes its files unless `--dir` says otherwise.
pub(crate) const DEFAULT_DIR: &str = "/etc/adit";

/// adit: an L2TP/IPsec VPN server that carries IPv4 and IPv6.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make what is missing (configuration, PSK, first user), print how to connect, and serve
    Quickstart(Quickstart),
    /// Run the server in the foreground
    Serve {
        /// Which configuration to use.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Validate the configuration: problems with file, line, column, and what to write instead
    Check {
        /// Which configuration to check.
        #[command(flatten)]
        config: ConfigFile,
        /// Print the problems as JSON
        #[arg(long)]
        json: bool,
    },
    /// Add, remove and list users, change passwords
    User {
        /// What to do with whom.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Ask any L2TP/IPsec server, phase by phase, what it offers and negotiates
    Probe(probe::Options),
    /// Show a server, a client and a host behind the server at work, in network namespaces of their own
    Demo(demo::Options),
    /// Connect this host to a server, both families, on a TUN interface of its own
    Connect(connect::Options),
    /// Load any L2TP/IPsec server with many sessions, and measure set-ups, loss, latency and rate
    Bench(bench::Options),
    /// Show what the running server is and what it counted
    Status {
        /// Which server to ask.
        #[command(flatten)]
        server: ServerSocket,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the sessions of the running server
    Sessions {
        /// Which server to ask.
        #[command(flatten)]
        server: ServerSocket,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End the sessions of a user, or one session by its id
    Disconnect {
        /// Which server to ask.
        #[command(flatten)]
        server: ServerSocket,
        /// A user's name or a session's id, as `adit sessions` shows them
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `adit quickstart`.
#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// The name or address that clients will connect to [default: found on this host]
    #[arg(long, value_name = "NAME-or-ADDRESS")]
    pub public: Option<String>,
    /// An IPv6 prefix that is routed to this host, such as 2001:db8:77::/56
    #[arg(long, value_name = "P")]
    pub ipv6_prefix: Option<Ipv6Net>,
    /// The folder of the configuration
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub dir: PathBuf,
    /// Make the files and print the page, but do not serve
    #[arg(long)]
    pub no_serve: bool,
}

/// `--config`, shared by the commands that read it.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
}

/// How a command finds the running server.
#[derive(Debug, Args)]
pub(crate) struct ServerSocket {
    /// The configuration of the server to ask (its `admin.socket`) [default: /etc/adit/adit.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The server's admin socket, instead of the one in the configuration
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    pub socket: Option<PathBuf>,
}

/// Where the users are.
#[derive(Debug, Args)]
pub(crate) struct UsersFile {
    /// The configuration that names the users file [default: /etc/adit/adit.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The users file itself, instead of the one in the configuration
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub file: Option<PathBuf>,
}

/// `adit user ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user; the password is asked for, or read as one line from standard input
    Add {
        /// The user's name, as typed into the client
        name: String,
        /// How the password is made and kept.
        #[command(flatten)]
        password: PasswordOptions,
        /// What the user has.
        #[command(flatten)]
        rights: Rights,
        /// Which users file.
        #[command(flatten)]
        users: UsersFile,
    },
    /// Change what a user has; "none" takes it away
    Set {
        /// The user's name
        name: String,
        /// What changes.
        #[command(flatten)]
        rights: Rights,
        /// Which users file.
        #[command(flatten)]
        users: UsersFile,
    },
    /// Change a user's password
    Passwd {
        /// The user's name
        name: String,
        /// How the password is made and kept.
        #[command(flatten)]
        password: PasswordOptions,
        /// Which users file.
        #[command(flatten)]
        users: UsersFile,
    },
    /// Remove a user; running sessions end within seconds
    Remove {
        /// The user's name
        name: String,
        /// Which users file.
        #[command(flatten)]
        users: UsersFile,
    },
    /// List the users
    List {
        /// Which users file.
        #[command(flatten)]
        users: UsersFile,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add, change, remove and list groups
    #[command(subcommand)]
    Group(GroupCommand),
}

/// `adit user group ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Add a group; `adit user set NAME --group` puts users into it
    Add {
        /// The group's name
        name: String,
        /// What its members have.
        #[command(flatten)]
        rights: GroupRights,
        /// Which users file.
        #[command(flatten)]
        users: UsersFile,
    },
    /// Change what the members of a group have; "none" takes it away
    Set {
        /// The group's name
        name: String,
        /// What changes.
        #[command(flatten)]
        rights: GroupRights,
        /// Which users file.
        #[command(flatten)]
        users: UsersFile,
    },
    /// Remove a group that nobody is in any more
    Remove {
        /// The group's name
        name: String,
        /// Which users file.
        #[command(flatten)]
        users: UsersFile,
    },
    /// List the groups
    List {
        /// Which users file.
        #[command(flatten)]
        users: UsersFile,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What the members of a group have.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GroupRights {
    /// Where the tunnel leads, with commas between: networks of both families, or "all"
    #[arg(long, value_name = "NETWORKS")]
    pub routes: Option<String>,
    /// What they have as users do.
    #[command(flatten)]
    pub limits: Limits,
}

/// What a user has beside a password.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Rights {
    /// An address of ipv4.pool that nobody else gets
    #[arg(long, value_name = "ADDRESS")]
    pub ipv4: Option<String>,
    /// A client prefix of ipv6.prefix that nobody else gets
    #[arg(long, value_name = "PREFIX")]
    pub ipv6_prefix: Option<String>,
    /// A prefix of ipv6.delegate that nobody else gets, for a router
    #[arg(long, value_name = "PREFIX")]
    pub delegated_prefix: Option<String>,
    /// A group, which `adit user group add` makes
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// What groups have as well.
    #[command(flatten)]
    pub limits: Limits,
}

/// What a user has, or each member of a group.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Limits {
    /// Most sessions at once
    #[arg(long, value_name = "NUMBER")]
    pub sessions: Option<String>,
    /// How much all sessions of a user may send a second together, and get, such as 50Mbit
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// A day through which access lasts (UTC), or a time with its offset
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
    /// Keep out; running sessions end within seconds
    #[arg(long, conflicts_with = "enable")]
    pub disable: bool,
    /// Let in again
    #[arg(long)]
    pub enable: bool,
}

/// How a password is made and kept.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PasswordOptions {
    /// Make a random password and print it
    #[arg(long)]
    pub generate: bool,
    /// Keep the password itself, not only its hash: CHAP-MD5 (`ppp.auth = ["chap"]`) needs it
    #[arg(long)]
    pub clear: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_socket_and_a_configuration_exclude_each_other() {
        assert!(Cli::try_parse_from(["adit", "status", "--socket", "a", "--config", "b"]).is_err());
        assert!(
            Cli::try_parse_from(["adit", "quickstart", "--ipv6-prefix", "10.0.0.0/8"]).is_err()
        );
    }
}
