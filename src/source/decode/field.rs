//! Reading an object field by field: every field knows its path and place, a wrong one is reported
//! and reading goes on, so that all problems of an object are found at once.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::model::{Labels, ObjectRef};
use crate::source::problem::{Defect, Note};
use crate::source::syntax;
use crate::yaml::{NodeKind, Scalar, View};

/// An object with more problems than this has the rest of them counted only.
const MOST_DEFECTS: usize = 50;

/// What is shared by the objects of one document.
pub(in crate::source) struct Session<'s> {
    /// The file, as objects name it in their origin.
    pub(in crate::source) file: &'s Arc<str>,
    /// Index of the document in the file.
    pub(in crate::source) document: usize,
    /// Namespace of objects that name none.
    pub(in crate::source) default_namespace: &'s str,
    /// One-based line at which the document starts, when lines in its tree are not those of the
    /// file.
    pub(in crate::source) fixed_line: Option<u32>,
    /// How many more nodes and bytes of text may be read. Aliases let a few lines stand for
    /// billions of nodes, and this ends them.
    pub(in crate::source) budget: Cell<usize>,
}

impl Session<'_> {
    /// Takes from the budget; `false` when there is none left.
    pub(super) fn charge(&self, cost: usize) -> bool {
        let left = self.budget.get().saturating_sub(cost);
        self.budget.set(left);
        left > 0
    }
}

/// One step of a path. Paths are kept as links to their parents and written out for messages only.
#[derive(Clone, Copy)]
enum Step<'d> {
    Root,
    Key(&'d str),
    Index(usize),
}

/// One object that is being read, and what was found wrong with it.
pub(super) struct Reading<'s, 'd> {
    pub(super) session: &'s Session<'s>,
    /// The object, as soon as its name is known.
    object: RefCell<Option<ObjectRef>>,
    paths: RefCell<Vec<(u32, Step<'d>)>>,
    defects: RefCell<Vec<Defect>>,
    more: Cell<usize>,
    notes: RefCell<Vec<Note>>,
}

impl<'s, 'd> Reading<'s, 'd> {
    pub(super) fn new(session: &'s Session<'s>) -> Self {
        Self {
            session,
            object: RefCell::new(None),
            paths: RefCell::new(vec![(0, Step::Root)]),
            defects: RefCell::new(Vec::new()),
            more: Cell::new(0),
            notes: RefCell::new(Vec::new()),
        }
    }

    /// The object itself as a field with an empty path.
    pub(super) fn root(&self, view: View<'d>) -> Field<'_, 's, 'd> {
        Field {
            reading: self,
            view,
            path: 0,
        }
    }

    /// Names the object in everything that is reported from now on.
    pub(super) fn name(&self, object: ObjectRef) {
        *self.object.borrow_mut() = Some(object);
    }

    /// Whether anything was wrong so far.
    pub(super) fn has_failed(&self) -> bool {
        !self.defects.borrow().is_empty() || self.session.budget.get() == 0
    }

    /// What was found.
    pub(super) fn finish(self) -> (Vec<Defect>, Vec<Note>) {
        let mut defects = self.defects.into_inner();
        if let (more @ 1.., Some(last)) = (self.more.get(), defects.last()) {
            let message = format!("{more} more problems like these in this object");
            defects.push(Defect {
                message,
                hint: None,
                ..last.clone()
            });
        }
        (defects, self.notes.into_inner())
    }
}

/// One value of an object.
#[derive(Clone, Copy)]
pub(super) struct Field<'r, 's, 'd> {
    pub(super) reading: &'r Reading<'s, 'd>,
    pub(super) view: View<'d>,
    path: u32,
}

/// A number or a string, where the API takes either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntOrString<'d> {
    Int(i128),
    String(&'d str),
}

impl<'r, 's, 'd> Field<'r, 's, 'd> {
    fn child(self, step: Step<'d>, view: View<'d>) -> Self {
        self.reading
            .session
            .charge(1 + view.text().map_or(0, str::len));
        let mut paths = self.reading.paths.borrow_mut();
        let path = u32::try_from(paths.len()).unwrap_or(0);
        paths.push((self.path, step));
        Self { view, path, ..self }
    }

    /// One-based line in the file.
    pub(super) fn line(self) -> u32 {
        self.reading
            .session
            .fixed_line
            .unwrap_or_else(|| self.view.line())
    }

    /// The path, written as in `spec.ingress[0].ports`.
    pub(super) fn path(self) -> String {
        let paths = self.reading.paths.borrow();
        let mut steps = Vec::new();
        let mut at = self.path;
        while let Some(&(parent, step)) = paths.get(at as usize) {
            if matches!(step, Step::Root) {
                break;
            }
            steps.push(step);
            at = parent;
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            let written = match step {
                Step::Root => Ok(()),
                Step::Key(key) if key.contains(['.', '/']) => write!(path, "[{key}]"),
                Step::Key(key) if path.is_empty() => write!(path, "{key}"),
                Step::Key(key) => write!(path, ".{key}"),
                Step::Index(index) => write!(path, "[{index}]"),
            };
            // Writing to a string cannot fail.
            debug_assert!(written.is_ok());
        }
        path
    }

