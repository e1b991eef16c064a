//! Listeners that pass from a process to its successor, with the connections that wait in them.
//!
//! ```text
//! successor                 predecessor
//!     │ ── connects ──────────► │   both accept from now on: one queue, two who take from it
//!     │ ◄── names, listeners ── │
//!     │ ── ready ─────────────► │   accepts no more, and carries to the end what it has
//! ```
//!
//! The descriptors themselves are passed (`SCM_RIGHTS`, unix(7)). Two listeners on one port
//! (`SO_REUSEPORT`) would do without a word between the processes, but each has a queue of its own
//! there, and closing one resets the connections that wait in it, unless the network namespace was
//! told otherwise (`tcp_migrate_req`, ip-sysctl).
//!
//! A successor that fails before it is ready changes nothing.

mod message;

use std::fs::Permissions;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// How long a step of the other process may take, the start of a successor included.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a successor says when it accepts.
const READY: &[u8] = b"ready\n";

/// Passing listeners failed.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// There is no place to meet.
    #[error("cannot listen for a successor at `{}`", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The predecessor is there, and does not answer as one.
    #[error("the process at `{}` does not hand over its listeners: {reason}", path.display())]
    Predecessor {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Waits for a successor at a path.
#[derive(Debug)]
pub struct Offer {
    listener: UnixListener,
    owner: u32,
    listeners: Vec<(String, OwnedFd)>,
}

impl Offer {
    /// Offers listeners by their names at a path, where whoever was there before is not met any more.
    ///
    /// # Errors
    ///
    /// When the path cannot be listened on.
    pub fn at(path: &Path, listeners: Vec<(String, OwnedFd)>) -> Result<Self, HandoverError> {
        let bound = bind(path).map_err(|error| HandoverError::Listen {
            path: path.to_owned(),
            error,
        });
        let (listener, owner) = bound?;
        Ok(Self {
            listener,
            owner,
            listeners,
        })
    }

    /// Waits until a successor accepts connections. May be dropped at any time; then there is none.
    pub async fn taken(&self) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Want of descriptors, mostly: the successor tries again.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            match timeout(PATIENCE, self.serve(stream)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    tracing::warn!(error = error.to_string(), "a successor did not take over");
                }
                Err(_) => tracing::warn!("a successor did not take over in time"),
            }
        }
    }

    async fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        let user = stream.peer_cred()?.uid();
        if user != self.owner && user != 0 {
            let text = format!("user {user} is not who this process runs as");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let sent = || message::send(&stream, &self.listeners);
        stream.async_io(Interest::WRITABLE, sent).await?;
        let mut answer = [0; READY.len()];
        stream.read_exact(&mut answer).await?;
        if answer != READY {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // So that the successor knows that it is alone.
        stream.write_all(READY).await
    }
}

/// Listens beside the path, and is there in one step, for its owner alone.
fn bind(path: &Path) -> io::Result<(UnixListener, u32)> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
    let owner = std::fs::metadata(&beside)?.uid();
    std::fs::rename(&beside, path)?;
    Ok((listener, owner))
}

/// What a predecessor handed over.
#[derive(Debug)]
pub struct Inheritance {
    path: PathBuf,
    stream: UnixStream,
    listeners: Vec<(String, TcpListener)>,
}

impl Inheritance {
    /// Asks a predecessor at a path for its listeners; `None` when nobody is there.
    ///
    /// # Errors
    ///
    /// When somebody is there and does not hand them over.
    pub async fn from(path: &Path) -> Result<Option<Self>, HandoverError> {
        let failed = |reason: String| HandoverError::Predecessor {
            path: path.to_owned(),
            reason,
        };
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        let received = stream.async_io(Interest::READABLE, || message::receive(&stream));
        let listeners = match timeout(PATIENCE, received).await {
            Ok(Ok(listeners)) => listeners,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed(format!("no answer within {}s", PATIENCE.as_secs()))),
        };
        Ok(Some(Self {
            path: path.to_owned(),
            stream,
            listeners,
        }))
    }

    /// One of the listeners, once.
    pub fn take(&mut self, name: &str) -> Option<TcpListener> {
        let place = self.listeners.iter().position(|(n, _)| n == name)?;
        Some(self.listeners.swap_remove(place).1)
    }

    /// Says that connections are accepted here, and waits until the predecessor accepts no more.
    /// What was not taken is closed, and refuses connections from then on.
    ///
    /// # Errors
    ///
    /// When the predecessor is gone, or does not answer. The listeners are here all the same.
    pub async fn ready(mut self) -> Result<(), HandoverError> {
        let told = async {
            self.stream.write_all(READY).await?;
            let mut answer = [0; READY.len()];
            self.stream.read_exact(&mut answer).await.map(|_| ())
        };
        let reason = match timeout(PATIENCE, told).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {}s", PATIENCE.as_secs()),
        };
        Err(HandoverError::Predecessor {
            path: self.path,
            reason,
        })
    }
}

#[cfg(test)]
mod tests;
