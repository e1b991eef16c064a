//! What `migrate` came to: the plan, with everything that happened around it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::finding::{Finding, Severity};
use crate::model::{Note, Problem};
use crate::plan::{Change, ChangeAction, Plan, Verdict};
use crate::sink::Prepared;

use super::{Inventory, Style};

/// Everything that the output of `migrate` shows.
#[derive(Debug, Clone)]
pub struct Report<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// Its findings, in the plan's order.
    pub findings: Vec<Entry<'p>>,
    /// The files as they are to be.
    pub prepared: &'p Prepared,
    /// What the input holds.
    pub inventory: Inventory,
    /// The folder that the user is in, from which the paths of the diff start.
    pub folder: Option<PathBuf>,
    /// Whether the diff of the files is part of the output. Markdown always holds it.
    pub show_diff: bool,
    /// Input that could not be used.
    pub problems: Vec<Problem>,
    /// Input that was left alone on purpose.
    pub notes: Vec<Note>,
    /// What was done with the plan.
    pub outcome: Outcome,
    /// Why the command ended early.
    pub failure: Option<Failure>,
}

/// A finding with what was decided about it.
#[derive(Debug, Clone)]
pub struct Entry<'p> {
    /// The finding.
    pub finding: &'p Finding,
    /// Its [`Finding::id`].
    pub id: String,
    /// Whether the user accepted it.
    pub accepted: bool,
}

/// What was done with the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was only to be shown.
    Planned,
    /// It was to be written, in a dry run.
    DryRun,
    /// These files were written.
    Written(Vec<String>),
    /// It was to be written, and was not, for this reason.
    Refused(String),
}

/// An error with its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, in lower case.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The exit code that goes with it.
    pub exit_code: u8,
}

/// How many findings there are. Accepted ones count in [`Self::accepted`] alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FindingCounts {
    /// Errors.
    pub error: usize,
    /// Warnings.
    pub warning: usize,
    /// The rest.
    pub info: usize,
    /// Accepted, of any severity.
    pub accepted: usize,
}

/// How many objects a plan changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Objects edited.
    pub edited: usize,
    /// Objects added.
    pub created: usize,
    /// Objects replaced.
    pub replaced: usize,
}

