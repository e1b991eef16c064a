//! Reading manifests, and saying what of them could not be used.

use crate::error::ExpectedError;
use crate::finding::{Finding, codes};
use crate::model::{Note, Problem};
use crate::render;
use crate::sink::{self, FileRefusal, InputKind};
use crate::source::{self, FileKind, Loaded, Request};

use super::output::Output;

/// What was read, with what is to be said about it.
pub(super) struct Input {
    pub(super) loaded: Loaded,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Note>,
}

/// Reads what a request names.
///
/// # Errors
///
/// When there is nothing to read: a check of the wrong folder must not pass.
pub(super) fn load(request: &Request, output: &mut Output<'_>) -> Result<Input, ExpectedError> {
    let mut loaded = source::load(request, output.stdin());
    if loaded.files.is_empty() && loaded.problems.is_empty() {
        let folders = request.files.iter().chain(&request.kustomize);
        return Err(ExpectedError::NothingRead(folders.cloned().collect()));
    }
    Ok(Input {
        problems: std::mem::take(&mut loaded.problems),
        notes: std::mem::take(&mut loaded.notes),
        loaded,
    })
}

/// The finding that a companion stands in for an edit that was refused.
pub(super) fn not_edited(refusal: &FileRefusal) -> Option<Finding> {
    let companion = refusal.companion.as_ref()?;
    let message = format!(
        "{}; a companion in `{companion}` has the same effect",
        refusal.reason
    );
    let (subject, origin) = (refusal.object.clone(), refusal.origin.clone());
    Some(Finding::new(&codes::EDIT_REFUSED, subject, origin, message))
}

impl Input {
    /// The texts that were read, for those who edit them.
    pub(super) fn texts(&self) -> Vec<sink::Input> {
        let files = self.loaded.files.iter().chain(&self.loaded.kustomizations);
        let texts = files.map(|file| sink::Input {
            name: file.name.clone(),
            path: file.path.clone(),
            link_to: file.link_to.clone(),
            text: file.text.clone(),
            format: file.format,
            kind: match file.kind {
                FileKind::Manifest | FileKind::Stdin => InputKind::Text,
                FileKind::Kustomize => InputKind::Kustomize,
                FileKind::Kustomization => InputKind::Kustomization,
            },
        });
        texts.collect()
    }

    /// Counts the changes among the problems that no file can take and nothing stands in for.
    pub(super) fn refuse(&mut self, refusals: &[FileRefusal]) {
        let left = refusals.iter().filter(|r| r.companion.is_none());
        self.problems.extend(left.map(|refusal| Problem {
            file: refusal.origin.file.clone(),
            line: refusal.origin.line,
            column: 0,
            object: Some(refusal.object.clone()),
            message: format!("the change cannot be made: {}", refusal.reason),
            excerpt: None,
            hint: Some("take out what stands in the way, or make the change by hand".to_owned()),
        }));
    }

    /// Says on standard error what could not be used, and what was left alone.
    pub(super) fn tell(&self, output: &mut Output<'_>) {
        output.tell(&render::problems(&self.problems, output.error_style()));
        self.tell_notes(output);
    }

    /// Says on standard error what was left alone.
    pub(super) fn tell_notes(&self, output: &mut Output<'_>) {
        output.tell(&render::notes(&self.notes, output.error_style()));
    }
}
