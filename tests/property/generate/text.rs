//! Writes objects as people and tools write them: YAML in several hands, JSON, lists.

use std::fmt::Write as _;

use kubectl_ambient::yaml::Format;
use serde_json::{Value, json};

use super::Cluster;

/// One manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) format: Format,
}

impl File {
    /// Whether the program wrote the file.
    pub(crate) fn is_own(&self) -> bool {
        self.name == "ambient-policies.yaml"
    }

    /// The objects that an independent parser finds in the text.
    pub(crate) fn objects(&self) -> Result<Vec<Value>, String> {
        let documents = match self.format {
            Format::Json => serde_json::Deserializer::from_str(&self.text)
                .into_iter::<Value>()
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| format!("{}: {e}", self.name))?,
            Format::Yaml => serde_yaml::Deserializer::from_str(&self.text)
                .map(serde::Deserialize::deserialize)
                .collect::<Result<Vec<Value>, _>>()
                .map_err(|e| format!("{}: {e}", self.name))?,
        };
        Ok(documents.into_iter().filter(|d| !d.is_null()).collect())
    }
}

/// The cluster as manifests: one to three files, each written by another hand.
pub(crate) fn files(cluster: &Cluster) -> Vec<File> {
    write_files(&cluster.objects, &mut Dice(cluster.layout))
}

/// Some of the objects as manifests, and those that are held back.
pub(crate) fn early_files(cluster: &Cluster) -> (Vec<File>, Vec<Value>) {
    let mut dice = Dice(!cluster.layout);
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for object in &cluster.objects {
        let is_late = object["kind"] != "Namespace" && dice.roll(5) == 0;
        if is_late { &mut late } else { &mut early }.push(object.clone());
    }
    (write_files(&early, &mut dice), late)
}

/// What the manifests are later: some objects gone, others come. Policies stay, because what the
/// program adds to them cannot go with them.
pub(crate) fn later_files(cluster: &Cluster, files: &[File], late: &[Value]) -> Vec<File> {
    let mut dice = Dice(cluster.layout.rotate_left(32));
    let (own, others): (Vec<_>, Vec<_>) = files.iter().cloned().partition(File::is_own);
    let objects = others.iter().flat_map(|f| f.objects().unwrap_or_default());
    let mut objects: Vec<Value> = objects.flat_map(items).collect();
    objects.retain(|o| o["kind"] == "NetworkPolicy" || dice.roll(6) > 0);
    objects.extend(late.iter().cloned());
    write_files(&objects, &mut dice)
        .into_iter()
        .chain(own)
        .collect()
}

/// The objects in a list, or the object itself.
fn items(object: Value) -> Vec<Value> {
    match object["items"].as_array() {
        Some(items) if object["kind"] == "List" => items.clone(),
        _ => vec![object],
    }
}

fn write_files(objects: &[Value], dice: &mut Dice) -> Vec<File> {
    let count = 1 + dice.roll(3);
    let mut shares = vec![Vec::new(); count];
    for object in objects {
        let mut object = object.clone();
        // The default namespace may be left out.
        if object["metadata"]["namespace"] == "default"
            && dice.roll(2) == 0
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.remove("namespace");
        }
        shares[dice.roll(count)].push(object);
    }
    let write = |(index, objects): (usize, Vec<Value>)| match dice.roll(4) {
        0 => json_file(index, &objects, dice.roll(2) == 0),
        _ => yaml_file(index, objects, dice),
    };
    shares
        .into_iter()
        .enumerate()
        .filter(|(_, objects)| !objects.is_empty())
        .map(write)
        .collect()
}

fn as_list(objects: &[Value]) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": objects })
}

fn json_file(index: usize, objects: &[Value], pretty: bool) -> File {
    let list = as_list(objects);
    let text = if pretty {
        format!("{list:#}\n")
    } else {
        format!("{list}")
    };
    File {
        name: format!("{index}.json"),
        text,
        format: Format::Json,
    }
}

fn yaml_file(index: usize, objects: Vec<Value>, dice: &mut Dice) -> File {
    let hand = Hand {
        step: [2, 2, 4][dice.roll(3)],
        dash_step: [0, 2][dice.roll(2)],
        quote: [None, Some('"'), Some('\'')][dice.roll(3)],
        flow: [Flow::Never, Flow::Never, Flow::Lists, Flow::Small][dice.roll(4)],
        comments: dice.roll(3) == 0,
    };
    let documents = if dice.roll(5) == 0 {
        vec![as_list(&objects)]
    } else {
        objects
    };
    let mut writer = Writer {
        hand,
        dice,
        text: String::new(),
    };
    for (position, document) in documents.iter().enumerate() {
        if position > 0 || writer.dice.roll(2) == 0 {
            writer.text.push_str("---\n");
        }
        writer.mapping(document.as_object().expect("an object"), 0);
    }
    let mut text = writer.text;
    if dice.roll(8) == 0 {
        text = text.replace('\n', "\r\n");
    }
    File {
        name: format!("{index}.yaml"),
        text,
        format: Format::Yaml,
    }
}