impl<'p> Report<'p> {
    /// A report of a plan that was only to be shown, with nothing else to say.
    pub fn new(
        plan: &'p Plan,
        prepared: &'p Prepared,
        accepts: impl Fn(&Finding, &str) -> bool,
    ) -> Self {
        let entry = |finding: &'p Finding| {
            let id = finding.id();
            let accepted = accepts(finding, &id);
            Entry {
                finding,
                id,
                accepted,
            }
        };
        Self {
            plan,
            findings: plan.findings.iter().map(entry).collect(),
            prepared,
            inventory: Inventory::default(),
            folder: None,
            show_diff: false,
            problems: Vec::new(),
            notes: Vec::new(),
            outcome: Outcome::Planned,
            failure: None,
        }
    }

    /// The findings that nobody accepted, at or above a severity.
    pub fn open_findings(&self, least: Severity) -> impl Iterator<Item = &Entry<'p>> {
        self.findings
            .iter()
            .filter(move |e| !e.accepted && e.finding.code.severity >= least)
    }

    /// How many findings there are.
    pub fn finding_counts(&self) -> FindingCounts {
        FindingCounts::of(&self.findings)
    }

    /// How many objects the plan changes.
    pub fn change_counts(&self) -> ChangeCounts {
        ChangeCounts::of(self.plan.changes())
    }

    /// How many of the files differ.
    pub fn differing_files(&self) -> usize {
        self.prepared
            .changes
            .iter()
            .filter(|f| super::differs(f))
            .count()
    }

    /// The diff of all files where it is part of the output.
    pub(super) fn diff(&self) -> Option<String> {
        // Machines get the text that `git apply` takes, without colour or escapes.
        self.show_diff.then(|| self.styled_diff(Style::default()))
    }

    /// The diff of all files.
    pub(super) fn styled_diff(&self, style: Style) -> String {
        super::diff(&self.prepared.changes, self.folder.as_deref(), style)
    }

    /// The findings about a namespace or the objects in it, and those that concern all namespaces.
    fn findings_of<'r>(
        &'r self,
        namespace: &'r str,
    ) -> impl Iterator<Item = &'r Entry<'p>> + use<'r, 'p> {
        self.findings.iter().filter(move |entry| {
            let finding = entry.finding;
            let subject = &finding.subject;
            let about = match &subject.namespace {
                Some(name) => name,
                None if subject.kind == "Namespace" => &subject.name,
                None => return true,
            };
            // An error stands against the whole plan. One about a namespace that is not enrolled,
            // the network plugin's for example, would show nowhere else.
            let elsewhere = || {
                !self
                    .plan
                    .namespaces
                    .iter()
                    .any(|n| n.enrolled && n.name == *about)
            };
            about == namespace || (finding.code.severity == Severity::Error && elsewhere())
        })
    }

    /// How many problems of the input concern a namespace: those of its objects, and those of files
    /// that may hold some.
    fn problems_of(&self, namespace: &str) -> usize {
        let concerns = |problem: &&Problem| {
            let object = problem.object.as_ref();
            let of = object.and_then(|o| o.namespace.as_deref());
            of.is_none_or(|of| of == namespace)
        };
        self.problems.iter().filter(concerns).count()
    }

    /// The verdict on one namespace, in a few words, with the severity of what stands against it.
    pub(super) fn namespace_verdict(&self, name: &str) -> (String, Option<Severity>) {
        let entries: Vec<&Entry<'p>> = self.findings_of(name).collect();
        let counts = FindingCounts::of(entries.iter().copied());
        let problems = self.problems_of(name);
        let mut blocking: Vec<&str> = entries
            .iter()
            .filter(|e| !e.accepted && e.finding.code.severity == Severity::Error)
            .map(|e| e.finding.code.id)
            .collect();
        blocking.dedup();
        if !blocking.is_empty() {
            return (
                format!("blocked by {}", blocking.join(", ")),
                Some(Severity::Error),
            );
        }
        if problems > 0 {
            let problems = super::text::Count(problems, "problem");
            return (
                format!("blocked by {problems} of the input"),
                Some(Severity::Error),
            );
        }
        let mut words = Vec::new();
        let mut severity = None;
        if counts.warning > 0 {
            words.push(super::text::Count(counts.warning, "warning").to_string());
            severity = Some(Severity::Warning);
        }
        if counts.accepted > 0 {
            words.push(format!("{} accepted", counts.accepted));
        }
        if words.is_empty() {
            ("ready".to_owned(), severity)
        } else {
            (format!("ready, {}", words.join(", ")), severity)
        }
    }

    /// The changes of each namespace.
    pub(super) fn changes_by_namespace(&self) -> BTreeMap<&'p str, ChangeCounts> {
        let mut counts: BTreeMap<&str, ChangeCounts> = BTreeMap::new();
        for change in self.plan.changes() {
            if let Some(namespace) = &change.object.namespace {
                counts.entry(namespace).or_default().add(change);
            }
        }
        counts
    }

    /// What the comparison came to, in a word or two.
    pub(super) fn verdict(&self) -> &'static str {
        match self.plan.proof.verdict() {
            _ if self.plan.proof.is_empty() => "nothing to compare",
            Verdict::Equal => "equal",
            Verdict::Unknown => "unknown",
            Verdict::Gained => "gained",
            Verdict::Lost => "lost",
        }
    }

    /// What the comparison means, in one sentence.
    pub(super) fn proof_sentence(&self) -> String {
        let members = self.plan.namespaces.iter().any(|n| n.in_mesh > 0);
        let sentence = match self.plan.proof.verdict() {
            _ if self.plan.proof.is_empty() && members => {
                "the network plugin sees the ports inside the tunnel, so policies stay as they are"
            }
            _ if self.plan.proof.is_empty() => {
                "the input holds no workload and no policy that is analysed"
            }
            Verdict::Equal => "no connection is lost, none is gained",
            Verdict::Unknown => {
                "no connection is known to be lost or gained, some cannot be decided"
            }
            Verdict::Gained => "no connection is lost, some are gained",
            Verdict::Lost => "connections are lost",
        };
        if self.problems.is_empty() {
            sentence.to_owned()
        } else {
            format!("{sentence}, as far as the input can be used")
        }
    }
}

impl FindingCounts {
    fn of<'e, 'p: 'e>(entries: impl IntoIterator<Item = &'e Entry<'p>>) -> Self {
        let mut counts = Self::default();
        for entry in entries {
            let count = match entry.finding.code.severity {
                _ if entry.accepted => &mut counts.accepted,
                Severity::Error => &mut counts.error,
                Severity::Warning => &mut counts.warning,
                Severity::Info => &mut counts.info,
            };
            *count += 1;
        }
        counts
    }
}

impl ChangeCounts {
    fn of<'c>(changes: impl IntoIterator<Item = &'c Change>) -> Self {
        let mut counts = Self::default();
        for change in changes {
            counts.add(change);
        }
        counts
    }

    fn add(&mut self, change: &Change) {
        match change.action {
            ChangeAction::Edit { .. } => self.edited += 1,
            ChangeAction::Create { .. } => self.created += 1,
            ChangeAction::Replace { .. } => self.replaced += 1,
        }
    }

    /// How many in all.
    pub fn total(self) -> usize {
        self.edited + self.created + self.replaced
    }

    /// `2 edited, 1 new`; empty when nothing changes.
    pub(super) fn words(self) -> String {
        let words = [
            (self.edited, "edited"),
            (self.created, "new"),
            (self.replaced, "replaced"),
        ];
        let words: Vec<String> = words
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        words.join(", ")
    }
}
