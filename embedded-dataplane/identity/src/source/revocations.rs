//! A file with revocation lists.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::files::{FileError, Files};
use crate::crl::{RevocationLists, RevocationListsError};
use crate::trust::Trust;

/// The most octets of revocation lists: some million certificates.
const MOST: u64 = 64 << 20;

/// A file with revocation lists, in PEM or DER, that counts for everybody (ztunnel `CRL_PATH`).
///
/// What cannot be read changes nothing: the lists that were read last still count.
#[derive(Debug)]
pub struct RevocationFile {
    path: PathBuf,
    files: Files,
    trust: Arc<Trust>,
}

/// What came of reading revocation lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocations {
    /// How many lists there are.
    pub lists: usize,
    /// How many of the watched connections were ended.
    pub ended: usize,
}

/// Revocation lists cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationFileError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is in it cannot be used.
    #[error("`{}`: {error}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: RevocationListsError,
    },
}

impl RevocationFile {
    /// The lists in this file, for those who believe this.
    pub fn new(path: &Path, trust: Arc<Trust>) -> Self {
        Self {
            path: path.to_owned(),
            files: Files::new([path.to_owned()], MOST),
            trust,
        }
    }

    /// Reads the file, and has it count from now on. `None` when there is no such file (any more):
    /// nothing changes then.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or used. Nothing changes then either; whoever calls for the first
    /// time decides whether to go on without revocations.
    pub async fn load(&self) -> Result<Option<Revocations>, RevocationFileError> {
        let content = self.files.read().await?.into_iter().next().flatten();
        let Some(content) = content else {
            return Ok(None);
        };
        let trust = Arc::clone(&self.trust);
        let read = move || {
            let lists = RevocationLists::read(&content)?;
            Ok(Revocations {
                lists: lists.len(),
                ended: trust.revoke(lists),
            })
        };
        match spawn_blocking(read).await {
            Ok(read) => read
                .map(Some)
                .map_err(|error| RevocationFileError::Content {
                    path: self.path.clone(),
                    error,
                }),
            // The runtime is shutting down.
            Err(_) => Ok(None),
        }
    }

    /// Ends when the file is another than [`load`](Self::load) has read: it is time to load again.
    pub async fn changed(&self) {
        self.files.changed().await;
    }
}

impl From<FileError> for RevocationFileError {
    fn from(FileError { path, reason }: FileError) -> Self {
        Self::File { path, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ambient_testkit::{Authority, Validity};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_leaves_what_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.pem");
        let root = Authority::new("root");
        let trust = Trust::new([]);
        let file = RevocationFile::new(&path, Arc::clone(&trust));
        let counting = || trust.beliefs().lists.len();

        assert_eq!((file.load().await, counting()), (Ok(None), 0));
        fs::write(&path, "nonsense").unwrap();
        file.changed().await;
        let error = file.load().await.unwrap_err().to_string();
        assert!(
            error.ends_with("lists.pem`: there is no revocation list in it"),
            "{error}"
        );

        let list = root.revoke(&[1], Validity::Now);
        fs::write(&path, list.clone() + &list).unwrap();
        file.changed().await;
        let loaded = Revocations { lists: 2, ended: 0 };
        assert_eq!((file.load().await, counting()), (Ok(Some(loaded)), 2));
        for broken in ["", "nonsense", &list[..list.len() / 2]] {
            fs::write(&path, broken).unwrap();
            file.changed().await;
            file.load().await.unwrap_err();
            assert_eq!(counting(), 2);
        }
        fs::remove_file(&path).unwrap();
        file.changed().await;
        assert_eq!((file.load().await, counting()), (Ok(None), 2));
        fs::write(&path, &list).unwrap();
        file.changed().await;
        let loaded = Revocations { lists: 1, ended: 0 };
        assert_eq!((file.load().await, counting()), (Ok(Some(loaded)), 1));
    }
}
