//! The server and the client of the demo: this program once more, in its namespaces, on a folder that
//! is removed at the end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use adit_io::namespace::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::network::SERVER;
use crate::Failure;
use crate::admin::dto::Session;
use crate::admin::{Request, Response, client};
use crate::config::Secret;
use crate::users::{self, Change, Edit, random_text};

const USER: &str = "demo";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(20);

const CONFIG: &str = r#"
[ipsec]
psk = { file = "psk" }
[ipv4]
pool = "10.77.0.0/16"
dns = ["10.77.0.1"]
masquerade = false
[ipv6]
prefix = "2001:db8:77::/48"
dns = ["2001:db8:77::1"]
[users]
file = "users.toml"
"#;

/// The folder with configuration, secrets and logs.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Result<Self, Failure> {
        let folder = Self(TempDir::with_prefix("adit-demo-").map_err(Failure::failed)?);
        let socket = folder.path("adit.sock");
        let admin = format!(
            "[leases]\nfile = \"leases.redb\"\n[admin]\nsocket = {:?}\n",
            socket.display().to_string()
        );
        folder.write("adit.toml", &format!("{CONFIG}{admin}"))?;
        folder.write("psk", &random_text(32).map_err(Failure::failed)?)?;
        let password = random_text(20).map_err(Failure::failed)?;
        folder.write("password", &password)?;
        let add = Change::Add(&Secret::new(password.as_str()));
        users::apply(&folder.path("users.toml"), USER, &Edit::only(&add))
            .map_err(Failure::failed)?;
        Ok(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let written = users::write_private(&self.path(name), self.0.path(), text.as_bytes());
        written.map_err(Failure::failed)
    }
}

/// A running program, ended with this object.
pub(super) struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// The server, once it is ready.
    pub(super) fn serve(folder: &Folder, namespace: &Namespace) -> Result<Self, Failure> {
        let config = folder.path("adit.toml").display().to_string();
        let args = vec!["serve".into(), "--config".into(), config];
        let mut program = Self::start("serve", args, folder, namespace)?;
        program.wait(|log| log.contains(" ready "))?;
        Ok(program)
    }

    /// The client, once both families are up.
    pub(super) fn connect(folder: &Folder, namespace: &Namespace) -> Result<Self, Failure> {
        let file = |name| folder.path(name).display().to_string();
        let args = vec![
            "connect".into(),
            SERVER.to_string(),
            "--user".into(),
            USER.into(),
            "--password-file".into(),
            file("password"),
            "--psk-file".into(),
            file("psk"),
            // The resolvers are the host's, whatever the namespace.
            "--no-dns".into(),
        ];
        let mut program = Self::start("connect", args, folder, namespace)?;
        program.wait(|log| log.contains("IPv4 up") && log.contains("IPv6 up"))?;
        Ok(program)
    }

    fn start(
        name: &'static str,
        args: Vec<String>,
        folder: &Folder,
        namespace: &Namespace,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::failed(format_args!("adit {name}: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let log = folder.path(&format!("{name}.log"));
        let sink = File::create(&log).map_err(failed)?;
        let child = namespace.run(move || {
            Command::new(program)
                .args(args)
                .env_remove("RUST_LOG")
                .env_remove("JOURNAL_STREAM")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(sink)
                .spawn()
        });
        Ok(Self {
            name,
            child: child.map_err(failed)?.map_err(failed)?,
            log,
        })
    }

    /// Waits for something in its log.
    fn wait(&mut self, done: impl Fn(&str) -> bool) -> Result<(), Failure> {
        let begin = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log).map_err(Failure::failed)?;
            if done(&log) {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(Failure::failed)?;
            if ended.is_some() || begin.elapsed() > PATIENCE {
                return Err(Failure::failed(format_args!(
                    "`adit {}` does not come up:\n{log}",
                    self.name
                )));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Asks it to end, and says whether it ended well.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id()).map_err(Failure::failed)?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(Failure::failed)?;
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().map_err(Failure::failed)? {
                if status.success() {
                    return Ok(());
                }
                break;
            }
            std::thread::sleep(LOOK);
        }
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        Err(Failure::failed(format_args!(
            "`adit {}` did not end well:\n{log}",
            self.name
        )))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The client's session, as the server has it.
pub(super) fn session(folder: &Folder) -> Result<Session, Failure> {
    match ask(&folder.path("adit.sock"), &Request::Sessions)? {
        Response::Sessions(sessions) => sessions
            .into_iter()
            .next()
            .ok_or_else(|| Failure::failed("the server knows of no session")),
        _ => Err(Failure::failed("the server does not say what it holds")),
    }
}

/// How many sessions, SAs and leases the server holds. A tunnel outlives its end, to repeat the
/// acknowledgement.
pub(super) fn held(folder: &Folder) -> Result<usize, Failure> {
    match ask(&folder.path("adit.sock"), &Request::Status)? {
        Response::Status(status) => {
            let now = &status.gauges;
            Ok(now.sessions + now.esp_sas + now.leases_ipv4 + now.leases_ipv6)
        }
        _ => Err(Failure::failed("the server does not say what it holds")),
    }
}

fn ask(socket: &Path, request: &Request) -> Result<Response, Failure> {
    client::ask(socket, request).map_err(Failure::failed)
}
