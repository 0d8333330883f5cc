//! The server's side of the admin socket.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Asked, Request, Response};

/// No request is longer, in bytes.
const MAX_REQUEST: u64 = 4_096;
/// A caller that says nothing for so long is hung up on.
const SILENCE: Duration = Duration::from_secs(60);

/// Why the admin socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// A server answers there.
    #[error(
        "another adit is running: it answers on {}. Stop it first, or give this one another \
         admin.socket", path.display()
    )]
    Running {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error(
        "{} is there and is not a socket. Remove it, or set another admin.socket", path.display()
    )]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot open the admin socket {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The open socket; closed and removed when dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    path: PathBuf,
    inode: u64,
    task: JoinHandle<()>,
    /// Requests, one after the other.
    pub requests: mpsc::Receiver<Asked>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        // Only our own: another server may have taken the place meanwhile.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens the admin socket at `path`, mode 0600, its folder made with mode 0700 if it is missing. A
/// socket that a crash left behind is replaced. Must be called on a tokio runtime.
pub(crate) fn listen(path: &Path) -> Result<Listener, ListenError> {
    let failed = |source| ListenError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    remove_stale(path)?;
    // Bound under a name nobody knows and opened to nobody else before it gets its real one, so
    // that there is no moment in which others could connect.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hidden = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let _ = std::fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden).map_err(failed)?;
    let placed = std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&hidden, path))
        .and_then(|()| std::fs::symlink_metadata(path));
    let metadata = placed.map_err(|error| {
        let _ = std::fs::remove_file(&hidden);
        failed(error)
    })?;
    let (sender, requests) = mpsc::channel(16);
    Ok(Listener {
        path: path.to_owned(),
        inode: metadata.ino(),
        task: tokio::spawn(accept(listener, sender)),
        requests,
    })
}

fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    let path = path.to_owned();
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket { path });
    }
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        return Err(ListenError::Running { path });
    }
    std::fs::remove_file(&path).map_err(|source| ListenError::Io { path, source })
}

async fn accept(listener: UnixListener, sender: mpsc::Sender<Asked>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, sender).await {
                        tracing::debug!(%error, "admin connection ended");
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: it passes, and must not spin.
                tracing::warn!(%error, "admin socket: cannot accept");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, sender: mpsc::Sender<Asked>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut reader).take(MAX_REQUEST);
        let read = limited.read_until(b'\n', &mut line);
        let length = match tokio::time::timeout(SILENCE, read).await {
            Ok(length) => length?,
            Err(_) => return Ok(()),
        };
        if length == 0 {
            return Ok(());
        }
        let (response, goes_on) = if line.ends_with(b"\n") {
            (answer(&line, &sender).await, true)
        } else {
            (Response::Error("the request is too long".into()), false)
        };
        let mut text = serde_json::to_vec(&response)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
        if !goes_on {
            return Ok(());
        }
    }
}

async fn answer(line: &[u8], sender: &mpsc::Sender<Asked>) -> Response {
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return Response::Error(format!("not a request: {error}")),
    };
    let (reply, answered) = oneshot::channel();
    if sender.send((request, reply)).await.is_err() {
        return Response::Error("the server is stopping".into());
    }
    match answered.await {
        Ok(response) => response,
        Err(_) => Response::Error("the server is stopping".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::client;

    #[tokio::test]
    async fn requests_reach_the_loop_and_answers_the_caller() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/adit.sock");
        let mut listener = listen(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let folder = std::fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(folder.mode() & 0o777, 0o700);
        let asked = path.clone();
        let caller = tokio::task::spawn_blocking(move || {
            let request = Request::Disconnect {
                name: "alice".into(),
            };
            client::ask(&asked, &request)
        });
        let (request, reply) = listener.requests.recv().await.unwrap();
        assert_eq!(
            request,
            Request::Disconnect {
                name: "alice".into()
            }
        );
        reply.send(Response::Disconnected(vec![3, 4])).unwrap();
        let response = caller.await.unwrap().unwrap();
        assert_eq!(response, Response::Disconnected(vec![3, 4]));

        assert!(matches!(listen(&path), Err(ListenError::Running { .. })));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn junk_is_answered_and_a_flood_hung_up_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("adit.sock");
        let _listener = listen(&path).unwrap();
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream
            .write_all(b"{\"request\":\"reboot\"}\n")
            .await
            .unwrap();
        let mut reader = BufReader::new(&mut stream);
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        assert!(line.contains("not a request"), "{line}");

        let flood = vec![b'x'; MAX_REQUEST as usize];
        stream.write_all(&flood).await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("too long"), "{rest}");
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_but_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("adit.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(listen(&path).unwrap());
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(listen(&path), Err(ListenError::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
