//! Files that are looked at again and again.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often files are looked at.
///
/// They are read, and not watched: what Kubernetes mounts is exchanged by links, some file systems
/// tell of no change, and a node can run out of watches. A few small files every two seconds cost
/// less than to get this right.
const INTERVAL: Duration = Duration::from_secs(2);

/// Some files, which are read together.
#[derive(Debug, Clone)]
pub(crate) struct Files(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    paths: Vec<PathBuf>,
    /// The most octets that one of them may have.
    most: u64,
    /// A digest of what was there when they were read first, or found changed last. Reading does not
    /// move it on: whoever reads early must not take the news from the others.
    seen: Mutex<Option<u64>>,
}

/// A file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{}`: {reason}", path.display())]
pub(crate) struct FileError {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
}

/// What is in each file; `None` where there is none.
pub(crate) type Contents = Result<Vec<Option<Vec<u8>>>, FileError>;

impl Files {
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>, most: u64) -> Self {
        Self(Arc::new(Inner {
            paths: paths.into_iter().collect(),
            most,
            seen: Mutex::default(),
        }))
    }

    /// Reads all of them, in their order.
    ///
    /// # Errors
    ///
    /// When one is there and cannot be read, or is too long.
    pub(crate) async fn read(&self) -> Contents {
        let contents = self.contents().await;
        self.seen().get_or_insert(digest(&contents));
        contents
    }

    /// Ends when there is something else in one of them than when they were read first, or when this
    /// ended last.
    pub(crate) async fn changed(&self) {
        loop {
            sleep(INTERVAL).await;
            let now = digest(&self.contents().await);
            if self.seen().replace(now).is_some_and(|before| before != now) {
                return;
            }
        }
    }

    async fn contents(&self) -> Contents {
        let files = Arc::clone(&self.0);
        let read = move || {
            let read = |path: &PathBuf| content(path, files.most);
            files.paths.iter().map(read).collect()
        };
        // The runtime is shutting down when this fails, and then nobody is left to care.
        spawn_blocking(read)
            .await
            .unwrap_or_else(|_| Ok(Vec::new()))
    }

    fn seen(&self) -> MutexGuard<'_, Option<u64>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(contents: &Contents) -> u64 {
    let mut hasher = DefaultHasher::new();
    match contents {
        Ok(contents) => contents.hash(&mut hasher),
        Err(error) => error.reason.hash(&mut hasher),
    }
    hasher.finish()
}

fn content(path: &Path, most: u64) -> Result<Option<Vec<u8>>, FileError> {
    let failed = |reason: String| FileError {
        path: path.to_owned(),
        reason,
    };
    let mut octets = Vec::new();
    let read = || -> io::Result<()> {
        // One more, so that a file that is too long is not taken for one that ends there.
        File::open(path)?
            .take(most.saturating_add(1))
            .read_to_end(&mut octets)?;
        Ok(())
    };
    match { read }() {
        Ok(()) if octets.len() as u64 > most => Err(failed(format!("more than {most} bytes"))),
        Ok(()) => Ok(Some(octets)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}
