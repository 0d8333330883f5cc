//! The admin socket: a Unix socket that only its owner can open, with one JSON request per line
//! and one JSON answer per line. The server's loop gets each request with a channel for the answer.

pub(crate) mod client;
pub(crate) mod dto;
mod listen;
mod show;

pub(crate) use listen::{ListenError, Listener, listen};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// What the running server can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// What it is and what it counted.
    Status,
    /// Its sessions.
    Sessions,
    /// To end the sessions of a user, or the session of an id.
    Disconnect {
        /// A user's name or a session's id.
        name: String,
    },
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", content = "data", rename_all = "kebab-case")]
pub(crate) enum Response {
    /// To [`Request::Status`].
    Status(Box<dto::Status>),
    /// To [`Request::Sessions`].
    Sessions(Vec<dto::Session>),
    /// To [`Request::Disconnect`]: the ids of the sessions that are being ended, maybe none.
    Disconnected(Vec<u64>),
    /// To anything that cannot be done.
    Error(String),
}

/// A request with the channel for its answer; an answer that nobody waits for may be dropped.
pub(crate) type Asked = (Request, oneshot::Sender<Response>);

/// Whether a session is meant by the name in [`Request::Disconnect`].
pub(crate) fn is_meant(name: &str, info: &adit_server::SessionInfo) -> bool {
    info.user.as_deref() == Some(name) || info.id.to_string() == name
}
