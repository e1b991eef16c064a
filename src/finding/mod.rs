//! Findings: what a person has to know, decide or do.
//!
//! Every kind of finding has one [`Code`] in [`CATALOGUE`], never renumbered. A [`Finding`] is one
//! occurrence, with its subject and evidence. The module does not know how findings are made or
//! shown.

mod catalogue;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::{ObjectRef, Origin};

pub use catalogue::{CATALOGUE, codes, lookup};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Should be looked at before the next step.
    Warning,
    /// Blocks: the plan is not safe to apply as it is.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `AMB` and four digits; the first two name the area (01 policy, 02 workload, 03 enrolment,
    /// 06 waypoint, 08 network plugin).
    pub id: &'static str,
    /// Severity.
    pub severity: Severity,
    /// A few words.
    pub title: &'static str,
    /// What it means, and why it matters in ambient mesh.
    pub meaning: &'static str,
    /// What to do about it.
    pub fix: &'static str,
    /// Anchor in the documentation.
    pub anchor: &'static str,
}

/// One occurrence of a [`Code`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding it is.
    pub code: &'static Code,
    /// The object that it is about.
    pub subject: ObjectRef,
    /// Where to look.
    pub origin: Origin,
    /// One sentence that names what was found, in lower case.
    pub message: String,
    /// Evidence for findings about connections.
    pub flows: Vec<Flow>,
    /// What to do here, when more can be said than [`Code::fix`].
    pub fixes: Vec<String>,
}

/// Connections that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Source endpoint, as it is printed.
    pub source: String,
    /// Destination endpoint, as it is printed.
    pub destination: String,
    /// Connections, as they are printed: `TCP 80,443`.
    pub connections: String,
    /// One concrete connection: `TCP 81`.
    pub example: String,
    /// The policies responsible, which many may share.
    pub policies: Arc<[ObjectRef]>,
}

impl Finding {
    /// A finding without flows or fixes of its own.
    pub fn new(code: &'static Code, subject: ObjectRef, origin: Origin, message: String) -> Self {
        Self {
            code,
            subject,
            origin,
            message,
            flows: Vec::new(),
            fixes: Vec::new(),
        }
    }

    /// A name for this occurrence that stays the same as long as code, subject and the parties of
    /// its flows do: the code and eight hexadecimal digits.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.subject.to_string());
        if self.flows.is_empty() {
            hash.update([0]);
            hash.update(&self.message);
        }
        for flow in &self.flows {
            for part in [&flow.source, &flow.destination, &flow.connections] {
                hash.update([0]);
                hash.update(part);
            }
        }
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        format!("{}-{:08x}", self.code.id, u32::from_be_bytes([a, b, c, d]))
    }

    /// Order of output: severest first, then code, then place, then message.
    pub fn sort(findings: &mut [Self]) {
        findings.sort_by(|a, b| {
            let key = |f: &Self| {
                (
                    std::cmp::Reverse(f.code.severity),
                    f.code.id,
                    f.subject.clone(),
                    f.origin.clone(),
                )
            };
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
    }
}
