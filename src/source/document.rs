//! From texts to documents, and from documents to objects, in parallel.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::model::{Kind, ObjectRef, Origin};
use crate::yaml::{Chunk, Document, Format, Style, SyntaxError, View, split, split_json};

use super::SourceFile;
use super::decode::{self, Decoded, Read, Session, Shape};
use super::problem::{Defect, Lines, Note, Problem};
use super::template;

/// How many times its own length a document may come to with its aliases, and how much more a
/// small one may.
const ALIAS_FACTOR: usize = 16;
const ALIAS_FLOOR: usize = 256 << 10;

/// What came out of all documents.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) objects: Vec<Read>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Note>,
    /// The kinds of which an object could not be read.
    pub(super) unread: BTreeSet<Kind>,
    /// The files that hold templates, at the line that shows it.
    pub(super) templates: Vec<Origin>,
}

/// The syntax of a text: JSON by its name, or because all of it is.
pub(super) fn format(name: &str, text: &str) -> Format {
    let extension = Path::new(name).extension();
    let named = extension.is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let braces = || {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        text.starts_with('{') && split_json(text).1.is_none()
    };
    if named || braces() {
        Format::Json
    } else {
        Format::Yaml
    }
}

/// One document to read.
struct Unit<'t> {
    file: usize,
    document: usize,
    chunk: Chunk<'t>,
}

/// What came out of one document, with its problems looked up.
struct Outcome {
    decoded: Decoded,
    problems: Vec<Problem>,
}

/// Reads the documents of all files. The result does not depend on how many threads there are.
pub(super) fn read_all(files: &[SourceFile], default_namespace: &str) -> Documents {
    let mut all = Documents::default();
    let mut units = Vec::new();
    for (file, source) in files.iter().enumerate() {
        let (chunks, error) = match source.format {
            Format::Yaml => (split(&source.text), None),
            Format::Json => split_json(&source.text),
        };
        let chunks = (0..).zip(chunks);
        units.extend(chunks.map(|(document, chunk)| Unit {
            file,
            document,
            chunk,
        }));
        if let Some(error) = error {
            let lines = Lines::new(&source.text, 1);
            let defect = syntax_defect(&error, Format::Json);
            all.problems.push(lines.problem(&source.name, defect));
            all.unread.extend(Kind::ALL);
        }
    }
    let read = |unit: &Unit<'_>| {
        files
            .get(unit.file)
            .map(|f| read(f, unit, default_namespace))
    };
    let outcomes: Vec<Option<Outcome>> = units.par_iter().map(read).collect();
    let mut outcomes = units.iter().zip(outcomes).peekable();
    for (file, source) in files.iter().enumerate() {
        let mut of_file = Vec::new();
        while let Some((_, outcome)) = outcomes.next_if(|(unit, _)| unit.file == file) {
            of_file.extend(outcome);
        }
        merge(source, of_file, &mut all);
    }
    all
}

fn read(file: &SourceFile, unit: &Unit<'_>, default_namespace: &str) -> Outcome {
    let chunk = unit.chunk;
    let length = chunk.text.len();
    let mut session = Session {
        file: &file.name,
        document: unit.document,
        default_namespace,
        fixed_line: None,
        budget: Cell::new(
            length
                .saturating_mul(ALIAS_FACTOR)
                .saturating_add(ALIAS_FLOOR),
        ),
    };
    let parsed = match file.format {
        Format::Yaml => Document::parse(chunk),
        Format::Json => parse_json(chunk).map(|(document, exact)| {
            session.fixed_line = (!exact).then_some(chunk.line);
            document
        }),
    };
    let mut decoded = match &parsed {
        Ok(document) => decode::document(&session, document.root()),
        Err(error) => broken(file.format, chunk, error),
    };
    if let Ok(document) = &parsed
        && !decoded.defects.is_empty()
        && chunk.text.contains("{{")
        && let Some(line) = plain_braces(document)
    {
        // A template that happens to be YAML. What it says before it is rendered means nothing.
        decoded = Decoded {
            shape: Shape::Template(line),
            ..Decoded::default()
        };
    }
    let defects = std::mem::take(&mut decoded.defects);
    let problems = if defects.is_empty() {
        Vec::new()
    } else {
        let lines = Lines::new(chunk.text, chunk.line);
        let problem = |defect| lines.problem(&file.name, defect);
        defects.into_iter().map(problem).collect()
    };
    Outcome { decoded, problems }
}

