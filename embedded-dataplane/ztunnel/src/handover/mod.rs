//! Listeners that pass from a process to its successor, with the connections that wait in them.
//!
//! ```text
//! successor                 predecessor
//!     │ ── connects ──────────► │
//!     │ ◄── names, listeners ── │   it gets ready, and waits for successors beside the path itself
//!     │                         │   it accepts: one queue, two who take from it
//!     │ ── ready ─────────────► │   puts it in place at the path
//!     │ ◄── ready ───────────── │   accepts no more, and carries to the end what it has
//! ```
//!
//! The descriptors themselves are passed (`SCM_RIGHTS`, unix(7)). Two listeners on one port
//! (`SO_REUSEPORT`) would do without a word between the processes, but each has a queue of its own
//! there, and closing one resets the connections that wait in it, unless the network namespace was
//! told otherwise (`tcp_migrate_req`, ip-sysctl).
//!
//! A successor that fails before it is ready changes nothing: the path leads to the predecessor until
//! then. One that takes too long is told so, and is not to go on.

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

/// What a successor says when it is ready, and is answered when its predecessor accepts no more.
const READY: &[u8] = b"ready\n";

/// What a successor is told that was not ready in time.
const LATE: &[u8] = b"late.\n";

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
    /// The predecessor did not wait any longer, and goes on.
    #[error("the process at `{}` did not wait any longer, and goes on itself", path.display())]
    Late {
        /// Where.
        path: PathBuf,
    },
}

/// Waits for a successor: beside a path at first, and at the path from when it is put in place.
#[derive(Debug)]
pub struct Offer {
    path: PathBuf,
    listener: UnixListener,
    listeners: Vec<(String, OwnedFd)>,
    /// Which file it is, by device and number.
    file: (u64, u64),
    trusted: Users,
}

impl Offer {
    /// Makes ready to offer listeners by their names at a path.
    ///
    /// # Errors
    ///
    /// When nobody can listen there.
    pub fn beside(path: &Path, listeners: Vec<(String, OwnedFd)>) -> Result<Self, HandoverError> {
        let bound = bind(&beside(path)).map_err(|error| HandoverError::Listen {
            path: path.to_owned(),
            error,
        });
        let (listener, file) = bound?;
        Ok(Self {
            path: path.to_owned(),
            listener,
            listeners,
            file,
            trusted: trusted(),
        })
    }

    /// Is met at the path from now on, and whoever was there before is not any more.
    ///
    /// # Errors
    ///
    /// When the path is not to be had.
    pub fn put_in_place(&self) -> Result<(), HandoverError> {
        let renamed = std::fs::rename(beside(&self.path), &self.path);
        let placed = match file(&self.path) {
            // The predecessor may have done it.
            Ok(file) if file == self.file => return Ok(()),
            Ok(_) => renamed.and(Err(io::ErrorKind::AlreadyExists.into())),
            Err(error) => Err(error),
        };
        placed.map_err(|error| HandoverError::Listen {
            path: self.path.clone(),
            error,
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
            match self.serve(stream).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(
                    error = error.to_string(),
                    "a successor did not take over, and this process goes on"
                ),
            }
        }
    }

    async fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        check(&stream, self.trusted)?;
        let readied = timeout(PATIENCE, async {
            let sent = || message::send(&stream, &self.listeners);
            stream.async_io(Interest::WRITABLE, sent).await?;
            let mut answer = [0; READY.len()];
            stream.read_exact(&mut answer).await?;
            io::Result::Ok(answer)
        });
        match readied.await {
            Ok(Ok(answer)) if answer == READY => {}
            Ok(Ok(_)) => return Err(io::Error::other("it said something else than `ready`")),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(io::Error::other("it ended before it was ready"));
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                // Fails where it is gone, and then it knows.
                let _ = stream.try_write(LATE);
                let text = format!("it was not ready within {}s", PATIENCE.as_secs());
                return Err(io::Error::other(text));
            }
        }
        // Whoever comes next is to find the successor. Where this fails, that tells of it.
        let _ = std::fs::rename(beside(&self.path), &self.path);
        // So that the successor knows that it is alone.
        stream.write_all(READY).await
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let beside = beside(&self.path);
        if file(&beside).is_ok_and(|file| file == self.file) {
            // Where it stays, the next that listens there removes it.
            let _ = std::fs::remove_file(beside);
        }
    }
}

/// Where a process waits for successors until it is one. There is one at a time, because the
/// predecessor has to do with one at a time.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".next");
    beside.into()
}

/// Listens at a path, for the owner alone. Tells which file that is.
fn bind(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok((listener, file(path)?))
}

fn file(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whom descriptors are given to and taken from: the own user, and root.
type Users = [u32; 2];

fn trusted() -> Users {
    [rustix::process::geteuid().as_raw(), 0]
}

fn check(stream: &UnixStream, trusted: Users) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    if trusted.contains(&user) {
        return Ok(());
    }
    let [own, _] = trusted;
    let text = format!("it runs as user {user}, and this process as {own}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
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
        Self::of(path, trusted()).await
    }

    async fn of(path: &Path, trusted: Users) -> Result<Option<Self>, HandoverError> {
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
        check(&stream, trusted).map_err(|error| failed(error.to_string()))?;
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

    /// Says that everything is ready here, and waits until the predecessor accepts no more. What was
    /// not taken is closed, and refuses connections from then on.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Late`] when the predecessor goes on, and nobody else is to accept. Otherwise it
    /// is gone, or does not answer, and the listeners are here all the same.
    pub async fn ready(mut self) -> Result<(), HandoverError> {
        let told = async {
            // A predecessor that is gone may have said something before.
            let written = self.stream.write_all(READY).await;
            let mut answer = [0; READY.len()];
            let read = self.stream.read_exact(&mut answer).await;
            read.map_err(|error| written.err().unwrap_or(error))?;
            io::Result::Ok(answer)
        };
        let reason = match timeout(PATIENCE, told).await {
            Ok(Ok(answer)) if answer == READY => return Ok(()),
            Ok(Ok(answer)) if answer == LATE => {
                return Err(HandoverError::Late { path: self.path });
            }
            Ok(Ok(_)) => "it said something else than `ready`".to_owned(),
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