    /// Reports a problem at this place; the message is put after the path.
    pub(super) fn wrong(self, message: impl AsRef<str>) {
        self.report(&format!("{} {}", self.subject(), message.as_ref()), None);
    }

    /// The path in backticks; other words for the object itself.
    fn subject(self) -> String {
        match self.path {
            0 => "an object".to_owned(),
            _ => format!("`{}`", self.path()),
        }
    }

    /// Reports that a text breaks a rule, which is worded to follow "it".
    pub(super) fn breaks(self, text: &str, noun: &str, rule: &str, hint: Option<String>) {
        let is = if text.is_empty() {
            "is empty".to_owned()
        } else {
            format!("is `{text}`")
        };
        let message = format!("{} {is}; {noun} {rule}", self.subject());
        self.report(&message, hint);
    }

    /// Reports a problem with a hint.
    pub(super) fn wrong_hint(self, message: impl AsRef<str>, hint: impl Into<String>) {
        let message = format!("{} {}", self.subject(), message.as_ref());
        self.report(&message, Some(hint.into()));
    }

    /// Reports a problem at this place in words that stand for themselves.
    pub(super) fn report(self, message: &str, hint: Option<String>) {
        if self.reading.session.budget.get() == 0 {
            return;
        }
        let exact = self.reading.session.fixed_line.is_none();
        let defect = Defect {
            line: self.line(),
            column: if exact { self.view.column() } else { 0 },
            object: self.reading.object.borrow().clone(),
            message: message.to_owned(),
            hint,
        };
        let mut defects = self.reading.defects.borrow_mut();
        // A field may be read twice: once to be checked, once to be kept.
        if defects.contains(&defect) {
            return;
        }
        if defects.len() == MOST_DEFECTS {
            self.reading.more.set(self.reading.more.get() + 1);
            return;
        }
        defects.push(defect);
    }

    /// Notes something about this object that is not wrong.
    pub(super) fn note(self, message: &str) {
        let object = self.reading.object.borrow();
        let subject = object
            .as_ref()
            .map(|o| format!("`{o}` "))
            .unwrap_or_default();
        self.reading.notes.borrow_mut().push(Note {
            file: Arc::clone(self.reading.session.file),
            line: self.line(),
            message: format!("{subject}{message}"),
        });
    }

    fn wrong_type(self, expected: &str) {
        let found = match self.view.kind() {
            NodeKind::Sequence => "a list",
            NodeKind::Mapping => "a mapping",
            NodeKind::Scalar => match self.view.scalar() {
                Some(scalar) => scalar.type_name(),
                None => "something else",
            },
        };
        self.wrong(format!("must be {expected}, and is {found}"));
    }

    /// The value as a mapping. Null is an empty one: so the API server reads it in lists.
    pub(super) fn mapping(self) -> Option<Mapping<'r, 's, 'd>> {
        if self.view.kind() == NodeKind::Mapping || self.view.is_null() {
            return Some(Mapping { field: self });
        }
        self.wrong_type("a mapping");
        None
    }

