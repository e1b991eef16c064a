//! Failures that the user or the outside caused, each with its words, its way out and its exit
//! code. Anything else is a bug and ends as one.

use std::io;
use std::path::PathBuf;

use crate::demo::DemoError;
use crate::exit::Exit;
use crate::sink::WriteError;
use crate::source;

/// A failure that has to be expected.
#[derive(Debug, thiserror::Error)]
pub enum ExpectedError {
    /// Neither `-f` nor `-k` was given.
    #[error("no manifests are given")]
    NoInput,
    /// The files and folders hold nothing to read.
    #[error("there are no manifests in {}", names(.0))]
    NothingRead(Vec<PathBuf>),
    /// `--write` on standard input.
    #[error("standard input cannot be rewritten in place")]
    StdinInPlace,
    /// `--dry-run=server` without a cluster.
    #[error("`--dry-run=server` needs a cluster, and files are written without one")]
    ServerDryRun,
    /// `--accept` with something that is no code and no finding.
    #[error("`{0}` is neither a finding nor a code")]
    UnknownAcceptance(String),
    /// A flag whose value cannot be the name of an object.
    #[error("the name in `{flag} {name}` {rule}")]
    BadName {
        /// The flag.
        flag: &'static str,
        /// Its value.
        name: String,
        /// What names have to be like.
        rule: String,
    },
    /// A namespace that the input does not have.
    #[error("`{flag}` names the namespace `{name}`, which is not in the input")]
    UnknownNamespace {
        /// The flag.
        flag: &'static str,
        /// The namespace.
        name: String,
        /// Namespaces of the input that look like it.
        similar: Vec<String>,
        /// Some namespaces of the input.
        known: Vec<String>,
    },
    /// `--waypoint` twice for the same namespaces.
    #[error("`{first}` and `{second}` are both to be the waypoint of {}", served(namespace.as_deref()))]
    TwoWaypoints {
        /// The namespace; `None` for all that are enrolled.
        namespace: Option<String>,
        /// One waypoint.
        first: String,
        /// The other.
        second: String,
    },
    /// A code that is not in the catalogue.
    #[error("there is no code or cause `{code}`")]
    UnknownCode {
        /// What was asked for.
        code: String,
        /// Codes and causes that look like it.
        similar: Vec<&'static str>,
    },
    /// `help` for something that is no command.
    #[error("there is no command `{name}`")]
    UnknownCommand {
        /// What was asked for.
        name: String,
        /// Commands that look like it.
        similar: Vec<String>,
    },
    /// An operand that names no party of the input.
    #[error("there is no `{name}` in the input")]
    UnknownParty {
        /// What was asked for.
        name: String,
        /// Parties that look like it.
        similar: Vec<String>,
    },
    /// An operand that may be more than one party.
    #[error("`{name}` may be {}", quoted(candidates).join(" or "))]
    AmbiguousParty {
        /// What was asked for.
        name: String,
        /// Those that may be meant.
        candidates: Vec<String>,
    },
    /// A Service that leads nowhere.
    #[error("`{0}` has no pods in the input")]
    NoBackend(String),
    /// A port that the destination does not have.
    #[error("`{name}` has no port `{port}`")]
    UnknownPort {
        /// The destination.
        name: String,
        /// What was asked for.
        port: String,
        /// The ports that it has.
        known: Vec<String>,
    },
    /// A file that a flag names, and that cannot be read.
    #[error("`{flag} {path}` cannot be read", path = .path.display())]
    UnreadableFile {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that a flag names, and that does not hold what it should.
    #[error("`{flag} {path}` cannot be used: {reason}", path = .path.display())]
    UnusableFile {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Files of addresses without an address.
    #[error("there are no addresses in {}", names(.0))]
    NoAddresses(Vec<PathBuf>),
    /// The demonstration cannot be set up.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The demonstration's log cannot be written.
    #[error("the log of the demonstration cannot be written")]
    Log(#[source] io::Error),
    /// The program's own means of connecting cannot be set up.
    #[error("connections cannot be made here")]
    Runtime(#[source] io::Error),
    /// Input that has to be whole for the answer to mean anything.
    #[error("the input could not be read completely")]
    IncompleteInput,
    /// Files could not be written.
    #[error("the files could not be written")]
    Write(#[from] WriteError),
    /// Standard output could not be written.
    #[error("standard output could not be written")]
    Output(#[source] io::Error),
    /// The step summary of GitHub Actions could not be written.
    #[error("the step summary `{path}` could not be written")]
    StepSummary {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ExpectedError {
    /// The message with its causes.
    pub fn message(&self) -> String {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&match error.downcast_ref::<io::Error>() {
                Some(error) => source::io_reason(error),
                None => error.to_string(),
            });
            cause = error.source();
        }
        message
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoInput => {
                "pass `-f FILE`, `-f FOLDER`, `-f -` for standard input, or `-k FOLDER`".to_owned()
            }
            Self::NothingRead(_) => "pass `-R` to search folders below as well".to_owned(),
            Self::StdinInPlace => "pass `--output-dir DIR` to write elsewhere".to_owned(),
            Self::ServerDryRun => "use `--dry-run=client`".to_owned(),
            Self::UnknownAcceptance(_) => {
                "pass an id such as `AMB0110-1a2b3c4d`, a code such as `AMB0110`, or `all`"
                    .to_owned()
            }
            Self::BadName { .. } | Self::UnreadableFile { .. } | Self::UnusableFile { .. } => {
                return None;
            }
            Self::UnknownNamespace { similar, .. } if !similar.is_empty() => alternatives(similar),
            Self::UnknownNamespace { known, .. } if known.is_empty() => {
                "add its manifests with another `-f`".to_owned()
            }
            Self::UnknownNamespace { known, .. } => format!(
                "the input has {}; add other manifests with another `-f`",
                quoted(known).join(", ")
            ),
            Self::TwoWaypoints { .. } => {
                "pass `--waypoint NAME=NAMESPACE` once for each namespace".to_owned()
            }
            Self::UnknownCode { similar, .. } if similar.is_empty() => {
                "`kubectl ambient explain` lists all codes and causes".to_owned()
            }
            Self::UnknownCode { similar, .. } => alternatives(similar),
            Self::UnknownParty { similar, .. } if similar.is_empty() => {
                "name a workload as `namespace/name`, as `kubectl ambient policy list` shows them, \
                 or a Service as `svc/name.namespace`"
                    .to_owned()
            }
            Self::AmbiguousParty { .. } => "name one of them in full".to_owned(),
            Self::NoBackend(_) => {
                "add the manifests of the pods that its `spec.selector` selects with another `-f`"
                    .to_owned()
            }
            Self::UnknownPort { known, .. } if known.is_empty() => {
                "name the port by its number".to_owned()
            }
            Self::UnknownPort { known, .. } => format!("it has {}", quoted(known).join(", ")),
            Self::UnknownCommand { similar, .. } if similar.is_empty() => {
                "`kubectl ambient help` lists all commands".to_owned()
            }
            Self::UnknownParty { similar, .. } | Self::UnknownCommand { similar, .. } => {
                alternatives(similar)
            }
            Self::Write(error) => {
                let hint = error.hint().or_else(|| self.io_hint());
                return hint.map(str::to_owned);
            }
            Self::NoAddresses(_) => "write one a line, as `HOST` or `HOST:PORT`".to_owned(),
            Self::Runtime(_) => "raise the limits of open files and processes".to_owned(),
            Self::Demo(DemoError::Listen { address, .. }) => {
                format!("where only `127.0.0.1` is there: `sudo ifconfig lo0 alias {address} up`")
            }
            Self::Demo(DemoError::Reach { .. }) => {
                "the loopback network has to be up: `ip link set lo up`".to_owned()
            }
            Self::Demo(_) => return None,
            Self::IncompleteInput => "mend what is named above and run it again".to_owned(),
            Self::Output(_) | Self::StepSummary { .. } | Self::Log(_) => {
                return self.io_hint().map(str::to_owned);
            }
        };
        Some(hint)
    }

    /// What to do about a file that the operating system does not let be written.
    fn io_hint(&self) -> Option<&'static str> {
        let mut cause: Option<&dyn std::error::Error> = Some(self);
        let kind = loop {
            let error = cause?;
            if let Some(error) = error.downcast_ref::<io::Error>() {
                break error.kind();
            }
            cause = error.source();
        };
        match kind {
            io::ErrorKind::NotFound => Some("make the folder that it is to be in"),
            io::ErrorKind::PermissionDenied => Some("check who may write there"),
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                Some("name a folder, not a file")
            }
            io::ErrorKind::StorageFull => Some("make some room on the disk"),
            io::ErrorKind::ReadOnlyFilesystem => Some("name a place that can be written"),
            _ => None,
        }
    }

    /// The exit code that goes with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoInput
            | Self::NothingRead(_)
            | Self::StdinInPlace
            | Self::ServerDryRun
            | Self::UnknownAcceptance(_)
            | Self::BadName { .. }
            | Self::UnknownNamespace { .. }
            | Self::TwoWaypoints { .. }
            | Self::UnknownCode { .. }
            | Self::UnknownCommand { .. }
            | Self::UnknownParty { .. }
            | Self::AmbiguousParty { .. }
            | Self::NoBackend(_)
            | Self::UnknownPort { .. }
            | Self::UnreadableFile { .. }
            | Self::UnusableFile { .. }
            | Self::NoAddresses(_)
            | Self::Demo(_)
            | Self::Log(_)
            | Self::Runtime(_)
            | Self::IncompleteInput
            | Self::Write(_)
            | Self::Output(_)
            | Self::StepSummary { .. } => Exit::BadInput,
        }
    }
}

fn served(namespace: Option<&str>) -> String {
    namespace.map_or_else(
        || "every namespace".to_owned(),
        |name| format!("the namespace `{name}`"),
    )
}

fn names(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    quoted(&names).join(", ")
}

fn quoted<T: AsRef<str>>(names: &[T]) -> Vec<String> {
    names.iter().map(|n| format!("`{}`", n.as_ref())).collect()
}

fn alternatives<T: AsRef<str>>(names: &[T]) -> String {
    format!("did you mean {}?", quoted(names).join(" or "))
}
