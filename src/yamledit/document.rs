//! Editing one document of a stream.

use std::cell::OnceCell;

use crate::plan::Segment;
use crate::yaml::{Chunk, Document, Format, Style, View, split, split_json};

use super::block::{self, Nesting};
use super::example;
use super::flow::Flow;
use super::layout::Page;
use super::splice::{self, Insertion};
use super::target::{Target, targets, walk};
use super::{ObjectEdits, Refusal, gate};

/// A document whose aliases stand for more nodes than this, and than it has bytes, is not handed to
/// a parser that copies what aliases refer to.
const EXPANSION_LIMIT: usize = 1_000_000;

/// Cuts a text into its documents, as readers of manifests count them.
pub(super) fn chunks(text: &str, format: Format) -> Vec<Chunk<'_>> {
    match format {
        Format::Yaml => split(text),
        Format::Json => split_json(text).0,
    }
}

/// How the first line of a text ends.
pub(super) fn first_line_ending(text: &str) -> &'static str {
    match text.split_inclusive('\n').next() {
        Some(line) if line.ends_with("\r\n") => "\r\n",
        _ => "\n",
    }
}

/// Edits of objects with the index under which each was given.
type Indexed<'e, 'a> = [(usize, &'e ObjectEdits<'a>)];

/// Applies edits to one document. Returns its new text, if anything was applied, and what was
/// refused.
pub(super) fn edit(
    chunk: Chunk<'_>,
    format: Format,
    line_ending: &str,
    edits: &Indexed<'_, '_>,
) -> (Option<String>, Vec<(usize, Refusal)>) {
    let refuse = |refusal: &Refusal| {
        let refusals = edits.iter().map(|(i, _)| (*i, refusal.clone())).collect();
        (None, refusals)
    };
    let document = match open(chunk) {
        Ok(document) => document,
        Err(refusal) => return refuse(&refusal),
    };
    let Some(root) = document.root() else {
        return refuse(&Refusal::new(chunk.line, "the document is empty"));
    };
    let sheet = Sheet {
        page: Page::new(chunk, line_ending),
        format,
        root,
        nesting: OnceCell::new(),
    };
    let mut insertions = Vec::new();
    let mut applied = Vec::new();
    let mut refusals = Vec::new();
    for (index, edit) in edits {
        match sheet.insertions(edit) {
            Ok(found) => {
                insertions.extend(found);
                applied.push((*index, *edit));
            }
            Err(refusal) => refusals.push((*index, refusal)),
        }
    }
    if insertions.is_empty() {
        return (None, refusals);
    }
    match sheet.splice(chunk, insertions, &applied) {
        Ok(text) => (Some(text), refusals),
        Err(reason) => {
            refusals.extend(applied.iter().map(|(index, edit)| {
                let object = sheet.object(edit.items).ok();
                let line = object.and_then(|o| Some(o.last()?.line()));
                (
                    *index,
                    Refusal::new(line.unwrap_or(chunk.line), reason.clone()),
                )
            }));
            (None, refusals)
        }
    }
}

/// Parses a document that is to be edited, or that others are to be added to.
pub(super) fn open(chunk: Chunk<'_>) -> Result<Document, Refusal> {
    let document = Document::parse(chunk).map_err(|e| {
        let line = chunk.text.lines().nth((e.line - chunk.line) as usize);
        match line {
            Some(line) if line.contains("{{") || line.contains("{%") => {
                Refusal::new(e.line, "this is a template, not plain YAML")
            }
            _ => Refusal::new(e.line, e.message),
        }
    })?;
    let limit = EXPANSION_LIMIT.max(chunk.text.len());
    if document.expanded_size() > limit {
        let reason = "its aliases stand for more than a million nodes";
        return Err(Refusal::new(chunk.line, reason));
    }
    if chunk.text.contains("{{")
        && let Some(line) = template(&document)
    {
        return Err(Refusal::new(line, "this is a template, not plain YAML"));
    }
    Ok(document)
}

/// The line of the first plain scalar with template braces. In quotes and block scalars braces are
/// plain text.
fn template(document: &Document) -> Option<u32> {
    let is_template = |scalar: &View<'_>| {
        scalar.style() != Style::Quoted && scalar.text().is_some_and(|text| text.contains("{{"))
    };
    document.scalars().find(is_template).map(View::line)
}

/// A parsed document with its text.
struct Sheet<'t, 'd> {
    page: Page<'t>,
    format: Format,
    root: View<'d>,
    nesting: OnceCell<Nesting>,
}

impl<'d> Sheet<'_, 'd> {
    /// The nodes from the root to an object.
    fn object(&self, items: &[usize]) -> Result<Vec<View<'d>>, Refusal> {
        let root = self.root;
        if root.is_shared() || root.is_tagged() {
            return Err(Refusal::new(
                root.line(),
                "the document has an anchor or a tag",
            ));
        }
        let path: Vec<Segment> = items
            .iter()
            .flat_map(|&i| [Segment::from("items"), Segment::from(i)])
            .collect();
        walk(&[root], &path)
    }

    fn insertions(&self, edit: &ObjectEdits<'_>) -> Result<Vec<Insertion>, Refusal> {
        let object = self.object(edit.items)?;
        let mut insertions = Vec::new();
        for target in targets(&object, edit.edits)? {
            let mut found = self.insert(&target)?;
            for insertion in &mut found {
                insertion.depth = target.chain.len();
            }
            insertions.extend(found);
        }
        Ok(insertions)
    }

    fn insert(&self, target: &Target<'d>) -> Result<Vec<Insertion>, Refusal> {
        let Some(container) = target.node() else {
            return Ok(Vec::new());
        };
        if example::is_flow(container) {
            let examples = example::last_child(container).into_iter();
            let examples = examples.chain(target.chain.iter().rev().copied());
            return Flow::like(self.page, self.format, examples).insert(container, &target.added);
        }
        let nesting = *self
            .nesting
            .get_or_init(|| Nesting::of(&self.page, self.root));
        block::insert(self.page, nesting, &target.chain, &target.added)
    }

    /// Puts the insertions into the text and checks the result.
    fn splice(
        &self,
        chunk: Chunk<'_>,
        mut insertions: Vec<Insertion>,
        applied: &Indexed<'_, '_>,
    ) -> Result<String, String> {
        splice::sort(&mut insertions);
        let text = splice::splice(chunk.text, chunk.offset, &insertions);
        if !splice::is_insertions_only(chunk.text, &text, chunk.offset, &insertions) {
            return Err("the edit would change more than it adds".to_owned());
        }
        let edits: Vec<_> = applied.iter().map(|(_, edit)| *edit).collect();
        gate::check(chunk.text, &text, self.format, &edits)?;
        Ok(text)
    }
}