/// How somebody writes YAML.
struct Hand {
    /// Indentation of a mapping in a mapping.
    step: usize,
    /// Indentation of a list in a mapping.
    dash_step: usize,
    quote: Option<char>,
    flow: Flow,
    comments: bool,
}

/// What is written in one line.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Never,
    /// Lists whose text is short.
    Lists,
    /// Everything whose text is short.
    Small,
}

struct Writer<'d> {
    hand: Hand,
    dice: &'d mut Dice,
    text: String,
}

impl Writer<'_> {
    /// Writes a mapping's entries, each on lines of its own, from the start of a line.
    fn mapping(&mut self, mapping: &serde_json::Map<String, Value>, indent: usize) {
        for (key, value) in mapping {
            self.comment(indent);
            let key = scalar_text(key);
            let _ = write!(self.text, "{:indent$}{key}:", "");
            self.value(value, indent);
        }
    }

    /// Writes a value after a key.
    fn value(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(mapping) if !mapping.is_empty() && !self.in_one_line(value) => {
                self.text.push('\n');
                self.mapping(mapping, indent + self.hand.step);
            }
            Value::Array(list) if !list.is_empty() && !self.in_one_line(value) => {
                self.text.push('\n');
                self.list(list, indent + self.hand.dash_step);
            }
            _ => {
                let flow = self.flow(value);
                let _ = write!(self.text, " {flow}");
                if self.hand.comments && self.dice.roll(12) == 0 {
                    self.text.push_str(" # as agreed");
                }
                self.text.push('\n');
            }
        }
    }

    /// Writes a list's items, from the start of a line.
    fn list(&mut self, list: &[Value], indent: usize) {
        for item in list {
            self.comment(indent);
            let _ = write!(self.text, "{:indent$}-", "");
            match item {
                Value::Object(mapping) if !mapping.is_empty() && !self.in_one_line(item) => {
                    // The first key stands beside the dash, the others below it.
                    let start = self.text.len();
                    self.mapping(mapping, indent + 2);
                    let first_key =
                        start + self.text[start..].len() - self.text[start..].trim_start().len();
                    if self.text[start..].trim_start().starts_with('#') {
                        self.text.insert(start, '\n');
                    } else {
                        self.text.replace_range(start..first_key, " ");
                    }
                }
                _ => {
                    let flow = self.flow(item);
                    let _ = writeln!(self.text, " {flow}");
                }
            }
        }
    }

    fn in_one_line(&self, value: &Value) -> bool {
        let short = value.to_string().len() < 60;
        match self.hand.flow {
            Flow::Never => false,
            Flow::Lists => short && value.is_array(),
            Flow::Small => short,
        }
    }

    fn flow(&self, value: &Value) -> String {
        match value {
            Value::Object(mapping) => {
                let entries: Vec<_> = mapping
                    .iter()
                    .map(|(k, v)| format!("{}: {}", scalar_text(k), self.flow(v)))
                    .collect();
                if entries.is_empty() {
                    "{}".to_owned()
                } else {
                    format!("{{ {} }}", entries.join(", "))
                }
            }
            Value::Array(list) => {
                let items: Vec<_> = list.iter().map(|item| self.flow(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::String(string) => match self.hand.quote {
                Some(quote) => format!("{quote}{string}{quote}"),
                None => scalar_text(string),
            },
            other => other.to_string(),
        }
    }

    fn comment(&mut self, indent: usize) {
        if self.hand.comments && self.dice.roll(10) == 0 {
            let _ = writeln!(self.text, "{:indent$}# ports: [{{port: 1}}]", "");
        }
    }
}

/// A string without quotes where that means the same, else in double quotes.
fn scalar_text(string: &str) -> String {
    let plain = string.starts_with(|c: char| c.is_ascii_alphabetic())
        && string
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-./_".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&string);
    if plain {
        string.to_owned()
    } else {
        format!("\"{string}\"")
    }
}

/// Small deterministic choices (SplitMix64).
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let limit = sides as u64;
        usize::try_from((z ^ (z >> 31)) % limit).unwrap_or_default()
    }
}
