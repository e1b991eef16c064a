//! Listeners that pass from a process to its successor, with the connections that wait in them.
//!
//! ```text
//! successor                 predecessor
//!     │ ── connects, asks ────► │
//!     │ ◄── names, listeners ── │   it gets ready
//!     │ ── ready ─────────────► │   accepts no more, and carries to the end what it has
//!     │ ◄── ready ───────────── │
//!     │                         │   it accepts what has waited
//! ```
//!
//! The descriptors themselves are passed (`SCM_RIGHTS`, unix(7)). Two listeners on one port
//! (`SO_REUSEPORT`) would do without a word between the processes, but each has a queue of its own
//! there, and closing one resets the connections that wait in it, unless the network namespace was
//! told otherwise (`tcp_migrate_req`, ip-sysctl).
//!
//! The listener at the path is passed with the others. So whoever serves is met there at any time, and
//! a successor that fails changes nothing, however far it came. One that takes too long is told so, and
//! one that gets no answer lets its predecessor know: it is never the case that both go on.

mod message;

use std::fs::Permissions;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as Meeting;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// How long whoever has come may take to ask: they do so at once, and others wait behind them.
const ASKING: Duration = Duration::from_secs(1);

/// How long a step of the other process may take, the start of a successor included.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name of the listener that successors are met by.
const SUCCESSORS: &str = "successors";

/// What a successor says that wants the listeners.
const ASK: &[u8] = b"ask\n";

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
    /// The predecessor ended without a word.
    #[error("the process at `{}` is gone: {reason}", path.display())]
    Gone {
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

/// Whether somebody is at a path, who is asked for nothing.
pub async fn is_somebody_at(path: &Path) -> bool {
    let met = UnixStream::connect(path).await;
    !met.is_err_and(|error| is_nobody(&error))
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Waits for a successor.
#[derive(Debug)]
pub struct Offer {
    listener: UnixListener,
    listeners: Vec<(String, OwnedFd)>,
    trusted: Users,
}

impl Offer {
    /// Offers listeners by their names at a path, where nobody is.
    ///
    /// # Errors
    ///
    /// When nobody can listen there.
    pub fn at(path: &Path, listeners: Vec<(String, OwnedFd)>) -> Result<Self, HandoverError> {
        Self::of(bind(path), path, listeners)
    }

    /// Offers listeners where the predecessor does, and answers when it does not any more.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn after(
        predecessor: &Inheritance,
        listeners: Vec<(String, OwnedFd)>,
    ) -> Result<Self, HandoverError> {
        let meeting = predecessor.meeting.try_clone();
        let listener = meeting.and_then(UnixListener::from_std);
        Self::of(listener, &predecessor.path, listeners)
    }

    fn of(
        listener: io::Result<UnixListener>,
        path: &Path,
        listeners: Vec<(String, OwnedFd)>,
    ) -> Result<Self, HandoverError> {
        let listener = listener.map_err(|error| HandoverError::Listen {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self {
            listener,
            listeners,
            trusted: trusted(),
        })
    }

    /// Waits until a successor is to accept connections. May be dropped at any time; then there is none.
    pub async fn taken(&self) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Want of descriptors, mostly: the successor tries again.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            match self.serve(stream).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    error = error.to_string(),
                    "a successor did not take over, and this process goes on"
                ),
            }
        }
    }

    /// Whether a successor has taken over, or only looked whether somebody is here.
    async fn serve(&self, mut stream: UnixStream) -> io::Result<bool> {
        check(&stream, self.trusted)?;
        let all = self.all();
        let readied = timeout(PATIENCE, async {
            let mut asked = [0; ASK.len()];
            let asking = timeout(ASKING, stream.read_exact(&mut asked)).await;
            match asking.unwrap_or_else(|late| Err(late.into())) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                other => other?,
            };
            if asked != ASK {
                return Err(io::Error::other("it asked for something else"));
            }
            let sent = || message::send(&stream, &all);
            stream.async_io(Interest::WRITABLE, sent).await?;
            let mut answer = [0; READY.len()];
            stream.read_exact(&mut answer).await?;
            io::Result::Ok(Some(answer))
        });
        match readied.await {
            Ok(Ok(None)) => return Ok(false),
            Ok(Ok(Some(answer))) if answer == READY => {}
            Ok(Ok(Some(_))) => return Err(io::Error::other("it said something else than `ready`")),
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
        // If this fails the successor will not serve. If it does not, it is the successor's turn, even if
        // it does not live to see it.
        stream.write_all(READY).await?;
        Ok(true)
    }

    fn all(&self) -> Vec<(&str, BorrowedFd<'_>)> {
        let listeners = self.listeners.iter();
        let listeners = listeners.map(|(name, fd)| (name.as_str(), fd.as_fd()));
        let own = (SUCCESSORS, self.listener.as_fd());
        std::iter::once(own).chain(listeners).collect()
    }
}