    /// The items of a list; none when it is something else, which is reported.
    pub(super) fn items(self) -> impl Iterator<Item = Self> + use<'r, 's, 'd> {
        if self.view.kind() != NodeKind::Sequence && !self.view.is_null() {
            self.wrong_type("a list");
        }
        let items = self.view.items().enumerate();
        items
            .take_while(move |_| self.reading.session.budget.get() > 0)
            .map(move |(i, view)| self.child(Step::Index(i), view))
    }

    /// The value as a string. Null is an empty one: so the API server reads it in lists and maps.
    pub(super) fn string(self) -> Option<&'d str> {
        match self.view.scalar() {
            Some(Scalar::String(text)) => Some(text),
            Some(Scalar::Null) => Some(""),
            Some(scalar) => {
                let text = self.view.text().unwrap_or_default();
                self.wrong_hint(
                    format!(
                        "must be a string, and `{text}` is read as {}",
                        scalar.type_name()
                    ),
                    format!("put it in quotes: `\"{text}\"`"),
                );
                None
            }
            None => {
                self.wrong_type("a string");
                None
            }
        }
    }

    /// The value as an integer of 32 bits, which all integers that are read here have.
    pub(super) fn integer(self) -> Option<i128> {
        match self.int_or_string()? {
            IntOrString::Int(int) => Some(int),
            IntOrString::String(text) => {
                let hint = text
                    .parse::<i32>()
                    .is_ok()
                    .then(|| format!("remove the quotes: `{text}`"));
                let message = format!("`{}` must be a number, and is a string", self.path());
                self.report(&message, hint);
                None
            }
        }
    }

    /// The value as an integer of 32 bits, or a string.
    pub(super) fn int_or_string(self) -> Option<IntOrString<'d>> {
        let int = match self.view.scalar() {
            Some(Scalar::String(text)) => return Some(IntOrString::String(text)),
            Some(Scalar::Int(int)) => int,
            Some(Scalar::Float(float)) => {
                // kubectl writes a float without a fraction as an integer.
                let whole = float.fract() == 0.0 && float.abs() <= f64::from(i32::MAX);
                let int = whole.then(|| format!("{float:.0}").parse().ok()).flatten();
                let Some(int) = int else {
                    self.wrong("must be a whole number");
                    return None;
                };
                int
            }
            _ => {
                self.wrong_type("a number");
                return None;
            }
        };
        if i32::try_from(int).is_err() {
            self.wrong("does not fit into 32 bits");
            return None;
        }
        Some(IntOrString::Int(int))
    }

    /// The value as a boolean.
    pub(super) fn boolean(self) -> Option<bool> {
        match self.view.scalar() {
            Some(Scalar::Bool(value)) => Some(value),
            Some(Scalar::String(text)) if matches!(text, "true" | "false") => {
                self.wrong_hint(
                    "must be a boolean, and is a string",
                    format!("remove the quotes: `{text}`"),
                );
                None
            }
            _ => {
                self.wrong_type("a boolean");
                None
            }
        }
    }

    /// The value as a port number.
    pub(super) fn port(self) -> Option<u16> {
        let number = self.integer()?;
        match syntax::port_number(number) {
            Ok(port) => Some(port),
            Err(rule) => {
                self.wrong(format!("is {number}; a port {rule}"));
                None
            }
        }
    }

    /// The value as a list of strings.
    pub(super) fn strings(self) -> Vec<String> {
        self.items()
            .filter_map(|item| item.string().map(str::to_owned))
            .collect()
    }

    /// The value as a map of strings.
    pub(super) fn string_map(self) -> Labels {
        let Some(mapping) = self.mapping() else {
            return Labels::new();
        };
        let entry = |(key, value): (&str, Self)| Some((key.to_owned(), value.string()?.to_owned()));
        mapping.entries().filter_map(entry).collect()
    }
}

/// A value that is a mapping.
#[derive(Clone, Copy)]
pub(super) struct Mapping<'r, 's, 'd> {
    pub(super) field: Field<'r, 's, 'd>,
}

impl<'r, 's, 'd> Mapping<'r, 's, 'd> {
    /// The value under a key; null is as good as absent.
    pub(super) fn get(self, key: &'static str) -> Option<Field<'r, 's, 'd>> {
        if self.field.reading.session.budget.get() == 0 {
            return None;
        }
        let view = self.field.view.get(key).filter(|v| !v.is_null())?;
        Some(self.field.child(Step::Key(key), view))
    }

    /// The value under a key even if it is null, as a place to point at.
    pub(super) fn written(self, key: &'static str) -> Option<Field<'r, 's, 'd>> {
        let view = self.field.view.get(key)?;
        Some(self.field.child(Step::Key(key), view))
    }

    /// The value under a key that must be there.
    pub(super) fn required(self, key: &'static str) -> Option<Field<'r, 's, 'd>> {
        let value = self.get(key);
        if value.is_none() {
            let path = self.field.path();
            let dot = if path.is_empty() { "" } else { "." };
            self.field
                .report(&format!("`{path}{dot}{key}` is missing"), None);
        }
        value
    }

    /// A string under a key; empty when absent.
    pub(super) fn text(self, key: &'static str) -> &'d str {
        self.get(key).and_then(Field::string).unwrap_or_default()
    }

    /// The mapping under a key.
    pub(super) fn mapping(self, key: &'static str) -> Option<Self> {
        self.get(key)?.mapping()
    }

    /// The items of the list under a key.
    pub(super) fn items(
        self,
        key: &'static str,
    ) -> impl Iterator<Item = Field<'r, 's, 'd>> + use<'r, 's, 'd> {
        self.get(key).into_iter().flat_map(Field::items)
    }

    /// The mappings in the list under a key.
    pub(super) fn mappings(
        self,
        key: &'static str,
    ) -> impl Iterator<Item = Self> + use<'r, 's, 'd> {
        self.items(key).filter_map(Field::mapping)
    }

    /// All entries, merges applied.
    pub(super) fn entries(
        self,
    ) -> impl Iterator<Item = (&'d str, Field<'r, 's, 'd>)> + use<'r, 's, 'd> {
        let field = self.field;
        field
            .view
            .entries()
            .into_iter()
            .take_while(move |_| field.reading.session.budget.get() > 0)
            .map(move |(key, view)| (key, field.child(Step::Key(key), view)))
    }

    /// Reports every key that is not among those that the API knows here.
    pub(super) fn only(self, known: &[&str]) {
        for (key, view) in self.field.view.entries() {
            if known.contains(&key) {
                continue;
            }
            let child = self.field.child(Step::Key(key), view);
            let message = format!("`{}` is not a field of the API", child.path());
            let hint = match syntax::did_you_mean(key, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the fields here are {}", quoted(known)),
            };
            child.report(&message, Some(hint));
        }
    }
}

/// Words in backticks, with commas between them.
pub(super) fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    quoted.join(", ")
}
