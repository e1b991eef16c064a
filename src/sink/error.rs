//! Why writing failed, and what it left behind.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What a file holds after a write that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// What it held before.
    Unchanged,
    /// The new text.
    New,
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::New => "has the new text",
        })
    }
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Standard input and built manifests have no file.
    #[error("`{name}` is no file that could be changed in place")]
    NoFile {
        /// The name in output.
        name: String,
    },
    /// The name leads out of the output directory.
    #[error("`{name}` would be written outside the output directory")]
    Escapes {
        /// The name in output.
        name: String,
    },
    /// Two names lead to one file.
    #[error("`{name}` and `{other}` are the same file")]
    SameFile {
        /// One name.
        name: String,
        /// The other.
        other: String,
    },
    /// Someone else wrote the file meanwhile.
    #[error("`{}` changed since it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A new file's name is taken by a file that was not read.
    #[error("`{}` exists, but was not among the files that were read", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted: `read`, `write`, `create`, `open`, `replace`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// Some files were replaced before an error, and could not all be put back.
    #[error("cannot {action} `{}`, and what was written before could not all be undone: {}",
        path.display(), DisplayStates(states))]
    Partly {
        /// What was attempted.
        action: &'static str,
        /// The file that failed.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
        /// Every file of the plan with what it holds now.
        states: Vec<(PathBuf, FileState)>,
    },
}

impl WriteError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        Self::Io {
            action,
            path,
            source,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoFile { .. } => Some("write to a directory with `--output-dir DIR`"),
            Self::Escapes { .. } => {
                Some("run the command in a directory above the manifests, and name them from there")
            }
            Self::SameFile { .. } => Some("name the file once with `-f`"),
            Self::Changed { .. } => Some("run the command again"),
            Self::Exists { .. } => {
                Some("name its directory with `-f`, so that its objects are known")
            }
            Self::Partly { .. } => {
                Some("restore the files that have the new text from version control")
            }
            Self::Io { .. } => None,
        }
    }
}

struct DisplayStates<'s>(&'s [(PathBuf, FileState)]);

impl fmt::Display for DisplayStates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (path, state)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}`{}` {state}", path.display())?;
        }
        Ok(())
    }
}
