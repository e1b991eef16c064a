//! From what a decoder finds wrong to a problem with its file, line and excerpt.

use std::sync::Arc;

use crate::model::{Excerpt, ObjectRef};
pub(super) use crate::model::{Note, Problem};

/// A [`Problem`] before its file and line are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defect {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) object: Option<ObjectRef>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    /// A problem of a file as a whole.
    pub(super) fn of_file(file: &Arc<str>, message: String, hint: Option<&str>) -> Self {
        Self {
            file: Arc::clone(file),
            line: 0,
            column: 0,
            object: None,
            message,
            excerpt: None,
            hint: hint.map(str::to_owned),
        }
    }
}

/// The lines of a text, for excerpts.
pub(super) struct Lines<'t> {
    first: u32,
    lines: Vec<&'t str>,
}

impl<'t> Lines<'t> {
    /// The lines of a text whose first line has this number.
    pub(super) fn new(text: &'t str, first: u32) -> Self {
        Self {
            first,
            lines: text.lines().collect(),
        }
    }

    /// The problem that a defect is.
    pub(super) fn problem(&self, file: &Arc<str>, defect: Defect) -> Problem {
        let index = defect.line.checked_sub(self.first);
        let line = index.and_then(|i| self.lines.get(i as usize));
        Problem {
            file: Arc::clone(file),
            line: defect.line,
            column: defect.column,
            object: defect.object,
            message: defect.message,
            excerpt: line.map(|l| Excerpt::of(l, defect.column)),
            hint: defect.hint,
        }
    }
}
