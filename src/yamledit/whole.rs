//! Whole documents of a stream: replacing them, adding others.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::Body;
use crate::yaml::{Chunk, Document, Format, split};

use super::document::{chunks, first_line_ending, open};
use super::emit::emit;
use super::layout::Page;
use super::{Applied, Refusal, assemble, refuse_all};

/// Replaces the content of documents, each by its zero-based index; comments before and after it,
/// its `---` and every other document stay. [`Applied::refusals`] has indices into `bodies`.
pub fn replace_documents(text: &str, bodies: &[(usize, &Body)]) -> Applied {
    let old = split(text);
    let ending = first_line_ending(text);
    let mut refusals = Vec::new();
    let mut new: BTreeMap<usize, String> = BTreeMap::new();
    for (i, (document, body)) in bodies.iter().enumerate() {
        let replaced = match old.get(*document) {
            Some(_) if new.contains_key(document) => {
                Err(Refusal::new(0, "the document is replaced twice"))
            }
            Some(&chunk) => replace(chunk, ending, &body.value()),
            None => Err(Refusal::new(
                0,
                format!("there is no document {}", document + 1),
            )),
        };
        match replaced {
            Ok(replaced) => {
                new.insert(*document, replaced);
            }
            Err(refusal) => refusals.push((i, refusal)),
        }
    }
    let out = assemble(text, &old, &new);
    let pieces = (0..).zip(&old);
    let pieces = pieces.map(|(i, chunk)| new.get(&i).map_or(chunk.text, String::as_str));
    if split(&out).iter().map(|c| c.text).eq(pieces) {
        return Applied {
            text: out,
            refusals,
        };
    }
    let refusal = Refusal::new(
        0,
        "the new objects would move the borders between documents",
    );
    let all: Vec<usize> = (0..bodies.len()).collect();
    Applied {
        text: text.to_owned(),
        refusals: refuse_all(&all, &refusal),
    }
}

/// The text of one document with another content.
fn replace(chunk: Chunk<'_>, ending: &str, body: &Value) -> Result<String, Refusal> {
    let parsed = Document::parse(chunk).map_err(|e| Refusal::new(e.line, e.message))?;
    let Some(root) = parsed.root() else {
        return Err(Refusal::new(chunk.line, "the document is empty"));
    };
    let page = Page::new(chunk, ending);
    let start = root.span().start;
    if !page.before_on_line(start).is_empty() {
        let reason = "the object does not start at the start of a line";
        return Err(Refusal::new(root.line(), reason));
    }
    let end = page.next_line(page.content_end(root));
    let within = |offset: usize| offset.saturating_sub(chunk.offset);
    let before = chunk.text.get(..within(start)).unwrap_or("");
    let after = chunk.text.get(within(end)..).unwrap_or("");
    let new = format!("{before}{}{after}", lines(&emit(body), ending));
    if serde_yaml::from_str::<Value>(&new).is_ok_and(|read| read == *body) {
        return Ok(new);
    }
    let reason = "the new object would not read back as intended";
    Err(Refusal::new(root.line(), reason))
}

/// Adds documents at the end of a stream.
///
/// # Errors
///
/// When the stream is a template, or cannot be read: what is added might come to be part of a
/// condition or a loop.
pub fn append_documents(text: &str, bodies: &[&Body]) -> Result<String, Refusal> {
    let existing = chunks(text, Format::Yaml);
    for &chunk in &existing {
        open(chunk)?;
    }
    let ending = first_line_ending(text);
    let mut out = text.to_owned();
    if !(out.is_empty() || out.ends_with('\n')) {
        out.push_str(ending);
    }
    let mut is_first = existing.is_empty();
    for body in bodies {
        if !std::mem::take(&mut is_first) {
            out.push_str("---");
            out.push_str(ending);
        }
        out.push_str(&lines(&emit(&body.value()), ending));
    }
    Ok(out)
}

fn lines(text: &str, ending: &str) -> String {
    match ending {
        "\n" => text.to_owned(),
        _ => text.replace('\n', ending),
    }
}
