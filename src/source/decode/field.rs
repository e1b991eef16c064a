//! Reading an object field by field: every field knows its path and place, a wrong one is reported
//! and reading goes on, so that all problems of an object are found at once.

use crate::model::Labels;
use crate::source::syntax;
use crate::yaml::{NodeKind, Scalar, View};

use super::reading::{Place, Reading, Step};

/// One value of an object.
#[derive(Clone, Copy)]
pub(super) struct Field<'r, 's, 'd> {
    pub(super) reading: &'r Reading<'s, 'd>,
    pub(super) view: View<'d>,
    place: Place,
}

/// A number or a string, where the API takes either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntOrString<'d> {
    Int(i128),
    String(&'d str),
}

impl<'r, 's, 'd> Field<'r, 's, 'd> {
    /// The object itself.
    pub(super) fn root(reading: &'r Reading<'s, 'd>, view: View<'d>) -> Self {
        Self {
            reading,
            view,
            place: Place::ROOT,
        }
    }

    fn child(self, step: Step<'d>, view: View<'d>) -> Self {
        let text = view.text().map_or(0, str::len);
        Self {
            view,
            place: self.reading.step(self.place, step, text),
            ..self
        }
    }

    fn is_exhausted(self) -> bool {
        self.reading.session.is_exhausted()
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
        self.reading.path(self.place)
    }

    /// Reports a problem at this place; the message is put after the path.
    pub(super) fn wrong(self, message: impl AsRef<str>) {
        self.report(&format!("{} {}", self.subject(), message.as_ref()), None);
    }

    /// The path in backticks; other words for the object itself.
    fn subject(self) -> String {
        if self.place == Place::ROOT {
            return "an object".to_owned();
        }
        format!("`{}`", self.path())
    }

    /// Reports that a text breaks a rule, which is worded to follow "it".
    pub(super) fn breaks(self, text: &str, noun: &str, rule: &str, hint: Option<String>) {
        let is = if text.is_empty() {
            "is empty".to_owned()
        } else {
            format!("is `{text}`")
        };
        let message = format!("{} {is}; {noun} {rule}", self.subject());
        let template = || {
            let braces = text.contains("{{");
            braces.then(|| "it is a template: render it first, and read the output".to_owned())
        };
        self.report(&message, hint.or_else(template));
    }

    /// Reports a problem with a hint.
    pub(super) fn wrong_hint(self, message: impl AsRef<str>, hint: impl Into<String>) {
        let message = format!("{} {}", self.subject(), message.as_ref());
        self.report(&message, Some(hint.into()));
    }

    /// Reports a problem at this place in words that stand for themselves.
    pub(super) fn report(self, message: &str, hint: Option<String>) {
        let exact = self.reading.session.fixed_line.is_none();
        let column = if exact { self.view.column() } else { 0 };
        let message = message.to_owned();
        self.reading.report(self.line(), column, message, hint);
    }

    /// Notes something about this object that is not wrong.
    pub(super) fn note(self, message: &str) {
        self.reading.note(self.line(), message);
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
            .take_while(move |_| !self.is_exhausted())
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
                let hint = text.parse::<i32>().is_ok().then(|| self.as_plain(text));
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
                self.wrong_hint("must be a boolean, and is a string", self.as_plain(text));
                None
            }
            _ => {
                self.wrong_type("a boolean");
                None
            }
        }
    }

    /// What to do about a text that would be a number or a boolean if it were plain.
    pub(super) fn as_plain(self, plain: impl std::fmt::Display) -> String {
        let what = if self.view.is_tagged() {
            "tag"
        } else {
            "quotes"
        };
        format!("remove the {what}: `{plain}`")
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
        let mut map = mapping.entries().filter_map(entry).collect();
        self.respell_keys(&mut map);
        map
    }

    /// Gives keys that kubectl does not read as strings the spelling that it sends: `y` is `true`,
    /// `0x10` is `16`.
    pub(super) fn respell_keys(self, map: &mut Labels) {
        for (key, _) in self.view.written_entries() {
            let sent = match key.scalar() {
                Some(Scalar::Bool(value)) => value.to_string(),
                Some(Scalar::Int(int)) => int.to_string(),
                _ => continue,
            };
            let Some(text) = key.text().filter(|t| *t != sent) else {
                continue;
            };
            if let Some(value) = map.remove(text) {
                self.note(&format!(
                    "has the key `{text}`, which kubectl reads as `{sent}`; it needs quotes"
                ));
                map.insert(sent, value);
            }
        }
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
        if self.field.is_exhausted() {
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
            .take_while(move |_| !field.is_exhausted())
            .map(move |(key, view)| (key, field.child(Step::Key(key), view)))
    }

    /// The place of a key, not of its value, which may begin on a later line; of the value where the
    /// key is in a mapping that is merged.
    fn at_key(self, key: &'d str, value: View<'d>) -> Field<'r, 's, 'd> {
        let own = self.field.view.written_entries();
        let own = own.map(|(key, _)| key).find(|k| k.text() == Some(key));
        self.field.child(Step::Key(key), own.unwrap_or(value))
    }

    /// Reports every key that is one of these but for the case of its letters. For mappings that
    /// are read in part: there is no telling whether another key is known to the API.
    pub(super) fn well_spelled(self, read: &[&str]) {
        for (key, view) in self.field.view.entries() {
            let near = |r: &&&str| r.eq_ignore_ascii_case(key) && **r != key;
            if let Some(meant) = read.iter().find(near) {
                let child = self.at_key(key, view);
                child.wrong_hint(
                    "is not a field of the API",
                    format!("did you mean `{meant}`?"),
                );
            }
        }
    }

    /// Reports every key that is not among those that the API knows here.
    pub(super) fn only(self, known: &[&str]) {
        for (key, view) in self.field.view.entries() {
            if known.contains(&key) {
                continue;
            }
            let child = self.at_key(key, view);
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
