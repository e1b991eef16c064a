//! What is known while an object is read: how much may be read, where things are, and what was
//! found wrong.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::model::ObjectRef;
use crate::source::problem::{Defect, Note};

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
    /// Whether nothing more may be read.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget.get() == 0
    }
}

/// One step of a path.
#[derive(Clone, Copy)]
pub(super) enum Step<'d> {
    Key(&'d str),
    Index(usize),
}

/// A path: a place among those that its [`Reading`] has seen. [`Place::ROOT`] is the object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(usize);

impl Place {
    pub(super) const ROOT: Self = Self(0);
}

/// One object that is being read, and what was found wrong with it.
pub(super) struct Reading<'s, 'd> {
    pub(super) session: &'s Session<'s>,
    /// The object, as soon as its name is known.
    object: RefCell<Option<ObjectRef>>,
    /// Every place but the root, as a step from another. They are written out for messages only.
    places: RefCell<Vec<(Place, Step<'d>)>>,
    defects: RefCell<Vec<Defect>>,
    /// How many defects there are beyond those that are kept.
    more: Cell<usize>,
    notes: RefCell<Vec<Note>>,
}

impl<'s, 'd> Reading<'s, 'd> {
    pub(super) fn new(session: &'s Session<'s>) -> Self {
        Self {
            session,
            object: RefCell::new(None),
            places: RefCell::new(Vec::new()),
            defects: RefCell::new(Vec::new()),
            more: Cell::new(0),
            notes: RefCell::new(Vec::new()),
        }
    }

    /// Names the object in everything that is reported from now on.
    pub(super) fn name(&self, object: ObjectRef) {
        *self.object.borrow_mut() = Some(object);
    }

    /// A place one step from another. It costs its node and the text in it.
    pub(super) fn step(&self, from: Place, step: Step<'d>, text: usize) -> Place {
        let budget = &self.session.budget;
        budget.set(budget.get().saturating_sub(1 + text));
        let mut places = self.places.borrow_mut();
        places.push((from, step));
        Place(places.len())
    }

    /// A path, written as in `spec.ingress[0].ports`; empty for the object.
    pub(super) fn path(&self, mut place: Place) -> String {
        let places = self.places.borrow();
        let mut steps = Vec::new();
        while let Some(&(from, step)) = place.0.checked_sub(1).and_then(|i| places.get(i)) {
            steps.push(step);
            place = from;
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            let written = match step {
                Step::Key(key) if key.contains(['.', '/']) => write!(path, "[{key}]"),
                Step::Key(key) if path.is_empty() => write!(path, "{key}"),
                Step::Key(key) => write!(path, ".{key}"),
                Step::Index(index) => write!(path, "[{index}]"),
            };
            debug_assert!(written.is_ok(), "writing to a string cannot fail");
        }
        path
    }

    /// Keeps a problem, under the name of the object.
    pub(super) fn report(&self, line: u32, column: u32, message: String, hint: Option<String>) {
        if self.session.is_exhausted() {
            return;
        }
        let defect = Defect {
            line,
            column,
            object: self.object.borrow().clone(),
            message,
            hint,
        };
        let mut defects = self.defects.borrow_mut();
        // A field may be read twice: once to be checked, once to be kept.
        if defects.contains(&defect) {
            return;
        }
        if defects.len() == MOST_DEFECTS {
            self.more.set(self.more.get() + 1);
            return;
        }
        defects.push(defect);
    }

    /// Keeps a note, with the name of the object before it.
    pub(super) fn note(&self, line: u32, message: &str) {
        let object = self.object.borrow();
        let subject = object
            .as_ref()
            .map(|o| format!("`{o}` "))
            .unwrap_or_default();
        self.notes.borrow_mut().push(Note {
            file: Arc::clone(self.session.file),
            line,
            message: format!("{subject}{message}"),
        });
    }

    /// Whether anything was wrong so far.
    pub(super) fn has_failed(&self) -> bool {
        !self.defects.borrow().is_empty() || self.session.is_exhausted()
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
