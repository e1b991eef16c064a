use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::yaml::split;

/// Decisions, taken from random bytes; when they run out, the plainest one.
pub(super) struct Choices {
    pub(super) bytes: Vec<u8>,
    pub(super) next: usize,
}

impl Choices {
    pub(super) fn below(&mut self, bound: u8) -> usize {
        let byte = self.bytes.get(self.next).copied().unwrap_or(0);
        self.next += 1;
        usize::from(byte % bound)
    }

    pub(super) fn one_in(&mut self, n: u8) -> bool {
        self.below(n) == n as usize - 1
    }

    pub(super) fn pick<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        let bound = u8::try_from(choices.len()).unwrap();
        choices[self.below(bound)]
    }
}

/// Writes policies as nastily as people do.
pub(super) struct Writer {
    pub(super) choices: Choices,
    out: String,
    line_ending: &'static str,
}

impl Writer {
    pub(super) fn policies(bytes: Vec<u8>) -> String {
        let mut writer = Self::new(bytes);
        writer.stream();
        writer.out
    }

    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self {
            choices: Choices { bytes, next: 0 },
            out: String::new(),
            line_ending: "\n",
        }
    }

    fn stream(&mut self) {
        if self.choices.one_in(3) {
            self.line_ending = "\r\n";
        }
        if self.choices.one_in(6) {
            self.out.push('\u{feff}');
        }
        for i in 0..=self.choices.below(3) {
            if i > 0 || self.choices.one_in(3) {
                let is_ended = i > 0 && self.choices.one_in(4);
                if is_ended {
                    self.out.push_str("...");
                    self.out.push_str(self.line_ending);
                }
                self.noise(0);
                if (is_ended || i == 0) && self.choices.one_in(3) {
                    self.out.push_str("%YAML 1.2");
                    self.out.push_str(self.line_ending);
                }
                self.out.push_str("---");
                self.end();
            }
            self.noise(0);
            if self.choices.one_in(4) {
                let items = (0..=self.choices.below(3)).map(|_| self.policy()).collect();
                self.node(&json!({"kind": "List", "items": Value::Array(items)}), 0);
            } else {
                let policy = self.policy();
                self.node(&policy, 0);
            }
            self.noise(0);
        }
        if self.choices.one_in(3) {
            let end = self.out.trim_end_matches(['\n', '\r']).len();
            self.out.truncate(end);
        }
    }

    pub(super) fn policy(&mut self) -> Value {
        let mut spec = serde_json::Map::new();
        for direction in ["ingress", "egress"] {
            let rules: Vec<_> = (0..self.choices.below(3)).map(|_| self.rule()).collect();
            spec.insert(direction.to_owned(), rules.into());
        }
        spec.insert("podSelector".to_owned(), json!({}));
        let note = self.choices.pick(&[
            "a",
            "two\nlines\n",
            "- x\n\n\n",
            "# no\n a",
            "it's",
            "é\u{1f980}\u{a0}名",
        ]);
        let long = if self.choices.one_in(6) { 700 } else { 1 };
        let note = note.repeat(long);
        json!({"kind": "NetworkPolicy", "metadata": {"annotations": {"note": note}}, "spec": spec})
    }

    fn rule(&mut self) -> Value {
        let mut ports = Vec::new();
        for _ in 0..self.choices.below(4) {
            let port = match self.choices.below(3) {
                0 => json!({"port": 80}),
                1 => json!({"protocol": "TCP", "port": "http"}),
                _ => json!({"port": 80, "endPort": 90, "protocol": "UDP"}),
            };
            ports.push(port);
        }
        let peer = json!({"podSelector": {"matchLabels": {"app": "a b"}}});
        match self.choices.below(3) {
            0 => json!({"from": [peer.clone(), peer], "ports": ports}),
            1 => json!({"ports": ports}),
            _ => json!({"ports": ports, "from": [peer]}),
        }
    }

    /// Comments and blank lines.
    fn noise(&mut self, column: usize) {
        while self.choices.one_in(4) {
            let column = column + self.choices.below(3) * self.choices.below(3);
            let text = self.choices.pick(&["", "# c", "# - port: 1", "# {{ é }}"]);
            self.out
                .push_str(&" ".repeat(if text.is_empty() { 0 } else { column }));
            self.out.push_str(text);
            self.out.push_str(self.line_ending);
        }
    }

    /// Ends a line, perhaps with a comment.
    fn end(&mut self) {
        let mut rest = self
            .choices
            .pick(&["", "", " # c", "  ", "\t# [", "   #: x - y"]);
        if self.out.ends_with(['-', ':']) {
            // Some readers take no tab here.
            rest = rest.trim_start_matches('\t');
            rest = if rest.starts_with('#') { "" } else { rest };
        }
        self.out.push_str(rest);
        self.out.push_str(self.line_ending);
    }

    /// Writes a collection as lines, the first of which has been indented already.
    fn node(&mut self, value: &Value, column: usize) {
        match value {
            Value::Object(entries) => {
                for (i, (key, value)) in entries.iter().enumerate() {
                    if i > 0 {
                        self.noise(column);
                        self.out.push_str(&" ".repeat(column));
                    }
                    let quote = self.choices.pick(&["", "", "", "\"", "'"]);
                    let _ = write!(self.out, "{quote}{key}{quote}:");
                    self.under_key(value, column);
                }
            }
            Value::Array(items) => {
                let gap = 1 + self.choices.below(3);
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.noise(column);
                        self.out.push_str(&" ".repeat(column));
                    }
                    self.out.push('-');
                    let inner = column + 1 + gap;
                    if is_collection(item) && !self.choices.one_in(4) {
                        if self.choices.one_in(6) {
                            self.end();
                            self.noise(inner);
                            self.out.push_str(&" ".repeat(inner));
                        } else {
                            self.out.push_str(&" ".repeat(gap));
                        }
                        self.node(item, inner);
                    } else {
                        self.out.push_str(&" ".repeat(gap));
                        self.inline(item, column + 2);
                        self.end();
                    }
                }
            }
            _ => unreachable!("scalars are written inline"),
        }
    }

    fn under_key(&mut self, value: &Value, column: usize) {
        if is_collection(value) && !self.choices.one_in(4) {
            self.end();
            let deeper = match value {
                Value::Array(_) => self.choices.below(5),
                _ => 1 + self.choices.below(6),
            };
            self.noise(column + deeper);
            self.out.push_str(&" ".repeat(column + deeper));
            self.node(value, column + deeper);
        } else if let Some(text) = value.as_str().filter(|t| t.contains('\n')) {
            self.text(text, column);
        } else {
            let spaces = " ".repeat(1 + self.choices.below(3));
            self.out.push_str(&spaces);
            self.inline(value, column + 1);
            self.end();
        }
    }

    /// A string of several lines.
    fn text(&mut self, text: &str, column: usize) {
        let lines = text.trim_end_matches('\n');
        let chomping = match text.len() - lines.len() {
            0 => "-",
            1 => "",
            _ => "+",
        };
        let _ = write!(self.out, " |{chomping}");
        if self.choices.one_in(3) {
            self.out.push_str(" # |");
        }
        self.out.push_str(self.line_ending);
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if !line.is_empty() {
                self.out.push_str(&" ".repeat(column + 3));
                self.out.push_str(line);
            }
            self.out.push_str(self.line_ending);
        }
    }

    /// Writes a value in flow style; lines that it is broken into are indented by `column`.
    fn inline(&mut self, value: &Value, column: usize) {
        let parts: Vec<(Option<&String>, &Value)> = match value {
            Value::Object(entries) => entries.iter().map(|(k, v)| (Some(k), v)).collect(),
            Value::Array(items) => items.iter().map(|v| (None, v)).collect(),
            Value::String(text) => {
                let text = match self.choices.below(3) {
                    0 if !text.contains([' ', '\n', '#', '\'']) => text.clone(),
                    1 if !text.contains('\n') => format!("'{}'", text.replace('\'', "''")),
                    _ => json!(text).to_string(),
                };
                return self.out.push_str(&text);
            }
            _ => return self.out.push_str(&value.to_string()),
        };
        let (open, close) = if value.is_object() {
            ('{', '}')
        } else {
            ('[', ']')
        };
        let spread = self.choices.one_in(3);
        let padding = self.choices.pick(&["", " "]);
        self.out.push(open);
        let last = parts.len().saturating_sub(1);
        for (i, (key, value)) in parts.iter().enumerate() {
            if spread && (i == 0 || !self.choices.one_in(3)) {
                self.end();
                self.noise(column + 2);
                self.out.push_str(&" ".repeat(column + 2));
            } else {
                self.out.push_str(if i == 0 { padding } else { " " });
            }
            if let Some(key) = key {
                let _ = write!(self.out, "{key}: ");
            }
            self.inline(value, column + 2);
            if i < last || self.choices.one_in(4) {
                let comma = self.choices.pick(&[",", ",", " ,"]);
                self.out.push_str(comma);
            }
        }
        if spread && self.choices.below(2) == 0 {
            self.end();
            self.out.push_str(&" ".repeat(column + 1));
        } else {
            self.out.push_str(padding);
        }
        self.out.push(close);
    }
}