/// Listens at a path, for the owner alone.
fn bind(path: &Path) -> io::Result<UnixListener> {
    // Nobody is at a file either, and it may be worth something.
    let there = std::fs::symlink_metadata(path).map(|there| there.file_type());
    if there.is_ok_and(|there| !there.is_socket() && !there.is_dir()) {
        let error = "there is something else than a socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, error));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
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
    meeting: Meeting,
    listeners: Vec<(String, OwnedFd)>,
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
        let mut stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) if is_nobody(&error) => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        check(&stream, trusted).map_err(|error| failed(error.to_string()))?;
        let received = async {
            stream.write_all(ASK).await?;
            let received = || message::receive(&stream);
            stream.async_io(Interest::READABLE, received).await
        };
        let mut listeners = match timeout(PATIENCE, received).await {
            Ok(Ok(listeners)) => listeners,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed(no_answer())),
        };
        let meeting = taken(&mut listeners, SUCCESSORS);
        let meeting = meeting.ok_or_else(|| failed("it is not to be followed".to_owned()))?;
        Ok(Some(Self {
            path: path.to_owned(),
            stream,
            meeting: meeting.into(),
            listeners,
        }))
    }

    /// One of the listeners, once.
    pub fn take(&mut self, name: &str) -> Option<TcpListener> {
        taken(&mut self.listeners, name).map(TcpListener::from)
    }

    /// Says that everything is ready here, and waits until the predecessor accepts no more: it is this
    /// process's turn then. What was not taken is closed, and refuses connections from then on.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Gone`] when there is no predecessor any more, and the listeners are here all
    /// the same. Otherwise it goes on, and nobody else is to accept.
    pub async fn ready(mut self) -> Result<(), HandoverError> {
        let told = async {
            // A predecessor that is gone may have said something before.
            let written = self.stream.write_all(READY).await;
            let mut answer = [0; READY.len()];
            let read = self.stream.read_exact(&mut answer).await;
            read.map_err(|error| written.err().unwrap_or(error))?;
            io::Result::Ok(answer)
        };
        let answer = match timeout(PATIENCE, told).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                return Err(HandoverError::Gone {
                    path: self.path,
                    reason: error.to_string(),
                });
            }
            Err(_) => last_word(&self.stream),
        };
        match answer {
            Some(answer) if answer == READY => Ok(()),
            Some(answer) if answer == LATE => Err(HandoverError::Late { path: self.path }),
            other => Err(HandoverError::Predecessor {
                path: self.path,
                reason: other.map_or_else(no_answer, |_| {
                    "it said something else than `ready`".to_owned()
                }),
            }),
        }
    }
}

/// Takes no more answers, and tells the one that came until then. Who answers from here on fails, and
/// knows that nobody heard it.
fn last_word(stream: &UnixStream) -> Option<[u8; READY.len()]> {
    // Nothing else is left to be done where this fails, and the predecessor goes on then too.
    shutdown(stream, Shutdown::Read).ok()?;
    let mut answer = [0; READY.len()];
    let (_, length) = recv(stream, &mut answer, RecvFlags::DONTWAIT).ok()?;
    (length == answer.len()).then_some(answer)
}

fn no_answer() -> String {
    format!("no answer within {}s", PATIENCE.as_secs())
}

fn taken(listeners: &mut Vec<(String, OwnedFd)>, name: &str) -> Option<OwnedFd> {
    let place = listeners.iter().position(|(n, _)| n == name)?;
    Some(listeners.swap_remove(place).1)
}

#[cfg(test)]
mod tests;