fn plain_braces(document: &Document) -> Option<u32> {
    let braces = |text: &str| text.contains("{{");
    document
        .scalars()
        .find(|s| s.style() != Style::Quoted && s.text().is_some_and(braces))
        .map(View::line)
}

fn broken(format: Format, chunk: Chunk<'_>, error: &SyntaxError) -> Decoded {
    let template = match format {
        Format::Yaml => template::explains(chunk, error),
        Format::Json => None,
    };
    if let Some(line) = template {
        return Decoded {
            shape: Shape::Template(line),
            ..Decoded::default()
        };
    }
    Decoded {
        shape: Shape::Broken,
        defects: vec![syntax_defect(error, format)],
        unread: BTreeSet::from(Kind::ALL),
        ..Decoded::default()
    }
}

fn syntax_defect(error: &SyntaxError, format: Format) -> Defect {
    let format = match format {
        Format::Yaml => "YAML",
        Format::Json => "JSON",
    };
    let hint = match error.message.as_str() {
        m if m.starts_with("tab") => Some("indent with spaces".to_owned()),
        m if m.starts_with("duplicate key") => Some("remove one of the two".to_owned()),
        _ => None,
    };
    Defect {
        line: error.line,
        column: error.column,
        object: None::<ObjectRef>,
        message: format!("invalid {format}: {error}"),
        hint,
    }
}

/// Reads JSON through the YAML parser, which knows places. Whether they are right is the second
/// part of the result: what YAML does not take is written anew, and has other lines.
fn parse_json(chunk: Chunk<'_>) -> Result<(Document, bool), SyntaxError> {
    // Strings of JSON hold no raw tabs, so every tab is white space, which YAML restricts.
    let text = if chunk.text.contains('\t') {
        Cow::Owned(chunk.text.replace('\t', " "))
    } else {
        Cow::Borrowed(chunk.text)
    };
    let spaced = Chunk {
        text: &text,
        ..chunk
    };
    let error = match Document::parse(spaced) {
        Ok(document) => return Ok((document, true)),
        Err(error) => error,
    };
    if error.message.starts_with("duplicate key") {
        return Err(error);
    }
    let value: Option<serde_json::Value> = serde_json::from_str(chunk.text).ok();
    let Some(text) = value.map(|v| v.to_string()) else {
        return Err(error);
    };
    let rewritten = Chunk {
        text: &text,
        ..chunk
    };
    let document = Document::parse(rewritten).map_err(|_| error)?;
    Ok((document, false))
}

/// Takes over what came out of one file, knowing all of its documents.
fn merge(file: &SourceFile, outcomes: Vec<Outcome>, all: &mut Documents) {
    let has_objects = outcomes.iter().any(|o| o.decoded.shape == Shape::Objects);
    let broken = all.problems.iter().any(|p| p.file == file.name);
    let mut note = |line: u32, message: &str| {
        all.notes.push(Note {
            file: Arc::clone(&file.name),
            line,
            message: message.to_owned(),
        });
    };
    if !broken && outcomes.iter().all(|o| o.decoded.shape == Shape::Empty) {
        note(0, "holds no documents");
    }
    let template = outcomes.iter().find_map(|o| match o.decoded.shape {
        Shape::Template(line) => Some(line),
        _ => None,
    });
    if let Some(line) = template {
        all.unread.extend(Kind::ALL);
        all.templates.push(Origin {
            file: Arc::clone(&file.name),
            ..Origin::synthetic().at(line)
        });
        note(
            line,
            "Helm template, not read; render it first: `helm template … | kubectl ambient migrate \
             -f -`",
        );
    }
    let foreign = outcomes.iter().filter_map(|o| match o.decoded.shape {
        Shape::Foreign(line) => Some(line),
        _ => None,
    });
    let foreign: Vec<u32> = foreign.collect();
    if has_objects && !foreign.is_empty() {
        let lines = Lines::new(&file.text, 1);
        for line in foreign {
            let defect = Defect {
                line,
                column: 1,
                object: None,
                message: "a document without `apiVersion` and `kind`".to_owned(),
                hint: Some("name both, or move it to a file of its own".to_owned()),
            };
            all.problems.push(lines.problem(&file.name, defect));
            all.unread.extend(Kind::ALL);
        }
    } else if let Some(&line) = foreign.first()
        && template.is_none()
    {
        note(line, "holds no Kubernetes object, not read");
    }
    for mut outcome in outcomes {
        all.problems.append(&mut outcome.problems);
        all.notes.append(&mut outcome.decoded.notes);
        all.unread.append(&mut outcome.decoded.unread);
        all.objects.append(&mut outcome.decoded.objects);
    }
}