fn is_collection(value: &Value) -> bool {
    match value {
        Value::Object(entries) => !entries.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn read(text: &str) -> Vec<Value> {
    split(text)
        .iter()
        .map(|chunk| serde_yaml::from_str(chunk.text).unwrap())
        .collect()
}

/// Does to values what is to be done to text, by another way than [`Edit::apply`].
fn intend(value: &mut Value) -> usize {
    let items = value.get_mut("items").and_then(Value::as_array_mut);
    let lists: usize = items.into_iter().flatten().map(intend).sum();
    lists + intend_object(value)
}

/// The same for one object.
pub(super) fn intend_object(value: &mut Value) -> usize {
    let mut lists = 0;
    for rules in ["/spec/ingress", "/spec/egress"] {
        let rules = value.pointer_mut(rules).and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            let ports = rule.get_mut("ports").and_then(Value::as_array_mut);
            if let Some(ports) = ports.filter(|p| !p.is_empty()) {
                ports.push(json!({"port": 15008, "protocol": "TCP"}));
                lists += 1;
            }
        }
    }
    lists
}

pub(super) fn is_subsequence(short: &str, long: &str) -> bool {
    let mut long = long.chars();
    short.chars().all(|c| long.any(|l| l == c))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn edited_text_reads_as_intended_and_keeps_every_byte(
        bytes in prop::collection::vec(any::<u8>(), 0..400)
    ) {
        let text = Writer::policies(bytes);
        let objects = open_tunnel(&text, Format::Yaml);
        let edited = apply_all(&text, Format::Yaml, &objects);
        let edited = edited.map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        let mut intended = read(&text);
        let lists: usize = intended.iter_mut().map(intend).sum();
        prop_assert_eq!(read(&edited), intended, "{}", edited);
        prop_assert!(is_subsequence(&text, &edited));
        let added = edited.matches("15008").count() - text.matches("15008").count();
        prop_assert_eq!(added, lists);
        prop_assert_eq!(edited.contains("\r\n"), text.contains("\r\n"));
        let lone = |text: &str| text.matches('\n').count() - text.matches("\r\n").count();
        prop_assert!(lone(&text) > 0 || lone(&edited) == 0, "{}", edited);
    }

    #[test]
    fn anything_can_be_inserted_anywhere(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        choices in prop::collection::vec(any::<u8>(), 40),
    ) {
        let text = Writer::policies(bytes);
        let mut choices = Choices { bytes: choices, next: 0 };
        let mut intended = read(&text);
        let document = choices.below(u8::try_from(intended.len()).unwrap());
        let edits: Vec<Edit> = (0..4)
            .map(|i| random_edit(&mut choices, i, &mut intended[document]))
            .collect();
        let edited = apply_all(&text, Format::Yaml, &[(document, Vec::new(), edits.clone())]);
        let edited = edited
            .map_err(|e| TestCaseError::fail(format!("{e}\n{edits:#?}\n{text}")))?;
        prop_assert_eq!(read(&edited), intended, "{}", edited);
        prop_assert!(is_subsequence(&text, &edited));
    }
}

/// Chooses a list or mapping of a value, and inserts something into it.
fn random_edit(choices: &mut Choices, number: usize, value: &mut Value) -> Edit {
    let new = match choices.below(6) {
        0 => json!(15008),
        1 => json!("yes"),
        2 => json!({"port": 15008, "protocol": "TCP"}),
        3 => json!({"a": {"b": [1, {"c": "x y"}]}, "d": []}),
        4 => json!([["a"], {}]),
        _ => json!("a: b\n#c"),
    };
    let mut path = Path::new();
    let mut node = &*value;
    loop {
        let stop = choices.one_in(4);
        let inner = match node {
            Value::Object(entries) if !(stop || entries.is_empty()) => {
                let bound = u8::try_from(entries.len()).unwrap();
                let (key, inner) = entries.iter().nth(choices.below(bound)).unwrap();
                is_container(inner).then(|| (Segment::from(key.as_str()), inner))
            }
            Value::Array(items) if !stop => {
                let index = choices.below(u8::try_from(items.len()).unwrap());
                is_container(&items[index]).then(|| (Segment::from(index), &items[index]))
            }
            _ => None,
        };
        let Some((segment, inner)) = inner else { break };
        path.push(segment);
        node = inner;
    }
    let edit = if node.is_array() {
        Edit::Append { path, item: new }
    } else {
        // Sometimes into a mapping that has to be made first.
        if choices.one_in(3) {
            path.push(Segment::from("made"));
        }
        let key = format!("new{number}");
        Edit::Add {
            path,
            key,
            value: new,
        }
    };
    edit.apply(value).unwrap();
    edit
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.as_array().is_some_and(|items| !items.is_empty())
}
