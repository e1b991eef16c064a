//! Edits of manifest text that touch nothing but what they add.
//!
//! [`apply`] finds the lists and mappings of the edits by their place in the text, writes what is
//! added in the style of its neighbours, and inserts it: every other byte stays. It refuses what
//! it cannot prove: the result is read by another parser than the one that found the places, and
//! must be the value that the edits mean ([`crate::plan::Edit::apply`]). [`emit`] writes whole
//! objects. The module knows no Kubernetes kinds but `List`'s `items`, and does no I/O.

mod block;
mod document;
mod emit;
mod example;
mod flow;
mod gate;
mod layout;
mod place;
mod scalar;
mod splice;
mod target;
mod whole;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::plan::Edit;
use crate::yaml::{Chunk, Format};

pub use emit::{emit, emit_documents};
pub use whole::{append_documents, replace_documents};

/// The edits of one object.
#[derive(Debug, Clone, Copy)]
pub struct ObjectEdits<'a> {
    /// Zero-based index of the document in the stream, empty documents counted.
    pub document: usize,
    /// Indices into `items` of `List` kinds, outermost first; empty outside a list.
    pub items: &'a [usize],
    /// The edits, paths relative to the object, applied one after the other.
    pub edits: &'a [Edit],
}

/// Why a text was left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Refusal {
    /// One-based line that stands in the way; 0 when no line can be named.
    pub line: u32,
    /// What stands in the way, in lower case.
    pub reason: String,
}

impl Refusal {
    fn new(line: u32, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { line, reason }
    }
}

/// What came of edits that may be applied in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The text with every edit that was not refused.
    pub text: String,
    /// Indices of the objects that were left as they are, ascending, and why.
    pub refusals: Vec<(usize, Refusal)>,
}

/// Applies edits to the text of a file, all of them or none.
///
/// # Errors
///
/// The first reason for leaving the text alone.
pub fn apply(text: &str, format: Format, edits: &[ObjectEdits<'_>]) -> Result<String, Refusal> {
    let applied = apply_where_possible(text, format, edits);
    match applied.refusals.into_iter().next() {
        None => Ok(applied.text),
        Some((_, refusal)) => Err(refusal),
    }
}

/// Applies edits to the text of a file, leaving alone each object whose edits are refused. The
/// edits of one object are applied together or not at all.
pub fn apply_where_possible(text: &str, format: Format, edits: &[ObjectEdits<'_>]) -> Applied {
    let chunks = document::chunks(text, format);
    let mut by_document: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, edit) in edits
        .iter()
        .enumerate()
        .filter(|(_, e)| !e.edits.is_empty())
    {
        by_document.entry(edit.document).or_default().push(i);
    }
    let outcomes: Vec<_> = by_document
        .par_iter()
        .map(|(&document, objects)| {
            let Some(&chunk) = chunks.get(document) else {
                let refusal = Refusal::new(0, format!("there is no document {}", document + 1));
                return (None, refuse_all(objects, &refusal));
            };
            let edits: Vec<_> = objects.iter().map(|&i| (i, edits.get(i))).collect();
            let edits: Vec<_> = edits
                .into_iter()
                .filter_map(|(i, e)| Some((i, e?)))
                .collect();
            let line_ending = document::first_line_ending(text);
            let (edited, refusals) = document::edit(chunk, format, line_ending, &edits);
            (edited.map(|edited| (document, edited)), refusals)
        })
        .collect();
    let mut refusals: Vec<_> = outcomes
        .iter()
        .flat_map(|(_, refusals)| refusals.clone())
        .collect();
    let edited: BTreeMap<usize, String> = outcomes.into_iter().filter_map(|(e, _)| e).collect();
    let new = assemble(text, &chunks, &edited);
    let pieces = chunks
        .iter()
        .enumerate()
        .map(|(i, chunk)| edited.get(&i).map_or(chunk.text, String::as_str));
    if edited.is_empty()
        || document::chunks(&new, format)
            .iter()
            .map(|c| c.text)
            .eq(pieces)
    {
        refusals.sort_by_key(|(i, _)| *i);
        return Applied {
            text: new,
            refusals,
        };
    }
    let refusal = Refusal::new(0, "the edit would move the borders between documents");
    let all: Vec<usize> = (0..edits.len()).collect();
    Applied {
        text: text.to_owned(),
        refusals: refuse_all(&all, &refusal),
    }
}

fn assemble(text: &str, chunks: &[Chunk<'_>], edited: &BTreeMap<usize, String>) -> String {
    let mut out = String::with_capacity(text.len() + 64 * edited.len());
    let mut done = 0;
    for (index, new) in edited {
        let Some(chunk) = chunks.get(*index) else {
            continue;
        };
        out.push_str(text.get(done..chunk.offset).unwrap_or(""));
        out.push_str(new);
        done = chunk.offset + chunk.text.len();
    }
    out.push_str(text.get(done..).unwrap_or(""));
    out
}

fn refuse_all(objects: &[usize], refusal: &Refusal) -> Vec<(usize, Refusal)> {
    objects.iter().map(|&i| (i, refusal.clone())).collect()
}
