//! The commands that ask the running server.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Request, Response, show};
use crate::cli::{DEFAULT_CONFIG, ServerSocket};
use crate::config;
use crate::{Failure, print_json};

/// Why the server did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody is there.
    #[error(
        "no adit answers on {}: {source}. Is it running (systemctl status adit)? Another socket \
         can be named with --socket", path.display()
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Only its owner may ask.
    #[error("not allowed to ask the server on {}. Run this as root", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The talk broke off.
    #[error("the server on {} did not answer: {source}", path.display())]
    Talk {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Asks the server behind the socket at `path`, and waits up to ten seconds for its answer.
pub(crate) fn ask(path: &Path, request: &Request) -> Result<Response, AskError> {
    let stream = UnixStream::connect(path).map_err(|source| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::PermissionDenied {
            AskError::Denied { path }
        } else {
            AskError::Connect { path, source }
        }
    })?;
    talk(stream, request).map_err(|source| AskError::Talk {
        path: path.to_owned(),
        source,
    })
}

fn talk(stream: UnixStream, request: &Request) -> io::Result<Response> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    (&stream).write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&answer)?)
}

fn socket(server: &ServerSocket) -> Result<PathBuf, Failure> {
    if let Some(socket) = &server.socket {
        return Ok(socket.clone());
    }
    let path = match &server.config {
        Some(path) => path,
        // Without any configuration the server may still run with one from elsewhere.
        None if !Path::new(DEFAULT_CONFIG).exists() => return Ok(config::DEFAULT_SOCKET.into()),
        None => Path::new(DEFAULT_CONFIG),
    };
    Ok(config::paths(path)?.admin_socket)
}

fn asked(server: &ServerSocket, request: &Request) -> Result<Response, Failure> {
    match ask(&socket(server)?, request).map_err(Failure::failed)? {
        Response::Error(message) => Err(Failure::failed(message)),
        response => Ok(response),
    }
}

fn unexpected() -> Failure {
    Failure::failed("the server's answer is for another question; is it of this version?")
}

/// `adit status`.
pub(crate) fn status(server: &ServerSocket, json: bool) -> Result<(), Failure> {
    let Response::Status(status) = asked(server, &Request::Status)? else {
        return Err(unexpected());
    };
    if json {
        return print_json(&status);
    }
    print!("{}", show::status(&status));
    Ok(())
}

/// `adit sessions`.
pub(crate) fn sessions(server: &ServerSocket, json: bool) -> Result<(), Failure> {
    let Response::Sessions(sessions) = asked(server, &Request::Sessions)? else {
        return Err(unexpected());
    };
    if json {
        return print_json(&sessions);
    }
    print!("{}", show::sessions(&sessions));
    Ok(())
}

/// `adit disconnect`.
pub(crate) fn disconnect(server: &ServerSocket, name: String, json: bool) -> Result<(), Failure> {
    let request = Request::Disconnect { name: name.clone() };
    let Response::Disconnected(ids) = asked(server, &request)? else {
        return Err(unexpected());
    };
    if json {
        print_json(&ids)?;
    }
    if ids.is_empty() {
        return Err(Failure::failed(format_args!(
            "{name:?} is neither a user with a session nor a session's id. See: adit sessions"
        )));
    }
    if !json {
        for id in ids {
            println!("session {id} is being disconnected");
        }
    }
    Ok(())
}
